package sandbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/mongo"
)

const (
	authCheck = "the auth data is as it was"
	hostCheck = "env files and infrastructure are as they were"
)

// tool runs a program of the document store.
func tool(t *testing.T, s *sandbox.Sandbox, in []byte, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	if n := s.AuthStore().Tool(args, bytes.NewReader(in), &out, &errs, time.Now); n != 0 {
		t.Fatalf("%v: exit %d: %s", args, n, errs.String())
	}
	return out.Bytes()
}

// failing says how many checks fail, and the evidence of the one that begins with text.
func failing(t *testing.T, s *sandbox.Sandbox, text string) (n int, evidence string) {
	t.Helper()
	v, err := s.Judge(t.Context())
	must(t, err)
	for _, c := range v.Checks {
		if !c.OK {
			n++
		}
		if strings.HasPrefix(c.Text, text) {
			evidence = c.Evidence
		}
	}
	if v.Recovered != (n == 0) {
		t.Errorf("recovered %v with %d failing checks", v.Recovered, n)
	}
	return n, evidence
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuthLost(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	dump := tool(t, s, nil, "mongodump", "--archive", "--gzip", "--db=auth_db")
	_, err := s.Break(t.Context(), sandbox.AuthLost)
	must(t, err)
	if n, evidence := failing(t, s, authCheck); n != 1 || !strings.Contains(evidence, "is missing") {
		t.Errorf("%d failing, %q", n, evidence)
	}
	tool(t, s, dump, "mongorestore", "--archive", "--gzip", "--drop", "--nsInclude=auth_db.*")
	if n, evidence := failing(t, s, authCheck); n != 0 {
		t.Errorf("%d failing, %q", n, evidence)
	}
	for name, c := range map[string]struct {
		do   func(docs []mongo.Doc) []mongo.Doc
		want string
	}{
		"a field changed":  {func(d []mongo.Doc) []mongo.Doc { d[3] = set(d[3], "email", "x@example.com"); return d }, `field "email" is another`},
		"a type changed":   {func(d []mongo.Doc) []mongo.Doc { d[3] = set(d[3], "role", int32(1)); return d }, `field "role" is another`},
		"a field more":     {func(d []mongo.Doc) []mongo.Doc { d[3] = append(d[3], mongo.Field{Name: "x", Value: nil}); return d }, "other fields"},
		"one missing":      {func(d []mongo.Doc) []mongo.Doc { return d[1:] }, "is missing"},
		"one twice":        {func(d []mongo.Doc) []mongo.Doc { return append(d, d[0]) }, "twice"},
		"one more":         {func(d []mongo.Doc) []mongo.Doc { return append(d, mongo.Doc{{Name: "_id", Value: "x"}}) }, "was not there"},
		"in another order": {func(d []mongo.Doc) []mongo.Doc { d[0], d[1] = d[1], d[0]; return d }, ""},
	} {
		docs, err := s.AuthStore().Documents(sandbox.AuthDB, "users")
		must(t, err)
		must(t, s.AuthStore().Replace(sandbox.AuthDB, "users", c.do(docs)))
		if n, evidence := failing(t, s, authCheck); n != min(1, len(c.want)) || !strings.Contains(evidence, c.want) {
			t.Errorf("%s: %d failing, %q", name, n, evidence)
		}
		tool(t, s, dump, "mongorestore", "--archive", "--gzip", "--drop", "--nsInclude=auth_db.*")
	}
	must(t, s.AuthStore().Create(sandbox.AuthDB, "ransom_note", ""))
	if n, evidence := failing(t, s, authCheck); n != 1 || !strings.Contains(evidence, "ransom_note") {
		t.Errorf("%d failing, %q", n, evidence)
	}
}

func set(d mongo.Doc, name string, value any) mongo.Doc {
	for i := range d {
		if d[i].Name == name {
			d[i].Value = value
		}
	}
	return d
}

func TestEnvLost(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	backup := t.TempDir()
	must(t, os.CopyFS(filepath.Join(backup, "server"), os.DirFS(s.Server())))
	_, err := s.Break(t.Context(), sandbox.EnvLost)
	must(t, err)
	n, evidence := failing(t, s, hostCheck)
	for _, want := range []string{"apps/booking/.env is missing", "packages/auth/.env is missing", "apps/dashboard/.env holds something else", "apps/booking/.env.local has mode 644, not 600"} {
		if n != 1 || !strings.Contains(evidence, want) {
			t.Errorf("%d failing, %q lacks %q", n, evidence, want)
		}
	}
	for _, name := range []string{"apps/booking/.env", "packages/auth/.env", "apps/dashboard/.env"} {
		text, err := os.ReadFile(filepath.Join(backup, "server", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(s.Server(), name), text, 0o600))
	}
	if n, evidence := failing(t, s, hostCheck); n != 1 || !strings.Contains(evidence, "mode 644") { // the bytes alone are not enough
		t.Errorf("%d failing, %q", n, evidence)
	}
	must(t, os.Chmod(filepath.Join(s.Server(), "apps/booking/.env.local"), 0o600))
	must(t, os.Mkdir(filepath.Join(s.Server(), ".lifeboat-before-7F3A"), 0o700)) // what a restore keeps
	must(t, os.WriteFile(filepath.Join(s.Server(), ".lifeboat-before-7F3A/x"), nil, 0o600))
	if n, evidence := failing(t, s, hostCheck); n != 0 {
		t.Errorf("%d failing, %q", n, evidence)
	}
}
