package files_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/asset/files"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

var _ vault.Kind = files.Kind{}
var _ vault.Differ = files.Kind{}

// store keeps the objects of a capture in memory, as a vault would.
type store struct {
	objects map[string][]byte // by role
	names   []string          // of what was closed
	aborted int
	before  func(role string, n int64) error // of each write, with the bytes so far
}

type object struct {
	s          *store
	role, name string
	buf        bytes.Buffer
}

func (o *object) Write(p []byte) (int, error) {
	if o.s.before != nil && len(p) > 0 {
		if err := o.s.before(o.role, int64(o.buf.Len())); err != nil {
			return 0, err
		}
	}
	return o.buf.Write(p)
}

func (o *object) Close() error {
	o.s.objects[o.role] = bytes.Clone(o.buf.Bytes())
	o.s.names = append(o.s.names, o.name)
	return nil
}

func (o *object) Abort() error {
	o.s.aborted++
	return nil
}

func (s *store) create(role, name string) (io.WriteCloser, error) {
	return &object{s: s, role: role, name: name}, nil
}

func (s *store) open(role string) (io.ReadCloser, error) {
	data, ok := s.objects[role]
	if !ok {
		return nil, fmt.Errorf("no object %q", role)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func newStore() *store { return &store{objects: map[string][]byte{}} }

// capture makes a point on top of parent, whose objects s still has.
func (s *store) capture(t *testing.T, k files.Kind, root string, parent []byte) (kind string, facts []byte, log string, err error) {
	t.Helper()
	var b strings.Builder
	kind, facts, err = k.Capture(t.Context(), root, parent, s.open, s.create, nil, &b)
	return kind, facts, b.String(), err
}

// tree makes files; "name/" is a directory, "name -> target" a link.
func tree(t *testing.T, contents map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range contents {
		put(t, root, name, text)
	}
	return root
}

func put(t *testing.T, root, name, text string) {
	t.Helper()
	link, target, isLink := strings.Cut(name, " -> ")
	path := filepath.Join(root, link)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	switch {
	case isLink:
		must(t, os.Symlink(target, path))
	case strings.HasSuffix(name, "/"):
		must(t, os.MkdirAll(path, 0o755))
	default:
		must(t, os.WriteFile(path, []byte(text), 0o640))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func factsOf(t *testing.T, raw []byte) (f files.Facts) {
	t.Helper()
	must(t, json.Unmarshal(raw, &f))
	return f
}

// names are the entries of the list that a capture made, "d apps" and so on.
func (s *store) list(t *testing.T) string {
	t.Helper()
	l, err := files.ReadList(t.Context(), bytes.NewReader(s.objects["index"]))
	must(t, err)
	var out []string
	for _, e := range l.Entries {
		name := e.Path
		if e.Type == files.Dir {
			name += "/"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

var monorepo = map[string]string{
	"package.json": "{}", "apps/web/.env": "A=1\n", "apps/web/.env.local": "B=2\n", "apps/web/src/main.ts": "x",
	"apps/api/.env": "SECRET=abc\n", "apps/api/empty/": "", "packages/ui/.env": "", "infrastructure/main.tf": "resource",
	"infrastructure/modules/a/b.tf": "b", "infrastructure/.terraform/big": "cache", ".github/workflows/ci.yml": "on: push",
	".github/CODEOWNERS": "*", "apps/web/link -> .env": "", "deep/a/b/c/x.env": "1", "deep/x.env": "2",
	".lifeboat-before-x/apps/web/.env": "old",
}

func TestInclude(t *testing.T) {
	root := tree(t, monorepo)
	for name, tt := range map[string]struct {
		k    files.Kind
		want string
	}{
		"env files":       {files.Kind{Include: []string{"apps/*/.env*"}}, "apps/ apps/api/ apps/api/.env apps/web/ apps/web/.env apps/web/.env.local"},
		"tree by slash":   {files.Kind{Include: []string{".github/workflows/"}}, ".github/ .github/workflows/ .github/workflows/ci.yml"},
		"tree by name":    {files.Kind{Include: []string{"infrastructure"}, Exclude: []string{"infrastructure/.terraform"}}, "infrastructure/ infrastructure/main.tf infrastructure/modules/ infrastructure/modules/a/ infrastructure/modules/a/b.tf"},
		"stars":           {files.Kind{Include: []string{"deep/**/x.env"}}, "deep/ deep/a/ deep/a/b/ deep/a/b/c/ deep/a/b/c/x.env deep/x.env"},
		"stars at ends":   {files.Kind{Include: []string{"**/b/**"}}, "deep/ deep/a/ deep/a/b/ deep/a/b/c/ deep/a/b/c/x.env"},
		"exclude by name": {files.Kind{Include: []string{"apps"}, Exclude: []string{"**/src/", "apps/*/.env"}}, "apps/ apps/api/ apps/api/empty/ apps/web/ apps/web/.env.local apps/web/link"},
		"file, not dir":   {files.Kind{Include: []string{"package.json", "package.json/", "deep/x.env/"}}, "package.json"},
		"dot":             {files.Kind{Include: []string{"."}, Exclude: []string{"apps", "deep", "infrastructure", ".github"}}, "package.json packages/ packages/ui/ packages/ui/.env"},
		"a class":         {files.Kind{Include: []string{"deep/[a-c]/b/c/?.env"}}, "deep/ deep/a/ deep/a/b/ deep/a/b/c/ deep/a/b/c/x.env"},
		"nothing is all":  {files.Kind{Exclude: []string{"apps/", "deep/a", ".github", "infrastructure/*"}}, "deep/ deep/x.env infrastructure/ package.json packages/ packages/ui/ packages/ui/.env"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			kind, _, log, err := s.capture(t, tt.k, root, nil)
			must(t, err)
			if got := s.list(t); got != tt.want || kind != "full" {
				t.Errorf("%s\n got %s\nwant %s\n%s", kind, got, tt.want, log)
			}
			if name == "file, not dir" && !strings.Contains(log, `include "deep/x.env/" matches nothing`) {
				t.Errorf("a pattern without a match is not told:\n%s", log)
			}
		})
	}
}

func TestBadPatterns(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "/etc/passwd": "absolute", "../x": `".."`, "a/../b": `".."`, "a//b": `""`, "a/./b": `"."`, "a[": "syntax error",
		"a**/b": `"**" stands beside`, "!apps": `"!"`,
	} {
		for _, k := range []files.Kind{{Include: []string{"ok", text}}, {Exclude: []string{text}}} {
			if err := k.Validate(); err == nil || !strings.Contains(err.Error(), want) || len(hint.All(err)) == 0 {
				t.Errorf("%q: %v %q", text, err, hint.All(err))
			}
		}
		if _, _, _, err := newStore().capture(t, files.Kind{Include: []string{text}}, t.TempDir(), nil); err == nil {
			t.Errorf("%q was captured", text)
		}
	}
}

// A point goes the whole way: captured, checked, applied, proven, and by stock tools.
func TestRoundTrip(t *testing.T) {
	root := tree(t, monorepo)
	odd := []string{"a b", " leading", "back\\slash", "quote'\"$(x)`", "-dash", "ünï", "star*", "#hash", "\\n"}
	for _, name := range odd {
		put(t, root, "odd/"+name, name)
		put(t, root, "odd/to "+name+" -> "+name, "")
	}
	must(t, os.Chmod(filepath.Join(root, "apps/web/.env"), 0o600))
	must(t, os.Chmod(filepath.Join(root, "infrastructure"), 0o550))
	must(t, os.Chmod(filepath.Join(root, "odd"), 0o711))
	t.Cleanup(func() { os.Chmod(filepath.Join(root, "infrastructure"), 0o755) })
	old := time.Date(1960, 2, 3, 4, 5, 6, 700, time.UTC)
	must(t, os.Chtimes(filepath.Join(root, "package.json"), old, old))
	s := newStore()
	kind, raw, log, err := s.capture(t, files.Kind{}, root, nil)
	must(t, err)
	f := factsOf(t, raw)
	if kind != "full" || f.Files == 0 || f.Links != 1+len(odd) || f.Bytes == 0 || f.Newest.IsZero() {
		t.Fatalf("%s %s\n%s", kind, raw, log)
	}
	if !strings.Contains(log, "left out: what a restore keeps") {
		t.Errorf("log: %s", log)
	}
	for role, data := range s.objects {
		must(t, files.Kind{}.Check(t.Context(), role, bytes.NewReader(data)))
	}
	dir := t.TempDir()
	object := filepath.Join(t.TempDir(), "object")
	must(t, os.WriteFile(object, s.objects["tar"], 0o600))
	must(t, files.Kind{}.Apply(t.Context(), dir, "tar", object, nil))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "files/infrastructure"), 0o755) })
	evidence, err := files.Kind{}.Prove(t.Context(), dir, raw, true, io.Discard)
	if err != nil || !strings.Contains(evidence, "modes and SHA-256") {
		t.Fatalf("%q, %v", evidence, err)
	}
	info, err := os.Stat(filepath.Join(dir, "files/package.json"))
	must(t, err)
	if !info.ModTime().Equal(old) {
		t.Errorf("mtime %s", info.ModTime())
	}
	got, err := os.ReadFile(filepath.Join(dir, "files/odd/quote'\"$(x)`"))
	if err != nil || string(got) != "quote'\"$(x)`" {
		t.Errorf("%q, %v", got, err)
	}
	if err := (files.Kind{}).Apply(t.Context(), dir, "tar", object, nil); err == nil {
		t.Error("extracted over a tree that is there")
	}
	if out, err := script(t, raw, s.objects["tar"]); err != nil || !strings.Contains(out, "proved: ") {
		t.Errorf("script: %v\n%s", err, out)
	}
}

// script runs what a restore.sh would run for the kind, with the stock tools.
func script(t *testing.T, facts, archive []byte) (string, error) {
	t.Helper()
	for _, p := range (files.Kind{}).Needs() {
		if _, err := command.Look(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(filepath.Join(in, "0001-files.tar"), archive, 0o600))
	t.Cleanup(func() {
		command.Run(context.WithoutCancel(t.Context()), command.Cmd{Argv: []string{"chmod", "-R", "u+rwx", out}})
	})
	text := "set -eu\numask 077\nLC_ALL=C\nexport LC_ALL\n" + files.Kind{}.Script([]string{"0001-files.tar"}, []string{"tar"}, facts)
	var log bytes.Buffer
	_, err := command.Run(t.Context(), command.Cmd{
		Argv: []string{"sh", "-c", text}, Env: map[string]string{"IN": in, "OUT": out}, Stdout: &log, Stderr: &log,
	})
	return log.String(), err
}

// What stands in the manifest for all to read must not let a small secret be guessed:
// the same files never give the same hashes.
func TestSalt(t *testing.T) {
	root := tree(t, map[string]string{"pin": "1234"})
	a, b := newStore(), newStore()
	_, one, _, err := a.capture(t, files.Kind{}, root, nil)
	must(t, err)
	_, two, _, err := b.capture(t, files.Kind{}, root, nil)
	must(t, err)
	if factsOf(t, one).ListSHA256 == factsOf(t, two).ListSHA256 || bytes.Equal(a.objects["tar"], b.objects["tar"]) || bytes.Equal(a.objects["index"], b.objects["index"]) {
		t.Error("two captures of the same files have the same hash")
	}
	salt, err := files.ReadList(t.Context(), bytes.NewReader(a.objects["index"]))
	must(t, err)
	if bytes.Contains(one, []byte(salt.Salt)) || bytes.Contains(one, []byte("pin")) {
		t.Errorf("the facts tell the salt or a name: %s", one)
	}
}

func TestDiff(t *testing.T) {
	root := tree(t, map[string]string{"a": "1", "b": "2", "dir/c": "3", "l -> a": "", "same": "x"})
	older, newer := newStore(), newStore()
	_, was, _, err := older.capture(t, files.Kind{}, root, nil)
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(root, "dir")))
	must(t, os.WriteFile(filepath.Join(root, "a"), []byte("9"), 0o640))
	must(t, os.Chmod(filepath.Join(root, "b"), 0o600))
	put(t, root, "new/d", "longer")
	_, is, _, err := newer.capture(t, files.Kind{}, root, nil)
	must(t, err)
	var got []string
	report := func(what, name, before, after string) {
		got = append(got, fmt.Sprintf("%s %s: %s > %s", what, name, before, after))
	}
	must(t, files.Kind{}.Diff(t.Context(), was, is, older.open, newer.open, report))
	want := []string{
		"file a: 1 bytes, 0640 > 1 bytes, 0640, other content", "file b: 1 bytes, 0640 > 1 bytes, 0600",
		"file dir: directory, 0755 > ", "file dir/c: 1 bytes, 0640 > ", "file new:  > directory, 0755", "file new/d:  > 6 bytes, 0640",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	got = nil
	must(t, files.Kind{}.Diff(t.Context(), []byte(`{"files":0}`), is, older.open, newer.open, report))
	if len(got) != 6 {
		t.Errorf("against nothing: %q", got)
	}
	newer.objects["index"] = older.objects["index"]
	if err := (files.Kind{}).Diff(t.Context(), was, is, older.open, newer.open, report); !errors.Is(err, files.ErrDamaged) {
		t.Errorf("a list of another point: %v", err)
	}
	delete(older.objects, "index")
	if err := (files.Kind{}).Diff(t.Context(), was, is, older.open, newer.open, report); err == nil || !strings.Contains(err.Error(), "older point") {
		t.Errorf("no list: %v", err)
	}
}

// proofOnly runs the part of a script that proves, on a replica that is there.
func proofOnly(t *testing.T, text, dir string) (string, error) {
	t.Helper()
	from := strings.Index(text, "if command -v sha256sum")
	if from < 0 {
		t.Fatal("the script has no proof")
	}
	var log bytes.Buffer
	_, err := command.Run(t.Context(), command.Cmd{
		Argv: []string{"sh", "-c", "set -eu\nLC_ALL=C\nexport LC_ALL\n" + text[from:]},
		Env:  map[string]string{"IN": t.TempDir(), "OUT": dir}, Stdout: &log, Stderr: &log,
	})
	return log.String(), err
}
