package git

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"time"
)

// Archives are written so that the same content gives the same bytes, and so that any
// tar reads them; they are read as what an enemy made.
const (
	maxEntries = 2 << 20
	maxArchive = int64(1) << 40 // bytes of all files of one archive
)

// epoch is the time of every file in an archive. Tar programs warn of 1970.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// fileEntry and dirEntry are the only two things that stand in our archives.
func fileEntry(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch}
}

func dirEntry(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: epoch}
}

// counted knows how far an archive has been read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// readTar reads an archive to its end. visit judges each entry by its name, and need not
// read the body. Only plain files and directories pass, each name once, and nothing may
// stand behind the end: package tar takes an archive without an end for a whole one. Errors
// about the content wrap [ErrDamaged]; those of visit and r pass as they are.
func readTar(r io.Reader, visit func(h *tar.Header, body io.Reader) error) error {
	in := &counted{r: r}
	tr := tar.NewReader(in)
	seen := map[string]bool{}
	var total int64
	for {
		before := in.n
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if in.n-before < 1024 {
				return fmt.Errorf("%w: the archive has no end", ErrDamaged)
			}
			return onlyZeros(in)
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: read archive after %d bytes: %w", ErrDamaged, in.n, err)
		}
		if err != nil {
			return fmt.Errorf("read archive after %d bytes: %w", in.n, err)
		}
		if total += h.Size; h.Size < 0 || total > maxArchive || len(seen) >= maxEntries {
			return fmt.Errorf("%w: the archive holds more than %d files or %d bytes", ErrDamaged, maxEntries, maxArchive)
		}
		switch {
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
			return fmt.Errorf("%w: entry %.200q of the archive is no plain file", ErrDamaged, h.Name)
		case seen[h.Name]:
			return fmt.Errorf("%w: entry %.200q stands in the archive twice", ErrDamaged, h.Name)
		}
		for key := range h.PAXRecords {
			if key != "size" { // another name, a sparse map
				return fmt.Errorf("%w: entry %.200q of the archive has the attribute %.50q", ErrDamaged, h.Name, key)
			}
		}
		seen[h.Name] = true
		if err := visit(h, tr); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			return cutArchive(err)
		}
	}
}

// cutArchive marks the end of an archive inside a file as damage.
func cutArchive(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the archive ends inside a file: %w", ErrDamaged, err)
	}
	return err
}

// onlyZeros reads what programs put behind the end of an archive to fill a record.
func onlyZeros(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for total := 0; ; {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return fmt.Errorf("%w: something stands behind the end of the archive", ErrDamaged)
			}
		}
		if total += n; total > 1<<20 {
			return fmt.Errorf("%w: more than a megabyte stands behind the end of the archive", ErrDamaged)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
