package console

import (
	"lifeboat/internal/console/widget"
	"lifeboat/internal/incident"
)

// statusKey copies the line for the chat.
func statusKey(w *world) binding {
	off := ""
	if w.snap.Seq == 0 {
		off = "the run is still being read"
	}
	return does("m", "status line", "Copy one line about the run for the chat.", func() Intent {
		text := incident.Status(&w.snap.Run, w.now)
		return several{copyText{text, "Handed to the clipboard of the terminal."}, push{&statusScreen{text: text}}}
	}).named("", "status").unless(off)
}

// statusScreen shows the line, so that it can be selected where the clipboard of the
// terminal does not reach.
type statusScreen struct{ text string }

func (s *statusScreen) card() bool           { return true }
func (s *statusScreen) field() *widget.Field { return nil }

func (s *statusScreen) bindings(*world) []binding {
	return []binding{
		does("y", "copy again", "Copy it again.", wish(copyText{s.text, "Handed to the clipboard of the terminal."})).named("", "copy"),
		{keys: []string{"esc", "enter", "m"}, show: "esc", help: "go back", act: wish(pop{})},
	}
}

func (s *statusScreen) draw(w *world, a area) {
	width := min(a.w, 92)
	rs := []row{line(txt(rDim, "One line for the chat, handed to the clipboard of the terminal:")), gap()}
	rs = append(rs, wrapped(rStrong, s.text, width-4, 0)...)
	rs = append(rs, gap(), row{left: []span{bold(rStrong, "y"), txt(rDim, " copy again")}, right: []span{bold(rStrong, "esc"), txt(rDim, " go back")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "STATUS FOR THE CHAT")}, heavy: true, role: rHeavy}, rs)
}
