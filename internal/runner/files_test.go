package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/run"
	"lifeboat/internal/spool"
)

// proves says whether the log on disk is what the record of it says.
func proves(t *testing.T, path string, l run.Log) []byte {
	t.Helper()
	names, err := filepath.Glob(path + "*") // in the order of their names
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(n, ".idx") {
			data = append(data, b...)
		}
	}
	if sum := sha256.Sum256(data); l.SHA256 != hex.EncodeToString(sum[:]) || l.Size != int64(len(data)) || l.Name != filepath.Base(path) {
		t.Errorf("log %+v does not fit its file of %d bytes", l, len(data))
	}
	return data
}

func TestSpoolFile(t *testing.T) {
	const id, name = "20261124T030000Z-7F3A", "01-look.1.log"
	tiny := spool.Limits{Head: 10, Tail: 8, Part: 4, Buffer: 4, Every: time.Hour, Low: 4}
	for _, tt := range []struct {
		name   string
		parts  []string
		limits spool.Limits
		want   string
		parted int
		lost   int64
	}{
		{name: "nothing"},
		{name: "parts", parts: []string{"one\n", "", "two"}, want: "one\ntwo"},
		{"more than is kept", []string{"1234567\n9\n", "AB\n", "CDE\n", "FGH\n", "IJK\n"}, tiny, "1234567\n9\n… 2 lines not kept …\nFGH\nIJK\n", 2, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Files{Dir: filepath.Join(t.TempDir(), "runs"), Limits: tt.limits}
			left, err := f.Create(id, name)
			if err != nil {
				t.Fatal(err)
			}
			left.Write([]byte("left from a crash before the intent, and longer"))
			left.Close()
			s, err := f.Create(id, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.parts {
				if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
			}
			l, err := s.Close()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(f.Run(id), name)
			if got := string(proves(t, path, l)); got != tt.want || l.Parts != tt.parted || l.Lost != tt.lost {
				t.Errorf("it holds %q, want %q; %+v", got, tt.want, l)
			}
			for path, want := range map[string]os.FileMode{path: 0o600, path + ".idx": 0o600, f.Run(id): 0o700, f.Dir: 0o700} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: mode %v, error %v, want %v", filepath.Base(path), info.Mode(), err, want)
				}
			}
		})
	}
	if _, err := (Files{Dir: t.TempDir()}).Log(id, "../journal.db"); err == nil {
		t.Error("a name that leads elsewhere is opened")
	}
}

// TestFullDisk writes to a device that is always full: the writer never hears of it, the
// record does.
func TestFullDisk(t *testing.T) {
	full := fullFile(t, "log")
	for range 3 {
		if n, err := full.Write([]byte("text")); n != 4 || err != nil {
			t.Errorf("write to a full disk: %d, %v; want it to look well", n, err)
		}
	}
	l, err := full.Close()
	if err == nil || l.Size != 0 || l.SHA256 != "" || l.Lost != 12 {
		t.Errorf("log %+v, error %v; want the truth about it", l, err)
	}
}

func fullFile(t *testing.T, name string) engine.SpoolFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	w, err := spool.Create(path, spool.Standard())
	if err != nil {
		t.Fatal(err)
	}
	return spoolFile{w, name}
}

// fullDisk is a spool on a full disk.
type fullDisk struct {
	Files
	t *testing.T
}

func (f fullDisk) Create(_ run.ID, name string) (engine.SpoolFile, error) {
	return fullFile(f.t, name), nil
}

// TestFullDiskFailsNoStep runs a whole runbook whose logs cannot be kept.
func TestFullDiskFailsNoStep(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	h := b.drive(id, func(_ *Host, c *engine.Config) { c.Spool = fullDisk{b.files, t} })
	for _, step := range []string{"write", "wipe"} {
		if err := b.answer(id, b.approve(b.gate(id, step))); err != nil {
			t.Fatal(err)
		}
	}
	e := b.wait(h)
	if e.err != nil || e.run.Outcome != run.Complete {
		t.Errorf("ended %q, error %v", e.run.Outcome, e.err)
	}
	for _, s := range e.run.Steps {
		if s.State != run.Verified {
			t.Errorf("step %s is %s", s.ID, s.State)
		}
	}
}

// TestLogsOfARun compares what the journal says about logs with the files.
func TestLogsOfARun(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	id := b.begin()
	b.drive(id, nil)
	b.gate(id, "write")
	list, err := b.journal.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ev := range list {
		if f, ok := ev.Body.(run.Finished); ok && f.Log != nil {
			n++
			if text := proves(t, filepath.Join(b.files.Run(id), f.Log.Name), *f.Log); strings.Count(string(text), "first line of output\n") != 1000 {
				t.Errorf("%d bytes of output are kept", len(text))
			}
		}
	}
	if n != 1 {
		t.Errorf("%d logs on record", n)
	}
}

func TestScratch(t *testing.T) {
	const id = "20261124T030000Z-7F3A"
	f := Files{Dir: filepath.Join(t.TempDir(), "runs")}
	one, remove, err := f.Scratch(id, "look.1")
	if err != nil {
		t.Fatal(err)
	}
	two, removeTwo, err := f.Scratch(id, "look.1")
	if err != nil || one == two {
		t.Fatalf("two attempts share %q, error %v", one, err)
	}
	if err := os.WriteFile(filepath.Join(one, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(one); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	remove()
	removeTwo()
	if left, _ := filepath.Glob(filepath.Join(f.Run(id), "scratch", "*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
