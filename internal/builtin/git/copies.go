package git

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/printable"
)

const gatherDoc = `Looks what all copies of a lost repository have together, and says for each branch and tag
which copy has it newest. The newest restore point of the vault says which refs there are;
mirrors, the working clone and the clones of other people count where they are further on the
same line of history, or have a branch that is newer than the point. Where histories part the
point stays, and what is left out is told, so that a person can decide (take). It changes
nothing; git.publish puts the same refs into a repository.

` + "```git.gather save=copies" + `
asset: monorepo
from: newest
` + "```" + `

Saves: refs, newer (refs that a copy has newer than the point), left_out, point, base,
branch (the default branch), sha256 (of all names and ids).
`

type gatherParams struct {
	Asset  string            `param:"asset,required" help:"the repository that was lost"`
	From   string            `param:"from" help:"newest: the vault and what is newer elsewhere; or exactly one kind of copy" enum:"newest,vault,mirror,clone" default:"newest"`
	Point  string            `param:"point" help:"the restore point; the newest when left out"`
	At     string            `param:"at" help:"instead of point: the newest point that holds nothing later than this time"`
	Mirror string            `param:"mirror" help:"the mirror for from: mirror; all of them when left out"`
	Take   map[string]string `param:"take" help:"where histories part: the branch or tag, and the copy to take it from, as the plan names it"`
}

func (p gatherParams) check() error {
	if p.From != "newest" && p.From != "vault" && (p.Point != "" || p.At != "") {
		return &action.ArgError{Name: "from", Msg: "only the vault has restore points", Fix: "leave out point: and at:, or from:"}
	}
	return checkTime(p.Point, p.At)
}

func (p gatherParams) gathering() gathering {
	return gathering{from: p.From, point: p.Point, at: p.At, mirror: p.Mirror, take: p.Take}
}

func (d Deps) gather() action.Action {
	return action.New(action.Def[gatherParams]{
		Name: "git.gather", Summary: "See what all copies of a lost repository have together", Doc: gatherDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: gatherParams.check,
		Run: func(ctx context.Context, env *action.Env, p gatherParams, _ action.Plan) (action.Result, error) {
			r, err := d.Repo(p.Asset)
			if err != nil {
				return action.Result{}, err
			}
			a, k, err := d.assemble(ctx, env, r, p.gathering(), false)
			if err != nil {
				return action.Result{}, err
			}
			defer k.close()
			a.tell(env)
			return action.Result{
				Evidence: fmt.Sprintf("%s from %s, %d of them newer elsewhere, %d left out", printable.Count(len(a.picks), "ref"), a.base, a.newer, len(a.leftOut)),
				Outputs:  a.outputs(),
			}, nil
		},
	})
}

func (a assembly) outputs() map[string]any {
	return map[string]any{
		"refs": int64(len(a.picks)), "newer": int64(a.newer), "left_out": nonNil(a.leftOut), "point": a.point, "base": a.base,
		"branch": strings.TrimPrefix(a.head, "refs/heads/"), "sha256": a.digest(),
	}
}

// refs are what the repository shall have.
func (a assembly) refs() []repo.Ref {
	out := make([]repo.Ref, len(a.picks))
	for i, p := range a.picks {
		out[i] = repo.Ref{Name: p.name, OID: p.oid}
	}
	return out
}

func (a assembly) digest() string { return digest(a.refs()) }

// tell writes everything that was decided into the log, and gives the lines for a plan.
func (a assembly) tell(env *action.Env) []action.Line {
	lines := []action.Line{{Label: "stands on", Text: fmt.Sprintf("%s, %s in all", a.base, printable.Count(len(a.picks), "ref"))}}
	for _, p := range a.picks {
		if p.why == "" {
			continue
		}
		text := fmt.Sprintf("%s at %s from %s: %s", printable.Line(strings.TrimPrefix(p.name, "refs/heads/")), short(p.oid), p.from, p.why)
		env.Printf("newer: %s", text)
		if len(lines) <= shownRefs {
			lines = append(lines, action.Line{Label: "newer", Text: text})
		}
	}
	for i, text := range a.leftOut {
		env.Printf("left out: %s", text)
		if i < shownRefs {
			lines = append(lines, action.Line{Label: "left out", Text: text})
		}
	}
	if more := len(a.leftOut) - shownRefs; more > 0 {
		lines = append(lines, action.Line{Label: "left out", Text: fmt.Sprintf("and %d more, all in the log", more)})
	}
	return lines
}
