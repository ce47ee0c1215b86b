package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lifeboat/internal/alert"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

// Channel is a way to reach people: a program, a webhook, or a service.
type Channel struct {
	Name     string
	On       []string // events that it wants; empty: all of them
	Template alert.Template
	Command  []string // a program that gets the message as JSON; nil with Address
	Dir      string   // where it runs
	// Address finds the URL, which is a secret: whoever has it may write into the channel.
	Address func() (secret.String, error)
}

// Wants says whether the channel is to hear of an event. That another one is dead, or that
// it is tested, everybody hears.
func (c Channel) Wants(event string) bool {
	return len(c.On) == 0 || event == alert.ChannelDead || event == alert.Test || slices.Contains(c.On, event)
}

// What says in words what a channel is, as far as that is known without asking it.
func (c Channel) What() string {
	if c.Command != nil {
		return how(c, secret.String{})
	}
	to, err := c.Address()
	if err != nil {
		return "UNREACHABLE: " + printable.Line(err.Error())
	}
	if alert.Service(to.Reveal()) == "" {
		return "UNREACHABLE: its address is of no known kind"
	}
	return how(c, to)
}

// letter is one message on its way to one channel.
type letter struct {
	title string
	text  string // as the channel's template made it
	wire  alert.Wire
}

// failure is why a try did not deliver.
type failure struct {
	err   error
	final bool          // another try would end the same
	sent  bool          // it went out, and no answer says what became of it
	after time.Duration // how long the other side asks to wait, 0: it does not say
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// try delivers once. The address is where to, for all but a program.
func (s *Sender) try(ctx context.Context, c Channel, to secret.String, l letter, fence func(string) error) error {
	if c.Command != nil {
		return s.program(ctx, c, l)
	}
	kind := alert.Service(to.Reveal())
	switch {
	case kind == "":
		return &failure{err: hint.New("its address is of no known kind", "lifeboat actions notify.send lists the kinds"), final: true}
	case kind == "webhook":
		return s.webhook(ctx, to, l, fence)
	case fence != nil:
		// A service is reached by a library that asks no fence.
		return &failure{err: errors.New("a drill reaches nobody outside of its sandbox"), final: true}
	case s.Service == nil:
		return &failure{err: errors.New("services are not reached from here"), final: true}
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits().try)
	defer cancel()
	err := s.Service(ctx, to, l.title, l.text)
	switch {
	case err != nil && ctx.Err() != nil:
		return &failure{err: errors.New("no answer in time"), sent: true}
	case err != nil:
		return &failure{err: cleaned(err, to)}
	}
	return nil
}

// program hands the message to a program as one line of JSON on its standard input.
func (s *Sender) program(ctx context.Context, c Channel, l letter) error {
	line, err := json.Marshal(l.wire)
	if err != nil {
		return &failure{err: err, final: true}
	}
	_, err = command.Run(ctx, command.Cmd{
		Argv: c.Command, Dir: c.Dir, Stdin: strings.NewReader(string(line) + "\n"), Timeout: s.limits().program,
		Env: map[string]string{"LIFEBOAT_EVENT": l.wire.Event, "LIFEBOAT_ASSET": l.wire.Asset},
	})
	if err != nil {
		return &failure{err: err, final: errors.Is(err, command.ErrNotFound)}
	}
	return nil
}

// how says in words what a channel is, without its address.
func how(c Channel, to secret.String) string {
	if c.Command != nil {
		return "program " + printable.Line(filepath.Base(c.Command[0]))
	}
	kind := alert.Service(to.Reveal())
	u, err := url.Parse(to.Reveal())
	if kind == "webhook" && err == nil {
		return "webhook at " + printable.Line(u.Hostname())
	}
	return kind
}

// cleaned takes from an error of a library everything that stands in the address, since
// their errors like to repeat it. The chain is cut: what it wraps may say it again.
func cleaned(err error, to secret.String) error {
	text := err.Error()
	for _, part := range parts(to) {
		text = strings.ReplaceAll(text, part, secret.Mask)
	}
	const most = 200
	if text = printable.Line(text); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return errors.New(text)
}

// parts are the pieces of an address that can be secret, longest first.
func parts(to secret.String) []string {
	text := to.Reveal()
	out := []string{text}
	u, err := url.Parse(text)
	if err != nil {
		return out
	}
	pieces := []string{u.Opaque, u.Path, u.RawQuery, u.Fragment}
	if u.User != nil {
		password, _ := u.User.Password()
		pieces = append(pieces, u.User.Username(), password)
	}
	if alert.Service(text) != "webhook" { // of many services the host is the key
		pieces = append(pieces, u.Host, u.Hostname())
	}
	for _, list := range u.Query() {
		pieces = append(pieces, list...)
	}
	for _, p := range pieces {
		out = append(out, p)
		out = append(out, strings.FieldsFunc(p, func(r rune) bool { return strings.ContainsRune("/&=:,;-", r) })...)
	}
	out = slices.DeleteFunc(out, func(p string) bool { return len(p) < secret.Shortest })
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out)
}

// bodyLimit bounds what is read of an answer. Nobody needs more of it than its beginning.
const bodyLimit = 4 << 10

// webhook posts the message as JSON.
func (s *Sender) webhook(ctx context.Context, to secret.String, l letter, fence func(string) error) error {
	if fence != nil {
		if err := fence(to.Reveal()); err != nil {
			return &failure{err: err, final: true}
		}
	}
	body, err := json.Marshal(l.wire)
	if err != nil {
		return &failure{err: err, final: true}
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits().try)
	defer cancel()
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { wrote.Store(i.Err == nil) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Reveal(), strings.NewReader(string(body)))
	if err != nil {
		return &failure{err: errors.New("its address is no sound URL"), final: true}
	}
	req.GetBody = nil // the transport must not send it again by itself
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "lifeboat")
	if l.wire.ID != "" {
		req.Header.Set("Idempotency-Key", l.wire.ID)
	}
	client := *s.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return unanswered(ctx, err, wrote.Load())
	}
	defer res.Body.Close()
	return s.answered(res, to)
}

// unanswered says what an error of the transport means, without the address that it
// names. wrote says that the whole request went out before.
func unanswered(ctx context.Context, err error, wrote bool) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &failure{err: hint.Wrap(errors.New(printable.Line(err.Error())),
			"this machine does not trust its certificate: have it renewed there, or install its authority here"), final: true}
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &failure{err: errors.New("no answer in time"), sent: wrote}
	case wrote:
		return &failure{err: fmt.Errorf("the connection was lost before an answer: %s", printable.Line(err.Error())), sent: true}
	}
	return &failure{err: errors.New(printable.Line(err.Error()))}
}

// answered reads what the other side says.
func (s *Sender) answered(res *http.Response, to secret.String) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return &failure{err: hint.New("it answers "+res.Status+", a redirect, which is not followed", "name the address where it leads to"), final: true}
	default:
		text := "it answers " + printable.Line(res.Status)
		if said := excerpt(res, to); said != "" {
			text += ": " + said
		}
		err := errors.New(text)
		switch code {
		case http.StatusUnauthorized, http.StatusForbidden:
			err = hint.Wrap(err, "the key in its address is not taken any more: make a new one there, and put it where the estate looks for it")
		case http.StatusNotFound, http.StatusGone:
			err = hint.Wrap(err, "there is no such channel any more: make a new one there, and put its address where the estate looks for it")
		}
		retry := code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500
		return &failure{err: err, final: !retry, after: s.retryAfter(res.Header.Get("Retry-After"))}
	}
}

// retryAfter reads how long the other side asks to wait: seconds, or a date.
func (s *Sender) retryAfter(text string) time.Duration {
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, (24*time.Hour).Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(s.now()))
	}
	return 0
}
