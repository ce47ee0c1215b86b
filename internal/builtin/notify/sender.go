package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

// Sender delivers messages: to all channels at once, each with so many tries and so much
// time, so that what is dead holds up neither the others nor a recovery.
type Sender struct {
	HTTP *http.Client // required
	// Service delivers through a service of shoutrrr. It ends when ctx does. nil: none is
	// reached.
	Service func(ctx context.Context, to secret.String, title, text string) error
	Redact  func(string) string // takes secrets out of what is sent; nil: there are none
	Hide    func(secret.String) // is told every address, so that nothing shows it; nil: nobody
	Now     func() time.Time    // nil: the clock
	Limits  Limits              // zero: the usual ones
	Ledger  Ledger              // nil: nothing is remembered
}

// Limits bound how long a delivery takes.
type Limits struct {
	Tries   int                                              // 0: 3
	Try     time.Duration                                    // 0: 10 s, of one request
	Program time.Duration                                    // 0: 30 s, of one run of a program
	Channel time.Duration                                    // 0: 30 s, of all tries of a channel
	Pause   func(ctx context.Context, d time.Duration) error // nil: waits
}

// Ledger remembers what a run has delivered, so that one that is taken up again does not
// tell everybody a second time.
type Ledger interface {
	Told(run, id string) bool
	Keep(run, id string) error
}

// Delivery is what became of a message at one channel.
type Delivery struct {
	Channel string
	How     string // "webhook at alerts.example.com"
	Done    bool
	Already bool // it was delivered before
	Tries   int
	Took    time.Duration
	Err     error // why it was not delivered
	Unclear bool  // it may have arrived all the same
}

// Brief says whether it was delivered, and not why.
func (d Delivery) Brief() string {
	if d.Done {
		return d.String()
	}
	return d.who() + ": NOT DELIVERED"
}

func (d Delivery) who() string {
	if d.How == "" {
		return d.Channel
	}
	return d.Channel + " (" + d.How + ")"
}

// String is one line about the delivery.
func (d Delivery) String() string {
	who := d.who()
	switch {
	case d.Already:
		return who + ": delivered before, not sent again"
	case d.Done && d.Tries > 1:
		return fmt.Sprintf("%s: delivered at try %d", who, d.Tries)
	case d.Done:
		return who + ": delivered"
	}
	text := fmt.Sprintf("%s: %s", d.Brief(), strings.ReplaceAll(fmt.Sprint(d.Err), "\n", "; "))
	if d.Tries > 1 {
		text += fmt.Sprintf(", %d times", d.Tries)
	}
	if d.Unclear {
		text += " (it may have arrived all the same)"
	}
	return text
}

type limits struct {
	tries                 int
	try, program, channel time.Duration
}

func (s *Sender) limits() limits {
	l := limits{tries: 3, try: 10 * time.Second, program: 30 * time.Second, channel: 30 * time.Second}
	if s.Limits.Tries > 0 {
		l.tries = s.Limits.Tries
	}
	if s.Limits.Try > 0 {
		l.try = s.Limits.Try
	}
	if s.Limits.Program > 0 {
		l.program = s.Limits.Program
	}
	if s.Limits.Channel > 0 {
		l.channel = s.Limits.Channel
	}
	return l
}

func (s *Sender) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Sender) pause(ctx context.Context, d time.Duration) error {
	if s.Limits.Pause != nil {
		return s.Limits.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ID names a message to a channel: the same for every try to tell the same, also after a
// crash. A message that belongs to no run has none.
func ID(m alert.Message, channel string) string {
	if m.Run == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{m.Run, m.Step, m.Event, m.Asset, m.Text, channel} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Send tells every channel, all at once, and then those that could be reached of those
// that could not. The deliveries are in the order of the channels. fence is that of a
// drill, nil where there is none.
func (s *Sender) Send(ctx context.Context, channels []Channel, m alert.Message, fence func(string) error) []Delivery {
	if s.Redact != nil {
		m.Text, m.Advice = s.Redact(m.Text), s.Redact(m.Advice)
	}
	m = m.Clean()
	out := s.each(ctx, channels, m, fence)
	var dead []string
	var alive []Channel
	for i, d := range out {
		switch {
		case !d.Done:
			dead = append(dead, d.Channel)
		case !d.Already:
			alive = append(alive, channels[i])
		}
	}
	if len(dead) > 0 && len(alive) > 0 && m.Event != alert.Test {
		about := m
		about.Event, about.Advice = alert.ChannelDead, "lifeboat alerts test says why"
		about.Text = fmt.Sprintf("%s did not get the message %q. Tell its readers, and have it repaired.", strings.Join(dead, ", "), m.Short())
		s.each(ctx, alive, about, fence) // that they could be reached is on record already
	}
	return out
}

func (s *Sender) each(ctx context.Context, channels []Channel, m alert.Message, fence func(string) error) []Delivery {
	out := make([]Delivery, len(channels))
	var all sync.WaitGroup
	for i, c := range channels {
		all.Go(func() { out[i] = s.deliver(ctx, c, m, fence) })
	}
	all.Wait()
	return out
}

// deliver tries until it is done, hopeless, or out of time.
func (s *Sender) deliver(ctx context.Context, c Channel, m alert.Message, fence func(string) error) (d Delivery) {
	d.Channel = c.Name
	began := time.Now()
	defer func() { d.Took = time.Since(began) }()
	var to secret.String
	if c.Command == nil {
		var err error
		if to, err = c.Address(); err != nil {
			d.Err = err
			return d
		}
		if s.Hide != nil {
			s.Hide(to)
		}
	}
	d.How = how(c, to)
	id := ID(m, c.Name)
	if id != "" && s.Ledger != nil && s.Ledger.Told(m.Run, id) {
		d.Done, d.Already = true, true
		return d
	}
	l := letter{title: m.Title(), text: c.Template.Render(m)}
	l.wire = m.Wire(l.text, id)
	ctx, cancel := context.WithTimeout(ctx, s.limits().channel)
	defer cancel()
	for {
		d.Tries++
		err := s.try(ctx, c, to, l, fence)
		if err == nil {
			d.Done, d.Err = true, nil
			break
		}
		f, ok := errors.AsType[*failure](err)
		if !ok {
			f = &failure{err: err, final: true}
		}
		d.Err, d.Unclear = f.err, d.Unclear || f.sent
		if f.final || d.Tries >= s.limits().tries || ctx.Err() != nil {
			return d
		}
		wait := max(f.after, 500*time.Millisecond<<(2*(d.Tries-1)))
		if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
			if f.after > 0 {
				d.Err = fmt.Errorf("%w; it asks to wait %s", f.err, printable.Span(f.after))
			}
			return d
		}
		if s.pause(ctx, wait) != nil {
			return d
		}
	}
	if id != "" && s.Ledger != nil {
		// Delivered and not remembered is told twice after a crash, which is a nuisance only.
		_ = s.Ledger.Keep(m.Run, id)
	}
	return d
}

// excerpt is the beginning of an answer on one line, without the address.
func excerpt(res *http.Response, to secret.String) string {
	data, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil || len(data) == 0 {
		return ""
	}
	return cleaned(errors.New(strings.Join(strings.Fields(string(data)), " ")), to).Error()
}

// Advice joins what can be done about deliveries that failed.
func Advice(list []Delivery) string {
	var out []string
	for _, d := range list {
		if !d.Done {
			out = append(out, hint.All(d.Err)...)
		}
	}
	return strings.Join(out, "; ")
}
