package runbook

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/secret"
)

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"no $name, $5, {x}":          "",
		"${a}":                       "a@0-4",
		"x ${branch} ${good.commit}": "branch@2-11 good.commit@12-26",
		"$${a} $$${b}":               "",
		"${a}${b}":                   "a@0-4 b@4-8",
		"${A} ${} ${a b} ${a":        "",
		"${a ${b}":                   "b@4-8",
		"${a.b.c-d}":                 "a.b.c-d@0-10",
		"é ${a}":                     "a@3-7",
	} {
		var got []string
		for _, r := range Names(text) {
			got = append(got, fmt.Sprintf("%s@%d-%d", r.Full(), r.Start, r.End))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Names(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	values := map[string]any{"s": "main", "n": int64(7), "f": 1.5, "b": true, "list": []string{"a", "b"}, "good.commit": "3f2a",
		"hostile": "$(touch pwned) ${s} `x`\n\"", "token": secret.New("hunter2"), "nil": nil}
	lookup := func(name string) (any, bool) { v, ok := values[name]; return v, ok }
	for _, c := range []struct{ in, want any }{
		{"plain", "plain"},
		{"${n}", int64(7)},
		{"${list}", []string{"a", "b"}},
		{"${s}-${n}-${f}-${b}", "main-7-1.5-true"},
		{"at ${good.commit}", "at 3f2a"},
		{"$${s} and ${s}", "${s} and main"},
		{"${hostile}!", "$(touch pwned) ${s} `x`\n\"!"},
		{int64(3), int64(3)},
		{[]any{"${s}", []any{"x${n}"}}, []any{"main", []any{"x7"}}},
		{map[string]any{"${s}": "${s}", "k": map[string]any{"x": "${b}"}}, map[string]any{"${s}": "main", "k": map[string]any{"x": true}}},
		{"${token}", secret.New("hunter2")},
		{"https://x:${token}@host", secret.New("https://x:hunter2@host")},
		{nil, nil},
	} {
		got, err := Expand(c.in, lookup)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Expand(%#v) = %#v, %v, want %#v", c.in, got, err, c.want)
		}
	}
	for in, want := range map[string]string{
		"${none}": "${none}", "x ${good.none}": "${good.none}", "x ${list}": "${list}", "${HOME}": "$${", "a ${": "$${", "x ${nil}": "${nil}",
	} {
		if got, err := Expand(map[string]any{"key": []any{in}}, lookup); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"key"`) {
			t.Errorf("Expand(%q) = %v, %v, want an error with %q and the key", in, got, err, want)
		}
	}
}

func TestExpandLeavesItsInput(t *testing.T) {
	in := map[string]any{"a": []any{"${x}"}}
	if _, err := Expand(in, func(string) (any, bool) { return "y", true }); err != nil {
		t.Fatal(err)
	}
	if in["a"].([]any)[0] != "${x}" {
		t.Errorf("input is now %v", in)
	}
}

// TestExpandValuesAreNotReadAgain: what a value holds is never taken for a reference.
func TestExpandValuesAreNotReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`([a-z$\{\}\n.]|\$\{a\}|\$\$\{)*`).Draw(t, "value")
		got, err := Expand("<${a}|${a}>", func(string) (any, bool) { return value, true })
		if want := "<" + value + "|" + value + ">"; err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	})
}
