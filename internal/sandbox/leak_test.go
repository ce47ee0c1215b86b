package sandbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/mongo"
)

// Each part of the mending is judged by itself: whoever leaves one out is told which.
func TestLeakedSecret(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	env := filepath.Join(s.Server(), "apps/booking/.env")
	old, err := os.ReadFile(env)
	must(t, err)
	before := git(t, s.Origin(), "rev-parse", "main")[0]
	dump := tool(t, s, nil, "mongodump", "--archive", "--db=auth_db")
	_, err = s.Break(t.Context(), sandbox.LeakedSecret)
	must(t, err)

	secret := regexp.MustCompile(`NEXTAUTH_SECRET=(\w+)`).FindSubmatch(old)[1]
	if got := git(t, s.Origin(), "log", "main", "-S"+string(secret), "--format=%s"); len(got) != 2 {
		t.Errorf("the secret is in the history %q", got)
	}
	for _, name := range []string{"broken.json", "made.json"} {
		if text, err := os.ReadFile(filepath.Join(s.Dir(), "truth", name)); err != nil || bytes.Contains(text, secret) {
			t.Errorf("the truth %s holds the secret: %v", name, err)
		}
	}
	const secrets, sessions, backdoor, kept = "no secret that leaked", "everybody is signed out", "the backdoor is not on main", "what was pushed since"
	expect := func(what string, want ...string) {
		t.Helper()
		v, err := s.Judge(t.Context())
		must(t, err)
		var bad []string
		for _, c := range v.Checks {
			if !c.OK {
				bad = append(bad, c.Text)
			}
		}
		same := len(bad) == len(want)
		for i := range want {
			same = same && strings.HasPrefix(bad[i], want[i])
		}
		if !same {
			t.Errorf("%s: failing %q, want %q", what, bad, want)
		}
	}
	expect("nothing done", authCheck, secrets, sessions, backdoor)
	tool(t, s, dump, "mongorestore", "--archive", "--drop")
	expect("auth data restored", secrets, sessions, backdoor)
	tool(t, s, nil, "mongosh", "--quiet", "auth_db", "--eval", "db.sessions.deleteMany({})")
	expect("signed out", secrets, backdoor)
	must(t, os.WriteFile(env, bytes.ReplaceAll(old, secret, bytes.Repeat([]byte("7"), 32)), 0o600))
	expect("rotated", backdoor)
	must(t, os.WriteFile(env, []byte("NODE_ENV=production\n"), 0o600))
	expect("deleted in place of rotated", secrets, backdoor)
	must(t, os.WriteFile(env, bytes.ReplaceAll(old, secret, bytes.Repeat([]byte("7"), 32)), 0o600))
	tip := git(t, s.Origin(), "rev-parse", "main")[0]
	git(t, s.Origin(), "update-ref", "refs/heads/main", before)
	expect("main put back, nothing kept", kept)
	git(t, s.Clone(), "fetch", "--quiet", "origin", tip+":refs/lifeboat/evidence")
	expect("all of it")
	must(t, s.AuthStore().Insert(sandbox.AuthDB, "users", mongo.Doc{{Name: "_id", Value: "another"}}))
	expect("another intruder", authCheck)
}
