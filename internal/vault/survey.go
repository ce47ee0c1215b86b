package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// survey is all that an asset has in the vault at one moment, by its names and manifests.
type survey struct {
	v         *Vault
	asset     string
	now       time.Time
	grace     time.Duration
	ids       []string            // of the points listed, oldest first
	listed    map[string]int64    // size of the manifest by id
	manifests map[string]Manifest // by id
	bad       map[string]error    // manifests that cannot be used
	hollow    bool                // no point holds anything
	scripts   map[string]int64    // size of restore.sh by id
	data      map[string][]stored // by the id of the attempt
	receipts  map[string][]stored // by point
	verdicts  map[string][]receiptName
	tombs     map[string]bool
	probes    []stored // what Doctor wrote
	remnants  []string

	lastVerdict   *receiptName // of all points
	lastVerdictOf string
}

func tombstonesPrefix(asset string) string    { return assetsPrefix + asset + "/t/" }
func tombstoneKey(asset, point string) string { return tombstonesPrefix(asset) + point + ".json" }

const doctorPrefix = "v1/doctor/"

// survey lists everything and reads every manifest.
func (v *Vault) survey(ctx context.Context, asset string, grace time.Duration, now time.Time) (*survey, error) {
	if !assetForm.MatchString(asset) {
		return nil, fmt.Errorf("%q is not the id of an asset", asset)
	}
	s := &survey{
		v: v, asset: asset, now: now, grace: grace,
		manifests: map[string]Manifest{}, bad: map[string]error{},
		data: map[string][]stored{}, receipts: map[string][]stored{}, verdicts: map[string][]receiptName{}, tombs: map[string]bool{},
	}
	// Data first: what is under d/ of a backup that ends while this lists is young.
	if err := s.scanBelow(ctx, dataPrefix(asset), s.data); err != nil {
		return nil, err
	}
	if err := s.list(ctx); err != nil {
		return nil, err
	}
	if err := s.scanBelow(ctx, assetsPrefix+asset+"/v/", s.receipts); err != nil {
		return nil, err
	}
	names, err := v.store.list(ctx, tombstonesPrefix(asset))
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, ".json"); ok && pointForm.MatchString(id) {
			s.tombs[id] = true
		}
	}
	if err := s.complete(ctx); err != nil {
		return nil, err
	}
	if err := s.litter(ctx); err != nil {
		return nil, err
	}
	if err := s.read(ctx, s.ids, nil); err != nil {
		return nil, err
	}
	s.hollow = true
	for _, m := range s.manifests {
		s.hollow = s.hollow && len(m.Chain) == 0
	}
	return s, s.judge(ctx)
}

// scanBelow sorts what lies below prefix by the id that comes next in the key. What has
// no such form is not ours and stays.
func (s *survey) scanBelow(ctx context.Context, prefix string, into map[string][]stored) error {
	return s.v.store.scan(ctx, prefix, "", func(o stored) error {
		id, name, ok := strings.Cut(strings.TrimPrefix(o.key, prefix), "/")
		if ok && pointForm.MatchString(id) && objectForm.MatchString(name) {
			into[id] = append(into[id], o)
		}
		return nil
	})
}

// list reads the names below p/.
func (s *survey) list(ctx context.Context) error {
	s.ids, s.listed, s.scripts = nil, map[string]int64{}, map[string]int64{}
	err := s.v.store.scan(ctx, pointsPrefix(s.asset), "", func(o stored) error {
		name := o.key[strings.LastIndexByte(o.key, '/')+1:]
		id, script := strings.CutSuffix(name, ".restore.sh")
		if !script {
			var ok bool
			if id, ok = strings.CutSuffix(name, ".json"); !ok {
				return nil
			}
		}
		if _, err := pointTime(id); err != nil {
			return nil
		}
		switch o.key {
		case manifestKey(s.asset, id):
			s.listed[id] = o.size
			s.ids = append(s.ids, id)
		case scriptKey(s.asset, id):
			s.scripts[id] = o.size
		}
		return nil
	})
	slices.Sort(s.ids)
	s.ids = slices.Compact(s.ids)
	return err
}

// complete refuses a listing that has left out the manifest of a point whose data or
// receipts it shows: what that point needs would look as if nobody did.
func (s *survey) complete(ctx context.Context) error {
	ids := slices.Concat(slices.Collect(maps.Keys(s.data)), slices.Collect(maps.Keys(s.receipts)), slices.Collect(maps.Keys(s.scripts)))
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool {
		_, listed := s.listed[id]
		return listed || s.tombs[id]
	})
	return each(ctx, len(ids), func(ctx context.Context, i int) error {
		_, err := s.v.store.stat(ctx, manifestKey(s.asset, ids[i]))
		if err == nil {
			return fmt.Errorf("the listing is not complete: it leaves out the manifest of point %s", ids[i])
		}
		return unlessAbsent(err)
	})
}

// litter lists what tests of the vault and writers that died have left.
func (s *survey) litter(ctx context.Context) error {
	err := s.v.store.scan(ctx, doctorPrefix, "", func(o stored) error {
		if id, err := ulid.ParseStrict(strings.TrimPrefix(o.key, doctorPrefix)); err == nil && ulid.Time(id.Time()).Before(s.now.Add(-s.grace)) {
			s.probes = append(s.probes, o)
		}
		return nil
	})
	if f, ok := s.v.store.(interface {
		remnants(ctx context.Context, prefix string, before time.Time) ([]string, error)
	}); ok && err == nil {
		s.remnants, err = f.remnants(ctx, assetsPrefix+s.asset+"/", s.now.Add(-s.grace))
	}
	return err
}

// read reads manifests, but those in known. One that has vanished is no point any more.
func (s *survey) read(ctx context.Context, ids []string, known map[string]Manifest) error {
	var mu sync.Mutex
	gone := map[string]bool{}
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		m, ok := known[ids[i]]
		var err error
		if !ok {
			m, err = s.v.Get(ctx, s.asset, ids[i])
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			s.manifests[ids[i]] = m
		case errors.Is(err, ErrNoBackup):
			gone[ids[i]] = true
		case Unusable(err):
			s.bad[ids[i]] = err
		default:
			return err
		}
		return nil
	})
	s.ids = slices.DeleteFunc(s.ids, func(id string) bool {
		if gone[id] {
			delete(s.listed, id)
		}
		return gone[id]
	})
	return err
}

// judge reads what the receipts say: their names, and where the vault knows whom to trust,
// who signed those that would prove a point.
func (s *survey) judge(ctx context.Context) error {
	for id, objects := range s.receipts {
		for _, o := range objects {
			if r, ok := parseReceiptName(o.key[strings.LastIndexByte(o.key, '/')+1:]); ok {
				s.verdicts[id] = append(s.verdicts[id], r)
			}
		}
		slices.SortFunc(s.verdicts[id], func(a, b receiptName) int { return strings.Compare(a.name, b.name) })
		// What is dated in the future would hide every failure until then.
		past := slices.DeleteFunc(slices.Clone(s.verdicts[id]), func(r receiptName) bool { return r.pass && r.stamp > stamp(s.now) })
		if n := len(past); n > 0 && (s.lastVerdict == nil || past[n-1].stamp > s.lastVerdict.stamp) {
			s.lastVerdict, s.lastVerdictOf = &past[n-1], id
		}
	}
	if len(s.v.o.Trust) == 0 {
		return nil
	}
	ids := slices.DeleteFunc(slices.Clone(s.ids), func(id string) bool { return !s.isProven(id) })
	var mu sync.Mutex
	return each(ctx, len(ids), func(ctx context.Context, i int) error {
		good, err := s.v.Receipts(ctx, s.asset, ids[i])
		if err != nil && !Unusable(err) {
			return err
		}
		names := make([]receiptName, len(good))
		for j, r := range good {
			names[j] = receiptName{level: r.Level, pass: r.Pass}
		}
		mu.Lock()
		defer mu.Unlock()
		s.verdicts[ids[i]] = names
		return nil
	})
}

// isProven says whether a restore of the point was proven and nothing has contradicted it.
func (s *survey) isProven(id string) bool {
	level, failure := standing(s.verdicts[id])
	return failure == nil && level != "" && level.Covers(LevelApplied)
}

// counts says whether a point counts for the retention: it is proven, and holds something
// where any point does. A source that was emptied gives points of nothing, each of them
// proven, and they must not take the places of those that still have what it held.
func (s *survey) counts(id string) bool {
	return s.isProven(id) && (s.hollow || len(s.manifests[id].Chain) > 0)
}

func (s *survey) failed(id string) bool {
	_, failure := standing(s.verdicts[id])
	return failure != nil
}

// past are the points that are not dated in the future, oldest first.
func (s *survey) past() []string {
	n := len(s.ids)
	for n > 0 && timeOf(s.ids[n-1]).After(s.now) {
		n--
	}
	return s.ids[:n]
}

func (s *survey) newestProven() string {
	for _, id := range slices.Backward(s.past()) {
		if _, ok := s.manifests[id]; ok && s.counts(id) {
			return id
		}
	}
	return ""
}

// young says whether the backup that has this id may still be running.
func (s *survey) young(id string) bool { return !timeOf(id).Before(s.now.Add(-s.grace)) }

// fresh says whether the bucket has taken an object of an attempt within the grace. An id
// tells when the point began by the clock of the machine that makes it, which may be days
// slow, and a copy from another vault has an id as old as the point; both are being written
// all the same.
func (s *survey) fresh(id string) bool {
	return slices.ContainsFunc(s.data[id], func(o stored) bool { return !o.modified.Before(s.now.Add(-s.grace)) })
}

// named are the keys that manifests name, but for those of the points in but.
func (s *survey) named(but []string) map[string]bool {
	keys, out := map[string]bool{}, map[string]bool{}
	for _, id := range but {
		out[id] = true
	}
	for id, m := range s.manifests {
		if out[id] {
			continue
		}
		for _, o := range slices.Concat(m.Chain, m.Aux) {
			keys[o.Key] = true
		}
	}
	return keys
}

// collect adds to a plan the objects that nothing needs once its points are gone.
func (s *survey) collect(plan *PrunePlan) {
	all, left := s.named(nil), s.named(plan.Remove)
	going := map[string]bool{}
	for _, id := range plan.Remove {
		going[id] = true
		plan.Bytes += s.listed[id] + s.scripts[id]
	}
	// A point whose manifest is gone by its tombstone is not being written.
	done := func(id string) bool {
		_, listed := s.listed[id]
		return going[id] || !listed && (s.tombs[id] || !s.young(id) && !s.fresh(id))
	}
	drop := func(list *[]string, o stored) {
		*list = append(*list, o.key)
		plan.Bytes += o.size
	}
	stays := map[string]bool{}
	for id, objects := range s.data {
		for _, o := range objects {
			switch {
			case left[o.key]:
				stays[id] = true
			case all[o.key]:
				drop(&plan.Objects, o)
			case done(id):
				drop(&plan.Orphans, o)
			default:
				stays[id] = true
			}
		}
	}
	for id, objects := range s.receipts {
		for _, o := range objects {
			switch {
			case stays[id] || !done(id): // they still prove data of other points
			case going[id]:
				drop(&plan.Objects, o)
			default:
				drop(&plan.Orphans, o)
			}
		}
	}
	for id, size := range s.scripts {
		if _, listed := s.listed[id]; !listed && done(id) {
			drop(&plan.Orphans, stored{key: scriptKey(s.asset, id), size: size})
		}
	}
	for _, o := range s.probes {
		drop(&plan.Orphans, o)
	}
	plan.Orphans = append(plan.Orphans, s.remnants...)
	slices.Sort(plan.Objects)
	slices.Sort(plan.Orphans)
}
