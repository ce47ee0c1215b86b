package files

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Types of entries.
const (
	File = 'f'
	Dir  = 'd'
	Link = 'l'
)

// Entry is one file, directory or symbolic link. Its line in a list:
//
//	f 0640 1000 1000 52 1763856000 <SHA-256 of the content> apps/web/.env
//	d 0755 1000 1000 0 0 - apps
//	l 0777 1000 1000 0 0 <SHA-256 of the target> apps/api/.env
type Entry struct {
	Path     string // relative to the source, with slashes
	Type     byte
	Mode     fs.FileMode // permissions only
	UID, GID int
	Size     int64
	Mtime    int64 // seconds since 1970; 0 for directories and links, whose times are not kept
	Sum      string
	Target   string // of a link; not in the list
}

func (e Entry) line() string {
	sum := e.Sum
	if e.Type == Dir {
		sum = "-"
	}
	return fmt.Sprintf("%c %04o %d %d %d %d %s %s\n", e.Type, e.Mode, e.UID, e.GID, e.Size, e.Mtime, sum, e.Path)
}

// Same says whether two entries have the same type, permissions and content.
func (e Entry) Same(o Entry) bool {
	return e.Type == o.Type && e.Mode == o.Mode && e.Size == o.Size && e.Sum == o.Sum
}

// listFormat begins a list; the salt in hexadecimal follows.
const listFormat = "lifeboat-files/1 "

// List is what a point holds. It is as secret as the files: its hashes are not salted.
type List struct {
	Salt    string // 64 hexadecimal digits
	Entries []Entry
	SHA256  string // of the list itself, as in [Facts]
}

// ReadList reads a list to its end. It is hostile: what is no proper list, with its
// entries in order and each below a directory that stands before it, is [ErrDamaged].
func ReadList(ctx context.Context, r io.Reader) (List, error) {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(r, sum), 64<<10)
	var l List
	var o order
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return List{}, err
		}
		line, err := in.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 && n > 0 {
			l.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return l, nil
		}
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return List{}, fmt.Errorf("read the list of files: %w", err)
		}
		if err != nil {
			return List{}, fmt.Errorf("%w: line %d of the list does not end", ErrDamaged, n+1)
		}
		if n == 0 {
			salt, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), listFormat)
			if !ok || !isHash(salt) {
				return List{}, fmt.Errorf("%w: the list does not begin with %q and a salt", ErrDamaged, listFormat)
			}
			l.Salt = salt
			continue
		}
		e, err := parseLine(string(line))
		if err == nil {
			err = o.next(e)
		}
		if err != nil {
			return List{}, fmt.Errorf("%w: line %d of the list: %w", ErrDamaged, n+1, err)
		}
		l.Entries = append(l.Entries, e)
	}
}

// parseLine reads the line of an entry, which must be exactly as line writes it.
func parseLine(text string) (Entry, error) {
	f := strings.SplitN(strings.TrimSuffix(text, "\n"), " ", 8)
	if len(f) != 8 || len(f[0]) != 1 {
		return Entry{}, errors.New("it has not eight fields")
	}
	e := Entry{Type: f[0][0], Path: f[7]}
	mode, err := strconv.ParseUint(f[1], 8, 9)
	e.Mode = fs.FileMode(mode)
	for i, v := range []*int{&e.UID, &e.GID} {
		n, nerr := strconv.ParseUint(f[2+i], 10, 32)
		*v, err = int(n), errors.Join(err, nerr)
	}
	for i, v := range []*int64{&e.Size, &e.Mtime} {
		n, nerr := strconv.ParseInt(f[4+i], 10, 64)
		*v, err = n, errors.Join(err, nerr)
	}
	if e.Type != Dir {
		e.Sum = f[6]
	}
	switch {
	case err != nil:
		return Entry{}, err
	case e.Type != File && e.Type != Dir && e.Type != Link:
		return Entry{}, fmt.Errorf("type %q", f[0])
	case e.Type != Dir && !isHash(e.Sum):
		return Entry{}, errors.New("it has no SHA-256")
	case e.Size < 0, e.Type != File && (e.Size != 0 || e.Mtime != 0), e.Type == Link && e.Mode != 0o777:
		return Entry{}, errors.New("size, time or mode do not fit the type")
	case e.line() != text:
		return Entry{}, errors.New("it is not written as it should be")
	}
	return e, nil
}

// order checks entries one by one: names, sorting, which rules out doubles, and that
// each lies in a directory that came before.
type order struct {
	n     int
	last  string
	dirs  []string // the way down to the last entry
	alike map[[16]byte]bool
}

func (o *order) next(e Entry) error {
	if err := CheckName(e.Path); err != nil {
		return err
	}
	if o.n++; o.n > maxEntries {
		return fmt.Errorf("there are more than %d entries", maxEntries)
	}
	if o.n > 1 && !before(o.last, e.Path) {
		if o.last == e.Path {
			return fmt.Errorf("%q is there twice", e.Path)
		}
		return fmt.Errorf("%q is not in order, or there twice", e.Path)
	}
	o.last = e.Path
	parent := path.Dir(e.Path)
	for len(o.dirs) > 0 && o.dirs[len(o.dirs)-1] != parent {
		o.dirs = o.dirs[:len(o.dirs)-1]
	}
	if parent != "." && len(o.dirs) == 0 {
		return fmt.Errorf("%q lies in no directory of the archive", e.Path)
	}
	if e.Type == Dir {
		o.dirs = append(o.dirs, e.Path)
	}
	if o.alike == nil {
		o.alike = map[[16]byte]bool{}
	}
	key := alike(e.Path)
	if o.alike[key] {
		return fmt.Errorf("another name differs from %q only in case or in how its letters are encoded", e.Path)
	}
	o.alike[key] = true
	return nil
}

// before says whether path a stands before b: parents first, siblings by their bytes.
func before(a, b string) bool {
	// No name holds a zero byte, and a slash sorts before all that a name may hold.
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x == '/' {
			x = 0
		}
		if y == '/' {
			y = 0
		}
		return x < y
	}
	return len(a) < len(b)
}

// alike is the same for names that some filesystem takes for one.
func alike(name string) (key [16]byte) {
	folded := strings.ToLower(name) // enough for ASCII
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		folded = norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
	}
	sum := sha256.Sum256([]byte(folded))
	copy(key[:], sum[:])
	return key
}

// CheckName says why a path is not taken: it leaves its directory, has another spelling,
// or holds what a terminal or a script could take for something else.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || len(name) > maxName:
		return fmt.Errorf("the name %.40q has %d bytes, allowed are 1 to %d", name, len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the name %q is not UTF-8", name)
	case path.Clean(name) != name || !filepath.IsLocal(name):
		return fmt.Errorf("the name %q leads outside, or is not in its shortest form", name)
	case strings.Count(name, "/") >= maxDepth:
		return fmt.Errorf("the name %.40q is deeper than %d directories", name, maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return fmt.Errorf("a part of the name %.40q has more than %d bytes", name, maxPart)
		}
	}
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return fmt.Errorf("the name %q holds a control character", name)
	}
	return nil
}

// checkTarget says why a symbolic link is not taken: it leads outside.
func checkTarget(name, target string) error {
	switch {
	case target == "" || len(target) > maxName || !utf8.ValidString(target) || strings.IndexFunc(target, unicode.IsControl) >= 0:
		return fmt.Errorf("the symbolic link %q has the target %.40q", name, target)
	case path.IsAbs(target):
		return fmt.Errorf("the symbolic link %q has the absolute target %q", name, target)
	}
	// ".." only where the way is one of real directories: behind another link it would
	// lead from wherever that one points.
	depth, down := strings.Count(name, "/"), false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return fmt.Errorf("the symbolic link %q leads outside, or may: %q", name, target)
			}
		default:
			down = true
		}
	}
	return nil
}

// sums hashes a list while it is made.
type sums struct {
	h     hash.Hash
	facts Facts
	n     int64 // bytes of the list
}

func newSums(salt string) *sums {
	s := &sums{h: sha256.New()}
	s.write(listFormat + salt + "\n")
	return s
}

func (s *sums) write(line string) {
	io.WriteString(s.h, line)
	s.n += int64(len(line))
}

func (s *sums) add(e Entry) {
	s.write(e.line())
	switch e.Type {
	case File:
		s.facts.Files++
		s.facts.Bytes += e.Size
	case Dir:
		s.facts.Dirs++
	case Link:
		s.facts.Links++
	}
}

func (s *sums) end() string { return hex.EncodeToString(s.h.Sum(nil)) }

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
