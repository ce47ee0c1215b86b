package widget

import (
	"bytes"
	"sort"
)

// alarms are the lines of a log that look like a warning or an error, found while it
// grows.
type alarms struct {
	seen             int64   // bytes that were searched
	hits             []int64 // where those lines begin, the newest; in order
	errors, warnings int64
}

// alarmsKept is how many of them can be jumped to.
const alarmsKept = 200_000

// stems begin the words that count, by their first letter. They count at the border of
// a word, with the endings that make another form of the same word.
var stems = [256][]stem{
	'e': {{"error", true}},
	'f': {{"fatal", true}, {"fail", true}},
	'p': {{"panic", true}},
	'c': {{"critical", true}},
	'w': {{"warn", false}},
}

// second is the letter that follows in all stems with that first one: most places in a
// log are passed over by these two.
var second = [256]byte{'e': 'r', 'f': 'a', 'p': 'a', 'c': 'r', 'w': 'a', 'E': 'r', 'F': 'a', 'P': 'a', 'C': 'r', 'W': 'a'}

type stem struct {
	word string
	bad  bool // an error
}

var endings = map[string]bool{"": true, "s": true, "ed": true, "ure": true, "ures": true, "ing": true, "ings": true, "ly": true}

// scan searches what is new, and at most alarmStep bytes of it.
func (a *alarms) scan(s *Spool, size int64) error {
	for budget := int64(alarmStep); a.seen < size && budget > 0; {
		from, end := s.skip(a.seen, size)
		a.seen = from
		b, err := s.at(from, min(end-from, 1<<20))
		if err != nil {
			return err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			b = b[:i+1]
		} else if from+int64(len(b)) == size && len(b) < piece {
			return nil // the rest of the line is still to come
		}
		if len(b) == 0 {
			return nil
		}
		a.search(b, from)
		a.seen += int64(len(b))
		budget -= int64(len(b))
	}
	return nil
}

// search finds alarms in whole lines that lie at off.
func (a *alarms) search(b []byte, off int64) {
	for i := 0; i < len(b); {
		at, bad, ok := nextAlarm(b, i)
		if !ok {
			return
		}
		start, end := bytes.LastIndexByte(b[:at], '\n')+1, len(b)
		if n := bytes.IndexByte(b[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		for next := at; !bad && next < end; { // a line that warns of an error is an error
			var more bool
			if next, bad, more = nextAlarm(b[:end], next+1); !more {
				break
			}
		}
		if bad {
			a.errors++
		} else {
			a.warnings++
		}
		if len(a.hits) >= alarmsKept {
			a.hits = append(a.hits[:0], a.hits[alarmsKept/2:]...)
		}
		a.hits = append(a.hits, off+int64(start))
		i = end
	}
}

// nextAlarm finds the next word that counts from i on.
func nextAlarm(b []byte, i int) (at int, bad, ok bool) {
	for ; i+1 < len(b); i++ {
		if c := second[b[i]]; c == 0 || b[i+1]|0x20 != c || i > 0 && letter(b[i-1]) && !coloured(b[:i]) {
			continue
		}
		for _, st := range stems[b[i]|0x20] {
			if word(b, i, st.word) {
				return i, st.bad, true
			}
		}
	}
	return 0, false, false
}

// coloured says whether b ends in a colour sequence, whose last byte is a letter.
func coloured(b []byte) bool {
	i := len(b) - 1
	if b[i] != 'm' {
		return false
	}
	for i--; i >= 0 && (b[i] >= '0' && b[i] <= '9' || b[i] == ';' || b[i] == ':'); i-- {
	}
	return i > 0 && b[i] == '[' && b[i-1] == 0x1b
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' }

// word says whether a form of a stem stands at i, and does not say that there is none of
// it, as "0 errors", "errors: 0" and "without warnings" do.
func word(b []byte, i int, stem string) bool {
	if len(b)-i < len(stem) {
		return false
	}
	for k := range len(stem) {
		if b[i+k]|0x20 != stem[k] {
			return false
		}
	}
	end := i + len(stem)
	for end < len(b) && letter(b[end]) && end-i < 16 {
		end++
	}
	if !endings[string(bytes.ToLower(b[i+len(stem):end]))] {
		return false
	}
	return !none(b[:i], b[end:])
}

func none(before, after []byte) bool {
	before = bytes.TrimRight(before[max(len(before)-12, 0):], " ")
	for _, no := range []string{"0", "no", "without"} {
		if n := len(before) - len(no); n >= 0 && bytes.EqualFold(before[n:], []byte(no)) && (n == 0 || !letter(before[n-1]) && before[n-1] != '.' && before[n-1] != ',') {
			return true
		}
	}
	after = bytes.TrimLeft(after[:min(len(after), 8)], `":= `)
	return len(after) > 0 && after[0] == '0' && (len(after) == 1 || !letter(after[1]) && after[1] != '.')
}

// from is the next alarm below (1) or above (-1) the line at off.
func (a *alarms) from(off int64, way int) (at int64, missed bool) {
	i := sort.Search(len(a.hits), func(i int) bool { return a.hits[i] > off })
	if way < 0 {
		i = sort.Search(len(a.hits), func(i int) bool { return a.hits[i] >= off }) - 1
	}
	if i < 0 || i >= len(a.hits) {
		return off, true
	}
	return a.hits[i], false
}

// Alarm says whether a line looks like a warning, and whether it is an error.
func Alarm(line string) (bad, ok bool) {
	var a alarms
	a.search([]byte(line), 0)
	return a.errors > 0, len(a.hits) > 0
}
