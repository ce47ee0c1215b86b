package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Header is what stands before the pack of a bundle.
type Header struct {
	Version int
	Format  string // object format: sha1 or sha256
	Prereqs []string
	Refs    []Ref  // in the order of the bundle, without HEAD
	Head    string // the object id of HEAD, empty when HEAD is not listed
}

// Limits of a header, far above what any server serves, so that a hostile bundle ends
// in an error and not in the kernel's out-of-memory killer.
const (
	maxRefs = 1 << 20
	maxLine = 128 << 10 // git writes the subject of a commit behind a prerequisite
)

// write puts a header on w, refs sorted by name: version 2, which every git reads, where
// it can say what there is to say.
func (h Header) write(w io.Writer) error {
	var b strings.Builder
	if h.Format == "sha256" {
		b.WriteString("# v3 git bundle\n@object-format=sha256\n")
	} else {
		b.WriteString("# v2 git bundle\n")
	}
	for _, oid := range h.Prereqs {
		b.WriteString("-" + oid + " \n")
	}
	for _, r := range h.Refs {
		b.WriteString(r.OID + " " + r.Name + "\n")
	}
	if h.Head != "" {
		b.WriteString(h.Head + " HEAD\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// readHeader reads up to the pack. r needs a buffer of more than [maxLine] bytes.
func readHeader(r *bufio.Reader) (Header, error) {
	h := Header{Format: "sha1"}
	line, err := headerLine(r)
	if err != nil {
		return h, err
	}
	switch line {
	case "# v2 git bundle":
		h.Version = 2
	case "# v3 git bundle":
		h.Version = 3
	default:
		return h, fmt.Errorf("%w: it begins with %q, not with the signature of a git bundle", ErrDamaged, line)
	}
	seen := map[string]bool{}
	for {
		line, err := headerLine(r)
		if err != nil {
			return h, err
		}
		if line == "" {
			return h, nil
		}
		if err := h.add(line, seen); err != nil {
			return h, err
		}
		if len(seen) > maxRefs || len(h.Prereqs) > maxRefs {
			return h, fmt.Errorf("%w: more than %d refs", ErrDamaged, maxRefs)
		}
	}
}

func (h *Header) add(line string, seen map[string]bool) error {
	switch {
	case line[0] == '@':
		if h.Version < 3 || len(seen) > 0 || len(h.Prereqs) > 0 {
			return fmt.Errorf("%w: capability %q where none may stand", ErrDamaged, line)
		}
		format, ok := strings.CutPrefix(line, "@object-format=")
		if !ok || (format != "sha1" && format != "sha256") {
			return fmt.Errorf("%w: capability %q is not known", ErrDamaged, line)
		}
		h.Format = format
		return nil
	case line[0] == '-':
		oid, _, _ := strings.Cut(line[1:], " ")
		if !isOID(oid, h.Format) {
			return fmt.Errorf("%w: prerequisite %q is no %s object id", ErrDamaged, line, h.Format)
		}
		h.Prereqs = append(h.Prereqs, oid)
		return nil
	}
	oid, name, _ := strings.Cut(line, " ")
	if !isOID(oid, h.Format) {
		return fmt.Errorf("%w: ref line %q does not begin with a %s object id", ErrDamaged, line, h.Format)
	}
	if seen[name] {
		return fmt.Errorf("%w: ref %q is listed twice", ErrDamaged, name)
	}
	seen[name] = true
	if name == "HEAD" {
		h.Head = oid
		return nil
	}
	if !ValidRef(name) {
		return fmt.Errorf("%w: %q is no valid name for a ref", ErrDamaged, name)
	}
	h.Refs = append(h.Refs, Ref{Name: name, OID: oid})
	return nil
}

func headerLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
		return "", fmt.Errorf("%w: a line of its header is longer than %d bytes", ErrDamaged, maxLine)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("%w: it ends inside its header", ErrDamaged)
	case err != nil:
		return "", fmt.Errorf("read header of bundle: %w", err)
	}
	return string(line[:len(line)-1]), nil
}

// checkBundle reads a bundle to its end and judges header and pack.
func checkBundle(ctx context.Context, r io.Reader) (h Header, objects int64, trailer string, err error) {
	br := bufio.NewReaderSize(r, 256<<10)
	if h, err = readHeader(br); err != nil {
		return h, 0, "", err
	}
	pack := newPackCheck(h.Format)
	if _, err = io.Copy(pack, withContext(ctx, br)); err != nil {
		return h, 0, "", fmt.Errorf("read pack of bundle: %w", err)
	}
	objects, trailer, err = pack.finish()
	return h, objects, trailer, err
}

// Check reads one object to its end and says whether its structure is sound. Of a bundle
// that is header, ref names, pack version, and the trailing hash over every byte of the
// pack. The error wraps [ErrDamaged]. It proves that no byte changed, not that the objects
// make sense: Apply does that.
//
// An archive of LFS objects is sound when each has the content that its name says; a
// mirror when nothing stands in it but a repository without programs, links, hooks and
// credentials, and its packs are whole.
func (Kind) Check(ctx context.Context, role string, r io.Reader) error {
	switch role {
	case Role:
		_, _, _, err := checkBundle(ctx, r)
		return err
	case RoleLFS:
		return checkLFS(ctx, r)
	case RoleMirror:
		return checkMirror(ctx, r)
	case RoleIndex:
		_, err := readIndex(withContext(ctx, r))
		return err
	}
	return fmt.Errorf("check git object: there is no role %q", role)
}

// withContext makes reading end with the context.
func withContext(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
