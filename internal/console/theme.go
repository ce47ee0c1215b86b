package console

import (
	"fmt"
	"image/color"
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/goccy/go-yaml"
)

// theme is the file form of a look.
type theme struct {
	Palette map[string]shade    `yaml:"palette"`
	Tint    string              `yaml:"tint"`
	Roles   map[string]roleLook `yaml:"roles"`
}

// shade is one colour on dark and on light terminals.
type shade struct {
	Dark  string `yaml:"dark"`
	Light string `yaml:"light"`
}

type roleLook struct {
	FG      string `yaml:"fg"`
	BG      string `yaml:"bg"`
	Bold    bool   `yaml:"bold"`
	Faint   bool   `yaml:"faint"`
	Reverse bool   `yaml:"reverse"`
}

// parseTheme reads a theme strictly: an unknown key, role or colour is an error, so
// that a typing mistake does not look like a preference.
func parseTheme(data []byte) (theme, error) {
	var t theme
	if err := yaml.UnmarshalWithOptions(data, &t, yaml.Strict()); err != nil {
		return t, fmt.Errorf("read theme: %w", err)
	}
	for name, look := range t.Roles {
		if !slices.Contains(roleNames[:], name) {
			return t, fmt.Errorf("read theme: role %q is not known; roles are %s", name, strings.Join(roleNames[:], ", "))
		}
		for _, c := range []string{look.FG, look.BG} {
			if _, err := t.color(c, true); err != nil {
				return t, fmt.Errorf("read theme: role %q: %w", name, err)
			}
		}
	}
	for name, s := range t.Palette {
		for _, c := range []string{s.Dark, s.Light} {
			if _, err := plainColor(c); err != nil {
				return t, fmt.Errorf("read theme: palette %q: %w", name, err)
			}
		}
	}
	if _, err := t.color(t.Tint, true); err != nil {
		return t, fmt.Errorf("read theme: tint: %w", err)
	}
	return t, nil
}

// color finds a colour by a name of the palette or by its value; nil for none.
func (t *theme) color(name string, dark bool) (color.Color, error) {
	if s, ok := t.Palette[name]; ok {
		if dark {
			return plainColor(s.Dark)
		}
		return plainColor(s.Light)
	}
	return plainColor(name)
}

func plainColor(name string) (color.Color, error) {
	base := [...]string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}
	plain, bright := strings.CutPrefix(name, "bright-")
	if i := slices.Index(base[:], plain); i >= 0 {
		if bright {
			i += 8
		}
		return lipgloss.ANSIColor(i), nil
	}
	if name == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		return lipgloss.ANSIColor(n), nil
	}
	if hex, ok := strings.CutPrefix(name, "#"); ok && len(hex) == 6 {
		if _, err := strconv.ParseUint(hex, 16, 32); err == nil {
			return lipgloss.Color(name), nil
		}
	}
	return nil, fmt.Errorf("colour %q is not known; use a name like \"bright-black\", a number up to 255 or \"#rrggbb\"", name)
}
