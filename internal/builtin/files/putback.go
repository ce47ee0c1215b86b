package files

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// putBack is what an undo changes, from what it is now.
type putBack struct {
	moves  []move
	key    string
	digest string
	others []string // files that are neither the old nor the restored ones
}

// surveyBack compares the record of a restore with what stands there now. Files that are
// as before are left out: an undo that was cut off goes on where it was.
func surveyBack(ctx context.Context, root *os.Root, r record, keep string) (putBack, error) {
	b := putBack{key: r.Key}
	h := hmac.New(sha256.New, []byte(r.Key))
	for _, c := range r.Changes {
		got, _, err := now(ctx, root, r.Key, c.Path)
		if err != nil {
			return b, err
		}
		fmt.Fprintf(h, "%s %s\n", got, c.Path)
		if got == c.Before {
			continue
		}
		if got != c.After {
			b.others = append(b.others, printable.Line(c.Path))
		}
		m := move{change: change{Path: c.Path, Dir: c.Dir, Before: got, After: c.Before}}
		if c.Before != absent {
			m.from = path.Join(keep, tree.TreeName, c.Path)
			if old, _, err := now(ctx, root, r.Key, m.from); err != nil || old != c.Before {
				return b, errors.Join(hint.Wrap(fmt.Errorf("%w: the old %q is not in %s any more as it was", action.ErrRefused, c.Path, keep),
					"restore an older point instead"), err)
			}
		}
		b.moves = append(b.moves, m)
	}
	b.digest = hex.EncodeToString(h.Sum(nil))
	return b, nil
}

// planPutBack says how the old files come back. It works from the plan and the record
// alone, since an effect that ended in the middle has no result.
func (d Deps) planPutBack(ctx context.Context, env *action.Env, plan action.Plan) (action.Plan, error) {
	dir, keep := plan.Facts["path"], plan.Facts["keep"]
	if err := env.Allowed(dir); err != nil {
		return action.Plan{}, err
	}
	out := action.Plan{Target: dir, Facts: map[string]string{}, Stop: "Yes: each file is the one or the other."}
	nothing := func() (action.Plan, error) {
		out.Nothing, out.Effect, out.Summary = true, action.Write, dir+" is as it was before"
		return out, nil
	}
	r, err := readRecord(dir, keep)
	if errors.Is(err, fs.ErrNotExist) || plan.Nothing {
		return nothing() // the record comes before the first change
	}
	if err != nil {
		return action.Plan{}, err
	}
	root, err := openRoot(dir)
	if err != nil {
		return action.Plan{}, err
	}
	defer root.Close()
	b, err := surveyBack(ctx, root, r, keep)
	if err != nil {
		return action.Plan{}, err
	}
	if len(b.moves) == 0 {
		return nothing()
	}
	out.Facts["before"], out.Facts["keep"] = b.digest, free(root, tree.Own+"undone-"+env.Run)
	out.Token = filepath.Base(dir) + "@" + b.digest[:7]
	out.Summary = fmt.Sprintf("puts %s back in %s as before", printable.Count(len(b.moves), "name"), dir)
	if len(b.others) > 0 {
		out.Lines = append(out.Lines, action.Line{Label: "is lost", Text: "what was written since to " + joined(b.others) + ", but for the copy that is kept"})
	}
	out.Lines = append(out.Lines, action.Line{Label: "is kept", Text: filepath.Join(dir, out.Facts["keep"])})
	out.Back = "the files of now are kept in " + filepath.Join(dir, out.Facts["keep"])
	return out, nil
}

func (d Deps) runPutBack(ctx context.Context, env *action.Env, undo, plan action.Plan) (action.Result, error) {
	dir, keep := plan.Facts["path"], plan.Facts["keep"]
	if err := env.Allowed(dir); err != nil {
		return action.Result{}, err
	}
	r, err := readRecord(dir, keep)
	if err != nil {
		return action.Result{}, err
	}
	root, err := openRoot(dir)
	if err != nil {
		return action.Result{}, err
	}
	defer root.Close()
	b, err := surveyBack(ctx, root, r, keep)
	if err != nil {
		return action.Result{}, err
	}
	if b.digest != undo.Facts["before"] {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: a file in %q", action.ErrChanged, dir), "stop what writes there, then look at the new plan")
	}
	if err := private(root, undo.Facts["keep"]); err != nil {
		return action.Result{}, fmt.Errorf("%w: keep the files of now: %w", action.ErrChanged, err)
	}
	x := exchange{root: root, key: b.key, keep: path.Join(undo.Facts["keep"], tree.TreeName), moves: b.moves, report: env.Report}
	if err := x.run(ctx); err != nil {
		return action.Result{}, err
	}
	return action.Result{
		Evidence: fmt.Sprintf("undone: %s in %s are as before, those of the restore are kept in %s",
			printable.Count(len(b.moves), "name"), dir, filepath.Join(dir, undo.Facts["keep"])),
	}, nil
}
