package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	asset "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/builtin/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// bench is a database, a vault and the actions on them.
type bench struct {
	t     *testing.T
	path  string
	vault *vault.Vault
	env   *action.Env
	log   bytes.Buffer
	acts  map[string]action.Action
	runs  int
	now   time.Time

	erasures sqlite.Erasures
}

func newBench(t *testing.T, pragmas ...string) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, path: filepath.Join(dir, "booking.db"), acts: map[string]action.Action{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	v, err := vault.Open(t.Context(), "file://"+filepath.Join(dir, "vault")+"?create=1", vault.Options{Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	b.vault = v
	list := sqlite.Actions(sqlite.Deps{
		Asset: func(name string) (sqlite.Asset, error) {
			if name != "db" {
				return sqlite.Asset{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: db")
			}
			return sqlite.Asset{Name: "db", Path: b.path, RPO: time.Hour, Erasures: b.erasures}, nil
		},
		Live:  func() []string { return []string{b.path} },
		Vault: func(context.Context) (sqlite.Vault, error) { return v, nil },
	})
	for _, a := range list {
		b.acts[a.Name] = a
	}
	db := b.open()
	for _, p := range pragmas {
		b.do(db, "PRAGMA "+p)
	}
	b.do(db, `CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT)`,
		`CREATE TABLE booking (id INTEGER PRIMARY KEY, customer REFERENCES customer, at TEXT)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO customer (name) SELECT hex(randomblob(20)) FROM n`,
		`INSERT INTO booking (customer, at) SELECT id, datetime(id * 1000, 'unixepoch') FROM customer`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// clock goes one minute further at every look.
func (b *bench) clock() time.Time {
	b.now = b.now.Add(time.Minute)
	return b.now
}

// open opens the database as the application does.
func (b *bench) open() *sql.DB {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+b.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		b.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.t.Cleanup(func() { db.Close() })
	return db
}

func (b *bench) do(db *sql.DB, statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(b.t.Context(), s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

// change changes the database over a connection of its own.
func (b *bench) change(statements ...string) {
	b.t.Helper()
	db := b.open()
	b.do(db, statements...)
	if err := db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(table string) (n int) {
	b.t.Helper()
	db := b.open()
	defer db.Close()
	if err := db.QueryRowContext(b.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// step is a planned call.
type step struct {
	b    *bench
	call action.Call
	plan action.Plan
	res  action.Result
}

// plan binds and plans a step of a new run.
func (b *bench) plan(name string, args map[string]any) (*step, error) {
	b.t.Helper()
	call, err := b.acts[name].Bind(args)
	if err != nil {
		b.t.Fatal(err)
	}
	b.runs++
	b.env = &action.Env{Log: &b.log, Now: b.clock, Run: fmt.Sprintf("run%d", b.runs), Scratch: b.t.TempDir(), Dir: filepath.Dir(b.path)}
	s := &step{b: b, call: call}
	s.plan, err = call.Plan(b.t.Context(), b.env)
	return s, err
}

func (s *step) run() (err error) {
	s.res, err = s.call.Run(s.b.t.Context(), s.b.env, s.plan)
	return err
}

// play plans and runs what must succeed.
func (b *bench) play(name string, args map[string]any) *step {
	b.t.Helper()
	s, err := b.plan(name, args)
	if err != nil {
		b.t.Fatalf("plan %s: %v", name, err)
	}
	if err := s.run(); err != nil {
		b.t.Fatalf("%s: %v\n%s", name, err, &b.log)
	}
	if strings.HasPrefix(name, "sqlite.re") && name != "sqlite.replay" || name == "sqlite.swap" {
		s.told()
	}
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
	for _, key := range []string{"file", "kept", "point", "cut", "at", "reached", "loss", "proven", "statements"} {
		if want, ok := s.res.Outputs[key]; ok && pr.Outputs[key] != want {
			s.b.t.Errorf("%s saves %s = %v, its probe says %v", s.call.Action.Name, key, want, pr.Outputs[key])
		}
	}
}

// undo plans and runs the inverse of a step.
func (s *step) undo() (action.Plan, error) {
	s.b.t.Helper()
	u, err := s.call.PlanUndo(s.b.t.Context(), s.b.env, s.plan, action.Result{})
	if err != nil {
		return u, err
	}
	_, err = s.call.RunUndo(s.b.t.Context(), s.b.env, u, s.plan, action.Result{})
	return u, err
}

func (s *step) probe() action.Finding {
	s.b.t.Helper()
	p, err := s.call.Probe(s.b.t.Context(), s.b.env, s.plan)
	if err != nil || p.Means == "" {
		s.b.t.Fatalf("probe: %+v, %v", p, err)
	}
	return p.Finding
}

func (b *bench) content() string {
	b.t.Helper()
	f, err := asset.Inspect(b.t.Context(), b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	return f.Content
}

// leftovers lists what a restore left beside the database, without what it is to keep.
func (b *bench) leftovers() (list []string) {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "restoring") || strings.Contains(e.Name(), ".tmp") {
			list = append(list, e.Name())
		}
	}
	return list
}

func TestActionsAreValid(t *testing.T) {
	b := newBench(t)
	var list []action.Action
	for _, a := range b.acts {
		list = append(list, a)
	}
	if err := action.Validate(list); err != nil {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	if _, err := b.plan("sqlite.backup", map[string]any{"asset": "db", "mode": "incremental"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("an increment on nothing: %v, want a refusal", err)
	}
	for _, tt := range []struct{ mode, change, kind string }{
		{"auto", "", "full"},
		{"auto", "", "unchanged"},
		{"auto", "UPDATE booking SET at = 'x' WHERE id = 7", "incremental"},
		{"incremental", "UPDATE booking SET at = 'y' WHERE id = 8", "incremental"},
		{"full", "", "full"},
	} {
		if tt.change != "" {
			b.change(tt.change)
		}
		s := b.play("sqlite.backup", map[string]any{"asset": "db", "mode": tt.mode})
		if s.res.Outputs["kind"] != tt.kind {
			t.Errorf("mode %s after %q made %v, want %s", tt.mode, tt.change, s.res.Outputs, tt.kind)
		}
	}
}

// TestBackupAfterDamage: a newest manifest that somebody changed stops neither the next
// backup nor the one after it.
func TestBackupAfterDamage(t *testing.T) {
	b := newBench(t)
	args := map[string]any{"asset": "db", "mode": "auto"}
	b.play("sqlite.backup", args)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "vault", "v1/a/*/p/*/*/*/*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("manifests %q, %v", found, err)
	}
	if err := os.WriteFile(found[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.plan("sqlite.backup", map[string]any{"asset": "db", "mode": "incremental"}); !errors.Is(err, vault.ErrDamaged) || len(hint.All(err)) == 0 {
		t.Errorf("an increment on a damaged point: %v, want ErrDamaged with advice", err)
	}
	for _, kind := range []string{"full", "unchanged"} {
		if s := b.play("sqlite.backup", args); s.res.Outputs["kind"] != kind {
			t.Errorf("made %v, want %s", s.res.Outputs, kind)
		}
	}
}

func TestBackupIsFenced(t *testing.T) {
	b := newBench(t)
	s, err := b.plan("sqlite.backup", map[string]any{"asset": "db"})
	if err != nil {
		t.Fatal(err)
	}
	b.env.Fence = func(target string) error {
		if target == b.vault.String() {
			return action.ErrRefused
		}
		return nil
	}
	if err := s.run(); !errors.Is(err, action.ErrRefused) {
		t.Errorf("Run = %v, want a refusal", err)
	}
}

func TestCheck(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	b.play("sqlite.check", map[string]any{"asset": "db", "quick": true, "min_rows": map[string]any{"booking": 2000}})
	s, err := b.plan("sqlite.check", map[string]any{"asset": "db", "min_rows": map[string]any{"booking": 2001, "nope": 1, "customer": 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "2000 rows") || !strings.Contains(err.Error(), "nope") {
		t.Errorf("check = %v, want both tables named", err)
	}
	b.change("PRAGMA foreign_keys=OFF", "DELETE FROM customer WHERE id = 5")
	s, _ = b.plan("sqlite.check", map[string]any{"asset": "db"})
	if err := s.run(); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), `row 5 of table "booking"`) {
		t.Errorf("check = %v, want the row without a customer", err)
	}
	b.damage()
	s, _ = b.plan("sqlite.check", map[string]any{"file": "booking.db"})
	if err := s.run(); !errors.Is(err, action.ErrCheck) || len(hint.All(err)) == 0 {
		t.Errorf("check = %v, want a failed check with advice", err)
	}
}

// damage makes a file that SQLite cannot open.
func (b *bench) damage() {
	b.t.Helper()
	data, err := os.ReadFile(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range 4096 {
		data[i] ^= 0x5a
	}
	if err := os.WriteFile(b.path, data, 0o640); err != nil {
		b.t.Fatal(err)
	}
}

func TestRestoreOverwrites(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			b := newBench(t, "journal_mode="+mode)
			b.play("sqlite.backup", map[string]any{"asset": "db"})
			want := b.content()
			b.change("DELETE FROM booking WHERE id > 10", "CREATE TABLE junk (x)")
			lost := b.content()
			// The application stays connected all the time.
			app := b.open()
			var n int
			if err := app.QueryRowContext(t.Context(), "SELECT count(*) FROM booking").Scan(&n); err != nil || n != 10 {
				t.Fatal(n, err)
			}
			s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
			if err != nil {
				t.Fatal(err)
			}
			if s.plan.Effect != action.Destroy || s.plan.Token != "booking.db@"+lost[:7] {
				t.Errorf("plan %+v, want the token of the content", s.plan)
			}
			if !strings.Contains(fmt.Sprint(s.plan.Lines), "booking 10 -> 2000 rows") {
				t.Errorf("the plan does not say what changes: %v", s.plan.Lines)
			}
			if f := s.probe(); f != action.NotApplied {
				t.Errorf("probe before: %s", f)
			}
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			if got := b.content(); got != want {
				t.Errorf("the content is not that of the point")
			}
			if err := app.QueryRowContext(t.Context(), "SELECT count(*) FROM booking").Scan(&n); err != nil || n != 2000 {
				t.Errorf("the connected application sees %d rows, %v", n, err)
			}
			if f := s.probe(); f != action.Applied {
				t.Errorf("probe after: %s", f)
			}
			again, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
			if err != nil || !again.plan.Nothing {
				t.Errorf("a second restore: %+v, %v, want nothing to do", again.plan, err)
			}
			u, err := s.undo()
			if err != nil || u.Effect != action.Destroy || !strings.HasPrefix(u.Token, "booking.db@") {
				t.Fatalf("undo: %+v, %v", u, err)
			}
			if b.content() != lost || b.count("booking") != 10 {
				t.Error("the undo did not bring the old content back")
			}
			if l := b.leftovers(); len(l) > 0 {
				t.Errorf("left behind: %v", l)
			}
		})
	}
}

func TestRestoreSwapsDamaged(t *testing.T) {
	for name, damage := range map[string]func(b *bench){
		"header":  (*bench).damage,
		"0 bytes": func(b *bench) { b.write(nil) },
		"text":    func(b *bench) { b.write([]byte(strings.Repeat("not a database ", 1000))) },
		"stale wal": func(b *bench) {
			b.damage()
			if err := os.WriteFile(b.path+"-wal", []byte("stale"), 0o600); err != nil {
				b.t.Fatal(err)
			}
		},
		"index": func(b *bench) {
			data, err := os.ReadFile(b.path)
			if err != nil {
				b.t.Fatal(err)
			}
			clear(data[3*4096 : 3*4096+64])
			b.write(data)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.play("sqlite.backup", map[string]any{"asset": "db"})
			want := b.content()
			damage(b)
			if err := os.Chmod(b.path, 0o640); err != nil {
				t.Fatal(err)
			}
			old, err := os.ReadFile(b.path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
			if err != nil {
				t.Fatal(err)
			}
			if s.plan.Facts["how"] != "swap" || s.plan.Effect != action.Destroy || s.plan.Token == "" {
				t.Errorf("plan %+v", s.plan)
			}
			if f := s.probe(); f != action.NotApplied {
				t.Errorf("probe before: %s", f)
			}
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			if b.content() != want {
				t.Error("the content is not that of the point")
			}
			if info, err := os.Stat(b.path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the mode was not kept: %v, %v", info.Mode(), err)
			}
			if f := s.probe(); f != action.Applied {
				t.Errorf("probe after: %s", f)
			}
			kept, err := os.ReadFile(s.res.Outputs["kept"].(string))
			if err != nil || !bytes.Equal(kept, old) {
				t.Errorf("the damaged file was not kept as it was: %v", err)
			}
			if _, err := s.undo(); err != nil {
				t.Fatal(err)
			}
			back, err := os.ReadFile(b.path)
			if err != nil || !bytes.Equal(back, old) {
				t.Errorf("the undo did not bring the file back: %v", err)
			}
			if _, err := os.Stat(b.path + "-wal"); (err == nil) != (name == "stale wal") {
				t.Errorf("the -wal after the undo: %v", err)
			}
		})
	}
}

func (b *bench) write(data []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestRestoreWhereNoneIs(t *testing.T) {
	b := newBench(t)
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	want := b.content()
	b.change("UPDATE booking SET at = 'later'")
	second := b.play("sqlite.backup", map[string]any{"asset": "db"})
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path+"-wal", []byte("stale"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := b.play("sqlite.restore", map[string]any{"asset": "db"})
	if s.plan.Effect != action.Write || b.content() == want || s.res.Outputs["point"] != second.res.Outputs["point"] {
		t.Errorf("plan %+v, result %+v", s.plan, s.res)
	}
	if _, err := os.Stat(s.plan.Facts["keep"] + "-wal"); err != nil {
		t.Errorf("the stale log was not kept aside: %v", err)
	}
	to := filepath.Join(filepath.Dir(b.path), "copy.db")
	s = b.play("sqlite.restore", map[string]any{"asset": "db", "to": "copy.db", "at": "2026-11-23T12:06:00Z"})
	if f, err := asset.Inspect(t.Context(), to); err != nil || f.Content != want {
		t.Errorf("the copy of the older point: %v", err)
	}
	if f := s.probe(); f != action.Applied {
		t.Errorf("probe: %s", f)
	}
	if _, err := b.plan("sqlite.restore", map[string]any{"asset": "db", "to": "copy.db"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("a file that is there: %v, want a refusal", err)
	}
	if _, err := s.undo(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("the undo left the copy")
	}
	if f := s.probe(); f != action.NotApplied {
		t.Errorf("probe after the undo: %s", f)
	}
}

// TestRestoreComparesAndSets: what was approved is what is replaced.
func TestRestoreComparesAndSets(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	b.change("DELETE FROM booking WHERE id > 100")
	s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
	if err != nil {
		t.Fatal(err)
	}
	b.change("DELETE FROM booking WHERE id = 1")
	before := b.content()
	if err := s.run(); !errors.Is(err, action.ErrChanged) || len(hint.All(err)) == 0 {
		t.Errorf("Run after a write = %v, want ErrChanged with advice", err)
	}
	if b.content() != before {
		t.Error("the database was touched")
	}
	b.damage()
	if err := s.run(); !errors.Is(err, action.ErrChanged) {
		t.Errorf("Run after damage = %v, want ErrChanged", err)
	}
	if l := b.leftovers(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

func TestRestoreBusy(t *testing.T) {
	t.Parallel() // it waits as long as a restore would
	b := newBench(t)
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	b.change("DELETE FROM booking WHERE id > 100")
	s, err := b.plan("sqlite.restore", map[string]any{"asset": "db"})
	if err != nil {
		t.Fatal(err)
	}
	app := b.open()
	b.do(app, "BEGIN IMMEDIATE")
	err = s.run()
	if !errors.Is(err, asset.ErrBusy) || len(hint.All(err)) == 0 {
		t.Errorf("Run = %v %q, want ErrBusy with advice", err, hint.All(err))
	}
	b.do(app, "ROLLBACK")
	if _, err := os.Stat(s.plan.Facts["keep"]); err == nil {
		t.Error("a safety copy was left although nothing happened")
	}
	if n := b.count("booking"); n != 100 {
		t.Errorf("%d rows", n)
	}
}

// TestRestoreRefuses holds that a point which is not sound never reaches the database.
func TestRestoreRefuses(t *testing.T) {
	b := newBench(t, "application_id=7")
	point := b.play("sqlite.backup", map[string]any{"asset": "db"}).res.Outputs["point"].(string)
	b.change("DELETE FROM booking WHERE id > 100", "PRAGMA application_id=8")
	if _, err := b.plan("sqlite.restore", map[string]any{"asset": "db"}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "application_id is 7") {
		t.Errorf("another application: %v, want a refusal", err)
	}
	b.change("PRAGMA application_id=7")
	before := b.content()
	s, err := b.plan("sqlite.restore", map[string]any{"asset": "db", "point": point})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "vault", "v1", "a", "*", "d", "*", "base.db*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(files[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("Run with a damaged point = %v, want ErrDamaged", err)
	}
	if b.content() != before {
		t.Error("the database was touched")
	}
	if l := b.leftovers(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
	for _, args := range []map[string]any{{"asset": "db", "at": "2001-01-01T00:00:00Z"}, {"asset": "db", "point": "20260101T000000.000Z-01ARZ3NDEKTSV4RRFFQ69G5FAV"}} {
		if _, err := b.plan("sqlite.restore", args); !errors.Is(err, vault.ErrNoBackup) || len(hint.All(err)) == 0 {
			t.Errorf("%v: %v, want ErrNoBackup with advice", args, err)
		}
	}
}

func TestRestoreFollowsLinkAndFence(t *testing.T) {
	b := newBench(t)
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	b.change("DELETE FROM booking")
	file := b.path
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	call, err := b.acts["sqlite.restore"].Bind(map[string]any{"asset": "db", "to": link})
	if err != nil {
		t.Fatal(err)
	}
	b.env.Fence = func(target string) error {
		if target == file {
			return fmt.Errorf("%w: outside", action.ErrRefused)
		}
		return nil
	}
	if _, err := call.Plan(t.Context(), b.env); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "outside") {
		t.Errorf("a link to a file outside: %v, want the fence to see the file itself", err)
	}
}

func TestCompare(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	newest := map[string]any{"booking": "at"}
	b.play("sqlite.compare", map[string]any{"asset": "db"})
	b.play("sqlite.compare", map[string]any{"asset": "db", "newest": newest})
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "copy.db"})
	b.play("sqlite.compare", map[string]any{"asset": "db", "with": "copy.db", "newest": newest, "tables": []any{"booking"}})
	b.change("INSERT INTO booking (customer, at) VALUES (1, '2999-01-01')")
	for _, tt := range []struct {
		args map[string]any
		want []string // in the error; none: it succeeds
	}{
		{map[string]any{"asset": "db", "newest": newest}, []string{"2001 rows, there 2000", "2999-01-01, there 1970"}},
		{map[string]any{"asset": "db", "newest": newest, "at_least": true}, nil},
		{map[string]any{"asset": "db", "tables": []any{"customer"}}, nil},
		{map[string]any{"asset": "db", "with": "copy.db"}, []string{"copy.db", "2001 rows, there 2000"}},
		{map[string]any{"asset": "db", "tables": []any{"nope"}}, []string{`neither has a table "nope"`}},
	} {
		s, err := b.plan("sqlite.compare", tt.args)
		if err != nil {
			t.Fatal(err)
		}
		err = s.run()
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, action.ErrCheck) {
			t.Errorf("%v: %v", tt.args, err)
		}
		for _, w := range tt.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v: %v does not say %q", tt.args, err, w)
			}
		}
	}
	b.change("DROP TABLE booking")
	s, _ := b.plan("sqlite.compare", map[string]any{"asset": "db", "at_least": true})
	if err := s.run(); err == nil || !strings.Contains(err.Error(), "the schemas differ") || !strings.Contains(err.Error(), `"booking" is missing`) {
		t.Errorf("compare = %v, want schema and table", err)
	}
}

func TestBadArguments(t *testing.T) {
	b := newBench(t)
	for name, tt := range map[string]struct {
		action, arg string
		args        map[string]any
	}{
		"mode":      {"sqlite.backup", "mode", map[string]any{"asset": "db", "mode": "some"}},
		"time":      {"sqlite.restore", "at", map[string]any{"asset": "db", "at": "yesterday"}},
		"two":       {"sqlite.restore", "at", map[string]any{"asset": "db", "at": "2026-11-23T14:30:00Z", "point": "x"}},
		"no asset":  {"sqlite.restore", "asset", map[string]any{}},
		"both":      {"sqlite.check", "asset", map[string]any{"asset": "db", "file": "x"}},
		"rows":      {"sqlite.check", "min_rows", map[string]any{"asset": "db", "min_rows": map[string]any{"a": "many"}}},
		"with both": {"sqlite.compare", "with", map[string]any{"asset": "db", "with": "x", "point": "y"}},
	} {
		_, err := b.acts[tt.action].Bind(tt.args)
		bad, ok := errors.AsType[*action.ArgError](err)
		if !ok || bad.Name != tt.arg {
			t.Errorf("%s: Bind = %v, want an error for %q", name, err, tt.arg)
		}
	}
	for _, a := range b.acts {
		args := map[string]any{"asset": "other"}
		if !slices.ContainsFunc(a.Params, func(p action.Param) bool { return p.Name == "asset" }) {
			continue
		}
		for _, p := range a.Params {
			if p.Required && p.Name != "asset" {
				args[p.Name] = "1h" // a time, and the name of a file
			}
		}
		call, err := a.Bind(args)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Plan(t.Context(), &action.Env{Now: b.clock}); err == nil || len(hint.All(err)) == 0 {
			t.Errorf("%s of an unknown asset: %v, want an error with advice", a.Name, err)
		}
	}
}
