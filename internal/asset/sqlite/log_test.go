package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
)

// logOf stores a log and reads it.
func logOf(t testing.TB, text string, l sqlite.Log) (got []string, f sqlite.LogFacts, err error) {
	t.Helper()
	l.Path = filepath.Join(t.TempDir(), "log.sql")
	if err := os.WriteFile(l.Path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err = l.Read(t.Context(), func(s sqlite.Statement) error {
		if s.Text == "FAIL" {
			return errors.New("it failed")
		}
		got = append(got, fmt.Sprintf("%d:%s", s.Line, s.Text))
		return nil
	})
	return got, f, err
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ log, want string }{
		{"SELECT 1; SELECT 2;\nSELECT 3;", "1:SELECT 1|1:SELECT 2|2:SELECT 3"},
		{"\ufeffSELECT 1;", "1:SELECT 1"},
		{"INSERT INTO a VALUES ('x;y''z;', \";\", [;], `;`);\r\nSELECT 2;", "1:INSERT INTO a VALUES ('x;y''z;', \";\", [;], `;`)|2:SELECT 2"},
		{"-- no ; here\nSELECT 1 -- nor ' here ;\n+ 2;", "2:SELECT 1 \n+ 2"},
		{"/* ; ' */ SELECT /* ; */ 1;;;", "1:SELECT   1"},
		{"SELECT '\nover lines\n';\nSELECT 4;", "1:SELECT '\nover lines\n'|4:SELECT 4"},
		{"CREATE TRIGGER x AFTER INSERT ON a BEGIN UPDATE a SET b = CASE WHEN 1 THEN 2 END; DELETE FROM c; END;\nSELECT 2;",
			"1:CREATE TRIGGER x AFTER INSERT ON a BEGIN UPDATE a SET b = CASE WHEN 1 THEN 2 END; DELETE FROM c; END|2:SELECT 2"},
		{"create temp trigger x begin select 1; end ; select 2;", "1:create temp trigger x begin select 1; end|1:select 2"},
		{"SELECT a.b, 1-2, 3/4, x'00';", "1:SELECT a.b, 1-2, 3/4, x'00'"},
		{"", ""}, {"-- nothing\n\n", ""}, {";;;", ""},
		{"PRAGMA foreign_keys=OFF; BEGIN TRANSACTION; INSERT INTO a VALUES (1); COMMIT;", "1:INSERT INTO a VALUES (1)"},
		{"BEGIN; SELECT 1; ROLLBACK; SELECT 2;", "1:SELECT 2"},
		{"BEGIN IMMEDIATE;\nSELECT 1;\nSELECT 2;\nEND TRANSACTION;\nBEGIN; SELECT 3;", "2:SELECT 1|3:SELECT 2"},
		{"PRAGMA user_version = 8; PRAGMA main.user_version=9;", "1:PRAGMA user_version = 8|1:PRAGMA main.user_version=9"},
	} {
		got, _, err := logOf(t, tt.log, sqlite.Log{})
		if s := strings.Join(got, "|"); err != nil || s != tt.want {
			t.Errorf("%q:\n%q, %v, want\n%q", tt.log, s, err, tt.want)
		}
	}
}

const dated = `-- 2026-11-22T14:30:00Z
INSERT INTO a VALUES (1);
-- 2026-11-22T14:30:05Z the booking app
INSERT INTO a VALUES (2);
BEGIN;
INSERT INTO a VALUES (3);
-- 2026-11-22 14:30:10
INSERT INTO a VALUES (4);
COMMIT;
-- 2026-11-22T16:30:20.500+02:00
INSERT INTO a VALUES (5);
`

// TestLogTimes: a transaction belongs to the time at which it was committed.
func TestLogTimes(t *testing.T) {
	for _, tt := range []struct {
		after, until, want string
		undecided          int
		next               string
	}{
		{"", "", "2|4|6|8|11", 0, ""},
		{"", "2026-11-22T14:30:05Z", "2|4", 0, "2026-11-22T14:30:10Z"},
		{"", "2026-11-22T14:30:09.999Z", "2|4", 0, "2026-11-22T14:30:10Z"},
		{"", "2026-11-22T14:30:20.499Z", "2|4|6|8", 0, "2026-11-22T14:30:20.5Z"},
		{"2026-11-22T14:30:04Z", "2026-11-22T14:30:20.5Z", "4|6|8|11", 0, ""},
		{"2026-11-22T14:30:05.2Z", "", "6|8|11", 1, ""},
		{"2026-11-22T14:30:05Z", "", "6|8|11", 1, ""},
		{"2026-11-22T14:30:10.2Z", "", "11", 2, ""},
		{"2026-11-22T15:00:00Z", "", "", 0, ""},
	} {
		l := sqlite.Log{}
		if tt.after != "" {
			l.After = at(tt.after)
		}
		if tt.until != "" {
			l.Until = at(tt.until)
		}
		got, f, err := logOf(t, dated, l)
		var lines []string
		for _, g := range got {
			line, _, _ := strings.Cut(g, ":")
			lines = append(lines, line)
		}
		if s := strings.Join(lines, "|"); err != nil || s != tt.want || len(f.Undecided) != tt.undecided {
			t.Errorf("after %s until %s: %q, %+v, %v, want %q", tt.after, tt.until, s, f, err, tt.want)
		}
		if tt.next != "" && !f.Next.Equal(at(tt.next)) || tt.next == "" && !f.Next.IsZero() {
			t.Errorf("after %s until %s: next %v, want %s", tt.after, tt.until, f.Next, tt.next)
		}
	}
}

func TestLogRefuses(t *testing.T) {
	until := sqlite.Log{Until: at("2026-11-22T14:30:08Z")}
	stamped := "-- 2026-11-22T14:30:00Z\n"
	for name, tt := range map[string]struct {
		log  string
		l    sqlite.Log
		want string
	}{
		"attach":         {"SELECT 1;\nATTACH 'x' AS y;", sqlite.Log{}, "line 2"},
		"comment before": {"/* harmless */ ATTACH 'x' AS y;", sqlite.Log{}, "ATTACH"},
		"detach":         {"DETACH y;", sqlite.Log{}, "another file"},
		"vacuum":         {"VACUUM INTO 'x';", sqlite.Log{}, "VACUUM"},
		"extension":      {"SELECT load_extension('x');", sqlite.Log{}, "load_extension"},
		"quiet":          {"SELECT LOAD_EXTENSION ('x');", sqlite.Log{}, "load_extension"},
		"schema":         {"PRAGMA writable_schema=ON;", sqlite.Log{}, "writable_schema"},
		"dot":            {"SELECT 1;\n.shell rm -rf x\nSELECT 2;", sqlite.Log{}, "line 2"},
		"savepoint":      {"SAVEPOINT a;", sqlite.Log{}, "SAVEPOINT"},
		"rollback to":    {"BEGIN; ROLLBACK TO a; COMMIT;", sqlite.Log{}, "ROLLBACK"},
		"begin twice":    {"BEGIN;\nBEGIN;", sqlite.Log{}, "line 2"},
		"commit alone":   {"COMMIT;", sqlite.Log{}, "without BEGIN"},
		"rollback alone": {"ROLLBACK;", sqlite.Log{}, "without BEGIN"},
		"torn":           {"SELECT 1;\nINSERT INTO a VALUES (1", sqlite.Log{}, "cut off"},
		"torn text":      {"INSERT INTO a VALUES ('1;", sqlite.Log{}, "cut off"},
		"zero":           {"SELECT 1;\nSELECT '\x00';", sqlite.Log{}, "line 2"},
		"no time":        {"SELECT 1;", until, "no time"},
		"bad time":       {"-- 2026-13-45T14:30:00Z\nSELECT 1;", until, "line 1"},
		"short time":     {"-- 2026-11-22T14:30\nSELECT 1;", sqlite.Log{}, "line 1"},
		"clock":          {stamped + "SELECT 1;\n-- 2026-11-22T14:30:09Z\nSELECT 2;\n-- 2026-11-22T14:30:02Z\nSELECT 3;", until, "the clock went back"},
		"skip":           {"SELECT 1;\nSELECT 2;", sqlite.Log{Skip: map[int]bool{3: true}}, "line 3"},
		"fails":          {"SELECT 1;\nFAIL;", sqlite.Log{}, "line 2"},
	} {
		_, _, err := logOf(t, tt.log, tt.l)
		if !errors.Is(err, sqlite.ErrLog) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if whole := strings.Contains(name, "zero") || strings.Contains(name, "time"); !whole && len(hint.All(err)) == 0 {
			t.Errorf("%s: %v says no choices", name, err)
		}
	}
	if _, _, err := logOf(t, stamped+"FAIL;", sqlite.Log{}); !strings.Contains(strings.Join(hint.All(err), ""), "at: 2026-11-22T14:29:59.999Z; or leave it out, with skip: [2]") {
		t.Errorf("advice %q", hint.All(err))
	}
	for name, tt := range map[string]struct {
		log  string
		l    sqlite.Log
		want int
	}{
		"torn, and later":   {stamped + "SELECT 1;\n-- 2026-11-22T14:31:00Z\nINSERT INTO a VALUES (1", until, 1},
		"attach, and later": {stamped + "SELECT 1;\n-- 2026-11-22T14:31:00Z\nATTACH 'x' AS y;", until, 1},
		"skipped":           {"SELECT 1;\nATTACH 'x' AS y;", sqlite.Log{Skip: map[int]bool{2: true}}, 1},
		"skipped group":     {"BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;", sqlite.Log{Skip: map[int]bool{1: true}}, 1},
		"skipped in group":  {"BEGIN;\nSELECT 1;\nSELECT 2;\nCOMMIT;", sqlite.Log{Skip: map[int]bool{2: true}}, 1},
		"clock, elsewhere":  {stamped + "SELECT 1;\n-- 2026-11-22T14:29:00Z\nSELECT 2;", until, 2},
		"skipped end":       {"SELECT 1;\nCOMMIT;\nSELECT 2;\nROLLBACK;", sqlite.Log{Skip: map[int]bool{2: true, 4: true}}, 2},
		"crashed within":    {"BEGIN;\nSELECT 1;\nBEGIN;\nSELECT 2;\nCOMMIT;", sqlite.Log{Skip: map[int]bool{1: true}}, 1},
		"two are one":       {"BEGIN;\nSELECT 1;\nBEGIN;\nSELECT 2;\nCOMMIT;", sqlite.Log{Skip: map[int]bool{3: true}}, 2},
		"torn transaction":  {"SELECT 1;\nBEGIN; SELECT 2; INSERT", sqlite.Log{}, 1},
	} {
		if got, f, err := logOf(t, tt.log, tt.l); err != nil || len(got) != tt.want || f.Applied != tt.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// complete asks SQLite itself whether a text is a whole number of statements.
func complete(t testing.TB, text string) bool {
	tls := libc.NewTLS()
	defer tls.Close()
	s, err := libc.CString(text)
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Xfree(tls, s)
	return lib.Xsqlite3_complete(tls, s) != 0
}

// FuzzSplit holds the splitter against SQLite's own idea of where a statement ends.
func FuzzSplit(f *testing.F) {
	f.Add(dated)
	f.Add("CREATE TEMP TRIGGER x BEGIN SELECT CASE 1 WHEN 2 THEN 3 END; END; SELECT ';' -- ;\n;")
	f.Add("EXPLAIN CREATE TRIGGER a BEGIN /* ; */ SELECT 1;;END;;.read x\n[;]\"\"\";'")
	f.Add("SELECT 1 /* x; SELECT 2;")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\x00\f\v") || strings.Contains(text, "\n.") || strings.HasPrefix(text, ".") {
			return
		}
		parts, err := sqlite.Split(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, p := range parts {
			if strings.HasPrefix(p.Text, ".") {
				return
			}
			if whole := p.Text + ";"; p.Torn == complete(t, whole) && !p.Torn {
				t.Fatalf("%q of %q is no whole statement", whole, text)
			}
			for i := range len(p.Text) {
				if !p.Torn && p.Text[i] == ';' && complete(t, p.Text[:i+1]) {
					t.Fatalf("%q holds more than one statement", p.Text)
				}
			}
		}
	})
}
