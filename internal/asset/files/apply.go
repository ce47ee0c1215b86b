package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"lifeboat/internal/printable"
)

// Check reads an archive or a list to its end and says whether it is whole and of the
// form that this package writes.
func (Kind) Check(ctx context.Context, role string, r io.Reader) error {
	switch role {
	case roleTar:
		_, err := readArchive(ctx, r, discard{make([]byte, chunk)})
		return err
	case roleIndex:
		_, err := ReadList(ctx, r)
		return err
	}
	return fmt.Errorf("check: unknown role %q", role)
}

// Apply extracts an archive into dir: the tree as "files", its list as "files.list".
// Owners are restored when this is root, as tar does. After an error dir is of no use.
func (Kind) Apply(ctx context.Context, dir, role, object string, log io.Writer) (err error) {
	if role != roleTar {
		return fmt.Errorf("apply: unknown role %q", role)
	}
	in, err := os.Open(object)
	if err != nil {
		return err
	}
	defer in.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(TreeName, 0o700); err != nil {
		return fmt.Errorf("extract into %q: %w", dir, err)
	}
	tree, err := root.OpenRoot(TreeName)
	if err != nil {
		return fmt.Errorf("extract into %q: %w", dir, err)
	}
	defer tree.Close()
	x := &extract{root: root, tree: tree, chown: os.Geteuid() == 0, buf: make([]byte, chunk)}
	if log == nil {
		log = io.Discard
	}
	facts, err := readArchive(ctx, in, x)
	if err == nil {
		err = x.settle()
	}
	if err != nil {
		return err
	}
	if x.kept > 0 {
		fmt.Fprintf(log, "the owners of %s could not be set\n", printable.Count(x.kept, "restored file"))
	}
	fmt.Fprintf(log, "extracted %s\n", facts.words())
	return nil
}

// extract is the sink that writes. The replica is private and every name goes through an
// os.Root, so that even a name that slipped through the checks cannot leave it.
type extract struct {
	root, tree *os.Root
	dirs       []dirTime // their final modes and times come last
	chown      bool
	kept       int // entries whose owner could not be set
	buf        []byte
}

type dirTime struct {
	Entry
	time time.Time
}

func (x *extract) dir(e Entry, h *tar.Header) error {
	if err := x.tree.Mkdir(e.Path, 0o700); err != nil {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	x.dirs = append(x.dirs, dirTime{e, h.ModTime})
	return nil
}

func (x *extract) link(e Entry, _ *tar.Header) error {
	if err := x.tree.Symlink(e.Target, e.Path); err != nil {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	return x.own(e)
}

func (x *extract) own(e Entry) error {
	if !x.chown {
		return nil
	}
	err := x.tree.Lchown(e.Path, e.UID, e.GID)
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !noSuchOwner(err) {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	if err != nil {
		x.kept++
	}
	return nil
}

func (x *extract) file(e Entry, h *tar.Header, r io.Reader) error {
	f, err := x.tree.OpenFile(e.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, x.buf); err != nil {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	if err := x.own(e); err != nil { // before the mode, because it may clear bits
		return err
	}
	err = errors.Join(f.Chmod(e.Mode), f.Close())
	if err == nil {
		err = x.tree.Chtimes(e.Path, h.ModTime, h.ModTime)
	}
	if err != nil {
		return fmt.Errorf("extract %q: %w", e.Path, err)
	}
	return nil
}

func (x *extract) list(r io.Reader) error {
	f, err := x.root.OpenFile(ListName, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("extract %q: %w", ListName, err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, x.buf)
	return errors.Join(err, f.Close())
}

// settle gives directories their modes, the deepest first: one that may not be written
// to must be full by then.
func (x *extract) settle() error {
	for _, d := range slices.Backward(x.dirs) {
		if err := x.own(d.Entry); err != nil {
			return err
		}
		err := x.tree.Chtimes(d.Path, d.time, d.time)
		if err == nil {
			err = x.tree.Chmod(d.Path, d.Mode)
		}
		if err != nil {
			return fmt.Errorf("extract %q: %w", d.Path, err)
		}
	}
	return nil
}

// Prove compares the replica with the facts: the hash of its list, and with the list
// every name, type, mode, size, time and content. Owners are not proven, because only
// root can restore them. full makes no difference: this is every check there is.
func (k Kind) Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (string, error) {
	f, err := readFacts(facts)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if f.ListSHA256 == "" {
		d, err := root.Open(".")
		if err != nil {
			return "", err
		}
		defer d.Close()
		if names, err := d.Readdirnames(1); len(names) > 0 || err != io.EOF {
			return "", fmt.Errorf("%w: the point holds nothing, and %q is there", ErrUnequal, names)
		}
		return "the point holds nothing, and nothing is there", nil
	}
	in, err := root.Open(ListName)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnequal, err)
	}
	defer in.Close()
	want, err := ReadList(ctx, in)
	if err != nil {
		return "", err
	}
	if want.SHA256 != f.ListSHA256 {
		return "", fmt.Errorf("%w: the SHA-256 of the list is %s, recorded is %s", ErrUnequal, want.SHA256, f.ListSHA256)
	}
	tree, err := root.OpenRoot(TreeName)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnequal, err)
	}
	defer tree.Close()
	got, err := Compare(ctx, tree, want)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: names, modes and SHA-256 are those of the point (list %s)", got.words(), f.ListSHA256[:12]), nil
}

// Compare says whether tree holds exactly what a list says, owners left aside. The error
// names the first difference: [ErrUnequal].
func Compare(ctx context.Context, tree *os.Root, want List) (Facts, error) {
	s := &scan{root: tree, include: newGlobs(nil), exclude: newGlobs(nil), strict: true, log: io.Discard}
	if err := s.dir(ctx, ".", nil, nil, true); err != nil {
		if errors.Is(err, ErrUnsuitable) {
			err = fmt.Errorf("%w: %w", ErrUnequal, err)
		}
		return Facts{}, err
	}
	for i, e := range s.entries {
		if i == len(want.Entries) || before(e.Path, want.Entries[i].Path) {
			return Facts{}, fmt.Errorf("%w: %q is not in the list", ErrUnequal, e.Path)
		}
		o := want.Entries[i]
		if e.Path != o.Path {
			return Facts{}, fmt.Errorf("%w: %q is missing", ErrUnequal, o.Path)
		}
		if e.Type != o.Type || e.Mode != o.Mode || e.Size != o.Size || e.Mtime != o.Mtime {
			return Facts{}, fmt.Errorf("%w: %q is %s, not %s", ErrUnequal, e.Path, e.words(), o.words())
		}
	}
	if len(want.Entries) > len(s.entries) {
		return Facts{}, fmt.Errorf("%w: %q is missing", ErrUnequal, want.Entries[len(s.entries)].Path)
	}
	buf := make([]byte, chunk)
	for i, e := range s.entries {
		sum := e.Sum
		if e.Type == File {
			var err error
			if sum, err = e.read(ctx, tree, io.Discard, buf); err != nil {
				return Facts{}, err
			}
		}
		if e.Type != Dir && sum != want.Entries[i].Sum {
			return Facts{}, fmt.Errorf("%w: %q has another content", ErrUnequal, e.Path)
		}
	}
	return s.facts, nil
}

// Look reads one entry of a live tree whole. [fs.ErrNotExist] when nothing is there;
// [ErrUnsuitable] when it is no file, directory or link, or when the way to it leads
// through a link.
func Look(ctx context.Context, tree *os.Root, name string) (Entry, error) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, err := tree.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Entry{}, err
		}
		if !info.IsDir() {
			return Entry{}, fmt.Errorf("look at %q: %w: %q is no directory", name, ErrUnsuitable, dir)
		}
	}
	info, err := tree.Lstat(name)
	if err != nil {
		return Entry{}, err
	}
	f := found{entryOf(name, info), info}
	switch {
	case f.Type == Link:
		if f.Target, err = tree.Readlink(name); err != nil {
			return Entry{}, err
		}
		f.Sum = hashText(f.Target)
	case f.Type == File && !info.Mode().IsRegular():
		return Entry{}, fmt.Errorf("look at %q: %w: it is a %s", name, ErrUnsuitable, special(info.Mode()))
	case f.Type == File:
		if f.Sum, err = f.read(ctx, tree, io.Discard, make([]byte, chunk)); err != nil {
			return Entry{}, err
		}
	}
	return f.Entry, nil
}

func (e Entry) words() string {
	switch e.Type {
	case Dir:
		return fmt.Sprintf("a directory, %04o", e.Mode)
	case Link:
		return "a link"
	}
	return fmt.Sprintf("%d bytes, %04o, of %s", e.Size, e.Mode, time.Unix(e.Mtime, 0).UTC().Format("2006-01-02 15:04:05"))
}

func (f Facts) words() string {
	s := fmt.Sprintf("%s of %s", printable.Count(f.Files, "file"), printable.Size(f.Bytes))
	if f.Links > 0 {
		s += ", " + printable.Count(f.Links, "link")
	}
	return s
}
