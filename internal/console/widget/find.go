package widget

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
)

const (
	findStep = 16 << 20 // bytes searched per Work, so that it can be given up soon
	findMost = 10_000   // hits after which a search stops
)

// Finder searches a whole log for a text or a regular expression (RE2). It looks at what
// is below the place where it began first, then upwards from there, so that the nearest
// hits are found first, and then at what is added. A pattern without capitals ignores
// case. One Work at a time; it belongs to whoever works.
type Finder struct {
	src   Source
	plain func(string) string
	re    *regexp.Regexp // nil: only the text itself
	text  []byte         // in lower case when that does not matter; nil: only the expression
	fold  bool

	ahead, behind int64   // searched from behind to ahead
	below, above  []int64 // hits, each in the order in which they were found
	full          bool
	buf, lower    []byte
}

// Found is what a search knows so far.
type Found struct {
	Hits []int64 // where the lines begin, in order; nobody changes them
	Done bool    // the whole log was searched
	Full bool    // there are more hits than are looked for
	Size int64   // bytes searched
	Err  error

	from, to int64 // the part that was searched
}

// NewFinder searches src from the line at a place on, for a regular expression or the
// same text as it is; with literal, only for the text. plain makes a line what is seen of
// it: colours must not hide a text.
func NewFinder(src Source, text string, literal bool, from int64, plain func(string) string) *Finder {
	f := &Finder{src: src, plain: plain, ahead: from, behind: from, fold: !capital(text), text: []byte(text)}
	quoted := regexp.QuoteMeta(text)
	pattern := text
	if literal || quoted == text {
		pattern = ""
	}
	if f.fold && !ascii(text) { // only a regular expression knows other capitals
		f.text = nil
		if pattern == "" {
			pattern = quoted
		} else {
			pattern = "(?:" + pattern + ")|" + quoted
		}
	}
	if f.fold && pattern != "" {
		pattern = "(?i)" + pattern
	}
	if re, err := regexp.Compile(pattern); err == nil && pattern != "" {
		f.re = re
	} else if f.text == nil {
		f.re = regexp.MustCompile("(?i)" + quoted)
	}
	return f
}

// capital says whether a pattern has a capital that is no class, as in "\S".
func capital(text string) bool {
	escaped := false
	for _, r := range text {
		if unicode.IsUpper(r) && !escaped {
			return true
		}
		escaped = r == '\\' && !escaped
	}
	return false
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// Pattern matches what is shown of a line, to mark what was found.
func (f *Finder) Pattern() *regexp.Regexp {
	text := regexp.QuoteMeta(string(f.text))
	if f.fold {
		text = "(?i)" + text
	}
	switch {
	case f.re == nil:
		return regexp.MustCompile(text)
	case f.text == nil:
		return f.re
	}
	return regexp.MustCompile(f.re.String() + "|" + text)
}

// Work searches the next few megabytes.
func (f *Finder) Work() Found {
	size, err := f.src.Size()
	if err != nil {
		return Found{Err: err}
	}
	var from, to int64
	if x, ok := f.src.(Indexed); ok {
		from, to, _ = x.Gap()
	}
	done := false
	for budget := int64(findStep); budget > 0 && err == nil && !f.full && !done; {
		var n int64
		n, err = f.forward(size, from, to)
		if n == 0 && err == nil {
			n, err = f.backward(from, to)
		}
		done = n == 0
		budget -= n
	}
	g := Found{Done: done || f.full, Full: f.full, Size: f.ahead - f.behind, Err: err, from: f.behind, to: f.ahead}
	g.Hits = make([]int64, 0, len(f.above)+len(f.below))
	g.Hits = append(append(g.Hits, f.above...), f.below...)
	slices.Reverse(g.Hits[:len(f.above)])
	return g
}

const findChunk = 1 << 20

// forward searches the next chunk below. A line that has no end yet is left for later.
func (f *Finder) forward(size, gapFrom, gapTo int64) (int64, error) {
	end := size
	if gapFrom < gapTo {
		if f.ahead < gapFrom {
			end = gapFrom
		} else {
			f.ahead = max(f.ahead, gapTo)
		}
	}
	b, err := f.read(f.ahead, min(findChunk, end-f.ahead))
	if err != nil || len(b) == 0 {
		return 0, err
	}
	cut := bytes.LastIndexByte(b, '\n') + 1
	if cut == 0 {
		if f.ahead+int64(len(b)) >= size && len(b) < piece {
			return 0, nil
		}
		cut = len(b)
	}
	f.search(b[:cut], f.ahead, func(at int64) { f.below = append(f.below, at) })
	f.ahead += int64(cut)
	return int64(cut), nil
}

// backward searches the chunk above.
func (f *Finder) backward(gapFrom, gapTo int64) (int64, error) {
	begin := int64(0)
	if gapFrom < gapTo {
		if f.behind > gapTo {
			begin = gapTo
		} else {
			f.behind = min(f.behind, gapFrom)
		}
	}
	from := max(begin, f.behind-findChunk)
	b, err := f.read(from, f.behind-from)
	if err != nil || len(b) == 0 {
		return 0, err
	}
	if from > begin {
		if i := bytes.IndexByte(b, '\n'); i >= 0 && i+1 < len(b) {
			b, from = b[i+1:], from+int64(i)+1
		}
	}
	var hits []int64
	f.search(b, from, func(at int64) { hits = append(hits, at) })
	slices.Reverse(hits)
	f.above = append(f.above, hits...)
	f.behind = from
	return int64(len(b)), nil
}

func (f *Finder) read(off, n int64) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	if int64(cap(f.buf)) < n {
		f.buf = make([]byte, findChunk)
	}
	return readAt(f.src, f.buf[:n], off)
}

// search hands the lines of b that match to hit, until there are enough.
func (f *Finder) search(b []byte, off int64, hit func(int64)) {
	found := len(f.above) + len(f.below)
	add := func(start int) bool {
		hit(off + int64(start))
		found++
		f.full = found >= findMost
		return !f.full
	}
	if f.re == nil && bytes.IndexByte(b, 0x1b) < 0 {
		f.searchText(b, add)
		return
	}
	for at := 0; at < len(b); {
		line, end := b[at:], len(b)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, end = line[:i], at+i+1
		}
		if f.matches(line) && !add(at) {
			return
		}
		at = end
	}
}

// searchText looks for the text in many lines at once.
func (f *Finder) searchText(b []byte, add func(int) bool) {
	in := b
	if f.fold {
		f.lower = lower(f.lower[:0], b)
		in = f.lower
	}
	for at := 0; at < len(in); {
		i := bytes.Index(in[at:], f.text)
		if i < 0 {
			return
		}
		if !add(bytes.LastIndexByte(in[:at+i], '\n') + 1) {
			return
		}
		n := bytes.IndexByte(in[at+i:], '\n')
		if n < 0 {
			return
		}
		at += i + n + 1
	}
}

// lower makes ASCII letters small, eight at a time, and leaves all other bytes as they
// are.
func lower(to, b []byte) []byte {
	to = append(to, b...)
	i := 0
	for ; i+8 <= len(to); i += 8 {
		const ones = 0x0101010101010101
		x := binary.LittleEndian.Uint64(to[i:])
		low := x & (0x7f * ones)
		capital := (low + (0x80-'A')*ones) &^ (low + (0x7f-'Z')*ones) &^ x & (0x80 * ones)
		binary.LittleEndian.PutUint64(to[i:], x|capital>>2)
	}
	for ; i < len(to); i++ {
		if c := to[i]; c >= 'A' && c <= 'Z' {
			to[i] = c + 'a' - 'A'
		}
	}
	return to
}

func (f *Finder) matches(line []byte) bool {
	if f.match(line) {
		return true
	}
	return bytes.IndexByte(line, 0x1b) >= 0 && f.match([]byte(f.plain(string(line[:min(len(line), piece)]))))
}

func (f *Finder) match(line []byte) bool {
	if f.re != nil && f.re.Match(bytes.TrimSuffix(line, []byte{'\r'})) {
		return true
	}
	if f.text == nil {
		return false
	}
	if f.fold {
		f.lower = lower(f.lower[:0], line)
		line = f.lower
	}
	return bytes.Contains(line, f.text)
}

// next is the nearest hit below (1) or above (-1) the line at off. known is false while
// there may be one nearer, or one at all.
func (g *Found) next(off int64, way int) (at int64, found, known bool) {
	i := sort.Search(len(g.Hits), func(i int) bool { return g.Hits[i] > off })
	known = g.Done || off >= g.from
	if way < 0 {
		i = sort.Search(len(g.Hits), func(i int) bool { return g.Hits[i] >= off }) - 1
		known = g.Done || off <= g.to
	}
	if i < 0 || i >= len(g.Hits) {
		return 0, false, g.Done
	}
	return g.Hits[i], true, known
}
