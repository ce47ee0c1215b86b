package app

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	filesasset "lifeboat/internal/asset/files"
	streamasset "lifeboat/internal/asset/stream"
	"lifeboat/internal/estate"
	"lifeboat/internal/vault"
)

// TestStockWholeFiles lets directories live and restores each point with tar, gzip, age
// and gpg alone.
func TestStockWholeFiles(t *testing.T) {
	t.Parallel()
	stock(t, "tar", "gzip", "age", "gpg")
	seen := newTally()
	histories(t, 2*time.Second, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), rapid.Bool().Draw(rt, "blind"), seen)
		f := newTree(rt)
		w.live(rt, f, rapid.Permutation(f.changes()).Draw(rt, "order"))
		w.judge(f, w.sample(rt, nil))
	})
	seen.require(t, "encryption", seen.schemes, "none", "age", "gpg")
	seen.require(t, "points", seen.kinds, vault.Full)
	seen.require(t, "changes", seen.changes, sorted(treeChanges)...)
	t.Logf("%d points restored", seen.restored)
}

// tree is a directory of env files and infrastructure that lives.
type tree struct {
	t   tester
	dir string
	n   int
}

var _ subject = (*tree)(nil)

func newTree(t tester) *tree {
	f := &tree{t: t, dir: filepath.Join(scratch(t), "the shop")}
	for _, name := range []string{"apps/web/.env", "apps/api/.env.production", "infrastructure/main.tf", ".github/workflows/ci.yml"} {
		f.write(name, 0o600, name)
	}
	return f
}

func (f *tree) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *tree) write(name string, mode os.FileMode, text string) {
	f.t.Helper()
	must(f.t, os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
	must(f.t, os.RemoveAll(f.path(name)))
	must(f.t, os.WriteFile(f.path(name), []byte(text), 0o600))
	must(f.t, os.Chmod(f.path(name), mode))
}

func (f *tree) asset() vault.Asset {
	return vault.Asset{Name: "env", Kind: estate.Files, Source: f.dir}
}

func (f *tree) kind(string) vault.Kind {
	return filesKind(estate.Asset{Exclude: []string{"**/node_modules", "*.log"}})
}
func (f *tree) changes() []string    { return sorted(treeChanges) }
func (f *tree) during(backup func()) { backup() }
func (f *tree) state() string        { return treeState(f.t, f.dir, os.ModePerm) }
func (f *tree) restored(dir string) string {
	f.t.Helper()
	files := filepath.Join(dir, filesasset.TreeName)
	list, err := os.ReadFile(filepath.Join(dir, filesasset.ListName))
	must(f.t, err)
	for line := range strings.Lines(string(list)) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 8)
		if part[0] != "f" {
			continue
		}
		info, err := os.Stat(filepath.Join(files, part[7]))
		must(f.t, err)
		if got := fmt.Sprint(info.ModTime().Unix()); got != part[5] {
			f.t.Errorf("%q has the time %s, listed is %s", part[7], got, part[5])
		}
	}
	return treeState(f.t, files, ^os.FileMode(0))
}

func (f *tree) change(rt *rapid.T, name string) {
	f.n++
	treeChanges[name](f, rapid.IntRange(0, 1<<16).Draw(rt, "number"))
}

// treeState lists what a restore must give back: names, types, modes, contents, and where
// links lead. bits are those of a mode that count: no setuid and the like is kept. Times
// are not in it: what was only touched is unchanged.
func treeState(t tester, dir string, bits os.FileMode) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.Name() == "node_modules":
			return filepath.SkipDir
		case strings.HasSuffix(name, ".log") && filepath.Dir(name) == ".", info.Mode().Type()&^(fs.ModeDir|fs.ModeSymlink) != 0:
			return nil
		case d.IsDir():
			fmt.Fprintf(&b, "%q %v\n", name, info.Mode()&(bits|os.ModeDir))
		case info.Mode().Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			fmt.Fprintf(&b, "%q -> %q\n", name, to)
			return err
		default:
			data, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%q %v %x\n", name, info.Mode()&bits, sha256.Sum256(data))
			return err
		}
		return nil
	}))
	return b.String()
}

// noise is so many bytes that depend on a seed alone.
func noise(seed, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		sum := sha256.Sum256(fmt.Append(nil, seed, i))
		b.Write(sum[:])
	}
	return b.Bytes()[:size]
}

// oddFiles have what shells, tar and lists of checksums stumble over.
var oddFiles = []string{
	"-rf", "--checkpoint-action=exec=touch pwned", "a b", " lead", "trail ", "$(touch pwned)", "`id`", "a'b\"c", `back\slash`, `\n`, "*", "?[x]", "~", "#",
	"ünï-日本", "e\u0301", "..dots", "...", "a:b", "%s%n", "files.list", "&;|<>", strings.Repeat("l", 200), strings.Repeat("ü", 120),
}

// treeChanges are what happens to directories, by name.
var treeChanges = map[string]func(f *tree, n int){
	"edit":       func(f *tree, n int) { f.write("apps/web/.env", 0o600, fmt.Sprint("TOKEN=", n, f.n)) },
	"same size":  func(f *tree, n int) { f.write("apps/api/.env.production", 0o640, fmt.Sprintf("PORT=%06d", n)) },
	"empty file": func(f *tree, n int) { f.write(fmt.Sprintf("empty-%d", n%3), 0o644, "") },
	"large file": func(f *tree, n int) { f.write("infrastructure/state.bin", 0o600, string(noise(n, 100_000+n))) },
	"zeros":      func(f *tree, n int) { f.write("zeros", 0o600, strings.Repeat("\x00", 512+n%2048)) },
	"odd name":   func(f *tree, n int) { f.write("odd/"+oddFiles[n%len(oddFiles)], 0o600, fmt.Sprint(n)) },
	"odd names": func(f *tree, n int) {
		for i, name := range oddFiles {
			f.write("all odd/"+name, 0o600, fmt.Sprint(n, i))
			must(f.t, os.MkdirAll(f.path("all odd too/"+name), 0o700))
		}
	},
	"deep": func(f *tree, n int) { f.write(strings.Repeat("deep/", 20+n%20)+"end", 0o600, "deep") },
	"mode": func(f *tree, n int) {
		f.write("run.sh", []os.FileMode{0o755, 0o700, 0o640, 0o444, 0o400, 0o600}[n%6], "#!/bin/sh\n")
	},
	"special mode": func(f *tree, n int) {
		f.write("tool", 0o755|[]os.FileMode{0, os.ModeSetuid, os.ModeSetgid}[n%3], "tool")
		must(f.t, os.MkdirAll(f.path("shared"), 0o755))
		must(f.t, os.Chmod(f.path("shared"), 0o770|[]os.FileMode{0, os.ModeSticky, os.ModeSetgid}[n%3]))
	},
	"closed directory": func(f *tree, n int) {
		if os.Chmod(f.path("closed"), 0o700) == nil {
			must(f.t, os.RemoveAll(f.path("closed")))
		}
		f.write("closed/key", 0o400, fmt.Sprint(n))
		must(f.t, os.Chmod(f.path("closed"), 0o500))
	},
	"empty directory": func(f *tree, n int) { must(f.t, os.MkdirAll(f.path(fmt.Sprintf("none/%d", n%4)), 0o750)) },
	"link": func(f *tree, n int) {
		to := []string{"apps/web/.env", "apps", "./infrastructure/main.tf", "not there", "."}[n%5]
		must(f.t, os.RemoveAll(f.path("link")))
		must(f.t, os.Symlink(to, f.path("link")))
	},
	"two names of one file": func(f *tree, n int) {
		f.write("one", 0o600, fmt.Sprint(n))
		must(f.t, os.RemoveAll(f.path("other")))
		must(f.t, os.Link(f.path("one"), f.path("other")))
	},
	"file becomes directory": func(f *tree, n int) {
		if info, err := os.Lstat(f.path("thing")); err == nil && info.IsDir() {
			must(f.t, os.RemoveAll(f.path("thing")))
			f.write("thing", 0o600, "file")
			return
		}
		must(f.t, os.RemoveAll(f.path("thing")))
		f.write("thing/in", 0o600, fmt.Sprint(n))
	},
	"rename": func(f *tree, n int) {
		f.write("before", 0o600, fmt.Sprint(n))
		must(f.t, os.Rename(f.path("before"), f.path(fmt.Sprintf("after-%d", n%5))))
	},
	"delete": func(f *tree, _ int) {
		must(f.t, os.RemoveAll(f.path("odd")))
		must(f.t, os.RemoveAll(f.path("apps/api")))
	},
	"old": func(f *tree, n int) {
		f.write("old", 0o600, "old")
		at := time.Unix(int64(n)*30_000, 0)
		must(f.t, os.Chtimes(f.path("old"), at, at))
	},
	"only touched": func(f *tree, n int) {
		at := time.Unix(1_700_000_000+int64(n), 0)
		must(f.t, os.Chtimes(f.path("infrastructure/main.tf"), at, at))
	},
	"what is left out": func(f *tree, n int) {
		f.write("apps/web/node_modules/x.js", 0o644, fmt.Sprint(n))
		f.write("debug.log", 0o644, fmt.Sprint(n))
	},
	"what holds nothing": func(f *tree, _ int) {
		must(f.t, os.RemoveAll(f.path("queue")))
		must(f.t, syscall.Mkfifo(f.path("queue"), 0o600))
	},
}

// TestStockWholeStream lets dumps change, framed and not, and restores each point with
// gzip, age and gpg alone.
func TestStockWholeStream(t *testing.T) {
	t.Parallel()
	stock(t, "gzip", "age", "gpg")
	seen := newTally()
	histories(t, time.Second, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), rapid.Bool().Draw(rt, "blind"), seen)
		d := &dump{t: rt, path: filepath.Join(scratch(rt), "auth"), framed: rapid.Bool().Draw(rt, "framed")}
		d.put([]byte("first"))
		w.live(rt, d, rapid.Permutation(d.changes()).Draw(rt, "order"))
		w.judge(d, w.sample(rt, nil))
	})
	seen.require(t, "encryption", seen.schemes, "none", "age", "gpg")
	seen.require(t, "changes", seen.changes, sorted(dumpChanges)...)
	t.Logf("%d points restored, %v", seen.restored, seen.kinds)
}

// dump is what a command writes.
type dump struct {
	t      tester
	path   string
	framed bool
}

var _ subject = (*dump)(nil)

func (d *dump) put(data []byte) { must(d.t, os.WriteFile(d.path, data, 0o600)) }

func (d *dump) asset() vault.Asset {
	return vault.Asset{Name: "auth", Kind: estate.Stream, Source: "cat auth"}
}

func (d *dump) kind(string) vault.Kind {
	return streamasset.Kind{Dump: []string{"cat", d.path}, Framed: d.framed}
}
func (d *dump) changes() []string    { return sorted(dumpChanges) }
func (d *dump) during(backup func()) { backup() }

func (d *dump) change(rt *rapid.T, name string) {
	before, err := os.ReadFile(d.path)
	must(d.t, err)
	d.put(dumpChanges[name](before, rapid.IntRange(1, 1<<16).Draw(rt, "number")))
}

func (d *dump) state() string { return fileState(d.t, d.path) }

func (d *dump) restored(dir string) string {
	return fileState(d.t, filepath.Join(dir, streamasset.FileName))
}

func fileState(t tester, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return fmt.Sprintf("%d bytes %x", len(data), sha256.Sum256(data))
}

// dumpChanges are what dumps can be next, by name.
var dumpChanges = map[string]func(before []byte, n int) []byte{
	"text":        func(_ []byte, n int) []byte { return []byte(strings.Repeat(fmt.Sprintf("INSERT %d;\n", n), 1+n%2000)) },
	"more":        func(b []byte, n int) []byte { return append(slices.Clone(b), fmt.Sprintf("\nINSERT %d;\n", n)...) },
	"less":        func(b []byte, _ int) []byte { return b[:len(b)/2+1] },
	"binary":      func(_ []byte, n int) []byte { return noise(n, n) },
	"a block":     func(_ []byte, n int) []byte { return noise(n, 65536*(1+n%3)) },
	"one byte":    func(_ []byte, n int) []byte { return []byte{byte(n)} },
	"zeros":       func(_ []byte, n int) []byte { return make([]byte, n) },
	"line breaks": func(_ []byte, n int) []byte { return bytes.Repeat([]byte("\r\n"), n%99+1) },
	"like a trailer": func(_ []byte, n int) []byte {
		return fmt.Appendf(nil, "x\nLBEND1 1 %x 0 %d\n", sha256.Sum256([]byte("x")), n)
	},
}
