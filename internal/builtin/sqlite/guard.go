package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/action"
	db "lifeboat/internal/asset/sqlite"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// What is looked at before something comes into the place of a database.

// fits refuses what SQLite cannot or a person would not want to put there.
func fits(t target, want db.Facts) error {
	if t.how != howOverwrite {
		return nil
	}
	if t.facts.ApplicationID != want.ApplicationID {
		return hint.Wrapf(fmt.Errorf("%w: what comes into place is of another application: its application_id is %d, that of %q is %d",
			action.ErrRefused, want.ApplicationID, t.path, t.facts.ApplicationID),
			"look whether it is the right file. If it is: sqlite3 %s 'PRAGMA application_id=%d' makes the two alike, then plan this again", t.path, want.ApplicationID)
	}
	if t.facts.PageSize != want.PageSize && t.facts.JournalMode == "wal" {
		return hint.Wrapf(fmt.Errorf("%w: the pages of what comes into place have %d bytes, those of %q %d, which cannot change in WAL mode",
			action.ErrRefused, want.PageSize, t.path, t.facts.PageSize),
			"stop the programs that use the database, leave WAL mode with: sqlite3 %[1]s 'PRAGMA journal_mode=DELETE', then plan this again; afterwards: sqlite3 %[1]s 'PRAGMA journal_mode=WAL'", t.path)
	}
	return nil
}

// free says who has the database open, and refuses to take a file away under programs that
// would go on writing to it.
func (t target) free(out *action.Plan) error {
	holders, all := db.Holders(t.path)
	if err := held(t.path, t.how, holders); err != nil {
		return err
	}
	if t.how == howNew {
		return nil
	}
	c := action.Check{Text: "no program has it open", OK: len(holders) == 0 && all, Evidence: "none that this user can see"}
	if len(holders) > 0 {
		c.Evidence = holderWords(holders) + ": stop them before; what they write now makes this step refuse"
	}
	warn(out, c)
	return nil
}

// unheld is free, once more before the effect.
func unheld(path, how string) error {
	holders, _ := db.Holders(path)
	return held(path, how, holders)
}

func held(path, how string, holders []db.Holder) error {
	var pids, save []string
	for _, h := range holders {
		if !h.Gone {
			continue
		}
		if pids = append(pids, strconv.Itoa(h.PID)); len(pids) > 1 {
			continue // of the same file
		}
		save = []string{fmt.Sprintf("cp %s %s.saved", h.File, path)}
		if h.Log != "" {
			save = append(save, fmt.Sprintf("cp %s %s.saved-wal", h.Log, path))
		}
	}
	switch {
	case len(pids) > 0:
		return hint.Wrapf(fmt.Errorf("%w: %s was deleted, but %s still have it open: nothing in it is lost until they end", action.ErrRefused, path, holderWords(holders)),
			"save it first, as root: kill -STOP %[1]s; %[2]s. Look at the copy with: sqlite3 %[3]s.saved 'PRAGMA integrity_check'; if it says ok, that is what belongs into place: file: %[3]s.saved. Then end those programs and plan this again",
			strings.Join(pids, " "), strings.Join(save, "; "), path)
	case how == howSwap && len(holders) > 0:
		return hint.Wrap(fmt.Errorf("%w: %q is damaged, and %s have it open: they would go on with the old file after the swap", action.ErrRefused, path, holderWords(holders)),
			"stop them first, with service.stop or by hand, then plan this again")
	}
	return nil
}

func holderWords(holders []db.Holder) string {
	var words []string
	for _, h := range holders {
		words = append(words, h.String())
	}
	return joined(words)
}

// room says whether the disk has it, before it is full in the middle.
func (t target) room(out *action.Plan, want db.Facts) {
	need := int64(want.Pages) * int64(want.PageSize) // the new one, made beside
	if t.how == howOverwrite {
		old := int64(t.facts.Pages) * int64(t.facts.PageSize)
		need += old + max(old, need) // the copy that is kept, and the log of SQLite
	}
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(t.path), &s); err != nil {
		return // what follows tells
	}
	if free := int64(min(s.Bavail, 1<<40)) * int64(s.Bsize); free < need {
		warn(out, action.Check{Text: "the disk has room for it", Evidence: fmt.Sprintf("it takes about %s in %s, where %s are free: make room first, or it fails before anything is touched", printable.Size(need), filepath.Dir(t.path), printable.Size(free))})
	}
}

// share lets the programs that used what is gone use what comes.
func share(out *action.Plan) {
	out.Facts["share"] = "yes"
	text := "that of its directory"
	if info, err := os.Stat(filepath.Dir(out.Target)); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			text = fmt.Sprintf("user %d, group %d, as its directory, and nobody else may read it", st.Uid, st.Gid)
		}
	}
	out.Lines = append(out.Lines, action.Line{Label: "owner", Text: text + "; where the programs run as another user: chown and chmod it before they start"})
}

// untouched says of a point that is damaged, and of a disk that cannot take it, what is true
// then and what can be done.
func untouched(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case vault.Unusable(err):
		return hint.Wrapf(err, "what stands at %s was not touched. Take an older point, with an earlier at: or with point:; or this one from a copy of the vault", filepath.Base(path))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hint.Wrapf(err, "what stands at %s was not touched; make room in %s (df -h, and older files with .before- in their name), then try again", filepath.Base(path), dir)
	case errors.Is(err, syscall.EROFS):
		return hint.Wrapf(err, "nothing was touched; %s is mounted read-only: after errors of a disk leave it so and restore on another one, with to:, else: mount -o remount,rw", dir)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return hint.Wrapf(err, "nothing was touched; this user may not write in %s: try again as the owner of the database", strings.TrimSuffix(dir, "/"))
	}
	return err
}
