package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// CopyOptions of [Vault.Copy].
type CopyOptions struct {
	Recheck  bool // look at every object although the point is there: what is missing is copied again
	Progress func(done, total int64, unit string)
	Log      io.Writer
}

// Copied is what a copy has done.
type Copied struct {
	Point   string
	Objects int   // written, with the manifest and restore.sh
	Skipped int   // there already, and the same
	Bytes   int64 // written
	Pruned  bool  // the other vault has removed the point on purpose: nothing was copied
}

// Copy writes a point into another vault: the documents of its keys, the data, restore.sh,
// then the manifest, so that the point exists there when, and only when, it is whole. It
// needs no key: what is encrypted stays so. Every object is compared with its recorded hash
// while it passes, and nothing is stored under its name that differs. What is there already is
// left out, so that a copy that was stopped goes on; it is read and compared, unless a
// point that is whole there vouches for it. What is there and differs is ErrDamaged. A point
// that is there is not looked at again, unless o.Recheck is set: verifying it is for the
// other vault.
//
// Receipts are not copied: they prove bytes in this vault. Where the other one locks
// objects, they are locked as new ones are, from now.
func (v *Vault) Copy(ctx context.Context, m Manifest, to *Vault, o CopyOptions) (Copied, error) {
	c := copying{from: v, to: to, m: m, log: orDiscard(o.Log), progress: orSilent(o.Progress), recheck: o.Recheck, done: Copied{Point: m.ID}}
	if err := c.run(ctx); err != nil {
		return c.done, fmt.Errorf("copy point %s to %s: %w", m.ID, to, err)
	}
	return c.done, nil
}

type copying struct {
	from, to *Vault
	m        Manifest
	log      io.Writer
	progress func(done, total int64, unit string)
	recheck  bool
	done     Copied
	seen     int64
	total    int64
}

func (c *copying) run(ctx context.Context) error {
	if err := c.m.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !c.recheck {
		if raw, err := c.to.small(ctx, c.m.Key()); err == nil && hashOf(raw) == c.m.sum {
			c.done.Skipped = len(c.m.Chain) + len(c.m.Aux) + 2
			return nil
		}
	}
	manifest, err := c.document(ctx, c.m.Key(), c.m.sum)
	if err != nil {
		return err
	}
	script, err := c.document(ctx, c.m.ScriptKey(), c.m.Script.SHA256)
	if err != nil {
		return err
	}
	if pruned, err := c.pruned(ctx); err != nil || pruned {
		c.done.Pruned = pruned
		return err
	}
	if err := c.keys(ctx); err != nil {
		return err
	}
	if err := c.to.writeReadme(ctx); err != nil {
		return err
	}
	vouched, err := c.vouched(ctx)
	if err != nil {
		return err
	}
	objects := slices.Concat(c.m.Chain, c.m.Aux)
	c.total = sizeOf(objects)
	for _, o := range objects {
		if err := c.object(ctx, o, vouched[o.Key] == o.SHA256); err != nil {
			return err
		}
	}
	// What was there before may have been pruned meanwhile: no point named it.
	err = each(ctx, len(objects), func(ctx context.Context, i int) error {
		return c.to.stored(ctx, objects[i].Key, objects[i].Size)
	})
	if err != nil {
		return err
	}
	lock := c.lock(c.to.o.Lock.For)
	if err := c.put(ctx, c.m.ScriptKey(), putOptions{"text/x-shellscript; charset=utf-8", lock}, script); err != nil {
		return err
	}
	return c.put(ctx, c.m.Key(), putOptions{"application/json", lock}, manifest)
}

// lock is the end of a lock that begins now.
func (c *copying) lock(d time.Duration) time.Time {
	if !c.to.locking() {
		return time.Time{}
	}
	return wholeSecond(c.to.o.Now().Add(d))
}

// document reads a small object whose hash is known.
func (c *copying) document(ctx context.Context, key, hash string) ([]byte, error) {
	var raw []byte
	err := twice(func() (err error) {
		raw, err = c.from.small(ctx, key)
		if errors.Is(err, errNotExist) {
			return fmt.Errorf("object %q: %w", key, ErrMissing)
		}
		if err == nil && hashOf(raw) != hash {
			err = fmt.Errorf("object %q: %w: it is not what was read before", key, ErrDamaged)
		}
		return err
	})
	return raw, err
}

// pruned says whether the other vault had the point and has it no more.
func (c *copying) pruned(ctx context.Context) (bool, error) {
	_, err := c.to.store.stat(ctx, tombstoneKey(c.m.Asset, c.m.ID))
	if err == nil {
		_, err = c.to.store.stat(ctx, c.m.Key())
		return errors.Is(err, errNotExist), unlessAbsent(err)
	}
	return false, unlessAbsent(err)
}

func unlessAbsent(err error) error {
	if errors.Is(err, errNotExist) {
		return nil
	}
	return err
}

// keys copies the documents of the keys where something is encrypted: they are small, and
// without them and the keeper nothing opens.
func (c *copying) keys(ctx context.Context) error {
	if !slices.ContainsFunc(slices.Concat(c.m.Chain, c.m.Aux), func(o Object) bool { return o.Encryption.Scheme != "none" }) {
		return nil
	}
	var keys []string
	err := c.from.store.scan(ctx, keysPrefix, "", func(o stored) error {
		if !strings.Contains(strings.TrimPrefix(o.key, keysPrefix), "/") { // tests of keys are about this vault
			keys = append(keys, o.key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(keys)
	for _, key := range keys {
		// The other vault may have described the same key itself.
		if _, err := c.to.store.stat(ctx, key); !errors.Is(err, errNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		raw, err := c.from.small(ctx, key)
		if err != nil {
			return err
		}
		kind := "application/octet-stream"
		if strings.HasSuffix(key, ".json") {
			kind = "application/json"
		}
		if err := c.put(ctx, key, c.to.keyOptions(kind), raw); err != nil {
			return err
		}
	}
	return nil
}

// vouched gives the hashes of objects that were proven to be in the other vault when a
// manifest there was written after them.
func (c *copying) vouched(ctx context.Context) (map[string]string, error) {
	hashes := map[string]string{}
	for _, id := range related(c.m) {
		m, err := c.to.Get(ctx, c.m.Asset, id)
		if Unusable(err) || errors.Is(err, ErrNoBackup) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range slices.Concat(m.Chain, m.Aux) {
			hashes[o.Key] = o.SHA256
		}
	}
	return hashes, nil
}

// put writes a document unless the same is there.
func (c *copying) put(ctx context.Context, key string, o putOptions, raw []byte) error {
	there, err := c.to.small(ctx, key)
	switch {
	case err == nil && bytes.Equal(there, raw):
		c.done.Skipped++
		return nil
	case err == nil:
		return fmt.Errorf("object %q: %w: another one is there", key, ErrDamaged)
	case !errors.Is(err, errNotExist):
		return err
	}
	if err := c.to.putSmall(ctx, key, o, raw); err != nil {
		return err
	}
	c.done.Objects++
	c.done.Bytes += int64(len(raw))
	return nil
}

// object copies one object of data.
func (c *copying) object(ctx context.Context, o Object, vouched bool) error {
	defer func(before int64) {
		c.seen = before + o.Size
		c.progress(c.seen, c.total, "B")
	}(c.seen)
	size, err := c.to.store.stat(ctx, o.Key)
	switch {
	case errors.Is(err, errNotExist):
	case err != nil:
		return err
	case size != o.Size:
		return fmt.Errorf("object %q: %w: another one is there, of %d bytes", o.Key, ErrDamaged, size)
	default:
		if !vouched {
			if err := c.to.same(ctx, o); err != nil {
				return err
			}
		}
		c.done.Skipped++
		return nil
	}
	fmt.Fprintf(c.log, "copy %s (%d bytes)\n", o.Key, o.Size)
	err = twice(func() error { return c.stream(ctx, o) })
	if err == nil {
		err = c.to.stored(ctx, o.Key, o.Size)
	} else if _, serr := c.to.store.stat(ctx, o.Key); serr == nil && ctx.Err() == nil {
		// An answer was lost, or another copy was faster.
		err = c.to.same(ctx, o)
	}
	if err != nil {
		return err
	}
	c.done.Objects++
	c.done.Bytes += o.Size
	return nil
}

// stream sends an object from bucket to bucket. Nothing is stored unless all its bytes
// were the recorded ones.
func (c *copying) stream(ctx context.Context, o Object) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := c.from.store.get(ctx, o.Key)
	if errors.Is(err, errNotExist) {
		return fmt.Errorf("object %q: %w", o.Key, ErrMissing)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := c.to.store.put(ctx, o.Key, putOptions{"application/octet-stream", c.lock(c.to.o.Lock.For + min(c.to.o.Lock.For, chainAge))})
	if err != nil {
		return err
	}
	m := &measured{r: r, sum: sha256.New(), limit: o.Size, seen: func(n int) {
		c.seen += int64(n)
		c.progress(c.seen, c.total, "B")
	}}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{m}, make([]byte, 256<<10))
	if err == nil {
		err = o.match(m)
	}
	if err != nil {
		cancel()
		return errors.Join(fmt.Errorf("object %q: %w", o.Key, err), w.Close())
	}
	return w.Close()
}
