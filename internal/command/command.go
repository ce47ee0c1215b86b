// Package command is the only door to other programs.
//
// Every program runs the same way: an argument list and never a shell line, an
// environment built from an allow-list and never the caller's, standard input from
// /dev/null unless something is handed in, a session of its own so that neither
// Ctrl+C nor a lost terminal reaches it, and bounded memory for its output. When it
// must stop, the whole process group gets SIGINT, then SIGTERM, then SIGKILL.
//
// A program is not tied to the life of Lifeboat: when Lifeboat is killed, its children
// go on and end what they began. Only a child that writes into one of our pipes dies
// of SIGPIPE then; give it an *os.File as Stdout when it must survive. [Marked] finds those
// that are still at it.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Cmd says what to run. The zero value of every field but Argv is useful.
type Cmd struct {
	Argv []string // program and arguments; others can read them in /proc, so never a secret
	Dir  string   // empty: the directory of the caller

	Env     map[string]string // added to the allow-list, and stronger than it; the place for secrets
	Inherit []string          // more variables of the caller to pass on: "KUBECONFIG", "AWS_*"; see [Cloud]

	Stdin          io.Reader  // nil: /dev/null; it must not block for ever, its reader cannot be interrupted
	Stdout, Stderr io.Writer  // nil: the last Keep bytes are kept in Result; an *os.File is handed over as it is
	StdinPipe      bool       // the caller writes into Process.Stdin instead
	StdoutPipe     bool       // the caller reads Process.Stdout instead
	Keep           int        // bytes kept of each stream, 0: 64 KiB
	Files          []*os.File // extra open files, descriptors 3, 4 …

	Timeout  time.Duration // 0: none beyond the context
	Grace    time.Duration // between SIGINT, SIGTERM and SIGKILL, and for output after the exit; 0: 5 s
	Terminal bool          // stay in the caller's session, for a program that a person uses; signals go to it alone

	gitConfig string // content of a file that GIT_CONFIG_GLOBAL names in place of /dev/null
}

// Result is how a program ended.
type Result struct {
	Exit           int    // its exit code, 128 + number for a signal
	Signal         string // "SIGKILL", empty when it ended by itself
	Stdout, Stderr []byte // the last Keep bytes of what was not sent elsewhere
	Truncated      bool   // some output was dropped: more than Keep, or held open after the exit
	Took           time.Duration

	held bool // Truncated because somebody still held a pipe
}

// ExitError is a program that ended with an exit code other than 0, or by a signal.
type ExitError struct {
	Argv   []string
	Exit   int
	Signal string
	Stderr string // its end, as the program wrote it; empty when Stderr was an *os.File
}

// Error names the program, the exit and the line of its standard error that tells most
// (the first "fatal:" of git, else the last line), made harmless for a terminal.
func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit %d", e.Exit)
	if e.Signal != "" {
		how = "killed by " + e.Signal
	}
	s := fmt.Sprintf("%s: %s", printable.Line(name(e.Argv)), how)
	if line := telling(e.Stderr); line != "" {
		s += ": " + printable.Line(line)
	}
	return s
}

// name is the program, and the git command where it is git: "git fetch".
func name(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	base := filepath.Base(argv[0])
	if base != "git" {
		return base
	}
	for i := 1; i < len(argv); i++ {
		switch {
		case argv[i] == "-c" || argv[i] == "-C":
			i++
		case !strings.HasPrefix(argv[i], "-"):
			return base + " " + argv[i]
		}
	}
	return base
}

func telling(stderr string) string {
	const longest = 400
	line := ""
	for l := range strings.FieldsFuncSeq(stderr, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(l, "fatal: ") {
			line = l
			break
		}
		if strings.TrimSpace(l) != "" && !strings.HasSuffix(l, " --help' for usage.") { // kubectl, behind what was wrong
			line = l
		}
	}
	if len(line) > longest {
		line = line[:longest] + "…"
	}
	return line
}

// ErrNotFound says that a program is not installed.
var ErrNotFound = errors.New("program not found")

// Look finds a program as Run would: in the absolute directories of PATH. A name with a
// slash is taken as it is. The error wraps [ErrNotFound].
func Look(name string) (path string, err error) { return look(name, "", searchPath()) }

func look(name, dir, path string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("run a program: its name is empty: %w", ErrNotFound)
	}
	if strings.Contains(name, "/") {
		full := name
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, full)
		}
		if err := executable(full); err != nil {
			return "", hint.Wrapf(fmt.Errorf("%w: %q: %v", ErrNotFound, name, err),
				"Check the path %s, and that it is an executable file.", printable.Quote(full))
		}
		return filepath.Abs(full)
	}
	for _, d := range filepath.SplitList(path) {
		full := filepath.Join(d, name)
		if executable(full) == nil {
			return full, nil
		}
	}
	return "", hint.Wrapf(fmt.Errorf("%w: %q is not in PATH", ErrNotFound, name),
		"Install %s, or add its directory to PATH (searched: %s).", printable.Quote(name), printable.Line(path))
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return errors.Unwrap(err)
	case info.IsDir():
		return errors.New("is a directory")
	case info.Mode()&0o111 == 0:
		return errors.New("is not executable")
	}
	return nil
}

// Run runs a program to its end.
//
// The error is nil only for exit code 0 of a program that nobody stopped. It is or wraps
// an [*ExitError] when the program ended badly, the cause of the context when it was
// stopped (also when it then exited with 0: how far it came is not known), and
// [ErrNotFound] when it is not installed. Without an error of these kinds it may be that
// a writer refused output; the program has then run to its end all the same, because a
// full log disk must not break an effect in the middle.
func Run(ctx context.Context, c Cmd) (Result, error) {
	p, err := Start(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return p.Wait()
}

// outputLimit bounds what [Output] holds in memory.
const outputLimit = 64 << 20

// Output runs a program and returns what it wrote to standard output, whole. More than
// 64 MiB is an error, and so is output that a left-behind child still holds open.
func Output(ctx context.Context, c Cmd) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &capped{limit: outputLimit, full: func() {
		cancel(fmt.Errorf("more than %d MiB of output", outputLimit>>20))
	}}
	c.Stdout = w
	r, err := Run(ctx, c)
	if err == nil && w.over {
		err = fmt.Errorf("run %q: more than %d MiB of output", name(c.Argv), outputLimit>>20)
	}
	if err == nil && r.held {
		err = fmt.Errorf("run %q: %w", name(c.Argv), ErrHeld)
	}
	return w.buf.Bytes(), err
}

// capped keeps what fits and calls full once when something does not.
type capped struct {
	buf   bytes.Buffer
	limit int
	over  bool
	full  func()
}

func (c *capped) Write(p []byte) (int, error) {
	if c.over {
		return len(p), nil
	}
	if c.buf.Len()+len(p) > c.limit {
		c.over = true
		c.full()
		return len(p), nil
	}
	return c.buf.Write(p)
}

// tail keeps the last bytes of a stream.
type tail struct {
	limit int
	buf   []byte // up to twice the limit, so that bytes are moved rarely
	cut   bool
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > t.limit {
		p, t.cut, t.buf = p[len(p)-t.limit:], true, t.buf[:0]
	}
	if len(t.buf)+len(p) > 2*t.limit {
		t.buf = t.buf[:copy(t.buf, t.buf[len(t.buf)-t.limit:])]
		t.cut = true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// bytes gives what is kept and whether anything before it was dropped.
func (t *tail) bytes() ([]byte, bool) {
	if len(t.buf) > t.limit {
		return t.buf[len(t.buf)-t.limit:], true
	}
	return t.buf, t.cut
}
