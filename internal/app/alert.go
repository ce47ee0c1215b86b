package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/command"
)

// alertTimeout bounds one command of an alert: a dead channel never holds up what it is
// to tell of.
const alertTimeout = 30 * time.Second

// alert is the hook point for notifications: it hands an event to every command under
// alerts: in lifeboat.yaml that wants it, as one line of JSON on standard input. One that
// fails is tried a second time and is named in the log of the step, so that nobody takes
// silence for good news.
func (w *world) alert(ctx context.Context, log io.Writer, a vaultactions.Alert) {
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
