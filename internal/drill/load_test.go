package drill_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeboat/internal/drill"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

const wholeTest = `title: The release is gone
summary: >-
  Somebody deleted it,
  and nobody knows when.
runbook: restart
prepare:
  - repository-backup
  - {wait-writes: 20}
  - runbook: database-backup
    params: {class: weekly}
break: {sh: "rm -r release"}
params: {release: 1.10, dir: "${sandbox}/x", at: "${broken_at}", port: 80, dry: false}
answers:
  tell-the-team: Mary
rto: 1h30m
rpo: 15m
expect: complete-with-overrides
oracle:
  sh: |
    test -d release
`

func TestLoad(t *testing.T) {
	got, problems := drill.Load("runbooks/gone.at-night.test.yaml", []byte(wholeTest))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := drill.Scenario{
		Name: "gone.at-night", File: "runbooks/gone.at-night.test.yaml", Title: "The release is gone",
		Summary: "Somebody deleted it, and nobody knows when.", Runbook: "restart",
		Prepare: []drill.Preparation{{Runbook: "repository-backup"}, {Writes: 20}, {Runbook: "database-backup", Params: map[string]string{"class": "weekly"}}},
		Damage:  "rm -r release", Oracle: "test -d release\n", RTO: 90 * time.Minute, RPO: 15 * time.Minute, Expect: run.CompleteWithOverrides,
		Params:  map[string]string{"release": "1.10", "dir": "${sandbox}/x", "at": "${broken_at}", "port": "80", "dry": "false"},
		Answers: map[string]string{"tell-the-team": "Mary"}, Pass: 80,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(drill.Scenario{}), cmpopts.IgnoreFields(drill.Scenario{}, "Weights")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	filled, err := got.Filled("/s", time.Date(2026, 11, 29, 2, 3, 4, 5e6, time.FixedZone("", 3600)))
	if err != nil || filled.Params["dir"] != "/s/x" || filled.Params["at"] != "2026-11-29T01:03:04.005Z" || got.Params["dir"] != "${sandbox}/x" {
		t.Errorf("%+v, %v", filled.Params, err)
	}
	if s, _ := drill.Load("gone.at-night.test.yaml", []byte("title: x\nsummary: y\n")); s.Runbook != "gone" || s.Expect != run.Complete || s.Breaks() {
		t.Errorf("%+v", s)
	}
}

func TestLoadRefuses(t *testing.T) {
	ok := "title: T\nsummary: S\n"
	for text, want := range map[string]string{
		"":                                    "1:1 missing-key: the file has no title",
		"title: T\n":                          "1:1 missing-key: the file has no summary",
		ok + "tilte: x\n":                     `3:1 unknown-key: the file has no key "tilte"; did you mean "title"?`,
		ok + "title: x\n":                     "3:1 duplicate-key",
		ok + "break: force-psuh\n":            `3:1 unknown-breakage: there is no breakage "force-psuh"; did you mean "force-push"?`,
		ok + "break: [a]\n":                   "3:1 type: break must be text, this is a list",
		ok + "break: {sh: x, bash: y}\n":      `3:16 unknown-key: break has no key "bash"`,
		ok + "break: {sh: x}\n":               "3:9 missing-key: nobody can tell whether what this script breaks is recovered",
		ok + "break: {sh: ''}\noracle: yes\n": "3:9 value: break.sh is empty",
		ok + "oracle: yes\n":                  `3:1 type: oracle must be a mapping, this is a single value; write {sh: "a script"}`,
		ok + "oracle: {}\n":                   "3:1 missing-key: oracle has no sh",
		ok + "oracle: {sh: 'if'}\n":           "3:10 shell-syntax: the shell cannot read line 1 of this",
		ok + "oracle: {sh: [x]}\n":            "3:10 type: oracle.sh must be text, this is a list",
		ok + "prepare: x\n":                   "3:1 type: prepare must be a list",
		ok + "prepare: [{}]\n":                "3:11 value: an entry of prepare runs one runbook, or waits",
		ok + "prepare: [{runbook: x, wait-writes: 1}]\n":      "3:11 value: an entry of prepare runs one runbook, or waits",
		ok + "prepare: [{wait-writes: 1, params: {a: b}}]\n":  "3:11 value: an entry of prepare runs one runbook, or waits",
		ok + "prepare: [{wait-writes: 0}]\n":                  "3:12 value: prepare[0].wait-writes must be a number from 1 to 1000",
		ok + "prepare: [{wait-writes: many}]\n":               "3:12 value",
		ok + "prepare: [{runbok: x}]\n":                       `3:12 unknown-key: an entry of prepare has no key "runbok"; did you mean "runbook"?`,
		ok + "prepare: [" + strings.Repeat("a, ", 21) + "]\n": "3:1 value: prepare has 21 entries",
		ok + "params: [a]\n":                                  "3:1 type: params must be a mapping",
		ok + "params: {a: [b]}\n":                             "3:10 type: params.a must be text",
		ok + "params: {a: '${home}'}\n":                       "3:10 unknown-name: there is no ${home}",
		ok + "params: {a: '${sandbox'}\n":                     "3:10 value",
		ok + "answers: {a: }\n":                               "3:11 type: answers.a must be text, this is empty",
		ok + "rto: -1h\n":                                     `3:1 value: rto: "-1h" is no duration above zero`,
		ok + "rto: 1d\n":                                      "3:1 value",
		ok + "expect: done\n":                                 `3:1 value: no run ends as "done"`,
		ok + "title: &x y\n":                                  "3:1 duplicate-key",
		"title: &x y\nsummary: z\n":                           "1:8 yaml-alias",
		"- a\n":                                               "1:1 yaml-type",
		"title: [\n":                                          "yaml",
		"title: \xff\n":                                       "1:8 not-text",
		"title: \x1b[31mred\nsummary: x\n":                    "1:1 value: title holds a control character",
		"title: " + strings.Repeat("x", 20000):                "1:1 yaml-size",
	} {
		_, problems := drill.Load("x.test.yaml", []byte(text))
		var said []string
		for _, p := range problems {
			said = append(said, fmt.Sprintf("%d:%d %s: %s; %s", p.Pos.Line, p.Pos.Col, p.Code, p.Msg, p.Fix))
		}
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("%q:\n%s\nwant %s", text, strings.Join(said, "\n"), want)
		}
	}
}

// The name of a test becomes that of a directory, which is removed.
func TestLoadRefusesNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "-x", "a b", "a\nb", "ä", strings.Repeat("x", 101), "a\\..\\.."} {
		_, problems := drill.Load("d/"+name+drill.Suffix, []byte("title: T\nsummary: S\n"))
		if len(problems) != 1 || problems[0].Code != "file-name" {
			t.Errorf("%q: %v", name, problems)
		}
	}
}

func parsed(t *testing.T, name, text string) *runbook.Book {
	t.Helper()
	book, problems := runbook.Parse(name+".md", []byte(strings.ReplaceAll(text, "~~~", "```")))
	if runbook.Failed(problems) {
		t.Fatal(problems)
	}
	return book
}

// TestCheck holds a test against a runbook that includes another.
func TestCheck(t *testing.T) {
	books := map[string]*runbook.Book{
		"x": parsed(t, "x", "---\ntitle: X\nkind: recovery\nasset: git\nparams: {release: {help: which}}\n---\n\n## Ask\n\n- [ ] Who? {observe}\n- [ ] Is it ${release}? {observe}\n\n"+
			"## Which\n\n~~~choose save=w\nask: Which?\noptions: {left: L, right: R}\n~~~\n\n## Deeper\n\n~~~runbook\nrunbook: child\n~~~\n"),
		"child": parsed(t, "child", "---\ntitle: C\nkind: recovery\n---\n\n## Look\n\n- [ ] What do you see? {observe}\n"),
	}
	find := func(name string) (*runbook.Book, error) {
		if b := books[name]; b != nil {
			return b, nil
		}
		return nil, fmt.Errorf("runbook %q: %w", name, runbook.ErrUnknown)
	}
	for text, want := range map[string]string{
		"params: {release: a}\nanswers: {ask: m, Who?: n, which: left, deeper.look: x, 'What do you see?': y}\n": "",
		"params: {release: a, asset: monorepo}\nprepare: [child]\n":                                              "",
		"":                                  "1:1 missing-param",
		"params: {release: a, relase: b}\n": `3:22 unknown-param: runbook "x" has no parameter "relase"; did you mean "release"?`,
		"params: {release: a}\nanswers: {which: lft}\n":                       `4:11 bad-answer: step "which" does not offer "lft"; did you mean "left"?`,
		"params: {release: a}\nanswers: {look: x}\n":                          `4:11 unknown-step: no step or item is called "look"`,
		"params: {release: a}\nanswers: {'Is it ${release}?': x}\n":           "4:11 bad-answer: the text of this item is only known when it is asked",
		"params: {release: a}\nprepare: [chld]\n":                             `4:11 unknown-runbook: runbook "chld"`,
		"params: {release: a}\nprepare: [{runbook: chld}]\n":                  `4:12 unknown-runbook`,
		"params: {release: a}\nprepare: [{runbook: child, params: {a: b}}]\n": `4:37 unknown-param: runbook "child" has no parameter "a"`,
		"runbook: y\n": `3:1 unknown-runbook: runbook "y"`,
	} {
		s, problems := drill.Load("x.test.yaml", []byte("title: T\nsummary: S\n"+text))
		if len(problems) > 0 {
			t.Fatal(text, problems)
		}
		var said []string
		for _, p := range s.Check(find) {
			said = append(said, fmt.Sprintf("%d:%d %s: %s; %s", p.Pos.Line, p.Pos.Col, p.Code, p.Msg, p.Fix))
		}
		if got := strings.Join(said, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q:\n%s\nwant %s", text, got, want)
		}
	}
}

func TestLibraryOfTests(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	lib := drill.NewLibrary(
		runbook.NamedFS{FS: fstest.MapFS{
			"a.test.yaml": file("title: ours\nsummary: s\n"), "a.case.test.yaml": file("title: case\nsummary: s\n"),
			"half.test.yaml": file("title: half\nsummary: s\n"), "bad.test.yaml": file("title: [\n"), ".hidden/x.test.yaml": file("x"), "a.md": file("x"), "deep/er/z.test.yaml": file("title: z\nsummary: s\nrunbook: a\n"),
		}},
		runbook.NamedFS{Name: "/mine", FS: fstest.MapFS{"a.test.yaml": file("title: mine\nsummary: s\n"), "half.test.yaml": file("title: [\n")}},
	)
	if got := fmt.Sprint(lib.Names()); got != "[a a.case z]" {
		t.Errorf("names %s", got)
	}
	if s, err := lib.Find("a"); err != nil || s.Title != "mine" || s.File != "/mine/a.test.yaml" {
		t.Errorf("%+v, %v", s, err)
	}
	if len(lib.Of("a")) != 3 || len(lib.Of("z")) != 0 {
		t.Errorf("of a: %v, of z: %v", lib.Of("a"), lib.Of("z"))
	}
	if len(lib.Problems()) == 0 || lib.Problems()[0].Pos.File != "bad.test.yaml" {
		t.Errorf("problems %v", lib.Problems())
	}
	if _, err := lib.Find("bad"); err == nil || !strings.Contains(err.Error(), "bad.test.yaml:") {
		t.Errorf("Find(bad): %v", err)
	}
	if _, err := lib.Find("half"); err == nil || !strings.Contains(err.Error(), "/mine/half.test.yaml:") {
		t.Errorf("Find(half), which somebody has written anew and not soundly: %v", err)
	}
}

// FuzzLoad: whatever somebody wrote, it is read or refused with its place, and what was
// read can be filled in.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(wholeTest))
	f.Add([]byte("title: T\nsummary: S\nprepare: [{wait-writes: 3}, x]\nbreak: {sh: |\n  rm x\n }\n"))
	f.Add([]byte("title: &a b\n? c\n: *a\n<<: x\n--- !t\n"))
	f.Add([]byte("params: {a: '${sandbox}${broken_at}$${x'}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, problems := drill.Load("x.test.yaml", src)
		for _, p := range problems {
			if p.Pos.Line < 1 || p.Pos.Col < 1 || p.Pos.File != "x.test.yaml" || p.Msg == "" || strings.ContainsRune(p.Msg, 0x1b) {
				t.Errorf("%+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		if _, err := s.Filled("/s", time.Unix(0, 0)); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		s.Check(func(name string) (*runbook.Book, error) { return nil, runbook.ErrUnknown })
	})
}
