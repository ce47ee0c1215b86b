package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

const compareDoc = `Compares files with a restore point, byte for byte and with their modes. It names what is
missing, what holds something else, what has other permissions and what was not there; it
never shows what a file holds. It fails when they differ, unless differences are what it
should show.

` + "```files.compare save=difference" + `
asset: env
point: latest
allow_differences: true
` + "```" + `

Later steps use ` + "`${difference.point}`, `${difference.same}`, `${difference.missing}`, `${difference.changed}`, `${difference.modes}` and `${difference.extra}`" + `,
which are numbers of files, and ` + "`${difference.open}`" + `: files that everybody on the machine can read
and that the point has private.
`

type compareParams struct {
	Asset string `param:"asset,required" help:"the files to compare"`
	Point string `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At    string `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	Allow bool   `param:"allow_differences" help:"a difference is a finding and no failure"`
}

func (d Deps) compare() action.Action {
	return action.New(action.Def[compareParams]{
		Name: "files.compare", Summary: "Compare files with a restore point", Doc: compareDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p compareParams) error { return checkTime(p.Point, p.At) },
		Plan:  d.planCompare, Run: d.runCompare,
	})
}

func (d Deps) planCompare(ctx context.Context, env *action.Env, p compareParams) (action.Plan, error) {
	s, v, err := d.open(ctx, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	m, f, err := point(ctx, v, s, p.Point, p.At, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("compares %s with point %s", s.Path, m.ID), Target: s.Path, Stop: "Yes: it only reads.",
		Lines: []action.Line{
			{Label: "point", Text: fmt.Sprintf("%s, of %s", m.ID, age(env.Now(), m.Cut))},
			{Label: "holds", Text: fmt.Sprintf("%s, %s", printable.Count(f.Files, "file"), printable.Size(f.Bytes))},
		},
	}, nil
}

func (d Deps) runCompare(ctx context.Context, env *action.Env, p compareParams, _ action.Plan) (action.Result, error) {
	s, v, err := d.open(ctx, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	m, _, err := point(ctx, v, s, p.Point, p.At, env.Now())
	if err != nil {
		return action.Result{}, err
	}
	list, err := listOf(ctx, env, s, v, m)
	if err != nil {
		return action.Result{}, err
	}
	c, err := s.contrast(ctx, list)
	if err != nil {
		return action.Result{}, err
	}
	for _, line := range c.lines {
		env.Printf("%s", line)
	}
	words := fmt.Sprintf("all %d files as in the point, with their modes", c.files)
	if len(c.lines) > 0 {
		words = fmt.Sprintf("%d missing, %d with other content, %d with another mode, %d that were not there: %s", c.missing, c.changed, c.modes, c.extra, c.lines[0])
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s and point %s: %s", s.Path, m.ID, words),
		Outputs: map[string]any{"point": m.ID, "same": len(c.lines) == 0, "missing": c.missing, "changed": c.changed, "modes": c.modes, "extra": c.extra,
			"open": c.open, "files": c.files},
		Checks: []action.Check{{Text: "the files are those of the point", OK: len(c.lines) == 0 || p.Allow, Evidence: words}},
	}
	if len(c.lines) == 0 || p.Allow {
		return res, nil
	}
	return res, hint.Wrap(fmt.Errorf("%w: %s and point %s differ: %s", action.ErrCheck, s.Path, m.ID, words), "files.restore with replace: true puts the files of the point in their place")
}

// listOf rebuilds a point in a private directory, proves it there, and gives its list.
func listOf(ctx context.Context, env *action.Env, s Source, v Vault, m vault.Manifest) (tree.List, error) {
	dir, err := os.MkdirTemp(env.Scratch, "point-")
	if err != nil {
		return tree.List{}, fmt.Errorf("make a private directory: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			env.Printf("%v", err)
		}
	}()
	dir = filepath.Join(dir, "replica")
	if _, err := v.Restore(ctx, m, s.Kind, dir, vault.RestoreOptions{Progress: env.Progress, Log: env.Log}); err != nil {
		return tree.List{}, err
	}
	in, err := os.Open(filepath.Join(dir, tree.ListName))
	if err != nil {
		return tree.List{}, err
	}
	defer in.Close()
	return tree.ReadList(ctx, in)
}

// contrasted is how files differ from a list.
type contrasted struct {
	files, missing, changed, modes, extra, open int64
	lines                                       []string
}

// mostLines bounds what is said of single files.
const mostLines = 50

func (c *contrasted) say(n *int64, format string, args ...any) {
	*n++
	if len(c.lines) < mostLines {
		c.lines = append(c.lines, fmt.Sprintf(format, args...))
	}
}

func (s Source) contrast(ctx context.Context, list tree.List) (c contrasted, err error) {
	known := map[string]bool{}
	root, err := os.OpenRoot(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, e := range list.Entries {
			if e.Type != tree.Dir {
				c.say(&c.missing, "%s is missing", printable.Line(e.Path))
			}
		}
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer root.Close()
	for _, want := range list.Entries {
		known[want.Path] = true
		if want.Type == tree.Dir {
			continue
		}
		now, err := tree.Look(ctx, root, want.Path)
		name := printable.Line(want.Path)
		if err == nil && want.Type == tree.File && now.Mode&0o044 != 0 && want.Mode&0o044 == 0 {
			c.open++
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.say(&c.missing, "%s is missing", name)
		case errors.Is(err, tree.ErrUnsuitable):
			c.say(&c.changed, "%s is no file any more", name)
		case err != nil:
			return c, err
		case now.Type != want.Type || now.Sum != want.Sum:
			empty := ""
			if now.Size == 0 {
				empty = ": it is empty"
			}
			c.say(&c.changed, "%s holds something else%s", name, empty)
		case now.Mode != want.Mode && want.Type == tree.File:
			c.say(&c.modes, "%s has mode %04o, not %04o", name, now.Mode, want.Mode)
		default:
			c.files++
		}
	}
	now, err := s.Kind.Files(ctx, s.Path)
	if err != nil {
		return c, err
	}
	for _, name := range slices.DeleteFunc(now, func(n string) bool { return known[n] || strings.HasPrefix(n, tree.Own) }) {
		c.say(&c.extra, "%s was not there", printable.Line(name))
	}
	return c, nil
}
