package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// gathering says what a lost repository is put together from. Actions embed its fields as
// parameters of their own.
type gathering struct {
	from   string            // newest, vault, mirror, clone
	point  string            // of the vault
	at     string            // instead of point
	mirror string            // name, for from: mirror
	take   map[string]string // branch or tag -> source, where a person has decided
}

// pick is where one ref of the repository comes from.
type pick struct {
	name, oid, from, why string
}

// assembly is a whole repository as far as all copies together have it.
type assembly struct {
	picks   []pick // sorted by name
	leftOut []string
	newer   int       // picks that are newer than the base
	base    string    // what it stands on: "point X of 14:00"
	point   string    // its id, empty when the base is no point
	cut     time.Time // of the point
	head    string    // the default branch, "refs/heads/main"; empty when nobody says
}

// bundle is what one copy has.
type bundle struct {
	name string
	refs []repo.Ref
	whom bool // somebody's clone: what is only there may never have been shared
}

// assemble chooses the source of every ref. With from: newest the newest restore point says
// which refs there are; a copy counts where it is further than the point on the same line, or
// has a branch that is newer than the point. Where histories part nobody guesses: the point
// stays, and what was left out is told. With objects the desk can read everything that was
// chosen; without, only what it took to choose.
func (d Deps) assemble(ctx context.Context, env *action.Env, r Repo, g gathering, objects bool) (_ assembly, _ *desk, err error) {
	bare := r
	bare.Remote, bare.RemoteName = "", "" // it is lost, and nothing of it is trusted
	k, err := d.deskFor(ctx, env, bare, bare.places()...)
	if err != nil {
		return assembly{}, nil, err
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	a := assembly{}
	base, others, err := d.copies(ctx, env, k, r, g, &a)
	if err != nil {
		return a, nil, err
	}
	if a.point != "" && (objects || differing(base, others)) {
		if err := d.bring(ctx, env, k, r, a.point); err != nil {
			return a, nil, fmt.Errorf("restore point %s: %w", a.point, err)
		}
	}
	chosen := map[string]pick{}
	for _, ref := range base.refs {
		chosen[ref.Name] = pick{name: ref.Name, oid: ref.OID, from: base.name}
	}
	for _, b := range others {
		for _, ref := range shared(b.refs) {
			if err := k.weigh(ctx, &a, chosen, b, ref, g.take); err != nil {
				return a, nil, err
			}
		}
	}
	for _, p := range chosen {
		a.picks = append(a.picks, p)
		if p.from != base.name {
			a.newer++
		}
	}
	slices.SortFunc(a.picks, func(x, y pick) int { return strings.Compare(x.name, y.name) })
	if a.head == "" || !slices.ContainsFunc(a.picks, func(p pick) bool { return p.name == a.head }) {
		a.head = fallbackHead(r, a.picks)
	}
	if len(a.picks) == 0 {
		return a, nil, fmt.Errorf("%w: %s has no refs", action.ErrRefused, a.base)
	}
	return a, k, nil
}

// weigh decides about one ref of one copy.
func (k *desk) weigh(ctx context.Context, a *assembly, chosen map[string]pick, b bundle, ref repo.Ref, take map[string]string) error {
	have, known := chosen[ref.Name]
	if known && have.oid == ref.OID {
		return nil
	}
	name := strings.TrimPrefix(strings.TrimPrefix(ref.Name, "refs/heads/"), "refs/tags/")
	out := func(why string) {
		a.leftOut = append(a.leftOut, fmt.Sprintf("%s at %s of %s: %s", printable.Line(name), short(ref.OID), b.name, why))
	}
	if !k.complete(ctx, ref.OID) {
		out("its history is not complete there")
		return nil
	}
	if want := take[name]; want != "" {
		if want == b.name || "the mirror "+want == b.name || "the clone of "+want == b.name {
			chosen[ref.Name] = pick{ref.Name, ref.OID, b.name, "chosen by a person"}
			return nil
		}
		return nil // decided, and not for this one
	}
	branch := strings.HasPrefix(ref.Name, "refs/heads/")
	switch {
	case !known:
		at, err := k.between(ctx, "", ref.OID, "--max-count=1")
		if err != nil {
			return err
		}
		switch {
		case b.whom && !branch:
			out("a tag that only a clone has may never have been shared")
		case len(at) == 1 && (a.cut.IsZero() || at[0].when.After(a.cut)):
			chosen[ref.Name] = pick{ref.Name, ref.OID, b.name, "it is newer than everything that we stand on"}
		default:
			out("it is older than the restore point, which does not have it: it was probably deleted")
		}
	case !branch:
		out("a tag does not move; " + have.from + " has it at " + short(have.oid))
	case k.descends(ctx, have.oid, ref.OID):
		// The copy is behind.
	case k.descends(ctx, ref.OID, have.oid):
		more, err := k.between(ctx, have.oid, ref.OID)
		if err != nil {
			return err
		}
		chosen[ref.Name] = pick{ref.Name, ref.OID, b.name, fmt.Sprintf("%s after %s of %s", summary(more), short(have.oid), have.from)}
	default:
		more, err := k.between(ctx, have.oid, ref.OID)
		if err != nil {
			return err
		}
		out(fmt.Sprintf("it parts from %s of %s and has %s of its own", short(have.oid), have.from, summary(more)))
	}
	return nil
}

// complete says whether the desk sees a commit, or tag, with everything below it.
func (k *desk) complete(ctx context.Context, oid string) bool {
	if _, err := command.Run(ctx, k.git("rev-list", "--objects", "--quiet", oid, "--not", "--all")); err == nil {
		return true
	}
	// What is refused may be one of the refs that were to save work, not this one.
	_, err := command.Run(ctx, k.git("rev-list", "--objects", "--quiet", oid))
	return err == nil
}

// differing says whether a copy has anything that the base does not have as it is.
func differing(base bundle, others []bundle) bool {
	at := byName(base.refs)
	for _, b := range others {
		for _, ref := range shared(b.refs) {
			if at[ref.Name] != ref.OID {
				return true
			}
		}
	}
	return false
}

// copies reads what every copy has: the base, and what may be newer than it.
func (d Deps) copies(ctx context.Context, env *action.Env, k *desk, r Repo, g gathering, a *assembly) (base bundle, others []bundle, err error) {
	if g.from == "newest" || g.from == "vault" {
		base, err = d.fromPoint(ctx, env, r, g, a)
		switch {
		case err == nil:
		case g.from == "vault" || g.point != "" || g.at != "" || ctx.Err() != nil:
			return base, nil, err
		default:
			env.Printf("no restore point: %v", err)
			a.leftOut = append(a.leftOut, "the vault: "+printable.Line(err.Error()))
		}
	}
	if g.from == "newest" || g.from == "mirror" {
		for i, m := range r.Mirrors {
			if g.from == "mirror" && g.mirror != "" && g.mirror != m.Name {
				continue
			}
			b, head, err := k.fromMirror(ctx, env, m, i)
			if err != nil {
				env.Printf("cannot use the mirror %s: %v", m.Name, err)
				continue
			}
			if a.head == "" {
				a.head = head
			}
			others = append(others, b)
		}
	}
	if r.Dir != "" && k.clone != "" && (g.from == "newest" || g.from == "clone") {
		refs, err := clonesView(ctx, r)
		if err != nil {
			env.Printf("cannot use the working clone: %v", err)
		} else {
			others = append(others, bundle{name: "the working clone", refs: refs, whom: true})
		}
	}
	if g.from == "newest" {
		for _, c := range r.Clones {
			refs, err := clonesView(ctx, Repo{Name: r.Name, Dir: c.Dir, RemoteName: r.RemoteName})
			if err != nil {
				env.Printf("cannot use the clone of %s: %v", c.Name, err)
				continue
			}
			others = append(others, bundle{name: "the clone of " + printable.Line(c.Name), refs: refs, whom: true})
		}
	}
	if base.name == "" { // no point: the first copy that has anything is what we stand on
		i := slices.IndexFunc(others, func(b bundle) bool { return len(shared(b.refs)) > 0 })
		if i < 0 {
			return base, nil, hint.Wrap(errors.Join(fmt.Errorf("%w: no copy of %q has anything", action.ErrRefused, r.Name), err),
				"open the vault that holds its backups, list mirrors: and clones: of the asset, or ask everybody for a clone")
		}
		base = others[i]
		base.refs = shared(base.refs)
		a.base = base.name
		others = slices.Delete(others, i, i+1)
	}
	return base, others, nil
}

// fromPoint reads the refs of a restore point.
func (d Deps) fromPoint(ctx context.Context, env *action.Env, r Repo, g gathering, a *assembly) (bundle, error) {
	_, m, f, err := d.point(ctx, r, g.point, g.at, env.Now())
	if err != nil {
		return bundle{}, err
	}
	if m.Kind == vault.Empty {
		return bundle{}, fmt.Errorf("%w: point %s is of an empty repository", action.ErrRefused, m.ID)
	}
	refs, err := f.List()
	if err != nil {
		return bundle{}, err
	}
	// What a clone keeps for itself is not shared.
	refs = slices.DeleteFunc(refs, func(ref repo.Ref) bool {
		return strings.HasPrefix(ref.Name, "refs/remotes/") || ref.Name == "refs/stash"
	})
	a.point, a.cut, a.head = m.ID, m.Cut, ""
	if strings.HasPrefix(f.Head, "refs/heads/") {
		a.head = f.Head
	}
	a.base = fmt.Sprintf("point %s of %s", m.ID, clock(env.Now(), m.Cut))
	return bundle{name: "the point of " + clock(env.Now(), m.Cut), refs: refs}, nil
}

// fromMirror reads a mirror, and brings what it has into sight.
func (k *desk) fromMirror(ctx context.Context, env *action.Env, m Mirror, n int) (bundle, string, error) {
	if err := env.Allowed(m.URL); err != nil {
		return bundle{}, "", err
	}
	refs, err := k.refsAt(ctx, m, "refs/heads/*", "refs/tags/*")
	if err != nil {
		return bundle{}, "", err
	}
	if m.local() == "" {
		for _, part := range []string{"heads", "tags"} {
			if err := k.fetchFrom(ctx, m, "refs/"+part+"/*", fmt.Sprintf("refs/desk/mirror-%d/%s/*", n, part)); err != nil {
				return bundle{}, "", err
			}
		}
	}
	c := k.git("ls-remote", "--symref", "--", m.URL, "HEAD")
	m.as(&c)
	head := ""
	if out, err := command.Output(ctx, c); err == nil {
		head = symref(string(out))
	}
	return bundle{name: "the mirror " + m.Name, refs: refs}, head, nil
}

// symref is the branch that HEAD of a server stands for, empty when it does not say.
func symref(out string) string {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "ref: "); ok {
			if name, _, _ := strings.Cut(rest, "\t"); strings.HasPrefix(name, "refs/heads/") && repo.ValidRef(name) {
				return name
			}
		}
	}
	return ""
}

// fallbackHead is the default branch where no copy names one.
func fallbackHead(r Repo, picks []pick) string {
	for _, name := range append(slices.Clone(r.Branches), "main", "master") {
		if slices.ContainsFunc(picks, func(p pick) bool { return p.name == "refs/heads/"+name }) {
			return "refs/heads/" + name
		}
	}
	for _, p := range picks {
		if strings.HasPrefix(p.name, "refs/heads/") {
			return p.name
		}
	}
	return ""
}
