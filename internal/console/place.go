package console

import "lifeboat/internal/console/widget"

// place is a screen that the tabs name. Each is one key away from every other.
type place struct {
	name string
	key  string
	says string
	open func() screen // nil: the first screen
}

// places are all of them, in the order of the tabs.
func places() []place {
	return []place{
		{name: "bridge", key: "b", says: "Go to the bridge: is anything open, and what happened?"},
		{name: "library", key: "/", says: "Find a runbook by its name, a symptom or a command.", open: newLibrary},
		{name: "vault", key: "v", says: "See what copies there are, and how far each is proven.", open: newVault},
		{name: "history", key: "h", says: "See what was done, how long it took, and the proof of it.", open: newHistory},
	}
}

// placed is a screen that is a place. Cards over it leave its first rows lit.
type placed interface {
	screen
	place() string
	// head is how many rows stay lit behind a card.
	head(w *world) int
}

// placeKeys are the keys to the other places.
func placeKeys(here string) []binding {
	var bs []binding
	for _, p := range places() {
		if p.name != here {
			bs = append(bs, does(p.key, p.name, p.says, func() Intent { return goPlace{p} }))
		}
	}
	return bs
}

// tabs name the places, with the one that is on the screen standing out.
func tabs(here string) []span {
	var out []span
	for _, p := range places() {
		if p.name == here {
			out = append(out, span{" " + p.name + " ", rStrong, widget.Bold | widget.Tint}, txt(rText, " "))
			continue
		}
		out = append(out, txt(rDim, " "+p.name+" "), txt(rText, " "))
	}
	return out
}
