package stream_test

import (
	"bytes"
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
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/builtin/stream"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// bench is a database that is a file, programs that dump and load it, a vault and the
// actions.
type bench struct {
	t     *testing.T
	dir   string
	db    string // the "database"
	kind  dump.Kind
	vault *vault.Vault
	acts  map[string]action.Action
	env   *action.Env
	log   bytes.Buffer
	runs  int
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, db: filepath.Join(dir, "database"), acts: map[string]action.Action{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	bin := filepath.Join(dir, "bin")
	must(t, os.Mkdir(bin, 0o700))
	for name, text := range map[string]string{
		"dumpdb": `[ ! -e "$DB.broken" ] || { echo 'database is down' >&2; exit 1; }
cat "$DB"`,
		"loaddb": `[ ! -e "$DB.full" ] || { head -c 3 >"$DB"; echo 'disk full' >&2; exit 1; }
cat >"$DB.new"; mv "$DB.new" "$DB"; echo loaded >>"$DB.loads"`,
		"kubectl": `while [ "$1" != -- ]; do shift; done; shift; "$@"; exit 0`,
	} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	}
	b.kind = dump.Kind{
		Dump: []string{"kubectl", "exec", "x", "--", "dumpdb"}, Load: []string{"kubectl", "exec", "--stdin", "x", "--", "loaddb"}, Framed: true,
		Env: map[string]string{"PATH": bin + ":" + os.Getenv("PATH"), "DB": b.db}, Target: "auth_db@x",
	}
	v, err := vault.Open(t.Context(), "file://"+filepath.Join(dir, "vault")+"?create=1", vault.Options{Now: b.clock})
	must(t, err)
	t.Cleanup(func() { v.Close() })
	b.vault = v
	list := stream.Actions(stream.Deps{
		Asset: func(name string) (stream.Asset, error) {
			if name != "auth" {
				return stream.Asset{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: auth")
			}
			return stream.Asset{Name: "auth", Source: "auth_db of x", Kind: b.kind, RPO: time.Hour}, nil
		},
		Vault: func(context.Context) (stream.Vault, error) { return v, nil },
	})
	must(t, action.Validate(list))
	for _, a := range list {
		b.acts[a.Name] = a
	}
	b.write("one\n")
	return b
}

// clock goes one minute further at every look.
func (b *bench) clock() time.Time {
	b.now = b.now.Add(time.Minute)
	return b.now
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) write(text string) { must(b.t, os.WriteFile(b.db, []byte(text), 0o600)) }

func (b *bench) read() string {
	data, err := os.ReadFile(b.db)
	must(b.t, err)
	return string(data)
}

// mark sets and removes the marks that make the programs fail.
func (b *bench) mark(what string, on bool) {
	if on {
		must(b.t, os.WriteFile(b.db+what, nil, 0o600))
		return
	}
	must(b.t, os.Remove(b.db+what))
}

func (b *bench) points() int {
	list, err := b.vault.Points(b.t.Context(), vault.AssetID(vault.Asset{Name: "auth", Source: "auth_db of x"}), time.Time{})
	must(b.t, err)
	return len(list)
}

type step struct {
	b    *bench
	call action.Call
	plan action.Plan
	res  action.Result
}

func (b *bench) plan(name string, args map[string]any) (*step, error) {
	b.t.Helper()
	call, err := b.acts[name].Bind(args)
	if err != nil {
		return nil, err
	}
	b.runs++
	b.env = &action.Env{Log: &b.log, Now: b.clock, Run: fmt.Sprintf("run%d", b.runs), RunID: fmt.Sprintf("RUN%d", b.runs), Step: "s", Scratch: b.t.TempDir(), Dir: b.dir}
	s := &step{b: b, call: call}
	s.plan, err = call.Plan(b.t.Context(), b.env)
	return s, err
}

func (s *step) run() (err error) {
	s.res, err = s.call.Run(s.b.t.Context(), s.b.env, s.plan)
	return err
}

func (b *bench) do(name string, args map[string]any) *step {
	b.t.Helper()
	s, err := b.plan(name, args)
	must(b.t, err)
	if err := s.run(); err != nil {
		b.t.Fatalf("%s: %v\n%s", name, err, b.log.String())
	}
	s.told()
	return s
}

// told holds that a probe which finds the effect fills what the effect saves: after a doubt
// later steps go by that.
func (s *step) told() {
	s.b.t.Helper()
	if !s.call.Action.HasProbe {
		return
	}
	pr, err := s.call.Probe(s.b.t.Context(), s.b.env, s.plan)
	if err != nil || pr.Finding != action.Applied {
		return // others look at that
	}
	for _, key := range []string{"point", "sha256", "dir", "file", "kept"} {
		if want, ok := s.res.Outputs[key]; ok && pr.Outputs[key] != want {
			s.b.t.Errorf("%s saves %s = %v, its probe says %v", s.call.Action.Name, key, want, pr.Outputs[key])
		}
	}
}

func (s *step) undo() error {
	s.b.t.Helper()
	undo, err := s.call.PlanUndo(s.b.t.Context(), s.b.env, s.plan, s.res)
	if err != nil {
		return err
	}
	_, err = s.call.RunUndo(s.b.t.Context(), s.b.env, undo, s.plan, s.res)
	if err == nil {
		pr, perr := s.call.ProbeUndo(s.b.t.Context(), s.b.env, undo, s.plan, s.res)
		if perr != nil || !undo.Nothing && pr.Finding != action.Applied {
			s.b.t.Errorf("probe of the undo: %+v %v", pr, perr)
		}
	}
	return err
}

func (s *step) probe() action.Probe {
	s.b.t.Helper()
	pr, err := s.call.Probe(s.b.t.Context(), s.b.env, s.plan)
	must(s.b.t, err)
	return pr
}

func TestBackup(t *testing.T) {
	b := newBench(t)
	s := b.do("stream.backup", map[string]any{"asset": "auth", "class": "daily"})
	if s.res.Outputs["kind"] != "full" || s.res.Outputs["bytes"] != int64(4) || !slices.Equal(s.plan.Command, []string{"kubectl exec x -- dumpdb"}) {
		t.Fatalf("%+v %v", s.res, s.plan.Command)
	}
	if s = b.do("stream.backup", map[string]any{"asset": "auth"}); s.res.Outputs["kind"] != "unchanged" {
		t.Errorf("%+v", s.res)
	}
	b.write("two\n")
	b.do("stream.backup", map[string]any{"asset": "auth"})
	m, err := b.vault.Latest(t.Context(), vault.AssetID(vault.Asset{Name: "auth", Source: "auth_db of x"}))
	must(t, err)
	for _, level := range []vault.Level{vault.LevelStored, vault.LevelChecked, vault.LevelApplied, vault.LevelRestored} {
		if r, err := b.vault.Verify(t.Context(), m, b.kind, level, vault.VerifyOptions{}); err != nil || !r.Pass {
			t.Errorf("level %s: %+v %v", level, r, err)
		}
	}
	n := b.points()
	b.mark(".broken", true)
	if s, err = b.plan("stream.backup", map[string]any{"asset": "auth"}); err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, dump.ErrFailed) || b.points() != n {
		t.Errorf("a dump that failed and was swallowed: %v, %d points", err, b.points())
	}
	b.env.Fence = func(string) error { return action.ErrRefused }
	if err := s.run(); !errors.Is(err, action.ErrRefused) {
		t.Errorf("beyond the fence: %v", err)
	}
}

func TestLoad(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	b.write("two, by accident\n")
	s, err := b.plan("stream.restore", map[string]any{"asset": "auth"})
	must(t, err)
	if s.plan.Effect != action.Destroy || s.plan.Token != "auth_db@x" || s.plan.Command[0] != "kubectl exec --stdin x -- loaddb" {
		t.Fatalf("%+v", s.plan)
	}
	again, err := s.call.Plan(t.Context(), b.env) // as the engine does when the person has read and typed
	if must(t, err); !maps.Equal(again.Facts, s.plan.Facts) || again.Token != s.plan.Token {
		t.Errorf("time that passes at the gate opens it anew: %v, then %v", s.plan.Facts, again.Facts)
	}
	if pr := s.probe(); pr.Finding != action.NotApplied {
		t.Errorf("before: %+v", pr)
	}
	must(t, s.run())
	if b.read() != "one\n" || s.res.Outputs["kept"] == "" {
		t.Errorf("%q %+v", b.read(), s.res)
	}
	if pr := s.probe(); pr.Finding != action.Applied {
		t.Errorf("after: %+v", pr)
	}
	undo, err := s.call.PlanUndo(t.Context(), b.env, s.plan, s.res)
	must(t, err)
	again, err = s.call.PlanUndo(t.Context(), b.env, s.plan, s.res)
	if must(t, err); !maps.Equal(again.Facts, undo.Facts) {
		t.Errorf("time that passes at the gate opens it anew: %v, then %v", undo.Facts, again.Facts)
	}
	must(t, s.undo())
	if b.read() != "two, by accident\n" {
		t.Errorf("undone: %q", b.read())
	}
	if pr := s.probe(); pr.Finding != action.NotApplied {
		t.Errorf("undone: %+v", pr)
	}
	// What the database holds already is not loaded.
	b.do("stream.backup", map[string]any{"asset": "auth"})
	loads, err := os.ReadFile(b.db + ".loads")
	must(t, err)
	s = b.do("stream.restore", map[string]any{"asset": "auth"})
	if again, err := os.ReadFile(b.db + ".loads"); err != nil || len(again) != len(loads) || !strings.Contains(s.res.Evidence, "nothing was loaded") {
		t.Errorf("%v %+v", err, s.res)
	}
}

// A load that ends in the middle is in doubt, and the undo brings the old state back.
func TestLoadFails(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	b.write("present\n")
	s, err := b.plan("stream.restore", map[string]any{"asset": "auth"})
	must(t, err)
	b.mark(".full", true)
	if err := s.run(); !errors.Is(err, action.ErrUnclear) || len(hint.All(err)) == 0 {
		t.Fatalf("%v", err)
	}
	if pr := s.probe(); pr.Finding != action.Unknown || b.read() != "one" {
		t.Errorf("%q %+v", b.read(), pr)
	}
	b.mark(".full", false)
	must(t, s.undo())
	if b.read() != "present\n" {
		t.Errorf("undone: %q", b.read())
	}
}

// Without a dump of the present state nothing is loaded, unless the step says so.
func TestLoadKeeps(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	b.write("present\n")
	b.mark(".broken", true)
	s, err := b.plan("stream.restore", map[string]any{"asset": "auth"})
	must(t, err)
	if err := s.run(); !errors.Is(err, dump.ErrFailed) || errors.Is(err, action.ErrUnclear) || !strings.Contains(strings.Join(hint.All(err), " "), "keep: false") {
		t.Errorf("%v %q", err, hint.All(err))
	}
	if pr := s.probe(); b.read() != "present\n" || pr.Finding != action.NotApplied {
		t.Errorf("%q %+v", b.read(), pr)
	}
	if err := s.undo(); err != nil || b.read() != "present\n" {
		t.Errorf("undo of nothing: %v %q", err, b.read())
	}
	s, err = b.plan("stream.restore", map[string]any{"asset": "auth", "keep": false})
	must(t, err)
	if s.plan.Back != "" || !strings.Contains(fmt.Sprint(s.plan.Lines), "NOTHING") {
		t.Errorf("%+v", s.plan)
	}
	must(t, s.run())
	if b.read() != "one\n" {
		t.Errorf("%q", b.read())
	}
	if pr := s.probe(); pr.Finding != action.Unknown { // it cannot be dumped
		t.Errorf("%+v", pr)
	}
	if err := s.undo(); !errors.Is(err, action.ErrRefused) {
		t.Errorf("undo without a copy: %v", err)
	}
}

func TestLoadChanged(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	b.write("present\n")
	for name, change := range map[string]func(){
		"another command": func() { b.kind.Load = append(slices.Clone(b.kind.Load), "--other") },
		"another target":  func() { b.kind.Target = "other@x" },
	} {
		s, err := b.plan("stream.restore", map[string]any{"asset": "auth"})
		must(t, err)
		saved := b.kind
		change()
		if err := s.run(); !errors.Is(err, action.ErrChanged) || b.read() != "present\n" {
			t.Errorf("%s: %v %q", name, err, b.read())
		}
		b.kind = saved
	}
	b.kind.Load = nil
	if _, err := b.plan("stream.restore", map[string]any{"asset": "auth"}); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("nothing to load with: %v", err)
	}
}

func TestRestoreNew(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	s := b.do("stream.restore", map[string]any{"asset": "auth", "to": "out"})
	got, err := os.ReadFile(filepath.Join(b.dir, "out", "dump"))
	if err != nil || string(got) != "one\n" || s.plan.Effect != action.Write || s.probe().Finding != action.Applied {
		t.Fatalf("%q %v %+v", got, err, s.plan)
	}
	if _, err := b.plan("stream.restore", map[string]any{"asset": "auth", "to": "out"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("into what is there: %v", err)
	}
	must(t, s.undo())
	if s.probe().Finding != action.NotApplied {
		t.Errorf("%+v", s.probe())
	}
	must(t, s.undo())
}

func TestArguments(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	for name, args := range map[string]map[string]any{
		"no time":     {"asset": "auth", "at": "yesterday"},
		"two points":  {"asset": "auth", "at": "2026-11-23T14:30:00Z", "point": "y"},
		"wrong point": {"asset": "auth", "point": "20200101T000000.000Z-01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		"too old":     {"asset": "auth", "at": "2020-11-23T14:30:00Z"},
		"other asset": {"asset": "nope"},
	} {
		if _, err := b.plan("stream.restore", args); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if names := slices.Sorted(maps.Keys(b.acts)); !slices.Equal(names, []string{"stream.backup", "stream.compare", "stream.restore"}) {
		t.Errorf("%v", names)
	}
	b.kind.Dump = nil
	if _, err := b.plan("stream.backup", map[string]any{"asset": "auth"}); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("no command: %v", err)
	}
}

// Another point of the same day that cannot be used is not in the way of the undo. Where
// the wanted one is not among those that can, nobody can say that it was never made.
func TestUndoBesideDamage(t *testing.T) {
	b := newBench(t)
	b.do("stream.backup", map[string]any{"asset": "auth"})
	other := b.do("stream.backup", map[string]any{"asset": "auth"})
	b.write("present\n")
	s, err := b.plan("stream.restore", map[string]any{"asset": "auth", "point": b.oldest()})
	must(t, err)
	must(t, s.run())
	spoil := func(id string) {
		m, err := b.vault.Get(t.Context(), vault.AssetID(vault.Asset{Name: "auth", Source: "auth_db of x"}), id)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(b.dir, "vault", filepath.FromSlash(m.Key())), []byte("{\n"), 0o600))
	}
	spoil(other.res.Outputs["point"].(string))
	if pr := s.probe(); pr.Finding != action.Applied {
		t.Errorf("probe: %+v", pr)
	}
	if err := s.undo(); err != nil || b.read() != "present\n" {
		t.Errorf("undo: %v, %q", err, b.read())
	}
	spoil(s.res.Outputs["kept"].(string))
	if err := s.undo(); !vault.Unusable(err) {
		t.Errorf("undo without the point of before: %v", err)
	}
	if pr, err := s.call.Probe(t.Context(), b.env, s.plan); err == nil {
		t.Errorf("probe without the point of before: %+v", pr)
	}
	if b.read() != "present\n" {
		t.Errorf("%q", b.read())
	}
}

// oldest is the id of the first point.
func (b *bench) oldest() string {
	list, err := b.vault.Points(b.t.Context(), vault.AssetID(vault.Asset{Name: "auth", Source: "auth_db of x"}), time.Time{})
	must(b.t, err)
	return list[len(list)-1]
}
