package files_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/asset/files"
)

const salt = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// part is one entry of an archive made by hand.
type part struct {
	tar.Header
	data string
}

func file(name, data string) part {
	return part{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}, data}
}

func dir(name string) part {
	return part{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}, ""}
}

func link(name, target string) part {
	return part{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}, ""}
}

// with changes a header.
func (p part) with(change func(*tar.Header)) part {
	change(&p.Header)
	return p
}

var (
	head = part{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "lifeboat-files/1 " + salt}}, ""}
	top  = dir("files/").with(func(h *tar.Header) { h.Mode, h.ModTime = 0o700, time.Unix(0, 0) })
)

// listOf is the list that a hostile writer would add, so that nothing else is wrong.
func listOf(parts []part) part {
	text := "lifeboat-files/1 " + salt + "\n"
	for _, p := range parts {
		name := strings.TrimSuffix(strings.TrimPrefix(p.Name, "files/"), "/")
		sum := sha256.Sum256([]byte(p.data))
		switch p.Typeflag {
		case tar.TypeDir:
			text += fmt.Sprintf("d %04o %d %d 0 0 - %s\n", p.Mode, p.Uid, p.Gid, name)
		case tar.TypeSymlink:
			sum = sha256.Sum256([]byte(p.Linkname))
			text += fmt.Sprintf("l 0777 %d %d 0 0 %x %s\n", p.Uid, p.Gid, sum, name)
		default:
			text += fmt.Sprintf("f %04o %d %d %d %d %x %s\n", p.Mode, p.Uid, p.Gid, len(p.data), p.ModTime.Unix(), sum, name)
		}
	}
	return file("files.list", text).with(func(h *tar.Header) { h.Mode, h.ModTime = 0o600, time.Unix(0, 0) })
}

// pack writes parts as they are.
func pack(t testing.TB, parts ...part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		if err := w.WriteHeader(&p.Header); err != nil {
			t.Fatalf("%q: %v", p.Name, err)
		}
		if _, err := io.WriteString(w, p.data); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

// archive is a whole archive around parts.
func archive(t testing.TB, parts ...part) []byte {
	t.Helper()
	return pack(t, append(append([]part{head, top}, parts...), listOf(parts))...)
}

// raw writes one header of the old form, which Go's writer would refuse to write.
func raw(name string, typeflag byte, linkname string, size int64, data string) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00")
	copy(b[116:], "0000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	copy(b[136:], "07346545000\x00")
	b[156] = typeflag
	copy(b[157:], linkname)
	copy(b[257:], "ustar\x0000")
	sum := 8 * int(' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	b = append(b, data...)
	return append(b, make([]byte, (512-len(data)%512)%512)...)
}

// splice puts blocks between the parts of an archive and its list.
func splice(t testing.TB, blocks []byte, parts ...part) []byte {
	t.Helper()
	whole := pack(t, append([]part{head, top}, parts...)...)
	return append(append(whole[:len(whole)-1024:len(whole)-1024], blocks...), pack(t, listOf(parts))...)
}

// extracted applies an archive and says what there is afterwards beside the replica.
func extracted(t *testing.T, data []byte) (string, error) {
	t.Helper()
	outer := t.TempDir()
	dir := filepath.Join(outer, "deep", "replica")
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(outer, "sentinel"), []byte("untouched"), 0o600))
	object := filepath.Join(t.TempDir(), "object")
	must(t, os.WriteFile(object, data, 0o600))
	err := files.Kind{}.Apply(t.Context(), dir, "tar", object, nil)
	must(t, filepath.WalkDir(outer, func(path string, d fs.DirEntry, err error) error {
		if path == dir {
			return fs.SkipDir
		}
		if rel, _ := filepath.Rel(outer, path); rel != "." && rel != "deep" && rel != "sentinel" {
			t.Errorf("%q was written outside of the replica", rel)
		}
		return err
	}))
	if text, rerr := os.ReadFile(filepath.Join(outer, "sentinel")); rerr != nil || string(text) != "untouched" {
		t.Errorf("the sentinel: %q %v", text, rerr)
	}
	return dir, err
}

// The hand-made form is the right one, so that what follows fails for its own reason.
func TestHandMade(t *testing.T) {
	data := archive(t, dir("files/a/"), file("files/a/b", "text"), link("files/a/l", "b"), file("files/z", ""))
	must(t, files.Kind{}.Check(t.Context(), "tar", bytes.NewReader(data)))
	dir, err := extracted(t, data)
	must(t, err)
	if got, err := os.ReadFile(filepath.Join(dir, "files/a/l")); err != nil || string(got) != "text" {
		t.Errorf("%q %v", got, err)
	}
}

func TestHostileArchives(t *testing.T) {
	all := hostileNames(t)
	maps.Copy(all, hostileEntries(t))
	for name, data := range all {
		t.Run(name, func(t *testing.T) {
			if err := (files.Kind{}).Check(t.Context(), "tar", bytes.NewReader(data)); !errors.Is(err, files.ErrDamaged) {
				t.Errorf("check: %v", err)
			} else if strings.ContainsAny(err.Error(), "\x1b\n\x7f") || strings.Contains(err.Error(), "\xff") {
				t.Errorf("the error is not harmless: %q", err)
			}
			if _, err := extracted(t, data); !errors.Is(err, files.ErrDamaged) {
				t.Errorf("apply: %v", err)
			}
		})
	}
}

// other is an ordinary file with another header.
func other(f func(*tar.Header)) part { return file("files/x", "x").with(f) }

// hostileNames are archives with names, records and links that lead elsewhere.
func hostileNames(t *testing.T) map[string][]byte {
	long := strings.Repeat("n", 300)
	return map[string][]byte{
		// Names (56, 62, 63).
		"up":              archive(t, file("files/../x", "x")),
		"up and up":       archive(t, file("files/../../../x", "x")),
		"absolute":        archive(t, file("/abs", "x")),
		"absolute inside": archive(t, file("files//abs", "x")),
		"round":           archive(t, dir("files/a/"), file("files/a/../../x", "x")),
		"dot":             archive(t, dir("files/a/"), file("files/a/./b", "x")),
		"double slash":    archive(t, dir("files/a/"), file("files/a//b", "x")),
		"beside":          archive(t, file("other/x", "x")),
		"top itself":      archive(t, file("files", "x")),
		"no name":         splice(t, raw("files/", tar.TypeReg, "", 0, "")),
		"newline":         archive(t, file("files/a\nb", "x")),
		"escape":          archive(t, file("files/a\x1b[2J", "x")),
		"no UTF-8":        archive(t, file("files/a\xff\xfe", "x")),
		"delete":          archive(t, file("files/a\x7f", "x")),
		"long part":       archive(t, file("files/"+long, "x")),
		"long name":       archive(t, file("files/"+strings.Repeat("n/", 2500)+"x", "x")),
		"list is no file": pack(t, head, top, link("files.list", "/etc/passwd")),
		"pax path":        archive(t, other(func(h *tar.Header) { h.PAXRecords = map[string]string{"LIBARCHIVE.x": "1"} })),
		"pax attributes":  archive(t, other(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "1"} })),
		"global path":     pack(t, head, part{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "files/../../x"}}, ""}, top, listOf(nil)),
		"global in head":  pack(t, part{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "lifeboat-files/1 " + salt, "path": "x"}}, ""}, top, listOf(nil)),
		"global later":    pack(t, head, top, part{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, ""}, listOf(nil)),
		"short salt":      pack(t, part{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "lifeboat-files/1 00"}}, ""}, top, listOf(nil)),
		"no salt":         pack(t, top, listOf(nil)),
		// Links (57).
		"link up":           archive(t, link("files/l", "../x")),
		"link absolute":     archive(t, link("files/l", "/etc/passwd")),
		"link empty":        splice(t, raw("files/l", tar.TypeSymlink, "", 0, "")),
		"link round":        archive(t, link("files/l", "a/../../x")),
		"link round inside": archive(t, link("files/l", "a/../b")),
		"through a link":    archive(t, dir("files/a/"), link("files/l", "a"), file("files/l/x", "x")),
		"through link up":   archive(t, link("files/l", ".."), file("files/l/x", "x")),
		"chain":             archive(t, dir("files/a/"), link("files/a/up", ".."), link("files/l", "a/up/../x")),
		"link target ESC":   archive(t, link("files/l", "a\x1b")),
		"hard link":         archive(t, file("files/a", "x"), part{tar.Header{Typeflag: tar.TypeLink, Name: "files/b", Linkname: "files/a", Mode: 0o644, ModTime: time.Unix(1e9, 0)}, ""}),
		"hard link outside": splice(t, raw("files/b", tar.TypeLink, "/etc/passwd", 0, "")),
	}
}

// hostileEntries are archives with types, modes, doubles and sizes that are never
// written, and what is no archive.
func hostileEntries(t *testing.T) map[string][]byte {
	return map[string][]byte{
		// Types, modes, times (58).
		"device":            splice(t, raw("files/d", tar.TypeChar, "", 0, "")),
		"block device":      splice(t, raw("files/d", tar.TypeBlock, "", 0, "")),
		"fifo":              splice(t, raw("files/d", tar.TypeFifo, "", 0, "")),
		"contiguous":        splice(t, raw("files/d", tar.TypeCont, "", 0, "")),
		"unknown type":      splice(t, raw("files/d", 'Z', "", 0, "")),
		"setuid":            archive(t, other(func(h *tar.Header) { h.Mode = 0o4755 })),
		"sticky dir":        archive(t, dir("files/d/").with(func(h *tar.Header) { h.Mode = 0o1777 })),
		"negative owner":    archive(t, other(func(h *tar.Header) { h.Uid = -1 })),
		"year 1":            archive(t, other(func(h *tar.Header) { h.ModTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) })),
		"year 9999":         archive(t, other(func(h *tar.Header) { h.ModTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) })),
		"directory as file": archive(t, dir("files/d/"), file("files/d/", "").with(func(h *tar.Header) { h.Name = "files/d" })),
		// Doubles (59).
		"twice":              archive(t, file("files/a", "1"), file("files/a", "2")),
		"twice, apart":       archive(t, file("files/a", "1"), file("files/b", ""), file("files/a", "2")),
		"case":               archive(t, file("files/A", "1"), file("files/a", "2")),
		"folded":             archive(t, file("files/strasse", "1"), file("files/straße", "2")),
		"normal form":        archive(t, file("files/u\u0308", "1"), file("files/\u00fc", "2")),
		"directory in case":  archive(t, dir("files/A/"), file("files/A/x", ""), dir("files/a/")),
		"file becomes dir":   archive(t, file("files/a", "1"), file("files/a/b", "2")),
		"dir becomes file":   archive(t, dir("files/a/"), file("files/a", "2")),
		"not sorted":         archive(t, file("files/b", "1"), file("files/a", "2")),
		"no parent":          archive(t, file("files/a/b", "1")),
		"parent is over":     archive(t, dir("files/a/"), dir("files/b/"), file("files/a/x", "1")),
		"list twice":         pack(t, head, top, listOf(nil), listOf(nil)),
		"more after list":    pack(t, head, top, listOf([]part{file("files/x", "x")}), file("files/x", "x")),
		"list of less":       pack(t, head, top, file("files/a", "x"), listOf(nil)),
		"list of more":       pack(t, head, top, listOf([]part{file("files/a", "x")})),
		"list of other":      pack(t, head, top, file("files/a", "y"), listOf([]part{file("files/a", "x")})),
		"list of other mode": pack(t, head, top, file("files/a", "x").with(func(h *tar.Header) { h.Mode = 0o666 }), listOf([]part{file("files/a", "x")})),
		"no list":            pack(t, head, top, file("files/a", "x")),
		// Bombs (60). What is declared and not there ends as a cut archive.
		"4 GB declared": append(splice(t, nil)[:2560:2560], raw("files/x", tar.TypeReg, "", 1<<32, "x")...),
		"sparse":        splice(t, raw("files/x", tar.TypeGNUSparse, "", 0, "")),
		"pax sparse": archive(t, other(func(h *tar.Header) { h.PAXRecords = nil }),
			part{tar.Header{Typeflag: tar.TypeReg, Name: "files/y", Mode: 0o644, ModTime: time.Unix(1e9, 0), PAXRecords: map[string]string{"VENDOR.sparse.size": "99999999999"}}, ""}),
		"deep":     deep(t, 70),
		"gnu form": pack(t, head, top, file("files/"+strings.Repeat("n/", 100)+"x", "").with(func(h *tar.Header) { h.Format = tar.FormatGNU }), listOf(nil)),
		// Not an archive at all.
		"empty": {}, "zeros": make([]byte, 1024), "text": []byte(strings.Repeat("hello ", 500)), "gzip": []byte("\x1f\x8b\x08\x00" + strings.Repeat("\x00", 600)),
	}
}

func deep(t *testing.T, levels int) []byte {
	var parts []part
	name := "files/"
	for range levels {
		name += "d/"
		parts = append(parts, dir(name))
	}
	return archive(t, parts...)
}

// A million empty entries end at the limit, not at the end of the memory.
func TestTooMany(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		out := tar.NewWriter(w)
		err := errors.Join(out.WriteHeader(&head.Header), out.WriteHeader(&top.Header))
		for i := 0; err == nil && i < 1_000_000; i++ {
			p := file(fmt.Sprintf("files/%07d", i), "")
			p.Format = tar.FormatUSTAR
			err = out.WriteHeader(&p.Header)
		}
		w.CloseWithError(err)
	}()
	err := files.Kind{}.Check(t.Context(), "tar", r)
	r.Close()
	if !errors.Is(err, files.ErrDamaged) || !strings.Contains(err.Error(), "more than 250000 entries") {
		t.Errorf("%v", err)
	}
}

// Cut anywhere, flipped anywhere, or with something behind it (61).
func TestDamagedArchives(t *testing.T) {
	data := archive(t, dir("files/a/"), file("files/a/b", strings.Repeat("text ", 300)), link("files/a/l", "b"), file("files/z", "end"))
	check := func(data []byte) error {
		return files.Kind{}.Check(t.Context(), "tar", bytes.NewReader(data))
	}
	must(t, check(data))
	for n := 0; n < len(data); n += 7 {
		if err := check(data[:n]); !errors.Is(err, files.ErrDamaged) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
	for n := 0; n < len(data); n += 512 {
		if _, err := extracted(t, data[:n]); !errors.Is(err, files.ErrDamaged) {
			t.Fatalf("applied what was cut to %d bytes: %v", n, err)
		}
	}
	silent := 0
	for n := 0; n < len(data); n += 3 {
		flipped := bytes.Clone(data)
		flipped[n] ^= 4
		if err := check(flipped); err == nil {
			silent++ // padding of a block, the owner's name: nothing that is restored
			dir, err := extracted(t, flipped)
			must(t, err)
			facts := fmt.Sprintf(`{"list_sha256":%q}`, sum(listOf([]part{dirOf, bOf, lOf, zOf}).data))
			if _, err := (files.Kind{}).Prove(t.Context(), dir, []byte(facts), true, nil); err != nil {
				t.Fatalf("byte %d is flipped, and the replica is another: %v", n, err)
			}
		}
	}
	if silent > len(data)/6 {
		t.Errorf("%d of %d flips go unseen", silent, len(data)/3)
	}
	for name, more := range map[string][]byte{
		"text": []byte("garbage"), "another archive": data, "a block": append(make([]byte, 511), 1), "many zeros": make([]byte, 1<<20), "odd zeros": make([]byte, 100),
	} {
		if err := check(append(bytes.Clone(data), more...)); !errors.Is(err, files.ErrDamaged) {
			t.Errorf("followed by %s: %v", name, err)
		}
	}
	if err := check(append(bytes.Clone(data), make([]byte, 10240-1024)...)); err != nil {
		t.Errorf("padded to a record, as tar does: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (files.Kind{}).Check(ctx, "tar", bytes.NewReader(data)); !errors.Is(err, context.Canceled) || errors.Is(err, files.ErrDamaged) {
		t.Errorf("stopped: %v", err)
	}
	broken := errors.New("connection lost")
	err := files.Kind{}.Check(t.Context(), "tar", io.MultiReader(bytes.NewReader(data[:2000]), failing{broken}))
	if !errors.Is(err, broken) || errors.Is(err, files.ErrDamaged) {
		t.Errorf("an error of the transport is blamed on the archive: %v", err)
	}
}

var (
	dirOf = dir("files/a/")
	bOf   = file("files/a/b", strings.Repeat("text ", 300))
	lOf   = link("files/a/l", "b")
	zOf   = file("files/z", "end")
)

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// A replica that differs in anything is not proven, by Lifeboat or by stock tools.
func TestUnequal(t *testing.T) {
	root := tree(t, map[string]string{"a/b": "text", "a/c": "", "l -> a/b": "", "d/": ""})
	s := newStore()
	_, facts, _, err := s.capture(t, files.Kind{}, root, nil)
	must(t, err)
	object := filepath.Join(t.TempDir(), "o")
	must(t, os.WriteFile(object, s.objects["tar"], 0o600))
	text := files.Kind{}.Script([]string{"o.tar"}, []string{"tar"}, facts)
	for name, change := range map[string]func(r string) error{
		"content":      func(r string) error { return os.WriteFile(r+"/files/a/b", []byte("texT"), 0o640) },
		"longer":       func(r string) error { return os.WriteFile(r+"/files/a/b", []byte("text more"), 0o640) },
		"mode":         func(r string) error { return os.Chmod(r+"/files/a/b", 0o600) },
		"mode of dir":  func(r string) error { return os.Chmod(r+"/files/a", 0o700) },
		"missing":      func(r string) error { return os.Remove(r + "/files/a/c") },
		"missing dir":  func(r string) error { return os.Remove(r + "/files/d") },
		"more":         func(r string) error { return os.WriteFile(r+"/files/more", nil, 0o601) },
		"more of same": func(r string) error { return os.WriteFile(r+"/files/more", nil, 0o640) },
		"link":         func(r string) error { return errors.Join(os.Remove(r+"/files/l"), os.Symlink("a/c", r+"/files/l")) },
		"link to file": func(r string) error {
			return errors.Join(os.Remove(r+"/files/l"), os.WriteFile(r+"/files/l", []byte("text"), 0o640))
		},
		"file to link": func(r string) error { return errors.Join(os.Remove(r+"/files/a/c"), os.Symlink("b", r+"/files/a/c")) },
		"list":         func(r string) error { return os.WriteFile(r+"/files.list", []byte("x"), 0o600) },
		"no list":      func(r string) error { return os.Remove(r + "/files.list") },
		"no tree":      func(r string) error { return os.RemoveAll(r + "/files") },
	} {
		dir := t.TempDir()
		must(t, files.Kind{}.Apply(t.Context(), dir, "tar", object, nil))
		old := time.Unix(1e9, 0)
		must(t, change(dir))
		if _, err := (files.Kind{}).Prove(t.Context(), dir, facts, true, nil); !errors.Is(err, files.ErrUnequal) && !errors.Is(err, files.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if out, err := proofOnly(t, text, dir); err == nil {
			t.Errorf("the script proves %s: %s", name, out)
		}
		if name == "content" { // the time alone
			must(t, os.WriteFile(dir+"/files/a/b", []byte("text"), 0o640))
			must(t, os.Chtimes(dir+"/files/a/b", old, old))
			if _, err := (files.Kind{}).Prove(t.Context(), dir, facts, true, nil); !errors.Is(err, files.ErrUnequal) {
				t.Errorf("time: %v", err)
			}
			if out, err := proofOnly(t, text, dir); err != nil {
				t.Errorf("the script cares for times: %v\n%s", err, out)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(archive(f, dir("files/a/"), file("files/a/b", "text"), link("files/a/l", "b")))
	f.Add(archive(f, file("files/../x", "x")))
	f.Add(archive(f, link("files/l", "/x"), file("files/l/x", "x")))
	f.Add(splice(f, raw("files/x", tar.TypeGNUSparse, "", 99, "x")))
	f.Add(pack(f, head, top))
	f.Add([]byte("lifeboat-files/1 " + salt + "\nf 0644 0 0 1 1 " + salt + " a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := (files.Kind{}).Check(t.Context(), "tar", bytes.NewReader(data)); err == nil {
			if dir, err := extracted(t, data); err != nil && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("what passes the check cannot be applied in %s: %v", dir, err)
			}
		} else if !errors.Is(err, files.ErrDamaged) {
			t.Errorf("not blamed on the archive: %v", err)
		}
		l, err := files.ReadList(t.Context(), bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, files.ErrDamaged) {
				t.Errorf("not blamed on the list: %v", err)
			}
			return
		}
		for _, e := range l.Entries {
			if err := files.CheckName(e.Path); err != nil {
				t.Errorf("a list with %v", err)
			}
		}
	})
}
