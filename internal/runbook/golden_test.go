package runbook

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if a, b := at(g, i), at(w, i); a != b {
			t.Fatalf("%s line %d\n got %q\nwant %q\n(go test -update rewrites the file)", file, i+1, a, b)
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

func place1(p Pos) string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

func places(m map[string]Pos) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"@"+place1(m[k]))
	}
	return strings.Join(out, " ")
}

// dump writes all that is known of a book, with positions.
func dump(b *Book, problems []Problem) string {
	var o strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&o, format+"\n", args...) }
	p("book %q file %q title %q plain %v anchor %q", b.Name, b.File, b.Title, b.Plain, b.Anchor)
	p("intro %q\noutro %q", b.Intro, b.Outro)
	m := b.Meta
	p("meta title=%q kind=%s level=%d asset=%q owner=%q tools=%q fresh=%s every=%s reviewed=%s", m.Title, m.Kind, m.Level, m.Asset,
		m.Owner, m.Tools, m.FreshBackup, m.ReviewEvery, m.Reviewed.Format("2006-01-02"))
	p("  when=%q not_for=%q\n  %s", m.When, m.NotFor, places(m.Pos))
	for _, x := range m.Params {
		p("param %s @%s default=%q,%v help=%q secret=%v options=%q", x.Name, place1(x.Pos), x.Default, x.HasDefault, x.Help, x.Secret, x.Options)
	}
	for _, h := range b.Headings {
		p("heading %d %q #%s @%s steps=%d", h.Level, h.Title, h.Slug, place1(h.Pos), h.Steps)
	}
	for _, s := range b.Steps {
		p("\nstep %s %q @%s phase=%q\n  guidance %q", s.ID, s.Title, place1(s.Pos), s.Phase, s.Guidance)
		for _, it := range s.Items {
			p("  item @%s %q observe=%v expect=%q", place1(it.Pos), it.Text, it.Observe, it.Expect)
		}
		for _, x := range s.Blocks() {
			p("  block %s role=%q @%s body=%s attrs=%s", x.Action, x.Role, place1(x.Pos), place1(x.Body), places(x.AttrPos))
			p("    effect=%q timeout=%s,%v retry=%d save=%q when=%q else=%q optional=%v interactive=%v skip=%v target=%q stop=%q id=%q",
				x.Effect, x.Timeout, x.Unlimited, x.Retry, x.Save, x.When, x.Else, x.Optional, x.Interactive, x.DrillSkip, x.Target, x.Stop, x.ID)
			if x.Action == Choose {
				p("    ask=%q options=%v", x.Ask, x.Options)
			}
			for _, k := range slices.Sorted(maps.Keys(x.Args)) {
				p("    arg %s = %#v", k, x.Args[k])
			}
			if len(x.ArgPos) > 0 {
				p("    at %s", places(x.ArgPos))
			}
			for i, line := range strings.SplitAfter(x.Text, "\n") {
				if line != "" && x.Action == Shell {
					p("    %s %q", place1(x.At(i+1, 1)), line)
				}
			}
		}
	}
	p("")
	for _, pr := range problems {
		p("%s [%s]", pr.Error(), pr.Code)
	}
	return o.String()
}

func TestParseGolden(t *testing.T) {
	for _, name := range []string{"full", "lookalike"} {
		src, err := os.ReadFile(filepath.Join("testdata", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		book, problems := Parse(name+".md", src)
		want := dump(book, append(problems, Lint(book, LintOptions{})...))
		golden(t, name+".golden", want)
		// The same bytes with a byte order mark and CRLF are the same document.
		crlf := append([]byte("\ufeff"), strings.ReplaceAll(string(src), "\n", "\r\n")...)
		book, problems = Parse(name+".md", crlf)
		if got := dump(book, append(problems, Lint(book, LintOptions{})...)); got != want {
			t.Errorf("%s: CRLF and byte order mark change what is read", name)
			golden(t, name+".golden", got)
		}
	}
}
