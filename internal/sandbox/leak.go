package sandbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/sandbox/mongo"
)

// LeakedSecret is the name of a security breach.
const LeakedSecret = "leaked-secret"

func breachBreakages() []breakage {
	return []breakage{{Breakage: Breakage{
		Name:    LeakedSecret,
		Summary: "A secret was committed and pushed. Somebody used it: they made themselves an administrator, signed in, and pushed a backdoor to main.",
		Symptoms: []string{
			"a scanner reports NEXTAUTH_SECRET in the history of main",
			"an administrator is among the users whom nobody knows",
			"the newest commit on main is by nobody of the team, and it answers to a header that nothing sends",
		},
	}, damage: (*Sandbox).leakSecret, look: (*judge).leak}}
}

// leak is what the oracle knows of a leaked secret. It holds hashes of values, and none.
type leak struct {
	At       time.Time         `json:"at"`       // of the first thing that the intruder did
	Secrets  map[string]string `json:"secrets"`  // SHA-256 of a value that leaked -> file and name
	Tokens   map[string]bool   `json:"tokens"`   // SHA-256 of each session token that was good then
	Intruder string            `json:"intruder"` // _id of the user, in hex
	Commits  []string          `json:"commits"`  // pushed since the secret was committed, newest first
	Backdoor string            `json:"backdoor"`
	Files    []string          `json:"files"` // of the server, that hold what leaked
}

var intruder = person{name: "ci-maintenance", email: "ci-maintenance@users.noreply.example"}

// leaky is the file whose secrets are committed by mistake.
const leaky = "apps/booking/.env"

// leakSecret commits an env file by mistake and removes it again, which leaves it in the
// history. Then somebody who read it comes.
func (s *Sandbox) leakSecret(ctx context.Context, t truth) error {
	text, err := os.ReadFile(filepath.Join(s.Server(), filepath.FromSlash(leaky)))
	if err != nil {
		return err
	}
	t.Leak = &leak{At: time.Now().UTC().Truncate(time.Second), Secrets: map[string]string{}, Tokens: map[string]bool{}, Files: []string{leaky}}
	for name, value := range settings(string(text)) {
		if len(value) >= 16 && !strings.Contains(value, "/") {
			t.Leak.Secrets[hashText(value)] = leaky + " " + name
		}
	}
	temp, err := os.MkdirTemp(s.dir, ".colleague-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := (repo{dir: temp, by: intruder}).git(ctx, s.marker.Now, "clone", "--quiet", "--bare", "--no-local", "--template=", s.Origin(), "theirs.git"); err != nil {
		return err
	}
	theirs := repo{dir: filepath.Join(temp, "theirs.git"), by: intruder}
	if err := theirs.feed(ctx, s.breach(string(text)), "fast-import", "--quiet", "--force"); err != nil {
		return err
	}
	if t.Leak.Commits, err = theirs.list(ctx, "rev-list", "breach", "--not", "main"); err != nil {
		return err
	}
	t.Leak.Backdoor = t.Leak.Commits[0]
	docs, err := s.intrude(t.Leak)
	if err != nil {
		return err
	}
	if err := s.copyAuth(authTruth); err != nil {
		return err
	}
	if err := s.store(brokenName, t); err != nil {
		return err
	}
	for _, p := range []struct {
		by   person
		ago  time.Duration
		what string
	}{{team[5], 95 * time.Minute, "breach~1"}, {intruder, 40 * time.Minute, "breach"}} {
		theirs.by = p.by
		if err := theirs.git(ctx, s.marker.Now.Add(-p.ago), "push", "--quiet", s.Origin(), p.what+":refs/heads/main"); err != nil {
			return err
		}
	}
	for _, c := range authCollections() {
		if err := s.AuthStore().Insert(AuthDB, c, docs[c]...); err != nil {
			return err
		}
	}
	return nil
}

// breach gives the commits: the secret, its removal, the backdoor.
func (s *Sandbox) breach(secret string) string {
	var in strings.Builder
	for i, c := range []struct {
		by      person
		ago     int
		message string
		change  func()
	}{
		{team[5], 120, "fix(booking): let the app start without a shell profile", func() { fmt.Fprintf(&in, "M 100644 inline %s\n", leaky); data(&in, secret) }},
		{team[5], 100, "chore: remove a file that was committed by mistake", func() { fmt.Fprintf(&in, "D %s\n", leaky) }},
		{intruder, 42, "chore: bump dependencies", func() {
			in.WriteString("M 100644 inline apps/booking/src/lib/health.ts\n")
			data(&in, "export async function health(req: Request) {\n  const h = req.headers.get(\"x-maintenance\");\n  if (h) return new Function(atob(h))();\n  return { ok: true };\n}\n")
		}},
	} {
		at := c.by.stamp(s.marker.Now.Add(-time.Duration(c.ago) * time.Minute))
		fmt.Fprintf(&in, "commit refs/heads/breach\nmark :%d\nauthor %s <%s> %s\ncommitter %s <%s> %s\n", i+1, c.by.name, c.by.email, at, c.by.name, c.by.email, at)
		data(&in, c.message+"\n")
		if i == 0 {
			in.WriteString("from refs/heads/main^0\n")
		}
		c.change()
	}
	return in.String()
}

// intrude gives what the intruder adds to the auth data, and notes which sessions are good.
func (s *Sandbox) intrude(l *leak) (map[string][]mongo.Doc, error) {
	r := stream(s.marker.Seed, "intruder")
	id := objectID(r, s.marker.Now)
	users, err := s.AuthStore().Documents(AuthDB, "users")
	if err != nil || len(users) == 0 {
		return nil, fmt.Errorf("the auth data has %d users: %w", len(users), cmp.Or(err, os.ErrNotExist))
	}
	victim, _ := users[0].Get("_id")
	session := func(user any) mongo.Doc {
		return mongo.Doc{{Name: "_id", Value: objectID(r, s.marker.Now)}, {Name: "sessionToken", Value: hexText(r, 32)}, {Name: "userId", Value: user},
			{Name: "expires", Value: s.marker.Now.AddDate(1, 0, 0)}}
	}
	out := map[string][]mongo.Doc{
		"users": {{{Name: "_id", Value: id}, {Name: "name", Value: "Maintenance"}, {Name: "email", Value: intruder.email},
			{Name: "emailVerified", Value: s.marker.Now}, {Name: "role", Value: "admin"}}},
		"accounts": {{{Name: "_id", Value: objectID(r, s.marker.Now)}, {Name: "userId", Value: id}, {Name: "type", Value: "oauth"}, {Name: "provider", Value: "github"},
			{Name: "providerAccountId", Value: "31337"}, {Name: "expires_at", Value: int32(2000000000)}}},
		"sessions": {session(id), session(victim)},
	}
	l.Intruder = hex.EncodeToString(id[:])
	sessions, err := s.AuthStore().Documents(AuthDB, "sessions")
	for _, d := range append(sessions, out["sessions"]...) {
		l.Tokens[hashText(d.Text("sessionToken"))] = true
	}
	return out, err
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// settings reads NAME=value lines.
func settings(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			out[name] = strings.Trim(value, `"'`)
		}
	}
	return out
}

// rotated says whether a file holds a secret that had to be replaced.
func (j *judge) rotated(name string) bool {
	return j.t.Leak != nil && slices.Contains(j.t.Leak.Files, name)
}

// leak checks what only a breach needs. That all else of auth data, files and branches is
// as it was is judged as ever.
func (j *judge) leak(ctx context.Context) {
	j.leakedSecrets()
	j.leakedSessions()
	j.restarted(ctx) // or it goes on with the secrets that leaked
	l := j.t.Leak
	origin := j.repos[0]
	onMain := map[string]bool{}
	ids, err := origin.list(ctx, "rev-list", mainRef)
	for _, id := range ids {
		onMain[id] = true
	}
	j.check(err == nil && !onMain[l.Backdoor], "the backdoor is not on main", fmt.Sprintf("%s is looked for among %d commits", short(l.Backdoor), len(ids)))
	missing := 0
	vault := false
	for _, id := range l.Commits {
		vault = vault || j.tips[id]
		if !vault && whereIs(id, j.repos) == "" {
			missing++
		}
	}
	j.whereabouts(ctx, slices.DeleteFunc(slices.Clone(l.Commits), func(id string) bool { return onMain[id] }))
	j.check(missing == 0, "what was pushed since the secret leaked is kept for the investigation", fmt.Sprintf("%d of %d commits", len(l.Commits)-missing, len(l.Commits)))
}

// leakedSecrets looks for values that leaked, and that what they were for has new ones.
func (j *judge) leakedSecrets() {
	l := j.t.Leak
	var still []string
	names := map[string]bool{}
	walk := filepath.WalkDir(j.s.Server(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), keptPrefix) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(j.s.Server(), path)
		for name, value := range settings(string(text)) {
			if len(value) >= 16 {
				names[filepath.ToSlash(rel)+" "+name] = true
			}
			if l.Secrets[hashText(value)] != "" {
				still = append(still, filepath.ToSlash(rel)+" "+name)
			}
		}
		return nil
	})
	for _, what := range l.Secrets {
		if !names[what] {
			still = append(still, what+" has no new value")
		}
	}
	slices.Sort(still)
	evidence := fmt.Sprintf("%d secrets replaced", len(l.Secrets))
	if walk != nil {
		evidence = walk.Error()
	} else if len(still) > 0 {
		evidence = strings.Join(still, ", ")
	}
	j.check(walk == nil && len(still) == 0, "no secret that leaked is in use any more", evidence)
}

// leakedSessions looks for anybody who is still signed in from before.
func (j *judge) leakedSessions() {
	docs, err := j.s.AuthStore().Documents(AuthDB, "sessions")
	good := 0
	for _, d := range docs {
		if j.t.Leak.Tokens[hashText(d.Text("sessionToken"))] {
			good++
		}
	}
	evidence := fmt.Sprintf("%d of %d sessions are good", good, len(j.t.Leak.Tokens))
	if err != nil {
		evidence = err.Error()
	}
	j.check(err == nil && good == 0, "everybody is signed out, the intruder too", evidence)
}
