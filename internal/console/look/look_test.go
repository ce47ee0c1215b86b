package look

import (
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"lifeboat/internal/console/widget"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct{ yaml, says string }{
		{"roles:\n  okk: {fg: green}", `mine.yaml:2:3: role "okk" is not known; did you mean "ok"?`},
		{"roles:\n  ok: {fg: grene}", `mine.yaml:2:12: colour "grene" is not known; did you mean "green"?`},
		{"roles:\n  ok: {foreground: green}", `mine.yaml:2:8: key "foreground" is not known`},
		{"extends: auto\nroles:\n  ok: {fg: lifebot}", `mine.yaml:3:12: colour "lifebot" is not known; did you mean "lifeboat"?`},
		{"palette: {a: {dark: '#12345'}}", `mine.yaml:1:21: colour "#12345" is not known`},
		{"palette: {a: {dark: red, few: '#123456'}}", "mine.yaml:1:31: few is for terminals with sixteen colours"},
		{"tint: nothing", `mine.yaml:1:7: colour "nothing"`},
		{"extends: ours", `mine.yaml:1:10: there is no theme "ours"`},
		{"extend: auto", `did you mean "extends"?`},
		{"roles: {ok: {bold: maybe}}", "mine.yaml:1:20: this is true or false"},
		{"roles: {ok: {}, ok: {}}", "ok"},
		{"contrast: 30", "from 1 to 21"},
		{"apart: [cats]", "deuteranopia, protanopia"},
		{"- a", "a theme is a mapping"},
		{"", "a theme is one document"},
		{"roles: [", "mine.yaml:1:8"},
		{"roles: &a {ok: {}}\npalette: *a", "mine.yaml"},
		{strings.Repeat("#", MaxTheme+1), "more than 65536"},
		{"roles: {\"a\x1b[2J\": {}}", "mine.yaml:1"},
	} {
		_, err := Parse("mine.yaml", []byte(tc.yaml))
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%.60s: %v, want %q", tc.yaml, err, tc.says)
		}
	}
	if _, err := Parse("mine.yaml", []byte("roles: {ok: {fg: 42, bg: bright-blue}}")); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("extends: auto\npalette: {red: {dark: '#ff0000', few: red}}\nroles: {ok: {fg: red, bold: true}}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if th, err := Parse("f.yaml", src); err == nil {
			th.Style(Terminal{Profile: colorprofile.ANSI})
		}
	})
}

// TestExtends: a name of the palette that is said anew changes the roles that the theme
// below has with it, and nothing else.
func TestExtends(t *testing.T) {
	th, err := Parse("mine.yaml", []byte("extends: auto\npalette: {green: '#00ff00'}"))
	if err != nil {
		t.Fatal(err)
	}
	auto, _ := Named("auto")
	term := Terminal{Profile: colorprofile.TrueColor, Dark: true}
	for r := range Themed {
		mine, theirs := th.Style(term).Prefix(r, 0), auto.Style(term).Prefix(r, 0)
		if r == OK && mine != "\x1b[38;2;0;255;0m" || r != OK && mine != theirs {
			t.Errorf("%s is %q, of auto %q", RoleName(r), mine, theirs)
		}
	}
}

// TestBadges: no theme takes the mode away. One that makes every colour that of the
// ground has the badges of all others, and they can be read.
func TestBadges(t *testing.T) {
	blind := "ground: '#000000'\ntint: '#000000'\npalette: {red: '#000000', blue: '#000000'}\nroles:\n"
	for r := range Themed {
		blind += "  " + RoleName(r) + ": {fg: '#000000', bg: '#000000', faint: true}\n"
	}
	th, err := Parse("blind.yaml", []byte(blind))
	if err != nil {
		t.Fatal(err)
	}
	auto, _ := Named("auto")
	for _, p := range []colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
		for _, dark := range []bool{true, false} {
			term := Terminal{p, dark}
			for _, r := range []widget.Role{LiveBadge, DrillBadge, DryBadge} {
				got, want := th.Style(term).Prefix(r, 0), auto.Style(term).Prefix(r, 0)
				if got != want || got == "" {
					t.Errorf("%s in %v is %q with a theme that hides it, %q with ours", RoleName(r), p, got, want)
				}
			}
		}
	}
	for _, name := range Ours() {
		th, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		term := Terminal{colorprofile.TrueColor, true}
		for _, r := range []widget.Role{LiveBadge, DrillBadge, DryBadge} {
			f := th.badge(r, term)
			if c := ratio(f.fg, f.bg, xterm); c < 4.5 {
				t.Errorf("%s of %s has a contrast of %.1f", RoleName(r), name, c)
			}
		}
		if live, drill := th.badge(LiveBadge, term), th.badge(DrillBadge, term); ratio(live.bg, drill.bg, xterm) < 1.5 {
			t.Errorf("the grounds of LIVE and DRILL of %s are alike", name)
		}
	}
}

func TestNearest256(t *testing.T) {
	for hex, want := range map[uint32]uint8{0x223040: 236, 0x414d5a: 239, 0xff4f00: 202, 0x000000: 16, 0xffffff: 231} {
		if got := rgb(hex).nearest256(); got.n != want {
			t.Errorf("#%06x is %d of 256, want %d", hex, got.n, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		env         string
		ascii, mono bool
	}{
		{"", false, false},
		{"LANG=en_GB.UTF-8", false, false},
		{"LANG=de_DE.utf8", false, false},
		{"LANG=C", true, false},
		{"LANG=en_GB.UTF-8 LC_ALL=C", true, false},
		{"LC_ALL= LANG=C.UTF-8", false, false},
		{"LANG=de_DE.ISO-8859-1", true, false},
		{"LANG=en_GB.UTF-8 TERM=linux", true, false},
		{"LANG=en_GB.UTF-8 TERM=linux LIFEBOAT_ASCII=0", false, false},
		{"LANG=en_GB.UTF-8 LIFEBOAT_ASCII=1", true, false},
		{"TERM=vt220", true, false},
		{"NO_COLOR=1", false, true},
		{"NO_COLOR=yes", false, true},
		{"NO_COLOR=", false, false},
		{"CLICOLOR=0", false, true},
		{"CLICOLOR=1", false, false},
		{"CLICOLOR=0 CLICOLOR_FORCE=1", false, false},
	} {
		env := strings.Fields(tc.env)
		if NeedsASCII(env) != tc.ascii || NoColour(env) != tc.mono {
			t.Errorf("%q: ASCII %v, no colour %v", tc.env, NeedsASCII(env), NoColour(env))
		}
	}
	for v, dark := range map[string]bool{"": true, "15;0": true, "0;15": false, "0;default;15": false, "0;7": false, "7": false, "12;8": true} {
		if got := Dark([]string{"COLORFGBG=" + v}); got != dark {
			t.Errorf("COLORFGBG=%s is dark: %v", v, got)
		}
	}
}

// TestOurs: every theme of ours keeps what themes promise.
func TestOurs(t *testing.T) {
	for _, name := range Ours() {
		th, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if th.About == "" || th.Name != name {
			t.Errorf("theme %s is %q, about %q", name, th.Name, th.About)
		}
		for _, f := range th.Check().Fails {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// TestCheckFinds: the check sees what it is for.
func TestCheckFinds(t *testing.T) {
	for yaml, want := range map[string]string{
		"extends: dark\npalette: {green: '#203020'}":                               "ok on dark",
		"extends: auto\nroles: {dim: {fg: bright-black}}":                          "bright-black of Solarized dark",
		"extends: auto\nroles: {drill: {fg: 4}}":                                   "blue of Linux console",
		"extends: dark\napart: [deuteranopia]\npalette: {red: '#d0a060'}":          "look alike with deuteranopia",
		"extends: high-contrast\npalette: {yellow: {dark: '#b08000', light: red}}": "needs 7.0",
	} {
		th, err := Parse("t.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(th.Check().Fails, "\n"); !strings.Contains(got, want) {
			t.Errorf("%q finds %q, want %q", yaml, got, want)
		}
	}
	f := CheckStates([]State{{"g", "a", "✓", "done", OK}, {"g", "b", "✓", "done", Fail}, {"g", "c", "漢", "", OK}, {"h", "d", "✓", "done", OK}})
	if got := strings.Join(f.Fails, "\n"); len(f.Fails) != 3 || !strings.Contains(got, `"a" and "b" look the same`) {
		t.Errorf("states: %s", got)
	}
}

// TestForeign: the colours of logs stay as they are on the terminal's own ground, become
// those of a theme that has one, and go where a theme wants none.
func TestForeign(t *testing.T) {
	term := Terminal{colorprofile.TrueColor, true}
	for _, tc := range []struct{ theme, sgr, role string }{
		{"dark", "31", "fail"}, {"dark", "1;32", "ok bold"}, {"dark", "38;5;200;33", "warn"}, {"dark", "48;2;1;2;31;92", "ok"},
		{"dark", "31;39", "text"}, {"dark", "1;22;36", "now"}, {"dark", "38", "text"}, {"dark", "38;2;31", "text"}, {"red-night", "32", "text"}, {"mono", "31", "text"},
	} {
		th, _ := Named(tc.theme)
		s := th.Style(term)
		name, bold, _ := strings.Cut(tc.role, " ")
		attr := widget.Attr(0)
		if bold != "" {
			attr = widget.Bold
		}
		for r := range Themed {
			if RoleName(r) == name && s.Foreign(tc.sgr) != s.Prefix(r, attr) {
				t.Errorf("%s in %s is %q, want %q", tc.sgr, tc.theme, s.Foreign(tc.sgr), s.Prefix(r, attr))
			}
		}
	}
	auto, _ := Named("auto")
	if got := auto.Style(term).Foreign("1;31"); got != "\x1b[1;31m" {
		t.Errorf("auto has %q", got)
	}
}
