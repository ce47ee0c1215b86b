package look

import (
	"image/color"
	"math"
)

// palette is what a terminal makes of colour names.
type palette struct {
	name         string
	dark         bool
	ground, text uint32
	sixteen      [16]uint32
}

// xterm has the values to which other conversions refer.
var xterm = palette{"xterm", true, 0x000000, 0xe5e5e5, [16]uint32{
	0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
	0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff}}

var solarized = [16]uint32{
	0x073642, 0xdc322f, 0x859900, 0xb58900, 0x268bd2, 0xd33682, 0x2aa198, 0xeee8d5,
	0x002b36, 0xcb4b16, 0x586e75, 0x657b83, 0x839496, 0x6c71c4, 0x93a1a1, 0xfdf6e3}

// palettes are terminals as people have them, for a theme that uses colour names. In
// Solarized bright black is the ground: text in it cannot be seen.
var palettes = []palette{
	xterm,
	{"Linux console", true, 0x000000, 0xaaaaaa, [16]uint32{
		0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
		0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff}},
	{"GNOME", true, 0x1e1e1e, 0xd0cfcc, [16]uint32{
		0x171421, 0xc01c28, 0x26a269, 0xa2734c, 0x12488b, 0xa347ba, 0x2aa1b3, 0xd0cfcc,
		0x5e5c64, 0xf66151, 0x33d17a, 0xe9ad0c, 0x2a7bde, 0xc061cb, 0x33c7de, 0xffffff}},
	{"VS Code", true, 0x1e1e1e, 0xcccccc, [16]uint32{
		0x000000, 0xcd3131, 0x0dbc79, 0xe5e510, 0x2472c8, 0xbc3fbc, 0x11a8cd, 0xe5e5e5,
		0x666666, 0xf14c4c, 0x23d18b, 0xf5f543, 0x3b8eea, 0xd670d6, 0x29b8db, 0xe5e5e5}},
	{"Nord", true, 0x2e3440, 0xd8dee9, [16]uint32{
		0x3b4252, 0xbf616a, 0xa3be8c, 0xebcb8b, 0x81a1c1, 0xb48ead, 0x88c0d0, 0xe5e9f0,
		0x4c566a, 0xbf616a, 0xa3be8c, 0xebcb8b, 0x81a1c1, 0xb48ead, 0x8fbcbb, 0xeceff4}},
	{"Solarized dark", true, 0x002b36, 0x839496, solarized},
	{"Solarized light", false, 0xfdf6e3, 0x657b83, solarized},
	{"xterm on white", false, 0xffffff, 0x000000, xterm.sixteen},
	{"GNOME light", false, 0xffffff, 0x171421, [16]uint32{
		0x171421, 0xc01c28, 0x26a269, 0xa2734c, 0x12488b, 0xa347ba, 0x2aa1b3, 0xd0cfcc,
		0x5e5c64, 0xf66151, 0x33d17a, 0xe9ad0c, 0x2a7bde, 0xc061cb, 0x33c7de, 0xffffff}},
}

func (c colour) std() color.Color { return color.RGBA{c.r, c.g, c.b, 255} }

// luminance is the relative luminance of WCAG 2: 0 is black, 1 is white.
func luminance(r, g, b uint8) float64 {
	x, y, z := linear(r), linear(g), linear(b)
	return 0.2126*x + 0.7152*y + 0.0722*z
}

func linear(v uint8) float64 {
	f := float64(v) / 255
	if f <= 0.04045 {
		return f / 12.92
	}
	return math.Pow((f+0.055)/1.055, 2.4)
}

// contrast is the ratio of WCAG 2 between two luminances: 1 to 21.
func contrast(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return (a + 0.05) / (b + 0.05)
}

// An eye sees colours as a matrix in linear RGB: Machado, Oliveira and Fernandes, A
// Physiologically-based Model for Simulation of Color Vision Deficiency (2009), at full
// severity.
type eye struct {
	name   string
	matrix [9]float64
}

var eyes = []eye{
	{"usual vision", [9]float64{1, 0, 0, 0, 1, 0, 0, 0, 1}},
	{"deuteranopia", [9]float64{0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881}},
	{"protanopia", [9]float64{0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998}},
}

// oklab is where an eye sees a colour: lightness, and two axes of hue. Equal distances
// look about equally different.
func (e eye) oklab(r8, g8, b8 uint8) [3]float64 {
	r, g, b := linear(r8), linear(g8), linear(b8)
	m := e.matrix
	r, g, b = m[0]*r+m[1]*g+m[2]*b, m[3]*r+m[4]*g+m[5]*b, m[6]*r+m[7]*g+m[8]*b
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	c := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return [3]float64{
		0.2104542553*l + 0.7936177850*c - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*c + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*c - 0.8086757660*s,
	}
}

// apart is how different two colours look to an eye, 0 is the same.
func apart(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

// ratio is the contrast of a colour to a ground, on a terminal with a palette.
func ratio(c, ground colour, p palette) float64 {
	r, g, b := c.rgb(p)
	gr, gg, gb := ground.rgb(p)
	if !ground.seen() {
		gr, gg, gb = rgb(p.ground).r, rgb(p.ground).g, rgb(p.ground).b
	}
	return contrast(luminance(r, g, b), luminance(gr, gg, gb))
}
