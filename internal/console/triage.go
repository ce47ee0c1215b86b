package console

import (
	"cmp"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
)

// triageScreen asks what happened, one question a card, and ends at the plan of a
// runbook. It runs nothing.
type triageScreen struct {
	given []int
	since time.Time // when the first answer was given
}

// find is what triage knows of the library.
func (w *world) find(name string) (incident.Book, bool) {
	b := w.book(name)
	if b == nil {
		return incident.Book{}, false
	}
	return incident.Book{Name: b.Name, Title: b.Title, Level: b.Level, When: b.When, NotFor: b.NotFor}, true
}

// place is where answers lead. The tree was checked when it was read; a hole in it is
// the end of the way, never of the console.
func (w *world) place(given []int) (incident.Place, bool) {
	if w.team.Tree == nil {
		return incident.Place{}, false
	}
	p, err := w.team.Tree.Walk(given, w.find)
	return p, err == nil
}

// triageKeys are the keys of a question: its numbers, and 0.
func triageKeys(q *incident.Question, pick func(n int) Intent) []binding {
	bs := []binding{{show: "0-" + itoa(len(q.Answers)), help: "what happened", brief: "triage", long: q.Ask + " Answering runs nothing."}}
	for n := range len(q.Answers) + 1 {
		if a, ok := q.Answer(n); ok {
			bs = append(bs, does(itoa(n), "", a.Text+".", func() Intent { return pick(n) }))
		}
	}
	return bs
}

func (t *triageScreen) card() bool           { return true }
func (t *triageScreen) field() *widget.Field { return nil }

// calls knows what was said up to here.
func (t *triageScreen) calls(w *world) *callScreen {
	p, _ := w.place(t.given)
	return &callScreen{level: p.Level, seen: p.Seen}
}

func (t *triageScreen) bindings(w *world) []binding {
	back := does("esc", "go back", "Back to the question before. Nothing has been run.", func() Intent {
		if len(t.given) <= 1 {
			return pop{}
		}
		t.given = t.given[:len(t.given)-1]
		return nil
	})
	p, ok := w.place(t.given)
	if !ok {
		return []binding{back}
	}
	if p.Done() {
		missing := ""
		if !p.Found {
			missing = "the runbook is not in the library"
		}
		return []binding{
			does("enter", "open its plan", "Open the plan of the runbook. Runs nothing.", func() Intent {
				return push{newPlanFor(w, w.book(p.Runbook), p, t.since)}
			}).named("", "plan").unless(missing), back}
	}
	bs := triageKeys(p.Question, func(n int) Intent { t.given = append(t.given, n); return nil })
	bs[0].help, bs[0].brief = "answer", "answer"
	return append(bs, back)
}

func (t *triageScreen) draw(w *world, a area) {
	width := min(a.w-4, 88)
	p, ok := w.place(t.given)
	title := []span{bold(rStrong, "WHAT HAPPENED?")}
	if !ok {
		drawCard(w, a, width, frame{title: title, heavy: true, role: rHeavy}, wrapped(rText, "The questions end here. Press esc, and find a runbook with /.", width-4, 0))
		return
	}
	if p.Level > 0 {
		title = append(title, txt(rText, "  "), levelBadge(p.Level))
	}
	right := []span{txt(rDim, "answer "+itoa(len(t.given)+1)+" of "+itoa(incident.MostAnswers)+" at most")}
	rs := saidRows(p)
	if p.Done() {
		right = nil
		rs = append(rs, w.endRows(p, width-4)...)
	} else {
		rs = append(rs, gap(), line(bold(rStrong, p.Question.Ask)), gap())
		rs = append(rs, answerRows(w, p, width-4)...)
		rs = append(rs, gap(), line(txt(rDim, "Answering runs nothing.")))
		rs[len(rs)-1].spare = 2
	}
	drawCard(w, a, width, frame{title: title, right: right, heavy: true, role: rHeavy}, rs)
}

// saidRows are the answers so far.
func saidRows(p incident.Place) []row {
	var rs []row
	for _, said := range p.Said {
		rs = append(rs, line(txt(rOK, "✓ "), txt(rDim, said)))
	}
	return extra(rs)
}

// answerRows are the numbered answers of a question. What they lead to stands at the end.
func answerRows(w *world, p incident.Place, width int) []row {
	var rs []row
	for i, a := range p.Question.Answers {
		text := wrap(a.Text, width-5, 2)
		if len(text) == 0 {
			text = []string{""}
		}
		r := row{left: []span{txt(rKeycap, " "+itoa(i+1)+" "), bold(rStrong, "  "+text[0])}}
		switch _, found := w.find(a.Runbook); {
		case a.Runbook != "" && !found:
			r.right = []span{txt(rFaint, a.Runbook+", missing")}
		case a.Runbook != "":
			r.right = []span{txt(rDim, a.Runbook)}
		case a.Level > p.Level:
			r.right = []span{txt(rDim, "level "+itoa(a.Level))}
		}
		if spansWidth(r.left)+spansWidth(r.right)+2 > width { // the answer is read, what it leads to is seen next
			r.right = nil
		}
		rs = append(rs, r)
		for _, more := range text[1:] {
			rs = append(rs, row{left: []span{bold(rStrong, "     "+more)}, spare: 1})
		}
	}
	if u := p.Question.Unsure; u.Text != "" {
		r := row{left: []span{txt(rKeycap, " 0 "), bold(rStrong, "  "+u.Text)}}
		if u.Hint != "" {
			r.left = append(r.left, txt(rDim, "  "+u.Hint))
		}
		rs = append(rs, r)
	}
	return rs
}

// level finds a level by its number.
func (w *world) level(n int) estate.Level {
	for _, l := range w.team.Levels {
		if l.Number == n {
			return l
		}
	}
	return estate.Level{Number: n}
}

// callsShown is how many people stand at the end of triage; c lists all of them.
const callsShown = 4

// endRows say what the answers lead to: the level with what it asks for, and the runbook.
func (w *world) endRows(p incident.Place, width int) []row {
	const col = 13
	l := w.level(p.Level)
	rs := []row{gap()}
	if p.Doubt {
		rs = append(rs, extra([]row{line(txt(rDim, pad("why", col)), txt(rText, "in doubt it is the higher level"))})...)
	}
	rs = append(rs, labelled("impact", col, rText, l.Impact, width, 2)...)
	rs = append(rs, labelled("response", col, rText, l.Response, width, 2)...)
	rs = append(rs, labelled("recovery", col, rText, "within "+incident.Span(l.Recovery), width, 1)...)
	if len(w.team.Contacts) == 0 {
		rs = append(rs, line(txt(rDim, pad("call now", col)), txt(rWarn, "▲ nobody is listed"), txt(rDim, "  c says how to add them")))
	}
	label, more := "call now", 0
	for i, c := range incident.Calls(p.Level, w.team.Contacts) {
		switch {
		case c.Now && i >= callsShown:
			more++
		case c.Now:
			role := pad(c.Role, 16)
			if width < 64 {
				role = ""
			}
			rs = append(rs, row{left: []span{txt(rDim, pad(label, col)), bold(rText, pad(c.Name, 14)), txt(rDim, role), bold(rText, cmp.Or(c.Phone, c.Email))}})
			label = ""
		}
	}
	if more > 0 {
		rs = append(rs, line(txt(rDim, pad("", col)+"and "+itoa(more)+" more: c")))
	}
	rs = append(rs, gap())
	if !p.Found {
		rs = append(rs, line(txt(rWarn, "▲ "), bold(rStrong, p.Runbook), txt(rText, "  is not in this library")))
		return append(rs, wrapped(rText, "Call whom the level names, and find the nearest runbook with / on the home screen.", width, 0)...)
	}
	rs = append(rs, line(bold(rStrong, p.Runbook), txt(rText, "  "+p.Book.Title)))
	rs = append(rs, labelled("use it when", col, rText, inline(strings.Join(p.Book.When, "; ")), width, 3)...)
	rs = append(rs, extra(labelled("not for", col, rText, inline(strings.Join(p.Book.NotFor, "; ")), width, 2))...)
	if b := w.book(p.Runbook); b != nil {
		rs = append(rs, extra(labelled("plan", col, rText, countWords(b.Steps), width, 2))...)
	}
	return append(rs, gap(), line(txt(rKeycap, " enter "), bold(rStrong, "  open its plan"), txt(rDim, "   runs nothing")))
}
