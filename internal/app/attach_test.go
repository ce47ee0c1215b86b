package app

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"lifeboat/internal/run"
)

// as starts what follows as another person.
func (p *place) as(who string) *place {
	other := *p
	other.env = map[string]string{}
	for k, v := range p.env {
		other.env[k] = v
	}
	other.env["LIFEBOAT_USER"] = who
	return &other
}

// types types a line at a terminal.
func (x *terminal) types(text string) {
	x.p.t.Helper()
	if _, err := io.WriteString(x.pty, text+"\r"); err != nil {
		x.p.t.Fatal(err)
	}
}

// answers types an answer until the screen shows what comes of it: one that comes with the
// question is not taken.
func (x *terminal) answers(text, shows string) {
	x.p.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(600 * time.Millisecond)
	defer tick.Stop()
	for {
		x.types(text)
		select {
		case <-tick.C:
		case <-deadline:
			x.p.t.Fatalf("typed %q and waited for %q:\n%s", text, shows, x.lines())
		}
		if strings.Contains(x.lines(), shows) {
			return
		}
	}
}

// handings lists how the run came into other hands.
func (p *place) handings() string {
	p.t.Helper()
	var out []string
	for _, h := range p.only().Handed {
		out = append(out, h.From.By+">"+h.To.By+" "+string(h.How))
	}
	return strings.Join(out, ", ")
}

// bare requires that a terminal got lines and nothing else: no cursor movement, no colour, not
// even a bell, nothing outside ASCII, and no line wider than 80 cells that is ours.
func (x *terminal) bare() {
	x.p.t.Helper()
	for i, line := range strings.Split(strings.ReplaceAll(x.wrote(), "\r\n", "\n"), "\n") {
		for _, r := range line {
			if r > unicode.MaxASCII && !strings.Contains(line, "red ") || unicode.IsControl(r) { // red is foreign
				x.p.t.Errorf("line %d has %q: %q", i+1, r, line)
				break
			}
		}
		if len(line) > 80 && !strings.Contains(line, "out| ") {
			x.p.t.Errorf("line %d is %d cells wide: %q", i+1, len(line), line)
		}
	}
}

// TestLinesAreBare plays a whole run on a serial terminal.
func TestLinesAreBare(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "effect=destroy target=precious", effect+`printf '\033[31mred\033[0m \a\r\n'`)
	x := p.terminal("dumb", "run", "slow")
	x.shows("Type the token")
	x.types("?")
	x.shows("the undo plan")
	x.types("precious")
	x.shows("8 of 16 characters match. Nothing has run. Try again.")
	x.types("status")
	x.shows("(danger gate)")
	x.types("note")
	x.shows("NOTE>")
	x.types("a remark")
	x.shows("NOTE m.ito: a remark")
	x.types(p.only().Gate.Token)
	x.exit(exitComplete)
	for _, want := range []string{"Nothing runs until you answer. Type a number, then Enter.", "LIVE 1/1 GATE> ", "RUNNING step 1", "STEP 1 DONE", "COMPLETE."} {
		if !strings.Contains(x.wrote(), want) {
			t.Errorf("it does not say %q:\n%s", want, x.wrote())
		}
	}
	x.bare()
	p.effects(1)
}

// TestTwoWithLines: one drives with lines in the process that hosts the run, another watches
// from a second one, asks, is refused, asks again and is given the run. Nothing that the
// watcher types before that answers anything, and what the first had half typed is gone.
func TestTwoWithLines(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "", effect)
	ito := p.terminal("dumb", "run", "slow")
	ito.shows("Run it")
	kaya := p.as("s.kaya").terminal("dumb", "attach", p.only().ID.Short())
	kaya.shows("READ ONLY, you watch.")
	kaya.shows("WAITING for m.ito")
	kaya.types("1")
	kaya.shows("was not taken for an answer")
	kaya.types("who")
	kaya.shows("m.ito drives.")
	ito.types("who")
	ito.shows("You drive; 1 watches: s.kaya.")
	if out := p.exits(exitComplete, "runs"); !strings.Contains(out, "open, m.ito drives; 1 watches: s.kaya\n") {
		t.Errorf("runs say\n%s", out)
	}
	if out := p.exits(exitComplete, "runs", "--json"); !strings.Contains(out, `"driver":"m.ito","driver_here":true,"watch":["s.kaya"]`) {
		t.Errorf("runs --json say\n%s", out)
	}

	kaya.types("take")
	ito.shows("s.kaya asks to drive.")
	ito.types("keep")
	kaya.shows("m.ito keeps the run, s.kaya watches on.")
	kaya.types("take")
	ito.shows("Type give to hand the run to s.kaya")
	p.until("the second wish", func() bool { return p.only().Asked != nil })
	ito.types("give")
	kaya.shows("You drive; 1 watches: m.ito.")
	ito.shows("READ ONLY, you watch.")
	ito.types("1") // it would have been an answer a moment ago
	ito.shows("was not taken for an answer")
	p.effects(0)
	p.stands(run.Waiting, true)
	kaya.shows("LIVE 1/1> ")
	kaya.types("1") // in the moment in which the question comes
	kaya.answers("1", "COMPLETE")
	if !strings.Contains(kaya.wrote(), "That was typed before the question could be read, and answers nothing.") {
		t.Error("an answer came with its question and was taken")
	}
	kaya.exit(exitComplete)
	ito.exit(exitComplete)
	p.effects(1)
	if got := p.handings(); got != "m.ito>s.kaya given" {
		t.Errorf("hands: %s", got)
	}
	for _, x := range []*terminal{ito, kaya} {
		x.bare()
	}
}

// TestDriverKilled kills the console of the driver at a gate. Whoever watches asks, takes the
// run over and answers; a read-only one sees it all and can do nothing.
func TestDriverKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.book("slow", "", effect)
	ito := p.startInConsole()
	id := p.only().ID.Short()
	osei := p.as("p.osei").terminal("xterm-256color", "attach", id, "--readonly")
	osei.shows("READ ONLY")
	kaya := p.as("s.kaya").terminal("dumb", "attach", id)
	kaya.shows("READ ONLY, you watch.")
	ito.shows("2 watch")
	for _, key := range []string{"1", "A", "n", "R", "\r"} {
		io.WriteString(osei.pty, key)
	}
	osei.shows("this console is read-only")
	kaya.types("take")
	ito.shows("TAKE-OVER")
	ito.signal(syscall.SIGKILL)
	ito.exit(-1)
	p.until("the run in other hands", func() bool {
		if p.only().Driver.By != "s.kaya" {
			kaya.types("take")
		}
		return p.only().Driver.By == "s.kaya"
	})
	kaya.shows("s.kaya drives: the terminal of m.ito is gone.")
	p.effects(0)

	again := p.terminal("xterm-256color", "attach", id) // and watches now
	again.shows("s.kaya drives")
	kaya.answers("1", "COMPLETE")
	kaya.exit(exitComplete)
	again.shows("COMPLETE")
	osei.shows("COMPLETE")
	again.leave()
	osei.leave()
	p.effects(1)
	if got := p.handings(); got != "m.ito>s.kaya driver gone" {
		t.Errorf("hands: %s", got)
	}
	if r := p.only(); len(r.Notes) != 0 || len(r.Raised) != 0 {
		t.Errorf("a read-only console wrote: %+v %+v", r.Notes, r.Raised)
	}
}
