// Package sandbox makes small real systems to break: a repository with its server and
// a developer's clone, a database with its live writer, an empty vault and the estate
// file that names them all.
//
// Nothing in it is a mock. A drill runs the same actions on it as on production, and
// an oracle ([Sandbox.Judge]) that shares no code with those actions says from outside
// whether it was recovered and what was lost. What the oracle must know it reads from
// truth/, which the [Sandbox.Fence] keeps from runbooks.
//
// A sandbox is built in a directory beside its place and renamed into it, so it is
// there whole or not at all. Its marker file is what lets [Sandbox.Remove] delete and
// [Sandbox.Break] destroy: a directory without it is never touched.
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// Options of a sandbox. The zero value of each means its default. The same options
// give the same commit ids and the same rows.
type Options struct {
	Seed         uint64    `json:"seed"`
	Now          time.Time `json:"now"`          // when the story stands; default 20 November 2026, 16:00 UTC
	Commits      int       `json:"commits"`      // of the shared history, default 300, at least 60
	Customers    int       `json:"customers"`    // rows, default 8000
	Appointments int       `json:"appointments"` // rows, default 20000; payments are about 60 % of that
}

func (o Options) withDefaults() (Options, error) {
	if o.Now.IsZero() {
		o.Now = time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)
	}
	o.Now = o.Now.UTC().Truncate(time.Second)
	if o.Commits == 0 {
		o.Commits = 300
	}
	if o.Customers == 0 {
		o.Customers = 8000
	}
	if o.Appointments == 0 {
		o.Appointments = 20000
	}
	if o.Commits < 60 || o.Customers < 1 || o.Appointments < 1 {
		return o, fmt.Errorf("make a sandbox with %d commits, %d customers, %d appointments: at least 60, 1 and 1 are needed",
			o.Commits, o.Customers, o.Appointments)
	}
	return o, nil
}

// ErrExists is what [Make] returns when a sandbox is there already.
var ErrExists = errors.New("there is a sandbox already")

// ErrNone is what [Open] returns where no sandbox is: the directory is missing, empty,
// or somebody else's.
var ErrNone = errors.New("no sandbox here")

const (
	markerName    = ".lifeboat-sandbox"
	markerVersion = 1
	truthDir      = "truth"
)

// marker is the content of the marker file.
type marker struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`   // "sb-c2b9"
	Made    time.Time `json:"made"` // wall clock
	Options
}

// Sandbox is a handle on a sandbox on disk; it holds nothing open.
type Sandbox struct {
	dir    string // absolute, without symbolic links
	marker marker
}

// Dir is the absolute path of the sandbox.
func (s *Sandbox) Dir() string { return s.dir }

// ID names the sandbox on screens: "sb-c2b9". Another one at the same place has
// another ID.
func (s *Sandbox) ID() string { return s.marker.ID }

// Options are those that the sandbox was made with, defaults filled in.
func (s *Sandbox) Options() Options { return s.marker.Options }

// Origin is the bare repository that everybody pushes to.
func (s *Sandbox) Origin() string { return filepath.Join(s.dir, "origin.git") }

// Clone is the developer's working clone.
func (s *Sandbox) Clone() string { return filepath.Join(s.dir, "monorepo") }

// Database is the file of the booking database.
func (s *Sandbox) Database() string { return filepath.Join(s.dir, "booking.db") }

// Vault is the directory for backups, empty when the sandbox is new.
func (s *Sandbox) Vault() string { return filepath.Join(s.dir, "vault") }

// Estate is the estate file.
func (s *Sandbox) Estate() string { return filepath.Join(s.dir, "lifeboat.yaml") }

func (s *Sandbox) truth(name string) string { return filepath.Join(s.dir, truthDir, name) }

// Make builds a sandbox in dir, which must be missing or empty. After an error, also
// after a crash, dir is as it was; what a crash left beside it goes with the next Make.
func Make(ctx context.Context, dir string, o Options) (*Sandbox, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err = place(dir)
	if err != nil {
		return nil, fmt.Errorf("make a sandbox: %w", err)
	}
	if _, err := Open(dir); err == nil {
		return nil, hint.Wrap(fmt.Errorf("make a sandbox in %q: %w", dir, ErrExists), "Open it, or reset it to start anew.")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, hint.Wrap(fmt.Errorf("make a sandbox in %q: the directory is not empty and no sandbox", dir),
			"Name a directory that does not exist yet.")
	}
	s, err := build(ctx, dir, o, nil)
	if err != nil {
		return nil, fmt.Errorf("make a sandbox in %q: %w", dir, err)
	}
	return s, nil
}

// build makes the sandbox beside dir and renames it into place, where old, if it is not
// nil, is moved away in the same moment.
func build(ctx context.Context, dir string, o Options, old *Sandbox) (*Sandbox, error) {
	parent := filepath.Dir(dir)
	if err := durable.MkdirAll(parent); err != nil {
		return nil, err
	}
	sweep(dir)
	temp, err := os.MkdirTemp(parent, leftover(dir)+"*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp) // gone by then when all went well
	held, err := durable.Lock(filepath.Join(temp, lockName), "making a sandbox")
	if err != nil {
		return nil, err
	}
	defer held.Unlock()
	m := marker{Version: markerVersion, ID: newID(), Made: time.Now().UTC().Truncate(time.Second), Options: o}
	b := builder{dir: temp, final: dir, o: o}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := durable.WriteFile(filepath.Join(temp, markerName), append(text, '\n'), 0o600); err != nil {
		return nil, err
	}
	if old != nil {
		trash, err := old.moveAway()
		if err != nil {
			return nil, err
		}
		defer func() {
			calm(ctx, trash)
			os.RemoveAll(trash)
		}()
	} else if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // not empty any more
	}
	if err := durable.Rename(temp, dir); err != nil {
		return nil, err
	}
	_ = os.Remove(filepath.Join(dir, lockName)) // until here it kept [sweep] away
	return &Sandbox{dir: dir, marker: m}, nil
}

func newID() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return fmt.Sprintf("sb-%x", b)
}

const lockName = ".making"

// leftover is how directories beside dir begin that are not in place yet or any more.
func leftover(dir string) string { return "." + filepath.Base(dir) + ".sandbox-" }

// sweep removes what a crash left beside dir. A directory whose maker is alive is
// locked and stays. Errors do not matter: the next sweep tries again.
func sweep(dir string) {
	parent := filepath.Dir(dir)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		old := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), leftover(dir)) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(old, lockName)); err == nil {
			held, err := durable.Lock(filepath.Join(old, lockName), "clearing away")
			if err != nil {
				continue
			}
			_ = held.Unlock()
		} else if _, err := os.Lstat(filepath.Join(old, markerName)); err != nil {
			continue // begun this moment and not locked yet
		}
		_ = os.RemoveAll(old)
	}
}

// Open finds the sandbox in dir. Its error wraps [ErrNone] when there is none.
func Open(dir string) (*Sandbox, error) {
	dir, err := place(dir)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox: %w", err)
	}
	none := func(why error) error {
		return hint.Wrap(fmt.Errorf("open the sandbox %q: %w: %w", dir, ErrNone, why),
			"A sandbox is a directory with the file "+markerName+" in it; make one, or name another directory.")
	}
	info, err := os.Lstat(filepath.Join(dir, markerName))
	if err != nil {
		return nil, none(errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() || info.Size() > 64<<10 {
		return nil, none(errors.New("the marker is not a small regular file"))
	}
	text, err := os.ReadFile(filepath.Join(dir, markerName))
	if err != nil {
		return nil, none(errors.Unwrap(err))
	}
	s := &Sandbox{dir: dir}
	if err := json.Unmarshal(text, &s.marker); err != nil {
		return nil, none(fmt.Errorf("its marker cannot be read: %w", err))
	}
	if s.marker.Version != markerVersion || s.marker.ID == "" {
		return nil, none(fmt.Errorf("its marker has version %d, this Lifeboat knows %d", s.marker.Version, markerVersion))
	}
	return s, nil
}

// Remove deletes the sandbox. It refuses a directory that is no longer this sandbox.
// A crash in the middle leaves nothing in place; the next [Make] clears the rest away.
func (s *Sandbox) Remove(ctx context.Context) error {
	if err := s.still(); err != nil {
		return fmt.Errorf("remove the sandbox: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("remove the sandbox: %w", err)
	}
	trash, err := s.moveAway()
	if err != nil {
		return fmt.Errorf("remove the sandbox: %w", err)
	}
	calm(ctx, trash)
	return os.RemoveAll(trash)
}

// Reset puts a new sandbox with the same options in the place of this one. Until the
// new one is whole the old one stays. Whatever kept the old one alive ends by itself.
func (s *Sandbox) Reset(ctx context.Context) (*Sandbox, error) {
	if err := s.still(); err != nil {
		return nil, fmt.Errorf("reset the sandbox: %w", err)
	}
	fresh, err := build(ctx, s.dir, s.marker.Options, s)
	if err != nil {
		return nil, fmt.Errorf("reset the sandbox: %w", err)
	}
	return fresh, nil
}

// still makes sure that the directory is the sandbox this handle was opened on.
func (s *Sandbox) still() error {
	now, err := Open(s.dir)
	if err != nil {
		return err
	}
	if now.marker.ID != s.marker.ID || !now.marker.Made.Equal(s.marker.Made) {
		return hint.Wrap(fmt.Errorf("%q holds sandbox %s now, not %s", s.dir, now.marker.ID, s.marker.ID), "Open it again.")
	}
	return nil
}

// moveAway takes the sandbox out of its place in one step.
func (s *Sandbox) moveAway() (string, error) {
	trash, err := os.MkdirTemp(filepath.Dir(s.dir), leftover(s.dir)+"*")
	if err != nil {
		return "", err
	}
	// The name is ours now; a directory cannot be renamed onto another, even an empty one.
	return trash, errors.Join(os.Remove(trash), os.Rename(s.dir, trash))
}

// place makes dir absolute and refuses directories that must never be a sandbox.
func place(dir string) (string, error) {
	if strings.TrimSpace(dir) == "" {
		return "", hint.New("no directory is named", "Name a directory for the sandbox.")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	refused := func(why string) error {
		return hint.New(fmt.Sprintf("%q %s", dir, why), "Name a directory that is used for nothing else.")
	}
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return "", refused("is a symbolic link")
	} else if err == nil && !info.IsDir() {
		return "", refused("is not a directory")
	}
	if real, err := resolve(dir); err == nil {
		dir = real
	}
	if dir == "/" || filepath.Dir(dir) == "/" {
		return "", refused("is too near to the root of the file system")
	}
	for _, home := range homes() {
		if inside(home, dir) {
			return "", refused("is a home directory or holds one")
		}
	}
	return dir, nil
}
