package files

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// chunk is how much is read at once.
const chunk = 64 << 10

// Capture makes one restore point of the files below the directory source. A point with
// the same types, permissions, owners and content as the parent is unchanged, whatever
// the times say; otherwise it is whole. Where nothing matches, the point is empty, but
// when the parent had files it is the error [ErrNothing]: that is a lost file or a wrong
// pattern, and neither must look like a backup.
//
// Errors: [ErrMoving], [ErrUnsuitable], [ErrNothing], [fs.ErrNotExist].
func (k Kind) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (kind string, facts []byte, err error) {
	root, err := openSource(source)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	c := capture{k: k, root: root, create: create, progress: progress, log: log, buf: make([]byte, chunk)}
	if c.log == nil {
		c.log = io.Discard
	}
	if c.progress == nil {
		c.progress = func(int64, int64, string) {}
	}
	name := TarName
	for try := 1; ; try++ {
		kind, facts, err = c.once(ctx, parent, open, name)
		moved, ok := errors.AsType[*movingError](err)
		if !ok || try > 1 || c.stuck || ctx.Err() != nil {
			break
		}
		fmt.Fprintf(c.log, "%s: %s; the capture begins again\n", printable.Quote(moved.name), moved.why)
		name = strings.Replace(TarName, ".", "-2.", 1)
	}
	if errors.Is(err, ErrMoving) {
		err = hint.Wrap(err, "stop what writes there and try again, or leave it out with exclude: a log or a lock is no file to keep")
	}
	return kind, facts, err
}

// openSource opens the directory that patterns are relative to.
func openSource(source string) (*os.Root, error) {
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.Wrap(fmt.Errorf("open directory %q: %w", source, fs.ErrNotExist),
			"check the path of the asset; if the directory was lost, restore it with files.restore and to:")
	case err != nil:
		return nil, fmt.Errorf("open directory %q: %w", source, err)
	case !info.IsDir():
		return nil, hint.Wrap(fmt.Errorf("open directory %q: it is no directory", source),
			"name the directory as path: and the file under include:")
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		return nil, fmt.Errorf("open directory %q: %w", source, err)
	}
	return root, nil
}

// Survey tells what a capture of source would hold, without reading files.
func (k Kind) Survey(ctx context.Context, source string) (Facts, error) {
	root, err := openSource(source)
	if err != nil {
		return Facts{}, err
	}
	defer root.Close()
	s, err := k.list(ctx, root, io.Discard)
	if err != nil {
		return Facts{}, err
	}
	return s.facts, nil
}

// Files names the regular files that a capture of source would hold, in order.
func (k Kind) Files(ctx context.Context, source string) ([]string, error) {
	root, err := openSource(source)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s, err := k.list(ctx, root, io.Discard)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range s.entries {
		if e.Type == File {
			out = append(out, e.Path)
		}
	}
	return out, nil
}

type capture struct {
	k        Kind
	root     *os.Root
	create   func(role, name string) (io.WriteCloser, error)
	progress func(done, total int64, unit string)
	log      io.Writer
	buf      []byte
	stuck    bool // an object was begun that cannot be dropped
}

// once makes one try; after a *movingError another may follow unless stuck.
func (c *capture) once(ctx context.Context, parent []byte, open func(string) (io.ReadCloser, error), name string) (string, []byte, error) {
	s, err := c.k.list(ctx, c.root, c.log)
	if err != nil {
		return "", nil, err
	}
	var old Facts
	if parent != nil {
		if old, err = readFacts(parent); err != nil {
			return "", nil, err
		}
	}
	if s.facts.Files+s.facts.Links == 0 && old.Files+old.Links > 0 {
		return "", nil, hint.Wrapf(fmt.Errorf("%w: the point before holds %s", ErrNothing, printable.Count(old.Files+old.Links, "file")),
			"were the files lost? put them back with files.restore; did they move? correct include: of the asset (%s)", strings.Join(c.k.Include, ", "))
	}
	if len(s.entries) == 0 {
		fmt.Fprintf(c.log, "WARNING: nothing matches %s: this point holds nothing\n", printable.Quote(strings.Join(c.k.Include, ", ")))
		facts, err := json.Marshal(s.facts)
		return empty, facts, err
	}
	if parent != nil {
		same, why, err := c.same(ctx, s, old, open)
		if err != nil {
			return "", nil, err
		}
		if same {
			fmt.Fprintf(c.log, "nothing has changed\n")
			return unchanged, parent, nil
		}
		fmt.Fprintf(c.log, "whole backup: %s\n", why)
	}
	if err := c.write(ctx, s, name); err != nil {
		return "", nil, err
	}
	facts, err := json.Marshal(s.facts)
	return full, facts, err
}

// same compares the source with the list of the parent; why says what differs first.
func (c *capture) same(ctx context.Context, s *scan, old Facts, open func(string) (io.ReadCloser, error)) (same bool, why string, err error) {
	if old.ListSHA256 == "" {
		return false, "the point before holds nothing", nil
	}
	was, err := readIndex(ctx, old, open)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if err != nil {
		return false, fmt.Sprintf("the list of the point before cannot be read: %v", err), nil
	}
	if len(was.Entries) != len(s.entries) {
		return false, fmt.Sprintf("there are %d entries, and were %d", len(s.entries), len(was.Entries)), nil
	}
	for i, e := range s.entries { // what needs no reading comes first
		o := was.Entries[i]
		o.Mtime = e.Mtime
		if e.Type == File {
			e.Sum = o.Sum
		}
		if e.line() != o.line() {
			return false, printable.Quote(e.Path) + " is new or another", nil
		}
	}
	var done int64
	for i, e := range s.entries {
		if e.Type != File {
			continue
		}
		sum, err := e.read(ctx, c.root, io.Discard, c.buf)
		if err != nil {
			return false, "", err
		}
		if sum != was.Entries[i].Sum {
			return false, printable.Quote(e.Path) + " has another content", nil
		}
		done += e.Size
		c.progress(done, s.facts.Bytes, "B")
	}
	return true, "", nil
}

// readIndex reads the list that a point keeps for the next one.
func readIndex(ctx context.Context, f Facts, open func(string) (io.ReadCloser, error)) (l List, err error) {
	r, err := open(roleIndex)
	if err != nil {
		return List{}, err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	if l, err = ReadList(ctx, r); err != nil {
		return List{}, err
	}
	if l.SHA256 != f.ListSHA256 {
		return List{}, fmt.Errorf("%w: the list is not that of the point", ErrDamaged)
	}
	return l, nil
}

// write stores the archive and then the index.
func (c *capture) write(ctx context.Context, s *scan, name string) (err error) {
	out, err := c.create(roleTar, name)
	if err != nil {
		return err
	}
	list, err := c.archive(ctx, s, out)
	if err != nil {
		a, ok := out.(interface{ Abort() error })
		c.stuck = !ok || a.Abort() != nil
		return err
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	index, err := c.create(roleIndex, IndexName)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(index, list); err != nil {
		return fmt.Errorf("store %s: %w", IndexName, err)
	}
	if err := index.Close(); err != nil {
		return fmt.Errorf("store %s: %w", IndexName, err)
	}
	return nil
}

// archive writes the tar and completes the facts. It returns the list.
func (c *capture) archive(ctx context.Context, s *scan, out io.Writer) (string, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails
	salt := hex.EncodeToString(random)
	var list strings.Builder // at most maxEntries lines; the archive ends with it
	list.WriteString(listFormat + salt + "\n")
	t := tar.NewWriter(out)
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": listFormat + salt}})
	if err == nil {
		err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: TreeName + "/", Mode: 0o700, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
	}
	if err != nil {
		return "", fmt.Errorf("store %s: %w", TarName, err)
	}
	var names owners
	var done int64
	for _, e := range s.entries {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := t.WriteHeader(e.header(&names)); err != nil {
			return "", fmt.Errorf("store %q: %w", e.Path, err)
		}
		if e.Type == File {
			if e.Sum, err = e.read(ctx, c.root, t, c.buf); err != nil {
				return "", err
			}
			done += e.Size
			c.progress(done, s.facts.Bytes, "B")
		}
		list.WriteString(e.line())
	}
	s.facts.ListSHA256 = hashText(list.String())
	err = t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: ListName, Mode: 0o600, Size: int64(list.Len()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	})
	if err == nil {
		_, err = io.WriteString(t, list.String())
	}
	if err == nil {
		err = t.Close()
	}
	if err != nil {
		return "", fmt.Errorf("store %s: %w", TarName, err)
	}
	return list.String(), nil
}

func (f found) header(names *owners) *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: TreeName + "/" + f.Path, Mode: int64(f.Mode), Size: f.Size, ModTime: f.info.ModTime(),
		Uid: f.UID, Gid: f.GID, Uname: names.user(f.UID), Gname: names.group(f.GID), Format: tar.FormatPAX,
	}
	switch f.Type {
	case Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case Link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Target
	}
	return h
}
