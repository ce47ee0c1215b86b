package notify_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/builtin/notify"
	"lifeboat/internal/hint"
)

// stage is the action with channels of its own.
type stage struct {
	t        *testing.T
	channels []notify.Channel
	people   []string
	notes    []string
	log      bytes.Buffer
	act      action.Action
}

func newStage(t *testing.T, channels ...notify.Channel) *stage {
	s := &stage{t: t, channels: channels}
	list := notify.Actions(notify.Deps{
		Sender: newPost().Sender, Channels: func() []notify.Channel { return s.channels }, People: func() []string { return s.people },
		About: func(m alert.Message) alert.Message { m.Host = "ops-1"; return m },
	})
	if err := action.Validate(list); err != nil {
		t.Fatal(err)
	}
	s.act = list[0]
	return s
}

func (s *stage) play(args map[string]any) (action.Plan, action.Result, error) {
	s.t.Helper()
	c, err := s.act.Bind(args)
	if err != nil {
		s.t.Fatal(err)
	}
	env := &action.Env{Log: &s.log, Now: func() time.Time { return time.Unix(1_790_000_000, 0) }, RunID: "20261124T030005Z-7F3A", Step: "tell", Book: "b", By: "m.ito",
		Note: func(text string) { s.notes = append(s.notes, text) }}
	plan, err := c.Plan(s.t.Context(), env)
	if err != nil {
		return plan, action.Result{}, err
	}
	res, err := c.Run(s.t.Context(), env, plan)
	return plan, res, err
}

func TestSend(t *testing.T) {
	t.Parallel()
	a, b := newSink(t), newSink(t)
	wants := webhook("pager", b.URL)
	wants.On = []string{alert.NotRecovered}
	s := newStage(t, webhook("team", a.URL), wants)
	plan, res, err := s.play(map[string]any{"event": "recovered", "text": "main is back", "asset": "monorepo", "level": "2"})
	if err != nil || plan.Effect != action.Write || plan.Target != "team" || plan.Nothing || !strings.Contains(plan.Summary, "tells team: RECOVERED monorepo: main is back") {
		t.Errorf("%v %+v", err, plan)
	}
	if res.Evidence != "team (webhook at 127.0.0.1): delivered" || res.Outputs["told"] != int64(1) || res.Outputs["dead"] != int64(0) || s.notes != nil {
		t.Errorf("%+v %q", res, s.notes)
	}
	if got := a.received(); len(got) != 1 || got[0].Host != "ops-1" || got[0].Level != 2 || got[0].Run != "20261124T030005Z-7F3A" || got[0].Runbook != "b" {
		t.Errorf("%+v", got)
	}
	// By name a channel is told whatever it wants.
	if _, res, err = s.play(map[string]any{"event": "info", "to": []any{"pager"}}); err != nil || !strings.HasPrefix(res.Evidence, "pager ") || len(b.received()) != 1 {
		t.Errorf("%v %+v", err, res)
	}
	_, _, err = s.play(map[string]any{"to": []any{"pagr"}})
	if !errors.Is(err, action.ErrRefused) || !strings.Contains(strings.Join(hint.All(err), ""), "team, pager") {
		t.Errorf("%v %q", err, hint.All(err))
	}
}

// A dead channel fails no step, and is on record.
func TestSendToTheDead(t *testing.T) {
	t.Parallel()
	well, dead := newSink(t), newSink(t, status(403), status(403), status(403))
	s := newStage(t, webhook("dead", dead.URL), webhook("well", well.URL))
	_, res, err := s.play(map[string]any{"event": "recovered"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(res.Evidence, "dead (webhook at 127.0.0.1): NOT DELIVERED;") || !strings.Contains(res.Evidence, "well (webhook at 127.0.0.1): delivered") {
		t.Errorf("evidence %q", res.Evidence)
	}
	if res.Outputs["dead"] != int64(1) || !slices.Equal(res.Outputs["channels"].([]string), []string{"well"}) || len(res.Checks) != 0 {
		t.Errorf("%+v", res)
	}
	if len(s.notes) != 1 || !strings.Contains(s.notes[0], "NOT DELIVERED: it answers 403") || !strings.Contains(s.notes[0], "Tell the readers of dead yourself") {
		t.Errorf("notes %q", s.notes)
	}
	// Where nobody at all was told, the step says whom to call: that it was done would be no news.
	s = newStage(t, webhook("dead", dead.URL))
	s.people = []string{"Technical Lead, +27 11 555 0100"}
	_, res, err = s.play(map[string]any{"event": "recovered", "text": "main is back"})
	want := "NOBODY WAS TOLD: dead (webhook at 127.0.0.1): NOT DELIVERED; tell Technical Lead, +27 11 555 0100 yourself: RECOVERED: main is back"
	if err != nil || res.Evidence != want || len(s.notes) != 1 || !strings.Contains(s.notes[0], "Tell Technical Lead, +27 11 555 0100 yourself") {
		t.Errorf("%v %q %q", err, res.Evidence, s.notes)
	}
	s = newStage(t, webhook("dead", dead.URL))
	if _, _, err := s.play(map[string]any{"event": "recovered", "required": true}); err == nil || errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), "not everybody was told: dead") || s.notes != nil {
		t.Errorf("%v %q", err, s.notes)
	}
}

func TestNobodyToSendTo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people = []string{"Technical Lead, +27 11 555 0100"}
	plan, res, err := s.play(map[string]any{"event": "recovered", "text": "main is back"})
	if err != nil || !plan.Nothing || plan.Effect != action.Read || !strings.Contains(plan.Summary, "tells nobody: there is no channel under alerts: in lifeboat.yaml") {
		t.Errorf("%v %+v", err, plan)
	}
	want := "NOBODY WAS TOLD: there is no channel under alerts: in lifeboat.yaml; tell Technical Lead, +27 11 555 0100 yourself: RECOVERED: main is back"
	if res.Evidence != want || len(s.notes) != 1 || !strings.Contains(s.log.String(), "RECOVERED: main is back\nRunbook: b, run 7F3A") {
		t.Errorf("%q\n%q\n%s", res.Evidence, s.notes, s.log.String())
	}
	if plan, _, err := s.play(map[string]any{"event": "recovered", "required": true}); err == nil || plan.Nothing || len(hint.All(err)) != 1 {
		t.Errorf("%v %+v", err, plan)
	}
	picky := webhook("picky", "http://127.0.0.1:1/")
	picky.On = []string{alert.BackupFailed}
	s = newStage(t, picky)
	if _, res, err := s.play(map[string]any{"event": "recovered"}); err != nil || !strings.Contains(res.Evidence, "no channel wants the event recovered") {
		t.Errorf("%v %q", err, res.Evidence)
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, args := range map[string]map[string]any{"event": {"event": "recoverd"}, "level": {"level": "4"}} {
		_, err := s.act.Bind(args)
		if bad, ok := errors.AsType[*action.ArgError](err); !ok || bad.Name != name || bad.Fix == "" {
			t.Errorf("%v: %v", args, err)
		}
	}
}
