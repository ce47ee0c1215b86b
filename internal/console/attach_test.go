package console

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// fakeRoom is the Attendant of a fakeBackend.
type fakeRoom struct {
	room   Room
	mark   incident.Mark
	wishes []string // about who drives
	marks  []incident.Mark
}

func (b *fakeBackend) Room(context.Context, run.ID) (Room, error) { return b.room, nil }
func (b *fakeBackend) AskToDrive(context.Context, run.ID) error {
	b.wishes = append(b.wishes, "ask")
	return b.fail
}
func (b *fakeBackend) Decide(_ context.Context, _ run.ID, asked int64, yes bool) error {
	b.wishes = append(b.wishes, fmt.Sprintf("decide %d %v", asked, yes))
	return b.fail
}
func (b *fakeBackend) Bye(context.Context, run.ID) error {
	b.wishes = append(b.wishes, "bye")
	return nil
}
func (b *fakeBackend) Recall(context.Context, run.ID) (incident.Mark, error) { return b.mark, nil }
func (b *fakeBackend) Remember(_ context.Context, _ run.ID, m incident.Mark) error {
	b.marks = append(b.marks, m)
	return nil
}
func (b *fakeBackend) Whole(context.Context, run.ID) (int64, error) { return int64(len(b.events)), nil }

// Who sits where in these tests: m.ito drives from terminal 1.
var (
	ito  = run.Driver{By: "m.ito", Session: "1", Host: "rescue-01"}
	kaya = run.Driver{By: "s.kaya", Session: "2", Host: "rescue-01"}
	osei = run.Driver{By: "p.osei", Session: "3", Host: "rescue-01"}
)

// at puts somebody at the console; the story must begin with who drives.
func at(who run.Driver) func(*fakeBackend, *Options) {
	return func(b *fakeBackend, o *Options) {
		o.User, o.Session = who.By, who.Session
		b.room = Room{Here: true, Watch: []run.Driver{osei, kaya}, Wait: 42 * time.Second}
	}
}

// drivenBy is a story whose driver sits somewhere.
func drivenBy(t testing.TB, who run.Driver) *story {
	s := newStory(t)
	started := s.events[0].Body.(run.Started)
	started.By, started.Session, started.Host = who.By, who.Session, who.Host
	s.events, s.state, s.now = nil, run.Run{}, began
	return s.add(0, run.RunStarted, "", started)
}

func (s *story) asks(who run.Driver) *story {
	return s.add(time.Second, run.TakeoverAsked, "", run.Request{Who: who})
}

func (s *story) handed(to run.Driver, how run.Handing) *story {
	return s.add(time.Second, run.DriverChanged, "", run.Handover{From: s.state.Driver, To: to, How: how})
}

// wasAtThree is a person who saw the run at its third step last.
func wasAtThree(b *fakeBackend, _ *Options) { b.mark = incident.Mark{Seq: 9, At: b.events[8].At} }

func readOnly(_ *fakeBackend, o *Options) { o.Look = true }

// TestWatcher: nothing of what is the driver's can be done by a watcher, at any gate, with
// any key; and what a watcher may do, they can.
func TestWatcher(t *testing.T) {
	for name, to := range map[string]func(*story) *story{
		"working": (*story).keeping, "confirm": (*story).keepGate, "danger": (*story).pushGate, "doubt": (*story).doubt,
		"decision": (*story).decision, "checklist": (*story).frozen, "input": (*story).told, "choice": (*story).choosing, "closing": (*story).closing,
	} {
		t.Run(name, func(t *testing.T) {
			d := drive(t, 120, 36, to(drivenBy(t, ito)), at(kaya))
			for _, k := range []string{"1", "2", "3", "enter", "p", "space", "x", "1", "esc", "s", "1", "esc", "u", "1", "1", "esc"} {
				d.press(k)
			}
			d.typeText("main@3f2a1c9")
			d.wake()
			d.press("enter")
			if len(d.b.answers) != 0 || d.b.stopped != 0 {
				t.Fatalf("answers %+v, stopped %d", d.b.answers, d.b.stopped)
			}
			d = drive(t, 120, 36, to(drivenBy(t, ito)), at(kaya))
			d.press("n").typeText("I am here").press("enter")
			if diff := cmp.Diff([]string{"I am here"}, d.b.notes); diff != "" {
				t.Error(diff)
			}
			d.press("A")
			if diff := cmp.Diff([]string{"ask"}, d.b.wishes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhyOff: a key that is the driver's says so, and how to get there.
func TestWhyOff(t *testing.T) {
	for _, tt := range []struct {
		who    run.Driver
		change func(*fakeBackend, *Options)
		want   string
	}{
		{kaya, nil, "1 is off: m.ito drives this run; press A to ask"},
		{run.Driver{By: "m.ito", Session: "9"}, nil, "1 is off: m.ito at another terminal drives this run; press A to ask"},
		{ito, readOnly, "1 is off: this console is read-only"},
	} {
		change := []func(*fakeBackend, *Options){at(tt.who)}
		if tt.change != nil {
			change = append(change, tt.change)
		}
		d := drive(t, 120, 36, drivenBy(t, ito).keepGate(), change...)
		d.press("1")
		if d.m.notice != tt.want {
			t.Errorf("notice %q, want %q", d.m.notice, tt.want)
		}
	}
}

// TestReadOnly: a read-only console wishes for nothing that changes anything, whatever is
// pressed, and says READ ONLY in the corner and in the title of every screen.
func TestReadOnly(t *testing.T) {
	all := []string{"1", "2", "3", "enter", "n", "R", "A", "r", "s", "x", "u", "p", "space", "f2", "1", "esc", "f3", "f4", "tab", "esc", "l", "esc", "m", "esc", "c", "1", "esc"}
	for name, to := range map[string]func(*story) *story{"working": (*story).keeping, "danger": (*story).pushGate, "doubt": (*story).doubt, "checklist": (*story).frozen} {
		for _, lost := range []bool{false, true} {
			d := drive(t, 120, 36, to(drivenBy(t, ito)), at(ito), readOnly, func(b *fakeBackend, o *Options) {
				if lost {
					dead(b, o)
				}
			})
			d.press(all...)
			b := d.b
			if n := len(b.answers) + b.stopped + len(b.notes) + len(b.raised) + len(b.wishes) + len(b.started) + len(b.marks); n != 0 {
				t.Errorf("%s: %d wishes: %+v %+v %+v %+v", name, n, b.answers, b.notes, b.raised, b.wishes)
			}
			if f := plainFrame(d.frame()); !strings.HasPrefix(f, " READ ONLY  LIVE ") || !strings.HasPrefix(d.m.title(), "READ ONLY LIVE ") {
				t.Errorf("%s: title %q, frame\n%s", name, d.m.title(), f)
			}
		}
	}
	d := drive(t, 120, 36, nil, readOnly)
	if f := plainFrame(d.frame()); !strings.HasPrefix(f, " READ ONLY ") {
		t.Errorf("the first screen does not say it:\n%s", f)
	}
}

// TestTakeOverAsked: the driver sees the wish, and no key that is meant for something else
// answers it.
func TestTakeOverAsked(t *testing.T) {
	t.Run("a card while nothing is asked", func(t *testing.T) {
		s := drivenBy(t, ito).keeping()
		d := drive(t, 120, 36, s, at(ito))
		d.play(s.asks(kaya))
		if _, ok := d.m.top().(*handScreen); !ok {
			t.Fatalf("%T is on top, want the card", d.m.top())
		}
		d.send(keyPress("G")) // within the 400 ms
		d.wake()
		d.press("1", "2", "enter", "s", "n", "q", "space", "g", "k")
		if len(d.b.wishes) != 0 {
			t.Fatalf("%q was decided by a key for something else", d.b.wishes)
		}
		d.press("K")
		if diff := cmp.Diff([]string{fmt.Sprintf("decide %d false", s.state.Asked.Seq)}, d.b.wishes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a row at a danger gate", func(t *testing.T) {
		s := drivenBy(t, ito).pushGate()
		d := drive(t, 120, 36, s, at(ito))
		d.typeText("main@3f2")
		d.play(s.asks(kaya))
		d.wake()
		if _, ok := d.m.top().(*runScreen); !ok {
			t.Fatalf("%T covers the gate", d.m.top())
		}
		d.typeText("AGK") // text, not keys
		if f := plainFrame(d.frame()); !strings.Contains(f, "s.kaya asks to drive this run") || !strings.Contains(f, "f4 answer") || !strings.Contains(f, "main@3f2AGK") {
			t.Errorf("frame\n%s", f)
		}
		d.press("f4", "G")
		if diff := cmp.Diff([]string{fmt.Sprintf("decide %d true", s.state.Asked.Seq)}, d.b.wishes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("it goes when it is over", func(t *testing.T) {
		s := drivenBy(t, ito).keeping()
		d := drive(t, 120, 36, s, at(ito))
		d.play(s.asks(kaya))
		d.play(s.add(0, run.TakeoverRefused, "", run.Request{Who: kaya, By: "m.ito"}))
		if _, ok := d.m.top().(*runScreen); !ok {
			t.Errorf("%T is on top", d.m.top())
		}
	})
}

// TestHandedOver: who loses the run is told so by a card that takes the keys meant for the
// gate below, and what was half typed is gone; who gets it reads the question anew.
func TestHandedOver(t *testing.T) {
	s := drivenBy(t, ito).pushGate()
	d := drive(t, 120, 36, s, at(ito))
	d.typeText("main@3f2a1c")
	d.play(s.asks(kaya).handed(kaya, run.NoAnswer))
	d.wake()
	d.typeText("9").wake()
	d.press("enter")
	if len(d.b.answers) != 0 {
		t.Fatalf("answered %+v", d.b.answers)
	}
	d.press("esc")
	if f := plainFrame(d.frame()); strings.Contains(f, "main@3f2a1c") && !strings.Contains(f, "main@3f2a1c9") || !strings.Contains(f, "READ ONLY") {
		t.Errorf("frame\n%s", f)
	}

	s = drivenBy(t, ito).pushGate()
	d = drive(t, 120, 36, s, at(kaya))
	d.play(s.asks(kaya).handed(kaya, run.Given))
	if f := plainFrame(d.frame()); !strings.Contains(f, "YOU DRIVE NOW") {
		t.Fatalf("frame\n%s", f)
	}
	d.wake()
	d.press("esc")
	d.typeText("main@3f2a1c9").press("enter")
	if len(d.b.answers) != 1 || d.b.answers[0].By != "s.kaya" {
		t.Errorf("answers %+v", d.b.answers)
	}
}

// TestSinceYouWereHere tells who attaches again, or touches a key after two minutes.
func TestSinceYouWereHere(t *testing.T) {
	before := drivenBy(t, ito).found() // where they were
	mark := incident.Mark{Seq: before.state.Seq, At: before.now}
	away := func(b *fakeBackend, _ *Options) { b.mark = mark }
	t.Run("attached", func(t *testing.T) {
		d := drive(t, 120, 36, drivenBy(t, ito).keeping(), at(ito), away)
		f := plainFrame(d.frame())
		for _, want := range []string{"SINCE YOU WERE HERE", "You were at step 3 of 6.", "none lost", "m.ito approved step 3"} {
			if !strings.Contains(f, want) {
				t.Errorf("it does not say %q:\n%s", want, f)
			}
		}
	})
	t.Run("nothing has happened", func(t *testing.T) {
		d := drive(t, 120, 36, drivenBy(t, ito).found(), at(ito), away)
		if d.m.away != nil {
			t.Errorf("told %+v", d.m.away)
		}
	})
	t.Run("small", func(t *testing.T) {
		d := drive(t, 80, 24, drivenBy(t, ito).keeping(), at(ito), away)
		if _, ok := d.m.top().(*sinceScreen); !ok {
			t.Errorf("%T is on top", d.m.top())
		}
		d.press("esc")
		if _, ok := d.m.top().(*runScreen); !ok {
			t.Errorf("%T is on top", d.m.top())
		}
	})
	t.Run("after two minutes without a key", func(t *testing.T) {
		s := drivenBy(t, ito).keeping()
		d := drive(t, 120, 36, s, at(ito))
		d.press("tab", "esc")
		d.play(s.add(5*minute, run.NoteAdded, "", run.Note{By: "s.kaya", Text: "did it go through?"}))
		d.press("tab")
		if d.m.away == nil || !strings.Contains(d.m.notice, "You were at step 3 of 6. Since then: 3 min 41 s") || !strings.Contains(d.m.notice, "did it go through?") {
			t.Errorf("notice %q, away %+v", d.m.notice, d.m.away)
		}
		if len(d.b.marks) == 0 || d.b.marks[len(d.b.marks)-1].Seq != s.state.Seq {
			t.Errorf("marks %+v", d.b.marks)
		}
	})
}

// TestStatusLine copies one line and shows it.
func TestStatusLine(t *testing.T) {
	d := drive(t, 80, 24, drivenBy(t, ito).pushGate(), at(kaya))
	d.press("m")
	want := incident.Status(&d.m.snap.Run, d.m.now)
	if !strings.Contains(want, "waits for m.ito (danger gate)") {
		t.Errorf("status %q", want)
	}
	f := strings.Join(strings.Fields(strings.ReplaceAll(plainFrame(d.frame()), "┃", " ")), " ")
	if !strings.Contains(f, want) {
		t.Errorf("it does not show %q:\n%s", want, plainFrame(d.frame()))
	}
}
