package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// desk is a bare repository of our own, made for one call, that borrows the objects of
// other repositories through alternates:
//
//	desk.git/objects/info/alternates -> clone, origin when local, other clones, points
//	desk.git/refs/clone/…            -> copies of the clone's refs, so that fetches are small
//
// What is fetched lands in the desk and goes away with it, unless importInto puts it into
// the clone. A desk that a crash leaves behind is a temporary directory and harmless.
type desk struct {
	dir    string // desk.git
	tmp    string // removed by close
	clone  string // objects directory of the clone, empty without a clone
	format string
	known  []string // commits that other places have, beside the refs of the clone
	others []Place  // other repositories of the estate, asked only about what is nowhere else
}

// openDesk makes a desk that sees the clone of r and the other places.
func openDesk(ctx context.Context, env *action.Env, r Repo, others ...Place) (_ *desk, err error) {
	tmp, err := os.MkdirTemp(env.Scratch, "lifeboat-desk-")
	if err != nil {
		return nil, fmt.Errorf("make a private repository: %w", err)
	}
	k := &desk{tmp: tmp, dir: filepath.Join(tmp, "desk.git"), format: "sha1", others: r.Others}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if r.Dir != "" {
		if k.clone, err = objectsOf(ctx, r.Dir); err != nil {
			return nil, err
		}
		out, err := command.Output(ctx, command.Git(r.Dir, "rev-parse", "--show-object-format", "--is-shallow-repository"))
		if err != nil {
			return nil, fmt.Errorf("read object format of %q: %w", r.Dir, err)
		}
		format, shallow, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if shallow == "true" { // who borrows from it walks into commits that are not there
			return nil, hint.Wrap(fmt.Errorf("%w: %q is shallow: its oldest commits lack their parents", action.ErrRefused, r.Dir),
				"complete it: git fetch --unshallow")
		}
		k.format = format
	}
	init := command.Git("", "init", "--quiet", "--bare", "--template=", "--object-format="+k.format, "--end-of-options", k.dir)
	if _, err := command.Run(ctx, init); err != nil {
		return nil, fmt.Errorf("make a private repository: %w", err)
	}
	if k.clone != "" {
		if err := k.borrow(k.clone); err != nil {
			return nil, err
		}
	}
	for _, p := range others {
		objects, err := objectsOf(ctx, p.Dir)
		if err != nil {
			env.Printf("cannot look into %s: %v", p.Name, err)
			continue
		}
		if err := k.borrow(objects); err != nil {
			return nil, err
		}
	}
	return k, k.copyRefs(ctx, r.Dir)
}

// places are the other repositories of r on this machine.
func (r Repo) places() []Place {
	var out []Place
	if dir, ok := r.localRemote(); ok {
		out = append(out, Place{Name: r.remoteName(), Dir: dir})
	}
	for _, m := range r.Mirrors {
		if dir := m.local(); dir != "" {
			out = append(out, Place{Name: "the mirror " + m.Name, Dir: dir})
		}
	}
	return append(out, r.Clones...)
}

func (k *desk) close() {
	// Git makes objects read-only, which does not keep their directory from removal.
	_ = os.RemoveAll(k.tmp)
}

// objectsOf finds the object store of a repository, also of a linked work tree.
func objectsOf(ctx context.Context, dir string) (string, error) {
	out, err := command.Output(ctx, command.Git(dir, "rev-parse", "--git-common-dir"))
	if err != nil {
		return "", hint.Wrap(fmt.Errorf("open repository %q: %w: %w", dir, repo.ErrNotRepository, err),
			"check the path of the asset; if it was a repository before, restore it with git.restore")
	}
	common := strings.TrimSuffix(string(out), "\n")
	if !filepath.IsAbs(common) {
		common = filepath.Join(dir, common)
	}
	return filepath.Join(common, "objects"), nil
}

// borrow lets the desk see the objects of another store.
func (k *desk) borrow(objects string) error {
	if strings.ContainsAny(objects, "\n") || !filepath.IsAbs(objects) {
		return fmt.Errorf("%w: git cannot borrow objects from %q", action.ErrRefused, objects)
	}
	info := filepath.Join(k.dir, "objects", "info")
	if err := os.MkdirAll(info, 0o700); err != nil {
		return fmt.Errorf("borrow objects: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(info, "alternates"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("borrow objects: %w", err)
	}
	_, err = f.WriteString(objects + "\n")
	return errors.Join(err, f.Close())
}

// copyRefs makes the tips of the clone known as refs/clone/…, those that are there.
func (k *desk) copyRefs(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	refs, err := refsOf(ctx, dir, "refs/")
	if err != nil {
		return err
	}
	oids := make([]string, len(refs))
	for i, r := range refs {
		oids[i] = r.OID
	}
	types, err := k.types(ctx, oids)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range refs {
		if types[r.OID] != "" {
			b.WriteString(r.OID + " refs/clone/" + strings.TrimPrefix(r.Name, "refs/") + "\n")
		}
	}
	return os.WriteFile(filepath.Join(k.dir, "packed-refs"), []byte(b.String()), 0o600)
}

// refsOf lists refs of a repository, broken ones too.
func refsOf(ctx context.Context, dir, prefix string) ([]repo.Ref, error) {
	out, err := command.Output(ctx, command.Git(dir, "for-each-ref", "--format=%(objectname) %(refname)", "--end-of-options", prefix))
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("list refs of %q: %w", dir, err)
	}
	return repo.ParseRefs(string(out))
}

// git is a call in the desk.
func (k *desk) git(args ...string) command.Cmd {
	c := command.Git("", args...)
	c.Argv = slices.Insert(c.Argv, 1, "--git-dir="+k.dir)
	return c
}

func (k *desk) output(ctx context.Context, args ...string) (string, error) {
	out, err := command.Output(ctx, k.git(args...))
	return strings.TrimSuffix(string(out), "\n"), err
}

// types tells the type of each object that the desk sees.
func (k *desk) types(ctx context.Context, oids []string) (map[string]string, error) {
	out := map[string]string{}
	if len(oids) == 0 {
		return out, nil
	}
	call := k.git("cat-file", "--batch-check")
	call.Stdin = strings.NewReader(strings.Join(oids, "\n") + "\n")
	text, err := command.Output(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("look for objects: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			out[f[0]] = f[1]
		}
	}
	return out, nil
}

// whole says whether dir itself holds a commit and everything it needs.
func whole(ctx context.Context, dir, oid string) bool {
	if dir == "" {
		return false
	}
	_, err := command.Run(ctx, command.Git(dir, "rev-list", "--objects", "--quiet", oid, "--not", "--all"))
	return err == nil
}

// commit resolves a name or id of the clone, or an id that the desk sees.
func (k *desk) commit(ctx context.Context, dir, arg, rev string) (string, error) {
	if err := checkCommit(arg, rev); err != nil {
		return "", err
	}
	spec := rev + "^{commit}"
	if dir != "" {
		out, err := command.Output(ctx, command.Git(dir, "rev-parse", "--verify", "--quiet", "--end-of-options", spec))
		if err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	if isOID(rev) {
		if out, err := k.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", spec); err == nil {
			return out, nil
		}
	}
	return "", k.noCommit(ctx, dir, arg, rev)
}

// isOID says whether s is a whole or shortened object id.
func isOID(s string) bool {
	return len(s) >= 7 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// importInto makes commits and all they need part of the clone's own objects.
func (k *desk) importInto(ctx context.Context, dir string, oids ...string) error {
	oids = slices.DeleteFunc(slices.Clone(oids), func(oid string) bool { return whole(ctx, dir, oid) })
	if len(oids) == 0 {
		return nil
	}
	// Only what the clone holds for sure may be left out, and after a disaster that is
	// not sure: ask for each tip.
	refs, err := refsOf(ctx, dir, "refs/")
	if err != nil {
		return err
	}
	want := strings.Join(oids, "\n") + "\n"
	if _, err := command.Run(ctx, command.Git(dir, "rev-list", "--objects", "--quiet", "--all")); err == nil {
		for _, r := range refs {
			want += "^" + r.OID + "\n"
		}
	}
	pack := k.git("pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset", "--thin")
	pack.Stdin, pack.StdoutPipe = strings.NewReader(want), true
	from, err := command.Start(ctx, pack)
	if err != nil {
		return err
	}
	into := k.git("index-pack", "--stdin", "--fix-thin")
	into.Env["GIT_OBJECT_DIRECTORY"] = k.clone
	into.Env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = filepath.Join(k.dir, "objects")
	into.Stdin = from.Stdout
	_, err = command.Run(ctx, into)
	from.Stdout.Close()
	if _, packed := from.Wait(); packed != nil {
		err = packed
	}
	if err != nil {
		return fmt.Errorf("bring objects into %q: %w", dir, err)
	}
	for _, oid := range oids {
		if !whole(ctx, dir, oid) {
			return fmt.Errorf("bring objects into %q: commit %q is not complete there", dir, oid)
		}
	}
	return nil
}

// setRef creates, moves (old known) or deletes (to empty) a ref of a repository; old
// empty means that it must not exist.
func setRef(ctx context.Context, dir, ref, to, old string) error {
	line := fmt.Sprintf("update %s\x00%s\x00%s\x00", ref, to, old)
	switch {
	case to == "":
		line = fmt.Sprintf("delete %s\x00%s\x00", ref, old)
	case old == "":
		line = fmt.Sprintf("create %s\x00%s\x00", ref, to)
	}
	c := command.Git(dir, "update-ref", "-z", "--stdin")
	c.Stdin = strings.NewReader(line)
	if _, err := command.Run(ctx, c); err != nil {
		return fmt.Errorf("set %q of %q: %w", ref, dir, err)
	}
	return nil
}

// refIn reads one ref, empty when it does not exist.
func refIn(ctx context.Context, dir, ref string) (string, error) {
	out, err := command.Output(ctx, command.Git(dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref))
	var exit *command.ExitError
	if errors.As(err, &exit) && exit.Exit == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}
