package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

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
		v.keepCached(at.asset, beginning(m), at.cached(), o.Log)
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
