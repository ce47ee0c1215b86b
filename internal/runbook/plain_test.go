package runbook

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/hint"
)

// plainSteps parses a fence of a plain document and gives its steps, one line each.
func plainSteps(t *testing.T, shell string) (*Book, []string) {
	t.Helper()
	book, problems := Parse("doc.md", []byte("# Doc\n\n## Part\n\n```bash\n"+shell+"\n```\n"))
	wantProblems(t, shell, problems)
	var out []string
	for _, s := range book.Steps {
		line := s.ID + "|" + strings.TrimPrefix(s.Title, "Part")
		for _, it := range s.Items {
			line += "|hand: " + it.Text
		}
		if s.Do != nil {
			line += "|" + strings.TrimSpace(s.Do.Text)
		}
		out = append(out, line)
	}
	return book, out
}

func TestPlaceholders(t *testing.T) {
	for _, c := range []struct{ in, want, params string }{
		{"git checkout -b x <good-commit>", `git checkout -b x "$good_commit"`, "good_commit"},
		{"gh api repos/{owner}/{repo}/x", `gh api repos/"$owner"/"$repo"/x`, "owner repo"},
		{`echo "at <commit>, {owner}"`, `echo "at ${commit}, ${owner}"`, "commit owner"},
		{`echo 'at <commit>'`, `echo 'at '"$commit"''`, "commit"},
		{`awk '{print}' <file>`, `awk '{print}' "$file"`, "file"},
		{`echo "$(git show <commit>)"`, `echo "$(git show "$commit")"`, "commit"},
		{`echo $(git show "<commit>")`, `echo $(git show "${commit}")`, "commit"},
		{"x=<name>\necho y > <name>.txt", "x=\"$name\"\necho y > \"$name\".txt", "name"},
		{"cat <<EOF\nto <name>\nEOF", "cat <<EOF\nto ${name}\nEOF", "name"},
		{"cat <<'EOF'\nto <name>\nEOF", "cat <<'EOF'\nto <name>\nEOF", ""},
		{"# for <name>\nls # <name>", "# for <name>\nls # <name>", ""},
		{"git log HEAD@{upstream} HEAD^{commit}", "git log HEAD@{upstream} HEAD^{commit}", ""},
		{"curl -w '%{http_code}' {{x}} ${y} a{1,2} x{} ", "curl -w '%{http_code}' {{x}} ${y} a{1,2} x{}", ""},
		{"sort <in >out", "sort <in >out", ""},
		{"diff <(a) <(b)", "diff <(a) <(b)", ""},
		{"cat <<<word", "cat <<<word", ""},
		{"mail <crew@example.org>", "mail <crew@example.org>", ""},
		{"echo $((<n> + 1))", "echo $((<n> + 1))", ""},
		{"f <Your-Name> <your name>", `f "$your_name" "$your_name"`, "your_name"},
		{"echo 'it <x> \"' \"<y>' {z}\" \\\n  <v>", `echo 'it '"$x"' "' "${y}' ${z}" \` + "\n" + `  "$v"`, "x y z v"},
		{"if true; then <x> 'a <y>' \"<z>\"", `if true; then "$x" 'a '"$y"'' "${z}"`, "x y z"}, // does not parse
	} {
		book, problems := Parse("doc.md", []byte("# D\n```sh\n"+c.in+"\n```\n"))
		wantProblems(t, c.in, problems)
		var names []string
		for _, p := range book.Meta.Params {
			names = append(names, p.Name)
		}
		if got := strings.TrimSpace(book.Steps[0].Do.Text); got != c.want || strings.Join(names, " ") != c.params {
			t.Errorf("%s\n got %s  params %q\nwant %s  params %s", c.in, got, names, c.want, c.params)
		}
	}
}

// TestPlaceholderPositions: what stands behind a placeholder keeps its column.
func TestPlaceholderPositions(t *testing.T) {
	book, _ := Parse("doc.md", []byte("# D\n```sh\nX <aa> {b} end <c>\n```\n"))
	b := book.Steps[0].Do
	for word, want := range map[string]int{"X": 1, "end": 12} {
		col := strings.Index(b.Text, word) + 1
		if got := b.At(1, col); got.Line != 3 || got.Col != want {
			t.Errorf("%q is at %s, want column %d", word, got, want)
		}
	}
	for i, want := range []string{"doc.md:3:3", "doc.md:3:8", "doc.md:3:16"} {
		if got := book.Meta.Params[i].Pos.String(); got != want {
			t.Errorf("parameter %d at %s, want %s", i, got, want)
		}
	}
}

// TestStatusPositions: what stands behind a mark keeps its column.
func TestStatusPositions(t *testing.T) {
	book, _ := Parse("doc.md", []byte("# D\n```sh\na; [ $? = 0 ]; b; x=$? end\n```\n"))
	b := book.Steps[0].Do
	for _, word := range []string{"a", "[", "b", "x=", "end"} {
		if got, want := b.At(1, strings.Index(b.Text, word)+1).Col, strings.Index("a; [ $? = 0 ]; b; x=$? end", word)+1; got != want {
			t.Errorf("%q of %q is at column %d, want %d", word, b.Text, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"comments", "# 1. Stop\n# 2. Look\nls\n\n# 3. Go\n# by foot\ngo on", []string{"part|: Stop|hand: Stop", "part-2|: Look|ls", "part-3|: Go|# by foot\ngo on"}},
		{"before the first", "echo a\n# 1) B\nb", []string{"part||echo a", "part-2|: B|b"}},
		{"steps", "# Step 1: A\na\n# step 2: B\nb", []string{"part|: A|a", "part-2|: B|b"}},
		{"no number", "# A\na\n# B\nb", []string{"part||# A\na\n# B\nb"}},
		{"inside a statement", "# 1. A\nif a; then\n# 2. B\n b\nfi", []string{"part|: A|if a; then\n# 2. B\n b\nfi"}},
		{"inside a here-document", "# 1. A\ncat <<X\n# 2. B\nX", []string{"part|: A|cat <<X\n# 2. B\nX"}},
		{"cd is repeated", "# 1. A\ncd a\nls\n# 2. B\ncd b; ls\n# 3. C\nc", []string{"part|: A|cd a\nls", "part-2|: B|cd a || exit\ncd b; ls", "part-3|: C|cd a || exit\ncd b || exit\nc"}},
		{"variable", "x=1\ny=2\n# 1. A\necho $x\n# 2. B\nls", []string{"part|: A|x=1\necho $x", "part-2|: B|ls"}},
		{"function", "# 1. A\nf() { ls; }\n# 2. B\nf", []string{"part|: A|f() { ls; }", "part-2|: B|f() { ls; }\nf"}},
		{"computed variable binds", "# 1. A\nx=$(mktemp)\n# 2. By hand\n# 3. C\necho $x\n# 4. D\nls", []string{"part|: A|hand: By hand|x=$(mktemp)\n# 2. By hand\n# 3. C\necho $x", "part-2|: D|ls"}},
		{"cd in a chain binds", "# 1. A\nmkdir a && cd a\n# 2. B\nls", []string{"part|: A|mkdir a && cd a\n# 2. B\nls"}},
		{"cd in a subshell does not", "# 1. A\n(cd a && ls)\n# 2. B\nls", []string{"part|: A|(cd a && ls)", "part-2|: B|ls"}},
		{"exit status binds", "# 1. A\na\n# 2. B\nif [ $? -ne 0 ]; then b; fi", []string{"part|: A|a && :\n# 2. B\nif [ $? -ne 0 ]; then b; fi"}},
		{"exit status that is looked at", "a | b >c # d\ncase $? in 0) ;; esac\nif x; then y; [[ $? = 0 ]]; fi; z\nrc=$?", []string{"part||a | b >c && : # d\ncase $? in 0) ;; esac\nif x; then y && :; [[ $? = 0 ]]; fi; z && :\nrc=$?"}},
		{"exit status that is not", "a\nif b; then echo $?; fi\nc &\nd=$?\ncat <<X\ny\nX\ne=$?", []string{"part||a\nif b; then echo $?; fi\nc &\nd=$?\ncat <<X\ny\nX\ne=$?"}},
		{"read binds", "# 1. A\nread x\n# 2. B\nls", []string{"part|: A|read x\n# 2. B\nls"}},
		{"loop variable", "# 1. A\nfor f in *; do x=$f; done\n# 2. B\necho $x\n# 3. C\nls", []string{"part|: A|for f in *; do x=$f; done\n# 2. B\necho $x", "part-2|: C|ls"}},
		{"prefix assignment", "# 1. A\nX=1 a\n# 2. B\necho $X", []string{"part|: A|X=1 a", "part-2|: B|echo $X"}},
		{"only comments", "# nothing here", []string{"part||hand: nothing here"}},
		{"shebang", "#!/bin/bash\n# tool.sh\n# 1. A\na", []string{"part|: A|a"}},
		{"does not parse", "# 1. A\nif a\n# 2. B\nb", []string{"part||# 1. A\nif a\n# 2. B\nb"}},
	} {
		if _, got := plainSteps(t, c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestPlainDocumentLikeTheProtocol has the constructs of the protocol that Lifeboat
// was built for, in other words.
func TestPlainDocumentLikeTheProtocol(t *testing.T) {
	const fence = "```"
	doc := "# Copies & Rescue\n\n## Plan\n\n#### Outside\n\n- **Here**: by hand\n\n#### Secrets\n\n" + fence + "bash\ncp -r apps/*/.env* /b/$(date +%Y%m%d)/\n" + fence +
		"\n\n## Rescue\n\n### Repository\n\n#### Case 1: Broken\n\n" + fence + "bash\n# 1. Everybody stops\n# 2. Look\ngit fsck\n" + fence +
		"\n\n#### Case 2: Lost\n\n" + fence + "bash\n# 1. Find\ngit reflog\n\n# 2. Branch\ngit checkout -b r <the-commit>\n" + fence +
		"\n\n#### Case 3: Open\n\n" + fence + "bash\n# 1. Off\ngh api repos/{owner}/{repo}/p \\\n  --method DELETE\n\n# 2. Mend\n# ... as needed ...\n" + fence +
		"\n\n#### Case 4: Away\n\n" + fence + "bash\ngit clone --mirror https://x.org/a.git fresh-repo # the repo\n" + fence +
		"\n\n## Tests\n\n" + fence + "bash\n#!/bin/bash\n# t.sh\n\necho \"Begin...\"\n\n# 1. Lose\nrm -rf /srv/t\n\n# 2. Files\nall=(\n    \"a\"\n)\n\nfor f in \"${all[@]}\"; do\n    if [ ! -f \"/srv/t/$f\" ]; then\n        exit 1\n    fi\ndone\n" + fence +
		"\n\n## Papers\n\n- [ ] Read monthly\n- [ ] Names right\n\n### Level 1: Small (< 1 hour)\n\n---\n\n**Owner:** X  \n**Contact:** <x@example.org>"
	book, problems := Parse("DOC.md", []byte(doc))
	wantProblems(t, "document", problems)
	if !book.Plain || book.Title != "Copies & Rescue" || book.Name != "DOC" {
		t.Errorf("book %q %q %v", book.Name, book.Title, book.Plain)
	}
	var ids []string
	for _, s := range book.Steps {
		ids = append(ids, s.ID)
	}
	want := "secrets case-1-broken case-1-broken-2 case-2-lost case-2-lost-2 case-3-open case-3-open-2 case-4-away tests tests-2 tests-3 papers"
	if strings.Join(ids, " ") != want {
		t.Errorf("steps %q\nwant %s", ids, want)
	}
	part, err := book.Section("case-3")
	if err != nil {
		t.Fatal(err)
	}
	if part.Name != "DOC#case-3-open" || part.Title != "Case 3: Open" || len(part.Steps) != 2 || len(part.Meta.Params) != 2 || part.Digest != book.Digest {
		t.Errorf("section %q %q: %d steps, parameters %v", part.Name, part.Title, len(part.Steps), part.Meta.Params)
	}
	if part, err := book.Section("case-4"); err != nil || len(part.Meta.Params) != 0 {
		t.Errorf("section case-4 needs no value for {repo}: %v %v", part, err)
	}
	if whole, err := book.Section("#rescue"); err != nil || len(whole.Steps) != 7 || len(whole.Meta.Params) != 3 {
		t.Errorf("section rescue: %v %v", whole, err)
	}
	for _, p := range Lint(book, LintOptions{}) {
		if p.Severity != Warning {
			t.Errorf("a plain document must stay runnable: %s", p.Error())
		}
	}
}

func TestSection(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("testdata", "lookalike.md"))
	if err != nil {
		t.Fatal(err)
	}
	book, _ := Parse("lookalike.md", src)
	for anchor, want := range map[string]string{
		"scenario-1":                          "scenario-1-broken-ledger",
		"Scenario 1":                          "scenario-1-broken-ledger",
		"#scenario-20":                        "scenario-20-gate-open",
		"drill":                               "drill",
		"led":                                 "ledger",
		"rescue":                              "rescue",
		"scenario-2-somebody-forced-a-push":   "scenario-2-somebody-forced-a-push",
		"scenario-2-somebody-forced-a-push-1": "scenario-2-somebody-forced-a-push-1",
	} {
		part, err := book.Section(anchor)
		if err != nil || part.Anchor != want || len(part.Steps) == 0 {
			t.Errorf("Section(%q) = %v, %v, want %q", anchor, part, err, want)
		}
	}
	for anchor, advice := range map[string]string{
		"scenario-2": "scenario-2-somebody-forced-a-push, scenario-2-somebody-forced-a-push-1", // twice in the document
		"nowhere":    "ledger",
		"":           "ledger",
	} {
		part, err := book.Section(anchor)
		if !errors.Is(err, ErrNoSection) || !strings.Contains(strings.Join(hint.All(err), " "), advice) {
			t.Errorf("Section(%q) = %v, %v %q, want advice with %q", anchor, part, err, hint.All(err), advice)
		}
	}
}

// A section of text is there: what is missing is steps, and the nearest ones are named first.
func TestSectionWithoutSteps(t *testing.T) {
	const doc = "# D\n\n## A\n\n### Text\n\nRead.\n\n### Work\n\n```sh\ntrue\n```\n\n## B\n\n```sh\ntrue\n```\n\n## C\n\n### Only text\n"
	book, _ := Parse("d.md", []byte(doc))
	for anchor, advice := range map[string]string{
		"text":      "sections with steps beside it: work; elsewhere: d, a, b",
		"only-text": "sections with steps beside it: a, work, b; elsewhere: d",
	} {
		_, err := book.Section(anchor)
		if !errors.Is(err, ErrNoSteps) || errors.Is(err, ErrNoSection) || strings.Join(hint.All(err), "|") != advice {
			t.Errorf("%s: %v, %q", anchor, err, hint.All(err))
		}
	}
	book, _ = Parse("d.md", []byte("# D\n\n## A\n\nRead.\n"))
	if _, err := book.Section("a"); !errors.Is(err, ErrNoSteps) || strings.Join(hint.All(err), "|") != "no section of it has steps" {
		t.Errorf("%v, %q", err, hint.All(err))
	}
}
