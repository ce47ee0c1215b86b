package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	actions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// whole is the simplest real kind of asset: a file, stored whole each time.
type whole struct{}

var _ vault.Kind = whole{}

func (whole) Name() string { return "whole" }

func (whole) Capture(_ context.Context, source string, _ []byte, _ func(string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error), _ func(int64, int64, string), _ io.Writer,
) (string, []byte, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return "", nil, err
	}
	w, err := create("base", "file")
	if err != nil {
		return "", nil, err
	}
	if _, err := w.Write(data); err != nil {
		return "", nil, err
	}
	facts, err := json.Marshal(map[string]string{"sha256": sum(data)})
	return vault.Full, facts, errors.Join(err, w.Close())
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

// world is a vault with one asset that has a backup and one that has none.
type world struct {
	t     *testing.T
	dir   string // of the vault
	vault *vault.Vault
	now   time.Time
	list  []action.Action
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte(strings.Repeat("content\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	w.vault, err = vault.Open(t.Context(), "file://"+w.dir, vault.Options{Now: func() time.Time { return w.now }, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.vault.Close() })
	assets := map[string]vault.Asset{
		"kept": {Name: "kept", Kind: "whole", Source: source}, "bare": {Name: "bare", Kind: "whole", Source: source + "2"},
	}
	if _, err := w.vault.Backup(t.Context(), assets["kept"], whole{}, vault.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	w.list = actions.Actions(actions.Deps{
		Vault: func(context.Context) (*vault.Vault, error) { return w.vault, nil },
		Asset: func(name, _ string) (actions.Protected, error) {
			a, ok := assets[name]
			if !ok {
				return actions.Protected{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: bare, kept")
			}
			return actions.Protected{Asset: a, Understands: whole{}}, nil
		},
		Names: func() []string { return []string{"kept", "bare"} },
	})
	return w
}

// run binds, plans and runs an action at a time after the backup.
func (w *world) run(name string, args map[string]any, fence func(string) error) (action.Result, string, error) {
	w.t.Helper()
	for _, a := range w.list {
		if a.Name != name {
			continue
		}
		call, err := a.Bind(args)
		if err != nil {
			return action.Result{}, "", err
		}
		var log bytes.Buffer
		env := &action.Env{Log: &log, Now: func() time.Time { return w.now }, Run: "r1", Fence: fence}
		plan, err := call.Plan(w.t.Context(), env)
		if err != nil {
			return action.Result{}, log.String(), err
		}
		if plan.Summary == "" || plan.Effect != action.Read {
			w.t.Errorf("%s: plan %+v", name, plan)
		}
		res, err := call.Run(w.t.Context(), env, plan)
		return res, log.String(), err
	}
	w.t.Fatalf("there is no action %q", name)
	return action.Result{}, "", nil
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
	objects, err := filepath.Glob(filepath.Join(w.dir, "v1/a/*/d/*/file.gz"))
	if err != nil || len(objects) != 1 {
		t.Fatalf("objects %v, %v", objects, err)
	}
	data, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(objects[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
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
