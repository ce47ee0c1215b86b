// Package consoletest drives a console without a terminal, in the words of the person who
// uses it: find a runbook, open its plan, start it, answer the gate.
//
// Nothing sleeps and nothing is tried twice. Every command of the console runs for real,
// against whatever backend it was given, and is counted; the driver goes on when none is
// under way any more. Timers do not run by the clock of the wall: the driver has a clock of
// its own, which moves when a key was pressed or when the test waits for the run, so the
// quiet time after a change of the screen is always over and a poll always due.
package consoletest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/console"
	"lifeboat/internal/run"
)

const (
	// breath is how far the driver's clock moves after each key: more than the quiet time.
	breath = 500 * time.Millisecond
	// patience bounds what a test waits for, by the clock of the wall.
	patience = 60 * time.Second
)

// Driver is a person in front of a console.
type Driver struct {
	t       testing.TB
	m       *console.Model
	backend console.Backend
	results chan tea.Msg
	flying  int // commands under way
	now     time.Duration
	timers  []timer
	left    bool
	copied  []string
}

type timer struct {
	due time.Duration
	msg tea.Msg
}

// setTimer is what a console's wish for a timer becomes.
type setTimer struct {
	after time.Duration
	msg   tea.Msg
}

// Open opens a console of w columns and h lines, and waits for its first screen.
func Open(t testing.TB, backend console.Backend, o console.Options, w, h int) *Driver {
	t.Helper()
	d := &Driver{t: t, backend: backend, results: make(chan tea.Msg)}
	o.Timer = func(after time.Duration, msg tea.Msg) tea.Cmd {
		return func() tea.Msg { return setTimer{after, msg} }
	}
	m, err := console.New(t.Context(), backend, o)
	if err != nil {
		t.Fatal(err)
	}
	d.m = m
	d.send(tea.WindowSizeMsg{Width: w, Height: h})
	d.launch(m.Init())
	d.Idle()
	d.pass(breath)
	return d
}

// Idle waits until no command is under way.
func (d *Driver) Idle() {
	d.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for d.flying > 0 {
		select {
		case msg := <-d.results:
			d.flying--
			d.take(msg)
		case <-deadline.C:
			d.t.Fatalf("the console is still busy with %d commands after %s:\n%s", d.flying, patience, d.Screen())
		}
	}
}

func (d *Driver) take(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			d.launch(c)
		}
	case setTimer:
		d.timers = append(d.timers, timer{d.now + msg.after, msg.msg})
	case tea.QuitMsg:
		d.left = true
	default:
		if s := fmt.Sprintf("%T", msg); s == "tea.setClipboardMsg" {
			d.copied = append(d.copied, fmt.Sprint(msg))
		}
		d.send(msg)
	}
}

func (d *Driver) send(msg tea.Msg) {
	_, cmd := d.m.Update(msg)
	d.launch(cmd)
}

func (d *Driver) launch(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	d.flying++
	go func() {
		msg := cmd()
		select {
		case d.results <- msg:
		case <-d.t.Context().Done(): // the test is over, nobody wants to know
		}
	}()
}

// pass moves the driver's clock, letting each timer go off when it is due.
func (d *Driver) pass(by time.Duration) {
	d.t.Helper()
	for end := d.now + by; ; {
		next := -1
		for i := range d.timers {
			if d.timers[i].due <= end && (next < 0 || d.timers[i].due < d.timers[next].due) {
				next = i
			}
		}
		if next < 0 {
			d.now = end
			return
		}
		msg := d.timers[next].msg
		d.now = max(d.now, d.timers[next].due)
		d.timers = slices.Delete(d.timers, next, next+1)
		d.send(msg)
		d.Idle()
	}
}

// Until lets the console look at the run until something holds.
func (d *Driver) Until(what string, holds func() bool) *Driver {
	d.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond) // so that the engine has the processor, too
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
			d.pass(breath)
		case <-deadline:
			d.t.Fatalf("waited %s for %s:\n%s", patience, what, d.Screen())
		}
	}
	return d
}

// Press presses keys, as "a", "enter", "ctrl+c" or "pgdown", and waits after each.
func (d *Driver) Press(keys ...string) *Driver {
	d.t.Helper()
	for _, k := range keys {
		d.send(Key(k))
		d.Idle()
		d.pass(breath)
	}
	return d
}

// Type types text, faster than anybody can, and waits at its end.
func (d *Driver) Type(text string) *Driver {
	d.t.Helper()
	for _, r := range text {
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		d.Idle()
		d.pass(breath / 10)
	}
	d.pass(breath)
	return d
}

// Erase takes back the last n characters that were typed.
func (d *Driver) Erase(n int) *Driver {
	d.t.Helper()
	for range n {
		d.Press("backspace")
	}
	return d
}

// Paste pastes text.
func (d *Driver) Paste(text string) *Driver {
	d.t.Helper()
	d.send(tea.PasteMsg{Content: text})
	d.Idle()
	return d
}

// Resize gives the window another size.
func (d *Driver) Resize(w, h int) *Driver {
	d.t.Helper()
	d.send(tea.WindowSizeMsg{Width: w, Height: h})
	d.Idle()
	return d
}

// Screen is the text on the screen.
func (d *Driver) Screen() string { return ansi.Strip(d.m.View().Content) }

// Title is the title of the window.
func (d *Driver) Title() string { return d.m.View().WindowTitle }

// Left says whether the console has ended.
func (d *Driver) Left() bool { return d.left }

// Copied is what was handed to the clipboard, oldest first.
func (d *Driver) Copied() []string { return d.copied }

// Sees requires that a text is on the screen, waiting for it.
func (d *Driver) Sees(texts ...string) *Driver {
	d.t.Helper()
	for _, text := range texts {
		d.Until(fmt.Sprintf("%q on the screen", text), func() bool { return strings.Contains(d.Screen(), text) })
	}
	return d
}

// DoesNotSee requires that a text is not on the screen.
func (d *Driver) DoesNotSee(text string) *Driver {
	d.t.Helper()
	if strings.Contains(d.Screen(), text) {
		d.t.Fatalf("the screen shows %q:\n%s", text, d.Screen())
	}
	return d
}

// Key is a key as bubbletea sends it.
func Key(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "f2": tea.KeyF2, "f3": tea.KeyF3,
		"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace}
	mod := tea.KeyMod(0)
	if letter, ok := strings.CutPrefix(name, "ctrl+"); ok {
		mod, name = tea.ModCtrl, letter
	}
	if r, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: r, Mod: mod}
	}
	if name == "space" {
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	}
	k := tea.KeyPressMsg{Code: []rune(name)[0], Mod: mod}
	if mod == 0 {
		k.Text = name
	}
	return k
}

// Run is the open run, or the one that ended last, as its events tell it.
func (d *Driver) Run() run.Run {
	d.t.Helper()
	r, err := d.newest()
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d *Driver) newest() (run.Run, error) {
	list, err := d.backend.Runs(d.t.Context(), 1)
	if err != nil {
		return run.Run{}, err
	}
	if len(list) == 0 {
		return run.Run{}, errors.New("there is no run")
	}
	events, err := d.backend.Events(d.t.Context(), list[0].ID, 0)
	if err != nil {
		return run.Run{}, err
	}
	return run.FoldAll(events)
}

var blanks = regexp.MustCompile(`\s+`)

// squeezed is the screen as one line of words, without borders.
func (d *Driver) squeezed() string {
	text := strings.NewReplacer("┃", " ", "│", " ").Replace(d.Screen())
	return blanks.ReplaceAllString(text, " ")
}
