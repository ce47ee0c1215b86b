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

// second adds another vault to the estate and gives its folder.
func (w *world) second() string {
	dir := w.t.TempDir()
	w.copies = append(w.copies, "file://"+dir)
	return dir
}

// A copy has all points, and restores them when the first vault is gone.
func TestCopy(t *testing.T) {
	w := newWorld(t)
	w.protect("bare", "bare")
	made := w.history(3, false)
	w.backUp("bare")
	dir := w.second()
	_, plan, err := w.plan("vault.copy", nil)
	if err != nil || plan.Effect != action.Write || plan.Nothing || plan.Target != "file://"+dir || len(tree(t, dir)) != 0 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	res, err := w.do(t.Context(), "vault.copy", nil)
	if err != nil || len(res.Checks) != 2 || res.Outputs["failed"] != int64(0) || res.Outputs["bytes"].(int64) <= 0 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = w.do(t.Context(), "vault.copy", nil)
	if err != nil || res.Outputs["objects"] != int64(0) {
		t.Errorf("again: %+v, %v", res, err)
	}

	other := w.open(dir)
	for name := range w.assets {
		if got, want := w.points(other, name), w.points(w.vault, name); !slices.Equal(got, want) {
			t.Errorf("%s: copied %q, want %q", name, got, want)
		}
	}
	must(t, os.RemoveAll(w.dir))
	must(t, os.Mkdir(w.dir, 0o700))
	w.vault = other
	for id, want := range made {
		to := filepath.Join(t.TempDir(), "target")
		if _, err := w.do(t.Context(), "vault.restore", map[string]any{"asset": "kept", "point": id, "to": to}); err != nil {
			t.Errorf("restore %s: %v", id, err)
			continue
		}
		restored(t, to, want)
	}
	if res, err := w.do(t.Context(), "vault.verify", map[string]any{"level": "restored"}); err != nil || res.Outputs["passed"] != int64(2) {
		t.Errorf("verify: %+v, %v", res, err)
	}
	w.told()
}

// The documents of an archive are in no list of assets: once there are some they are copied
// and pruned with all, and not with one.
func TestCopyHasTheDocuments(t *testing.T) {
	w := newWorld(t)
	w.protect("archive", "how to restore")
	documents := w.assets["archive"]
	w.unlisted = "archive"
	other := w.open(w.second())
	if res, err := w.do(t.Context(), "vault.copy", nil); err != nil || len(res.Checks) != 2 {
		t.Errorf("none yet: %+v, %v", res, err)
	}
	w.archive = func(context.Context) (actions.Protected, error) { return documents, nil }
	if _, err := w.do(t.Context(), "vault.archive", nil); err == nil {
		t.Error("the asset without a source was archived")
	}
	if _, err := w.do(t.Context(), "vault.copy", map[string]any{"asset": "kept"}); err != nil || len(w.points(other, "archive")) != 0 {
		t.Errorf("copied with another asset: %v", err)
	}
	if _, err := w.do(t.Context(), "vault.copy", nil); err != nil || len(w.points(other, "archive")) != 1 {
		t.Errorf("not copied: %v", err)
	}
	_, _, err := w.run("vault.retention", nil, nil)
	if err != nil || !strings.Contains(w.log.String(), "archive: keeps ") {
		t.Errorf("retention: %v\n%s", err, w.log.String())
	}
}

func TestCopyChooses(t *testing.T) {
	w := newWorld(t)
	w.history(3, false)
	if _, plan, err := w.plan("vault.copy", nil); err != nil || !plan.Nothing || plan.Effect != action.Read {
		t.Errorf("no other vault: %+v, %v", plan, err)
	}
	other := w.open(w.second())
	if _, err := w.do(t.Context(), "vault.copy", map[string]any{"asset": "kept", "since": "30h"}); err != nil {
		t.Error(err)
	}
	if got, want := w.points(other, "kept"), w.points(w.vault, "kept")[:2]; !slices.Equal(got, want) {
		t.Errorf("copied %q, want %q", got, want)
	}
	var bad *action.ArgError
	if _, _, err := w.run("vault.copy", map[string]any{"since": "yesterday"}, nil); !errors.As(err, &bad) || bad.Name != "since" || bad.Fix == "" {
		t.Errorf("since: %v", err)
	}
	if _, _, err := w.plan("vault.copy", map[string]any{"asset": "other"}); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("unknown asset: %v", err)
	}
}

// A copy that was stopped in the middle has only whole points, and goes on.
func TestCopyResumes(t *testing.T) {
	w := newWorld(t)
	w.history(4, false)
	dir := w.second()
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	w.progress = func(done, total int64, _ string) {
		if done == total {
			if seen++; seen == 4 {
				cancel()
			}
		}
	}
	if _, err := w.do(ctx, "vault.copy", map[string]any{"asset": "kept"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	w.progress = nil
	w.told()
	other := w.open(dir)
	all, some := w.points(w.vault, "kept"), w.points(other, "kept")
	if len(some) == 0 || len(some) >= len(all) || !slices.Equal(some, all[len(all)-len(some):]) {
		t.Errorf("stopped with %q of %q", some, all)
	}
	before := tree(t, dir)
	res, err := w.do(t.Context(), "vault.copy", map[string]any{"asset": "kept"})
	if err != nil || !slices.Equal(w.points(other, "kept"), all) {
		t.Errorf("gone on: %+v, %v", res, err)
	}
	after := tree(t, dir)
	for path, text := range before {
		if after[path] != text {
			t.Errorf("%s was written again", path)
		}
	}
	if n := int64(len(after) - len(before)); res.Outputs["objects"] != n {
		t.Errorf("says %d objects, wrote %d", res.Outputs["objects"], n)
	}
}

// Neither a vault that cannot be opened, nor one that cannot be written, nor a damaged
// asset keeps the rest from being copied.
func TestCopyGoesOn(t *testing.T) {
	w := newWorld(t)
	w.protect("bare", "bare")
	broken := w.backUp("bare")
	gone := "file://" + filepath.Join(t.TempDir(), "gone")
	w.copies = append(w.copies, gone)
	shut := w.second()
	must(t, os.WriteFile(filepath.Join(shut, "v1"), nil, 0o600))
	good := w.second()

	_, plan, err := w.plan("vault.copy", nil)
	if err != nil || plan.Lines[3].Label != "not reached" || !strings.Contains(plan.Lines[3].Text, gone) {
		t.Errorf("plan %+v, %v", plan, err)
	}
	res, err := w.do(t.Context(), "vault.copy", nil)
	if !errors.Is(err, vault.ErrNoVault) || !strings.Contains(err.Error(), shut) || strings.Contains(err.Error(), good) || res.Outputs["failed"] != int64(3) || len(res.Checks) != 5 {
		t.Errorf("%+v, %v", res, err)
	}
	other := w.open(good)
	for name := range w.assets {
		if n := len(w.points(other, name)); n != 1 {
			t.Errorf("%d points of %s were copied", n, name)
		}
	}
	w.told("copy-failed", "copy-failed bare", "copy-failed kept")

	w.copies = nil
	good = w.second()
	w.damage(broken)
	if _, err := w.do(t.Context(), "vault.copy", nil); !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), "bare: ") {
		t.Errorf("damaged: %v", err)
	}
	other = w.open(good)
	if n, m := len(w.points(other, "kept")), len(w.points(other, "bare")); n != 1 || m != 0 {
		t.Errorf("copied %d points, and %d of what is damaged", n, m)
	}
	w.told("copy-failed bare")
	w.dry = true
	if _, err := w.do(t.Context(), "vault.copy", nil); err == nil {
		t.Error("no error")
	}
	w.told()

	w.dry, w.copies = false, []string{gone}
	if _, err := w.do(t.Context(), "vault.copy", nil); !errors.Is(err, vault.ErrNoVault) || len(hint.All(err)) == 0 {
		t.Errorf("no vault is there: %v", err)
	}
	w.told("copy-failed")
}

// A mistake in one asset of the estate does not keep the others from being verified and
// copied; what destroys waits until it is mended.
func TestMistakeInOneAsset(t *testing.T) {
	w := newWorld(t)
	w.broken["bare"] = errors.New("preset \"mongodmp\" is unknown")
	other := w.open(w.second())
	for name, event := range map[string]string{"vault.verify": "verification-failed bare", "vault.copy": "copy-failed bare"} {
		res, err := w.do(t.Context(), name, nil)
		if !errors.Is(err, w.broken["bare"]) || !strings.Contains(err.Error(), "bare: ") || strings.Contains(err.Error(), "kept: ") || len(res.Checks) != 2 {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		w.told(event)
	}
	if n := len(w.points(other, "kept")); n != 1 {
		t.Errorf("%d points were copied", n)
	}
	for _, name := range []string{"vault.prune", "vault.retention"} {
		if _, err := w.do(t.Context(), name, nil); !errors.Is(err, w.broken["bare"]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.held != 0 {
		t.Errorf("held %d", w.held)
	}
}

func TestDoctor(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now() // the clock of the folder
	res, err := w.do(t.Context(), "vault.doctor", nil)
	if err != nil || res.Outputs["problems"] != int64(0) || res.Outputs["warnings"] == int64(0) || len(res.Checks) < 5 || !strings.Contains(w.log.String(), "warning: ") {
		t.Errorf("%+v, %v, %s", res, err, w.log.String())
	}
	w.told()

	// A folder that may be read and not written. The owner of the machine may write it all
	// the same, but for a place that is taken.
	must(t, os.RemoveAll(filepath.Join(w.dir, "v1", "doctor")))
	if os.Geteuid() == 0 {
		must(t, os.WriteFile(filepath.Join(w.dir, "v1", "doctor"), nil, 0o600))
	}
	must(t, os.Chmod(filepath.Join(w.dir, "v1"), 0o500))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(w.dir, "v1"), 0o700)) })
	w.vault = w.open(w.dir)
	w.log.Reset()
	res, err = w.do(t.Context(), "vault.doctor", nil)
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "cannot be written") || len(hint.All(err)) == 0 || slices.Contains(hint.All(err), "") || res.Outputs["problems"] != int64(1) {
		t.Errorf("read-only: %+v, %v, %q", res, err, hint.All(err))
	}
	if len(w.alerts) != 1 || w.alerts[0].Vault != w.vault.String() || w.alerts[0].Advice == "" || strings.Contains(w.alerts[0].Text, "check failed") {
		t.Errorf("alerts %+v", w.alerts)
	}
	w.told("vault-problem")
	if !strings.Contains(w.log.String(), "problem: the vault cannot be written") {
		t.Errorf("log %s", w.log.String())
	}
	w.dry = true
	if res, err := w.do(t.Context(), "vault.doctor", nil); err != nil || !strings.Contains(res.Evidence, "not examined") {
		t.Errorf("dry: %+v, %v", res, err)
	}
	w.told()
	w.dry = false
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.do(ctx, "vault.doctor", nil); !errors.Is(err, context.Canceled) || errors.Is(err, action.ErrCheck) {
		t.Errorf("stopped: %v", err)
	}
	w.told()
}

func TestVerifyAlerts(t *testing.T) {
	w := newWorld(t)
	m := w.backUp("kept")
	verify := func(ctx context.Context, args map[string]any) (action.Result, error) {
		t.Helper()
		return w.do(ctx, "vault.verify", args)
	}
	if _, err := verify(t.Context(), map[string]any{"asset": "kept"}); err != nil {
		t.Error(err)
	}
	w.told()
	w.damage(m)

	files := tree(t, w.dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify(ctx, nil); !errors.Is(err, context.Canceled) || errors.Is(err, action.ErrCheck) {
		t.Errorf("stopped: %v", err)
	}
	w.told()
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := verify(ctx, map[string]any{"asset": "kept"}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, action.ErrCheck) {
		t.Errorf("time is up: %v", err)
	}
	if len(w.alerts) != 1 || !strings.Contains(w.alerts[0].Text, "could not be verified") {
		t.Errorf("alerts %+v", w.alerts)
	}
	w.told("verification-failed kept")
	if !maps.Equal(files, tree(t, w.dir)) {
		t.Error("what was not finished has a receipt")
	}

	w.dry = true
	if res, err := verify(t.Context(), map[string]any{"reread": true}); err != nil || !strings.Contains(res.Evidence, "not verified") {
		t.Errorf("dry: %+v, %v", res, err)
	}
	if !maps.Equal(files, tree(t, w.dir)) {
		t.Error("a dry run wrote a receipt")
	}
	w.told()
	w.dry = false
	if _, err := verify(t.Context(), map[string]any{"reread": true}); !errors.Is(err, action.ErrCheck) || !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	if len(w.alerts) != 2 || !strings.Contains(w.alerts[1].Text, "file.gz") {
		t.Errorf("alerts %+v", w.alerts)
	}
	w.told("verification-failed bare", "verification-failed kept")
}

// demanding has a probe of the asset's owner, which what is in the vault does not pass.
type demanding struct{ whole }

var _ vault.Prober = demanding{}

func (demanding) Probe(context.Context, string, io.Writer) (string, error) {
	return "", errors.New("there are no bookings of today")
}

// What the owner misses is told, and the backup stays what it is.
func TestVerifyProbes(t *testing.T) {
	w := newWorld(t)
	a := w.assets["kept"]
	a.Understands = demanding{}
	w.assets["kept"] = a
	_, err := w.do(t.Context(), "vault.verify", map[string]any{"asset": "kept", "level": "restored"})
	if !errors.Is(err, action.ErrCheck) || !errors.Is(err, vault.ErrProbe) || errors.Is(err, vault.ErrDamaged) || len(hint.All(err)) != 1 || !strings.Contains(hint.All(err)[0], "the backup is whole") {
		t.Errorf("%v, %q", err, hint.All(err))
	}
	if len(w.alerts) != 1 || !strings.Contains(w.alerts[0].Text, "bookings of today") || strings.Contains(w.alerts[0].Text, "could not be verified") {
		t.Errorf("alerts %+v", w.alerts)
	}
	w.told("verification-failed kept")
	if res, err := w.do(t.Context(), "vault.latest", map[string]any{"asset": "kept"}); err != nil || res.Outputs["level"] != "applied" {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := w.do(t.Context(), "vault.restore", map[string]any{"asset": "kept", "to": "target"}); err != nil {
		t.Errorf("restore: %v", err)
	}
}

// A machine verifies the part of the assets that it backs up.
func TestVerifyOfAPart(t *testing.T) {
	w := newWorld(t)
	w.protect("bare", "bare")
	w.backUp("bare")
	passed := int64(0)
	for i := range 8 {
		shard := map[string]any{"shard": fmt.Sprintf("%d/8", i)}
		_, plan, err := w.plan("vault.verify", shard)
		must(t, err)
		res, err := w.do(t.Context(), "vault.verify", shard)
		n := res.Outputs["passed"].(int64)
		if err != nil || plan.Nothing != (n == 0) {
			t.Errorf("part %d: %+v, %v, plan %+v", i, res, err, plan)
		}
		passed += n
	}
	if passed != 2 {
		t.Errorf("all parts together verified %d assets", passed)
	}
	var bad *action.ArgError
	for _, args := range []map[string]any{{"shard": "2/2"}, {"shard": "0/2", "asset": "kept"}} {
		if _, _, err := w.run("vault.verify", args, nil); !errors.As(err, &bad) || bad.Name != "shard" {
			t.Errorf("%v: %v", args, err)
		}
	}
	w.told()
}

// A backup that is late, absent or damaged is told of, and one that is fresh is not.
func TestLatestAlerts(t *testing.T) {
	w := newWorld(t)
	w.now = w.now.Add(3 * time.Hour)
	if res, err := w.do(t.Context(), "vault.latest", map[string]any{"asset": "kept", "max_age": "4h"}); err != nil || len(res.Checks) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	w.told()
	for range 2 {
		if _, err := w.do(t.Context(), "vault.latest", map[string]any{"max_age": "2h"}); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "kept: ") || !strings.Contains(err.Error(), "bare: ") {
			t.Errorf("late and absent: %v", err)
		}
		slices.SortFunc(w.alerts, func(a, b actions.Alert) int { return strings.Compare(a.Asset, b.Asset) })
		if w.dry {
			w.told()
		} else {
			w.told("backup-late bare", "backup-late kept")
		}
		w.dry = true
	}
	w.dry = false

	m, err := w.vault.Latest(t.Context(), vault.AssetID(w.assets["kept"].Asset))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.dir, filepath.FromSlash(m.Key())), []byte("{}"), 0o600))
	if _, err := w.do(t.Context(), "vault.latest", map[string]any{"asset": "kept"}); !errors.Is(err, action.ErrCheck) || !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	w.told("backup-late kept")
	must(t, w.vault.Close())
	if _, err := w.do(t.Context(), "vault.latest", map[string]any{"asset": "kept"}); err == nil || errors.Is(err, action.ErrCheck) {
		t.Errorf("closed: %v", err)
	}
	w.told()
}
