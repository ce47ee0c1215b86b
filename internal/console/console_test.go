package console

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/run"
)

// TestAnswers plays keys at every kind of gate and looks at the answer that arrives.
func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		story func(*story) *story
		do    func(*driver)
		want  *run.Answer // without Gate, By and How; nil: none
	}{
		{"confirm yes", (*story).keepGate, func(d *driver) { d.press("1") }, &run.Answer{Verb: run.Approve, Digest: "d-keep"}},
		{"confirm is not on enter", (*story).keepGate, func(d *driver) { d.press("enter") }, nil},
		{"confirm is not on y, which copies", (*story).keepGate, func(d *driver) { d.press("y", "Y", "space") }, nil},
		{"confirm later, then yes", (*story).keepGate, func(d *driver) { d.press("esc", "enter", "1") }, &run.Answer{Verb: run.Approve, Digest: "d-keep"}},
		{"put aside, numbers are nothing", (*story).keepGate, func(d *driver) { d.press("esc", "1", "y", "2") }, nil},
		{"confirm skip", (*story).keepGate, func(d *driver) { d.press("2", "down"); d.typeText("no copy").press("enter") },
			&run.Answer{Verb: run.Skip, Digest: "d-keep", Class: run.NotApplicable, Reason: "no copy"}},
		{"skip without a reason", (*story).keepGate, func(d *driver) { d.press("2", "enter") }, nil},
		{"other ways: end the run", (*story).keepGate, func(d *driver) { d.press("x", "2"); d.typeText("enough").press("enter") },
			&run.Answer{Verb: run.Abandon, Digest: "d-keep", Reason: "enough"}},
		{"token", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a1c9").press("enter") },
			&run.Answer{Verb: run.Approve, Digest: "d-push", Token: "main@3f2a1c9"}},
		{"token too short", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a1c").press("enter") }, nil},
		{"token too long", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a1c90").press("enter") }, nil},
		{"token with a blank", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a1c9 ").press("enter") }, nil},
		{"token in capitals", (*story).pushGate, func(d *driver) { d.typeText("MAIN@3F2A1C9").press("enter") }, nil},
		{"token corrected", (*story).pushGate, func(d *driver) { d.typeText("main@3f2b").press("backspace"); d.typeText("a1c9").press("enter") },
			&run.Answer{Verb: run.Approve, Digest: "d-push", Token: "main@3f2a1c9"}},
		{"token pasted", (*story).pushGate, func(d *driver) { d.send(tea.PasteMsg{Content: "main@3f2a1c9"}); d.press("enter") }, nil},
		{"token in a burst, as an unmarked paste", (*story).pushGate, func(d *driver) { d.burst("main@3f2a1c9").press("enter", "enter") }, nil},
		{"token and end of line in a burst", (*story).pushGate, func(d *driver) { d.burst("main@3f2a1c9\n").press("enter") }, nil},
		{"the end of it in a burst", (*story).pushGate, func(d *driver) { d.typeText("main@"); d.burst("3f2a1c9\n").press("enter") }, nil},
		{"two characters bunched by a slow link", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a").burst("1c").burst("9").press("enter") },
			&run.Answer{Verb: run.Approve, Digest: "d-push", Token: "main@3f2a1c9"}},
		{"enter that came with the last character", (*story).pushGate, func(d *driver) { d.typeText("main@3f2a1c").burst("9\n") }, nil},
		{"refused, then typed", (*story).pushGate, func(d *driver) { d.burst("main@3f2a1c9"); d.typeText("main@3f2a1c9").press("enter") },
			&run.Answer{Verb: run.Approve, Digest: "d-push", Token: "main@3f2a1c9"}},
		{"keys off at the danger gate", (*story).pushGate, func(d *driver) { d.press("y", "s", "q", "u", "tab", "1") }, nil},
		{"checklist", (*story).frozen, func(d *driver) {
			d.press("1")
			d.typeText("s.kaya").press("enter")
			d.typeText("0").press("enter", "enter")
		}, &run.Answer{Verb: run.Give, Digest: "d-freeze-pushes", Values: []string{"done", "s.kaya", "0"}}},
		{"checklist with an open item", (*story).frozen, func(d *driver) { d.press("down", "down", "down", "enter") }, nil},
		{"a value is not ticked with y", (*story).frozen, func(d *driver) {
			d.press("1")
			d.typeText("y").press("enter")
			d.typeText("0").press("enter", "enter")
		}, nil},
		{"nor with ok, yes or done", (*story).frozen, func(d *driver) {
			d.press("1")
			for _, word := range []string{"ok", "OK.", " yes ", "Done!"} {
				d.typeText(word).press("enter", "enter", "down", "enter")
				d.press("up")
				d.send(tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl})
			}
		}, nil},
		{"but with what was seen", (*story).frozen, func(d *driver) {
			d.press("1")
			d.typeText("yes, s.kaya").press("enter")
			d.typeText("0").press("enter", "enter")
		}, &run.Answer{Verb: run.Give, Digest: "d-freeze-pushes", Values: []string{"done", "yes, s.kaya", "0"}}},
		{"an item without a value is said by a number", (*story).frozen, func(d *driver) { d.press("y", "space", "down", "up", "enter") }, nil},
		{"an item that cannot be done", (*story).frozen, func(d *driver) { d.press("2", "1"); d.typeText("no channel").press("enter") },
			&run.Answer{Verb: run.Skip, Digest: "d-freeze-pushes", Class: run.DoneElsewhere, Reason: "no channel"}},
		{"checklist with a value that should be another", (*story).frozen, func(d *driver) {
			d.press("1")
			d.typeText("s.kaya").press("enter")
			d.typeText("3").press("enter", "enter")
		}, nil},
		{"enter passes no open item", (*story).frozen, func(d *driver) {
			d.press("enter", "enter", "1", "enter", "enter")
			d.typeText("s.kaya").press("enter", "enter")
			d.typeText("0").press("enter", "enter")
		}, &run.Answer{Verb: run.Give, Digest: "d-freeze-pushes", Values: []string{"done", "s.kaya", "0"}}},
		{"what is typed into a checklist is never a command", (*story).frozen, func(d *driver) {
			d.press("1", "down", "down", "down", "up")
			d.typeText("no qlnuxo? y").press("enter")
			d.typeText("0").press("enter", "enter")
		}, &run.Answer{Verb: run.Give, Digest: "d-freeze-pushes", Values: []string{"done", "no qlnuxo? y", "0"}}},
		{"a checklist can be left with a reason", (*story).frozen, func(d *driver) { d.press("esc", "x", "1"); d.typeText("no channel").press("enter") },
			&run.Answer{Verb: run.Skip, Digest: "d-freeze-pushes", Class: run.DoneElsewhere, Reason: "no channel"}},
		{"choice", (*story).choosing, func(d *driver) { d.press("2") }, &run.Answer{Verb: run.Give, Values: []string{"old"}}},
		{"choice left out", (*story).choosing, func(d *driver) { d.press("x", "1"); d.typeText("none fits").press("enter") },
			&run.Answer{Verb: run.Skip, Class: run.DoneElsewhere, Reason: "none fits"}},
		{"secret", (*story).secret, func(d *driver) { d.typeText("hunter2").press("enter") }, &run.Answer{Verb: run.Give, Values: []string{"hunter2"}}},
		{"debt paid by hand", (*story).owing, func(d *driver) { d.press("1"); d.typeText("looked at the settings").press("enter") },
			&run.Answer{Verb: run.Settle, Reason: "looked at the settings"}},
		{"input", (*story).told, func(d *driver) { d.typeText("p.osei").press("enter") }, &run.Answer{Verb: run.Give, Values: []string{"p.osei"}}},
		{"empty input", (*story).told, func(d *driver) { d.press("enter") }, nil},
		{"input may be pasted", (*story).told, func(d *driver) { d.send(tea.PasteMsg{Content: "p.osei\n"}); d.press("enter") }, &run.Answer{Verb: run.Give, Values: []string{"p.osei"}}},
		{"settle a doubt", (*story).doubt, func(d *driver) { d.press("1") }, &run.Answer{Verb: run.Settle, Digest: "d-push"}},
		{"undo a doubt", (*story).doubt, func(d *driver) { d.press("3") }, &run.Answer{Verb: run.Undo, Digest: "d-push"}},
		{"probe again", (*story).doubt, func(d *driver) { d.press("p") }, &run.Answer{Verb: run.Reprobe, Digest: "d-push"}},
		{"enter settles nothing", (*story).doubt, func(d *driver) { d.press("enter", "y", "space", "9") }, nil},
		{"retry", (*story).decision, func(d *driver) { d.press("1") }, &run.Answer{Verb: run.Retry}},
		{"skip a failure", (*story).decision, func(d *driver) { d.press("2"); d.typeText("later").press("enter") },
			&run.Answer{Verb: run.Skip, Class: run.DoneElsewhere, Reason: "later"}},
		{"skip and think again", (*story).decision, func(d *driver) { d.press("2"); d.typeText("later").press("esc") }, nil},
		{"undo plan", (*story).decision, func(d *driver) { d.press("u", "1", "1") }, &run.Answer{Verb: run.Undo, Target: "keep"}},
		{"undo plan, only looked at", (*story).decision, func(d *driver) { d.press("u", "esc") }, nil},
		{"undo plan, not sure", (*story).decision, func(d *driver) { d.press("u", "1", "esc", "esc") }, nil},
		{"finish", (*story).closing, func(d *driver) { d.press("1") }, &run.Answer{Verb: run.Finish}},
		{"reopen names the step", (*story).closing, func(d *driver) { d.press("2") }, &run.Answer{Verb: run.Reopen, Target: "tell"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := drive(t, 120, 36, tc.story(newStory(t)))
			tc.do(d)
			if tc.want == nil {
				if len(d.b.answers) != 0 {
					t.Fatalf("answered %+v", d.b.answers)
				}
				return
			}
			want := *tc.want
			want.Gate, want.By, want.How = d.m.snap.Gate.Seq, "m.ito", "console"
			if diff := cmp.Diff([]run.Answer{want}, d.b.answers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestQuiet holds rule 8: a key meant for the old screen never answers the new one.
func TestQuiet(t *testing.T) {
	s := newStory(t).found()
	d := drive(t, 120, 36, s)
	d.play(s.gate(time.Second, "keep", run.Gate{Kind: run.Confirm, Digest: "d-keep", Plan: keepPlan}))
	d.send(keyPress("1")) // within the 400 ms
	if len(d.b.answers) != 0 {
		t.Fatal("a key right after the gate has opened was heard")
	}
	d.wake()
	d.send(keyPress("1"))
	if len(d.b.answers) != 1 {
		t.Fatal("a key after the quiet time was not heard")
	}
	d.send(keyPress("1"))
	if len(d.b.answers) != 1 {
		t.Error("one gate was answered twice")
	}

	d = drive(t, 120, 36, nil)
	d.press("/").send(keyPress("enter"))
	d.send(keyPress("s"))
	if _, ok := d.m.top().(*planScreen); !ok {
		t.Errorf("%T is on top: a key right after a new screen was heard", d.m.top())
	}
	d.send(keyPress("ctrl+c"))
	if !d.quit {
		t.Error("ctrl+c was not heard in the quiet time")
	}
}

// TestHeldKey: keys that still come at the end of the quiet time prolong it, so that a key
// held down never answers the next question.
func TestHeldKey(t *testing.T) {
	s := newStory(t).found()
	d := drive(t, 120, 36, s)
	d.play(s.gate(time.Second, "keep", run.Gate{Kind: run.Confirm, Digest: "d-keep", Plan: keepPlan}))
	quiet := func() { d.fire(func(m tea.Msg) bool { _, ok := m.(quietMsg); return ok }) }
	for range 20 {
		d.send(keyPress("1"))
		quiet()
	}
	if len(d.b.answers) != 0 {
		t.Fatal("a key that was held down answered")
	}
	quiet()
	d.send(keyPress("1"))
	if len(d.b.answers) != 1 {
		t.Error("a key after a pause was not heard")
	}
	d = drive(t, 120, 36, newStory(t).keepGate())
	repeat := keyPress("1")
	repeat.IsRepeat = true
	d.send(repeat)
	if len(d.b.answers) != 0 {
		t.Error("a repeated key answered")
	}
}

// TestQuietAfterTooSmall: who could see nothing but the card for small windows answers no
// gate with the key after.
func TestQuietAfterTooSmall(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keepGate())
	d.send(sizeMsg(50, 36))
	d.press("1")
	d.send(sizeMsg(120, 36))
	d.send(keyPress("1"))
	if len(d.b.answers) != 0 {
		t.Fatal("a key right after the window grew was heard")
	}
	d.wake()
	d.send(keyPress("1"))
	if len(d.b.answers) != 1 {
		t.Error("a key after that was not heard")
	}
}

// TestQuietOutlastsOlderTimers: the end of an earlier quiet time does not end a later one.
func TestQuietOutlastsOlderTimers(t *testing.T) {
	d := drive(t, 120, 36, nil)
	d.press("/").send(keyPress("enter"))
	first := slices.Clone(d.timers)
	d.wake()
	d.send(keyPress("s"))
	for _, old := range first {
		d.send(old)
	}
	d.send(keyPress("1"))
	if len(d.b.started) != 0 {
		t.Error("a run was started within the quiet time")
	}
}

func TestStart(t *testing.T) {
	d := drive(t, 120, 36, nil)
	d.b.events = newStory(t).frozen().events
	d.press("/", "enter")
	if len(d.b.started)+len(d.b.attached) != 0 {
		t.Fatal("opening the plan has started something")
	}
	d.press("s")
	d.send(tea.PasteMsg{Content: "e\n"})
	d.typeText("q?:").press("enter", "enter", "right", "enter") // branch, remote, depth
	d.typeText("hunter2").press("enter")
	d.typeText("02:52")
	if strings.Contains(d.frame(), "hunter2") {
		t.Error("the secret is on the screen")
	}
	if d.press("enter"); strings.Contains(d.frame(), "hunter2") {
		t.Error("the secret is on the screen of the plan")
	}
	if len(d.b.started) != 0 {
		t.Fatal("the form started it without asking")
	}
	d.press("1")
	want := []Start{{Book: "accidental-force-push", Mode: run.Live, Incident: time.Date(2026, 11, 24, 2, 52, 0, 0, time.UTC),
		Params: map[string]string{"branch": "maineq?:", "remote": "origin", "depth": "1000", "token": "hunter2"}}}
	if diff := cmp.Diff(want, d.b.started); diff != "" {
		t.Error(diff)
	}
	if _, ok := d.m.top().(*runScreen); !ok {
		t.Errorf("%T is on top, want the run", d.m.top())
	}
}

// TestPreparing: while a run is being started no key does anything, and when it could
// not be started the plan is there again.
func TestPreparing(t *testing.T) {
	d := drive(t, 120, 36, nil, inSandbox)
	d.press("/", "enter")
	d.m.do(push{&waitScreen{book: &d.m.books[0], mode: run.Drill, since: d.m.now}})
	d.wake()
	d.press("q", "esc", "y", "s", "?", "enter", "down")
	if _, ok := d.m.top().(*waitScreen); !ok || d.quit || len(d.b.started) != 0 {
		t.Errorf("%T is on top, left %v, %d started: a key was heard", d.m.top(), d.quit, len(d.b.started))
	}

	d = drive(t, 120, 36, nil, inSandbox)
	d.b.fail = errBroken
	d.press("/", "enter", "s", "ctrl+o", "1")
	if f := plainFrame(d.frame()); !strings.Contains(f, "Could not start the run") {
		t.Errorf("the screen does not say why:\n%s", f)
	}
	d.press("esc")
	if _, ok := d.m.top().(*planScreen); !ok {
		t.Errorf("%T is on top, want the plan", d.m.top())
	}
}

// TestTokenIsWhole: what must be typed is on the screen at every size.
func TestTokenIsWhole(t *testing.T) {
	for _, token := range []string{"main@3f2a1c9", "refs/heads/release-2026-11@3f2a1c9", strings.Repeat("long-", 20) + "@3f2a1c9"} {
		for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
			s := newStory(t).kept().gate(time.Second, "push", run.Gate{Kind: run.Token, Digest: "d-push", Token: token, Plan: pushPlan})
			d := drive(t, size[0], size[1], s)
			var shown strings.Builder
			for _, l := range strings.Split(plainFrame(d.frame()), "\n") {
				if _, l, ok := strings.Cut(l, "┃"); ok {
					l, _, _ = strings.Cut(l, "┃")
					shown.WriteString(strings.TrimSpace(l))
				}
			}
			if !strings.Contains(shown.String(), token) {
				t.Errorf("%dx%d does not show %q:\n%s", size[0], size[1], token, plainFrame(d.frame()))
			}
		}
	}
}

// TestOneHeavyBox holds that one box of every frame is heavy: the thing to look at; that a
// run says its mode in the same corner and in the window title; and that the way to all
// keys is in the footer wherever letters are keys.
func TestOneHeavyBox(t *testing.T) {
	for _, sc := range scenes {
		for _, size := range [][2]int{{120, 36}, {80, 24}, {60, 20}} {
			d := sc.make(t, size[0], size[1])
			f := plainFrame(d.frame())
			if n := strings.Count(f, "┏"); n != 1 {
				t.Errorf("%s at %dx%d has %d heavy boxes", sc.name, size[0], size[1], n)
			}
			lines := strings.Split(strings.TrimRight(f, "\n"), "\n")
			if deaf, ok := d.m.top().(interface{ deaf() bool }); d.m.top().field() == nil && !(ok && deaf.deaf()) {
				if !strings.Contains(lines[len(lines)-1], "? ") {
					t.Errorf("%s at %dx%d has no ? in its footer: %q", sc.name, size[0], size[1], lines[len(lines)-1])
				}
			}
			if d.m.snap == nil || d.m.snap.ID == "" {
				continue
			}
			word, _, _ := modeLook(d.m.snap.Started.Mode)
			if corner := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[0]), "READ ONLY")); !strings.HasPrefix(corner, word+" ") {
				t.Errorf("%s at %dx%d has no %s in its corner: %q", sc.name, size[0], size[1], word, lines[0])
			}
			if title := strings.TrimPrefix(d.m.View().WindowTitle, "READ ONLY "); !strings.HasPrefix(title, word+" ") {
				t.Errorf("%s: the window is called %q", sc.name, title)
			}
		}
	}
}

// TestLeave: no way out of the console stops or answers anything.
func TestLeave(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c", "ctrl+c"}, {"ctrl+c", "1"}, {"ctrl+c", "2", "ctrl+c"}, {"o", "q"}, {"o", "ctrl+c"}, {"l", "ctrl+c", "ctrl+c"}} {
		d := drive(t, 120, 36, newStory(t).keeping())
		d.press(keys...)
		if !d.quit {
			t.Errorf("%v did not leave", keys)
		}
		if d.b.stopped != 0 || len(d.b.answers) != 0 {
			t.Errorf("%v touched the run", keys)
		}
	}
}

func TestStop(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keeping())
	d.press("s", "esc")
	if d.b.stopped != 0 {
		t.Fatal("s stopped without asking")
	}
	d.press("s", "1")
	if now := d.m.snap.Attempt(); d.b.stopped != 1 || d.b.which != now || now.N != 1 {
		t.Errorf("stopped %d times, want 1; %+v, want %+v", d.b.stopped, d.b.which, now)
	}
	d = drive(t, 120, 36, newStory(t).decision())
	d.press("s", "1")
	if d.b.stopped != 0 {
		t.Error("stopped although nothing runs")
	}
	if !strings.Contains(d.m.notice, "no step is running") {
		t.Errorf("notice %q does not say why", d.m.notice)
	}
}

func TestNote(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keeping())
	d.press("n")
	d.typeText("lock is on").press("enter")
	if diff := cmp.Diff([]string{"lock is on"}, d.b.notes); diff != "" {
		t.Error(diff)
	}
}

// TestGateGoes: a card that belongs to a gate goes when somebody else has answered it.
func TestGateGoes(t *testing.T) {
	s := newStory(t).keepGate()
	d := drive(t, 120, 36, s)
	d.press("2")
	d.typeText("because").play(s.answer(time.Second, run.Answer{Verb: run.Approve}))
	d.wake()
	d.press("enter")
	if len(d.b.answers) != 0 {
		t.Errorf("answered a gate that is gone: %+v", d.b.answers)
	}
	if _, ok := d.m.top().(*runScreen); !ok {
		t.Errorf("%T is on top", d.m.top())
	}
}

// TestRefusedAnswer: when the answer did not arrive the gate can be answered again.
func TestRefusedAnswer(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keepGate())
	d.b.fail = errBroken
	d.press("1")
	f := plainFrame(d.frame())
	for _, want := range []string{"does not answer", "lifeboat attach 7F3A"} {
		if !strings.Contains(f, want) {
			t.Errorf("the card does not say %q:\n%s", want, f)
		}
	}
	d.b.fail = nil
	d.press("esc", "1")
	if len(d.b.answers) != 1 {
		t.Errorf("%d answers, want 1", len(d.b.answers))
	}
}

func TestEnd(t *testing.T) {
	s := newStory(t).told()
	d := drive(t, 120, 36, s, func(b *fakeBackend, _ *Options) { b.logs["verify.1.log"] = []byte("same\n") })
	s.answer(minute, run.Answer{Verb: run.Give, Values: []string{"p.osei"}})
	s.add(0, run.StepClaimed, "tell", run.Verdict{By: "m.ito", Values: []string{"p.osei"}})
	d.play(s.add(time.Second, run.RunEnded, "", run.Ended{Outcome: run.Complete, By: "m.ito"}))
	d.wake()
	if _, ok := d.m.top().(*resultScreen); !ok {
		t.Fatalf("%T is on top, want the result", d.m.top())
	}
	d.press("enter")
	if _, ok := d.m.top().(*homeScreen); !ok || d.m.snap != nil {
		t.Errorf("%T is on top, want home", d.m.top())
	}
	if d.b.closed != 1 {
		t.Errorf("%d logs were closed, want 1", d.b.closed)
	}
}

func TestTitle(t *testing.T) {
	for _, tc := range []struct {
		story func(*story) *story
		want  string
	}{
		{(*story).keeping, "LIVE accidental-force-push 3/6"},
		{(*story).pushGate, "LIVE accidental-force-push 4/6 GATE"},
		{(*story).doubt, "LIVE accidental-force-push 4/6 IN DOUBT"},
		{(*story).complete, "LIVE accidental-force-push complete"},
	} {
		if got := drive(t, 80, 24, tc.story(newStory(t))).m.View().WindowTitle; got != tc.want {
			t.Errorf("title %q, want %q", got, tc.want)
		}
	}
}

// TestBack: after two minutes without a key you are told what happened.
func TestBack(t *testing.T) {
	s := newStory(t).keepGate()
	d := drive(t, 120, 36, s)
	d.press("esc")
	s.answer(0, run.Answer{Verb: run.Approve}).begin("keep", keepPlan)
	d.play(s.add(5*minute, run.NoteAdded, "", run.Note{By: "s.kaya", Text: "hello"}))
	d.wake()
	d.press("tab")
	if !strings.HasPrefix(d.m.notice, "You were at step 3 of 6. Since then: 3 min 42 s, s.kaya: hello") {
		t.Errorf("notice %q", d.m.notice)
	}
}

func TestSearch(t *testing.T) {
	d := drive(t, 120, 36, nil)
	l := d.press("/").m.top().(*libraryScreen)
	for _, tc := range []struct{ text, want string }{
		{"fsck", "corrupted-repository"}, {"forced update", "accidental-force-push"}, {"DAILY", "repository-backup"}, {"nothing like it", "accidental-force-push"},
	} {
		l.search.Reset(tc.text)
		if got := l.book(&d.m.world).Name; got != tc.want {
			t.Errorf("%q found %s, want %s", tc.text, got, tc.want)
		}
	}
}

// TestIdleDrawsNothing: polls without news draw no frame.
func TestIdleDrawsNothing(t *testing.T) {
	d := drive(t, 120, 36, newStory(t).keepGate())
	d.frame()
	for range 5 {
		d.m.listed = d.m.now
		d.tick()
		if d.m.dirty {
			t.Fatal("a poll without news wants a new frame")
		}
	}
}

// TestOneDoor: only intent.go calls the backend, and nothing in the package reaches
// outside by itself.
func TestOneDoor(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, door := range []string{"m.backend.", "b.Answer(", "b.Stop(", "b.Start(", "b.Events(", "time.Now(", "context.Background("} {
			if name != "intent.go" && strings.Contains(string(src), door) {
				t.Errorf("%s uses %s", name, door)
			}
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if slices.Contains([]string{`"os"`, `"os/exec"`, `"net"`, `"database/sql"`}, i.Path.Value) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
