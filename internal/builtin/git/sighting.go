package git

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// sighting is a commit that a branch may have had, and how we know.
type sighting struct {
	oid     string
	when    time.Time // when it was seen; for a loose commit its date
	where   string
	certain bool     // the branch had it, not only: it exists
	pushed  bool     // it is in the shared repository or a mirror of it
	point   string   // only a restore point is known to hold it
	by      string   // who moved the branch there, where the shared repository says so
	places  []string // where it was seen, each named once; of merged sightings
}

// gather looks everywhere. A place that cannot be read is told in the log and passed
// over: after a disaster some always are.
func (f finder) gather(ctx context.Context) []sighting {
	var out []sighting
	tracking := "refs/remotes/" + f.r.remoteName() + "/" + f.branch
	if f.r.Dir != "" {
		out = append(out, f.inPlace(ctx, "the working clone", f.r.Dir, false, "refs/heads/"+f.branch, tracking)...)
	}
	if dir, ok := f.r.localRemote(); ok {
		out = append(out, f.inPlace(ctx, f.r.remoteName(), dir, true, "refs/heads/"+f.branch)...)
	}
	for i, m := range f.r.Mirrors {
		out = append(out, f.atMirror(ctx, m, i)...)
	}
	for _, c := range f.r.Clones {
		out = append(out, f.inPlace(ctx, "the clone of "+c.Name, c.Dir, false, tracking)...)
	}
	return append(out, f.inVault(ctx)...)
}

// inPlace looks at refs, their reflogs and unreferenced commits of one repository.
func (f finder) inPlace(ctx context.Context, name, dir string, pushed bool, refs ...string) []sighting {
	name = printable.Line(name)
	objects, err := objectsOf(ctx, dir)
	if err != nil {
		f.env.Printf("cannot look into %s: %v", name, err)
		return nil
	}
	// A local branch may have had commits that never left the clone.
	shared := func(ref string) bool { return pushed || strings.HasPrefix(ref, "refs/remotes/") }
	var out []sighting
	for _, ref := range refs {
		log, err := readReflog(filepath.Join(filepath.Dir(objects), "logs", filepath.FromSlash(ref)))
		if err != nil {
			f.env.Printf("no reflog of %s in %s: %v", ref, name, err)
		}
		for _, s := range log {
			s.where = fmt.Sprintf("in the reflog of %s of %s, %s", strings.TrimPrefix(ref, "refs/"), name, clock(f.env.Now(), s.when))
			s.pushed, s.certain, s.places = pushed, shared(ref), []string{name}
			if !pushed {
				s.by = "" // who fetched it is not who pushed it
			}
			out = append(out, s)
		}
		if oid, err := refIn(ctx, dir, ref); err == nil && oid != "" {
			out = append(out, sighting{oid: oid, certain: shared(ref), pushed: pushed, places: []string{name},
				where: fmt.Sprintf("as %s of %s", strings.TrimPrefix(ref, "refs/"), name)})
		}
	}
	return append(out, f.dangling(ctx, name, dir, pushed)...)
}

// readReflog reads both sides of every entry: what a ref became and what it was until
// then. The file is read as text, so that a broken repository can still tell. Only its
// last part counts where it is very long.
func readReflog(path string) ([]sighting, error) {
	const most = 4 << 20
	file, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if info.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return nil, err
	}
	return parseReflog(data), nil
}

// parseReflog takes what it understands of lines that anybody may have written.
func parseReflog(data []byte) []sighting {
	var out []sighting
	for line := range strings.Lines(string(data)) {
		head, _, _ := strings.Cut(line, "\t")
		f := strings.Fields(head)
		if len(f) < 4 || !isOID(f[0]) || !isOID(f[1]) {
			continue
		}
		sec, err := strconv.ParseInt(f[len(f)-2], 10, 64)
		if err != nil {
			continue
		}
		by, _, _ := strings.Cut(strings.Join(f[2:len(f)-2], " "), " <")
		for i, oid := range f[:2] {
			if strings.Trim(oid, "0") != "" {
				out = append(out, sighting{oid: oid, when: time.Unix(sec, 0), by: []string{"", by}[i]})
			}
		}
	}
	return out
}

// dangling lists the tips of what nothing refers to, the newest first.
func (f finder) dangling(ctx context.Context, name, dir string, pushed bool) []sighting {
	const most = 50
	call := command.Git(dir, "fsck", "--connectivity-only", "--no-reflogs", "--no-progress", "--dangling")
	// Broken objects make git fail after it told what it found.
	out, _ := command.Output(ctx, call)
	var oids []string
	for line := range strings.Lines(string(out)) {
		if oid, ok := strings.CutPrefix(strings.TrimSpace(line), "dangling commit "); ok && isOID(oid) {
			oids = append(oids, oid)
		}
	}
	if len(oids) == 0 {
		return nil
	}
	dates := f.k.git("log", "--no-walk=unsorted", "--ignore-missing", "--format=%H %ct", "--stdin")
	dates.Stdin = strings.NewReader(strings.Join(oids, "\n") + "\n")
	text, err := command.Output(ctx, dates)
	if err != nil {
		f.env.Printf("cannot read unreferenced commits of %s: %v", name, err)
	}
	var found []sighting
	for line := range strings.Lines(string(text)) {
		oid, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		if sec, err := strconv.ParseInt(at, 10, 64); err == nil {
			found = append(found, sighting{oid: oid, when: time.Unix(sec, 0), pushed: pushed, places: []string{name},
				where: fmt.Sprintf("among unreferenced commits of %s", name)})
		}
	}
	slices.SortFunc(found, func(a, b sighting) int { return b.when.Compare(a.when) })
	return found[:min(most, len(found))]
}

// inVault reads the tips that restore points of the last weeks recorded.
func (f finder) inVault(ctx context.Context) []sighting {
	const weeks = 5
	v, err := f.d.Vault(ctx)
	if err != nil {
		f.env.Printf("cannot look into the vault: %v", err)
		return nil
	}
	asset := vault.AssetID(f.r.stored())
	list, err := v.List(ctx, asset, f.env.Now().Add(-weeks*7*24*time.Hour))
	if err != nil {
		f.env.Printf("some restore points cannot be read: %v", err)
	}
	if len(list) == 0 {
		if m, err := v.Latest(ctx, asset); err == nil {
			list = append(list, m)
		}
	}
	var out []sighting
	for _, m := range list {
		facts, err := repo.ParseFacts(m.Facts)
		if err != nil {
			f.env.Printf("restore point %s: %v", m.ID, err)
			continue
		}
		for _, line := range facts.Refs {
			oid, name, _ := strings.Cut(line, " ")
			if name == "refs/heads/"+f.branch || name == "refs/remotes/"+f.r.remoteName()+"/"+f.branch {
				out = append(out, sighting{oid: oid, when: m.Cut, certain: true, point: m.ID, places: []string{"the vault"},
					where: fmt.Sprintf("in restore point %s, %s", m.ID, clock(f.env.Now(), m.Cut))})
			}
		}
	}
	return out
}

// bringFromVault restores the newest point that knows a later state than every place
// whose objects we can see, so that it can be compared with the others.
func (f finder) bringFromVault(ctx context.Context, seen []sighting) ([]sighting, error) {
	var oids []string
	for _, s := range seen {
		oids = append(oids, s.oid)
	}
	types, err := f.k.types(ctx, oids)
	if err != nil {
		return nil, err
	}
	var latest sighting // of what only the vault has
	var here time.Time  // of what is here, lost, and known to have been the branch
	for _, s := range seen {
		switch {
		case !s.certain:
		case types[s.oid] == "" && s.point != "" && s.when.After(latest.when):
			latest = s
		case types[s.oid] == "commit" && s.when.After(here) && (f.current == "" || !f.k.descends(ctx, f.current, s.oid)):
			here = s.when
		}
	}
	if latest.point == "" || !latest.when.After(here) {
		return seen, nil
	}
	f.env.Printf("restore point %s knows %s, which no repository here has: restoring it to look", latest.point, short(latest.oid))
	if err := f.d.bring(ctx, f.env, f.k, f.r, latest.point); err != nil {
		f.env.Printf("restore point %s: %v", latest.point, err)
	}
	return seen, nil
}

// merged joins sightings of one commit: certain beats loose, later beats earlier. The
// latest seen comes first.
func merged(list []sighting) []sighting {
	at := map[string]int{}
	var out []sighting
	for _, s := range list {
		i, known := at[s.oid]
		if !known {
			at[s.oid] = len(out)
			s.places = slices.Clone(s.places)
			out = append(out, s)
			continue
		}
		before := out[i]
		if s.certain && !before.certain || s.certain == before.certain && s.when.After(before.when) {
			out[i] = s
		}
		out[i].pushed = before.pushed || s.pushed
		out[i].by = cmp.Or(before.by, s.by) // the first time that the branch came to it
		out[i].places = before.places
		for _, p := range s.places {
			if !slices.Contains(out[i].places, p) {
				out[i].places = append(out[i].places, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b sighting) int { return b.when.Compare(a.when) })
	return out
}

// atMirror looks at a mirror: as at any other repository where it is on this machine, else
// at what its branch is. A mirror has what was pushed, and may have missed the accident.
func (f finder) atMirror(ctx context.Context, m Mirror, n int) []sighting {
	name := "the mirror " + m.Name
	if err := f.env.Allowed(m.URL); err != nil {
		f.env.Printf("not looking at %s: %v", name, err)
		return nil
	}
	if dir := m.local(); dir != "" {
		return f.inPlace(ctx, name, dir, true, "refs/heads/"+f.branch)
	}
	refs, err := f.k.refsAt(ctx, m, "refs/heads/"+f.branch)
	if err != nil {
		f.env.Printf("cannot look at %s: %v", name, err)
		return nil
	}
	var out []sighting
	for _, ref := range refs {
		if ref.Name != "refs/heads/"+f.branch {
			continue
		}
		if types, err := f.k.types(ctx, []string{ref.OID}); err != nil || types[ref.OID] == "" {
			if err := f.k.fetchFrom(ctx, m, ref.Name, fmt.Sprintf("refs/desk/mirror-%d", n)); err != nil {
				f.env.Printf("cannot fetch from %s: %v", name, err)
				continue
			}
		}
		out = append(out, sighting{oid: ref.OID, certain: true, pushed: true, places: []string{name}, where: "as heads/" + f.branch + " of " + name})
	}
	return out
}
