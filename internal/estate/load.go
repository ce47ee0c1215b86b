package estate

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"lifeboat/internal/hint"
	"lifeboat/internal/runbook"
)

// maxSize bounds the file: ten thousand assets fit.
const maxSize = 4 << 20

// maxDepth bounds the brackets that may stand in one another. The file needs three;
// the YAML parser recurses.
const maxDepth = 64

// Load reads the text of a lifeboat.yaml. path is where it lies, also when src comes
// from elsewhere; relative paths in it start from its directory. The estate is nil
// when there are problems, each of which says where it is and how to mend it.
func Load(path string, src []byte) (*Estate, []runbook.Problem) {
	l := &loader{file: path}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, append(l.problems, runbook.Problem{
			Pos: runbook.Pos{File: path}, Severity: runbook.Error, Code: "path", Msg: err.Error(),
		})
	}
	l.estate = Estate{File: abs, Dir: filepath.Dir(abs), Name: filepath.Base(filepath.Dir(abs))}
	l.estate.Encryption.Method = "none"
	l.estate.Levels = DefaultLevels()
	l.tiers = DefaultTiers()
	if root := l.parse(src); root != nil {
		l.root(root)
	}
	for _, check := range l.atEnd {
		check()
	}
	if len(l.problems) > 0 {
		return nil, sorted(l.problems)
	}
	return &l.estate, nil
}

type loader struct {
	file     string
	estate   Estate
	tiers    map[string]Tier
	problems []runbook.Problem
	atEnd    []func() // checks that need the whole file
}

func (l *loader) add(pos runbook.Pos, code, fix, format string, args ...any) {
	l.problems = append(l.problems, runbook.Problem{
		Pos: pos, Severity: runbook.Error, Code: code, Msg: fmt.Sprintf(format, args...), Fix: fix,
	})
}

func (l *loader) pos(n ast.Node) runbook.Pos {
	p := runbook.Pos{File: l.file, Line: 1, Col: 1}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Col = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	return p
}

// parse gives the mapping of the document, nil when there is none or it is unsound.
func (l *loader) parse(src []byte) *ast.MappingNode {
	top := runbook.Pos{File: l.file, Line: 1, Col: 1}
	if len(src) > maxSize {
		l.add(top, "too-large", "", "the file has %d bytes, more than %d", len(src), maxSize)
		return nil
	}
	src = []byte(strings.TrimPrefix(string(src), "\ufeff"))
	if i := badText(src); i >= 0 {
		before := string(src[:i])
		pos := runbook.Pos{File: l.file, Line: strings.Count(before, "\n") + 1,
			Col: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1}
		l.add(pos, "encoding", "save the file as UTF-8", "byte 0x%02x is not text in UTF-8", src[i])
		return nil
	}
	if i := tooDeep(src); i >= 0 {
		l.add(runbook.Pos{File: l.file, Line: strings.Count(string(src[:i]), "\n") + 1, Col: 1}, "syntax", "",
			"more than %d levels of nesting", maxDepth)
		return nil
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		pos, msg := top, err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			msg = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				pos.Line, pos.Col = t.Position.Line, t.Position.Column
			}
		}
		l.add(pos, "syntax", `write "key: value" lines; put text with special characters in quotes`, "%s", msg)
		return nil
	}
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) == 0 {
		l.add(top, "empty", "name at least one asset under \"assets:\"", "the file says nothing")
		return nil
	}
	if len(bodies) > 1 {
		l.add(l.pos(bodies[1]), "syntax", "remove the line \"---\"", "a second document begins here")
		return nil
	}
	return l.mapping(bodies[0], "the file")
}

// addErr reports an error with the advice that it carries.
func (l *loader) addErr(n ast.Node, err error) {
	l.add(l.pos(n), "value", strings.Join(hint.All(err), "; "), "%v", err)
}

// badText is the offset of the first byte that is no UTF-8 text, or -1.
func badText(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size <= 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// tooDeep is the offset at which nesting passes maxDepth, or -1. It counts brackets
// and indentation without understanding quotes, which is enough for a bound that
// honest files stay far below.
func tooDeep(src []byte) int {
	depth, dashes, indents := 0, 0, []int{}
	start := true
	column := 0
	for i, b := range src {
		if b == '\n' {
			start, column, dashes = true, 0, 0
			continue
		}
		if start && b != ' ' {
			for len(indents) > 0 && indents[len(indents)-1] >= column {
				indents = indents[:len(indents)-1]
			}
			if b != '#' {
				indents = append(indents, column)
			}
			start = false
		}
		column++
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?':
			if i+1 < len(src) && (src[i+1] == ' ' || src[i+1] == '\t') {
				dashes++
			}
		}
		if depth > maxDepth || len(indents) > maxDepth || dashes > maxDepth {
			return i
		}
	}
	return -1
}

// field is one key of a mapping with what to do with its value.
type field struct {
	name string
	set  func(n ast.Node)
}

// fields walks a mapping and reports keys that are not among want.
func (l *loader) fields(m *ast.MappingNode, in string, want []field) (seen map[string]ast.Node) {
	seen = map[string]ast.Node{}
	for _, entry := range m.Values {
		key := l.key(entry)
		if key == "" {
			continue
		}
		i := slices.IndexFunc(want, func(f field) bool { return f.name == key })
		if i < 0 {
			var names []string
			for _, f := range want {
				names = append(names, f.name)
			}
			fix := "the keys of " + in + " are " + strings.Join(names, ", ")
			if near := hint.Nearest(key, names); near != "" {
				fix = fmt.Sprintf("did you mean %q?", near)
			}
			l.add(l.pos(entry.Key), "unknown-key", fix, "%s has no key %q", in, key)
			continue
		}
		seen[key] = entry.Key
		want[i].set(entry.Value)
	}
	return seen
}

// key gives the text of a key, "" after having reported one that is no plain text.
func (l *loader) key(entry *ast.MappingValueNode) string {
	switch entry.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if key := entry.Key.GetToken().Value; key != "" {
			return key
		}
	}
	l.add(l.pos(entry.Key), "key", "write a plain word", "this key is not plain text")
	return ""
}

func (l *loader) mapping(n ast.Node, what string) *ast.MappingNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}
	}
	l.add(l.pos(n), "type", "write \"key: value\" lines", "%s must be a map, not %s", what, word(n))
	return nil
}

// text gives the text of a scalar exactly as written, so that a branch called 1.0 or
// "on" keeps its name.
func (l *loader) text(n ast.Node, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, l.plain(n, n.Value, what)
	case *ast.LiteralNode:
		return n.Value.Value, l.plain(n, n.Value.Value, what)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	l.add(l.pos(n), "type", "", "%s must be text, not %s", what, word(n))
	return "", false
}

// plain reports empty text and control characters.
func (l *loader) plain(n ast.Node, s, what string) bool {
	if l.holdsSecret(n, s, what) {
		return false
	}
	if strings.TrimSpace(s) == "" {
		l.add(l.pos(n), "value", "", "%s is empty", what)
		return false
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		l.add(l.pos(n), "value", "", "%s contains a line break or control character", what)
		return false
	}
	return true
}

func (l *loader) list(n ast.Node, what string) (texts []string, nodes []ast.Node) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		l.add(l.pos(n), "type", "write [one, two]", "%s must be a list, not %s", what, word(n))
		return nil, nil
	}
	for _, v := range s.Values {
		if t, ok := l.text(v, "an entry of "+what); ok {
			if slices.Contains(texts, t) {
				l.add(l.pos(v), "duplicate", "remove one", "%q is listed twice in %s", t, what)
			}
			texts, nodes = append(texts, t), append(nodes, v)
		}
	}
	return texts, nodes
}

func word(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which this file does not have"
	case *ast.TagNode:
		return "a tagged value, which this file does not have"
	}
	return "a single value"
}

var assetName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (l *loader) root(m *ast.MappingNode) {
	var assets ast.Node
	seen := l.fields(m, "the file", []field{
		l.line("name", func(_ ast.Node, t string) { l.estate.Name = t }),
		l.line("vault", func(n ast.Node, t string) { l.estate.Vault = l.vaultURL(n, "vault", t) }),
		{"copies", l.copies},
		{"encryption", l.encryption},
		{"retention", l.retention},
		{"alerts", l.alerts},
		{"schedule", l.schedules},
		{"drills", l.drills},
		{"apps", l.apps},
		{"tiers", l.readTiers},
		{"assets", func(n ast.Node) { assets = n }},
		{"documents", l.documents},
		{"contacts", l.contacts},
		{"responders", func(n ast.Node) { l.estate.Responders, _ = l.list(n, "responders") }},
		{"trainees", func(n ast.Node) { l.estate.Trainees, _ = l.list(n, "trainees") }},
		{"levels", l.levels},
		l.flag("read_only", &l.estate.ReadOnly),
	})
	if seen["assets"] == nil {
		l.add(runbook.Pos{File: l.file, Line: 1, Col: 1}, "missing-key", "add \"assets:\" with at least one asset",
			"the file has no key \"assets\"")
		return
	}
	am := l.mapping(assets, "assets")
	if am == nil {
		return
	}
	for _, entry := range am.Values {
		name := l.key(entry)
		if name == "" {
			continue
		}
		if !assetName.MatchString(name) {
			l.add(l.pos(entry.Key), "value", "use lower-case letters, digits, \".\", \"_\" and \"-\"",
				"%q is no name for an asset", name)
			continue
		}
		if body := l.mapping(entry.Value, fmt.Sprintf("asset %q", name)); body != nil {
			l.asset(name, entry, body)
		}
	}
	if len(am.Values) == 0 {
		l.add(l.pos(assets), "value", "add at least one asset", "assets is empty")
	}
}

func (l *loader) readTiers(n ast.Node) {
	m := l.mapping(n, "tiers")
	if m == nil {
		return
	}
	var want []field
	for _, name := range tierNames {
		want = append(want, field{name, func(n ast.Node) {
			body := l.mapping(n, fmt.Sprintf("tier %q", name))
			if body == nil {
				return
			}
			t := l.tiers[name]
			l.fields(body, fmt.Sprintf("tier %q", name), []field{
				{"rto", func(n ast.Node) { t.RTO = l.duration(n, "rto") }},
				{"rpo", func(n ast.Node) { t.RPO = l.duration(n, "rpo") }},
			})
			l.tiers[name] = t
		}})
	}
	l.fields(m, "tiers", want)
}

// copies reads further buckets. The same bucket twice would be one copy that counts twice.
func (l *loader) copies(n ast.Node) {
	texts, nodes := l.list(n, "copies")
	for i, t := range texts {
		u := l.vaultURL(nodes[i], "copies", t)
		if u == "" {
			continue
		}
		if slices.ContainsFunc(l.estate.Copies, func(o string) bool { return o != u && sameBucket(o, u) }) {
			l.add(l.pos(nodes[i]), "duplicate", "remove one", "%q is listed twice in copies", show(t))
		}
		l.estate.Copies = append(l.estate.Copies, u)
	}
	l.atEnd = append(l.atEnd, func() {
		switch {
		case len(texts) > 0 && l.estate.Vault == "":
			l.add(l.pos(n), "missing-key", `add "vault:"`, "copies of what? There is no vault")
		case slices.ContainsFunc(l.estate.Copies, func(u string) bool { return sameBucket(u, l.estate.Vault) }):
			l.add(l.pos(n), "duplicate", "name another bucket, best of another provider", "copies names the vault itself")
		}
	})
}

// sameBucket says whether two addresses lead to one place. What else the query says, as
// the region or create=1, is about the way there; another endpoint is another service.
func sameBucket(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil {
		return false
	}
	y, err := url.Parse(b)
	place := func(u *url.URL) string {
		return u.Scheme + "://" + u.Host + "/" + strings.Trim(path.Clean("/"+u.Path), "/") + "?" + u.Query().Get("endpoint")
	}
	return err == nil && place(x) == place(y) && x.Scheme != "mem"
}

var duration = regexp.MustCompile(`^(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(.*)$`)

// parseDuration reads what time.ParseDuration does, with days and weeks before it: "90d",
// "1w", "1d12h". It is above zero and at most a hundred years.
func parseDuration(t string) (time.Duration, bool) {
	m := duration.FindStringSubmatch(t)
	if m == nil {
		return 0, false
	}
	const most = 36525 * day
	var sum time.Duration
	for i, unit := range []time.Duration{7 * day, day} {
		if m[i+1] != "" {
			n, err := strconv.Atoi(m[i+1])
			if err != nil || time.Duration(n) > most/unit {
				return 0, false
			}
			sum += time.Duration(n) * unit
		}
	}
	if m[3] != "" {
		d, err := time.ParseDuration(m[3])
		if err != nil || d < 0 || d > most || m[3] == "0" && sum > 0 {
			return 0, false
		}
		sum += d
	}
	return sum, sum > 0 && sum <= most
}

func (l *loader) duration(n ast.Node, what string) time.Duration {
	t, ok := l.text(n, what)
	if !ok {
		return 0
	}
	d, ok := parseDuration(t)
	if !ok {
		l.add(l.pos(n), "value", `write a duration such as "15m", "4h" or "90d"`, "%s: %q is not a duration above zero", what, t)
		return 0
	}
	return d
}
