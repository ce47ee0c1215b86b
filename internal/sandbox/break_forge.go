package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/sandbox/forge"
)

// Breakages of the protection of branches.
const (
	ProtectionRemoved = "protection-removed"
	ProtectionWrong   = "protection-wrong"
)

func forgeBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    ProtectionRemoved,
		Summary: "Somebody deleted the protection of main by accident: everybody with write access can push, force-push and delete it.",
		Symptoms: []string{
			"a commit was pushed straight to main, without a review and without a check",
			"gh api repos/company/monorepo/branches/main/protection answers 404 \"Branch not protected\"",
		},
	}, damage: (*Sandbox).removeProtection}, {Breakage: Breakage{
		Name:    ProtectionWrong,
		Summary: "A check that nobody reports any more was made a required one for main, and nobody can merge.",
		Symptoms: []string{
			"every pull request waits for \"security/legacy-scan\", for ever: expected, waiting for status to be reported",
			"an administrator cannot merge either",
		},
	}, damage: (*Sandbox).spoilProtection}}
}

// removeProtection is a slip of an administrator.
func (s *Sandbox) removeProtection(_ context.Context, t truth) error {
	return s.changeForge(t, func(p *forge.Project) { delete(p.GitHub, "main") })
}

// spoilProtection requires a check that never comes, also from administrators.
func (s *Sandbox) spoilProtection(_ context.Context, t truth) error {
	return s.changeForge(t, func(p *forge.Project) {
		if main := p.GitHub["main"]; main != nil && main.Checks != nil {
			main.Checks.Checks = append(main.Checks.Checks, forge.Check{Context: "security/legacy-scan"})
			main.Reviews = nil // a second slip on the same page
		}
	})
}

func (s *Sandbox) changeForge(t truth, edit func(p *forge.Project)) error {
	f, err := forge.New(s.Forge())
	if err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	return f.Change(func(st *forge.State) {
		if p := st.Projects[forge.Name]; p != nil {
			edit(p)
		}
	})
}

// guards are what protects branches, as field -> value.
type guards map[string]string

// readGuards takes the state of the forge apart, field by field. Numbers that a forge
// gives out anew each time do not count, nor does the order of names.
func readGuards(dir string) (guards, error) {
	st, err := forge.Read(dir)
	if err != nil {
		return nil, err
	}
	p := st.Projects[forge.Name]
	if p == nil {
		return nil, fmt.Errorf("the forge has no %s", forge.Name)
	}
	out := guards{}
	for branch, protection := range p.GitHub {
		if err := out.add("github "+branch, protection); err != nil {
			return nil, err
		}
	}
	for _, b := range p.GitLab {
		b.ID = 0
		if err := out.add("gitlab "+b.Name, b); err != nil {
			return nil, err
		}
	}
	for _, r := range p.Bitbucket {
		r.ID = 0
		if err := out.add("bitbucket "+r.Pattern+r.BranchType+" "+r.Kind, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// add puts the fields of v under a name.
func (g guards) add(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return err
	}
	g.walk(name, tree)
	return nil
}

func (g guards) walk(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, part := range v {
			if key != "id" {
				g.walk(path+" "+key, part)
			}
		}
	case []any:
		var all []string
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				delete(m, "id")
			}
			text, _ := json.Marshal(e) // of what was just read
			all = append(all, string(text))
		}
		slices.Sort(all)
		g[path] = "[" + strings.Join(all, ", ") + "]"
	default:
		text, _ := json.Marshal(v)
		g[path] = string(text)
	}
}

// forge says whether the branches are protected as they were: also where nothing of it was
// broken, since a rehearsal that lifts a protection has to put it back.
func (j *judge) forge(context.Context) {
	const whole = "branches are protected as before"
	if j.t.Guards == nil {
		return // a sandbox of an older Lifeboat
	}
	now, err := readGuards(j.s.Forge())
	if err != nil {
		j.check(false, whole, err.Error())
		return
	}
	var differ []string
	both := maps.Clone(j.t.Guards)
	maps.Copy(both, now)
	for _, field := range slices.Sorted(maps.Keys(both)) {
		was, had := j.t.Guards[field]
		is, has := now[field]
		switch {
		case had && !has:
			differ = append(differ, fmt.Sprintf("%s: was %s, is gone", field, was))
		case has && !had:
			differ = append(differ, fmt.Sprintf("%s: is %s, was not there", field, is))
		case was != is:
			differ = append(differ, fmt.Sprintf("%s: was %s, is %s", field, was, is))
		}
	}
	if len(differ) == 0 {
		j.check(true, whole, strconv.Itoa(len(both))+" fields compared")
		return
	}
	j.check(false, whole, strings.Join(differ[:min(len(differ), 3)], "; "))
	for _, d := range differ {
		j.lost("protection of %s", d)
	}
}
