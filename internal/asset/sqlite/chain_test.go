package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/command"
)

// tb is what the checks need of a test, a benchmark or one history of a property.
type tb interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Log(args ...any)
	Skipf(format string, args ...any)
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// point is one captured restore point with what it holds.
type point struct {
	kind    string
	facts   []byte
	roles   []string
	objects map[string][]byte // by role
	names   map[string]string // by role
	log     string
}

// chain is a series of points of one database, each on the one before.
type chain struct {
	t      tb
	source string
	points []point
	index  []byte // of the newest point that made one
}

// object is a file of a point in memory, which exists once it is closed.
type object struct {
	bytes.Buffer
	close func(b []byte)
}

func (o *object) Close() error { o.close(o.Bytes()); return nil }

func (c *chain) capture(full bool) (point, error) {
	p := point{objects: map[string][]byte{}, names: map[string]string{}}
	var parent []byte
	if n := len(c.points); n > 0 && !full {
		parent = c.points[n-1].facts
	}
	open := func(role string) (io.ReadCloser, error) {
		if role != "index" || c.index == nil {
			return nil, fmt.Errorf("no object %q", role)
		}
		return io.NopCloser(bytes.NewReader(c.index)), nil
	}
	create := func(role, name string) (io.WriteCloser, error) {
		return &object{close: func(b []byte) {
			p.objects[role], p.names[role] = b, name
			if role != "index" {
				p.roles = append(p.roles, role)
			}
		}}, nil
	}
	var log strings.Builder
	var err error
	p.kind, p.facts, err = sqlite.Kind{}.Capture(c.t.Context(), c.source, parent, open, create, nil, &log)
	p.log = log.String()
	return p, err
}

// add captures the next point and restores the whole chain with it.
func (c *chain) add(wantKind string) point {
	c.t.Helper()
	p, err := c.capture(false)
	if err != nil {
		c.t.Fatalf("capture point %d: %v", len(c.points)+1, err)
	}
	if wantKind != "" && p.kind != wantKind {
		c.t.Fatalf("point %d is %q, want %q; log:\n%s", len(c.points)+1, p.kind, wantKind, p.log)
	}
	c.push(p)
	c.restore(len(c.points) - 1)
	return p
}

func (c *chain) push(p point) {
	if x, ok := p.objects["index"]; ok {
		c.index = x
	}
	c.points = append(c.points, p)
}

// link is one object of a chain.
type link struct {
	role, file string
}

// files writes the chain objects of point i to a directory, oldest first.
func (c *chain) files(i int) (dir string, links []link) {
	c.t.Helper()
	first := i
	for c.points[first].kind != "full" {
		first--
	}
	dir = c.t.TempDir()
	for n := first; n <= i; n++ {
		for _, role := range c.points[n].roles {
			l := link{role, filepath.Join(dir, fmt.Sprintf("%d-%s", n, c.points[n].names[role]))}
			write(c.t, l.file, c.points[n].objects[role])
			if err := (sqlite.Kind{}).Check(c.t.Context(), role, bytes.NewReader(c.points[n].objects[role])); err != nil {
				c.t.Fatalf("check %s of point %d: %v", role, n+1, err)
			}
			links = append(links, l)
		}
	}
	return dir, links
}

// restore applies the chain up to point i to a replica and proves it in full.
func (c *chain) restore(i int) (replica string) {
	c.t.Helper()
	_, links := c.files(i)
	dir := c.t.TempDir()
	for _, l := range links {
		if err := (sqlite.Kind{}).Apply(c.t.Context(), dir, l.role, l.file, io.Discard); err != nil {
			c.t.Fatalf("apply %s for point %d: %v", l.role, i+1, err)
		}
	}
	if _, err := (sqlite.Kind{}).Prove(c.t.Context(), dir, c.points[i].facts, true, io.Discard); err != nil {
		c.t.Fatalf("prove point %d (%s): %v", i+1, c.points[i].kind, err)
	}
	return filepath.Join(dir, sqlite.ReplicaName)
}

// stock restores point i with the generated script and the stock programs.
func (c *chain) stock(i int) (string, error) {
	c.t.Helper()
	in, links := c.files(i)
	out := filepath.Join(c.t.TempDir(), "o u't")
	return filepath.Join(out, sqlite.ReplicaName), runScript(c.t, in, out, links, c.points[i].facts)
}

func runScript(t tb, in, out string, links []link, facts []byte) error {
	t.Helper()
	var names, roles []string
	for _, l := range links {
		names, roles = append(names, filepath.Base(l.file)), append(roles, l.role)
	}
	script := "set -eu\n" + sqlite.Kind{}.Script(names, roles, facts)
	r, err := command.Run(t.Context(), command.Cmd{
		Argv: []string{"sh", "-c", script, "restore.sh"}, Env: map[string]string{"IN": in, "OUT": out},
	})
	if err != nil {
		return fmt.Errorf("%w\n%s%s", err, r.Stdout, r.Stderr)
	}
	return nil
}

func (p point) decode(t tb) sqlite.Facts {
	t.Helper()
	var f sqlite.Facts
	if err := json.Unmarshal(p.facts, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// database makes a database; the pragmas come first.
func database(t tb, pragmas ...string) (string, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source #1?.db")
	return path, openDB(t, path, pragmas...)
}

// openDB opens a database the way an application does.
func openDB(t tb, path string, pragmas ...string) *sql.DB {
	t.Helper()
	uri := "file:" + strings.NewReplacer("?", "%3f", "#", "%23", " ", "%20").Replace(path) + "?_pragma=busy_timeout(20000)"
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, p := range pragmas {
		do(t, db, "PRAGMA "+p)
	}
	return db
}

func do(t tb, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// fill adds rows with a few hundred bytes each.
func fill(t tb, db *sql.DB, rows int) {
	t.Helper()
	do(t, db, "CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, who TEXT NOT NULL, note BLOB)",
		"CREATE INDEX IF NOT EXISTS booking_who ON booking (who)",
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO booking (who, note) SELECT hex(randomblob(8)), randomblob(200) FROM n`, rows))
}

func write(t tb, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func same(t tb, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Fatalf("%s and %s differ: %d and %d bytes", a, b, len(x), len(y))
	}
}

// needSQLite3 skips where the stock program is absent.
func needSQLite3(t tb) {
	t.Helper()
	for _, name := range (sqlite.Kind{}).Needs() {
		if _, err := command.Look(name); errors.Is(err, command.ErrNotFound) {
			t.Skipf("the program %s is not installed", name)
		}
	}
}

// stockSQL runs commands with the stock program, which may write to the database.
func stockSQL(t tb, path string, commands ...string) (string, error) {
	t.Helper()
	argv := []string{"sqlite3", "-batch", "-bail", "-init", "/dev/null", path}
	r, err := command.Run(t.Context(), command.Cmd{Argv: append(argv, commands...), Keep: 64 << 20})
	return string(r.Stdout), err
}
