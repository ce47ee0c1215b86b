package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// planScreen shows what a runbook would do. Nothing on it runs anything: s asks for the
// parameters, then once more.
type planScreen struct {
	book   *Book
	mode   run.Mode
	values map[string]string // of the parameters, and of the incident
	at     int               // chosen step
	scroll int               // of the guidance
	place  incident.Place    // where triage has led; zero: somebody knew the runbook
}

func newPlan(w *world, b *Book) screen {
	p := &planScreen{book: b, mode: w.o.Mode, values: map[string]string{}}
	for _, param := range b.Params {
		p.values[param.Name] = param.Default
	}
	return p
}

// params are those of the runbook, then when the incident began.
func (p *planScreen) params() []Param {
	if !p.incident() {
		return p.book.Params
	}
	return append(slices.Clone(p.book.Params), Param{Name: incidentField, Help: "When it began, hh:mm UTC; empty: when the run starts."})
}

// incident says whether the runbook answers one: then it matters when that began.
func (p *planScreen) incident() bool {
	return p.book.Kind != "backup" && p.book.Kind != "verification"
}

// newPlanFor is the plan that triage has led to.
func newPlanFor(w *world, b *Book, place incident.Place, since time.Time) screen {
	p := newPlan(w, b).(*planScreen)
	p.place = place
	if p.incident() { // it began before anybody asked what happened
		p.values[incidentField] = since.UTC().Format("15:04")
	}
	return p
}

// newPlanAgain is the plan of a run that is begun anew: with the values of the one before,
// and of the same incident.
func newPlanAgain(w *world, b *Book, r *run.Run) *planScreen {
	p := newPlan(w, b).(*planScreen)
	for _, param := range b.Params {
		if v, ok := r.Started.Params[param.Name]; ok {
			p.values[param.Name] = v
		}
	}
	p.place.Level, p.place.Said = r.Level, r.Started.Triage
	if p.incident() {
		p.values[incidentField] = r.Began().UTC().Format("15:04")
	}
	return p
}

// beginAnew opens the parameters of the run on the screen, for another run: nothing of that
// runs before it was started like any other.
func (w *world) beginAnew() Intent {
	b := w.book(w.snap.Started.Book)
	if b == nil {
		return say{"The runbook " + w.snap.Started.Book + " is not in the library any more."}
	}
	p := newPlanAgain(w, b, &w.snap.Run)
	return several{push{p}, p.fill(w, func() Intent { return push{p.confirm(w)} })}
}

// begins is the level that a run of it begins on.
func (p *planScreen) begins() int { return max(p.place.Level, p.book.Level) }

func (p *planScreen) card() bool { return false }

// calls knows the level that the run would begin on.
func (p *planScreen) calls(*world) *callScreen {
	return &callScreen{level: p.begins(), seen: cmp.Or(p.place.Seen, p.book.Title)}
}

// asks wants to know how long its steps usually take.
func (p *planScreen) asks(w *world) Intent { return w.wantUsual(p.book) }

func (p *planScreen) field() *widget.Field { return nil }

// missing says what keeps the run from being started; empty when nothing does.
func (p *planScreen) missing() string {
	if p.book.Broken {
		return "the runbook has problems that must be corrected first"
	}
	return ""
}

// fill opens the form. What is handed in there is kept, and then happens.
func (p *planScreen) fill(w *world, then func() Intent) Intent {
	return push{newForm(w, "PARAMETERS OF "+p.book.Name, p.params(), p.values, func(values map[string]string) Intent {
		p.values = values
		return several{pop{}, then()}
	})}
}

// begin asks for the parameters, then once more. What is routine has its defaults, and asks
// only for what it cannot do without.
func (p *planScreen) begin(w *world) Intent {
	ask := func() Intent { return push{p.confirm(w)} }
	missing := slices.ContainsFunc(p.book.Params, func(m Param) bool { return m.Required && p.values[m.Name] == "" })
	if len(p.book.Params) == 0 || !missing && !p.incident() {
		return ask()
	}
	return p.fill(w, ask)
}

func (p *planScreen) start(w *world) Start {
	s := Start{Book: p.book.Name, Mode: p.mode, Params: map[string]string{}, Triage: p.place.Said}
	for _, param := range p.book.Params {
		if v := p.values[param.Name]; v != "" {
			s.Params[param.Name] = v
		}
	}
	if p.place.Level > p.book.Level {
		s.Level = p.place.Level
	}
	s.Incident, _ = incidentAt(p.values[incidentField], w.now) // checked when it was handed in
	return s
}

func (p *planScreen) bindings(w *world) []binding {
	move := func(by int) func() Intent {
		return func() Intent {
			p.at = min(max(p.at+by, 0), max(len(p.book.Steps)-1, 0))
			p.scroll = 0
			return nil
		}
	}
	word, _, _ := modeLook(p.mode)
	noParams := ""
	if len(p.params()) == 0 {
		noParams = "the runbook takes none"
	}
	return []binding{
		does("s", "start, asks once more", "Start the run. It takes the parameters, and asks once more.", func() Intent { return p.begin(w) }).named("", "start").unless(p.missing()),
		does("tab", "parameters", "Set the parameters, and when the incident began.", func() Intent { return p.fill(w, func() Intent { return nil }) }).named("", "params").unless(noParams),
		{keys: []string{"up", "k"}, show: "up down", help: "steps", long: "Move in the steps.", act: move(-1)},
		{keys: []string{"down", "j"}, long: "Next step.", act: move(1)},
		{keys: []string{"pgdown"}, long: "More guidance.", act: func() Intent { p.scroll += 6; return nil }},
		{keys: []string{"pgup"}, long: "Back in the guidance.", act: func() Intent { p.scroll = max(p.scroll-6, 0); return nil }},
		does("m", "mode, now "+word, "Change the mode: for real, or a dry run that changes nothing.", func() Intent {
			if p.mode == run.Dry {
				p.mode = w.o.Mode
			} else {
				p.mode = run.Dry
			}
			return nil
		}).named("", "mode"),
		does("r", "read it", "Read the whole document.", func() Intent { return push{&docScreen{book: p.book}} }).named("", "read"),
		does("esc", "back", "Back to where you came from.", wish(pop{})),
		does("q", "leave", "Leave the console.", wish(leave{})).unlisted(),
	}
}

// confirm asks once more. The yes is a number, never enter.
func (p *planScreen) confirm(w *world) screen {
	word, badge, _ := modeLook(p.mode)
	body := p.book.Title + "\n\n" + countWords(p.book.Steps)
	if set := p.given(w.now); set != "" {
		body += "\n\nWith " + set + "."
	}
	switch {
	case p.mode == run.Dry:
		body += "\n\nA dry run only reads and shows plans. It changes nothing."
	case p.mode == run.Drill && p.book.Staged != "":
		body += "\n\n" + p.book.Staged + "\n\nThe sandbox is broken for real; what an earlier drill broke is made anew. Nothing outside it can be reached."
	case p.mode == run.Drill:
		body += "\n\nIt runs for real, on the sandbox as it is now. Nothing outside it can be reached."
	default:
		body += "\n\nSteps that only read run at once. Nothing is changed before a gate has asked you."
	}
	body += owedWords(w)
	wait := &waitScreen{book: p.book, mode: p.mode, since: w.now}
	return &card{title: "START " + word + " RUN OF " + p.book.Name + "?", badge: badge, body: body,
		yes: does("1", "start the "+word+" run", "Start the run.", func() Intent {
			wait.since = w.now
			return several{pop{}, push{wait}, startRun{p.start(w)}}
		})}
}

// given lists the parameters that have a value. Of a secret only that it has one is said.
func (p *planScreen) given(now time.Time) string {
	var list []string
	for _, param := range p.params() {
		switch v := p.values[param.Name]; {
		case strings.TrimSpace(v) == "":
		case param.Secret:
			list = append(list, param.Name+" (secret)")
		case param.Name == incidentField:
			if at, err := incidentAt(v, now); err == nil {
				list = append(list, param.Name+" "+v+" UTC, "+incident.Span(now.Sub(at))+" ago")
			}
		default:
			list = append(list, param.Name+" "+v)
		}
	}
	return widget.Cut(printable.Line(strings.Join(list, ", ")), 140, "…")
}

// countWords says in one sentence who does what in a runbook.
func countWords(steps []run.Outline) string {
	var self, yes, token, hand int
	for _, o := range steps {
		switch {
		case o.Hand:
			hand++
		case o.Effect == "destroy":
			token++
		case o.Effect == "write":
			yes++
		default:
			self++
		}
	}
	var parts []string
	for _, c := range []struct {
		n    int
		does [2]string // of one step, of more
	}{
		{self, [2]string{"runs by itself", "run by themselves"}}, {yes, [2]string{"asks for a yes", "ask for a yes"}},
		{token, [2]string{"asks for a typed token", "ask for a typed token"}}, {hand, [2]string{"is done by hand", "are done by hand"}},
	} {
		if c.n > 0 {
			parts = append(parts, itoa(c.n)+" "+c.does[min(c.n, 2)-1])
		}
	}
	return plural(len(steps), "step", "steps") + ": " + strings.Join(parts, ", ") + "."
}

func (p *planScreen) remark(*world) string {
	if why := p.missing(); why != "" {
		return "start is off: " + why
	}
	return ""
}

func (p *planScreen) draw(w *world, a area) {
	word, badge, _ := modeLook(p.mode)
	a.row(0, row{left: []span{txt(badge, " "+word+" "), bold(rStrong, " plan"), txt(rText, "  "+p.book.Title)},
		right: []span{txt(rDim, p.book.Name+" · "+kindWords(p.book)), p.raised(), txt(rText, " ")}})
	a.row(1, row{left: []span{txt(rDim, " This is what it would do. Nothing has been started.")}, right: []span{txt(rDim, p.book.Source+" ")}})
	drawModeRule(a, 2, p.mode)
	body := a.sub(3, a.h-3-footRows(a))
	form := p.formRows(body.w - 4)
	if wide(a) {
		left, right := body.split(48)
		p.drawSteps(w, left)
		form = p.formRows(right.w - 4)
		high := min(len(form)+2, right.h/2)
		p.drawGuide(right.sub(0, right.h-high))
		p.drawForm(right.sub(right.h-high, high), form)
		return
	}
	high := min(len(form)+2, max(body.h/3, 3))
	steps := min(len(p.book.Steps)+2, max((body.h-high)/2, 3))
	p.drawSteps(w, body.sub(0, steps))
	p.drawGuide(body.sub(steps, body.h-steps-high))
	p.drawForm(body.sub(body.h-high, high), form)
}

// raised says that triage leads to a higher level than the runbook's.
func (p *planScreen) raised() span {
	if p.place.Level <= p.book.Level {
		return span{}
	}
	return bold(rWarn, ", begins on level "+itoa(p.place.Level))
}

func (p *planScreen) drawSteps(w *world, a area) {
	in := a.box(frame{title: []span{bold(rStrong, "STEPS"), txt(rDim, "  "+itoa(len(p.book.Steps)))}, role: rFrame})
	at := p.at
	rows := outlineRows(p.book.Steps, in.w, at, w.usual[p.book.Name])
	from := min(max(at-in.h/2, 0), max(len(rows)-in.h, 0))
	for i := from; i < min(len(rows), from+in.h); i++ {
		in.row(i-from, rows[i])
	}
}

func (p *planScreen) drawGuide(a area) {
	if len(p.book.Steps) == 0 {
		a.box(frame{heavy: true, role: rHeavy}).rows([]row{line(txt(rDim, "This runbook has no steps."))})
		return
	}
	o := p.book.Steps[min(p.at, len(p.book.Steps)-1)]
	glyph, role, kind := stepLook(o)
	in := a.box(frame{title: []span{bold(rStrong, "STEP "+itoa(p.at+1))}, right: []span{txt(role, glyph), txt(rDim, " "+kind)}, heavy: true, role: rHeavy})
	rs := []row{line(bold(rStrong, o.Title))}
	if len(o.Phase) > 0 {
		rs = append(rs, line(txt(rFaint, strings.Join(o.Phase, " · "))))
	}
	rs = append(append(rs, gap()), prose(p.book.Guidance[o.ID], in.w, false)...)
	rs = append(rs, gap())
	if o.Action != "" {
		rs = append(rs, line(txt(rDim, pad("action", 9)), txt(rText, o.Action)))
	}
	rs = append(rs, effectRows(o, in.w)...)
	if !o.Hand {
		rs = append(append(rs, gap(), line(bold(rStrong, "DONE WHEN"))), toCheck(p.book, o.ID, in.w)...)
	}
	drawParts(in, rs, nil, p.scroll, "pgdown")
}

func effectRows(o run.Outline, width int) []row {
	switch {
	case o.Hand:
		return labelled("effect", 9, rText, "you do it, and say what you see", width, 2)
	case o.Effect == "destroy":
		return labelled("effect", 9, rText, "can lose something: shows its plan and asks for a token of its live target", width, 2)
	case o.Effect == "write":
		return labelled("effect", 9, rText, "changes something that can be put back: shows its plan and asks for a yes", width, 2)
	}
	return labelled("effect", 9, rText, "only reads, runs without asking", width, 2)
}

// formRows lists the parameters as they stand.
func (p *planScreen) formRows(width int) []row {
	var rs []row
	for _, param := range p.params() {
		v := p.values[param.Name]
		if param.Secret && v != "" {
			v = "********"
		}
		r := row{left: []span{txt(rDim, pad(param.Name, 14)), bold(rStrong, v)}}
		if v == "" && param.Required {
			r.left[1] = txt(rWarn, "▲ is asked for when you start")
		} else if v == "" && param.Secret {
			r.left[1] = txt(rDim, "secret")
		}
		if room := width - spansWidth(r.left) - 2; room > 8 {
			r.right = []span{txt(rDim, widget.Cut(inline(printable.Line(param.Help)), room, "…"))}
		}
		rs = append(rs, r)
	}
	if len(rs) == 0 {
		rs = []row{line(txt(rDim, "it takes none"))}
	}
	return rs
}

func (p *planScreen) drawForm(a area, rs []row) {
	f := frame{title: []span{bold(rStrong, "PARAMETERS")}, right: []span{bold(rStrong, "tab"), txt(rDim, " set them")}, role: rFrame}
	if len(p.params()) == 0 {
		f.right = nil
	}
	a.box(f).rows(rs)
}
