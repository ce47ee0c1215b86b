package runbook

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	mdparser "github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// element is what matters of a Markdown block: a heading, a fence or a task. Rows are
// lines of the document counted from 0; end is the row behind the element.
type element struct {
	row, end int
	at       int // offset of the heading's text, the opening fence, the brackets of a task
	heading  *headingElement
	fence    *fenceElement
	task     string // text behind the brackets; only when the other two are nil
}

type headingElement struct {
	level int
	text  string // Markdown, without {#id}
	id    string // of {#id}, empty if there is none
	idAt  int
	hasID bool
}

type fenceElement struct {
	word   string // first word of the info string
	rest   string // what follows it
	wordAt int
	restAt int
	body   []bodyLine
	closed bool
	quoted bool // inside a block quote: documentation, whatever its first word
}

type bodyLine struct {
	text string // without the newline
	pos  Pos
}

// scanner flattens the block structure of a document. Markdown is parsed by goldmark,
// so that what is a step here is what a reader sees as a heading and a code block on
// any page that renders it. Inline Markdown is not parsed: nothing here depends on it
// and its worst cases are slow.
type scanner struct {
	lines *lines
	src   []byte // the document from base on
	base  int    // offset of src in the document
	out   []element
	code  []span
}

func scan(l *lines, row int) *scanner {
	s := &scanner{lines: l, base: len(l.text)}
	if row < len(l.starts) {
		s.base = l.starts[row]
	}
	s.src = l.text[s.base:]
	md := mdparser.NewParser(mdparser.WithBlockParsers(mdparser.DefaultBlockParsers()...))
	s.walk(md.Parse(text.NewReader(s.src)), false)
	// A fence that begins where another was thought to end shows that the other had
	// been cut off by the end of its list.
	for i := range s.out[:max(0, len(s.out)-1)] {
		if e, next := &s.out[i], s.out[i+1]; e.fence != nil && e.fence.closed && next.fence != nil && next.row < e.end {
			e.fence.closed = false
			e.end = next.row
		}
	}
	return s
}

func (s *scanner) walk(parent ast.Node, quoted bool) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			if parent.Kind() == ast.KindDocument {
				s.heading(n)
			}
		case *ast.FencedCodeBlock:
			s.fence(n, quoted)
		case *ast.CodeBlock:
			if k := n.Lines().Len(); k > 0 {
				from := s.lines.row(s.base + n.Lines().At(0).Start)
				s.code = append(s.code, span{from, s.lines.row(s.base+n.Lines().At(k-1).Start) + 1})
			}
		case *ast.Blockquote:
			s.walk(n, true)
		case *ast.ListItem:
			if !quoted {
				s.taskItem(n)
			}
			s.walk(n, quoted)
		case *ast.List:
			s.walk(n, quoted)
		}
	}
}

var (
	atxHeading = regexp.MustCompile(`^ {0,3}#{1,6}([ \t]|$)`)
	headingID  = regexp.MustCompile(`[ \t]*\{#([^{}\s]*)\}[ \t]*$`)
)

func (s *scanner) heading(n *ast.Heading) {
	e := element{at: s.base + n.Pos(), heading: &headingElement{level: n.Level}}
	var words []string
	k := n.Lines().Len()
	if k > 0 {
		e.at = s.base + n.Lines().At(0).Start
	}
	for i := range k {
		seg := n.Lines().At(i)
		words = append(words, strings.TrimSpace(string(seg.Value(s.src))))
	}
	h := e.heading
	h.text = strings.Join(words, " ")
	if len(h.text) > maxHeading {
		h.text = strings.ToValidUTF8(h.text[:maxHeading], "")
	}
	if m := headingID.FindStringSubmatchIndex(h.text); m != nil {
		h.id, h.hasID = h.text[m[2]:m[3]], true
		h.text = h.text[:m[0]]
		last := n.Lines().At(k - 1)
		h.idAt = s.base + last.Start + max(0, bytes.LastIndex(last.Value(s.src), []byte("{#")))
	}
	e.row = s.lines.row(e.at)
	e.end = e.row + 1
	if !atxHeading.Match(s.lines.line(e.row)) {
		e.end = e.row + k + 1 // the underline of a setext heading
	}
	s.out = append(s.out, e)
}

func (s *scanner) fence(n *ast.FencedCodeBlock, quoted bool) {
	f := &fenceElement{quoted: quoted}
	e := element{at: s.base + n.Pos(), fence: f}
	e.row = s.lines.row(e.at)
	// A tab before the fence counts as several columns and shifts what goldmark tells.
	if i := fenceRun.FindIndex(s.lines.line(e.row)); i != nil {
		e.at = s.lines.starts[e.row] + i[0]
	}
	if n.Info != nil {
		info := string(n.Info.Segment.Value(s.src))
		f.wordAt = s.base + n.Info.Segment.Start
		f.word = info
		if i := strings.IndexAny(info, " \t"); i >= 0 {
			f.word, f.rest = info[:i], info[i:]
		}
		f.restAt = f.wordAt + len(f.word)
	}
	last := e.row
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		last = s.lines.row(s.base + seg.Start)
		pos := s.lines.pos(s.base + seg.Start)
		pos.Col = max(1, pos.Col-seg.Padding)
		f.body = append(f.body, bodyLine{strings.TrimSuffix(string(seg.Value(s.src)), "\n"), pos})
	}
	e.end = last + 1
	if e.at < len(s.lines.text) && closes(s.lines.text[e.at:], s.lines.line(last+1)) {
		f.closed = true
		e.end++
	}
	s.code = append(s.code, span{e.row, e.end})
	s.out = append(s.out, e)
}

var fenceRun = regexp.MustCompile("`{3,}|~{3,}")

// closes says whether line ends a fence that opens with open.
func closes(open, line []byte) bool {
	run := func(s []byte, c byte) (n int) {
		for n < len(s) && s[n] == c {
			n++
		}
		return n
	}
	line = bytes.TrimLeft(line, " \t>")
	n := run(line, open[0])
	return n >= 3 && n >= run(open, open[0]) && len(bytes.TrimSpace(line[n:])) == 0
}

// taskItem notes a list item that begins with [ ] or [x].
func (s *scanner) taskItem(n *ast.ListItem) {
	first := n.FirstChild()
	if first == nil || first.Kind() != ast.KindTextBlock && first.Kind() != ast.KindParagraph {
		return
	}
	segs := first.Lines()
	if segs.Len() == 0 {
		return
	}
	var words []string
	for i := range segs.Len() {
		seg := segs.At(i)
		words = append(words, strings.TrimSpace(string(seg.Value(s.src))))
	}
	head := words[0]
	if len(head) < 4 || head[0] != '[' || head[2] != ']' || head[3] != ' ' || !strings.ContainsRune(" xX", rune(head[1])) {
		return
	}
	words[0] = strings.TrimSpace(head[4:])
	at := s.base + segs.At(0).Start
	s.out = append(s.out, element{
		row: s.lines.row(at), end: s.lines.row(s.base+segs.At(segs.Len()-1).Start) + 1,
		at: at, task: strings.Join(words, " "),
	})
}
