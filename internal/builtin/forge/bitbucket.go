package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
)

// bitbucket keeps one restriction for each kind and pattern. Those whose pattern is the
// name of the branch are its own; wider patterns and those of the branching model guard it
// too, and stay.
type bitbucket struct{ *wire }

func newBitbucket(w *wire) *bitbucket {
	w.send = w.plain(func(h http.Header) {
		if !w.token.Value.IsZero() {
			h.Set("Authorization", "Bearer "+w.token.Value.Reveal())
		}
	})
	return &bitbucket{w}
}

func (b *bitbucket) path(rest string) string {
	owner, repo, _ := strings.Cut(b.Project, "/")
	return "/2.0/repositories/" + url.PathEscape(owner) + "/" + url.PathEscape(repo) + rest
}

func (b *bitbucket) read(ctx context.Context, branch string) (Live, error) {
	var live Live
	var err error
	if live.Project, err = b.there(ctx, b.path(""), "full_name", b.path("/refs/branches/"+url.PathEscape(branch)), branch); err != nil {
		return live, err
	}
	next := b.path("/branch-restrictions?pagelen=100")
	var modelled []modelledRule
	for range maxPages {
		var page struct {
			Values []json.RawMessage `json:"values"`
			Next   string            `json:"next"`
		}
		r, err := b.json(ctx, next, &page)
		if err != nil {
			return live, err
		}
		if r.status != http.StatusOK {
			return live, b.status(r, "read the branch restrictions of "+b.Project)
		}
		for _, raw := range page.Values {
			m, err := b.sort(&live, branch, raw)
			if err != nil {
				return live, err
			}
			modelled = append(modelled, m...)
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if next != "" {
		return live, tooLong("branch restrictions of " + b.Project)
	}
	if err := b.model(ctx, &live, branch, modelled); err != nil {
		return live, err
	}
	slices.SortStableFunc(live.Rules, func(x, y Rule) int { return strings.Compare(x.Name, y.Name) })
	return live, nil
}

// modelledRule is a restriction for a type of branches, of the repository's branching model.
type modelledRule struct{ branchType, kind string }

// sort puts a restriction among the rules of our branch, or beside them; whether one of the
// branching model guards it is not known yet.
func (b *bitbucket) sort(live *Live, branch string, raw json.RawMessage) ([]modelledRule, error) {
	raw, err := compact(raw)
	if err != nil {
		return nil, err
	}
	m, err := object(Rule{Name: "restriction", Raw: raw})
	if err != nil {
		return nil, err
	}
	kind, pattern := text(m, "kind"), text(m, "pattern")
	switch {
	case kind == "":
		return nil, fmt.Errorf("a branch restriction has no kind")
	case text(m, "branch_match_kind") == "branching_model":
		return []modelledRule{{text(m, "branch_type"), kind}}, nil
	case pattern == branch:
		live.Rules = append(live.Rules, Rule{Name: kind, Raw: raw})
	case wild(pattern, branch):
		live.Beside = append(live.Beside, "pattern "+printable.Line(pattern)+": "+label(kind))
	}
	return nil, nil
}

// model says which of the restrictions of the branching model guard our branch: counting
// those of other types would take an open branch for a guarded one.
func (b *bitbucket) model(ctx context.Context, live *Live, branch string, rules []modelledRule) error {
	if len(rules) == 0 {
		return nil
	}
	type named struct {
		Branch *struct {
			Name string `json:"name"`
		} `json:"branch"`
	}
	var model struct {
		Production  *named `json:"production"`
		Development *named `json:"development"`
		Types       []struct {
			Kind   string `json:"kind"`
			Prefix string `json:"prefix"`
		} `json:"branch_types"`
	}
	switch r, err := b.json(ctx, b.path("/branching-model"), &model); {
	case err != nil:
		return err
	case r.status != http.StatusOK:
		return b.status(r, "read the branching model of "+b.Project)
	}
	ours := map[string]bool{}
	for kind, n := range map[string]*named{"production": model.Production, "development": model.Development} {
		ours[kind] = n != nil && n.Branch != nil && n.Branch.Name == branch
	}
	for _, t := range model.Types {
		ours[t.Kind] = t.Prefix != "" && strings.HasPrefix(branch, t.Prefix)
	}
	for _, r := range rules {
		if ours[r.branchType] {
			live.Beside = append(live.Beside, fmt.Sprintf("branching model, branches of type %s: %s", printable.Line(r.branchType), label(r.kind)))
		}
	}
	return nil
}

// kinds of lists in a restriction, with what identifies an entry.
var bitbucketLists = []struct{ list, id, kind, name string }{{"users", "uuid", "user", "display_name"}, {"groups", "slug", "group", "name"}}

func (b *bitbucket) fields(rules []Rule) ([]Field, error) {
	var out []Field
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		kind := text(m, "kind")
		if kind == "" {
			return nil, fmt.Errorf("rule %q has no kind", printable.Line(rule.Name))
		}
		var items []Item
		for _, l := range bitbucketLists {
			list, err := listOf(m[l.list])
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", kind, l.list, err)
			}
			for _, e := range list {
				id := text(e, l.id)
				if id == "" {
					return nil, fmt.Errorf("%s: %s: an entry has no %s", kind, l.list, l.id)
				}
				i := Item{Key: l.kind + " " + id, Text: printable.Line(l.kind + " " + id)}
				if name := text(e, l.name); name != "" {
					i.Text = printable.Line(l.kind + " " + name)
				}
				items = append(items, i)
			}
		}
		v := text(m, "value")
		switch {
		case v != "" && len(items) > 0:
			out = append(out, scalar(kind+".value", v), set(kind, items))
		case v != "":
			out = append(out, scalar(kind, v))
		case len(items) > 0 || hasLists(kind):
			out = append(out, set(kind, items))
		default:
			out = append(out, scalar(kind, true))
		}
	}
	return out, nil
}

// body is what makes a restriction.
func (b *bitbucket) body(rule Rule) (map[string]any, error) {
	m, err := object(rule)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"kind": m["kind"], "branch_match_kind": "glob", "pattern": b.branch} // a copy may be one of another branch
	if m["value"] != nil {
		out["value"] = m["value"]
	}
	lists := hasLists(text(m, "kind"))
	for _, l := range bitbucketLists {
		list, err := listOf(m[l.list])
		if err != nil {
			return nil, err
		}
		entries := []any{}
		for _, e := range list {
			entries = append(entries, map[string]any{l.id: text(e, l.id)})
		}
		if lists || len(list) > 0 {
			out[l.list] = entries
		}
	}
	return out, nil
}

// hasLists says whether a kind is about people: those need their lists, also empty ones, and
// all others are refused with them.
func hasLists(kind string) bool { return kind == "push" || kind == "restrict_merges" }

// write adds and changes before it takes anything away: at no moment is the branch less
// guarded than before and after.
func (b *bitbucket) write(ctx context.Context, branch string, have, want []Rule) error {
	done := 0
	step := func(err error) error {
		if err != nil && done > 0 {
			return fmt.Errorf("%w: %d of several restrictions were changed, and then %w", action.ErrUnclear, done, err)
		}
		done++
		return err
	}
	byName := func(rules []Rule) map[string]Rule {
		out := map[string]Rule{}
		for _, r := range rules {
			out[r.Name] = r
		}
		return out
	}
	is, should := byName(have), byName(want)
	for _, rule := range want {
		body, err := b.body(rule)
		if err != nil {
			return err
		}
		old, exists := is[rule.Name]
		method, path, fine := http.MethodPost, b.path("/branch-restrictions"), http.StatusCreated
		if exists {
			same, err := b.alike(old, rule)
			if err != nil {
				return err
			}
			if same {
				continue
			}
			if path, err = b.one(old); err != nil {
				return err
			}
			method, fine = http.MethodPut, http.StatusOK
		}
		_, err = b.do(ctx, method, path, body, fine, http.StatusOK)
		if err := step(err); err != nil {
			return err
		}
	}
	for _, rule := range have {
		if _, stays := should[rule.Name]; stays {
			continue
		}
		path, err := b.one(rule)
		if err != nil {
			return err
		}
		_, err = b.do(ctx, http.MethodDelete, path, nil, http.StatusNoContent)
		if err := step(err); err != nil {
			return err
		}
	}
	return nil
}

// one is the address of a restriction that exists.
func (b *bitbucket) one(rule Rule) (string, error) {
	m, err := object(rule)
	if err != nil {
		return "", err
	}
	id := text(m, "id")
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return "", fmt.Errorf("restriction %q has no id", printable.Line(rule.Name))
	}
	return b.path("/branch-restrictions/" + id), nil
}

func (b *bitbucket) alike(x, y Rule) (bool, error) {
	fx, err := b.fields([]Rule{x})
	if err != nil {
		return false, err
	}
	fy, err := b.fields([]Rule{y})
	return err == nil && len(compare(fx, fy)) == 0, err
}

func (b *bitbucket) requests(branch string, want []Rule) ([]Request, error) {
	var out []Request
	for _, rule := range want {
		body, err := b.body(rule)
		if err != nil {
			return nil, err
		}
		out = append(out, Request{Method: http.MethodPost, Path: b.path("/branch-restrictions"), Body: body})
	}
	return out, nil
}

func (b *bitbucket) gone(ctx context.Context, rules []Rule) ([]Who, error) {
	seen := map[Who]bool{}
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		list, err := listOf(m["users"]) // groups cannot be asked for one by one
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			seen[Who{"user", text(e, "uuid")}] = true
		}
	}
	return missing(ctx, b.wire, seen, func(w Who) string { return "/2.0/users/" + url.PathEscape(w.Name) })
}

func (b *bitbucket) without(rules []Rule, out []Who) ([]Rule, error) {
	var kept []Rule
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		for _, l := range bitbucketLists {
			list, _ := m[l.list].([]any)
			m[l.list] = slices.DeleteFunc(list, func(e any) bool {
				one, _ := e.(map[string]any)
				return slices.Contains(out, Who{l.kind, text(one, l.id)})
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

func (b *bitbucket) says(rules []Rule) (mayPush string, forcePushes bool) {
	mayPush, forcePushes = "everybody with write access", true
	fields, err := b.fields(rules)
	if err != nil {
		return "unknown", true
	}
	for _, f := range fields {
		switch f.Path {
		case "push":
			mayPush = f.text()
		case "force":
			forcePushes = false
		}
	}
	return mayPush, forcePushes
}
