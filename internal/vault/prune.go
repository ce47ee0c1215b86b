package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

var (
	// ErrFrozen is returned by Prune when the vault is in a state in which nothing must be
	// removed.
	ErrFrozen = errors.New("nothing is removed")
	// ErrPlanChanged is returned by Prune when the plan no longer holds.
	ErrPlanChanged = errors.New("the plan no longer holds")
)

// PruneOptions of [Vault.PlanPrune] and [Vault.Prune], which must get the same.
type PruneOptions struct {
	Keep     Keep
	RPO      time.Duration // a newest point later than twice of it freezes; 0: as the newest manifest says, or 31 days
	MaxShare int           // percent of the points that one run may remove; 0 is 50
	Grace    time.Duration // how long a backup may take: until then its data are no orphans, and what it may build on stays; 0 is 24 h
	Now      func() time.Time
	Log      io.Writer
	Progress func(done, total int64, unit string)
}

const (
	graceDefault = 24 * time.Hour
	shareDefault = 50
	rpoUnknown   = 31 * 24 * time.Hour
)

func (o *PruneOptions) complete(v *Vault) error {
	if err := o.Keep.validate(); err != nil {
		return err
	}
	if o.RPO < 0 || o.Grace < 0 || o.MaxShare < 0 || o.MaxShare > 100 {
		return errors.New("a limit that is no limit")
	}
	if o.Now == nil {
		o.Now = v.o.Now
	}
	if o.MaxShare == 0 {
		o.MaxShare = shareDefault
	}
	if o.Grace == 0 {
		o.Grace = graceDefault
	}
	o.Log, o.Progress = orDiscard(o.Log), orSilent(o.Progress)
	return nil
}

// PrunePlan says what a prune would do, and why the rest stays.
type PrunePlan struct {
	Asset   string
	Made    time.Time
	Keep    []Kept   // newest first
	Remove  []string // ids of points, oldest first
	Objects []string // keys that only those points need
	Orphans []string // keys of what no point ever named, or names any more
	Bytes   int64    // stored under Objects and Orphans
	Frozen  string   // why nothing is removed; "" when something may be
}

// Kept is a point that stays.
type Kept struct {
	Point   string
	Reasons []string // "newest", "daily", "within 48h", …
}

// PlanPrune decides by the calendar rules of o.Keep what may go, and removes nothing.
//
// These points stay in any case: the newest; the newest proven one, and all after it; those
// dated in the future; those begun within Grace and the newest before them, because a
// backup that is running may build on them; those whose data are locked; and the first and
// the rolled-up point of the newest chain, which the next roll-up builds on. A point counts for the
// periods when a receipt of level applied or better stands for it, signed by a trusted
// installation where the vault knows such, and when it holds something, unless none of the
// asset does. Data stay as long as any point that stays names
// them, so that the manifest of an increment's parent may go before the parent's data.
//
// Everything stays (Frozen) when no rule is given, no point is proven, the last
// verification failed, the newest point is later than twice the RPO (also what a clock
// that is wrong by years would see), or a manifest cannot be read, of which nobody knows
// what it names.
func (v *Vault) PlanPrune(ctx context.Context, asset string, o PruneOptions) (PrunePlan, error) {
	if err := o.complete(v); err != nil {
		return PrunePlan{}, fmt.Errorf("plan to prune %q: %w", asset, err)
	}
	plan, _, err := v.plan(ctx, asset, o)
	if err != nil {
		return PrunePlan{}, fmt.Errorf("plan to prune %q: %w", asset, err)
	}
	return plan, nil
}

func (v *Vault) plan(ctx context.Context, asset string, o PruneOptions) (PrunePlan, *survey, error) {
	s, err := v.survey(ctx, asset, o.Grace, o.Now().UTC())
	if err != nil {
		return PrunePlan{}, nil, err
	}
	plan := PrunePlan{Asset: asset, Made: s.now, Frozen: s.frozen(o)}
	reasons := s.protect(o)
	var out []string
	for _, id := range s.ids {
		if len(reasons[id]) == 0 {
			out = append(out, id)
		}
	}
	limit := max(1, len(s.ids)*o.MaxShare/100)
	for i, id := range out {
		switch {
		case plan.Frozen != "":
			reasons[id] = []string{"frozen"}
		case i >= limit:
			reasons[id] = []string{fmt.Sprintf("one run removes at most %d %% of the points", o.MaxShare)}
		default:
			plan.Remove = append(plan.Remove, id)
		}
	}
	for _, id := range slices.Backward(s.ids) {
		if len(reasons[id]) > 0 {
			plan.Keep = append(plan.Keep, Kept{id, reasons[id]})
		}
	}
	if plan.Frozen == "" {
		s.collect(&plan)
	}
	return plan, s, nil
}

// frozen says why nothing may be removed.
func (s *survey) frozen(o PruneOptions) string {
	if !o.Keep.any() {
		return "no retention is configured"
	}
	if len(s.bad) > 0 {
		id := slices.Min(slices.Collect(maps.Keys(s.bad)))
		return fmt.Sprintf("the manifest of point %s cannot be used, and nobody knows which data it needs: %v", id, s.bad[id])
	}
	past := s.past()
	if len(past) == 0 {
		return "no point is listed"
	}
	if s.newestProven() == "" {
		return "no point is proven at level applied or better"
	}
	newest := s.manifests[past[len(past)-1]]
	rpo := o.RPO
	if rpo == 0 {
		rpo = time.Duration(newest.RPO) * time.Second
	}
	if rpo == 0 {
		rpo = rpoUnknown
	}
	if age := s.now.Sub(newest.Cut); age > 2*rpo {
		return fmt.Sprintf("the newest point is %s old, and one is wanted every %s; or the clock is wrong", printable.Span(age), printable.Span(rpo))
	}
	if s.lastVerdict != nil && !s.lastVerdict.pass && s.failed(s.lastVerdictOf) {
		return fmt.Sprintf("the last verification failed, that of point %s at %s", s.lastVerdictOf, s.lastVerdict.stamp)
	}
	for _, id := range related(newest) {
		if s.failed(id) {
			return fmt.Sprintf("the verification of point %s failed, and the newest point needs its data", id)
		}
	}
	return ""
}

// protect gives the reasons for which points stay.
func (s *survey) protect(o PruneOptions) map[string][]string {
	past := s.past()
	reasons := o.Keep.choose(past, s.counts)
	keep := func(id, why string) {
		if _, ok := s.listed[id]; ok {
			reasons[id] = append(reasons[id], why)
		}
	}
	for _, id := range s.ids[len(past):] {
		keep(id, "dated in the future")
	}
	for id := range s.bad {
		keep(id, "cannot be read")
	}
	proven := s.newestProven()
	keep(proven, "newest proven")
	if len(past) > 0 {
		newest := past[len(past)-1]
		keep(newest, "newest")
		if chain := s.manifests[newest].Chain; len(chain) > 0 {
			for _, o := range chain {
				if o.attempt() != chain[0].attempt() {
					keep(o.attempt(), "first of the newest chain's increments")
					break
				}
			}
			keep(chain[0].attempt(), "base of the newest chain")
		}
	}
	for i, id := range past {
		switch {
		case id <= proven:
		case s.isProven(id):
			keep(id, "holds nothing, and is newer than what holds something")
		default:
			keep(id, "not proven yet")
		}
		// A backup that began within Grace took for its parent what was newest then.
		if i == len(past)-1 || s.young(past[i+1]) {
			keep(id, "a backup may be building on it")
		}
		if end := lastLock(s.manifests[id]); end.After(s.now) {
			keep(id, "locked until "+end.Format(time.RFC3339))
		}
	}
	return reasons
}

// lastLock is when the last of the locks on a point's objects ends.
func lastLock(m Manifest) time.Time {
	var end time.Time
	for _, o := range slices.Concat(m.Chain, m.Aux) {
		if o.RetainUntil != nil && o.RetainUntil.After(end) {
			end = *o.RetainUntil
		}
	}
	return end
}

// Prune does what a plan says. It plans again first and refuses with ErrPlanChanged when
// anything that the plan removes would stay now, and with ErrFrozen when everything would;
// what has become removable since waits for the next run. A plan that removes nothing, as
// one that is frozen, is done at once.
//
// Each point goes in this order: its tombstone is written, its manifest is removed, its
// restore.sh; only when all of them are gone, and the manifests that are there were read
// again, the data that none of them names. A crash or an error anywhere leaves whole
// points, and garbage that the next prune removes. What the bucket does not let go is
// listed under Retained and is no error. Two prunes of one asset at the same time remove
// what one of them would; the caller holds a lock to spare the work.
func (v *Vault) Prune(ctx context.Context, plan PrunePlan, o PruneOptions) (Pruned, error) {
	var p Pruned
	err := o.complete(v)
	if err == nil {
		err = v.prune(ctx, plan, o, &p)
	}
	if err != nil {
		return p, fmt.Errorf("prune %q: %w", plan.Asset, err)
	}
	return p, nil
}

func (v *Vault) prune(ctx context.Context, plan PrunePlan, o PruneOptions, p *Pruned) error {
	if len(plan.Remove)+len(plan.Objects)+len(plan.Orphans) == 0 {
		return nil
	}
	again, s, err := v.plan(ctx, plan.Asset, o)
	if err != nil {
		return err
	}
	if again.Frozen != "" {
		return hint.Wrap(fmt.Errorf("%w: %s", ErrFrozen, again.Frozen), "make and verify a backup first; lifeboat backup list and verify show what is wrong")
	}
	for _, pair := range [][2][]string{{plan.Remove, again.Remove}, {plan.Objects, again.Objects}, {plan.Orphans, again.Orphans}} {
		if gone := without(pair[0], pair[1]); len(gone) > 0 {
			return hint.Wrap(fmt.Errorf("%w: %q would be kept now", ErrPlanChanged, gone[0]), "plan again")
		}
	}
	return (&pruning{v: v, s: s, plan: plan, o: o, p: p}).run(ctx)
}

// without gives what is in a and not in b.
func without(a, b []string) []string {
	in := make(map[string]bool, len(b))
	for _, x := range b {
		in[x] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return in[x] })
}
