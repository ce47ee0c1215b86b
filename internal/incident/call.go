package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
)

// Role is what somebody who is called decides.
type Role struct {
	Name, Does string
	words      []string // that stand for it in the role of a contact
}

// roles are those of the protocol, in the order in which they are called.
func roles() []Role {
	return []Role{
		{"technical lead", "decides how to recover, and takes over", []string{"lead", "technical", "senior", "developer", "engineer", "on call", "on-call", "responder", "incident"}},
		{"DevOps", "has the servers, the CI and the vault", []string{"devops", "ops", "sre", "platform", "infrastructure", "admin", "database"}},
		{"security", "contains a break-in, and keeps its evidence", []string{"security", "ciso", "privacy"}},
		{"management", "decides what customers are told, and about money", []string{"manag", "cto", "ceo", "director", "head of"}},
	}
}

// Call is somebody who may be called, and when.
type Call struct {
	estate.Contact
	Now  bool   // at this level: now
	When string // in words
	Does string // what the role decides; empty when the role is none of the four
}

// Calls lists the contacts in the order in which the level asks for them. Level 1 is
// usual work: one call when it gets stuck. Level 2 goes to those who decide how to
// recover, level 3 to everybody.
func Calls(level int, contacts []estate.Contact) []Call {
	type ranked struct {
		Call
		rank int
	}
	all := roles()
	var list []ranked
	for _, c := range contacts {
		r := ranked{Call{Contact: c}, len(all)}
		// "security lead" is security: the more special word wins, and those come last.
		for i := len(all) - 1; i >= 0 && r.rank == len(all); i-- {
			if slices.ContainsFunc(all[i].words, func(w string) bool { return strings.Contains(strings.ToLower(c.Role), w) }) {
				r.rank, r.Does = i, all[i].Does
			}
		}
		switch {
		case level >= 3:
			r.Now, r.When = true, "now"
		case level == 2 && r.rank <= 1:
			r.Now, r.When = true, "now"
		case level <= 1 && r.rank == 0:
			r.When = "when you are stuck"
		case r.rank == 2:
			r.When = "when a secret or a break-in is in it"
		default:
			r.When = fmt.Sprintf("from level %d on", min(max(level, 1)+1, run.MaxLevel))
			if r.rank > 1 {
				r.When = "from level 3 on"
			}
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	out := make([]Call, len(list))
	for i, r := range list {
		out[i] = r.Call
	}
	return out
}

// Reach is how somebody is reached: "+1 555 0142, s.kaya@example.com".
func (c Call) Reach() string {
	return strings.Trim(c.Phone+", "+c.Email, ", ")
}

// NoContacts says how contacts are added to an estate, file being its lifeboat.yaml.
func NoContacts(file string) []string {
	out := []string{"Nobody is listed to be called. Add them to " + cmp.Or(file, "a "+estate.FileName+" (lifeboat init writes one)") + ":", "contacts:"}
	for _, r := range roles() {
		out = append(out, fmt.Sprintf("  - {name: NAME, role: %s, phone: \"+27 11 555 0100\"}", r.Name))
	}
	return out
}

// Told is the remark that somebody was called, as it stands in the record.
func Told(c Call) string {
	return fmt.Sprintf("told %s%s%s", c.Name, bracket(c.Role), prefix(", ", c.Reach()))
}

// WasTold says when somebody was told, as the record has it; zero when it does not.
func WasTold(r *run.Run, c Call) (at time.Time, by string) {
	head := fmt.Sprintf("told %s%s", c.Name, bracket(c.Role))
	for _, n := range r.Notes {
		if n.Text == head || strings.HasPrefix(n.Text, head+",") {
			at, by = n.At, n.By
		}
	}
	return at, by
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func prefix(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}
