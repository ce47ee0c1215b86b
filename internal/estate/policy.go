package estate

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/runbook"
)

// Encryption is how new backups are encrypted and old ones opened.
type Encryption struct {
	Method      string        // "none", "age" or "gpg"; "none" when the file is silent
	Recipients  []string      // age: "age1…", who can read the backups
	BreakGlass  string        // age: the recipient whose identity lies offline, on paper; added to every backup
	Keeper      string        // age: URL of a key in a KMS that keeps the vault's own identity; or "env:NAME"
	Identity    string        // age: absolute path of a file of identities; or "env:NAME". Needed to restore and verify only
	Passphrase  string        // gpg: absolute path of a file whose first line is the passphrase; or "env:NAME"
	RotateEvery time.Duration // how old a key may become, 0: no limit
}

// FromEnv tells whether a value of [Encryption] stands in the environment, as "env:NAME",
// and under which name.
func FromEnv(value string) (name string, ok bool) { return strings.CutPrefix(value, "env:") }

// Retention is how long backups are kept: the newest one of so many hours, days, weeks,
// months and years that have one. The zero value keeps everything.
type Retention struct {
	Within                                 time.Duration // everything younger is kept
	Hourly, Daily, Weekly, Monthly, Yearly int
	Lock                                   time.Duration // new objects cannot be deleted for so long; 0: no lock
	LockMode                               string        // "governance", or "compliance", which nobody can lift; empty without Lock
}

// Zero says that nothing is ever removed.
func (r Retention) Zero() bool {
	return r.Within == 0 && r.Hourly == 0 && r.Daily == 0 && r.Weekly == 0 && r.Monthly == 0 && r.Yearly == 0
}

const day = 24 * time.Hour

// span is how old the oldest kept backup can become while backups are made regularly.
func (r Retention) span() time.Duration {
	return max(r.Within, time.Duration(r.Hourly)*time.Hour, time.Duration(r.Daily)*day,
		time.Duration(r.Weekly)*7*day, time.Duration(r.Monthly)*31*day, time.Duration(r.Yearly)*366*day)
}

// withoutSecrets is the advice wherever a secret stands in the file.
const withoutSecrets = "lifeboat.yaml is shared and kept in history: remove it, and make a new secret, since this one was seen"

func (l *loader) encryption(n ast.Node) {
	body := l.mapping(n, "encryption")
	if body == nil {
		return
	}
	e := &l.estate.Encryption
	e.Method = ""
	seen := l.fields(body, "encryption", []field{
		l.word("method", &e.Method, "age", "gpg", "none"),
		{"recipients", func(n ast.Node) {
			texts, nodes := l.list(n, "recipients")
			for i, t := range texts {
				l.recipient(nodes[i], t, "recipients")
			}
			e.Recipients = texts
		}},
		l.line("break_glass", func(n ast.Node, t string) {
			if l.recipient(n, t, "break_glass") {
				e.BreakGlass = t
			}
		}),
		l.line("keeper", func(n ast.Node, t string) { e.Keeper = l.keeper(n, t) }),
		l.line("identity", func(n ast.Node, t string) { e.Identity = l.source(n, "identity", t) }),
		l.line("passphrase", func(n ast.Node, t string) { e.Passphrase = l.source(n, "passphrase", t) }),
		{"rotate_every", func(n ast.Node) { e.RotateEvery = l.duration(n, "rotate_every") }},
	})
	here := l.pos(body)
	if seen["method"] == nil {
		l.add(here, "missing-key", `add "method: age"`, "encryption has no method")
		return
	}
	allowed := map[string][]string{
		"age": {"method", "recipients", "break_glass", "keeper", "identity", "rotate_every"},
		"gpg": {"method", "passphrase", "rotate_every"}, "none": {"method"},
	}[e.Method]
	for key, n := range seen {
		if e.Method != "" && !slices.Contains(allowed, key) {
			l.add(l.pos(n), "unknown-key", "remove it, or change the method", "encryption: %q means nothing with the method %q", key, e.Method)
		}
	}
	switch {
	case e.Method == "age" && seen["recipients"] == nil && seen["keeper"] == nil:
		l.add(here, "missing-key", `make an identity with "age-keygen", and add "recipients: [age1…]"; or add "keeper:" with the key of a KMS`,
			"encryption: nobody could read the backups, there are neither recipients nor a keeper")
	case e.Method == "age" && seen["keeper"] == nil && len(e.Recipients) == 0:
		l.add(l.pos(seen["recipients"]), "value", `add a recipient "age1…"`, "encryption: recipients is empty")
	case e.Method == "gpg" && seen["passphrase"] == nil:
		l.add(here, "missing-key", `add "passphrase: ./FILE", a file that only you can read, or "passphrase: env:LIFEBOAT_GPG_PASSPHRASE"`,
			"encryption: gpg needs a passphrase")
	}
	if e.BreakGlass != "" && slices.Contains(e.Recipients, e.BreakGlass) {
		l.add(l.pos(seen["break_glass"]), "duplicate", "make another identity for it, and keep that one offline",
			"break_glass is one of the recipients: when that identity is lost, both are")
	}
}

// source reads where a secret is found, and never the secret. A word without a slash may be
// the passphrase itself, which as a path would stand in the first error about it.
func (l *loader) source(n ast.Node, what, t string) string {
	if name, ok := FromEnv(t); ok {
		return l.variable(n, name)
	}
	if !strings.Contains(t, "/") {
		l.add(l.pos(n), "value", `write "./NAME" for a file beside this one, or "env:NAME" for a variable`, "%s is not the path of a file", what)
		return ""
	}
	return l.path(n, t)
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) variable(n ast.Node, name string) string {
	if !variable.MatchString(name) {
		l.add(l.pos(n), "value", `write "env:NAME", letters, digits and "_"`, "after \"env:\" comes the name of a variable")
		return ""
	}
	return "env:" + name
}

// recipient checks a public key of age. The error never repeats the text: whoever mixed up
// the two halves of a key has put the secret one here.
func (l *loader) recipient(n ast.Node, t, what string) bool {
	hrp, sum := bech32(t)
	switch {
	case hrp == "age" && sum && len(t) == 62:
		return true
	case strings.HasPrefix(t, "age1") && hrp != "age" && sum:
		l.add(l.pos(n), "value", `use a recipient that "age-keygen" prints`, "%s: keys of plugins are not supported", what)
	case strings.HasPrefix(t, "age1"):
		l.add(l.pos(n), "value", `copy the whole line that "age-keygen -y" prints`, "%s: this is no whole recipient; a letter is wrong or missing", what)
	default:
		l.add(l.pos(n), "value", `a recipient begins with "age1"; "age-keygen -y" prints it`, "%s: this is no recipient of age", what)
	}
	return false
}

// bech32 gives the part of a text before its last "1", and whether its checksum is right
// (BIP 173, without its limit of the length, as age uses it).
func bech32(s string) (hrp string, sum bool) {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	i := strings.LastIndexByte(s, '1')
	if i < 1 || len(s) > 4096 {
		return "", false
	}
	acc := uint32(1)
	step := func(v byte) {
		top := acc >> 25
		acc = acc&0x1ffffff<<5 ^ uint32(v)
		for k, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>k&1 == 1 {
				acc ^= g
			}
		}
	}
	hrp = s[:i]
	for _, c := range []byte(hrp) {
		step(c >> 5)
	}
	step(0)
	for _, c := range []byte(hrp) {
		step(c & 31)
	}
	for _, c := range []byte(s[i+1:]) {
		v := strings.IndexByte(alphabet, c)
		if v < 0 {
			return hrp, false
		}
		step(byte(v))
	}
	return hrp, acc == 1
}

// keepers are the schemes of a KMS that gocloud.dev/secrets can reach.
var keepers = []string{"awskms", "gcpkms", "azurekeyvault"}

// keeper reads the address of a key. Its text is not repeated: with base64key the address
// is the key.
func (l *loader) keeper(n ast.Node, t string) string {
	if name, ok := FromEnv(t); ok {
		return l.variable(n, name)
	}
	scheme, rest, ok := strings.Cut(t, "://")
	const say = `write an address such as "awskms://alias/backup?region=eu-west-1", "gcpkms://projects/…" or "azurekeyvault://…"`
	switch {
	case !ok:
		l.add(l.pos(n), "value", say, "keeper is not the address of a key")
	case scheme == "hashivault":
		l.add(l.pos(n), "value", "use awskms, gcpkms or azurekeyvault, or recipients",
			"keeper: hashivault is not supported, its module lags behind the rest of gocloud.dev")
	case scheme == "base64key":
		l.add(l.pos(n), "secret", withoutSecrets+`. For tests write "env:NAME" and put the address into that variable`,
			"keeper: the address of a base64key is the key itself")
	case !slices.Contains(keepers, scheme):
		l.add(l.pos(n), "value", choice(scheme, keepers), "keeper: %q is no kind of KMS", scheme)
	case rest == "" || rest[0] == '?':
		l.add(l.pos(n), "value", say, "keeper names no key")
	default:
		u, err := url.Parse(t)
		if err == nil && l.password(n, u, "keeper") {
			return ""
		}
		return t // an ARN is no sound URL: "awskms:///arn:aws:kms:…" is one, and the driver's to judge
	}
	return ""
}

func (l *loader) retention(n ast.Node) {
	body := l.mapping(n, "retention")
	if body == nil {
		return
	}
	r := &l.estate.Retention
	count := func(key string, to *int) field {
		return field{key, func(n ast.Node) { *to = l.number(n, key, 0, 100_000) }}
	}
	before := len(l.problems)
	seen := l.fields(body, "retention", []field{
		{"within", func(n ast.Node) { r.Within = l.duration(n, "within") }},
		count("hourly", &r.Hourly), count("daily", &r.Daily), count("weekly", &r.Weekly),
		count("monthly", &r.Monthly), count("yearly", &r.Yearly),
		{"lock", func(n ast.Node) { r.Lock = l.duration(n, "lock") }},
		l.word("lock_mode", &r.LockMode, "governance", "compliance"),
	})
	if len(l.problems) > before {
		return
	}
	switch {
	case r.Zero():
		l.add(l.pos(body), "value", `add a rule such as "daily: 14", or leave "retention:" out to keep everything`,
			"retention keeps nothing")
	case r.LockMode != "" && r.Lock == 0:
		l.add(l.pos(seen["lock_mode"]), "missing-key", `add "lock: 30d"`, "retention: lock_mode without lock does nothing")
	case r.Lock > r.span():
		l.add(l.pos(seen["lock"]), "value", "make the lock shorter, or keep backups longer",
			"retention: the lock outlasts everything that is kept, so what is due to go could not be removed")
	}
	if r.Lock > 0 && r.LockMode == "" {
		r.LockMode = "governance"
	}
}

// argv reads an argument list. No shell ever sees it. A program given by a path is found
// from the directory of the file.
func (l *loader) argv(n ast.Node, what string) []string {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.add(l.pos(n), "type", "write a list, [program, argument, argument]; no shell reads it", "%s must be a list, not %s", what, word(n))
		return nil
	}
	var argv []string
	for _, v := range s.Values {
		t, ok := l.argument(v, what)
		if !ok {
			return nil
		}
		argv = append(argv, t)
	}
	if len(argv) == 0 || strings.TrimSpace(argv[0]) == "" {
		l.add(l.pos(n), "value", "write [program, argument, argument]", "%s names no program", what)
		return nil
	}
	if strings.Contains(argv[0], "/") {
		argv[0] = l.path(s.Values[0], argv[0])
	}
	return argv
}

// argument is text that may be empty and may have several lines, as a script has.
func (l *loader) argument(n ast.Node, what string) (string, bool) {
	var t string
	switch n := n.(type) {
	case *ast.StringNode:
		t = n.Value
	case *ast.LiteralNode:
		t = n.Value.Value
	default:
		return l.text(n, what)
	}
	if l.holdsSecret(n, t, what) {
		return "", false
	}
	if strings.ContainsFunc(t, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f }) {
		l.add(l.pos(n), "value", "", "%s contains a control character", what)
		return "", false
	}
	return t, true
}

// holdsSecret reports a private key, wherever it stands, without repeating it.
func (l *loader) holdsSecret(n ast.Node, t, what string) bool {
	if !privateKey(t) {
		return false
	}
	l.add(l.pos(n), "secret", withoutSecrets, "%s contains a private key", what)
	return true
}

func privateKey(t string) bool {
	u := strings.ToUpper(t)
	return strings.Contains(u, "AGE-SECRET-KEY-") || strings.Contains(u, "PRIVATE KEY-----")
}

// line is a field with one line of text.
func (l *loader) line(key string, set func(n ast.Node, t string)) field {
	return field{key, func(n ast.Node) {
		if t, ok := l.text(n, key); ok {
			set(n, t)
		}
	}}
}

// word is a field with one of a few words.
func (l *loader) word(key string, to *string, words ...string) field {
	return l.line(key, func(n ast.Node, t string) {
		if !slices.Contains(words, t) {
			l.add(l.pos(n), "value", choice(t, words), "%s: there is no %q", key, t)
			return
		}
		*to = t
	})
}

func (l *loader) flag(key string, to *bool) field {
	return field{key, func(n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			l.add(l.pos(n), "type", "write true or false", "%s must be true or false, not %s", key, word(n))
			return
		}
		*to = b.Value
	}}
}

func (l *loader) number(n ast.Node, what string, low, high int) int {
	t, ok := l.text(n, what)
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(t)
	if err != nil || v < low || v > high || strings.HasPrefix(t, "+") {
		l.add(l.pos(n), "value", "", "%s: %q is not a whole number from %d to %d", what, t, low, high)
		return 0
	}
	return v
}

// maps reads a list of maps.
func (l *loader) maps(n ast.Node, what string) (out []*ast.MappingNode) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.add(l.pos(n), "type", `write lines that begin with "- "`, "%s must be a list, not %s", what, word(n))
		return nil
	}
	for _, v := range s.Values {
		if m := l.mapping(v, "an entry of "+what); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// entries walks a map whose keys are names.
func (l *loader) entries(n ast.Node, what string, visit func(name string, key ast.Node, body ast.Node)) {
	m := l.mapping(n, what)
	if m == nil {
		return
	}
	for _, entry := range m.Values {
		if name := l.key(entry); name != "" {
			visit(name, entry.Key, entry.Value)
		}
	}
}

// sorted puts problems that were found late where a reader expects them.
func sorted(problems []runbook.Problem) []runbook.Problem {
	slices.SortStableFunc(problems, func(a, b runbook.Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), strings.Compare(a.Msg, b.Msg))
	})
	return problems
}
