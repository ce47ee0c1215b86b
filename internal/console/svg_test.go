package console

import (
	"cmp"
	"fmt"
	"html"
	"image/color"
	"maps"
	"math"
	"slices"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// A picture is an SVG of cells 10 wide and 20 high. Borders, bars and our glyphs are
// vectors, so that they join and look the same whatever fonts the reader has; words are
// text with a given length, so that columns hold. Each style has its colours for dark
// and for light readers in one style sheet. The same frame gives the same bytes.
const (
	cellW, cellH = 10, 20
	svgPad       = 14
	svgBar       = 30 // the title
)

// inks is how a cell is coloured for dark and light readers.
type inks struct {
	fg, bg      [2]string // of dark, of light; empty: the ground
	bold, under bool
}

// ink is a cell of a picture.
type inkCell struct {
	x, y  int
	text  string
	style inks
}

// frameInks reads the cells of a frame drawn in the dark and in the light theme.
func frameInks(dark, light string, w, h int) []inkCell {
	grids := [2]uv.ScreenBuffer{decode(dark, w, h), decode(light, w, h)}
	var out []inkCell
	for y := range h {
		for x := range w {
			c := inkCell{x: x, y: y, text: grids[0].CellAt(x, y).Content}
			for i, g := range grids {
				s := g.CellAt(x, y).Style
				fg, bg := hexOf(s.Fg, i), hexOf(s.Bg, i)
				if s.Attrs&uv.AttrReverse != 0 {
					fg, bg = bg, fg
				}
				c.style.fg[i], c.style.bg[i] = fg, bg
				c.style.bold, c.style.under = s.Attrs&uv.AttrBold != 0, s.Underline != ansi.UnderlineNone
			}
			if c.text == "" {
				continue
			}
			out = append(out, c)
		}
	}
	return out
}

// sixteen are the colours of logs, for dark and for light readers.
var sixteen = [2][16]string{
	{"#0d1218", "#ff7b72", "#7fd18f", "#f0c56a", "#6fb4ff", "#c9a4ff", "#55cdea", "#d3dae2", "#8a97a5", "#ff9b94", "#a2e3b0", "#ffd98a", "#9ccbff", "#dcc2ff", "#8fe3f5", "#ffffff"},
	{"#24292f", "#b3261e", "#1a7037", "#805500", "#1f5fb0", "#7a3fb8", "#0a6577", "#656f7a", "#515a64", "#b3261e", "#1a7037", "#805500", "#1f5fb0", "#7a3fb8", "#0a6577", "#24292f"},
}

func hexOf(c color.Color, reader int) string {
	switch b := c.(type) {
	case nil:
		return ""
	case ansi.BasicColor:
		return sixteen[reader][b]
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// sheet gives styles their classes, in the order in which they are met.
type sheet struct {
	classes map[string]string
	rules   [2][]string
	ground  [2]string
}

func newSheet(ground [2]string) *sheet { return &sheet{classes: map[string]string{}, ground: ground} }

// class of a property ("fill" or "stroke") with a colour each for dark and light.
func (s *sheet) class(property string, c [2]string) string {
	key := property + c[0] + c[1]
	name, ok := s.classes[key]
	if !ok {
		name = fmt.Sprintf("%c%d", property[0], len(s.classes))
		s.classes[key] = name
		for i := range c {
			s.rules[i] = append(s.rules[i], fmt.Sprintf(".%s{%s:%s}", name, property, c[i]))
		}
	}
	return name
}

func (s *sheet) css() string {
	return strings.Join(s.rules[0], "") + "@media(prefers-color-scheme:light){" + strings.Join(s.rules[1], "") + "}"
}

// arms of box characters: up, right, down, left; 1 is light, 2 heavy.
var boxArms = map[string][4]int{
	"─": {0, 1, 0, 1}, "━": {0, 2, 0, 2}, "│": {1, 0, 1, 0}, "┃": {2, 0, 2, 0}, "╸": {0, 0, 0, 2},
	"┏": {0, 2, 2, 0}, "┓": {0, 0, 2, 2}, "┗": {2, 2, 0, 0}, "┛": {2, 0, 0, 2},
	"├": {1, 1, 1, 0}, "┤": {1, 0, 1, 1}, "┬": {0, 1, 1, 1}, "┴": {1, 1, 0, 1}, "┼": {1, 1, 1, 1},
}

// arcs of the light corners, from the middle of one side to that of the other.
var boxArcs = map[string]string{
	"╭": "M%[3]d %[2]dH%[5]dQ%[1]d %[2]d %[1]d %[6]dV%[4]d", "╮": "M%[7]d %[2]dH%[8]dQ%[1]d %[2]d %[1]d %[6]dV%[4]d",
	"╰": "M%[3]d %[2]dH%[5]dQ%[1]d %[2]d %[1]d %[9]dV%[10]d", "╯": "M%[7]d %[2]dH%[8]dQ%[1]d %[2]d %[1]d %[9]dV%[10]d",
}

// shapes of our glyphs in a cell with its corner at 0,0: filled, or drawn as a line.
var glyphShapes = map[string]struct {
	fill bool
	path string
}{
	"✓": {false, "m1.6 10.6l2.3 3.2l4.8-8"}, "✗": {false, "m2 6.2l6 7.6m0-7.6l-6 7.6"},
	"▸": {true, "m2 5.6l6.6 4.4l-6.6 4.4z"}, "◂": {true, "m8 5.6l-6.6 4.4l6.6 4.4z"},
	"▲": {true, "m5 5l4.4 8.8h-8.8z"}, "◆": {true, "m5 4.8l4.2 5.2l-4.2 5.2l-4.2-5.2z"}, "■": {true, "m1.2 6h7.6v8h-7.6z"},
	"○": {false, "m1.4 10a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0z"}, "□": {false, "m1.5 6.4h7v7.2h-7z"},
	"┊": {false, "m5 1v3m0 4v4m0 4v3"}, "·": {true, "m4 10a1 1 0 1 0 2 0a1 1 0 1 0-2 0z"},
}

// stroke collects lines of one class and weight, so that they become one path.
type strokes struct {
	across, down map[[2]int]bool // half cells: x and y of their start in half cells
	extra        strings.Builder
}

// drawCells writes the cells as SVG elements. cells are sorted by row and column.
func drawCells(b *strings.Builder, s *sheet, cells []inkCell) {
	at := map[[2]int]*inkCell{}
	for i := range cells {
		at[[2]int{cells[i].x, cells[i].y}] = &cells[i]
	}
	drawGrounds(b, s, cells, at)
	lines := map[string]*strokes{}
	order := []string{}
	line := func(class string) *strokes {
		l, ok := lines[class]
		if !ok {
			l = &strokes{across: map[[2]int]bool{}, down: map[[2]int]bool{}}
			lines[class] = l
			order = append(order, class)
		}
		return l
	}
	fills := map[string]*strings.Builder{}
	for i := range cells {
		c := &cells[i]
		x, y := c.x*cellW, c.y*cellH
		if arms, ok := boxArms[c.text]; ok {
			for side, weight := range arms {
				if weight > 0 {
					l := line(s.class("stroke", c.style.fg) + [3]string{"", " l", " h"}[weight])
					switch side {
					case 0:
						l.down[[2]int{2*c.x + 1, 2 * c.y}] = true
					case 1:
						l.across[[2]int{2*c.x + 1, 2*c.y + 1}] = true
					case 2:
						l.down[[2]int{2*c.x + 1, 2*c.y + 1}] = true
					default:
						l.across[[2]int{2 * c.x, 2*c.y + 1}] = true
					}
				}
			}
		} else if arc, ok := boxArcs[c.text]; ok {
			mx, my := x+cellW/2, y+cellH/2
			all := []any{mx, my, x + cellW, y + cellH, mx + 5, my + 5, x, mx - 5, my - 5, y}
			fmt.Fprint(&line(s.class("stroke", c.style.fg)+" l").extra, arcPath(arc, all))
		} else if g, ok := glyphShapes[c.text]; ok {
			d := fmt.Sprintf("M%d %d%s", x, y, g.path)
			if !g.fill {
				fmt.Fprint(&line(s.class("stroke", c.style.fg)+" g").extra, d)
				continue
			}
			class := s.class("fill", c.style.fg)
			if fills[class] == nil {
				fills[class] = &strings.Builder{}
			}
			fills[class].WriteString(d)
		}
	}
	for _, class := range order {
		l := lines[class]
		fmt.Fprintf(b, `<path class=%q d="%s%s%s"/>`+"\n", class, joinLines(l.across, true), joinLines(l.down, false), l.extra.String())
	}
	for _, class := range slices.Sorted(maps.Keys(fills)) {
		fmt.Fprintf(b, `<path class=%q d="%s"/>`+"\n", class, fills[class])
	}
	drawWords(b, s, cells, at)
}

// arcPath formats an arc; not every corner uses every number.
func arcPath(format string, all []any) string {
	out := fmt.Sprintf(format, all...)
	if i := strings.Index(out, "%!(EXTRA"); i >= 0 {
		out = out[:i]
	}
	return out
}

// joinLines makes as few lines as possible of half cells.
func joinLines(set map[[2]int]bool, across bool) string {
	keys := slices.SortedFunc(maps.Keys(set), func(a, b [2]int) int {
		if across {
			return cmp.Or(cmp.Compare(a[1], b[1]), cmp.Compare(a[0], b[0]))
		}
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	var b strings.Builder
	for i := 0; i < len(keys); {
		j := i + 1
		axis := 1
		if across {
			axis = 0
		}
		for j < len(keys) && keys[j][1-axis] == keys[i][1-axis] && keys[j][axis] == keys[j-1][axis]+1 {
			j++
		}
		from, to := keys[i], keys[j-1]
		if across {
			fmt.Fprintf(&b, "M%d %dH%d", from[0]*cellW/2, from[1]*cellH/2, (to[0]+1)*cellW/2)
		} else {
			fmt.Fprintf(&b, "M%d %dV%d", from[0]*cellW/2, from[1]*cellH/2, (to[1]+1)*cellH/2)
		}
		i = j
	}
	return b.String()
}

func drawGrounds(b *strings.Builder, s *sheet, cells []inkCell, at map[[2]int]*inkCell) {
	for i := range cells {
		c := &cells[i]
		if c.style.bg == s.ground {
			continue
		}
		if p := at[[2]int{c.x - 1, c.y}]; p != nil && p.style.bg == c.style.bg {
			continue // the run has begun already
		}
		n := 1
		for {
			next := at[[2]int{c.x + n, c.y}]
			if next == nil || next.style.bg != c.style.bg {
				break
			}
			n++
		}
		fmt.Fprintf(b, `<rect class=%q x="%d" y="%d" width="%d" height="%d"/>`+"\n", s.class("fill", c.style.bg), c.x*cellW, c.y*cellH, n*cellW, cellH)
	}
}

// drawWords writes text: one element for words of one style with single blanks between.
func drawWords(b *strings.Builder, s *sheet, cells []inkCell, at map[[2]int]*inkCell) {
	isWord := func(c *inkCell) bool {
		if c == nil || c.text == " " {
			return false
		}
		_, box := boxArms[c.text]
		_, arc := boxArcs[c.text]
		_, glyph := glyphShapes[c.text]
		return !box && !arc && !glyph
	}
	done := map[[2]int]bool{}
	for i := range cells {
		c := &cells[i]
		if done[[2]int{c.x, c.y}] || !isWord(c) {
			continue
		}
		text, x := "", c.x
		for {
			n := at[[2]int{x, c.y}]
			if !isWord(n) || !sameInk(n.style, c.style) {
				after := at[[2]int{x + 1, c.y}]
				if n == nil || n.text != " " || n.style.under != c.style.under || !isWord(after) || !sameInk(after.style, c.style) {
					break
				}
				text, x = text+" ", x+1
				continue
			}
			done[[2]int{x, c.y}] = true
			text += n.text
			x += max(ansi.StringWidth(n.text), 1)
		}
		class := s.class("fill", c.style.fg)
		if c.style.bold {
			class += " b"
		}
		fmt.Fprintf(b, `<text class=%q x="%d" y="%d" textLength="%d">%s</text>`+"\n", class, c.x*cellW, c.y*cellH+15, (x-c.x)*cellW, html.EscapeString(text))
		if c.style.under {
			fmt.Fprintf(b, `<path class="%s l" d="M%d %dH%d"/>`+"\n", s.class("stroke", c.style.fg), c.x*cellW, c.y*cellH+18, x*cellW)
		}
	}
}

func sameInk(a, b inks) bool { return a.fg == b.fg && a.bold == b.bold && a.under == b.under }

// svgPage puts drawn cells into a window with a title.
func svgPage(s *sheet, w, h int, title, describe, style, body string) string {
	width, height := w*cellW+2*svgPad, h*cellH+svgBar+svgPad
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, int(math.Round(float64(width)*0.84)), int(math.Round(float64(height)*0.84)), html.EscapeString(describe))
	edge := s.class("stroke", [2]string{"#2b3642", "#c9cfd6"})
	ground := s.class("fill", s.ground)
	bar := s.class("fill", [2]string{"#161d26", "#efede8"})
	title = svgTitle(s, title, w)
	fmt.Fprintf(&b, "<style>text{font:16.6px \"JetBrains Mono\",\"SF Mono\",\"Cascadia Mono\",Menlo,Consolas,\"DejaVu Sans Mono\",monospace;white-space:pre;font-variant-ligatures:none}.b{font-weight:700}.l,.h,.g{fill:none}.l{stroke-width:1.4}.h{stroke-width:3}.g{stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}%s%s</style>\n", s.css(), style)
	fmt.Fprintf(&b, `<rect class=%q x="1" y="1" width="%d" height="%d" rx="10"/>`+"\n", ground, width-2, height-2)
	fmt.Fprintf(&b, `<path class=%q d="M1.7 %dV11a9.3 9.3 0 0 1 9.3-9.3H%da9.3 9.3 0 0 1 9.3 9.3V%dz"/>`+"\n", bar, svgBar-6, width-11, svgBar-6)
	fmt.Fprintf(&b, `<rect class="%s l" x="1" y="1" width="%d" height="%d" rx="10"/>`+"\n", edge, width-2, height-2)
	fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n%s%s</g>\n</svg>\n", svgPad, svgBar, title, body)
	return b.String()
}

// svgTitle is the title of a window of w cells.
func svgTitle(s *sheet, title string, w int) string {
	if title == "" {
		return ""
	}
	quiet := s.class("fill", [2]string{"#8593a1", "#5c6670"})
	return fmt.Sprintf(`<text class=%q x="%d" y="-13" text-anchor="middle" style="font-size:13px">%s</text>`+"\n", quiet, w*cellW/2, html.EscapeString(title))
}
