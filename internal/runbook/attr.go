package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/hint"
)

var (
	paramName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	stepID     = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}\p{M}_-]*$`) // of 64 characters at most, see validID
	actionName = regexp.MustCompile(`^[a-z]+\.[a-z-]+$`)
	bookName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

// validID says whether a step may be called so; every id that a heading gives is one. It
// counts the characters itself: as a bound in the expression that costs every
// start of the program several milliseconds.
func validID(s string) bool {
	return utf8.RuneCountInString(s) <= 64 && stepID.MatchString(s) && s == strings.ToLower(s)
}

// attribute is one word of an info string. Offsets are those of the document.
type attribute struct {
	key, value string
	flag       bool // no "="
	at, valAt  int
}

var attributeNames = []string{"effect", "timeout", "retry", "save", "when", "else", "optional", "interactive",
	"id", "target", "stop", "drill", "before", "verify", "probe", "undo"}

// shellWord says whether the first word of an info string opens a shell block.
func shellWord(word string) bool {
	switch strings.ToLower(word) {
	case "sh", "bash", "shell", "console":
		return true
	}
	return false
}

// actionWord says whether the first word of an info string opens an action block.
func actionWord(word string) bool {
	return shellWord(word) || word == Include || word == Choose || actionName.MatchString(word)
}

// attributes splits what follows the first word of an info string. at is the offset
// of rest in the document.
func (p *parser) attributes(rest string, at int, plain bool) []attribute {
	var out []attribute
	for i := 0; i < len(rest); {
		if rest[i] == ' ' || rest[i] == '\t' {
			i++
			continue
		}
		if plain && rest[i] == '{' { // {linenos=true}: other tools' attributes
			return out
		}
		a := attribute{at: at + i}
		n := strings.IndexAny(rest[i:], "= \t")
		if n < 0 {
			n = len(rest) - i
		}
		a.key = rest[i : i+n]
		i += n
		if a.flag = i >= len(rest) || rest[i] != '='; !a.flag {
			i++
			a.valAt = at + i
			value, n, ok := attributeValue(rest[i:])
			if !ok {
				p.errorAt(a.valAt, "attribute-quote", fmt.Sprintf("the quote after %s= is not closed", a.key), `close it with " on the same line`)
				return out
			}
			a.value = value
			i += n
		}
		out = append(out, a)
	}
	return out
}

// attributeValue reads a value: a word, or text in double quotes where \" and \\ stand
// for a quote and a backslash. n is the number of bytes read.
func attributeValue(s string) (value string, n int, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		if n = strings.IndexAny(s, " \t"); n < 0 {
			n = len(s)
		}
		return s[:n], n, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", 0, false
}

// apply stores the attributes in the block and reports those it cannot.
func (p *parser) apply(b *Block, attrs []attribute) {
	for _, a := range attrs {
		if p.book.Plain && !slices.Contains(attributeNames, a.key) {
			continue // a page written for other tools
		}
		if _, twice := b.AttrPos[a.key]; twice {
			p.errorAt(a.at, "attribute-twice", fmt.Sprintf("attribute %q is given twice", a.key), "keep one of them")
			continue
		}
		pos := p.lines.pos(a.at)
		if msg, fix := b.set(a); msg != "" {
			code := "bad-attribute"
			if fix == "" {
				code, fix = "unknown-attribute", hint.Suggest(a.key, attributeNames)
			} else if a.valAt > 0 {
				pos = p.lines.pos(a.valAt)
			}
			p.problem(Problem{pos, Error, code, msg, fix})
			continue
		}
		b.AttrPos[a.key] = pos
		if a.key == string(b.Role) {
			b.AttrPos["role"] = pos
		}
	}
	if pos, ok := b.AttrPos["before"]; ok && b.Role != Verify {
		p.problem(Problem{pos, Error, "bad-attribute", "before= works only on a verify block", "take it away; it says that a check may pass before its step has done anything"})
	}
	if b.Action != Include && b.Action != Choose {
		return
	}
	for _, name := range []string{"effect", "timeout", "retry", "interactive", "target", "stop", "verify", "probe", "undo"} {
		if pos, ok := b.AttrPos[name]; ok {
			p.problem(Problem{pos, Error, "bad-attribute", fmt.Sprintf("%s means nothing on a %s block", name, b.Action), "take it away"})
		}
	}
}

// set stores one attribute. An empty fix with a message means that there is no such
// attribute.
func (b *Block) set(a attribute) (msg, fix string) {
	switch a.key {
	case "verify", "probe", "undo", "optional", "interactive":
		return b.setFlag(a)
	}
	if a.flag && slices.Contains(attributeNames, a.key) {
		return fmt.Sprintf("attribute %q needs a value", a.key), fmt.Sprintf("write %s=…", a.key)
	}
	bad := func(want string) (string, string) {
		return fmt.Sprintf("%s=%q is not %s", a.key, a.value, want), "write " + map[string]string{
			"effect": "effect=read, effect=write or effect=destroy", "timeout": "timeout=90s, timeout=5m or timeout=none",
			"retry": "retry=3", "save": "save=name, of lower case letters, digits and _", "else": "else=step-id",
			"id": "id=short-name, of lower case letters, digits and -", "drill": "drill=skip", "before": "before=pass",
			"when": `when="branch == 'main'"`, "target": `target="what it changes"`, "stop": `stop="is it safe to stop in the middle?"`,
		}[a.key]
	}
	if a.value == "" && slices.Contains(attributeNames, a.key) {
		return bad("a value")
	}
	switch a.key {
	case "effect":
		if !slices.Contains([]string{"read", "write", "destroy"}, a.value) {
			return bad("an effect")
		}
		b.Effect = a.value
	case "timeout":
		if a.value == "none" {
			b.Unlimited = true
			break
		}
		d, err := duration(a.value)
		if err != nil {
			return bad("a duration")
		}
		b.Timeout = d
	case "retry":
		n, err := strconv.Atoi(a.value)
		if err != nil || n < 0 || n > 100 {
			return bad("a number from 0 to 100")
		}
		b.Retry = n
	case "save":
		if !paramName.MatchString(a.value) {
			return bad("a name")
		}
		b.Save = a.value
	case "else", "id":
		if !validID(a.value) {
			return bad("a step id")
		}
		if a.key == "id" {
			b.ID = a.value
		} else {
			b.Else = a.value
		}
	case "drill":
		if a.value != "skip" {
			return bad("known")
		}
		b.DrillSkip = true
	case "before":
		if a.value != "pass" {
			return bad("known")
		}
		b.BeforePass = true
	case "when":
		b.When = a.value
	case "target":
		b.Target = a.value
	case "stop":
		b.Stop = a.value
	default:
		return fmt.Sprintf("there is no attribute %q", a.key), ""
	}
	return "", ""
}

func (b *Block) setFlag(a attribute) (msg, fix string) {
	if !a.flag {
		return fmt.Sprintf("attribute %q takes no value", a.key), fmt.Sprintf("write %s alone", a.key)
	}
	switch a.key {
	case "optional":
		b.Optional = true
	case "interactive":
		b.Interactive = true
	default:
		if b.Role != Do {
			return fmt.Sprintf("a block cannot be %s and %s", b.Role, a.key), "give it one role"
		}
		b.Role = Role(a.key)
	}
	return "", ""
}

var daysAndRest = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)

// duration reads "90s", "12h", "30d" and "1d12h"; it must be more than zero.
func duration(s string) (time.Duration, error) {
	var days time.Duration
	if m := daysAndRest.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 36500 {
			return 0, fmt.Errorf("duration %q is too long", s)
		}
		days = time.Duration(n) * 24 * time.Hour
		if s = m[2]; s == "" && days > 0 {
			return days, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days+d <= 0 {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return days + d, nil
}
