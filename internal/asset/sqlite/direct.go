package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	driver "modernc.org/sqlite"
)

// Locks makes SQLite's locks in this process belong to the open file, not to the
// process: otherwise the kernel drops them as soon as anything here closes the same
// file. It must come before the first database is opened; then it holds for all of
// them. Where it does not (an error says so), live databases are read through SQLite
// only, which is slower and as right.
func Locks() error {
	_, err := driver.OFDLocking(true)
	return err
}

// direct reads the pages of a pinned state from the database file itself, in large
// parts, which is several times as fast as through SQLite. Pages whose content is not
// certain to be in the file are left to SQLite:
//
//   - In rollback mode the transaction holds the SHARED lock. Who writes to the file
//     needs the EXCLUSIVE one, so the file is the pinned state.
//   - In WAL mode only a checkpoint writes to the file. It copies no frame that is
//     newer than the oldest reader's mark, so it writes those pages only that have a
//     frame in the part of the log that belongs to the pinned state. The log is not
//     begun anew while the mark stands, thus all of these are found by listing the log
//     after the state was pinned: the pages listed come through SQLite, all others are
//     not written to. More pages listed than that is harmless. A reader without a mark
//     found the whole log copied and keeps every checkpoint from beginning: then the
//     file is the pinned state, and the list does not matter.
//   - The page with the lock bytes, and what lies past the end of the file.
//
// It opens and closes the file beside SQLite, so it needs what [Locks] makes.
type direct struct {
	f      *os.File
	logged pageSet // pages to be read through SQLite
}

// errIndirect says why a state is read through SQLite.
var errIndirect = errors.New("read through SQLite")

// maxLogged is the part of the pages that the log may hold, in percent: one page
// through SQLite takes as long as many from the file.
const maxLogged = 10

// direct finds out whether the pinned state can be read from the file. before is what
// stood at the path before SQLite opened it.
func (s *snapshot) direct(ctx context.Context, before fs.FileInfo) (_ *direct, err error) {
	if !driver.OFDLockingEnabled() {
		return nil, fmt.Errorf("%w: its locks belong to the process", errIndirect)
	}
	var file, mode string
	// As SQLite sees it: with links followed.
	err = s.q.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file)
	if err == nil {
		err = s.q.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	}
	if err != nil {
		return nil, Explain("read", s.path, err)
	}
	d := &direct{}
	if d.f, err = openPlain(file); err != nil {
		return nil, fmt.Errorf("%w: %w", errIndirect, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.f.Close())
		}
	}()
	now, err := d.f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIndirect, err)
	}
	if !os.SameFile(before, now) {
		return nil, fmt.Errorf("%w: another file took its place", errIndirect)
	}
	if mode == wal {
		if err := d.list(file+"-wal", s.pageSize, s.pages); err != nil {
			return nil, err
		}
	}
	if lock := lockPage(s.pageSize); lock <= s.pages {
		d.logged.add(lock)
	}
	if err = d.compareFirst(ctx, s); err != nil {
		return nil, err
	}
	return d, nil
}

// compareFirst holds page 1, which changes with nearly every transaction, against what
// SQLite sees. It shows nothing that is not known; it would show an error in thought.
func (d *direct) compareFirst(ctx context.Context, s *snapshot) error {
	if d.logged.has(1) {
		return nil
	}
	ours, theirs := make([]byte, s.pageSize), make([]byte, s.pageSize)
	if _, err := d.f.ReadAt(ours, 0); err != nil {
		return fmt.Errorf("%w: %w", errIndirect, err)
	}
	if err := s.queryPage(ctx, 1, theirs); err != nil {
		return err
	}
	if !bytes.Equal(ours, theirs) {
		return fmt.Errorf("%w: its first page is not what SQLite sees", errIndirect)
	}
	return nil
}

// list notes the pages of all frames of the log, as far as they have the log's salts;
// their checksums do not matter.
func (d *direct) list(path string, pageSize int, pages uint32) error {
	f, err := openPlain(path)
	if err != nil {
		return fmt.Errorf("%w: the log: %w", errIndirect, err)
	}
	defer f.Close() // SQLite has no locks on this file
	var head [walHeaderSize]byte
	if n, err := f.ReadAt(head[:], 0); err == io.EOF && n == 0 {
		return nil // no frame was ever written
	} else if err != nil {
		return fmt.Errorf("%w: the log: %w", errIndirect, err)
	}
	if size := binary.BigEndian.Uint32(head[8:]); int64(size) != int64(pageSize) {
		return fmt.Errorf("%w: the pages of the log have %d bytes", errIndirect, size)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: the log: %w", errIndirect, err)
	}
	var frame [frameHeader]byte
	// What is written past this size is no part of the pinned state.
	for at := int64(walHeaderSize); at+frameHeader <= info.Size(); at += int64(frameHeader + pageSize) {
		if _, err := f.ReadAt(frame[:], at); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: the log: %w", errIndirect, err)
		}
		if !bytes.Equal(frame[8:16], head[16:24]) {
			return nil // left of an earlier log
		}
		if number := binary.BigEndian.Uint32(frame[:]); number <= pages {
			d.logged.add(number)
		}
		if int64(d.logged.count)*100 > int64(pages)*maxLogged && d.logged.count > 256 {
			return fmt.Errorf("%w: the log holds many of its pages", errIndirect)
		}
	}
	return nil
}

// read fills buf with the pages from first on.
func (d *direct) read(ctx context.Context, s *snapshot, first uint32, buf []byte) error {
	n, err := d.f.ReadAt(buf, int64(first-1)*int64(s.pageSize))
	if err != nil && err != io.EOF {
		return fmt.Errorf("read database %q: %w", s.path, err)
	}
	for at := 0; at < len(buf); at += s.pageSize {
		number := first + uint32(at/s.pageSize)
		if at+s.pageSize > n || d.logged.has(number) {
			if err := s.queryPage(ctx, number, buf[at:at+s.pageSize]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageSet is a set of page numbers, one bit each. Page 0, which no database has, is
// never in it.
type pageSet struct {
	bits  []uint64
	count uint32
}

func (p *pageSet) add(number uint32) {
	if number == 0 || p.has(number) {
		return
	}
	i := int((number - 1) / 64)
	if i >= len(p.bits) {
		p.bits = append(p.bits, make([]uint64, i+1-len(p.bits))...)
	}
	p.bits[i] |= 1 << ((number - 1) % 64)
	p.count++
}

func (p *pageSet) has(number uint32) bool {
	i := int((number - 1) / 64)
	return number > 0 && i < len(p.bits) && p.bits[i]&(1<<((number-1)%64)) != 0
}
