package forge

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const saveDoc = `Saves the protection of a branch in full, as the service states it.

` + "```forge.protection-save save=kept" + `
asset: monorepo
branch: main
` + "```" + `

A copy is a file of its own, for you alone, in ` + "`protection/ASSET/BRANCH/`" + ` beside lifeboat.yaml. A new
one is written only when something has changed. Protect that directory with an asset of kind
files, and run this every day: on the day somebody deletes the protection the newest copy is
what it was. The file also holds the requests that put it back with stock tools.

Without a branch it saves those of the asset. A branch that was protected when it was last
saved, and is not now, fails the step; the older copies stay.

Saves: file, digest, protected; for several branches files.
`

type saveParams struct {
	Asset  string `param:"asset,required" help:"the repository whose branch it is"`
	Branch string `param:"branch" help:"the branch, without refs/heads/; empty: each of the asset's branches"`
}

func (d Deps) save() action.Action {
	return action.New(action.Def[saveParams]{
		Name: "forge.protection-save", Summary: "Save the protection of a branch", Doc: saveDoc,
		Effect: action.Write, Repeat: action.Safe,
		Check: func(p saveParams) error {
			if p.Branch == "" {
				return nil
			}
			return checkBranch(p.Branch)
		},
		Plan: d.planSave, Run: d.runSave,
	})
}

// gates opens a forge for each branch.
func (d Deps) gates(ctx context.Context, env *action.Env, p saveParams) ([]*gate, error) {
	branches := []string{p.Branch}
	if p.Branch == "" {
		r, err := d.Remote(p.Asset)
		if err != nil {
			return nil, err
		}
		if branches = r.Branches; len(branches) == 0 {
			branches = []string{"main"}
		}
	}
	var out []*gate
	for _, b := range branches {
		g, err := d.open(ctx, env, p.Asset, b)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

func (d Deps) planSave(ctx context.Context, env *action.Env, p saveParams) (action.Plan, error) {
	gates, err := d.gates(ctx, env, p)
	if err != nil {
		return action.Plan{}, err
	}
	plan := action.Plan{Nothing: true, Facts: map[string]string{}, Stop: "Yes: a copy is there whole or not at all."}
	var names []string
	for _, g := range gates {
		s, err := g.now(ctx)
		if err != nil {
			return action.Plan{}, err
		}
		names = append(names, g.branch)
		last, err := g.newest()
		if err != nil {
			return action.Plan{}, err
		}
		plan.Target = g.at.Host + "/" + g.Project
		plan.Facts[g.branch] = s.digest
		text := fmt.Sprintf("%s is %s", g.branch, s.short())
		old, _, lerr := g.load(last)
		switch {
		case len(s.Rules) == 0:
			text = g.bare(s) + ": there is nothing to save"
		case last != "" && lerr == nil && old.Digest == s.digest:
			text += ", and the newest copy says the same: " + filepath.Base(last)
		default:
			plan.Nothing = false
			text += ": a new copy goes to " + printable.Line(g.folder())
		}
		plan.Lines = append(plan.Lines, action.Line{Label: "saves", Text: text})
		for _, f := range s.fields {
			plan.Lines = append(plan.Lines, action.Line{Label: "", Text: label(f.Path) + ": " + f.text()})
		}
		plan.Lines = append(plan.Lines, besideLines(s)...)
		plan.Command = append(plan.Command, g.reading())
	}
	plan.Summary = "saves the protection of " + strings.Join(names, ", ")
	if plan.Nothing {
		plan.Summary = "the newest copies of " + strings.Join(names, ", ") + " are up to date"
	}
	plan.Lines = append(plan.Lines, action.Line{Label: "token", Text: "from " + gates[0].token.From})
	return plan, nil
}

// besideLines say what guards a branch too, and what could not be seen.
func besideLines(s state) []action.Line {
	var out []action.Line
	if s.Unseen != "" {
		out = append(out, action.Line{Label: "not seen", Text: s.Unseen})
	}
	for _, b := range s.Beside {
		out = append(out, action.Line{Label: "beside it", Text: b})
	}
	return out
}

func (d Deps) runSave(ctx context.Context, env *action.Env, p saveParams, _ action.Plan) (action.Result, error) {
	gates, err := d.gates(ctx, env, p)
	if err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: map[string]any{"file": "", "digest": "", "protected": false, "files": []string{}}}
	var files, texts, open []string
	for _, g := range gates {
		s, err := g.now(ctx)
		if err != nil {
			return action.Result{}, err
		}
		if len(s.Rules) == 0 {
			last, err := g.newest()
			if err != nil {
				return action.Result{}, err
			}
			texts = append(texts, g.bare(s))
			if last != "" {
				open = append(open, fmt.Sprintf("%s, last saved as %s", g.branch, filepath.Base(last)))
			}
			continue
		}
		path, fresh, err := g.keep(env, s)
		if err != nil {
			return action.Result{}, err
		}
		files = append(files, path)
		how := "is saved already"
		if fresh {
			how = "is saved"
		}
		texts = append(texts, fmt.Sprintf("%s %s as %s", g.branch, how, filepath.Base(path)))
		env.Printf("%s: %s", g.branch, path)
		res.Checks = append(res.Checks, action.Check{Text: "the copy of " + g.branch + " reads back", OK: true, Evidence: s.short()})
		if len(files) == 1 {
			res.Outputs["file"], res.Outputs["digest"], res.Outputs["protected"] = path, s.digest, true
		}
	}
	if files != nil {
		res.Outputs["files"] = files
	}
	res.Evidence = strings.Join(texts, "; ")
	if len(open) > 0 {
		return res, hint.Wrap(fmt.Errorf("%w: the protection is gone: %s", action.ErrCheck, strings.Join(open, "; ")),
			"branch-protection puts the last saved copy back, with the choice that it is missing or wrong")
	}
	return res, nil
}

// bare says that a branch has no protection of its own, and what guards it nevertheless.
func (g *gate) bare(s state) string {
	if len(s.Beside) == 0 {
		return g.branch + " is not protected"
	}
	return g.branch + " has no protection of its own; it is guarded by " + strings.Join(s.Beside, ", ")
}

// reading is how a person would look at the protection.
func (g *gate) reading() string {
	switch g.Service {
	case GitHub:
		return g.gh() + " " + shellWord("repos/"+g.Project+"/branches/"+url.PathEscape(g.branch)+"/protection")
	case GitLab:
		return "curl --header \"PRIVATE-TOKEN: $GITLAB_TOKEN\" " + shellWord(strings.TrimRight(g.API, "/")+"/api/v4/projects/"+strings.ReplaceAll(g.Project, "/", "%2F")+"/protected_branches")
	}
	return "curl --header \"Authorization: Bearer $BITBUCKET_TOKEN\" " + shellWord(strings.TrimRight(g.API, "/")+"/2.0/repositories/"+g.Project+"/branch-restrictions")
}

// gh is the program for GitHub. It would ask github.com by itself, where a repository of the
// same name may be.
func (g *gate) gh() string {
	host := g.at.Host
	if host == "api.github.com" || strings.HasSuffix(host, ".sandbox") {
		return "gh api"
	}
	if strings.HasSuffix(host, ".ghe.com") {
		host = strings.TrimPrefix(host, "api.")
	}
	return "gh api --hostname " + shellWord(host)
}

// commands are what a person would type for requests whose bodies lie in file, as its
// restore_by_hand.
func (g *gate) commands(requests []Request, file string) []string {
	var out []string
	for i, r := range requests {
		send := g.gh() + " --method " + r.Method + " " + shellWord(strings.TrimPrefix(r.Path, "/"))
		input := " --input -"
		if g.Service != GitHub {
			auth := `"PRIVATE-TOKEN: $GITLAB_TOKEN"`
			if g.Service == Bitbucket {
				auth = `"Authorization: Bearer $BITBUCKET_TOKEN"`
			}
			send = "curl --fail --request " + r.Method + " --header " + auth + " " + shellWord(strings.TrimRight(g.API, "/")+r.Path)
			input = " --json @-"
		}
		if r.Body != nil {
			send = fmt.Sprintf("jq '.restore_by_hand[%d].body' %s | %s%s", i, shellWord(file), send, input)
		}
		out = append(out, send)
	}
	return out
}

// shellWord quotes where a shell would need it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
