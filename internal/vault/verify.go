package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// VerifyOptions of [Vault.Verify].
type VerifyOptions struct {
	Reread   bool   // LevelChecked: read also what earlier receipts have proven
	Scratch  string // where the private directory is made; "" is the vault's
	RunID    string
	Now      func() time.Time
	Progress func(done, total int64, unit string)
	Log      io.Writer
}

// Verify proves a point at a level and writes a receipt of the outcome. The error is that
// of a failed verification (ErrDamaged or ErrMissing, naming the object), and then the
// receipt says so too; or it is an error that proves nothing (stopped, no connection, a
// full disk, an absent program, a receipt that could not be written), and then there is
// no receipt and the zero Receipt is returned. With ErrProbe the receipt is a pass at
// LevelApplied: the point is equal, and something in it does not work.
func (v *Vault) Verify(ctx context.Context, m Manifest, k Kind, level Level, o VerifyOptions) (Receipt, error) {
	if o.Now == nil {
		o.Now = v.o.Now
	}
	o.Log, o.Progress = orDiscard(o.Log), orSilent(o.Progress)
	if !slices.Contains(levels, level) {
		return Receipt{}, hint.Wrap(fmt.Errorf("unknown level %q", level), "stored, checked, applied or restored")
	}
	if err := fits(m, k); err != nil {
		return Receipt{}, fmt.Errorf("verify point %s: %w", m.ID, err)
	}
	r := Receipt{
		Format: ReceiptFormat, Asset: m.Asset, Point: m.ID, Manifest: m.sum, Level: level,
		Started: o.Now().UTC().Truncate(time.Millisecond),
		Tool:    Tool{Name: "lifeboat", Version: v.o.Version, Programs: v.o.Programs}, Host: v.o.Host, RunID: o.RunID,
	}
	began := time.Now()
	p := verification{v: v, m: m, k: k, o: o, r: &r}
	err := p.run(ctx, level)
	if err != nil {
		err = fmt.Errorf("verify point %s: %w", m.ID, err)
	}
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrProbe) {
		return Receipt{}, err
	}
	if r.Took == 0 {
		r.Took = time.Since(began).Seconds()
	}
	r.Pass = err == nil || errors.Is(err, ErrProbe)
	if !r.Pass {
		r.Error = err.Error()
	}
	r.Finished = o.Now().UTC().Truncate(time.Millisecond)
	if r.Finished.Before(r.Started) {
		r.Finished = r.Started
	}
	if rerr := v.record(ctx, &r); rerr != nil {
		return Receipt{}, errors.Join(err, fmt.Errorf("verify point %s: %w", m.ID, rerr))
	}
	return r, err
}

type verification struct {
	v *Vault
	m Manifest
	k Kind
	o VerifyOptions
	r *Receipt
}

func (p *verification) run(ctx context.Context, level Level) error {
	if err := p.stored(ctx); err != nil {
		return err
	}
	switch level {
	case LevelChecked:
		return p.checked(ctx)
	case LevelApplied:
		return p.replayed(ctx, false)
	case LevelRestored:
		return p.restored(ctx)
	}
	return nil
}

// stored looks for the manifest as it was read, and for restore.sh and all objects with
// their sizes.
func (p *verification) stored(ctx context.Context) error {
	m := p.m
	if m.sum != "" {
		err := twice(func() error {
			raw, err := p.v.small(ctx, m.Key())
			if errors.Is(err, errNotExist) {
				return fmt.Errorf("manifest %q: %w", m.Key(), ErrMissing)
			}
			if err == nil && hashOf(raw) != m.sum {
				err = fmt.Errorf("manifest %q: %w: it is not what was read before", m.Key(), ErrDamaged)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := p.v.stored(ctx, m.ScriptKey(), m.Script.Size); err != nil {
		return err
	}
	objects := m.lasting()
	err := each(ctx, len(objects), func(ctx context.Context, i int) error {
		return p.v.stored(ctx, objects[i].Key, objects[i].Size)
	})
	if err == nil {
		p.say("%s of %s, all there with their sizes", printable.Count(len(objects), "object"), printable.Size(sizeOf(objects)))
	}
	return err
}

// lasting are the objects that a point promises to people: its chain, and what repeats it
// in another form. An index serves the next increment only.
func (m Manifest) lasting() []Object {
	out := slices.Clone(m.Chain)
	for _, o := range m.Aux {
		if o.Role == roleMirror {
			out = append(out, o)
		}
	}
	return out
}

// roleMirror is the role of an object that holds the whole point in another form.
const roleMirror = "mirror"

func sizeOf(objects []Object) (n int64) {
	for _, o := range objects {
		n += o.Size
	}
	return n
}

func (p *verification) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(p.o.Log, line)
	p.r.Evidence = append(p.r.Evidence, line)
}

// checked reads every object that no earlier receipt has proven.
func (p *verification) checked(ctx context.Context) error {
	known := map[string]string{}
	if !p.o.Reread {
		var err error
		if known, err = p.v.proven(ctx, p.m); err != nil {
			return err
		}
	}
	var total int64
	for _, o := range p.m.lasting() {
		if known[o.Key] != o.SHA256 {
			total += o.Size
		}
	}
	for _, o := range p.m.lasting() {
		proof := Proof{Key: o.Key, SHA256: o.SHA256}
		if known[o.Key] == o.SHA256 {
			p.r.Known = append(p.r.Known, proof)
			continue
		}
		fmt.Fprintf(p.o.Log, "check %s\n", o.Key)
		if err := p.check(ctx, o, total); err != nil {
			return err
		}
		p.r.Read = append(p.r.Read, proof)
	}
	if err := p.script(ctx); err != nil {
		return err
	}
	p.say("%s read, hashes and structure as recorded; %d proven before", printable.Count(len(p.r.Read), "object"), len(p.r.Known))
	return nil
}

// check streams one object through Kind, without a copy on disk.
func (p *verification) check(ctx context.Context, o Object, total int64) error {
	return twice(func() error {
		r, err := p.v.reader(ctx, o, func(n int) {
			p.r.Bytes += int64(n)
			p.o.Progress(p.r.Bytes, total, "B")
		})
		if err != nil {
			return err
		}
		kerr := p.k.Check(ctx, o.Role, r)
		if err := r.Close(); err != nil { // tells more than what Kind made of wrong bytes
			return err
		}
		if kerr != nil {
			return verdict(ctx, fmt.Errorf("object %q: %w", o.Key, kerr))
		}
		return nil
	})
}

// script compares the stored restore.sh with its hash.
func (p *verification) script(ctx context.Context) error {
	_, err := p.readScript(ctx)
	return err
}

func (p *verification) readScript(ctx context.Context) ([]byte, error) {
	var text []byte
	err := twice(func() (err error) {
		text, err = p.v.small(ctx, p.m.ScriptKey())
		if errors.Is(err, errNotExist) {
			return fmt.Errorf("script %q: %w", p.m.ScriptKey(), ErrMissing)
		}
		if err == nil && hashOf(text) != p.m.Script.SHA256 {
			return fmt.Errorf("script %q: %w: it is not what was written", p.m.ScriptKey(), ErrDamaged)
		}
		return err
	})
	return text, err
}

// replayed rebuilds the point with Kind in a private directory.
func (p *verification) replayed(ctx context.Context, full bool) (err error) {
	dir, remove, err := p.v.private(p.o.Scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r := replay{
		v: p.v, m: p.m, k: p.k, dir: filepath.Join(dir, "replica"), objects: filepath.Join(dir, "objects"),
		log: p.o.Log, progress: p.o.Progress,
	}
	if err := errors.Join(os.Mkdir(r.dir, 0o700), os.Mkdir(r.objects, 0o700)); err != nil {
		return err
	}
	err = r.run(ctx)
	p.r.Bytes = r.done
	if err != nil {
		return err
	}
	evidence, err := r.prove(ctx, full)
	if err != nil {
		return err
	}
	p.allRead()
	p.say("%s", evidence)
	if full {
		return p.probe(ctx, r.dir)
	}
	return nil
}

func (p *verification) allRead() {
	for _, o := range p.m.Chain {
		p.r.Read = append(p.r.Read, Proof{Key: o.Key, SHA256: o.SHA256})
	}
}
