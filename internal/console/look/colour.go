package look

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

type colourKind uint8

const (
	none      colourKind = iota // the terminal's own
	faintText                   // the terminal's own, dimmed (SGR 2)
	basic                       // one of its sixteen
	indexed                     // one of 256
	exact                       // #rrggbb
)

// colour is one colour of a theme. The zero value is the terminal's own.
type colour struct {
	kind    colourKind
	n       uint8
	r, g, b uint8
}

func rgb(hex uint32) colour {
	return colour{kind: exact, r: uint8(hex >> 16), g: uint8(hex >> 8), b: uint8(hex)}
}

// seen says whether it is a colour at all.
func (c colour) seen() bool { return c.kind >= basic }

var basicNames = [...]string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}

// parseColour reads "red", "bright-red", "0" to "255", "#rrggbb", "default" or "faint".
func parseColour(s string) (colour, error) {
	switch s {
	case "", "default":
		return colour{}, nil
	case "faint":
		return colour{kind: faintText}, nil
	}
	plain, isBright := strings.CutPrefix(s, "bright-")
	for i, name := range basicNames {
		if plain == name {
			if isBright {
				i += 8
			}
			return colour{kind: basic, n: uint8(i)}, nil
		}
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		if n < 16 {
			return colour{kind: basic, n: uint8(n)}, nil
		}
		return colour{kind: indexed, n: uint8(n)}, nil
	}
	if hex, ok := strings.CutPrefix(s, "#"); ok && len(hex) == 6 {
		if n, err := strconv.ParseUint(hex, 16, 32); err == nil {
			return rgb(uint32(n)), nil
		}
	}
	return colour{}, fmt.Errorf("colour %q is not known", s)
}

// String writes a colour as themes do.
func (c colour) String() string {
	switch c.kind {
	case faintText:
		return "faint"
	case basic:
		if c.n >= 8 {
			return "bright-" + basicNames[c.n-8]
		}
		return basicNames[c.n]
	case indexed:
		return itoa(int(c.n))
	case exact:
		return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b)
	}
	return "default"
}

// sgr gives the parameters; base is 30 for the text, 40 for the ground.
func (c colour) sgr(base int) string {
	switch c.kind {
	case basic:
		if c.n >= 8 {
			return itoa(base + 60 + int(c.n) - 8)
		}
		return itoa(base + int(c.n))
	case indexed:
		return itoa(base+8) + ";5;" + itoa(int(c.n))
	case exact:
		return fmt.Sprintf("%d;2;%d;%d;%d", base+8, c.r, c.g, c.b)
	}
	return ""
}

// in gives the nearest colour that a profile has. Bubble Tea would convert it too, but
// to neighbours that are far away: a dark blue grey becomes cyan.
func (c colour) in(p colorprofile.Profile) colour {
	switch {
	case p <= colorprofile.ASCII:
		if c.kind == faintText {
			return c
		}
		return colour{}
	case p == colorprofile.ANSI256 && c.kind == exact:
		return c.nearest256()
	case p == colorprofile.ANSI && c.kind >= indexed:
		r, g, b := c.rgb(xterm)
		return colour{kind: basic, n: uint8(ansi.Convert16(rgb(uint32(r)<<16 | uint32(g)<<8 | uint32(b)).std()))}
	}
	return c
}

func (c colour) nearest256() colour {
	best, at := math.MaxFloat64, 16
	for i := 16; i < 256; i++ {
		r, g, b := cube(uint8(i))
		red := (float64(c.r) + float64(r)) / 2 / 256 // "redmean": near enough to what eyes see
		dr, dg, db := float64(c.r)-float64(r), float64(c.g)-float64(g), float64(c.b)-float64(b)
		if d := (2+red)*dr*dr + 4*dg*dg + (3-red)*db*db; d < best {
			best, at = d, i
		}
	}
	return colour{kind: indexed, n: uint8(at)}
}

// cube is a colour of the 256 beyond the first sixteen.
func cube(n uint8) (r, g, b uint8) {
	if n >= 232 {
		v := 8 + (n-232)*10
		return v, v, v
	}
	level := func(i uint8) uint8 {
		if i == 0 {
			return 0
		}
		return 55 + i*40
	}
	n -= 16
	return level(n / 36), level(n / 6 % 6), level(n % 6)
}

// rgb gives the parts of a colour on a terminal with a palette of sixteen.
func (c colour) rgb(p palette) (r, g, b uint8) {
	switch {
	case c.kind == exact:
		return c.r, c.g, c.b
	case c.kind == indexed && c.n >= 16:
		return cube(c.n)
	case c.kind == basic || c.kind == indexed:
		v := p.sixteen[c.n]
		return uint8(v >> 16), uint8(v >> 8), uint8(v)
	}
	return uint8(p.text >> 16), uint8(p.text >> 8), uint8(p.text)
}

// ink is the colour of text on c.
func (c colour) ink(dark bool) colour {
	if c.kind == basic { // its shade is not known: it was chosen to be read on dark, or on light
		if dark {
			return colour{kind: basic}
		}
		return bright
	}
	r, g, b := c.rgb(xterm)
	l := luminance(r, g, b)
	if contrast(l, luminance(ink.r, ink.g, ink.b)) >= contrast(l, 1) {
		return ink
	}
	return white
}
