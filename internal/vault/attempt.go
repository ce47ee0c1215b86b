package vault

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/pgzip"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// errParent marks a failure that the parent point or its objects caused.
var errParent = errors.New("the parent point cannot be built on")

// attempt is one try to make a point.
type attempt struct {
	v      *Vault
	ctx    context.Context // ends when anything failed, so that no half object is stored
	cancel context.CancelFunc
	id     string
	asset  string
	parent *Manifest
	now    func() time.Time
	lock   time.Time // of the objects, zero for none
	seal   *seal     // of the objects
	log    io.Writer

	mu      sync.Mutex // protects below
	cut     time.Time  // of the first byte written
	objects []*objectWriter
	readers []*plainReader
	err     error // the first failure of an object
	bad     error // the first failure of reading the parent
}

// attempt captures the asset on top of parent, nil for a full backup.
func (v *Vault) attempt(ctx context.Context, a Asset, k Kind, o BackupOptions, parent *Manifest) (Manifest, error) {
	started := o.Now().UTC().Truncate(time.Millisecond)
	id, err := v.newID(started)
	if err != nil {
		return Manifest{}, err
	}
	seal, err := v.sealFor(ctx, a, parent, o.Log)
	if err != nil {
		return Manifest{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at := &attempt{
		v: v, ctx: ctx, cancel: cancel, id: id, asset: AssetID(a), parent: parent, now: o.Now,
		lock: v.chainLock(started, parent), seal: seal, log: o.Log,
	}
	defer at.forget()
	var facts []byte
	if parent != nil {
		facts = parent.Facts
	}
	kind, facts, err := k.Capture(ctx, a.Source, facts, at.open, at.create, o.Progress, o.Log)
	if err = at.settle(kind, err); err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Format: Format, ID: id, Asset: at.asset, Name: a.Name, Source: stripCredentials(a.Source),
		Type: k.Name(), Kind: kind, Class: o.Class, Started: started, Cut: at.cut,
		Tool: Tool{Name: "lifeboat", Version: v.o.Version, Programs: v.o.Programs},
		Host: v.o.Host, RunID: o.RunID, RPO: int64(o.RPO / time.Second), Facts: facts,
	}
	at.link(&m)
	if m, err = v.commit(ctx, m, k, at.made(), o.Now); err == nil {
		v.keepCached(at.asset, at.cached(), o.Log)
	}
	return m, err
}

// sealFor prepares the encryption of an attempt. An increment that not everybody could
// read who is meant to read the new objects is an errParent.
func (v *Vault) sealFor(ctx context.Context, a Asset, parent *Manifest, log io.Writer) (*seal, error) {
	if a.Secret && v.o.Crypt.scheme() == schemeNone {
		return nil, hint.Wrap(ErrNotEncrypted, "configure encryption in lifeboat.yaml (method: age, or gpg); or, if everybody with access to the bucket may read it, set unencrypted: true for this asset")
	}
	s, err := v.prepare(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("prepare the encryption: %w", err)
	}
	if parent != nil {
		if why := s.continues(parent.Chain); why != "" {
			return nil, fmt.Errorf("%w: %s", errParent, why)
		}
	}
	return s, nil
}

// commit proves what was written to be there, then writes restore.sh, then the manifest.
func (v *Vault) commit(ctx context.Context, m Manifest, k Kind, made []Object, now func() time.Time) (Manifest, error) {
	err := each(ctx, len(made), func(ctx context.Context, i int) error {
		return v.stored(ctx, made[i].Key, made[i].Size)
	})
	if err != nil {
		return Manifest{}, err
	}
	text := []byte(restoreScript(m, k))
	m.Script = Script{Size: int64(len(text)), SHA256: hashOf(text)}
	if m.Finished = now().UTC().Truncate(time.Millisecond); m.Finished.Before(m.Cut) {
		m.Finished = m.Cut
	}
	if m.Sig, err = sign(m, v.o.Sign); err != nil {
		return Manifest{}, fmt.Errorf("sign the manifest: %w", err)
	}
	raw, err := encode(m)
	if err != nil {
		return Manifest{}, fmt.Errorf("write the manifest: %w", err)
	}
	// What could not be read back must not be written.
	read, err := parseManifest(raw, m.Asset, m.ID, nil)
	if err != nil {
		return Manifest{}, fmt.Errorf("write the manifest: %w", err)
	}
	if err := v.putSmall(ctx, m.ScriptKey(), putOptions{"text/x-shellscript; charset=utf-8", v.pointLock(m)}, text); err != nil {
		return Manifest{}, err
	}
	if err := v.putSmall(ctx, m.Key(), putOptions{"application/json", v.pointLock(m)}, raw); err != nil {
		return Manifest{}, err
	}
	return read, nil
}

// open gives an object of the parent point to Kind.
func (at *attempt) open(role string) (io.ReadCloser, error) {
	if at.parent == nil {
		return nil, fmt.Errorf("open %q of the parent point: there is none", role)
	}
	objects := slices.Concat(at.parent.Chain, at.parent.Aux)
	for _, o := range slices.Backward(objects) {
		if o.Role != role {
			continue
		}
		r, err := at.v.reader(at.ctx, o, nil)
		if errors.Is(err, ErrNoKey) || errors.Is(err, ErrWrongKey) {
			cached, cerr := at.v.cached(o)
			if cerr == nil {
				fmt.Fprintf(at.log, "%s of point %s is taken from the cache of this machine, which cannot decrypt it\n", role, at.parent.ID)
				r, err = cached, nil
			} else {
				err = fmt.Errorf("%w, and %w", err, cerr)
			}
		}
		if err != nil {
			at.mu.Lock()
			defer at.mu.Unlock()
			at.bad = errors.Join(at.bad, err)
			return nil, err
		}
		at.mu.Lock()
		defer at.mu.Unlock()
		at.readers = append(at.readers, r)
		return r, nil
	}
	return nil, fmt.Errorf("point %s has no object of role %q", at.parent.ID, role)
}

// create begins an object of this attempt.
func (at *attempt) create(role, name string) (io.WriteCloser, error) {
	w, err := at.begin(role, name)
	if err != nil {
		at.fail(err)
		return nil, err
	}
	return w, nil
}

func (at *attempt) begin(role, name string) (*objectWriter, error) {
	if !kindForm.MatchString(role) || !objectForm.MatchString(name) || len(name) > 120 {
		return nil, fmt.Errorf("create object %q of role %q: not a safe name", name, role)
	}
	compression := compressionOf(role)
	if compression == "gzip" {
		name += ".gz"
	}
	key := dataPrefix(at.asset) + at.id + "/" + name + at.seal.suffix()
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.err != nil { // what Kind did not want to hear the first time
		return nil, at.err
	}
	for _, w := range at.objects {
		if w.object.Key == key {
			return nil, fmt.Errorf("create object %q: this attempt has one already", key)
		}
	}
	w := newObjectWriter(at, Object{
		Key: key, Role: role, Compression: compression, Encryption: at.seal.encryption(), KeyID: at.seal.keyID, RetainUntil: retained(at.lock),
	})
	ctx, cancel := context.WithCancel(at.ctx)
	out, err := at.v.store.put(ctx, key, putOptions{"application/octet-stream", at.lock})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("create object %q: %w", key, err)
	}
	w.out, w.cancel = out, cancel
	if w.crypt, err = at.seal.writer(writerFunc(w.store)); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("encrypt object %q: %w", key, err), out.Close())
	}
	if role == "index" && w.crypt != nil && at.v.o.Cache != "" {
		w.cache = at.v.beginCached(w.object, at.log)
	}
	at.objects = append(at.objects, w)
	return w, nil
}

// compressionOf knows which roles compress. Packs, bundles and hashes do not.
func compressionOf(role string) string {
	switch role {
	case "base", "delta", "dump", "log", "tar":
		return "gzip"
	}
	return "none"
}

// aside says which roles are no part of the chain: what serves the next increment only, and
// another form of what the chain holds.
func aside(role string) bool { return role == "index" || role == "mirror" }

// fail ends the attempt.
func (at *attempt) fail(err error) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.err == nil {
		at.err = err
	}
	at.cancel()
}

func (at *attempt) touch() {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.cut.IsZero() {
		at.cut = at.now().UTC().Truncate(time.Millisecond)
	}
}

// settle decides whether Capture made a point. Afterwards every reader and writer that it
// left open is closed, after an error without storing anything.
func (at *attempt) settle(kind string, err error) error {
	for _, r := range at.readers {
		// After a failure of a write the context has ended and no reader is to blame.
		if cerr := r.Close(); cerr != nil && at.err == nil {
			at.bad = errors.Join(at.bad, cerr)
		}
	}
	if at.bad != nil && at.err == nil && (err != nil || kind != Full) { // a full point needs no parent
		err = fmt.Errorf("%w: it could not be read: %w", errParent, errors.Join(at.bad, err))
	}
	chain, open := 0, false
	for _, w := range at.objects {
		open = open || !w.closed
		if !w.dropped && !aside(w.object.Role) {
			chain++
		}
	}
	if err == nil {
		err = at.err
	}
	if err == nil && open {
		err = errors.New("an object was begun and not closed")
	}
	if err == nil {
		switch kind {
		case Full, Incremental, RollUp:
			if chain == 0 {
				err = fmt.Errorf("a point of kind %q without objects", kind)
			} else if kind != Full && at.parent == nil {
				err = fmt.Errorf("a point of kind %q without a parent", kind)
			}
		case Unchanged, Empty:
			if chain > 0 {
				err = fmt.Errorf("a point of kind %q with objects of its own", kind)
			} else if kind == Unchanged && at.parent == nil {
				err = fmt.Errorf("a point of kind %q without a parent", kind)
			}
		default:
			err = fmt.Errorf("unknown kind of point %q", kind)
		}
	}
	if err != nil {
		at.cancel()
		for _, w := range at.objects {
			w.drop()
		}
		if at.err != nil && !errors.Is(err, at.err) {
			err = fmt.Errorf("%w (after %w)", err, at.err)
		}
		return err
	}
	if at.cut.IsZero() {
		at.touch()
	}
	return nil
}

// made lists what this attempt has written.
func (at *attempt) made() []Object {
	var out []Object
	for _, w := range at.objects {
		if !w.dropped {
			out = append(out, w.object)
		}
	}
	return out
}

// link puts the objects into the manifest: the parent's chain where the point builds on
// it, then those of this attempt.
func (at *attempt) link(m *Manifest) {
	if at.parent != nil && m.Kind != Full && m.Kind != Empty {
		m.Parent = &Parent{ID: at.parent.ID, SHA256: at.parent.sum}
		m.Chain = slices.Clone(at.parent.Chain)
		if m.Kind == RollUp {
			first := m.Chain[0].attempt()
			m.Chain = slices.DeleteFunc(m.Chain, func(o Object) bool { return o.attempt() != first })
		}
	}
	for _, o := range at.made() {
		if aside(o.Role) {
			m.Aux = append(m.Aux, o)
		} else {
			m.Chain = append(m.Chain, o)
		}
	}
	if m.Kind == Unchanged { // what the parent has beside the chain holds for this point too
		made := slices.Clone(m.Aux)
		for _, o := range at.parent.Aux {
			if !slices.ContainsFunc(made, func(n Object) bool { return n.Role == o.Role }) {
				m.Aux = append(m.Aux, o)
			}
		}
	}
	if m.Cut.Before(m.Started) { // the clock was set back
		m.Cut = m.Started
	}
}

// cached are the copies of indexes that this attempt has written to the cache.
func (at *attempt) cached() []*durable.File {
	var out []*durable.File
	for _, w := range at.objects {
		if w.cache != nil && !w.dropped {
			out = append(out, w.cache)
		}
	}
	return out
}

// forget drops the copies of indexes that were not put in their place.
func (at *attempt) forget() {
	for _, w := range at.objects {
		if w.cache != nil {
			w.cache.Close()
		}
	}
}

// objectWriter is the pipeline of one object, one pass, flat memory:
//
//	Kind -> buffer -> plain hash -> gzip -> encrypt -> stored hash -> bucket
type objectWriter struct {
	at      *attempt
	object  Object
	buf     *bufio.Writer
	plain   hash.Hash
	zip     *pgzip.Writer  // nil: not compressed
	crypt   io.WriteCloser // nil: not encrypted; used by one goroutine at a time, the compressor's while there is one
	cache   *durable.File  // a copy of the plain bytes; nil: none
	sum     hash.Hash      // of what is stored; nil when that is plain
	out     io.WriteCloser
	cancel  context.CancelFunc // before out.Close: nothing is stored
	closed  bool
	dropped bool
	err     error

	mu      sync.Mutex // protects below, and while the object is open sum, out and object.Size
	refusal error      // of the bucket; nothing is written after it
}

// An object holds writeBuffer bytes, and about three zipBlocks for each worker.
const (
	writeBuffer = 64 << 10 // less than what kinds write at once: that passes by it uncopied
	zipBlock    = 1 << 20
	zipWorkers  = 4
)

func newObjectWriter(at *attempt, o Object) *objectWriter {
	w := &objectWriter{at: at, object: o, plain: sha256.New()}
	if o.Encryption.Scheme != schemeNone || o.Compression == "gzip" {
		w.sum = sha256.New()
	}
	if o.Compression == "gzip" {
		w.zip, _ = pgzip.NewWriterLevel(writerFunc(w.encrypt), pgzip.BestSpeed) // the level is a valid one
		w.zip.SetConcurrency(zipBlock, zipWorkers)                              // and so are these
	}
	w.buf = bufio.NewWriterSize(writerFunc(w.hash), writeBuffer)
	return w
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (w *objectWriter) hash(p []byte) (int, error) {
	w.plain.Write(p)
	w.object.PlainSize += int64(len(p))
	if w.cache != nil {
		if _, err := w.cache.Write(p); err != nil {
			fmt.Fprintf(w.at.log, "the index of this point is not cached: %v\n", err)
			w.cache.Close()
			w.cache = nil
		}
	}
	if w.zip == nil {
		w.encrypt(p)
	} else if n, err := w.zip.Write(p); err != nil {
		return n, err
	}
	return len(p), w.refused()
}

// encrypt is called by the compressor's goroutine. It never returns an error, after which
// the compressor would leave that goroutine behind; the error waits in refusal.
func (w *objectWriter) encrypt(p []byte) (int, error) {
	if w.crypt == nil {
		return w.store(p)
	}
	if _, err := w.crypt.Write(p); err != nil {
		w.refuse(err)
	}
	return len(p), nil
}

// refuse remembers the first error behind the compressor.
func (w *objectWriter) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal == nil {
		w.refusal = err
	}
}

// store never returns an error either.
func (w *objectWriter) store(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal != nil {
		return len(p), nil
	}
	if w.sum != nil {
		w.sum.Write(p)
	}
	n, err := w.out.Write(p)
	w.object.Size += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.refusal = err
	return len(p), nil
}

func (w *objectWriter) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

func (w *objectWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, fmt.Errorf("write object %q: it is closed", w.object.Key)
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.object.PlainSize == 0 && w.buf.Buffered() == 0 {
		w.at.touch()
	}
	n, err := w.buf.Write(p)
	return n, w.check(err)
}

// check remembers the first error and ends the attempt with it.
func (w *objectWriter) check(err error) error {
	if err == nil || w.err != nil {
		return w.err
	}
	w.err = fmt.Errorf("write object %q: %w", w.object.Key, err)
	w.at.fail(w.err)
	return w.err
}

// Close stores the object.
func (w *objectWriter) Close() error {
	if w.closed {
		return w.err
	}
	w.at.touch()
	if w.err == nil {
		w.check(w.buf.Flush())
	}
	if w.err == nil && w.zip != nil {
		w.check(w.zip.Close())
	}
	if w.err == nil && w.crypt != nil && w.check(w.refused()) == nil {
		w.check(w.crypt.Close())
	}
	if w.err == nil {
		w.check(w.refused())
	}
	if w.err == nil {
		w.check(w.at.ctx.Err())
	}
	w.closed = true
	defer w.cancel()
	if w.err != nil { // the attempt's context has ended by now: this stores nothing
		w.dropped = true
		w.stop()
		return errors.Join(w.err, w.out.Close())
	}
	w.object.PlainSHA256 = hex.EncodeToString(w.plain.Sum(nil))
	w.object.SHA256 = w.object.PlainSHA256
	if w.sum != nil {
		w.object.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	}
	return w.check(w.at.v.settle(w.at.ctx, w.object, w.out.Close()))
}

// SHA256 is the hash of the plain bytes, in hexadecimal, once Close has returned nil.
func (w *objectWriter) SHA256() string { return w.object.PlainSHA256 }

// Abort drops an object that Kind began and does not want. Nothing is stored.
func (w *objectWriter) Abort() error {
	w.drop()
	return nil
}

func (w *objectWriter) drop() {
	if !w.closed {
		w.closed, w.dropped = true, true
		w.cancel()
		w.stop()
		w.out.Close() // says that the context has ended
	}
}

// stop ends the goroutines of the compressor, whose output goes nowhere any more.
func (w *objectWriter) stop() {
	w.refuse(context.Canceled)
	if w.zip != nil {
		w.zip.Close()
	}
}
