package console

import (
	"strings"

	"lifeboat/internal/console/widget"
)

// reviewsScreen lists documents and contacts that nobody has looked at for too long, each
// with what to do. It runs nothing.
type reviewsScreen struct{ scroll int }

func (s *reviewsScreen) card() bool           { return true }
func (s *reviewsScreen) field() *widget.Field { return nil }

func (s *reviewsScreen) bindings(*world) []binding {
	return []binding{
		{keys: []string{"up", "k"}, long: "Scroll back.", act: func() Intent { s.scroll = max(s.scroll-2, 0); return nil }},
		{keys: []string{"down", "j"}, show: "up down", help: "scroll", long: "Scroll.", act: func() Intent { s.scroll += 2; return nil }},
		does("esc", "go back", "Back to the bridge.", wish(pop{})),
	}
}

func (s *reviewsScreen) draw(w *world, a area) {
	width := min(a.w-4, 88)
	rs := append(wrapped(rDim, "No asset is in danger from these today. In an incident they cost time.", width-4, 2), gap())
	for _, r := range w.board.Reviews {
		rs = append(rs, labelled("▲", 2, rWarn, r.Text, width-4, 2)...)
		rs = append(rs, extra(labelled("", 2, rDim, r.Mend, width-4, 3))...)
	}
	drawScroll(w, a, width, frame{title: []span{bold(rStrong, "REVIEWS LATE")}, right: []span{txt(rDim, "esc")}, heavy: true, role: rHeavy}, rs, nil, s.scroll)
}

// reviewsKey shows the late reviews.
func reviewsKey(w *world) binding {
	b := does("l", "late reviews", "Show which documents and contacts nobody has looked at for too long, and what to do. Runs nothing.", wish(push{&reviewsScreen{}})).unlisted()
	if len(w.board.Reviews) == 0 {
		return b.unless("no document and no contact is late for its review")
	}
	return b
}

// reviewRow tells of all late reviews in one row, the most urgent by its name. There is none
// while nothing is late.
func reviewRow(w *world, col int) []row {
	list := w.board.Reviews
	if len(list) == 0 {
		return nil
	}
	key := " look"
	if len(list) > 1 {
		key = " all " + itoa(len(list))
	}
	return []row{{left: []span{txt(rWarn, pad("late", col)), txt(rText, list[0].What)},
		right: []span{txt(rWarn, list[0].Late+"   "), bold(rStrong, "l"), txt(rDim, key)}, spare: 2}}
}

// reviewGap is the row above the keys when no asset has a gap.
func reviewGap(w *world) (row, bool) {
	if len(w.board.Reviews) == 0 {
		return row{}, false
	}
	return row{left: []span{txt(rText, " "), txt(rWarn, "▲ "), txt(rText, strings.TrimSuffix(w.board.Reviews[0].Text, "."))},
		right: []span{bold(rStrong, "l"), txt(rDim, " says what to do ")}}, true
}
