package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"
)

var errFault = errors.New("injected fault")

// fault is one way in which a request to a bucket goes wrong.
type fault string

const (
	notStored   fault = "error, not stored"
	thoughSaved fault = "error although stored"
	shortWrite  fault = "stored in part, without an error"
	shortFail   fault = "stored in part, with an error"
	flipOnRead  fault = "a bit flips while reading"
	cutOnRead   fault = "reading ends early, without an error"
	errOnRead   fault = "reading fails in the middle"
	late        fault = "not there yet"
	listFails   fault = "listing fails"
	lateList    fault = "listing shows the older half only"
	conflict    fault = "409: somebody else is writing"
	refused     fault = "412: exists, and is not there"
	lostAnswer  fault = "412 after an answer was lost"
	notRemoved  fault = "error, not removed"
	yetRemoved  fault = "error although removed"
	mayNot      fault = "403: may not be removed"
)

// faulty decorates a store: the call number at of the kind of request that the fault
// concerns goes wrong, once or, with forever, it and all after it.
type faulty struct {
	store
	kind    fault
	at      int
	forever bool

	mu    sync.Mutex
	n     int
	fired bool
}

func (f *faulty) now() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	hit := f.n == f.at || f.forever && f.n > f.at
	f.fired = f.fired || hit
	return hit
}

func (f *faulty) is(kinds ...fault) bool {
	for _, k := range kinds {
		if f.kind == k {
			return f.now()
		}
	}
	return false
}

type faultyWriter struct {
	cancel context.CancelFunc
	inner  io.WriteCloser
	kind   fault
	buf    bytes.Buffer
}

func (w *faultyWriter) Write(p []byte) (int, error) { return w.buf.Write(p) }

func (w *faultyWriter) Close() error {
	switch w.kind {
	case conflict, refused:
		w.cancel()
		w.inner.Close()
		return map[fault]error{conflict: errBusy, refused: errExists}[w.kind]
	}
	data := w.buf.Bytes()
	if w.kind == shortWrite || w.kind == shortFail {
		data = data[:len(data)/2]
	}
	if _, err := w.inner.Write(data); err != nil {
		return err
	}
	err := w.inner.Close()
	switch {
	case err == nil && w.kind == lostAnswer:
		err = errExists
	case err == nil && w.kind != shortWrite:
		err = errFault
	}
	return err
}

func (f *faulty) put(ctx context.Context, key string, o putOptions) (io.WriteCloser, error) {
	hit := f.is(notStored, thoughSaved, shortWrite, shortFail, conflict, refused, lostAnswer)
	if hit && f.kind == notStored {
		return nil, errFault
	}
	ctx, cancel := context.WithCancel(ctx)
	w, err := f.store.put(ctx, key, o)
	if hit && err == nil {
		return &faultyWriter{cancel: cancel, inner: w, kind: f.kind}, nil
	}
	return &endingWriter{w, cancel}, err
}

type endingWriter struct {
	io.WriteCloser
	cancel context.CancelFunc
}

func (w *endingWriter) Close() error {
	defer w.cancel()
	return w.WriteCloser.Close()
}

func (f *faulty) remove(ctx context.Context, key string) error {
	hit := f.is(notRemoved, yetRemoved, mayNot)
	switch {
	case hit && f.kind == notRemoved:
		return errFault
	case hit && f.kind == mayNot:
		return errLocked
	}
	err := f.store.remove(ctx, key)
	if hit && err == nil {
		err = errFault
	}
	return err
}

func (f *faulty) scan(ctx context.Context, prefix, from string, visit func(stored) error) error {
	hit := f.is(listFails, lateList)
	if hit && f.kind == listFails {
		return errFault
	}
	var all []stored
	err := f.store.scan(ctx, prefix, from, func(o stored) error {
		all = append(all, o)
		return nil
	})
	if hit {
		all = all[:len(all)/2]
	}
	for _, o := range all {
		if err == nil {
			err = visit(o)
		}
	}
	return err
}

type faultyReader struct {
	io.Reader
	io.Closer
}

func (f *faulty) get(ctx context.Context, key string) (io.ReadCloser, error) {
	hit := f.is(flipOnRead, cutOnRead, errOnRead, late)
	if hit && f.kind == late {
		return nil, errNotExist
	}
	r, err := f.store.get(ctx, key)
	if err != nil || !hit {
		return r, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	switch f.kind {
	case flipOnRead:
		if len(data) > 0 {
			data[len(data)/2] ^= 1
		}
	default:
		data = data[:len(data)/2]
	}
	out := io.Reader(bytes.NewReader(data))
	if f.kind == errOnRead {
		out = io.MultiReader(out, failingReader{})
	}
	return faultyReader{out, r}, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errFault }

func (f *faulty) stat(ctx context.Context, key string) (int64, error) {
	if f.is(late) {
		return 0, errNotExist
	}
	return f.store.stat(ctx, key)
}

func (f *faulty) list(ctx context.Context, prefix string) ([]string, error) {
	hit := f.is(listFails, lateList)
	if hit && f.kind == listFails {
		return nil, errFault
	}
	names, err := f.store.list(ctx, prefix)
	if hit {
		names = names[:len(names)/2]
	}
	return names, err
}

func memStore() store { return &cloud{bucket: memblob.OpenBucket(nil)} }

// sweep lets call 1, 2, 3 … fail until a whole pass had no fault. A fault that never
// fires at all fails the test.
func sweep(t *testing.T, kind fault, forever bool, pass func(t *testing.T, f *faulty)) {
	t.Helper()
	fired := 0
	for at := 1; ; at++ {
		if at > 500 {
			t.Fatal("the sweep has no end")
		}
		f := &faulty{kind: kind, at: at, forever: forever}
		pass(t, f)
		if t.Failed() {
			t.Fatalf("%s at call %d", kind, at)
		}
		if !f.fired {
			break
		}
		fired++
	}
	if fired == 0 {
		t.Errorf("%s never fired", kind)
	}
}

// Whatever happens to one request while points are made: what is listed restores byte for
// byte or is known to be damaged, and what Backup returned is listed.
func TestFaultsDuringBackup(t *testing.T) {
	for _, kind := range []fault{notStored, thoughSaved, shortWrite, shortFail, flipOnRead, cutOnRead, errOnRead, late, listFails, lateList, conflict, refused, lostAnswer} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, forever %t", kind, forever), func(t *testing.T) {
				t.Parallel()
				sweep(t, kind, forever, func(t *testing.T, f *faulty) { backupUnderFault(t, f) })
			})
		}
	}
}

func backupUnderFault(t *testing.T, f *faulty) {
	below := memStore()
	f.store = below
	c := newClock()
	// Signed, as in every installation: a bit that flips in a hash of an unsigned manifest
	// makes another manifest, which the next point would build on.
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	o := Options{Now: c.now, Host: "test", Pause: time.Microsecond, Scratch: t.TempDir(), Sign: key}
	v := newVault("test", f, o)
	s := newSource(t)
	s.grow(200)
	contents := map[string]bool{}
	promised := map[string][]byte{}
	for range 3 {
		contents[string(s.content())] = true
		m, err := v.Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
		if err == nil {
			promised[m.ID] = s.content()
		}
		s.grow(10)
	}
	healthy := newVault("test", below, o)
	listed, err := healthy.List(t.Context(), AssetID(s.asset()), time.Time{})
	if err != nil && (!errors.Is(err, ErrDamaged) || f.kind != shortWrite && f.kind != shortFail) {
		t.Fatalf("list: %v", err)
	}
	for _, m := range listed {
		_, verr := healthy.Verify(t.Context(), m, lines{}, LevelChecked, VerifyOptions{})
		got, rerr := replayedBytes(t.Context(), healthy, m, t.TempDir())
		switch {
		case rerr == nil && !contents[string(got)]:
			t.Errorf("point %s restores to what never was", m.ID)
		case rerr != nil && verr == nil:
			t.Errorf("point %s: damage is not found: %v", m.ID, rerr)
		case rerr != nil:
			t.Errorf("point %s is listed and does not restore: %v", m.ID, rerr)
		}
		if want, ok := promised[m.ID]; ok && !bytes.Equal(got, want) {
			t.Errorf("point %s is not what Backup captured", m.ID)
		}
		delete(promised, m.ID)
	}
	for id := range promised {
		t.Errorf("point %s was promised and is not listed", id)
	}
}

// Whatever happens to one request while a point is verified or restored: wrong bytes
// never pass, and a restore that failed leaves nothing.
func TestFaultsDuringRestore(t *testing.T) {
	s := newSource(t)
	below := memStore()
	o := Options{Now: newClock().now, Host: "test", Pause: time.Microsecond, Scratch: t.TempDir()}
	healthy := newVault("test", below, o)
	backup(t, healthy, s, BackupOptions{})
	s.grow(10)
	m := backup(t, healthy, s, BackupOptions{})
	for _, kind := range []fault{flipOnRead, cutOnRead, errOnRead, late} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, forever %t", kind, forever), func(t *testing.T) {
				sweep(t, kind, forever, func(t *testing.T, f *faulty) {
					f.store = below
					v := newVault("test", f, o)
					parent := t.TempDir()
					out := filepath.Join(parent, "out")
					got, err := restoredBytes(t.Context(), v, m, out)
					if err == nil && !bytes.Equal(got, s.content()) {
						t.Error("wrong bytes restored")
					}
					if err != nil && len(tree(t, parent)) > 0 {
						t.Errorf("left behind: %v", tree(t, parent))
					}
					if err != nil && !errors.Is(err, errFault) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
						t.Errorf("error without a cause: %v", err)
					}
					if !forever && (kind == flipOnRead || kind == cutOnRead || kind == late) && err != nil {
						t.Errorf("one bad read and no second try: %v", err)
					}
				})
				sweep(t, kind, forever, func(t *testing.T, f *faulty) {
					f.store = below
					r, err := newVault("test", f, o).Verify(t.Context(), m, lines{}, LevelApplied, VerifyOptions{Reread: true})
					if err == nil && !r.Pass || err != nil && r.Pass {
						t.Errorf("receipt says %t, error %v", r.Pass, err)
					}
					if errors.Is(err, errFault) && r.Point != "" {
						t.Error("a lost connection made a receipt")
					}
				})
			})
		}
	}
}

// A receipt that cannot be written is an error, also of a verification that passed.
func TestFaultsOfReceipts(t *testing.T) {
	s := newSource(t)
	for _, kind := range []fault{notStored, thoughSaved, shortWrite, shortFail} {
		t.Run(string(kind), func(t *testing.T) {
			below := memStore()
			o := Options{Now: newClock().now, Host: "test", Pause: time.Microsecond}
			m := backup(t, newVault("test", below, o), s, BackupOptions{})
			f := &faulty{store: below, kind: kind, at: 1}
			_, err := newVault("test", f, o).Verify(t.Context(), m, lines{}, LevelStored, VerifyOptions{})
			if !f.fired {
				t.Fatal("the fault never fired")
			}
			if wantErr := kind != thoughSaved; (err != nil) != wantErr {
				t.Errorf("error %v", err)
			}
			got, rerr := newVault("test", below, o).Receipts(t.Context(), m.Asset, m.ID)
			if err == nil && len(got) != 1 {
				t.Errorf("%d receipts, %v", len(got), rerr)
			}
			if err != nil && len(got) != 0 {
				t.Errorf("a receipt although: %v", err)
			}
		})
	}
}
