package report_test

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/report"
	"lifeboat/internal/runbook"
)

// TestPaperOfHostileText holds that a page, as a terminal or a browser gets it, has what a
// runbook says and does nothing that it wants.
func TestPaperOfHostileText(t *testing.T) {
	src := "---\ntitle: \"A\\e[2Jtitle\"\nkind: procedure\nlevel: 1\n---\n\n# A\n\n" +
		"[click](javascript:alert(1)) ![](https://evil.example/x.png)\n\n> [!CAUTION]\n> Careful.\n\n" +
		"## Do it\n\n- [ ] <img src=x onerror=alert(1)> ${there} ${gone.field}\n\n````sh effect=destroy target=x\necho '```'\n````\n\n```sh verify\ntrue\n```\n"
	book, _ := runbook.Parse("a.md", []byte(src))
	page := report.Paper{
		Book: book, Values: map[string]string{"there": "\x1b]0;owned\x07here"}, Printed: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
		Call:   [][]string{{"<b>Eve</b> | x", "lead", "1", "now"}},
		Action: func(string) (string, string) { return "", "" },
	}
	text := page.Markdown()
	if strings.ContainsAny(text, "\x1b\x07") {
		t.Errorf("a terminal would obey:\n%q", text)
	}
	for _, want := range []string{"here [gone.field]", "````\necho '```'\n````"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	html, err := report.PaperHTML([]report.Paper{page})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<img src=x", "javascript:", "<b>Eve"} {
		if strings.Contains(html, bad) {
			t.Errorf("%q in\n%s", bad, html)
		}
	}
	for _, want := range []string{"default-src 'none'", "<strong>CAUTION</strong>", `type="checkbox"`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in\n%s", want, html)
		}
	}
}
