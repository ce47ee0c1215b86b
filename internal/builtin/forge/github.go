package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
