package secrets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	tree "lifeboat/internal/asset/files"
	"lifeboat/internal/hint"
)

const (
	first  = "0123456789abcdef0123456789abcdef"
	second = "fedcba9876543210fedcba9876543210"
)

type bench struct {
	t        *testing.T
	dir, git string
	env      *action.Env
	log      bytes.Buffer
	acts     map[string]action.Action
	ours     []string
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), "server"), git: t.TempDir(), acts: map[string]action.Action{}}
	b.write("apps/web/.env", "# the web app\nexport SESSION_SECRET=\""+first+"\" # rotate yearly\nPORT=3000\nAUTH_URL=https://u:"+first+"@auth/\r\n", 0o640)
	b.write("apps/api/.env", "SIGNING_KEY = "+second+"\nSESSION_SECRET='"+first+"'\nSHORT_TOKEN=abc\n# old: "+first+"\n", 0o600)
	b.write("apps/api/other.txt", "SESSION_SECRET="+first+"\n", 0o600)
	list := Actions(Deps{
		Files: func(name string) (Source, error) {
			if name != "env" {
				return Source{}, errors.New("no such asset")
			}
			return Source{Name: "env", Path: b.dir, Kind: tree.Kind{Include: []string{"apps/*/.env"}}, Ours: b.ours}, nil
		},
		Repository: func(string) (string, error) { return b.git, nil },
	})
	must(t, action.Validate(list))
	for _, a := range list {
		b.acts[a.Name] = a
	}
	b.env = &action.Env{Log: &b.log, Now: time.Now, Run: "7f3a", RunID: "R7F3A", Step: "s", Scratch: t.TempDir(), Dir: b.dir}
	return b
}

func (b *bench) write(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	must(b.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(b.t, os.WriteFile(path, []byte(text), mode))
	must(b.t, os.Chmod(path, mode))
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	must(b.t, err)
	return string(text)
}

type step struct {
	call action.Call
	plan action.Plan
	res  action.Result
}

func (b *bench) plan(name string, args map[string]any) (*step, error) {
	b.t.Helper()
	call, err := b.acts[name].Bind(args)
	if err != nil {
		return nil, err
	}
	s := &step{call: call}
	s.plan, err = call.Plan(b.t.Context(), b.env)
	return s, err
}

func (b *bench) run(s *step) (err error) {
	s.res, err = s.call.Run(b.t.Context(), b.env, s.plan)
	// Whatever is said anywhere has no value in it.
	said := fmt.Sprintf("%+v %+v %v %v %s", s.plan, s.res, err, hint.All(err), b.log.String())
	for _, f := range []string{"apps/web/.env", "apps/api/.env"} {
		for _, v := range variables(f, []byte(b.read(f))) {
			if len(v.value.Reveal()) >= shortest && strings.Contains(said, v.value.Reveal()) {
				b.t.Errorf("the value of %s is said: %s", v.name, said)
			}
		}
	}
	if strings.Contains(said, first) || strings.Contains(said, second) {
		b.t.Errorf("an old value is said: %s", said)
	}
	return err
}

func (b *bench) undo(s *step) error {
	undo, err := s.call.PlanUndo(b.t.Context(), b.env, s.plan, s.res)
	if err != nil {
		return err
	}
	_, err = s.call.RunUndo(b.t.Context(), b.env, undo, s.plan, s.res)
	return err
}

func TestVariables(t *testing.T) {
	text := "A=1\n  export B = two words # no\nC='x # y'\nD=\"a\"b\n#E=5\nF=\nG: yaml\nno line\nH=a#b\r\n"
	got := ""
	for _, v := range variables("f", []byte(text)) {
		got += fmt.Sprintf("%s=[%s] ", v.name, text[v.from:v.to])
		if text[v.from:v.to] != v.value.Reveal() {
			t.Errorf("%s stands elsewhere", v.name)
		}
	}
	if want := "A=[1] B=[two words] C=[x # y] D=[a] F=[] G=[yaml] H=[a#b] "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRotate(t *testing.T) {
	b := newBench(t)
	web, api, other := b.read("apps/web/.env"), b.read("apps/api/.env"), b.read("apps/api/other.txt")
	s, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SESSION_SECRET"})
	must(t, err)
	if !strings.Contains(fmt.Sprint(s.plan.Lines), "apps/web/.env: AUTH_URL, SESSION_SECRET") {
		t.Errorf("%+v", s.plan.Lines)
	}
	must(t, b.run(s))
	now := b.read("apps/web/.env")
	value := variables("f", []byte(now))[0].value.Reveal()
	if len(value) != 64 || now != strings.ReplaceAll(web, first, value) || b.read("apps/api/.env") != strings.ReplaceAll(api, first, value) {
		t.Errorf("%q\n%q", now, b.read("apps/api/.env"))
	}
	if b.read("apps/api/other.txt") != other {
		t.Error("a file that is not of the asset has changed")
	}
	for name, mode := range map[string]os.FileMode{"apps/web/.env": 0o640, "apps/api/.env": 0o600, ".lifeboat-before-7f3a/apps/web/.env": 0o600} {
		if info, err := os.Stat(filepath.Join(b.dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	// A second attempt rotates again, and what is kept is still what was there first.
	s2, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SESSION_SECRET"})
	must(t, err)
	must(t, b.run(s2))
	if b.read(".lifeboat-before-7f3a/apps/web/.env") != web || b.read("apps/web/.env") == now {
		t.Error("the second attempt")
	}
	must(t, b.undo(s2))
	if b.read("apps/web/.env") != web || b.read("apps/api/.env") != api {
		t.Errorf("undone: %q", b.read("apps/web/.env"))
	}
}

func TestRotateChanged(t *testing.T) {
	b := newBench(t)
	s, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SIGNING_KEY, SESSION_SECRET"})
	must(t, err)
	b.write("apps/api/.env", b.read("apps/api/.env")+"NEW=1\n", 0o600)
	web := b.read("apps/web/.env")
	if err := b.run(s); !errors.Is(err, action.ErrChanged) || b.read("apps/web/.env") != web {
		t.Errorf("%v", err)
	}
	if err := b.undo(s); err != nil || b.read("apps/web/.env") != web {
		t.Errorf("undo of nothing: %v", err)
	}
	// Half done: one file cannot be written. The undo puts the other back.
	s, err = b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SIGNING_KEY SESSION_SECRET"})
	must(t, err)
	api := b.read("apps/api/.env")
	blocked := filepath.Join(b.dir, ".lifeboat-before-7f3a/apps/web")
	must(t, os.MkdirAll(filepath.Dir(blocked), 0o700))
	must(t, os.WriteFile(blocked, nil, 0o600))
	if err := b.run(s); err == nil || b.read("apps/api/.env") == api || b.read("apps/web/.env") != web {
		t.Errorf("half: %v", err)
	}
	must(t, os.Remove(blocked))
	if err := b.undo(s); err != nil || b.read("apps/api/.env") != api || b.read("apps/web/.env") != web {
		t.Errorf("undo of a half: %v", err)
	}
	must(t, b.run2(t, "SESSION_SECRET"))
	b.write("apps/web/.env", "SOMETHING=else\n", 0o640)
	if err := b.undo(s); !errors.Is(err, action.ErrChanged) {
		t.Errorf("undo over the work of somebody: %v", err)
	}
}

// An attempt that ended in the middle, by an error or a crash, and is made again leaves no
// two places of one secret with different values, also where one only has it within another.
func TestRotateAgain(t *testing.T) {
	for _, keys := range []string{"SESSION_SECRET", "ADMIN_SECRET"} {
		b := newBench(t)
		b.write("apps/a/.env", "URL=https://u:"+first+"@auth/\nOWN="+second+"\n", 0o600)
		b.write("apps/web/.env", b.read("apps/web/.env")+"ADMIN_SECRET="+first+"\n", 0o640)
		s, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": keys})
		must(t, err)
		blocked := filepath.Join(b.dir, ".lifeboat-before-7f3a/apps/web")
		must(t, os.MkdirAll(filepath.Dir(blocked), 0o700))
		must(t, os.WriteFile(blocked, nil, 0o600))
		if err := b.run(s); !errors.Is(err, action.ErrUnclear) || strings.Contains(b.read("apps/a/.env"), first) {
			t.Fatalf("half: %v", err)
		}
		must(t, os.Remove(blocked))
		must(t, b.run2(t, keys))
		web := variables("w", []byte(b.read("apps/web/.env")))
		value := web[0].value.Reveal()
		if value == first || web[3].value.Reveal() != value ||
			!strings.Contains(b.read("apps/a/.env"), "https://u:"+value+"@auth/") || !strings.Contains(b.read("apps/api/.env"), "SESSION_SECRET='"+value+"'") ||
			!strings.Contains(b.read("apps/a/.env"), "OWN="+second+"\n") {
			t.Errorf("%s: the places differ:\n%s\n%s\n%s", keys, b.read("apps/a/.env"), b.read("apps/api/.env"), b.read("apps/web/.env"))
		}
	}
}

func (b *bench) run2(t *testing.T, keys string) error {
	s, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": keys})
	must(t, err)
	return b.run(s)
}

func TestRotateRefuses(t *testing.T) {
	b := newBench(t)
	for name, args := range map[string]map[string]any{
		"unknown": {"asset": "env", "keys": "NOPE"}, "short": {"asset": "env", "keys": "SHORT_TOKEN"}, "none": {"asset": "env", "keys": " , "},
		"no name": {"asset": "env", "keys": "A-B"}, "no asset": {"asset": "x", "keys": "SIGNING_KEY"},
	} {
		if _, err := b.plan("secrets.rotate", args); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "NOPE"}); !strings.Contains(strings.Join(hint.All(err), " "), "SESSION_SECRET, SIGNING_KEY") {
		t.Errorf("%q", hint.All(err))
	}
	s, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SIGNING_KEY"})
	must(t, err)
	b.env.Fence = func(string) error { return action.ErrRefused }
	if err := b.run(s); !errors.Is(err, action.ErrRefused) {
		t.Errorf("beyond the fence: %v", err)
	}
	if _, err := b.plan("secrets.rotate", map[string]any{"asset": "env", "keys": "SIGNING_KEY"}); !errors.Is(err, action.ErrRefused) {
		t.Errorf("beyond the fence: %v", err)
	}
}

func (b *bench) repo(args ...string) {
	b.t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=Ann\x1b[31m", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"}, args...)...)
	c.Dir = b.git
	if out, err := c.CombinedOutput(); err != nil {
		b.t.Fatalf("git %v: %v %s", args, err, out)
	}
}

func TestScan(t *testing.T) {
	b := newBench(t)
	b.repo("init", "--quiet")
	commit := func(name, text string) {
		must(t, os.WriteFile(filepath.Join(b.git, name), []byte(text), 0o600))
		b.repo("add", "-A")
		b.repo("commit", "--quiet", "-m", name)
	}
	commit("README.md", "SHORT_TOKEN=abc PORT=3000\n")
	s, err := b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo"})
	must(t, err)
	if err := b.run(s); err != nil || s.res.Outputs["objects"] != int64(3) {
		t.Errorf("%+v %v", s.res, err)
	}
	// In the middle of a large file, and gone from the tree since.
	commit("big", strings.Repeat("x", 1<<20-20)+first+strings.Repeat("y", 1<<20))
	b.repo("rm", "--quiet", "big")
	b.repo("commit", "--quiet", "-m", "remove it")
	if err := b.run(s); !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "1 secret of 2 stand in the history") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(b.log.String(), "by Ann") || strings.Contains(b.log.String(), "\x1b") {
		t.Errorf("%q", b.log.String())
	}
	s, err = b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo", "allow_findings": true})
	must(t, err)
	if err := b.run(s); err != nil || s.res.Outputs["ours"] != "SESSION_SECRET" || s.res.Outputs["others"] != "none" || s.res.Outputs["found"] != int64(1) {
		t.Errorf("%+v %v", s.res, err)
	}
	must(t, b.run2(t, "SESSION_SECRET")) // the cure
	if s, err = b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo"}); err != nil || b.run(s) != nil {
		t.Errorf("after the rotation: %v", err)
	}
	s, err = b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo", "keys": "PORT"})
	must(t, err)
	if err := b.run(s); !errors.Is(err, action.ErrRefused) {
		t.Errorf("nothing to look for is no success: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(b.git, ".git")))
	if s, err = b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo"}); err == nil && b.run(s) == nil {
		t.Error("no repository, and no finding")
	}
}

// What a provider issued is never told as ours, nor what shares its value with something that is.
func TestScanTellsOursFromOthers(t *testing.T) {
	b := newBench(t)
	const third, fourth = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
	b.write("apps/mail/.env", "SMTP_PASSWORD="+second+"\nMY_SIGNING_KEY="+third+"\nJWT_SIGNING_KEY=\"-----BEGIN KEY-----"+third+"\"\nAUTH_SECRET="+fourth+"\nSMS_TOKEN="+fourth+"\n", 0o600)
	b.repo("init", "--quiet")
	must(t, os.WriteFile(filepath.Join(b.git, "f"), []byte(first+b.read("apps/mail/.env")), 0o600))
	b.repo("add", "-A")
	b.repo("commit", "--quiet", "-m", "f")
	tell := func() (ours, others any) {
		t.Helper()
		s, err := b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo", "allow_findings": true})
		must(t, err)
		must(t, b.run(s))
		return s.res.Outputs["ours"], s.res.Outputs["others"]
	}
	if ours, others := tell(); ours != "SESSION_SECRET" || others != "AUTH_SECRET JWT_SIGNING_KEY MY_SIGNING_KEY SIGNING_KEY SMS_TOKEN SMTP_PASSWORD" {
		t.Errorf("ours %v, others %v", ours, others)
	}
	b.ours = []string{"MY_SIGNING_KEY"}
	if ours, others := tell(); ours != "MY_SIGNING_KEY SESSION_SECRET" || others != "AUTH_SECRET JWT_SIGNING_KEY SIGNING_KEY SMS_TOKEN SMTP_PASSWORD" {
		t.Errorf("ours %v, others %v", ours, others)
	}
	s, err := b.plan("secrets.scan", map[string]any{"asset": "env", "repository": "monorepo"})
	must(t, err)
	if advice := strings.Join(hint.All(b.run(s)), "\n"); !strings.Contains(advice, "MY_SIGNING_KEY, SESSION_SECRET: secrets.rotate") || !strings.Contains(advice, "SMTP_PASSWORD replaced by whoever issued it") {
		t.Errorf("%s", advice)
	}
}

func FuzzObjects(f *testing.F) {
	f.Add([]byte("aaaa blob 3\nabc\nbbbb tree 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = objects(bufio.NewReader(bytes.NewReader(b)), func(string, []byte) {}, 32, func(int64) {})
	})
}

func FuzzVariables(f *testing.F) {
	f.Add([]byte("A='x' # y\nexport B=\"" + first + "\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		at := 0
		for _, v := range variables("f", b) {
			if v.from < at || v.to < v.from || string(b[v.from:v.to]) != v.value.Reveal() {
				t.Errorf("%s at %d to %d", v.name, v.from, v.to)
			}
			at = v.to
		}
	})
}

// A value nearly as long as a piece does not make each piece a few new bytes.
func TestObjectsWithALongValue(t *testing.T) {
	const size = 4 << 20
	in := fmt.Sprintf("%040d blob %d\n%s\n", 1, size, strings.Repeat("x", size))
	pieces := 0
	n, err := objects(bufio.NewReader(strings.NewReader(in)), func(string, []byte) { pieces++ }, 1<<20-10, func(int64) {})
	if err != nil || n != 1 || pieces > 8 {
		t.Errorf("%d objects in %d pieces: %v", n, pieces, err)
	}
}
