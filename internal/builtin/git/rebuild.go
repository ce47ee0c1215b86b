package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/printable"
)

// mirror makes a bare copy of every ref, by a fresh init and a fetch.
func mirror(ctx context.Context, from, to string) error {
	if err := initRepo(ctx, to, true, formatOf(ctx, from)); err != nil {
		return err
	}
	_, err := command.Run(ctx, command.Git(to, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", "--", from, "+refs/*:refs/*"))
	return err
}

// formatOf is the object format of a repository on this machine; sha1 for every other,
// where a wrong guess ends in an error of the fetch.
func formatOf(ctx context.Context, from string) string {
	src, err := repo.ParseSource(from)
	if err != nil || src.Path == "" {
		return "sha1"
	}
	out, err := command.Output(ctx, command.Git(src.Path, "rev-parse", "--show-object-format"))
	if err != nil {
		return "sha1"
	}
	return strings.TrimSpace(string(out))
}

func initRepo(ctx context.Context, dir string, bare bool, format string) error {
	args := []string{"init", "--quiet", "--template=", "--object-format=" + format}
	if bare {
		args = append(args, "--bare")
	}
	if _, err := command.Run(ctx, command.Git("", append(args, "--end-of-options", dir)...)); err != nil {
		return fmt.Errorf("make repository %q: %w", dir, err)
	}
	return nil
}

// rebuild makes a working clone in s.build from a repository, and takes over what can
// be saved of the old clone s.dir. notes say what could not.
func rebuild(ctx context.Context, env *action.Env, r Repo, s site, from string) (notes []string, err error) {
	if err := initRepo(ctx, s.build, false, formatOf(ctx, from)); err != nil {
		return nil, err
	}
	if err := fetchAll(ctx, r, s.build, from); err != nil {
		return nil, err
	}
	if err := configure(ctx, r, s); err != nil {
		return nil, err
	}
	head, err := defaultHead(ctx, r, s.build, from)
	if err != nil {
		return nil, err
	}
	if s.before != "" {
		if notes, err = takeOver(ctx, env, r, s); err != nil {
			return nil, err
		}
		if old := oldBranch(s.dir); old != "" {
			head = old
		}
	}
	if err := setHead(ctx, r, s.build, head); err != nil {
		return nil, err
	}
	copied := 0
	if s.before != "" {
		var skipped []string
		if copied, skipped, err = copyTree(ctx, s.dir, s.build, dotGit); err != nil {
			return nil, fmt.Errorf("copy the work tree: %w", err)
		}
		notes = append(notes, skipped...)
		if skipped, err = takeInner(ctx, s); err != nil {
			return nil, err
		}
		notes = append(notes, skipped...)
	}
	if err := fillTree(ctx, s.build, copied == 0); err != nil {
		return nil, err
	}
	return notes, syncAll(s.build)
}

// syncAll makes everything in the build durable before it gets its name: one call for
// the file system instead of one for each of what may be a million files.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("make %q durable: %w", dir, err)
	}
	return nil
}

// fetchAll fetches what a clone has: branches as remote-tracking ones, tags, and refs
// of Lifeboat. A point made of a working clone has remote-tracking branches already;
// then its own branches are taken as they are.
func fetchAll(ctx context.Context, r Repo, dir, from string) error {
	out, err := command.Output(ctx, command.Git(dir, "ls-remote", "--", from))
	if err != nil {
		return fmt.Errorf("read refs to rebuild from: %w", err)
	}
	refs, err := repo.ParseRefs(string(out))
	if err != nil {
		return err
	}
	tracking := "refs/remotes/" + r.remoteName() + "/"
	specs := []string{"+refs/heads/*:" + tracking + "*", "+refs/tags/*:refs/tags/*", "+refs/lifeboat/*:refs/lifeboat/*", "+refs/notes/*:refs/notes/*"}
	if slices.ContainsFunc(refs, func(ref repo.Ref) bool { return strings.HasPrefix(ref.Name, tracking) }) {
		specs = []string{"+refs/*:refs/*"}
	}
	args := append([]string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", "--", from}, specs...)
	if _, err := command.Run(ctx, command.Git(dir, args...)); err != nil {
		return fmt.Errorf("fetch what to rebuild from: %w", err)
	}
	return nil
}

// configure sets the remote, and what of the old settings can do no harm.
func configure(ctx context.Context, r Repo, s site) error {
	settings := [][2]string{}
	if r.Remote != "" {
		settings = append(settings, [2]string{"remote." + r.remoteName() + ".url", showURL(r.Remote)},
			[2]string{"remote." + r.remoteName() + ".fetch", "+refs/heads/*:refs/remotes/" + r.remoteName() + "/*"})
	}
	settings = append(settings, oldSettings(ctx, r, s)...)
	for _, kv := range settings {
		if _, err := command.Run(ctx, command.Git(s.build, "config", "--local", kv[0], kv[1])); err != nil {
			return fmt.Errorf("configure the rebuilt clone: %w", err)
		}
	}
	return nil
}

// defaultHead is the branch that the source has checked out.
func defaultHead(ctx context.Context, r Repo, dir, from string) (string, error) {
	out, err := command.Output(ctx, command.Git(dir, "ls-remote", "--symref", "--", from, "HEAD"))
	if err != nil {
		return "", fmt.Errorf("read HEAD to rebuild from: %w", err)
	}
	if ref := symref(string(out)); ref != "" {
		return strings.TrimPrefix(ref, "refs/heads/"), nil
	}
	return append(slices.Clone(r.Branches), "main")[0], nil
}

// oldBranch is what the old clone had checked out, empty when that cannot be read.
func oldBranch(dir string) string {
	return strings.TrimPrefix(symref(readSmall(filepath.Join(dir, ".git", "HEAD"))), "refs/heads/")
}

// setHead checks out a branch without touching files: the local one that was taken
// over, else a new one at its remote-tracking branch.
func setHead(ctx context.Context, r Repo, dir, branch string) error {
	ref := "refs/heads/" + branch
	here, err := refIn(ctx, dir, ref)
	if err != nil {
		return err
	}
	tracking, err := refIn(ctx, dir, "refs/remotes/"+r.remoteName()+"/"+branch)
	if err != nil {
		return err
	}
	if here == "" && tracking != "" {
		if err := setRef(ctx, dir, ref, tracking, ""); err != nil {
			return err
		}
	}
	if tracking != "" {
		for _, kv := range [][2]string{{"remote", r.remoteName()}, {"merge", ref}} {
			if _, err := command.Run(ctx, command.Git(dir, "config", "--local", "branch."+branch+"."+kv[0], kv[1])); err != nil {
				return fmt.Errorf("configure branch %q: %w", branch, err)
			}
		}
	}
	_, err = command.Run(ctx, command.Git(dir, "symbolic-ref", "HEAD", ref))
	return err
}

// takeOver brings local branches, tags, the stash, kept refs and a detached HEAD of the old
// clone into the new one, each by itself, because any of them may be broken.
func takeOver(ctx context.Context, env *action.Env, r Repo, s site) (notes []string, err error) {
	refs, err := refsOf(ctx, s.dir, "refs/")
	if err != nil {
		return []string{"local branches could not be read; they are in the old clone"}, nil
	}
	k, err := openDesk(ctx, env, Repo{Name: "old", Dir: s.dir}, Place{Name: "the rebuilt clone", Dir: s.build})
	if err != nil {
		return []string{"the old clone's objects could not be read; local branches stay there"}, nil
	}
	defer k.close()
	if k.clone, err = objectsOf(ctx, s.build); err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if strings.HasPrefix(ref.Name, "refs/remotes/"+r.remoteName()+"/") || ref.Name == "refs/stash" {
			continue
		}
		if err := takeRef(ctx, k, s.build, ref.Name, ref.OID); err != nil {
			notes = append(notes, fmt.Sprintf("%s at %s could not be taken over: %s", printable.Line(ref.Name), short(ref.OID), printable.Line(err.Error())))
		}
	}
	if u := begun(filepath.Join(s.dir, ".git")); u.what != "" {
		notes = append(notes, "a "+u.what+" was half done: its files are here, begin it again")
	}
	for _, t := range detached(s) {
		if err := k.importInto(ctx, s.build, t.oid); err != nil {
			notes = append(notes, fmt.Sprintf("HEAD of %s at %s could not be taken over: %s", printable.Line(t.name), short(t.oid), printable.Line(err.Error())))
		} else if err := setRef(ctx, s.build, "refs/lifeboat/"+s.run+"/head-"+short(t.oid), t.oid, ""); err != nil {
			return notes, err
		}
	}
	stash, err := takeStash(ctx, k, s)
	return append(notes, stash...), err
}

func takeRef(ctx context.Context, k *desk, dir, name, oid string) error {
	now, err := refIn(ctx, dir, name)
	if err != nil || now == oid {
		return err
	}
	types, err := k.types(ctx, []string{oid})
	if err != nil {
		return err
	}
	if types[oid] == "" {
		return errors.New("its object is gone")
	}
	if err := k.importInto(ctx, dir, oid); err != nil {
		return err
	}
	return setRef(ctx, dir, name, oid, now)
}

// takeStash copies the entries of the stash, oldest first: they stand in its reflog.
func takeStash(ctx context.Context, k *desk, s site) (notes []string, err error) {
	entries, err := readReflog(filepath.Join(s.dir, ".git", "logs", "refs", "stash"))
	if err != nil {
		return nil, nil // no stash
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.oid] {
			continue
		}
		seen[e.oid] = true
		if err := k.importInto(ctx, s.build, e.oid); err != nil {
			notes = append(notes, fmt.Sprintf("stash entry %s could not be taken over", short(e.oid)))
			continue
		}
		message := "stash taken over"
		if subject, err := k.output(ctx, "log", "-1", "--no-show-signature", "--format=%s", e.oid, "--"); err == nil && subject != "" {
			message = subject
		}
		c := command.Git(s.build, "update-ref", "--create-reflog", "-m", message, "refs/stash", e.oid)
		if _, err := command.Run(ctx, c); err != nil {
			return notes, fmt.Errorf("take over the stash: %w", err)
		}
	}
	return notes, nil
}

// fillTree makes the index, and the files too where the work tree is empty. Without
// them, what differs from the commit shows as a change, and nothing is overwritten.
func fillTree(ctx context.Context, dir string, files bool) error {
	if oid, err := refIn(ctx, dir, "HEAD"); err != nil || oid == "" {
		return err // an unborn branch has no files
	}
	args := []string{"read-tree", "HEAD"}
	if files {
		args = []string{"read-tree", "--reset", "-u", "HEAD"}
	}
	if _, err := command.Run(ctx, command.Git(dir, args...)); err != nil {
		return fmt.Errorf("fill the work tree: %w", err)
	}
	// Exit 1 says that files differ, which they may.
	var exit *command.ExitError
	_, err := command.Run(ctx, command.Git(dir, "update-index", "-q", "--refresh"))
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// swap puts build in the place of dir and dir into before. The two directories change
// places in one step where the kernel can; a crash in between leaves dir in place and
// both others named as the probe expects.
func (s site) swap() error {
	if _, err := os.Lstat(s.dir); errors.Is(err, os.ErrNotExist) {
		return durable.Rename(s.build, s.dir)
	}
	err := unix.Renameat2(unix.AT_FDCWD, s.build, unix.AT_FDCWD, s.dir, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		if err := durable.SyncDir(filepath.Dir(s.dir)); err != nil {
			return fmt.Errorf("%w: swap %q: %w", action.ErrUnclear, s.dir, err)
		}
		if err := durable.Rename(s.build, s.before); err != nil {
			return fmt.Errorf("%w: the rebuilt one is in place, and the old one is still %q: %w", action.ErrUnclear, s.build, err)
		}
		return nil
	case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL):
		return fmt.Errorf("swap %q: %w", s.dir, err)
	}
	if err := durable.Rename(s.dir, s.before); err != nil {
		return fmt.Errorf("move %q aside: %w", s.dir, err)
	}
	if err := durable.Rename(s.build, s.dir); err != nil {
		if back := durable.Rename(s.before, s.dir); back != nil {
			return fmt.Errorf("%w: %w; and the old one is still %q: %w", action.ErrUnclear, err, s.before, back)
		}
		return fmt.Errorf("put the rebuilt clone in place: %w", err)
	}
	return nil
}
