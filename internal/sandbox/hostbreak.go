package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/durable"
)

// Names of breakages of what lies beside the code.
const (
	AuthLost = "auth-lost"
	EnvLost  = "env-lost"
)

func hostBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    AuthLost,
		Summary: "A clean-up script ran against production: the collections of those who sign in are gone, and nobody can sign in.",
		Symptoms: []string{
			"signing in fails for everybody",
			"the users, accounts and sessions of auth_db are gone or empty",
			"support reports that people are signed out and cannot come back",
		},
	}, damage: (*Sandbox).loseAuth}, {Breakage: Breakage{
		Name:    EnvLost,
		Summary: "A deployment overwrote the env files of the server: some are gone, some are empty, and one can be read by everybody.",
		Symptoms: []string{
			"an app does not start: a variable of its environment is missing",
			"env files are missing or have a size of 0",
			"a restored or copied .env can be read by every user of the machine",
		},
	}, damage: (*Sandbox).loseEnv, look: (*judge).restarted}}
}

// Server is the directory of what the estate has beside its code.
func (s *Sandbox) Server() string { return filepath.Join(s.dir, "server") }

// hostFile is a file of the server.
type hostFile struct {
	SHA256 string      `json:"sha256"`
	Mode   fs.FileMode `json:"mode"`
}

// kept is where restores put what they replace; it is no part of the server.
const keptPrefix = ".lifeboat-before-"

// lookHost reads all files of the server.
func (s *Sandbox) lookHost() (map[string]hostFile, error) {
	out := map[string]hostFile{}
	root := s.Server()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), keptPrefix) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := hashFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = hostFile{SHA256: sum, Mode: info.Mode().Perm()}
		return err
	})
	return out, err
}

// loseAuth drops three collections and keeps one that nobody misses, as a clean-up does
// that was stopped in the middle. What signed in since is in it.
func (s *Sandbox) loseAuth(ctx context.Context, t truth) error {
	if err := s.copyAuth(authTruth); err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	store := s.AuthStore()
	for _, c := range []string{"users", "accounts"} {
		if err := store.Drop(AuthDB, c); err != nil {
			return err
		}
	}
	return store.Replace(AuthDB, "sessions", nil)
}

// loseEnv deletes two env files, empties one and opens one to everybody.
func (s *Sandbox) loseEnv(ctx context.Context, t truth) error {
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	server := func(name string) string { return filepath.Join(s.Server(), filepath.FromSlash(name)) }
	var errs []error
	for _, name := range []string{"apps/booking/.env", "packages/auth/.env"} {
		if err := os.Remove(server(name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, durable.WriteFile(server("apps/dashboard/.env"), nil, 0o600), os.Chmod(server("apps/booking/.env.local"), 0o644))
	return errors.Join(errs...)
}

// host checks the files of the server, byte for byte and with their modes.
func (j *judge) host(ctx context.Context) {
	const text = "env files and infrastructure are as they were, byte for byte, with their modes"
	now, err := j.s.lookHost()
	if err != nil {
		j.check(false, text, err.Error())
		return
	}
	var wrong []string
	for _, name := range only(j.t.Host, func(string) bool { return true }) {
		want, is := j.t.Host[name], now[name]
		switch {
		case is.SHA256 == "":
			wrong = append(wrong, name+" is missing")
			j.lost("%s", name)
		case want.SHA256 != is.SHA256 && !j.rotated(name):
			wrong = append(wrong, name+" holds something else")
		case want.Mode != is.Mode:
			wrong = append(wrong, fmt.Sprintf("%s has mode %o, not %o", name, is.Mode, want.Mode))
		}
	}
	for name := range now {
		if _, ok := j.t.Host[name]; !ok {
			wrong = append(wrong, name+" was not there")
		}
	}
	slices.Sort(wrong)
	evidence := fmt.Sprintf("%d files", len(now))
	if len(wrong) > 0 {
		evidence = strings.Join(wrong, "; ")
	}
	j.check(len(wrong) == 0, text, evidence)
}
