package drill

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
)

// Suffix ends the name of a file that holds a rehearsal.
const Suffix = ".test.yaml"

// Bounds of a file: far above what a person writes.
const (
	maxPrepare = 20
	maxWrites  = 1000
)

var scenarioName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

var outcomes = map[string]run.Outcome{
	"complete": run.Complete, "complete-with-overrides": run.CompleteWithOverrides,
	"not-complete": run.NotComplete, "aborted": run.Aborted,
}

// Load reads a rehearsal. file is how messages name it and gives the scenario its name,
// and its runbook: what stands before the first dot. With problems the scenario is
// incomplete. What it says about its runbook is for [Scenario.Check].
func Load(file string, src []byte) (Scenario, []runbook.Problem) {
	name := strings.TrimSuffix(path.Base(strings.ReplaceAll(file, "\\", "/")), Suffix)
	values, at, problems := runbook.Values(file, src)
	l := &loader{file: file, at: at, problems: problems}
	s := Scenario{Name: name, File: file, Params: map[string]string{}, Answers: map[string]string{}, Expect: run.Complete, at: at,
		Weights: weights(), Pass: passMark}
	s.Runbook, _, _ = strings.Cut(name, ".")
	if !scenarioName.MatchString(name) { // it becomes the name of a directory
		l.bad("", "file-name", "call it NAME"+Suffix+", of letters, digits, \".\", \"_\" and \"-\"", "%q is no name for a test", name)
	}
	if len(l.problems) > 0 {
		return s, l.problems
	}
	l.keys("", "the file", values, map[string]func(path string, v any){
		"title":   l.into(&s.Title),
		"summary": l.into(&s.Summary),
		"runbook": l.into(&s.Runbook),
		"prepare": func(path string, v any) { s.Prepare = l.prepare(path, v) },
		"break":   func(path string, v any) { s.Breakage, s.Damage = l.damage(path, v) },
		"params":  func(path string, v any) { s.Params = l.texts(path, v) },
		"answers": func(path string, v any) { s.Answers = l.texts(path, v) },
		"rto":     func(path string, v any) { s.RTO = l.duration(path, v) },
		"rpo":     func(path string, v any) { s.RPO = l.duration(path, v) },
		"expect":  func(path string, v any) { s.Expect = l.outcome(path, v) },
		"oracle":  func(path string, v any) { s.Oracle = l.script(path, v) },
		"alarm":   l.into(&s.Alarm),
		"injects": func(path string, v any) { s.Injects = l.injects(path, v) },
		"hints":   func(path string, v any) { s.Hints = l.hints(path, v) },
		"score":   func(path string, v any) { l.score(path, v, &s) },
		"team":    func(path string, v any) { s.Team = l.list(path, v) },
		"every":   func(path string, v any) { s.Every = l.days(path, v) },
	})
	for _, key := range []string{"title", "summary"} {
		if _, given := values[key]; !given {
			l.bad("", "missing-key", fmt.Sprintf("add \"%s: …\"", key), "the file has no %s", key)
		}
	}
	if s.Damage != "" && s.Oracle == "" {
		l.bad("break.sh", "missing-key", `add "oracle: {sh: …}", whose script exits with 0 once all is recovered and not before`,
			"nobody can tell whether what this script breaks is recovered")
	}
	return s, l.problems
}

type loader struct {
	file     string
	at       map[string]runbook.Pos
	problems []runbook.Problem
}

func (l *loader) pos(path string) runbook.Pos {
	if p, ok := l.at[path]; ok {
		return p
	}
	return runbook.Pos{File: l.file, Line: 1, Col: 1}
}

func (l *loader) bad(path, code, fix, format string, args ...any) {
	l.problems = append(l.problems, runbook.Problem{Pos: l.pos(path), Severity: runbook.Error, Code: code,
		Msg: printable.Line(fmt.Sprintf(format, args...)), Fix: printable.Line(fix)})
}

// keys hands each key of a mapping to what reads it, in the order of their names.
func (l *loader) keys(at, in string, m map[string]any, want map[string]func(path string, v any)) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		path := strings.TrimPrefix(at+"."+key, ".")
		if read := want[key]; read != nil {
			read(path, m[key])
			continue
		}
		l.bad(path, "unknown-key", hint.Suggest(key, slices.Sorted(maps.Keys(want))), "%s has no key %q", in, key)
	}
}

func (l *loader) mapping(path string, v any, fix string) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		l.bad(path, "type", fix, "%s must be a mapping, this is %s", path, word(v))
	}
	return m, ok
}

// text gives a scalar as it was written.
func (l *loader) text(path string, v any) (string, bool) {
	s := ""
	switch v := v.(type) {
	case string:
		s = v
	case bool:
		s = strconv.FormatBool(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		l.bad(path, "type", "write the text, in quotes where it has special characters", "%s must be text, this is %s", path, word(v))
		return "", false
	}
	if strings.TrimSpace(s) == "" {
		l.bad(path, "value", "write it, or leave the key out", "%s is empty", path)
		return "", false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		l.bad(path, "value", "take it out", "%s holds a control character", path)
		return "", false
	}
	return s, true
}

func (l *loader) into(to *string) func(path string, v any) {
	return func(path string, v any) {
		if s, ok := l.text(path, v); ok {
			*to = strings.Join(strings.Fields(s), " ")
		}
	}
}

// texts reads a mapping of texts, which may use ${sandbox} and ${broken_at}.
func (l *loader) texts(path string, v any) map[string]string {
	out := map[string]string{}
	m, _ := l.mapping(path, v, `write "name: value" lines`)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		sub := path + "." + key
		s, ok := l.text(sub, m[key])
		if !ok {
			continue
		}
		for _, ref := range runbook.Names(s) {
			if ref.Full() != VarSandbox && ref.Full() != VarBrokenAt {
				l.bad(sub, "unknown-name", "use ${"+VarSandbox+"} or ${"+VarBrokenAt+"}; write $${ for a literal ${", "there is no ${%s}", ref.Full())
			}
		}
		if _, err := runbook.Expand(s, func(string) (any, bool) { return "", true }); err != nil {
			l.bad(sub, "value", "write $${ for a literal ${", "%v", err)
		}
		out[key] = s
	}
	return out
}

func (l *loader) duration(path string, v any) time.Duration {
	s, ok := l.text(path, v)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 1000*time.Hour {
		l.bad(path, "value", `write a duration such as "45m" or "4h"`, "%s: %q is no duration above zero", path, s)
		return 0
	}
	return d
}

func (l *loader) outcome(path string, v any) run.Outcome {
	s, _ := l.text(path, v)
	o, ok := outcomes[s]
	if !ok && s != "" {
		l.bad(path, "value", hint.Suggest(s, slices.Sorted(maps.Keys(outcomes))), "no run ends as %q", s)
	}
	return o
}

// damage reads what is broken: a name, or a script.
func (l *loader) damage(path string, v any) (name, script string) {
	if _, ok := v.(map[string]any); ok {
		return "", l.script(path, v)
	}
	name, ok := l.text(path, v)
	var names []string
	for _, b := range sandbox.Breakages() {
		names = append(names, b.Name)
	}
	if ok && !slices.Contains(names, name) {
		l.bad(path, "unknown-breakage", hint.Suggest(name, names)+`; or write {sh: "a script"}`, "there is no breakage %q", name)
	}
	return name, ""
}

func (l *loader) script(path string, v any) string {
	m, ok := l.mapping(path, v, `write {sh: "a script"}`)
	if !ok {
		return ""
	}
	script := ""
	l.keys(path, path, m, map[string]func(path string, v any){"sh": func(path string, v any) {
		script, _ = l.text(path, v)
		if line, msg := runbook.CheckShell(script); msg != "" {
			l.bad(path, "shell-syntax", "mend it; sh -n shows the same", "the shell cannot read line %d of this: %s", line, msg)
		}
	}})
	if _, given := m["sh"]; !given {
		l.bad(path, "missing-key", `write {sh: "a script"}`, "%s has no sh", path)
	}
	return script
}

func (l *loader) prepare(path string, v any) []Preparation {
	list, ok := v.([]any)
	if !ok {
		l.bad(path, "type", "write [one, two]", "%s must be a list, this is %s", path, word(v))
		return nil
	}
	if len(list) > maxPrepare {
		l.bad(path, "value", "make one runbook of them", "%s has %d entries, more than %d", path, len(list), maxPrepare)
		return nil
	}
	var out []Preparation
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		m, ok := v.(map[string]any)
		if !ok {
			name, _ := l.text(at, v)
			out = append(out, Preparation{Runbook: name})
			continue
		}
		var p Preparation
		l.keys(at, "an entry of prepare", m, map[string]func(path string, v any){
			"runbook":     l.into(&p.Runbook),
			"params":      func(path string, v any) { p.Params = l.texts(path, v) },
			"wait-writes": func(path string, v any) { p.Writes = l.count(path, v) },
		})
		_, waits := m["wait-writes"]
		_, runs := m["runbook"]
		if waits == runs || waits && len(m) > 1 {
			l.bad(at, "value", "write a name, {runbook: NAME, params: {…}} or {wait-writes: 20}", "an entry of prepare runs one runbook, or waits")
		}
		out = append(out, p)
	}
	return out
}

func (l *loader) count(path string, v any) int {
	n, ok := v.(int64)
	if !ok || n < 1 || n > maxWrites {
		l.bad(path, "value", "write how many bookings to wait for", "%s must be a number from 1 to %d", path, maxWrites)
		return 0
	}
	return int(n)
}

func word(v any) string {
	switch v.(type) {
	case nil:
		return "empty"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "a single value"
}
