package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// corruptObjects flips a byte of one object in a pack and of one loose object of the
// working clone. Both objects are reachable from its main branch, and the origin has
// both, so that everything can be recovered. Nothing that only the clone has is hit:
// that would be lost for good, and no runbook could do better.
func (s *Sandbox) corruptObjects(ctx context.Context, t truth) error {
	clone := repo{dir: s.Clone()}
	shared, err := s.sharedObjects(ctx)
	if err != nil {
		return err
	}
	pack, at, err := packVictim(ctx, clone, shared)
	if err != nil {
		return err
	}
	loose, err := looseVictim(ctx, clone, shared)
	if err != nil {
		return err
	}
	for _, file := range []string{pack, loose} {
		name, err := filepath.Rel(s.Clone(), file)
		if err != nil {
			return err
		}
		t.Damaged = append(t.Damaged, name)
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	if err := dropCaches(filepath.Join(clone.dir, ".git", "objects")); err != nil {
		return err
	}
	if err := flip(pack, at); err != nil {
		return err
	}
	info, err := os.Stat(loose)
	if err != nil {
		return err
	}
	if err := flip(loose, info.Size()/2); err != nil {
		return err
	}
	if err := clone.git(ctx, s.marker.Now, "fsck", "--full", "--no-progress"); err == nil {
		return errors.New("git fsck does not notice the damage")
	}
	return nil
}

// sharedObjects lists the objects that main of the clone needs and the origin has.
func (s *Sandbox) sharedObjects(ctx context.Context) (map[string]bool, error) {
	has := map[string]bool{}
	ids, err := repo{dir: s.Origin()}.list(ctx, "rev-list", "--objects", "--no-object-names", "--all")
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		has[id] = true
	}
	ids, err = repo{dir: s.Clone()}.list(ctx, "rev-list", "--objects", "--no-object-names", "refs/heads/main")
	if err != nil {
		return nil, err
	}
	both := map[string]bool{}
	for _, id := range ids {
		both[id] = has[id]
	}
	return both, nil
}

// packVictim finds a blob in the largest pack that no other object builds on, and gives
// a place in the middle of its bytes. Were it the base of a delta, objects that only
// this clone has could fall with it.
func packVictim(ctx context.Context, clone repo, shared map[string]bool) (file string, at int64, err error) {
	indexes := glob(clone.dir, ".git/objects/pack/*.idx")
	if len(indexes) == 0 {
		return "", 0, errors.New("the working clone has no pack")
	}
	index := filepath.Join(clone.dir, slices.MaxFunc(indexes, func(a, b string) int {
		return cmp.Compare(fileSize(filepath.Join(clone.dir, a)), fileSize(filepath.Join(clone.dir, b)))
	}))
	lines, err := clone.list(ctx, "verify-pack", "-v", "--", index)
	if err != nil {
		return "", 0, err
	}
	type object struct {
		id           string
		size, offset int64
	}
	var blobs []object
	bases := map[string]bool{}
	for _, line := range lines {
		f := strings.Fields(line) // id type size size-in-pack offset [depth base]
		if len(f) < 5 || len(f[0]) != len(noCommit) {
			continue
		}
		if len(f) == 7 {
			bases[f[6]] = true
		}
		size, err1 := strconv.ParseInt(f[3], 10, 64)
		offset, err2 := strconv.ParseInt(f[4], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return "", 0, fmt.Errorf("read git verify-pack: %w", err)
		}
		if f[1] == "blob" && shared[f[0]] {
			blobs = append(blobs, object{f[0], size, offset})
		}
	}
	blobs = slices.DeleteFunc(blobs, func(o object) bool { return bases[o.id] })
	if len(blobs) == 0 {
		return "", 0, errors.New("the pack of the working clone has no file that may be damaged")
	}
	victim := slices.MaxFunc(blobs, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.size, b.size), strings.Compare(a.id, b.id))
	})
	return strings.TrimSuffix(index, ".idx") + ".pack", victim.offset + victim.size/2, nil
}

func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// looseVictim finds a commit of main that is a loose object and not its tip: the log
// stops there, and git status still works.
func looseVictim(ctx context.Context, clone repo, shared map[string]bool) (string, error) {
	ids, err := clone.list(ctx, "rev-list", "--first-parent", "--max-count=50", "refs/heads/main^")
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		file := filepath.Join(clone.dir, ".git", "objects", id[:2], id[2:])
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && shared[id] {
			return file, nil
		}
	}
	return "", errors.New("the working clone has no commit of main as a loose object")
}

// dropCaches removes what git keeps besides objects and could read instead of them.
func dropCaches(objects string) error {
	for _, name := range glob(objects, "info/commit-graph", "info/commit-graphs", "pack/*.bitmap", "pack/*.rev", "pack/multi-pack-index*") {
		if err := os.RemoveAll(filepath.Join(objects, name)); err != nil {
			return err
		}
	}
	return nil
}

// flip inverts one byte of a file, as a bad disk would: name, size, mode and times stay.
// It writes a copy, because the same bytes could be linked into another repository.
func flip(name string, at int64) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if at < 0 || at >= int64(len(data)) {
		return fmt.Errorf("flip byte %d of %q: it has %d bytes", at, name, len(data))
	}
	data[at] ^= 0xff
	temp := name + ".flipped"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Chtimes(temp, info.ModTime(), info.ModTime()), os.Chmod(temp, info.Mode()&fs.ModePerm), os.Rename(temp, name)); err != nil {
		return err
	}
	return nil
}
