package files

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// absent is the state of a file that is not there.
const absent = "-"

// recordName is the record of a restore in the directory that keeps what it replaced.
const recordName = "restore.json"

// record says what a restore is about to do. It is made durable before anything changes,
// and lies beside the files that it speaks of: it is no more secret than they.
type record struct {
	Point   string   `json:"point"`
	Key     string   `json:"key"` // of the states
	Changes []change `json:"changes"`
}

// change is one file or directory that a restore changes. States are keyed hashes of
// type, mode and content.
type change struct {
	Path   string      `json:"path"`
	Dir    bool        `json:"dir,omitempty"` // is made; never replaces
	Mode   fs.FileMode `json:"mode"`          // of a directory that is made
	Before string      `json:"before"`
	After  string      `json:"after"`
}

// state hashes an entry with a key: plans are journalled, and a plain hash of a small
// secret would let it be guessed.
func state(key string, e tree.Entry) string {
	h := hmac.New(sha256.New, []byte(key))
	if e.Type == tree.Dir {
		fmt.Fprint(h, "d")
	} else {
		fmt.Fprintf(h, "%c %o %s", e.Type, e.Mode, e.Sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// now gives the state of what stands at a path, absent for nothing.
func now(ctx context.Context, root *os.Root, key, name string) (string, tree.Entry, error) {
	e, err := tree.Look(ctx, root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return absent, e, nil
	}
	if err != nil {
		return "", e, err
	}
	return state(key, e), e, nil
}

// survey is what a restore would change, from what it is now.
type survey struct {
	record
	digest  string // of the present state of all files that the point has
	same    int    // files that are as the point has them
	created int
}

// surveyOf compares the files of a point with what stands in their place.
func surveyOf(ctx context.Context, root *os.Root, m vault.Manifest, l tree.List, only []string) (survey, error) {
	s := survey{record: record{Point: m.ID, Key: l.Salt}}
	h := hmac.New(sha256.New, []byte(l.Salt))
	chosen := map[string]bool{}
	for _, e := range l.Entries {
		if !wanted(e, only, chosen) {
			continue
		}
		was, live, err := now(ctx, root, l.Salt, e.Path)
		if errors.Is(err, tree.ErrUnsuitable) {
			return s, hint.Wrap(fmt.Errorf("%w: %w", action.ErrRefused, err), "move it away, or restore with to: into a new directory")
		}
		if err != nil {
			return s, err
		}
		if was != absent && (live.Type == tree.Dir) != (e.Type == tree.Dir) {
			return s, hint.Wrap(fmt.Errorf("%w: %q is a directory on one side and a file on the other", action.ErrRefused, e.Path),
				"move it away, or restore with to: into a new directory")
		}
		fmt.Fprintf(h, "%s %s\n", was, e.Path)
		after := state(l.Salt, e)
		if was == after {
			if e.Type != tree.Dir {
				s.same++
			}
			continue
		}
		if was == absent && e.Type != tree.Dir {
			s.created++
		}
		s.Changes = append(s.Changes, change{Path: e.Path, Dir: e.Type == tree.Dir, Mode: e.Mode, Before: was, After: after})
	}
	for _, name := range only {
		if !chosen[name] {
			return s, hint.Wrap(fmt.Errorf("%w: point %s has no %q", action.ErrRefused, m.ID, name), "\"lifeboat vault diff\" and \"show\" tell what a point has")
		}
	}
	s.digest = hex.EncodeToString(h.Sum(nil))
	return s, nil
}

// wanted chooses the entries that only names, what lies below them and what leads to
// them. chosen collects which names were found.
func wanted(e tree.Entry, only []string, chosen map[string]bool) bool {
	if len(only) == 0 {
		return true
	}
	ok := false
	for _, name := range only {
		switch {
		case e.Path == name, strings.HasPrefix(e.Path, name+"/"):
			chosen[name], ok = true, true
		case e.Type == tree.Dir && strings.HasPrefix(name, e.Path+"/"):
			ok = true
		}
	}
	return ok
}

// stage rebuilds and proves a point in dir, which must not exist, and reads its list.
func stage(ctx context.Context, env *action.Env, s Source, v Vault, m vault.Manifest, dir string) (tree.List, error) {
	restored, err := v.Restore(ctx, m, s.Kind, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log})
	if err != nil {
		return tree.List{}, err
	}
	env.Printf("point %s is rebuilt and proven: %s", m.ID, restored.Evidence)
	in, err := os.Open(filepath.Join(dir, tree.ListName))
	if err != nil {
		return tree.List{}, err
	}
	defer in.Close()
	return tree.ReadList(ctx, in)
}

// planReplace rebuilds the point aside: its manifest does not tell the names of its files.
func (d Deps) planReplace(ctx context.Context, env *action.Env, p restoreParams, s Source, v Vault, m vault.Manifest, out action.Plan) (action.Plan, error) {
	if err := env.Allowed(s.Path); err != nil {
		return action.Plan{}, err
	}
	scratch, err := os.MkdirTemp(env.Scratch, "point-")
	if err != nil {
		return action.Plan{}, fmt.Errorf("make a private directory: %w", err)
	}
	defer os.RemoveAll(scratch)
	list, err := stage(ctx, env, s, v, m, filepath.Join(scratch, "point"))
	if err != nil {
		return action.Plan{}, err
	}
	root, err := openRoot(s.Path)
	if err != nil {
		return action.Plan{}, err
	}
	defer root.Close()
	sv, err := surveyOf(ctx, root, m, list, p.Files)
	if err != nil {
		return action.Plan{}, err
	}
	keep := free(root, tree.Own+"before-"+env.Run)
	out.Facts["how"], out.Facts["path"], out.Facts["before"], out.Facts["keep"] = howReplace, s.Path, sv.digest, keep
	out.Target, out.Token = s.Path, filepath.Base(s.Path)+"@"+sv.digest[:7]
	out.Checks = append(out.Checks, action.Check{Text: "the point can be rebuilt", OK: true, Evidence: printable.Count(len(list.Entries), "proven name")})
	if out.Nothing = len(sv.Changes) == 0; out.Nothing {
		out.Effect, out.Token = action.Write, ""
		out.Summary = fmt.Sprintf("%s already holds what point %s holds", s.Path, m.ID)
		return out, nil
	}
	replaced := sv.names(func(c change) bool { return c.Before != absent })
	created := sv.names(func(c change) bool { return c.Before == absent && !c.Dir })
	out.Summary = fmt.Sprintf("replaces %s and brings back %s in %s", printable.Count(len(replaced), "file"), printable.Count(len(created), "file"), s.Path)
	for _, l := range []action.Line{{Label: "replaces", Text: joined(replaced)}, {Label: "brings back", Text: joined(created)}} {
		if l.Text != "" {
			out.Lines = append(out.Lines, l)
		}
	}
	out.Lines = append(out.Lines,
		action.Line{Label: "stays", Text: fmt.Sprintf("%s that the point has as they are, and every file that it does not have", printable.Count(sv.same, "file"))},
		action.Line{Label: "is kept", Text: filepath.Join(s.Path, keep)})
	out.Stop = "Yes: each file is the old or the new one; undo puts back those that were replaced."
	out.Back = "the old files are put back from " + filepath.Join(s.Path, keep)
	return out, nil
}

func openRoot(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("open directory %q: %w", dir, err), "make it, or restore with to: into a new directory")
	}
	return root, nil
}

// free gives the first of name, name-2, name-3 … that is not there.
func free(root *os.Root, name string) string {
	for n := 1; ; n++ {
		out := name
		if n > 1 {
			out = fmt.Sprintf("%s-%d", name, n)
		}
		if _, err := root.Lstat(out); err != nil {
			return out
		}
	}
}

func (r record) names(want func(change) bool) (out []string) {
	for _, c := range r.Changes {
		if want(c) {
			out = append(out, printable.Line(c.Path))
		}
	}
	return out
}

// joined lists names in one line, the first ones.
func joined(list []string) string {
	const most = 10
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(", and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

func (d Deps) runReplace(ctx context.Context, env *action.Env, p restoreParams, s Source, v Vault, m vault.Manifest, plan action.Plan, res action.Result) (action.Result, error) {
	if s.Path != plan.Facts["path"] {
		return action.Result{}, fmt.Errorf("%w: asset %q lies elsewhere now: %q", action.ErrChanged, s.Name, s.Path)
	}
	if err := env.Allowed(s.Path); err != nil {
		return action.Result{}, err
	}
	if plan.Nothing {
		res.Evidence = "nothing to do: the files are those of point " + m.ID
		return res, nil
	}
	root, err := openRoot(s.Path)
	if err != nil {
		return action.Result{}, err
	}
	defer root.Close()
	// Below the directory, so that renames stay on one filesystem. What is left of it
	// after a crash is removed when the step is tried again.
	staging := tree.Own + "restoring-" + env.Run
	if err := errors.Join(root.RemoveAll(staging), private(root, staging)); err != nil {
		return action.Result{}, fmt.Errorf("make room for the restored point: %w", err)
	}
	defer func() {
		if rerr := root.RemoveAll(staging); rerr != nil {
			env.Printf("%v", rerr)
		}
	}()
	list, err := stage(ctx, env, s, v, m, filepath.Join(s.Path, staging, "point"))
	if err != nil {
		return action.Result{}, err
	}
	sv, err := surveyOf(ctx, root, m, list, p.Files)
	if err != nil {
		return action.Result{}, err
	}
	if sv.digest != plan.Facts["before"] {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: a file in %q", action.ErrChanged, s.Path), "stop what writes there, then look at the new plan")
	}
	keep := plan.Facts["keep"]
	if err := writeRecord(root, s.Path, keep, sv.record); err != nil {
		return action.Result{}, err
	}
	x := exchange{root: root, key: sv.Key, keep: path.Join(keep, tree.TreeName), report: env.Report}
	for _, c := range sv.Changes {
		x.moves = append(x.moves, move{change: c, from: path.Join(staging, "point", tree.TreeName, c.Path)})
	}
	if err := x.run(ctx); err != nil {
		if !errors.Is(err, action.ErrUnclear) { // every old file still stands in its place
			err = errors.Join(err, root.RemoveAll(keep))
		}
		return action.Result{}, err
	}
	return d.confirm(ctx, root, sv.record, plan, res)
}

// private makes a directory for files of the asset, many of which are secret. It lies in
// what is often a repository, whose ignored files have names that do not match in there;
// so it says itself that git is to leave it alone, before it holds anything.
func private(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o700); err != nil {
		return err
	}
	return root.WriteFile(path.Join(name, ".gitignore"), []byte("*\n"), 0o600)
}

// writeRecord makes the record durable, in a directory of its own.
func writeRecord(root *os.Root, dir, keep string, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	full := filepath.Join(dir, keep)
	if err := private(root, keep); err != nil { // one that is there belongs to another attempt
		return fmt.Errorf("%w: keep the old files: %w", action.ErrChanged, err)
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(full, recordName), data, 0o600); err != nil {
		return fmt.Errorf("keep the old files: %w", err)
	}
	return nil
}

func readRecord(dir, keep string) (r record, err error) {
	data, err := os.ReadFile(filepath.Join(dir, keep, recordName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %q: %w", filepath.Join(dir, keep, recordName), err)
	}
	for _, c := range r.Changes {
		if err := tree.CheckName(c.Path); err != nil {
			return r, fmt.Errorf("read %q: %w", filepath.Join(dir, keep, recordName), err)
		}
	}
	return r, nil
}

// confirm looks at what stands in the places now.
func (d Deps) confirm(ctx context.Context, root *os.Root, r record, plan action.Plan, res action.Result) (action.Result, error) {
	var others []string
	for _, c := range r.Changes {
		got, _, err := now(ctx, root, r.Key, c.Path)
		if err != nil {
			return action.Result{}, fmt.Errorf("%w: the restore was done, then: %w", action.ErrUnclear, err)
		}
		if got != c.After {
			others = append(others, printable.Line(c.Path))
		}
	}
	keep := filepath.Join(plan.Facts["path"], plan.Facts["keep"])
	check := action.Check{Text: "the files are those of the point", OK: true, Evidence: printable.Count(len(r.Changes), "changed name")}
	if len(others) > 0 {
		check.Text = "the files were those of the point; another program has written since to " + joined(others)
	}
	res.Checks = []action.Check{check}
	res.Evidence = fmt.Sprintf("%s in %s come from point %s, the old ones are kept in %s", printable.Count(len(r.Changes), "changed name"), plan.Facts["path"], r.Point, keep)
	res.Outputs["kept"], res.Outputs["changed"] = keep, int64(len(r.Changes))
	res.Facts = map[string]string{"kept": keep}
	return res, nil
}

func (d Deps) probeReplace(ctx context.Context, plan action.Plan) (action.Probe, error) {
	dir, keep := plan.Facts["path"], plan.Facts["keep"]
	pr := action.Probe{Finding: action.Unknown, Command: []string{"ls -laR " + filepath.Join(dir, keep)}}
	r, err := readRecord(dir, keep)
	if errors.Is(err, fs.ErrNotExist) {
		pr.Finding, pr.Found, pr.Means = action.NotApplied, "no record", "The record of what is replaced comes before the first file, and it is not there."
		return pr, nil
	}
	if err != nil {
		return pr, err
	}
	root, err := openRoot(dir)
	if err != nil {
		return pr, err
	}
	defer root.Close()
	before, after := 0, 0
	for _, c := range r.Changes {
		switch got, _, err := now(ctx, root, r.Key, c.Path); {
		case err != nil:
			return pr, err
		case got == c.After:
			after++
		case got == c.Before:
			before++
		}
	}
	n := len(r.Changes)
	pr.Outputs = map[string]any{"point": r.Point, "kept": filepath.Join(dir, keep), "changed": int64(n)}
	pr.Before, pr.Wanted = fmt.Sprintf("%d of %d as before", n, n), fmt.Sprintf("%d of %d restored", n, n)
	pr.Found = fmt.Sprintf("%d restored, %d as before, %d others", after, before, n-after-before)
	switch {
	case after == n:
		pr.Finding, pr.Means = action.Applied, "Every file is that of the point."
	case before == n:
		pr.Finding, pr.Means = action.NotApplied, "Every file is as it was before the step."
	default:
		pr.Means = "A part of the files was replaced, or somebody has written to them. Undo puts back what was replaced."
	}
	return pr, nil
}
