package runbook

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// problemsOf gives problems as "line:col code".
func problemsOf(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%d:%d %s", p.Pos.Line, p.Pos.Col, p.Code))
	}
	return out
}

func wantProblems(t *testing.T, name string, got []Problem, want ...string) {
	t.Helper()
	if !slices.Equal(problemsOf(got), want) {
		t.Errorf("%s: problems %q, want %q", name, problemsOf(got), want)
		for _, p := range got {
			t.Log(p.Error())
		}
	}
	for _, p := range got {
		if p.Msg == "" || p.Fix == "" {
			t.Errorf("%s: no words or no fix: %+v", name, p)
		}
	}
}

func TestAttributeErrors(t *testing.T) {
	for _, c := range []struct {
		info string
		want []string
	}{
		{`sh effect=read timeout=90s retry=3 save=x when="a" else=b optional interactive id=c target="t" stop="s" drill=skip`, nil},
		{`sh timeout=none`, nil},
		{`sh	effect=read`, nil},
		{`sh effect=reed`, []string{"6:14 bad-attribute"}},
		{`sh effect=`, []string{"6:14 bad-attribute"}},
		{`sh effect`, []string{"6:7 bad-attribute"}},
		{`sh timeout=5`, []string{"6:15 bad-attribute"}},
		{`sh timeout=-5m`, []string{"6:15 bad-attribute"}},
		{`sh timeout=0s`, []string{"6:15 bad-attribute"}},
		{`sh timeout=9999999h`, []string{"6:15 bad-attribute"}},
		{`sh retry=x`, []string{"6:13 bad-attribute"}},
		{`sh retry=-1`, []string{"6:13 bad-attribute"}},
		{`sh retry=101`, []string{"6:13 bad-attribute"}},
		{`sh save=Good`, []string{"6:12 bad-attribute"}},
		{`sh else=../x`, []string{"6:12 bad-attribute"}},
		{`sh id=-rf`, []string{"6:10 bad-attribute"}},
		{`sh id=CON`, []string{"6:10 bad-attribute"}},
		{`sh drill=run`, []string{"6:13 bad-attribute"}},
		{`sh optional=yes`, []string{"6:16 bad-attribute"}},
		{`sh verify undo`, []string{"6:14 bad-attribute"}},
		{`sh é effekt=read`, []string{"6:7 unknown-attribute", "6:9 unknown-attribute"}},
		{`sh effect=read effect=write`, []string{"6:19 attribute-twice"}},
		{`sh when="a`, []string{"6:12 attribute-quote"}},
		{`choose effect=write`, []string{"6:11 bad-attribute"}},
		{`runbook timeout=5m`, []string{"6:12 bad-attribute"}},
	} {
		body := "ls"
		switch {
		case strings.HasPrefix(c.info, "choose"):
			body = "ask: a\noptions: {a: b, c: d}"
		case strings.HasPrefix(c.info, "runbook"):
			body = "runbook: other"
		}
		_, problems := Parse("x.md", []byte(frontMatter+"# A\n```"+c.info+"\n"+body+"\n```\n"))
		wantProblems(t, c.info, problems, c.want...)
	}
}

func TestUnknownAttributeNamesTheNearest(t *testing.T) {
	_, problems := Parse("x.md", []byte(frontMatter+"# A\n```sh efect=read\nls\n```\n"))
	want := "x.md:6:7: error: there is no attribute \"efect\"\n    fix: did you mean \"effect\"?"
	if len(problems) != 1 || problems[0].Error() != want {
		t.Errorf("got %v\nwant %s", problems, want)
	}
}

func TestFrontMatterErrors(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want []string
	}{
		{"title: a\nkind: drill", nil},
		{"titel: a", []string{"2:1 unknown-key"}},
		{"title: a\ntitle: b", []string{"3:1 duplicate-key"}},
		{"kind: recover", []string{"2:7 bad-value"}},
		{"level: 4", []string{"2:8 bad-value"}},
		{"level: 02", []string{"2:8 bad-value"}},
		{"level: 1e0", []string{"2:8 bad-value"}},
		{"level: high", []string{"2:8 bad-value"}},
		{"title: [a]", []string{"2:8 bad-value"}},
		{"title:", []string{"2:1 bad-value"}},
		{"when: {a: b}", []string{"2:7 bad-value"}},
		{"when: [a, [b]]", []string{"2:11 bad-value"}},
		{"reviewed: 2026-13-01", []string{"2:11 bad-value"}},
		{"reviewed: 1.11.2026", []string{"2:11 bad-value"}},
		{"review_every: 30", []string{"2:15 bad-value"}},
		{"review_every: -1d", []string{"2:15 bad-value"}},
		{"review_every: 0d", []string{"2:15 bad-value"}},
		{"needs: {tools: [git], fresh: 1h}", []string{"2:23 unknown-key"}},
		{"needs: {fresh_backup: 24}", []string{"2:23 bad-value"}},
		{"needs: git", []string{"2:8 yaml-type"}},
		{"params: [a]", []string{"2:9 yaml-type"}},
		{"params:\n  Branch: {}", []string{"3:3 param-name"}},
		{"params:\n  a-b: {}", []string{"3:3 param-name"}},
		{"params:\n  a: {defualt: b}", []string{"3:7 unknown-key"}},
		{"params:\n  a: {default: [b]}", []string{"3:16 bad-value"}},
		{"params:\n  a: {secret: yes}", []string{"3:15 bad-value"}},
		{"params:\n  a: {secret: true, default: hunter2}", []string{"3:21 secret-default"}},
		{"params:\n  a: {default: c, options: [b]}", []string{"3:7 bad-value"}},
		{"params:\n  a: {}\n  a: {}", []string{"4:3 duplicate-key"}},
		{"title: &a b", []string{"2:8 yaml-alias"}},
		{"title: !!str b", []string{"2:8 yaml-tag"}},
		{"title: a\n<<: {kind: drill}", []string{"3:1 yaml-key"}},
		{"? [a]\n: b", []string{"3:1 yaml"}},
		{"title: \"a", []string{"2:8 yaml"}},
		{"é: ü", []string{"2:1 unknown-key"}},
		{"owner: ü\nkind: é", []string{"3:7 bad-value"}},
		{"- a", []string{"2:1 yaml-type"}},
		{"title: " + strings.Repeat("[", 40), []string{"2:1 yaml-size"}},
		{"title: " + strings.Repeat("a", maxYAMLLine), []string{"2:1 yaml-size"}},
	} {
		_, problems := Parse("x.md", []byte("---\n"+c.yaml+"\n---\n# T\n"))
		name := c.yaml
		if len(name) > 60 {
			name = name[:60]
		}
		wantProblems(t, name, problems, c.want...)
	}
}

// TestScalarsKeepTheirText: what YAML would turn into another value stays as written.
func TestScalarsKeepTheirText(t *testing.T) {
	src := "---\nowner: 012\nasset: yes\ntitle: 2026-11-01\nwhen: [1e3, .inf, 0x10, null word, 1_000]\nparams: {a: {default: 1.10}, b: {default: true}, c: {default: ''}}\n---\n" +
		"# A\n```git.push\na: 012\nb: 1e3\nc: .inf\nd: on\ne: 7\nf: true\ng: 1.5\nh: 99999999999999999999\ni: -0\nj: 2026-11-01\nk: ~\nl: 0x10\nm: 1234567\n```\n"
	book, problems := Parse("x.md", []byte(src))
	wantProblems(t, "scalars", problems)
	m := book.Meta
	if m.Owner != "012" || m.Asset != "yes" || m.Title != "2026-11-01" || !slices.Equal(m.When, []string{"1e3", ".inf", "0x10", "null word", "1_000"}) {
		t.Errorf("meta %+v", m)
	}
	for i, want := range []string{"1.10", "true", ""} {
		if p := m.Params[i]; p.Default != want || !p.HasDefault {
			t.Errorf("param %+v, want default %q", p, want)
		}
	}
	for k, want := range map[string]any{"a": "012", "b": "1e3", "c": ".inf", "d": "on", "e": int64(7), "f": true, "g": 1.5,
		"h": "99999999999999999999", "i": "-0", "j": "2026-11-01", "k": nil, "l": "0x10", "m": int64(1234567)} {
		if got := book.Steps[0].Do.Args[k]; got != want {
			t.Errorf("arg %s = %#v, want %#v", k, got, want)
		}
	}
}

func TestStepsAndIDs(t *testing.T) {
	const fence = "```sh effect=read\nls\n```\n"
	for _, c := range []struct {
		name, body string
		ids        []string
		want       []string
	}{
		{"two do blocks", "## A\n" + fence + fence, []string{"a", "a-2"}, nil},
		{"task after do", "## A\n- [ ] x\n" + fence + "- [ ] y\n", []string{"a", "a-2"}, nil},
		{"verify stays", "## A\n" + fence + "```sh verify\nls\n```\n```sh verify\nls\n```\n", []string{"a"}, nil},
		{"only a check", "## A\n```git.check verify\n```\n", []string{"a"}, nil},
		{"tilde", "## A\n~~~bash\nls\n~~~\n", []string{"a"}, nil},
		{"in a list", "## A\n1. x\n   ```sh\n   ls\n   ```\n", []string{"a"}, nil},
		{"on the marker", "## A\n- ```sh\n  ls\n  ```\n", []string{"a"}, nil},
		{"in a quote", "## A\n> ```sh\n> ls\n> ```\n", nil, []string{"6:3 quoted-block"}},
		{"in a comment", "## A\n<!--\n```sh\nls\n```\n-->\n", nil, nil},
		{"indented code", "## A\n\n    ```sh\n    ls\n    ```\n", nil, nil},
		{"in another fence", "## A\n````text\n```sh\nls\n```\n````\n", nil, nil},
		{"documentation", "## A\n```json\n{}\n```\n```go\nx\n```\n```\ny\n```\n", nil, nil},
		{"attributes on documentation", "## A\n```gitpush effect=write\nx\n```\n", nil, []string{"6:4 not-an-action"}},
		{"own id", "## A {#b}\n" + fence, []string{"b"}, nil},
		{"id of a block", "## A\n" + fence + "```sh id=second effect=read\nls\n```\n", []string{"a", "second"}, nil},
		{"bad id", "## A {#../../x}\n" + fence, []string{"a"}, []string{"5:6 bad-id"}},
		{"upper-case id", "## A {#CON}\n" + fence, []string{"a"}, []string{"5:6 bad-id"}},
		{"duplicate", "## A\n" + fence + "## a\n" + fence, []string{"a", "a"}, []string{"9:4 duplicate-id"}},
		{"duplicate by number", "## A\n" + fence + fence + "## A 2\n" + fence, []string{"a", "a-2", "a-2"}, []string{"12:4 duplicate-id"}},
		{"duplicate by Unicode form", "## \u00c9\n" + fence + "## e\u0301\n" + fence, []string{"é", "é"}, []string{"9:4 duplicate-id"}},
		{"no id", "## !!!\n" + fence, []string{""}, []string{"5:4 bad-id"}},
		{"like a flag", "## -rf\n" + fence, []string{"rf"}, nil},
		{"long", "## " + strings.Repeat("x", 256) + "\n" + fence, []string{strings.Repeat("x", 64)}, nil},
		{"before a heading", fence + "## A\n" + fence, []string{"t", "a"}, []string{"5:1 no-heading"}},
		{"open fence", "## A\n```sh\nls\n", []string{"a"}, []string{"6:1 open-fence"}},
		{"empty block", "## A\n```sh\n\n```\n", nil, []string{"6:1 empty-block"}},
		{"two undos", "## A\n" + fence + "```sh undo\na\n```\n```sh undo\nb\n```\n", []string{"a"}, []string{"12:1 second-undo"}},
		{"unknown braces", "## A\n- [ ] x {observ}\n", []string{"a"}, []string{"6:3 bad-item"}},
		{"YAML list", "## A\n```git.push\n- a\n```\n", []string{"a"}, []string{"7:1 yaml-type"}},
		{"duplicate argument", "## A\n```git.push\na: 1\nb:\n  c: 1\n  c: 2\na: 2\n```\n", []string{"a"}, []string{"10:3 duplicate-key", "11:1 duplicate-key"}},
		{"alias", "## A\n```git.push\nbranch: *main\n```\n", []string{"a"}, []string{"7:9 yaml-alias"}},
		{"choose without options", "## A\n```choose\nask: x\n```\n", []string{"a"}, []string{"6:1 choose"}},
		{"choose with another key", "## A\n```choose\nask: x\noption: {a: b}\noptions: {a: b, c: d}\n```\n", []string{"a"}, []string{"8:1 unknown-key"}},
		{"runbook without name", "## A\n```runbook\nparams: {}\n```\n", []string{"a"}, []string{"6:1 include-name"}},
		{"runbook elsewhere", "## A\n```runbook\nrunbook: ../../etc/passwd\n```\n", []string{"a"}, []string{"7:1 include-name"}},
	} {
		book, problems := Parse("x.md", []byte(frontMatter+c.body))
		wantProblems(t, c.name, problems, c.want...)
		var ids []string
		for _, s := range book.Steps {
			ids = append(ids, s.ID)
		}
		if !slices.Equal(ids, c.ids) {
			t.Errorf("%s: steps %q, want %q", c.name, ids, c.ids)
		}
	}
}

func TestDuplicateIDPointsAtBoth(t *testing.T) {
	_, problems := Parse("x.md", []byte(frontMatter+"## A\n- [ ] x\n\n## A\n- [ ] y\n"))
	if len(problems) != 1 || problems[0].Pos.String() != "x.md:8:4" || !strings.Contains(problems[0].Msg, "x.md:5:4") {
		t.Errorf("problems %v", problems)
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"Scenario 2: Accidental Force Push": "scenario-2-accidental-force-push",
		"Objectives (RTO) & more":           "objectives-rto--more",
		"Überblick_über Größen":             "überblick_über-größen",
		"e\u0301":                           "é",
		"../../x":                           "x",
		"日本 語":                              "日本-語",
	} {
		if got := Slug(in); got != want {
			t.Errorf("Slug(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"The `git push` *now* **here**": "The git push now here",
		"a [link](x.md) and _this_":     "a link and this",
		"snake_case_name":               "snake_case_name",
		`100\% \*literal\*`:             `100\% *literal*`,
	} {
		if got := plainText(in); got != want {
			t.Errorf("plainText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"90s": 90 * time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0d5m": 5 * time.Minute, "1.5h": 90 * time.Minute} {
		if got, err := duration(in); err != nil || got != want {
			t.Errorf("duration(%q) = %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "5", "0", "0d", "-1h", "1d-24h", "1d-48h", "d", "99999999d", "NaN", "1w"} {
		if got, err := duration(in); err == nil {
			t.Errorf("duration(%q) = %s, want an error", in, got)
		}
	}
}
