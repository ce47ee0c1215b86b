package report

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// section is a part of a report about a period: what Markdown and HTML both show.
type section struct {
	title   string
	says    string // one sentence
	columns []string
	rows    [][]string
	right   int     // how many columns from the right hold numbers
	bars    []gauge // one for each row; nil for none
}

// gauge is a bar of HTML: how long it is and where its target stands, both from 0 to 1.
type gauge struct {
	part, target float64
	bad          bool
}

func (p *Period) title() string {
	return "Backup and recovery, " + date(p.Since) + " to " + date(p.Until.Add(-time.Nanosecond))
}

func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Markdown renders the period.
func (p *Period) Markdown() string {
	d := &document{}
	d.printf("# %s\n\n", cell(p.title()))
	for _, s := range p.sections() {
		d.printf("## %s\n\n", s.title)
		if s.says != "" {
			d.printf("%s\n\n", cell(s.says))
		}
		d.table("", s.columns, s.rows)
	}
	return strings.TrimRight(d.b.String(), "\n") + "\n"
}

func (p *Period) sections() []section {
	out := []section{p.summary(), p.recoveries()}
	out = append(out, lines("Targets that were missed", "took", p.Missed)...)
	out = append(out, partSection("Backups", "backup", p.Backups), partSection("Verifications", "verification", p.Proofs), p.drills())
	out = append(out, lines("Drills that were not passed", "took", p.Failed)...)
	out = append(out, p.incidents())
	out = append(out, lines("Data that was lost", "took", p.Losses)...)
	out = append(out, lines("Not as written", "took", p.Left)...)
	out = append(out, lines("Still owed at the end of a run", "took", p.Owed)...)
	return append(out, p.reviewSection(), p.origin())
}

// summary is what somebody reads who reads nothing else.
func (p *Period) summary() section {
	rows := [][]string{
		{"recovery time met", rate(p.RTO, "times")},
		{"backups good", rate(p.Backups.Rate, "")},
		{"verifications good", rate(p.Proofs.Rate, "")},
		{"drills passed", rate(p.Drills, "")},
		{"live recoveries", fmt.Sprint(p.Counts.Live)},
		{"security incidents", fmt.Sprint(p.Security)},
		{"data loss", dataLoss(p.Losses)},
		{"alerts", alerts(p)},
		{"reviews late", fmt.Sprint(late(p.Reviews))},
	}
	says := fmt.Sprintf("%s, %s, %s and verifications.", printable.Count(p.Counts.Live, "live run"),
		printable.Count(p.Counts.Drills, "drill"), printable.Count(p.Counts.Routine, "run")+" of backups")
	if n := p.Counts.Scripted; n > 0 {
		says += fmt.Sprintf(" %s besides that a script played; no person was drilled by them.", printable.Count(n, "drill"))
	}
	if p.Counts.Open > 0 {
		says += fmt.Sprintf(" %d of them still open, and not counted below.", p.Counts.Open)
	}
	return section{title: "Summary", says: says, columns: []string{"", ""}, rows: rows}
}

func rate(r Rate, unit string) string {
	if r.Of == 0 {
		return "none"
	}
	return strings.TrimSpace(fmt.Sprintf("%s, %d of %d %s", r.Percent(), r.Good, r.Of, unit))
}

// Percent writes the rate so that it is 100 % only when all were good.
func (r Rate) Percent() string {
	switch {
	case r.Of == 0:
		return "–"
	case r.Good == r.Of:
		return "100 %"
	}
	tenths := r.Good * 1000 / r.Of // rounded down: 99.99 % is not 100 %
	if tenths%10 == 0 || r.Of < 100 {
		return fmt.Sprintf("%d %%", tenths/10)
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

func dataLoss(list []Line) string {
	live := 0
	for _, l := range list {
		if l.Mode == run.Live {
			live++
		}
	}
	if len(list) == 0 {
		return "none measured"
	}
	return fmt.Sprintf("%s live, %d in drills", printable.Count(live, "time"), len(list)-live)
}

func alerts(p *Period) string {
	if p.Told+p.Untold == 0 {
		return "none sent by a step"
	}
	return fmt.Sprintf("%d delivered, %d not", p.Told, p.Untold)
}

func late(list []Review) int {
	n := 0
	for _, r := range list {
		if r.Late > 0 || r.Last.IsZero() {
			n++
		}
	}
	return n
}

func (p *Period) recoveries() section {
	s := section{title: "Recovery time", columns: []string{"month", "runbook", "slowest", "target", ""}, right: 2,
		says: fmt.Sprintf("The slowest recovery of each month, live or drill, of what has to be back within %s.", printable.Span(time.Duration(p.Critical)))}
	for _, m := range p.Months {
		row := []string{m.Month.Format("Jan 2006"), m.Book, "", "", ""}
		var g gauge
		if m.Run != "" {
			row[2], row[3] = printable.Span(time.Duration(m.Slowest)), printable.Span(time.Duration(m.Target))
			row[4] = "met"
			if !m.Met {
				row[4] = "MISSED"
			}
			g = m.gauge()
		}
		if m.Failed > 0 {
			row[4] = strings.TrimPrefix(row[4]+", "+fmt.Sprintf("%d NOT BACK", m.Failed), ", ")
			g.bad = true
		}
		s.rows, s.bars = append(s.rows, row), append(s.bars, g)
	}
	return s
}

// gauge draws up to 1.4 times the target.
func (m *Month) gauge() gauge {
	const whole = 1.4
	part := float64(m.Slowest) / max(float64(m.Target), 1) / whole
	return gauge{min(part, 1), 1 / whole, !m.Met}
}

func lines(title, took string, list []Line) []section {
	if len(list) == 0 {
		return nil
	}
	s := section{title: title, columns: []string{"began (UTC)", "run", "runbook", "mode", "by", took, "target", "what"}}
	for _, l := range list {
		target := ""
		if l.Target > 0 {
			target = printable.Span(time.Duration(l.Target))
		}
		s.rows = append(s.rows, []string{minute(l.At), l.Run.Short(), l.Book, string(l.Mode), l.By, printable.Span(time.Duration(l.Took)), target, l.Text})
	}
	return []section{s}
}

func partSection(title, what string, p Parts) section {
	s := section{title: title, says: "No live " + what + " in this time."}
	if p.Of > 0 {
		s.says = fmt.Sprintf("%s: %d of %s good, each of one asset, live runs only.", p.Percent(), p.Good, printable.Count(p.Of, what))
	}
	for _, f := range p.Failing {
		mended := "NOT YET"
		if !f.Mended.IsZero() {
			mended = minute(f.Mended)
		}
		s.columns = []string{"asset", "failed", "last (UTC)", "good again (UTC)"}
		s.rows = append(s.rows, []string{cmp.Or(f.Asset, "all at once"), fmt.Sprint(f.Times), minute(f.Last), mended})
	}
	return s
}

func (p *Period) drills() section {
	s := section{title: "Drills", says: "No drill has ended in this time."}
	if p.Drills.Of > 0 {
		s.says = fmt.Sprintf("%s: %d of %d passed.", p.Drills.Percent(), p.Drills.Good, p.Drills.Of)
	}
	return s
}

func (p *Period) incidents() section {
	s := section{title: "Incidents", says: "No live run of a recovery or a procedure."}
	for _, b := range p.Books {
		s.says, s.columns, s.right = "Live runs that were no backup and no verification.", []string{"runbook", "times"}, 1
		s.rows = append(s.rows, []string{b.Name, fmt.Sprint(b.Times)})
	}
	return s
}

func (p *Period) reviewSection() section {
	s := section{title: "Reviews", says: "Nothing has to be read again within 30 days."}
	for _, r := range p.Reviews {
		last, when := "never", "LATE"
		if !r.Last.IsZero() {
			last = r.Last.UTC().Format(time.DateOnly)
			when = "due " + r.Due.Format(time.DateOnly)
		}
		if r.Late > 0 && !r.Last.IsZero() {
			when += fmt.Sprintf(", %s LATE", printable.Count(r.Late, "day"))
		}
		s.says, s.columns = "What is late, or due within 30 days of the day of this report.", []string{"what", "", "read last", "every", ""}
		s.rows = append(s.rows, []string{r.Name, r.What, last, printable.Span(r.Every), when})
	}
	return s
}

func (p *Period) origin() section {
	return section{title: "Where this comes from",
		says: fmt.Sprintf("Computed at %s UTC from the journal, whose chain \"lifeboat audit verify\" checks. Recovery time counts from the incident to the end of the run, of a scored drill to its last verified step. A run that was ended before it reached what it was for has missed its target.", stamp(p.Made))}
}

// style is all the look there is: readable on paper and without colours.
const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #999}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;border-bottom:1px solid #ddd}
th{font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{position:relative;width:12rem;height:.7rem;background:#eee;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bar i{position:absolute;left:0;top:0;bottom:0;background:#2a7d4f}.bar.bad i{background:#b3261e}.bar b{position:absolute;top:-.2rem;bottom:-.2rem;width:2px;background:#111}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}`

// HTML renders the period as one page that needs nothing else: no script, no address, and
// all that is foreign escaped.
func (p *Period) HTML() string {
	var b strings.Builder
	pageHead(&b, p.title(), style)
	fmt.Fprintf(&b, "<h1>%s</h1>\n", escaped(p.title()))
	for _, s := range p.sections() {
		fmt.Fprintf(&b, "<h2>%s</h2>\n", escaped(s.title))
		if s.says != "" {
			fmt.Fprintf(&b, "<p>%s</p>\n", escaped(s.says))
		}
		s.table(&b)
	}
	b.WriteString("</body>\n</html>\n")
	return b.String()
}

// pageHead begins a page that may fetch nothing and run nothing.
func pageHead(w io.Writer, title, style string) {
	fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n",
		escaped(title), style)
}

func (s *section) table(b *strings.Builder) {
	if len(s.rows) == 0 {
		return
	}
	class := func(i int) string {
		first := len(s.columns) - s.right
		if s.bars != nil { // the last column is words
			first--
		}
		if i >= first && i < first+s.right {
			return ` class="n"`
		}
		return ""
	}
	b.WriteString("<table>\n")
	if strings.Join(s.columns, "") != "" {
		b.WriteString("<tr>")
		for i, c := range s.columns {
			fmt.Fprintf(b, "<th%s>%s</th>", class(i), escaped(c))
		}
		if s.bars != nil {
			b.WriteString("<th></th>")
		}
		b.WriteString("</tr>\n")
	}
	for n, row := range s.rows {
		b.WriteString("<tr>")
		for i, c := range row {
			fmt.Fprintf(b, "<td%s>%s</td>", class(i), escaped(c))
		}
		if s.bars != nil {
			b.WriteString("<td>" + s.bars[n].html() + "</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

func (g gauge) html() string {
	if g.target == 0 {
		return ""
	}
	class := "bar"
	if g.bad {
		class += " bad"
	}
	return fmt.Sprintf(`<div class="%s"><i style="width:%.0f%%"></i><b style="left:%.0f%%"></b></div>`, class, g.part*100, g.target*100)
}

// escaped is foreign text on one line, as text.
func escaped(s string) string {
	return html.EscapeString(printable.Line(strings.Join(strings.Fields(s), " ")))
}
