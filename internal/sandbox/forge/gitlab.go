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
			out = append(out, b.shown(x.state))
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
	f.handle("PATCH "+protected+"/{name}", one(func(x *exchange, r *http.Request, p *Project, i int) { change(x, r, &p.GitLab[i]) }))
	known := func(pattern string, of func(*State) map[string]int64) {
		f.handle("GET "+pattern, func(x *exchange, r *http.Request) {
			id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
			if name, ok := keyOf(of(x.state), id); ok && err == nil {
				x.answer(http.StatusOK, map[string]any{"id": id, "username": name, "path": name, "name": name})
				return
			}
			x.answer(http.StatusNotFound, map[string]string{"message": "404 Not found"})
		})
	}
	known("/gitlab/api/v4/users/{id}", func(s *State) map[string]int64 { return s.Users })
	known("/gitlab/api/v4/groups/{id}", func(s *State) map[string]int64 { return s.Groups })
}

var roles = map[int64]string{0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Admins"}

func (a Access) shown(s *State) map[string]any {
	out := map[string]any{"id": a.ID, "access_level": a.Level, "access_level_description": roles[a.Level], "user_id": nil, "group_id": nil, "deploy_key_id": nil}
	switch {
	case a.User != 0:
		name, _ := keyOf(s.Users, a.User)
		out["user_id"], out["access_level"], out["access_level_description"] = a.User, 40, name
	case a.Group != 0:
		name, _ := keyOf(s.Groups, a.Group)
		out["group_id"], out["access_level"], out["access_level_description"] = a.Group, 40, name
	case a.Key != 0:
		out["deploy_key_id"], out["access_level"], out["access_level_description"] = a.Key, 40, "deploy key"
	}
	return out
}

func (b ProtectedBranch) shown(s *State) map[string]any {
	list := func(as []Access) []any {
		out := []any{}
		for _, a := range as {
			out = append(out, a.shown(s))
		}
		return out
	}
	return map[string]any{"id": b.ID, "name": b.Name, "inherited": b.Inherited, "allow_force_push": b.ForcePush, "code_owner_approval_required": b.CodeOwners,
		"push_access_levels": list(b.Push), "merge_access_levels": list(b.Merge), "unprotect_access_levels": list(b.Unprotect)}
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

// apply changes a list of access levels; ok is false when it names somebody unknown.
func apply(s *State, have []Access, wanted []allowed) (out []Access, ok bool) {
	out = slices.Clone(have)
	for _, w := range wanted {
		if w.Destroy {
			n := len(out)
			out = slices.DeleteFunc(out, func(a Access) bool { return a.ID == w.ID })
			if len(out) == n {
				return nil, false
			}
			continue
		}
		a := Access{ID: s.next(), User: w.User, Group: w.Group, Key: w.Key}
		_, user := keyOf(s.Users, w.User)
		_, group := keyOf(s.Groups, w.Group)
		switch {
		case w.User != 0 && !user, w.Group != 0 && !group:
			return nil, false
		case w.Level != nil:
			a.Level = *w.Level
		case w.User == 0 && w.Group == 0 && w.Key == 0:
			return nil, false
		}
		if !slices.ContainsFunc(out, func(o Access) bool {
			return o.Level == a.Level && o.User == a.User && o.Group == a.Group && o.Key == a.Key
		}) {
			out = append(out, a)
		}
	}
	return out, true
}

// change edits a protection in place; what is left out stays.
func change(x *exchange, r *http.Request, b *ProtectedBranch) {
	var w branchWishes
	ok := decode(r, &w)
	n := *b
	for _, part := range []struct {
		list   *[]Access
		wanted []allowed
	}{{&n.Push, w.Push}, {&n.Merge, w.Merge}, {&n.Unprotect, w.Unprotect}} {
		var good bool
		*part.list, good = apply(x.state, *part.list, part.wanted)
		ok = ok && good
	}
	if !ok {
		x.answer(http.StatusUnprocessableEntity, map[string]string{"message": "access levels are invalid"})
		return
	}
	if w.ForcePush != nil {
		n.ForcePush = *w.ForcePush
	}
	if w.CodeOwners != nil {
		n.CodeOwners = *w.CodeOwners
	}
	*b = n
	x.changed = true
	x.answer(http.StatusOK, b.shown(x.state))
}

// protect makes a protection. A list that is left out is maintainers.
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
	n := ProtectedBranch{ID: x.state.next(), Name: w.Name, ForcePush: w.ForcePush != nil && *w.ForcePush, CodeOwners: w.CodeOwners != nil && *w.CodeOwners}
	maintainers := int64(40)
	for _, part := range []struct {
		list   *[]Access
		wanted []allowed
		level  *int64
	}{{&n.Push, w.Push, w.PushLevel}, {&n.Merge, w.Merge, w.MergeLevel}, {&n.Unprotect, w.Unprotect, w.UnprotectLevel}} {
		switch {
		case part.level != nil:
			part.wanted = append(part.wanted, allowed{Level: part.level})
		case len(part.wanted) == 0:
			part.wanted = []allowed{{Level: &maintainers}}
		}
		var ok bool
		if *part.list, ok = apply(x.state, nil, part.wanted); !ok {
			x.answer(http.StatusUnprocessableEntity, map[string]string{"message": "access levels are invalid"})
			return
		}
	}
	p.GitLab = append(p.GitLab, n)
	x.changed = true
	x.answer(http.StatusCreated, n.shown(x.state))
}
