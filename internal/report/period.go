package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// Run is what a list and the metrics of a period need of one run.
type Run struct {
	ID      run.ID
	Book    string
	Title   string
	Kind    string // of the runbook: procedure, recovery, backup, verification, drill; empty: not known
	Asset   string
	Mode    run.Mode
	By      string
	Level   int
	At      time.Time // of its start
	Began   time.Time // the incident, or its start: recovery time counts from here
	Ended   time.Time // zero while it is open
	Back    time.Time // when the thing was back; zero: not known
	RTO     time.Duration
	Outcome run.Outcome

	Scenario string     // that it is the drill of, empty for none
	Script   bool       // a script played it: nobody was drilled
	Score    *run.Score // of a drill
	Oracle   string     // what the judge of a sandbox said first, empty: there was none
	Left     int        // steps that were left out, or accepted as they are
	Owed     []string   // debts that were not paid, in words
	Doubts   int        // steps whose end was not seen
	Loss     time.Duration
	Told     int // channels that took a message
	Untold   int // channels that did not
	Backups  []Part
	Proofs   []Part
}

// Part is what a backup, or its verification, came to for one asset.
type Part struct {
	Asset string // empty: every asset of the step
	OK    bool
	At    time.Time
}

// Open says whether the run has not ended.
func (r *Run) Open() bool { return r.Outcome == "" }

// Routine says whether it is a backup or a verification, which come by themselves and in
// great numbers, and not the answer to something. To rehearse one is a drill like any other.
func (r *Run) Routine() bool {
	return (r.Kind == "backup" || r.Kind == "verification") && r.Scenario == "" && r.Score == nil && r.Oracle == ""
}

// Took is the recovery time: from the incident until the thing was back, or to the end where
// that is not known. Of a scored drill it is what its score says.
func (r *Run) Took() time.Duration {
	switch {
	case r.Score != nil && r.Score.Recovery > 0:
		return r.Score.Recovery
	case r.Open() || r.Ended.Before(r.Began):
		return 0
	case r.Back.After(r.Began) && r.Reached():
		return r.Back.Sub(r.Began)
	}
	return r.Ended.Sub(r.Began)
}

// Target is the recovery time that was promised; 0 for none.
func (r *Run) Target() time.Duration {
	if r.Score != nil && r.Score.RTO > 0 {
		return r.Score.RTO
	}
	return r.RTO
}

// recovered is what the oracle says of a sandbox. The console knows the same word.
const recovered = "RECOVERED"

// Reached says whether it did what it was for, as far as anybody looked.
func (r *Run) Reached() bool {
	if r.Outcome != run.Complete && r.Outcome != run.CompleteWithOverrides {
		return false
	}
	switch {
	case r.Score != nil:
		return r.Score.Recovered
	case r.Oracle != "":
		return r.Oracle == recovered
	}
	return true
}

// Met says whether it was back within its target.
func (r *Run) Met() bool { return r.Reached() && r.Took() <= r.Target() }

// Passed says whether a drill was passed. One that nobody scored counts by what it reached.
func (r *Run) Passed() bool {
	if r.Score != nil {
		return r.Score.Passed
	}
	return r.Reached()
}

// Input is all that a report about a period is made of.
type Input struct {
	Since, Until time.Time // runs that began from, and before
	Now          time.Time
	Runs         []Run // in any order; those outside of the period only tell what was mended later
	// Critical is the strictest recovery time that the estate promises: what is promised as
	// much is critical.
	Critical time.Duration
	Security []string // runbooks that answer a security incident
	Reviews  []Review // everything that has to be read again
}

// Review is something that has to be read again.
type Review struct {
	Name  string        `json:"name"`
	What  string        `json:"what"` // "runbook", "document", "contact"
	Last  time.Time     `json:"last,omitzero"`
	Every time.Duration `json:"-"`
	Due   time.Time     `json:"due"`
	Late  int           `json:"late_days"` // 0: it is not late
}

// Span is a length of time; JSON has it in seconds.
type Span time.Duration

// MarshalJSON implements json.Marshaler.
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// Period is what a time came to. It is computed, never stored.
type Period struct {
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Made     time.Time `json:"made"`
	Counts   Counts    `json:"runs"`
	RTO      Rate      `json:"rto"`
	Missed   []Line    `json:"rto_missed,omitempty"`
	Critical Span      `json:"critical_rto_s"`
	Months   []Month   `json:"months"` // oldest first, every one that the period touches
	Backups  Parts     `json:"backups"`
	Proofs   Parts     `json:"verifications"`
	Drills   Rate      `json:"drills"`
	Failed   []Line    `json:"drills_failed,omitempty"`
	Books    []Counted `json:"incidents"` // live recoveries by runbook, most first
	Security int       `json:"security_incidents"`
	Losses   []Line    `json:"data_loss,omitempty"`
	Told     int       `json:"alerts_delivered"`
	Untold   int       `json:"alerts_not_delivered"`
	Left     []Line    `json:"overrides,omitempty"`
	Owed     []Line    `json:"debts,omitempty"`
	Reviews  []Review  `json:"reviews,omitempty"` // late, or due within 30 days, the most urgent first
}

// Counts are runs of each kind that began in the period.
type Counts struct {
	Live     int `json:"live"`
	Drills   int `json:"drills"`
	Scripted int `json:"scripted_drills"` // that no person played, and none of the above
	Routine  int `json:"routine"`         // backups and verifications
	Dry      int `json:"dry"`
	Open     int `json:"open"` // of live and drills
}

// Rate is how many of how many were good.
type Rate struct {
	Good int `json:"good"`
	Of   int `json:"of"`
}

// Line is a run that somebody has to know about.
type Line struct {
	Run    run.ID    `json:"run"`
	Book   string    `json:"runbook"`
	Mode   run.Mode  `json:"mode"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Took   Span      `json:"took_s,omitempty"`
	Target Span      `json:"target_s,omitempty"`
	Text   string    `json:"text,omitempty"`
}

// Month is the slowest recovery of a critical asset in a month.
type Month struct {
	Month   time.Time `json:"month"` // its first moment, UTC
	Slowest Span      `json:"slowest_s"`
	Target  Span      `json:"target_s"`
	Run     run.ID    `json:"run,omitempty"` // empty: there was none
	Book    string    `json:"runbook,omitempty"`
	Met     bool      `json:"met"`
	Failed  int       `json:"not_recovered"` // those that did not come back at all
}

// Parts are backups or verifications, each of one asset.
type Parts struct {
	Rate
	Failing []Failing `json:"failing,omitempty"` // those that are not mended first, then the most failures
}

// Failing is an asset whose backups, or verifications, failed.
type Failing struct {
	Asset  string    `json:"asset,omitempty"` // empty: all of them at once
	Times  int       `json:"times"`
	Last   time.Time `json:"last"`
	Mended time.Time `json:"mended,omitzero"` // the first good one after that; zero: there is none
}

// Counted is a word with how often it occurs.
type Counted struct {
	Name  string `json:"name"`
	Times int    `json:"times"`
}

// Of computes what a period came to.
func Of(in Input) Period {
	p := Period{Since: in.Since.UTC(), Until: in.Until.UTC(), Made: in.Now.UTC(), Critical: Span(in.Critical), Books: []Counted{}}
	runs := slices.Clone(in.Runs)
	slices.SortStableFunc(runs, func(a, b Run) int { return a.At.Compare(b.At) })
	p.Months = months(p.Since, p.Until)
	books := map[string]int{}
	for i := range runs {
		r := &runs[i]
		if r.At.Before(in.Since) || !r.At.Before(in.Until) {
			continue
		}
		p.count(r)
		if r.Mode == run.Live && !r.Routine() {
			books[r.Book]++
			if slices.Contains(in.Security, r.Book) {
				p.Security++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(books)) {
		p.Books = append(p.Books, Counted{name, books[name]})
	}
	slices.SortStableFunc(p.Books, func(a, b Counted) int { return b.Times - a.Times })
	p.Backups = parts(runs, in, func(r *Run) []Part { return r.Backups })
	p.Proofs = parts(runs, in, func(r *Run) []Part { return r.Proofs })
	p.Reviews = Reviews(in.Reviews, in.Now)
	return p
}

// count takes a run of the period.
func (p *Period) count(r *Run) {
	switch {
	case r.Mode == run.Dry:
		p.Counts.Dry++
		return
	case r.Routine():
		p.Counts.Routine++
	case r.Mode == run.Drill && !r.Script:
		p.Counts.Drills++
	case r.Mode == run.Drill:
		p.Counts.Scripted++
	default:
		p.Counts.Live++
	}
	p.Told, p.Untold = p.Told+r.Told, p.Untold+r.Untold
	if len(r.Owed) > 0 {
		p.Owed = append(p.Owed, line(r, strings.Join(r.Owed, "; ")))
	}
	if r.Left > 0 {
		p.Left = append(p.Left, line(r, printable.Count(r.Left, "step")+" left out, or accepted as it is"))
	}
	if lost := r.lost(); lost != "" {
		p.Losses = append(p.Losses, line(r, lost))
	}
	if r.Open() {
		if !r.Routine() {
			p.Counts.Open++
		}
		return
	}
	if r.Mode == run.Drill && !r.Routine() {
		if !r.Passed() {
			p.Failed = append(p.Failed, line(r, why(r)))
		}
		if !r.Script { // what a script can do says nothing about people
			p.Drills.Of++
			if r.Passed() {
				p.Drills.Good++
			}
		}
	}
	if r.Routine() || r.Target() <= 0 {
		return
	}
	p.RTO.Of++
	if r.Met() {
		p.RTO.Good++
	} else {
		p.Missed = append(p.Missed, line(r, missed(r)))
	}
	if r.Target() <= time.Duration(p.Critical) {
		p.slower(r)
	}
}

// slower takes a recovery of something critical into its month.
func (p *Period) slower(r *Run) {
	for i := range p.Months {
		m := &p.Months[i]
		switch {
		case !monthOf(r.At).Equal(m.Month):
			continue
		case !r.Reached():
			m.Failed++
			continue
		case m.Run != "" && Span(r.Took()) <= m.Slowest:
			continue
		}
		m.Run, m.Book, m.Slowest, m.Target, m.Met = r.ID, r.Book, Span(r.Took()), Span(r.Target()), r.Met()
	}
}

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// maxMonths bounds the list of a period without a reasonable beginning.
const maxMonths = 120

// months lists those that a period touches, the newest ones where there are too many.
func months(since, until time.Time) (out []Month) {
	for m := monthOf(until.Add(-1)); !m.Before(monthOf(since)) && len(out) < maxMonths; m = m.AddDate(0, -1, 0) {
		out = append(out, Month{Month: m})
	}
	slices.Reverse(out)
	return out
}

func line(r *Run, text string) Line {
	return Line{Run: r.ID, Book: r.Book, Mode: r.Mode, At: r.At.UTC(), By: r.By, Took: Span(r.Took()), Target: Span(r.Target()), Text: text}
}

// lost says what a run could not bring back.
func (r *Run) lost() string {
	switch {
	case r.Score != nil && r.Score.LossKnown && r.Score.Loss > 0:
		return printable.Span(r.Score.Loss) + " of data"
	case r.Score == nil && r.Loss > 0:
		return printable.Span(r.Loss) + " of data"
	}
	return ""
}

func missed(r *Run) string {
	switch {
	case !r.Reached():
		return "what it was for was not reached: " + outcomeWords(r)
	case r.Took() > r.Target():
		return "late by " + printable.Span(r.Took()-r.Target())
	}
	return ""
}

func why(r *Run) string {
	switch s := r.Score; {
	case s != nil && !s.Recovered:
		return "the oracle says that not everything was recovered"
	case s != nil:
		return fmt.Sprintf("%d of %d points, %d pass", s.Points, s.Of, s.Pass)
	}
	return outcomeWords(r)
}

func outcomeWords(r *Run) string {
	if r.Oracle != "" && r.Oracle != recovered {
		return strings.ToLower(r.Oracle)
	}
	return string(r.Outcome)
}

// parts adds up what the live runs of the period came to for each asset. What came later
// only tells whether it was mended.
func parts(runs []Run, in Input, of func(*Run) []Part) Parts {
	var out Parts
	failing := map[string]*Failing{}
	for i := range runs {
		r := &runs[i]
		if r.Mode != run.Live {
			continue
		}
		inside := !r.At.Before(in.Since) && r.At.Before(in.Until)
		for _, part := range of(r) {
			f := failing[part.Asset]
			switch {
			case part.OK:
				mend(failing, part)
			case !inside:
			case f == nil:
				failing[part.Asset] = &Failing{Asset: part.Asset, Times: 1, Last: part.At.UTC()}
			default:
				f.Times, f.Last, f.Mended = f.Times+1, part.At.UTC(), time.Time{}
			}
			if inside {
				out.Of++
				if part.OK {
					out.Good++
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(failing)) {
		out.Failing = append(out.Failing, *failing[name])
	}
	slices.SortStableFunc(out.Failing, func(a, b Failing) int {
		return cmp.Or(asInt(!a.Mended.IsZero())-asInt(!b.Mended.IsZero()), b.Times-a.Times)
	})
	return out
}

// mend notes that an asset is good again. One that all assets failed in is mended by any.
func mend(failing map[string]*Failing, part Part) {
	for _, name := range []string{part.Asset, ""} {
		if f := failing[name]; f != nil && f.Mended.IsZero() && part.At.After(f.Last) {
			f.Mended = part.At.UTC()
		}
	}
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// soon is how long before its day a review is announced.
const soon = 30 * 24 * time.Hour

// Reviews lists what of list is late at now or will be within 30 days, the most urgent first.
func Reviews(list []Review, now time.Time) (out []Review) {
	for _, r := range list {
		if r.Every <= 0 {
			continue
		}
		r.Due = r.Last.Add(r.Every).UTC()
		if r.Last.IsZero() {
			r.Due = now.UTC() // it never was
		}
		if late := now.Sub(r.Due); late > 0 {
			r.Late = int(late.Hours()/24) + 1
		}
		if r.Due.Before(now.Add(soon)) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Review) int {
		return cmp.Or(asInt(!a.Last.IsZero())-asInt(!b.Last.IsZero()), a.Due.Compare(b.Due), strings.Compare(a.Name, b.Name))
	})
	return out
}
