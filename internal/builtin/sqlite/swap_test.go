package sqlite_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/action"
	asset "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/builtin/sqlite"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// side makes a side file that is another state than the database.
func (b *bench) side() (want string) {
	b.t.Helper()
	b.backup()
	want = b.content()
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "side.db"})
	b.change("DELETE FROM booking WHERE id > 100")
	return want
}

func TestSwap(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		b := newBench(t, "journal_mode="+mode)
		want := b.side()
		old := b.content()
		app := b.open() // stays connected, and sees the new state
		b.do(app, "SELECT 1 FROM booking")
		s := b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
		if !strings.HasPrefix(s.plan.Token, "booking.db@") || s.plan.Facts["how"] != "overwrite" {
			t.Errorf("plan %+v", s.plan)
		}
		var n int
		if err := app.QueryRowContext(t.Context(), "SELECT count(*) FROM booking").Scan(&n); err != nil || n != 2000 {
			t.Errorf("the app sees %d rows, %v", n, err)
		}
		if b.content() != want || s.probe() != action.Applied {
			t.Error("the side file is not in the place")
		}
		if err := s.run(); !errors.Is(err, action.ErrChanged) { // whoever lost the answer tries again
			t.Errorf("the second time: %v, want ErrChanged", err)
		}
		if _, err := os.Stat(b.beside("side.db")); err != nil {
			t.Error("the side file is gone")
		}
		if _, err := s.undo(); err != nil {
			t.Fatal(err)
		}
		if b.content() != old || s.probe() != action.NotApplied {
			t.Error("the undo did not put the old one back")
		}
		if l := b.leftovers(); len(l) > 0 {
			t.Errorf("left behind: %v", l)
		}
	}
}

// TestSwapDamaged takes the damaged file away with its log, and puts both back.
func TestSwapDamaged(t *testing.T) {
	b := newBench(t)
	want := b.side()
	b.damage()
	if err := os.WriteFile(b.path+"-wal", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := b.files(b.path)
	s := b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if s.plan.Facts["how"] != "swap" || b.content() != want || s.probe() != action.Applied {
		t.Errorf("plan %+v", s.plan)
	}
	if kept := b.files(s.res.Outputs["kept"].(string)); !maps.Equal(kept, old) {
		t.Errorf("kept %d files, want the old ones", len(kept))
	}
	if _, err := s.undo(); err != nil {
		t.Fatal(err)
	}
	if got := b.files(b.path); !maps.Equal(got, old) {
		t.Errorf("after the undo %d files, want the old ones", len(got))
	}
	// Nothing is there at all.
	for _, name := range []string{b.path, b.path + "-wal"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	s = b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if s.plan.Effect != action.Write || b.content() != want || s.probe() != action.Applied {
		t.Errorf("plan %+v", s.plan)
	}
}

// TestSwapWhileHeld: a damaged file is not taken away under a program that has it open.
func TestSwapWhileHeld(t *testing.T) {
	b := newBench(t)
	b.side()
	b.damage()
	p, err := command.Start(t.Context(), command.Cmd{Argv: []string{"sh", "-c", "exec 3<\"$F\"; echo held; cat"}, Env: map[string]string{"F": b.path}, StdinPipe: true, StdoutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stdout.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_, err = b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("plan = %v, want a refusal that names the process", err)
	}
	if err := p.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
}

// TestSwapOfDeleted: what was deleted while a program has it open is not lost yet, and must
// not be by the recovery.
func TestSwapOfDeleted(t *testing.T) {
	b := newBench(t, "journal_mode=delete")
	b.side()
	precious := b.content()
	p, err := command.Start(t.Context(), command.Cmd{Argv: []string{"sh", "-c", "exec 3<\"$F\"; echo held; cat"}, Env: map[string]string{"F": b.path}, StdinPipe: true, StdoutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stdout.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]map[string]any{"sqlite.swap": {"asset": "db", "file": "side.db"}, "sqlite.restore": {"asset": "db"}} {
		_, err = b.plan(name, args)
		if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "was deleted, but process ") {
			t.Errorf("plan of %s = %v, want a refusal that names the process", name, err)
		}
	}
	_, save, _ := strings.Cut(hint.All(err)[0], "; cp ")
	save, _, _ = strings.Cut(save, ". Look")
	fields := strings.Fields(save) // FROM TO
	if len(fields) != 2 {
		t.Fatalf("the advice says no copy: %q", hint.All(err))
	}
	data, err := os.ReadFile(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fields[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	b.play("sqlite.swap", map[string]any{"asset": "db", "file": filepath.Base(fields[1])})
	if b.content() != precious {
		t.Error("what was saved is not in the place")
	}
}

// TestSwapBehindLink: the file is gone, and the link to it is what is left.
func TestSwapBehindLink(t *testing.T) {
	b := newBench(t)
	want := b.side()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(b.path), os.Symlink(filepath.Join(data, "again.db"), b.path), os.Symlink("real.db", filepath.Join(data, "again.db"))); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(data, 1234, 1235); err != nil {
			t.Fatal(err)
		}
	}
	s := b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if s.plan.Target != filepath.Join(data, "real.db") || b.content() != want {
		t.Errorf("target %s", s.plan.Target)
	}
	info, err := os.Stat(filepath.Join(data, "real.db"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (st.Uid != 1234 || st.Gid != 1235) {
		t.Errorf("the programs of user 1234 cannot open a file of user %d, group %d", st.Uid, st.Gid)
	}
	if err := errors.Join(os.Remove(b.path), os.Symlink(b.path, b.path)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.plan("sqlite.restore", map[string]any{"asset": "db"}); err == nil {
		t.Error("a link to itself is no place")
	}
}

// TestSwapOrphans: rows that refer to nothing are a reason to refuse where the recovery
// brings them, and none where the database always had some or nobody can tell.
func TestSwapOrphans(t *testing.T) {
	b := newBench(t)
	b.change("DELETE FROM customer WHERE id = 8")
	b.side()
	mind := func(s *step) string {
		for _, l := range s.plan.Lines {
			if l.Label == "mind" && strings.Contains(l.Text, `row 8 of table "booking"`) {
				return l.Text
			}
		}
		return ""
	}
	s := b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if text := mind(s); !strings.Contains(text, "of now has such rows too") {
		t.Errorf("%q in %+v", text, s.plan.Lines)
	}
	b.damage()
	s = b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if text := mind(s); !strings.Contains(text, "cannot tell any more") {
		t.Errorf("%q in %+v", text, s.plan.Lines)
	}
	b.change("DELETE FROM booking WHERE id = 8")
	if _, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), `row 8 of table "booking"`) {
		t.Errorf("the recovery brings them: %v", err)
	}
	if text := mind(b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db", "orphans": true})); text != "" {
		t.Errorf("what was asked for is no warning: %q", text)
	}
}

func TestSwapRefuses(t *testing.T) {
	b := newBench(t)
	b.side()
	// What was approved is what is replaced, and what comes into place.
	s, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if err != nil {
		t.Fatal(err)
	}
	b.change("DELETE FROM booking WHERE id = 1")
	before := b.content()
	if err := s.run(); !errors.Is(err, action.ErrChanged) {
		t.Errorf("the database changed: %v", err)
	}
	s, err = b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
	if err != nil {
		t.Fatal(err)
	}
	live := b.path
	b.path = b.beside("side.db")
	b.change("DELETE FROM booking WHERE id = 7")
	b.path = live
	if err := s.run(); !errors.Is(err, action.ErrChanged) {
		t.Errorf("the side file changed: %v", err)
	}
	b.path = b.beside("side.db")
	b.change("PRAGMA foreign_keys=OFF", "DELETE FROM customer WHERE id = 8")
	b.path = live
	if _, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), `row 8 of table "booking"`) {
		t.Errorf("rows that refer to nothing: %v", err)
	}
	b.put("bad.db", "no database at all, but long enough")
	for name, file := range map[string]string{"live": "booking.db", "missing": "nope.db", "damaged": "bad.db"} {
		if _, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": file}); !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want a refusal with advice", name, err)
		}
	}
	if b.content() != before {
		t.Error("the database was touched")
	}
	b.play("sqlite.swap", map[string]any{"asset": "db", "file": "side.db", "orphans": true})
}

// TestSwapOfFileCutShort stops a swap of a damaged database at each change of a name.
func TestSwapOfFileCutShort(t *testing.T) {
	way := []change{
		{"booking.db-wal", "booking.db.before-run3-wal"}, {"booking.db", "booking.db.before-run3"},
		{"booking.db", ""}, {"booking.db-wal", ""},
	}
	for n := range len(way) + 1 {
		b := newBench(t)
		want := b.side()
		b.damage()
		if err := os.WriteFile(b.path+"-wal", []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		old := b.files(b.path)
		s, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
		if err != nil || !strings.HasSuffix(s.plan.Facts["keep"], ".before-run3") {
			t.Fatalf("%+v, %v", s.plan, err)
		}
		for _, c := range way[:n] {
			c.make(t, filepath.Dir(b.path))
		}
		if f := s.probe(); f == action.Applied {
			t.Errorf("step %d: probe %s", n, f)
		}
		b.runs-- // the same run plans the step anew
		again, err := b.plan("sqlite.swap", map[string]any{"asset": "db", "file": "side.db"})
		if err != nil {
			t.Fatalf("step %d: again: %v", n, err)
		}
		if err := again.run(); err != nil {
			t.Fatalf("step %d: again: %v", n, err)
		}
		if kept := b.files(again.plan.Facts["keep"]); !maps.Equal(kept, old) || b.content() != want || again.probe() != action.Applied {
			t.Errorf("step %d: kept %d files", n, len(kept))
		}
		if _, err := again.undo(); err != nil || !maps.Equal(b.files(b.path), old) {
			t.Errorf("step %d: undo %v", n, err)
		}
	}
}

const registerOf3 = `{"time": "2026-11-20T10:00:00Z", "subject": "7", "by": "dpo"}
{"time": "2026-11-21T10:00:00Z", "subject": 9, "by": "dpo"}

{"time": "2026-11-21T10:00:00Z", "subject": "99999", "by": "dpo"}
`

func newErasing(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "journal_mode=WAL")
	b.change("UPDATE customer SET name = 'Zanele Unmistakable' WHERE id = 7")
	b.backup()
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "side.db"})
	b.change("DELETE FROM booking WHERE customer IN (7, 9)", "DELETE FROM customer WHERE id IN (7, 9)")
	b.put("register.jsonl", registerOf3)
	b.erasures = sqlite.Erasures{Register: b.beside("register.jsonl"), Statements: []sqlite.Erasure{
		{SQL: "DELETE FROM booking WHERE customer = :subject", Check: "SELECT count(*) FROM booking WHERE customer = :subject"},
		{SQL: "DELETE FROM customer WHERE id = :subject", Check: "SELECT count(*) FROM customer WHERE id = :subject"},
	}}
	return b
}

func TestErase(t *testing.T) {
	b := newErasing(t)
	b.play("sqlite.erased", map[string]any{"asset": "db"})
	s, err := b.plan("sqlite.erased", map[string]any{"asset": "db", "file": "side.db"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "2 subjects that came back, with 4 rows") {
		t.Errorf("erased = %v", err)
	}
	s = b.play("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"})
	if o := s.res.Outputs; o["subjects"] != int64(3) || o["rows"] != int64(4) || o["left"] != int64(0) {
		t.Errorf("outputs %+v", o)
	}
	if shown := fmt.Sprintf("%+v %+v %s", s.plan, s.res, &b.log); strings.Contains(shown, "99999") || strings.Contains(shown, "Unmistakable") {
		t.Errorf("a subject is shown: %s", shown)
	}
	b.play("sqlite.erased", map[string]any{"asset": "db", "file": "side.db"})
	data, err := os.ReadFile(b.beside("side.db"))
	if err != nil || strings.Contains(string(data), "Unmistakable") {
		t.Errorf("what was erased is still in the file (%v)", err)
	}
	if s, err = b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"}); err != nil || !s.plan.Nothing {
		t.Errorf("the second time: %+v, %v", s.plan, err)
	}
	if err := s.run(); err != nil {
		t.Error(err)
	}
}

// TestEraseReturned: who was erased and registered again stays in a younger file, and
// their older data never comes back.
func TestEraseReturned(t *testing.T) {
	b := newErasing(t)
	day := func(n int) string { return fmt.Sprintf("2026-11-%02dT10:00:00Z", n) }
	line := func(n int, more string) string {
		return fmt.Sprintf(`{"time": %q, "subject": 5, "by": "dpo"%s}`+"\n", day(n), more)
	}
	const back = `, "returned": true`
	mind := func(register, asOf string) (nothing bool, told string) {
		t.Helper()
		b.put("register.jsonl", register)
		args := map[string]any{"asset": "db", "file": "side.db"}
		if asOf != "" {
			args["as_of"] = asOf
		}
		s, err := b.plan("sqlite.erase", args)
		if err != nil {
			return false, err.Error() + strings.Join(hint.All(err), " ")
		}
		for _, l := range s.plan.Lines {
			if l.Label == "mind" {
				told += l.Text
			}
		}
		return s.plan.Nothing, told
	}
	for name, tt := range map[string]struct {
		register, asOf string
		nothing        bool
		told           string
	}{
		"erased since":            {line(12, ""), day(11), false, ""},
		"erased before":           {line(10, ""), day(11), false, "came back by themselves since, or were never erased"},
		"came back before":        {line(9, "") + line(10, back), day(11), true, ""},
		"came back since":         {line(9, "") + line(12, back), day(11), false, "came back by themselves since, or were never erased"},
		"came back and went":      {line(8, "") + line(9, back) + line(12, ""), day(11), false, ""},
		"in another order":        {line(12, "") + line(8, "") + line(9, back), day(11), false, ""},
		"came back, time unknown": {line(9, "") + line(10, back), "", false, "as_of: ${side.reached}"},
		"came back, never erased": {line(10, back), day(11), false, "line 1: somebody returned who was not erased before"},
		"no truth":                {line(9, "") + line(10, `, "returned": false`), day(11), false, "line 2: its returned is not true"},
	} {
		nothing, told := mind(tt.register, tt.asOf)
		if nothing != tt.nothing || (tt.told == "") != (told == "") || !strings.Contains(told, tt.told) {
			t.Errorf("%s: nothing to do: %v; %q", name, nothing, told)
		}
	}
	b.put("register.jsonl", line(9, "")+line(10, back))
	b.play("sqlite.erased", map[string]any{"asset": "db", "file": "side.db", "as_of": day(11)})
	b.change("INSERT OR REPLACE INTO customer VALUES (5, 'again')")
	b.play("sqlite.erased", map[string]any{"asset": "db"}) // it is of now, and they are back
}

func TestEraseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ register, want string }{
		"no JSON":   {registerOf3 + "{\"subject\": \"secret-person\"\n", "line 5"},
		"no time":   {`{"subject": "secret-person", "by": "dpo"}`, "line 1: it has no time"},
		"bad time":  {`{"time": "yesterday", "subject": "secret-person", "by": "dpo"}`, "its time is none"},
		"nobody":    {`{"time": "2026-11-20T10:00:00Z", "by": "dpo"}`, "no subject"},
		"empty":     {`{"time": "2026-11-20T10:00:00Z", "subject": " ", "by": "dpo"}`, "subject is empty"},
		"no by":     {`{"time": "2026-11-20T10:00:00Z", "subject": "secret-person"}`, "by whom"},
		"list":      {`{"time": "2026-11-20T10:00:00Z", "subject": ["secret-person"], "by": "dpo"}`, "neither a text"},
		"fraction":  {`{"time": "2026-11-20T10:00:00Z", "subject": 1.5, "by": "dpo"}`, "whole number"},
		"other key": {`{"time": "2026-11-20T10:00:00Z", "subject": "secret-person", "by": "dpo", "name": "x"}`, "line 1"},
		"two":       {`{"time": "2026-11-20T10:00:00Z", "subject": "1", "by": "dpo"} {}`, "more follows"},
		"twice":     {`{"time": "2026-11-20T10:00:00Z", "subject": "1", "subject": "secret-person", "by": "dpo"}`, "subject twice"},
		"capital":   {`{"time": "2026-11-20T10:00:00Z", "Subject": "secret-person", "by": "dpo"}`, "none of time"},
		"null":      {`{"time": "2026-11-20T10:00:00Z", "subject": null, "by": "dpo"}`, "no subject"},
		"latin":     {"{\"time\": \"2026-11-20T10:00:00Z\", \"subject\": \"secret-person \xe9\", \"by\": \"dpo\"}", "UTF-8"},
		"long":      {strings.Repeat("x", 70_000), "too long"},
	} {
		b := newErasing(t)
		b.put("register.jsonl", tt.register)
		_, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"})
		if !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-person") || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	b := newErasing(t)
	if _, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "booking.db"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("the database itself: %v", err)
	}
	if err := os.Remove(b.beside("register.jsonl")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"}); !errors.Is(err, action.ErrRefused) || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("no register: %v", err)
	}
	b.erasures = sqlite.Erasures{}
	if _, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("no erasures: %v", err)
	}
}

// TestEraseFails leaves the file as it was, whatever fails, and never lets half of it stand.
func TestEraseFails(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"wrong order": func(b *bench) {
			b.erasures.Statements[0], b.erasures.Statements[1] = b.erasures.Statements[1], b.erasures.Statements[0]
		},
		"not all of it": func(b *bench) {
			b.erasures.Statements[0].SQL = "DELETE FROM booking WHERE customer = :subject AND id = 0"
		},
		"a trigger brings it back": func(b *bench) {
			live := b.path
			b.path = b.beside("side.db")
			b.change("CREATE TRIGGER hostile AFTER DELETE ON customer BEGIN INSERT INTO booking VALUES (OLD.id + 5000, 1, 'x'); INSERT INTO customer VALUES (OLD.id, 'again'); END")
			b.path = live
		},
	} {
		b := newErasing(t)
		change(b)
		before, err := asset.Inspect(t.Context(), b.beside("side.db"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.run(); err == nil || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, want an error with advice", name, err)
		}
		after, err := asset.Inspect(t.Context(), b.beside("side.db"))
		if err != nil || after.Content != before.Content {
			t.Errorf("%s: the side file was changed (%v)", name, err)
		}
	}
	b := newErasing(t)
	s, err := b.plan("sqlite.erase", map[string]any{"asset": "db", "file": "side.db"})
	if err != nil {
		t.Fatal(err)
	}
	b.put("register.jsonl", registerOf3+`{"time": "2026-11-21T10:00:00Z", "subject": "11", "by": "dpo"}`)
	if err := s.run(); !errors.Is(err, action.ErrChanged) {
		t.Errorf("somebody was added: %v, want ErrChanged", err)
	}
}

func TestCompareRows(t *testing.T) {
	b := newBench(t, "journal_mode=WAL")
	b.change("CREATE TABLE note (text)", "INSERT INTO note VALUES ('a'), ('b')",
		"CREATE TABLE slot (day TEXT, n REAL, what BLOB, PRIMARY KEY (day, n)) WITHOUT ROWID", "INSERT INTO slot VALUES ('mon', 1.5, x'00'), ('mon', 2, NULL), ('tue', 9007199254740993, 'x')")
	b.backup()
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "side.db"})
	s := b.play("sqlite.compare", map[string]any{"asset": "db", "with": "side.db", "rows": true})
	if !strings.Contains(s.res.Evidence, "every row of 4 tables is the same") {
		t.Errorf("evidence %q", s.res.Evidence)
	}
	b.change("DELETE FROM booking WHERE id > 1990", "INSERT INTO booking VALUES (5000, 1, '2999-01-01'), (5001, 1, '1999-01-01')",
		"UPDATE customer SET name = 'secret name' WHERE id IN (3, 4)", "DELETE FROM slot WHERE n = 2", "UPDATE slot SET what = 'y' WHERE day = 'tue'")
	s = b.play("sqlite.compare", map[string]any{"asset": "db", "with": "side.db", "rows": true, "allow_differences": true, "newest": map[string]any{"booking": "at"}})
	if o := s.res.Outputs; o["gained"] != int64(11) || o["lost"] != int64(2) || o["changed"] != int64(3) {
		t.Errorf("outputs %+v", o)
	}
	text := fmt.Sprintf("%+v %s", s.res, &b.log)
	for _, want := range []string{"booking: 10 gained (newest: id 2000, at ", "2 lost (newest: id 5000, at 2999-01-01; id 5001", "customer: 2 changed (newest: id 4; id 3)", "slot: 1 gained (newest: day mon, n 2), 1 changed"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\ndoes not say %q", text, want)
		}
	}
	if strings.Contains(text, "secret name") {
		t.Error("more of a row is shown than its key")
	}
	s, err := b.plan("sqlite.compare", map[string]any{"asset": "db", "rows": true, "tables": []any{"customer"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "customer: 2 changed") {
		t.Errorf("against the point: %v", err)
	}
	b.play("sqlite.compare", map[string]any{"asset": "db", "file": "side.db", "rows": true})
	// What a virtual table is made of is no row of anybody; a table that is gone has rows.
	b.change("CREATE VIRTUAL TABLE words USING fts5(text)", "INSERT INTO words VALUES ('one two'), ('three')")
	b.play("sqlite.backup", map[string]any{"asset": "db"})
	b.play("sqlite.restore", map[string]any{"asset": "db", "to": "again.db"})
	b.change("INSERT INTO words VALUES ('four')", "DROP TABLE booking")
	b.log.Reset()
	s = b.play("sqlite.compare", map[string]any{"asset": "db", "with": "again.db", "rows": true, "allow_differences": true})
	if o := s.res.Outputs; o["gained"] != int64(1992) || o["lost"] != int64(1) || o["changed"] != int64(0) {
		t.Errorf("outputs %+v", o)
	}
	for _, line := range []string{"words_content: 1 lost (newest: id 3)\n", "words_data: differs, a part of a virtual table\n", "table \"booking\" is missing, there it has 1992 rows\n"} {
		if strings.Count(b.log.String(), line) != 1 {
			t.Errorf("not once %q in\n%s", line, &b.log)
		}
	}
	b.change("ALTER TABLE customer DROP COLUMN name", "ALTER TABLE customer ADD COLUMN title")
	s = b.play("sqlite.compare", map[string]any{"asset": "db", "rows": true, "tables": []any{"customer"}, "allow_differences": true})
	if text := fmt.Sprintf("%+v", s.res); !strings.Contains(text, `column "name" is only in the other`) || !strings.Contains(text, `column "title" is not in the other`) {
		t.Error(text)
	}
}
