package console

import (
	"fmt"
	"io"
	"path"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// leaveScreen is what Ctrl+C shows while a run is on the screen: it never kills anything.
// A second Ctrl+C ends the console, and the run goes on.
type leaveScreen struct{}

// interrupt is the wish of Ctrl+C.
type interrupt struct{}

func (interrupt) intent() {}

// interrupt is Ctrl+C. It is heard always, also in a quiet time and in a small window.
func (m *Model) interrupt() tea.Cmd {
	_, again := m.top().(*leaveScreen)
	if again || m.small() || m.snap == nil || m.snap.ID == "" || !m.snap.Open() {
		return m.do(leave{})
	}
	return m.do(push{&leaveScreen{}})
}

func (l *leaveScreen) card() bool           { return true }
func (l *leaveScreen) field() *widget.Field { return nil }

func (l *leaveScreen) bindings(w *world) []binding {
	s, none := w.snap, ""
	working := s.Working()
	switch {
	case w.watching() != "":
		none = w.watching()
	case adrift(w):
		none = "nothing drives the run"
	case working == nil:
		none = "no step is running"
	}
	return []binding{
		{show: "1-3", help: "choose", long: "Choose by number."},
		does("1", "", "Leave the run as it is and end the console.", wish(leave{})),
		does("2", "", "Leave the run as it is and go to the bridge.", wish(goHome{})),
		does("3", "", "Stop the step that is running. Asks first.", func() Intent { return replace{stopCard(w, working)} }).unless(none),
		does("esc", "go back", "Go back. Nothing has changed.", wish(pop{})),
	}
}

func (l *leaveScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	s := w.snap
	goes := "It waits at its question."
	if s.Working() != nil {
		goes = "Its step goes on."
	}
	bs := l.bindings(w)
	stop := row{left: []span{txt(rKeycap, " 3 "), bold(rStrong, "  Stop this step")}}
	hint := "Asks first, and says whether stopping is safe."
	if off := bs[3].off; off != "" {
		stop.left = []span{txt(rFaint, " 3   Stop this step")}
		hint = "Not now: " + off + "."
	}
	rs := []row{
		line(txt(rText, "Nothing has been stopped. The run lives in a process of its own.")), gap(),
		line(txt(rKeycap, " 1 "), bold(rStrong, "  Leave it running, end the console")),
		{left: []span{txt(rDim, "     "+goes+" lifeboat attach "+s.ID.Short()+" comes back to it.")}, spare: 2},
		line(txt(rKeycap, " 2 "), bold(rStrong, "  Leave it running, go home")), {left: []span{txt(rDim, "     To the bridge. "+goes)}, spare: 2},
		stop, {left: []span{txt(rDim, "     "+hint)}, spare: 2},
		gap(), {left: []span{bold(rStrong, "ctrl+c"), txt(rDim, " again ends the console")}, right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing has changed")}},
	}
	_, badge, border := modeLook(s.Started.Mode)
	drawCard(w, a, width, frame{title: []span{txt(badge, " CTRL+C "), bold(rStrong, "  what now?")}, heavy: true, role: border}, rs)
}

// farewell is what stays on the normal screen: the run, how it stands, how to come back to
// it and where its record lies. It is empty where no run was looked at.
func (m *Model) farewell() []string {
	s := m.snap
	if s == nil {
		s = m.seen
	}
	if s == nil || s.ID == "" {
		return nil
	}
	word, _, _ := modeLook(s.Started.Mode)
	head := fmt.Sprintf("%s run %s, %s: ", word, s.ID.Short(), s.Started.Title)
	st := s.step()
	switch {
	case !s.Open():
		head += string(s.Outcome) + "."
	case st == nil:
		head += "open."
	case s.Gate != nil:
		head += fmt.Sprintf("it waits for an answer at step %d of %d, %s.", s.now()+1, len(s.Steps), st.Title)
	default:
		head += fmt.Sprintf("step %d of %d is %s, %s. It goes on.", s.now()+1, len(s.Steps), st.State, st.Title)
	}
	back := "  come back   lifeboat attach " + s.ID.Short()
	if !s.Open() {
		back = "  look again  lifeboat show " + s.ID.Short()
	}
	if m.plain && s.Open() {
		back = "  go on here  lifeboat attach " + s.ID.Short() + " --plain"
	}
	out := []string{head, back}
	for _, d := range s.Debts {
		out = append(out, "  still owed  "+d.Text)
	}
	if m.o.State != "" {
		out = append(out, "  record      "+path.Join(m.o.State, string(s.ID)))
	}
	for i := range out {
		out[i] = printable.Line(out[i])
	}
	return out
}

// sayFarewell writes it where the console was.
func (m *Model) sayFarewell(to io.Writer) error {
	for _, l := range m.farewell() {
		if _, err := io.WriteString(to, l+"\r\n"); err != nil {
			return fmt.Errorf("write where the run is: %w", err)
		}
	}
	return nil
}
