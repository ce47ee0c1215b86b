package app

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/console"
	"lifeboat/internal/console/consoletest"
	"lifeboat/internal/run"
)

// sandboxConsole opens the console on a sandbox of its own, as "make run" does, without a
// terminal. Runs are hosted by processes of their own.
func sandboxConsole(t *testing.T, w, h int) (*consoletest.Driver, *backend) {
	t.Helper()
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if env.exe, err = command.Look("lifeboat"); err != nil {
		t.Fatal(err)
	}
	world, err := open(env, settings{state: filepath.Join(t.TempDir(), "state"), sandbox: true})
	if err != nil {
		t.Fatal(err)
	}
	leave, err := world.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leave()
		if err := world.sandbox().Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := world.close(); err != nil {
			t.Error(err)
		}
	})
	b := &backend{world: world, client: world.hosts()}
	d := consoletest.Open(t, b, console.Options{User: world.env.user, Session: world.session, Mode: run.Drill, State: world.files.Dir}, w, h)
	return d, b
}

// A responder who has never seen the console finds the right runbook, is asked before
// anything changes, cannot destroy anything by mistake, and gets the branch back.
func TestStoryOfAForcePush(t *testing.T) {
	t.Parallel()
	d, _ := sandboxConsole(t, 120, 36)
	d.Answer("2", "1").OpenPlan().Sees("Undo an accidental force push")
	d.Start()
	for n := 0; ; n++ {
		r := d.Settled().Run()
		if r.Gate == nil {
			break
		}
		if n > 40 {
			t.Fatalf("the run does not end:\n%s", d.Screen())
		}
		switch r.Gate.Kind {
		case run.Checklist:
			d.Fill("s.kaya saw it")
		case run.Confirm:
			d.Approve()
		case run.Token:
			token := r.Gate.Token
			d.Refused(func() { d.Press("enter", "y", "1").Paste(token).Press("enter") }).Erase(2)
			d.Refused(func() { d.Type(token[:len(token)-1]).Press("enter") })
			d.Resize(80, 24).Sees("11 of 12 characters").Resize(120, 36)
			d.Erase(len(token) - 1).TypeToken()
		case run.Input:
			d.Type("s.kaya").Press("enter")
		default:
			d.Press("1")
		}
	}
	d.Ended(run.Complete).Sees("RECOVERED")
	if title := d.Title(); !strings.HasPrefix(title, "DRILL ") {
		t.Errorf("the window is called %q", title)
	}
}

// The worst gap of the bridge names its fix, one key opens the plan of it, and once it has
// been run the board says what is true then. The vault shows the copies and how far each
// is proven, and proving one more is two keys away.
func TestStoryOfAFirstBackup(t *testing.T) {
	t.Parallel()
	d, _ := sandboxConsole(t, 80, 24)
	d.Sees("NO BACKUP YET").Press("f").Sees("Nothing has been started.")
	d.Start()
	for range 20 {
		r := d.Settled().Run()
		if r.Gate == nil {
			break
		}
		if r.Gate.Kind == run.Checklist {
			d.Fill("s.kaya saw it")
			continue
		}
		d.Press("1")
	}
	d.Ended(run.Complete).Press("enter").Sees("WHAT HAPPENED?").Press("r")
	d.Until("a board that knows of the backup", func() bool {
		screen := d.Screen()
		return !strings.Contains(screen, "NO BACKUP YET") && strings.Contains(screen, "READINESS") && !strings.Contains(screen, "none of")
	})
	d.Press("v").Sees("NEWEST COPIES", "newest").Press("t").Sees("PROVE THIS COPY").Press("3")
	d.Ended(run.Complete).Press("enter").Press("v").Sees("restored")
}
