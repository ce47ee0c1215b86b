package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// raised writes that the level went up, and what that asks for.
func (l *lines) raised(at time.Time, b run.Raise) {
	l.say(at, "LEVEL RAISED from %d to %d by %s%s", b.From, b.To, b.By, prefix(": ", b.Reason))
	if l.asks != nil {
		l.asks(b.To)
	}
}

// remind reads the clock of the level out when its time is nearly spent, and when it is:
// once each. It may come while a question waits, which is then asked again.
func (l *lines) remind(r *run.Run) {
	if l.clock == nil || l.replay {
		return
	}
	c := l.clock(r)
	l.mu.Lock()
	defer l.settle()
	if !c.Reminds() || c.Level == l.reminded.Level && (c.Over == l.reminded.Over || l.reminded.Over) {
		return // a clock that was put back tells nobody twice
	}
	l.reminded = c
	l.put(l.now().UTC().Format("15:04:05")+" ", "TIME "+c.Says)
	if c.Forecast != "" {
		l.put(indent, c.Forecast+".")
	}
	if c.Next.Number > 0 {
		text := fmt.Sprintf("In doubt it is the higher level. Level %d: %s, within %s.", c.Next.Number, c.Next.Response, incident.Span(c.Next.Recovery))
		if l.raises {
			text += " Type raise to raise it."
		} else {
			text += " lifeboat attach " + r.ID.Short() + " raises it."
		}
		l.put(indent, text)
	}
}

// ask writes a prompt and stays in its line; answered says that the line has ended. What is
// written while it stands gets lines of its own, and the prompt is repeated behind them: what
// was typed so far is still the answer's, also where the terminal no longer shows it.
func (l *lines) ask(prompt string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prompt, l.broken = prompt, false
	io.WriteString(l.w, prompt)
}

func (l *lines) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prompt, l.broken = "", false
}

// printf writes, beside a prompt where one stands. It is the only writer of lines.
func (l *lines) printf(format string, args ...any) {
	if l.prompt != "" && !l.broken {
		io.WriteString(l.w, "\n")
		l.broken = true
	}
	fmt.Fprintf(l.w, format, args...)
}

// settle ends what was written at once: the prompt is repeated where it was broken, once
// for all lines of one event.
func (l *lines) settle() {
	if l.broken && l.events == 0 {
		l.broken = false
		io.WriteString(l.w, l.prompt)
	}
	l.mu.Unlock()
}

// group lets the lines that are written until done is called be one block.
func (l *lines) group() (done func()) {
	l.mu.Lock()
	l.events++
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.events--
		l.settle()
	}
}

// shown is what goes through lines as it is: the progress of a step.
type shown struct{ *lines }

func (s shown) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.settle()
	s.printf("%s", p)
	return len(p), nil
}

// bare writes a line that belongs to no moment.
func (l *lines) bare(format string, args ...any) {
	l.mu.Lock()
	defer l.settle()
	text := printable.Line(fmt.Sprintf(format, args...))
	hang := strings.Repeat(" ", len(text)-len(strings.TrimLeft(text, " "))+3)
	width := lineWidth
	if len(text) > width {
		width -= 3 // for the margin of what follows
	}
	for i, line := range wrap(text, width) {
		if i > 0 {
			line = hang + strings.TrimLeft(line, " ")
		}
		l.printf("%s\n", line)
	}
}

// choice writes a numbered way on.
func (l *lines) choice(n int, text string) {
	l.mu.Lock()
	defer l.settle()
	head := fmt.Sprintf("  %d  ", n)
	for i, line := range wrap(printable.Line(text), lineWidth-len(head)) {
		if i > 0 {
			head = strings.Repeat(" ", len(head))
		}
		l.printf("%s%s\n", head, line)
	}
}

// fact writes "  label   text" with a margin of its own.
func (l *lines) fact(label, text string) {
	l.mu.Lock()
	defer l.settle()
	for i, line := range wrap(printable.Line(text), lineWidth-2-labelWidth) {
		if i > 0 {
			label = ""
		}
		l.printf("  %-*s%s\n", labelWidth, label, line)
	}
}
