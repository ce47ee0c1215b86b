package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Pruned is what a prune has removed.
type Pruned struct {
	Points   int
	Objects  int // data, receipts and orphans; not the manifests and scripts of points
	Bytes    int64
	Retained []string // keys that the bucket did not let go: locked, or not ours to delete
}

// TombstoneFormat is the form of tombstones.
const TombstoneFormat = "lifeboat.tombstone/1"

// tombstone says that a point was removed on purpose. It stays for ever.
type tombstone struct {
	Format   string    `json:"format"`
	Asset    string    `json:"asset"`
	Point    string    `json:"point"`
	Manifest string    `json:"manifest_sha256"`
	Cut      time.Time `json:"cut"`
	At       time.Time `json:"at"`
	Tool     Tool      `json:"tool"`
	Host     string    `json:"host,omitempty"`
	Sig      *Sig      `json:"sig,omitempty"`
}

// pruning is one prune under way.
type pruning struct {
	v    *Vault
	s    *survey // of the second look
	plan PrunePlan
	o    PruneOptions

	mu   sync.Mutex // protects below
	p    *Pruned
	done int64
}

func (r *pruning) run(ctx context.Context) error {
	sizes := map[string]int64{}
	for _, m := range []map[string][]stored{r.s.data, r.s.receipts, {"": r.s.probes}} {
		for _, objects := range m {
			for _, o := range objects {
				sizes[o.key] = o.size
			}
		}
	}
	for id, n := range r.s.scripts {
		sizes[scriptKey(r.plan.Asset, id)] = n
	}
	for _, id := range r.plan.Remove {
		if err := r.point(ctx, id); err != nil {
			return err
		}
	}
	// Look again: a backup may have ended meanwhile, and a manifest may have stayed.
	known := r.s.manifests
	r.s.manifests = map[string]Manifest{}
	if err := r.s.list(ctx); err != nil {
		return err
	}
	for _, id := range r.plan.Remove {
		delete(known, id)
		r.s.tombs[id] = true
	}
	if err := r.s.complete(ctx); err != nil {
		return err
	}
	if err := r.s.read(ctx, r.s.ids, known); err != nil {
		return err
	}
	if len(r.s.bad) > 0 {
		return fmt.Errorf("%w: a manifest that came meanwhile cannot be used", ErrPlanChanged)
	}
	if len(r.s.ids) == 0 {
		return fmt.Errorf("%w: no point is listed any more", ErrPlanChanged)
	}
	named := r.s.named(nil)
	keys := slices.DeleteFunc(slices.Concat(r.plan.Objects, r.plan.Orphans), func(key string) bool { return named[key] })
	return each(ctx, len(keys), func(ctx context.Context, i int) error {
		return r.object(ctx, keys[i], sizes[keys[i]])
	})
}

// point removes one point, but not its data.
func (r *pruning) point(ctx context.Context, id string) error {
	m := r.s.manifests[id]
	t := tombstone{
		Format: TombstoneFormat, Asset: m.Asset, Point: id, Manifest: m.sum, Cut: m.Cut, At: r.o.Now().UTC().Truncate(time.Millisecond),
		Tool: Tool{Name: "lifeboat", Version: r.v.o.Version}, Host: r.v.o.Host,
	}
	var err error
	if t.Sig, err = sign(t, r.v.o.Sign); err != nil {
		return fmt.Errorf("sign the tombstone of point %s: %w", id, err)
	}
	raw, err := encode(t)
	if err != nil {
		return fmt.Errorf("write the tombstone of point %s: %w", id, err)
	}
	err = r.v.putSmall(ctx, tombstoneKey(m.Asset, id), putOptions{contentType: "application/json"}, raw)
	if errors.Is(err, errExists) { // an earlier prune has come so far, with another time
		if _, serr := r.v.store.stat(ctx, tombstoneKey(m.Asset, id)); serr == nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(r.o.Log, "remove point %s\n", id)
	gone, err := r.remove(ctx, m.Key())
	if err != nil || !gone {
		return err
	}
	if _, err := r.remove(ctx, m.ScriptKey()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.Points++
	r.p.Bytes += r.s.listed[id] + m.Script.Size
	r.o.Progress(int64(r.p.Points), int64(len(r.plan.Remove)), "points")
	return nil
}

// remove says whether the object is gone; a bucket may hold on to it.
func (r *pruning) remove(ctx context.Context, key string) (gone bool, err error) {
	err = r.v.store.remove(ctx, key)
	switch {
	case err == nil, errors.Is(err, errNotExist):
		return true, nil
	case errors.Is(err, errLocked):
		fmt.Fprintf(r.o.Log, "retained: %s\n", key)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.p.Retained = append(r.p.Retained, key)
		return false, nil
	}
	return false, fmt.Errorf("remove %q: %w", key, err)
}

// object removes one object that no manifest names.
func (r *pruning) object(ctx context.Context, key string, size int64) error {
	gone, err := r.remove(ctx, key)
	if err != nil || !gone {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.Objects++
	r.p.Bytes += size
	r.done++
	r.o.Progress(r.done, int64(len(r.plan.Objects)+len(r.plan.Orphans)), "objects")
	return nil
}
