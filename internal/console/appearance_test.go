package console

import (
	"context"
	"slices"
	"testing"

	"lifeboat/internal/console/look"
)

// fakeLook has our themes, and one of a person that cannot be read.
type fakeLook struct{}

func (f *fakeLook) Themes(context.Context) []string { return append(look.Ours(), "mine") }

func (f *fakeLook) Theme(_ context.Context, name string) (*look.Theme, error) {
	if name == "mine" {
		return look.Parse("themes/mine.yaml", []byte("roles: {okk: {fg: green}}"))
	}
	return look.Named(name)
}

func TestAppearance(t *testing.T) {
	d := drive(t, 80, 24, newStory(t).keepGate())
	var seen []string
	for range len(look.Ours()) {
		d.press("ctrl+t")
		seen = append(seen, d.m.skin.theme.Name)
	}
	want := append(slices.Clone(look.Ours()[1:]), look.Standard) // the broken one is passed over
	if !slices.Equal(seen, want) {
		t.Errorf("ctrl+t went through %q, want %q", seen, want)
	}
	d.m.do(setTheme{name: "mine"})
	d.run(d.m.themeCmd(setTheme{name: "mine"}))
	if c, ok := d.m.top().(*card); !ok || d.m.skin.theme.Name != look.Standard {
		t.Errorf("%T is on top after a theme with mistakes, theme %q", d.m.top(), d.m.skin.theme.Name)
	} else if want := `themes/mine.yaml:1:9: role "okk" is not known; did you mean "ok"?`; len(c.body) < len(want) || c.body[:len(want)] != want {
		t.Errorf("the card says %q", c.body)
	}
	d.press("esc", "ctrl+g")
	if !d.m.skin.ascii {
		t.Error("ctrl+g did not change the glyphs")
	}
}

var lookScenes = []scene{
	{"palette-theme", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press(":").typeText("theme") }},
	{"theme-broken", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, func(_ *fakeBackend, o *Options) {
			o.Notice = `This is the standard theme: "mine" cannot be used. See lifeboat theme check mine`
		})
	}},
}
