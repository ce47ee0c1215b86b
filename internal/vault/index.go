package vault

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/durable"
)

// Catalogue is what this machine knows of the points of a vault: a copy of its listing in
// one file, so that looking something up needs no request. The bucket is the truth; a
// catalogue that is lost or damaged is an empty one, and Rebuild makes it again. It is safe
// for concurrent use; of two processes that write one file the last one wins, which loses
// nothing that the bucket does not know.
type Catalogue struct {
	path string

	mu      sync.Mutex         // protects below
	vault   string             // URL of the vault that the rest is about
	read    time.Time          // when it was last refreshed
	entries map[string][]Entry // by asset, newest first
}

// Entry is one point as the catalogue knows it.
type Entry struct {
	Asset   string    `json:"asset"`
	Name    string    `json:"name"` // of the asset, for people; hostile
	Point   string    `json:"point"`
	Type    string    `json:"type"`
	Kind    string    `json:"kind"`
	Class   string    `json:"class,omitempty"`
	Cut     time.Time `json:"cut"`
	Bytes   int64     `json:"bytes"` // that a restore downloads
	Objects int       `json:"objects"`
	Scheme  string    `json:"scheme"`           // of encryption: "none", "age", "gpg"; "" without objects
	Level   Level     `json:"level,omitempty"`  // proven, by the names of receipts
	Failed  bool      `json:"failed,omitempty"` // a failed verification stands
	Parent  string    `json:"parent,omitempty"`
	Signer  string    `json:"signer,omitempty"`  // the public key whose signature fits, base64; "": not signed
	Problem string    `json:"problem,omitempty"` // why the manifest cannot be used; then most fields are empty
}

// CatalogueReport says what Rebuild has found.
type CatalogueReport struct {
	Assets   int      `json:"assets"`
	Points   int      `json:"points"`             // with those that cannot be used
	Unusable []string `json:"unusable,omitempty"` // manifests and why, one line each
}

// lateness is how long before the newest point, and before its own last look, Refresh looks
// for points that came late: listings that lag, backups that ran long, clocks that differ.
const lateness = 3 * 24 * time.Hour

// OpenCatalogue opens the catalogue in a file, whose directory must exist. A file that is
// not there, is damaged or has another form is an empty catalogue; the error is about a
// file that cannot be read.
func OpenCatalogue(path string) (*Catalogue, error) {
	c := &Catalogue{path: path, entries: map[string][]Entry{}}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	var raw []byte
	if err == nil && fi.Size() < maxCatalogue {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open catalogue %q: %w", path, err)
	}
	c.decode(string(raw))
	return c, nil
}

// Entries lists the points of an asset, of all assets for "", newest first.
func (c *Catalogue) Entries(asset string) []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if asset != "" {
		return slices.Clone(c.entries[asset])
	}
	var all []Entry
	for _, list := range c.entries {
		all = append(all, list...)
	}
	slices.SortFunc(all, newestFirst)
	return all
}

func newestFirst(a, b Entry) int {
	if d := strings.Compare(b.Point, a.Point); d != 0 {
		return d
	}
	return strings.Compare(a.Asset, b.Asset)
}

// Age is how long ago the catalogue was refreshed; false when it never was.
func (c *Catalogue) Age(now time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.read), !c.read.IsZero()
}

// Refresh reads what is new in the vault: the manifests of points that the catalogue does
// not know, and the names of all receipts and tombstones, a thousand in a request. Points
// that were pruned are dropped. Points that came from a clock more than three days slow,
// and old ones that somebody deleted by hand, are noticed by Rebuild only. After an error
// the catalogue is as it was.
func (c *Catalogue) Refresh(ctx context.Context, v *Vault) error {
	c.mu.Lock()
	known, read := c.entries, c.read
	if c.vault != v.url {
		known, read = nil, time.Time{}
	}
	c.mu.Unlock()
	began := v.o.Now()
	_, err := c.gather(ctx, v, began, func(asset string) ([]Entry, error) {
		return v.news(ctx, asset, known[asset], read)
	})
	if err != nil {
		return fmt.Errorf("refresh the catalogue of %s: %w", v, err)
	}
	return nil
}

// Rebuild forgets what the catalogue knows and reads the manifest of every point.
func (c *Catalogue) Rebuild(ctx context.Context, v *Vault) (CatalogueReport, error) {
	report, err := c.gather(ctx, v, v.o.Now(), func(asset string) ([]Entry, error) {
		return v.news(ctx, asset, nil, time.Time{})
	})
	if err != nil {
		return CatalogueReport{}, fmt.Errorf("rebuild the catalogue of %s: %w", v, err)
	}
	return report, nil
}

// gather puts together the entries of every asset and makes them the catalogue.
func (c *Catalogue) gather(ctx context.Context, v *Vault, began time.Time, news func(asset string) ([]Entry, error)) (CatalogueReport, error) {
	var report CatalogueReport
	assets, err := v.Assets(ctx)
	if err != nil {
		return report, err
	}
	entries := map[string][]Entry{}
	for _, asset := range assets {
		list, err := news(asset)
		if err != nil {
			return report, err
		}
		if len(list) == 0 {
			continue
		}
		if err := v.stand(ctx, asset, list); err != nil {
			return report, err
		}
		slices.SortFunc(list, newestFirst)
		entries[asset] = list
		report.Assets++
		report.Points += len(list)
		for _, e := range list {
			if e.Problem != "" {
				report.Unusable = append(report.Unusable, e.Problem)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := Catalogue{vault: v.url, read: began, entries: entries}
	if err := durable.WriteFile(c.path, next.encode(), 0o600); err != nil {
		return report, fmt.Errorf("write %q: %w", filepath.Base(c.path), err)
	}
	c.vault, c.read, c.entries = next.vault, next.read, next.entries
	return report, nil
}

// news gives the entries of an asset: those of known that are still there, and what has
// come since.
func (v *Vault) news(ctx context.Context, asset string, known []Entry, read time.Time) ([]Entry, error) {
	since := time.Time{}
	if len(known) > 0 && !read.IsZero() {
		since = read // not only the newest point: one from the future would hide what comes
		if t := timeOf(known[0].Point); t.Before(since) {
			since = t
		}
		since = since.Add(-lateness)
	}
	ids, err := v.Points(ctx, asset, since)
	if err != nil {
		return nil, err
	}
	have := make(map[string]Entry, len(known))
	for _, e := range known {
		have[e.Point] = e
	}
	list := make([]Entry, len(ids))
	err = each(ctx, len(ids), func(ctx context.Context, i int) (err error) {
		if e, ok := have[ids[i]]; ok && e.Problem == "" {
			list[i] = e
			return nil
		}
		list[i], err = v.entry(ctx, asset, ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e Entry) bool { return e.Point == "" })
	if since.IsZero() {
		return list, nil
	}
	gone, err := v.buried(ctx, asset, have)
	if err != nil {
		return nil, err
	}
	for _, e := range known {
		if e.Point[:len(stampLayout)] < stamp(since) && !gone[e.Point] {
			list = append(list, e)
		}
	}
	return list, nil
}

// entry reads one manifest; the zero Entry when it has vanished.
func (v *Vault) entry(ctx context.Context, asset, id string) (Entry, error) {
	m, err := v.Get(ctx, asset, id)
	switch {
	case errors.Is(err, ErrNoBackup):
		return Entry{}, nil
	case Unusable(err):
		return Entry{Asset: asset, Point: id, Cut: timeOf(id), Problem: err.Error()}, nil
	case err != nil:
		return Entry{}, err
	}
	e := Entry{
		Asset: asset, Name: m.Name, Point: id, Type: m.Type, Kind: m.Kind, Class: m.Class, Cut: m.Cut,
		Bytes: m.Size(), Objects: len(m.Chain),
	}
	if m.Parent != nil {
		e.Parent = m.Parent.ID
	}
	if m.Sig != nil {
		e.Signer = m.Sig.Key
	}
	for _, o := range m.Chain { // of several, the one that anybody can read is worth knowing
		if e.Scheme == "" || o.Encryption.Scheme == "none" {
			e.Scheme = o.Encryption.Scheme
		}
	}
	return e, nil
}

// buried says which of the known points have a tombstone and no manifest any more.
func (v *Vault) buried(ctx context.Context, asset string, known map[string]Entry) (map[string]bool, error) {
	names, err := v.store.list(ctx, tombstonesPrefix(asset))
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		_, ok := known[strings.TrimSuffix(n, ".json")]
		return !ok
	})
	gone := map[string]bool{}
	var mu sync.Mutex
	err = each(ctx, len(names), func(ctx context.Context, i int) error {
		id := strings.TrimSuffix(names[i], ".json")
		_, err := v.store.stat(ctx, manifestKey(asset, id))
		if errors.Is(err, errNotExist) {
			mu.Lock()
			defer mu.Unlock()
			gone[id] = true
			return nil
		}
		return err
	})
	return gone, err
}

// stand sets what the receipts say, by their names.
func (v *Vault) stand(ctx context.Context, asset string, list []Entry) error {
	names := map[string][]receiptName{}
	prefix := assetsPrefix + asset + "/v/"
	err := v.store.scan(ctx, prefix, "", func(o stored) error {
		point, name, _ := strings.Cut(strings.TrimPrefix(o.key, prefix), "/")
		if r, ok := parseReceiptName(name); ok {
			names[point] = append(names[point], r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range list {
		of := names[list[i].Point]
		slices.SortFunc(of, func(a, b receiptName) int { return strings.Compare(a.name, b.name) })
		level, failure := standing(of)
		list[i].Level, list[i].Failed = level, failure != nil
	}
	return nil
}

// The file: a line that names the form, the SHA-256 of the rest, and the rest, in which
// numbers are varints and texts have their length before them. JSON would take five times
// as long to read.
const (
	catalogueForm = "lifeboat.catalogue/2\n"
	maxCatalogue  = 1 << 30
)

func (c *Catalogue) encode() []byte {
	raw := append([]byte(catalogueForm), make([]byte, sha256.Size)...)
	text := func(s string) {
		raw = binary.AppendUvarint(raw, uint64(len(s)))
		raw = append(raw, s...)
	}
	text(c.vault)
	raw = binary.AppendVarint(raw, c.read.UnixMilli())
	raw = binary.AppendUvarint(raw, uint64(len(c.entries)))
	for asset, list := range c.entries {
		text(asset)
		raw = binary.AppendUvarint(raw, uint64(len(list)))
		for _, e := range list {
			for _, s := range []string{e.Name, e.Point, e.Type, e.Kind, e.Class, e.Scheme, string(e.Level), e.Parent, e.Signer, e.Problem} {
				text(s)
			}
			failed := int64(0)
			if e.Failed {
				failed = 1
			}
			for _, n := range []int64{e.Cut.UnixMilli(), e.Bytes, int64(e.Objects), failed} {
				raw = binary.AppendVarint(raw, n)
			}
		}
	}
	sum := sha256.Sum256(raw[len(catalogueForm)+sha256.Size:])
	copy(raw[len(catalogueForm):], sum[:])
	return raw
}

// decode fills an empty catalogue, or leaves it empty. Texts share the memory of raw.
func (c *Catalogue) decode(raw string) {
	rest, ok := strings.CutPrefix(raw, catalogueForm)
	if !ok || len(rest) < sha256.Size {
		return
	}
	if sum := sha256.Sum256([]byte(rest[sha256.Size:])); string(sum[:]) != rest[:sha256.Size] {
		return
	}
	d := catalogueDecoder{rest: rest[sha256.Size:]}
	vault, read := d.text(), time.UnixMilli(d.number()).UTC()
	entries := map[string][]Entry{}
	for range d.count() {
		asset := d.text()
		list := make([]Entry, d.count())
		for i := range list {
			e := &list[i]
			e.Asset = asset
			e.Name, e.Point, e.Type, e.Kind, e.Class, e.Scheme = d.text(), d.text(), d.text(), d.text(), d.text(), d.text()
			e.Level, e.Parent, e.Signer, e.Problem = Level(d.text()), d.text(), d.text(), d.text()
			e.Cut, e.Bytes, e.Objects, e.Failed = time.UnixMilli(d.number()).UTC(), d.number(), int(d.number()), d.number() == 1
			if d.bad = d.bad || len(e.Point) < len(stampLayout); d.bad {
				return
			}
		}
		entries[asset] = list
	}
	if !d.bad && d.rest == "" {
		c.vault, c.read, c.entries = vault, read, entries
	}
}

type catalogueDecoder struct {
	rest string
	bad  bool
}

func (d *catalogueDecoder) text() string {
	n := d.unsigned()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

// count reads how many things follow, each of which takes more than a byte.
func (d *catalogueDecoder) count() int {
	n := d.unsigned()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *catalogueDecoder) unsigned() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		if len(d.rest) == 0 || shift > 63 {
			d.bad = true
			return 0
		}
		b := d.rest[0]
		d.rest = d.rest[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (d *catalogueDecoder) number() int64 {
	n := d.unsigned()
	if n&1 != 0 {
		return ^int64(n >> 1)
	}
	return int64(n>>1) & math.MaxInt64
}
