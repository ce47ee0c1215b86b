package console

import (
	"fmt"
	"slices"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/look"
)

// appearance is how the console looks now: a theme, the glyphs, and what the terminal
// can show. All of it can change while it runs.
type appearance struct {
	theme *look.Theme
	term  look.Terminal
	ascii bool
	style *look.Style
	names []string // of the themes there are; empty until they were read
}

func (a *appearance) renew() { a.style = a.theme.Style(a.term) }

// newAppearance is what is known before the terminal has answered anything.
func newAppearance(o Options) (appearance, error) {
	a := appearance{theme: o.Theme, ascii: o.ASCII, term: look.Terminal{Profile: colorprofile.TrueColor, Dark: look.Dark(o.Env)}}
	if look.NoColour(o.Env) {
		a.term.Profile = colorprofile.ASCII
	}
	if a.theme == nil {
		t, err := look.Named(look.Standard)
		if err != nil {
			return a, err
		}
		a.theme = t
	}
	a.renew()
	return a, nil
}

// profiled takes what the terminal can show; who asked for no colours gets none.
func (a *appearance) profiled(p colorprofile.Profile, env []string) {
	if a.term.Profile = p; look.NoColour(env) {
		a.term.Profile = min(p, colorprofile.ASCII)
	}
	a.renew()
}

// The intents. Their keys work on every screen where letters may be typed too.
type (
	setTheme  struct{ name string } // a name or a file; empty: the next one
	setGlyphs struct{ ascii bool }
	themeMsg  struct {
		theme *look.Theme
		err   error
	}
	themeNamesMsg []string
)

func (setTheme) intent()  {}
func (setGlyphs) intent() {}

// lookKeys change the appearance on every screen.
func lookKeys(w *world) []binding {
	glyphs := "Draw with ASCII only."
	if w.skin.ascii {
		glyphs = "Draw with all glyphs again."
	}
	return []binding{
		{keys: []string{"ctrl+t"}, long: fmt.Sprintf("Another theme. This one is %q; LIFEBOAT_THEME keeps one.", w.skin.theme.Name), act: wish(setTheme{})},
		{keys: []string{"ctrl+g"}, long: glyphs + " LIFEBOAT_ASCII=1 or 0 keeps it.", act: wish(setGlyphs{!w.skin.ascii})},
	}
}

// themeCmd reads the theme that is wished for. Of a list with mistakes in it the next
// sound one is taken.
func (m *Model) themeCmd(i setTheme) tea.Cmd {
	ctx, b, now := m.ctx, m.backend, m.skin.theme.Name
	return func() tea.Msg {
		if i.name != "" {
			t, err := b.Theme(ctx, i.name)
			return themeMsg{t, err}
		}
		names := b.Themes(ctx)
		at := slices.Index(names, now)
		var first error
		for n := range names {
			t, err := b.Theme(ctx, names[(at+1+n)%len(names)])
			if err == nil {
				return themeMsg{t, nil}
			}
			if first == nil {
				first = err
			}
		}
		return themeMsg{nil, first}
	}
}

// themeNames is the command that reads them, once.
func (m *Model) themeNames() tea.Msg {
	b := m.backend
	return themeNamesMsg(b.Themes(m.ctx))
}

func (m *Model) gotTheme(msg themeMsg) tea.Cmd {
	if msg.err != nil {
		m.stack = append(m.stack, problem("change the theme", msg.err))
		return m.hush()
	}
	m.skin.theme = msg.theme
	m.skin.renew()
	text := "Theme " + msg.theme.Name
	if msg.theme.About != "" {
		text += ": " + msg.theme.About
	}
	return m.do(say{text + "."})
}

func (m *Model) glyphs(i setGlyphs) tea.Cmd {
	m.skin.ascii = i.ascii
	if i.ascii {
		return m.do(say{"ASCII glyphs. ctrl+g brings the others back."})
	}
	return m.do(say{"All glyphs."})
}

// lookGroup is what the palette lists of the appearance.
func lookGroup(w *world) group {
	g := group{name: "LOOKS"}
	for _, name := range w.skin.names {
		it := thing{head: "theme " + name, text: "Draw the console in this theme.", do: wish(setTheme{name})}
		if name == w.skin.theme.Name {
			it.off = "it is the one you see"
		}
		g.add(it, "colours", "look")
	}
	for _, set := range []struct {
		name, text string
		ascii      bool
	}{{"unicode", "Draw with all glyphs.", false}, {"ascii", "Draw with ASCII only.", true}} {
		it := thing{head: "glyphs " + set.name, text: set.text, do: wish(setGlyphs{set.ascii})}
		if set.ascii == w.skin.ascii {
			it.off = "they are the ones you see"
		}
		g.add(it, "look")
	}
	return g
}
