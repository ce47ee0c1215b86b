package runbook

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"lifeboat/internal/hint"
)

// including gives a runbook whose steps include others.
func including(names ...string) *fstest.MapFile {
	text := frontMatter + "# Book\n"
	for i, n := range names {
		text += "\n## Step " + string(rune('a'+i)) + "\n\n```runbook\nrunbook: " + n + "\n```\n"
	}
	if len(names) == 0 {
		text += "\n## Step\n\n- [ ] do it\n"
	}
	return &fstest.MapFile{Data: []byte(text)}
}

func names(books []*Book) []string {
	var out []string
	for _, b := range books {
		out = append(out, b.Name)
	}
	return out
}

func TestLibrary(t *testing.T) {
	embedded := fstest.MapFS{
		"push.md": including(), "old.md": including(), "README.md": including(), "notes.txt": including(), "sub/deep.md": including(), ".hidden/x.md": including(),
	}
	own := fstest.MapFS{"push.md": {Data: []byte(frontMatter + "# Ours\n\n- [ ] do\n")}, "bad.md": {Data: []byte("---\ntitel: x\n---\n")}, "a/same.md": including(), "b/same.md": including()}
	l := NewLibrary(NamedFS{FS: embedded}, NamedFS{Name: "ours", FS: own}, NamedFS{Name: "none", FS: os.DirFS(filepath.Join(t.TempDir(), "none"))})
	if got, want := names(l.List()), []string{"bad", "deep", "old", "push", "same"}; !slices.Equal(got, want) {
		t.Errorf("list %q, want %q", got, want)
	}
	push, err := l.Get("push")
	if err != nil || push.File != "ours/push.md" || push.Title != "Ours" && push.Title != "T" {
		t.Errorf("push: %+v, %v", push, err)
	}
	bad, err := l.Get("bad")
	if err != nil || len(l.Problems(bad)) != 1 || l.Problems(bad)[0].Pos.String() != "ours/bad.md:2:1" {
		t.Errorf("bad: %v, %v", err, l.Problems(bad))
	}
	if g := l.General(); len(g) != 1 || g[0].Code != "same-name" || g[0].Pos.File != "ours/b/same.md" {
		t.Errorf("general problems %v", g)
	}
	_, err = l.Get("psuh")
	if !errors.Is(err, ErrUnknown) || !strings.Contains(strings.Join(hint.All(err), ""), `"push"`) {
		t.Errorf("Get of a misspelt name: %v, %q", err, hint.All(err))
	}
}

func TestIncludes(t *testing.T) {
	param := func(decl, given string) fstest.MapFS {
		return fstest.MapFS{
			"a.md": {Data: []byte(frontMatter + "## S\n\n```runbook\nrunbook: b\nparams: {" + given + "}\n```\n")},
			"b.md": {Data: []byte("---\ntitle: b\nkind: backup\nparams: {" + decl + "}\n---\n## S\n- [ ] ${x}\n")},
		}
	}
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  []string
		words string
	}{
		{"fine", fstest.MapFS{"a.md": including("b", "c"), "b.md": including("c"), "c.md": including()}, nil, ""},
		{"itself", fstest.MapFS{"a.md": including("a")}, []string{"10:1 include-cycle"}, `"a" (a.md:10:1) includes "a"`},
		{"cycle", fstest.MapFS{"a.md": including("c", "b"), "b.md": including("c", "a"), "c.md": including()}, []string{"16:1 include-cycle"}, `"a" (a.md:16:1) includes "b" (b.md:16:1) includes "a"`},
		{"cycle further down", fstest.MapFS{"a.md": including("b"), "b.md": including("c"), "c.md": including("b")}, []string{"10:1 include-cycle"}, `"b" (b.md:10:1) includes "c" (c.md:10:1) includes "b"`},
		{"missing", fstest.MapFS{"a.md": including("bakup"), "backup.md": including()}, []string{"10:1 include-unknown"}, "bakup"},
		{"broken", fstest.MapFS{"a.md": including("b"), "b.md": {Data: []byte("---\ntitel: x\n---\n")}}, []string{"10:1 include-broken"}, "b.md:2:1"},
		{"parameters", param("x: {}", "x: 1"), nil, ""},
		{"default", param("x: {default: 1}", ""), nil, ""},
		{"needed", param("x: {}", ""), []string{"8:1 include-params"}, `"x"`},
		{"unknown", param("x: {default: 1}", "y: 1"), []string{"9:10 include-params"}, `"y"`},
	} {
		l := NewLibrary(NamedFS{FS: c.files})
		a, err := l.Get("a")
		if err != nil {
			t.Fatal(err)
		}
		problems := l.Includes(a)
		wantProblems(t, c.name, problems, c.want...)
		if len(problems) == 1 && !strings.Contains(problems[0].Msg, c.words) {
			t.Errorf("%s: %q, want %q in it", c.name, problems[0].Msg, c.words)
		}
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.md", "# Good\n\n- [ ] do\n")
	write("big.md", "")
	if err := errors.Join(os.Truncate(filepath.Join(dir, "big.md"), MaxSize+1), os.Symlink("good.md", filepath.Join(dir, "link.md")),
		os.Mkdir(filepath.Join(dir, "dir.md"), 0o700), syscall.Mkfifo(filepath.Join(dir, "pipe.md"), 0o600)); err != nil {
		t.Fatal(err)
	}
	fsys := os.DirFS(dir)
	book, problems, err := OpenFile(fsys, "good.md")
	if err != nil || len(problems) != 0 || len(book.Steps) != 1 || book.Name != "good" {
		t.Errorf("good.md: %+v, %v, %v", book, problems, err)
	}
	for name, want := range map[string]string{
		"link.md": "symbolic link", "dir.md": "directory", "pipe.md": "named pipe", "big.md": "larger than 16 MB", "none.md": "no such file", "../x.md": "invalid",
	} {
		_, _, err := OpenFile(fsys, name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("OpenFile(%q): %v, want %q in it", name, err, want)
		}
	}
	if _, _, err := OpenFile(fsys, "none.md"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file must be fs.ErrNotExist: %v", err)
	}
	// In a library they keep nothing else out.
	l := NewLibrary(NamedFS{Name: "d", FS: fsys})
	if got := names(l.List()); !slices.Equal(got, []string{"good"}) || len(l.General()) != 3 {
		t.Errorf("library %q with problems %v", got, l.General())
	}
}

// changing is a file system whose files are something else once they are opened.
type changing struct{ fstest.MapFS }

func (c changing) Open(name string) (fs.File, error) { return c.MapFS.Open("dir") }

func TestOpenFileLooksAgain(t *testing.T) {
	fsys := changing{fstest.MapFS{"a.md": including(), "dir/x": including()}}
	if _, _, err := OpenFile(fsys, "a.md"); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a file that became a directory: %v", err)
	}
}
