package report

import (
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"lifeboat/internal/run"
)

const hostile = "x\x1b]8;;http://evil.example\x07 ![i](http://evil.example/i.png) <img src=x> [l](javascript:1) | `c` **b** https://evil.example www.evil.example a@evil.example\n# heading\u202e"

// history is a run in which most things happened, each with the given text in it.
func history(text string) []run.Event {
	at := time.Date(2026, 11, 24, 3, 0, 5, 0, time.UTC)
	var out []run.Event
	add := func(after time.Duration, kind run.Kind, step string, attempt int, body any) {
		out = append(out, run.Event{Run: "20261124T030005Z-7F3A", Seq: int64(len(out) + 1), At: at.Add(after), Kind: kind, Step: step, Attempt: attempt, Body: body})
	}
	plan := &run.Plan{Summary: "moves " + text, Effect: "destroy", Target: text, Token: "main@abc"}
	add(0, run.RunStarted, "", 0, run.Started{Mode: run.Live, Book: "b", Title: "Title " + text, Level: 2, Digest: strings.Repeat("a", 64), Asset: "repo", By: "m.ito", Host: "h", Version: "v",
		Incident: at.Add(-30 * time.Minute), RTO: time.Hour, Steps: []run.Outline{{ID: "push", Title: "Push " + text, Effect: "destroy"}, {ID: "tell", Title: "Tell", Hand: true}, {ID: "left", Title: "Left"}}})
	add(time.Minute, run.GateOpened, "push", 0, run.Gate{Kind: run.Token, Prompt: "Prompt " + text, Plan: plan, Digest: "d", Token: "main@abc"})
	add(2*time.Minute, run.GateAnswered, "push", 0, run.Answer{Gate: 2, Verb: run.Approve, By: "m.ito", Digest: "d", Token: "main@abc", How: "console"})
	add(2*time.Minute, run.DebtOpened, "", 0, run.Debt{ID: "p", Text: "protection is off " + text, Within: 30 * time.Minute})
	add(2*time.Minute, run.StepBegan, "push", 1, run.Began{Action: "git.push", Digest: "d", Gate: 3, Plan: plan})
	add(3*time.Minute, run.StepFinished, "push", 1, run.Finished{Evidence: "moved " + text, Back: "push the old tip " + text, Log: &run.Log{Name: "01-push.1.log", Size: 120, SHA256: strings.Repeat("b", 64)}})
	add(3*time.Minute, run.StepVerified, "push", 1, run.Verdict{Evidence: "moved " + text})
	add(4*time.Minute, run.LevelRaised, "", 0, run.Raise{By: "m.ito", From: 2, To: 3, Reason: text})
	add(5*time.Minute, run.NoteAdded, "", 0, run.Note{By: "a.k", Text: text})
	add(6*time.Minute, run.GateOpened, "tell", 0, run.Gate{Kind: run.Checklist, Items: []run.Item{{Text: "Who?", Observe: true}}})
	add(7*time.Minute, run.GateAnswered, "tell", 0, run.Answer{Gate: 10, Verb: run.Give, By: "m.ito", Values: []string{"seen " + text}})
	add(7*time.Minute, run.StepClaimed, "tell", 0, run.Verdict{By: "m.ito", Values: []string{"seen " + text}})
	add(8*time.Minute, run.StepSkipped, "left", 0, run.Reason{By: "m.ito", Class: run.NoTime, Text: text})
	return out
}

func TestMarkdownSays(t *testing.T) {
	events := history("plain")
	got, err := Markdown(events)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Title plain\n", "| outcome | still open |", "| level | 3, raised from 2 at 2026-11-24 03:04:05 by m.ito |",
		"| 1 | Push plain | verified, 1m | moved plain |  |", "| 2 | Tell | claimed | seen plain | m.ito |",
		"step 3, Left, was skipped by m.ito (no-time): plain", "- protection is off plain, since 2026-11-24 03:02:05 UTC, due at 2026-11-24 03:32:05 UTC",
		"| m.ito by console | approve, typed main&#64;abc | push: Prompt plain |", "OWED: protection is off plain", "step 1, Push plain: push the old tip plain",
		"13 events in the journal of h",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "took") {
		t.Error("an open run has taken no time yet")
	}
	events = append(events, run.Event{Run: events[0].Run, Seq: 14, At: events[0].At.Add(45 * time.Minute), Kind: run.DebtClosed, Body: run.Debt{ID: "p", Text: "by hand"}},
		run.Event{Run: events[0].Run, Seq: 15, At: events[0].At.Add(45 * time.Minute), Kind: run.RunEnded, Body: run.Ended{Outcome: run.CompleteWithOverrides, By: "m.ito"}})
	if got, err = Markdown(events); err != nil || !strings.Contains(got, "1h15m of the 1h of its RTO, 15m too long") {
		t.Errorf("%v\n%s", err, got)
	}
	again, err := Markdown(events)
	if err != nil || again != got {
		t.Error("the same history gave another report")
	}
}

// Whatever a history holds is text in the report: no link, no image, no HTML, no heading
// of its own, no row that falls apart, nothing that a terminal obeys.
func TestForeignTextStaysText(t *testing.T) {
	got, err := Markdown(history(hostile))
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Errorf("a control character came through:\n%q", got)
	}
	clean, err := Markdown(history("plain"))
	if err != nil {
		t.Fatal(err)
	}
	count := func(source string) map[ast.NodeKind]int {
		n := map[ast.NodeKind]int{}
		doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader([]byte(source)))
		err := ast.Walk(doc, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
			if entering && node.Kind() != ast.KindText && node.Kind() != ast.KindString {
				n[node.Kind()]++
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := count(clean)
	for kind, n := range count(got) {
		if want[kind] != n {
			t.Errorf("%d nodes of kind %s, %d in a report without hostile text", n, kind, want[kind])
		}
	}
}

func TestBrokenHistory(t *testing.T) {
	if _, err := Markdown(history("x")[1:]); err == nil {
		t.Error("a history without its beginning gave a report")
	}
}
