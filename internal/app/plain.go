package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
	"lifeboat/internal/secret"
)

// plain asks a person line by line: numbered choices, a typed token, no cursor
// movement. It is the screen-reader and serial-line mode, and what is left when the
// terminal can do nothing.
type plain struct {
	in      *typist // the only reader of standard input
	out     *lines
	by      string
	session string
	// echo writes what was read: input that is no terminal shows nothing itself.
	echo bool

	world *world
	ctx   context.Context // of the question that is being asked
	hand  hand            // on the run that asks; nil before it does
	gate  int64           // that was asked about last
	since time.Time       // when the question was asked
	early bool            // the last line came before the question could be read

	practice runner.Practice // of the drill that is played; nil: it is none
}

// hand is what a person may do to a run beside answering its question. Whose it is, is
// known to it.
type hand interface {
	Snapshot() run.Run
	Note(ctx context.Context, text string) error
	Raise(ctx context.Context, to int, reason string) error
	Stop(ctx context.Context, which run.Attempt) error
	Room(ctx context.Context) (runner.Room, error)
	AskToDrive(ctx context.Context) error
	Decide(ctx context.Context, asked int64, yes bool) error
}

// person asks whoever reads the lines and types.
func (w *world) person(l *lines) *plain {
	l.raises, l.self = true, w.who().Driver
	return &plain{in: &typist{in: w.stdin()}, out: l, by: w.env.user, session: w.session, echo: !w.env.terminal, world: w}
}

// drives takes the engine whose questions are asked.
func (p *plain) drives(h hand) { p.hand = h }

var _ engine.Asker = (*plain)(nil)

// choice is one numbered way on.
type choice struct {
	text, hint string
	act        func() (run.Answer, error)
}

// Ask implements engine.Asker. The end of the input leaves the run open.
func (p *plain) Ask(ctx context.Context, r run.Run, refused string) (run.Answer, error) {
	if refused != "" {
		p.out.add("%s", sentence(refused))
	}
	if err := ctx.Err(); err != nil {
		return run.Answer{}, err
	}
	p.ctx = ctx
	g := r.Gate
	a := run.Answer{Gate: g.Seq, By: p.by, How: "plain", Session: p.session}
	p.asks(&r)
	p.since = time.Now()
	switch g.Kind {
	case run.Confirm:
		return p.pick(&r, append([]choice{{"Run it", "", func() (run.Answer, error) {
			a.Verb, a.Digest = run.Approve, g.Digest
			return a, nil
		}}}, p.leave(&r, a)...))
	case run.Token:
		return p.token(&r, a)
	case run.Checklist:
		return p.checklist(&r, a)
	case run.Input:
		p.out.add("%s", g.Prompt)
		v, err := p.line(&r, "VALUE")
		a.Verb, a.Values = run.Give, []string{v}
		return a, err
	}
	if g.Kind == run.Choice || g.Kind == run.Closing { // a failure and a doubt were said just before
		p.out.add("%s", g.Prompt)
	}
	var ways []choice
	for _, o := range g.Options {
		ways = append(ways, choice{o.Text, o.Hint, func() (run.Answer, error) {
			a.Verb, a.Target = o.Verb, o.Key
			if g.Kind == run.Choice {
				a.Target, a.Values = "", []string{o.Key}
			}
			switch {
			case o.Verb == run.Override || o.Verb == run.Skip:
				return p.reason(&r, a)
			case o.Verb == run.Settle && g.Kind == run.Closing:
				return p.sentence(&r, a, "How do you know? In a sentence, kept in the record:")
			}
			return a, nil
		}})
	}
	if g.Kind == run.Choice {
		ways = append(ways, p.leave(&r, a)...)
	}
	return p.pick(&r, ways)
}

// promptWord is the word that a prompt has for its question, where it has one.
func promptWord(g *run.Gate) string {
	if g != nil && g.Kind == run.Doubt {
		return "IN DOUBT"
	}
	return ""
}

// asks keeps where the person was asked, for when they come back, and says what else waits
// for them.
func (p *plain) asks(r *run.Run) {
	if p.hand == nil || p.gate == r.Gate.Seq {
		return
	}
	p.gate = r.Gate.Seq
	_ = p.world.remember(r.ID, incident.Mark{Seq: r.Seq, At: p.world.env.now()}) // losing it is harmless
}

// leave lists the ways that every gate of a step has.
func (p *plain) leave(r *run.Run, a run.Answer) []choice {
	out := []choice{
		{"Skip this step, with a reason", "", func() (run.Answer, error) { a.Verb = run.Skip; return p.reason(r, a) }},
		{"Abort the run", "", func() (run.Answer, error) { a.Verb = run.Abandon; return a, nil }},
	}
	if r.Gate.Undo {
		return out[:1]
	}
	newest, at := int64(0), -1
	for i := range r.Steps {
		if c, ok := r.Steps[i].Newest(); ok && r.Steps[i].Back != "" && c.Seq > newest {
			newest, at = c.Seq, i
		}
	}
	if at >= 0 {
		s := r.Steps[at]
		out = append(out, choice{"Undo step " + strconv.Itoa(at+1) + ": " + s.Title, s.Back, func() (run.Answer, error) {
			a.Verb, a.Target = run.Undo, s.ID
			return a, nil
		}})
	}
	return out
}

// pick shows numbered ways and reads a number.
func (p *plain) pick(r *run.Run, ways []choice) (run.Answer, error) {
	for i, w := range ways {
		p.out.add("  %d  %s", i+1, w.text)
		if w.hint != "" {
			p.out.add("     %s", w.hint)
		}
	}
	for {
		text, err := p.command(r, promptWord(r.Gate), true)
		if err != nil {
			return run.Answer{}, err
		}
		if p.tooEarly() {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err == nil && n >= 1 && n <= len(ways) {
			return ways[n-1].act()
		}
		p.out.add("Type a number from 1 to %d, or q to leave: the run stays open. ? lists what else.", len(ways))
	}
}

// token reads the token of the live target. Nothing less than all of it counts.
func (p *plain) token(r *run.Run, a run.Answer) (run.Answer, error) {
	g := r.Gate
	misses, _ := strconv.Atoi(a.Extra[run.MissesKey]) // absent: none
	for {
		p.out.add("Type the token read from the target: %s", g.Token)
		p.out.add("An empty line goes back, nothing has changed.")
		text, err := p.line(r, "GATE")
		if err != nil {
			return run.Answer{}, err
		}
		if text = strings.TrimSpace(text); text == "" {
			return p.pick(r, append([]choice{{"Show the gate again", "", func() (run.Answer, error) {
				p.out.plan(g.Plan)
				return p.token(r, a)
			}}}, p.leave(r, a)...))
		}
		if text == g.Token {
			a.Verb, a.Digest, a.Token = run.Approve, g.Digest, text
			return a, nil
		}
		misses++
		a.Extra = map[string]string{run.MissesKey: strconv.Itoa(misses)}
		p.out.add("%d of %d characters match. Nothing has run. Try again.", matching(text, g.Token), len([]rune(g.Token)))
	}
}

// matching counts how many characters at the start of typed are those of want.
func matching(typed, want string) int {
	n := 0
	w := []rune(want)
	for i, c := range []rune(typed) {
		if i >= len(w) || c != w[i] {
			break
		}
		n++
	}
	return n
}

// checklist asks item by item for what the person did or sees.
func (p *plain) checklist(r *run.Run, a run.Answer) (run.Answer, error) {
	a.Verb = run.Give
	for i, it := range r.Gate.Items {
		p.out.add("%d. %s", i+1, it.Text)
		if it.Observe || it.Expect != "" {
			p.out.add("   Type what you see.")
		} else {
			p.out.add("   Type who did it, or what you saw. \"skip\" leaves the step out.")
		}
		for {
			v, err := p.line(r, "")
			if err != nil {
				return a, err
			}
			if p.tooEarly() {
				continue
			}
			if v = strings.TrimSpace(v); v == "" {
				p.out.add("An answer is needed, or \"skip\".")
				continue
			}
			if v == "skip" {
				return p.pick(r, p.leave(r, a))
			}
			a.Values = append(a.Values, v)
			break
		}
	}
	return a, nil
}

// reason asks why a person leaves the path.
func (p *plain) reason(r *run.Run, a run.Answer) (run.Answer, error) {
	classes := []run.ReasonClass{run.DoneElsewhere, run.NotPossible, run.Unsafe, run.NoTime, run.Other}
	var ways []choice
	for _, c := range classes {
		ways = append(ways, choice{string(c), "", func() (run.Answer, error) {
			a.Class = c
			return a, nil
		}})
	}
	p.out.add("Why?")
	a, err := p.pick(r, ways)
	if err != nil {
		return a, err
	}
	return p.sentence(r, a, "In a sentence, kept in the record:")
}

// sentence asks for a reason in words.
func (p *plain) sentence(r *run.Run, a run.Answer, ask string) (run.Answer, error) {
	var err error
	for strings.TrimSpace(a.Reason) == "" {
		p.out.add("%s", ask)
		if a.Reason, err = p.line(r, "REASON"); err != nil {
			return a, err
		}
	}
	return a, nil
}

// line reads an answer in words of its own.
func (p *plain) line(r *run.Run, word string) (string, error) { return p.command(r, word, false) }

// read prompts and reads one line. "q" and the end of the input leave.
func (p *plain) read(r *run.Run, word string) (string, error) {
	step := min(r.Current()+1, len(r.Steps))
	p.out.ask(fmt.Sprintf("%s %d/%d%s> ", mode(*r), step, len(r.Steps), prefix(" ", word)))
	asked := time.Now()
	got, err := p.in.read(p.ctx)
	text := got.text
	p.out.answered()
	if p.world != nil && p.world.env.terminal && err == nil && got.at.Sub(asked) < typedAhead {
		fmt.Fprintln(p.out.w) // the terminal has shown the line, and its end, before the prompt
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) { // the question was withdrawn
		fmt.Fprintln(p.out.w)
		return "", err
	}
	if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) && text == "" { // EIO: the terminal is gone
		fmt.Fprintln(p.out.w)
		return "", engine.ErrLeft
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	text = strings.TrimRight(text, "\r\n")
	p.shows(r, text)
	p.early = p.world != nil && p.world.env.terminal && got.at.Sub(p.since) < readTime
	if text == "q" {
		return "", engine.ErrLeft
	}
	if r.Gate != nil && r.Gate.Secret {
		return text, nil // every character of a secret counts, and none is shown
	}
	return printable.Line(text), nil
}

// shows writes what was read where the input is no terminal, which would have shown it.
func (p *plain) shows(r *run.Run, text string) {
	if p.echo {
		shown := text
		if r.Gate != nil && r.Gate.Secret {
			shown = secret.Mask
		}
		fmt.Fprintln(p.out.w, printable.Line(shown))
	}
}

// readTime is how long a question must have been there before a terminal can answer it: what
// was typed before, or in the same moment, was meant for something else. A token cannot be,
// and words answer nothing.
const readTime = 400 * time.Millisecond

// typedAhead is how soon after a prompt a line is there that was typed before it.
const typedAhead = 50 * time.Millisecond

// tooEarly says that a line answers nothing, when it does not.
func (p *plain) tooEarly() bool {
	if p.early {
		p.out.add("That was typed before the question could be read, and answers nothing.")
	}
	return p.early
}

// sentence makes a message of ours a sentence of its own.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.ContainsAny(s[len(s)-1:], ".?!") {
		s += "."
	}
	return s
}
