package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/printable"
)

// A clone holds more than its own history: the repositories of its submodules, the desks of
// linked work trees, the large files of LFS. What follows takes them over into the rebuilt
// one. No hook and no setting that can make git run a program comes along.

// settingsOf reads settings of a repository, or of a file of settings, that match a pattern.
func settingsOf(ctx context.Context, dir, file, pattern string) (out [][2]string) {
	where := []string{"--local"}
	if file != "" {
		where = []string{"--file", file}
	}
	text, err := command.Output(ctx, command.Git(dir, append(append([]string{"config", "--null"}, where...), "--get-regexp", pattern)...))
	if err != nil {
		return nil // nothing matches, or it cannot be read
	}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if key, value, ok := strings.Cut(entry, "\n"); ok && value != "" {
			out = append(out, [2]string{key, value})
		}
	}
	return out
}

// oldSettings are those of the old clone that can do no harm: who the person is, addresses of
// other remotes and of submodules that we would speak to ourselves, what a branch follows.
func oldSettings(ctx context.Context, r Repo, s site) (out [][2]string) {
	if s.before == "" {
		return nil
	}
	remotes := map[string]bool{r.remoteName(): true}
	for _, kv := range settingsOf(ctx, s.dir, "", `^(user\.(name|email)|(remote|submodule)\..*\.url|branch\..*\.(remote|merge))$`) {
		section, rest, _ := strings.Cut(kv[0], ".")
		name := rest[:max(0, strings.LastIndexByte(rest, '.'))]
		switch {
		case section == "user":
			out = append(out, kv)
		case section == "submodule" && speakable(kv[1]):
			out = append(out, kv, [2]string{"submodule." + name + ".active", "true"})
		case section == "remote" && !remotes[name] && speakable(kv[1]) && repo.ValidRef("refs/remotes/"+name+"/x"):
			remotes[name] = true
			out = append(out, kv, [2]string{"remote." + name + ".fetch", "+refs/heads/*:refs/remotes/" + name + "/*"})
		case section == "branch" && (repo.ValidRef(kv[1]) || repo.ValidRef("refs/remotes/"+kv[1]+"/x")):
			out = append(out, kv)
		}
	}
	return out
}

// within says whether the files of a submodule lie in the clone: git writes and deletes there,
// and the setting comes from a repository that nobody has proven.
func within(module, worktree, clone string) bool {
	if !filepath.IsAbs(worktree) {
		worktree = filepath.Join(module, worktree)
	}
	rel, err := filepath.Rel(clone, worktree)
	first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	return err == nil && filepath.IsLocal(rel) && first != "." && !strings.EqualFold(first, ".git")
}

// speakable says whether an address is one that we would fetch from.
func speakable(address string) bool {
	_, err := repo.ParseSource(address)
	return err == nil
}

// headless is a work tree that stands on a commit and on no branch.
type headless struct{ name, oid string }

// detached lists the clone and its linked work trees where HEAD is a commit and no branch: no
// ref leads to what was committed there.
func detached(s site) (out []headless) {
	heads := []string{"HEAD"}
	for _, name := range linked(s.dir) {
		heads = append(heads, filepath.Join("worktrees", name, "HEAD"))
	}
	for _, head := range heads {
		if oid := readSmall(filepath.Join(s.dir, ".git", head)); len(oid) >= 40 && isOID(oid) {
			out = append(out, headless{strings.TrimSuffix(filepath.Join(".git", head), "/HEAD"), oid})
		}
	}
	return out
}

// linked names the work trees that were made with git worktree add.
func linked(dir string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(dir, ".git", "worktrees"))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// takeInner takes over submodules, linked work trees and large files, and the place where a
// detached HEAD stands. notes say what could not be taken over.
func takeInner(ctx context.Context, s site) (notes []string, err error) {
	old, build := filepath.Join(s.dir, ".git"), filepath.Join(s.build, ".git")
	for _, part := range []struct {
		name  string
		leave func(string) bool
	}{
		{"lfs/objects", func(string) bool { return false }},
		{"modules", unsafeInside},
		{"worktrees", func(p string) bool {
			return strings.Count(p, "/") > 1 || strings.Contains(p, "/") && !strings.Contains("|HEAD|gitdir|commondir|locked|", "|"+path.Base(p)+"|")
		}},
	} {
		from, to := filepath.Join(old, filepath.FromSlash(part.name)), filepath.Join(build, filepath.FromSlash(part.name))
		if info, err := os.Lstat(from); err != nil || !info.IsDir() {
			continue
		}
		if err := os.MkdirAll(to, 0o700); err != nil {
			return notes, fmt.Errorf("take over %s: %w", part.name, err)
		}
		_, skipped, err := copyTree(ctx, from, to, part.leave)
		if err != nil {
			return notes, fmt.Errorf("take over %s: %w", part.name, err)
		}
		for _, why := range skipped {
			notes = append(notes, part.name+"/"+why)
		}
	}
	if notes, err = settleModules(ctx, old, build, notes); err != nil {
		return notes, err
	}
	for _, name := range linked(s.dir) {
		c := command.Git(s.build, "read-tree", "HEAD")
		c.Env["GIT_DIR"] = filepath.Join(build, "worktrees", name)
		if _, err := command.Run(ctx, c); err != nil {
			notes = append(notes, fmt.Sprintf("the linked work tree %s has no index: %s", printable.Line(name), printable.Line(err.Error())))
		}
	}
	if oid := readSmall(filepath.Join(old, "HEAD")); len(oid) >= 40 && isOID(oid) && whole(ctx, s.build, oid) {
		if _, err := command.Run(ctx, command.Git(s.build, "update-ref", "--no-deref", "HEAD", oid)); err != nil {
			return notes, fmt.Errorf("go to the commit of HEAD: %w", err)
		}
	}
	return notes, nil
}

// unsafeInside is what is left out of the repository of a submodule.
func unsafeInside(p string) bool {
	name := path.Base(p)
	return name == "hooks" || name == "config" || name == "config.worktree" || strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "fsmonitor--daemon")
}

// readSmall reads a file of one line that git keeps in its directory, without the space
// around it. What is not there, or is no such file, says nothing.
func readSmall(name string) string {
	f, err := openPlain(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 4<<10))
	return strings.TrimSpace(string(text))
}

// openPlain opens a file of a repository that somebody else made. Anything but a file is
// refused before it is opened: a pipe would keep us waiting for ever.
func openPlain(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no plain file", name)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// settleModules gives each repository of a submodule settings of its own: where its work tree
// is, and its remote.
func settleModules(ctx context.Context, old, build string, notes []string) ([]string, error) {
	root := filepath.Join(build, "modules")
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == root {
			return fs.SkipAll
		}
		if err != nil || !e.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(name, "HEAD")); err != nil {
			return nil
		}
		if _, err := os.Stat(filepath.Join(name, "objects")); err != nil {
			return nil
		}
		rel, err := filepath.Rel(build, name)
		if err != nil {
			return err
		}
		file := filepath.Join(name, "config")
		settings := [][2]string{{"core.repositoryformatversion", "0"}, {"core.bare", "false"}}
		for _, kv := range settingsOf(ctx, "", filepath.Join(old, rel, "config"), `^(core\.worktree|extensions\.objectformat|core\.repositoryformatversion|remote\.[^.]*\.url)$`) {
			remote, isURL := strings.CutSuffix(kv[0], ".url")
			switch {
			case isURL && !speakable(kv[1]):
				continue
			case kv[0] == "core.worktree" && !within(filepath.Join(old, rel), kv[1], filepath.Dir(old)):
				notes = append(notes, fmt.Sprintf("the submodule %s had its files outside of the clone: set it up anew with git submodule update --init", printable.Line(filepath.ToSlash(rel))))
				continue
			case isURL:
				settings = append(settings, [2]string{remote + ".fetch", "+refs/heads/*:refs/" + strings.Replace(remote, "remote.", "remotes/", 1) + "/*"})
			}
			settings = append(settings, kv)
		}
		for _, kv := range settings {
			if _, err := command.Run(ctx, command.Git("", "config", "--file", file, kv[0], kv[1])); err != nil {
				return fmt.Errorf("configure the submodule %q: %w", rel, err)
			}
		}
		if report, err := repo.Fsck(ctx, name, nil); err != nil || report.Err() != nil {
			notes = append(notes, fmt.Sprintf("the submodule %s is damaged too: fetch it anew with git submodule update --init", printable.Line(filepath.ToSlash(rel))))
		}
		return nil
	})
	return notes, err
}
