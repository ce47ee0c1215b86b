package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/printable"
)

// What the REST API of GitHub neither shows nor takes stands in its GraphQL API alone: for
// which pattern a rule is, who may force-push though nobody else may, and which deployments
// must succeed. Without it a lifted protection would come back without them, and the rule
// of a pattern would count as one of the branch.

// beyondName is the name of the rule that holds the answer of the GraphQL API.
const beyondName = "beyond REST"

// beyond is the part of the GraphQL API's answer that the REST API lacks.
type beyond struct {
	ID           string   `json:"id"`
	Pattern      string   `json:"pattern"`
	ForcePushes  bool     `json:"allowsForcePushes"` // by everybody who may push
	Deployments  bool     `json:"requiresDeployments"`
	Environments []string `json:"requiredDeploymentEnvironments"`
	ForcePushers struct {
		Total int `json:"totalCount"`
		Nodes []struct {
			Actor struct {
				Type  string `json:"__typename"` // "User", "Team" or "App"
				ID    string `json:"id"`
				Login string `json:"login"`
				Slug  string `json:"slug"`
			} `json:"actor"`
		} `json:"nodes"`
	} `json:"bypassForcePushAllowances"`
}

const beyondQuery = `query($owner:String!,$name:String!,$ref:String!){repository(owner:$owner,name:$name){ref(qualifiedName:$ref){branchProtectionRule{` +
	`id pattern allowsForcePushes requiresDeployments requiredDeploymentEnvironments ` +
	`bypassForcePushAllowances(first:100){totalCount nodes{actor{__typename ...on User{id login} ...on Team{id slug} ...on App{id slug}}}}}}}}`

const beyondMutation = `mutation($rule:ID!,$deployments:Boolean!,$environments:[String!]!,$pushers:[ID!]!){updateBranchProtectionRule(input:{` +
	`branchProtectionRuleId:$rule,requiresDeployments:$deployments,requiredDeploymentEnvironments:$environments,bypassForcePushActorIds:$pushers}){` +
	`branchProtectionRule{id}}}`

// readBeyond finds it among rules; the zero value when a copy has none.
func readBeyond(rules []Rule) (beyond, error) {
	var b beyond
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == beyondName })
	if i < 0 {
		return b, nil
	}
	if err := json.Unmarshal(rules[i].Raw, &b); err != nil {
		return b, fmt.Errorf("rule %q: %w", beyondName, err)
	}
	for _, n := range b.ForcePushers.Nodes {
		if n.Actor.ID == "" || n.Actor.Login+n.Actor.Slug == "" {
			return b, fmt.Errorf("rule %q: an entry of bypassForcePushAllowances names nobody that is known here", beyondName)
		}
	}
	if b.ForcePushers.Total > len(b.ForcePushers.Nodes) {
		return b, fmt.Errorf("rule %q: more than %d may force-push", beyondName, len(b.ForcePushers.Nodes))
	}
	return b, nil
}

// any says whether there is something that the REST API lacks.
func (b beyond) any() bool { return b.Deployments || len(b.ForcePushers.Nodes) > 0 }

// pushers are those who may force-push though nobody else may.
func (b beyond) pushers() []Who {
	var out []Who
	for _, n := range b.ForcePushers.Nodes {
		out = append(out, Who{strings.ToLower(n.Actor.Type), n.Actor.Login + n.Actor.Slug}) // it has one of them
	}
	return out
}

// without drops some of those who may force-push. The raw answer loses what is not read
// here, which is why it is only done to what is to be written.
func (b beyond) without(drop map[Who]bool) (Rule, error) {
	all := b.pushers()
	kept := b.ForcePushers.Nodes[:0:0]
	for i, n := range b.ForcePushers.Nodes {
		if !drop[all[i]] {
			kept = append(kept, n)
		}
	}
	b.ForcePushers.Nodes, b.ForcePushers.Total = kept, len(kept)
	raw, err := json.Marshal(b)
	return Rule{Name: beyondName, Raw: raw}, err
}

// fields are what it says; a rule that says nothing beyond the REST API has none, and so
// compares with copies that were saved where the GraphQL API could not be asked.
func (b beyond) fields() []Field {
	var out []Field
	if b.Deployments {
		var items []Item
		for _, e := range b.Environments {
			items = append(items, Item{Key: e, Text: printable.Line(e)})
		}
		out = append(out, set("required_deployments", items))
	}
	if len(b.ForcePushers.Nodes) > 0 {
		var items []Item
		for _, w := range b.pushers() {
			items = append(items, Item{Key: w.String(), Text: printable.Line(w.String())})
		}
		out = append(out, set("force_push_allowances", items))
	}
	return out
}

// change is the mutation that makes the rule of an id say it.
func (b beyond) change(rule string) map[string]any {
	pushers := []string{}
	for _, n := range b.ForcePushers.Nodes {
		pushers = append(pushers, n.Actor.ID)
	}
	return map[string]any{"query": beyondMutation, "variables": map[string]any{
		"rule": rule, "deployments": b.Deployments, "environments": append([]string{}, b.Environments...), "pushers": pushers}}
}

// graph is the address of the GraphQL API, which on a server of one's own lies beside that
// of the REST API and not below it.
func (g *gitHub) graph() string {
	base := strings.TrimRight(g.API, "/")
	if host, ok := strings.CutSuffix(base, "/api/v3"); ok {
		return host + "/api/graphql"
	}
	return base + "/graphql"
}

// graphAnswer is the envelope of every answer of the GraphQL API.
type graphAnswer struct {
	Data struct {
		Repository struct {
			Ref struct {
				Rule json.RawMessage `json:"branchProtectionRule"`
			} `json:"ref"`
		} `json:"repository"`
	} `json:"data"`
	Errors []struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"errors"`
}

// said gives its errors in one line.
func (a graphAnswer) said() string {
	var out []string
	for _, e := range a.Errors {
		if t := printable.Line(e.Message); t != "" {
			out = append(out, t[:min(len(t), 300)])
		}
	}
	return strings.Join(out, ", ")
}

// spent says whether an answer of status 200 is one for which no request was left.
func (a graphAnswer) spent() bool {
	for _, e := range a.Errors {
		if e.Type == "RATE_LIMITED" {
			return true
		}
	}
	return false
}

func (g *gitHub) asksBeyond(branch string) map[string]any {
	return map[string]any{"query": beyondQuery, "variables": map[string]any{"owner": g.owner, "name": g.repo, "ref": "refs/heads/" + branch}}
}

// beyond asks for the rule of a branch. Where the GraphQL API does not tell, unseen says
// why: an older server, or a token that may not.
func (g *gitHub) beyond(ctx context.Context, branch string) (rule Rule, unseen string, err error) {
	r, err := g.reading(ctx, http.MethodPost, g.graph(), g.asksBeyond(branch))
	if err != nil {
		return rule, "", err
	}
	if r.status >= http.StatusInternalServerError || r.status == http.StatusUnauthorized {
		return rule, "", g.status(r, "read the rule of "+branch)
	}
	if r.status != http.StatusOK {
		return rule, fmt.Sprintf("its GraphQL API answers %d %s%s", r.status, http.StatusText(r.status), said(r.body)), nil
	}
	var a graphAnswer
	if err := g.decode(r, &a); err != nil {
		return rule, "", err
	}
	raw := a.Data.Repository.Ref.Rule
	switch {
	case len(a.Errors) > 0:
		return rule, "its GraphQL API answers: " + a.said(), nil
	case len(raw) == 0 || string(raw) == "null":
		return rule, "its GraphQL API shows no rule", nil
	}
	if raw, err = compact(raw); err != nil {
		return rule, "", err
	}
	return Rule{Name: beyondName, Raw: raw}, "", nil
}

// writeBeyond makes the rule of a branch, which the REST API has made, say the rest.
func (g *gitHub) writeBeyond(ctx context.Context, branch string, want beyond) error {
	const part = "the deployments before a merge, and who may force-push, are not in place"
	rule, unseen, err := g.beyond(ctx, branch)
	if err == nil && unseen != "" {
		err = errors.New(unseen)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", action.ErrUnclear, part, err)
	}
	now, err := readBeyond([]Rule{rule})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", action.ErrUnclear, part, err)
	}
	if now.Pattern != branch {
		return fmt.Errorf("%w: %s: the rule of %s is that of the pattern %s", action.ErrUnclear, part, branch, printable.Line(now.Pattern))
	}
	r, err := g.do(ctx, http.MethodPost, g.graph(), want.change(now.ID), http.StatusOK)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", action.ErrUnclear, part, err)
	}
	var a graphAnswer
	if err := g.decode(r, &a); err == nil && len(a.Errors) > 0 {
		return fmt.Errorf("%w: %s: %s", action.ErrUnclear, part, a.said())
	}
	return nil // what it made is read anew anyway
}
