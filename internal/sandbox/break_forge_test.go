package sandbox_test

import (
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/forge"
)

// The oracle sees what a breakage did to the protection, field by field, and is content
// only when every field is as it was; also where something else was broken.
func TestForgeBreakages(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		sandbox.ProtectionRemoved: "protection of github main enforce_admins: was true, is gone",
		sandbox.ProtectionWrong:   `security/legacy-scan`,
	} {
		sb := copied(t, template)
		before, err := forge.Read(sb.Forge())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sb.Break(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		lost := func() (bool, []string) {
			v, err := sb.Judge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return v.Recovered, v.Lost
		}
		if ok, what := lost(); ok || !strings.Contains(strings.Join(what, "\n"), want) {
			t.Errorf("%s: recovered %v, lost %q", name, ok, what)
		}
		f, err := forge.New(sb.Forge())
		if err != nil {
			t.Fatal(err)
		}
		mend := func(edit func(p *forge.Protection)) {
			if err := f.Change(func(s *forge.State) {
				p := *before.Projects[forge.Name].GitHub["main"]
				p.Restrictions = &forge.Actors{Users: slices.Clone(p.Restrictions.Users), Teams: p.Restrictions.Teams, Apps: p.Restrictions.Apps}
				edit(&p)
				s.Projects[forge.Name].GitHub["main"] = &p
			}); err != nil {
				t.Fatal(err)
			}
		}
		mend(func(p *forge.Protection) { p.Restrictions.Users = append(p.Restrictions.Users, "carl") })
		if ok, what := lost(); ok || len(what) != 1 {
			t.Errorf("%s, but for one field: recovered %v, lost %q", name, ok, what)
		}
		mend(func(*forge.Protection) {})
		if ok, what := lost(); !ok {
			t.Errorf("%s, mended: lost %q", name, what)
		}
	}
}
