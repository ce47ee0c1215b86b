package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// What was decided on the command line holds once: a gate that opens again is a target
// that changed, an action that broke, or an undo, and none of those was decided.
func TestPolicyAnswersOnce(t *testing.T) {
	for _, g := range []run.Gate{
		{Kind: run.Confirm, Step: "in.push", Digest: "d"},
		{Kind: run.Token, Step: "in.push", Digest: "d", Token: "main@1 größe"},
	} {
		p := newPolicy("cron", true, map[string]string{"in.push": "main@1 größe"})
		undo := g
		undo.Undo = true
		ask := func(g run.Gate) error {
			a, err := p.Ask(context.Background(), run.Run{Gate: &g, Steps: []run.Step{{Outline: run.Outline{ID: "in.push"}}}}, "")
			if err == nil && (a.Verb != run.Approve || a.Digest != g.Digest || a.Token != g.Token) {
				t.Errorf("%s answered with %+v", g.Kind, a)
			}
			return err
		}
		if err := ask(undo); !errors.Is(err, engine.ErrPerson) {
			t.Errorf("undo at a gate %s: %v", g.Kind, err)
		}
		if err := ask(g); err != nil {
			t.Errorf("%s: %v", g.Kind, err)
		}
		if err := ask(g); !errors.Is(err, engine.ErrPerson) {
			t.Errorf("%s again: %v", g.Kind, err)
		}
	}
}

func TestAllowOfAStepThatIsNotThere(t *testing.T) {
	steps := []run.Outline{{ID: "look", Effect: "read"}, {ID: "restore.push", Effect: "destroy"}}
	if err := knows(map[string]string{"restore.push": "x"}, steps); err != nil {
		t.Error(err)
	}
	err := knows(map[string]string{"push": "x"}, steps)
	if err == nil || !strings.Contains(strings.Join(hint.All(err), " "), "restore.push") {
		t.Errorf("error %v, advice %q", err, hint.All(err))
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"push=main@3f2a": "push=main@3f2a", "a b": "'a b'", "it's": `'it'\''s'`, "größe": "'größe'"} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}

// Whatever a plain session asks, the end of its input leaves the run open.
func TestPlainLeavesAtTheEndOfItsInput(t *testing.T) {
	options := []run.Option{{Verb: run.Override, Text: "Accept"}, {Verb: run.Reopen, Key: "a", Text: "Do it"}}
	gates := map[string]run.Gate{
		"confirm":   {Kind: run.Confirm},
		"token":     {Kind: run.Token, Token: "main@1 größe"},
		"checklist": {Kind: run.Checklist, Items: []run.Item{{Text: "One"}, {Text: "Two", Observe: true}}},
		"choice":    {Kind: run.Choice, Options: []run.Option{{Verb: run.Give, Key: "a", Text: "A"}}},
		"input":     {Kind: run.Input, Secret: true},
		"decision":  {Kind: run.Decision, Options: options},
		"doubt":     {Kind: run.Doubt, Options: options},
		"closing":   {Kind: run.Closing, Options: options},
	}
	for name, g := range gates {
		for _, typed := range []string{"", "nonsense\n", "0\n", "\n", "skip\n", "skip\n1\n5\n"} {
			if g.Kind == run.Input && typed != "" {
				continue
			}
			if g.Kind != run.Checklist && g.Kind != run.Token && typed == "skip\n1\n5\n" {
				continue // a number by then
			}
			g.Seq = 7
			var out bytes.Buffer
			p := &plain{in: &typist{in: bufio.NewReader(strings.NewReader(typed))}, out: &lines{w: &out}, by: "me"}
			a, err := p.Ask(context.Background(), run.Run{Gate: &g}, "")
			if !errors.Is(err, engine.ErrLeft) {
				t.Errorf("%s after %q: %+v, %v", name, typed, a, err)
			}
		}
	}
}

func TestPlainTakesEveryCharacterOfASecret(t *testing.T) {
	g := run.Gate{Kind: run.Input, Secret: true, Seq: 7}
	var out bytes.Buffer
	p := &plain{in: &typist{in: bufio.NewReader(strings.NewReader(" tab\tzero\u200bwidth \r\n"))}, out: &lines{w: &out}, by: "me", echo: true}
	a, err := p.Ask(context.Background(), run.Run{Gate: &g}, "")
	if err != nil || len(a.Values) != 1 || a.Values[0] != " tab\tzero\u200bwidth " {
		t.Errorf("%q, %v", a.Values, err)
	}
	if strings.Contains(out.String(), "zero") {
		t.Errorf("shown: %s", out.String())
	}
}
