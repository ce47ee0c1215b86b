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

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"lifeboat/internal/printable"
)

// maxPushes bounds the search for the refs that a mirror refuses.
const maxPushes = 48

// deliver pushes until each ref is taken or refused for itself. All are tried together
// first. Where a mirror takes or leaves all of a push (atomic, or a hook that judges the
// push as a whole, as for protected branches), the set is halved until what it refuses
// is found.
func (r *relay) deliver(ctx context.Context, todo []*RelayRef, from *upstream) error {
	type batch struct {
		set    []*RelayRef
		atomic bool
	}
	var queue []batch
	first, rest := inTheWay(todo)
	for _, set := range [][]*RelayRef{first, rest} {
		if len(set) > 0 {
			queue = append(queue, batch{set, true})
		}
	}
	for len(queue) > 0 && r.report.Pushes < maxPushes {
		b := queue[0]
		queue = queue[1:]
		refused, atomic, err := r.push(ctx, b.set, b.atomic, from)
		if err != nil {
			return err
		}
		switch {
		case len(refused) == 0:
		case atomic && len(b.set) > 1:
			queue = append([]batch{{refused, false}}, queue...)
		case len(refused) == len(b.set) && len(b.set) > 1:
			half := len(refused) / 2
			queue = append([]batch{{refused[:half], false}, {refused[half:], false}}, queue...)
		}
	}
	return nil
}

// inTheWay picks the deletions that must come before a creation: "a/b" must go before
// there can be an "a", and the other way round.
func inTheWay(todo []*RelayRef) (first, rest []*RelayRef) {
	made := map[string]bool{} // names of new refs and of the directories they are in
	named := map[string]bool{}
	for _, ref := range todo {
		if ref.plan == Created {
			named[ref.Name] = true
			for dir := range parents(ref.Name) {
				made[dir] = true
			}
		}
	}
	blocks := func(ref *RelayRef) bool {
		if made[ref.Name] {
			return true
		}
		for dir := range parents(ref.Name) {
			if named[dir] {
				return true
			}
		}
		return false
	}
	for _, ref := range todo {
		if ref.plan == Deleted && blocks(ref) {
			first = append(first, ref)
		} else {
			rest = append(rest, ref)
		}
	}
	// Where a push is not atomic it is done in this order.
	slices.SortStableFunc(rest, func(a, b *RelayRef) int {
		switch da, db := a.plan == Deleted, b.plan == Deleted; {
		case da == db:
			return 0
		case da:
			return -1
		}
		return 1
	})
	return first, rest
}

func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if !yield(name[:i]) {
				return
			}
		}
	}
}

// push is one push of some refs. refused are those of them that did not move; they are
// marked. The error means that no answer came: then r.lost says whether the mirror may
// have moved refs all the same.
func (r *relay) push(ctx context.Context, set []*RelayRef, atomic bool, from *upstream) (refused []*RelayRef, wasAtomic bool, err error) {
	want := r.missing(set)
	if len(want) > 0 && r.spent {
		if from, err = r.openSource(ctx); err != nil {
			return nil, false, err
		}
		defer from.end()
		set = r.stillThere(set, from.ad)
		want = r.missing(set)
	}
	to, err := r.openMirror(ctx)
	if err != nil {
		return nil, false, err
	}
	defer to.end()
	if !to.ad.caps["delete-refs"] {
		set = withoutDeletions(set)
	}
	if len(set) == 0 {
		return nil, false, nil
	}
	r.report.Pushes++
	atomic = atomic && to.ad.caps["atomic"]
	load := &cargo{head: commands(set, to.ad, atomic), dog: to.dog, progress: r.o.Progress}
	if slices.ContainsFunc(set, func(ref *RelayRef) bool { return ref.New != "" }) {
		load.check, load.pack = newPackCheck("sha1"), bytes.NewReader(emptyPack("sha1"))
	}
	if len(want) > 0 {
		r.spent = true
		err := from.during(func() (err error) {
			load.pack, _, err = from.session.ask(from.dog.ctx, query{wants: want, haves: r.haves(), whole: to.ad.caps["no-thin"]})
			return err
		})
		if err != nil {
			return nil, false, err
		}
	}
	answer, err := r.send(to, load, set)
	if len(want) > 0 {
		from.end() // so that nothing of it is read any more
	}
	whole, broken := load.state()
	left := to.finish
	if broken != nil {
		left = to.end
	}
	end := left()
	switch {
	case broken != nil:
		return nil, false, from.fault(fmt.Errorf("copy pack after %d bytes, nothing was changed at the mirror: %w", load.check.n, broken))
	case err != nil && whole && !errors.Is(err, errRefused) && !errors.Is(err, ErrDenied):
		r.lost = true
		return nil, false, to.fault(errors.Join(fmt.Errorf("its answer was lost: %w", err), end))
	case err != nil:
		return nil, false, to.fault(errors.Join(err, end))
	}
	if load.check != nil {
		r.report.Bytes += load.check.n
		r.report.Objects += load.objects
	}
	return r.mark(set, answer, to.ad.caps["report-status"]), atomic, nil
}

// missing are the objects that the mirror lacks for these refs.
func (r *relay) missing(set []*RelayRef) (want []string) {
	asked := map[string]bool{}
	for _, ref := range set {
		if ref.New != "" && !r.have[ref.New] && !asked[ref.New] {
			asked[ref.New] = true
			want = append(want, ref.New)
		}
	}
	return want
}

func (r *relay) haves() []string {
	out := make([]string, 0, len(r.have))
	for oid := range r.have {
		out = append(out, oid)
	}
	slices.Sort(out)
	return out
}

// stillThere leaves out what the source no longer announces: it would not send it.
func (r *relay) stillThere(set []*RelayRef, now advert) (out []*RelayRef) {
	refs := r.scope(now.refs)
	for _, ref := range set {
		if ref.New != "" && refs[ref.Name] != ref.New {
			ref.Status, ref.Reason = Rejected, strings.TrimSuffix("it moved at the source meanwhile: "+ref.Reason, ": ")
			continue
		}
		out = append(out, ref)
	}
	return out
}

func withoutDeletions(set []*RelayRef) (rest []*RelayRef) {
	for _, ref := range set {
		if ref.New != "" {
			rest = append(rest, ref)
			continue
		}
		ref.Status, ref.Reason = Rejected, "the mirror does not delete refs"
	}
	return rest
}

var noObject = strings.Repeat("0", 40)

// commands is the first half of a push: what each ref must be now, and shall be.
func commands(set []*RelayRef, ad advert, atomic bool) []byte {
	caps := "agent=" + agent
	for _, c := range []string{"report-status", "side-band-64k", "quiet"} {
		if ad.caps[c] {
			caps += " " + c
		}
	}
	if atomic {
		caps += " atomic"
	}
	if ad.caps["object-format"] {
		caps += " object-format=sha1"
	}
	orZero := func(oid string) string {
		if oid == "" {
			return noObject
		}
		return oid
	}
	var buf bytes.Buffer
	for i, ref := range set {
		line := orZero(ref.Old) + " " + orZero(ref.New) + " " + ref.Name
		if i == 0 {
			line += "\x00 " + caps
		}
		fmt.Fprintf(&buf, "%04x%s", len(line)+4, line)
	}
	buf.WriteString("0000")
	return buf.Bytes()
}

// verdicts is what a mirror said about a push: "" for a ref that it took, else why not.
type verdicts struct {
	unpack string // empty when it went well
	refs   map[string]string
}

// send sends the cargo and reads the answer.
func (r *relay) send(to *downstream, load *cargo, set []*RelayRef) (verdicts, error) {
	to.dog.awake()
	defer to.dog.asleep()
	next, err := to.intake.push(to.dog.ctx, load)
	if err != nil {
		return verdicts{}, err
	}
	if to.ad.caps["side-band-64k"] {
		band := &demux{next: next, log: io.MultiWriter(r.o.Log, r.said)}
		next = (&stream{scan: pktline.NewScanner(band)}).packet
		// Hooks run after the report, until the end of the band. The verdict stands
		// however they end.
		defer io.Copy(io.Discard, band)
	}
	if !to.ad.caps["report-status"] {
		_, _, err := next()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // nothing is all it says
		}
		return verdicts{}, err
	}
	return readVerdicts(next, len(set))
}

func readVerdicts(next packets, refs int) (verdicts, error) {
	v := verdicts{refs: make(map[string]string, refs)}
	for n := 0; ; n++ {
		data, flush, err := next()
		if err != nil {
			return v, fmt.Errorf("read its report: %w", err)
		}
		if flush && n > 0 {
			return v, nil
		}
		line := strings.TrimSuffix(string(data), "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case n == 0 && word == "unpack":
			if rest != "ok" {
				v.unpack = harmless(rest)
			}
		case n > 0 && n <= refs && word == "ok":
			v.refs[rest] = ""
		case n > 0 && n <= refs && word == "ng":
			name, why, _ := strings.Cut(rest, " ")
			if why = harmless(why); why == "" {
				why = "it does not say why"
			}
			v.refs[name] = why
		default:
			return v, fmt.Errorf("read its report: %w: %q", ErrDamaged, line[:min(len(line), 200)])
		}
	}
}

// harmless makes one short harmless line of what a server said.
func harmless(s string) string {
	s = strings.TrimSpace(printable.Line(s))
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// mark writes the answer of a mirror to the refs, and gives those that it refused.
func (r *relay) mark(set []*RelayRef, v verdicts, told bool) (refused []*RelayRef) {
	for _, ref := range set {
		why, said := v.refs[ref.Name]
		switch {
		case !told && v.unpack == "":
			continue // reading the mirror again will tell
		case !said:
			why = "the mirror does not say what became of it"
		}
		if v.unpack != "" {
			why = strings.TrimPrefix(why+", the mirror could not unpack what was sent: "+v.unpack, ", ")
		}
		if ref.taken = why == ""; ref.taken {
			ref.Status, ref.Reason = ref.plan, ""
			if ref.New != "" {
				r.have[ref.New] = true
			}
			continue
		}
		ref.Status, ref.Reason = Rejected, why
		refused = append(refused, ref)
	}
	return refused
}

// A cargo is what a push sends: commands, then a pack. It never gives the last bytes of
// a pack away before the pack is known to be whole, and a mirror moves no ref without
// them.
type cargo struct {
	head     []byte
	pack     io.Reader  // nil: only deletions, which have none
	check    *packCheck // nil without a pack
	dog      *watchdog  // of the mirror, which is not to blame while the source is waited for
	progress func(done, total int64, unit string)

	mu      sync.Mutex // a transport may close, and its owner ask, while another goroutine reads
	held    bytes.Buffer
	in      []byte
	done    bool // the pack was read to its end, and is whole
	whole   bool // all was given away
	err     error
	objects int64
	told    int64
}

func (c *cargo) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		c.whole = len(c.head) == 0 && c.pack == nil
		return n, nil
	}
	if c.pack == nil {
		return 0, io.EOF
	}
	for {
		ready := c.held.Len()
		if !c.done {
			ready -= c.check.sum.Size()
		}
		switch {
		case c.err != nil:
			return 0, c.err
		case ready > 0:
			n := copy(p, c.held.Next(min(ready, len(p))))
			c.whole = c.done && c.held.Len() == 0
			return n, nil
		case c.done:
			return 0, io.EOF
		}
		c.fill()
	}
}

// fill reads on, and judges the pack at its end.
func (c *cargo) fill() {
	if c.in == nil {
		c.in = make([]byte, 64<<10)
	}
	c.dog.asleep()
	n, err := c.pack.Read(c.in)
	c.dog.awake()
	c.check.Write(c.in[:n])
	c.held.Write(c.in[:n])
	if c.check.n-c.told >= 1<<20 || err == io.EOF {
		c.told = c.check.n
		c.progress(c.check.n, 0, "B")
	}
	switch {
	case err == io.EOF:
		c.objects, _, c.err = c.check.finish()
		c.done = c.err == nil
	case err != nil:
		c.err = err
	}
}

// state says whether the whole cargo was given away, and why not where the source is to
// blame. It waits for a read in progress.
func (c *cargo) state() (whole bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole, c.err
}

// tail keeps the end of what a mirror says to people.
type tail struct{ data []byte }

const maxSaid = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - maxSaid; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	return strings.TrimSpace(printable.Text(strings.ReplaceAll(string(t.data), "\r", "\n")))
}

// orNone shows an object id.
func orNone(oid string) string {
	if oid == "" {
		return "nothing"
	}
	return oid[:min(7, len(oid))]
}
