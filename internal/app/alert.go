package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/command"
	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// alertTimeout bounds one command of an alert: a dead channel never holds up what it is
// to tell of.
const alertTimeout = 30 * time.Second

// alert is the hook point for notifications: it hands an event to every command under
// alerts: in lifeboat.yaml that wants it, as one line of JSON on standard input. One that
// fails is tried a second time and is named in the log of the step, so that nobody takes
// silence for good news.
func (w *world) alert(ctx context.Context, log io.Writer, a vaultactions.Alert) {
	w.alerted.Store(true)
	if w.estate == nil {
		return
	}
	line, err := json.Marshal(struct {
		Time   time.Time `json:"time"`
		Estate string    `json:"estate"`
		Host   string    `json:"host"`
		By     string    `json:"by"`
		vaultactions.Alert
	}{w.env.now().UTC(), w.estate.Name, w.env.host, w.env.user, a})
	if err != nil {
		fmt.Fprintf(log, "alert %s: %v\n", a.Event, err)
		return
	}
	line = []byte(w.redact.Text(string(line)) + "\n")
	for _, hook := range w.estate.Alerts {
		if len(hook.On) > 0 && !slices.Contains(hook.On, a.Event) {
			continue
		}
		var err error
		for range 2 {
			_, err = command.Run(context.WithoutCancel(ctx), command.Cmd{
				Argv: hook.Command, Dir: w.estate.Dir, Stdin: bytes.NewReader(line), Timeout: alertTimeout,
				Env: map[string]string{"LIFEBOAT_EVENT": a.Event, "LIFEBOAT_ASSET": a.Asset},
			})
			if err == nil {
				break
			}
		}
		if err != nil {
			fmt.Fprintf(log, "ALERT NOT DELIVERED: %s by %q: %v\n", a.Event, hook.Command[0], err)
			continue
		}
		fmt.Fprintf(log, "alert %s handed to %q\n", a.Event, hook.Command[0])
	}
}

// missed tells of a backup or a verification that did not come to a good end where nobody
// was looking, unless a step has told already: also of one that could not even begin,
// because the bucket is gone or a key has expired.
func (w *world) missed(ctx context.Context, kind runbook.Kind, step string, id run.ID, err error) {
	if err == nil || w.env.terminal || w.alerted.Load() || ctx.Err() != nil || errors.Is(err, engine.ErrPerson) {
		return
	}
	a := vaultactions.Alert{Event: vaultactions.BackupFailed, Text: err.Error(), Run: string(id), Advice: strings.Join(hint.All(err), "; ")}
	switch {
	case step == "git.mirror":
		a.Event = vaultactions.MirrorFailed
	case kind == runbook.Verification:
		a.Event = vaultactions.VerificationFailed
	case kind != runbook.Backup:
		return
	}
	w.alert(ctx, w.env.stderr, a)
}

// missedRun is missed for a run that has ended, or that could not go on.
func (w *world) missedRun(ctx context.Context, p *engine.Program, r run.Run, err error) {
	step := ""
	for _, s := range r.Steps {
		if s.State == run.Failed && s.ElseTo == "" {
			step = s.Action
			err = cmp.Or(err, fmt.Errorf("run %s: step %q: %s", r.ID.Short(), s.Title, s.Error))
			break
		}
	}
	if err == nil && !r.Open() {
		err = outcome(r)
	}
	if r.Started.Mode != run.Dry {
		w.missed(ctx, p.Book.Meta.Kind, step, r.ID, err)
	}
}
