package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// whole is the simplest real kind of asset: a file, stored whole when it has changed.
type whole struct{}

var _ vault.Kind = whole{}

func (whole) Name() string { return "whole" }

func (whole) Capture(_ context.Context, source string, parent []byte, _ func(string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error), _ func(int64, int64, string), _ io.Writer,
) (string, []byte, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return "", nil, err
	}
	facts, err := json.Marshal(map[string]string{"sha256": sum(data)})
	if err != nil || bytes.Contains(parent, []byte(sum(data))) {
		return vault.Unchanged, facts, err
	}
	w, err := create("base", "file")
	if err != nil {
		return "", nil, err
	}
	if _, err := w.Write(data); err != nil {
		return "", nil, err
	}
	return vault.Full, facts, w.Close()
}

func sum(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func (whole) Check(_ context.Context, _ string, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (whole) Apply(_ context.Context, dir, _, object string, _ io.Writer) error {
	return os.Rename(object, filepath.Join(dir, "file"))
}

func (whole) Prove(_ context.Context, dir string, facts []byte, _ bool, _ io.Writer) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "file"))
	if err == nil && !bytes.Contains(facts, []byte(sum(data))) {
		err = errors.New("not equal")
	}
	return "equal", err
}

func (whole) Script(names, _ []string, _ []byte) string {
	return fmt.Sprintf("mkdir \"$OUT\"\ncp \"$IN/%s\" \"$OUT/file\"\n", names[0])
}

func (whole) Needs() []string { return nil }

// world is an estate: a vault, one asset that has a backup and one that has none and
// whose source is missing. Tests add what they need.
type world struct {
	t        *testing.T
	home     string // directory of the estate
	dir      string // of the vault
	vault    *vault.Vault
	now      time.Time
	list     []action.Action
	assets   map[string]actions.Protected
	broken   map[string]error // assets with a mistake in the estate
	unlisted string           // an asset that is not among the names
	archive  func(context.Context) (actions.Protected, error)
	keep     vault.Keep
	copies   []string // URLs
	absent   error    // why there is no vault
	busy     error    // another process prunes
	held     int      // holds that were not released
	alerts   []actions.Alert
	fence    func(string) error
	progress func(done, total int64, unit string)
	dry      bool
	log      bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, home: t.TempDir(), dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		assets: map[string]actions.Protected{}, broken: map[string]error{},
	}
	w.vault = w.open(w.dir)
	w.protect("kept", strings.Repeat("content\n", 100))
	w.protect("bare", "")
	w.list = actions.Actions(actions.Deps{
		Vault: func(context.Context) (*vault.Vault, error) { return w.vault, w.absent },
		Asset: func(name, _ string) (actions.Protected, error) {
			a, ok := w.assets[name]
			if !ok {
				return actions.Protected{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: bare, kept")
			}
			return a, w.broken[name]
		},
		Names: func() []string {
			names := slices.Collect(maps.Keys(w.assets))
			return slices.DeleteFunc(names, func(name string) bool { return name == w.unlisted })
		},
		Archive:   func(ctx context.Context) (actions.Protected, error) { return w.archive(ctx) },
		Retention: func() vault.Keep { return w.keep },
		Copies:    w.openCopies,
		Hold: func(context.Context) (func() error, error) {
			if w.busy != nil {
				return nil, w.busy
			}
			w.held++
			return func() error { w.held--; return nil }, nil
		},
		Alert: func(ctx context.Context, env *action.Env, a actions.Alert) {
			if ctx.Err() != nil {
				t.Errorf("alert on a dead context: %+v", a)
			}
			env.Printf("ALERT %s", a.Event)
			w.alerts = append(w.alerts, a)
		},
	})
	w.backUp("kept")
	return w
}

// open opens the vault in a folder, on the clock of the world.
func (w *world) open(dir string) *vault.Vault {
	w.t.Helper()
	v, err := vault.Open(w.t.Context(), "file://"+dir, vault.Options{
		Now: func() time.Time { return w.now }, Scratch: w.t.TempDir(), Pause: time.Millisecond,
	})
	must(w.t, err)
	w.t.Cleanup(func() { v.Close() })
	return v
}

// openCopies opens the other vaults as the estate does: those that can be.
func (w *world) openCopies(ctx context.Context) ([]*vault.Vault, error) {
	var (
		out  []*vault.Vault
		errs []error
	)
	for _, url := range w.copies {
		v, err := vault.Open(ctx, url, vault.Options{Now: func() time.Time { return w.now }, Pause: time.Millisecond})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, v)
	}
	return out, errors.Join(errs...)
}

// protect adds an asset whose source holds content; "" is a source that is missing.
func (w *world) protect(name, content string) {
	w.t.Helper()
	source := filepath.Join(w.home, name+".source")
	w.assets[name] = actions.Protected{
		Asset: vault.Asset{Name: name, Kind: "whole", Source: source}, Understands: whole{}, RPO: 24 * time.Hour,
	}
	if content != "" {
		must(w.t, os.WriteFile(source, []byte(content), 0o600))
	}
}

// backUp makes a point of an asset without an action.
func (w *world) backUp(name string) vault.Manifest {
	w.t.Helper()
	m, err := w.vault.Backup(w.t.Context(), w.assets[name].Asset, whole{}, vault.BackupOptions{})
	must(w.t, err)
	return m
}

// points lists the points of an asset in a vault, newest first.
func (w *world) points(v *vault.Vault, name string) []string {
	w.t.Helper()
	ids, err := v.Points(w.t.Context(), vault.AssetID(w.assets[name].Asset), time.Time{})
	must(w.t, err)
	return ids
}

// damage changes one byte of the data of a point in place.
func (w *world) damage(m vault.Manifest) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(m.Chain[0].Key))
	data, err := os.ReadFile(path)
	must(w.t, err)
	data[len(data)/2] ^= 1
	must(w.t, os.WriteFile(path, data, 0o600))
}

func (w *world) env() *action.Env {
	return &action.Env{
		Log: &w.log, Now: func() time.Time { return w.now }, Run: "r1", RunID: "run-1",
		Dir: w.home, Scratch: w.t.TempDir(), Fence: w.fence, Progress: w.progress, Dry: w.dry,
	}
}

// bind gives the call of an action; its arguments must be good.
func (w *world) bind(name string, args map[string]any) action.Call {
	w.t.Helper()
	i := slices.IndexFunc(w.list, func(a action.Action) bool { return a.Name == name })
	if i < 0 {
		w.t.Fatalf("there is no action %q", name)
	}
	call, err := w.list[i].Bind(args)
	must(w.t, err)
	return call
}

// plan binds and plans an action, which must change nothing.
func (w *world) plan(name string, args map[string]any) (action.Call, action.Plan, error) {
	w.t.Helper()
	call := w.bind(name, args)
	before := tree(w.t, w.dir)
	plan, err := call.Plan(w.t.Context(), w.env())
	if !maps.Equal(before, tree(w.t, w.dir)) {
		w.t.Errorf("%s: the plan has changed the vault", name)
	}
	if err == nil && (plan.Summary == "" || plan.Target == "" || plan.Stop == "") {
		w.t.Errorf("%s: plan %+v", name, plan)
	}
	return call, plan, err
}

// do plans and runs an action.
func (w *world) do(ctx context.Context, name string, args map[string]any) (action.Result, error) {
	w.t.Helper()
	call, plan, err := w.plan(name, args)
	if err != nil {
		return action.Result{}, err
	}
	return call.Run(ctx, w.env(), plan)
}

// run binds, plans and runs an action that only reads.
func (w *world) run(name string, args map[string]any, fence func(string) error) (action.Result, string, error) {
	w.t.Helper()
	i := slices.IndexFunc(w.list, func(a action.Action) bool { return a.Name == name })
	if _, err := w.list[i].Bind(args); err != nil {
		return action.Result{}, "", err
	}
	w.log.Reset()
	w.fence = fence
	defer func() { w.fence = nil }()
	call, plan, err := w.plan(name, args)
	if err != nil {
		return action.Result{}, w.log.String(), err
	}
	if plan.Effect != action.Read {
		w.t.Errorf("%s: plan %+v", name, plan)
	}
	res, err := call.Run(w.t.Context(), w.env(), plan)
	return res, w.log.String(), err
}

// told checks which alerts were sent since the last time: "event asset".
func (w *world) told(want ...string) {
	w.t.Helper()
	var got []string
	for _, a := range w.alerts {
		got = append(got, strings.TrimSpace(a.Event+" "+a.Asset))
		if a.Text == "" || a.Vault == "" {
			w.t.Errorf("alert %+v", a)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("alerts %q, want %q", got, want)
	}
	w.alerts = nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree gives the content of every file below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

func TestActionsAreValid(t *testing.T) {
	if err := action.Validate(newWorld(t).list); err != nil {
		t.Error(err)
	}
}

func TestLatest(t *testing.T) {
	w := newWorld(t)
	w.now = w.now.Add(3 * time.Hour)
	res, log, err := w.run("vault.latest", map[string]any{"asset": "kept", "max_age": "24h"}, nil)
	if err != nil || res.Outputs["age_seconds"] != int64(3*3600) || res.Outputs["kind"] != "full" || res.Outputs["level"] != "none" ||
		res.Outputs["cut"] != "2026-11-23T12:00:00Z" || !strings.Contains(log, "3h") || len(res.Checks) != 1 || !res.Checks[0].OK {
		t.Errorf("%+v, %q, %v", res, log, err)
	}
	for _, level := range []string{"applied", "checked"} {
		if _, _, err := w.run("vault.verify", map[string]any{"asset": "kept", "level": level}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if res, _, err := w.run("vault.latest", map[string]any{"asset": "kept"}, nil); err != nil || res.Outputs["level"] != "applied" {
		t.Errorf("proven: %+v, %v", res.Outputs, err)
	}
	res, _, err = w.run("vault.latest", map[string]any{"asset": "kept", "max_age": "1h"}, nil)
	if !errors.Is(err, action.ErrCheck) || len(hint.All(err)) == 0 || res.Checks[0].OK || res.Outputs["point"] == "" {
		t.Errorf("too old: %+v, %v", res, err)
	}
	w.now = w.now.Add(-6 * time.Hour)
	if _, _, err := w.run("vault.latest", map[string]any{"asset": "kept"}, nil); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "future") {
		t.Errorf("from the future: %v", err)
	}
	if _, _, err := w.run("vault.latest", map[string]any{"asset": "bare"}, nil); !errors.Is(err, action.ErrCheck) || !errors.Is(err, vault.ErrNoBackup) {
		t.Errorf("without a backup: %v", err)
	}
	if _, _, err := w.run("vault.latest", map[string]any{"asset": "other"}, nil); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("unknown asset: %v", err)
	}
	w.now = w.now.Add(6 * time.Hour)
	delete(w.assets, "bare")
	if res, _, err := w.run("vault.latest", nil, nil); err != nil || res.Outputs["assets"] != int64(1) || res.Outputs["oldest_seconds"] != int64(3*3600) || len(res.Checks) != 1 {
		t.Errorf("all: %+v, %v", res, err)
	}
	clear(w.assets)
	if _, _, err := w.run("vault.latest", nil, nil); !errors.Is(err, action.ErrCheck) || len(hint.All(err)) == 0 {
		t.Errorf("no assets: %v", err)
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	for _, level := range []string{"stored", "checked", "applied", "restored"} {
		res, log, err := w.run("vault.verify", map[string]any{"asset": "kept", "level": level}, nil)
		if err != nil || res.Outputs["passed"] != int64(1) || res.Outputs["level"] != level || res.Outputs["point"] == "" || !strings.Contains(log, "kept: ") {
			t.Errorf("level %s: %+v, %q, %v", level, res, log, err)
		}
	}
	// All assets: the one without a backup fails and the other is verified all the same.
	res, _, err := w.run("vault.verify", nil, nil)
	if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "bare: ") || res.Outputs["passed"] != int64(1) || res.Outputs["failed"] != int64(1) || len(res.Checks) != 2 {
		t.Errorf("all: %+v, %v", res, err)
	}
	refused := errors.New("outside of the sandbox")
	if _, _, err := w.run("vault.verify", nil, func(string) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("fence: %v", err)
	}
	for name, args := range map[string]map[string]any{
		"unknown level": {"level": "perfect"}, "point of no asset": {"point": "x"}, "unknown argument": {"vault": "x"},
	} {
		var bad *action.ArgError
		if _, _, err := w.run("vault.verify", args, nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.run("vault.verify", map[string]any{"asset": "kept", "point": "yesterday"}, nil); err == nil {
		t.Error("a point that is none")
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	w := newWorld(t)
	m, err := w.vault.Latest(t.Context(), vault.AssetID(w.assets["kept"].Asset))
	must(t, err)
	w.damage(m)
	if _, _, err := w.run("vault.verify", map[string]any{"asset": "kept", "level": "stored"}, nil); err != nil {
		t.Errorf("stored: %v", err)
	}
	res, _, err := w.run("vault.verify", map[string]any{"asset": "kept"}, nil)
	if !errors.Is(err, action.ErrCheck) || !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), "file.gz") || res.Checks[0].OK {
		t.Errorf("checked: %+v, %v", res, err)
	}
	w.now = w.now.Add(time.Second)
	if _, _, err := w.run("vault.verify", map[string]any{"asset": "kept", "level": "stored"}, nil); err != nil {
		t.Errorf("stored: %v", err)
	}
	// A weaker pass does not hide the failure.
	if res, _, err := w.run("vault.latest", map[string]any{"asset": "kept"}, nil); err != nil || res.Outputs["level"] != "failed" {
		t.Errorf("latest: %+v, %v", res.Outputs, err)
	}
	// What cannot be asked is no failed check.
	if err := w.vault.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.run("vault.verify", map[string]any{"asset": "kept"}, nil); err == nil || errors.Is(err, action.ErrCheck) {
		t.Errorf("closed: %v", err)
	}
}
