// Package mongo is a document store for the sandbox, with the programs mongodump and
// mongorestore that belong to it: real archives, real BSON, the exit codes and the ways to
// fail of the real programs, and no server.
//
// A store is a directory with a directory for each database and, for each collection, the
// file NAME.bson (its documents one behind the other) and NAME.metadata.json: what a
// mongodump into a directory writes, so that bsondump and a real mongorestore read it too.
//
// mongorestore works on the archive while it arrives, as the real one does. A cut archive
// therefore leaves a collection half restored. That is on purpose: whoever feeds it has to
// make sure that nothing cut ever gets that far.
package mongo

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Store is a store on disk.
type Store struct{ Dir string }

// ErrExists is a document whose _id is there already.
var ErrExists = errors.New("duplicate key error")

const (
	dataSuffix = ".bson"
	metaSuffix = ".metadata.json"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)

func checkName(db, collection string) error {
	if !nameForm.MatchString(db) || strings.Contains(db, ".") {
		return fmt.Errorf("invalid database name %q", db)
	}
	if !nameForm.MatchString(collection) {
		return fmt.Errorf("invalid collection name %q", collection)
	}
	return nil
}

func (s Store) path(db, collection, suffix string) string {
	return filepath.Join(s.Dir, db, collection+suffix)
}

// Databases lists them in order.
func (s Store) Databases() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && nameForm.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Collections lists those of a database in order; a database that is not there has none.
func (s Store) Collections(db string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, db))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), dataSuffix); ok && e.Type().IsRegular() {
			out = append(out, name)
		}
	}
	return out, nil
}

// Create makes an empty collection. One that is there stays as it is.
func (s Store) Create(db, collection, metadata string) error {
	if err := checkName(db, collection); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, db), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path(db, collection, dataSuffix)); err == nil {
		return nil
	}
	if metadata == "" {
		metadata = fmt.Sprintf(`{"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}],"collectionName":%q,"type":"collection"}`, collection)
	}
	if err := os.WriteFile(s.path(db, collection, metaSuffix), []byte(metadata), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path(db, collection, dataSuffix), nil, 0o600)
}

// Drop removes a collection. One that is not there is no error.
func (s Store) Drop(db, collection string) error {
	var errs []error
	for _, suffix := range []string{dataSuffix, metaSuffix} {
		if err := os.Remove(s.path(db, collection, suffix)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Insert adds documents at the end of a collection. It looks for no duplicates.
func (s Store) Insert(db, collection string, docs ...Doc) error {
	if err := s.Create(db, collection, ""); err != nil {
		return err
	}
	var b []byte
	for _, d := range docs {
		raw, err := d.Marshal()
		if err != nil {
			return err
		}
		b = append(b, raw...)
	}
	return s.appendRaw(db, collection, b)
}

func (s Store) appendRaw(db, collection string, b []byte) error {
	f, err := os.OpenFile(s.path(db, collection, dataSuffix), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// Replace puts documents in the place of all that a collection has, in one step.
func (s Store) Replace(db, collection string, docs []Doc) error {
	if err := s.Create(db, collection, ""); err != nil {
		return err
	}
	var b []byte
	for _, d := range docs {
		raw, err := d.Marshal()
		if err != nil {
			return err
		}
		b = append(b, raw...)
	}
	path := s.path(db, collection, dataSuffix)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Documents reads a collection; one that is not there has none.
func (s Store) Documents(db, collection string) ([]Doc, error) {
	var out []Doc
	err := s.each(db, collection, func(raw []byte) error {
		d, err := Parse(raw)
		out = append(out, d)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s.%s: %w", db, collection, err)
	}
	return out, nil
}

func (s Store) each(db, collection string, do func(raw []byte) error) error {
	next, end, err := s.open(db, collection)
	if err != nil {
		return err
	}
	for {
		raw, err := next()
		if err == io.EOF {
			return end()
		}
		if err == nil {
			err = do(raw)
		}
		if err != nil {
			return errors.Join(err, end())
		}
	}
}

// open gives the documents of a collection one after the other, io.EOF at the end.
func (s Store) open(db, collection string) (next func() ([]byte, error), end func() error, err error) {
	if err := checkName(db, collection); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(s.path(db, collection, dataSuffix))
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(f)
	return func() ([]byte, error) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, err
		}
		n := binary.LittleEndian.Uint32(head)
		if n < minDocument || n > maxDocument {
			return nil, fmt.Errorf("%w: a document of %d bytes", ErrBSON, n)
		}
		b := append(head, make([]byte, n-4)...)
		if _, err := io.ReadFull(r, b[4:]); err != nil {
			return nil, fmt.Errorf("%w: the last document is cut off", ErrBSON)
		}
		return b, nil
	}, f.Close, nil
}

// ids are the _id values of a collection, as the bytes that they have in a document.
func (s Store) ids(db, collection string) (map[string]bool, error) {
	out := map[string]bool{}
	err := s.each(db, collection, func(raw []byte) error {
		id, err := idOf(raw)
		out[id] = true
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return out, err
}

func idOf(raw []byte) (string, error) {
	d, err := Parse(raw)
	if err != nil {
		return "", err
	}
	id, ok := d.Get("_id")
	if !ok {
		return "", fmt.Errorf("%w: a document without _id", ErrBSON)
	}
	b, err := Doc{{"", id}}.Marshal()
	return string(b), err
}

// Equal says whether two documents have the same fields with the same values in the same
// order.
func Equal(a, b Doc) bool {
	x, err := a.Marshal()
	y, yerr := b.Marshal()
	return err == nil && yerr == nil && bytes.Equal(x, y)
}

// sources are the collections of a store that a dump covers, each opened.
func (s Store) sources(db, collection string) (list []source, end func() error, err error) {
	var ends []func() error
	end = func() error {
		var errs []error
		for _, e := range ends {
			errs = append(errs, e())
		}
		return errors.Join(errs...)
	}
	dbs := []string{db}
	if db == "" {
		if dbs, err = s.Databases(); err != nil {
			return nil, end, err
		}
	}
	for _, name := range dbs {
		names, err := s.Collections(name)
		if err != nil {
			return nil, end, err
		}
		if collection != "" {
			names = slices.DeleteFunc(names, func(c string) bool { return c != collection })
		}
		for _, c := range names {
			meta, err := os.ReadFile(s.path(name, c, metaSuffix))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, end, err
			}
			info, err := os.Stat(s.path(name, c, dataSuffix))
			if err != nil {
				return nil, end, err
			}
			next, closeIt, err := s.open(name, c)
			if err != nil {
				return nil, end, err
			}
			ends = append(ends, closeIt)
			list = append(list, source{Meta: Meta{DB: name, Collection: c, Metadata: string(meta), Size: info.Size()}, next: next})
		}
	}
	return list, end, nil
}
