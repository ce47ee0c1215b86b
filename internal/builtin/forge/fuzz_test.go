package forge

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"lifeboat/internal/action"
)

// FuzzParseSaved: a copy comes from a disk, a vault or a person. Whatever is in it, it is
// refused or understood; what is understood is flattened, translated and shown without a
// crash, and the same each time.
func FuzzParseSaved(f *testing.F) {
	for _, s := range []string{
		`{"kind":"lifeboat branch protection","version":1,"service":"github","api":"","project":"a/b","branch":"main","saved":"2026-11-20T16:00:00Z","rules":[{"name":"protection","raw":{"enforce_admins":{"enabled":true},"required_status_checks":{"strict":true,"checks":[{"context":"x","app_id":null}]},"restrictions":{"users":[{"login":"a"}],"teams":[],"apps":[]},"required_pull_request_reviews":{"dismissal_restrictions":{}}}}]}`,
		`{"kind":"lifeboat branch protection","version":1,"service":"gitlab","api":"","project":"a/b","branch":"main","saved":"2026-11-20T16:00:00Z","rules":[{"name":"main","raw":{"name":"main","push_access_levels":[{"id":1,"access_level":40,"user_id":null}],"allow_force_push":true}}]}`,
		`{"kind":"lifeboat branch protection","version":1,"service":"bitbucket","api":"","project":"a/b","branch":"main","saved":"2026-11-20T16:00:00Z","rules":[{"name":"push","raw":{"id":1,"kind":"push","pattern":"main","users":[{"uuid":"{x}"}],"groups":[{"slug":"y"}],"value":null}}]}`,
		`{}`, `[]`, `null`, `{"rules":null}`, `{"kind":"lifeboat branch protection","version":1,"service":"github","branch":"../x","rules":[{"raw":null}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseSaved(src)
		if err != nil {
			return
		}
		env := &action.Env{Now: func() time.Time { return time.Unix(0, 0) }}
		g := &gate{Remote: Remote{Service: s.Service, Project: "company/monorepo", API: "http://forge.invalid"}, branch: s.Branch, at: &url.URL{Scheme: "http", Host: "forge.invalid"}}
		w := newWire(Deps{}, env, g)
		switch s.Service {
		case GitHub:
			if g.driver, err = newGitHub(w); err != nil {
				t.Fatal(err)
			}
		case GitLab:
			g.driver = newGitLab(w)
		case Bitbucket:
			g.driver = newBitbucket(w)
		}
		digest, fields, err := g.digest(s.Rules)
		if err != nil {
			return
		}
		if ds := compare(fields, fields); len(ds) > 0 && !twice(fields) {
			t.Fatalf("it differs from itself: %v", ds)
		}
		g.says(s.Rules)
		if _, err := g.requests(s.Branch, s.Rules); err != nil {
			return
		}
		text, err := g.document(env, state{Live: Live{Protection: Protection{Project: s.Project, Rules: s.Rules}}, digest: digest, fields: fields})
		if err != nil || len(text) > maxFile {
			return
		}
		again, err := ParseSaved(text)
		if err != nil {
			t.Fatalf("a copy of it does not read back: %v\n%s", err, text)
		}
		if d, _, err := g.digest(again.Rules); err != nil || d != digest {
			t.Fatalf("a copy of it says something else: %v", err)
		}
		if _, err := g.without(s.Rules, []Who{{"user", "a"}}); err != nil {
			t.Fatalf("it cannot be reduced: %v", err)
		}
		var facts string
		if facts, err = packed(s.Rules); err != nil {
			t.Fatal(err)
		}
		back, err := unpacked(facts)
		if err != nil {
			t.Fatal(err)
		}
		if d, _, err := g.digest(back); err != nil || d != digest {
			t.Fatalf("the journal keeps something else: %v", err)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}

// twice says whether a path stands in a list more than once, which only a broken file has.
func twice(fields []Field) bool {
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Path] {
			return true
		}
		seen[f.Path] = true
	}
	return false
}
