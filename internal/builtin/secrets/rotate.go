package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const rotateDoc = `Gives variables of environment files new random values: for secrets that we make
ourselves, such as keys that sign sessions. What a provider issues (a password of a mail
server, a key of a payment service) is rotated there, and never by this: name only what is yours,
such as the output ours of secrets.scan.

Every place in the files of the asset that has the old value gets the same new one; all else
of a file stays as it is, with its owner and mode. No value is shown anywhere. The old files
are kept under .lifeboat-before-<run> at the top of the asset's directory.

` + "```secrets.rotate save=rotated" + `
asset: env
keys: JWT_SIGNING_KEY
` + "```" + `

What was signed or encrypted with an old value is void: people sign in again. Restart what
reads the files.
`

type rotateParams struct {
	Asset string `param:"asset,required" help:"the environment files"`
	Keys  string `param:"keys,required" help:"names of the variables, divided by blanks or commas"`
}

func (d Deps) rotate() action.Action {
	return action.New(action.Def[rotateParams]{
		Name: "secrets.rotate", Summary: "Give secrets in environment files new values", Doc: rotateDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p rotateParams) error {
			for _, k := range words(p.Keys) {
				if !lineForm.MatchString(k + "=") {
					return &action.ArgError{Name: "keys", Msg: fmt.Sprintf("%q is no name of a variable", k), Fix: "write NEXTAUTH_SECRET JWT_SIGNING_KEY"}
				}
			}
			if len(words(p.Keys)) == 0 {
				return &action.ArgError{Name: "keys", Msg: "no variable is named", Fix: "write NEXTAUTH_SECRET JWT_SIGNING_KEY"}
			}
			return nil
		},
		Plan: d.planRotate, Run: d.runRotate,
		Inverse: &action.Inverse[rotateParams]{Plan: d.planUnrotate, Run: d.runUnrotate},
	})
}

// spot is a file that changes.
type spot struct {
	Name  string   `json:"name"`
	Vars  []string `json:"vars"`
	State string   `json:"state"` // size, time and inode; no hash, which would let a short secret be guessed
}

func stateOf(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d %o %d", info.Size(), info.ModTime().UnixNano(), info.Mode().Perm(), inode(info))
}

// find says which files hold the old value of a variable that is named, and what each old
// value was before a first attempt of this run that kept files under kept.
func (s Source) find(ctx context.Context, keys []string, kept string) (files []file, spots []spot, old map[string]string, err error) {
	if files, err = s.read(ctx); err != nil {
		return nil, nil, nil, err
	}
	old = map[string]string{}
	found := map[string]bool{}
	for _, f := range files {
		for _, v := range f.vars {
			if !slices.Contains(keys, v.name) {
				continue
			}
			found[v.name] = true
			if n := len(v.value.Reveal()); n > 0 && n < shortest {
				return nil, nil, nil, hint.Wrap(fmt.Errorf("%w: %s in %q has less than %d characters", action.ErrRefused, v.name, f.name, shortest),
					"it may be no secret: too short a value stands in other places too; change it by hand")
			}
			old[v.value.Reveal()] = v.value.Reveal()
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return found[k] }); len(missing) > 0 {
		return nil, nil, nil, hint.Wrapf(fmt.Errorf("%w: no file of asset %q has %s", action.ErrRefused, s.Name, strings.Join(missing, ", ")),
			"it has %s", strings.Join(secretNames(files), ", "))
	}
	delete(old, "")
	if err := s.begun(files, keys, kept, old); err != nil {
		return nil, nil, nil, err
	}
	for _, f := range files {
		var names []string
		for _, v := range f.vars {
			value := v.value.Reveal()
			if slices.Contains(keys, v.name) || holds(value, old) {
				names = append(names, v.name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			spots = append(spots, spot{f.name, slices.Compact(names), stateOf(f.info)})
		}
	}
	return files, spots, old, nil
}

// begun adds to old what an attempt that was cut short has made of it: one of two places that
// shared a secret has the new value by then and the other not, and both must get the same one.
func (s Source) begun(files []file, keys []string, kept string, old map[string]string) error {
	root, err := os.OpenRoot(filepath.Join(s.Path, kept))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	before := map[string]file{}
	secrets := map[string]bool{}
	for v := range old {
		secrets[v] = true
	}
	for _, f := range files {
		b, err := readFile(root, f.name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && shape(b) != shape(f) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what was kept of %q: %w", f.name, err)
		}
		before[f.name] = b
		for _, v := range b.vars {
			if slices.Contains(keys, v.name) && len(v.value.Reveal()) >= shortest {
				secrets[v.value.Reveal()] = true
			}
		}
	}
	for _, f := range files {
		for i, v := range before[f.name].vars {
			was, now := v.value.Reveal(), f.vars[i].value.Reveal()
			for o := range secrets {
				head, tail, ok := strings.Cut(was, o)
				if !ok || was == now || len(now) < len(head)+len(tail)+shortest || !strings.HasPrefix(now, head) || !strings.HasSuffix(now, tail) {
					continue
				}
				old[now[len(head):len(now)-len(tail)]] = o
			}
		}
	}
	return nil
}

func holds(text string, old map[string]string) bool {
	for v := range old {
		if strings.Contains(text, v) {
			return true
		}
	}
	return false
}

func (d Deps) planRotate(ctx context.Context, env *action.Env, p rotateParams) (action.Plan, error) {
	s, err := d.Files(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(s.Path); err != nil {
		return action.Plan{}, err
	}
	kept := tree.Own + "before-" + env.Run
	_, spots, _, err := s.find(ctx, words(p.Keys), kept)
	if err != nil {
		return action.Plan{}, err
	}
	raw, err := json.Marshal(spots)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Summary: fmt.Sprintf("gives %s of %s new values, in %s", strings.Join(words(p.Keys), ", "), s.Name, printable.Count(len(spots), "file")),
		Target:  s.Path, Facts: map[string]string{"spots": string(raw), "kept": kept},
		Stop: "Yes: each file has either the old values or the new ones; run it again afterwards.",
		Back: "the old files, with the old values, are put back",
	}
	for _, sp := range spots {
		out.Lines = append(out.Lines, action.Line{Label: "changes", Text: printable.Line(sp.Name) + ": " + strings.Join(sp.Vars, ", ")})
	}
	out.Lines = append(out.Lines,
		action.Line{Label: "is void", Text: "what was signed or encrypted with the old values: people sign in again"},
		action.Line{Label: "is kept", Text: "the old files, under " + filepath.Join(s.Path, kept)})
	return out, nil
}

// fresh is a value of at least 256 bits, as long as the old one where that is longer.
func fresh(old string) string {
	b := make([]byte, max(32, (len(old)+1)/2))
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (d Deps) runRotate(ctx context.Context, env *action.Env, p rotateParams, plan action.Plan) (action.Result, error) {
	s, err := d.Files(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if err := env.Allowed(s.Path); err != nil {
		return action.Result{}, err
	}
	var planned []spot
	if err := json.Unmarshal([]byte(plan.Facts["spots"]), &planned); err != nil {
		return action.Result{}, fmt.Errorf("read the plan: %w", err)
	}
	files, spots, old, err := s.find(ctx, words(p.Keys), plan.Facts["kept"])
	if err != nil {
		return action.Result{}, err
	}
	if !slices.EqualFunc(planned, spots, func(a, b spot) bool { return a.Name == b.Name && a.State == b.State && slices.Equal(a.Vars, b.Vars) }) {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: a file of %s is another now", action.ErrChanged, s.Name), "look at the new plan")
	}
	made, values := map[string]string{}, map[string]string{}
	for v, was := range old {
		if made[was] == "" {
			made[was] = fresh(was)
		}
		values[v] = made[was]
	}
	begun := false
	part := func(err error) error {
		if begun && !errors.Is(err, action.ErrUnclear) {
			return hint.Wrap(fmt.Errorf("%w: only a part of the files has new values: %w", action.ErrUnclear, err),
				"run it again: every place gets the same new value; or undo it, which puts the old files back")
		}
		return err
	}
	for _, f := range files {
		if !slices.ContainsFunc(spots, func(sp spot) bool { return sp.Name == f.name }) {
			continue
		}
		if err := s.keep(plan.Facts["kept"], f); err != nil {
			return action.Result{}, part(fmt.Errorf("keep %q: %w", f.name, err))
		}
		if err := s.write(f.name, replaced(f, words(p.Keys), values), f.info); err != nil {
			return action.Result{}, part(fmt.Errorf("write %q: %w", f.name, err))
		}
		begun = true
		env.Printf("%s has new values", f.name)
	}
	return action.Result{
		Evidence: fmt.Sprintf("%s of %s have new values, in %s; restart what reads them", strings.Join(words(p.Keys), ", "), s.Name, printable.Count(len(spots), "file")),
		Outputs:  map[string]any{"keys": words(p.Keys), "files": int64(len(spots)), "kept": filepath.Join(s.Path, plan.Facts["kept"])},
		Back:     plan.Back,
	}, nil
}

// replaced is the text of a file with the new values: of the variables that are named, and
// wherever else an old value stands.
func replaced(f file, keys []string, values map[string]string) []byte {
	var out []byte
	at := 0
	for _, v := range f.vars {
		value := v.value.Reveal()
		next, known := values[value]
		switch {
		case slices.Contains(keys, v.name) && known:
		case slices.Contains(keys, v.name):
			next = fresh("") // it was empty
		default:
			next = value
			for _, o := range longestFirst(values) {
				next = strings.ReplaceAll(next, o, values[o])
			}
		}
		out = append(append(out, f.text[at:v.from]...), next...)
		at = v.to
	}
	out = append(out, f.text[at:]...)
	for _, o := range longestFirst(values) { // in a comment, or in a line that has no form
		out = bytes.ReplaceAll(out, []byte(o), []byte(values[o]))
	}
	return out
}

// longestFirst is an order in which no value spoils one that holds it.
func longestFirst(values map[string]string) []string {
	var list []string
	for v := range values {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return list
}

// keep puts the file as it was aside, once: a second attempt keeps what the first one found.
func (s Source) keep(dir string, f file) error {
	path := filepath.Join(s.Path, dir, filepath.FromSlash(f.name))
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	err := durable.Create(path, f.text, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// write replaces a file and keeps its mode and owner.
func (s Source) write(name string, text []byte, info fs.FileInfo) error {
	path := filepath.Join(s.Path, filepath.FromSlash(name))
	real, err := filepath.EvalSymlinks(path)
	root, rerr := filepath.EvalSymlinks(s.Path)
	if err = errors.Join(err, rerr); err != nil {
		return err
	}
	if rel, err := filepath.Rel(root, real); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("%w: it leads outside of %q", action.ErrRefused, s.Path)
	}
	if err := durable.WriteFile(real, text, info.Mode().Perm()); err != nil {
		if errors.Is(err, durable.ErrUnclear) {
			err = fmt.Errorf("%w: %w", action.ErrUnclear, err)
		}
		return err
	}
	return own(real, info)
}

func (d Deps) planUnrotate(_ context.Context, env *action.Env, p rotateParams, plan action.Plan, _ action.Result) (action.Plan, error) {
	s, err := d.Files(p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	if err := env.Allowed(s.Path); err != nil {
		return action.Plan{}, err
	}
	list, err := s.keptFiles(plan)
	if err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{
		Target: s.Path, Effect: action.Write, Summary: fmt.Sprintf("puts %s back with the old values", printable.Count(len(list), "file")),
		Lines: []action.Line{{Label: "brings back", Text: "values that may be known to others: " + strings.Join(words(p.Keys), ", ")}},
		Stop:  "Yes: each file has either the old values or the new ones.", Back: "rotate again",
	}
	if len(list) == 0 {
		out.Nothing, out.Summary = true, "no file had got new values"
	}
	return out, nil
}

// keptFiles are those of the plan that were put aside.
func (s Source) keptFiles(plan action.Plan) ([]string, error) {
	var spots []spot
	if err := json.Unmarshal([]byte(plan.Facts["spots"]), &spots); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var out []string
	for _, sp := range spots {
		switch _, err := os.Lstat(filepath.Join(s.Path, plan.Facts["kept"], filepath.FromSlash(sp.Name))); {
		case err == nil:
			out = append(out, sp.Name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return out, nil
}

// runUnrotate puts the old files back where nothing but values has changed since.
func (d Deps) runUnrotate(ctx context.Context, env *action.Env, p rotateParams, undo, plan action.Plan, _ action.Result) (action.Result, error) {
	s, err := d.Files(p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	if err := env.Allowed(s.Path); err != nil {
		return action.Result{}, err
	}
	list, err := s.keptFiles(plan)
	if err != nil {
		return action.Result{}, err
	}
	root, err := os.OpenRoot(s.Path)
	if err != nil {
		return action.Result{}, err
	}
	defer root.Close()
	for _, name := range list {
		if err := ctx.Err(); err != nil {
			return action.Result{}, err
		}
		old, err := readFile(root, filepath.ToSlash(filepath.Join(plan.Facts["kept"], name)))
		if err != nil {
			return action.Result{}, fmt.Errorf("read what was kept of %q: %w", name, err)
		}
		now, err := readFile(root, name)
		if err != nil {
			return action.Result{}, fmt.Errorf("read %q: %w", name, err)
		}
		if shape(old) != shape(now) {
			return action.Result{}, hint.Wrapf(fmt.Errorf("%w: %q has other lines now", action.ErrChanged, name), "what it was is kept as %s", filepath.Join(s.Path, plan.Facts["kept"], name))
		}
		if err := s.write(name, old.text, now.info); err != nil {
			return action.Result{}, fmt.Errorf("write %q: %w", name, err)
		}
	}
	return action.Result{Evidence: undo.Summary}, nil
}

// shape is a file without the values of its variables.
func shape(f file) string {
	var names []string
	for _, v := range f.vars {
		names = append(names, v.name)
	}
	return strings.Join(names, "\n")
}
