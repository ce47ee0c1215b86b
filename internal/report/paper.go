package report

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"lifeboat/internal/printable"
	"lifeboat/internal/runbook"
)

// Paper is a runbook for the folder on the shelf: for the hour when there is no machine
// to run Lifeboat on. It has what the console would show, and room to write in.
type Paper struct {
	Book    *runbook.Book
	Values  map[string]string // of parameters, where they are known; others are to be filled in. No secrets
	Level   string            // what the level of the runbook means, in words; empty: it has none
	Call    [][]string        // whom to call: name, role, how to reach them, when
	Printed time.Time         // paper ages: the reader has to know how old it is
	Action  func(name string) (summary, effect string)
}

// blank is room to write in.
const blank = "........................"

// Markdown renders the page. What is in it comes from the runbook, whose own Markdown
// stays as it is, but for characters that a terminal would obey.
func (p *Paper) Markdown() string {
	var b strings.Builder
	p.head(&b)
	var phase []string
	for i, s := range p.Book.Steps {
		if !slices.Equal(phase, s.Phase) && len(s.Phase) > 0 {
			fmt.Fprintf(&b, "## %s\n\n", strings.Join(s.Phase, ": "))
		}
		phase = s.Phase
		p.step(&b, i+1, s)
	}
	if p.Book.Outro != "" {
		fmt.Fprintf(&b, "%s\n\n", p.filled(p.Book.Outro))
	}
	fmt.Fprintf(&b, "## It is over\n\nEnded (UTC): %s   By: %s\n\nLost for good: %s\n", blank, blank, blank)
	return printable.Text(b.String())
}

// head is what decides whether this is the right page.
func (p *Paper) head(b *strings.Builder) {
	m := p.Book.Meta
	fmt.Fprintf(b, "# %s\n\n", p.Book.Title)
	facts := []string{p.Book.Name}
	if m.Kind != "" {
		facts = append(facts, string(m.Kind))
	}
	if m.Owner != "" {
		facts = append(facts, "owner "+m.Owner)
	}
	if !m.Reviewed.IsZero() {
		reviewed := "reviewed " + m.Reviewed.Format(time.DateOnly)
		if m.ReviewEvery > 0 {
			reviewed += ", again by " + m.Reviewed.Add(m.ReviewEvery).Format(time.DateOnly)
		}
		facts = append(facts, reviewed)
	}
	facts = append(facts, fmt.Sprintf("printed %s UTC, version %.12s", p.Printed.UTC().Format("2006-01-02 15:04"), p.Book.Digest))
	fmt.Fprintf(b, "%s\n\n", strings.Join(facts, " | "))
	if p.Level != "" {
		fmt.Fprintf(b, "**This is %s.**\n\n", p.Level)
	}
	list := func(title string, items []string) {
		if len(items) > 0 {
			fmt.Fprintf(b, "%s\n\n- %s\n\n", title, strings.Join(items, "\n- "))
		}
	}
	list("The right page when:", m.When)
	list("The wrong page for:", m.NotFor)
	if len(p.Call) > 0 {
		table(b, []string{"whom to call", "role", "reach", "when"}, p.Call)
	}
	fmt.Fprintf(b, "Incident since (UTC): %s   Began (UTC): %s   By: %s\n\n", blank, blank, blank)
	p.params(b)
	if p.Book.Intro != "" {
		fmt.Fprintf(b, "%s\n\n", p.filled(p.Book.Intro))
	}
}

// params is the form of the page.
func (p *Paper) params(b *strings.Builder) {
	var rows [][]string
	for _, m := range p.Book.Params() {
		value := p.Values[m.Name]
		switch {
		case m.Secret:
			value = "never on paper"
		case value == "":
			value = blank
		}
		rows = append(rows, []string{m.Name, value, m.Help})
	}
	if len(rows) == 0 {
		return
	}
	table(b, []string{"name", "value", "what it is"}, rows)
	b.WriteString("A name in square brackets stands for such a value, or for one that an earlier step found.\n\n")
}

// step writes one step down, with room for what was seen and done.
func (p *Paper) step(b *strings.Builder, n int, s *runbook.Step) {
	fmt.Fprintf(b, "%s %d. %s\n\n", strings.Repeat("#", min(2+len(s.Phase), 3)), n, p.filled(s.Title))
	if s.Do != nil && s.Do.When != "" {
		fmt.Fprintf(b, "Only when `%s`.\n\n", s.Do.When)
	}
	if s.Guidance != "" {
		fmt.Fprintf(b, "%s\n\n", p.filled(s.Guidance))
	}
	for _, item := range s.Items {
		fmt.Fprintf(b, "- [ ] %s", p.filled(item.Text))
		if item.Expect != "" {
			fmt.Fprintf(b, " Has to be %s.", p.filled(item.Expect))
		}
		if item.Observe || item.Expect != "" {
			b.WriteString(" " + blank)
		}
		b.WriteByte('\n')
	}
	if len(s.Items) > 0 {
		b.WriteByte('\n')
	}
	if s.Do != nil {
		p.block(b, "Lifeboat does here", s.Do)
	}
	for _, v := range s.Verify {
		p.block(b, "Done when this holds", v)
	}
	if s.Undo != nil {
		p.block(b, "The way back", s.Undo)
	}
	if s.Do != nil && s.Do.Else != "" {
		fmt.Fprintf(b, "When it fails go on with the step `%s`.\n\n", s.Do.Else)
	}
	fmt.Fprintf(b, "Done at (UTC): %s   By: %s\n\n", blank, blank)
}

// block says what a block is for: a script as it is, of an action its name in the manual,
// its effect and what it is given.
func (p *Paper) block(b *strings.Builder, lead string, k *runbook.Block) {
	switch k.Action {
	case runbook.Shell:
		if k.Effect != "" && k.Role == runbook.Do {
			lead += "; effect: " + k.Effect
		}
		fmt.Fprintf(b, "%s:\n\n%s\n\n", lead, fenced(k.Text))
	case runbook.Choose:
		fmt.Fprintf(b, "%s\n\n", p.filled(k.Ask))
		for _, o := range k.Options {
			fmt.Fprintf(b, "- [ ] %s: %s\n", o.Key, p.filled(o.Text))
		}
		b.WriteByte('\n')
	default:
		summary, effect := p.Action(k.Action)
		fmt.Fprintf(b, "%s: `%s`%s%s\n\n", lead, k.Action, prefixed(", ", summary), prefixed("; effect: ", effect))
		if text := strings.TrimSpace(k.Text); text != "" {
			fmt.Fprintf(b, "%s\n\n", fenced(p.filled(text)))
		}
	}
}

// fenced is code behind a fence that nothing in it can end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

// named is ${name} or ${saved.field}.
var named = regexp.MustCompile(`\$\{([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)\}`)

// filled puts values in, and where there is none its name, for a pen.
func (p *Paper) filled(text string) string {
	return named.ReplaceAllStringFunc(text, func(s string) string {
		name := s[2 : len(s)-1]
		if v := p.Values[name]; v != "" {
			return v
		}
		return "[" + name + "]"
	})
}

// alert is the first line of a GitHub alert.
var alert = regexp.MustCompile(`(?m)^> \[!([A-Z]+)\]$`)

// PaperHTML renders pages as one document that needs nothing else, each on a sheet of its
// own. Markup in a runbook is left out and what it links to is never fetched.
func PaperHTML(pages []Paper) (string, error) {
	var b bytes.Buffer
	title := "Runbooks"
	if len(pages) == 1 {
		title = pages[0].Book.Title
	}
	pageHead(&b, title, style+paperStyle)
	md := goldmark.New(goldmark.WithExtensions(extension.Table, extension.TaskList))
	for i := range pages {
		b.WriteString("<article>\n")
		text := alert.ReplaceAllString(pages[i].Markdown(), "> **$1**\n>")
		if err := md.Convert([]byte(text), &b); err != nil {
			return "", fmt.Errorf("render %s: %w", pages[i].Book.Name, err)
		}
		b.WriteString("</article>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.String(), nil
}

// paperStyle is what paper needs beside [style].
const paperStyle = `
h3{font-size:1rem;margin-top:1.5rem}pre{background:#f4f4f4;padding:.5rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere}
blockquote{margin:1rem 0;padding:.1rem 1rem;border-left:4px solid #b3261e}
li{margin:.3rem 0}article+article{break-before:page}
@media print{body{font-size:11pt}pre,li,blockquote{break-inside:avoid}h3{break-after:avoid}}`
