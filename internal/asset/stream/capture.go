package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Capture runs the command and stores what it writes, in one pass. Source names the
// asset only. A point is whole, or unchanged when the dump is byte for byte that of the
// parent; then nothing is stored.
//
// Errors: [ErrCut], [ErrFailed], [ErrNothing], [ErrShape], [command.ErrNotFound]. After
// any of them nothing counts, also what was written already.
func (k Kind) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (kind string, facts []byte, err error) {
	if err := k.Validate(); err != nil {
		return "", nil, err
	}
	if log == nil {
		log = io.Discard
	}
	out, err := create(role, FileName)
	if err != nil {
		return "", nil, err
	}
	f, err := k.dump(ctx, out, progress, log)
	if err != nil {
		return "", nil, errors.Join(err, abort(out))
	}
	facts, err = json.Marshal(f)
	if err != nil {
		return "", nil, err
	}
	fmt.Fprintf(log, "%s in %.1f s, sha256 %s\n", printable.Size(f.Bytes), f.Seconds, f.SHA256)
	var old Facts
	if a, ok := out.(aborter); ok && parent != nil && json.Unmarshal(parent, &old) == nil && old.SHA256 == f.SHA256 {
		fmt.Fprintf(log, "nothing has changed\n")
		return unchanged, facts, a.Abort()
	}
	if err := out.Close(); err != nil {
		return "", nil, fmt.Errorf("store the dump: %w", err)
	}
	return full, facts, nil
}

type aborter interface{ Abort() error }

// abort keeps what was begun from being stored.
func abort(out io.WriteCloser) error {
	if a, ok := out.(aborter); ok {
		return a.Abort()
	}
	return nil // whoever gave it drops it: nothing counts after an error
}

// Measure runs the command and keeps nothing: what a capture would give now.
func (k Kind) Measure(ctx context.Context, log io.Writer) (Facts, error) {
	if err := k.Validate(); err != nil {
		return Facts{}, err
	}
	return k.dump(ctx, io.Discard, nil, log)
}

// dump runs the command into out and proves what came.
func (k Kind) dump(ctx context.Context, out io.Writer, progress func(done, total int64, unit string), log io.Writer) (f Facts, err error) {
	x := newInspector()
	defer x.stop()
	sink := &sink{to: out, inspect: x, sum: sha256.New(), progress: progress}
	f = Facts{Framed: k.Framed, Command: Redact(k.Dump)}
	began := time.Now()
	switch {
	case usesFile(k.Dump):
		err = k.viaFile(ctx, sink, log)
	case k.Framed:
		f.Exit, err = k.framed(ctx, sink, log)
	default:
		err = k.run(ctx, k.Dump, sink, sink, log)
	}
	if err != nil {
		return Facts{}, err
	}
	f.Seconds = time.Since(began).Seconds()
	if f.Bytes = sink.n; f.Bytes == 0 {
		return Facts{}, hint.Wrapf(fmt.Errorf("dump with %s: %w", program(k.Dump), ErrNothing),
			"run it by hand: is the name of the database right, and may this user read it?")
	}
	f.SHA256 = hex.EncodeToString(sink.sum.Sum(nil))
	var note string
	if f.Format, note, err = x.end(); err == nil && note == "" {
		note, err = expect(k.Dump, f.Format)
	}
	f.Contents = x.contents()
	if err != nil {
		return Facts{}, hint.Wrap(fmt.Errorf("dump with %s: %w", program(k.Dump), err),
			"the command ended well although its dump is not whole: in a pipe the exit code of all but the last program is lost")
	}
	if note != "" {
		fmt.Fprintf(log, "warning: %s\n", note)
	}
	return f, nil
}

// sink is where a dump goes. A write that fails stops the command.
type sink struct {
	to       io.Writer
	inspect  *inspector
	sum      hash.Hash
	n        int64
	progress func(done, total int64, unit string)
	stop     context.CancelCauseFunc // of the running command
	err      error                   // of to
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if _, s.err = s.to.Write(p); s.err != nil {
		if s.stop != nil {
			s.stop(s.err)
		}
		return 0, s.err
	}
	s.sum.Write(p)
	_, _ = s.inspect.Write(p) // cannot fail
	s.n += int64(len(p))
	if s.progress != nil {
		s.progress(s.n, 0, "B")
	}
	return len(p), nil
}

// run runs a command whose output goes to stdout, which ends in s.
func (k Kind) run(ctx context.Context, argv []string, stdout io.Writer, s *sink, log io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.stop = cancel
	c := k.cmd(argv)
	c.Stdout, c.Stderr = stdout, log
	r, err := command.Run(ctx, c)
	if s.err != nil {
		return fmt.Errorf("store the dump: %w", s.err)
	}
	if err == nil && r.Truncated {
		err = command.ErrHeld
	}
	return k.explain("dump with", k.Dump, err)
}

// explain gives an error of a command the class that callers ask for.
func (k Kind) explain(what string, argv []string, err error) error {
	if err == nil {
		return nil
	}
	exit, bad := errors.AsType[*command.ExitError](err)
	switch {
	case errors.Is(err, command.ErrNotFound):
		return hint.Wrap(fmt.Errorf("%s %s: %w", what, program(argv), err), "install it where this runs, or give the whole path in the command of the asset")
	case bad && exit.Exit == 127 && k.Framed:
		return hint.Wrap(fmt.Errorf("%s %s: %w: %w", what, program(argv), ErrFailed, err),
			"a program is missing on the far side: the command itself, sh, tee, wc or sha256sum; name another container, or dump from this side")
	case bad:
		return fmt.Errorf("%s %s: %w: %w", what, program(argv), ErrFailed, err)
	}
	return fmt.Errorf("%s %s: %w", what, program(argv), err)
}

func program(argv []string) string { return printable.Quote(filepath.Base(argv[0])) }

// framed runs the command inside the wrapper and compares what arrived with the trailer.
func (k Kind) framed(ctx context.Context, s *sink, log io.Writer) (exit int, err error) {
	argv, mark := wrap(k.Dump, dumpWrapper)
	u := &unframer{to: s, mark: mark}
	err = k.run(ctx, argv, u, s, log)
	if s.err != nil || ctx.Err() != nil {
		return 0, err
	}
	t, ok, werr := u.end()
	switch {
	case ok && t.exit != 0:
		return t.exit, fmt.Errorf("dump with %s: %w on the far side with exit code %d", program(k.Dump), ErrFailed, t.exit)
	case err != nil:
		return 0, err
	case werr != nil:
		return 0, fmt.Errorf("store the dump: %w", werr)
	case !ok:
		err = fmt.Errorf("%w after %d bytes: the end that the far side writes is missing", ErrCut, s.n)
	default:
		err = t.match(s.n, hex.EncodeToString(s.sum.Sum(nil)))
	}
	if err != nil {
		return 0, hint.Wrap(fmt.Errorf("dump with %s: %w", program(k.Dump), err),
			"kubectl exec can lose the end of what it carries and still end with 0: try again; if it stays so, look at the network and the far side's logs")
	}
	return t.exit, nil
}

// viaFile runs a command that writes a file, and then reads the file.
func (k Kind) viaFile(ctx context.Context, s *sink, log io.Writer) (err error) {
	file, remove, err := k.private()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	c := k.cmd(withFile(k.Dump, file))
	c.Stdout, c.Stderr = log, log
	if _, err := command.Run(ctx, c); err != nil {
		return k.explain("dump with", k.Dump, err)
	}
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read what %s wrote: %w", program(k.Dump), err)
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(fmt.Errorf("read what %s wrote: it is no regular file", program(k.Dump)), err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{s}, contextReader{ctx, in}, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("store the dump: %w", err)
	}
	return nil
}

// private gives the path of an empty file in a directory that only this user can enter,
// whatever rights the command gives the file.
func (k Kind) private() (file string, remove func() error, err error) {
	dir, err := os.MkdirTemp(k.Scratch, "lifeboat-dump-")
	if err != nil {
		return "", nil, fmt.Errorf("make a private directory: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	file = filepath.Join(dir, "dump.sql") // wrangler looks at the ending
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a private file: %w", err), remove())
	}
	return file, remove, nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
