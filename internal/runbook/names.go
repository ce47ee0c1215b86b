package runbook

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/secret"
)

// Ref is a reference ${name} or ${name.field} in a text.
type Ref struct {
	Name, Field string // Field is empty, or "a.b" for a deeper one
	Start, End  int    // byte offsets of ${ and behind }
}

// Full gives the reference as it is written between the braces.
func (r Ref) Full() string {
	if r.Field == "" {
		return r.Name
	}
	return r.Name + "." + r.Field
}

var reference = regexp.MustCompile(`^([a-z][a-z0-9_]*)((?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*)$`)

// Names finds the references in a text. $${ stands for a literal ${ and is none.
func Names(text string) []Ref {
	refs, _ := references(text)
	return refs
}

// references finds the references, and the offset of the first ${ that is none and no
// escape, or -1.
func references(text string) (refs []Ref, bad int) {
	bad = -1
	for i := 0; ; {
		n := strings.Index(text[i:], "${")
		if n < 0 {
			return refs, bad
		}
		at := i + n
		i = at + 2
		if at > 0 && text[at-1] == '$' {
			continue
		}
		end := strings.IndexAny(text[i:], "}\n")
		if end >= 0 && end <= 200 && text[i+end] == '}' {
			if m := reference.FindStringSubmatch(text[i : i+end]); m != nil {
				i += end + 1
				refs = append(refs, Ref{m[1], strings.TrimPrefix(m[2], "."), at, i})
				continue
			}
		}
		if bad < 0 {
			bad = at
		}
	}
}

// Expand substitutes references in the scalars of a decoded value: text, lists and
// maps of it, other types stay. A text that is exactly one reference becomes the value
// with its type; inside longer text the value must be a scalar. A secret makes the
// whole text a secret. value itself is not changed. An unknown name is an error that
// says which.
func Expand(value any, lookup func(name string) (any, bool)) (any, error) {
	switch v := value.(type) {
	case string:
		return expandText(v, lookup)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, err := Expand(e, lookup)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i+1, err)
			}
			out[i] = x
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			x, err := Expand(v[k], lookup)
			if err != nil {
				return nil, fmt.Errorf("key %q: %w", k, err)
			}
			out[k] = x
		}
		return out, nil
	}
	return value, nil
}

func expandText(text string, lookup func(name string) (any, bool)) (any, error) {
	refs, bad := references(text)
	if bad >= 0 {
		return nil, fmt.Errorf("%q is no reference; write $${ for a literal ${", clip(text[bad:]))
	}
	var out strings.Builder
	last, hidden := 0, false
	for _, r := range refs {
		v, ok := lookup(r.Full())
		if !ok {
			return nil, fmt.Errorf("there is no value for ${%s}", r.Full())
		}
		if r.Start == 0 && r.End == len(text) {
			return v, nil
		}
		out.WriteString(literal(text[last:r.Start]))
		switch v := v.(type) {
		case secret.String:
			hidden = true
			out.WriteString(v.Reveal())
		default:
			s, ok := inline(v)
			if !ok {
				return nil, fmt.Errorf("the value of ${%s} is no single value and cannot stand inside text", r.Full())
			}
			out.WriteString(s)
		}
		last = r.End
	}
	out.WriteString(literal(text[last:]))
	if hidden {
		return secret.New(out.String()), nil
	}
	return out.String(), nil
}

func literal(s string) string { return strings.ReplaceAll(s, "$${", "${") }

// inline gives the text of a scalar.
func inline(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int, int32, uint, uint32, uint64:
		return fmt.Sprint(v), true
	}
	return "", false
}
