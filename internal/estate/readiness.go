package estate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/printable"
)

// Verdict is one word about an asset: could we recover now, and how do we know.
type Verdict string

const (
	Ready        Verdict = "READY"
	InRun        Verdict = "IN RUN"        // a run about it is open
	DrillDue     Verdict = "DRILL DUE"     // its last drill no longer holds, by age
	Stale        Verdict = "STALE"         // what proved it is out of date
	NeverDrilled Verdict = "NEVER DRILLED" // nobody has practised to bring it back
	Late         Verdict = "LATE"          // its newest verified backup is older than its RPO, or there is none at all
	TooSlow      Verdict = "TOO SLOW"      // to restore it takes longer than its RTO
	Unknown      Verdict = "UNKNOWN"       // there is no way to tell
)

// Grade is how bad a verdict is. It is finer than the word: a backup that is far too old and
// a runbook that was changed are both stale, and not alike. More evidence never raises it,
// and a later clock never lowers it.
type Grade int

const (
	gradeReady Grade = iota
	gradeInRun
	gradeDrillDue
	gradeChanged // stale: the runbook is another, or its review is over
	gradeNeverDrilled
	gradeLate
	gradeTooSlow
	gradeStale // stale: the newest verified backup is more than twice as old as may be; late: there is no backup
	gradeUnknown
)

// Bad says whether a promise is broken, beyond what only has to be looked at.
func (g Grade) Bad() bool { return g == gradeTooSlow || g == gradeStale }

// Skew is how far clocks may be apart that are called right. What is dated further ahead
// makes everything unknown.
const Skew = 5 * time.Minute

// Fresh is how long what was read from the vault says that there is nothing newer.
const Fresh = 5 * time.Minute

// Evidence is all that is known of one asset. It holds values only: who hands them in has
// read journal, vault and tools.
type Evidence struct {
	Checked    time.Time     // when the vault was read; zero: never
	Unread     string        // why it cannot be read now; empty: it can
	Advice     []string      // what to do about that
	Points     []PointProof  // of the vault; the newest few are enough, those dated ahead with them
	Restores   []RestoreTime // of this asset's own data
	Recoveries []Recovery    // runbooks that bring it back from its backups
	Missing    []string      // programs and credentials that are not there, in words
	Open       []OpenRun     // runs about it
	Seen       time.Time     // the newest date of any record of this machine; zero: none

	Backup, Verify, Full Runbook // what makes a backup, proves one, makes one that is quick to restore
}

// Runbook is one that mends something.
type Runbook struct {
	Name  string        // empty: there is none
	About time.Duration // that it takes, from past runs; 0: not known
}

// PointProof is a backup and how far it is proven.
type PointProof struct {
	Point    string    `json:"point"`
	Cut      time.Time `json:"cut"`                // it holds everything up to then
	Proven   string    `json:"proven,omitempty"`   // level of the strongest verification; empty: none
	Verified bool      `json:"verified,omitempty"` // that is enough to count on it
	Failed   bool      `json:"failed,omitempty"`   // a failed verification stands, or it cannot be read
}

// RestoreTime is how long a restore has taken.
type RestoreTime struct {
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took"`
	How  string        `json:"how"` // in words: "verification", "run 7F3A"
}

// Recovery is a runbook that brings an asset back, and what proves that it does.
type Recovery struct {
	Runbook
	Reviewed    time.Time
	ReviewEvery time.Duration // 0: no review was promised
	Every       time.Duration // how long a passed drill holds
	Drills      []DrillTime   // passed
	Problem     string        // why it cannot be run here; empty: it can
}

// DrillTime is a passed drill, or a live recovery that was complete. One that a script
// played, or that nobody scored, proves that the runbook works and how long the restore takes, and nothing about
// people: nobody was drilled.
type DrillTime struct {
	At     time.Time
	Took   time.Duration
	Same   bool // the runbook is still what it was then
	Script bool // played by a script, or perhaps by --yes
	How    string
}

// OpenRun is a run that has not ended.
type OpenRun struct{ ID, Runbook string }

// Gap is one reason why an asset is not ready, and what mends it.
type Gap struct {
	Verdict Verdict
	Grade   Grade
	Reason  string // in words, no verdict in it
	Mend    Runbook
	Drill   bool     // it is mended by a drill of that runbook, not by a run of it
	Advice  []string // what to do where no runbook mends it
	Waits   bool     // it is only that the vault has not been read for a while
}

// Readiness is what evidence and a clock say of one asset.
type Readiness struct {
	Asset   Asset
	Verdict Verdict
	Grade   Grade
	Gaps    []Gap // worst first; none when it is ready
	Open    []OpenRun

	Latest   PointProof // the newest backup, whatever is known of it; no Point: there is none
	Newest   PointProof // the newest verified backup; no Point: there is none
	Age      time.Duration
	Restored RestoreTime // the restore that counts; zero At: none was measured
	Drilled  time.Time   // the newest drill of a runbook that has not changed since
	Holds    time.Time   // until when that holds
	Recovery Runbook     // the runbook that it was, or that would be the first to practise
}

// Ready says whether all is well.
func (r *Readiness) Ready() bool { return r.Verdict == Ready }

// Backup is the age of the newest verified backup in words: "16 min", "none", or "?" where
// nobody can say.
func (r *Readiness) Backup() string {
	g, gap := r.Worst()
	switch {
	case r.Newest.Point != "":
		return Long(r.Age)
	case gap && g.Verdict == Unknown && r.Latest.Point == "":
		return "?"
	}
	return "none"
}

// Worst is the gap to mend first; false when there is none.
func (r *Readiness) Worst() (Gap, bool) {
	if len(r.Gaps) == 0 {
		return Gap{}, false
	}
	return r.Gaps[0], true
}

// Assess computes the readiness of an asset at a time. It is a pure function.
func Assess(a Asset, ev Evidence, now time.Time) Readiness {
	r := Readiness{Asset: a, Verdict: Ready, Open: ev.Open}
	r.backup(ev, now)
	r.rehearsed(ev, now)
	r.restore(ev, now)
	r.clock(ev, now)
	if len(ev.Missing) > 0 {
		r.gap(Gap{Verdict: Unknown, Grade: gradeUnknown, Reason: "not here: " + strings.Join(ev.Missing, ", "),
			Advice: []string{"install it, or set it, on the machine that is to recover"}})
	}
	slices.SortStableFunc(r.Gaps, func(a, b Gap) int { return cmp.Compare(b.Grade, a.Grade) })
	if len(r.Gaps) > 0 {
		r.Verdict, r.Grade = r.Gaps[0].Verdict, r.Gaps[0].Grade
	}
	if len(ev.Open) > 0 {
		r.Verdict, r.Grade = InRun, max(r.Grade, gradeInRun)
	}
	return r
}

func (r *Readiness) gap(g Gap) { r.Gaps = append(r.Gaps, g) }

// backup measures the newest verified backup against the RPO.
func (r *Readiness) backup(ev Evidence, now time.Time) {
	var newest PointProof // verified or not
	for _, p := range ev.Points {
		if p.Cut.After(now.Add(Skew)) {
			continue
		}
		if newest.Point == "" || p.Cut.After(newest.Cut) {
			newest = p
		}
		if p.Verified && !p.Failed && (r.Newest.Point == "" || p.Cut.After(r.Newest.Cut)) {
			r.Newest = p
		}
	}
	r.Latest = newest
	if r.Newest.Point != "" {
		r.Age = max(now.Sub(r.Newest.Cut), 0)
	}
	switch {
	case ev.Unread != "":
		r.gap(Gap{Verdict: Unknown, Grade: gradeUnknown, Reason: "the vault cannot be read: " + ev.Unread, Advice: ev.Advice})
		return
	case ev.Checked.IsZero():
		r.gap(Gap{Verdict: Unknown, Grade: gradeUnknown, Reason: "the vault has not been read yet", Waits: true})
		return
	}
	rpo := r.Asset.RPO
	if r.Newest.Point != "" && r.Age <= rpo {
		return
	}
	if now.Sub(ev.Checked) > Fresh { // what came since is not known
		r.gap(Gap{Verdict: Unknown, Grade: gradeUnknown, Waits: true,
			Reason: fmt.Sprintf("the vault was read %s ago, and newer backups may be there", Long(now.Sub(ev.Checked)))})
		return
	}
	g := Gap{Verdict: Stale, Grade: gradeStale, Mend: ev.Backup}
	age := fmt.Sprintf("is %s old, and may be %s", Long(r.Age), Long(rpo))
	fresh := newest.Point != "" && now.Sub(newest.Cut) <= rpo
	switch {
	case newest.Point == "":
		g.Verdict, g.Reason = Late, "there is no backup of it"
	case fresh && newest.Failed:
		g.Reason = "the newest backup failed its verification"
	case fresh:
		g.Reason, g.Mend = "the newest backup is not verified", ev.Verify
	case r.Newest.Point == "":
		g.Reason = "no backup of it is verified"
	case newest.Point != r.Newest.Point:
		g.Reason = "the newest verified backup " + age
	default:
		g.Reason = "the newest backup " + age
	}
	if r.Newest.Point != "" {
		if fresh {
			g.Reason += "; the newest verified one " + age
		}
		if r.Age <= 2*rpo {
			g.Verdict, g.Grade = Late, gradeLate
		}
	}
	r.gap(g)
}

// rehearsed looks for the runbook whose proof is best: one that works is enough.
func (r *Readiness) rehearsed(ev Evidence, now time.Time) {
	best := Gap{Verdict: NeverDrilled, Grade: gradeUnknown + 1, Reason: "there is no runbook that brings it back"}
	for _, c := range ev.Recoveries {
		g, last := c.proof(now)
		better := g.Grade < best.Grade
		if g.Grade == best.Grade && !last.IsZero() { // the one that holds longest
			better = last.Add(c.Every).After(r.Holds)
		}
		if !better {
			continue
		}
		best, r.Recovery, r.Drilled, r.Holds = g, c.Runbook, last, time.Time{}
		if !last.IsZero() {
			r.Holds = last.Add(c.Every)
		}
	}
	if best.Grade > gradeUnknown { // no runbook at all: nobody can have practised
		best.Grade = gradeNeverDrilled
		best.Advice = []string{"write one with \"kind: recovery\" and \"asset: " + r.Asset.Kind + "\" in runbooks/ beside " + FileName}
	}
	if best.Grade > gradeReady {
		r.gap(best)
	}
}

// proof says what is wrong with a runbook, and when it was last drilled as it is now.
func (c Recovery) proof(now time.Time) (g Gap, last time.Time) {
	var changed time.Time
	script := false
	for _, d := range c.Drills {
		switch {
		case d.Script:
			script = true
		case d.At.After(now.Add(Skew)):
		case d.Same && d.At.After(last):
			last = d.At
		case !d.Same && d.At.After(changed):
			changed = d.At
		}
	}
	g = Gap{Mend: c.Runbook, Drill: true}
	reviewed := c.Reviewed
	if last.After(reviewed) { // who walked it has read it
		reviewed = last
	}
	switch {
	case c.Problem != "":
		g.Verdict, g.Grade, g.Reason, g.Drill = Unknown, gradeUnknown, c.Name+" cannot be run: "+c.Problem, false
	case last.IsZero() && changed.IsZero():
		g.Verdict, g.Grade, g.Reason = NeverDrilled, gradeNeverDrilled, c.Name+" was never drilled"
		if script {
			g.Reason += " by a person, only by a script or without a score"
		}
	case last.IsZero():
		g.Verdict, g.Grade = Stale, gradeChanged
		g.Reason = fmt.Sprintf("%s has changed since its drill of %s", c.Name, changed.UTC().Format("2 Jan 2006"))
	case c.ReviewEvery > 0 && now.Sub(reviewed) > c.ReviewEvery:
		g.Verdict, g.Grade = Stale, gradeChanged
		g.Reason = fmt.Sprintf("%s was last read through %s ago, and should be every %s", c.Name, Long(now.Sub(reviewed)), Long(c.ReviewEvery))
	case now.Sub(last) > c.Every:
		g.Verdict, g.Grade = DrillDue, gradeDrillDue
		g.Reason = fmt.Sprintf("last drilled %s ago, and should be every %s", Long(now.Sub(last)), Long(c.Every))
	}
	return g, last
}

// restore measures against the RTO. Its own data tells more than a sandbox, so drills count
// only where nothing of it was ever restored.
func (r *Readiness) restore(ev Evidence, now time.Time) {
	own := slices.Clone(ev.Restores)
	hold := time.Duration(0)
	for _, c := range ev.Recoveries {
		hold = max(hold, c.Every)
		for _, d := range c.Drills {
			if len(ev.Restores) == 0 && d.Took > 0 {
				own = append(own, RestoreTime{d.At, d.Took, d.How})
			}
		}
	}
	for _, t := range own {
		if t.At.After(now.Add(Skew)) {
			continue
		}
		// Of those that still hold the fastest counts; when none does, the newest.
		was, holds, held := r.Restored, now.Sub(t.At) <= hold, now.Sub(r.Restored.At) <= hold
		switch {
		case was.At.IsZero(), holds && !held, holds && held && t.Took < was.Took, !holds && !held && t.At.After(was.At):
			r.Restored = t
		}
	}
	if rto := r.Asset.RTO; rto > 0 && r.Restored.Took > rto {
		r.gap(Gap{Verdict: TooSlow, Grade: gradeTooSlow, Mend: ev.Full,
			Reason: fmt.Sprintf("its restore took %s, and may take %s (%s)", Long(r.Restored.Took), Long(rto), r.Restored.How)})
	}
}

// clock finds dates that a right clock could not have written.
func (r *Readiness) clock(ev Evidence, now time.Time) {
	limit := now.Add(Skew)
	says := ""
	switch {
	case ev.Seen.After(limit):
		says = "the journal of this machine has a record of " + stampOf(ev.Seen)
	case ev.Checked.After(limit):
		says = "the vault was last read at " + stampOf(ev.Checked)
	default:
		for _, p := range ev.Points {
			if p.Cut.After(limit) {
				says = "a backup is dated " + stampOf(p.Cut)
			}
		}
		for _, c := range ev.Recoveries {
			for _, d := range c.Drills {
				if d.At.After(limit) {
					says = "a drill is dated " + stampOf(d.At)
				}
			}
		}
		for _, t := range ev.Restores {
			if t.At.After(limit) {
				says = "a restore is dated " + stampOf(t.At)
			}
		}
	}
	if says != "" {
		r.gap(Gap{Verdict: Unknown, Grade: gradeUnknown, Reason: fmt.Sprintf("a clock is wrong: it is %s here, and %s", stampOf(now), says),
			Advice: []string{"set the clocks by NTP, here and where backups are made; lifeboat vault doctor compares this one with the bucket"}})
	}
}

func stampOf(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// Board is the verdict about all assets in one line.
type Board struct {
	Head, Text string
	Ready, All int
	Known      int  // assets of which more is known than that the vault has to be read
	Backed     bool // at least one has a backup, or it is not known
}

// Sum puts the readiness of all assets into words.
func Sum(list []Readiness) Board {
	b := Board{All: len(list)}
	for i := range list {
		r := &list[i]
		if r.Ready() {
			b.Ready++
		}
		g, gap := r.Worst()
		if !gap || !g.Waits {
			b.Known++
		}
		b.Backed = b.Backed || r.Latest.Point != "" || !gap || g.Verdict == Unknown
	}
	gaps := b.All - b.Ready
	assets := printable.Count(b.All, "asset")
	const next = " Every gap has a name and a next step."
	switch {
	case b.All == 0:
		b.Head, b.Text = "NOTHING IS PROTECTED", "No asset is listed in "+FileName+"."
	case gaps == 0 && b.All == 1:
		b.Head, b.Text = "READY", "The one asset is fully covered."
	case gaps == 0:
		b.Head, b.Text = "READY", "All of "+assets+" are fully covered."
	case b.Known == 0:
		b.Head, b.Text = "NOT KNOWN YET", "The vault has to be read."
	case !b.Backed:
		b.Head, b.Text = "NO BACKUP YET", assets+", and nothing to bring them back from. The first backup is the next step."
		if b.All == 1 {
			b.Text = "1 asset, and nothing to bring it back from. The first backup is the next step."
		}
	case b.Ready == 0 && b.All == 1:
		b.Head, b.Text = "NOT READY", "The one asset is not fully covered. Its gap has a name and a next step."
	case b.Ready == 0:
		b.Head, b.Text = "NOT READY", "None of "+assets+" is fully covered."+next
	default:
		b.Head = "READY, WITH " + strings.ToUpper(printable.Count(gaps, "gap"))
		b.Text = fmt.Sprintf("%d of %s are fully covered.%s", b.Ready, assets, next)
		if b.Ready == 1 {
			b.Text = fmt.Sprintf("1 of %s is fully covered.%s", assets, next)
		}
	}
	return b
}

// WorstFirst sorts a board by how bad it is; what is alike stays in the order of the file.
func WorstFirst(list []Readiness) []Readiness {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b Readiness) int { return cmp.Compare(b.Grade, a.Grade) })
	return out
}

// Long writes a duration as the board does, in at most two units: "40 s", "16 min",
// "2 h 39", "41 days".
func Long(d time.Duration) string {
	switch {
	case d < time.Second:
		return "<1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 4*day && d%time.Hour < time.Minute:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d < 4*day:
		return fmt.Sprintf("%d h %02d", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/day)
}
