package forge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/printable"
)

// GitHub answers a protection in one form and takes it in another. What follows translates
// the one into the other, and both into words.

// wanted translates what GitHub answers into what it takes.
func wanted(rules []Rule) (body map[string]any, signatures bool, err error) {
	m, err := object(rules[0])
	if err != nil {
		return nil, false, err
	}
	rest, err := readBeyond(rules)
	if err != nil {
		return nil, false, err
	}
	body = map[string]any{"required_status_checks": nil, "enforce_admins": false, "required_pull_request_reviews": nil, "restrictions": nil}
	for key, v := range m {
		part, isObject := v.(map[string]any)
		on, isSwitch := part["enabled"].(bool)
		switch {
		case isURL(key) || v == nil || key == "name" || key == "enabled" || key == "protection_url":
		case key == "required_signatures":
			signatures = on
		case key == "required_status_checks":
			body[key], err = wantedChecks(part)
		case key == "restrictions":
			body[key], err = logins(part)
		case key == "required_pull_request_reviews":
			body[key], err = wantedReviews(part)
		case isSwitch:
			body[key] = on
		case isObject:
			err = fmt.Errorf("%q is of a form that is not known here", printable.Line(key))
		default:
			body[key] = v
		}
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", printable.Line(key), err)
		}
	}
	if len(rest.ForcePushers.Nodes) > 0 { // the switch that the REST API shows as on would let everybody
		body["allow_force_pushes"] = rest.ForcePushes
	}
	return body, signatures, nil
}

// wantedChecks names the app of each check: where it is left out, GitHub takes the one
// that reported last, and "any" is written as -1.
func wantedChecks(part map[string]any) (any, error) {
	out := map[string]any{}
	for key, v := range part {
		if !isURL(key) && key != "contexts" && key != "checks" && key != "enforcement_level" {
			out[key] = v
		}
	}
	if _, ok := out["strict"]; !ok {
		out["strict"] = false
	}
	checks, err := listOf(part["checks"])
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, c := range checks {
		var app any = json.Number("-1")
		if c["app_id"] != nil {
			app = c["app_id"]
		}
		list = append(list, map[string]any{"context": c["context"], "app_id": app})
	}
	if len(checks) == 0 {
		contexts, _ := part["contexts"].([]any) // of a server that knows no apps
		if len(contexts) > 0 {
			out["contexts"] = contexts
			return out, nil
		}
	}
	out["checks"] = list
	return out, nil
}

func wantedReviews(part map[string]any) (any, error) {
	out := map[string]any{}
	for key, v := range part {
		if isURL(key) {
			continue
		}
		out[key] = v
		if key == "dismissal_restrictions" || key == "bypass_pull_request_allowances" {
			actors, ok := v.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%s is no object", key)
			}
			var err error
			if out[key], err = logins(actors); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// fields flattens a protection. What is off at the top is left out: older servers do not
// know every switch, and off is what they do.
func (g *gitHub) fields(rules []Rule) ([]Field, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	body, signed, err := wanted(rules)
	if err != nil {
		return nil, err
	}
	rest, err := readBeyond(rules)
	if err != nil {
		return nil, err
	}
	out := rest.fields()
	body["required_signatures"] = signed
	for _, key := range slices.Sorted(maps.Keys(body)) {
		switch v := body[key].(type) {
		case nil:
		case map[string]any:
			out = append(out, flat(key, v)...)
		case bool:
			if v {
				out = append(out, scalar(key, true))
			}
		default:
			out = append(out, scalar(key, v))
		}
	}
	return out, nil
}

// flat gives the fields of one object.
func flat(path string, m map[string]any) []Field {
	if _, actors := m["users"].([]string); actors {
		var items []Item
		for _, k := range actorKeys {
			for _, name := range m[k.list].([]string) {
				items = append(items, Item{Key: k.kind + " " + name, Text: printable.Line(k.kind + " " + name)})
			}
		}
		return []Field{set(path, items)}
	}
	var out []Field
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at := path + "." + key
		switch v := m[key].(type) {
		case map[string]any:
			out = append(out, flat(at, v)...)
		case []any:
			var items []Item
			for _, e := range v {
				items = append(items, checkItem(e))
			}
			out = append(out, set(path+".checks", items))
		default:
			out = append(out, scalar(at, v))
		}
	}
	return out
}

// checkItem is a required check, with the app that must report it.
func checkItem(e any) Item {
	m, ok := e.(map[string]any)
	if !ok {
		t := fmt.Sprint(e)
		return Item{Key: t + " by any app", Text: printable.Line(t)}
	}
	name, app := fmt.Sprint(m["context"]), fmt.Sprint(m["app_id"])
	if app == "-1" {
		return Item{Key: name + " by any app", Text: printable.Line(name)}
	}
	return Item{Key: name + " by app " + app, Text: printable.Line(name + " (app " + app + ")")}
}

func (g *gitHub) says(rules []Rule) (mayPush string, forcePushes bool) {
	if len(rules) == 0 {
		return "everybody with write access", true
	}
	fields, err := g.fields(rules)
	if err != nil {
		return "unknown", true
	}
	mayPush = "everybody with write access"
	for _, f := range fields {
		switch f.Path {
		case "restrictions":
			mayPush = f.text()
		case "lock_branch":
			return "nobody: the branch is read-only", false
		case "allow_force_pushes", "force_push_allowances":
			forcePushes = true
		}
	}
	for _, f := range fields {
		if f.Path == "required_pull_request_reviews.required_approving_review_count" {
			mayPush += ", through pull requests with " + f.text() + " approving reviews"
		}
	}
	return mayPush, forcePushes
}
