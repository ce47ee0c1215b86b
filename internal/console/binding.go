package console

import (
	"slices"

	"lifeboat/internal/console/widget"
)

// binding is one key of a screen. Footer, help and the answer to "why does nothing
// happen?" all come from the same table, so they cannot disagree.
type binding struct {
	keys  []string // as bubbletea writes them: "a", "enter", "shift+tab"
	show  string   // as people write them; empty: the first of keys
	help  string   // two or three words for the footer; empty: not in the footer
	brief string   // for narrow footers; empty: help
	long  string   // a sentence for the help screen; empty: help
	off   string   // why it is not possible now; empty: it is
	act   func() Intent
}

// does is a binding for one key.
func does(key, help, long string, act func() Intent) binding {
	return binding{keys: []string{key}, help: help, long: long, act: act}
}

// unless makes a binding impossible for a reason. An empty reason changes nothing.
func (b binding) unless(reason string) binding {
	if b.off == "" {
		b.off = reason
	}
	return b
}

func (b binding) named(show, brief string) binding {
	b.show, b.brief = show, brief
	return b
}

// wish makes an act of an intent that is known beforehand.
func wish(i Intent) func() Intent { return func() Intent { return i } }

func (b binding) label() string {
	if b.show != "" || len(b.keys) == 0 {
		return b.show
	}
	return b.keys[0]
}

// find gives the binding of a key.
func find(bs []binding, key string) (binding, bool) {
	for _, b := range bs {
		if slices.Contains(b.keys, key) {
			return b, true
		}
	}
	return binding{}, false
}

// footer lays out the keys that work now, most likely first, in one row of w cells. It
// drops keys from the right, but never whom to call and the way to the help screen.
func footer(bs []binding, w int, remark string) row {
	brief := w < 100
	sep := "   "
	one := func(b binding) []span {
		help := b.help
		if brief && b.brief != "" {
			help = b.brief
		}
		return []span{bold(rStrong, b.label()), txt(rDim, " "+help)}
	}
	var help []span
	var rest [][]span
	for _, b := range bs {
		switch {
		case b.off != "" || b.help == "":
		case slices.Contains(b.keys, "?"):
			help = append(help, one(b)...)
		case slices.Equal(b.keys, callKeys), slices.Equal(b.keys, callKeys[1:]):
			help = append(one(b), txt(rText, sep))
		default:
			rest = append(rest, one(b))
		}
	}
	room := w - 1
	if remark != "" {
		if need := widget.Width(remark) + 2; need < w/2 {
			room -= need
		} else {
			remark = ""
		}
	}
	if help != nil {
		room -= spansWidth(help) + len(sep)
	}
	r := row{left: []span{txt(rText, " ")}}
	for _, spans := range rest {
		need := spansWidth(spans) + len(sep)
		if need > room {
			break
		}
		room -= need
		r.left = append(append(r.left, spans...), txt(rText, sep))
	}
	r.left = append(r.left, help...)
	if remark != "" {
		r.right = []span{txt(rDim, remark+" ")}
	}
	return r
}
