package forge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// gitlab adds the routes of GitLab's REST API.
func (f *Forge) gitlab() {
	const project = "/gitlab/api/v4/projects/{id}"
	find := func(h func(x *exchange, r *http.Request, p *Project)) func(*exchange, *http.Request) {
		return func(x *exchange, r *http.Request) {
			name := r.PathValue("id")
			p := x.state.Projects[name]
			switch {
			case p == nil || x.level == "none":
				x.answer(http.StatusNotFound, map[string]string{"message": "404 Project Not Found"})
			case p.MovedTo != "" && r.Method != http.MethodGet:
				x.answer(http.StatusMethodNotAllowed, map[string]string{"message": "Non GET methods are not allowed for moved projects"})
			case p.MovedTo != "":
				x.head.Set("Location", "http://"+r.Host+strings.Replace(r.URL.EscapedPath(), strings.ReplaceAll(name, "/", "%2F"), strings.ReplaceAll(p.MovedTo, "/", "%2F"), 1))
				x.status = http.StatusMovedPermanently
			default:
				h(x, r, p)
			}
		}
	}
	admin := func(h func(x *exchange, r *http.Request, p *Project)) func(*exchange, *http.Request) {
		return find(func(x *exchange, r *http.Request, p *Project) {
			if x.level != "admin" {
				x.answer(http.StatusForbidden, map[string]string{"message": "403 Forbidden"})
				return
			}
			h(x, r, p)
		})
	}
	f.handle("GET "+project, find(func(x *exchange, r *http.Request, p *Project) {
		level := map[string]int{"admin": 40, "narrow": 40, "write": 30, "read": 20}[x.level]
		name := r.PathValue("id")
		x.answer(http.StatusOK, map[string]any{"id": 1, "path_with_namespace": name, "archived": p.Archived,
			"permissions": map[string]any{"project_access": map[string]any{"access_level": level}, "group_access": nil}})
	}))
	f.handle("GET "+project+"/repository/branches/{branch}", find(func(x *exchange, r *http.Request, p *Project) {
		if b := r.PathValue("branch"); slices.Contains(p.Branches, b) {
			x.answer(http.StatusOK, map[string]any{"name": b})
			return
		}
		x.answer(http.StatusNotFound, map[string]string{"message": "404 Branch Not Found"})
	}))
	const protected = project + "/protected_branches"
	f.handle("GET "+protected, admin(func(x *exchange, r *http.Request, p *Project) {
		out := []any{}
		for _, b := range p.GitLab {
			out = append(out, b.shown(x.state, p.Free))
		}
		page(x, r, out)
	}))
	f.handle("POST "+protected, admin(func(x *exchange, r *http.Request, p *Project) { protect(x, r, p) }))
	one := func(h func(x *exchange, r *http.Request, p *Project, i int)) func(*exchange, *http.Request) {
		return admin(func(x *exchange, r *http.Request, p *Project) {
			i := slices.IndexFunc(p.GitLab, func(b ProtectedBranch) bool { return b.Name == r.PathValue("name") && !b.Inherited })
			if i < 0 {
				x.answer(http.StatusNotFound, map[string]string{"message": "404 Not found"})
				return
			}
			h(x, r, p, i)
		})
	}
	f.handle("DELETE "+protected+"/{name}", one(func(x *exchange, r *http.Request, p *Project, i int) {
		p.GitLab = slices.Delete(p.GitLab, i, i+1)
		x.changed, x.status = true, http.StatusNoContent
	}))
	f.handle("PATCH "+protected+"/{name}", one(func(x *exchange, r *http.Request, p *Project, i int) { change(x, r, p, &p.GitLab[i]) }))
	f.gitlabNames(project, find, admin)
}

// visit is what a route does with the project of a request.
type visit = func(func(x *exchange, r *http.Request, p *Project)) func(*exchange, *http.Request)

// gitlabNames adds the routes that say who is there.
func (f *Forge) gitlabNames(project string, find, admin visit) {
	f.handle("GET "+project+"/members/all/{user}", find(func(x *exchange, r *http.Request, p *Project) {
		id, _ := strconv.ParseInt(r.PathValue("user"), 10, 64)
		if name, ok := keyOf(x.state.Users, id); ok && !slices.Contains(p.Left, name) {
			x.answer(http.StatusOK, map[string]any{"id": id, "username": name, "access_level": 40})
			return
		}
		x.answer(http.StatusNotFound, map[string]string{"message": "404 Not found"})
	}))
	f.handle("GET "+project+"/deploy_keys/{key}", admin(func(x *exchange, r *http.Request, p *Project) {
		if id, _ := strconv.ParseInt(r.PathValue("key"), 10, 64); slices.Contains(p.Keys, id) {
			x.answer(http.StatusOK, map[string]any{"id": id, "title": "deploy key", "can_push": true})
			return
		}
		x.answer(http.StatusNotFound, map[string]string{"message": "404 Deploy Key Not Found"})
	}))
	f.handle("GET /gitlab/api/v4/groups/{id}", func(x *exchange, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if name, ok := keyOf(x.state.Groups, id); ok && err == nil {
			x.answer(http.StatusOK, map[string]any{"id": id, "path": name, "name": name})
			return
		}
		x.answer(http.StatusNotFound, map[string]string{"message": "404 Group Not Found"})
	})
}

var roles = map[int64]string{0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Admins"}

// shown is an entry as GitLab answers it. People and groups have no level of their own.
func (a Access) shown(s *State, free bool) map[string]any {
	out := map[string]any{"id": a.ID, "access_level": a.Level, "access_level_description": roles[a.Level]}
	if !free {
		out["user_id"], out["group_id"] = nil, nil
	}
	switch {
	case a.User != 0:
		name, _ := keyOf(s.Users, a.User)
		out["user_id"], out["access_level"], out["access_level_description"] = a.User, nil, name
	case a.Group != 0:
		name, _ := keyOf(s.Groups, a.Group)
		out["group_id"], out["access_level"], out["access_level_description"] = a.Group, nil, name
	case a.Key != 0:
		out["deploy_key_id"], out["access_level"], out["access_level_description"] = a.Key, 40, "deploy key"
	}
	return out
}

func (b ProtectedBranch) shown(s *State, free bool) map[string]any {
	list := func(as []Access) []any {
		out := []any{}
		for _, a := range as {
			out = append(out, a.shown(s, free))
		}
		return out
	}
	out := map[string]any{"id": b.ID, "name": b.Name, "allow_force_push": b.ForcePush, "code_owner_approval_required": b.CodeOwners,
		"push_access_levels": list(b.Push), "merge_access_levels": list(b.Merge)}
	if !free {
		out["inherited"], out["unprotect_access_levels"] = b.Inherited, list(b.Unprotect)
	}
	return out
}

// allowed is an entry of the lists in a body.
type allowed struct {
	ID      int64  `json:"id"`
	Destroy bool   `json:"_destroy"`
	Level   *int64 `json:"access_level"`
	User    int64  `json:"user_id"`
	Group   int64  `json:"group_id"`
	Key     int64  `json:"deploy_key_id"`
}

type branchWishes struct {
	Name           string    `json:"name"`
	Push           []allowed `json:"allowed_to_push"`
	Merge          []allowed `json:"allowed_to_merge"`
	Unprotect      []allowed `json:"allowed_to_unprotect"`
	PushLevel      *int64    `json:"push_access_level"`
	MergeLevel     *int64    `json:"merge_access_level"`
	UnprotectLevel *int64    `json:"unprotect_access_level"`
	ForcePush      *bool     `json:"allow_force_push"`
	CodeOwners     *bool     `json:"code_owner_approval_required"`
}

// apply changes a list of access levels; ok is false when it names somebody who has no
// access to the project. Without a licence only keys are looked at.
func apply(s *State, p *Project, have []Access, wanted []allowed) (out []Access, ok bool) {
	out = slices.Clone(have)
	for _, w := range wanted {
		if p.Free && w.Key == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(a Access) bool { return a.ID == w.ID })
		if w.ID != 0 && i < 0 {
			return nil, false
		}
		if w.Destroy {
			out = slices.Delete(out, i, i+1)
			continue
		}
		a := Access{ID: w.ID, User: w.User, Group: w.Group, Key: w.Key}
		name, user := keyOf(s.Users, w.User)
		_, group := keyOf(s.Groups, w.Group)
		switch {
		case w.User != 0 && (!user || slices.Contains(p.Left, name)), w.Group != 0 && !group, w.Key != 0 && !slices.Contains(p.Keys, w.Key):
			return nil, false
		case w.Level != nil:
			a.Level = *w.Level
		case w.User == 0 && w.Group == 0 && w.Key == 0:
			return nil, false
		}
		switch {
		case i >= 0:
			out[i] = a
		case !slices.ContainsFunc(out, func(o Access) bool {
			return o.Level == a.Level && o.User == a.User && o.Group == a.Group && o.Key == a.Key
		}):
			a.ID = s.next()
			out = append(out, a)
		}
	}
	return out, true
}

// change edits a protection in place; what is left out stays. A level cannot be changed:
// only the lists can.
func change(x *exchange, r *http.Request, p *Project, b *ProtectedBranch) {
	var w branchWishes
	ok := decode(r, &w)
	n := *b
	for _, part := range []struct {
		list   *[]Access
		wanted []allowed
	}{{&n.Push, w.Push}, {&n.Merge, w.Merge}, {&n.Unprotect, w.Unprotect}} {
		var good bool
		*part.list, good = apply(x.state, p, *part.list, part.wanted)
		ok = ok && good
	}
	if !ok {
		x.answer(http.StatusUnprocessableEntity, map[string]any{"message": []string{"Push access levels user is not a member of the project"}})
		return
	}
	if w.ForcePush != nil {
		n.ForcePush = *w.ForcePush
	}
	if w.CodeOwners != nil && !p.Free {
		n.CodeOwners = *w.CodeOwners
	}
	*b = n
	x.changed = true
	x.answer(http.StatusOK, b.shown(x.state, p.Free))
}

// protect makes a protection. A right for which neither level nor list is given is that of
// maintainers; where the licence lacks the lists, also one for which only a list is given that
// names no key.
func protect(x *exchange, r *http.Request, p *Project) {
	var w branchWishes
	if !decode(r, &w) || w.Name == "" {
		x.answer(http.StatusBadRequest, map[string]string{"error": "name is missing"})
		return
	}
	if slices.ContainsFunc(p.GitLab, func(b ProtectedBranch) bool { return b.Name == w.Name && !b.Inherited }) {
		x.answer(http.StatusConflict, map[string]string{"message": "Protected branch '" + w.Name + "' already exists"})
		return
	}
	n := ProtectedBranch{ID: x.state.next(), Name: w.Name, ForcePush: w.ForcePush != nil && *w.ForcePush, CodeOwners: w.CodeOwners != nil && *w.CodeOwners && !p.Free}
	isKey := func(a allowed) bool { return a.Key != 0 }
	for _, part := range []struct {
		list   *[]Access
		wanted []allowed
		level  *int64
		paid   bool // exists with a licence only
	}{{&n.Push, w.Push, w.PushLevel, false}, {&n.Merge, w.Merge, w.MergeLevel, false}, {&n.Unprotect, w.Unprotect, w.UnprotectLevel, true}} {
		if *part.list = []Access{}; part.paid && p.Free {
			continue
		}
		level := int64(40)
		given := part.level != nil
		if given {
			level = *part.level
		}
		if part.paid && given && level == 0 {
			x.answer(http.StatusBadRequest, map[string]string{"error": "unprotect_access_level does not have a valid value"})
			return
		}
		if given || len(part.wanted) == 0 || p.Free && !slices.ContainsFunc(part.wanted, isKey) {
			*part.list = append(*part.list, Access{ID: x.state.next(), Level: level})
		}
		var ok bool
		if *part.list, ok = apply(x.state, p, *part.list, part.wanted); !ok {
			x.answer(http.StatusUnprocessableEntity, map[string]any{"message": []string{"Push access levels user is not a member of the project"}})
			return
		}
	}
	p.GitLab = append(p.GitLab, n)
	x.changed = true
	x.answer(http.StatusCreated, n.shown(x.state, p.Free))
}
