package app

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/printable"
)

// bar shows how far the running step is: on a terminal as the last line, which is wiped
// before anything else is written; elsewhere as a line every now and then, so that a log
// tells a long step from one that hangs.
type bar struct {
	w    io.Writer
	tty  bool
	now  func() time.Time
	mu   sync.Mutex // protects below
	up   bool       // stands on the screen
	last time.Time
	step string
	from int64 // done when the step was first heard of
	at   time.Time
}

// What is shown at most how often.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 15 * time.Second
)

const wipe = "\r\x1b[K"

// Write implements io.Writer for everything else that is shown.
func (b *bar) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
	return b.w.Write(p)
}

func (b *bar) clear() {
	if b.up {
		io.WriteString(b.w, wipe)
		b.up = false
	}
}

func (b *bar) progress(step string, done, total int64, unit string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if step != b.step || done < b.from {
		b.step, b.from, b.at, b.last = step, done, now, now
		return // what ends at once needs no bar
	}
	every := lineEvery
	if b.tty {
		every = barEvery
	}
	if now.Sub(b.last) < every {
		return
	}
	b.last = now
	text := b.words(done, total, unit, now.Sub(b.at))
	if !b.tty {
		fmt.Fprintf(b.w, "%s%s\n", indent, text)
		return
	}
	b.clear()
	fmt.Fprintf(b.w, "%s%s %s", indent, gauge(done, total), text)
	b.up = true
}

const gaugeWidth = 20

func gauge(done, total int64) string {
	if total <= 0 || done < 0 {
		return "[" + strings.Repeat(".", gaugeWidth) + "]"
	}
	n := int(float64(min(done, total)) / float64(total) * gaugeWidth)
	if n == gaugeWidth {
		return "[" + strings.Repeat("=", n) + "]"
	}
	return "[" + strings.Repeat("=", n) + ">" + strings.Repeat(".", gaugeWidth-n-1) + "]"
}

// words are short enough for a line of 80 with the gauge before them.
func (b *bar) words(done, total int64, unit string, took time.Duration) string {
	number, of := strconv.FormatInt, " "+printable.Line(unit)
	if unit == "B" {
		number, of = func(n int64, _ int) string { return printable.Size(n) }, ""
	}
	text := number(done, 10) + of
	if total > 0 {
		text = fmt.Sprintf("%3.0f %%  %s of %s%s", 100*float64(min(done, total))/float64(total), number(done, 10), number(total, 10), of)
	}
	rate := float64(done-b.from) / took.Seconds()
	if took < time.Second || rate < 1 {
		return text
	}
	if unit == "B" {
		text += fmt.Sprintf(", %s/s", printable.Size(int64(rate)))
	}
	if left := time.Duration(float64(total-done) / rate * float64(time.Second)); total > done && left > 2*time.Second {
		text += ", " + printable.Span(left.Round(time.Second)) + " left"
	}
	return text
}
