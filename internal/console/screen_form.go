package console

import (
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// formScreen takes the parameters of a run. Nothing changes before all of them are handed
// in: esc leaves everything as it was.
//
// The fields are those of huh. It is driven here key by key, and no command of it is ever
// run: what it asks for by commands is to go to the next field, which is done directly, and
// a cursor that blinks, which would keep an idle console busy.
type formScreen struct {
	title  string
	params []Param
	values []string // as they are typed
	submit func(map[string]string) Intent
	form   *huh.Form
	typed  widget.Field // only says that letters are text
	at     int
	tight  bool           // there is no room for lines between the fields
	styles [2]*huh.Styles // without room, with it
	wrong  error          // of the field with the cursor
	now    time.Time
}

// incidentField is the parameter that every run has: when the incident began.
const incidentField = "incident"

func newForm(w *world, title string, params []Param, values map[string]string, submit func(map[string]string) Intent) *formScreen {
	f := &formScreen{title: title, params: params, submit: submit, now: w.now}
	f.values = make([]string, len(params))
	fields := make([]huh.Field, len(params))
	for i, p := range params {
		f.values[i] = values[p.Name]
		fields[i] = f.field1(i)
	}
	f.form = huh.NewForm(huh.NewGroup(fields...)).WithTheme(huh.ThemeFunc(f.theme)).WithKeyMap(formKeys()).
		WithShowHelp(false).WithShowErrors(false)
	f.form.Init()
	return f
}

// field1 makes the field of a parameter. Its texts come from a runbook: they are cleaned
// here, because a library draws them.
func (f *formScreen) field1(i int) huh.Field {
	p := f.params[i]
	title := printable.Line(p.Name)
	if p.Required {
		title += "  required"
	}
	help := inline(printable.Line(p.Help))
	check := func(v string) error { return p.check(v, f.now) }
	if len(p.Options) > 0 {
		var options []huh.Option[string]
		for _, o := range p.Options {
			options = append(options, huh.NewOption(printable.Line(o), o))
		}
		if f.values[i] == "" && p.Required { // nothing is chosen for anybody
			options = append([]huh.Option[string]{huh.NewOption("choose one", "")}, options...)
		}
		return huh.NewSelect[string]().Title(title).Description(help).Options(options...).Inline(true).Value(&f.values[i]).Validate(check)
	}
	in := huh.NewInput().Title(title).Description(help).Value(&f.values[i]).Validate(check).Prompt("").CharLimit(4096)
	if p.Secret {
		in = in.EchoMode(huh.EchoModePassword)
	}
	return in
}

// check says what is wrong with a value.
func (p *Param) check(v string, now time.Time) error {
	switch {
	case strings.TrimSpace(v) == "" && p.Required:
		return fmt.Errorf("%s is required", p.Name)
	case p.Name == incidentField:
		_, err := incidentAt(v, now)
		return err
	}
	return nil
}

// incidentAt reads the time at which it began: today, or yesterday when that is still to come.
func incidentAt(text string, now time.Time) (time.Time, error) {
	if text = strings.TrimSpace(text); text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("incident %q is no time; write hh:mm in UTC", text)
	}
	n := now.UTC()
	at := time.Date(n.Year(), n.Month(), n.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	switch early := at.Sub(n); {
	case early > 5*time.Minute:
		at = at.AddDate(0, 0, -1)
	case early > 0: // of a watch that goes a little fast: it means now, not yesterday
		at = n
	}
	return at, nil
}

// The parts of the field with the cursor, for [formScreen.rows] to find in what huh drew.
const (
	formTitle = rBrand
	formHelp  = rGate
	formValue = rLive
)

// theme gives our roles to the fields.
func (f *formScreen) theme(bool) *huh.Styles {
	kept := &f.styles[0]
	if !f.tight {
		kept = &f.styles[1]
	}
	if *kept != nil { // each field asks for it in each frame
		return *kept
	}
	s := huh.ThemeBase(false)
	*kept = s
	plain := lipgloss.NewStyle()
	s.FieldSeparator = plain.SetString("\n\n")
	if f.tight {
		s.FieldSeparator = plain.SetString("\n")
	}
	look := func(title, help, value widget.Role, from, to string) huh.FieldStyles {
		l := s.Focused
		l.Base, l.ErrorIndicator, l.ErrorMessage = plain.PaddingLeft(2), plain, plain
		l.Title, l.Description, l.SelectedOption = roleStyle(title), roleStyle(help), roleStyle(value)
		l.PrevIndicator, l.NextIndicator = roleStyle(value).SetString(from), roleStyle(value).SetString(to)
		l.TextInput = huh.TextInputStyles{Cursor: roleStyle(value), Text: roleStyle(value), Prompt: plain, Placeholder: roleStyle(help)}
		return l
	}
	s.Focused = look(formTitle, formHelp, formValue, "◂ ", " ▸")
	s.Blurred = look(rDim, rFaint, rText, "", "")
	return s
}

// rows are the fields as huh drew them. The one with the cursor has a mark, a ground that
// shows where is typed, and what is wrong with it.
func (f *formScreen) rows() []row {
	var rs []row
	said := false
	for _, r := range foreignRows(strings.TrimRight(f.form.View(), "\n "), rText) {
		help := false
		for i := range r.left {
			switch s := &r.left[i]; {
			case s.role == formTitle:
				s.role, s.attr = rStrong, widget.Bold
				if i == 1 && r.left[0].role == rText && len(r.left[0].text) == 2 {
					r.left[0] = txt(rNow, "▸ ")
				}
			case s.role == formHelp:
				s.role, help = rDim, true
			case s.role == formValue, s.attr&widget.Invert != 0:
				s.role, s.attr, r.tint = rStrong, s.attr|widget.Bold, true
			}
		}
		if f.wrong != nil && (help || r.tint) && !said {
			rs, said = append(rs, line(txt(rWarn, "▲ "), bold(rText, f.wrong.Error()))), true
		}
		if f.wrong == nil || !help {
			rs = append(rs, r)
		}
	}
	return rs
}

// formKeys are the keys that a field itself hears: only those that change its value.
func formKeys() *huh.KeyMap {
	none := key.NewBinding(key.WithDisabled())
	k := huh.NewDefaultKeyMap()
	k.Quit = none
	k.Input.Prev, k.Input.Next, k.Input.Submit, k.Input.AcceptSuggestion = none, none, none, none
	k.Select = huh.SelectKeyMap{
		Prev: none, Next: none, Submit: none, Up: none, Down: none, Filter: none, SetFilter: none, ClearFilter: none,
		HalfPageUp: none, HalfPageDown: none, GotoTop: none, GotoBottom: none,
		Left: key.NewBinding(key.WithKeys("left", "h")), Right: key.NewBinding(key.WithKeys("right", "l", "space")),
	}
	return k
}

func (f *formScreen) card() bool { return true }

func (f *formScreen) field() *widget.Field {
	if f.choosing() {
		return nil
	}
	return &f.typed
}

// choosing says whether the field with the cursor is a list.
func (f *formScreen) choosing() bool { return len(f.params[f.at].Options) > 0 }

// takes hands a key or pasted text to the field with the cursor.
func (f *formScreen) takes(msg tea.Msg) {
	f.form.Update(msg)
	f.wrong = nil
}

// key implements typist.
func (f *formScreen) key(k tea.KeyPressMsg) { f.takes(k) }

func (f *formScreen) paste(text string) Intent {
	if !f.choosing() {
		f.takes(tea.PasteMsg{Content: printable.Line(strings.TrimRight(text, "\r\n"))})
	}
	return nil
}

// step goes to another field. Going on is not possible while the value is wrong.
func (f *formScreen) step(by int) {
	if f.wrong = f.params[f.at].check(f.values[f.at], f.now); by > 0 && f.wrong != nil {
		return
	}
	if to := f.at + by; to >= 0 && to < len(f.params) {
		if f.at, f.wrong = to, nil; by > 0 {
			f.form.NextField()
		} else {
			f.form.PrevField()
		}
	}
}

// hand hands all of it in, or goes to the first field that is wrong.
func (f *formScreen) hand() Intent {
	out := map[string]string{}
	for i, p := range f.params {
		if err := p.check(f.values[i], f.now); err != nil {
			for f.at > i {
				f.at--
				f.form.PrevField()
			}
			for f.at < i {
				f.at++
				f.form.NextField()
			}
			f.wrong = err
			return nil
		}
		out[p.Name] = f.values[i]
	}
	return f.submit(out)
}

func (f *formScreen) bindings(*world) []binding {
	last := f.at == len(f.params)-1
	next := does("enter", "next", "Next parameter.", func() Intent { f.step(1); return nil })
	if last {
		next = does("enter", "use them", "Hand all of them in.", f.hand)
	}
	what := binding{show: "type", help: "the value", brief: "value"}
	bs := []binding{next}
	if f.choosing() {
		what = binding{keys: []string{"right", "l", "space"}, show: "left right", help: "choose", long: "Next value.", act: func() Intent { f.takes(tea.KeyPressMsg{Code: tea.KeyRight}); return nil }}
		bs = append(bs, binding{keys: []string{"left", "h"}, long: "Value before.", act: func() Intent { f.takes(tea.KeyPressMsg{Code: tea.KeyLeft}); return nil }})
	}
	noBack := ""
	if f.at == 0 {
		noBack = "this is the first one"
	}
	bs = append(bs, what,
		does("ctrl+o", "use them all", "Hand all of them in as they are.", f.hand).named("", "use all"),
		binding{keys: []string{"tab", "down"}, long: "Next parameter.", act: func() Intent { f.step(1); return nil }},
		binding{keys: []string{"up", "shift+tab"}, show: "up", help: "previous", long: "Parameter before.", act: func() Intent { f.step(-1); return nil }}.unless(noBack),
		does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})))
	return bs
}

func (f *formScreen) draw(w *world, a area) {
	width := min(a.w-4, 80)
	body := a.sub(w.head(), a.h-w.head()-footRows(a))
	need := 4
	for _, p := range f.params {
		need += 3 + max(len(wrap(p.Help, width-6, 0)), 1)
	}
	f.tight = need > body.h
	high := min(need, body.h)
	f.form.WithWidth(width - 4).WithHeight(max(high-4, 4))
	f.form.Update(nil) // it lays itself out anew
	box := area{a.c, a.x + (a.w-width)/2, body.y + (body.h-high)/3, width, high}
	a.c.Clear(box.x, box.y, box.w, box.h)
	in := box.box(frame{title: []span{bold(rStrong, f.title)}, right: []span{txt(rDim, itoa(f.at+1)+" of "+itoa(len(f.params)))}, heavy: true, role: rHeavy})
	in.sub(0, in.h-2).rows(f.rows())
	in.row(in.h-1, row{left: []span{txt(rDim, "Nothing is started from here.")}, right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}})
}
