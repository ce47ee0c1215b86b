package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/durable"
)

// sidecars are the files that belong to a database and must go where it goes: a log
// left beside another database would be applied to it, and a database without its log is
// an older one.
var sidecars = []string{"-wal", "-shm", "-journal"}

// Swap replaces a file by rename, for a database that SQLite cannot work with any more
// or that is not there. The old file and its sidecars are kept together as Keep,
// Keep-wal and so on. Want is [FileHash] of the old file, "" when there is none.
// Programs that have the old file open go on using it until they are restarted.
//
// From is used up. Several files cannot change their places at once, so the old ones get
// their second names first. Where there are sidecars, nothing stands at Live while they
// are changed: SQLite never finds a database there without its log or beside another's. A
// crash leaves the old database with its sidecars at Live, or nothing there and all of it
// at Keep ([CutShort]), or the new one. After an error that is not [durable.ErrUnclear]
// the old state is put back, as [Replacement.Settle] does after a crash.
func (r Replacement) Swap(ctx context.Context) error {
	if err := r.Settle(ctx); err != nil {
		return err
	}
	now, err := FileHash(ctx, r.Live)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	if now != r.Want {
		return fmt.Errorf("%w: %q is another file now", ErrChanged, r.Live)
	}
	if free := Free(r.Keep); free != r.Keep {
		return fmt.Errorf("keep the old database as %q: %w", r.Keep, fs.ErrExist)
	}
	if err := likeOld(r.Live, r.From); err != nil {
		return fmt.Errorf("replace %q: %w", r.Live, err)
	}
	if err := r.swap(); err != nil {
		return errors.Join(fmt.Errorf("replace %q, keeping it as %q: %w", r.Live, r.Keep, err), r.Settle(context.WithoutCancel(ctx)))
	}
	return nil
}

func (r Replacement) swap() error {
	var with []string // sidecars of the new one
	if r.Sidecars {
		with = sidecarsOf(r.From)
	}
	old := sidecarsOf(r.Live)
	if r.Want != "" && len(old)+len(with) == 0 {
		if err := errors.Join(r.link(r.Live, r.Keep), r.sync()); err != nil {
			return err
		}
		return r.do("replace", r.Live, func() error { return durable.Rename(r.From, r.Live) })
	}
	if err := r.clear(old, r.Want != ""); err != nil {
		return err
	}
	for _, s := range with {
		if err := r.link(r.From+s, r.Live+s); err != nil {
			return err
		}
	}
	if err := r.sync(); err != nil {
		return err
	}
	if err := r.place(r.From); err != nil {
		return err
	}
	for _, s := range with {
		if err := r.remove(r.From + s); err != nil {
			return fmt.Errorf("%w: %w", durable.ErrUnclear, err) // the new one stands there
		}
	}
	return r.sync()
}

// clear takes everything away from Live that has its second name at Keep by then. The
// database goes first: without it nothing reads what belongs to it.
func (r Replacement) clear(old []string, database bool) error {
	for _, s := range old {
		if err := r.link(r.Live+s, r.Keep+s); err != nil {
			return err
		}
	}
	if database {
		if err := r.link(r.Live, r.Keep); err != nil {
			return err
		}
	}
	if err := r.sync(); err != nil {
		return err
	}
	if database {
		if err := r.remove(r.Live); err != nil {
			return err
		}
		if err := r.sync(); err != nil {
			return err
		}
	}
	for _, s := range old {
		if err := r.remove(r.Live + s); err != nil {
			return err
		}
	}
	return r.sync()
}

// Create puts the new file where none is, and is [ErrChanged] when there is one by now:
// it never replaces. A sidecar that is left of an earlier file is kept as Keep-wal and
// so on. A crash leaves no file ([CutShort] where sidecars were moved) or the new one. From
// stays.
func (r Replacement) Create(ctx context.Context) error {
	if there(r.Live) {
		return fmt.Errorf("%w: %q is there by now", ErrChanged, r.Live)
	}
	if err := r.Settle(ctx); err != nil {
		return err
	}
	var err error
	if r.Share {
		err = likeGone(r.Live, r.From)
	}
	if err == nil {
		err = r.clear(sidecarsOf(r.Live), false)
	}
	if err == nil {
		err = r.link(r.From, r.Live)
	}
	if err == nil {
		return r.sync()
	}
	if errors.Is(err, fs.ErrExist) && there(r.Live) {
		err = fmt.Errorf("%w: %q is there by now", ErrChanged, r.Live)
	}
	return errors.Join(fmt.Errorf("make %q: %w", r.Live, err), r.Settle(context.WithoutCancel(ctx)))
}

// MoveAside takes a database with its sidecars out of the way, to Keep, which must not
// exist: nothing stands at Live then. When a crash has left sidecars of what is at Keep, it
// takes them away.
func (r Replacement) MoveAside(ctx context.Context) error {
	left := astray(r.Live, r.Keep)
	if len(left) == 0 {
		if there(r.Live) {
			if err := r.Settle(ctx); err != nil {
				return err
			}
		}
		if Free(r.Keep) != r.Keep {
			return fmt.Errorf("move %q aside to %q: %w", r.Live, r.Keep, fs.ErrExist)
		}
		left = sidecarsOf(r.Live)
		if err := r.moveMain(left); err != nil {
			err = fmt.Errorf("move %q aside: %w", r.Live, err)
			if there(r.Live) {
				err = errors.Join(err, r.Settle(context.WithoutCancel(ctx)))
			}
			return err
		}
	}
	for _, s := range left {
		if err := r.remove(r.Live + s); err != nil {
			return fmt.Errorf("move %q aside: %w: %w", r.Live, durable.ErrUnclear, err)
		}
	}
	return r.sync()
}

func (r Replacement) moveMain(with []string) error {
	for _, s := range with {
		if err := r.link(r.Live+s, r.Keep+s); err != nil {
			return err
		}
	}
	if err := r.sync(); err != nil {
		return err
	}
	return r.do("rename", r.Live, func() error { return durable.Rename(r.Live, r.Keep) })
}

// CutShort says whether a Swap or Create that kept the old state as keep ended in its
// middle: nothing stands at live, and what stood there, or only its sidecars, is at keep.
func CutShort(live, keep string) bool { return !there(live) && Free(keep) != keep }

// Astray says whether a [Replacement.MoveAside] to keep has left sidecars at live.
func Astray(live, keep string) bool { return len(astray(live, keep)) > 0 }

func astray(live, keep string) (list []string) {
	if there(live) || !there(keep) {
		return nil
	}
	for _, s := range sidecarsOf(live) {
		if sameFile(live+s, keep+s) {
			list = append(list, s)
		}
	}
	return list
}

// Settle puts back what a Swap or Create took away that ended in its middle: what is at
// Keep goes to Live, sidecars first. Second names of a database that still stands at Live
// are removed. Where neither is so it does nothing, and it can be cut short itself.
func (r Replacement) Settle(ctx context.Context) error {
	var err error
	switch {
	case there(r.Live) && sameFile(r.Live, r.Keep):
		// Nothing was taken away yet. The database is the last of the second names to go:
		// it shows whose the others are.
		err = r.drop(sidecarsOf(r.Keep))
		if err == nil {
			err = errors.Join(r.remove(r.Keep), r.sync())
		}
	case there(r.Live) && !there(r.Keep):
		var twice []string
		for _, s := range sidecarsOf(r.Keep) {
			if sameFile(r.Live+s, r.Keep+s) {
				twice = append(twice, s)
			}
		}
		err = r.drop(twice)
	case CutShort(r.Live, r.Keep):
		err = r.putBack(ctx)
	}
	if err != nil {
		return fmt.Errorf("put %q back in its place: %w", r.Live, err)
	}
	return nil
}

func (r Replacement) putBack(ctx context.Context) error {
	whole, kept := there(r.Keep), sidecarsOf(r.Keep)
	for _, s := range sidecars {
		if there(r.Live+s) && (whole || there(r.Keep+s) || sameFile(r.Live+s, r.From+s)) {
			// What is at Keep is all there was, so this is the same, or came with the new
			// database. A sidecar that lay there alone may not have been moved yet.
			same, err := sameContent(ctx, r.Live+s, r.Keep+s, r.From+s)
			if err != nil {
				return err
			}
			if !same && s != "-shm" { // which SQLite makes anew from the log
				return fmt.Errorf("%w: %q came there, and belongs to no database", ErrChanged, r.Live+s)
			}
			if sameFile(r.Live+s, r.Keep+s) {
				continue
			}
			if err := r.remove(r.Live + s); err != nil {
				return err
			}
		}
		if there(r.Keep+s) && !there(r.Live+s) {
			if err := r.link(r.Keep+s, r.Live+s); err != nil {
				return err
			}
		}
	}
	if err := r.sync(); err != nil {
		return err
	}
	if whole {
		if err := r.place(r.Keep); err != nil {
			return err
		}
	}
	return r.drop(kept)
}

func (r Replacement) drop(kept []string) error {
	if len(kept) == 0 {
		return nil
	}
	for _, s := range kept {
		if err := r.remove(r.Keep + s); err != nil {
			return err
		}
	}
	return r.sync()
}

// do makes one change of the names of files.
func (r Replacement) do(what, path string, f func() error) error {
	r.at(what)
	if r.fault != nil {
		if err := r.fault(what, path); err != nil {
			return err
		}
	}
	return f()
}

func (r Replacement) link(from, to string) error {
	return r.do("link", to, func() error { return link(from, to) })
}

func (r Replacement) remove(path string) error {
	return r.do("remove", path, func() error { return os.Remove(path) })
}

func (r Replacement) sync() error {
	return r.do("sync", r.Live, func() error { return durable.SyncDir(filepath.Dir(r.Live)) })
}

// place gives a file the name Live, which is free: what came there meanwhile stays.
func (r Replacement) place(from string) error {
	err := r.do("place", r.Live, func() error {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, r.Live, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system can
			if there(r.Live) {
				return fs.ErrExist
			}
			err = os.Rename(from, r.Live)
		}
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %q is there by now", ErrChanged, r.Live)
	}
	if err != nil {
		return fmt.Errorf("rename %q to %q: %w", from, r.Live, err)
	}
	return r.sync()
}

// there says whether anything stands at a path.
func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func sidecarsOf(path string) (list []string) {
	for _, s := range sidecars {
		if there(path + s) {
			list = append(list, s)
		}
	}
	return list
}

// sameFile says whether two paths are names of one file.
func sameFile(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// sameContent says whether a file holds what one of others does.
func sameContent(ctx context.Context, path string, others ...string) (bool, error) {
	for _, other := range others {
		if sameFile(path, other) {
			return true, nil
		}
	}
	want, err := FileHash(ctx, path)
	if err != nil {
		return false, err
	}
	for _, other := range others {
		if !there(other) {
			continue
		}
		if hash, err := FileHash(ctx, other); err != nil || hash == want {
			return err == nil, err
		}
	}
	return false, nil
}

// Free gives the first of name, name-2, name-3 … at which neither a database nor a
// sidecar of one stands.
func Free(name string) string {
	for n := 1; ; n++ {
		path := name
		if n > 1 {
			path = fmt.Sprintf("%s-%d", name, n)
		}
		if !there(path) && len(sidecarsOf(path)) == 0 {
			return path
		}
	}
}

// KeepAs is [Free] for what stands at live now. What an attempt that was cut short has
// left at name counts as free: [Replacement.Settle] removes it or puts it back.
func KeepAs(live, name string) string {
	if there(live) && sameFile(live, name) || !there(live) && !there(name) {
		return name
	}
	if there(live) && !there(name) {
		ours := true
		for _, s := range sidecarsOf(name) {
			ours = ours && sameFile(live+s, name+s)
		}
		if ours {
			return name
		}
	}
	return Free(name)
}

// link gives a file a second name, or copies it where the filesystem has no links.
func link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	in, err := openPlain(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := durable.NewFile(to, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Commit()
}

// likeOld gives the new file the mode and, where this user may, the owner of the old
// one, so that the programs that used it still can.
func likeOld(old, file string) error {
	info, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return os.Chmod(file, info.Mode().Perm())
}

// likeGone gives the new file the owner and mode of a sidecar that is left of the old one,
// which SQLite makes like the database, or else the owner of its directory.
func likeGone(gone, file string) error {
	for _, s := range sidecarsOf(gone) {
		return likeOld(gone+s, file)
	}
	info, err := os.Stat(filepath.Dir(gone))
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// FileHash is the SHA-256 of a file as it lies on the disk, for a database that SQLite
// cannot read. No connection of this process may have it open: reading it by other
// means drops SQLite's locks.
func FileHash(ctx context.Context, path string) (string, error) {
	hash, _, err := hashFile(ctx, path)
	return hash, err
}
