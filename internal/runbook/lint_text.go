package runbook

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/hint"
)

// leak is a pattern of something that must not stand in a file.
type leak struct {
	what string
	hint string // what every match contains, in lower case: the pattern is slow, this is not
	re   *regexp.Regexp
}

// leaks are looked for line by line; the values found are never shown.
var leaks = []leak{
	{"an AWS access key", "ia", regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a private key", "private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`)},
	{"an age key", "age-secret-key-", regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{20,}`)},
	{"a GitHub token", "gh", regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{20,}`)},
	{"a GitHub token", "github_pat_", regexp.MustCompile(`github_pat_[A-Za-z0-9_]{20,}`)},
	{"a GitLab token", "glpat-", regexp.MustCompile(`glpat-[A-Za-z0-9_-]{20,}`)},
	{"a Slack token", "xox", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`)},
	{"a Google API key", "aiza", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a password in a URL", "://", regexp.MustCompile(`://[^/\s:@"'<>$]+:[^/\s:@"'<>${}]{3,}@`)},
	{"a password", "passw", regexp.MustCompile(`(?i)(?:password|passwd)\s*=\s*["']?[^\s"'$<{(*&|;]{4,}`)},
	{"a secret", "token", regexp.MustCompile(`(?i)(?:access|auth)_?token\s*=\s*["']?[^\s"'$<{(*&|;]{4,}`)},
	{"a secret", "secret", regexp.MustCompile(`(?i)client_?secret\s*=\s*["']?[^\s"'$<{(*&|;]{4,}`)},
	{"a secret", "key", regexp.MustCompile(`(?i)(?:api|secret)_?key\s*=\s*["']?[^\s"'$<{(*&|;]{4,}`)},
}

// placeholderValue is what people write where a secret would stand.
var placeholderValue = regexp.MustCompile(`(?i)example|xxxx|\.\.\.|changeme|your[-_]`)

// text looks at every line, prose and code.
func (l *linter) text() {
	lines := l.book.lines
	var lower []byte
	for row := range lines.starts {
		line := lines.line(row)
		head := line[:min(len(line), maxShell)] // nobody reads on, and the patterns are slow
		lower = append(lower[:0], head...)
		for i, c := range lower {
			if c >= 'A' && c <= 'Z' {
				lower[i] = c + 'a' - 'A'
			}
		}
		for _, k := range leaks {
			if !bytes.Contains(lower, []byte(k.hint)) {
				continue
			}
			if m := k.re.FindIndex(head); m != nil && !placeholderValue.Match(line[m[0]:m[1]]) {
				l.add(lines.pos(lines.starts[row]+m[0]), l.lenient(), "secret", "this looks like "+k.what, "declare a parameter with secret: true, and change the value: it counts as known")
			}
		}
		l.unseen(row, line)
	}
}

// unseen finds characters that make a text look different from what it is.
func (l *linter) unseen(row int, line []byte) {
	ascii := true
	for _, c := range line {
		if c >= utf8.RuneSelf || c < ' ' && c != '\t' || c == 0x7f {
			ascii = false
			break
		}
	}
	if ascii {
		return
	}
	code := l.book.isCode(row)
	for i, r := range string(line) {
		name, msg := "", ""
		switch {
		case r != '\t' && unicode.IsControl(r):
			name, msg = "control-character", "a control character could change what a terminal shows"
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c:
			name, msg = "bidi", "this character turns the direction of text, so it reads other than it runs"
		case r == 0x200d && !code: // part of emoji
			continue
		case r == 0x200b || r == 0x200c || r == 0x200d || r == 0x2060 || r == 0xfeff || r == 0x00ad || r == 0x2028 || r == 0x2029:
			name, msg = "invisible", "this character cannot be seen"
		default:
			continue
		}
		sev := Error
		if mark := r < 0x202a; !code && (name == "invisible" || name == "bidi" && mark) {
			sev = Warning
		}
		l.add(l.book.lines.pos(l.book.lines.starts[row]+i), sev, name, fmt.Sprintf("%s (U+%04X)", msg, r), "take it out")
		return
	}
	if code {
		l.scripts(row, string(line))
	}
}

// scripts finds words of code that mix letters which look alike: Latin with Cyrillic
// or Greek.
func (l *linter) scripts(row int, line string) {
	latin, other, at := false, false, 0
	for i, r := range line + " " {
		switch {
		case r < utf8.RuneSelf && (unicode.IsLetter(r)):
			latin = true
		case unicode.In(r, unicode.Cyrillic, unicode.Greek):
			other = true
		case unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./", r):
		default:
			if latin && other {
				l.add(l.book.lines.pos(l.book.lines.starts[row]+at), l.lenient(), "mixed-script",
					fmt.Sprintf("%+q mixes letters of two scripts that look alike", clip(line[at:min(i, len(line))])), "type it again")
				return
			}
			latin, other, at = false, false, i+utf8.RuneLen(r)
		}
	}
}

// isCode says whether a line belongs to a code block.
func (b *Book) isCode(row int) bool {
	i, _ := slices.BinarySearchFunc(b.fences, row, func(s span, row int) int {
		if s.to <= row {
			return -1
		}
		return 1
	})
	return i < len(b.fences) && b.fences[i].from <= row
}

var markdownLink = regexp.MustCompile(`\]\(\s*<?([^()\s<>]{1,500})>?(?:\s+"[^"]*")?\s*\)|^ {0,3}\[[^\]]+\]:\s*<?([^\s<>]{1,500})`)

// links looks at where the links of the prose lead. It asks for no URL.
func (l *linter) links() {
	lines := l.book.lines
	for row := range lines.starts {
		line := lines.line(row)
		if len(line) > maxInfo || !bytes.Contains(line, []byte("](")) && !bytes.Contains(line, []byte("]:")) || l.book.isCode(row) {
			continue
		}
		if bytes.IndexByte(line, '`') >= 0 {
			line = blankCode(line)
		}
		for _, m := range markdownLink.FindAllSubmatchIndex(line, -1) {
			from, to := m[2], m[3]
			if from < 0 {
				from, to = m[4], m[5]
			}
			l.link(lines.pos(lines.starts[row]+from), string(line[from:to]))
		}
	}
}

// blankCode puts blanks in the place of code spans of one line.
func blankCode(line []byte) []byte {
	out := bytes.Clone(line)
	open := -1
	for i, c := range line {
		if c != '`' {
			continue
		}
		if open < 0 {
			open = i
			continue
		}
		for j := open; j <= i; j++ {
			out[j] = ' '
		}
		open = -1
	}
	return out
}

func (l *linter) link(at Pos, target string) {
	if strings.HasPrefix(target, "#") {
		anchor, err := url.PathUnescape(target[1:])
		if err != nil || !slices.ContainsFunc(l.book.Headings, func(h Heading) bool { return h.Slug == anchor }) {
			var slugs []string
			for _, h := range l.book.Headings {
				slugs = append(slugs, h.Slug)
			}
			l.add(at, Warning, "dead-link", fmt.Sprintf("the link %q leads to no heading", clip(target)), hint.Suggest(strings.TrimPrefix(target, "#"), slugs))
		}
		return
	}
	u, err := url.Parse(target)
	if err != nil {
		l.add(at, Warning, "dead-link", fmt.Sprintf("the link %q is no address", clip(target)), "mend or remove it")
		return
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https", "mailto", "tel":
		return
	case "":
	default:
		l.add(at, l.lenient(), "unsafe-link", fmt.Sprintf("a link of the kind %q does not belong into a runbook", u.Scheme), "link to https or to a file beside the runbook")
		return
	}
	if u.Host != "" {
		return
	}
	if strings.HasPrefix(u.Path, "/") {
		l.add(at, Warning, "unsafe-link", fmt.Sprintf("the link %q leads to a place of one machine", clip(target)), "link to a file by its path from here")
		return
	}
	if l.opts.Exists != nil && u.Path != "" && !l.opts.Exists(u.Path) {
		l.add(at, Warning, "dead-link", fmt.Sprintf("the link %q leads to no file", clip(target)), "mend or remove it")
	}
}
