package app

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/builtin/notify"
	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/secret"
)

// sender is what everything in Lifeboat tells people with.
func (w *world) sender() *notify.Sender {
	return &notify.Sender{
		HTTP: w.client(), Service: w.throughService, Redact: w.redact.Text, Now: w.env.now, Ledger: told{w},
		Hide: func(s secret.String) { _ = w.redact.Add(s) }, // one too short to mask is no address
	}
}

// channels are those of the estate, each with its address as it is now.
func (w *world) channels() []notify.Channel {
	if w.estate == nil {
		return nil
	}
	var out []notify.Channel
	for _, a := range w.estate.Alerts {
		c := notify.Channel{Name: a.Name, On: a.On, Template: a.Template, Command: a.Command, Dir: w.estate.Dir}
		if a.Command == nil {
			c.Address = func() (secret.String, error) { return w.address(a.URL) }
		}
		out = append(out, c)
	}
	return out
}

// address finds where a channel is.
func (w *world) address(url string) (secret.String, error) {
	text := url
	if name, ok := estate.FromEnv(url); ok {
		if text = strings.TrimSpace(w.env.get(name)); text == "" {
			return secret.String{}, hint.Wrap(fmt.Errorf("its address is in $%s, which is not set", name), "set "+name+" where Lifeboat runs, also in its schedule")
		}
	}
	if path, ok := estate.FromFile(url); ok {
		f, err := os.Open(path)
		if err != nil {
			return secret.String{}, hint.Wrap(fmt.Errorf("read its address: %w", err), "write the address into that file, one line that only you can read")
		}
		defer f.Close()
		line, err := bufio.NewReader(io.LimitReader(f, 8<<10)).ReadString('\n')
		if text = strings.TrimSpace(line); text == "" {
			return secret.String{}, errors.Join(fmt.Errorf("its address is in %q, which is empty", path), ignoreEOF(err))
		}
	}
	return secret.New(text), nil
}

// alertVars names the variables that a process needs that tells people.
func (w *world) alertVars() []string {
	var out []string
	if w.estate != nil {
		for _, a := range w.estate.Alerts {
			if name, ok := estate.FromEnv(a.URL); ok {
				out = append(out, name)
			}
		}
	}
	return out
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// about fills in what a message says of where it comes from.
func (w *world) about(m alert.Message) alert.Message {
	m.Host, m.By = cmp.Or(m.Host, w.env.host), cmp.Or(m.By, w.env.user)
	if w.estate != nil {
		m.Estate = cmp.Or(m.Estate, w.estate.Name)
	}
	if m.Time.IsZero() {
		m.Time = w.env.now()
	}
	m.Drill = m.Drill || w.sandbox() != nil
	return m
}

// people are whom to tell by hand.
func (w *world) people() []string {
	if w.estate == nil {
		return nil
	}
	var out []string
	for _, c := range w.estate.Contacts {
		out = append(out, strings.Join(slices.DeleteFunc([]string{c.Name, c.Phone, c.Email}, func(s string) bool { return s == "" }), ", "))
	}
	return out
}

// fence is that of the sandbox, nil in the real world.
func (w *world) fence() func(string) error {
	if w.sandbox() == nil {
		return nil
	}
	return w.sandbox().Fence()
}

// tell sends a message to every channel that wants its event, and gives what became of it.
// It takes as long as the slowest channel, at most a minute.
func (w *world) tell(ctx context.Context, m alert.Message) []notify.Delivery {
	var list []notify.Channel
	for _, c := range w.channels() {
		if c.Wants(m.Event) {
			list = append(list, c)
		}
	}
	return w.send(context.WithoutCancel(ctx), list, m)
}

// send is the sender, with the hosts of the sandbox awake where there is one.
func (w *world) send(ctx context.Context, list []notify.Channel, m alert.Message) []notify.Delivery {
	if leave, err := w.enter(ctx); err == nil { // else nobody is reached, and that is told
		defer leave()
	}
	return w.sender().Send(ctx, list, w.about(m), w.fence())
}

// alert is the hook of the actions on the vault. What a channel did not take stands in the
// log of the step and on the record of the run, so that nobody takes silence for good news.
func (w *world) alert(ctx context.Context, env *action.Env, a vaultactions.Alert) {
	w.alerted.Store(true)
	m := alert.Message{Event: a.Event, Asset: a.Asset, Vault: a.Vault, Text: a.Text, Advice: a.Advice,
		Runbook: env.Book, Run: env.RunID, Step: env.Step, By: env.By}
	for _, d := range w.tell(ctx, m) {
		if d.Done {
			env.Printf("alert %s: %s", a.Event, d)
			continue
		}
		env.Printf("ALERT NOT DELIVERED: %s: %s", a.Event, d)
		if env.Note != nil {
			env.Remark("Alert %s: %s", a.Event, d)
		}
	}
}

// missed tells of a backup or a verification that did not come to a good end where nobody
// was looking, unless a step has told already: also of one that could not even begin,
// because the bucket is gone or a key has expired.
func (w *world) missed(ctx context.Context, kind runbook.Kind, step string, id run.ID, err error) {
	if err == nil || w.env.terminal || w.alerted.Load() || ctx.Err() != nil || errors.Is(err, engine.ErrPerson) {
		return
	}
	a := vaultactions.Alert{Event: alert.BackupFailed, Text: err.Error(), Advice: strings.Join(hint.All(err), "; ")}
	switch {
	case step == "git.mirror":
		a.Event = alert.MirrorFailed
	case kind == runbook.Verification:
		a.Event = alert.VerificationFailed
	case kind != runbook.Backup:
		return
	}
	w.alert(ctx, &action.Env{Log: w.env.stderr, RunID: string(id)}, a)
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
	if r.Started.Mode != run.Dry && !complained(&r) {
		w.missed(ctx, p.Book.Meta.Kind, step, r.ID, err)
	}
}

// complained says whether a step of the runbook itself has told people of what is wrong.
func complained(r *run.Run) bool {
	return slices.ContainsFunc(r.Steps, func(s run.Step) bool {
		return s.Action == "notify.send" && s.State == run.Verified && s.Plan != nil && s.Plan.Args["event"] == alert.HealthProblem
	})
}

// told remembers in the directory of a run which channels heard what.
type told struct{ w *world }

var _ notify.Ledger = told{}

func (t told) path(id, message string) string {
	return filepath.Join(t.w.files.Run(run.ID(id)), "told", message)
}

// Told implements notify.Ledger.
func (t told) Told(id, message string) bool {
	_, err := os.Stat(t.path(id, message))
	return err == nil
}

// Keep implements notify.Ledger.
func (t told) Keep(id, message string) error {
	path := t.path(id, message)
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	return durable.WriteFile(path, nil, 0o600)
}

// parcel is what the process that speaks to a service is handed, on standard input: an
// argument list can be read by others.
type parcel struct{ To, Title, Text string }

// throughService delivers through a library that cannot be stopped and reads answers of
// any length. So it runs in a process of its own, which can be stopped and is bounded.
func (w *world) throughService(ctx context.Context, to secret.String, title, text string) error {
	data, err := json.Marshal(parcel{to.Reveal(), title, text})
	if err != nil {
		return err
	}
	_, err = command.Run(ctx, command.Cmd{
		Argv: []string{w.env.exe, "alerts", "deliver"}, Stdin: bytes.NewReader(data), Grace: time.Second, Dir: w.state,
		Inherit: []string{"SSL_CERT_FILE", "SSL_CERT_DIR"},
	})
	exit, ok := errors.AsType[*command.ExitError](err)
	switch {
	case ok && exit.Exit == exitNotComplete && exit.Signal == "":
		return errors.New(strings.TrimPrefix(strings.TrimSpace(exit.Stderr), "lifeboat: "))
	case ok && ctx.Err() == nil:
		return errors.New("the process that speaks to the service broke: the answer was too long, or the address is not what it seems")
	}
	return err
}
