package vault_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// onlyKept is an estate with a history of one asset: 12 proven points, a day apart.
func onlyKept(t *testing.T) (w *world, made map[string]string) {
	t.Helper()
	w = newWorld(t)
	delete(w.assets, "bare")
	made = w.history(12, true)
	made[w.points(w.vault, "kept")[12]] = strings.Repeat("content\n", 100)
	w.keep = vault.Keep{Daily: 4}
	w.now = w.now.Add(time.Hour)
	return w, made
}

// remains checks that exactly these points of "kept" are there and that each of them is
// restored exactly, and by its own restore.sh.
func (w *world) remains(made map[string]string, want []string) {
	w.t.Helper()
	if got := w.points(w.vault, "kept"); !slices.Equal(got, want) {
		w.t.Errorf("points %q, want %q", got, want)
	}
	for _, id := range want {
		dir := filepath.Join(w.t.TempDir(), "target")
		if _, err := w.do(w.t.Context(), "vault.restore", map[string]any{"asset": "kept", "to": dir, "point": id}); err != nil {
			w.t.Errorf("restore %s: %v", id, err)
			continue
		}
		restored(w.t, dir, made[id])
		if _, err := w.do(w.t.Context(), "vault.verify", map[string]any{"asset": "kept", "point": id, "level": "restored"}); err != nil {
			w.t.Errorf("verify %s: %v", id, err)
		}
	}
}

// What the retention shows is what a prune does: one run after another, each no more than
// its share, until everything is kept.
func TestPrune(t *testing.T) {
	w, made := onlyKept(t)
	rounds := 0
	for range 5 {
		before := w.points(w.vault, "kept")
		w.log.Reset()
		files := tree(t, w.dir)
		res, err := w.do(t.Context(), "vault.retention", map[string]any{"asset": "kept"})
		must(t, err)
		if !maps.Equal(files, tree(t, w.dir)) {
			t.Fatal("the retention has changed the vault")
		}
		var gone []string // as the retention shows them
		for line := range strings.Lines(w.log.String()) {
			if id, ok := strings.CutPrefix(line, "kept: gives up "); ok {
				gone = append(gone, strings.TrimSpace(id))
			}
			if rest, ok := strings.CutPrefix(line, "kept: keeps 2026"); ok && !strings.Contains(rest, ": ") {
				t.Errorf("no reason: %q", line)
			}
		}
		if res.Outputs["remove"] != int64(len(gone)) || res.Outputs["points"] != int64(len(before)) {
			t.Errorf("%+v, shown %q", res.Outputs, gone)
		}
		call, plan, err := w.plan("vault.prune", nil)
		must(t, err)
		if token := fmt.Sprintf("%d-of-%d", len(gone), len(before)); len(gone) > 0 && (plan.Token != token || plan.Effect != action.Destroy || plan.Nothing) {
			t.Errorf("%q are given up: %+v", gone, plan)
		}
		if len(gone) == 0 && (!plan.Nothing || plan.Effect != action.Read || plan.Token != "") {
			t.Errorf("everything is kept: %+v", plan)
		}
		res, err = call.Run(t.Context(), w.env(), plan)
		if err != nil || res.Outputs["points"] != int64(len(gone)) || len(gone) > len(before)/2 || len(res.Checks) != 1 || !res.Checks[0].OK || w.held != 0 {
			t.Fatalf("%+v, %v, held %d", res, err, w.held)
		}
		want := slices.DeleteFunc(before, func(id string) bool { return slices.Contains(gone, id) })
		if got := w.points(w.vault, "kept"); !slices.Equal(got, want) {
			t.Fatalf("points %q, want %q", got, want)
		}
		if len(gone) == 0 {
			break
		}
		rounds++
	}
	left := w.points(w.vault, "kept")
	if len(left) != 4 || rounds != 2 {
		t.Errorf("%d points are left after %d rounds, want one of each of 4 days after 2", len(left), rounds)
	}
	w.remains(made, left)
	w.told()
}

// One vault holds the probes of a doctor, which are in nobody's part: the prune of several
// assets removes them once and does not stumble over them.
func TestPruneOfSeveral(t *testing.T) {
	w, _ := onlyKept(t)
	w.protect("second", "2")
	if _, err := w.vault.Doctor(t.Context()); err != nil {
		t.Fatal(err)
	}
	probes := filepath.Join(w.dir, "v1", "doctor")
	if len(tree(t, probes)) != 1 {
		t.Fatal("there is no probe")
	}
	w.now = w.now.Add(25 * time.Hour)
	for _, name := range []string{"kept", "second"} {
		_, err := w.vault.Verify(t.Context(), w.backUp(name), whole{}, vault.LevelApplied, vault.VerifyOptions{})
		must(t, err)
	}
	res, err := w.do(t.Context(), "vault.prune", nil)
	if err != nil || len(res.Checks) != 2 || !res.Checks[0].OK || !res.Checks[1].OK || res.Outputs["points"] == int64(0) {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := os.Stat(probes); err == nil && len(tree(t, probes)) != 0 {
		t.Error("the probe is still there")
	}
	w.told()
}

// A prune whose points are no longer those that were shown removes nothing, of no asset.
func TestPruneOfWhatChanged(t *testing.T) {
	w, made := onlyKept(t)
	w.protect("zebra", "z")
	prove := func(m vault.Manifest) {
		t.Helper()
		_, err := w.vault.Verify(t.Context(), m, whole{}, vault.LevelApplied, vault.VerifyOptions{})
		must(t, err)
	}
	for range 7 {
		w.now = w.now.Add(time.Hour)
		prove(w.backUp("zebra"))
	}
	w.now = w.now.Add(12 * time.Hour)
	call, plan, err := w.plan("vault.prune", nil)
	must(t, err)
	w.now = w.now.Add(20 * time.Hour)
	prove(w.backUp("zebra"))
	w.now = w.now.Add(5 * time.Hour)
	before := tree(t, w.dir)
	_, err = call.Run(t.Context(), w.env(), plan)
	if !errors.Is(err, action.ErrChanged) || !strings.Contains(err.Error(), "zebra") || len(hint.All(err)) == 0 {
		t.Errorf("error %v", err)
	}
	if !maps.Equal(before, tree(t, w.dir)) || w.held != 0 {
		t.Errorf("something was removed; held %d", w.held)
	}
	if n := len(w.points(w.vault, "kept")); n != len(made) {
		t.Errorf("kept has %d points, had %d", n, len(made))
	}

	// A clock that jumps between the last look and the removal freezes; nothing is gone.
	call, plan, err = w.plan("vault.prune", map[string]any{"asset": "kept"})
	must(t, err)
	env, calls := w.env(), 0
	env.Now = func() time.Time {
		calls++
		if calls > 1 {
			return w.now.AddDate(1, 0, 0)
		}
		return w.now
	}
	before = tree(t, w.dir)
	if _, err := call.Run(t.Context(), env, plan); !errors.Is(err, action.ErrChanged) || !errors.Is(err, vault.ErrFrozen) || calls < 2 {
		t.Errorf("the clock jumps: %v after %d looks", err, calls)
	}
	if !maps.Equal(before, tree(t, w.dir)) {
		t.Error("something was removed")
	}
}

type busyError struct{}

func (busyError) Error() string { return "another prune is at work" }
func (busyError) Busy() bool    { return true }

func TestPruneIsHeld(t *testing.T) {
	w, _ := onlyKept(t)
	call, plan, err := w.plan("vault.prune", nil)
	must(t, err)
	before := tree(t, w.dir)
	w.busy = busyError{}
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, busyError{}) {
		t.Errorf("while another prunes: %v", err)
	}
	if !maps.Equal(before, tree(t, w.dir)) {
		t.Error("something was removed")
	}
}

// A prune that was stopped after some points does not say that nothing happened. What is
// left is whole, and the next prune goes on.
func TestPruneStopped(t *testing.T) {
	w, made := onlyKept(t)
	call, plan, err := w.plan("vault.prune", nil)
	must(t, err)
	before := w.points(w.vault, "kept")
	ctx, cancel := context.WithCancel(t.Context())
	w.progress = func(done, _ int64, unit string) {
		if unit == "points" && done == 2 {
			cancel()
		}
	}
	_, err = call.Run(ctx, w.env(), plan)
	if err == nil || errors.Is(err, action.ErrChanged) || !strings.Contains(err.Error(), "after 2 points") || len(hint.All(err)) == 0 || w.held != 0 {
		t.Errorf("error %v, held %d", err, w.held)
	}
	w.progress = nil
	if n := len(w.points(w.vault, "kept")); n != len(before)-2 {
		t.Errorf("%d points, were %d", n, len(before))
	}
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("the old plan: %v", err)
	}
	for range 4 {
		if _, err := w.do(t.Context(), "vault.prune", nil); err != nil {
			t.Fatal(err)
		}
	}
	left := w.points(w.vault, "kept")
	if len(left) != 4 {
		t.Errorf("%d points are left", len(left))
	}
	w.remains(made, left)
	w.told()
}

// While something is wrong nothing is removed, nobody is asked, the step fails and
// somebody is told; an asset that is well is pruned all the same.
func TestPruneFrozen(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(w *world)
		why   string
	}{
		"no retention": {func(w *world) { w.keep = vault.Keep{} }, "no retention"},
		"late":         {func(w *world) { w.now = w.now.Add(50 * time.Hour) }, "old"},
		"failed": {func(w *world) {
			m, err := w.vault.Latest(w.t.Context(), vault.AssetID(w.assets["kept"].Asset))
			must(w.t, err)
			w.damage(m)
			if _, err := w.vault.Verify(w.t.Context(), m, whole{}, vault.LevelChecked, vault.VerifyOptions{Reread: true}); !errors.Is(err, vault.ErrDamaged) {
				w.t.Errorf("verify: %v", err)
			}
		}, "verification"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := onlyKept(t)
			tt.spoil(w)
			call, plan, err := w.plan("vault.prune", nil)
			if err != nil || plan.Effect != action.Read || plan.Token != "" || plan.Nothing || !strings.Contains(plan.Lines[0].Text, tt.why) {
				t.Errorf("plan %+v, %v", plan, err)
			}
			before := tree(t, w.dir)
			res, err := call.Run(t.Context(), w.env(), plan)
			if err != nil || len(res.Checks) != 1 || res.Checks[0].OK || !strings.Contains(res.Checks[0].Evidence, tt.why) || res.Outputs["points"] != int64(0) {
				t.Errorf("%+v, %v", res, err)
			}
			if len(w.alerts) != 1 || !strings.Contains(w.alerts[0].Text, tt.why) {
				t.Errorf("alerts %+v", w.alerts)
			}
			w.told("prune-frozen kept")
			w.dry = true
			if _, err := call.Run(t.Context(), w.env(), plan); err != nil {
				t.Error(err)
			}
			if _, err := w.do(t.Context(), "vault.retention", nil); err != nil {
				t.Error(err)
			}
			w.told()
			if !maps.Equal(before, tree(t, w.dir)) {
				t.Error("something was removed")
			}
		})
	}

	w, _ := onlyKept(t)
	w.protect("bare", "")
	before := len(w.points(w.vault, "kept"))
	_, plan, err := w.plan("vault.prune", nil)
	if err != nil || plan.Effect != action.Destroy || plan.Token == "" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if _, err := w.do(t.Context(), "vault.prune", nil); err != nil {
		t.Error(err)
	}
	if n := len(w.points(w.vault, "kept")); n >= before {
		t.Errorf("%d points, were %d", n, before)
	}
	w.told("prune-frozen bare")

	for _, name := range []string{"vault.prune", "vault.retention"} {
		if _, _, err := w.plan(name, map[string]any{"asset": "other"}); err == nil || len(hint.All(err)) == 0 {
			t.Errorf("%s of an unknown asset: %v", name, err)
		}
	}
}
