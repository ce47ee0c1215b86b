package drill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// What a scenario has that does not say otherwise.
const (
	passMark     = 80 // per cent
	hintCost     = 4  // points
	injectWithin = 5 * time.Minute
	injectPoints = 5
)

// Bounds of a file: far above what a person writes.
const (
	maxInjects = 50
	maxHints   = 20 // of a step
	maxPoints  = 1000
)

// weights of the criteria. Injects bring their own points, and what does not apply to a
// drill is left out of it.
func weights() map[string]int {
	return map[string]int{run.RightRunbook: 20, run.InsideRTO: 25, run.InsideRPO: 15, run.ChecksRead: 15, run.GatesTyped: 5, run.TeamTold: 5}
}

// injects reads what happens to the trainee.
func (l *loader) injects(path string, v any) []run.Inject {
	list, ok := v.([]any)
	if !ok {
		l.bad(path, "type", `write a list of {when: {ends: STEP}, from: …, says: "…", look-for: […], answer: "…"}`, "%s must be a list, this is %s", path, word(v))
		return nil
	}
	if len(list) > maxInjects {
		l.bad(path, "value", "nobody can answer that many", "%s has %d entries, more than %d", path, len(list), maxInjects)
		return nil
	}
	var out []run.Inject
	names := map[string]bool{}
	for n, v := range list {
		at := fmt.Sprintf("%s[%d]", path, n)
		i := run.Inject{Name: strconv.Itoa(n + 1), Within: injectWithin, Points: injectPoints}
		if m, ok := l.mapping(at, v, `write {when: …, from: …, says: "…", …}`); ok {
			l.inject(at, m, &i)
		}
		if names[i.Name] {
			l.bad(at+".name", "duplicate-name", "give it another name", "another inject is called %q", i.Name)
		}
		names[i.Name] = true
		out = append(out, i)
	}
	return out
}

func (l *loader) inject(at string, m map[string]any, i *run.Inject) {
	l.keys(at, "an inject", m, map[string]func(path string, v any){
		"name":     l.into(&i.Name),
		"when":     func(path string, v any) { l.when(path, v, i) },
		"from":     l.into(&i.From),
		"says":     l.into(&i.Text),
		"ask":      l.into(&i.Ask),
		"look-for": func(path string, v any) { i.Words = l.words(path, v) },
		"choices":  func(path string, v any) { i.Choices = l.list(path, v) },
		"right":    func(path string, v any) { i.Right = l.number(path, v, 1, 9) },
		"answer":   l.into(&i.Model),
		"within":   func(path string, v any) { i.Within = l.duration(path, v) },
		"points":   func(path string, v any) { i.Points = l.number(path, v, 0, maxPoints) },
	})
	for _, key := range []string{"when", "from", "says"} {
		if _, given := m[key]; !given {
			l.bad(at, "missing-key", fmt.Sprintf("add \"%s: …\"", key), "%s has no %s", at, key)
		}
	}
	_, words := m["look-for"]
	_, choices := m["choices"]
	switch {
	case words == choices:
		l.bad(at, "value", "write look-for: [[words, of], [which, one]], or choices: [one, two] and right: 2", "%s needs to know what a good answer is", at)
	case choices && (i.Right < 1 || i.Right > len(i.Choices) || len(i.Choices) > 9):
		l.bad(at, "value", "write right: with the number of one of up to nine choices", "%s has %d choices, and number %d is the right one", at, len(i.Choices), i.Right)
	case choices:
		i.Model = i.Choices[i.Right-1]
	case i.Model == "":
		l.bad(at, "missing-key", `add "answer: …", a good answer in full: it is shown after the drill, and --auto gives it`, "%s has no answer", at)
	case len(i.Words) > 0 && !Right(*i, i.Model):
		l.bad(at+".answer", "bad-answer", "let it hold one of each group of look-for", "the answer of %s misses what look-for asks for", at)
	}
}

// when reads the moment of an inject.
func (l *loader) when(path string, v any, i *run.Inject) {
	m, ok := l.mapping(path, v, "write {begins: STEP}, {ends: STEP} or {after: 5m}")
	if !ok {
		return
	}
	step := func(ended bool) func(path string, v any) {
		return func(path string, v any) {
			l.into(&i.Step)(path, v)
			i.Ended = ended
		}
	}
	l.keys(path, path, m, map[string]func(path string, v any){
		"begins": step(false), "ends": step(true),
		"after": func(path string, v any) { i.After = l.duration(path, v) },
	})
	if _, begins := m["begins"]; len(m) == 0 || begins && m["ends"] != nil {
		l.bad(path, "value", "write {begins: STEP}, {ends: STEP} or {after: 5m}; a step may go with after", "%s names no moment, or two", path)
	}
}

// words reads groups of words: a good answer has one of each group.
func (l *loader) words(path string, v any) [][]string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		l.bad(path, "type", "write [[stop, freeze], [main]]: one of each group has to be in a good answer", "%s must be a list, this is %s", path, word(v))
		return nil
	}
	var out [][]string
	for n, v := range list {
		at := fmt.Sprintf("%s[%d]", path, n)
		if _, group := v.([]any); group {
			out = append(out, l.list(at, v))
			continue
		}
		if s, ok := l.text(at, v); ok {
			out = append(out, []string{s})
		}
	}
	return out
}

// list reads a list of texts.
func (l *loader) list(path string, v any) []string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		l.bad(path, "type", "write [one, two]", "%s must be a list, this is %s", path, word(v))
		return nil
	}
	var out []string
	for n, v := range list {
		if s, ok := l.text(fmt.Sprintf("%s[%d]", path, n), v); ok {
			out = append(out, strings.Join(strings.Fields(s), " "))
		}
	}
	return out
}

// hints reads help per step.
func (l *loader) hints(path string, v any) []run.Hint {
	m, ok := l.mapping(path, v, `write "step: [{text: …, cost: 4}]" lines`)
	if !ok {
		return nil
	}
	var out []run.Hint
	for _, step := range slices.Sorted(maps.Keys(m)) {
		at := path + "." + step
		list, ok := m[step].([]any)
		if !ok {
			list = []any{m[step]}
		} else if len(list) > maxHints {
			l.bad(at, "value", "write them into the runbook", "%s has %d hints, more than %d", at, len(list), maxHints)
			continue
		}
		for n, v := range list {
			h, sub := run.Hint{Step: step, Cost: hintCost}, at
			if ok {
				sub = fmt.Sprintf("%s[%d]", at, n)
			}
			if one, ok := v.(map[string]any); ok {
				l.keys(sub, "a hint", one, map[string]func(path string, v any){
					"text": l.into(&h.Text), "cost": func(path string, v any) { h.Cost = l.number(path, v, 0, maxPoints) },
				})
				if _, given := one["text"]; !given {
					l.bad(sub, "missing-key", `add "text: …"`, "%s has no text", sub)
				}
			} else {
				l.into(&h.Text)(sub, v)
			}
			out = append(out, h)
		}
	}
	return out
}

// score reads weights and pass mark.
func (l *loader) score(path string, v any, s *Scenario) {
	m, ok := l.mapping(path, v, "write {pass: 80, rto: 25, checks: 15}")
	if !ok {
		return
	}
	read := map[string]func(path string, v any){"pass": func(path string, v any) { s.Pass = l.number(path, v, 1, 100) }}
	for criterion := range s.Weights {
		read[criterion] = func(path string, v any) { s.Weights[criterion] = l.number(path, v, 0, maxPoints) }
	}
	l.keys(path, path, m, read)
}

func (l *loader) number(path string, v any, least, most int64) int {
	n, ok := v.(int64)
	if !ok || n < least || n > most {
		l.bad(path, "value", "write such a number", "%s must be a number from %d to %d", path, least, most)
		return 0
	}
	return int(n)
}

// days reads a duration that may be written in days, such as 90d.
func (l *loader) days(path string, v any) time.Duration {
	if s, ok := v.(string); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(s, "d")); err == nil && strings.HasSuffix(s, "d") && n > 0 && n <= 3660 {
			return time.Duration(n) * 24 * time.Hour
		}
	}
	l.bad(path, "value", `write a number of days such as "90d"`, "%s is no number of days", path)
	return 0
}

// steps holds what a scenario says about steps against those of its runbook.
func (l *loader) steps(s Scenario, a answerable) {
	known := slices.Sorted(maps.Keys(a.ids))
	check := func(path, id string) {
		if id != "" && a.ids[id] == nil {
			l.bad(path, "unknown-step", hint.Suggest(id, known), "no step is called %q", id)
		}
	}
	for n, i := range s.Injects {
		key := "begins"
		if i.Ended {
			key = "ends"
		}
		check(fmt.Sprintf("injects[%d].when.%s", n, key), i.Step)
	}
	for n, h := range s.Hints {
		if n == 0 || s.Hints[n-1].Step != h.Step {
			check("hints."+h.Step, h.Step)
		}
	}
	for n, id := range s.Team {
		check(fmt.Sprintf("team[%d]", n), id)
	}
}

// Right says whether an answer to an inject has what a good one has: the right choice, by
// its number or its text, or a word of each group, in any case and anywhere a word begins.
func Right(i run.Inject, answer string) bool {
	answer = " " + plainWords(answer) + " "
	if len(i.Choices) > 0 {
		return strings.TrimSpace(answer) == strconv.Itoa(i.Right) || strings.TrimSpace(answer) == plainWords(i.Choices[i.Right-1])
	}
	for _, group := range i.Words {
		if !slices.ContainsFunc(group, func(w string) bool { return strings.Contains(answer, " "+plainWords(w)) }) {
			return false
		}
	}
	return true
}

// plainWords makes text comparable: lower case, one blank between words, no punctuation
// around them.
func plainWords(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return strings.ContainsRune(" \t\n\r,;!?\"'()[]", r)
	})
	for i := range words {
		words[i] = strings.Trim(words[i], ".:-/")
	}
	return strings.Join(words, " ")
}

// Answered makes the record of an answer to an inject: what it earns follows from what
// it says and how long it took. One that is right but late earns half.
func Answered(i run.Inject, by, text string, took time.Duration) run.InjectAnswer {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n >= 1 && n <= len(i.Choices) {
		text = i.Choices[n-1]
	}
	a := run.InjectAnswer{Inject: i.Name, By: by, Text: text, Took: max(took, 0), Right: Right(i, text)}
	a.Late = i.Within > 0 && a.Took > i.Within
	switch {
	case a.Right && a.Late:
		a.Points = i.Points / 2
	case a.Right:
		a.Points = i.Points
	}
	return a
}

// Cast says who is in a drill, and how it begins.
type Cast struct {
	Trainee, Facilitator string
	Auto                 bool
	Symptoms             bool          // the trainee began from the alarm
	Found                time.Duration // from the alarm to the right runbook
	Tried                []string      // wrong runbooks before
	RTO, RPO             time.Duration // of the asset, 0: none
	Every                time.Duration // how long it holds, where the scenario does not say
}

// Setup is what goes on record when a drill of the scenario begins. Criteria that mean
// nothing for it are left out.
func (s Scenario) Setup(c Cast, steps []run.Outline) run.DrillSetup {
	d := run.DrillSetup{
		Scenario: s.Name, Title: s.Title, Trainee: c.Trainee, Facilitator: c.Facilitator, Auto: c.Auto,
		Injects: s.Injects, Hints: s.Hints, Team: s.Team, RTO: c.RTO, RPO: c.RPO, Every: cmp.Or(s.Every, c.Every),
	}
	if s.RTO > 0 {
		d.RTO = s.RTO
	}
	if s.RPO > 0 {
		d.RPO = s.RPO
	}
	if c.Auto { // what a script can do says nothing about people
		d.Every = 0
	}
	if c.Symptoms {
		d.Alarm, d.Found, d.Tried = s.Alarm, c.Found, c.Tried
	}
	recovers := s.Breaks() && (s.Expect == run.Complete || s.Expect == run.CompleteWithOverrides)
	injects := 0
	for _, i := range s.Injects {
		injects += i.Points
	}
	gated := slices.ContainsFunc(steps, func(o run.Outline) bool { return o.Effect == "destroy" })
	for _, w := range []struct {
		criterion string
		applies   bool
		points    int
	}{
		{run.RightRunbook, c.Symptoms, s.Weights[run.RightRunbook]},
		{run.InsideRTO, recovers && d.RTO > 0, s.Weights[run.InsideRTO]},
		{run.InsideRPO, recovers && d.RPO > 0, s.Weights[run.InsideRPO]},
		{run.ChecksRead, true, s.Weights[run.ChecksRead]},
		{run.GatesTyped, gated, s.Weights[run.GatesTyped]},
		{run.InTime, injects > 0, injects},
		{run.TeamTold, len(s.Team) > 0, s.Weights[run.TeamTold]},
	} {
		if w.applies && w.points > 0 {
			d.Points = append(d.Points, run.Worth{Criterion: w.criterion, Points: w.points})
		}
	}
	d.Pass = (d.Of()*s.Pass + 99) / 100
	return d
}
