package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// side is one server that is being talked to.
type side struct {
	name  string // "source" or "mirror", for errors
	dog   *watchdog
	far   io.Closer
	ended bool
	cause error // why it had to end, nil when it did not
	err   error // how the far side ended
}

// end breaks the conversation off however far it is. It may be called again.
func (s *side) end() error {
	if s.ended {
		return s.err
	}
	s.ended, s.cause = true, context.Cause(s.dog.ctx)
	s.dog.stop()
	if s.far != nil {
		s.err = s.far.Close()
	}
	return s.err
}

// finish lets the far side come to its end by itself.
func (s *side) finish() error {
	if !s.ended && s.far != nil {
		s.dog.awake()
		s.err = s.far.Close()
		s.ended, s.cause = true, context.Cause(s.dog.ctx)
		s.dog.stop()
	}
	return s.end()
}

// fault says on which side an error happened, and why.
func (s *side) fault(err error) error {
	if !s.ended {
		err = s.dog.cause(err)
	} else if s.cause != nil {
		err = s.cause
	}
	var exit *command.ExitError
	err = fmt.Errorf("%s: %w", s.name, err)
	if errors.As(err, &exit) && exit.Argv[0] == "ssh" && exit.Exit == 255 { // of ssh itself, not of git behind it
		err = hint.Wrap(err, "ssh did not get through: check the address, that the key of the host is in known_hosts, and that your own key is in the agent (ssh-add -l).")
	}
	return err
}

// during keeps the watchdog awake while an answer is waited for.
func (s *side) during(do func() error) error {
	s.dog.awake()
	err := do()
	s.dog.asleep()
	if err != nil {
		return s.fault(err)
	}
	return nil
}

// link reaches a side; every byte that comes from there is a sign of life.
func (r *relay) link(dog *watchdog, wrap func(io.Reader) io.Reader, log io.Writer) link {
	return link{
		http: r.o.HTTP, auth: r.o.Auth, strict: true, known: r.o.KnownHosts, identity: r.o.Identity, log: log,
		wrap: func(in io.Reader) io.Reader {
			if wrap != nil {
				in = wrap(in)
			}
			return dog.reader(in)
		},
	}
}

// upstream is an open session with the source.
type upstream struct {
	side
	session session
	ad      advert
}

func (r *relay) openSource(ctx context.Context) (*upstream, error) {
	u := &upstream{side: side{name: "source", dog: watch(ctx, r.o.idle())}}
	err := u.during(func() (err error) {
		if u.session, err = r.src.upload(u.dog.ctx, r.link(u.dog, r.o.wrapSource, r.o.Log)); err != nil {
			return err
		}
		u.far = u.session
		u.ad, err = u.session.advertise(u.dog.ctx)
		return err
	})
	if err == nil {
		err = fits(u.ad, r.src)
	}
	if err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}

// downstream is an open session with the mirror.
type downstream struct {
	side
	intake intake
	ad     advert
}

func (r *relay) openMirror(ctx context.Context) (*downstream, error) {
	d := &downstream{side: side{name: "mirror", dog: watch(ctx, r.o.idle())}}
	err := d.during(func() (err error) {
		if d.intake, err = r.dst.receive(d.dog.ctx, r.link(d.dog, r.o.wrapMirror, r.o.Log)); err != nil {
			return err
		}
		d.far = d.intake
		d.ad, err = d.intake.advertise(d.dog.ctx)
		return err
	})
	if err == nil {
		err = fits(d.ad, r.dst)
	}
	if err != nil {
		d.end()
		return nil, err
	}
	return d, nil
}

// fits refuses repositories that a relay cannot serve.
func fits(ad advert, at Source) error {
	if ad.format != "sha1" {
		return hint.Wrap(fmt.Errorf("%w: %q uses %s object ids", ErrUnsuitable, at.String(), printable.Line(ad.format)),
			"Only SHA-1 repositories can be mirrored. Use git push --mirror from a clone of it.")
	}
	if ad.shallow {
		return shallow(at.String())
	}
	return nil
}

// scope lists the refs that are mirrored: branches and tags that are not excluded.
func (r *relay) scope(refs []Ref) map[string]string {
	out := make(map[string]string, len(refs))
	for _, ref := range refs {
		if !strings.HasPrefix(ref.Name, branches) && !strings.HasPrefix(ref.Name, "refs/tags/") {
			continue
		}
		if _, not := excludes(r.o.Exclude, ref.Name); !not {
			out[ref.Name] = ref.OID
		}
	}
	return out
}

const branches = "refs/heads/"

func countBranches(refs map[string]string) (n int) {
	for name := range refs {
		if strings.HasPrefix(name, branches) {
			n++
		}
	}
	return n
}

// mirrorRefs reads what the mirror has now.
func (r *relay) mirrorRefs(ctx context.Context) (map[string]string, error) {
	d, err := r.openMirror(ctx)
	if err != nil {
		return nil, err
	}
	d.finish()
	return r.scope(d.ad.refs), nil
}

// look compares the two sides and fills the report. The session with the source stays
// open: it will send what it just announced, whatever is pushed there meanwhile.
func (r *relay) look(ctx context.Context) (*upstream, error) {
	from, err := r.openSource(ctx)
	if err != nil {
		return nil, err
	}
	r.wanted = r.scope(from.ad.refs)
	if len(r.wanted) == 0 {
		from.end()
		return nil, hint.Wrap(ErrNothing, "Nothing was changed at the mirror. Look whether the source is the right repository, and whether something emptied it.")
	}
	to, err := r.openMirror(ctx)
	if err != nil {
		from.end()
		return nil, err
	}
	to.finish()
	r.have = make(map[string]bool, len(to.ad.refs))
	for _, ref := range to.ad.refs {
		r.have[ref.OID] = true
	}
	r.sort(r.scope(to.ad.refs))
	if err := r.judge(ctx); err != nil {
		from.end()
		return nil, err
	}
	return from, nil
}

// sort says of each ref what is to become of it.
func (r *relay) sort(mirror map[string]string) {
	var gone []string
	for name, oid := range r.wanted {
		ref := RelayRef{Name: name, Old: mirror[name], New: oid}
		switch {
		case ref.Old == oid:
			r.report.Unchanged++
			continue
		case ref.Old == "":
			ref.plan = Created
		case strings.HasPrefix(name, branches):
			ref.plan = Updated
		default:
			ref.plan = Forced
		}
		r.report.Refs = append(r.report.Refs, ref)
	}
	for name := range mirror {
		if r.wanted[name] == "" {
			gone = append(gone, name)
		}
	}
	fate := Kept
	if r.o.Prune && len(gone) > 0 {
		if r.report.Guard = r.guard(gone, mirror); r.report.Guard == "" {
			fate = Deleted
		}
	}
	for _, name := range gone {
		r.report.Refs = append(r.report.Refs, RelayRef{Name: name, Old: mirror[name], plan: fate})
	}
	slices.SortFunc(r.report.Refs, func(a, b RelayRef) int { return strings.Compare(a.Name, b.Name) })
	for i := range r.report.Refs {
		r.report.Refs[i].Status = r.report.Refs[i].plan
	}
	r.report.Equal = len(r.report.Refs) == r.report.Count(Kept) && r.report.Guard == ""
}

// few is how many refs a prune may always delete: among a handful of refs one finished
// branch is a large share.
const few = 4

// guard says why these refs of the mirror must not all be deleted, empty when they may.
func (r *relay) guard(gone []string, mirror map[string]string) string {
	lost := 0
	for _, name := range gone {
		if strings.HasPrefix(name, branches) {
			lost++
		}
	}
	switch total := len(mirror); {
	case countBranches(r.wanted) == 0:
		return "the source has no branches"
	case lost > 0 && lost == countBranches(mirror):
		return fmt.Sprintf("the source has none of the branches of the mirror (%d)", lost)
	case len(gone) > few && len(gone)*100 > total*r.o.maxShare():
		return fmt.Sprintf("%d of the %d refs of the mirror are not at the source, more than %d %%", len(gone), total, r.o.maxShare())
	}
	return ""
}

// Limits of judge. A ref that is not looked at counts as one that loses something.
const (
	maxJudged   = 256
	judges      = 4
	maxCommit   = 1 << 20  // bytes of one commit
	maxAncestry = 64 << 20 // bytes of commits kept while one ref is looked at
)

// judge finds out which refs are rewound, and whether the source knows what they drop.
// Without a repository here only the source can tell: it is asked for what is new in
// each ref since what the mirror has.
func (r *relay) judge(ctx context.Context) error {
	var open []*RelayRef
	for i := range r.report.Refs {
		if ref := &r.report.Refs[i]; ref.Status == Updated || ref.Status == Forced {
			ref.Status, ref.Own = Forced, true
			open = append(open, ref)
		}
	}
	work := make(chan *RelayRef)
	var wait sync.WaitGroup
	var log sync.Mutex
	for range min(judges, len(open)) {
		wait.Go(func() {
			for ref := range work {
				forward, known, err := r.ancestry(ctx, ref)
				if err != nil {
					log.Lock()
					fmt.Fprintf(r.o.Log, "%s: cannot tell whether it is rewound: %v\n", printable.Line(ref.Name), err)
					log.Unlock()
					continue
				}
				ref.Own = !known
				if forward && strings.HasPrefix(ref.Name, branches) {
					ref.Status = Updated
				}
			}
		})
	}
	for _, ref := range open[:min(maxJudged, len(open))] {
		if ctx.Err() != nil {
			break
		}
		work <- ref
	}
	close(work)
	wait.Wait()
	for _, ref := range open {
		ref.plan = ref.Status
	}
	return context.Cause(ctx)
}

// ancestry asks the source whether a ref moves forward from what the mirror has, and
// whether it knows that at all.
func (r *relay) ancestry(ctx context.Context, ref *RelayRef) (forward, known bool, err error) {
	quiet := *r
	quiet.o.Log, quiet.o.wrapSource = io.Discard, nil
	u, err := quiet.openSource(ctx)
	if err != nil {
		return false, false, err
	}
	defer u.end()
	var pack io.Reader
	err = u.during(func() (err error) {
		pack, known, err = u.session.ask(u.dog.ctx, query{
			wants: []string{ref.New}, haves: []string{ref.Old}, filter: "tree:0", whole: true,
		})
		return err
	})
	if err != nil || !known || !strings.HasPrefix(ref.Name, branches) {
		return false, known, err
	}
	forward, err = hasChild(pack, ref.Old)
	if err != nil {
		return false, true, u.fault(err)
	}
	return forward, true, nil
}

// hasChild reads a pack until it finds a commit with a parent. The pack of what is in
// one tip and not in another holds one exactly when the other is its ancestor.
func hasChild(pack io.Reader, parent string) (bool, error) {
	s := packfile.NewScanner(pack)
	_, n, err := s.Header()
	if err != nil {
		return false, fmt.Errorf("read pack: %w", err)
	}
	byOffset, byID := map[int64][]byte{}, map[plumbing.Hash][]byte{}
	kept := 0
	for range n {
		h, err := s.NextObjectHeader()
		if err != nil {
			return false, fmt.Errorf("read pack: %w", err)
		}
		var base []byte
		switch h.Type {
		case plumbing.CommitObject:
		case plumbing.OFSDeltaObject:
			base = byOffset[h.OffsetReference]
		case plumbing.REFDeltaObject:
			base = byID[h.Reference]
		}
		if h.Type != plumbing.CommitObject && base == nil {
			continue // the scanner passes over its content
		}
		if h.Length > maxCommit {
			return false, fmt.Errorf("read pack: %w: a commit of %d bytes", ErrDamaged, h.Length)
		}
		var content bytes.Buffer
		if _, _, err := s.NextObject(&content); err != nil {
			return false, fmt.Errorf("read pack: %w", err)
		}
		commit := content.Bytes()
		if base != nil {
			if commit, err = patched(base, commit); err != nil {
				return false, fmt.Errorf("read pack: %w", err)
			}
		}
		if isChild(commit, parent) {
			return true, nil
		}
		if kept += len(commit); kept > maxAncestry {
			return false, errors.New("too many commits to look at")
		}
		byOffset[h.Offset], byID[plumbing.ComputeHash(plumbing.CommitObject, commit)] = commit, commit
	}
	return false, nil
}

// patched applies a delta between commits. It checks the size that the delta announces
// first: a few bytes can announce terabytes.
func patched(base, delta []byte) ([]byte, error) {
	rest, size, shift := delta, uint64(0), 0
	for range 2 { // the size of the base, then that of the result
		size, shift = 0, 0
		for {
			if len(rest) == 0 || shift > 28 {
				return nil, fmt.Errorf("%w: a delta of no size", ErrDamaged)
			}
			b := rest[0]
			rest = rest[1:]
			size |= uint64(b&0x7f) << shift
			shift += 7
			if b&0x80 == 0 {
				break
			}
		}
	}
	if size > maxCommit {
		return nil, fmt.Errorf("%w: a commit of %d bytes", ErrDamaged, size)
	}
	return packfile.PatchDelta(base, delta)
}

func isChild(commit []byte, parent string) bool {
	head, _, _ := bytes.Cut(commit, []byte("\n\n"))
	return bytes.Contains(head, []byte("\nparent "+parent+"\n"))
}
