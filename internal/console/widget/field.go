package widget

import (
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
)

// Field is a line of text that a person edits. The zero Field is empty and ready.
type Field struct {
	Mask  bool // show a star for each character
	Limit int  // most characters, 0: 4096

	value []rune
	at    int // of the cursor, 0 to len(value)
}

// NewField makes a field that holds s, the cursor behind it.
func NewField(s string) Field {
	f := Field{}
	f.Insert(s)
	return f
}

// Value is the text.
func (f *Field) Value() string { return string(f.value) }

// Empty says whether nothing but space is in it.
func (f *Field) Empty() bool { return strings.TrimSpace(string(f.value)) == "" }

// Reset replaces the text.
func (f *Field) Reset(s string) {
	f.value, f.at = nil, 0
	f.Insert(s)
}

// Insert puts text at the cursor. Line ends become spaces, control characters are dropped.
func (f *Field) Insert(s string) {
	limit := f.Limit
	if limit == 0 {
		limit = 4096
	}
	for _, r := range strings.TrimRight(s, "\r\n") {
		switch {
		case r == '\n' || r == '\t':
			r = ' '
		case unicode.IsControl(r):
			continue
		}
		if len(f.value) >= limit {
			return
		}
		f.value = append(f.value, 0)
		copy(f.value[f.at+1:], f.value[f.at:])
		f.value[f.at] = r
		f.at++
	}
}

// Key edits the text. It says whether the key meant something to a text field.
func (f *Field) Key(k tea.KeyPressMsg) bool {
	switch k.String() {
	case "left", "ctrl+b":
		f.at = max(f.at-1, 0)
	case "right", "ctrl+f":
		f.at = min(f.at+1, len(f.value))
	case "home", "ctrl+a":
		f.at = 0
	case "end", "ctrl+e":
		f.at = len(f.value)
	case "backspace", "ctrl+h":
		f.remove(f.at-1, f.at)
	case "delete", "ctrl+d":
		f.remove(f.at, f.at+1)
	case "ctrl+u":
		f.remove(0, f.at)
	case "ctrl+k":
		f.remove(f.at, len(f.value))
	case "ctrl+w":
		from := f.at
		for from > 0 && f.value[from-1] == ' ' {
			from--
		}
		for from > 0 && f.value[from-1] != ' ' {
			from--
		}
		f.remove(from, f.at)
	default:
		if k.Text == "" || k.Mod&(tea.ModCtrl|tea.ModAlt) != 0 {
			return false
		}
		f.Insert(k.Text)
	}
	return true
}

func (f *Field) remove(from, to int) {
	if from < 0 || to > len(f.value) || from >= to {
		return
	}
	f.value = append(f.value[:from], f.value[to:]...)
	f.at = from
}

// View gives the text around the cursor so that it fits in w cells and the cursor is
// among them. at is a space when the cursor stands behind the text.
func (f *Field) View(w int) (before, at, after string) {
	shown := f.value
	if f.Mask {
		shown = []rune(strings.Repeat("*", len(f.value)))
	}
	at = " "
	if f.at < len(shown) {
		at, after = string(shown[f.at]), string(shown[f.at+1:])
	}
	from := 0
	for from < f.at && Width(string(shown[from:f.at])) > w-2 {
		from++
	}
	return string(shown[from:f.at]), at, after
}
