package forge

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// bitbucket adds the routes of Bitbucket's REST API.
func (f *Forge) bitbucket() {
	const repo = "/bitbucket/2.0/repositories/{owner}/{repo}"
	find, admin := seen, administered
	f.handle("GET "+repo, find(func(x *exchange, r *http.Request, p *Project) {
		x.answer(http.StatusOK, map[string]any{"type": "repository", "full_name": r.PathValue("owner") + "/" + r.PathValue("repo")})
	}))
	f.handle("GET "+repo+"/refs/branches/{branch}", find(func(x *exchange, r *http.Request, p *Project) {
		if b := r.PathValue("branch"); slices.Contains(p.Branches, b) {
			x.answer(http.StatusOK, map[string]any{"type": "branch", "name": b})
			return
		}
		fail(x, http.StatusNotFound, "No such branch")
	}))
	const restrictions = repo + "/branch-restrictions"
	f.handle("GET "+restrictions, admin(func(x *exchange, r *http.Request, p *Project) {
		size, at := asked(r, "pagelen", 10, 100), asked(r, "page", 1, 1<<20)
		from := min(len(p.Bitbucket), (at-1)*size)
		to := min(len(p.Bitbucket), from+size)
		values := []any{}
		for _, b := range p.Bitbucket[from:to] {
			values = append(values, b.shown(x.state))
		}
		out := map[string]any{"pagelen": size, "page": at, "size": len(p.Bitbucket), "values": values}
		if to < len(p.Bitbucket) {
			q := r.URL.Query()
			q.Set("page", strconv.Itoa(at+1))
			out["next"] = (&url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}).String()
		}
		x.answer(http.StatusOK, out)
	}))
	f.handle("POST "+restrictions, admin(func(x *exchange, r *http.Request, p *Project) { store(x, r, p, -1) }))
	one := func(h func(x *exchange, r *http.Request, p *Project, i int)) func(*exchange, *http.Request) {
		return admin(func(x *exchange, r *http.Request, p *Project) {
			id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
			i := slices.IndexFunc(p.Bitbucket, func(b Restriction) bool { return b.ID == id })
			if i < 0 {
				fail(x, http.StatusNotFound, "no such restriction")
				return
			}
			h(x, r, p, i)
		})
	}
	f.handle("PUT "+restrictions+"/{id}", one(store))
	f.handle("DELETE "+restrictions+"/{id}", one(func(x *exchange, r *http.Request, p *Project, i int) {
		p.Bitbucket = slices.Delete(p.Bitbucket, i, i+1)
		x.changed, x.status = true, http.StatusNoContent
	}))
	f.handle("GET "+repo+"/branching-model", find(func(x *exchange, r *http.Request, p *Project) {
		branch := func(name string) map[string]any {
			return map[string]any{"name": name, "branch": map[string]any{"type": "branch", "name": name}, "use_mainbranch": name == "main"}
		}
		x.answer(http.StatusOK, map[string]any{"type": "branching_model", "production": branch("main"), "development": branch("develop"),
			"branch_types": []any{map[string]any{"kind": "feature", "prefix": "feature/"}, map[string]any{"kind": "release", "prefix": "release/"}}})
	}))
	f.handle("GET /bitbucket/2.0/users/{uuid}", func(x *exchange, r *http.Request) {
		if name, ok := user(x.state, r.PathValue("uuid")); ok {
			x.answer(http.StatusOK, map[string]any{"type": "user", "uuid": r.PathValue("uuid"), "nickname": name})
			return
		}
		fail(x, http.StatusNotFound, "no such user")
	})
}

// user finds a person by what Bitbucket calls uuid, which is made from the id here.
func user(s *State, uuid string) (string, bool) {
	for name, id := range s.Users {
		if uuid == uuidOf(id) {
			return name, true
		}
	}
	return "", false
}

func uuidOf(id int64) string {
	return "{00000000-0000-4000-8000-" + strconv.FormatInt(100000000000+id, 10) + "}"
}

func (b Restriction) shown(s *State) map[string]any {
	users, groups := []any{}, []any{}
	for _, u := range b.Users {
		users = append(users, map[string]any{"type": "user", "uuid": uuidOf(s.Users[u]), "nickname": u, "display_name": u})
	}
	for _, g := range b.Groups {
		groups = append(groups, map[string]any{"type": "group", "slug": g, "name": g})
	}
	out := map[string]any{"type": "branchrestriction", "id": b.ID, "kind": b.Kind, "branch_match_kind": b.Match, "pattern": b.Pattern,
		"users": users, "groups": groups, "value": b.Value, "links": map[string]any{"self": map[string]any{"href": "https://api.bitbucket.org/x/" + strconv.FormatInt(b.ID, 10)}}}
	if b.BranchType != "" {
		out["branch_type"] = b.BranchType
	}
	return out
}

func fail(x *exchange, status int, message string) {
	x.answer(status, map[string]any{"type": "error", "error": map[string]string{"message": message}})
}

// seen finds the repository of a request, for those who may see it.
func seen(h func(x *exchange, r *http.Request, p *Project)) func(*exchange, *http.Request) {
	return func(x *exchange, r *http.Request) {
		name := r.PathValue("owner") + "/" + r.PathValue("repo")
		p := x.state.Projects[name]
		switch {
		case p == nil || x.level == "none":
			fail(x, http.StatusNotFound, "Repository "+name+" not found")
		case p.MovedTo != "":
			x.head.Set("Location", "http://"+r.Host+"/bitbucket/2.0/repositories/"+p.MovedTo)
			x.status = http.StatusMovedPermanently
		default:
			h(x, r, p)
		}
	}
}

// administered is [seen] for administrators.
func administered(h func(x *exchange, r *http.Request, p *Project)) func(*exchange, *http.Request) {
	return seen(func(x *exchange, r *http.Request, p *Project) {
		if x.level != "admin" {
			fail(x, http.StatusForbidden, "Your credentials lack one or more required privilege scopes.")
			return
		}
		h(x, r, p)
	})
}

// store makes a restriction, or replaces the i-th. There is one of a kind for a pattern.
func store(x *exchange, r *http.Request, p *Project, i int) {
	var w struct {
		Kind, Pattern string
		Match         string `json:"branch_match_kind"`
		BranchType    string `json:"branch_type"`
		Users         []struct {
			UUID string `json:"uuid"`
		}
		Groups []struct{ Slug string }
		Value  *int64
	}
	if !decode(r, &w) || w.Kind == "" || w.Match == "" {
		fail(x, http.StatusBadRequest, "kind and branch_match_kind are required")
		return
	}
	switch lists := w.Kind == "push" || w.Kind == "restrict_merges"; {
	case lists && (w.Users == nil || w.Groups == nil):
		fail(x, http.StatusBadRequest, w.Kind+" requires users and groups")
		return
	case !lists && (w.Users != nil || w.Groups != nil):
		fail(x, http.StatusBadRequest, "users and groups can only be configured for push and restrict_merges")
		return
	}
	n := Restriction{Kind: w.Kind, Match: w.Match, Pattern: w.Pattern, BranchType: w.BranchType, Value: w.Value, Users: []string{}, Groups: []string{}}
	for _, u := range w.Users {
		name, ok := user(x.state, u.UUID)
		if !ok {
			fail(x, http.StatusBadRequest, "users: no such user")
			return
		}
		n.Users = append(n.Users, name)
	}
	for _, g := range w.Groups {
		if _, ok := x.state.Groups[g.Slug]; !ok {
			fail(x, http.StatusBadRequest, "groups: no such group "+g.Slug)
			return
		}
		n.Groups = append(n.Groups, g.Slug)
	}
	same := func(b Restriction) bool {
		return b.Kind == n.Kind && b.Match == n.Match && b.Pattern == n.Pattern && b.BranchType == n.BranchType
	}
	if j := slices.IndexFunc(p.Bitbucket, same); j >= 0 && j != i {
		fail(x, http.StatusConflict, "a restriction of this kind exists for the branch")
		return
	}
	status := http.StatusOK
	if i < 0 {
		n.ID, i, status = x.state.next(), len(p.Bitbucket), http.StatusCreated
		p.Bitbucket = append(p.Bitbucket, n)
	}
	n.ID = max(n.ID, p.Bitbucket[i].ID)
	p.Bitbucket[i] = n
	x.changed = true
	x.answer(status, n.shown(x.state))
}
