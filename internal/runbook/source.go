package runbook

import (
	"bytes"
	"fmt"
	"sort"
	"unicode/utf8"
)

// lines is the text of a document, free of byte order mark and carriage returns, and
// the places of its lines. Columns are those an editor shows: it shows neither.
type lines struct {
	file   string
	text   []byte
	starts []int // offset of each line
}

// span is a range of lines, counted from 0, the end excluded.
type span struct{ from, to int }

func newLines(file string, text []byte) *lines {
	l := &lines{file: file, text: text, starts: make([]int, 1, bytes.Count(text, []byte("\n"))+1)}
	for i := 0; ; {
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 || i+n+1 == len(text) {
			return l
		}
		i += n + 1
		l.starts = append(l.starts, i)
	}
}

// row gives the line of an offset, counted from 0.
func (l *lines) row(offset int) int {
	return sort.SearchInts(l.starts, offset+1) - 1
}

func (l *lines) pos(offset int) Pos {
	offset = min(max(offset, 0), len(l.text))
	row := l.row(offset)
	return Pos{l.file, row + 1, utf8.RuneCount(l.text[l.starts[row]:offset]) + 1}
}

// line gives a line without its end; beyond the last line it is empty.
func (l *lines) line(row int) []byte {
	if row < 0 || row >= len(l.starts) {
		return nil
	}
	return bytes.TrimSuffix(l.text[l.starts[row]:l.end(row)], []byte("\n"))
}

// end gives the offset behind a line and its newline.
func (l *lines) end(row int) int {
	if row+1 < len(l.starts) {
		return l.starts[row+1]
	}
	return len(l.text)
}

// readable turns a file into text, or says where it is not UTF-8 text with lines that
// end in LF or CRLF. It stops at the first mistake: the rest is likely the same one.
func readable(file string, src []byte) ([]byte, *Problem) {
	bad := func(at int, msg, fix string) ([]byte, *Problem) {
		head := src[:at]
		row := bytes.Count(head, []byte("\n"))
		col := utf8.RuneCount(bytes.TrimPrefix(head[bytes.LastIndexByte(head, '\n')+1:], bom)) + 1
		return nil, &Problem{Pos{file, row + 1, col}, Error, "not-text", msg, fix}
	}
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return bad(0, "the file is UTF-16, not UTF-8", "save it as UTF-8, for example: iconv -f UTF-16 -t UTF-8")
	}
	at := len(src)
	if i := bytes.IndexByte(src, 0); i >= 0 {
		at = i
	}
	if i := loneReturn(src[:at]); i >= 0 {
		at = i
	}
	if i := invalid(src[:at]); i >= 0 {
		return bad(i, fmt.Sprintf("byte 0x%02x is not UTF-8", src[i]), "save the file as UTF-8, for example: iconv -f ISO-8859-1 -t UTF-8")
	}
	if at < len(src) && src[at] == 0 {
		return bad(at, "the file has a NUL byte, so it is not a text", "take the byte out, or name another file")
	}
	if at < len(src) {
		return bad(at, "a carriage return stands alone here and would hide what follows it", "end lines with LF or CRLF")
	}
	text := bytes.TrimPrefix(src, bom)
	if bytes.IndexByte(text, '\r') >= 0 {
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}
	return text, nil
}

var bom = []byte("\ufeff")

func loneReturn(src []byte) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(src[i:], '\r')
		if n < 0 {
			return -1
		}
		if i += n; i+1 == len(src) || src[i+1] != '\n' {
			return i
		}
	}
}

func invalid(src []byte) int {
	if utf8.Valid(src) {
		return -1
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// Limits that keep hostile input from costing more than it is worth. Every one is
// far above what a person writes.
const (
	maxWork     = 400_000   // lines of a document, each counted with the lists around it; Markdown costs about 1 µs each
	maxNesting  = 16        // containers (list, quote) begun on one line
	maxIndent   = 100       // columns before a list marker
	maxHeading  = 1 << 10   // bytes of a heading
	maxSteps    = 5_000     // blocks and items of a document
	maxInfo     = 4 << 10   // bytes of an info string
	maxYAML     = 16 << 10  // bytes of one YAML text; the YAML parser is quadratic at worst
	maxYAMLLine = 4 << 10   // bytes of a line of it
	maxYAMLAll  = 256 << 10 // bytes of YAML of a document
	maxShell    = 32 << 10  // bytes of one shell text that are looked into
	maxShellAll = 512 << 10 // bytes of shell text of a document that are looked into
	maxStmts    = 500       // statements of a plain document's block that is split
	maxParts    = 100       // numbered comments of it
	maxDeep     = 32        // brackets open at once in YAML
	maxProblems = 200       // problems reported for a document
)

// costly says at which offset a document begins to cost too much to parse. Each line
// costs as much as there are lists and quotes open around it; blank lines leave lists
// open, and so does text without indentation that goes on with a paragraph.
func costly(text []byte) (int, string) {
	work, open, blank := 0, 0, true
	for i := 0; i < len(text); {
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			n = len(text) - i
		}
		levels, indent := containers(text[i : i+n])
		switch empty := len(bytes.TrimSpace(text[i:i+n])) == 0; {
		case levels > maxNesting || levels > 0 && indent > maxIndent:
			return i, "this line is nested too many levels deep"
		case levels > 0:
			open = levels + indent/2
		case blank && !empty:
			open = min(open, indent/2)
			fallthrough
		default:
			blank = empty
		}
		if work += 1 + open; work > maxWork {
			return i, "the document has too many lines and lists up to here"
		}
		i += n + 1
	}
	return -1, ""
}

// containers counts the list and quote markers that a line begins with, and the
// columns before them.
func containers(line []byte) (levels, indent int) {
	if t := bytes.TrimSpace(line); len(t) > 2 && bytes.IndexByte([]byte("*-_"), t[0]) >= 0 && len(bytes.Trim(t, string(t[0])+" \t")) == 0 {
		return 0, 0 // a thematic break
	}
	ends := func(i int) bool { return i >= len(line) || line[i] == ' ' || line[i] == '\t' }
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == ' ':
			if levels == 0 {
				indent++
			}
		case c == '\t':
			if levels == 0 {
				indent += 4
			}
		case c == '>':
			levels++
		case c == '-' || c == '*' || c == '+':
			if !ends(i + 1) {
				return levels, indent
			}
			levels++
		case c >= '0' && c <= '9':
			for i < len(line) && line[i] >= '0' && line[i] <= '9' {
				i++
			}
			if i >= len(line) || line[i] != '.' && line[i] != ')' || !ends(i+1) {
				return levels, indent
			}
			levels++
		default:
			return levels, indent
		}
	}
	return levels, indent
}
