package secrets

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const scanDoc = `Looks for the values that the environment files have now in every object of a repository:
all branches, all of their history, and what no branch reaches any more. A secret that
stands there is known to everybody who ever cloned it, and deleting the file does not take
it out: it needs a new value.

` + "```secrets.scan save=leaked" + `
asset: env
repository: monorepo
allow_findings: true
` + "```" + `

Taken for secrets are variables with telling names (SECRET, PASSWORD, TOKEN, …_KEY) and at
least twelve characters, or those that keys: names. Findings name the variable and the commit,
never the value. Fetch first what only the shared repository has.

What is found is saved in two lists. ours: what we make ourselves, such as NEXTAUTH_SECRET,
and what the asset lists as ours: in lifeboat.yaml; secrets.rotate may give these new values.
others: all the rest, or "none". Whoever issued those has to replace them.
`

type scanParams struct {
	Asset      string `param:"asset,required" help:"the environment files"`
	Repository string `param:"repository,required" help:"the git asset whose clone is searched"`
	Keys       string `param:"keys" help:"names of variables to look for, in place of those with telling names"`
	Allow      bool   `param:"allow_findings" help:"a finding is no failure"`
}

func (d Deps) scan() action.Action {
	return action.New(action.Def[scanParams]{
		Name: "secrets.scan", Summary: "Look for secrets in the history of a repository", Doc: scanDoc,
		Effect: action.Read, Repeat: action.Safe,
		Plan: d.planScan, Run: d.runScan,
	})
}

func (d Deps) scanned(env *action.Env, p scanParams) (Source, string, error) {
	s, err := d.Files(p.Asset)
	if err != nil {
		return s, "", err
	}
	dir, err := d.Repository(p.Repository)
	if err != nil {
		return s, "", err
	}
	return s, dir, errors.Join(env.Allowed(s.Path), env.Allowed(dir))
}

func (d Deps) planScan(ctx context.Context, env *action.Env, p scanParams) (action.Plan, error) {
	s, dir, err := d.scanned(env, p)
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("looks for the secrets of %s in every object of %s", s.Name, dir),
		Target:  dir, Stop: "Yes: it only reads.",
		Lines: []action.Line{{Label: "shows", Text: "names of variables and commits; never a value"}},
	}, nil
}

func (d Deps) runScan(ctx context.Context, env *action.Env, p scanParams, _ action.Plan) (action.Result, error) {
	s, dir, err := d.scanned(env, p)
	if err != nil {
		return action.Result{}, err
	}
	files, err := s.read(ctx)
	if err != nil {
		return action.Result{}, err
	}
	wanted := map[string][]string{} // value -> "file NAME"
	foreign := map[string]bool{}    // values of which one place is not ours
	for _, f := range files {
		for _, v := range f.vars {
			named := slices.Contains(words(p.Keys), v.name) && len(v.value.Reveal()) >= shortest
			if named || p.Keys == "" && v.secret() {
				wanted[v.value.Reveal()] = append(wanted[v.value.Reveal()], f.name+" "+v.name)
				foreign[v.value.Reveal()] = foreign[v.value.Reveal()] || !s.ours(v)
			}
		}
	}
	if len(wanted) == 0 {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: asset %q has no secrets to look for", action.ErrRefused, s.Name), "name them with keys:; each needs at least twelve characters")
	}
	found, objects, err := search(ctx, env, dir, wanted)
	if err != nil {
		return action.Result{}, fmt.Errorf("search %q: %w", dir, err)
	}
	var names, others, lines []string
	for value, ids := range found {
		for _, name := range wanted[value] {
			_, key, _ := strings.Cut(name, " ")
			names = append(names, key)
			if foreign[value] {
				others = append(others, key)
			}
			lines = append(lines, fmt.Sprintf("%s stands in %s: %s", name, printable.Count(len(ids), "object"), where(ctx, dir, ids)))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	slices.Sort(others)
	others = slices.Compact(others)
	ours := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
	slices.Sort(lines)
	for _, line := range lines {
		env.Printf("%s", line)
	}
	res := action.Result{
		Evidence: fmt.Sprintf("none of %s stands in %d objects of %s", printable.Count(len(wanted), "secret"), objects, dir),
		Outputs:  map[string]any{"found": int64(len(names)), "names": names, "ours": strings.Join(ours, " "), "others": cmp.Or(strings.Join(others, " "), "none"), "objects": objects},
	}
	if len(names) == 0 {
		return res, nil
	}
	res.Evidence = fmt.Sprintf("%s of %d stand in the history of %s: %s", printable.Count(len(names), "secret"), len(wanted), dir, strings.Join(names, ", "))
	if p.Allow {
		return res, nil
	}
	err = fmt.Errorf("%w: %s", action.ErrCheck, res.Evidence)
	if len(ours) > 0 {
		err = hint.Wrapf(err, "give new values to %s: secrets.rotate", strings.Join(ours, ", "))
	}
	if len(others) > 0 {
		err = hint.Wrapf(err, "have %s replaced by whoever issued it, write the new value into the file, and look again", strings.Join(others, ", "))
	}
	return res, err
}

// mostObjects bounds what is kept of one secret.
const mostObjects = 50

// search reads every object once and says which hold a value.
func search(ctx context.Context, env *action.Env, dir string, wanted map[string][]string) (map[string][]string, int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := command.Git(dir, "cat-file", "--batch-all-objects", "--batch", "--buffer", "--unordered")
	c.StdoutPipe = true
	p, err := command.Start(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	found := map[string][]string{}
	n, rerr := objects(bufio.NewReaderSize(p.Stdout, 256<<10), func(id string, part []byte) {
		for value := range wanted {
			ids := found[value]
			if len(ids) < mostObjects && (len(ids) == 0 || ids[len(ids)-1] != id) && bytes.Contains(part, []byte(value)) {
				found[value] = append(ids, id)
			}
		}
	}, longest(wanted), func(n int64) { env.Report(n, 0, "objects") })
	if rerr != nil {
		cancel()
	}
	_, err = p.Wait()
	return found, n, errors.Join(rerr, err)
}

func longest(wanted map[string][]string) (n int) {
	for v := range wanted {
		n = max(n, len(v))
	}
	return n
}

// objects reads what git cat-file --batch writes and gives each object in pieces, which
// overlap by so much that no value is cut in two. Memory stays flat.
func objects(r *bufio.Reader, look func(id string, part []byte), overlap int, progress func(int64)) (n int64, err error) {
	buf := make([]byte, 0, max(1<<20, 4*overlap))
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF && line == "" {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read objects: %w", err)
		}
		f := strings.Fields(line)
		if len(f) != 3 {
			return n, fmt.Errorf("git cat-file wrote %q", printable.Line(line))
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil || size < 0 {
			return n, fmt.Errorf("git cat-file wrote %q", printable.Line(line))
		}
		buf = buf[:0]
		for size > 0 {
			if len(buf) == cap(buf) {
				copy(buf, buf[len(buf)-overlap:])
				buf = buf[:overlap]
			}
			k := int(min(size, int64(cap(buf)-len(buf))))
			at := len(buf)
			buf = buf[:at+k]
			if _, err := io.ReadFull(r, buf[at:]); err != nil {
				return n, fmt.Errorf("read object %s: %w", f[0], err)
			}
			size -= int64(k)
			look(f[0], buf)
		}
		if _, err := r.Discard(1); err != nil {
			return n, fmt.Errorf("read object %s: %w", f[0], err)
		}
		if n++; n%1000 == 0 {
			progress(n)
		}
	}
}

// where names commits that brought an object, or the object where none did.
func where(ctx context.Context, dir string, ids []string) string {
	var out []string
	for _, id := range ids[:min(3, len(ids))] {
		text, err := command.Output(ctx, command.Git(dir, "log", "--all", "--find-object="+id, "--format=%h by %an on %as", "--max-count=2"))
		lines := strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(text)), " ", "\x00"))
		if err != nil || len(lines) == 0 {
			out = append(out, "object "+id[:12])
			continue
		}
		for _, l := range lines {
			out = append(out, printable.Line(strings.ReplaceAll(l, "\x00", " ")))
		}
	}
	return strings.Join(out, ", ")
}
