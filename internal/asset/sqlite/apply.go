package sqlite

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Check reads an object of a point to its end and says whether its structure is
// sound: the header and size of a database, every checksum and the commit of a log,
// the length of an index.
func (Kind) Check(ctx context.Context, role string, r io.Reader) error {
	r = &contextReader{ctx, r}
	switch role {
	case roleBase:
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		rest, err := io.Copy(io.Discard, r)
		if err != nil {
			return err
		}
		return h.fits(int64(len(h.bytes)) + rest)
	case roleDelta:
		_, err := readWAL(r, func(uint32, uint32, []byte) error { return nil })
		return err
	case roleIndex:
		x := &indexReader{r: bufio.NewReaderSize(r, 64<<10)}
		if _, _, err := x.header(); err != nil {
			return err
		}
		return x.end()
	}
	return fmt.Errorf("check an object: a database has no object with the role %q", role)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

const headerSize = 100

// header is the first 100 bytes of a database file.
type header struct{ bytes [headerSize]byte }

func readHeader(r io.Reader) (h header, err error) {
	if _, err := io.ReadFull(r, h.bytes[:]); err != nil {
		return h, fmt.Errorf("%w: its header is cut off: %w", ErrDamaged, err)
	}
	if string(h.bytes[:16]) != "SQLite format 3\x00" {
		return h, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	if !validPageSize(uint32(h.pageSize())) {
		return h, fmt.Errorf("%w: page size %d", ErrDamaged, h.pageSize())
	}
	return h, nil
}

func (h header) pageSize() int {
	if n := int(binary.BigEndian.Uint16(h.bytes[16:])); n != 1 {
		return n
	}
	return 65536
}

// fits says whether a file of that size can be the whole database.
func (h header) fits(size int64) error {
	if size%int64(h.pageSize()) != 0 {
		return fmt.Errorf("%w: %d bytes are no whole number of pages of %d bytes", ErrDamaged, size, h.pageSize())
	}
	// The number of pages in the header counts only when its writer kept it.
	pages := int64(binary.BigEndian.Uint32(h.bytes[28:]))
	kept := string(h.bytes[24:28]) == string(h.bytes[92:96])
	if kept && pages*int64(h.pageSize()) > size {
		return fmt.Errorf("%w: cut off: %d of %d pages", ErrDamaged, size/int64(h.pageSize()), pages)
	}
	return nil
}

// Apply puts an object on the replica, the file database.db in dir. A base is copied;
// the pages of a log are written by plain file calls after all of its checksums were
// found right, so that no SQL of a hostile file runs. A crash leaves a replica that
// Prove refuses.
func (Kind) Apply(ctx context.Context, dir, role, object string, log io.Writer) error {
	replica := filepath.Join(dir, ReplicaName)
	switch role {
	case roleBase:
		return applyBase(ctx, replica, object)
	case roleDelta:
		return applyDelta(ctx, replica, object)
	}
	return fmt.Errorf("apply %q: a database has no chain object with the role %q", object, role)
}

func applyBase(ctx context.Context, replica, object string) (err error) {
	in, err := openPlain(object)
	if err != nil {
		return fmt.Errorf("apply base: %w", err)
	}
	defer in.Close()
	h, err := readHeader(in)
	if err != nil {
		return fmt.Errorf("apply base %q: %w", object, err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("apply base: %w", err)
	}
	out, err := os.OpenFile(replica, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("apply base: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, err := io.Copy(out, in)
	if err != nil {
		return fmt.Errorf("apply base %q: %w", object, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.fits(size); err != nil {
		return fmt.Errorf("apply base %q: %w", object, err)
	}
	return nil
}

func applyDelta(ctx context.Context, replica, object string) (err error) {
	in, err := openPlain(object)
	if err != nil {
		return fmt.Errorf("apply delta: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(replica, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("apply delta %q: no base was applied before it: %w", object, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h, err := readHeader(out)
	if err != nil {
		return fmt.Errorf("apply delta: replica: %w", err)
	}
	info, err := out.Stat()
	if err != nil {
		return fmt.Errorf("apply delta: %w", err)
	}
	a := growth{pageSize: h.pageSize(), pages: uint32(info.Size() / int64(h.pageSize()))}
	if err := a.plan(&contextReader{ctx, in}); err != nil {
		return fmt.Errorf("apply delta %q: %w", object, err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("apply delta: %w", err)
	}
	var size uint32
	_, err = readWAL(&contextReader{ctx, in}, func(number, commit uint32, page []byte) error {
		if commit != 0 {
			size = commit
		}
		_, err := out.WriteAt(page, int64(number-1)*int64(a.pageSize))
		return err
	})
	if err != nil {
		return fmt.Errorf("apply delta %q: %w", object, err)
	}
	if err := out.Truncate(int64(size) * int64(a.pageSize)); err != nil {
		return fmt.Errorf("apply delta %q: %w", object, err)
	}
	return nil
}

// growth checks that a log fits a database before anything of it is written. A log
// may only make the database longer by pages that it brings: a number out of nowhere
// would make a file of terabytes.
type growth struct {
	pageSize int
	pages    uint32 // of the database so far
}

func (g growth) plan(r io.Reader) error {
	var fresh []uint32 // pages past the end, of the open transaction
	pages := g.pages
	size, err := readWAL(r, func(number, commit uint32, _ []byte) error {
		if number > pages {
			fresh = append(fresh, number)
		}
		if commit == 0 {
			return nil
		}
		slices.Sort(fresh)
		fresh = slices.Compact(fresh)
		want := pages
		for _, n := range fresh {
			want++
			if want == lockPage(g.pageSize) && n != want {
				want++
			}
			if n > commit {
				break
			}
			if n != want {
				return fmt.Errorf("%w: page %d is missing: it was made for another database", errWAL, want)
			}
		}
		if commit > pages && commit > want {
			return fmt.Errorf("%w: %d pages are missing: it was made for another database", errWAL, commit-want)
		}
		pages, fresh = commit, fresh[:0]
		return nil
	})
	if err == nil && size != g.pageSize {
		return fmt.Errorf("%w: its pages have %d bytes, those of the database %d", errWAL, size, g.pageSize)
	}
	return err
}

// Prove compares the replica in dir with the facts of its point by the hash of the
// whole file. With full it runs integrity_check, and compares schema and row counts.
func (Kind) Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (evidence string, err error) {
	var want Facts
	if err := json.Unmarshal(facts, &want); err != nil {
		return "", fmt.Errorf("read the facts of the point: %w", err)
	}
	replica := filepath.Join(dir, ReplicaName)
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(replica + suffix); !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("prove %q: there is a %s file beside it, which could change what it says", replica, suffix)
		}
	}
	hash, size, err := hashFile(ctx, replica)
	if err != nil {
		return "", fmt.Errorf("prove: %w", err)
	}
	if hash != want.DBSHA256 {
		return "", hint.Wrap(fmt.Errorf("prove %q: its SHA-256 is %s, the point's is %s", replica, hash, want.DBSHA256),
			"this copy is not what was backed up: use another point")
	}
	evidence = fmt.Sprintf("sha256 %s, %d pages", hash[:12], size/max(1, int64(want.PageSize)))
	if !full {
		return evidence, nil
	}
	return proveFull(ctx, replica, want, evidence)
}

// Probe checks the foreign keys of a restored database and runs the assertions:
// [ErrForeignKeys], [ErrAssertion] when one does not hold.
func (k Kind) Probe(ctx context.Context, dir string, log io.Writer) (string, error) {
	replica := filepath.Join(dir, ReplicaName)
	if err := probeKeys(ctx, replica, log); err != nil {
		return "", err
	}
	if err := assert(ctx, replica, k.Assertions); err != nil {
		return "", fmt.Errorf("probe %q: %w", replica, err)
	}
	switch n := len(k.Assertions); n {
	case 0:
		return "foreign_key_check ok", nil
	case 1:
		return "foreign_key_check ok, 1 assertion holds", nil
	default:
		return "foreign_key_check ok, " + printable.Count(n, "assertion") + " hold", nil
	}
}

func probeKeys(ctx context.Context, replica string, log io.Writer) (err error) {
	db, err := Open(ctx, replica, ReadReplica)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	complaints, err := ForeignKeys(ctx, db)
	if err != nil {
		return Explain("check the foreign keys of", replica, err)
	}
	for _, c := range complaints {
		fmt.Fprintln(log, c)
	}
	if len(complaints) > 0 {
		return hint.Wrap(fmt.Errorf("probe %q: %w: %s", replica, ErrForeignKeys, complaints[0]),
			"the database was like this when it was backed up, and is restored like this; mend the rows at the source")
	}
	return nil
}

func proveFull(ctx context.Context, replica string, want Facts, evidence string) (string, error) {
	db, err := Open(ctx, replica, ReadReplica)
	if err != nil {
		return "", err
	}
	defer db.Close()
	complaints, err := Integrity(ctx, db, false)
	if err != nil {
		return "", Explain("check", replica, err)
	}
	if len(complaints) > 0 {
		return "", hint.Wrap(fmt.Errorf("prove %q: %w: %s", replica, ErrDamaged, strings.Join(complaints, "; ")),
			"the database was like this when it was backed up: use an older point")
	}
	schema, err := SchemaHash(ctx, db)
	if err != nil {
		return "", Explain("read the schema of", replica, err)
	}
	if schema != want.SchemaSHA256 {
		return "", fmt.Errorf("prove %q: its schema is not the point's", replica)
	}
	var total int64
	for name, n := range want.Rows {
		got, err := countTable(ctx, db, name)
		if err != nil {
			return "", Explain("count the rows of", replica, err)
		}
		if got != n {
			return "", fmt.Errorf("prove %q: table %q has %d rows, the point says %d", replica, name, got, n)
		}
		total += n
	}
	return fmt.Sprintf("%s, integrity_check ok, %d rows in %d tables", evidence, total, len(want.Rows)), nil
}

func hashFile(ctx context.Context, path string) (string, int64, error) {
	f, err := openPlain(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, &contextReader{ctx, f}, make([]byte, batchSize))
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}
