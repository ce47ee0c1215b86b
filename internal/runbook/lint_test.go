package runbook

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const sh = "## A\n```sh effect=read\n%s\n```\n"

func TestLint(t *testing.T) {
	shell := func(s string) string { return strings.Replace(sh, "%s", s, 1) }
	with := func(meta, body string) string { return "---\ntitle: T\nkind: recovery\n" + meta + "\n---\n" + body }
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"clean", frontMatter + shell("ls"), nil},
		{"no title, no kind", "---\nowner: x\n---\n" + shell("ls"), []string{"1:1 missing-title", "1:1 missing-kind"}},
		{"title by heading", "---\nkind: drill\n---\n# T\n" + shell("ls"), nil},
		{"review", with("reviewed: 2026-01-01\nreview_every: 30d", shell("ls")), []string{"4:1 overdue-review"}},
		{"review in time", with("reviewed: 2026-10-20\nreview_every: 30d", shell("ls")), nil},
		{"never reviewed", with("review_every: 30d", shell("ls")), []string{"4:1 overdue-review"}},
		{"review tomorrow", with("reviewed: 2027-10-20\nreview_every: 30d", shell("ls")), []string{"4:1 future-review"}},

		{"syntax", frontMatter + shell("ls\n  echo é 'x"), []string{"8:10 shell-syntax"}},
		{"unquoted", frontMatter + shell(`ls "$a" $b ${c} $? $# ${#d} é $(e) x=$f`), []string{"7:9 unquoted", "7:12 unquoted", "7:31 unquoted", "7:38 unquoted"}},
		{"dates", frontMatter + shell("ls a-$(date +%Y%m%d_%H%M).db $(date -u +%FT%TZ)\nls $(date) $(date +%c) $(date '+%F %T')"), []string{"8:4 unquoted", "8:12 unquoted", "8:24 unquoted"}},
		{"quoted enough", frontMatter + shell("x=$a\n[[ $a == b ]]\nfor f in $x; do :; done\ncase $a in b) ;; esac"), nil},
		{"field of a saved result", frontMatter + shell(`echo "${good.commit}"`), []string{"7:7 saved-in-shell"}},
		{"no verify", frontMatter + "## A\n```sh\nls\n```\n", []string{"6:1 no-verify"}},
		{"with verify", frontMatter + "## A\n```sh\nls\n```\n```sh verify\nls\n```\n", nil},
		{"verify that writes", frontMatter + shell("ls") + "```sh verify effect=write\nls\n```\n", []string{"9:14 check-writes"}},
		{"undo alone", frontMatter + "## A\n- [ ] x\n```sh undo\nls\n```\n```sh probe\nls\n```\n", []string{"7:1 undo-without-do", "10:1 probe-without-do"}},

		{"else", frontMatter + "## A\n```git.push else=c\n```\n## B\n- [ ] x\n## C\n```git.push else=b\n```\n", []string{"11:13 else-target"}},
		{"else nowhere", frontMatter + "## A\n```git.push else=bb\n```\n## B\n- [ ] x\n", []string{"6:13 else-target"}},
		{"else on a check", frontMatter + "## A\n```git.push\n```\n```git.check verify else=b\n```\n## B\n- [ ] x\n", []string{"8:21 else-target"}},
		{"when", with("params: {a: {}}", "## A\n```git.push when=\"a == 'x' and len(a) > 1 and any([1], # > 0)\" save=s\n```\n## B\n```git.push when=\"s.x > 1\"\n```\n"), nil},
		{"when that is no condition", frontMatter + "## A\n```git.push when=\"1 + 1\"\n```\n", []string{"6:13 bad-when"}},
		{"when of a whole result", frontMatter + "## A\n```choose save=c\nask: x\noptions: {a: b, c: d}\n```\n## B\n```git.push when=\"c == 'a'\"\n```\n", []string{"11:13 bad-when"}},
		{"when of a choice", frontMatter + "## A\n```choose save=c\nask: x\noptions: {a: b, c: d}\n```\n## B\n```git.push when=\"c.choice == 'a'\"\n```\n", nil},
		{"when of text and number", with("params: {a: {}}", "## A\n```sh effect=read save=s\nls\n```\n## B\n```git.push when=\"s.n > 4 or -1 == a or s.ok == true or int(s.n) > 4 or s.n == '4'\"\n```\n"), []string{"11:13 text-number", "11:13 text-number", "11:13 text-number"}},
		{"when of a number", frontMatter + "## A\n```git.find-lost save=s\n```\n## B\n```git.push when=\"s.lost > 0\"\n```\n", nil},
		{"destroys what", frontMatter + "## A\n```sh effect=destroy\nls\n```\n```sh verify\nls\n```\n## B\n```sh effect=destroy target=site\nls\n```\n```sh verify\nls\n```\n", []string{"6:1 no-target"}},
		{"retry of a change", frontMatter + "## A\n```sh retry=3\nls\n```\n```sh verify retry=3\nls\n```\n", []string{"6:7 retry-once"}},
		{"bad when", frontMatter + "## A\n```git.push when=\"a ==\"\n```\n", []string{"6:13 bad-when"}},
		{"when of unknown", frontMatter + "## A\n```git.push when=\"a == b.c\"\n```\n", []string{"6:13 unknown-name", "6:13 unknown-name"}},
		{"when of a later result", frontMatter + "## A\n```git.push when=\"s.x\"\n```\n## B\n```git.push save=s\n```\n", []string{"6:13 unknown-name"}},

		{"names", with("asset: git\nparams: {a: {}}", "## A\n- [ ] ${a} {expect=${a}}\n```git.push save=s target=\"${a}\"\nx: ${a}\ny: {z: [\"${asset}\"]}\n```\n```git.check verify\nx: ${s.y}\n```\n"), nil},
		{"unknown names", frontMatter + "## A\n- [ ] ${a}\n```git.push target=${b} stop=\"x ${c}\"\nx: ${d}\ny: {z: [\"${e}\"]}\n```\n", []string{"6:3 unknown-name", "7:13 unknown-name", "7:25 unknown-name", "8:1 unknown-name", "9:9 unknown-name"}},
		{"own result", frontMatter + "## A\n```git.push save=s\nx: ${s.y}\n```\n", []string{"7:1 unknown-name"}},
		{"field of a parameter", with("params: {a: {}}", "## A\n- [ ] ${a.b} ${a}\n"), []string{"7:3 unknown-name"}},
		{"no reference", frontMatter + "## A\n```git.push\nx: ${HOME} $${HOME}\n```\n", []string{"7:1 bad-reference"}},
		{"unused", with("params: {a: {}, b: {}, c: {}}", shell(`echo "$a" "${b}" cc`)), []string{"4:24 unused-param"}},
		{"used in when", with("params: {a: {}}", "## A\n```git.push when=a\n```\n"), nil},
		{"saved twice", with("params: {p: {default: x}}", "## A\n```git.push save=s\nx: ${p}\n```\n## B\n```git.push save=s\n```\n## C\n```git.push save=p\n```\n"), []string{"11:13 duplicate-save", "14:13 duplicate-save"}},
		{"choice for nothing", frontMatter + "## A\n```choose\nask: x\noptions: {a: b, c: d}\n```\n", []string{"6:1 not-saved"}},

		{"AWS key", frontMatter + "Use AKIA" + "QWERTYUIOPASDFGH here.\n\n" + shell("ls"), []string{"5:5 secret"}},
		{"AWS example", frontMatter + "Use AKIA" + "IOSFODNN7EXAMPLE here.\n\n" + shell("ls"), nil},
		{"tokens", frontMatter + shell("x --t gh"+"p_abcdefghijklmnopqrstuvwxyz0123456789\ny glpat"+"-abcdefghijklmnopqrst\nPASSWORD=\"hunter22\" x\nPASSWORD=\"$P\" x\ncurl 'https://u:hunter22@h/'"), []string{"7:7 secret", "8:3 secret", "9:1 secret", "11:12 secret"}},
		{"private key", frontMatter + shell("cat <<X\n-----BEGIN OPENSSH "+"PRIVATE KEY-----\nX"), []string{"8:1 secret"}},

		{"escape", frontMatter + "# T\x1b[31m\n" + shell("ls"), []string{"5:4 control-character"}},
		{"bidi in code", frontMatter + shell("ls \u202e x"), []string{"7:4 bidi"}},
		{"bidi in prose", frontMatter + "a \u2066b\n" + shell("ls"), []string{"5:3 bidi"}},
		{"zero width in code", frontMatter + shell("l\u200bs"), []string{"7:2 invisible"}},
		{"zero width in prose", frontMatter + "a\u200bb 👩\u200d💻\n" + shell("ls"), []string{"5:2 invisible"}},
		{"homoglyph", frontMatter + shell("ls /srv/mоnorepo Привет"), []string{"7:4 mixed-script"}},

		{"links", frontMatter + "# One `x`\n[a](#one-x) [b](https://x.org/) [c](there.md#x \"t\") [d](mailto:a@b.c) `[e](#no)` ![f](there.png)\n\n" + shell("echo '[a](#no)'"), nil},
		{"dead links", frontMatter + "# One\n[a](#two) [b](gone.md) [c](/etc/passwd)\n[d](javascript:alert) [e](file:///x)\n\n[f]: ../gone.md\n\n" + shell("ls"),
			[]string{"6:5 dead-link", "6:15 dead-link", "6:28 unsafe-link", "7:5 unsafe-link", "7:27 unsafe-link", "9:6 dead-link"}},
	} {
		book, problems := Parse("x.md", []byte(c.src))
		wantProblems(t, c.name+" (parse)", problems)
		got := Lint(book, LintOptions{Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Exists: func(p string) bool { return strings.HasPrefix(p, "there.") }})
		wantProblems(t, c.name, got, c.want...)
	}
}

func TestLintDanger(t *testing.T) {
	for _, cmd := range []string{
		"rm -rf /x", "rm -r x", "rm --recursive x", "rm -f -R x", "sudo -u root rm -rf x", "/bin/rm -rf x", `sh -c "cd x; rm -rf y"`, "find x -exec rm -rf {} +", "ls | xargs rm -rf",
		"git push --force", "git -C x push -f", "git push origin +main", "git push --mirror x", "git push origin :main", "git push --force-with-lease --force", "git reset --hard HEAD~1",
		`sqlite3 x.db "DELETE FROM t"`, `psql -c 'drop table t'`, "psql <<X\nTRUNCATE TABLE t;\nX", "sqlite3 x.db '.restore y'",
		"kubectl scale deployment x --replicas=0", "kubectl -n y scale deployment x --replicas 0", "kubectl delete pod x", "mkfs.ext4 /dev/x", "dd if=a of=/dev/b",
		"gh api repos/x --method DELETE", "gh api -X DELETE x", "curl -XDELETE x", "aws s3 rm s3://x", "gcloud storage rm gs://x", "terraform destroy", "x=$(rm -rf y)", "if a; then rm -rf b; fi",
	} {
		src := "## A\n```sh\n" + cmd + "\n```\n```sh verify\nls\n```\n"
		book, _ := Parse("x.md", []byte(frontMatter+src))
		if got := severe(Lint(book, LintOptions{})); !slices.Equal(got, []string{"error dangerous"}) {
			t.Errorf("%s: %q", cmd, got)
		}
		// A plain document cannot say so: it asks for a token by itself.
		plain, _ := Parse("x.md", []byte(strings.Replace(src, " verify", "", 1)))
		if s := plain.Steps[0]; s.Do.Effect != "destroy" || s.Do.Target == "" || !strings.Contains(s.Guidance, "[!CAUTION]") || plain.Steps[1].Do.Effect != "" {
			t.Errorf("%s in a plain document: effect %q, target %q, %q", cmd, s.Do.Effect, s.Do.Target, s.Guidance)
		}
		if got := severe(Lint(plain, LintOptions{})); len(got) != 0 {
			t.Errorf("%s in a plain document: %q", cmd, got)
		}
		marked, _ := Parse("x.md", []byte(frontMatter+strings.Replace(src, "```sh\n", "```sh effect=destroy target=x\n", 1)))
		if got := severe(Lint(marked, LintOptions{})); len(got) != 0 {
			t.Errorf("%s marked as destructive: %q", cmd, got)
		}
	}
	for _, cmd := range []string{
		"rm x", "rm -f x", "git push", "git push --force-with-lease", "git push --force-with-lease=main:abc origin x", "git commit -m 'do not rm -rf x'", "echo rm -rf x", "# rm -rf x", "ls # DROP TABLE x",
		"kubectl scale deployment x --replicas=3", "gh api repos/x", "git reset --soft", "grep -rf x y", "dd if=/dev/x", "man truncate", "aws s3 rm --dryrun s3://x", "sqlite3 x.db 'SELECT deleted FROM t'",
	} {
		book, _ := Parse("x.md", []byte(frontMatter+strings.Replace(sh, "%s", cmd, 1)))
		if got := severe(Lint(book, LintOptions{})); len(got) != 0 {
			t.Errorf("%s: %q", cmd, got)
		}
	}
}

// severe lists problems but warnings about quoting.
func severe(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		if p.Code != "unquoted" {
			out = append(out, fmt.Sprintf("%s %s", p.Severity, p.Code))
		}
	}
	return out
}

// TestLintHidesSecrets: a message never repeats what it found.
func TestLintHidesSecrets(t *testing.T) {
	book, _ := Parse("x.md", []byte(frontMatter+strings.Replace(sh, "%s", `PASSWORD="hunter22" x`, 1)))
	for _, p := range Lint(book, LintOptions{}) {
		if strings.Contains(p.Error(), "hunter22") {
			t.Errorf("the secret is in %q", p.Error())
		}
	}
}

func TestProblemError(t *testing.T) {
	book, _ := Parse("x.md", []byte(frontMatter+"## A\n```git.push else=bb\n```\n## B\n- [ ] x\n"))
	got := Lint(book, LintOptions{})
	want := "x.md:6:13: error: else=bb names no step\n    fix: did you mean \"b\"?"
	if len(got) != 1 || got[0].Error() != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
}

// TestLintSaysNothingTwice: what Parse has said already is the one message.
func TestLintSaysNothingTwice(t *testing.T) {
	for _, src := range []string{"\xff\xfe#", "# A\x00\n", "---\ntitle: T\nkind: nosuch\n---\n## A\n- [ ] x\n"} {
		book, problems := Parse("x.md", []byte(src))
		if len(problems) != 1 {
			t.Errorf("%q: parser says %v", src, problems)
		}
		if more := Lint(book, LintOptions{}); len(more) != 0 {
			t.Errorf("%q: lint adds %v", src, more)
		}
	}
}
