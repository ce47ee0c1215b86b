package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/builtin/files"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// bench is a directory of files, a vault and the actions on them.
type bench struct {
	t     *testing.T
	dir   string // everything
	root  string // of the asset
	kind  tree.Kind
	vault *vault.Vault
	acts  map[string]action.Action
	env   *action.Env
	log   bytes.Buffer
	runs  int
	ctx   context.Context // of a run that is stopped
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, root: filepath.Join(dir, "repo"), acts: map[string]action.Action{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	b.kind = tree.Kind{Include: []string{"apps/*/.env*", "infrastructure/"}}
	for name, text := range map[string]string{
		"apps/web/.env": "A=1\n", "apps/web/.env.local": "B=2\n", "apps/api/.env": "C=3\n", "apps/api/main.go": "code",
		"infrastructure/main.tf": "resource", "infrastructure/modules/db/db.tf": "db",
	} {
		b.put(name, text)
	}
	must(t, os.Symlink("../main.tf", filepath.Join(b.root, "infrastructure/modules/main")))
	v, err := vault.Open(t.Context(), "file://"+filepath.Join(dir, "vault")+"?create=1", vault.Options{Now: b.clock})
	must(t, err)
	t.Cleanup(func() { v.Close() })
	b.vault = v
	for _, a := range files.Actions(files.Deps{
		Source: func(name string) (files.Source, error) {
			if name != "env" {
				return files.Source{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: env")
			}
			return files.Source{Name: "env", Path: b.root, Kind: b.kind, RPO: time.Hour}, nil
		},
		Vault: func(context.Context) (files.Vault, error) { return v, nil },
	}) {
		b.acts[a.Name] = a
	}
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

func (b *bench) put(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	must(b.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(b.t, os.WriteFile(path, []byte(text), 0o600))
}

// tree is every file below dir but Lifeboat's own, with type, mode and content.
func (b *bench) tree(dir string) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	must(b.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if strings.HasPrefix(rel, tree.Own) {
			return fs.SkipDir
		}
		info, err := os.Lstat(path)
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			out[rel] = "-> " + target
			return err
		}
		text, err := os.ReadFile(path)
		out[rel] = fmt.Sprintf("%s %s", info.Mode(), text)
		return err
	}))
	return out
}

// own lists what Lifeboat has put at the top of the asset's directory, and what looks
// like it: nothing may lie there that a backup would take.
func (b *bench) own() []string {
	found, err := filepath.Glob(filepath.Join(b.root, "*"+strings.TrimPrefix(tree.Own, ".")+"*"))
	must(b.t, err)
	return found
}

// step is a planned call.
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

func (b *bench) do(name string, args map[string]any) *step {
	b.t.Helper()
	s, err := b.plan(name, args)
	must(b.t, err)
	s.res, err = call(b.t.Context(), s)
	if err != nil {
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
	for _, key := range []string{"point", "dir", "kept", "changed"} {
		if want, ok := s.res.Outputs[key]; ok && pr.Outputs[key] != want {
			s.b.t.Errorf("%s saves %s = %v, its probe says %v", s.call.Action.Name, key, want, pr.Outputs[key])
		}
	}
}

func call(ctx context.Context, s *step) (action.Result, error) {
	return s.call.Run(ctx, s.b.env, s.plan)
}

func (s *step) undo() error {
	s.b.t.Helper()
	undo, err := s.call.PlanUndo(s.b.t.Context(), s.b.env, s.plan, s.res)
	if err != nil {
		return err
	}
	_, err = s.call.RunUndo(s.b.t.Context(), s.b.env, undo, s.plan, s.res)
	return err
}

func (s *step) probe() action.Finding {
	s.b.t.Helper()
	pr, err := s.call.Probe(s.b.t.Context(), s.b.env, s.plan)
	must(s.b.t, err)
	return pr.Finding
}

func TestBackup(t *testing.T) {
	b := newBench(t)
	s := b.do("files.backup", map[string]any{"asset": "env", "class": "daily"})
	if s.res.Outputs["kind"] != "full" || s.res.Outputs["files"] != int64(5) || !strings.Contains(s.plan.Summary, "the first point of env: 5 files") {
		t.Fatalf("%+v %q", s.res, s.plan.Summary)
	}
	if s = b.do("files.backup", map[string]any{"asset": "env"}); s.res.Outputs["kind"] != "unchanged" {
		t.Errorf("again: %+v", s.res)
	}
	if s = b.do("files.backup", map[string]any{"asset": "env", "mode": "full"}); s.res.Outputs["kind"] != "full" {
		t.Errorf("full: %+v", s.res)
	}
	b.put("apps/web/.env", "A=2\n")
	if s = b.do("files.backup", map[string]any{"asset": "env"}); s.res.Outputs["kind"] != "full" {
		t.Errorf("changed: %+v", s.res)
	}
	for _, level := range []vault.Level{vault.LevelStored, vault.LevelChecked, vault.LevelApplied, vault.LevelRestored} {
		m, err := b.vault.Latest(t.Context(), vault.AssetID(vault.Asset{Name: "env", Source: b.root}))
		must(t, err)
		if r, err := b.vault.Verify(t.Context(), m, b.kind, level, vault.VerifyOptions{}); err != nil || !r.Pass {
			t.Errorf("level %s: %+v %v", level, r, err)
		}
	}
	b.kind.Include = []string{"gone/*"}
	for _, mode := range []string{"auto", "full"} {
		if _, err := b.plan("files.backup", map[string]any{"asset": "env", "mode": mode}); !errors.Is(err, tree.ErrNothing) || len(hint.All(err)) == 0 {
			t.Errorf("nothing matches any more, %s: %v", mode, err)
		}
		// A point of nothing that another action has made since changes nothing about that.
		_, err := b.vault.Backup(t.Context(), vault.Asset{Name: "env", Source: b.root}, b.kind, vault.BackupOptions{Full: true})
		must(t, err)
	}
	b.env.Fence = func(target string) error { return action.ErrRefused }
	if _, err := call(t.Context(), s); !errors.Is(err, action.ErrRefused) {
		t.Errorf("beyond the fence: %v", err)
	}
}

func TestRestoreNew(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	want := b.tree(b.root)
	delete(want, "apps/api/main.go")
	s := b.do("files.restore", map[string]any{"asset": "env", "to": "out"})
	out := filepath.Join(b.dir, "out")
	if got := b.tree(filepath.Join(out, "files")); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if s.plan.Effect != action.Write || s.probe() != action.Applied {
		t.Errorf("%s %s", s.plan.Effect, s.probe())
	}
	if _, err := b.plan("files.restore", map[string]any{"asset": "env", "to": "out"}); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("into what is there: %v", err)
	}
	must(t, s.undo())
	if _, err := os.Stat(out); err == nil || s.probe() != action.NotApplied {
		t.Error("the directory is still there")
	}
	must(t, s.undo()) // a second time changes nothing
	if _, err := os.Stat(out + ".undone-run2"); err != nil {
		t.Error(err)
	}
}

func TestReplace(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	good := b.tree(b.root)
	b.put("apps/web/.env", "BROKEN\n")
	must(t, os.Chmod(filepath.Join(b.root, "apps/api/.env"), 0o644))
	must(t, os.RemoveAll(filepath.Join(b.root, "infrastructure/modules")))
	b.put("apps/new/.env", "since the backup\n")
	bad := b.tree(b.root)

	s, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true})
	must(t, err)
	if s.plan.Effect != action.Destroy || !strings.HasPrefix(s.plan.Token, "repo@") || s.probe() != action.NotApplied {
		t.Fatalf("%+v", s.plan)
	}
	if text := fmt.Sprint(s.plan); strings.Contains(text, "BROKEN") || !strings.Contains(text, "apps/web/.env") || !maps.Equal(b.tree(b.root), bad) {
		t.Errorf("plan: %s", text)
	}
	s.res, err = call(t.Context(), s)
	must(t, err)
	good["apps/new/.env"] = bad["apps/new/.env"]
	if got := b.tree(b.root); !maps.Equal(got, good) {
		t.Errorf("restored\n%v\nwant\n%v", got, good)
	}
	if s.probe() != action.Applied || len(b.own()) != 1 {
		t.Errorf("%s, beside it: %v", s.probe(), b.own())
	}
	if again, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true}); err != nil || !again.plan.Nothing || again.plan.Effect != action.Write {
		t.Errorf("again: %+v %v", again, err)
	} else if res, err := call(t.Context(), again); err != nil || !strings.Contains(res.Evidence, "nothing to do") {
		t.Errorf("%+v %v", res, err)
	}
	must(t, s.undo())
	if got := b.tree(b.root); !maps.Equal(got, bad) {
		t.Errorf("undone\n%v\nwant\n%v", got, bad)
	}
	if _, err := os.Stat(filepath.Join(b.root, "infrastructure/modules")); err == nil {
		t.Error("a directory that the restore made is still there")
	}
	if s.probe() != action.NotApplied {
		t.Errorf("probe after the undo: %s", s.probe())
	}
	must(t, s.undo())
	if p := b.do("files.backup", map[string]any{"asset": "env"}); p.res.Outputs["files"] != int64(5) { // 3 + new + main.tf
		t.Errorf("what restores keep was backed up: %+v", p.res)
	}
}

func TestReplaceSome(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	want := b.tree(b.root)
	b.put("apps/web/.env", "x")
	must(t, os.RemoveAll(filepath.Join(b.root, "infrastructure")))
	b.put("apps/api/.env", "stays")
	s := b.do("files.restore", map[string]any{"asset": "env", "replace": true, "files": []any{"apps/web/.env", "infrastructure"}})
	got := b.tree(b.root)
	want["apps/api/.env"] = "-rw------- stays"
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	must(t, s.undo())
	if _, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true, "files": []any{"apps/we"}}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("a name that the point does not have: %v", err)
	}
}

// Nothing is touched when anything has changed since the plan.
func TestReplaceChanged(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	b.put("apps/web/.env", "x")
	for name, change := range map[string]func(){
		"a file to replace":    func() { b.put("apps/web/.env", "y") },
		"a file as it was":     func() { b.put("apps/web/.env.local", "changed by now") },
		"a mode":               func() { must(t, os.Chmod(filepath.Join(b.root, "apps/api/.env"), 0o640)) },
		"a file that was gone": func() { must(t, os.Remove(filepath.Join(b.root, "infrastructure/main.tf"))) },
	} {
		s, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true})
		must(t, err)
		change()
		before := b.tree(b.root)
		if _, err := call(t.Context(), s); !errors.Is(err, action.ErrChanged) || errors.Is(err, action.ErrUnclear) {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(b.tree(b.root), before) || len(b.own()) > 0 {
			t.Errorf("%s: something was touched: %v", name, b.own())
		}
	}
}

func TestReplaceRefuses(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	web := filepath.Join(b.root, "apps/web")
	outside := t.TempDir()
	for name, change := range map[string]func() error{
		"directory for a file":  func() error { return os.MkdirAll(filepath.Join(web, ".env/x"), 0o700) },
		"file for a directory":  func() error { return os.WriteFile(web, nil, 0o600) },
		"link for a directory":  func() error { return os.Symlink(outside, web) },
		"local link for it":     func() error { return os.Symlink("api", web) },
		"link to the very root": func() error { return os.Symlink("..", web) },
	} {
		must(t, os.RemoveAll(web))
		must(t, change())
		if _, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true}); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("something was written outside: %v %v", entries, err)
	}
}

// Stopped at any file, a restore leaves old and new files only, and the undo finds its
// way back from there. The same holds for an undo that is stopped.
func TestReplaceStopped(t *testing.T) {
	for at := int64(1); ; at++ {
		b := newBench(t)
		b.do("files.backup", map[string]any{"asset": "env"})
		b.put("apps/web/.env", "x")
		b.put("apps/api/.env", "y")
		must(t, os.RemoveAll(filepath.Join(b.root, "infrastructure")))
		bad := b.tree(b.root)
		s, err := b.plan("files.restore", map[string]any{"asset": "env", "replace": true})
		must(t, err)
		fired := b.stopAt(at)
		ctx := b.ctx
		_, err = s.call.Run(ctx, b.env, s.plan)
		if !*fired {
			if err != nil || at < 5 {
				t.Fatalf("%d: %v", at, err)
			}
			return
		}
		b.env.Progress = nil
		if err != nil && !errors.Is(err, action.ErrUnclear) {
			t.Fatalf("stopped at %d: %v", at, err)
		}
		if f := s.probe(); f == action.NotApplied {
			t.Errorf("stopped at %d: probe %s", at, f)
		}
		undo, err := s.call.PlanUndo(t.Context(), b.env, s.plan, action.Result{})
		must(t, err)
		b.stopAt(at)
		_, err = s.call.RunUndo(b.ctx, b.env, undo, s.plan, action.Result{})
		if err != nil && !errors.Is(err, action.ErrUnclear) {
			t.Fatalf("undo stopped at %d: %v", at, err)
		}
		b.env.Progress = nil
		must(t, s.undo())
		if got := b.tree(b.root); !maps.Equal(got, bad) {
			t.Fatalf("stopped at %d and undone\n%v\nwant\n%v", at, got, bad)
		}
	}
}

// stopAt cancels b.ctx when n files are done.
func (b *bench) stopAt(n int64) *bool {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	fired := new(bool)
	b.ctx = ctx
	b.env.Progress = func(done, _ int64, unit string) {
		if unit == "files" && done == n {
			*fired = true
			cancel()
		}
	}
	return fired
}

// What was written after a restore is kept when the restore is undone.
func TestUndoKeepsWhatIsNewer(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	b.put("apps/web/.env", "old")
	s := b.do("files.restore", map[string]any{"asset": "env", "replace": true})
	b.put("apps/web/.env", "newer")
	undo, err := s.call.PlanUndo(t.Context(), b.env, s.plan, s.res)
	must(t, err)
	if undo.Effect != action.Destroy || undo.Token == "" || !strings.Contains(fmt.Sprint(undo.Lines), "apps/web/.env") {
		t.Errorf("%+v", undo)
	}
	b.put("apps/web/.env", "newest")
	if _, err := s.call.RunUndo(t.Context(), b.env, undo, s.plan, s.res); !errors.Is(err, action.ErrChanged) {
		t.Errorf("changed since the plan of the undo: %v", err)
	}
	must(t, s.undo())
	if got := b.tree(b.root)["apps/web/.env"]; got != "-rw------- old" {
		t.Errorf("%q", got)
	}
	kept, err := os.ReadFile(filepath.Join(b.root, tree.Own+"undone-run2/files/apps/web/.env"))
	if err != nil || string(kept) != "newest" {
		t.Errorf("%q %v", kept, err)
	}
	// Without the old files there is no way back, and nothing is touched.
	b.put("apps/web/.env", "old again")
	s = b.do("files.restore", map[string]any{"asset": "env", "replace": true})
	must(t, os.WriteFile(filepath.Join(b.root, s.plan.Facts["keep"], "files/apps/web/.env"), []byte("tampered"), 0o600))
	if err := s.undo(); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
		t.Errorf("the kept file was changed: %v", err)
	}
}

// The old files are secret, and lie in a repository that ignores them by their place only:
// whoever adds everything to the index does not add them.
func TestKeptFilesAreNotAddedToGit(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	b.put(".gitignore", "/apps/*/.env*\n")
	git := func(args ...string) string {
		out, err := command.Output(t.Context(), command.Git(b.root, args...))
		must(t, err)
		return string(out)
	}
	git("init", "--quiet")
	b.put("apps/web/.env", "old")
	s := b.do("files.restore", map[string]any{"asset": "env", "replace": true})
	kept := filepath.Join(s.plan.Facts["keep"], "files/apps/web/.env")
	if _, err := os.Stat(filepath.Join(b.root, kept)); err != nil {
		t.Fatal(err)
	}
	must(t, s.undo())
	git("add", "--all")
	if added := git("ls-files"); strings.Contains(added, ".env") || strings.Contains(added, tree.Own) || !strings.Contains(added, "main.go") {
		t.Errorf("added:\n%s", added)
	}
}

func TestRestoreArguments(t *testing.T) {
	b := newBench(t)
	b.do("files.backup", map[string]any{"asset": "env"})
	for name, args := range map[string]map[string]any{
		"nowhere":     {"asset": "env"},
		"both":        {"asset": "env", "to": "x", "replace": true},
		"files, new":  {"asset": "env", "to": "x", "files": []any{"a"}},
		"outside":     {"asset": "env", "replace": true, "files": []any{"../x"}},
		"absolute":    {"asset": "env", "replace": true, "files": []any{"/etc/passwd"}},
		"no time":     {"asset": "env", "to": "x", "at": "yesterday"},
		"two points":  {"asset": "env", "to": "x", "at": "2026-11-23T14:30:00Z", "point": "y"},
		"wrong point": {"asset": "env", "to": "x", "point": "20200101T000000.000Z-01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		"too old":     {"asset": "env", "to": "x", "at": "2020-11-23T14:30:00Z"},
		"other asset": {"asset": "nope", "to": "x"},
	} {
		if _, err := b.plan("files.restore", args); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	names := slices.Sorted(maps.Keys(b.acts))
	if !slices.Equal(names, []string{"files.backup", "files.compare", "files.parse", "files.restore"}) {
		t.Errorf("%v", names)
	}
}
