package widget

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Log is the state of a pane over a log file. It does no reading: [Log.Want] says what
// it needs, whoever may do I/O fetches that from a [Spool], and [Log.Take] takes the
// answer. It holds a few hundred lines around those on the screen, so that moving is
// seen at once and reading follows. The zero Log follows the newest lines.
//
// A place in it is a line and, where lines are wrapped, a row of that line. A place never
// moves, whatever is added to the file.
type Log struct {
	Clean func(string) string // makes a raw line harmless, with its colours; nil: as it is

	w, h   int // cells of text and rows on the screen
	paused bool
	top    int64 // the first line shown, when paused
	sub    int   // and its row
	wrap   bool
	side   int // cells scrolled to the right

	move    int   // rows still to move when lines are there
	alarm   int   // way to the next warning that is asked for
	cursor  int64 // the line that a search or a jump has led to
	onLine  bool  // there is one
	miss    string
	starved bool // the last fetch did not bring what it was for
	behind  bool // it follows, and holds lines of another place

	got  Got // its Lines are those that the pane holds
	mark int64
	rate int64 // lines per second
	tick struct {
		at, body time.Time // of the last answer, of the last one with lines
		from     time.Time // of the measurement of the rate
		total    int64
	}

	search search
}

// pageLines is how many lines are held at least on each side of the place.
const pageLines = 200

// floodRate is the number of lines per second above which nobody can read them: only
// the head of the pane is drawn at every tick, the lines four times a second.
const (
	floodRate = 2000
	floodBody = 200 * time.Millisecond
)

// Fit says how large the pane is: cells of text, and rows.
func (l *Log) Fit(w, h int) {
	w, h = max(w, 1), max(h, 1)
	if w == l.w && h == l.h {
		return
	}
	l.w, l.h, l.starved = w, h, false
	if l.paused {
		l.settle()
	}
}

// Want says what to fetch.
func (l *Log) Want() Want {
	w := Want{At: l.top, Lines: max(pageLines, 3*l.h)}
	switch {
	case l.alarm != 0:
		w.At, w.Alarm = l.base(), l.alarm
	case !l.paused:
		w.Follow, w.Head = true, l.rate > floodRate && l.tick.at.Sub(l.tick.body) < floodBody
	default:
		w.Head = !l.lacks()
	}
	return w
}

// Hungry says that lines are missing which the pane will show next: it should fetch at
// once. When a fetch brought none, it waits for the next tick.
func (l *Log) Hungry() bool { return !l.starved && l.lacks() }

func (l *Log) lacks() bool {
	if l.alarm != 0 || l.behind {
		return true
	}
	if !l.paused || l.got.Size == 0 {
		return false
	}
	i, held := l.line(l.top)
	return !held || l.move != 0 || i < l.h && !l.got.First || len(l.got.Lines)-i < 3*l.h && !l.last()
}

// last says whether the last line of the file is held.
func (l *Log) last() bool {
	n := len(l.got.Lines)
	return n == 0 && l.got.Size == 0 || n > 0 && l.got.Lines[n-1].end == l.got.Size
}

// line is the index of the line that holds a place.
func (l *Log) line(off int64) (i int, held bool) {
	ls := l.got.Lines
	i = sort.Search(len(ls), func(i int) bool { return ls[i].Start > off }) - 1
	if i < 0 || off >= ls[i].end && i == len(ls)-1 && !l.last() {
		return max(i, 0), false
	}
	return i, true
}

// Take takes what was fetched for w at the time now. It says whether anything on the
// screen has changed.
func (l *Log) Take(w Want, g Got, now time.Time) bool {
	old := l.got
	if g.Err != nil {
		l.got.Err = g.Err
		return old.Err == nil
	}
	l.measure(g, now)
	lines := l.got.Lines
	l.got = g
	l.got.Lines, l.got.First = lines, old.First
	switch {
	case w.Alarm != 0:
		l.alarm = 0
		switch {
		case g.Missed && !g.Judged:
			l.miss = "still looking for warnings"
		case g.Missed && w.Alarm > 0:
			l.miss = "no warning below"
		case g.Missed:
			l.miss = "no warning above"
		default:
			l.hold(g, now)
			l.jump(g.At)
		}
		return true
	case w.Head:
	case w.Follow && !l.paused:
		l.hold(g, now)
	case !w.Follow && l.paused:
		top, move := l.top, l.move
		l.hold(g, now)
		l.settle()
		l.starved = l.lacks() && top == l.top && move == l.move
	}
	return l.changed(&old, lines)
}

// hold replaces the lines that the pane holds.
func (l *Log) hold(g Got, now time.Time) {
	l.got.Lines, l.got.First, l.behind = g.Lines, g.First, false
	l.tick.body = now
}

// changed compares what can be seen with what was there before.
func (l *Log) changed(old *Got, lines []Line) bool {
	g := &l.got
	if g.Size != old.Size || g.Total != old.Total || g.Errors != old.Errors || g.Warnings != old.Warnings || g.Judged != old.Judged || old.Err != nil || len(lines) != len(g.Lines) {
		return true
	}
	n := len(lines) - 1
	return n >= 0 && (lines[0].Start != g.Lines[0].Start || lines[n].end != g.Lines[n].end)
}

// measure keeps the rate of lines.
func (l *Log) measure(g Got, now time.Time) {
	t := &l.tick
	t.at = now
	passed := now.Sub(t.from)
	switch {
	case t.from.IsZero() || !l.got.All:
		l.rate = 0 // it is counting an old file, nothing was written
	case passed < 400*time.Millisecond:
		return
	default:
		l.rate = int64(float64(g.Total-t.total) / passed.Seconds())
	}
	t.from, t.total = now, g.Total
}

// Scroll moves by n rows, negative is up. Moving up pauses.
func (l *Log) Scroll(n int) {
	l.miss, l.starved = "", false
	if !l.paused {
		if n > 0 {
			return
		}
		l.pause()
	}
	l.move += n
	l.settle()
}

// pause holds the lines that are shown now.
func (l *Log) pause() {
	i, sub := l.bottom()
	l.behind = false
	l.paused, l.mark, l.move = true, l.got.Total, 0
	l.top, l.sub = 0, sub
	if i < len(l.got.Lines) {
		l.top = l.got.Lines[i].Start
	}
}

// settle moves as far as the lines that are held allow.
func (l *Log) settle() {
	i, held := l.line(l.top)
	if !held || len(l.got.Lines) == 0 {
		return
	}
	l.sub = min(l.sub, l.rows(i)-1)
	for ; l.move < 0; l.move++ {
		if l.sub > 0 {
			l.sub--
			continue
		}
		if i == 0 {
			if l.got.First {
				l.move = 0
			}
			break
		}
		i--
		l.sub = l.rows(i) - 1
	}
	end, endSub := l.bottom()
	for ; l.move > 0; l.move-- {
		if i > end || i == end && l.sub >= endSub {
			if l.last() {
				l.move = 0
			}
			break
		}
		if l.sub+1 < l.rows(i) {
			l.sub++
			continue
		}
		i, l.sub = i+1, 0
	}
	l.top = l.got.Lines[i].Start
}

// bottom is the place at which the last line that is held stands on the last row.
func (l *Log) bottom() (i, sub int) {
	room := max(l.h, 1)
	for i = len(l.got.Lines) - 1; i >= 0; i-- {
		n := l.rows(i)
		if n >= room {
			return i, n - room
		}
		room -= n
	}
	return 0, 0
}

// rows is how many rows a line takes.
func (l *Log) rows(i int) int {
	if !l.wrap {
		return 1
	}
	return len(Fold(l.clean(&l.got.Lines[i]), l.w))
}

func (l *Log) clean(line *Line) string {
	s := Overwritten(line.Text)
	if l.Clean != nil && !line.Note {
		s = l.Clean(s)
	}
	if line.More {
		s += "…"
	}
	return s
}

// First goes to the first line.
func (l *Log) First() {
	l.pause()
	l.top, l.sub, l.side, l.onLine, l.miss, l.starved = 0, 0, 0, false, "", false
}

// Follow goes to the newest line and stays there.
func (l *Log) Follow() {
	l.behind = l.paused && !l.last()
	l.paused, l.move, l.side, l.onLine, l.miss, l.starved = false, 0, 0, false, "", false
	l.tick.body = time.Time{}
}

// Paused says whether the pane stands still.
func (l *Log) Paused() bool { return l.paused }

// Side moves the view by n cells to the right.
func (l *Log) Side(n int) { l.side = max(l.side+n, 0) }

// Wrap breaks long lines, or stops that. The first line shown stays the first one, except
// that a line to which a jump has led stays in sight.
func (l *Log) Wrap() {
	l.wrap, l.side, l.sub = !l.wrap, 0, 0
	if l.onLine {
		l.jump(l.cursor)
	}
}

// Wrapped says whether long lines are broken.
func (l *Log) Wrapped() bool { return l.wrap }

// Alarm goes to the next warning or error below (1) or above (-1).
func (l *Log) Alarm(way int) { l.alarm, l.miss, l.starved = way, "", false }

// base is the place from which a jump starts: the line of the last one while it can be
// seen, else the edge of the screen.
func (l *Log) base() int64 {
	rows := l.Rows()
	for _, r := range rows {
		if l.onLine && r.Line.Start == l.cursor {
			return l.cursor
		}
	}
	if len(rows) == 0 {
		return l.top
	}
	if !l.paused { // what is newest is what is asked for
		return rows[len(rows)-1].Line.end
	}
	return rows[0].Line.Start
}

// jump goes to a line, with some before it.
func (l *Log) jump(off int64) {
	if !l.paused {
		l.pause()
	}
	l.cursor, l.onLine, l.starved = off, true, false
	for _, r := range l.Rows() {
		if r.Line.Start == off { // it is in sight
			return
		}
	}
	l.top, l.sub, l.move = off, 0, -l.h/3
	l.settle()
}

// Moving says whether the file grew just now, so that it should be looked at often.
func (l *Log) Moving() bool {
	return l.rate > 0 || l.Hungry() || l.got.Size > 0 && (!l.got.All || !l.got.Judged)
}

// Row is a row of the screen.
type Row struct {
	Line   Line
	Text   string // harmless, with its colours, cut to the width of the pane
	Sub    int    // which row of its line it is
	Cursor bool   // a search or a jump has led here
}

// Rows are the rows to show.
func (l *Log) Rows() []Row {
	ls := l.got.Lines
	i, sub := l.bottom()
	if l.paused {
		var held bool
		if i, held = l.line(l.top); !held {
			return nil // they are being read
		}
		sub = l.sub
	}
	var out []Row
	for ; i < len(ls) && len(out) < l.h; i++ {
		for k, text := range l.draw(&ls[i]) {
			if k < sub && l.wrap {
				continue
			}
			if len(out) == l.h {
				break
			}
			out = append(out, Row{ls[i], text, k, l.onLine && ls[i].Start == l.cursor})
		}
		sub = 0
	}
	return out
}

// draw makes the rows of a line.
func (l *Log) draw(line *Line) []string {
	s := l.clean(line)
	if l.wrap {
		return Fold(s, l.w)
	}
	part, more := Slice(s, l.side, l.w)
	if more {
		part, _ = Slice(s, l.side, l.w-1)
		part += "…"
	}
	return []string{part}
}

// Shown are the raw lines on the screen, or only the one that a jump has led to while it
// can be seen.
func (l *Log) Shown() []string {
	var out []string
	for _, r := range l.Rows() {
		switch {
		case r.Cursor:
			return []string{r.Line.Text}
		case r.Sub == 0 || len(out) == 0:
			out = append(out, r.Line.Text)
		}
	}
	return out
}

// State says in a few words where the pane stands, and whether it follows.
func (l *Log) State() (words string, following bool) {
	switch {
	case l.got.Err != nil:
		return "the log cannot be read", false
	case l.miss != "":
		return l.miss, false
	case l.paused && l.got.Total > l.mark:
		return "paused · " + lines(l.got.Total-l.mark, "new ") + " · end follows", false
	case l.paused:
		return "paused · end follows", false
	case l.rate > floodRate:
		return "following · " + rate(l.rate), true
	}
	return "following", true
}

func rate(n int64) string {
	if n >= 10_000 {
		return Count((n+500)/1000) + " k lines/s"
	}
	return Count(n) + " lines/s"
}

func lines(n int64, kind string) string {
	if n == 1 {
		return "1 " + kind + "line"
	}
	return Count(n) + " " + kind + "lines"
}

// Total says how long the log is.
func (l *Log) Total() string {
	n := l.got.Total
	if l.got.Size > 0 && n == 0 {
		n = 1
	}
	if !l.got.All && l.got.Size > 0 {
		return "more than " + lines(n, "")
	}
	return lines(n, "")
}

// Alarms are the lines that look like an error or a warning. known says that the whole
// log was looked at.
func (l *Log) Alarms() (errors, warnings int64, known bool) {
	return l.got.Errors, l.got.Warnings, l.got.Judged
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

// Timed says whether it is known when the lines came.
func (l *Log) Timed() bool {
	for i := range l.got.Lines {
		if l.got.Lines[i].At != 0 {
			return true
		}
	}
	return false
}
