package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Whom the rules of GitHub name: how they are written, who of them is gone, and how they are
// left out.

// actorKeys are the three lists of those whom a rule names, with what identifies each.
var actorKeys = []struct{ list, id, kind string }{{"users", "login", "user"}, {"teams", "slug", "team"}, {"apps", "slug", "app"}}

// logins reduces lists of people, teams and apps to their names.
func logins(part map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, k := range actorKeys {
		list, err := listOf(part[k.list])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.list, err)
		}
		names := []string{}
		for _, e := range list {
			name := text(e, k.id)
			if name == "" {
				return nil, fmt.Errorf("%s: an entry has no %s", k.list, k.id)
			}
			names = append(names, name)
		}
		out[k.list] = names
	}
	return out, nil
}

// actors visits the lists of names in a protection.
func actors(m map[string]any, visit func(list map[string]any)) {
	for key, v := range m {
		part, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if key == "restrictions" || key == "dismissal_restrictions" || key == "bypass_pull_request_allowances" {
			visit(part)
			continue
		}
		actors(part, visit)
	}
}

func (g *gitHub) gone(ctx context.Context, rules []Rule) ([]Who, error) {
	seen := map[Who]bool{}
	for _, rule := range rules {
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		actors(m, func(part map[string]any) {
			for _, k := range actorKeys {
				list, _ := listOf(part[k.list]) // checked by wanted
				for _, e := range list {
					seen[Who{k.kind, text(e, k.id)}] = true
				}
			}
		})
	}
	rest, err := readBeyond(rules)
	if err != nil {
		return nil, err
	}
	for _, w := range rest.pushers() {
		seen[w] = true
	}
	at := map[string]string{"user": "/users/", "team": "/orgs/" + url.PathEscape(g.owner) + "/teams/", "app": "/apps/"}
	return missing(ctx, g.wire, seen, func(w Who) string { return at[w.Kind] + url.PathEscape(w.Name) })
}

// missing asks for each of those whether the service knows them.
func missing(ctx context.Context, w *wire, seen map[Who]bool, path func(Who) string) ([]Who, error) {
	names := slices.SortedFunc(maps.Keys(seen), func(a, b Who) int { return strings.Compare(a.String(), b.String()) })
	var out []Who
	for i, who := range names {
		w.env.Report(int64(i), int64(len(names)), "names")
		r, err := w.get(ctx, path(who))
		switch {
		case err != nil:
			return nil, err
		case r.status == http.StatusNotFound:
			out = append(out, who)
		case r.status == http.StatusForbidden: // it may not ask; what is written back is compared
		case r.status != http.StatusOK:
			return nil, w.status(r, "look for "+who.String())
		}
	}
	return out, nil
}

func (g *gitHub) without(rules []Rule, out []Who) ([]Rule, error) {
	drop := map[Who]bool{}
	for _, w := range out {
		drop[w] = true
	}
	rest, err := readBeyond(rules)
	if err != nil {
		return nil, err
	}
	var kept []Rule
	for _, rule := range rules {
		if rule.Name == beyondName {
			if rule, err = rest.without(drop); err != nil {
				return nil, err
			}
			kept = append(kept, rule)
			continue
		}
		m, err := object(rule)
		if err != nil {
			return nil, err
		}
		actors(m, func(part map[string]any) {
			for _, k := range actorKeys {
				list, _ := part[k.list].([]any)
				part[k.list] = slices.DeleteFunc(list, func(e any) bool {
					one, _ := e.(map[string]any)
					return drop[Who{k.kind, text(one, k.id)}]
				})
			}
		})
		raw, err := encode(m)
		if err != nil {
			return nil, err
		}
		kept = append(kept, Rule{Name: rule.Name, Raw: raw})
	}
	return kept, nil
}

// encode writes an object as the services do.
func encode(m map[string]any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
