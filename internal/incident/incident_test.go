package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/estate"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/runbooks"
)

func shipped(t *testing.T) (*Tree, *runbook.Library, Find) {
	t.Helper()
	src, err := runbooks.FS.ReadFile(TreeFile)
	if err != nil {
		t.Fatal(err)
	}
	tree := &Tree{}
	if bad := tree.Add("runbooks/"+TreeFile, src); len(bad) > 0 {
		t.Fatal(bad)
	}
	lib := runbook.NewLibrary(runbook.NamedFS{FS: runbooks.FS})
	return tree, lib, func(name string) (Book, bool) {
		b, err := lib.Get(name)
		if err != nil {
			return Book{}, false
		}
		return Book{Name: b.Name, Title: b.Title, Level: b.Meta.Level, When: b.Meta.When}, true
	}
}

// paths plays every row of answers to its end.
func paths(t *testing.T, tree *Tree, find Find, see func(answers []int, p Place)) {
	t.Helper()
	var play func(answers []int)
	play = func(answers []int) {
		p, err := tree.Walk(answers, find)
		if err != nil {
			t.Fatalf("%v: %v", answers, err)
		}
		see(answers, p)
		if p.Done() {
			return
		}
		if len(answers) > MostAnswers {
			t.Fatalf("%v: no end", answers)
		}
		for n := range len(p.Question.Answers) + 1 {
			play(append(slices.Clone(answers), n))
		}
	}
	play(nil)
}

// Every shipped runbook that repairs something is four answers away at most, every end is
// there, and whoever knows nothing comes to level 3.
func TestShippedQuestions(t *testing.T) {
	tree, lib, find := shipped(t)
	for _, p := range tree.Check(TreeFile, find) {
		t.Error(p.Error())
	}
	reached := map[string]int{}
	paths(t, tree, find, func(answers []int, p Place) {
		if !p.Done() {
			return
		}
		if len(answers) > MostAnswers {
			t.Errorf("%v: %d answers", answers, len(answers))
		}
		if p.Level < 1 {
			t.Errorf("%v leads to %s without a level", answers, p.Runbook)
		}
		if p.Found && p.Level < p.Book.Level {
			t.Errorf("%v leads to %s at level %d, the runbook says %d", answers, p.Runbook, p.Level, p.Book.Level)
		}
		reached[p.Runbook]++
	})
	for _, b := range lib.List() {
		if k := b.Meta.Kind; (k == runbook.Recovery || k == runbook.Procedure) && reached[b.Name] == 0 {
			t.Errorf("no answers lead to the runbook %q: add it to %s", b.Name, TreeFile)
		}
	}
}

// From wherever somebody stands, 0 again and again ends at level 3.
func TestDoubtLeadsUp(t *testing.T) {
	tree, _, find := shipped(t)
	paths(t, tree, find, func(answers []int, p Place) {
		if p.Done() {
			return
		}
		for level := p.Level; !p.Done(); level = p.Level {
			answers = append(slices.Clone(answers), 0)
			var err error
			if p, err = tree.Walk(answers, find); err != nil || p.Level < level {
				t.Fatalf("%v: level %d after %d, %v", answers, p.Level, level, err)
			}
		}
		if p.Level != run.MaxLevel {
			t.Errorf("%v ends at level %d", answers, p.Level)
		}
	})
}

// The answer that leads to a runbook and the symptoms in its front matter say the same:
// they share a word at least.
func TestAnswersAgreeWithSymptoms(t *testing.T) {
	tree, _, find := shipped(t)
	for _, q := range tree.Questions {
		for _, a := range q.Answers {
			b, ok := find(a.Runbook)
			if !ok {
				continue
			}
			if len(b.When) == 0 {
				t.Errorf("%s leads to %s, which names no symptom", q.ID, a.Runbook)
			}
			if text := strings.ToLower(strings.Join(append(b.When, b.Title, b.Name), " ")); !shares(a.Text, text) {
				t.Errorf("%s: %q shares no word with the symptoms of %s: %q", q.ID, a.Text, a.Runbook, b.When)
			}
		}
	}
}

// Each symptom that a runbook names, and the answers that somebody gives who sees it: they
// lead to that runbook. A new symptom has to find its way here, and a row that is no longer
// true says so.
func TestEverySymptomLeads(t *testing.T) {
	tree, lib, find := shipped(t)
	ways := map[string][][]int{ // the answers, for the symptoms of a runbook in their order
		"accidental-force-push":  {{2, 1}, {0, 1, 2}, {0, 1, 2}},
		"auth-recovery":          {{0, 2, 4}, {3, 7}, {3, 7}},
		"branch-protection":      {{2, 2}, {2, 2}, {0, 1, 3}, {2, 2}},
		"ci-failure":             {{0, 3, 1}, {2, 3}, {2, 3}},
		"config-rollback":        {{1, 2}, {1, 2}, {0, 3, 2}},
		"corrupted-repository":   {{0, 1, 4}, {3, 3}, {3, 3}, {0, 1, 4}},
		"data-loss":              {{3, 6}, {0, 2, 3}, {3, 6}},
		"database-point-in-time": {{0, 2, 2}, {3, 5}, {3, 5}},
		"database-recovery":      {{3, 4}, {3, 4}, {0, 2, 1}},
		"merge-conflict":         {{1, 1}, {0, 1, 1}, {0, 1, 1}},
		"repository-loss":        {{3, 2}, {0, 1, 5}, {3, 2}},
		"secrets-loss":           {{0, 2, 5}, {3, 8}, {3, 8}},
		"security-breach":        {{0, 4}, {3, 1}, {3, 1}, {3, 1}},
		"repository-health":      {nil, nil, nil, {0, 0, 0}}, // the others are routine
	}
	for _, b := range lib.List() {
		if _, ok := ways[b.Name]; !ok && b.Meta.Kind != runbook.Recovery && b.Meta.Kind != runbook.Procedure {
			continue
		}
		if len(ways[b.Name]) != len(b.Meta.When) {
			t.Errorf("%s has %d symptoms, and %d ways are known that lead to it: %q", b.Name, len(b.Meta.When), len(ways[b.Name]), b.Meta.When)
			continue
		}
		for i, answers := range ways[b.Name] {
			if answers == nil {
				continue
			}
			p, err := tree.Walk(answers, find)
			if err != nil || p.Runbook != b.Name || len(answers) > MostAnswers {
				t.Errorf("%q: %v lead to %q (%v), not to %s", b.Meta.When[i], answers, p.Runbook, err, b.Name)
			}
		}
	}
}

// Whatever somebody answers, the level never goes down on the way, 0 never lowers it below
// what was known, no way is longer than four answers, and the levels are those of the protocol.
func TestLevelsOfTheProtocol(t *testing.T) {
	tree, _, find := shipped(t)
	paths(t, tree, find, func(answers []int, p Place) {
		for i := range answers {
			before, err := tree.Walk(answers[:i], find)
			if err != nil || before.Level > p.Level {
				t.Errorf("%v: level %d after %d, %v", answers, p.Level, before.Level, err)
			}
		}
	})
	for _, q := range tree.Questions {
		for n := range len(q.Answers) + 1 {
			if a, ok := q.Answer(n); ok && len([]rune(a.Text+a.Hint)) > longest {
				t.Errorf("%s: %q %q does not fit a window of 60 columns", q.ID, a.Text, a.Hint)
			}
		}
	}
	for i, want := range []struct {
		impact   []string // the words of the protocol, and its examples
		response string
		within   time.Duration
	}{
		{[]string{"less than 1 hour", "small merge conflicts", "minor changes of configuration"}, "usual work with git", 30 * time.Minute},
		{[]string{"1 to 4 hours", "branch protection misconfigured", "CI/CD fails"}, "senior developers", 4 * time.Hour},
		{[]string{"more than 4 hours", "data lost", "security breached", "repository corrupted"}, "whole incident response team", 24 * time.Hour},
	} {
		l := Level(nil, i+1)
		for _, text := range want.impact {
			if !strings.Contains(l.Impact, text) {
				t.Errorf("level %d: %q is not in %q", i+1, text, l.Impact)
			}
		}
		if !strings.Contains(l.Response, want.response) || l.Recovery != want.within {
			t.Errorf("level %d: %+v", i+1, l)
		}
	}
}

func shares(answer, text string) bool {
	for _, w := range strings.FieldsFunc(strings.ToLower(answer), func(r rune) bool { return r < 'a' || r > 'z' }) {
		if len(w) >= 2 && !slices.Contains([]string{"is", "the", "in", "it", "that", "who", "be", "not", "or", "and", "to", "of", "one", "were", "what", "should", "since", "there", "no", "has", "was", "does", "an", "any", "are"}, w) &&
			strings.Contains(text, w[:min(len(w), 6)]) {
			return true
		}
	}
	return false
}

const small = `questions:
  start:
    ask: What?
    answers:
      - {text: a, level: 1, runbook: mend}
    unsure: {text: none, level: 3, runbook: look}
`

func TestCheckFinds(t *testing.T) {
	find := func(name string) (Book, bool) { return Book{Name: name, Level: 1}, name != "gone" }
	for _, tt := range []struct{ name, old, new, want string }{
		{"sound", "", "", ""},
		{"no start", "start:", "begin:", `no question "start"`},
		{"asks nothing", "What?", `""`, "asks nothing"},
		{"both ends", "runbook: mend", "runbook: mend, ask: start", "to a question or to a runbook"},
		{"no end", ", runbook: mend", "", "to a question or to a runbook"},
		{"nowhere", "runbook: mend", "ask: moon", `a question "moon", which is not there`},
		{"to itself", "runbook: mend", "ask: start", "leads back to itself"},
		{"no doubt", "    unsure: {text: none, level: 3, runbook: look}\n", "", "no way on for somebody who does not know"},
		{"level 4", "level: 1", "level: 4", "no level 4"},
		{"runbook that is not there", "runbook: mend", "runbook: gone", `"gone", which is not in the library`},
		{"says nothing", "text: a", `text: ""`, "says nothing"},
		{"unknown key", "text: a", "txt: a", "no questions"},
		{"no YAML", "questions:", "questions: [", "no questions"},
		{"empty", small, "", "no question in the file"},
		{"lonely", "  start:", "  moon: {ask: x, answers: [{text: y, level: 1, runbook: mend}], unsure: {text: z, level: 3, runbook: look}}\n  start:", `no answer leads to the question "moon"`},
		{"name", "  start:", "  Über: {ask: x}\n  start:", "no name of a question"},
		{"lowers", "runbook: mend", "ask: two", "would lower the level"},
		{"stays", "runbook: mend", "ask: two", "stays at level 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := small
			if tt.old != "" {
				if !strings.Contains(small, tt.old) {
					t.Fatalf("%q is not there", tt.old)
				}
				src = strings.Replace(small, tt.old, tt.new, 1)
			}
			if tt.new == "ask: two" {
				src += "  two:\n    ask: Which?\n    answers: [{text: b, level: 1, runbook: mend}]\n    unsure: {text: none, runbook: look}\n"
				if tt.name == "lowers" {
					src = strings.Replace(src, "level: 1, ask", "level: 2, ask", 1)
				}
			}
			tree := &Tree{}
			bad := tree.Add("x/triage.yaml", []byte(src))
			if len(bad) == 0 {
				bad = tree.Check("x/triage.yaml", find)
			}
			var all []string
			for _, p := range bad {
				all = append(all, p.Error())
				if p.Pos.File != "x/triage.yaml" || p.Pos.Line < 1 {
					t.Errorf("no place: %s", p.Error())
				}
			}
			if text := strings.Join(all, "\n"); tt.want == "" && text != "" || !strings.Contains(text, tt.want) {
				t.Errorf("found\n%s\nwant %q", text, tt.want)
			}
		})
	}
}

// A file beside the estate adds answers, stands in for "unsure", and replaces on demand.
func TestAddToShipped(t *testing.T) {
	tree, _, find := shipped(t)
	was := len(tree.Questions["critical"].Answers)
	if bad := tree.Add("mine", []byte("questions:\n  critical:\n    answers: [{text: The trains stand still, runbook: trains}]\n  minor:\n    instead: true\n    ask: What else?\n    answers: [{text: x, runbook: merge-conflict}]\n    unsure: {text: y, level: 2, ask: moderate}\n")); len(bad) > 0 {
		t.Fatal(bad)
	}
	if n := len(tree.Questions["critical"].Answers); n != was+1 {
		t.Errorf("%d answers, want %d", n, was+1)
	}
	p, err := tree.Walk([]int{3, was + 1}, func(string) (Book, bool) { return Book{Name: "trains", Level: 3}, true })
	if err != nil || p.Runbook != "trains" || p.Level != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	if q := tree.Questions["minor"]; q.Ask != "What else?" || len(q.Answers) != 1 {
		t.Errorf("%+v was not replaced", q)
	}
	before := len(tree.Questions)
	if bad := tree.Add("mine", []byte("questions: {a: {ask: x, moon: 1}}")); len(bad) != 1 || len(tree.Questions) != before {
		t.Errorf("%v, %d questions of %d", bad, len(tree.Questions), before)
	}
	_ = find
}

func TestWalkRefuses(t *testing.T) {
	tree, _, find := shipped(t)
	for _, tt := range []struct {
		answers []int
		want    string
	}{{[]int{4}, "has no answer 4"}, {[]int{-1}, "has no answer -1"}, {[]int{2, 1, 1}, "answer 3 comes after the end"}} {
		if _, err := tree.Walk(tt.answers, find); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.answers, err, tt.want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	src, err := runbooks.FS.ReadFile(TreeFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte(small))
	f.Add([]byte("questions: {start: {answers: [*a]}}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		tree := &Tree{}
		tree.Add("f", src)
		if tree.Check("f", func(string) (Book, bool) { return Book{}, false }); len(tree.Questions) > 0 {
			tree.Walk([]int{0, 1, 2, 3}, func(string) (Book, bool) { return Book{}, false })
		}
	})
}

var team = []estate.Contact{
	{Name: "The board", Role: "management", Email: "board@example.com"},
	{Name: "N. Abadi", Role: "security lead", Phone: "+1 555 0171"},
	{Name: "R. Moss", Role: "DevOps", Phone: "+1 555 0163"},
	{Name: "The landlord", Role: "building", Phone: "+1 555 0100"},
	{Name: "S. Kaya", Role: "technical lead", Phone: "+1 555 0142", Email: "s.kaya@example.com"},
}

func TestCalls(t *testing.T) {
	for level, want := range map[int]string{
		0: "S. Kaya: when you are stuck; R. Moss: from level 2 on; N. Abadi: when a secret or a break-in is in it; The board: from level 3 on; The landlord: from level 3 on",
		1: "S. Kaya: when you are stuck; R. Moss: from level 2 on; N. Abadi: when a secret or a break-in is in it; The board: from level 3 on; The landlord: from level 3 on",
		2: "S. Kaya: now; R. Moss: now; N. Abadi: when a secret or a break-in is in it; The board: from level 3 on; The landlord: from level 3 on",
		3: "S. Kaya: now; R. Moss: now; N. Abadi: now; The board: now; The landlord: now",
	} {
		var got []string
		for _, c := range Calls(level, team) {
			got = append(got, c.Name+": "+c.When)
			if c.Now != (c.When == "now") {
				t.Errorf("level %d: %s: now is %v, and %q", level, c.Name, c.Now, c.When)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("level %d: %s", level, diff)
		}
	}
}

var began = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// history is a run at its second step of three, whose incident began 10 minutes before.
func history(t *testing.T, more ...run.Event) run.Run {
	t.Helper()
	events := []run.Event{
		{Kind: run.RunStarted, Body: run.Started{Mode: run.Live, Book: "accidental-force-push", Title: "Undo an accidental force push", Level: 1, Asset: "monorepo",
			Steps: []run.Outline{{ID: "a", Title: "Freeze", Hand: true}, {ID: "b", Title: "Push", Effect: "destroy"}, {ID: "c", Title: "Tell"}},
			By:    "m.ito", Host: "rescue-01", Incident: began.Add(-10 * time.Minute), RTO: time.Hour}},
		{Kind: run.GateOpened, Step: "a", Body: run.Gate{Kind: run.Checklist}},
		{Kind: run.StepClaimed, Step: "a", At: began.Add(4 * time.Minute), Body: run.Verdict{By: "m.ito"}},
	}
	events = append(events, more...)
	at := began
	for i := range events {
		events[i].Run, events[i].Seq = "20261124T030000Z-7F3A", int64(i+1)
		if events[i].At.IsZero() {
			events[i].At = at
		}
		at = events[i].At
	}
	r, err := run.FoldAll(events)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLevelClock(t *testing.T) {
	r := history(t)
	for _, tt := range []struct {
		after        time.Duration
		nearly, over bool
		says         string
		forecast     string
	}{
		{4 * time.Minute, false, false, "", "1 of 3 steps done; at this pace over at 03:12, 8 min to spare"},
		{12*time.Minute + 29*time.Second, false, false, "", "1 of 3 steps done; at this pace over at 03:37, 17 min too late"},
		{12*time.Minute + 30*time.Second, true, false, "7 min of the 30 min of level 1 are left.", "1 of 3 steps done; at this pace over at 03:37, 17 min too late"},
		{20 * time.Minute, true, false, "0 s of the 30 min of level 1 are left.", "1 of 3 steps done; at this pace over at 04:00, 40 min too late"},
		{25 * time.Minute, false, true, "The 30 min of level 1 were over 5 min ago.", "1 of 3 steps done; at this pace over at 04:15, 55 min too late"},
	} {
		c := LevelClock(&r, estate.DefaultLevels(), began.Add(tt.after))
		if c.Nearly != tt.nearly || c.Over != tt.over || c.Says != tt.says || c.Forecast != tt.forecast || c.Next.Number != 2 {
			t.Errorf("after %s: %+v", tt.after, c)
		}
	}
	raised := history(t, run.Event{Kind: run.LevelRaised, Body: run.Raise{From: 1, To: 3}})
	if c := LevelClock(&raised, estate.DefaultLevels(), began.Add(25*time.Minute)); c.Reminds() || c.Of != 24*time.Hour || c.Next.Number != 0 {
		t.Errorf("raised: %+v", c)
	}
	r.Level = 0
	if c := LevelClock(&r, estate.DefaultLevels(), began.Add(100*time.Hour)); c.Reminds() || c.Level != 0 {
		t.Errorf("without a level: %+v", c)
	}
}

func TestDebts(t *testing.T) {
	r := history(t,
		run.Event{Kind: run.DebtOpened, At: began.Add(4 * time.Minute), Body: run.Debt{ID: "never", Text: "a light is on"}},
		run.Event{Kind: run.DebtOpened, At: began.Add(4 * time.Minute), Body: run.Debt{ID: "late", Text: "scaled to 0", Within: time.Hour}},
		run.Event{Kind: run.DebtOpened, At: began.Add(4 * time.Minute), Body: run.Debt{ID: "soon", Text: "protection is off", Within: 15 * time.Minute}},
	)
	want := []string{"protection is off, OVERDUE by 5 min", "scaled to 0, 40 min left", "a light is on, open for 20 min"}
	if diff := cmp.Diff(want, Owed(&r, began.Add(24*time.Minute))); diff != "" {
		t.Error(diff)
	}
	d := Debts(r.Debts)[0]
	if Noticed(&r, d) {
		t.Error("nobody has noticed it")
	}
	r.Notes = append(r.Notes, run.Noted{Note: run.Note{Text: OverdueNote(d)}})
	if !Noticed(&r, d) || Noticed(&r, Debts(r.Debts)[1]) {
		t.Error("it was noticed, and only it")
	}
}

// What is said on the telephone, whole, at a gate that destroys.
func TestSay(t *testing.T) {
	plan := &run.Plan{Effect: "destroy", Lines: []run.Line{{Label: "moves", Text: "origin/main"}, {Label: "drops", Text: "2 commits by k.lind\x1b[31m"}}}
	r := history(t,
		run.Event{Kind: run.DebtOpened, At: began.Add(4 * time.Minute), Body: run.Debt{ID: "p", Text: "branch protection of main is off", Within: 15 * time.Minute}},
		run.Event{Kind: run.LevelRaised, Body: run.Raise{From: 1, To: 2}},
		run.Event{Kind: run.GateOpened, Step: "b", Body: run.Gate{Kind: run.Token, Plan: plan, Token: "main@3f2a1c9"}},
	)
	got := Say(Speaker{By: "s.kaya", Host: "desk", Now: began.Add(11 * time.Minute)}, estate.DefaultLevels(), &r)
	want := []string{
		"This is s.kaya on desk. A level 2 incident on monorepo: Undo an accidental force push.",
		"It began at 02:50 UTC, 21 min ago. It must be over by 03:50 (RTO 1 h), 39 min are left.",
		"Run 7F3A by m.ito, step 2 of 3: Push. It waits for a person.",
		"At risk: drops 2 commits by k.lind.",
		"Still open: branch protection of main is off, 8 min left.",
		"Needed: at level 2, senior developers take over. A second pair of eyes before I approve this step.",
		"Look at it: lifeboat attach 7F3A on rescue-01.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c := Calls(2, team)[0]
	r.Notes = append(r.Notes, run.Noted{At: began, Note: run.Note{By: "m.ito", Text: Told(c)}})
	if at, by := WasTold(&r, c); !at.Equal(began) || by != "m.ito" {
		t.Errorf("%v %q", at, by)
	}
	if at, _ := WasTold(&r, Calls(2, team)[1]); !at.IsZero() {
		t.Error("somebody else was told")
	}
}

func TestSayAboutAndNoContacts(t *testing.T) {
	got := strings.Join(SayAbout(Speaker{By: "s.kaya", Host: "desk", Estate: "company", Drill: true, Now: began}, estate.DefaultLevels(), 3, "The repository is gone"), "\n")
	for _, want := range []string{"THIS IS A DRILL", "A level 3 incident in company: The repository is gone.", "Response: the whole incident response team is called, within 24 h."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	text := strings.Join(NoContacts("/srv/lifeboat.yaml"), "\n")
	for _, want := range []string{"/srv/lifeboat.yaml", "technical lead", "DevOps", "security", "management"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if _, bad := estate.Load("/srv/lifeboat.yaml", []byte("assets:\n  a: {kind: git, path: /srv/a}\n"+strings.Join(NoContacts("")[1:], "\n")+"\n")); len(bad) > 0 {
		t.Errorf("the example is refused: %v", bad)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", time.Hour: "1 h", 112 * time.Minute: "1 h 52 min", 90 * time.Second: "1 min", 72 * time.Hour: "3 days"} {
		if got := Span(d); got != want {
			t.Errorf("%s is %q, want %q", fmt.Sprint(d), got, want)
		}
	}
}
