package runbook

import (
	"fmt"
	"regexp"
	"strings"
)

// section is what stands between a heading and the next one.
type section struct {
	heading  int // index into Book.Headings, -1: before the first
	el       *headingElement
	at       int // offset of the heading
	from, to int // rows behind the heading
	parts    []element
	plain    string // the heading's text without Markdown
	phase    []int  // sections of the enclosing headings, outermost first; not the title
	prose    string // when it has no step
}

// unit is the making of one step.
type unit struct {
	step  *Step
	prose []span
}

// structure turns elements into headings, steps and prose.
func (p *parser) structure(elements []element, row int) {
	sections := p.sections(elements, row)
	p.title(sections)
	var pending []*section // without steps, since the last one with
	for i := range sections {
		s := &sections[i]
		steps := p.steps(s, sections)
		if p.full {
			return
		}
		if len(steps) == 0 {
			s.prose = p.prose([]span{{s.from, s.to}})
			if s.heading >= 0 {
				p.book.Headings[s.heading].prose = s.prose
			}
			pending = append(pending, s)
			continue
		}
		first := len(p.book.Steps) == 0
		steps[0].Guidance = join(p.before(pending, s, sections, first), steps[0].Guidance)
		pending = nil
		p.book.Steps = append(p.book.Steps, steps...)
	}
	if len(p.book.Steps) == 0 {
		p.before(pending, nil, sections, true)
	} else if !p.book.Plain {
		p.book.Outro = p.before(pending, nil, sections, false)
	}
	p.count()
}

// sections divides the elements by their headings and gives each its anchor.
func (p *parser) sections(elements []element, row int) []section {
	out := []section{{heading: -1, from: row}}
	anchors := map[string]int{}
	var open []int
	for _, e := range elements {
		last := &out[len(out)-1]
		if e.heading == nil {
			last.parts = append(last.parts, e)
			continue
		}
		last.to = e.row
		h := e.heading
		s := section{heading: len(p.book.Headings), el: h, at: e.at, from: e.end, plain: plainText(h.text)}
		for len(open) > 0 && out[open[len(open)-1]].el.level >= h.level {
			open = open[:len(open)-1]
		}
		s.phase = append([]int(nil), open...)
		open = append(open, len(out))
		slug := Slug(s.plain)
		if h.hasID && validID(h.id) {
			slug = h.id
		}
		if n := anchors[slug]; n > 0 {
			for anchors[fmt.Sprintf("%s-%d", slug, n)] > 0 {
				n++
			}
			anchors[slug] = n + 1
			slug = fmt.Sprintf("%s-%d", slug, n)
		}
		anchors[slug]++
		p.book.Headings = append(p.book.Headings, Heading{Level: h.level, Title: s.plain, Slug: slug, Pos: p.lines.pos(e.at)})
		out = append(out, s)
	}
	out[len(out)-1].to = len(p.lines.starts)
	return out
}

// title takes the first heading of level 1 as the title and out of the phases.
func (p *parser) title(sections []section) {
	title := -1
	for i, s := range sections {
		if s.heading >= 0 && s.el.level == 1 {
			title = i
			p.book.Title = s.plain
			break
		}
	}
	if t := p.book.Meta.Title; t != "" {
		p.book.Title = t
	}
	for i := range sections {
		if ph := sections[i].phase; len(ph) > 0 && ph[0] == title {
			sections[i].phase = ph[1:]
		}
	}
	p.book.titleAt = title - 1
}

// before gives what a reader of the document would have read on the way to the step
// of section s: the prose of the phases around it, and in a runbook every other
// section without a step. What stands before the first step is the intro.
func (p *parser) before(pending []*section, s *section, sections []section, first bool) string {
	var intro, lead []string
	for _, b := range pending {
		phase := false
		if s != nil {
			for _, i := range s.phase {
				phase = phase || &sections[i] == b
			}
		}
		title := b.heading < 0 || b.heading == p.book.titleAt
		text := b.prose
		if !phase && !title && text != "" {
			text = strings.Repeat("#", b.el.level) + " " + b.el.text + "\n\n" + text
		}
		switch {
		case text == "":
		case phase:
			lead = append(lead, text)
		case first:
			intro = append(intro, text)
		case !p.book.Plain:
			lead = append(lead, text)
		}
	}
	if first {
		p.book.Intro = join(intro...)
	}
	return join(lead...)
}

func join(texts ...string) string {
	var out []string
	for _, t := range texts {
		if t != "" {
			out = append(out, t)
		}
	}
	return strings.Join(out, "\n\n")
}

// prose gives the lines of spans without blank lines around them.
func (p *parser) prose(spans []span) string {
	var out []string
	for _, s := range spans {
		for row := s.from; row < s.to; row++ {
			line := string(p.lines.line(row))
			if strings.TrimSpace(line) == "" && (len(out) == 0 || out[len(out)-1] == "") {
				continue
			}
			out = append(out, strings.TrimRight(line, " \t"))
		}
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return strings.Join(out, "\n")
}

// count tells each heading how many steps its subtree has.
func (p *parser) count() {
	heads := p.book.Headings
	parent := make([]int, len(heads))
	var open []int
	for i, h := range heads {
		for len(open) > 0 && heads[open[len(open)-1]].Level >= h.Level {
			open = open[:len(open)-1]
		}
		parent[i] = -1
		if len(open) > 0 {
			parent[i] = open[len(open)-1]
		}
		open = append(open, i)
	}
	for _, st := range p.book.Steps {
		for i := st.heading; i >= 0; i = parent[i] {
			heads[i].Steps++
		}
	}
}

// steps makes the steps of a section: none when it has neither block nor task.
func (p *parser) steps(s *section, sections []section) []*Step {
	units := p.units(s)
	if len(units) == 0 {
		return nil
	}
	if p.made += len(units); p.made > maxSteps {
		p.errorAt(s.at, "too-large", fmt.Sprintf("the document has more than %d steps up to here", maxSteps), "split it")
		p.full = true
		return nil
	}
	if s.heading < 0 && !p.book.Plain {
		p.problem(Problem{units[0].step.first(), Error, "no-heading", "this stands before the first heading, so it belongs to no step", "put a heading above it"})
	}
	title, pos, phase := p.book.Title, units[0].step.first(), []string{}
	if s.heading >= 0 {
		title, pos = s.plain, p.lines.pos(s.at)
	}
	for _, i := range s.phase {
		phase = append(phase, sections[i].plain)
	}
	var out []*Step
	for _, u := range units {
		u.step.Guidance = p.prose(u.prose)
		u.step.Title, u.step.Pos, u.step.Phase, u.step.heading = title, pos, phase, s.heading
		if p.book.Plain {
			for _, st := range p.split(u.step) {
				p.careful(st)
				out = append(out, st)
			}
		} else {
			out = append(out, u.step)
		}
	}
	base := p.base(s)
	for i, st := range out {
		st.ID = base
		if i > 0 {
			st.ID = fmt.Sprintf("%s-%d", base, i+1)
			if st.Title == title {
				st.Title = fmt.Sprintf("%s (%d)", title, i+1)
			}
		}
		p.register(st)
	}
	return out
}

// base gives the id of the first step of a section.
func (p *parser) base(s *section) string {
	if s.heading < 0 {
		return stepSlug(Slug(plainText(p.book.Title)))
	}
	if s.el.hasID {
		if validID(s.el.id) {
			return s.el.id
		}
		p.problem(Problem{p.lines.pos(s.el.idAt), p.lenient(), "bad-id", fmt.Sprintf("%q cannot be a step id", clip(s.el.id)),
			"begin with a letter or digit, then lower case letters, digits, - and _, at most 64"})
	}
	slug := Slug(s.plain)
	if p.book.Plain {
		slug = p.book.Headings[s.heading].Slug
	}
	return stepSlug(slug)
}

// register makes ids unique: by a number in a plain document, by an error in a runbook.
func (p *parser) register(st *Step) {
	if st.Do != nil && st.Do.ID != "" {
		st.ID = st.Do.ID
	}
	if p.book.Plain {
		if st.ID == "" {
			st.ID = "step"
		}
		for id, n := st.ID, 2; ; n++ {
			if _, taken := p.ids[st.ID]; !taken {
				break
			}
			st.ID = fmt.Sprintf("%s-%d", id, n)
		}
	}
	at := st.Pos
	if st.Do != nil && st.Do.ID != "" {
		at = st.Do.AttrPos["id"]
	}
	if first, taken := p.ids[st.ID]; taken {
		p.problem(Problem{at, Error, "duplicate-id", fmt.Sprintf("step id %q is taken, by %s", st.ID, first),
			"change one heading, or give it an id of its own: ## Heading {#other-id}"})
	} else if st.ID == "" || strings.HasPrefix(st.ID, "-") {
		p.problem(Problem{at, Error, "bad-id", "no step id can be made of this heading", "give it one: ## Heading {#some-id}"})
	} else {
		p.ids[st.ID] = at
	}
}

// first gives the place of the first thing to do in a step.
func (s *Step) first() Pos {
	if len(s.Items) > 0 {
		return s.Items[0].Pos
	}
	if b := s.Blocks(); len(b) > 0 {
		return b[0].Pos
	}
	return s.Pos
}

// units groups the parts of a section: tasks, then one block that does something, then
// its checks, probe and undo.
func (p *parser) units(s *section) []*unit {
	var out []*unit
	var cur *unit
	row := s.from
	for _, e := range s.parts {
		var b *Block
		if e.fence != nil {
			if b = p.block(e); b == nil {
				continue
			}
		}
		if p.full || len(out) > maxSteps {
			return out
		}
		if cur == nil || !cur.takes(b) {
			cur = &unit{step: &Step{}}
			out = append(out, cur)
		}
		cur.prose = append(cur.prose, span{row, e.row})
		row = max(row, e.end)
		if b == nil {
			cur.step.Items = append(cur.step.Items, p.item(e))
			if p.items++; p.items > maxSteps {
				p.errorAt(e.at, "too-large", fmt.Sprintf("the document has more than %d tasks up to here", maxSteps), "split it")
				p.full = true
				return out
			}
			continue
		}
		p.place(cur.step, b)
	}
	if cur != nil {
		cur.prose = append(cur.prose, span{row, s.to})
	}
	return out
}

// takes says whether a block, or a task when it is nil, still belongs to the unit.
func (u *unit) takes(b *Block) bool {
	if b != nil && b.Role != Do {
		return true
	}
	return len(u.step.Blocks()) == 0
}

func (p *parser) place(st *Step, b *Block) {
	slot := &st.Do
	switch b.Role {
	case Verify:
		st.Verify = append(st.Verify, b)
		return
	case Probe:
		slot = &st.Probe
	case Undo:
		slot = &st.Undo
	}
	if *slot != nil {
		p.problem(Problem{b.Pos, Error, "second-" + string(b.Role), fmt.Sprintf("the step has its %s block already, at %s", b.Role, (*slot).Pos), "keep one of them"})
		return
	}
	*slot = b
}

var itemWord = regexp.MustCompile(`^[a-z]+(=.*)?$`)

// item reads the braces at the end of a task: {observe}, {expect=3}.
func (p *parser) item(e element) Item {
	it := Item{Text: p.foreign(e.task), Pos: p.lines.pos(e.at)}
	for range 4 { // more than there are
		open := strings.LastIndexByte(it.Text, '{')
		if open < 0 || !strings.HasSuffix(it.Text, "}") || open > 0 && it.Text[open-1] == '$' {
			break
		}
		word := strings.TrimSpace(it.Text[open+1 : len(it.Text)-1])
		key, value, has := strings.Cut(word, "=")
		value = strings.Trim(value, `"`)
		switch {
		case word == "observe":
			it.Observe = true
		case key == "expect" && has && value != "":
			it.Observe, it.Expect = true, value
		case len(word) > 100 || !itemWord.MatchString(word) || p.book.Plain:
			return it
		default:
			p.problem(Problem{it.Pos, Error, "bad-item", fmt.Sprintf("{%s} means nothing at the end of a task", clip(word)),
				"write {observe} to ask for a value, {expect=3} to compare it, or ${name} for a parameter"})
			return it
		}
		it.Text = strings.TrimSpace(it.Text[:open])
	}
	if it.Text == "" {
		p.problem(Problem{it.Pos, p.lenient(), "bad-item", "this task has no text", "say what to do"})
	}
	return it
}

// foreign keeps ${...} in the text of a plain document from being a reference: nobody
// wrote it as one.
func (p *parser) foreign(text string) string {
	if p.book.Plain {
		return strings.ReplaceAll(text, "${", "$${")
	}
	return text
}
