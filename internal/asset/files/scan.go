package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// found is an entry of a live tree. The hash of a file is not known yet.
type found struct {
	Entry
	info fs.FileInfo // as it was when the tree was listed
}

// scan is one listing of a tree.
type scan struct {
	root     *os.Root
	include  *globs
	exclude  *globs
	strict   bool // a replica: everything counts, and only what a point can hold may be there
	log      io.Writer
	entries  []found
	parents  []found // directories on the way that are not in entries yet
	facts    Facts
	shielded int // names at the top that begin with Own
	order    order
}

// list walks a source. Symbolic links are entries and never followed.
func (k Kind) list(ctx context.Context, root *os.Root, log io.Writer) (*scan, error) {
	include, err := compile("include", k.Include)
	if err != nil {
		return nil, err
	}
	exclude, err := compile("exclude", k.Exclude)
	if err != nil {
		return nil, err
	}
	s := &scan{root: root, include: newGlobs(include), exclude: newGlobs(exclude), log: log}
	if err := s.dir(ctx, ".", s.include.start(), s.exclude.start(), len(include) == 0); err != nil {
		return nil, err
	}
	for i, p := range include {
		if !s.include.hit[i] {
			fmt.Fprintf(log, "include %s matches nothing (symbolic links are not followed)\n", printable.Quote(p.text))
		}
	}
	if s.shielded > 0 {
		fmt.Fprintf(log, "left out: what a restore keeps under %s* (%d)\n", Own, s.shielded)
	}
	s.warn()
	return s, nil
}

// dir walks one directory. whole says that a pattern has taken it with all below.
func (s *scan) dir(ctx context.Context, dir string, in, out []state, whole bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := s.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if dir == "." && !s.strict && strings.HasPrefix(name, Own) {
			s.shielded++
			continue
		}
		if err := s.entry(ctx, dir, name, in, out, whole); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) names(dir string) ([]string, error) {
	f, err := s.root.Open(dir)
	if err == nil {
		defer f.Close()
		var names []string
		if names, err = f.Readdirnames(-1); err == nil {
			slices.Sort(names)
			return names, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, moving(dir, "it has vanished")
	}
	return nil, hint.Wrapf(fmt.Errorf("list directory %q: %w", dir, err),
		"let this user read it, or leave it out with exclude: [%s]", printable.Quote(dir))
}

func (s *scan) entry(ctx context.Context, dir, name string, in, out []state, whole bool) error {
	full := path.Join(dir, name)
	info, err := s.root.Lstat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return moving(full, "it has vanished")
	}
	if err != nil {
		return fmt.Errorf("look at %q: %w", full, err)
	}
	gone, out := s.exclude.step(out, name, info.IsDir())
	if gone {
		return nil
	}
	taken := whole
	if !whole {
		taken, in = s.include.step(in, name, info.IsDir())
	}
	if !info.IsDir() {
		if !taken {
			return nil
		}
		return s.leaf(full, info)
	}
	if !taken && len(in) == 0 {
		return nil
	}
	e := found{entryOf(full, info), info}
	s.parents = append(s.parents, e)
	if taken {
		if err := s.emit(); err != nil {
			return err
		}
	}
	if err := s.dir(ctx, full, in, out, taken); err != nil {
		return err
	}
	if n := len(s.parents); n > 0 && s.parents[n-1].Path == full { // nothing below it was taken
		s.parents = s.parents[:n-1]
	}
	return nil
}

// leaf takes what is no directory.
func (s *scan) leaf(name string, info fs.FileInfo) error {
	e := found{entryOf(name, info), info}
	switch info.Mode().Type() {
	case 0:
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			if s.strict {
				return fmt.Errorf("%w: %q has special bits: %s", ErrUnequal, name, info.Mode())
			}
			fmt.Fprintf(s.log, "%s: the bits setuid, setgid and sticky are not kept\n", printable.Quote(name))
		}
		if t := info.ModTime(); t.After(s.facts.Newest) {
			s.facts.Newest = t.UTC()
		}
	case fs.ModeSymlink:
		target, err := s.root.Readlink(name)
		if err != nil {
			return moving(name, err.Error())
		}
		if err := checkTarget(name, target); err != nil {
			return hint.Wrap(fmt.Errorf("%w: %w", ErrUnsuitable, err),
				"what it points to would not be in the backup: put the file itself in its place, or leave the link out with exclude")
		}
		e.Target, e.Sum = target, hashText(target)
	default:
		if s.strict {
			return fmt.Errorf("%w: %q is no file, directory or link: %s", ErrUnequal, name, info.Mode())
		}
		s.facts.Skipped++
		fmt.Fprintf(s.log, "%s is left out: a %s holds nothing to keep\n", printable.Quote(name), special(info.Mode()))
		return nil
	}
	s.parents = append(s.parents, e)
	return s.emit()
}

func special(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	}
	return "device"
}

// emit takes an entry and the directories that lead to it.
func (s *scan) emit() error {
	for _, e := range s.parents {
		if err := s.order.next(e.Entry); err != nil {
			return hint.Wrap(fmt.Errorf("%w: %w", ErrUnsuitable, err), "rename it, or leave it out with exclude")
		}
		switch e.Type {
		case File:
			s.facts.Files++
			s.facts.Bytes += e.Size
		case Dir:
			s.facts.Dirs++
		case Link:
			s.facts.Links++
		}
		s.entries = append(s.entries, e)
	}
	s.parents = s.parents[:0]
	return nil
}

// warn tells of links to files that were not chosen: the link comes back and leads
// nowhere.
func (s *scan) warn() {
	for _, e := range s.entries {
		if e.Type != Link {
			continue
		}
		to := path.Join(path.Dir(e.Path), e.Target)
		i, ok := slices.BinarySearchFunc(s.entries, to, func(f found, name string) int {
			switch {
			case f.Path == name:
				return 0
			case before(f.Path, name):
				return -1
			}
			return 1
		})
		if !ok || i == len(s.entries) {
			fmt.Fprintf(s.log, "warning: %s is a link to %s, which is not in this backup\n", printable.Quote(e.Path), printable.Quote(to))
		}
	}
}

// entryOf reads what is known without opening.
func entryOf(name string, info fs.FileInfo) Entry {
	e := Entry{Path: name, Mode: info.Mode().Perm(), Type: File}
	switch {
	case info.IsDir():
		e.Type = Dir
	case info.Mode()&fs.ModeSymlink != 0:
		e.Type, e.Mode = Link, 0o777
	default:
		e.Size, e.Mtime = info.Size(), info.ModTime().Unix()
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = int(st.Uid), int(st.Gid)
	}
	return e
}

// movingError is a file that is not as it was listed.
type movingError struct{ name, why string }

func moving(name, why string) error { return &movingError{name, why} }

func (e *movingError) Error() string { return fmt.Sprintf("read %q: %v: %s", e.name, ErrMoving, e.why) }
func (e *movingError) Unwrap() error { return ErrMoving }

// read copies a listed file to w and hashes it. The error is a *movingError when the
// file was not the whole time as it was listed; w has got something then all the same.
func (f found) read(ctx context.Context, root *os.Root, w io.Writer, buf []byte) (sum string, err error) {
	// Not to hang when a fifo stands there by now.
	in, err := root.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", moving(f.Path, "it has vanished")
	case errors.Is(err, syscall.ELOOP):
		return "", moving(f.Path, "it is a symbolic link by now")
	case err != nil:
		return "", hint.Wrapf(fmt.Errorf("read %q: %w", f.Path, err),
			"let this user read it, or leave it out with exclude: [%s]", printable.Quote(f.Path))
	}
	defer in.Close()
	if err := f.still(in); err != nil {
		return "", err
	}
	h := sha256.New()
	n, werr := copyContext(ctx, io.MultiWriter(h, w), io.LimitReader(in, f.Size), buf)
	if werr != nil {
		return "", werr
	}
	if more, _ := in.Read(make([]byte, 1)); n < f.Size || more > 0 {
		return "", moving(f.Path, "its size is another now")
	}
	if err := f.still(in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// still compares an open file with what was listed.
func (f found) still(in *os.File) error {
	now, err := in.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", f.Path, err)
	}
	if !os.SameFile(f.info, now) {
		return moving(f.Path, "another file stands in its place")
	}
	if now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) || now.Mode() != f.info.Mode() || changed(now) != changed(f.info) {
		return moving(f.Path, "it was written to")
	}
	return nil
}

// changed is the time of the last change of content or attributes, which a program that
// sets mtime back cannot hide.
func changed(info fs.FileInfo) syscall.Timespec {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim
	}
	return syscall.Timespec{}
}

func copyContext(ctx context.Context, w io.Writer, r io.Reader, buf []byte) (n int64, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, err := r.Read(buf)
		if got > 0 {
			n += int64(got)
			if _, err := w.Write(buf[:got]); err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// owners looks names of users and groups up, each once.
type owners struct{ users, groups map[int]string }

func (o *owners) user(id int) string {
	if o.users == nil {
		o.users, o.groups = map[int]string{}, map[int]string{}
	}
	name, ok := o.users[id]
	if !ok {
		if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
			name = u.Username
		}
		o.users[id] = name
	}
	return name
}

func (o *owners) group(id int) string {
	name, ok := o.groups[id]
	if !ok {
		if g, err := user.LookupGroupId(strconv.Itoa(id)); err == nil {
			name = g.Name
		}
		o.groups[id] = name
	}
	return name
}
