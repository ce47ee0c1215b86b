package forge

import (
	"maps"
	"slices"
)

// State is all that the forge knows.
type State struct {
	Tokens   map[string]string   `json:"tokens"` // token -> "admin", "write", "read", "narrow", "sso", "none"
	Users    map[string]int64    `json:"users"`  // login -> id
	Groups   map[string]int64    `json:"groups"` // teams of GitHub, groups of GitLab and Bitbucket: slug -> id
	Apps     map[string]int64    `json:"apps"`   // slug -> id
	Projects map[string]*Project `json:"projects"`
	Last     int64               `json:"last"` // id that was given out last
}

// Project is a repository as each of the three services would have it.
type Project struct {
	MovedTo   string                 `json:"moved_to,omitempty"` // its name now; requests for the old one are redirected
	Archived  bool                   `json:"archived,omitempty"`
	Branches  []string               `json:"branches"`
	GitHub    map[string]*Protection `json:"github"`         // by branch, or by a pattern of branches
	Rulesets  []Rule                 `json:"rulesets"`       // GitHub: they guard beside protection
	GitLab    []ProtectedBranch      `json:"gitlab"`         // also of the group
	Free      bool                   `json:"free,omitempty"` // GitLab: the licence without people, groups and code owners
	Left      []string               `json:"left,omitempty"` // GitLab: people who are no members any more
	Keys      []int64                `json:"keys"`           // GitLab: deploy keys
	Bitbucket []Restriction          `json:"bitbucket"`      // branch restrictions
}

// Protection is the protection of a branch on GitHub, field by field.
type Protection struct {
	Checks        *Checks  `json:"checks"`
	Reviews       *Reviews `json:"reviews"`
	Restrictions  *Actors  `json:"restrictions"`
	Admins        bool     `json:"enforce_admins"`
	Linear        bool     `json:"required_linear_history"`
	ForcePushes   bool     `json:"allow_force_pushes"`
	Deletions     bool     `json:"allow_deletions"`
	Creations     bool     `json:"block_creations"`
	Conversations bool     `json:"required_conversation_resolution"`
	Lock          bool     `json:"lock_branch"`
	ForkSyncing   bool     `json:"allow_fork_syncing"`
	Signatures    bool     `json:"required_signatures"`
	// What only the GraphQL API shows and takes.
	Deployments  []string `json:"required_deployments,omitempty"`
	ForcePushers *Actors  `json:"force_push_allowances,omitempty"` // who may though ForcePushes is off
}

// Checks are those that must pass before a merge.
type Checks struct {
	Strict bool    `json:"strict"`
	Checks []Check `json:"checks"`
}

// Check is a status that must be reported; App 0 means by anybody.
type Check struct {
	Context string `json:"context"`
	App     int64  `json:"app"`
}

// Reviews are those that a pull request needs.
type Reviews struct {
	Dismissal    *Actors `json:"dismissal_restrictions"`
	Bypass       *Actors `json:"bypass_pull_request_allowances"`
	DismissStale bool    `json:"dismiss_stale_reviews"`
	CodeOwners   bool    `json:"require_code_owner_reviews"`
	LastPush     bool    `json:"require_last_push_approval"`
	Count        int     `json:"required_approving_review_count"`
}

// Actors are people, teams and apps by login and slug.
type Actors struct {
	Users []string `json:"users"`
	Teams []string `json:"teams"`
	Apps  []string `json:"apps"`
}

// Rule is one rule of a ruleset, for the branches that it lists.
type Rule struct {
	Type     string   `json:"type"`
	Source   string   `json:"source"` // who owns the ruleset: an organisation or the repository
	ID       int64    `json:"id"`     // of the ruleset
	Branches []string `json:"branches"`
}

// ProtectedBranch is a protected branch or wildcard of GitLab.
type ProtectedBranch struct {
	ID         int64    `json:"id"`
	Name       string   `json:"name"`
	Inherited  bool     `json:"inherited"` // of the group above the project
	Push       []Access `json:"push_access_levels"`
	Merge      []Access `json:"merge_access_levels"`
	Unprotect  []Access `json:"unprotect_access_levels"`
	ForcePush  bool     `json:"allow_force_push"`
	CodeOwners bool     `json:"code_owner_approval_required"`
}

// Access is who has one right on a protected branch: a role, a person, a group or a key.
type Access struct {
	ID    int64 `json:"id"`
	Level int64 `json:"access_level,omitempty"` // 0 no one, 30 developers, 40 maintainers, 60 administrators
	User  int64 `json:"user_id,omitempty"`
	Group int64 `json:"group_id,omitempty"`
	Key   int64 `json:"deploy_key_id,omitempty"`
}

// Restriction is a branch restriction of Bitbucket.
type Restriction struct {
	ID         int64    `json:"id"`
	Kind       string   `json:"kind"`
	Match      string   `json:"branch_match_kind"`     // "glob" or "branching_model"
	Pattern    string   `json:"pattern"`               // of glob
	BranchType string   `json:"branch_type,omitempty"` // of branching_model
	Users      []string `json:"users"`
	Groups     []string `json:"groups"`
	Value      *int64   `json:"value"`
}

// Name is the project that every new forge has.
const Name = "company/monorepo"

// first is the state of a new forge: one project with well protected branches.
func first() *State {
	two, one := int64(2), int64(1)
	return &State{
		Tokens: map[string]string{Admin: "admin", Writer: "write", Reader: "read", Narrow: "narrow", SSO: "sso", Nothing: "none"},
		Users:  map[string]int64{"anna": 101, "ben": 102, "carl": 103, "deploy": 104},
		Groups: map[string]int64{"platform": 201, "leads": 202},
		Apps:   map[string]int64{"github-actions": 15368, "release-bot": 301},
		Last:   1000,
		Projects: map[string]*Project{Name: {
			Branches: []string{"develop", "main"}, Keys: []int64{401},
			GitHub: map[string]*Protection{
				"main": {
					Checks: &Checks{Strict: true, Checks: []Check{{"build", 15368}, {"test", 15368}, {"license/scan", 0}}},
					Reviews: &Reviews{
						Dismissal:    &Actors{Users: []string{"anna"}, Teams: []string{"leads"}, Apps: []string{}},
						Bypass:       &Actors{Users: []string{}, Teams: []string{}, Apps: []string{"release-bot"}},
						DismissStale: true, CodeOwners: true, LastPush: true, Count: 2,
					},
					Restrictions: &Actors{Users: []string{"anna"}, Teams: []string{"platform"}, Apps: []string{"release-bot"}},
					Admins:       true, Linear: true, Conversations: true, Signatures: true,
				},
				"develop": {Checks: &Checks{Checks: []Check{{"build", 15368}}}},
			},
			Rulesets: []Rule{{Type: "deletion", Source: "company", ID: 77, Branches: []string{"main"}}},
			GitLab: []ProtectedBranch{
				{ID: 11, Name: "main", Push: []Access{{ID: 21, Level: 40}, {ID: 22, User: 104}}, Merge: []Access{{ID: 23, Level: 30}, {ID: 24, Group: 201}},
					Unprotect: []Access{{ID: 25, Level: 40}}, CodeOwners: true},
				{ID: 12, Name: "release/*", Push: []Access{{ID: 26, Level: 0}}, Merge: []Access{{ID: 27, Level: 40}}, Unprotect: []Access{{ID: 28, Level: 40}}},
			},
			Bitbucket: []Restriction{
				{ID: 31, Kind: "push", Match: "glob", Pattern: "main", Users: []string{"deploy"}, Groups: []string{"platform"}},
				{ID: 32, Kind: "force", Match: "glob", Pattern: "main", Users: []string{}, Groups: []string{}},
				{ID: 33, Kind: "require_approvals_to_merge", Match: "glob", Pattern: "main", Users: []string{}, Groups: []string{}, Value: &two},
				{ID: 34, Kind: "require_passing_builds_to_merge", Match: "glob", Pattern: "main", Users: []string{}, Groups: []string{}, Value: &one},
				{ID: 35, Kind: "delete", Match: "glob", Pattern: "*", Users: []string{}, Groups: []string{}},
			},
		}},
	}
}

// next gives out an id.
func (s *State) next() int64 {
	s.Last++
	return s.Last
}

func keyOf(m map[string]int64, id int64) (string, bool) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] == id {
			return k, true
		}
	}
	return "", false
}
