package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// Fence gives the test that every action of a drill makes before it touches a target.
//
// A target passes when it is an absolute path, or a file URL without a host, that lies
// in this sandbox after every symbolic link and every ".." in it has been followed as
// the kernel would. The oracle's truth, the marker file and what keeps the sandbox alive
// do not pass. Plain HTTP to a host of the sandbox passes: [Sandbox.Transport] leads
// there. All else is refused with an error that wraps [action.ErrRefused]: other network
// addresses, the short form host:path, remote helpers, relative paths (their meaning depends on a directory
// that the fence does not know), and every path outside.
//
// The fence guards against a wrong target, not against a program in the sandbox that
// replaces directories by links between the test and the use; that is why actions ask
// again right before their effect.
func (s *Sandbox) Fence() func(target string) error {
	return func(target string) error {
		if err := s.fence(target); err != nil {
			return hint.Wrapf(fmt.Errorf("%w: %q %w", action.ErrRefused, target, err),
				"This is a drill: it may touch only what lies in the sandbox %s. Check the estate file and the remotes.", s.dir)
		}
		return nil
	}
}

// fileParams are the parameters of a file bucket that name no other file.
var fileParams = []string{"create_dir", "dir_file_mode", "no_tmp_dir", "metadata", "prefix"}

func (s *Sandbox) fence(target string) error {
	switch {
	case target == "":
		return errors.New("is empty")
	case strings.ContainsFunc(target, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("holds control characters")
	case strings.HasPrefix(target, "/"):
		return s.contains(target)
	}
	scheme, rest, isURL := strings.Cut(target, "://")
	switch {
	case isURL && scheme == "file":
		return s.fenceURL(target, rest)
	case isURL && scheme == "http":
		return fenceHTTP(target)
	case isURL:
		return fmt.Errorf("is reached over %q", scheme)
	case strings.Contains(target, "::"):
		return errors.New("names a remote helper")
	}
	if host, _, ok := strings.Cut(target, ":"); ok && !strings.Contains(host, "/") {
		return fmt.Errorf("is on the host %q", host)
	}
	return errors.New("is a relative path")
}

// fenceURL tests both readings of a file URL: programs differ in whether they decode
// percent signs and cut a query off.
func (s *Sandbox) fenceURL(target, raw string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return errors.New("is no sound URL")
	case u.Host != "" || u.User != nil || !strings.HasPrefix(raw, "/"):
		return errors.New("names a host")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("is no sound URL")
	}
	for name := range query {
		if !slices.Contains(fileParams, name) {
			return fmt.Errorf("has the parameter %q", name)
		}
	}
	if strings.ContainsRune(u.Path, 0) {
		return errors.New("holds control characters")
	}
	return errors.Join(s.contains(u.Path), s.contains(raw))
}

// contains tests a path as the kernel would walk it, and as programs that clean paths
// by their text would: "link/../x" is not the same for both.
func (s *Sandbox) contains(path string) error {
	for _, reading := range []string{path, filepath.Clean(path)} {
		real, err := resolve(reading)
		switch {
		case err != nil:
			return fmt.Errorf("cannot be followed to its end: %w", err)
		case !inside(real, s.dir):
			if real == filepath.Clean(path) {
				return errors.New("is outside the sandbox")
			}
			return fmt.Errorf("leads to %q, outside the sandbox", real)
		case inside(real, s.truth("")), inside(real, s.runtime("")), inside(real, s.Bin()), real == filepath.Join(s.dir, markerName):
			return errors.New("belongs to the drill itself")
		}
	}
	return nil
}

// inside says whether path is dir or lies below it; both are clean.
func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolve follows an absolute path component by component: links, also dangling ones,
// to where they lead, ".." from where the link before it led. What does not exist yet
// is taken by its text.
func resolve(path string) (string, error) {
	const most = 40 // links, as the kernel allows
	real, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			real = filepath.Dir(real)
			continue
		}
		next := filepath.Join(real, name)
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			real = next
			continue
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			real = next
			continue
		}
		if links++; links > most {
			return "", errors.New("too many symbolic links")
		}
		to, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(to, "/") {
			real = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return real, nil
}

// homes lists directories that must never become a sandbox, or lie in one.
func homes() []string {
	u, err := user.Current()
	if err != nil || u.HomeDir == "" || u.HomeDir == "/" {
		return nil
	}
	if real, err := resolve(u.HomeDir); err == nil {
		return []string{u.HomeDir, real}
	}
	return []string{u.HomeDir}
}
