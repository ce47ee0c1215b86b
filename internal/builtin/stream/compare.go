package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/action"
	dump "lifeboat/internal/asset/stream"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const compareDoc = `Dumps an asset as it is now, keeps nothing of it, and compares it with a restore point:
byte for byte, and where the dump shows its collections, the documents of each. It fails
when they differ, unless differences are what it should show.

` + "```stream.compare save=difference" + `
asset: auth
point: latest
allow_differences: true
` + "```" + `

Many programs write the time or an identity into their dumps. The same number of documents
in every collection is enough then, and the evidence says which of the two was seen. Later
steps use ` + "`${difference.point}`, `${difference.same}`, `${difference.missing}` and `${difference.extra}`" + `: documents that
the point has more of, and less of, than the asset has now.
`

type compareParams struct {
	Asset string `param:"asset,required" help:"the asset to compare"`
	Point string `param:"point" help:"id of the restore point, or latest" default:"latest"`
	At    string `param:"at" help:"the newest point that is not younger than this time: 2026-11-23T14:30:00Z"`
	Allow bool   `param:"allow_differences" help:"a difference is a finding and no failure"`
}

func (d Deps) compare() action.Action {
	return action.New(action.Def[compareParams]{
		Name: "stream.compare", Summary: "Compare a database with a dump in the vault", Doc: compareDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: func(p compareParams) error { return checkTime(p.Point, p.At) },
		Plan:  d.planCompare, Run: d.runCompare,
	})
}

func (d Deps) planCompare(ctx context.Context, env *action.Env, p compareParams) (action.Plan, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Plan{}, err
	}
	m, f, err := point(ctx, v, a, p.Point, p.At, env.Now())
	if err != nil {
		return action.Plan{}, err
	}
	return action.Plan{
		Summary: fmt.Sprintf("dumps %s and compares it with point %s", a.target(), m.ID),
		Target:  a.target(), Command: []string{dump.CommandLine(a.Kind.Dump)}, Stop: "Yes: it only reads.",
		Lines: []action.Line{{Label: "point", Text: fmt.Sprintf("%s, of %s", m.ID, age(env.Now(), m.Cut))}, {Label: "holds", Text: words(f)}},
	}, nil
}

func (d Deps) runCompare(ctx context.Context, env *action.Env, p compareParams, _ action.Plan) (action.Result, error) {
	a, v, err := d.open(ctx, env, p.Asset)
	if err != nil {
		return action.Result{}, err
	}
	m, then, err := point(ctx, v, a, p.Point, p.At, env.Now())
	if err != nil {
		return action.Result{}, err
	}
	now, err := a.Kind.Measure(ctx, env.Log)
	if err != nil {
		if p.Allow && errors.Is(err, dump.ErrFailed) && ctx.Err() == nil {
			return action.Result{Evidence: fmt.Sprintf("%s cannot be dumped: %v", a.target(), err),
				Outputs: map[string]any{"point": m.ID, "same": false, "dumped": false, "missing": documents(then), "extra": int64(0)}}, nil
		}
		return action.Result{}, err
	}
	c := contrast(then, now)
	for _, line := range c.lines {
		env.Printf("%s", line)
	}
	res := action.Result{
		Evidence: fmt.Sprintf("%s and point %s: %s", a.target(), m.ID, c.words),
		Outputs:  map[string]any{"point": m.ID, "same": c.same, "dumped": true, "missing": c.missing, "extra": c.extra},
	}
	res.Checks = []action.Check{{Text: "the asset holds what the point holds", OK: c.same || p.Allow, Evidence: c.words}}
	if c.same || p.Allow {
		return res, nil
	}
	return res, hint.Wrap(fmt.Errorf("%w: %s and point %s differ: %s", action.ErrCheck, a.target(), m.ID, c.words),
		"if the application wrote meanwhile, stop it and compare again; else restore the point")
}

// contrasted is how a dump of now differs from that of a point.
type contrasted struct {
	same           bool
	missing, extra int64
	words          string
	lines          []string
}

// mostLines bounds what is said of single collections.
const mostLines = 20

func contrast(then, now dump.Facts) contrasted {
	c := contrasted{same: now.SHA256 == then.SHA256}
	if then.Contents == nil || now.Contents == nil {
		c.words = fmt.Sprintf("sha256 %s then, %s now; neither shows how many records it has", short(then.SHA256), short(now.SHA256))
		if c.same {
			c.words = "byte for byte the same, sha256 " + short(now.SHA256)
		}
		return c
	}
	names := maps.Clone(then.Contents)
	maps.Copy(names, now.Contents)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, old := then.Contents[name]
		is, there := now.Contents[name]
		c.missing += max(0, was-is)
		c.extra += max(0, is-was)
		if old == there && was == is {
			continue
		}
		c.lines = append(c.lines, fmt.Sprintf("%s: %s then, %s now", printable.Line(name), count(was, old), count(is, there)))
	}
	differ := len(c.lines)
	if differ > mostLines {
		c.lines = append(c.lines[:mostLines], fmt.Sprintf("and %d more collections differ", differ-mostLines))
	}
	all := printable.Count(int(documents(now)), "document") + " in " + printable.Count(len(now.Contents), "collection")
	switch {
	case c.same:
		c.words = "byte for byte the same, " + all
	case differ == 0:
		c.same, c.words = true, "the same number of documents in every collection, "+all
	default:
		c.words = fmt.Sprintf("%s, %d documents are missing, %d are extra: %s", printable.Count(differ, "collection")+" differ", c.missing, c.extra, c.lines[0])
	}
	return c
}

func count(n int64, there bool) string {
	if !there {
		return "no such collection"
	}
	return fmt.Sprint(n)
}

func documents(f dump.Facts) (n int64) {
	for _, c := range f.Contents {
		n += c
	}
	return n
}
