package console

import (
	"strings"
	"time"

	"lifeboat/internal/console/widget"
)

// certificate says whether a runbook can be trusted tonight, and until when, from what
// the record proves. It ends by itself when the runbook, a tool or a target changes.
type certificate struct {
	ok    bool
	until time.Time // zero: it is not valid
	never bool      // nothing was ever proven: that is no fault
	why   string    // it is not valid; empty when it is
	rows  []proofRow
}

// proofRow is one line of it.
type proofRow struct {
	glyph       span
	label, says string
}

var (
	proven = txt(rOK, "✓")
	ended  = txt(rWarn, "▲")
	broke  = txt(rFail, "✗")
	silent = txt(rFaint, "·")
)

// certify reads the record of a runbook.
func certify(b *Book, now time.Time) certificate {
	var c certificate
	fail := func(why string) {
		if c.why == "" {
			c.why = why
		}
	}
	until := func(t time.Time) {
		if c.until.IsZero() || t.Before(c.until) {
			c.until = t
		}
	}
	if b.Broken {
		fail("it cannot be run")
	}
	label, deed := "drilled", b.Drilled
	if b.routine() { // it is done for real every day, nobody rehearses it
		label, deed = "last run", b.Used
	}
	row := proofRow{glyph: silent, label: label, says: "never"}
	switch holds := deed.At.Add(b.DrillEvery); {
	case deed.At.IsZero():
		c.never = c.why == ""
		fail("it was never " + map[bool]string{true: "run for real", false: "drilled"}[b.routine()])
	case !deed.Same:
		row.glyph, row.says = ended, deed.says()+"; it has changed since"
		fail("it has changed since " + deed.At.UTC().Format("2 Jan"))
	case now.After(holds):
		row.glyph, row.says = ended, deed.says()
		fail("last " + label + " " + words(now.Sub(deed.At)) + " ago")
	default:
		row.glyph, row.says = proven, deed.says()
		until(holds)
	}
	c.rows = append(c.rows, row)
	c.reviewed(b, now, fail, until)
	if !b.routine() {
		row = proofRow{glyph: silent, label: "used live", says: "never"}
		if !b.Used.At.IsZero() {
			row.glyph, row.says = proven, b.Used.says()
		}
		c.rows = append(c.rows, row)
	}
	if len(b.Tools)+len(b.Missing) > 0 {
		row = proofRow{proven, "tools", strings.Join(b.Tools, ", ") + " found"}
		if len(b.Missing) > 0 {
			row.glyph, row.says = broke, strings.Join(b.Missing, ", ")+" not found on this machine"
			fail(b.Missing[0] + " is missing")
		}
		c.rows = append(c.rows, row)
	}
	if b.Room != "" {
		c.rows = append(c.rows, proofRow{proven, "room", b.Room})
	}
	if c.ok = c.why == ""; !c.ok {
		c.until = time.Time{}
	}
	return c
}

// reviewed says when it was last read through, and when it must be again.
func (c *certificate) reviewed(b *Book, now time.Time, fail func(string), until func(time.Time)) {
	row := proofRow{glyph: silent, label: "reviewed", says: "no date"}
	if b.Reviewed.IsZero() {
		c.rows = append(c.rows, row)
		return
	}
	row.says = date(b.Reviewed)
	if b.Owner != "" {
		row.says += " by " + b.Owner
	}
	row.glyph = proven
	if b.ReviewEvery > 0 {
		by := b.Reviewed.Add(b.ReviewEvery)
		row.says += ", next by " + date(by)
		if now.After(by) {
			row.glyph = ended
			fail("its review is " + words(now.Sub(by)) + " late")
		}
		until(by)
	}
	c.rows = append(c.rows, row)
}

// routine says whether it is done for real so often that this is its proof.
func (b *Book) routine() bool { return b.Kind == "backup" || b.Kind == "verification" }

// says is when, by whom, and how long it took against what was promised.
func (d Deed) says() string {
	text := date(d.At) + " by " + d.By
	if d.Took > 0 {
		text += ", " + clock(d.Took)
		if d.RTO > 0 {
			text += " of " + clock(d.RTO)
		}
	}
	if d.Of > 0 {
		text += ", score " + itoa(d.Score) + " of " + itoa(d.Of)
	}
	return text
}

// date is a day with its year, the day of the month right-aligned.
func date(t time.Time) string { return t.UTC().Format("_2 Jan 2006") }

// mark is the certificate in one glyph.
func (c *certificate) mark(b *Book) span {
	switch {
	case b.Broken, len(b.Missing) > 0:
		return broke
	case c.ok:
		return proven
	case c.never:
		return silent
	}
	return ended
}

// rowsIn lays the certificate out in w cells.
func (c *certificate) rowsIn(b *Book, w int, brief bool) []row {
	verdict := []span{c.mark(b), txt(rText, " ")}
	switch {
	case c.ok:
		verdict = append(verdict, bold(rOK, "VERIFIED"))
		if !c.until.IsZero() {
			verdict = append(verdict, txt(rDim, " valid to "), txt(rText, strings.TrimSpace(date(c.until))))
		}
	case b.Broken, len(b.Missing) > 0:
		verdict = append(verdict, bold(rFail, "CANNOT BE RUN"))
	case c.never:
		verdict = append(verdict, bold(rText, "NOT PROVEN"), txt(rDim, " "+c.why))
	default:
		verdict = append(verdict, bold(rWarn, "ENDED"), txt(rText, " "+c.why))
	}
	head := bold(rStrong, "READINESS CERTIFICATE")
	if spansWidth(verdict)+widget.Width(head.text)+2 > w {
		head.text = "CERTIFICATE"
	}
	rs := []row{{left: []span{head}, right: verdict}}
	for _, p := range c.rows {
		r := line(p.glyph, txt(rDim, " "+pad(p.label, 11)), txt(rText, p.says))
		if brief || p.label == "used live" || p.label == "room" {
			r.spare = 2
		}
		rs = append(rs, r)
	}
	if !brief {
		rs = append(rs, row{left: []span{txt(rDim, "  ends early if the runbook, a tool or a target changes")}, spare: 2})
	}
	return rs
}
