package git

import (
	"archive/tar"
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
	"strings"
)

var (
	mirrorTop = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,79}\.git$`)
	packFile  = regexp.MustCompile(`^pack-([0-9a-f]{64}|[0-9a-f]{40})\.(pack|idx|rev)$`)
)

// mirrorDirs are the directories that a mirror has, for git to see a repository in it.
var mirrorDirs = []string{"objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"}

// maxText bounds the small files of a mirror; packed-refs has a line for each ref.
const maxText = 512 << 20

// mirrorCheck judges the entries of a mirror as they pass. Everything that the mirror is
// not made of by us is refused: a hook, a link or a line of configuration is an attack.
type mirrorCheck struct {
	top    string
	format string // empty until config was read
	head   bool
	packed bool
	packs  map[string]string // what follows "pack-": the kinds of file seen, "pi" when complete
	refs   int
}

// checkMirror reads a mirror.tar.gz to its end.
func checkMirror(ctx context.Context, r io.Reader) error {
	zr, err := gzip.NewReader(bufio.NewReaderSize(withContext(ctx, r), 256<<10))
	if err != nil {
		return unzipped(err)
	}
	m := &mirrorCheck{packs: map[string]string{}}
	// Each member ends with the CRC-32 and length of its content, which the reader compares.
	if err := readTar(readerFunc(func(p []byte) (int, error) {
		n, err := zr.Read(p)
		return n, unzipped(err)
	}), m.entry); err != nil {
		return err
	}
	return m.whole()
}

// unzipped marks what the decompressor does not understand as damage.
func unzipped(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: decompress: %w", ErrDamaged, err)
	}
	return err
}

func (m *mirrorCheck) entry(h *tar.Header, body io.Reader) error {
	top, name, _ := strings.Cut(h.Name, "/")
	if m.top == "" && mirrorTop.MatchString(top) {
		m.top = top
	}
	foreign := fmt.Errorf("%w: %.200q has no place in a mirror", ErrDamaged, h.Name)
	if top != m.top || h.Mode&^0o755 != 0 {
		return foreign
	}
	if h.Typeflag == tar.TypeDir {
		if name == "" || slices.Contains(mirrorDirs, strings.TrimSuffix(name, "/")) {
			return nil
		}
		return foreign
	}
	switch name {
	case "config":
		return m.config(body)
	case "HEAD":
		return m.headFile(body)
	case "packed-refs":
		return m.packedRefs(body)
	}
	if file, ok := strings.CutPrefix(name, "objects/pack/"); ok && packFile.MatchString(file) {
		return m.pack(file, body)
	}
	if oid, ok := lfsOID(name); ok {
		return provenCopy(oid, body, nil)
	}
	return foreign
}

// small reads a text file of a mirror, whose content is at most max bytes.
func small(body io.Reader, max int64) (string, error) {
	data, err := io.ReadAll(io.LimitReader(body, max+1))
	if err != nil {
		return "", cutArchive(err)
	}
	if int64(len(data)) > max {
		return "", fmt.Errorf("%w: a file of the mirror is longer than %d bytes", ErrDamaged, max)
	}
	return string(data), nil
}

var (
	configURL    = regexp.MustCompile(`(?m)^\turl = "(.*)"$`)
	configFormat = regexp.MustCompile(`(?m)^\tobjectFormat = (sha256)$`)
)

// config accepts what mirrorConfig writes, to the letter.
func (m *mirrorCheck) config(body io.Reader) error {
	text, err := small(body, 16<<10)
	if err != nil {
		return err
	}
	m.format = "sha1"
	if f := configFormat.FindStringSubmatch(text); f != nil {
		m.format = f[1]
	}
	address := ""
	if u := configURL.FindStringSubmatch(text); u != nil {
		address = u[1]
	}
	if mirrorConfig(m.format, address) != text || address != "" && publicAddress(address) != address {
		return fmt.Errorf("%w: the configuration of the mirror has more in it than a backup writes", ErrDamaged)
	}
	return nil
}

func (m *mirrorCheck) headFile(body io.Reader) error {
	text, err := small(body, 8<<10)
	if err != nil {
		return err
	}
	line, ok := strings.CutSuffix(text, "\n")
	name, symbolic := strings.CutPrefix(line, "ref: ")
	if m.format == "" || !ok || symbolic && !ValidRef(name) || !symbolic && !isOID(line, m.format) {
		return fmt.Errorf("%w: HEAD of the mirror is %.200q", ErrDamaged, text)
	}
	m.head = true
	return nil
}

// packedRefs reads the list of refs line by line.
func (m *mirrorCheck) packedRefs(body io.Reader) error {
	if m.format == "" {
		return fmt.Errorf("%w: the mirror lists its refs before its configuration", ErrDamaged)
	}
	lines := bufio.NewScanner(io.LimitReader(body, maxText))
	lines.Buffer(nil, 8<<10)
	last, peeled := "", true
	if !lines.Scan() || lines.Text()+"\n" != packedHeader {
		return fmt.Errorf("%w: packed-refs begins with %.200q", ErrDamaged, lines.Text())
	}
	for lines.Scan() {
		line := lines.Text()
		if oid, ok := strings.CutPrefix(line, "^"); ok && !peeled && isOID(oid, m.format) {
			peeled = true
			continue
		}
		oid, name, ok := strings.Cut(line, " ")
		if !ok || !isOID(oid, m.format) || !ValidRef(name) || name <= last || m.refs >= maxRefs {
			return fmt.Errorf("%w: line %.200q of packed-refs", ErrDamaged, line)
		}
		last, peeled = name, false
		m.refs++
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%w: a line of packed-refs is too long", ErrDamaged)
	}
	m.packed = true
	return cutArchive(lines.Err())
}

// pack judges a pack or its index by the hash at its end.
func (m *mirrorCheck) pack(file string, body io.Reader) error {
	name, kind, _ := strings.Cut(strings.TrimPrefix(file, "pack-"), ".")
	if m.format == "" || !isOID(name, m.format) || kind == "rev" {
		return fmt.Errorf("%w: %.200q has no place in this mirror", ErrDamaged, file)
	}
	if kind == "pack" {
		check := newPackCheck(m.format)
		if _, err := io.Copy(check, body); err != nil {
			return cutArchive(err)
		}
		_, trailer, err := check.finish()
		if err == nil && trailer != name {
			err = fmt.Errorf("%w: it ends with %s", ErrDamaged, trailer)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		m.packs[name] = "p" + m.packs[name]
		return nil
	}
	var sum hash.Hash = sha1.New()
	if m.format == "sha256" {
		sum = sha256.New()
	}
	check := &packCheck{sum: sum}
	if _, err := io.Copy(check, body); err != nil {
		return cutArchive(err)
	}
	if string(check.head[:min(4, len(check.head))]) != "\xfftOc" || string(check.sum.Sum(nil)) != string(check.tail) {
		return fmt.Errorf("%w: the index %s does not have the hash at its end", ErrDamaged, file)
	}
	m.packs[name] += "i"
	return nil
}

// whole says whether everything has passed that makes a repository.
func (m *mirrorCheck) whole() error {
	if m.format == "" || !m.head || !m.packed || m.refs > 0 && len(m.packs) == 0 {
		return fmt.Errorf("%w: the mirror is not a whole repository", ErrDamaged)
	}
	for name, kinds := range m.packs {
		if kinds != "pi" {
			return fmt.Errorf("%w: the mirror lacks the pack or the index of %s", ErrDamaged, name)
		}
	}
	return nil
}
