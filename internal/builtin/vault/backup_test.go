package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	actions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// One source is missing and one asset has a mistake in the estate: the others get their
// points, the error names both, and somebody is told of each, once.
func TestBackupGoesOn(t *testing.T) {
	w := newWorld(t)
	w.protect("after", "z")
	w.protect("wrong", "w")
	w.broken["wrong"] = hint.New("preset \"mongodmp\" is unknown", "write mongodump")
	w.now = w.now.Add(time.Hour)

	_, plan, err := w.plan("vault.backup", nil)
	if err != nil || plan.Effect != action.Write || plan.Nothing || plan.Token != "" {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	lines := map[string]string{}
	for _, l := range plan.Lines {
		lines[l.Label] = l.Text
	}
	for name, want := range map[string]string{
		"after": "its first point", "bare": "its first point", "kept": "1h old", "wrong": "mongodmp", "writes to": "file://" + w.dir,
	} {
		if !strings.Contains(lines[name], want) {
			t.Errorf("plan of %s: %q, want %q", name, lines[name], want)
		}
	}

	res, err := w.do(t.Context(), "vault.backup", nil)
	if err == nil || errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), `"bare"`) || !strings.Contains(err.Error(), `"wrong"`) || strings.Contains(err.Error(), `"kept"`) {
		t.Errorf("error %v", err)
	}
	if !errors.Is(err, os.ErrNotExist) || !slices.Contains(hint.All(err), "write mongodump") {
		t.Errorf("the causes are lost: %v, %q", err, hint.All(err))
	}
	for name, want := range map[string]int{"after": 1, "bare": 0, "kept": 2, "wrong": 0} {
		if n := len(w.points(w.vault, name)); n != want {
			t.Errorf("%s has %d points, want %d", name, n, want)
		}
	}
	var ok []string
	for _, c := range res.Checks {
		if c.OK {
			ok = append(ok, c.Text)
		}
	}
	if !slices.Equal(ok, []string{"after has a new point", "kept has a new point"}) || len(res.Checks) != 4 ||
		res.Outputs["assets"] != int64(4) || res.Outputs["failed"] != int64(2) || res.Outputs["point"] != nil {
		t.Errorf("%+v", res)
	}
	if w.alerts[1].Advice != "write mongodump" {
		t.Errorf("alert without its advice: %+v", w.alerts[1])
	}
	w.told("backup-failed bare", "backup-failed wrong")
}

func TestBackupOfOne(t *testing.T) {
	w := newWorld(t)
	for i, tt := range []struct {
		args        map[string]any
		kind, class string
	}{
		{map[string]any{"asset": "kept"}, vault.Unchanged, ""},
		{map[string]any{"asset": "kept", "mode": "full", "class": "weekly"}, vault.Full, "weekly"},
	} {
		w.now = w.now.Add(time.Hour)
		res, err := w.do(t.Context(), "vault.backup", tt.args)
		must(t, err)
		ids := w.points(w.vault, "kept")
		if len(ids) != 2+i || res.Outputs["point"] != ids[0] || res.Outputs["kind"] != tt.kind || (res.Outputs["bytes"].(int64) > 0) != (tt.kind == vault.Full) {
			t.Errorf("%v: %+v, points %q", tt.args, res.Outputs, ids)
		}
		m, err := w.vault.Get(t.Context(), vault.AssetID(w.assets["kept"].Asset), ids[0])
		if err != nil || m.Class != tt.class || m.RunID != "run-1" || m.RPO != 24*3600 || !m.Cut.Equal(w.now) {
			t.Errorf("%v: manifest %+v, %v", tt.args, m, err)
		}
	}
	w.told()

	var bad *action.ArgError
	for name, args := range map[string]map[string]any{
		"shard": {"asset": "kept", "shard": "0/2"}, "class": {"class": "yearly"}, "mode": {"mode": "half"}, "vault": {"vault": "x"},
	} {
		_, _, err := w.run("vault.backup", args, nil)
		if !errors.As(err, &bad) || bad.Name != name || bad.Fix == "" {
			t.Errorf("%s: %v, %+v", name, err, bad)
		}
	}
	for _, shard := range []string{"1", "4/4", "-1/4", "0/0", "0/", "/4", "a/b", "1/2/3", "0/10001", "0/99999999999999999999", "0 /4"} {
		for _, name := range []string{"vault.backup", "vault.archive"} {
			if _, _, err := w.run(name, map[string]any{"shard": shard}, nil); !errors.As(err, &bad) || bad.Name != "shard" || !strings.Contains(bad.Fix, "0/4") {
				t.Errorf("%s, shard %q: %v", name, shard, err)
			}
		}
	}
	if _, _, err := w.plan("vault.backup", map[string]any{"asset": "other"}); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("unknown asset: %v", err)
	}
	clear(w.assets)
	if _, _, err := w.plan("vault.backup", nil); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("no assets: %v", err)
	}
}

// Every asset belongs to exactly one part, and to the same on every machine and with
// every other asset.
func TestShards(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 7, 64} {
		seen := map[int]int{}
		for i := range 500 {
			s := actions.Shard(fmt.Sprintf("asset-%d", i), n)
			if s < 0 || s >= n {
				t.Fatalf("part %d of %d", s, n)
			}
			seen[s]++
		}
		if len(seen) != n {
			t.Errorf("%d of %d parts have assets", len(seen), n)
		}
	}
	// What these are must never change: two machines of different age share an estate.
	for name, want := range map[string]int{"monorepo": 2, "bookings": 1, "auth": 3, "env": 0} {
		if got := actions.Shard(name, 4); got != want {
			t.Errorf("%s belongs to part %d of 4, was %d", name, got, want)
		}
	}

	w := newWorld(t)
	clear(w.assets)
	for i := range 9 {
		w.protect(fmt.Sprintf("asset-%d", i), "content")
	}
	nothing := 0
	for i := range 16 {
		shard := fmt.Sprintf("%d/16", i)
		_, plan, err := w.plan("vault.backup", map[string]any{"shard": shard})
		must(t, err)
		before := len(tree(t, w.dir))
		res, err := w.do(t.Context(), "vault.backup", map[string]any{"shard": shard})
		must(t, err)
		if plan.Nothing != (res.Outputs["assets"] == int64(0)) || plan.Nothing != (plan.Effect == action.Read) {
			t.Errorf("%s: plan %+v, made %+v", shard, plan, res.Outputs)
		}
		if plan.Nothing {
			nothing++
			if n := len(tree(t, w.dir)); n != before {
				t.Errorf("%s: nothing was to be made, and %d files were", shard, n-before)
			}
		}
	}
	for name := range w.assets {
		if n := len(w.points(w.vault, name)); n != 1 {
			t.Errorf("all parts together made %d points of %s", n, name)
		}
	}
	if nothing < 7 {
		t.Errorf("%d of 16 parts of 9 assets are empty", nothing)
	}
}

func FuzzParseShard(f *testing.F) {
	for _, text := range []string{"", "0/1", "3/4", "4/4", "-1/4", "1/2/3", "0/10001", "0x1/2", "1/", "\x00/1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, n, err := actions.ParseShard(text)
		if err != nil {
			if i != 0 || n != 0 {
				t.Errorf("%q: %d/%d beside %v", text, i, n, err)
			}
			return
		}
		if i < 0 || i >= n || n > 10000 {
			t.Errorf("%q: %d/%d", text, i, n)
		}
		if i2, n2, err := actions.ParseShard(fmt.Sprintf("%d/%d", i, n)); err != nil || i2 != i || n2 != n {
			t.Errorf("%q: %d/%d is read as %d/%d, %v", text, i, n, i2, n2, err)
		}
	})
}

// What is wrong with the newest point is in the plan and not in the way: the next backup
// does without it. A vault that does not answer fails the run, which tells of it.
func TestBackupAfterDamage(t *testing.T) {
	w := newWorld(t)
	m, err := w.vault.Latest(t.Context(), vault.AssetID(w.assets["kept"].Asset))
	must(t, err)
	manifest := filepath.Join(w.dir, filepath.FromSlash(m.Key()))
	must(t, os.WriteFile(manifest, []byte("{\n"), 0o600))
	w.now = w.now.Add(time.Hour)
	args := map[string]any{"asset": "kept"}
	_, plan, err := w.plan("vault.backup", args)
	if err != nil || !strings.Contains(plan.Lines[1].Text, "a new full point: ") || strings.Contains(plan.Lines[1].Text, "\n") {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if res, err := w.do(t.Context(), "vault.backup", args); err != nil || res.Outputs["kind"] != vault.Full {
		t.Errorf("%+v, %v", res, err)
	}
	w.told()
	must(t, w.vault.Close())
	call, plan, err := w.plan("vault.backup", args)
	if err != nil || !strings.Contains(plan.Lines[1].Text, "not known: ") {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if _, err := call.Run(t.Context(), w.env(), plan); err == nil {
		t.Error("no error")
	}
	w.told("backup-failed kept")
}

// Without a vault no action plans or runs, and none claims that a check has failed.
func TestWithoutVault(t *testing.T) {
	w := newWorld(t)
	w.second()
	w.archive = func(context.Context) (actions.Protected, error) { return w.assets["kept"], nil }
	restore := map[string]any{"asset": "kept", "to": "target"}
	for name, args := range map[string]map[string]any{
		"vault.latest": nil, "vault.verify": nil, "vault.backup": nil, "vault.archive": nil, "vault.restore": restore,
		"vault.copy": nil, "vault.doctor": nil, "vault.retention": nil, "vault.prune": nil,
	} {
		w.absent = nil
		call, plan, err := w.plan(name, args)
		must(t, err)
		w.absent = fmt.Errorf("%w: the bucket does not exist", vault.ErrNoVault)
		if _, _, err := w.plan(name, args); !errors.Is(err, vault.ErrNoVault) {
			t.Errorf("%s: plan: %v", name, err)
		}
		if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, vault.ErrNoVault) || errors.Is(err, action.ErrCheck) {
			t.Errorf("%s: run: %v", name, err)
		}
	}
	w.told()
	w.noTrace("target")
}

func TestArchive(t *testing.T) {
	w := newWorld(t)
	w.protect("archive", "how to restore")
	documents := w.assets["archive"]
	delete(w.assets, "archive")
	collected := 0
	w.archive = func(context.Context) (actions.Protected, error) { collected++; return documents, nil }
	delete(w.assets, "bare")

	w.now = w.now.Add(time.Hour)
	_, plan, err := w.plan("vault.archive", nil)
	if err != nil || collected != 0 || plan.Lines[len(plan.Lines)-1].Label != "archive" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	res, err := w.do(t.Context(), "vault.archive", nil)
	if err != nil || res.Outputs["assets"] != int64(2) || collected != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	for _, a := range []vault.Asset{documents.Asset, w.assets["kept"].Asset} {
		m, err := w.vault.Latest(t.Context(), vault.AssetID(a))
		if err != nil || m.Class != "monthly" || m.Kind != vault.Full || !m.Cut.Equal(w.now) {
			t.Errorf("%s: %+v, %v", a.Name, m, err)
		}
	}

	// The documents go with the first part, whether it has assets or not.
	made := map[int64]int{}
	for i := range 3 {
		shard := map[string]any{"shard": fmt.Sprintf("%d/3", i), "class": "quarterly"}
		_, plan, err := w.plan("vault.archive", shard)
		must(t, err)
		res, err := w.do(t.Context(), "vault.archive", shard)
		must(t, err)
		n := res.Outputs["assets"].(int64)
		made[n]++
		want := int64(0)
		if i == 0 {
			want++
		}
		if actions.Shard("kept", 3) == i {
			want++
		}
		if n != want || plan.Nothing != (want == 0) || want > 0 && plan.Effect != action.Write {
			t.Errorf("part %d: %d made, plan %+v", i, n, plan)
		}
	}
	if collected != 2 {
		t.Errorf("the documents were collected %d times", collected)
	}

	// Documents that cannot be collected do not keep the assets from being archived.
	w.told()
	w.archive = func(context.Context) (actions.Protected, error) {
		return actions.Protected{}, errors.New("contacts.md is missing")
	}
	before := len(w.points(w.vault, "kept"))
	res, err = w.do(t.Context(), "vault.archive", nil)
	if err == nil || !strings.Contains(err.Error(), "contacts.md") || res.Outputs["failed"] != int64(1) || len(w.points(w.vault, "kept")) != before+1 {
		t.Errorf("%+v, %v", res, err)
	}
	w.told("backup-failed archive")
}

// An alert is for those who do not know: not of a dry run, and not of a step that
// somebody stopped. A step whose time is up tells.
func TestBackupAlerts(t *testing.T) {
	w := newWorld(t)
	w.dry = true
	if _, err := w.do(t.Context(), "vault.backup", map[string]any{"asset": "bare"}); err == nil {
		t.Error("no error")
	}
	w.told()
	w.dry = false

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := w.do(ctx, "vault.backup", nil)
	if !errors.Is(err, context.Canceled) || len(w.points(w.vault, "kept")) != 1 || res.Outputs["failed"] != int64(2) {
		t.Errorf("stopped: %+v, %v", res, err)
	}
	w.told()

	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := w.do(ctx, "vault.backup", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("time is up: %v", err)
	}
	w.told("backup-failed bare", "backup-failed kept")

	// Without a hook or a log nothing is told, and nothing breaks.
	env := w.env()
	env.Log = nil
	call, plan, err := w.plan("vault.backup", map[string]any{"asset": "bare"})
	must(t, err)
	if _, err := call.Run(t.Context(), env, plan); err == nil {
		t.Error("no error")
	}
	w.told("backup-failed bare")
}

// Whatever writes asks the fence for each place, when it plans and again when it runs,
// and has not begun before all are allowed.
func TestFence(t *testing.T) {
	w := newWorld(t)
	second := t.TempDir()
	w.copies = []string{"file://" + t.TempDir(), "file://" + second}
	w.archive = func(context.Context) (actions.Protected, error) {
		t.Error("the documents are collected behind the fence")
		return actions.Protected{}, io.EOF
	}
	vaultURL, source := "file://"+w.dir, w.assets["kept"].Source
	w.assets["listed"] = actions.Protected{
		Asset:       vault.Asset{Name: "listed", Kind: "whole", Source: "kubectl exec"},
		Understands: whole{}, Reads: []string{"/usr/bin/kubectl"},
	}
	target := filepath.Join(w.home, "target")
	for _, tt := range []struct {
		action string
		args   map[string]any
		target string
	}{
		{"vault.verify", nil, vaultURL},
		{"vault.doctor", nil, vaultURL},
		{"vault.prune", nil, vaultURL},
		{"vault.backup", nil, vaultURL},
		{"vault.backup", nil, source},
		{"vault.backup", nil, "/usr/bin/kubectl"},
		{"vault.archive", nil, vaultURL},
		{"vault.archive", nil, source},
		{"vault.restore", map[string]any{"asset": "kept", "to": "target"}, target},
		{"vault.copy", nil, "file://" + second},
	} {
		asked := 0
		refuse := func(got string) error {
			if got == tt.target {
				asked++
				return fmt.Errorf("%w: outside of the sandbox", action.ErrRefused)
			}
			return nil
		}
		w.fence = refuse
		if _, _, err := w.plan(tt.action, tt.args); !errors.Is(err, action.ErrRefused) || asked != 1 {
			t.Errorf("%s: plan of %s: %v, asked %d times", tt.action, tt.target, err, asked)
		}
		w.fence = nil
		call, plan, err := w.plan(tt.action, tt.args)
		must(t, err)
		w.fence = refuse
		before := tree(t, w.dir)
		if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrRefused) || asked != 2 {
			t.Errorf("%s: run at %s: %v, asked %d times", tt.action, tt.target, err, asked)
		}
		w.fence = nil
		if !maps.Equal(before, tree(t, w.dir)) {
			t.Errorf("%s: the vault has changed behind the fence", tt.action)
		}
	}
	for _, url := range w.copies {
		if files := tree(t, strings.TrimPrefix(url, "file://")); len(files) > 0 {
			t.Errorf("%d files were copied behind the fence", len(files))
		}
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) || w.held != 0 {
		t.Errorf("target: %v, held %d", err, w.held)
	}
	w.told()
}

// emptied is an asset that has lost everything it held.
type emptied struct{ whole }

func (emptied) Capture(context.Context, string, []byte, func(string) (io.ReadCloser, error),
	func(role, name string) (io.WriteCloser, error), func(int64, int64, string), io.Writer,
) (string, []byte, error) {
	return vault.Empty, []byte(`{}`), nil
}

// An empty point after one that held something is a loss and not a backup, however often
// it is made: the step is tried again, and the next night comes. Where there never was
// anything, there is nothing to lose.
func TestBackupOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	a := w.assets["kept"]
	a.Understands = emptied{}
	w.assets["kept"] = a
	for range 3 {
		_, err := w.do(t.Context(), "vault.backup", map[string]any{"asset": "kept", "mode": "full"})
		if err == nil || !strings.Contains(err.Error(), "it holds nothing now") || len(hint.All(err)) == 0 {
			t.Errorf("an empty point: %v", err)
		}
	}
	a.Name, a.Source = "fresh", t.TempDir()
	w.assets["fresh"] = a
	for range 2 {
		if _, err := w.do(t.Context(), "vault.backup", map[string]any{"asset": "fresh"}); err != nil {
			t.Errorf("what was always empty: %v", err)
		}
	}
}

func (emptied) Script([]string, []string, []byte) string { return "mkdir \"$OUT\"\n" }

// What only the bucket names is not read, however the step comes to it; others are not
// begun either.
func TestBackupOfAStranger(t *testing.T) {
	w := newWorld(t)
	call, plan, err := w.plan("vault.backup", map[string]any{"asset": "kept"})
	must(t, err)
	a := w.assets["kept"]
	a.Stranger = true
	w.assets["kept"] = a
	before := tree(t, w.dir)
	if _, err := call.Run(t.Context(), w.env(), plan); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("run: %v, want a refusal with advice", err)
	}
	for _, args := range []map[string]any{{"asset": "kept"}, {"asset": "kept", "mode": "full", "class": "monthly"}} {
		if _, _, err := w.plan("vault.backup", args); !errors.Is(err, action.ErrRefused) {
			t.Errorf("plan of %v: %v, want a refusal", args, err)
		}
	}
	if !maps.Equal(before, tree(t, w.dir)) {
		t.Error("the vault has changed")
	}
	if res, err := w.do(t.Context(), "vault.verify", map[string]any{"asset": "kept"}); err != nil {
		t.Errorf("verify: %+v, %v", res, err)
	}
}
