package widget

import (
	"fmt"
	"strings"
	"time"
)

// Log is the state of a pane over a log file. It does no reading: [Log.Want] says what
// it needs, whoever may do I/O fetches that from a [Spool], and [Log.Take] takes the
// answer. The zero Log follows the newest lines.
type Log struct {
	paused bool
	top    int64
	move   int
	find   string
	back   bool
	side   int // cells scrolled to the right

	got  Got
	mark int64 // lines there were when it was paused
	miss bool
	rate int64 // lines per second
	last time.Time
}

// pageLines is how many lines are fetched at a time: more than any screen shows.
const pageLines = 200

// Want says what to fetch. It takes the pending movement along, so each one is
// fetched once.
func (l *Log) Want() Want {
	w := Want{Follow: !l.paused, Top: l.top, Move: l.move, Lines: pageLines, Find: l.find, Back: l.back}
	l.move, l.find, l.back = 0, "", false
	return w
}

// Take takes what was fetched for w at the time now. It says whether anything on the
// screen has changed.
func (l *Log) Take(w Want, g Got, now time.Time) bool {
	if g.Err != nil {
		changed := l.got.Err == nil
		l.got.Err = g.Err
		return changed
	}
	grew := g.Total - l.got.Total
	if passed := now.Sub(l.last); passed > 0 && !l.last.IsZero() {
		l.rate = int64(float64(grew) / passed.Seconds())
	}
	if !l.got.All {
		l.rate = 0 // it was counting an old file, nothing was written
	}
	l.last = now
	changed := g.Size != l.got.Size || g.Total != l.got.Total || g.Top != l.got.Top ||
		len(g.Lines) != len(l.got.Lines) || g.Missed != l.miss || l.got.Err != nil
	l.miss = g.Missed
	if w.Follow == !l.paused { // an answer from before a pause would throw the anchor away
		l.got = g
		if l.paused {
			l.top = g.Top
		}
	} else {
		l.got.Size, l.got.Total = g.Size, g.Total
	}
	return changed
}

// Scroll moves by n lines, negative is up, on a pane of h lines. Moving up pauses.
func (l *Log) Scroll(n, h int) {
	if !l.paused {
		if n > 0 {
			return
		}
		l.pause(h)
	}
	l.move += n
}

// pause holds the lines that are shown now.
func (l *Log) pause(h int) {
	l.paused, l.mark, l.top = true, l.got.Total, l.got.Top
	if skip := len(l.got.Starts) - h; skip > 0 && skip < len(l.got.Starts) {
		l.top = l.got.Starts[skip]
	}
}

// First goes to the first line.
func (l *Log) First() { l.pause(0); l.top, l.move = 0, 0 }

// Follow goes to the newest line and stays there.
func (l *Log) Follow() { l.paused, l.move, l.side = false, 0, 0 }

// Paused says whether the pane stands still.
func (l *Log) Paused() bool { return l.paused }

// Side moves the view by n cells to the right.
func (l *Log) Side(n int) { l.side = max(l.side+n, 0) }

// Search looks for text below the first line shown, or above it.
func (l *Log) Search(text string, back bool, h int) {
	if text == "" {
		return
	}
	if !l.paused {
		l.pause(h)
	}
	l.find, l.back = text, back
}

// Moving says whether the file grew just now, so that it should be looked at often.
func (l *Log) Moving() bool { return l.rate > 0 || l.move != 0 || l.find != "" }

// Lines are the raw lines to show on h lines.
func (l *Log) Lines(h int) []string {
	lines := l.got.Lines
	if len(lines) > h && h >= 0 {
		if l.paused {
			return lines[:h]
		}
		return lines[len(lines)-h:]
	}
	return lines
}

// Offset is how many cells the view is scrolled to the right.
func (l *Log) Offset() int { return l.side }

// State says in a few words where the pane stands, and whether it follows.
func (l *Log) State() (words string, following bool) {
	switch {
	case l.got.Err != nil:
		return "the log cannot be read", false
	case l.miss:
		return "not found", false
	case l.paused && l.got.Total > l.mark:
		return "paused · " + Count(l.got.Total-l.mark) + " new lines", false
	case l.paused:
		return "paused", false
	case l.rate > 2000:
		return "following · " + Count(l.rate) + " lines/s", true
	}
	return "following", true
}

// Total says how long the log is.
func (l *Log) Total() string {
	n := l.got.Total
	if l.got.Size > 0 && n == 0 {
		n = 1
	}
	if n == 1 {
		return "1 line"
	}
	if !l.got.All && l.got.Size > 0 {
		return "more than " + Count(n) + " lines"
	}
	return Count(n) + " lines"
}

// Err is why the log cannot be read.
func (l *Log) Err() error { return l.got.Err }

// Overwritten reduces a line with carriage returns to what a terminal would leave of
// it, marked, because the part that was overwritten is hidden. The marker is "␍".
func Overwritten(s string) string {
	s = strings.TrimRight(s, "\r")
	i := strings.LastIndexByte(s, '\r')
	if i < 0 {
		return s
	}
	return "␍" + s[i+1:]
}

// Count writes a number with thin groups: 1 204 117.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
