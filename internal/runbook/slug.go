package runbook

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Slug gives the anchor that GitHub makes of a heading: lower case, spaces become
// hyphens, punctuation goes, letters of every language stay. The text is plain, without
// Markdown. Unicode forms of the same text give the same slug.
func Slug(text string) string {
	var b strings.Builder
	for _, r := range norm.NFC.String(text) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// stepSlug makes an id of a heading's slug: it does not begin with a hyphen, where it
// would look like a flag, and is short enough for a file name.
func stepSlug(slug string) string {
	const most = 64
	slug = strings.TrimLeft(slug, "-_")
	if len(slug) > most {
		slug = strings.ToValidUTF8(slug[:most], "")
	}
	return strings.TrimRight(slug, "-")
}

var (
	inlineLink = regexp.MustCompile(`!?\[([^\[\]]*)\]\([^()]*\)`)
	emphasis   = regexp.MustCompile(`(^|[^\p{L}\p{N}_])_+([^_]+)_+($|[^\p{L}\p{N}_])`)
)

// plainText takes inline Markdown off a heading, as its slug and a terminal need it.
func plainText(md string) string {
	if strings.ContainsAny(md, "[_") {
		md = inlineLink.ReplaceAllString(md, "$1")
		md = emphasis.ReplaceAllString(md, "$1$2$3")
	}
	var b strings.Builder
	for i := 0; i < len(md); i++ {
		switch c := md[i]; {
		case c == '`' || c == '*':
		case c == '\\' && i+1 < len(md) && strings.IndexByte("\\`*_{}[]()#+-.!<>|$&~", md[i+1]) >= 0:
			i++
			b.WriteByte(md[i])
		default:
			b.WriteByte(c)
		}
	}
	return strings.TrimSpace(b.String())
}
