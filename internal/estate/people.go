package estate

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/schedule"
)

// Schedule says when a runbook runs by itself.
type Schedule = schedule.Schedule

// Document is something on paper that recovery depends on: it is archived with the backups
// every month, and has to be read again regularly.
type Document struct {
	Path        string // relative to the directory of lifeboat.yaml
	ReviewEvery time.Duration
}

// DefaultReview is how often a document is read again when the file is silent: the
// protocol has contact information verified every quarter.
func DefaultReview() time.Duration { return 90 * day }

// Contact is somebody to call.
type Contact struct {
	Name, Phone, Email string
	Role               string
	Verified           time.Time // when somebody saw that this is who answers; zero: never
}

// Level is how serious an incident is, and what is done about it.
type Level struct {
	Number   int // 1, minor, to 3, critical
	Impact   string
	Response string
	Recovery time.Duration // until then it should be over
}

// DefaultLevels are those of the protocol, "Emergency Response Procedures".
func DefaultLevels() []Level {
	return []Level{
		{1, "less than 1 hour: small merge conflicts, minor changes of configuration", "the usual work with git", 30 * time.Minute},
		{2, "1 to 4 hours: branch protection misconfigured, CI/CD fails", "senior developers take over", 4 * time.Hour},
		{3, "more than 4 hours: data lost, security breached, the repository corrupted", "the whole incident response team is called", 24 * time.Hour},
	}
}

var paramName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (l *loader) schedules(n ast.Node) {
	l.entries(n, "schedule", func(name string, key, value ast.Node) {
		in := fmt.Sprintf("schedule %q", name)
		if !schedule.ValidName(name) {
			l.add(l.pos(key), "value", `use lower-case letters, digits and "-", at most 40, a letter first`, "%q is no name for a schedule", name)
			return
		}
		body := l.mapping(value, in)
		if body == nil {
			return
		}
		s := Schedule{Name: name}
		var ticks, jitter ast.Node
		seen := l.fields(body, in, []field{
			l.line("cron", func(n ast.Node, t string) {
				if _, err := schedule.ParseCron(t); err != nil {
					l.addErr(n, err)
					return
				}
				s.Cron, ticks = t, n
			}),
			l.line("runbook", func(n ast.Node, t string) {
				if strings.HasPrefix(t, "-") {
					l.add(l.pos(n), "value", `"lifeboat lint" lists the runbooks`, "%q is no name of a runbook", t)
				}
				s.Runbook = t
			}),
			{"params", func(n ast.Node) { s.Params = l.params(n) }},
			{"jitter", func(n ast.Node) { s.Jitter, jitter = l.duration(n, "jitter"), n }},
			l.line("zone", func(n ast.Node, t string) {
				if _, err := schedule.ParseZone(t); err != nil {
					l.addErr(n, err)
					return
				}
				s.Zone = t
			}),
			{"shards", func(n ast.Node) { s.Shards = l.number(n, "shards", 1, 1000) }},
		})
		if seen["cron"] == nil {
			l.add(l.pos(key), "missing-key", `add a line such as cron: "15 1 * * *"`, "%s has no cron", in)
		}
		if seen["runbook"] == nil {
			l.add(l.pos(key), "missing-key", `add "runbook: daily-backup"`, "%s has no runbook", in)
		}
		if ticks != nil && jitter != nil && s.Jitter > 0 {
			if period, err := s.Period(); err == nil && period > 0 && s.Jitter >= period {
				l.add(l.pos(jitter), "value", "make it shorter", "jitter: %s is not shorter than the time between two runs, %s", s.Jitter, period)
			}
		}
		l.estate.Schedules = append(l.estate.Schedules, s)
	})
}

func (l *loader) params(n ast.Node) map[string]string {
	out := map[string]string{}
	l.entries(n, "params", func(name string, key, value ast.Node) {
		if !paramName.MatchString(name) {
			l.add(l.pos(key), "value", `use lower-case letters, digits and "_", a letter first`, "%q is no name of a parameter", name)
			return
		}
		if t, ok := l.text(value, fmt.Sprintf("parameter %q", name)); ok {
			out[name] = t
		}
	})
	return out
}

func (l *loader) documents(n ast.Node) {
	for _, body := range l.maps(n, "documents") {
		d := Document{ReviewEvery: DefaultReview()}
		seen := l.fields(body, "a document", []field{
			l.line("path", func(n ast.Node, t string) {
				if !filepath.IsLocal(t) {
					l.add(l.pos(n), "value", "write it relative to lifeboat.yaml, without \"..\"", "document %q lies outside the directory of this file", t)
					return
				}
				d.Path = filepath.Clean(t)
				if slices.ContainsFunc(l.estate.Documents, func(e Document) bool { return e.Path == d.Path }) {
					l.add(l.pos(n), "duplicate", "remove one", "document %q is listed twice", t)
				}
			}),
			{"review_every", func(n ast.Node) { d.ReviewEvery = l.duration(n, "review_every") }},
		})
		if seen["path"] == nil {
			l.add(l.pos(body), "missing-key", `add "path: docs/contacts.md"`, "a document has no path")
		}
		l.estate.Documents = append(l.estate.Documents, d)
	}
}

var (
	// phone is what can be dialled, with an extension. A placeholder is not.
	phone = regexp.MustCompile(`^\+?[0-9(][0-9 ()./-]{2,30}( ?(x|ext\.?) ?[0-9]{1,8})?$`)
	email = regexp.MustCompile(`^[^\s@<>]+@[^\s@<>]+\.[^\s@<>.]+$`)
)

func (l *loader) contacts(n ast.Node) {
	for _, body := range l.maps(n, "contacts") {
		var c Contact
		seen := l.fields(body, "a contact", []field{
			l.line("name", func(_ ast.Node, t string) { c.Name = t }),
			l.line("phone", func(n ast.Node, t string) {
				if !phone.MatchString(t) {
					l.add(l.pos(n), "value", `write it as it is dialled, "+27 11 555 0100"`, "%q is no telephone number", t)
				}
				c.Phone = t
			}),
			l.line("email", func(n ast.Node, t string) {
				if !email.MatchString(t) {
					l.add(l.pos(n), "value", "", "%q is no e-mail address", t)
				}
				c.Email = t
			}),
			l.line("role", func(_ ast.Node, t string) { c.Role = t }),
			l.line("verified", func(n ast.Node, t string) {
				at, err := time.Parse(time.DateOnly, t)
				if err != nil {
					l.add(l.pos(n), "value", "write the day as 2026-11-29", "%q is no day", t)
				}
				c.Verified = at
			}),
		})
		if seen["name"] == nil {
			l.add(l.pos(body), "missing-key", `add "name:"`, "a contact has no name")
		}
		if seen["phone"] == nil && seen["email"] == nil {
			l.add(l.pos(body), "missing-key", `add "phone:" or "email:"`, "a contact cannot be reached")
		}
		l.estate.Contacts = append(l.estate.Contacts, c)
	}
}

func (l *loader) levels(n ast.Node) {
	m := l.mapping(n, "levels")
	if m == nil {
		return
	}
	var want []field
	for i := range l.estate.Levels {
		level := &l.estate.Levels[i]
		name := fmt.Sprint(level.Number)
		want = append(want, field{name, func(n ast.Node) {
			body := l.mapping(n, "level "+name)
			if body == nil {
				return
			}
			l.fields(body, "level "+name, []field{
				l.line("impact", func(_ ast.Node, t string) { level.Impact = t }),
				l.line("response", func(_ ast.Node, t string) { level.Response = t }),
				{"recovery", func(n ast.Node) { level.Recovery = l.duration(n, "recovery") }},
			})
		}})
	}
	l.fields(m, "levels", want)
}
