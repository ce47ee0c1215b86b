package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v93/github"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// gitHub keeps the protection of a branch in one object, which is read in one shape and
// written in another; signatures have an endpoint of their own. Rulesets guard beside it.
//
// The library brings requests, addresses and the errors of its limits. Bodies are not read
// into its types: a field that they do not know yet would be lost between saving and
// restoring.
type gitHub struct {
	*wire
	client      *github.Client
	owner, repo string
}

func newGitHub(w *wire) (*gitHub, error) {
	base := strings.TrimRight(w.API, "/") + "/"
	// The limits are waited for by us, who know how long a step may take.
	opts := []github.ClientOptionsFunc{github.WithHTTPClient(w.http), github.WithURLs(&base, nil), github.WithDisableRateLimitCheck()}
	if !w.token.Value.IsZero() {
		opts = append(opts, github.WithAuthToken(w.token.Value.Reveal()))
	}
	c, err := github.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("prepare for %s: %w", w.at.Host, err)
	}
	g := &gitHub{wire: w, client: c}
	var ok bool
	if g.owner, g.repo, ok = strings.Cut(w.Project, "/"); !ok || g.owner == "" || g.repo == "" || strings.Contains(g.repo, "/") {
		return nil, fmt.Errorf("%w: %q is no repository of GitHub: write owner/name", action.ErrRefused, printable.Line(w.Project))
	}
	w.send = g.exchange
	return g, nil
}

// exchange is the [transport] through the library.
func (g *gitHub) exchange(ctx context.Context, method, path string, body any) (reply, error) {
	req, err := g.client.NewRequest(ctx, method, strings.TrimPrefix(path, "/"), body)
	if err != nil {
		return reply{}, err
	}
	res, err := g.client.BareDo(req)
	if err == nil {
		r, err := readReply(res.Response, method)
		if res.NextPage > 0 {
			r.more = fmt.Sprint(res.NextPage)
		}
		var a graphAnswer
		if path == g.graph() && json.Unmarshal(r.body, &a) == nil && a.spent() {
			r.status = http.StatusTooManyRequests // its own way to say so is 200
		}
		return r, err
	}
	if primary, ok := errors.AsType[*github.RateLimitError](err); ok {
		return answered(primary.Response, max(time.Second, primary.Rate.Reset.Sub(g.env.Now()))), nil
	}
	if secondary, ok := errors.AsType[*github.AbuseRateLimitError](err); ok {
		wait := time.Minute // as its documentation asks when it says nothing
		if secondary.RetryAfter != nil {
			wait = *secondary.RetryAfter
		}
		return answered(secondary.Response, max(wait, time.Millisecond)), nil
	}
	if refused, ok := errors.AsType[*github.ErrorResponse](err); ok {
		return answered(refused.Response, 0), nil
	}
	if res != nil && res.Response != nil {
		return answered(res.Response, 0), nil // an error of another type, that has an answer
	}
	return reply{}, err
}

// answered is an answer that the library made an error of; it keeps the body readable.
func answered(res *http.Response, wait time.Duration) reply {
	r := reply{status: res.StatusCode, header: res.Header, wait: wait}
	if res.Body != nil {
		r.body, _ = io.ReadAll(io.LimitReader(res.Body, maxBody)) // only to tell people what was said
	}
	return r
}

func (g *gitHub) path(format string, args ...any) string {
	return "/repos/" + url.PathEscape(g.owner) + "/" + url.PathEscape(g.repo) + fmt.Sprintf(format, args...)
}

func (g *gitHub) protection(branch string) string {
	return g.path("/branches/%s/protection", url.PathEscape(branch))
}

// read asks for the repository first: a 404 below it would mean three different things.
func (g *gitHub) read(ctx context.Context, branch string) (Live, error) {
	var live Live
	admin, err := g.repository(ctx, &live)
	if err != nil {
		return live, err
	}
	path := g.path("/branches/%s", url.PathEscape(branch))
	var b struct {
		Protected bool `json:"protected"`
	}
	switch r, err := g.json(ctx, path, &b); {
	case err != nil:
		return live, err
	case r.status == http.StatusNotFound:
		return live, noBranch(live.Project, branch)
	case r.status != http.StatusOK:
		return live, g.status(r, "read "+g.show(path))
	}
	if live.Beside, err = g.rulesets(ctx, branch); err != nil {
		return live, err
	}
	var raw json.RawMessage
	switch r, err := g.json(ctx, g.protection(branch), &raw); {
	case err != nil:
		return live, err
	case r.status == http.StatusNotFound && !admin:
		return live, g.lacks(fmt.Errorf("read the protection of %s: GitHub hides it from who is no administrator", branch))
	case r.status == http.StatusNotFound && b.Protected && len(live.Beside) == 0:
		return live, g.lacks(fmt.Errorf("read the protection of %s: GitHub says that there is some, and does not show it", branch))
	case r.status == http.StatusNotFound:
		return live, nil
	case r.status != http.StatusOK:
		return live, g.status(r, "read the protection of "+branch)
	}
	if raw, err = compact(raw); err != nil {
		return live, err
	}
	return live, g.whole(ctx, &live, branch, Rule{Name: "protection", Raw: raw})
}

// whole adds what the REST API does not tell of a protection; that of a pattern guards
// other branches too, and is none of the branch's own.
func (g *gitHub) whole(ctx context.Context, live *Live, branch string, protection Rule) error {
	rest, unseen, err := g.beyond(ctx, branch)
	if err != nil {
		return err
	}
	if unseen != "" {
		live.Unseen = "which deployments a merge needs, who alone may force-push, and whether the rule is that of a pattern: " + unseen
		live.Rules = []Rule{protection}
		return nil
	}
	b, err := readBeyond([]Rule{rest})
	if err != nil {
		return err
	}
	if b.Pattern != branch {
		mayPush, _ := g.says([]Rule{protection, rest})
		live.Beside = append(live.Beside, "rule of the pattern "+printable.Line(b.Pattern)+": may push: "+mayPush)
		return nil
	}
	live.Rules = []Rule{protection, rest}
	return nil
}

// noBranch says that a branch is gone, which no right would bring back.
func noBranch(project, branch string) error {
	return hint.Wrapf(fmt.Errorf("%w: %s has no branch %q", action.ErrRefused, printable.Line(project), branch),
		"check the name; a branch that was deleted has to be pushed again before it can be protected")
}

// repository looks who we are here, and what the repository is called now.
func (g *gitHub) repository(ctx context.Context, live *Live) (admin bool, err error) {
	var repo struct {
		FullName    string `json:"full_name"`
		Archived    bool   `json:"archived"`
		Permissions struct {
			Admin bool `json:"admin"`
		} `json:"permissions"`
	}
	r, err := g.json(ctx, g.path(""), &repo)
	switch {
	case err != nil:
		return false, err
	case r.status == http.StatusNotFound:
		return false, g.noProject(r)
	case r.status != http.StatusOK:
		return false, g.status(r, "read "+g.Project)
	}
	live.Project = repo.FullName
	return repo.Permissions.Admin, g.renamed(repo.FullName)
}

// noProject says that a project is missing, or hidden.
func (w *wire) noProject(r reply) error {
	return hint.Wrapf(fmt.Errorf("%w: %s has no %q%s", action.ErrRefused, services[w.Service], printable.Line(w.Project), said(r.body)),
		"either it does not exist, and forge.project in lifeboat.yaml is wrong; or the token from %s may not see it: a service does not say which", w.token.From)
}

// renamed refuses a project that was moved: writes do not follow.
func (w *wire) renamed(now string) error {
	if now == "" || strings.EqualFold(now, w.Project) {
		return nil
	}
	return hint.Wrapf(fmt.Errorf("%w: %s is called %s now", action.ErrRefused, w.Project, printable.Quote(now)),
		"write project: %s in lifeboat.yaml; copies saved before keep their old name, change it in the file that you restore", printable.Line(now))
}

// rulesets lists what guards a branch beside its protection.
func (g *gitHub) rulesets(ctx context.Context, branch string) ([]string, error) {
	type key struct {
		kind, source string
		id           int64
	}
	types := map[key][]string{}
	page := "1"
	for range maxPages {
		var rules []struct {
			Type   string `json:"type"`
			Kind   string `json:"ruleset_source_type"`
			Source string `json:"ruleset_source"`
			ID     int64  `json:"ruleset_id"`
		}
		r, err := g.json(ctx, g.path("/rules/branches/%s?per_page=100&page=%s", url.PathEscape(branch), page), &rules)
		if err != nil {
			return nil, err
		}
		if r.status == http.StatusNotFound || r.status == http.StatusForbidden {
			return nil, nil // an older server, or a plan without rulesets
		}
		if r.status != http.StatusOK {
			return nil, g.status(r, "read the rulesets of "+branch)
		}
		for _, one := range rules {
			k := key{one.Kind, one.Source, one.ID}
			types[k] = append(types[k], printable.Line(strings.ReplaceAll(one.Type, "_", " ")))
		}
		if page = r.more; page == "" {
			break
		}
	}
	if page != "" {
		return nil, tooLong("rulesets of " + branch)
	}
	var out []string
	for k, list := range types {
		slices.Sort(list)
		out = append(out, fmt.Sprintf("ruleset %d of %s: %s", k.id, printable.Line(k.source), strings.Join(slices.Compact(list), ", ")))
	}
	slices.Sort(out)
	return out, nil
}

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

// write puts the whole protection, then its signatures, then what the REST API does not take.
func (g *gitHub) write(ctx context.Context, branch string, have, want []Rule) error {
	path := g.protection(branch)
	if len(want) == 0 {
		_, err := g.do(ctx, http.MethodDelete, path, nil, http.StatusNoContent)
		return err
	}
	body, signed, err := wanted(want)
	if err != nil {
		return err
	}
	should, err := readBeyond(want)
	if err != nil {
		return err
	}
	var was bool
	var is beyond
	if len(have) > 0 {
		if _, was, err = wanted(have); err != nil {
			return err
		}
		if is, err = readBeyond(have); err != nil {
			return err
		}
	}
	if _, err := g.do(ctx, http.MethodPut, path, body, http.StatusOK); err != nil {
		return err
	}
	if signed != was {
		method, fine := http.MethodPost, http.StatusOK
		if !signed {
			method, fine = http.MethodDelete, http.StatusNoContent
		}
		if _, err = g.do(ctx, method, path+"/required_signatures", nil, fine); err != nil {
			return fmt.Errorf("%w: the signatures are not in place: %w", action.ErrUnclear, err)
		}
	}
	if should.any() || is.any() {
		return g.writeBeyond(ctx, branch, should)
	}
	return nil
}

func (g *gitHub) requests(branch string, want []Rule) ([]Request, error) {
	path := g.protection(branch)
	if len(want) == 0 {
		return []Request{{Method: http.MethodDelete, Path: path}}, nil
	}
	body, signed, err := wanted(want)
	if err != nil {
		return nil, err
	}
	out := []Request{{Method: http.MethodPut, Path: path, Body: body}}
	if signed {
		out = append(out, Request{Method: http.MethodPost, Path: path + "/required_signatures"})
	}
	if rest, err := readBeyond(want); err == nil && rest.any() { // wanted has read it
		out = append(out, Request{Method: http.MethodPost, Path: "/graphql", Body: g.asksBeyond(branch)},
			Request{Method: http.MethodPost, Path: "/graphql", Body: rest.change("the id that the request before answers")})
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
