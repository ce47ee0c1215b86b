// Package forge holds the actions on the protection of branches at GitHub, GitLab and
// Bitbucket: check it, save it, lift it for a while, put it back exactly.
//
// The services agree on nothing but the idea: each has its own words, its own shape for
// reading and another for writing, and its own way to say no. So there is one portable
// type, [Protection], whose rules are the answers of the service, kept as they came, and a
// small driver for each service that reads them, writes them and knows what of them counts.
// Everything that must not differ between services stands above the drivers: what is
// compared, what is refused, when an effect is in doubt.
//
// No service offers a conditional write here. Compare-and-set is therefore read, compare,
// write, read again; somebody who edits in that same second is found by the last reading.
package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// Services that there is a driver for.
const (
	GitHub    = "github"
	GitLab    = "gitlab"
	Bitbucket = "bitbucket"
)

// Remote is where the protection of an asset's branches is kept.
type Remote struct {
	Asset    string
	Service  string   // [GitHub], [GitLab] or [Bitbucket]; empty when the asset has no forge
	Project  string   // "company/monorepo"
	API      string   // address of the REST API; empty means the public one
	Branches []string // those that matter
	Dir      string   // where copies are kept: one directory for each branch in it
}

// Token is what a service is asked with.
type Token struct {
	Value secret.String
	From  string // where it came from, for the plan: "$GH_TOKEN"
}

// Deps are what the actions need of the rest.
type Deps struct {
	// Remote finds the forge of an asset; the error advises. An asset without a forge is no
	// error: its Service is empty.
	Remote func(asset string) (Remote, error) // required
	// Token finds the token for it, anew for each action: none is kept.
	Token func(ctx context.Context, r Remote) (Token, error) // required
	HTTP  *http.Client                                       // nil: the default one
	// Pause is the first wait before a reading is tried again; 0 means half a second.
	Pause time.Duration
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.save(), d.check(), d.remove(), d.restore()}
}

// publicAPI is where the services answer.
var publicAPI = map[string]string{
	GitHub: "https://api.github.com", GitLab: "https://gitlab.com", Bitbucket: "https://api.bitbucket.org",
}

// services name them in sentences.
var services = map[string]string{GitHub: "GitHub", GitLab: "GitLab", Bitbucket: "Bitbucket"}

// driver is what one service needs of code of its own. Its methods ask the service; they
// compare nothing and decide nothing.
type driver interface {
	// read gives the protection of a branch that exists. Its error says which of it is
	// missing: project, branch, or the right to look.
	read(ctx context.Context, branch string) (Live, error)
	// write makes have into want; either may have no rules. An error that wraps
	// [action.ErrUnclear] says that it may have happened, in part or wholly.
	write(ctx context.Context, branch string, have, want []Rule) error
	// gone lists those whom rules name and the service does not know any more.
	gone(ctx context.Context, rules []Rule) ([]Who, error)
	// without gives the rules without some of those.
	without(rules []Rule, out []Who) ([]Rule, error)
	// fields are what counts of rules, without addresses and numbers that a service gives
	// out anew each time.
	fields(rules []Rule) ([]Field, error)
	// requests are what stock tools would send to make want out of nothing.
	requests(branch string, want []Rule) ([]Request, error)
	// says answers the two questions of a health check.
	says(rules []Rule) (mayPush string, forcePushes bool)
}

// Live is the protection of a branch now.
type Live struct {
	Protection
	Beside []string // what guards it too and stays when its protection is removed, in words
	// Unseen is what the service did not tell of the protection, and why, in words; empty:
	// it told all of it.
	Unseen string
}

// Who is somebody whom a rule names: "team leads".
type Who struct{ Kind, Name string }

func (w Who) String() string { return w.Kind + " " + w.Name }

// Request is one call of a REST API.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"` // below the address of the API
	Body   any    `json:"body,omitempty"`
}

// gate is a forge that may be asked: its driver, and what plans say about it.
type gate struct {
	Remote
	driver
	branch string
	token  Token
	at     *url.URL
}

// open finds the forge of an asset, its token and its driver, and asks the fence.
func (d Deps) open(ctx context.Context, env *action.Env, asset, branch string) (*gate, error) {
	r, err := d.Remote(asset)
	if err != nil {
		return nil, err
	}
	if r.Service == "" {
		return nil, hint.Wrap(fmt.Errorf("%w: asset %q has no forge", action.ErrRefused, asset),
			"add forge: {service: github, project: owner/name} to the asset in lifeboat.yaml")
	}
	if r.API == "" {
		r.API = publicAPI[r.Service]
	}
	at, err := url.Parse(r.API)
	if err != nil || at.Host == "" || at.User != nil {
		return nil, fmt.Errorf("%w: %q is no address of a forge", action.ErrRefused, r.API)
	}
	for _, target := range []string{r.API, r.Dir} {
		if err := env.Allowed(target); err != nil {
			return nil, err
		}
	}
	token, err := d.Token(ctx, r)
	if err != nil {
		return nil, err
	}
	g := &gate{Remote: r, branch: branch, token: token, at: at}
	w := newWire(d, env, g)
	switch r.Service {
	case GitHub:
		g.driver, err = newGitHub(w)
	case GitLab:
		g.driver, err = newGitLab(w), nil
	case Bitbucket:
		g.driver, err = newBitbucket(w), nil
	default:
		err = fmt.Errorf("%w: there is no service %q", action.ErrRefused, r.Service)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// target is the identity of what changes.
func (g *gate) target() string {
	return g.at.Host + "/" + g.Project + " " + g.branch
}

// debt is the id of the debt that stands while the branch is open.
func (g *gate) debt() string { return "protection:" + g.Asset + "/" + g.branch }

// same refuses a plan that was made for another branch or another place.
func (g *gate) same(plan action.Plan) error {
	if plan.Target != g.target() {
		return fmt.Errorf("%w: it was made for %s, and this is %s", action.ErrChanged, plan.Target, g.target())
	}
	return nil
}

// now reads the protection and everything that plans say of it.
func (g *gate) now(ctx context.Context) (state, error) {
	live, err := g.read(ctx, g.branch)
	if err != nil {
		return state{}, err
	}
	live.Service, live.Branch = g.Service, g.branch
	s := state{Live: live}
	if s.digest, s.fields, err = g.digest(live.Rules); err != nil {
		return state{}, err
	}
	return s, nil
}

// state is a protection with its digest.
type state struct {
	Live
	digest string
	fields []Field
}

// short is how a state is shown and typed.
func (s state) short() string { return shortDigest(s.digest, len(s.Rules)) }

func shortDigest(digest string, rules int) string {
	if rules == 0 {
		return "unprotected"
	}
	return "protected-" + digest[:7]
}

// checkBranch refuses what is no name of a branch, and what would change the path of a
// request or of a file.
func checkBranch(name string) error {
	bad := strings.HasPrefix(name, "refs/") || strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.Contains(name, "..") ||
		strings.HasPrefix(name, "-") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) || len(name) > 240
	if name == "" || bad {
		return &action.ArgError{Name: "branch", Msg: fmt.Sprintf("%q is no name of a branch", name), Fix: `give it without refs/heads/, as in "main"`}
	}
	return nil
}

// absolute is a path of a runbook.
func absolute(env *action.Env, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(env.Dir, path)
}

// settle turns a reading after a lost answer into what it says.
func settle(found, before, wanted string, m means) (action.Finding, string) {
	switch found {
	case wanted:
		return action.Applied, m.done
	case before:
		return action.NotApplied, m.undone
	}
	return action.Unknown, "it is neither what it was nor what was wanted: only a part was done, or somebody else changed it; " + m.part
}

// means says what a probe has found, for people.
type means struct{ done, undone, part string }

// again is what to do with a protection of which only a part is written.
const again = "run it again: it compares, shows what is missing, and writes the whole"

// doubt marks an error of the time after a write that the service has confirmed.
func doubt(what string, err error) error {
	if errors.Is(err, action.ErrUnclear) {
		return err
	}
	return fmt.Errorf("%w: %s, and then %w", action.ErrUnclear, what, err)
}
