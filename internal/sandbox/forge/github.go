package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// github adds the routes of GitHub's REST API.
func (f *Forge) github() {
	const repo = "/github/repos/{owner}/{repo}"
	f.handle("GET "+repo, project(func(x *exchange, r *http.Request, name string, p *Project) {
		x.answer(http.StatusOK, map[string]any{
			"id": 1, "name": r.PathValue("repo"), "full_name": name, "private": true, "archived": p.Archived, "default_branch": "main",
			"permissions": map[string]bool{"admin": x.level == "admin" || x.level == "narrow", "push": x.level != "read", "pull": true},
		})
	}))
	f.handle("GET "+repo+"/branches/{branch}", project(func(x *exchange, r *http.Request, name string, p *Project) {
		b := r.PathValue("branch")
		if !slices.Contains(p.Branches, b) {
			x.missing("Branch not found")
			return
		}
		_, rule := p.rule(b)
		x.answer(http.StatusOK, map[string]any{"name": b, "protected": rule != nil})
	}))
	f.handle("GET "+repo+"/rules/branches/{branch}", project(func(x *exchange, r *http.Request, name string, p *Project) {
		out := []any{}
		for _, rule := range p.Rulesets {
			if slices.Contains(rule.Branches, r.PathValue("branch")) {
				kind := "Organization"
				if rule.Source == name {
					kind = "Repository"
				}
				out = append(out, map[string]any{"type": rule.Type, "ruleset_source_type": kind, "ruleset_source": rule.Source, "ruleset_id": rule.ID})
			}
		}
		page(x, r, out)
	}))
	const protection = repo + "/branches/{branch}/protection"
	f.handle("GET "+protection, guarded(func(x *exchange, r *http.Request, p *Project, b string) {
		if _, have := p.rule(b); have != nil { // also that of a pattern, and it does not say so
			x.answer(http.StatusOK, have.shown(x.state, r))
			return
		}
		x.missing("Branch not protected")
	}))
	f.handle("PUT "+protection, guarded(putProtection))
	f.handle("DELETE "+protection, guarded(func(x *exchange, r *http.Request, p *Project, b string) {
		if p.GitHub[b] == nil {
			x.missing("Branch not protected")
			return
		}
		delete(p.GitHub, b)
		x.changed, x.status = true, http.StatusNoContent
	}))
	for method, on := range map[string]bool{"POST": true, "DELETE": false} {
		f.handle(method+" "+protection+"/required_signatures", guarded(func(x *exchange, r *http.Request, p *Project, b string) {
			if p.GitHub[b] == nil {
				x.missing("Branch not protected")
				return
			}
			p.GitHub[b].Signatures = on
			x.changed = true
			if on {
				x.answer(http.StatusOK, map[string]bool{"enabled": true})
			} else {
				x.status = http.StatusNoContent
			}
		}))
	}
	known := func(pattern string, of func(*State) map[string]int64) {
		f.handle("GET "+pattern, func(x *exchange, r *http.Request) {
			name := r.PathValue("name")
			if id, ok := of(x.state)[name]; ok {
				x.answer(http.StatusOK, map[string]any{"id": id, "login": name, "slug": name})
				return
			}
			x.missing("Not Found")
		})
	}
	f.handle("POST /github/graphql", graphql)
	known("/github/users/{name}", func(s *State) map[string]int64 { return s.Users })
	known("/github/orgs/{org}/teams/{name}", func(s *State) map[string]int64 { return s.Groups })
	known("/github/apps/{name}", func(s *State) map[string]int64 { return s.Apps })
}

func (x *exchange) missing(message string) {
	x.answer(http.StatusNotFound, map[string]string{"message": message})
}

// project finds the repository of a request. Who may not see it is told that there is none.
func project(h func(x *exchange, r *http.Request, name string, p *Project)) func(*exchange, *http.Request) {
	return func(x *exchange, r *http.Request) {
		name := r.PathValue("owner") + "/" + r.PathValue("repo")
		p := x.state.Projects[name]
		switch {
		case x.level == "sso":
			x.head.Set("X-GitHub-SSO", "required; url=https://github.com/orgs/company/sso")
			x.answer(http.StatusForbidden, map[string]string{"message": "Resource protected by organization SAML enforcement."})
		case p == nil || x.level == "none":
			x.missing("Not Found")
		case p.MovedTo != "" && r.Method == http.MethodGet:
			to := strings.Replace(r.URL.EscapedPath(), "/"+name, "/"+p.MovedTo, 1)
			x.head.Set("Location", "http://"+r.Host+to)
			x.answer(http.StatusMovedPermanently, map[string]string{"message": "Moved Permanently"})
		case p.MovedTo != "":
			to := strings.Replace(r.URL.EscapedPath(), "/"+name, "/"+p.MovedTo, 1)
			x.head.Set("Location", "http://"+r.Host+to)
			x.answer(http.StatusTemporaryRedirect, map[string]string{"message": "Moved"})
		default:
			h(x, r, name, p)
		}
	}
}

// guarded lets administrators at the protection of a branch that exists. To others GitHub
// hides it, but for tokens with single permissions, which are told what they lack.
func guarded(h func(x *exchange, r *http.Request, p *Project, branch string)) func(*exchange, *http.Request) {
	return project(func(x *exchange, r *http.Request, _ string, p *Project) {
		b := r.PathValue("branch")
		switch {
		case x.level == "narrow":
			x.answer(http.StatusForbidden, map[string]string{"message": "Resource not accessible by personal access token"})
		case x.level != "admin":
			x.missing("Not Found")
		case !slices.Contains(p.Branches, b):
			x.missing("Branch not found")
		case p.Archived && r.Method != http.MethodGet:
			x.answer(http.StatusForbidden, map[string]string{"message": "Repository was archived so is read-only."})
		default:
			h(x, r, p, b)
		}
	})
}

// shown is a protection as GitHub answers it.
func (p *Protection) shown(s *State, r *http.Request) map[string]any {
	self := "http://" + r.Host + r.URL.EscapedPath()
	on := func(b bool) map[string]any { return map[string]any{"enabled": b} }
	out := map[string]any{
		"url":                              self,
		"enforce_admins":                   map[string]any{"url": self + "/enforce_admins", "enabled": p.Admins},
		"required_signatures":              map[string]any{"url": self + "/required_signatures", "enabled": p.Signatures},
		"required_linear_history":          on(p.Linear),
		"allow_force_pushes":               on(p.ForcePushes || p.ForcePushers != nil),
		"allow_deletions":                  on(p.Deletions),
		"block_creations":                  on(p.Creations),
		"required_conversation_resolution": on(p.Conversations),
		"lock_branch":                      on(p.Lock),
		"allow_fork_syncing":               on(p.ForkSyncing),
	}
	if c := p.Checks; c != nil {
		contexts, checks := []string{}, []any{}
		for _, one := range c.Checks {
			contexts = append(contexts, one.Context)
			var app any
			if one.App != 0 {
				app = one.App
			}
			checks = append(checks, map[string]any{"context": one.Context, "app_id": app})
		}
		out["required_status_checks"] = map[string]any{"url": self + "/required_status_checks", "strict": c.Strict,
			"contexts": contexts, "contexts_url": self + "/required_status_checks/contexts", "checks": checks}
	}
	if v := p.Reviews; v != nil {
		m := map[string]any{"url": self + "/required_pull_request_reviews", "dismiss_stale_reviews": v.DismissStale, "require_code_owner_reviews": v.CodeOwners,
			"require_last_push_approval": v.LastPush, "required_approving_review_count": v.Count}
		if v.Dismissal != nil {
			m["dismissal_restrictions"] = v.Dismissal.shown(s, self+"/dismissal_restrictions")
		}
		if v.Bypass != nil {
			m["bypass_pull_request_allowances"] = v.Bypass.shown(s, "")
		}
		out["required_pull_request_reviews"] = m
	}
	if p.Restrictions != nil {
		out["restrictions"] = p.Restrictions.shown(s, self+"/restrictions")
	}
	return out
}

func (a *Actors) shown(s *State, self string) map[string]any {
	users, teams, apps := []any{}, []any{}, []any{}
	for _, u := range a.Users {
		users = append(users, map[string]any{"login": u, "id": s.Users[u], "type": "User", "url": "https://api.github.com/users/" + u})
	}
	for _, t := range a.Teams {
		teams = append(teams, map[string]any{"slug": t, "id": s.Groups[t], "name": strings.ToUpper(t[:1]) + t[1:], "permission": "push"})
	}
	for _, p := range a.Apps {
		apps = append(apps, map[string]any{"slug": p, "id": s.Apps[p], "name": p})
	}
	out := map[string]any{"users": users, "teams": teams, "apps": apps}
	if self != "" {
		out["url"], out["users_url"], out["teams_url"], out["apps_url"] = self, self+"/users", self+"/teams", self+"/apps"
	}
	return out
}

// wishes are the body of a PUT. It is not what a GET answers.
type wishes struct {
	Checks *struct {
		Strict   bool     `json:"strict"`
		Contexts []string `json:"contexts"`
		Checks   []struct {
			Context string `json:"context"`
			App     *int64 `json:"app_id"`
		} `json:"checks"`
	} `json:"required_status_checks"`
	Admins  *bool `json:"enforce_admins"`
	Reviews *struct {
		Dismissal    *Actors `json:"dismissal_restrictions"`
		Bypass       *Actors `json:"bypass_pull_request_allowances"`
		DismissStale bool    `json:"dismiss_stale_reviews"`
		CodeOwners   bool    `json:"require_code_owner_reviews"`
		LastPush     bool    `json:"require_last_push_approval"`
		Count        int     `json:"required_approving_review_count"`
	} `json:"required_pull_request_reviews"`
	Restrictions  *Actors `json:"restrictions"`
	Linear        bool    `json:"required_linear_history"`
	ForcePushes   *bool   `json:"allow_force_pushes"`
	Deletions     bool    `json:"allow_deletions"`
	Creations     bool    `json:"block_creations"`
	Conversations bool    `json:"required_conversation_resolution"`
	Lock          bool    `json:"lock_branch"`
	ForkSyncing   bool    `json:"allow_fork_syncing"`
}

// putProtection replaces the protection of a branch, all but the signatures, which have
// an endpoint of their own, and what only the GraphQL API knows. Four keys must be there.
// Where a pattern guards the branch, the branch gets a rule of its own.
func putProtection(x *exchange, r *http.Request, p *Project, branch string) {
	invalid := func(format string, args ...any) {
		x.answer(http.StatusUnprocessableEntity, map[string]any{"message": "Invalid request.", "errors": []string{fmt.Sprintf(format, args...)}})
	}
	var keys map[string]json.RawMessage
	if !decode(r, &keys) {
		invalid("the body is no JSON object")
		return
	}
	for _, key := range []string{"required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions"} {
		if _, ok := keys[key]; !ok {
			invalid("%q wasn't supplied.", key)
			return
		}
	}
	text, _ := json.Marshal(keys) // of what was just read
	var w wishes
	if err := json.Unmarshal(text, &w); err != nil {
		invalid("%v", err)
		return
	}
	is := func(b *bool) bool { return b != nil && *b }
	n := &Protection{Admins: is(w.Admins), Linear: w.Linear, ForcePushes: is(w.ForcePushes), Deletions: w.Deletions, Creations: w.Creations,
		Conversations: w.Conversations, Lock: w.Lock, ForkSyncing: w.ForkSyncing, Restrictions: x.state.known(w.Restrictions)}
	if old := p.GitHub[branch]; old != nil {
		n.Signatures, n.Deployments, n.ForcePushers = old.Signatures, old.Deployments, old.ForcePushers
	}
	if c := w.Checks; c != nil {
		n.Checks = &Checks{Strict: c.Strict, Checks: []Check{}}
		for _, name := range c.Contexts {
			if c.Checks == nil {
				n.Checks.Checks = append(n.Checks.Checks, Check{Context: name})
			}
		}
		for _, one := range c.Checks {
			app := x.state.Apps["github-actions"] // left out: the app that reported it last
			if one.App != nil {
				app = max(0, *one.App) // -1: any
			}
			n.Checks.Checks = append(n.Checks.Checks, Check{one.Context, app})
		}
	}
	if v := w.Reviews; v != nil {
		if v.Count < 0 || v.Count > 6 {
			invalid("%d reviews", v.Count)
			return
		}
		n.Reviews = &Reviews{Dismissal: x.state.known(v.Dismissal), Bypass: x.state.known(v.Bypass), DismissStale: v.DismissStale,
			CodeOwners: v.CodeOwners, LastPush: v.LastPush, Count: v.Count}
	}
	p.GitHub[branch] = n
	x.changed = true
	x.answer(http.StatusOK, n.shown(x.state, r))
}

// known drops those that nobody knows, without a word.
func (s *State) known(a *Actors) *Actors {
	if a == nil {
		return nil
	}
	keep := func(names []string, of map[string]int64) []string {
		out := []string{}
		for _, n := range names {
			if _, ok := of[n]; ok {
				out = append(out, n)
			}
		}
		return out
	}
	return &Actors{Users: keep(a.Users, s.Users), Teams: keep(a.Teams, s.Groups), Apps: keep(a.Apps, s.Apps)}
}

// page answers a part of a list, with links to the others as all three services have them.
func page(x *exchange, r *http.Request, all []any) {
	size, at := asked(r, "per_page", 30, 100), asked(r, "page", 1, 1<<20)
	from := min(len(all), (at-1)*size)
	to := min(len(all), from+size)
	if to < len(all) {
		q := r.URL.Query()
		q.Set("page", fmt.Sprint(at+1))
		next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}
		x.head.Set("Link", "<"+next.String()+`>; rel="next"`)
		x.head.Set("X-Next-Page", fmt.Sprint(at+1))
	}
	x.answer(http.StatusOK, all[from:to])
}

func asked(r *http.Request, name string, otherwise, most int) int {
	var n int
	if _, err := fmt.Sscan(r.URL.Query().Get(name), &n); err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}
