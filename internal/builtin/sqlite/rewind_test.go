package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	asset "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// put writes a file beside the database.
func (b *bench) put(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.path), name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// beside is a file beside the database.
func (b *bench) beside(name string) string { return filepath.Join(filepath.Dir(b.path), name) }

// ask gives the one value of a query on a file.
func (b *bench) ask(file, query string) any {
	b.t.Helper()
	v, err := asset.Ask(b.t.Context(), b.beside(file), asset.ReadLive, query)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// backup makes a point and gives its id and time.
func (b *bench) backup() (id string, cut time.Time) {
	b.t.Helper()
	s := b.play("sqlite.backup", map[string]any{"asset": "db"})
	cut, err := time.Parse(time.RFC3339Nano, s.res.Outputs["cut"].(string))
	if err != nil {
		b.t.Fatal(err)
	}
	return s.res.Outputs["point"].(string), cut
}

// prove makes a receipt of level applied.
func (b *bench) prove(id string) {
	b.t.Helper()
	m, err := b.vault.Get(b.t.Context(), vault.AssetID(vault.Asset{Name: "db", Kind: "sqlite", Source: b.path}), id)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.vault.Verify(b.t.Context(), m, asset.Kind{}, vault.LevelApplied, vault.VerifyOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// TestRewind: the nearest proven point, never a younger one; the database is not touched.
func TestRewind(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	first, cut := b.backup()
	b.prove(first)
	b.change("DELETE FROM booking WHERE id > 1900")
	second, cut2 := b.backup()
	b.change("DELETE FROM booking")
	live := b.content()

	s := b.play("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut2.Add(30 * time.Second)), "to": "a.db"})
	if o := s.res.Outputs; o["point"] != first || o["loss"] != int64(cut2.Add(30*time.Second).Sub(cut)/time.Second) || o["proven"] != "applied" {
		t.Errorf("outputs %+v, want the proven point %s", o, first)
	}
	text := fmt.Sprint(s.plan.Lines, s.plan.Checks)
	if !strings.Contains(text, second) || !strings.Contains(text, "nobody has proven it") {
		t.Errorf("the plan does not name the nearer point: %s", text)
	}
	if b.ask("a.db", "SELECT count(*) FROM booking") != int64(2000) {
		t.Error("the side file is not that of the point")
	}
	if s.probe() != action.Applied || b.content() != live {
		t.Error("the probe, or the database was touched")
	}
	if _, err := s.undo(); err != nil {
		t.Fatal(err)
	}
	if s.probe() != action.NotApplied {
		t.Error("the undo left the side file")
	}

	s = b.play("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut2), "point": second, "to": "b.db"})
	if s.res.Outputs["point"] != second || s.res.Outputs["loss"] != int64(0) || b.ask("b.db", "SELECT count(*) FROM booking") != int64(1900) {
		t.Errorf("outputs %+v", s.res.Outputs)
	}
	b.prove(second)
	s = b.play("sqlite.rewind", map[string]any{"asset": "db", "at": "0m"})
	if s.res.Outputs["point"] != second || !strings.Contains(s.res.Outputs["file"].(string), "booking.db.at-2026") {
		t.Errorf("outputs %+v", s.res.Outputs)
	}
	if l := b.leftovers(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

// TestRewindUnproven: where no point is proven the nearest is taken, and that is said.
func TestRewindUnproven(t *testing.T) {
	b := newBench(t)
	_, _ = b.backup()
	b.change("DELETE FROM booking WHERE id = 1")
	second, cut := b.backup()
	s, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut)})
	if err != nil || s.plan.Facts["point"] != second || s.plan.Checks[0].OK {
		t.Errorf("plan %+v, %v", s.plan, err)
	}
}

// TestRewindOfDamaged: where every point is known to be damaged that is said, and not that
// there is none.
func TestRewindOfDamaged(t *testing.T) {
	b := newBench(t)
	id, cut := b.backup()
	args := map[string]any{"asset": "db", "at": clock(cut.Add(time.Second))}
	s, err := b.plan("sqlite.rewind", args)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "vault", "v1", "a", "*", "d", "*", "base.db*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := errors.Join(os.Chmod(files[0], 0o600), os.Truncate(files[0], 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, vault.ErrDamaged) || !strings.Contains(strings.Join(hint.All(err), ""), "not touched. Take an older point") {
		t.Errorf("%v, %q", err, hint.All(err))
	}
	m, err := b.vault.Get(t.Context(), vault.AssetID(vault.Asset{Name: "db", Kind: "sqlite", Source: b.path}), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.Verify(t.Context(), m, asset.Kind{}, vault.LevelApplied, vault.VerifyOptions{}); err == nil {
		t.Fatal("the verification of a damaged point has passed")
	}
	_, err = b.plan("sqlite.rewind", args)
	if advice := strings.Join(hint.All(err), ""); !errors.Is(err, vault.ErrNoBackup) || !strings.Contains(err.Error(), "a verification of it has failed") || !strings.Contains(advice, "copy of the vault first") || strings.Contains(advice, "after it") {
		t.Errorf("%v, %q", err, advice)
	}
	args["point"] = id // who knows better can
	if _, err := b.plan("sqlite.rewind", args); err != nil {
		t.Error(err)
	}
}

// TestRewindOutside says which times there are.
func TestRewindOutside(t *testing.T) {
	b := newBench(t)
	if _, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": "0m"}); !errors.Is(err, vault.ErrNoBackup) || len(hint.All(err)) == 0 {
		t.Errorf("no point at all: %v", err)
	}
	_, cut := b.backup()
	_, last := b.backup()
	for at, want := range map[string][]string{
		clock(cut.Add(-time.Hour)):     {"1h later", "at: " + cut.UTC().Format("2006-01-02T15:04:05.000Z"), last.UTC().Format("15:04:05"), "2 points"},
		clock(last.Add(1000 * 3600e9)): {"in the future", last.UTC().Format("15:04:05"), "clock"},
	} {
		_, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": at})
		good, err2 := b.plan("sqlite.find-good", map[string]any{"asset": "db", "at": at})
		if err2 == nil {
			err2 = good.run()
		}
		for _, err := range []error{err, err2} {
			text := fmt.Sprint(err, hint.All(err))
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("at %s: %s does not say %q", at, text, w)
				}
			}
		}
	}
	// A clock that was ahead: what it dated does not count, and is spoken of.
	b.now = b.now.Add(48 * time.Hour)
	ahead, _ := b.backup()
	b.now = b.now.Add(-48 * time.Hour)
	s, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": "0m"})
	if err != nil || s.plan.Facts["point"] == ahead || !strings.Contains(fmt.Sprint(s.plan.Checks), "dated in the future") {
		t.Errorf("plan %+v, %v", s.plan, err)
	}
}

// TestRewindWithLog: statements after the point, up to the time, all or none of them.
func TestRewindWithLog(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	id, cut := b.backup()
	b.prove(id)
	stamp := func(d time.Duration) string { return "-- " + clock(cut.Add(d)) + "\n" }
	b.put("log.sql", stamp(-time.Second)+"DELETE FROM booking;\n"+
		stamp(10*time.Second)+"INSERT INTO booking VALUES (3001, 1, 'a');\n"+
		stamp(20*time.Second)+"BEGIN; INSERT INTO booking VALUES (3002, 1, 'b'); UPDATE customer SET name = 'x' WHERE id = 1; COMMIT;\n"+
		stamp(40*time.Second)+"DROP TABLE booking;\n")
	args := map[string]any{"asset": "db", "at": clock(cut.Add(30 * time.Second)), "log": "log.sql", "to": "side.db"}
	s := b.play("sqlite.rewind", args)
	if o := s.res.Outputs; o["statements"] != int64(3) || o["loss"] != int64(0) {
		t.Errorf("outputs %+v", o)
	}
	if b.ask("side.db", "SELECT count(*) FROM booking WHERE id > 3000") != int64(2) || s.probe() != action.Applied {
		t.Error("the log was not applied")
	}
	if _, err := b.plan("sqlite.rewind", args); !errors.Is(err, action.ErrRefused) {
		t.Errorf("a file that is there: %v", err)
	}
	if e := s.res.Evidence; !strings.Contains(e, "3 statements of the log, which changed 3 rows") || strings.Contains(e, "2000 rows") {
		t.Errorf("the evidence is that of the point: %q", e)
	}
	b.put("empty.sql", "-- nothing\n")
	if s, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut.Add(30 * time.Second)), "log": "empty.sql", "to": "empty.db"}); err != nil || strings.Contains(fmt.Sprint(s.plan.Lines), "0001") || !strings.Contains(fmt.Sprint(s.plan.Lines), "not one time in it") {
		t.Errorf("an empty log: %+v, %v", s.plan.Lines, err)
	}
	// The log ends before the time: that much is not known to be there.
	b.put("short.sql", stamp(-time.Second)+"SELECT 1;\n"+stamp(10*time.Second)+"INSERT INTO booking VALUES (3001, 1, 'a');\n")
	s = b.play("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut.Add(30 * time.Second)), "log": "short.sql", "to": "short.db"})
	if s.res.Outputs["loss"] != int64(20) {
		t.Errorf("outputs %+v, want 20 seconds of loss", s.res.Outputs)
	}
	for name, tt := range map[string]struct{ log, want string }{
		"fails":    {stamp(10*time.Second) + "INSERT INTO booking VALUES (1, 1, 'twice');\n", "line 2"},
		"orphan":   {stamp(10*time.Second) + "INSERT INTO booking VALUES (4000, 99999, 'nobody');\n", "FOREIGN KEY"},
		"no table": {stamp(10*time.Second) + "INSERT INTO nope VALUES (1);\n", "line 2"},
		"function": {stamp(10*time.Second) + "SELECT fts3_tokenizer('x');\n", "line 2"},
		"vtable":   {stamp(10*time.Second) + "CREATE VIRTUAL TABLE v USING dbstat;\n", "line 2"},
	} {
		b.put(name+".sql", tt.log)
		s, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut.Add(30 * time.Second)), "log": name + ".sql", "to": "bad.db"})
		if err == nil {
			err = s.run()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.All(err), ""), "skip: [2]") {
			t.Errorf("%s: %v %q, want %q", name, err, hint.All(err), tt.want)
		}
		if _, serr := os.Stat(b.beside("bad.db")); serr == nil {
			t.Errorf("%s: a file was left", name)
		}
	}
	// The log changes between the gate and the step.
	s, err := b.plan("sqlite.rewind", map[string]any{"asset": "db", "at": clock(cut.Add(30 * time.Second)), "log": "log.sql", "to": "late.db"})
	if err != nil {
		t.Fatal(err)
	}
	b.put("log.sql", stamp(time.Second)+"DELETE FROM booking;\n")
	if err := s.run(); !errors.Is(err, action.ErrChanged) {
		t.Errorf("another log: %v, want ErrChanged", err)
	}
	if l := b.leftovers(); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

func TestReplay(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	b.backup()
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "side.db"})
	b.put("log.sql", "-- 2026-11-23T10:00:00Z\nDELETE FROM booking WHERE id = 1;\n-- 2026-11-23T11:00:00Z\nDELETE FROM booking WHERE id = 2;\n")
	args := map[string]any{"file": "side.db", "log": "log.sql", "at": "2026-11-23T10:30:00Z"}
	s := b.play("sqlite.replay", args)
	if b.ask("side.db", "SELECT group_concat(id) FROM booking WHERE id < 4") != "2,3" || s.res.Outputs["rows"] != int64(1) {
		t.Errorf("outputs %+v", s.res.Outputs)
	}
	if s.probe() != action.Applied {
		t.Error("probe")
	}
	if err := s.run(); !errors.Is(err, action.ErrChanged) { // whoever lost the answer tries again
		t.Errorf("the second time: %v, want ErrChanged", err)
	}
	if _, err := s.undo(); err != nil {
		t.Fatal(err)
	}
	if b.ask("side.db", "SELECT count(*) FROM booking WHERE id < 4") != int64(3) || s.probe() != action.NotApplied {
		t.Error("the undo did not put it back")
	}

	// A statement that fails leaves nothing.
	b.put("bad.sql", "DELETE FROM booking WHERE id = 1;\nINSERT INTO customer VALUES (1, 'twice');\n")
	s, err := b.plan("sqlite.replay", map[string]any{"file": "side.db", "log": "bad.sql"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, asset.ErrLog) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("Run = %v", err)
	}
	if s.probe() != action.NotApplied {
		t.Error("something was left of a log that failed")
	}
	if _, err := os.Stat(s.plan.Facts["keep"]); err == nil {
		t.Error("a safety copy was left although nothing happened")
	}
	b.play("sqlite.replay", map[string]any{"file": "side.db", "log": "bad.sql", "skip": []any{"2, 1"}}) // as a parameter of a runbook gives it

	for name, args := range map[string]map[string]any{
		"live":     {"file": "booking.db", "log": "log.sql"},
		"missing":  {"file": "nope.db", "log": "log.sql"},
		"no log":   {"file": "side.db", "log": "nope.sql"},
		"future":   {"file": "side.db", "log": "log.sql", "at": "2999-01-01T00:00:00Z"},
		"reversed": {"file": "side.db", "log": "log.sql", "at": "2026-11-23T10:00:00Z", "after": "2026-11-23T11:00:00Z"},
	} {
		if _, err := b.plan("sqlite.replay", args); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want a refusal with advice", name, err)
		}
	}
	if err := os.Link(b.path, b.beside("second-name.db")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.plan("sqlite.replay", map[string]any{"file": "second-name.db", "log": "log.sql"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("the database by a second name: %v", err)
	}
}

func TestFindGood(t *testing.T) {
	b := newBench(t)
	good, cut := b.backup()
	b.change("DELETE FROM booking WHERE id > 10")
	bad, _ := b.backup()
	b.change("CREATE TABLE migration (at TEXT)", "INSERT INTO migration VALUES ('"+cut.Add(20*time.Second).UTC().Format("2006-01-02 15:04:05")+"')")
	s := b.play("sqlite.find-good", map[string]any{"asset": "db", "holds": "SELECT count(*) > 100 FROM booking"})
	if o := s.res.Outputs; o["point"] != good || o["bad_point"] != bad || o["at"] != cut.UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("outputs %+v", o)
	}
	s = b.play("sqlite.find-good", map[string]any{"asset": "db", "moment": "SELECT max(at) FROM migration"})
	if o := s.res.Outputs; o["point"] != good || o["at"] != cut.Add(20*time.Second).Truncate(time.Second).Add(-time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("outputs %+v", o)
	}
	for name, args := range map[string]map[string]any{
		"never good": {"asset": "db", "holds": "SELECT count(*) > 100000 FROM booking"},
		"no time":    {"asset": "db", "moment": "SELECT 'then'"},
		"no table":   {"asset": "db", "moment": "SELECT at FROM nope"},
		"too early":  {"asset": "db", "at": "2001-01-01T00:00:00Z"},
		"write":      {"asset": "db", "moment": "DELETE FROM booking RETURNING at"},
	} {
		s, err := b.plan("sqlite.find-good", args)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(); err == nil || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want an error with advice", name, err)
		}
	}
}
