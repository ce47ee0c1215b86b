package widget

import (
	"regexp"
	"sort"
	"strings"
)

// A search through a log goes on in the background; the log shows where it is.

// search is what is looked for.
type search struct {
	text    string
	finder  *Finder
	pattern *regexp.Regexp // of what it finds, made when it is first drawn
	found   Found
	way     int // of the jump that waits for a hit
	base    int64
	either  bool // the other way will do as well
}

// Search begins to look for what finder finds, from the place on the screen. The nearest
// hit is shown as soon as it is known.
func (l *Log) Search(text string, finder *Finder) {
	l.search = search{text: text, finder: finder, way: 1, base: l.From() - 1, either: true}
	l.miss, l.onLine = "", false
}

// From is where a search begins.
func (l *Log) From() int64 {
	if rows := l.Rows(); len(rows) > 0 {
		return rows[0].Line.Start
	}
	return 0
}

// Searching is the search that is under way; nil when there is none.
func (l *Log) Searching() *Finder { return l.search.finder }

// EndSearch forgets the search.
func (l *Log) EndSearch() { l.search, l.miss, l.onLine = search{}, "", false }

// Again goes to the next hit below (1) or above (-1).
func (l *Log) Again(way int) {
	if l.search.finder == nil {
		return
	}
	l.miss = ""
	l.search.way, l.search.base, l.search.either = way, l.base(), false
	l.lead()
}

// Found takes what finder has found. It says whether anything on the screen has changed.
func (l *Log) Found(finder *Finder, f Found) bool {
	s := &l.search
	if s.finder != finder || finder == nil {
		return false
	}
	changed := len(f.Hits) != len(s.found.Hits) || f.Done != s.found.Done || f.Err != nil
	s.found = f
	return l.lead() || changed
}

// lead goes to the hit that is waited for, once it is known.
func (l *Log) lead() bool {
	s := &l.search
	if s.way == 0 {
		return false
	}
	at, found, known := s.found.next(s.base, s.way)
	if !known {
		return false
	}
	if !found && s.either {
		at, found, _ = s.found.next(s.base, -s.way)
	}
	switch {
	case found:
		l.jump(at)
	case len(s.found.Hits) == 0:
		l.miss = "not found"
	case s.way > 0:
		l.miss = "no hit below"
	default:
		l.miss = "no hit above"
	}
	s.way = 0
	return true
}

// Finding says in a few words what a search has found; empty when there is none.
func (l *Log) Finding() string {
	s := &l.search
	if s.finder == nil {
		return ""
	}
	n := int64(len(s.found.Hits))
	hits := Count(n) + " hits"
	if n == 1 {
		hits = "1 hit"
	}
	switch {
	case s.found.Err != nil:
		return "the log cannot be searched"
	case s.found.Full:
		return "the nearest " + hits
	case !s.found.Done:
		return hits + " so far"
	case l.onLine:
		if i := sort.Search(len(s.found.Hits), func(i int) bool { return s.found.Hits[i] >= l.cursor }); i < len(s.found.Hits) && s.found.Hits[i] == l.cursor {
			return "hit " + Count(int64(i)+1) + " of " + Count(n)
		}
	}
	return hits
}

// Sought is the text that is looked for.
func (l *Log) Sought() string { return l.search.text }

// Hits are the cells of a row that the search matches: from where, and how many.
func (l *Log) Hits(r Row) (cells [][2]int) {
	if l.search.finder == nil || r.Line.Note {
		return nil
	}
	if l.search.pattern == nil {
		l.search.pattern = l.search.finder.Pattern()
	}
	var plain strings.Builder
	walk(r.Text, func(text, _ string, _, _ int) bool { plain.WriteString(text); return true })
	for _, m := range l.search.pattern.FindAllStringIndex(plain.String(), 40) {
		cells = append(cells, [2]int{Width(plain.String()[:m[0]]), Width(plain.String()[m[0]:m[1]])})
	}
	return cells
}
