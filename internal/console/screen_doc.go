package console

import (
	"strings"

	"lifeboat/internal/console/widget"
)

// docScreen is a whole runbook, as it would read on paper.
type docScreen struct {
	book   *Book
	scroll int
	rows   []row // laid out for width
	width  int
}

func (d *docScreen) card() bool           { return false }
func (d *docScreen) field() *widget.Field { return nil }

// page is how many rows of the document are on the screen.
func (d *docScreen) page(w *world) int {
	return max(w.size.h-5-footRows(area{w: w.size.w, h: w.size.h}), 1)
}

func (d *docScreen) bindings(w *world) []binding {
	page := d.page(w)
	by := func(n int) func() Intent {
		return func() Intent { d.scroll = min(max(d.scroll+n, 0), max(len(d.rows)-page, 0)); return nil }
	}
	return []binding{
		{keys: []string{"up", "k"}, show: "up down", help: "scroll", long: "A line up.", act: by(-1)},
		{keys: []string{"down", "j"}, long: "A line down.", act: by(1)},
		{keys: []string{"pgup", "b"}, show: "pgup pgdn", help: "page", long: "A page up.", act: by(-page)},
		{keys: []string{"pgdown", "space"}, long: "A page down.", act: by(page)},
		{keys: []string{"home", "g"}, show: "g G", help: "first, last", brief: "ends", long: "To the first line.", act: by(-1 << 30)},
		{keys: []string{"end", "G"}, long: "To the last line.", act: by(1 << 30)},
		{keys: []string{"esc", "q", "r"}, show: "esc", help: "back", long: "Back to where you came from.", act: wish(pop{})},
	}
}

// matter is a document without its front matter: what that says stands in the library.
func matter(doc string) string {
	if rest, ok := strings.CutPrefix(doc, "---\n"); ok {
		if _, body, ok := strings.Cut(rest, "\n---\n"); ok {
			return body
		}
	}
	return doc
}

func (d *docScreen) draw(w *world, a area) {
	a.row(0, row{left: []span{bold(rStrong, " "+d.book.Title)}, right: []span{txt(rDim, d.book.Name+" · "+kindWords(d.book)+" ")}})
	a.row(1, row{left: []span{txt(rDim, " The whole document. Reading it runs nothing.")}, right: []span{txt(rDim, d.book.Source+" ")}})
	drawModeRule(a, 2, w.o.Mode)
	body := a.sub(3, a.h-3-footRows(a))
	if d.width != body.w {
		d.width = body.w
		d.rows = prose(matter(d.book.Body), min(body.w-4, 100), false)
	}
	page := body.h - 2
	d.scroll = min(max(d.scroll, 0), max(len(d.rows)-page, 0))
	last := min(d.scroll+page, len(d.rows))
	where := "lines " + itoa(min(d.scroll+1, last)) + " to " + itoa(last) + " of " + itoa(len(d.rows))
	in := body.box(frame{title: []span{bold(rStrong, d.book.Name)}, right: []span{txt(rDim, where)}, heavy: true, role: rHeavy})
	in.rows(d.rows[d.scroll:last])
}
