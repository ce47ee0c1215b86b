package runbook

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const frontMatter = "---\ntitle: T\nkind: recovery\n---\n"

// fill repeats text up to 10 MB.
func fill(text string) string { return strings.Repeat(text, 10<<20/len(text)) }

// shapes are documents that parsers have choked on.
func shapes() map[string]string {
	stairs := func(line string, levels int) string {
		var b strings.Builder
		for i := range levels {
			b.WriteString(strings.Repeat(" ", 2*i) + line + "\n")
		}
		return b.String()
	}
	var keys strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&keys, "key%d: value\n", i)
	}
	yaml := func(body string) string {
		return fill("## A\n\n```git.push\n" + body + "\n```\n\n")
	}
	return map[string]string{
		"prose and steps":    fill(strings.Repeat("A line of prose that says something.\n", 400) + "\n## Step\n\n```sh effect=read\nls\n```\n\n"),
		"one line":           fill("a"),
		"one line of marks":  fill("> "),
		"headings":           fill("# a\n"),
		"same heading":       fill("## Deploy\n\n- [ ] a\n"),
		"setext":             fill("a\n=\n"),
		"fences":             fill("```sh\nls\n```\n"),
		"open fence":         "```sh\n" + fill("ls -la\n"),
		"open fences":        fill("```\n"),
		"long info":          "```sh " + fill("when=a ") + "\nls\n```\n",
		"tasks":              fill("- [ ] a\n"),
		"brackets":           fill("["),
		"bracket lines":      fill("[a\n"),
		"reference bomb":     fill("[a]: b\n"),
		"html":               fill("<div>\n"),
		"open comments":      fill("<!-- a\n"),
		"nested quotes":      strings.Repeat("> ", 10_000) + "a\n",
		"nested lists":       strings.Repeat("- ", 10_000) + "a\n",
		"many nested lists":  fill(strings.Repeat("- ", 16) + "a\n"),
		"stairs":             stairs("- a", 60) + fill(strings.Repeat(" ", 120)+"a\n"),
		"blank stairs":       stairs("- a", 50) + fill("\n"),
		"lazy stairs":        stairs("- a", 50) + fill("a\n"),
		"fenced stairs":      stairs("- a", 50) + strings.Repeat(" ", 100) + "```\n" + fill(strings.Repeat(" ", 100)+"a\n"),
		"endless stairs":     stairs("- a", 3000),
		"loose list":         fill("- a\n\n"),
		"numbers":            fill("1. "),
		"blank":              fill("\n"),
		"spaces":             fill(" "),
		"flow bomb":          "## A\n\n```git.push\n" + fill("[") + "\n```\n",
		"flow bombs":         yaml("a: " + strings.Repeat("[", 1000)),
		"keys":               yaml(keys.String()),
		"colons":             yaml(strings.Repeat("a: ", 1200)),
		"quotes":             yaml(strings.Repeat(`"`, 4000)),
		"anchors":            yaml("a: " + strings.Repeat("&a ", 1200)),
		"dashes":             yaml(strings.Repeat("- ", 1200)),
		"shell parens":       fill("## A\n\n```sh\n" + strings.Repeat("(", 4000) + "\n```\n"),
		"shell if":           fill("## A\n\n```sh\n" + strings.Repeat("if ", 20_000) + "\n```\n"),
		"shell quotes":       fill("## A\n\n```sh\n" + strings.Repeat(`"$(`, 66) + "\n```\n"),
		"shell here":         fill("## A\n\n```sh\n" + strings.Repeat("cat <<a\n", 5000) + "\n```\n"),
		"shell one word":     "## A\n\n```sh\n" + fill("a") + "\n```\n",
		"numbered comments":  fill("## A\n\n```sh\n" + strings.Repeat("# 1. a\na=$(b)\n", 90) + "\n```\n"),
		"numbered comments2": "## A\n\n```sh\n" + fill("# 1. a\n") + "\n```\n",
		"placeholders":       fill("## A\n\n```sh\necho " + strings.Repeat("{a} ", 190) + "\n```\n"),
		"front matter":       "---\n" + fill("a: b\n") + "---\n",
		"open front matter":  "---\n" + fill("a: b\n"),
		"item braces":        "## A\n\n- [ ] " + fill("{observe}"),
		"emphasis":           "# " + fill("_a_ *b* [c](d) "),
	}
}

// TestParseTime holds the promise that no 10 MB take long. The limit is five times the
// promise, since the machine may be busy.
func TestParseTime(t *testing.T) {
	const limit = 5 * time.Second
	all := shapes()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text := all[name]
		docs := []string{text}
		if strings.Contains(text[:min(len(text), 100)], "```") {
			docs = append(docs, frontMatter+text)
		}
		for _, doc := range docs {
			start := time.Now()
			book, problems := Parse("big.md", []byte(doc))
			took := time.Since(start)
			if took > limit {
				t.Errorf("%s: %d bytes took %s", name, len(doc), took)
			}
			if testing.Verbose() {
				t.Logf("%-20s %8d bytes %10s %5d steps %4d problems", name, len(doc), took.Round(time.Millisecond), len(book.Steps), len(problems))
			}
			start = time.Now()
			Lint(book, LintOptions{Now: start})
			if took := time.Since(start); took > limit {
				t.Errorf("%s: lint took %s", name, took)
			}
			if testing.Verbose() {
				t.Logf("%-20s lint %s", name, time.Since(start).Round(time.Millisecond))
			}
		}
	}
}

func TestParseLargeProse(t *testing.T) {
	text := frontMatter + fill(strings.Repeat("A line of prose that says something.\n", 4000)+"\n## Step\n\n```sh effect=read id=x\nls\n```\n\n")
	book, problems := Parse("big.md", []byte(text))
	if len(book.Steps) < 50 {
		t.Fatalf("%d steps of 10 MB of prose; problems %v", len(book.Steps), problems[:min(3, len(problems))])
	}
}

// TestParseNotText: what is not UTF-8 text is one error with its place.
func TestParseNotText(t *testing.T) {
	for _, c := range []struct {
		name, src, pos, words string
	}{
		{"NUL", "# A\n\nab\x00c\n", "x.md:3:3", "NUL"},
		{"invalid", "# A\n\né\xffc\n", "x.md:3:2", "0xff"},
		{"latin 1", "# Caf\xe9\n", "x.md:1:6", "not UTF-8"},
		{"lone CR", "# A\n\nrm -rf a\rls\n", "x.md:3:9", "carriage return"},
		{"CR at the end", "# A\r", "x.md:1:4", "carriage return"},
		{"old Mac", "# A\r\r# B\r", "x.md:1:4", "carriage return"},
		{"UTF-16 LE", "\xff\xfe#\x00", "x.md:1:1", "UTF-16"},
		{"UTF-16 BE", "\xfe\xff\x00#", "x.md:1:1", "UTF-16"},
		{"after byte order mark", "\ufeffab\x00", "x.md:1:3", "NUL"},
		{"first of several", "a\rb\x00\xff", "x.md:1:2", "carriage return"},
	} {
		book, problems := Parse("x.md", []byte(c.src))
		if len(problems) != 1 || problems[0].Pos.String() != c.pos || !strings.Contains(problems[0].Msg, c.words) || problems[0].Severity != Error || problems[0].Fix == "" {
			t.Errorf("%s: problems %v, want one at %s with %q", c.name, problems, c.pos, c.words)
		}
		if len(book.Steps) != 0 || book.Name != "x" {
			t.Errorf("%s: book %+v", c.name, book)
		}
	}
}

func TestParseEmpty(t *testing.T) {
	for _, src := range []string{"", "\n", "\ufeff", "---\n", "---\n---\n", "---\n---", "---", "text"} {
		book, problems := Parse("x.md", []byte(src))
		if book == nil || len(book.Steps) != 0 || len(problems) != 0 {
			t.Errorf("%q: %+v %v", src, book, problems)
		}
		Lint(book, LintOptions{Now: time.Unix(0, 0)})
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"full.md", "lookalike.md"} {
		src, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, s := range []string{
		"", "a\x00b", "\xff\xfe#", "\ufeff# A\r\n\r\n```sh\r\nls\r\n```\r\n", "ls\rrm -rf /",
		"```sh\nls", "~~~~sh\n```\nls\n~~~\n~~~~\n", "- ```sh\n  ls\n  ```\n", "> ```sh\n> ls\n> ```\n", "1. a\n\n   ```bash\n   ls\n\n   ls\n",
		"## A\n```sh when=\"a == 'b\" {x}\nls\n```\n", "## A\n```sh a=\"\\\"\nls\n```", "## A\n- [ ] a\n## A\n- [ ] b\n", "## É\n- [ ] a\n## E\u0301\n- [ ] b\n",
		"## A {#../../x}\n- [ ] a\n## B {#CON}\n- [ ] a\n## C {#-rf}\n- [ ] a\n## " + strings.Repeat("x", 256) + "\n- [ ] a\n",
		"## A\n```sh else=a\ngit push --force\n```\n", "<script>\n```sh\nls\n```\n</script>\n", "[x](javascript:alert(1)) <img onerror=x>\n",
		strings.Repeat("> ", 100) + "a", strings.Repeat("- ", 100) + "a", strings.Repeat("[", 100) + strings.Repeat("](x)", 100),
		"## A\n```sh\nrm \u202e-rf x\nрm -rf y\nec\u200bho\n```\n", "# \x1b[31mred\x1b]0;t\a\n", "```runbook\nrunbook: ../../etc/passwd\n```\n",
		"---\na: &a [*a]\n---\n", "---\ntitle: a\ntitle: b\nTitle: c\n---\n", "---\ntitle: !!binary aGk=\n<<: {a: b}\n---\n",
		"---\nlevel: 012\nreview_every: -5\nreviewed: 2026-13-45\ntitle: yes\n---\n", "---\nneeds: {fresh_backup: 99999999999d}\nlevel: 1e3\n---\n",
		"---\n\"a\\nb\": 1\n? [a]\n: b\n---\n", "---\n" + strings.Repeat("[", 200) + "\n---\n", "---\ntitle: .inf\nkind: NaN\nowner: 18446744073709551616\n---\n",
		"```sh\ngit checkout <a-b> '{c}' \"<d>\" $((<e>)) @{u} # <f>\ncat <<X >{g}\n<h>\nX\ncat <<'X'\n<i>\nX\n```\n",
		"```sh\nif <a\n# 1. x\nfi\n```\n", "```sh\n# 1. a\nx=$(b)\n# 2. b\necho $x\n# 3. c\ncd y && z\n# 4. d\n```\n",
		"```console\n$ a \\\n> b\nout\n$ c\n```\n", "A\nb\n===\n- [x] c {observe} {expect=3}\n", "\t```sh\n\tls\n\t```\n", "-\t```sh\n\tls\n\t```\n",
		"```choose\nask: a\noptions: {a: b, 1: 2}\n```\n", "```git.push\na: |\n x\n  y\nb: >-\n z\n```\n", "# a\n#\n##\n- [ ] \n- [ ] {observe}\n",
	} {
		f.Add([]byte(s))
		f.Add([]byte(frontMatter + s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		book, problems := Parse("f.md", src)
		check(t, book, problems)
		for _, p := range Lint(book, LintOptions{Now: time.Unix(1<<31, 0)}) {
			checkPos(t, book, p.Pos)
		}
		for i, h := range book.Headings {
			if i == 20 {
				break
			}
			if part, err := book.Section(h.Slug); err == nil {
				check(t, part, problems)
			}
		}
	})
}

// check holds what is true of every book.
func check(t *testing.T, book *Book, problems []Problem) {
	t.Helper()
	for _, p := range problems {
		checkPos(t, book, p.Pos)
		if p.Code == "" || p.Msg == "" || p.Fix == "" {
			t.Errorf("problem without code, words or fix: %+v", p)
		}
	}
	ids := map[string]bool{}
	for _, s := range book.Steps {
		if !Failed(problems) && (s.ID == "" || ids[s.ID] || len(s.ID) > 80 || strings.ContainsAny(s.ID, "/\\ \n\x00") || s.ID[0] == '-' || s.ID[0] == '.') {
			t.Errorf("step id %q", s.ID)
		}
		ids[s.ID] = true
		checkPos(t, book, s.Pos)
		if len(s.Items) == 0 && len(s.Blocks()) == 0 {
			t.Errorf("step %q has nothing to do", s.ID)
		}
		for _, it := range s.Items {
			checkPos(t, book, it.Pos)
		}
		for _, b := range s.Blocks() {
			checkPos(t, book, b.Pos)
			for _, p := range b.ArgPos {
				checkPos(t, book, p)
			}
			for _, p := range b.AttrPos {
				checkPos(t, book, p)
			}
			if !utf8.ValidString(b.Text) {
				t.Errorf("text %q", b.Text)
			}
			for i := range strings.Count(b.Text, "\n") + 1 {
				checkPos(t, book, b.At(i+1, 1))
			}
		}
	}
}

func checkPos(t *testing.T, book *Book, p Pos) {
	t.Helper()
	lines := bytes.Count(book.Source, []byte("\n")) + 2
	if p.File != "f.md" || p.Line < 1 || p.Line > lines || p.Col < 1 || p.Col > len(book.Source)+2 {
		t.Errorf("place %v", p)
	}
}
