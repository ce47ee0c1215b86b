package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// A still is a private copy of a repository that no longer moves: one pack and the refs
// of one advertisement. The point, its mirror and its pointers of LFS are all read from
// it, and so agree with each other whatever happens to the source meanwhile.
//
//	lifeboat-still-<random>/    0700, removed afterwards
//	  lock                      held while it is in use
//	  repo.bundle               what the server sent
//	  repo.git/                 the same, unpacked and proven
//	  lfs/                      content fetched from a server, named by its hash
type still struct {
	root   string
	kind   string // Full or Empty
	bundle string // path, empty for an empty repository
	facts  Facts
	lock   *durable.FileLock
	opened []io.Closer // files of failed tries too
}

func (s *still) repo() string { return filepath.Join(s.root, "repo.git") }

// staleAfter is how old an abandoned still must be before another capture removes it.
// A younger one may belong to a process that has not taken its lock yet.
const staleAfter = time.Hour

const stillPrefix = "lifeboat-still-"

// newStill makes the private directory, and removes those that killed processes left.
func newStill(base string) (*still, error) {
	if base == "" {
		base = os.TempDir()
	}
	old, err := filepath.Glob(filepath.Join(base, stillPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for old copies in %q: %w", base, err)
	}
	for _, dir := range old {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		if lock, err := durable.Lock(filepath.Join(dir, "lock"), ""); err == nil {
			os.RemoveAll(dir) // that of another user stays, and is not ours to mind
			lock.Unlock()
		}
	}
	root, err := os.MkdirTemp(base, stillPrefix+"*")
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("make a scratch directory: %w", err),
			"The mirror form and Git LFS of a remote need room for a copy of the repository; make room in "+base+".")
	}
	lock, err := durable.Lock(filepath.Join(root, "lock"), "")
	if err != nil {
		os.RemoveAll(root)
		return nil, err
	}
	return &still{root: root, lock: lock}, nil
}

func (s *still) remove() error {
	for _, f := range s.opened {
		f.Close()
	}
	return errors.Join(os.RemoveAll(s.root), s.lock.Unlock())
}

// viaStill makes the point out of a still.
func (c *capture) viaStill(ctx context.Context, parent *Facts) (kind string, facts Facts, err error) {
	s, err := newStill(c.k.Scratch)
	if err != nil {
		return "", facts, err
	}
	defer func() {
		if gone := s.remove(); err == nil && gone != nil {
			err = fmt.Errorf("remove the scratch copy: %w", gone)
		}
	}()
	if err := c.take(ctx, s); err != nil {
		return "", facts, fmt.Errorf("copy the repository: %w", err)
	}
	on := *c
	on.src, on.still = Source{Path: s.repo()}, s
	on.k.wrap = nil
	if parent != nil || s.kind == Empty {
		kind, facts, err = on.run(ctx, parent)
	}
	if parent == nil && s.kind != Empty || errors.Is(err, errFull) {
		kind, facts = Full, s.facts
		if err = on.planLFS(ctx, &facts, nil); err == nil {
			err = on.storeStill(ctx)
		}
	}
	if err == nil {
		err = on.storeLFS(kind)
	}
	if err == nil && c.k.Mirror {
		facts.Mirror, err = on.storeMirror(ctx)
	}
	return kind, facts, err
}

// take fills a still. A server whose refs moved between its two answers is asked once
// more.
func (c *capture) take(ctx context.Context, s *still) error {
	k := c.k
	k.LFS, k.Mirror = false, false
	try := &capture{k: k, src: c.src, origin: c.src, create: s.create(c.k.scratchLimit()), progress: c.progress, log: c.log}
	kind, facts, err := try.run(ctx, nil)
	if err != nil && c.moved(ctx, facts) {
		fmt.Fprintln(c.log, "the source moved while it was being copied; copying it again")
		if kind, facts, err = try.run(ctx, nil); err != nil && c.moved(ctx, facts) {
			err = hint.Wrap(fmt.Errorf("the source moved twice while it was being copied: %w", err),
				"Run the step again when fewer people push.")
		}
	}
	if err != nil {
		return err
	}
	s.kind, s.facts = kind, facts
	if kind == Full {
		s.bundle = filepath.Join(s.root, FileName)
		if err := k.Apply(ctx, s.repo(), Role, s.bundle, c.log); err != nil {
			return err
		}
	}
	data, err := facts.encode()
	if err != nil {
		return err
	}
	_, err = k.Prove(ctx, s.repo(), data, false, c.log)
	return err
}

// moved says whether the source shows other refs than those of a failed try.
func (c *capture) moved(ctx context.Context, before Facts) bool {
	if before.RefsSHA256 == "" || ctx.Err() != nil {
		return false // it failed before there were refs
	}
	dog := watch(ctx, c.k.idle())
	defer dog.stop()
	s, err := c.src.open(dog.ctx, c.k, c.log)
	if err != nil {
		return false
	}
	ad, err := s.advertise(dog.ctx)
	dog.cancel(nil)
	s.Close()
	if err != nil {
		return false
	}
	now, err := c.snapshot(ctx, &ad)
	return err == nil && !sameRefs(now, before)
}

// create begins the bundle anew.
func (s *still) create(limit int64) func(role, name string) (io.WriteCloser, error) {
	return func(_, name string) (io.WriteCloser, error) {
		f, err := os.OpenFile(filepath.Join(s.root, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		s.opened = append(s.opened, f)
		return &limited{file: f, left: limit}, nil
	}
}

// limited is a file that may not grow beyond a size.
type limited struct {
	file *os.File
	left int64
}

func (l *limited) Close() error { return l.file.Close() }

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, hint.Wrap(ErrNoRoom, "Raise the limit of the scratch copy, or back up without the mirror form.")
	}
	return l.file.Write(p)
}

// storeStill copies the bundle of a still into the vault, reading it as it passes.
func (c *capture) storeStill(ctx context.Context) error {
	f, err := os.Open(c.still.bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := c.create(Role, FileName)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(w, 256<<10)
	meter := &meter{report: c.progress}
	_, objects, trailer, err := checkBundle(ctx, io.TeeReader(f, io.MultiWriter(buf, meter)))
	if err == nil && (objects != c.still.facts.PackObjects || trailer != c.still.facts.PackSHA1) {
		err = fmt.Errorf("%w: the scratch copy has changed", ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("copy bundle: %w", err)
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finish bundle: %w", err)
	}
	return nil
}

// vouch turns what the copy says of itself into the facts of its source, once they agree.
func (s *still) vouch(copied Facts) (Facts, error) {
	if len(copied.Refs) > 0 && copied.ObjectFormat != s.facts.ObjectFormat || copied.RefsSHA256 != s.facts.RefsSHA256 {
		return copied, fmt.Errorf("%w: the scratch copy shows other refs", ErrUnequal)
	}
	return Facts{
		Head: s.facts.Head, RefsSHA256: s.facts.RefsSHA256, Refs: s.facts.Refs,
		ObjectFormat: s.facts.ObjectFormat, Excluded: s.facts.Excluded,
	}, nil
}

func (k Kind) scratchLimit() int64 {
	if k.ScratchLimit > 0 {
		return k.ScratchLimit
	}
	return 64 << 30
}
