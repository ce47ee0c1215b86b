package console

import (
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/console/look"
	"lifeboat/internal/console/widget"
)

// update writes the golden frames anew: go test ./internal/console -update
var update = flag.Bool("update", false, "write the golden frames anew")

// A golden frame is a txtar file testdata/frames/SCENE.txt. For each size it has the
// text of the frame; below it the style of each cell, one letter per cell, blank where
// the terminal's own style is used; then, where there are any, marks of cells that are
// on a tinted ground (^), underlined (_) or inverted (!), with the number of the row.
// What a letter and a mark mean for the terminal in each colour profile stands in
// testdata/frames/legend.txt, once for all scenes, so that another colour in a theme
// changes one file. Letters are those of roles: "k" is ok, "K" is ok in bold. Styles of
// foreign text have digits, explained on top of the file. A blank shows its style only
// where it has a ground.
//
// The letters do not come from the roles that were drawn: each frame is rendered once
// per profile, decoded as Bubble Tea does it, converted to the profile by the function
// with which Bubble Tea converts it, and looked up. So a letter stands only where every
// profile shows what the legend says.
const frames = "testdata/frames"

var profiles = [...]struct {
	name string
	of   colorprofile.Profile
}{
	{"truecolor", colorprofile.TrueColor}, {"256", colorprofile.ANSI256}, {"16", colorprofile.ANSI}, {"no colour", colorprofile.ASCII},
}

var frameSizes = [][2]int{{120, 36}, {80, 24}, {60, 20}}

// asciiSize is the size that every scene also has in ASCII.
var asciiSize = [2]int{80, 24}

// looks are the SGR parameters of a cell in each profile.
type looks [len(profiles)]string

// roleLetters are the letters of roles in the legend, in the order of the roles.
const roleLetters = " sdf-hkwxngltybp" + "vruqzjie"

// marks are drawn below a row for attributes other than bold.
var markOf = map[widget.Attr]rune{0: ' ', widget.Tint: '^', widget.Under: '_', widget.Invert: '!', widget.Tint | widget.Under: '='}

type lookKey struct{ letter, mark rune }

// lookBook says which letter stands for which looks.
type lookBook struct {
	keys map[looks]lookKey
	list []string // the legend
}

// newLookBook makes the legend of a theme. Roles that look the same in each profile
// share the letter of the first.
func newLookBook(t testing.TB, th *look.Theme) *lookBook {
	t.Helper()
	if len(roleLetters) != int(look.Roles) {
		t.Fatalf("%d letters for %d roles: give the new role a letter in roleLetters", len(roleLetters), look.Roles)
	}
	b := &lookBook{keys: map[looks]lookKey{}}
	b.list = append(b.list, fmt.Sprintf("%-3s%-20s%-36s%-22s%-14s%s", "", "role", "truecolor", "256", "16", "no colour"))
	for _, mark := range []widget.Attr{0, widget.Tint, widget.Under, widget.Invert, widget.Tint | widget.Under} {
		for r := range look.Roles {
			for _, boldness := range []widget.Attr{0, widget.Bold} {
				var l looks
				for i, p := range profiles {
					prefix := th.Style(look.Terminal{Profile: p.of, Dark: true}).Prefix(r, mark|boldness)
					l[i] = sgrIn(p.of, decode(prefix+"x", 1, 1).CellAt(0, 0).Style)
				}
				key := lookKey{rune(roleLetters[r]), markOf[mark]}
				if boldness != 0 {
					key.letter = bolder(key.letter)
				}
				if _, ok := b.keys[l]; ok {
					continue
				}
				b.keys[l] = key
				name := look.RoleName(r)
				if boldness != 0 {
					name += " bold"
				}
				b.list = append(b.list, fmt.Sprintf("%c%c %-20s%-36s%-22s%-14s%s", key.letter, key.mark, name, dash(l[0]), dash(l[1]), dash(l[2]), dash(l[3])))
			}
		}
	}
	return b
}

func bolder(letter rune) rune {
	switch letter {
	case ' ':
		return 'S' // bold text is what strong is
	case '-':
		return '+'
	}
	return unicode.ToUpper(letter)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// decode gives the cells of a frame, as Bubble Tea reads it.
func decode(frame string, w, h int) uv.ScreenBuffer {
	b := uv.NewScreenBuffer(w, h)
	uv.NewStyledString(frame).Draw(b, b.Bounds())
	return b
}

// sgrIn gives the parameters that a terminal of the profile gets for a style.
func sgrIn(p colorprofile.Profile, s uv.Style) string {
	s = uv.ConvertStyle(s, p)
	return strings.TrimSuffix(strings.TrimPrefix(s.String(), "\x1b["), "m")
}

// picture is a scene in one size as its golden file has it.
type picture struct {
	text, style, marks []string
}

// render draws what d shows in every profile and puts it in letters. Foreign styles get
// digits in the order in which they are met.
func (b *lookBook) render(t testing.TB, d *driver, w, h int, foreign *[]looks) picture {
	t.Helper()
	var grids [len(profiles)]uv.ScreenBuffer
	for i, p := range profiles {
		d.send(tea.ColorProfileMsg{Profile: p.of})
		frame := d.frame()
		if n := strings.Count(frame, "\n") + 1; n > h {
			t.Fatalf("%d lines in a terminal of %d", n, h)
		}
		for y, l := range strings.Split(frame, "\n") {
			if n := ansi.StringWidth(l); n > w {
				t.Fatalf("row %d is %d cells wide in a terminal of %d: %q", y, n, w, ansi.Strip(l))
			}
		}
		grids[i] = decode(frame, w, h)
		if i > 0 && plainText(grids[i]) != plainText(grids[0]) {
			t.Errorf("the text in %s differs from that in truecolor:\n%s\n--- truecolor\n%s", p.name, plainText(grids[i]), plainText(grids[0]))
		}
	}
	d.send(tea.ColorProfileMsg{Profile: colorprofile.TrueColor})
	pic := picture{text: strings.Split(plainText(grids[0]), "\n")}
	for y := range h {
		var style, marks strings.Builder
		for x := range w {
			var l looks
			cell := grids[0].CellAt(x, y)
			if cell.Width == 0 {
				style.WriteByte('"') // the right half of a wide character
				marks.WriteByte(' ')
				continue
			}
			for i, p := range profiles {
				l[i] = sgrIn(p.of, grids[i].CellAt(x, y).Style)
			}
			key, ok := b.keys[l]
			switch {
			case unseen(grids[0].CellAt(x, y)) && unseen(grids[len(grids)-1].CellAt(x, y)):
				key = lookKey{' ', ' '}
			case !ok:
				key = lookKey{digit(foreign, l), ' '}
			}
			style.WriteRune(key.letter)
			marks.WriteRune(key.mark)
		}
		pic.style = append(pic.style, strings.TrimRight(style.String(), " "))
		if m := strings.TrimRight(marks.String(), " "); m != "" {
			pic.marks = append(pic.marks, fmt.Sprintf("%2d|%s", y, m))
		}
	}
	return pic
}

// unseen says whether a cell shows nothing: a blank whose style has no ground.
func unseen(c *uv.Cell) bool {
	return c.Content == " " && c.Style.Bg == color.Color(nil) && c.Style.Attrs&uv.AttrReverse == 0 && c.Style.Underline == ansi.UnderlineNone
}

func digit(foreign *[]looks, l looks) rune {
	for i, have := range *foreign {
		if have == l {
			return rune('1' + i)
		}
	}
	*foreign = append(*foreign, l)
	return rune('0' + len(*foreign))
}

func plainText(g uv.ScreenBuffer) string {
	lines := make([]string, g.Height())
	for y := range lines {
		var b strings.Builder
		for x := range g.Width() {
			b.WriteString(g.CellAt(x, y).Content)
		}
		lines[y] = strings.TrimRight(b.String(), " ")
	}
	return strings.Join(lines, "\n")
}

// asciiPicture draws what d shows with ASCII only and checks that no cell has moved.
func asciiPicture(t testing.TB, d *driver, w, h int) string {
	t.Helper()
	full := decode(d.frame(), w, h)
	d.m.skin.ascii, d.m.dirty = true, true
	ascii := decode(d.frame(), w, h)
	d.m.skin.ascii, d.m.dirty = false, true
	for y := range h {
		for x := range w {
			u, a := full.CellAt(x, y), ascii.CellAt(x, y)
			if len(a.Content) == 1 && a.Content[0] > 0x7e || len(a.Content) > 1 {
				t.Fatalf("%q at %d,%d of an ASCII frame", a.Content, x, y)
			}
			if len(u.Content) == 1 && u.Content != a.Content || len(u.Content) > 1 && a.Content == " " {
				t.Fatalf("%q at %d,%d is %q in ASCII: a cell has moved", u.Content, x, y, a.Content)
			}
			if r := []rune(u.Content)[:min(1, len(u.Content))]; len(r) > 0 && r[0] > 0x7f && a.Content == "?" && !unicode.IsLetter(r[0]) && !unicode.IsMark(r[0]) {
				t.Errorf("%q at %d,%d has no glyph in ASCII: give it one in look.ASCII", u.Content, x, y)
			}
			if u.Width > 0 && u.Style != a.Style {
				t.Fatalf("%q at %d,%d has another style in ASCII: %v, was %v", u.Content, x, y, a.Style, u.Style)
			}
		}
	}
	return plainText(ascii)
}

// scenePage is the golden file of a scene.
func (b *lookBook) scenePage(t *testing.T, make func(t *testing.T, w, h int) *driver) string {
	var foreign []looks
	var body strings.Builder
	section := func(name string, lines []string) {
		for len(lines) > 0 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		if len(lines) > 0 {
			fmt.Fprintf(&body, "-- %s --\n%s\n", name, strings.Join(lines, "\n"))
		}
	}
	for _, size := range frameSizes {
		w, h := size[0], size[1]
		d := make(t, w, h)
		name := fmt.Sprintf("%dx%d", w, h)
		p := b.render(t, d, w, h, &foreign)
		section(name, p.text)
		section(name+" style", p.style)
		section(name+" marks", p.marks)
		if size == asciiSize {
			section(name+" ascii", strings.Split(asciiPicture(t, d, w, h), "\n"))
		}
	}
	head := ""
	for i, l := range foreign {
		head += fmt.Sprintf("%d: foreign, %s in truecolor, %s in 256, %s in 16, %s without colour\n", i+1, dash(l[0]), dash(l[1]), dash(l[2]), dash(l[3]))
	}
	return head + body.String()
}

// TestFrames holds every scene at three sizes in every colour profile, and in ASCII.
func TestFrames(t *testing.T) {
	th, err := look.Named(look.Standard)
	if err != nil {
		t.Fatal(err)
	}
	book := newLookBook(t, th)
	known := map[string]bool{"legend.txt": true}
	t.Run("legend", func(t *testing.T) { golden(t, "legend.txt", strings.Join(book.list, "\n")+"\n") })
	for _, sc := range scenes {
		known[sc.name+".txt"] = true
		t.Run(sc.name, func(t *testing.T) { golden(t, sc.name+".txt", book.scenePage(t, sc.make)) })
	}
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // only some scenes
	}
	entries, err := os.ReadDir(frames)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		if *update {
			if err := os.Remove(filepath.Join(frames, e.Name())); err != nil {
				t.Error(err)
			}
		} else {
			t.Errorf("%s/%s belongs to no scene; remove it", frames, e.Name())
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join(frames, name)
	want, err := os.ReadFile(name)
	switch {
	case *update && string(want) != got:
		if err := os.MkdirAll(frames, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	case err != nil:
		t.Fatalf("%v (write it with: go test ./internal/console -run TestFrames -update)", err)
	case got == string(want):
		return
	}
	t.Errorf("%s: the frame has changed; if it should, write it with: go test ./internal/console -run TestFrames -update\n%s", name, frameDiff(string(want), got))
}

// frameDiff shows the rows that differ, each with the section it is in.
func frameDiff(want, got string) string {
	w, g := sections(want), sections(got)
	var b strings.Builder
	for _, name := range append(g.names, w.names...) {
		ws, gs := w.rows[name], g.rows[name]
		delete(w.rows, name)
		delete(g.rows, name)
		head := false
		for y := range max(len(ws), len(gs)) {
			old, now := "", ""
			if y < len(ws) {
				old = ws[y]
			}
			if y < len(gs) {
				now = gs[y]
			}
			if old == now {
				continue
			}
			if !head {
				fmt.Fprintf(&b, "%s\n", name)
				head = true
			}
			fmt.Fprintf(&b, "%3d - %s\n    + %s\n", y, old, now)
		}
	}
	return b.String()
}

type page struct {
	names []string
	rows  map[string][]string
}

func sections(file string) page {
	p := page{rows: map[string][]string{}}
	name := "-- head --"
	for _, l := range strings.Split(strings.TrimSuffix(file, "\n"), "\n") {
		if strings.HasPrefix(l, "-- ") && strings.HasSuffix(l, " --") {
			name = l
		}
		if _, ok := p.rows[name]; !ok {
			p.names = append(p.names, name)
		}
		p.rows[name] = append(p.rows[name], l)
	}
	return p
}
