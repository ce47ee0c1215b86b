package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
)

// obeyed says what a CI system would take an order from: a line that begins with "::"
// after white space (GitHub), and "##[", "##vso[" and their like anywhere (GitHub,
// Azure).
func obeyed(out string) (bad []string) {
	for _, line := range strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == '\r' }) {
		start := strings.TrimLeftFunc(line, unicode.IsSpace)
		lower := strings.ToLower(line)
		if strings.HasPrefix(start, "::") || strings.Contains(lower, "##[") || strings.Contains(lower, "##vso[") {
			bad = append(bad, line)
		}
	}
	return bad
}

// orders are lines that CI systems obey.
const orders = "::set-env name=PATH::/evil\n  ::add-mask::x\n\u3000::error::y\n##[add-path]/evil\ntext ##[error]z\n##vso[task.setvariable variable=a]b\n##VSO[task.x]\n" +
	"\r::warning::after a return\n###[group]three\n"

func TestTame(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "12:00:00 STEP 1 DONE\n", "12:00:00 STEP 1 DONE\n"},
		{"Markdown", "# One\n## Two [x]\n- [ ] item #[1]\n", "# One\n## Two [x]\n- [ ] item #[1]\n"},
		{"colons inside", "a::b\n x::y::\n", "a::b\n x::y::\n"},
		{"GitHub", "::set-env name=x::y\n", "| ::set-env name=x::y\n"},
		{"GitHub, indented", "  \t::set-env name=x::y\n", "  \t| ::set-env name=x::y\n"},
		{"GitHub, old", "a ##[error]b\n", "a ##(error]b\n"},
		{"Azure", "##vso[task.x]\n", "##vso(task.x]\n"},
		{"JSON", `{"text":"##[error]x ##vso[y]","list":[1]}` + "\n", `{"text":"##\u005berror]x ##vso\u005by]","list":[1]}` + "\n"},
		{"other white space", "\u3000::error::x\n", "\u3000| ::error::x\n"},
		{"no text", "\xff::\x00##[\n", "\xff::\x00##(\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range len(tt.in) { // however it is written
				var out bytes.Buffer
				w := &tame{w: &out}
				for _, part := range []string{tt.in[:cut], tt.in[cut:]} {
					if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
						t.Fatalf("write: %d, %v", n, err)
					}
				}
				if out.String() != tt.want {
					t.Fatalf("cut at %d: %q, want %q", cut, out.String(), tt.want)
				}
				if bad := obeyed(out.String()); bad != nil {
					t.Fatalf("cut at %d: %q is obeyed", cut, bad)
				}
			}
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestTameRemembersFailure(t *testing.T) {
	w := &tame{w: brokenPipe{}}
	if w.failed() != nil {
		t.Error("failed before anything was written")
	}
	w.Write([]byte("x"))
	w.w = &bytes.Buffer{}
	if _, err := w.Write([]byte("y")); err != nil || w.failed() == nil {
		t.Errorf("write: %v, failed: %v", err, w.failed())
	}
}

func FuzzTame(f *testing.F) {
	f.Add(orders, 3)
	f.Add(`{"a":"##[x]"}`, 8)
	f.Add("#\n#[x]", 2)
	f.Add("\u00a0:: ::", 1)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		text = strings.ToValidUTF8(text, "?")
		var out, whole bytes.Buffer
		w := &tame{w: &out}
		cut = max(0, min(cut, len(text)))
		w.Write([]byte(text[:cut]))
		w.Write([]byte(text[cut:]))
		if bad := obeyed(out.String()); bad != nil {
			t.Errorf("%q is obeyed", bad)
		}
		// Valid JSON stays the same JSON.
		var a, b any
		if strings.HasPrefix(strings.TrimSpace(text), "{") && json.Unmarshal([]byte(text), &a) == nil {
			(&tame{w: &whole}).Write([]byte(text))
			if err := json.Unmarshal(whole.Bytes(), &b); err != nil {
				t.Errorf("%q is JSON no more: %v", whole.String(), err)
			}
		}
	})
}

// TestOrders runs steps that print what CI systems obey, as output, as result and as
// failure, and looks at everything that we print about them then and later.
func TestOrders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		exit         int
	}{
		{"success", "cat orders; cat orders >&2; printf '::set-env name=x::y'", exitComplete},
		{"failure", "cat orders; cat orders >&2; printf '::error::%0200d ##[error]x' 7 >&2; exit 3", exitNotComplete},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.write("orders", orders)
			p.book("work", "", tt.script)
			p.write("##[add-path]evil.md", "---\ntitle: \"::error::x\"\nkind: no such\n---\n\n# ::error::x\n")
			out := p.exits(tt.exit, "run", "work", "--yes") + p.exits(tt.exit, "run", "work", "--yes", "--json")
			id := string(p.runs()[0].ID)
			out += p.exits(exitComplete, "show", id, "--logs") + p.exits(exitComplete, "show", id, "--json") +
				p.exits(exitUsage, "lint", "##[add-path]evil.md") + p.exits(exitUsage, "run", "::error::x.md") +
				p.exits(exitUsage, "show", "::error::x") + p.exits(exitUsage, "run", "work", "--param", "\n::error::x=1")
			if bad := obeyed(out); bad != nil {
				t.Errorf("a CI system would obey %q", bad)
			}
			if !strings.Contains(out, "set-env") || !strings.Contains(out, "task.setvariable") {
				t.Errorf("the output of the step is not shown:\n%s", out)
			}
		})
	}
}

// TestOutputOfSteps cuts what a step prints into writes of every size: the lines are the
// same.
func TestOutputOfSteps(t *testing.T) {
	long := strings.Repeat("x", 9000)
	text := "one\ntwo\r\n\n  three  \n" + long + "\nend"
	want := indent + "out| one\n" + indent + "out| two\n" + indent + "out|   three\n" +
		indent + "out| " + long[:8<<10] + "\n" + indent + "out| " + long[8<<10:] + "\n" + indent + "out| end\n"
	for _, size := range []int{1, 2, 7, 4096, len(text)} {
		var out bytes.Buffer
		l := &lines{w: &out}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			l.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		l.flush(l.partial)
		if out.String() != want {
			t.Errorf("in writes of %d bytes: %.200q", size, out.String())
		}
	}
}
