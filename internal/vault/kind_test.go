package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines is a real kind of asset: a text file that is appended to. A full backup is the
// file, compressed; an increment is what was appended, as it is; a rewritten file is a
// full backup again. Its index is how far the parent reached.
type lines struct {
	needs []string // of Script, beside cat
	check func(role string) error
}

var _ Kind = lines{}

type linesFacts struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (lines) Name() string { return "lines" }

func (lines) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(data)
	facts, err := json.Marshal(linesFacts{int64(len(data)), hex.EncodeToString(sum[:])})
	if err != nil {
		return "", nil, err
	}
	if len(data) == 0 {
		return Empty, facts, nil
	}
	put := func(role, name string, data []byte) error {
		w, err := create(role, name)
		if err != nil {
			return err
		}
		for len(data) > 0 { // in pieces, as a real source comes
			n, err := w.Write(data[:min(len(data), 1000)])
			if err != nil {
				return errors.Join(err, w.Close())
			}
			data = data[n:]
			progress(int64(n), 0, "B")
		}
		return w.Close()
	}
	kind, role, name, from := Full, "base", "lines.txt", int64(0)
	if parent != nil {
		r, err := open("index")
		if err != nil {
			return "", nil, err
		}
		raw, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return "", nil, err
		}
		var old linesFacts
		if err := json.Unmarshal(raw, &old); err != nil {
			return "", nil, err
		}
		if old.Size <= int64(len(data)) {
			if was := sha256.Sum256(data[:old.Size]); hex.EncodeToString(was[:]) == old.SHA256 {
				if old.Size == int64(len(data)) {
					return Unchanged, facts, nil
				}
				kind, role, name, from = Incremental, "tail", "appended.txt", old.Size
			}
		}
	}
	if err := put(role, name, data[from:]); err != nil {
		return "", nil, err
	}
	return kind, facts, put("index", "reach.json", facts)
}

func (l lines) Check(ctx context.Context, role string, r io.Reader) error {
	if l.check != nil {
		if err := l.check(role); err != nil {
			return err
		}
	}
	data, err := io.ReadAll(r)
	if err == nil && !bytes.HasSuffix(data, []byte("\n")) {
		err = errors.New("the last line has no end")
	}
	return err
}

func (lines) Apply(ctx context.Context, dir, role, object string, log io.Writer) error {
	data, err := os.ReadFile(object)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lines.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (lines) Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (string, error) {
	var want linesFacts
	if err := json.Unmarshal(facts, &want); err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(dir, "lines.txt"))
	if err != nil && !(want.Size == 0 && errors.Is(err, os.ErrNotExist)) {
		return "", err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want.SHA256 {
		return "", fmt.Errorf("the file has SHA-256 %x, it had %s", sum, want.SHA256)
	}
	return fmt.Sprintf("%d bytes, equal", len(data)), nil
}

func (lines) Script(names, roles []string, facts []byte) string {
	var want linesFacts
	if err := json.Unmarshal(facts, &want); err != nil {
		return "die 'facts'\n"
	}
	var b strings.Builder
	b.WriteString("mkdir \"$OUT\"\n: >\"$OUT/lines.txt\"\n")
	for _, n := range names {
		fmt.Fprintf(&b, "cat \"$IN/%s\" >>\"$OUT/lines.txt\"\n", n)
	}
	fmt.Fprintf(&b, "found=$(sha256sum <\"$OUT/lines.txt\")\n[ \"${found%%%% *}\" = '%s' ] || { echo 'not equal' >&2; exit 1; }\n", want.SHA256)
	b.WriteString("echo 'lines: equal'\n")
	return b.String()
}

func (l lines) Needs() []string { return append([]string{"cat"}, l.needs...) }

// clock is a clock that moves by a second at every look.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 23, 0, 15, 0, 123e6, time.UTC)} }

func (c *clock) now() time.Time {
	c.t = c.t.Add(time.Second)
	return c.t
}

// source is the file that is backed up, and its history.
type source struct {
	t    *testing.T
	path string
	n    int
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{t: t, path: filepath.Join(t.TempDir(), "lines.txt")}
	s.grow(2000)
	return s
}

func (s *source) asset() Asset { return Asset{Name: "Booking lines", Kind: "lines", Source: s.path} }

// grow appends count lines.
func (s *source) grow(count int) {
	s.t.Helper()
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	for range count {
		s.n++
		fmt.Fprintf(f, "line %d\n", s.n)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) content() []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// fileVault opens a vault in a new folder and returns the folder too.
func fileVault(t *testing.T) (*Vault, string) {
	t.Helper()
	dir := t.TempDir()
	v, err := Open(t.Context(), "file://"+dir, Options{Version: "1.2.3", Host: "test", Now: newClock().now, Scratch: t.TempDir(), Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v, dir
}

// backup makes a point, or fails the test.
func backup(t *testing.T, v *Vault, s *source, o BackupOptions) Manifest {
	t.Helper()
	m, err := v.Backup(t.Context(), s.asset(), lines{}, o)
	if err != nil {
		t.Fatalf("backup: %v", err)
	}
	return m
}

// restoredBytes restores a point and returns the file.
func restoredBytes(ctx context.Context, v *Vault, m Manifest, dir string) ([]byte, error) {
	if _, err := v.Restore(ctx, m, lines{}, dir, RestoreOptions{}); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "lines.txt"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// replayedBytes rebuilds a point as a restore does, without making it durable.
func replayedBytes(ctx context.Context, v *Vault, m Manifest, dir string) ([]byte, error) {
	r := replay{
		v: v, m: m, k: lines{}, dir: filepath.Join(dir, "replica"), objects: filepath.Join(dir, "objects"),
		log: io.Discard, progress: orSilent(nil),
	}
	if err := errors.Join(os.Mkdir(r.dir, 0o700), os.Mkdir(r.objects, 0o700), r.run(ctx)); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(r.dir, "lines.txt"))
	return data, err
}

// tree lists the files below a directory.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
