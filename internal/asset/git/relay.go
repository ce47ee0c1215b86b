package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

// What a relay ends with, besides the errors of a capture.
var (
	// ErrSame is a mirror that is its own source.
	ErrSame = errors.New("the mirror is the repository itself")
	// ErrNothing is a source without branches and tags. It may have been emptied by
	// accident, and an accident is not mirrored.
	ErrNothing = errors.New("the source has no branches and no tags")
	// ErrMassDeletion is a prune that would have taken too much and took nothing.
	ErrMassDeletion = errors.New("too many refs would be deleted from the mirror")
	// ErrInDoubt is a push whose answer was lost, and a mirror that did not settle it.
	ErrInDoubt = errors.New("it is not known whether the mirror took the push")
)

// RelayStatus is what became of a ref of a mirror, or would.
type RelayStatus string

// What becomes of refs. A kept ref is at the mirror only, and is not deleted.
const (
	Created  RelayStatus = "created"
	Updated  RelayStatus = "updated"  // moved forward
	Forced   RelayStatus = "forced"   // rewound or replaced; every move of a tag
	Deleted  RelayStatus = "deleted"  // with Prune only
	Kept     RelayStatus = "kept"     // at the mirror only
	Rejected RelayStatus = "rejected" // not as it should be; Reason says why
	Doubtful RelayStatus = "in doubt" // pushed, and not known to have arrived
)

// RelayRef is one ref that is or was not the same at source and mirror.
type RelayRef struct {
	Name     string
	Old, New string // object ids at mirror and source, empty where there is none
	Status   RelayStatus
	Reason   string // of Rejected and Doubtful: one harmless line
	// Own says of a Forced ref that the source does not know what is replaced, or was not
	// asked: commits would be lost that may be nowhere else.
	Own bool

	plan  RelayStatus // what was to become of it
	taken bool        // the mirror said so
	seen  bool        // the mirror was seen to have New
}

// Loses says that something goes from the mirror that the source does not have. Every
// deleted ref counts: its name at least is nowhere else.
func (r RelayRef) Loses() bool { return r.Status == Deleted || r.Status == Forced && r.Own }

// RelayReport says what a relay did, or would do.
type RelayReport struct {
	Source, Mirror string     // without credentials
	Refs           []RelayRef // all that differed when the relay began, sorted by name
	Unchanged      int        // refs that were equal already
	Guard          string     // why Prune deleted nothing, empty when it was not held back
	Bytes, Objects int64      // of the packs that were sent
	Pushes         int        // more than one when the mirror refused some refs
	Said           string     // the end of what the mirror had to say, made harmless
	// Equal says that the mirror was read again at the end and has every ref of the
	// source, and with Prune no others. Differences tells what is not so, a line each.
	Equal       bool
	Differences []string
	InDoubt     bool // an answer was lost, and reading the mirror again did not settle it
}

// Count gives the number of refs with a status.
func (r RelayReport) Count(s RelayStatus) int {
	n := 0
	for _, ref := range r.Refs {
		if ref.Status == s {
			n++
		}
	}
	return n
}

// RelayOptions says how to mirror. The zero value is ready to use.
type RelayOptions struct {
	// Exclude lists refs to leave alone on both sides; see [Kind.Exclude].
	Exclude []string
	// Prune deletes refs of the mirror that the source does not have. None is deleted when
	// five or more and over MaxShare percent (0: 25) of the mirror's refs would go, or its
	// last branch.
	Prune    bool
	MaxShare int
	// Auth gives the credentials for an https address that has none; nil, or an empty
	// token: none. A forge that does not care about the name gets "git".
	Auth func(address string) (user string, token secret.String)
	// HTTP is used for https; nil means http.DefaultClient.
	HTTP *http.Client
	// KnownHosts and Identity are files for ssh, instead of the person's own. The key of a
	// host must be known in any case.
	KnownHosts, Identity string
	// Idle is how long either side may stay silent; 0 means 2 minutes.
	Idle time.Duration
	// Settle is how long to look again after an answer was lost; 0 means 10 seconds.
	Settle time.Duration
	// Approve sees what will be done before anything is sent; nil allows it. Its error
	// ends the relay, and the mirror is as it was.
	Approve  func(RelayReport) error
	Progress func(done, total int64, unit string)
	Log      io.Writer

	wrapSource, wrapMirror func(io.Reader) io.Reader // tests cut the streams of the servers here
}

func (o RelayOptions) idle() time.Duration   { return cmp.Or(max(o.Idle, 0), 2*time.Minute) }
func (o RelayOptions) settle() time.Duration { return cmp.Or(max(o.Settle, 0), 10*time.Second) }
func (o RelayOptions) maxShare() int         { return cmp.Or(max(o.MaxShare, 0), 25) }

// Relay makes the branches and tags of a mirror those of the source. The pack streams
// through from one server to the other; nothing is stored here.
//
// Each ref is moved only from what the mirror had when the relay began: one that somebody
// else moves meanwhile stays as they left it and counts as rejected. No ref moves unless
// the pack arrived whole. All refs move together where the mirror can do that; when it
// refuses because of some, the others are pushed without them.
//
// The report is complete as far as the relay came, with every error. The error is nil
// only when Equal is true and Guard empty; it wraps [ErrUnequal], [ErrMassDeletion],
// [ErrInDoubt], [ErrNothing], [ErrSame], [ErrUnsuitable], [ErrDenied] or [ErrStalled]
// where that is the reason. Running it again is always safe.
func Relay(ctx context.Context, source, mirror string, o RelayOptions) (RelayReport, error) {
	r, err := newRelay(source, mirror, o)
	if err != nil {
		return RelayReport{}, err
	}
	if err := r.run(ctx); err != nil {
		r.unclaim()
		return r.report, fmt.Errorf("mirror %q to %q: %w", r.report.Source, r.report.Mirror, err)
	}
	return r.report, nil
}

// RelayPlan says what Relay would do now. It asks the mirror as a push does, so that
// credentials which may only read are found out, and changes nothing. Equal and Guard
// are set as far as they can be known.
func RelayPlan(ctx context.Context, source, mirror string, o RelayOptions) (RelayReport, error) {
	r, err := newRelay(source, mirror, o)
	if err != nil {
		return RelayReport{}, err
	}
	from, err := r.look(ctx)
	if err != nil {
		return r.report, fmt.Errorf("compare %q with %q: %w", r.report.Source, r.report.Mirror, err)
	}
	from.end()
	return r.report, nil
}

// relay is one Relay in progress.
type relay struct {
	o        RelayOptions
	src, dst Source
	report   RelayReport
	wanted   map[string]string // oid by name: the refs of the source when the relay began
	have     map[string]bool   // objects that the mirror has with all their history
	lost     bool              // the answer to a push was lost
	spent    bool              // the session of the look has sent its pack
	said     *tail
}

func newRelay(source, mirror string, o RelayOptions) (*relay, error) {
	src, err := ParseSource(source)
	if err != nil {
		return nil, err
	}
	dst, err := ParseSource(mirror)
	if err != nil {
		return nil, err
	}
	if src.same(dst) {
		return nil, hint.Wrap(fmt.Errorf("%w: %q", ErrSame, dst.String()), "Give the address of another repository.")
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64, string) {}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return &relay{
		o: o, src: src, dst: dst, said: &tail{},
		report: RelayReport{Source: src.String(), Mirror: dst.String()},
	}, nil
}

// SameRepository says whether two addresses name one repository as far as can be seen
// from here. It errs towards yes: one host and path are the same by https and by ssh.
func SameRepository(a, b string) bool {
	x, err := ParseSource(a)
	if err != nil {
		return false
	}
	y, err := ParseSource(b)
	return err == nil && x.same(y)
}

// run looks, pushes, and looks again.
func (r *relay) run(ctx context.Context) error {
	from, err := r.look(ctx)
	if err != nil {
		return err
	}
	defer from.end()
	if r.o.Approve != nil {
		if err := r.o.Approve(r.report); err != nil {
			return err
		}
	}
	var todo []*RelayRef
	for i := range r.report.Refs {
		if ref := &r.report.Refs[i]; ref.Status != Kept {
			todo = append(todo, ref)
		}
	}
	if len(todo) > 0 {
		err = r.deliver(ctx, todo, from)
		r.report.Said, r.report.Equal = r.said.text(), false
		if again := r.compare(ctx); again != nil {
			return errors.Join(err, r.doubt(), again)
		}
	}
	if err != nil && !r.report.Equal {
		return errors.Join(err, r.doubt())
	}
	return r.verdict()
}

// unclaim makes the report say nothing that is not known: what was neither seen at the
// mirror nor acknowledged by it has not happened, or is in doubt.
func (r *relay) unclaim() {
	for i := range r.report.Refs {
		switch ref := &r.report.Refs[i]; {
		case ref.taken || ref.seen || ref.Status == Kept || ref.Status == Rejected || ref.Status == Doubtful:
		case r.lost:
			ref.Status, ref.Reason = Doubtful, "the answer of the mirror was lost"
		default:
			ref.Status, ref.Reason = Rejected, "it was not pushed"
		}
	}
}

// doubt is the error for a push whose end is not known.
func (r *relay) doubt() error {
	if !r.lost || r.report.Equal {
		return nil
	}
	r.report.InDoubt = true
	return hint.Wrap(ErrInDoubt, "Look at the mirror, or run the step again: it moves nothing that moved meanwhile.")
}

// verdict is the error of a relay that came to its end.
func (r *relay) verdict() error {
	var err error
	if r.report.Guard != "" {
		err = hint.Wrap(fmt.Errorf("%w: %s", ErrMassDeletion, r.report.Guard),
			"Look whether the source is the right one and whole. If they are meant to go, raise max_share or delete them at the mirror.")
	}
	if r.report.Equal {
		return err
	}
	shown := r.report.Differences[:min(3, len(r.report.Differences))]
	text := strings.Join(shown, "; ")
	if more := len(r.report.Differences) - len(shown); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return errors.Join(hint.Wrap(fmt.Errorf("%w: %s", ErrUnequal, text),
		"Look at the reasons of the mirror: protected branches must allow force pushes of the mirror's user."), r.doubt(), err)
}

// compare reads the mirror again and settles what became of each ref. After a lost
// answer it gives the mirror some time to end what it began.
func (r *relay) compare(ctx context.Context) error {
	for began := time.Now(); ; {
		found, err := r.mirrorRefs(ctx)
		if err == nil {
			r.settle(found)
		}
		over := time.Since(began) >= r.o.settle()
		if err == nil && r.report.Equal || !r.lost || over || ctx.Err() != nil {
			return err
		}
		wait := time.NewTimer(r.o.settle() / 5)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
	}
}

// settle believes what the mirror has now, and not what it said.
func (r *relay) settle(found map[string]string) {
	r.report.Differences = nil
	differs := func(format string, args ...any) {
		r.report.Differences = append(r.report.Differences, fmt.Sprintf(format, args...))
	}
	for i := range r.report.Refs {
		ref := &r.report.Refs[i]
		now, name := found[ref.Name], printable.Line(ref.Name)
		delete(found, ref.Name)
		switch {
		case ref.Status == Kept:
			if r.o.Prune && now != "" {
				differs("%s: only at the mirror", name)
			}
			continue
		case now == ref.New:
			ref.Status, ref.Reason, ref.seen = ref.plan, "", true
			continue
		case now != ref.Old:
			ref.Status, ref.Reason = Rejected, strings.TrimSuffix("somebody else moved it at the mirror, to "+orNone(now)+": "+ref.Reason, ": ")
		case r.lost && ref.Status != Rejected:
			ref.Status, ref.Reason = Doubtful, "the answer of the mirror was lost, and it has not moved yet"
		case ref.Status != Rejected && ref.taken:
			ref.Status, ref.Reason = Rejected, "the mirror said that it took it, and has not"
		case ref.Status != Rejected:
			ref.Status, ref.Reason = Rejected, "it was not pushed"
		}
		differs("%s: %s at the mirror, %s at the source: %s", name, orNone(now), orNone(ref.New), ref.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		switch want := r.wanted[name]; {
		case want == "" && r.o.Prune:
			differs("%s: somebody else made it at the mirror", printable.Line(name))
		case want != "" && want != found[name]:
			differs("%s: somebody else moved it at the mirror, to %s", printable.Line(name), orNone(found[name]))
		}
	}
	for name := range r.wanted {
		_, listed := slices.BinarySearchFunc(r.report.Refs, name, func(a RelayRef, b string) int { return strings.Compare(a.Name, b) })
		if !listed && found[name] == "" {
			differs("%s: somebody else deleted it at the mirror", printable.Line(name))
		}
	}
	slices.Sort(r.report.Differences)
	r.report.Equal = len(r.report.Differences) == 0
}
