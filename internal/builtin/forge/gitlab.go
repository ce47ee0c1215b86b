package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
)

// gitLab keeps a protected branch for each name or wildcard. Only the one that bears the
// name of the branch is its own; wildcards and what a group hands down guard it too, and
// stay.
//
// There is no library here on purpose: the official client retries requests by itself,
// also writes, and brings two more modules, for the five calls that this takes.
type gitLab struct{ *wire }

func newGitLab(w *wire) *gitLab {
	w.send = w.plain(func(h http.Header) {
		if !w.token.Value.IsZero() {
			h.Set("PRIVATE-TOKEN", w.token.Value.Reveal())
		}
	})
	return &gitLab{w}
}

func (g *gitLab) path(rest string) string {
	return "/api/v4/projects/" + url.PathEscape(g.Project) + rest
}

func (g *gitLab) protected(name string) string {
	return g.path("/protected_branches/" + url.PathEscape(name))
}

func (g *gitLab) read(ctx context.Context, branch string) (Live, error) {
	var live Live
	var err error
	if live.Project, err = g.there(ctx, g.path(""), "path_with_namespace", g.path("/repository/branches/"+url.PathEscape(branch)), branch); err != nil {
		return live, err
	}
	page := "1"
	for range maxPages {
		var all []json.RawMessage
		r, err := g.json(ctx, g.path("/protected_branches?per_page=100&page="+url.QueryEscape(page)), &all)
		if err != nil {
			return live, err
		}
		if r.status != http.StatusOK {
			return live, g.status(r, "read the protected branches of "+g.Project)
		}
		for _, raw := range all {
			if err := g.sort(&live, branch, raw); err != nil {
				return live, err
			}
		}
		if page = r.header.Get("X-Next-Page"); page == "" {
			return live, nil
		}
	}
	return live, tooLong("protected branches of " + g.Project)
}

// sort puts a protected branch among the rules of ours, or beside them.
func (g *gitLab) sort(live *Live, branch string, raw json.RawMessage) error {
	raw, err := compact(raw)
	if err != nil {
		return err
	}
	rule := Rule{Name: branch, Raw: raw}
	m, err := object(rule)
	if err != nil {
		return err
	}
	name := text(m, "name")
	inherited, _ := m["inherited"].(bool)
	switch {
	case name == branch && !inherited:
		live.Rules = append(live.Rules, rule)
	case name == branch || wild(name, branch):
		rights, err := accessList(m["push_access_levels"])
		if err != nil {
			return err
		}
		what := "wildcard " + printable.Line(name)
		if inherited {
			what = "protection of the group for " + printable.Line(name)
		}
		live.Beside = append(live.Beside, what+": may push: "+set("", rights).text())
	}
	return nil
}

// wild says whether a pattern with stars matches a name; a star matches slashes too.
func wild(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// accessKinds are the ways to name who has a right, most particular first: an entry for a
// person has a level too, which does not count.
var accessKinds = []struct{ key, kind string }{
	{"user_id", "user"}, {"group_id", "group"}, {"deploy_key_id", "deploy key"}, {"member_role_id", "custom role"}, {"access_level", "role"},
}

// access is one entry of a list of rights, reduced to who it means.
type access struct {
	key, kind, id string
	item          Item
	number        string // of the entry itself
}

func accesses(v any) ([]access, error) {
	list, err := listOf(v)
	if err != nil {
		return nil, err
	}
	var out []access
	for _, e := range list {
		a := access{number: text(e, "id")}
		for _, k := range accessKinds {
			if id := text(e, k.key); id != "" {
				a.key, a.kind, a.id = k.key, k.kind, id
				break
			}
		}
		if _, err := strconv.ParseInt(a.id, 10, 64); err != nil {
			return nil, fmt.Errorf("an entry names nobody that is known here")
		}
		a.item = Item{Key: a.kind + " " + a.id, Text: a.kind + " " + a.id}
		if d := printable.Line(text(e, "access_level_description")); d != "" {
			a.item.Text = a.item.Text + " (" + d + ")"
			if a.kind == "role" {
				a.item.Text = d
			}
		}
		out = append(out, a)
	}
	return out, nil
}

func accessList(v any) ([]Item, error) {
	list, err := accesses(v)
	var out []Item
	for _, a := range list {
		out = append(out, a.item)
	}
	return out, err
}

// rights are the three lists of a protected branch, as they are read and as they are written.
var rights = []struct {
	read, write, level string
	none               bool // it can be that of no one
}{
	{"push_access_levels", "allowed_to_push", "push_access_level", true},
	{"merge_access_levels", "allowed_to_merge", "merge_access_level", true},
	{"unprotect_access_levels", "allowed_to_unprotect", "unprotect_access_level", false},
}

func (g *gitLab) fields(rules []Rule) ([]Field, error) {
	var out []Field
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		for key, v := range m {
			items, isRight, err := right(key, v)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", key, err)
			case isRight && key == "unprotect_access_levels" && len(items) == 0: // as a server says that does not know it
			case isRight:
				out = append(out, set(key, items))
			case key == "id" || key == "name" || key == "inherited" || isURL(key) || v == nil:
			case v == false:
			default:
				out = append(out, scalar(key, v))
			}
		}
	}
	return out, nil
}

func right(key string, v any) ([]Item, bool, error) {
	for _, r := range rights {
		if r.read == key {
			items, err := accessList(v)
			return items, true, err
		}
	}
	return nil, false, nil
}

// body is what makes a protection out of nothing. One role of a right is written as a level,
// which every edition of GitLab takes; the lists are ignored where the licence lacks them,
// but for deploy keys. A right that is left out would be that of maintainers, so a right that
// nobody has begins as that of no one.
func (g *gitLab) body(rule Rule) (map[string]any, error) {
	m, err := object(rule)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"name": g.branch} // a copy may be one of another branch
	for key, v := range m {
		if b, ok := v.(bool); ok && key != "inherited" {
			out[key] = b
		}
	}
	for _, r := range rights {
		list, err := accesses(m[r.read])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.read, err)
		}
		isRole := func(a access) bool { return a.kind == "role" }
		i := slices.IndexFunc(list, isRole)
		switch {
		case len(list) == 0 && r.none:
			out[r.level] = 0
		case i >= 0 && !slices.ContainsFunc(list[i+1:], isRole): // the only one
			out[r.level] = json.Number(list[i].id)
			list = slices.Delete(list, i, i+1)
		}
		if len(list) > 0 {
			out[r.write] = entries(list)
		}
	}
	return out, nil
}

func entries(list []access) []any {
	out := []any{}
	for _, a := range list {
		out = append(out, map[string]any{a.key: json.Number(a.id)})
	}
	return out
}

func (g *gitLab) write(ctx context.Context, branch string, have, want []Rule) error {
	switch {
	case len(want) == 0:
		return g.unprotect(ctx, branch)
	case len(have) == 0:
		return g.protect(ctx, branch, want[0])
	}
	body, err := g.change(have[0], want[0])
	if err != nil {
		return err
	}
	r, err := g.do(ctx, http.MethodPatch, g.protected(branch), body, http.StatusOK)
	if err != nil {
		return err
	}
	// A licence without the lists ignores them, and answers as if all were well: only taking
	// the protection away and making it anew changes a level there.
	if now, ok := g.made(r); !ok || !g.differ(now, want[0]) || !plain(want[0]) {
		return nil // what it made is read anew anyway
	}
	if err := g.unprotect(ctx, branch); err != nil {
		return err
	}
	if err := g.protect(ctx, branch, want[0]); err != nil {
		return fmt.Errorf("%w: the old protection was taken away, and then %w", action.ErrUnclear, err)
	}
	return nil
}

func (g *gitLab) unprotect(ctx context.Context, branch string) error {
	_, err := g.do(ctx, http.MethodDelete, g.protected(branch), nil, http.StatusNoContent, http.StatusOK)
	return err
}

// protect makes a protection out of nothing, and takes away what GitLab added to it by
// itself: a right that nobody has cannot be asked for.
func (g *gitLab) protect(ctx context.Context, branch string, want Rule) error {
	body, err := g.body(want)
	if err != nil {
		return err
	}
	r, err := g.do(ctx, http.MethodPost, g.path("/protected_branches"), body, http.StatusCreated, http.StatusOK)
	if err != nil {
		return err
	}
	made, ok := g.made(r)
	if !ok {
		return nil
	}
	w, err := object(want)
	if err != nil {
		return err
	}
	m, err := object(made)
	if err != nil {
		return err
	}
	surplus := map[string]any{}
	for _, right := range rights {
		should, err := accesses(w[right.read])
		if err != nil {
			return err
		}
		is, err := accesses(m[right.read])
		if err != nil || len(should) > 0 || len(is) == 0 {
			continue // the reading that follows will say what is wrong
		}
		surplus[right.write] = removals(is)
	}
	if len(surplus) == 0 {
		return nil
	}
	if _, err := g.do(ctx, http.MethodPatch, g.protected(branch), surplus, http.StatusOK); err != nil {
		return fmt.Errorf("%w: it is protected, but with rights that GitLab adds by itself: %w", action.ErrUnclear, err)
	}
	return nil
}

// made is the protection that GitLab answers to a write; ok is false when it is none.
func (g *gitLab) made(r reply) (rule Rule, ok bool) {
	rule = Rule{Name: g.branch, Raw: r.body}
	m, err := object(rule)
	return rule, err == nil && text(m, "name") == g.branch
}

// differ says whether two protections guard differently.
func (g *gitLab) differ(x, y Rule) bool {
	fx, errX := g.fields([]Rule{x})
	fy, errY := g.fields([]Rule{y})
	return errX == nil && errY == nil && len(compare(fx, fy)) > 0
}

// plain says whether every edition of GitLab can make a protection: one role for each right,
// and keys.
func plain(rule Rule) bool {
	m, err := object(rule)
	if err != nil {
		return false
	}
	for _, r := range rights {
		list, err := accesses(m[r.read])
		roles := 0
		for _, a := range list {
			switch a.kind {
			case "role":
				roles++
			case "deploy key":
			default:
				return false
			}
		}
		if err != nil || roles > 1 {
			return false
		}
	}
	return true
}

// removals are edits that take rights away.
func removals(list []access) []any {
	var out []any
	for _, a := range list {
		out = append(out, map[string]any{"id": json.Number(a.number), "_destroy": true})
	}
	return out
}

// change is what makes one protection into another without a moment in which the branch
// is open.
func (g *gitLab) change(have, want Rule) (map[string]any, error) {
	h, err := object(have)
	if err != nil {
		return nil, err
	}
	w, err := object(want)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for key, v := range w {
		if b, ok := v.(bool); ok && key != "inherited" && h[key] != b {
			out[key] = b
		}
	}
	for key, v := range h {
		if _, known := w[key]; v == true && !known && key != "inherited" {
			out[key] = false
		}
	}
	for _, r := range rights {
		is, err := accesses(h[r.read])
		if err != nil {
			return nil, err
		}
		should, err := accesses(w[r.read])
		if err != nil {
			return nil, err
		}
		in := func(list []access, a access) bool {
			return slices.ContainsFunc(list, func(o access) bool { return o.item.Key == a.item.Key })
		}
		edits := entries(slices.DeleteFunc(slices.Clone(should), func(a access) bool { return in(is, a) }))
		edits = append(edits, removals(slices.DeleteFunc(slices.Clone(is), func(a access) bool { return in(should, a) }))...)
		if len(edits) > 0 {
			out[r.write] = edits
		}
	}
	return out, nil
}

func (g *gitLab) requests(branch string, want []Rule) ([]Request, error) {
	if len(want) == 0 {
		return []Request{{Method: http.MethodDelete, Path: g.protected(branch)}}, nil
	}
	body, err := g.body(want[0])
	if err != nil {
		return nil, err
	}
	return []Request{{Method: http.MethodPost, Path: g.path("/protected_branches"), Body: body}}, nil
}

// gitLabAt is where GitLab knows those whom a right can name. A person who left the project
// is as good as gone: the right would be refused.
var gitLabAt = map[string]func(g *gitLab, id string) string{
	"user":       func(g *gitLab, id string) string { return g.path("/members/all/" + id) },
	"group":      func(_ *gitLab, id string) string { return "/api/v4/groups/" + id },
	"deploy key": func(g *gitLab, id string) string { return g.path("/deploy_keys/" + id) },
}

func (g *gitLab) gone(ctx context.Context, rules []Rule) ([]Who, error) {
	seen := map[Who]bool{}
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		for _, r := range rights {
			list, err := accesses(m[r.read])
			if err != nil {
				return nil, err
			}
			for _, a := range list {
				if gitLabAt[a.kind] != nil {
					seen[Who{a.kind, a.id}] = true
				}
			}
		}
	}
	return missing(ctx, g.wire, seen, func(w Who) string { return gitLabAt[w.Kind](g, url.PathEscape(w.Name)) })
}

func (g *gitLab) without(rules []Rule, out []Who) ([]Rule, error) {
	var kept []Rule
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		for _, r := range rights {
			list, _ := m[r.read].([]any)
			m[r.read] = slices.DeleteFunc(list, func(e any) bool {
				as, err := accesses([]any{e})
				return err == nil && slices.Contains(out, Who{as[0].kind, as[0].id})
			})
		}
		raw, err := encode(m)
		if err != nil {
			return nil, err
		}
		kept = append(kept, Rule{Name: rule.Name, Raw: raw})
	}
	return kept, nil
}

func (g *gitLab) says(rules []Rule) (mayPush string, forcePushes bool) {
	if len(rules) == 0 {
		return "developers and above", true
	}
	fields, err := g.fields(rules)
	if err != nil {
		return "unknown", true
	}
	mayPush = "nobody"
	for _, f := range fields {
		switch f.Path {
		case "push_access_levels":
			mayPush = f.text()
		case "allow_force_push":
			forcePushes = true
		}
	}
	return mayPush, forcePushes
}
