package forge

import (
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// rule finds what guards a branch on GitHub: a rule of its name, else one whose pattern
// matches it. A star matches no slash.
func (p *Project) rule(branch string) (pattern string, rule *Protection) {
	if own := p.GitHub[branch]; own != nil {
		return branch, own
	}
	for pattern, one := range p.GitHub {
		if ok, err := path.Match(pattern, branch); ok && err == nil {
			return pattern, one
		}
	}
	return "", nil
}

// graphql answers the two questions of GitHub's GraphQL API that are about one rule: what
// it says beyond the REST API, and the change of that. Errors are answers of status 200.
func graphql(x *exchange, r *http.Request) {
	var in struct {
		Query     string `json:"query"`
		Variables struct {
			Owner, Name, Ref string // of the query
			Rule             string // of the mutation, and what follows
			Deployments      bool
			Environments     []string
			Pushers          []string
		} `json:"variables"`
	}
	problem := func(kind, message string) {
		x.answer(http.StatusOK, map[string]any{"data": nil, "errors": []any{map[string]any{"type": kind, "message": message}}})
	}
	if !decode(r, &in) {
		x.answer(http.StatusBadRequest, map[string]string{"message": "Problems parsing JSON"})
		return
	}
	if x.level == "narrow" || x.level == "sso" {
		problem("FORBIDDEN", "Resource not accessible by personal access token")
		return
	}
	if strings.HasPrefix(in.Query, "mutation") {
		_, id, _ := strings.Cut(in.Variables.Rule, ":")
		name, branch, _ := strings.Cut(id, ":")
		p := x.state.Projects[name]
		if p == nil || p.GitHub[branch] == nil || x.level != "admin" {
			problem("NOT_FOUND", "Could not resolve to a node with the global id of '"+in.Variables.Rule+"'.")
			return
		}
		pushers, ok := x.state.nodes(in.Variables.Pushers)
		if !ok {
			problem("NOT_FOUND", "Could not resolve to a node of bypassForcePushActorIds.")
			return
		}
		rule := p.GitHub[branch]
		rule.ForcePushers, rule.Deployments = pushers, nil
		if in.Variables.Deployments {
			rule.Deployments = in.Variables.Environments
		}
		x.changed = true
		x.answer(http.StatusOK, map[string]any{"data": map[string]any{"updateBranchProtectionRule": map[string]any{"branchProtectionRule": map[string]any{"id": in.Variables.Rule}}}})
		return
	}
	name := in.Variables.Owner + "/" + in.Variables.Name
	p := x.state.Projects[name]
	if p == nil || x.level == "none" {
		problem("NOT_FOUND", "Could not resolve to a Repository with the name '"+name+"'.")
		return
	}
	var found any
	if pattern, rule := p.rule(strings.TrimPrefix(in.Variables.Ref, "refs/heads/")); rule != nil && x.level == "admin" {
		actors := rule.actors(x.state)
		found = map[string]any{"id": "BPR:" + name + ":" + pattern, "pattern": pattern, "allowsForcePushes": rule.ForcePushes,
			"requiresDeployments": rule.Deployments != nil, "requiredDeploymentEnvironments": append([]string{}, rule.Deployments...),
			"bypassForcePushAllowances": map[string]any{"totalCount": len(actors), "nodes": actors}}
	}
	x.answer(http.StatusOK, map[string]any{"data": map[string]any{"repository": map[string]any{"ref": map[string]any{"branchProtectionRule": found}}}})
}

// actors are those who may force-push, as nodes.
func (p *Protection) actors(s *State) []any {
	out := []any{}
	if p.ForcePushers == nil {
		return out
	}
	add := func(kind, key string, names []string, of map[string]int64) {
		for _, n := range names {
			out = append(out, map[string]any{"actor": map[string]any{"__typename": kind, "id": kind + ":" + strconv.FormatInt(of[n], 10), key: n}})
		}
	}
	add("User", "login", p.ForcePushers.Users, s.Users)
	add("Team", "slug", p.ForcePushers.Teams, s.Groups)
	add("App", "slug", p.ForcePushers.Apps, s.Apps)
	return out
}

// nodes finds actors by their ids; nil for none.
func (s *State) nodes(ids []string) (*Actors, bool) {
	if len(ids) == 0 {
		return nil, true
	}
	out := &Actors{Users: []string{}, Teams: []string{}, Apps: []string{}}
	for _, id := range ids {
		kind, number, _ := strings.Cut(id, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		of := map[string]map[string]int64{"User": s.Users, "Team": s.Groups, "App": s.Apps}[kind]
		name, ok := keyOf(of, n)
		if err != nil || !ok {
			return nil, false
		}
		list := map[string]*[]string{"User": &out.Users, "Team": &out.Teams, "App": &out.Apps}[kind]
		*list = append(*list, name)
	}
	for _, list := range [][]string{out.Users, out.Teams, out.Apps} {
		slices.Sort(list)
	}
	return out, true
}
