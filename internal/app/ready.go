package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/drill"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// What makes a backup of everything, what proves it, and what makes one that is quick to
// restore. An estate that has its own under these names means them.
const (
	backsUp     = "daily-backup"
	verifies    = "verify-backups"
	backsUpFull = "weekly-backup"
)

// recentRuns is how many runs of one runbook are looked at.
const recentRuns = 12

// standing is what an estate is known to be worth at one time.
type standing struct {
	Assets  []estate.Readiness
	Due     []estate.DueDrill
	About   map[string]time.Duration // how long a runbook usually takes, where that is known
	Checked time.Time                // when the vault was read; zero: never
	Unread  string                   // why it cannot be read now
	Advice  []string
}

// stand computes the readiness of every asset from what is known without asking the vault.
// failed is why the vault did not answer, nil when it did or was not asked.
func (w *world) stand(ctx context.Context, facts vaultFacts, failed error) (standing, error) {
	out := standing{Checked: facts.Checked}
	if w.estate == nil {
		return out, errNoEstate
	}
	if failed != nil {
		out.Unread, out.Advice = unread(failed)
	}
	past, err := w.past(ctx)
	if err != nil {
		return out, err
	}
	now := w.env.now()
	for _, a := range w.estate.Assets {
		ev := estate.Evidence{
			Checked: facts.Checked, Unread: out.Unread, Advice: out.Advice, Seen: past.seen,
			Recoveries: w.recoveries(a, past), Missing: w.missing(ctx, a), Open: past.open[a.Name],
			Backup: past.mends(backsUp), Verify: past.mends(verifies), Full: past.mends(backsUpFull),
		}
		if p, err := w.protected(a.Name, ""); err == nil {
			f := facts.Assets[vault.AssetID(p.Asset)]
			ev.Points = f.Points
			for _, t := range f.Restores {
				ev.Restores = append(ev.Restores, t)
			}
		} else if ev.Unread == "" {
			ev.Unread, ev.Advice = unread(err)
		}
		ev.Restores = append(ev.Restores, past.restored[a.Name]...)
		out.Assets = append(out.Assets, estate.Assess(a, ev, now))
	}
	out.About = map[string]time.Duration{}
	for _, name := range past.order {
		if d := past.about(name); d > 0 {
			out.About[name] = d
		}
	}
	out.Due = estate.DrillsDue(w.rehearsed(past), now)
	return out, nil
}

// evidence is what the journal and the library say.
type evidence struct {
	recent   map[journal.Want][]journal.Summary // that succeeded, newest first
	books    map[string]known
	order    []string                        // names of the library, in its order
	open     map[string][]estate.OpenRun     // by asset
	restored map[string][]estate.RestoreTime // live recoveries, by asset
	seen     time.Time
}

// known is a runbook of the library as readiness sees it.
type known struct {
	book    *runbook.Book
	digest  string
	problem string // why it cannot run; empty: it can
}

// past reads journal and library.
func (w *world) past(ctx context.Context) (evidence, error) {
	p := evidence{recent: map[journal.Want][]journal.Summary{}, books: map[string]known{}, open: map[string][]estate.OpenRun{}, restored: map[string][]estate.RestoreTime{}}
	var wanted []journal.Want
	for _, b := range w.shelf.library.List() {
		if !rehearsable(b) && b.Name != backsUp && b.Name != verifies && b.Name != backsUpFull {
			continue
		}
		program, found := w.shelf.compile(b, w.shelf.library.Problems(b))
		k := known{book: b, digest: program.Digest}
		if engine.HasErrors(found) {
			k.problem = "lifeboat lint finds errors in it"
		}
		for _, tool := range b.Meta.Tools {
			if _, err := command.Find(w.programs(ctx), tool); err != nil && k.problem == "" {
				k.problem = "the program " + tool + " is missing here"
			}
		}
		p.books[b.Name] = k
		p.order = append(p.order, b.Name)
		wanted = append(wanted, journal.Want{Mode: run.Live, Book: b.Name}, journal.Want{Mode: run.Drill, Book: b.Name})
	}
	list, err := w.journal.Ended(ctx, wanted, recentRuns)
	if err != nil {
		return p, err
	}
	for _, s := range list {
		key := journal.Want{Mode: s.Started.Mode, Book: s.Started.Book}
		p.recent[key] = append(p.recent[key], s)
		if k := p.books[s.Started.Book]; s.Started.Mode == run.Live && s.Started.Estate == w.estate.File && k.book.Meta.Kind == runbook.Recovery {
			p.restored[s.Started.Asset] = append(p.restored[s.Started.Asset],
				estate.RestoreTime{At: endOf(s), Took: took(s), How: "run " + s.ID.Short()})
		}
	}
	newest, err := w.journal.Runs(ctx, openRuns)
	if err != nil {
		return p, err
	}
	for _, s := range newest {
		if s.Last.After(p.seen) {
			p.seen = s.Last
		}
		if s.Open() && s.Started.Mode != run.Dry && s.Started.Estate == w.estate.File && s.Started.Asset != "" {
			p.open[s.Started.Asset] = append(p.open[s.Started.Asset], estate.OpenRun{ID: s.ID.Short(), Runbook: s.Started.Book})
		}
	}
	return p, nil
}

// rehearsable says of a runbook that it has to be practised.
func rehearsable(b *runbook.Book) bool {
	return b.Meta.Kind == runbook.Recovery || b.Meta.Kind == runbook.Drill
}

func endOf(s journal.Summary) time.Time {
	if s.Ended.IsZero() {
		return s.Last
	}
	return s.Ended
}

// took is how long a recovery took: from the incident, where it is known, until the thing
// was back.
func took(s journal.Summary) time.Duration {
	r := pastRun(s, nil)
	if r.Ended.IsZero() {
		r.Ended = s.Last
	}
	return r.Took()
}

// counts says of a run in a sandbox that it proves something: a drill that was passed, or
// the whole runbook on a sandbox that nobody scored. That drilled nobody, and proves how long
// it takes: who answered it may have been --yes.
func counts(s journal.Summary) bool {
	if s.Score != nil {
		return s.Score.Passed
	}
	return s.Scenario == "" && s.Outcome == run.Complete
}

// mends is a runbook that mends something, with the time that it usually takes.
func (p evidence) mends(name string) estate.Runbook {
	if _, ok := p.books[name]; !ok {
		return estate.Runbook{}
	}
	return estate.Runbook{Name: name, About: p.about(name)}
}

// about is the median time of the last runs of a runbook, live ones before drills.
func (p evidence) about(name string) time.Duration {
	for _, mode := range []run.Mode{run.Live, run.Drill} {
		var all []time.Duration
		for _, s := range p.recent[journal.Want{Mode: mode, Book: name}] {
			all = append(all, endOf(s).Sub(s.First))
		}
		if len(all) > 0 {
			return incident.Median(all)
		}
	}
	return 0
}

// drills are what proves a runbook: drills that were passed, and live runs of it.
func (p evidence) drills(name string) []estate.DrillTime {
	var out []estate.DrillTime
	for _, s := range p.recent[journal.Want{Mode: run.Drill, Book: name}] {
		if counts(s) {
			out = append(out, estate.DrillTime{At: endOf(s), Took: took(s), Same: s.Started.Digest == p.books[name].digest, Script: s.Trainee == drill.By || s.Score == nil, How: "drill " + s.ID.Short()})
		}
	}
	for _, s := range p.recent[journal.Want{Mode: run.Live, Book: name}] {
		if s.Outcome == run.Complete {
			out = append(out, estate.DrillTime{At: endOf(s), Took: took(s), Same: s.Started.Digest == p.books[name].digest, How: "run " + s.ID.Short()})
		}
	}
	return out
}

// recoveries are the runbooks that bring an asset back from its backups, in the order of
// the library. Where none needs a backup, those for its kind do.
func (w *world) recoveries(a estate.Asset, p evidence) []estate.Recovery {
	for _, fits := range []func(m runbook.Meta) bool{
		func(m runbook.Meta) bool { return m.Asset == a.Kind && m.FreshBackup > 0 },
		func(m runbook.Meta) bool { return m.Asset == a.Kind },
		func(m runbook.Meta) bool { return m.Asset == "" && m.FreshBackup > 0 },
	} {
		var out []estate.Recovery
		for _, name := range p.order {
			k := p.books[name]
			if k.book.Meta.Kind != runbook.Recovery || !fits(k.book.Meta) {
				continue
			}
			c := estate.Recovery{
				Runbook: p.mends(name), Every: w.estate.DrillEvery(name, a.Tier), Drills: p.drills(name), Problem: k.problem,
			}
			if filepath.IsAbs(k.book.File) { // those that come with Lifeboat are reviewed with it
				c.Reviewed, c.ReviewEvery = k.book.Meta.Reviewed, k.book.Meta.ReviewEvery
			}
			out = append(out, c)
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// drillEvery is how long a passed drill of a runbook holds on this estate: by the strictest
// tier of the assets that it is for. It is 0 where the estate has none.
func (w *world) drillEvery(b *runbook.Book) time.Duration {
	if w.estate == nil {
		return 0
	}
	if b.Meta.Asset == "" || b.Meta.Kind == runbook.Drill { // about everything, and no monthly thing
		return w.estate.DrillEvery(b.Name, "standard")
	}
	var least time.Duration
	for _, a := range w.estate.OfKind(b.Meta.Asset) {
		if every := w.estate.DrillEvery(b.Name, a.Tier); least == 0 || every < least {
			least = every
		}
	}
	return least
}

// rehearsed lists the runbooks that have to be practised on this estate: those for a kind
// of asset that it has, or for all.
func (w *world) rehearsed(p evidence) []estate.Rehearsal {
	var out []estate.Rehearsal
	for _, name := range p.order {
		k := p.books[name]
		if !rehearsable(k.book) {
			continue
		}
		r := estate.Rehearsal{Runbook: name, Every: w.drillEvery(k.book), About: p.about(name)}
		if r.Every == 0 {
			continue
		}
		for _, d := range p.drills(name) {
			switch {
			case d.Script:
			case d.Same && d.At.After(r.Passed):
				r.Passed = d.At
			case !d.Same && d.At.After(r.Changed):
				r.Changed = d.At
			}
		}
		out = append(out, r)
	}
	return out
}

// missing says what a recovery of an asset would need and this machine does not have: the
// keys of its backups, and the program that loads a dump.
func (w *world) missing(ctx context.Context, a estate.Asset) []string {
	var out []string
	if err := w.canDecrypt(ctx); err != nil {
		out = append(out, err.Error())
	}
	if a.Kind == estate.Stream {
		k, err := w.streamKind(a)
		if err == nil && len(k.Load) > 0 {
			if _, err = command.Find(w.programs(ctx), k.Load[0]); err != nil {
				err = fmt.Errorf("the program %s", k.Load[0])
			}
		}
		if err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// canDecrypt says what of the keys is not here.
func (w *world) canDecrypt(ctx context.Context) error {
	e := w.estate.Encryption
	crypt := w.crypt()
	switch e.Method {
	case "age":
		if e.Keeper != "" {
			if name, ok := estate.FromEnv(e.Keeper); ok && w.env.get(name) == "" {
				return fmt.Errorf("the variable %s, which names the keeper of the keys", name)
			}
			return nil // whether it answers shows when a backup is proven
		}
		keys, err := crypt.Identities(ctx)
		if err == nil && len(keys) == 0 {
			err = errors.New("a key that opens the backups, as encryption.identity or in " + identityVar)
		}
		return err
	case "gpg":
		s, err := crypt.Passphrase(ctx)
		if err == nil && s.Reveal() == "" {
			err = errors.New("the passphrase of the backups, as encryption.passphrase or in " + passphraseVar)
		}
		return err
	}
	return nil
}
