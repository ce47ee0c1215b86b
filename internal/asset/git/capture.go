package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lifeboat/internal/command"
)

// capture is one Capture in progress.
type capture struct {
	k        Kind
	src      Source // who is asked for refs and packs
	origin   Source // who has the content of LFS: src, but for a still
	still    *still // nil when src is asked itself
	open     func(role string) (io.ReadCloser, error)
	create   func(role, name string) (io.WriteCloser, error)
	progress func(done, total int64, unit string)
	log      io.Writer

	lfs *lfsPlan // what run found out about LFS, nil when it did not look
}

// Capture writes one restore point; see vault.Kind. A full backup holds everything that
// the server advertises but for [Kind.Exclude]. An increment is made when the server
// knows a tip of the parent, else the point becomes full by itself.
func (k Kind) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (kind string, facts []byte, err error) {
	src, err := ParseSource(source)
	if err != nil {
		return "", nil, err
	}
	var before *Facts
	if parent != nil {
		f, err := ParseFacts(parent)
		if err != nil {
			return "", nil, err
		}
		before = &f
	}
	if progress == nil {
		progress = func(int64, int64, string) {}
	}
	if log == nil {
		log = io.Discard
	}
	c := &capture{k: k, src: src, origin: src, open: open, create: create, progress: progress, log: log}
	kind, now, err := c.point(ctx, before)
	if err != nil {
		return "", nil, fmt.Errorf("capture %q: %w", redactURL(source), err)
	}
	facts, err = now.encode()
	return kind, facts, err
}

// point makes the objects of one point, by way of a still where something more than refs
// and a pack is to be read.
func (c *capture) point(ctx context.Context, parent *Facts) (kind string, facts Facts, err error) {
	if parent != nil && !c.k.LFS && parent.LFS != nil && parent.LFS.Stored > 0 {
		parent = nil // the chain has content of LFS that this point could give no account of
	}
	if c.k.Mirror || c.k.LFS && c.src.Path == "" {
		return c.viaStill(ctx, parent)
	}
	kind, facts, err = c.run(ctx, parent)
	if errors.Is(err, errFull) {
		kind, facts, err = c.run(ctx, nil)
	}
	if err == nil {
		err = c.storeLFS(kind)
	}
	return kind, facts, err
}

// errFull is an increment that cannot be made: the server knows no tip of the parent, since
// the history was replaced and collected, or nobody knows what of LFS the chain holds.
// Only a full backup is sure to be whole then.
var errFull = errors.New("the point cannot build on its parent")

// run is one session.
func (c *capture) run(ctx context.Context, parent *Facts) (kind string, facts Facts, err error) {
	dog := watch(ctx, c.k.idle())
	defer dog.stop()
	s, err := c.src.open(dog.ctx, c.k, c.log)
	if err != nil {
		return "", facts, dog.cause(err)
	}
	whole := false
	defer func() {
		if !whole {
			dog.cancel(nil) // nothing more is wanted of the server, not even its goodbye
			s.Close()
			return
		}
		dog.awake()
		switch end := s.Close(); {
		case err == nil:
			err = dog.cause(end)
		case end != nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrDamaged)):
			err = fmt.Errorf("%w: %w", err, end) // why the stream was cut
		}
	}()
	dog.awake()
	ad, err := s.advertise(dog.ctx)
	dog.asleep()
	if err != nil {
		return "", facts, dog.cause(err)
	}
	if ad.shallow {
		return "", facts, shallow(c.src.String())
	}
	facts, err = c.snapshot(dog.ctx, &ad)
	if err != nil {
		return "", facts, err
	}
	if len(ad.refs) == 0 && ad.head == "" {
		return Empty, facts, nil
	}
	if parent != nil && parent.ObjectFormat != facts.ObjectFormat {
		parent = nil
	}
	if err := c.planLFS(dog.ctx, &facts, parent); err != nil {
		return "", facts, err
	}
	if parent != nil && sameRefs(*parent, facts) && !c.lfs.brings() {
		return Unchanged, facts, nil
	}
	whole, kind, err = c.pack(dog, s, ad, parent, &facts)
	return kind, facts, err
}

func sameRefs(a, b Facts) bool { return a.RefsSHA256 == b.RefsSHA256 && a.Head == b.Head }

// snapshot filters the advertisement and makes facts of it.
func (c *capture) snapshot(ctx context.Context, ad *advert) (Facts, error) {
	f := Facts{ObjectFormat: ad.format}
	ad.refs = slices.DeleteFunc(ad.refs, func(r Ref) bool {
		p, out := excludes(c.k.exclude(), r.Name)
		if out && !slices.Contains(f.Excluded, p) {
			f.Excluded = append(f.Excluded, p)
		}
		return out
	})
	slices.Sort(f.Excluded)
	f.setRefs(ad.refs)
	if c.still != nil {
		return c.still.vouch(f)
	}
	switch {
	case ad.symref != "" && !ValidRef(ad.symref):
		return f, fmt.Errorf("read refs of the server: HEAD points to %q, no valid name for a ref", ad.symref)
	case ad.symref != "":
		f.Head = encodeName(ad.symref)
	case ad.head != "":
		f.Head = ad.head
	case c.src.Path != "":
		// An unborn HEAD is not advertised, and an empty repository says nothing at
		// all; here we can look.
		format, err := command.Output(ctx, command.Git(c.src.Path, "rev-parse", "--show-object-format"))
		if err != nil {
			return f, fmt.Errorf("read object format: %w", err)
		}
		ad.format = strings.TrimSpace(string(format))
		f.ObjectFormat = ad.format
		name, err := localHead(ctx, c.src.Path)
		if err != nil {
			return f, err
		}
		f.Head = encodeName(name)
	}
	return f, nil
}

// localHead is what HEAD of a local repository points to, empty when it is detached.
func localHead(ctx context.Context, path string) (string, error) {
	out, err := command.Output(ctx, command.Git(path, "symbolic-ref", "--quiet", "HEAD"))
	var exit *command.ExitError
	if errors.As(err, &exit) && exit.Exit == 1 {
		return "", nil
	}
	name := string(bytes.TrimSuffix(out, []byte("\n")))
	if err == nil && !ValidRef(name) {
		err = fmt.Errorf("it points to %q", name)
	}
	if err != nil {
		return "", fmt.Errorf("read HEAD: %w", err)
	}
	return name, nil
}

// pack asks for what is missing and streams it into a bundle. asked says whether the
// server was asked for anything, so that its end matters.
func (c *capture) pack(dog *watchdog, s session, ad advert, parent *Facts, f *Facts) (asked bool, kind string, err error) {
	kind = Full
	var have []string
	known := map[string]bool{}
	h := Header{Format: ad.format, Refs: ad.refs, Head: ad.head}
	if parent != nil {
		refs, err := parent.List()
		if err != nil {
			return false, "", err
		}
		have, h.Prereqs = tips(refs, *parent, known)
	}
	if len(have) > 0 {
		kind = Incremental
	}
	want := wants(ad, known)
	var pack io.Reader = bytes.NewReader(emptyPack(ad.format))
	if len(want) > 0 {
		dog.awake()
		r, common, err := s.request(dog.ctx, want, have)
		dog.asleep()
		if err != nil {
			return true, "", dog.cause(err)
		}
		if len(have) > 0 && !common {
			return false, "", fmt.Errorf("%w: the server knows no tip of it", errFull)
		}
		asked, pack = true, dog.reader(r)
	}
	f.Prereqs = h.Prereqs
	return asked, kind, c.store(h, pack, f)
}

// tips are the objects that the chain up to parent holds, for sure, with all their
// history: what to announce, and which of them are commits and so fit to be
// prerequisites (git before 2.40 takes no others).
func tips(refs []Ref, parent Facts, known map[string]bool) (haves, prereqs []string) {
	add := func(oid string) bool {
		if oid == "" || known[oid] {
			return false
		}
		known[oid] = true
		haves = append(haves, oid)
		return true
	}
	isPrereq := map[string]bool{}
	for _, r := range refs {
		add(r.OID)
		add(r.Peeled)
		if len(r.Name) > 11 && r.Name[:11] == "refs/heads/" && !isPrereq[r.OID] {
			isPrereq[r.OID] = true
			prereqs = append(prereqs, r.OID)
		}
	}
	if oid, ok := parent.Detached(); ok {
		add(oid)
	}
	slices.Sort(prereqs)
	return haves, prereqs
}

// wants are the tips that the chain does not hold.
func wants(ad advert, known map[string]bool) []string {
	var out []string
	asked := map[string]bool{}
	for _, r := range append(slices.Clone(ad.refs), Ref{OID: ad.head}) {
		if r.OID != "" && !known[r.OID] && !asked[r.OID] {
			asked[r.OID] = true
			out = append(out, r.OID)
		}
	}
	return out
}

// store writes header and pack and checks the pack on its way. The object is closed,
// and so made real, only when the pack is whole.
func (c *capture) store(h Header, pack io.Reader, f *Facts) error {
	w, err := c.create(Role, FileName)
	if err != nil {
		return err
	}
	buf := bufio.NewWriterSize(w, 256<<10)
	check := newPackCheck(f.ObjectFormat)
	if err := h.write(buf); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	meter := &meter{report: c.progress}
	if _, err := io.Copy(io.MultiWriter(buf, check, meter), pack); err != nil {
		return fmt.Errorf("copy pack after %d bytes: %w", check.n, err)
	}
	if f.PackObjects, f.PackSHA1, err = check.finish(); err != nil {
		return err
	}
	f.PackBytes = check.n
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finish bundle: %w", err)
	}
	c.progress(meter.n, meter.n, "B")
	return nil
}

// meter reports progress about every megabyte.
type meter struct {
	n, told int64
	report  func(done, total int64, unit string)
}

func (m *meter) Write(p []byte) (int, error) {
	if m.n += int64(len(p)); m.n-m.told >= 1<<20 {
		m.told = m.n
		m.report(m.n, 0, "B")
	}
	return len(p), nil
}
