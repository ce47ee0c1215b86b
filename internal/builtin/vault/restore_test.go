package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// history makes n more points of "kept", a day apart, each of another content, proves
// them where that is wanted, and gives the content of every new one by its id.
func (w *world) history(n int, prove bool) map[string]string {
	w.t.Helper()
	made := map[string]string{}
	a := w.assets["kept"]
	for i := range n {
		w.now = w.now.Add(24 * time.Hour)
		content := fmt.Sprintf("day %d at %s\n", i, w.now)
		must(w.t, os.WriteFile(a.Source, []byte(content), 0o600))
		m := w.backUp("kept")
		made[m.ID] = content
		if prove {
			_, err := w.vault.Verify(w.t.Context(), m, whole{}, vault.LevelApplied, vault.VerifyOptions{})
			must(w.t, err)
		}
	}
	return made
}

// restored checks that a point was rebuilt exactly.
func restored(t *testing.T, dir, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil || string(got) != want {
		t.Errorf("restored %q, %v; want %q", got, err, want)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	made := w.history(3, false)
	ids := w.points(w.vault, "kept")
	oldest := strings.Repeat("content\n", 100)
	w.now = w.now.Add(time.Hour)
	must(t, os.Mkdir(filepath.Join(w.home, "empty"), 0o755))
	for i, tt := range []struct {
		point, at, to string
		want          string // id
	}{
		{to: "newest", want: ids[0]},
		{point: "latest", to: "latest", want: ids[0]},
		{to: "empty", want: ids[0]},
		{point: ids[2], to: filepath.Join(w.home, "a", "b", "absolute"), want: ids[2]},
		{at: "2026-11-25 12:00", to: "./at/the/cut", want: ids[1]},
		{at: "2026-11-25 11:59:59", to: "before/the/../cut", want: ids[2]},
		{at: "2026-11-24", to: "day", want: ids[2]},
		{at: "25h", to: "ago", want: ids[1]},
		{at: "2026-11-23T14:30:00+02:00", to: "zone", want: ids[3]},
	} {
		args := map[string]any{"asset": "kept", "to": tt.to}
		if tt.point != "" {
			args["point"] = tt.point
		}
		if tt.at != "" {
			args["at"] = tt.at
		}
		dir := tt.to
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(w.home, dir)
		}
		call, plan, err := w.plan("vault.restore", args)
		if err != nil || plan.Facts["point"] != tt.want || plan.Target != dir || plan.Effect != action.Write || plan.Back == "" {
			t.Errorf("%d: plan %+v, %v", i, plan, err)
			continue
		}
		if pr, err := call.Probe(t.Context(), w.env(), plan); err != nil || pr.Finding != action.NotApplied {
			t.Errorf("%d: probe before: %+v, %v", i, pr, err)
		}
		res, err := call.Run(t.Context(), w.env(), plan)
		if err != nil || res.Outputs["dir"] != dir || res.Outputs["point"] != tt.want || res.Back == "" {
			t.Errorf("%d: %+v, %v", i, res, err)
			continue
		}
		want, ok := made[tt.want]
		if !ok {
			want = oldest
		}
		restored(t, dir, want)
		if pr, err := call.Probe(t.Context(), w.env(), plan); err != nil || pr.Finding != action.Applied || pr.Means == "" {
			t.Errorf("%d: probe after: %+v, %v", i, pr, err)
		}
		if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrChanged) {
			t.Errorf("%d: a second time: %v", i, err)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t)
	path := func(name string) string { return filepath.Join(w.home, name) }
	must(t, errors.Join(
		os.Mkdir(path("full"), 0o700), os.WriteFile(path("full/x"), []byte("x"), 0o600), os.WriteFile(path("file"), nil, 0o600),
		os.Mkdir(path("empty"), 0o700), os.Symlink("empty", path("link")), os.Symlink("nowhere", path("dangling")),
	))
	before := tree(t, w.home)
	for name, want := range map[string]string{
		"full": "not empty", "file": "a file or a link", "file/inside": "not a directory", "link": "a file or a link", "dangling": "a file or a link",
	} {
		_, _, err := w.plan("vault.restore", map[string]any{"asset": "kept", "to": name})
		if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), want) || len(hint.All(err)) == 0 {
			t.Errorf("into %s: %v, %q", name, err, hint.All(err))
		}
		// The same between plan and run: the target has changed, and stays as it is.
		dir := path("later-" + name)
		call, plan, err := w.plan("vault.restore", map[string]any{"asset": "kept", "to": dir})
		must(t, err)
		plan.Facts["dir"] = path(name)
		if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrChanged) {
			t.Errorf("run into %s: %v", name, err)
		}
	}
	if after := tree(t, w.home); len(after) != len(before) {
		t.Errorf("files %d, were %d", len(after), len(before))
	}
	if link, err := os.Readlink(path("link")); err != nil || link != "empty" {
		t.Errorf("the link is %q, %v", link, err)
	}

	var bad *action.ArgError
	for name, args := range map[string]map[string]any{
		"at": {"asset": "kept", "to": "x", "at": "noon"}, "to": {"asset": "kept"}, "asset": {"to": "x"}, "vault": {"asset": "kept", "to": "x", "vault": "y"},
	} {
		if _, _, err := w.run("vault.restore", args, nil); !errors.As(err, &bad) || bad.Name != name || bad.Msg == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.run("vault.restore", map[string]any{"asset": "kept", "to": "x", "at": "1h", "point": "y"}, nil); !errors.As(err, &bad) || bad.Name != "at" {
		t.Errorf("at and point: %v", err)
	}
}

// Where no point answers, the advice says which there are.
func TestRestoreOfNoPoint(t *testing.T) {
	w := newWorld(t)
	w.history(2, false)
	ids := w.points(w.vault, "kept")
	absent := "20261123T130000.000Z-" + ids[0][len(ids[0])-26:]
	for name, tt := range map[string]struct {
		args map[string]any
		want []string
	}{
		"before the oldest": {map[string]any{"asset": "kept", "at": "2026-11-23 11:59"}, []string{"take the oldest with at: 2026-", "3 points", ids[0], ids[2]}},
		"in the future":     {map[string]any{"asset": "kept", "at": "2999-01-01"}, []string{"name a time that has passed"}},
		"an absent point":   {map[string]any{"asset": "kept", "point": absent}, []string{"3 points", ids[0], ids[2]}},
		"none at all":       {map[string]any{"asset": "bare"}, []string{"lifeboat backup bare"}},
	} {
		tt.args["to"] = "target"
		_, _, err := w.plan("vault.restore", tt.args)
		advice := strings.Join(hint.All(err), "\n")
		if !errors.Is(err, vault.ErrNoBackup) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(advice, want) {
				t.Errorf("%s: advice %q, want %q", name, advice, want)
			}
		}
	}
	if _, _, err := w.plan("vault.restore", map[string]any{"asset": "kept", "to": "x", "point": "../../etc"}); err == nil || !strings.Contains(err.Error(), "not the id") {
		t.Errorf("no id: %v", err)
	}
	if _, _, err := w.plan("vault.restore", map[string]any{"asset": "other", "to": "x"}); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("unknown asset: %v", err)
	}
}

// What was approved is what is restored: another manifest under the name is refused, and
// so are other bytes, and nothing stands where the asset was to be.
func TestRestoreOfWhatChanged(t *testing.T) {
	w := newWorld(t)
	args := map[string]any{"asset": "kept", "to": "target"}
	call, plan, err := w.plan("vault.restore", args)
	must(t, err)
	m, err := w.vault.Latest(t.Context(), vault.AssetID(w.assets["kept"].Asset))
	must(t, err)
	manifest := filepath.Join(w.dir, filepath.FromSlash(m.Key()))
	text, err := os.ReadFile(manifest)
	must(t, err)
	other := strings.Replace(string(text), `"kind": "full"`, `"class": "weekly", "kind": "full"`, 1)
	if other == string(text) {
		t.Fatal("the manifest was not changed")
	}
	must(t, os.WriteFile(manifest, []byte(other), 0o600))
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrChanged) {
		t.Errorf("another manifest: %v", err)
	}
	must(t, os.Remove(manifest))
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, vault.ErrNoBackup) {
		t.Errorf("no manifest: %v", err)
	}
	must(t, os.WriteFile(manifest, text, 0o600))
	w.damage(m)
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), "file.gz") {
		t.Errorf("damage: %v", err)
	}
	if pr, err := call.Probe(t.Context(), w.env(), plan); err != nil || pr.Finding != action.NotApplied {
		t.Errorf("probe: %+v, %v", pr, err)
	}
	w.noTrace("target")
	w.damage(m) // back again
	if _, err := call.Run(t.Context(), w.env(), plan); err != nil {
		t.Error(err)
	}
	restored(t, plan.Facts["dir"], strings.Repeat("content\n", 100))
}

// noTrace checks that a restore which did not end left nothing beside its target.
func (w *world) noTrace(name string) {
	w.t.Helper()
	entries, err := os.ReadDir(w.home)
	must(w.t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), name) {
			w.t.Errorf("%s was left", e.Name())
		}
	}
}

// A restore that was stopped anywhere before its end is not applied, and may be repeated.
func TestRestoreStopped(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.progress = func(int64, int64, string) { cancel() }
	call, plan, err := w.plan("vault.restore", map[string]any{"asset": "kept", "to": "target"})
	must(t, err)
	if _, err := call.Run(ctx, w.env(), plan); err == nil || ctx.Err() == nil {
		t.Fatalf("it was not stopped: %v", err)
	}
	w.noTrace("target")
	// What a crash leaves: the directory of the attempt, beside.
	must(t, os.MkdirAll(filepath.Join(w.home, ".target.restore-1", "replica", "file"), 0o700))
	if pr, err := call.Probe(t.Context(), w.env(), plan); err != nil || pr.Finding != action.NotApplied || pr.Means == "" {
		t.Errorf("probe: %+v, %v", pr, err)
	}
	w.progress = nil
	if _, err := call.Run(t.Context(), w.env(), plan); err != nil {
		t.Error(err)
	}
	if pr, err := call.Probe(t.Context(), w.env(), plan); err != nil || pr.Finding != action.Applied {
		t.Errorf("probe: %+v, %v", pr, err)
	}
	// A target that cannot be looked at settles nothing.
	must(t, os.RemoveAll(plan.Facts["dir"]))
	must(t, os.WriteFile(plan.Facts["dir"], nil, 0o600))
	if pr, err := call.Probe(t.Context(), w.env(), plan); err == nil {
		t.Errorf("a file: %+v", pr)
	}
}

// A receipt that speaks against a point, or cannot be read, is shown and does not hold up
// a recovery.
func TestRestoreIsNotHeldUp(t *testing.T) {
	w := newWorld(t)
	m, err := w.vault.Latest(t.Context(), vault.AssetID(w.assets["kept"].Asset))
	must(t, err)
	w.damage(m)
	if _, err := w.do(t.Context(), "vault.verify", map[string]any{"asset": "kept"}); !errors.Is(err, action.ErrCheck) {
		t.Errorf("verify: %v", err)
	}
	w.damage(m) // back again
	receipts, err := filepath.Glob(filepath.Join(w.dir, "v1/a/*/v/*/*-checked-fail.json"))
	if err != nil || len(receipts) != 1 {
		t.Fatalf("receipts %q, %v", receipts, err)
	}
	for i, want := range []string{"failed", "not known"} {
		to := fmt.Sprintf("target-%d", i)
		if i == 1 {
			must(t, os.WriteFile(receipts[0], []byte("{"), 0o600))
		}
		call, plan, err := w.plan("vault.restore", map[string]any{"asset": "kept", "to": to})
		must(t, err)
		if plan.Lines[1].Label != "proven" || !strings.Contains(plan.Lines[1].Text, want) {
			t.Errorf("%s: %+v", want, plan.Lines)
		}
		if _, err := call.Run(t.Context(), w.env(), plan); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}
