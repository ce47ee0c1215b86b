package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// Problem is one thing that git fsck complained about.
type Problem struct {
	Kind   string // "corrupt", "missing", "broken link", "other"
	Object string // full object id, empty when the line names none
	Path   string // the file that holds it, as git names it, empty when not said
	Text   string // the line, as git wrote it
}

// Report is what a full check found.
type Report struct {
	Exit     int
	Count    int       // problems found
	Problems []Problem // the first 500 of them
	Warnings int
}

const keptProblems = 500

// Objects lists the broken and missing objects, each once.
func (r Report) Objects() []string { return r.distinct(func(p Problem) string { return p.Object }) }

// Paths lists the damaged files of the object store, each once.
func (r Report) Paths() []string { return r.distinct(func(p Problem) string { return p.Path }) }

func (r Report) distinct(field func(Problem) string) []string {
	var out []string
	for _, p := range r.Problems {
		if v := field(p); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Err is nil when nothing was found.
func (r Report) Err() error {
	if r.Count == 0 {
		return nil
	}
	return fmt.Errorf("git fsck found %d problems, first %q", r.Count, r.Problems[0].Text)
}

// Fsck runs the full check of every object and of connectivity in the repository at
// dir, bare or a work tree. Dangling objects are no problem and historic faults are
// warnings. The error is for a check that could not be made, and wraps
// [ErrNotRepository] where git sees no repository; a damaged repository is a Report.
func Fsck(ctx context.Context, dir string, log io.Writer) (Report, error) {
	return fsck(ctx, dir, "--full", log)
}

// connectivity is Fsck without unpacking blobs: everything that refs lead to is there.
func connectivity(ctx context.Context, dir string, log io.Writer) (Report, error) {
	return fsck(ctx, dir, "--connectivity-only", log)
}

func fsck(ctx context.Context, dir, how string, log io.Writer) (Report, error) {
	args := append(lenient("fsck"), "fsck", how, "--no-dangling", "--no-progress")
	call := command.Git(dir, args...)
	f := &fsckOutput{log: log}
	out, errs := &lineWriter{line: f.line}, &lineWriter{line: f.line}
	call.Stdout, call.Stderr = out, errs
	res, err := command.Run(ctx, call)
	out.end()
	errs.end()
	f.report.Exit = res.Exit
	var exit *command.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return f.report, fmt.Errorf("check %q: %w", dir, err)
	case ctx.Err() != nil:
		return f.report, fmt.Errorf("check %q: %w", dir, context.Cause(ctx))
	case f.notRepo:
		return f.report, hint.Wrap(fmt.Errorf("check %q: %w", dir, ErrNotRepository),
			"If it was a repository before, its HEAD, refs or objects directory is gone: restore it.")
	case res.Exit != 0 && f.report.Count == 0:
		f.add(Problem{Kind: "other", Text: err.Error()})
	}
	return f.report, nil
}

// fsckOutput understands the lines of git fsck. Both streams of git end here.
type fsckOutput struct {
	mu      sync.Mutex
	report  Report
	notRepo bool
	linkTo  bool // the line before began a broken link, this one names its end
	log     io.Writer
}

var (
	anyOID    = regexp.MustCompile(`\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b`)
	loosePath = regexp.MustCompile(`\S*objects/([0-9a-f]{2})/([0-9a-f]{38,62})\b`)
	packPath  = regexp.MustCompile(`\S*pack-[0-9a-f]{40,64}\.(?:pack|idx|rev|bitmap)`)
)

func (f *fsckOutput) line(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.log != nil {
		fmt.Fprintln(f.log, line)
	}
	text := strings.TrimSpace(line)
	if f.linkTo {
		f.linkTo = false
		if strings.HasPrefix(text, "to ") {
			f.add(Problem{Kind: "broken link", Object: anyOID.FindString(text), Text: text})
			return
		}
	}
	switch word, _, _ := strings.Cut(text, " "); {
	case strings.Contains(text, "not a git repository"):
		f.notRepo = true
	case text == "", word == "notice:", word == "dangling", word == "unreachable", word == "Checking", word == "hint:":
	case word == "warning", word == "warning:":
		f.report.Warnings++
	case strings.HasPrefix(text, "broken link from"):
		f.linkTo = true
	case word == "missing":
		f.add(Problem{Kind: "missing", Object: anyOID.FindString(text), Text: text})
	case word == "error", word == "error:", word == "fatal:":
		f.add(problem(text))
	default:
		f.add(Problem{Kind: "other", Object: anyOID.FindString(text), Text: text})
	}
}

// problem reads a line that begins with error or fatal.
func problem(text string) Problem {
	p := Problem{Kind: "corrupt", Object: anyOID.FindString(packPath.ReplaceAllString(text, "")), Text: text, Path: packPath.FindString(text)}
	if m := loosePath.FindStringSubmatch(text); m != nil {
		p.Path = m[0]
		if p.Object == "" {
			p.Object = m[1] + m[2]
		}
	}
	if p.Object == "" && p.Path == "" {
		p.Kind = "other"
	}
	return p
}

func (f *fsckOutput) add(p Problem) {
	f.report.Count++
	if len(f.report.Problems) < keptProblems {
		f.report.Problems = append(f.report.Problems, p)
	}
}

// lineWriter cuts a stream into lines, the longest of them short.
type lineWriter struct {
	line func(string)
	buf  []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.buf = append(w.buf, p[:min(len(p), max(0, maxLine-len(w.buf)))]...)
			return n, nil
		}
		w.buf = append(w.buf, p[:min(i, max(0, maxLine-len(w.buf)))]...)
		w.line(string(w.buf))
		w.buf = w.buf[:0]
		p = p[i+1:]
	}
}

func (w *lineWriter) end() {
	if len(w.buf) > 0 {
		w.line(string(w.buf))
		w.buf = nil
	}
}
