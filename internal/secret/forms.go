package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// forms lists how a secret may appear in output, each at least [Shortest] bytes long.
func forms(s string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(list ...string) {
		for _, f := range list {
			if len(f) >= Shortest && !seen[f] {
				seen[f] = true
				out = append(out, f)
			}
		}
	}
	for _, value := range []string{s, strings.TrimSpace(s)} { // a file ends in a newline, an output may not
		add(value)
		add(quoted(value)...)
		add(encoded(value)...)
	}
	add(lines(s)...)
	if len(s) >= 2*Shortest {
		add(strings.ToLower(s), strings.ToUpper(s))
	}
	return out
}

// lines of a secret are secrets, because a log shows one line at a time.
func lines(s string) []string {
	all := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(all) < 2 {
		return nil
	}
	var out []string
	for _, l := range all {
		l = strings.TrimSpace(l)
		if len(l) >= 2*Shortest && !strings.HasPrefix(l, "-----") { // neither "}" nor "-----BEGIN …"
			out = append(out, l)
		}
	}
	return out
}

// quoted is how JSON, shells, Go and SQL write the value between quotes.
func quoted(s string) []string {
	var escaped strings.Builder
	for _, r := range s {
		if !strings.ContainsRune("-_./:,+@%=", r) && (r < 0x80) && !alphanumeric(r) {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
	}
	inner := func(q string) string { return strings.TrimSuffix(strings.TrimPrefix(q, `"`), `"`) }
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	out := []string{
		strings.ReplaceAll(s, `'`, `'\''`),
		strings.ReplaceAll(s, `'`, `'"'"'`),
		strings.ReplaceAll(s, `'`, `''`),
		strings.ReplaceAll(s, `$`, `$$`),
		escaped.String(),
		inner(strconv.Quote(s)), inner(strconv.QuoteToASCII(s)),
	}
	if html, err := json.Marshal(s); err == nil {
		out = append(out, inner(string(html)), strings.ReplaceAll(inner(string(html)), "/", `\/`))
	}
	if enc.Encode(s) == nil {
		out = append(out, inner(strings.TrimSpace(plain.String())))
	}
	return out
}

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// encoded is base64, hexadecimal and percent encoding.
func encoded(s string) []string {
	hexed := hex.EncodeToString([]byte(s))
	out := []string{hexed, strings.ToUpper(hexed)}
	for _, u := range []string{url.QueryEscape(s), url.PathEscape(s), percent(s)} {
		out = append(out, u, lowerEscapes(u))
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		out = append(out, enc.EncodeToString([]byte(s)), enc.WithPadding(base64.NoPadding).EncodeToString([]byte(s)))
		out = append(out, inside(enc, s)...)
	}
	return out
}

// percent escapes everything but letters and digits, as curl and encodeURIComponent nearly
// do.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if alphanumeric(rune(s[i])) || strings.IndexByte("-_.~", s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
		}
	}
	return b.String()
}

// lowerEscapes turns %2F into %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// inside is what base64 makes of the secret in the middle of a longer text, as in
// "user:secret": three alignments, each without the characters that depend on the
// neighbours.
func inside(enc *base64.Encoding, s string) []string {
	const shortest = 6 // less than six characters happen by chance
	var out []string
	for shift := range 3 {
		text := enc.EncodeToString([]byte(strings.Repeat("x", shift) + s + "xxx"))
		first := (shift*8 + 5) / 6       // the first character made of the secret alone
		last := (shift + len(s)) * 8 / 6 // behind the last one
		if last-first >= shortest {
			out = append(out, text[first:last])
		}
	}
	return out
}
