package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/asset/git"
	gitactions "lifeboat/internal/builtin/git"
	"lifeboat/internal/console"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// shelves is what the console was told of the vault: manifests do not change, so each is
// read once. It is safe for concurrent use.
type shelves struct {
	mu        sync.Mutex
	listing   sync.Mutex // held while the bucket is listed: two screens ask once
	catalogue *vault.Catalogue
	manifests map[string]vault.Manifest // by asset and point
	proven    map[string]time.Time      // by asset, point and level
}

// copyFetches bounds the requests that are under way at a time for details of copies.
const copyFetches = 8

// Vault implements console.VaultReader.
func (b *backend) Vault(ctx context.Context, fresh bool) (console.Vault, error) {
	w := b.world
	v, err := w.vaults.get(ctx)
	if err != nil {
		return console.Vault{}, err
	}
	b.shelves.listing.Lock()
	defer b.shelves.listing.Unlock()
	c := b.shelves.catalogue
	if c == nil {
		if c, err = w.catalogue(v); err != nil {
			return console.Vault{}, err
		}
		b.shelves.catalogue = c
	}
	out := console.Vault{URL: v.String(), Next: w.nextBackup(), Facts: w.vaultFacts(), Room: filepath.Join(w.state, "restored")}
	if fresh {
		if err := c.Refresh(ctx, v); err != nil {
			out.Problem = err.Error()
		}
	}
	now := w.env.now()
	if age, ok := c.Age(now); ok {
		out.Listed = now.Add(-age)
	}
	out.Shelves = w.shelvesOf(c)
	for i := range out.Shelves {
		out.Points += out.Shelves[i].Points
	}
	for _, e := range c.Entries("") {
		out.Bytes += e.Bytes
	}
	if fresh && out.Problem == "" {
		out.Problem = b.detail(ctx, v, out.Shelves)
	} else {
		b.remember(out.Shelves)
	}
	return out, nil
}

// shelvesOf groups the catalogue by asset: those of the estate in its order, then what only
// the vault knows.
func (w *world) shelvesOf(c *vault.Catalogue) []console.Shelf {
	var out []console.Shelf
	known := map[string]bool{}
	add := func(name, id, kind string, rpo time.Duration, foreign bool) {
		known[id] = true
		list := c.Entries(id)
		s := console.Shelf{Asset: name, ID: id, Kind: kind, RPO: rpo, Foreign: foreign, Points: len(list)}
		s.Copies = newestOf(list, rpo, w.estate.Retention, w.env.now())
		out = append(out, s)
	}
	for _, a := range w.estate.Assets {
		if p, err := w.protected(a.Name, ""); err == nil {
			add(a.Name, vault.AssetID(p.Asset), a.Kind, a.RPO, false)
		}
	}
	if id := vault.AssetID(w.archiveProtected().Asset); len(c.Entries(id)) > 0 {
		add(archiveAsset, id, estate.Files, 0, false)
	}
	var rest []vault.Entry
	for _, e := range c.Entries("") {
		if !known[e.Asset] {
			known[e.Asset] = true
			rest = append(rest, e)
		}
	}
	slices.SortFunc(rest, func(a, b vault.Entry) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Asset, b.Asset)) })
	for _, e := range rest {
		add(cmp.Or(e.Name, e.Asset), e.Asset, e.Type, 0, true)
	}
	return out
}

// classes of points beside the newest one, and how old the newest of each may become: a
// period and a day's grace.
var classes = []struct {
	name string
	late time.Duration
}{{"weekly", 8 * 24 * time.Hour}, {"monthly", 32 * 24 * time.Hour}, {"quarterly", 93 * 24 * time.Hour}}

// newestOf picks the newest point, then the newest one of each longer class.
func newestOf(list []vault.Entry, rpo time.Duration, r estate.Retention, now time.Time) []console.Copy {
	copyOf := func(class, keep string, e vault.Entry, limit time.Duration) console.Copy {
		c := console.Copy{Class: class, Keep: keep, Point: e.Point, Cut: e.Cut, Bytes: e.Bytes, Level: string(e.Level), Failed: e.Failed, Scheme: e.Scheme, Problem: e.Problem}
		c.Late = limit > 0 && now.Sub(e.Cut) > limit
		return c
	}
	var out []console.Copy
	for _, e := range list { // newest first
		if e.Cut.After(now.Add(time.Minute)) && len(list) > 1 {
			continue // from a clock that is ahead: it says nothing about how old the newest is
		}
		out = append(out, copyOf("newest", kept(r.Daily, "d"), e, rpo))
		break
	}
	keeps := map[string]string{"weekly": kept(r.Weekly, "w"), "monthly": kept(r.Monthly, "m"), "quarterly": kept(r.Yearly, "y")}
	for _, class := range classes {
		if i := slices.IndexFunc(list, func(e vault.Entry) bool { return e.Class == class.name }); i >= 0 {
			out = append(out, copyOf(class.name, keeps[class.name], list[i], class.late))
		}
	}
	return out
}

func kept(n int, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// detail reads what the catalogue does not know of each copy: until when it is locked, its
// key, and when it was proven. It returns what could not be read.
func (b *backend) detail(ctx context.Context, v *vault.Vault, list []console.Shelf) (problem string) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, copyFetches)
	var mu sync.Mutex
	for i := range list {
		for k := range list[i].Copies {
			c, id := &list[i].Copies[k], list[i].ID
			if c.Problem != "" {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := b.detailOf(ctx, v, id, c); err != nil {
					mu.Lock()
					defer mu.Unlock()
					problem = err.Error()
				}
			})
		}
	}
	wg.Wait()
	b.remember(list)
	return problem
}

func (b *backend) detailOf(ctx context.Context, v *vault.Vault, id string, c *console.Copy) error {
	if _, err := b.manifest(ctx, v, id, c.Point); err != nil || c.Level == "" {
		return err
	}
	key := id + " " + c.Point + " " + c.Level
	b.shelves.mu.Lock()
	_, ok := b.shelves.proven[key]
	b.shelves.mu.Unlock()
	if ok {
		return nil
	}
	receipts, err := v.Receipts(ctx, id, c.Point)
	b.shelves.mu.Lock()
	defer b.shelves.mu.Unlock()
	for _, r := range receipts { // oldest first
		if r.Pass && string(r.Level) == c.Level {
			b.shelves.proven[key] = r.Finished
		}
	}
	return err
}

func (b *backend) manifest(ctx context.Context, v *vault.Vault, id, point string) (vault.Manifest, error) {
	key := id + " " + point
	b.shelves.mu.Lock()
	if b.shelves.manifests == nil {
		b.shelves.manifests, b.shelves.proven = map[string]vault.Manifest{}, map[string]time.Time{}
	}
	m, ok := b.shelves.manifests[key]
	b.shelves.mu.Unlock()
	if ok {
		return m, nil
	}
	m, err := v.Get(ctx, id, point)
	if err == nil {
		b.shelves.mu.Lock()
		b.shelves.manifests[key] = m
		b.shelves.mu.Unlock()
	}
	return m, err
}

// remember fills in what was read before.
func (b *backend) remember(list []console.Shelf) {
	b.shelves.mu.Lock()
	defer b.shelves.mu.Unlock()
	for i := range list {
		for k := range list[i].Copies {
			c := &list[i].Copies[k]
			if m, ok := b.shelves.manifests[list[i].ID+" "+c.Point]; ok {
				c.Locked, c.Key = lockedUntil(m), keyOf(m)
			}
			c.ProvenAt = b.shelves.proven[list[i].ID+" "+c.Point+" "+c.Level]
		}
	}
}

// lockedUntil is the moment until which every object that a restore needs is there: the
// earliest of their locks; zero when one has none.
func lockedUntil(m vault.Manifest) time.Time {
	var t time.Time
	for i, o := range m.Chain {
		if o.RetainUntil == nil {
			return time.Time{}
		}
		if i == 0 || o.RetainUntil.Before(t) {
			t = *o.RetainUntil
		}
	}
	return t
}

// keyOf is a short name of the key that opens a point.
func keyOf(m vault.Manifest) string {
	for _, o := range m.Chain {
		if o.KeyID != "" {
			return o.KeyID[:min(len(o.KeyID), 8)]
		}
	}
	return ""
}

// vaultFacts are what the estate says of its vault.
func (w *world) vaultFacts() []console.Fact {
	var out []console.Fact
	switch r := w.estate.Retention; {
	case r.Lock > 0 && r.LockMode == "compliance":
		out = append(out, console.Fact{State: vault.FindingOK, Text: "locked: nobody, not even root, can delete early"})
	case r.Lock > 0:
		out = append(out, console.Fact{State: vault.FindingOK, Text: "locked for " + printable.Span(r.Lock) + ", only an administrator can lift it"})
	default:
		out = append(out, console.Fact{State: vault.FindingWarning, Text: "not locked: who has the credentials can delete copies"})
	}
	for _, f := range w.ownFindings() {
		text, _, _ := strings.Cut(f.Text, ":")
		out = append(out, console.Fact{State: f.Severity, Text: text})
	}
	if n := len(w.estate.Copies); n > 0 {
		out = append(out, console.Fact{State: vault.FindingOK, Text: fmt.Sprintf("copied into %d further vaults", n)})
	}
	return out
}

// nextBackup is the schedule that is due next.
func (w *world) nextBackup() string {
	now, next, name := w.env.now(), time.Time{}, ""
	for _, s := range w.estate.Schedules {
		ticks, err := s.Ticks()
		if err != nil {
			continue
		}
		if t := ticks.Next(now); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next, name = t, s.Runbook
		}
	}
	if name == "" {
		return ""
	}
	return name + " " + next.UTC().Format("15:04")
}

// Point implements console.VaultReader.
func (b *backend) Point(ctx context.Context, asset, point string) (console.Point, error) {
	v, err := b.world.vaults.get(ctx)
	if err != nil {
		return console.Point{}, err
	}
	m, err := b.manifest(ctx, v, asset, point)
	if err != nil {
		return console.Point{}, hint.Wrap(err, "lifeboat vault doctor looks at the vault as a whole")
	}
	p := console.Point{
		Asset: m.Name, ID: m.ID, Kind: m.Kind, Class: m.Class, Started: m.Started, Cut: m.Cut, Finished: m.Finished,
		Host: m.Host, Tool: strings.TrimSpace(m.Tool.Name + " " + m.Tool.Version), Source: m.Source, Bytes: m.Size(), Script: m.ScriptKey(),
		Command: "lifeboat restore " + asset + " --point " + m.ID + " --to DIR",
	}
	for _, o := range m.Chain {
		one := console.Object{Key: o.Key, Role: o.Role, SHA256: o.SHA256, Scheme: o.Encryption.Scheme, Bytes: o.Size}
		if o.RetainUntil != nil {
			one.Locked = *o.RetainUntil
		}
		p.Objects = append(p.Objects, one)
	}
	signer := ""
	if m.Sig != nil {
		signer = m.Sig.Key
	}
	if p.Signed, err = b.world.signed(signer); err != nil {
		return p, err
	}
	receipts, err := v.Receipts(ctx, asset, point)
	for _, r := range slices.Backward(receipts) {
		p.Proofs = append(p.Proofs, console.Proof{At: r.Finished, Level: string(r.Level), Pass: r.Pass, Host: r.Host, Way: r.Way, Why: r.Error,
			Took: time.Duration(r.Took * float64(time.Second)), Evidence: r.Evidence})
	}
	b.neighbours(&p, asset)
	return p, err
}

// neighbours says where a point stands among those of its asset.
func (b *backend) neighbours(p *console.Point, asset string) {
	b.shelves.listing.Lock()
	c := b.shelves.catalogue
	b.shelves.listing.Unlock()
	if c == nil {
		return
	}
	list := c.Entries(asset)
	i := slices.IndexFunc(list, func(e vault.Entry) bool { return e.Point == p.ID })
	if i < 0 {
		return
	}
	p.Number, p.Of = i+1, len(list)
	if i > 0 {
		p.Newer = list[i-1].Point
	}
	if i+1 < len(list) {
		p.Older = list[i+1].Point
	}
}

// mirrorPatience is how long one mirror may take to answer.
const mirrorPatience = 15 * time.Second

// Mirrors implements console.VaultReader.
func (b *backend) Mirrors(ctx context.Context) []console.Mirror {
	w := b.world
	if w.estate == nil {
		return nil
	}
	var out []console.Mirror
	var wg sync.WaitGroup
	for _, a := range w.estate.Assets {
		for _, m := range a.Mirrors {
			out = append(out, console.Mirror{Asset: a.Name, Name: m.Name, Branch: branchOf(a)})
		}
	}
	for i := range out {
		wg.Go(func() { b.askMirror(ctx, &out[i]) })
	}
	wg.Wait()
	return out
}

func branchOf(a estate.Asset) string {
	if len(a.Branches) > 0 {
		return a.Branches[0]
	}
	return "main"
}

func (b *backend) askMirror(ctx context.Context, m *console.Mirror) {
	ctx, cancel := context.WithTimeout(ctx, mirrorPatience)
	defer cancel()
	r, err := b.world.repository(m.Asset)
	if err == nil {
		i := slices.IndexFunc(r.Mirrors, func(x gitactions.Mirror) bool { return x.Name == m.Name })
		m.Commit, err = r.Mirrors[i].Tip(ctx, b.world.scratch.dir(), m.Branch)
	}
	if err != nil {
		m.Problem = err.Error()
		return
	}
	v, err := b.world.vaults.get(ctx)
	if err != nil {
		return
	}
	p, err := b.world.protected(m.Asset, "")
	if err != nil {
		return
	}
	newest, err := v.Latest(ctx, vault.AssetID(p.Asset))
	if err != nil {
		return
	}
	m.Newest, m.Cut = commitIn(newest, m.Branch), newest.Cut
}

// commitIn is the commit that a branch has in a point of a repository.
func commitIn(m vault.Manifest, branch string) string {
	var facts git.Facts
	if json.Unmarshal(m.Facts, &facts) != nil {
		return ""
	}
	for _, line := range facts.Refs {
		if oid, ref, ok := strings.Cut(line, " "); ok && ref == "refs/heads/"+branch {
			return oid
		}
	}
	return ""
}

// Prove implements console.VaultReader.
func (b *backend) Prove(ctx context.Context, asset, point, level string) (run.ID, error) {
	return b.beginTask(ctx, verifyTask(asset, point, level, ""))
}

// RestoreTo implements console.VaultReader.
func (b *backend) RestoreTo(ctx context.Context, asset, point, dir string) (run.ID, error) {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(b.world.env.dir, dir)
	}
	return b.beginTask(ctx, restoreTask(asset, [][2]string{{"asset", asset}, {"to", dir}, {"point", point}}))
}

// beginTask begins a task in a process of its own, as a runbook is begun.
func (b *backend) beginTask(ctx context.Context, t task) (run.ID, error) {
	text, params := t.text()
	book, found := runbook.Parse(t.name+".md", []byte(text))
	p, err := b.world.shelf.sound(book, found)
	if err != nil {
		return "", err
	}
	id, err := b.world.start(ctx, p, wish{book: t.name, params: params, asset: t.asset})
	if err != nil {
		return "", err
	}
	return id, b.world.attach(ctx, id)
}
