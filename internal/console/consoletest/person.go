package consoletest

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/run"
)

// What a person does, screen by screen.

// Bridge goes to the first screen.
func (d *Driver) Bridge() *Driver {
	d.t.Helper()
	return d.Press("b").Sees("WHAT HAPPENED?")
}

// Find looks for a runbook in the library and requires that the one named is chosen.
func (d *Driver) Find(words, title string) *Driver {
	d.t.Helper()
	return d.Press("/").Type(words).Sees(title)
}

// Answer answers the questions of triage from the bridge with their keys.
func (d *Driver) Answer(keys ...string) *Driver {
	d.t.Helper()
	d.Sees("WHAT HAPPENED?")
	return d.Press(keys...)
}

// OpenPlan opens the plan that was found, and requires that nothing runs.
func (d *Driver) OpenPlan() *Driver {
	d.t.Helper()
	before := d.runs()
	d.Press("enter").Sees("Nothing has been started.")
	if after := d.runs(); after != before {
		d.t.Fatalf("opening a plan began a run: %d before, %d after", before, after)
	}
	return d
}

func (d *Driver) runs() int {
	d.t.Helper()
	list, err := d.backend.Runs(d.t.Context(), 1000)
	if err != nil {
		d.t.Fatal(err)
	}
	return len(list)
}

// Start starts the run of the plan on the screen with the parameters as they stand, says
// yes to the one question before it, and waits for the first gate or the end.
func (d *Driver) Start() *Driver {
	d.t.Helper()
	before := d.runs()
	d.Press("s")
	if d.runs() != before {
		d.t.Fatal("a run began without having been asked for once more")
	}
	if strings.Contains(d.Screen(), "use them all") { // a parameter has no value yet
		d.Press("ctrl+o")
	}
	d.Press("1")
	return d.Until("the run", func() bool { return d.runs() > before }).Settled()
}

// Settled waits until the run needs a person or has ended, and the screen says so.
func (d *Driver) Settled() *Driver {
	d.t.Helper()
	d.Until("a gate, or the end of the run", func() bool {
		r, err := d.newest()
		return err == nil && (r.Gate != nil || !r.Open())
	})
	d.pass(2 * breath)
	return d
}

// Gate requires the kind of the open gate.
func (d *Driver) Gate(kind run.GateKind) *Driver {
	d.t.Helper()
	if g := d.Settled().Run().Gate; g == nil || g.Kind != kind {
		d.t.Fatalf("the gate is %+v, want %q:\n%s", g, kind, d.Screen())
	}
	return d
}

// Approve says yes to the write that is asked about.
func (d *Driver) Approve() *Driver {
	d.t.Helper()
	return d.Gate(run.Confirm).Press("1").Settled()
}

// Refused requires that the gate is still the same one.
func (d *Driver) Refused(by func()) *Driver {
	d.t.Helper()
	g := d.Run().Gate
	if g == nil {
		d.t.Fatal("no gate is open")
	}
	by()
	if now := d.Run().Gate; now == nil || now.Seq != g.Seq {
		d.t.Fatalf("the gate was answered:\n%s", d.Screen())
	}
	return d
}

// TypeToken types the token of the danger gate, which must be on the screen, and hands
// it in.
func (d *Driver) TypeToken() *Driver {
	d.t.Helper()
	g := d.Gate(run.Token).Run().Gate
	if !strings.Contains(d.squeezed(), g.Token) {
		d.t.Fatalf("the token %q is not on the screen:\n%s", g.Token, d.Screen())
	}
	return d.Type(g.Token).Press("enter").Settled()
}

// Fill answers the checklist item by item: with what an item expects, else with words.
func (d *Driver) Fill(words string) *Driver {
	d.t.Helper()
	g := d.Gate(run.Checklist).Run().Gate
	d.fillItem(g, words)
	return d.Settled()
}

func (d *Driver) fillItem(g *run.Gate, words string) {
	d.t.Helper()
	for _, it := range g.Items {
		switch {
		case it.Expect != "":
			d.Type(it.Expect).Press("enter")
		case it.Observe:
			d.Type(words).Press("enter")
		default:
			d.Press("1")
		}
	}
	if r := d.Run(); r.Gate != nil && r.Gate.Seq == g.Seq {
		d.Press("enter")
	}
}

// Step requires the state of a step, by its number from 1.
func (d *Driver) Step(n int, want ...run.State) *Driver {
	d.t.Helper()
	r := d.Run()
	if n > len(r.Steps) || !slices.Contains(want, r.Steps[n-1].State) {
		d.t.Fatalf("step %d of %d is %s, want %v", n, len(r.Steps), state(r, n), want)
	}
	return d
}

func state(r run.Run, n int) string {
	if n > len(r.Steps) {
		return "not there"
	}
	return fmt.Sprintf("%q", r.Steps[n-1].State)
}

// Ended requires how the run ended, and that the screen says it.
func (d *Driver) Ended(want run.Outcome) *Driver {
	d.t.Helper()
	r := d.Settled().Run()
	if r.Outcome != want {
		d.t.Fatalf("the run ended %q, want %q:\n%s", r.Outcome, want, d.Screen())
	}
	return d.Until("how it ended", func() bool { return strings.Contains(strings.ToLower(d.squeezed()), string(want)) })
}
