package forge

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Protection is what guards one branch by rules of its own. No rules: it is open.
type Protection struct {
	Service string
	Project string // as the service calls it now
	Branch  string
	Rules   []Rule
}

// Rule is one object of the service, as it answered it.
type Rule struct {
	Name string          `json:"name"` // what it is called among the rules of the branch
	Raw  json.RawMessage `json:"raw"`
}

// Field is one thing that a protection says.
type Field struct {
	Path  string // "required_pull_request_reviews.require_last_push_approval"
	List  bool   // Items are a set; else there is one
	Items []Item
}

// Item is a value: what is compared, and what people read.
type Item struct{ Key, Text string }

// scalar is a field of one value.
func scalar(path string, v any) Field {
	text := fmt.Sprint(v)
	switch v {
	case true:
		text = "on"
	case false:
		text = "off"
	}
	return Field{Path: path, Items: []Item{{Key: text, Text: printable.Line(text)}}}
}

func set(path string, items []Item) Field {
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Key, b.Key) })
	items = slices.CompactFunc(items, func(a, b Item) bool { return a.Key == b.Key })
	return Field{Path: path, List: true, Items: items}
}

func (f Field) text() string {
	if len(f.Items) == 0 {
		return "nobody and nothing"
	}
	var out []string
	for _, i := range f.Items {
		out = append(out, i.Text)
	}
	return strings.Join(out, ", ")
}

func (f Field) equal(o Field) bool {
	return slices.EqualFunc(f.Items, o.Items, func(a, b Item) bool { return a.Key == b.Key })
}

// digest names what rules say: two protections with one digest guard alike.
func (g *gate) digest(rules []Rule) (string, []Field, error) {
	fields, err := g.fields(rules)
	if err != nil {
		return "", nil, err
	}
	slices.SortFunc(fields, func(a, b Field) int { return cmp.Compare(a.Path, b.Path) })
	var b bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&b, "%q", f.Path)
		for _, i := range f.Items {
			fmt.Fprintf(&b, " %q", i.Key)
		}
		b.WriteByte('\n')
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:]), fields, nil
}

// Difference is one field that is not as it should be.
type Difference struct{ Path, Want, Have string }

// seen refuses to compare with what the service does not tell.
func (g *gate) seen(s state, want []Field) error {
	if s.Unseen == "" {
		return nil
	}
	for _, f := range want {
		if f.Path == "required_deployments" || f.Path == "force_push_allowances" {
			return hint.Wrapf(fmt.Errorf("%w: the copy has %s: %s, and %s does not tell %s", action.ErrRefused, label(f.Path), f.text(), services[g.Service], s.Unseen),
				"use a token that may ask the GraphQL API, such as a classic one with scope \"repo\"; else compare and set it in the settings of the repository")
		}
	}
	return nil
}

// absent is what a field is that a protection does not have.
const absent = "not set"

// compare says what of want does not hold in have, and what have says beyond it.
func compare(want, have []Field) []Difference {
	byPath := func(fields []Field) map[string]Field {
		out := map[string]Field{}
		for _, f := range fields {
			out[f.Path] = f
		}
		return out
	}
	w, h := byPath(want), byPath(have)
	var out []Difference
	for _, f := range want {
		switch is, ok := h[f.Path]; {
		case !ok:
			out = append(out, Difference{f.Path, f.text(), absent})
		case !f.equal(is):
			out = append(out, Difference{f.Path, f.text(), is.text()})
		}
	}
	for _, f := range have {
		if _, ok := w[f.Path]; !ok {
			out = append(out, Difference{f.Path, absent, f.text()})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: should be %s, is %s", label(d.Path), d.Want, d.Have)
}

func sentences(ds []Difference) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.String())
	}
	return out
}

// labels are the words for fields of all services.
var labels = map[string]string{
	"required_status_checks":                                        "required checks",
	"required_status_checks.checks":                                 "required checks",
	"required_status_checks.strict":                                 "branch must be up to date before a merge",
	"enforce_admins":                                                "holds for administrators too",
	"required_pull_request_reviews":                                 "reviews",
	"required_pull_request_reviews.required_approving_review_count": "approving reviews",
	"required_pull_request_reviews.dismiss_stale_reviews":           "new commits dismiss reviews",
	"required_pull_request_reviews.require_code_owner_reviews":      "review by code owners",
	"required_pull_request_reviews.require_last_push_approval":      "somebody else approves the last push",
	"required_pull_request_reviews.dismissal_restrictions":          "only some may dismiss reviews",
	"required_pull_request_reviews.bypass_pull_request_allowances":  "some may merge without a pull request",
	"restrictions":                          "only some may push",
	"required_signatures":                   "signed commits",
	"required_linear_history":               "linear history",
	"allow_force_pushes":                    "force pushes allowed",
	"allow_deletions":                       "deletion allowed",
	"block_creations":                       "creation of matching branches blocked",
	"required_conversation_resolution":      "conversations must be resolved",
	"lock_branch":                           "branch is read-only",
	"allow_fork_syncing":                    "may sync with a fork while locked",
	"force_push_allowances":                 "only some may force-push",
	"required_deployments":                  "deployments before a merge",
	"allow_force_push":                      "force pushes allowed",
	"code_owner_approval_required":          "approval by code owners",
	"push_access_levels":                    "may push",
	"merge_access_levels":                   "may merge",
	"unprotect_access_levels":               "may remove the protection",
	"push":                                  "only some may push",
	"force":                                 "no force pushes",
	"delete":                                "no deletion",
	"restrict_merges":                       "only some may merge",
	"require_approvals_to_merge":            "approvals before a merge",
	"require_passing_builds_to_merge":       "passing builds before a merge",
	"require_tasks_to_be_completed":         "tasks done before a merge",
	"reset_pullrequest_approvals_on_change": "new commits reset approvals",
}

// label is what people call a field.
func label(path string) string {
	if l, ok := labels[path]; ok {
		return l
	}
	if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
		return label(path[:dot]) + ", " + strings.ReplaceAll(printable.Line(path[dot+1:]), "_", " ")
	}
	return strings.ReplaceAll(printable.Line(path), "_", " ")
}

// object reads a rule as an object. Numbers stay as written.
func object(r Rule) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(r.Raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("rule %q: %w", printable.Line(r.Name), err)
	}
	if m == nil {
		return nil, fmt.Errorf("rule %q: is no object", printable.Line(r.Name))
	}
	if d.More() {
		return nil, fmt.Errorf("rule %q: there is more behind the object", printable.Line(r.Name))
	}
	return m, nil
}

// text reads a text or number out of an object.
func text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// listOf reads a list of objects; what else is in it is an error.
func listOf(v any) ([]map[string]any, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, errors.New("is no list")
	}
	var out []map[string]any
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, errors.New("an entry is no object")
		}
		out = append(out, m)
	}
	return out, nil
}

// isURL says whether a key only tells where something can be read.
func isURL(key string) bool {
	return key == "url" || strings.HasSuffix(key, "_url") || key == "links"
}

// compact makes the form in which raw rules are kept.
func compact(raw []byte) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
