package console

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/estate"
)

// fakeFaults is what is wrong around a run that goes on all the same.
type fakeFaults struct {
	listErr error // some other run cannot be read
	hostErr error // the host does not say how far it is
}

// TestOthersFreezeNothing: whatever is wrong with another run, or with the host of this one,
// what the journal says of the run on the screen is shown, and its gate can be answered.
func TestOthersFreezeNothing(t *testing.T) {
	for name, breaks := range map[string]func(*fakeBackend){
		"list": func(b *fakeBackend) { b.listErr = errors.New("run 9C1D: its chain is broken") },
		"host": func(b *fakeBackend) { b.hostErr = errors.New("the process that hosts this run does not answer") },
	} {
		t.Run(name, func(t *testing.T) {
			d := drive(t, 120, 36, newStory(t).keeping())
			breaks(d.b)
			d.play(newStory(t).pushGate()).tick()
			d.tick()
			d.wake()
			if d.m.snap.Gate == nil || !d.m.now.Equal(d.b.now) {
				t.Fatalf("the screen stands at %d, %s", d.m.snap.Seq, d.m.now)
			}
			if d.m.broken == "" {
				t.Error("nothing says what is wrong")
			}
			d.typeText("main@3f2a1c9").press("enter")
			if len(d.b.answers) != 1 {
				t.Errorf("%d answers", len(d.b.answers))
			}
		})
	}
}

// TestClockPutBack: the list of runs goes on when the clock of the machine was put back.
func TestClockPutBack(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keeping())
	d.b.now = d.b.now.Add(-3 * time.Hour)
	d.tick()
	d.b.runs = nil
	d.tick()
	d.tick()
	if len(d.m.runs) != 0 {
		t.Error("the list of runs is that of before the jump")
	}
}

// TestStopIsForItsStep: who agrees to stop one step never stops the next.
func TestStopIsForItsStep(t *testing.T) {
	for _, keys := range [][]string{{"s"}, {"ctrl+c", "3"}} {
		d := drive(t, 120, 36, newStory(t).keeping())
		d.press(keys...)
		if _, ok := d.m.top().(*card); !ok {
			t.Fatalf("%v shows %T", keys, d.m.top())
		}
		d.play(newStory(t).pushing()).wake()
		if w := d.m.snap.Working(); w == nil || w.ID != "push" {
			t.Fatal("no other step runs")
		}
		d.press("1")
		if d.b.stopped != 0 {
			t.Errorf("%v: the next step was stopped", keys)
		}
	}
}

// TestToldNeedsARecord: nothing claims to be on record where no record is kept.
func TestToldNeedsARecord(t *testing.T) {
	team := func(b *fakeBackend, _ *Options) {
		b.team.Contacts = []estate.Contact{{Name: "S. Kaya", Role: "lead", Phone: "+49 30 1"}}
	}
	d := drive(t, 120, 36, newStory(t).keeping(), readOnly, team)
	d.press("c", "1")
	if len(d.b.notes) != 0 || strings.Contains(d.m.notice, "was told") {
		t.Errorf("notes %q, and it says %q", d.b.notes, d.m.notice)
	}
	d = drive(t, 120, 36, newStory(t).keeping(), team)
	d.press("c", "1")
	if len(d.b.notes) != 1 {
		t.Errorf("notes %q", d.b.notes)
	}
	d = drive(t, 120, 36, newStory(t).keeping(), team, func(b *fakeBackend, _ *Options) { b.fail = errors.New("no process drives this run") })
	d.press("c", "1")
	if strings.Contains(d.m.notice, "on record") {
		t.Errorf("it says %q", d.m.notice)
	}
}

// TestWishInADrill: a wish to drive and an inject have a key each, also while somebody types.
func TestWishInADrill(t *testing.T) {
	s := rehearsal(t).pushGate()
	d := drive(t, 120, 36, s)
	s.asks(osei).arrives("support")
	d.play(s)
	d.typeText("main@").press("f4")
	if _, ok := d.m.top().(*handScreen); !ok {
		t.Fatalf("f4 shows %T", d.m.top())
	}
	d.press("esc", "f5")
	if _, ok := d.m.top().(*injectScreen); !ok {
		t.Fatalf("f5 shows %T", d.m.top())
	}
}

// TestNothingGoesIntoASmallWindow: where nobody can see a field, nothing is put into it, and
// what was typed for a gate is no key of the card.
func TestNothingGoesIntoASmallWindow(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).told())
	d.send(sizeMsg(10, 3))
	d.send(keyPress("p"))
	if d.quit || d.m.plain {
		t.Fatal("a key of the gate left for plain mode")
	}
	d.wake()
	d.send(tea.PasteMsg{Content: "a sentence"})
	d.send(sizeMsg(120, 36))
	d.wake()
	if f := d.m.top().field(); f == nil || !f.Empty() {
		t.Errorf("the field holds %+v", f)
	}
	d.send(sizeMsg(10, 3))
	d.wake()
	d.press("p")
	if !d.m.plain {
		t.Error("p does not leave for plain mode")
	}
}

// TestNoteIsNotLost: a note that could not be kept is still there to be handed in again.
func TestNoteIsNotLost(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keeping())
	d.b.fail = errors.New("the process that hosts this run does not answer")
	d.press("n").typeText("lock is on").press("enter")
	d.b.fail = nil
	d.press("esc")
	n, ok := d.m.top().(*noteScreen)
	if !ok || n.text.Value() != "lock is on" {
		t.Fatalf("it shows %T", d.m.top())
	}
	d.press("enter")
	if got := d.b.notes[len(d.b.notes)-1]; got != "lock is on" {
		t.Errorf("kept %q", got)
	}
}
