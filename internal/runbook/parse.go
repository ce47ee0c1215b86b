package runbook

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
)

// parser holds what is known while a document is read.
type parser struct {
	book     *Book
	lines    *lines
	problems []Problem
	full     bool // maxProblems is reached: nothing more is looked at
	yaml     int  // bytes of YAML so far
	shell    int  // bytes of shell text looked into so far
	made     int  // steps so far
	items    int  // tasks so far
	ids      map[string]Pos
	params   map[string]bool // of a plain document, by name
}

// Parse reads a runbook. file is how messages name it and gives the book its name. The
// book is never nil; with an error among the problems it is incomplete and must not
// run. Parse never panics, and its time is bounded for any input.
func Parse(file string, src []byte) (*Book, []Problem) {
	sum := sha256.Sum256(src)
	name := path.Base(strings.ReplaceAll(file, "\\", "/"))
	p := &parser{
		book: &Book{
			Name: strings.TrimSuffix(name, ".md"), File: file, Source: src, Digest: hex.EncodeToString(sum[:]),
			Meta: Meta{Pos: map[string]Pos{}},
		},
		ids: map[string]Pos{}, params: map[string]bool{},
	}
	b := p.book
	b.Title = b.Name
	text, bad := readable(file, src)
	if bad != nil {
		b.lines, b.unread = newLines(file, nil), true
		return b, []Problem{*bad}
	}
	if at, msg := costly(text); at >= 0 {
		b.lines, b.unread = newLines(file, nil), true
		return b, []Problem{{Pos{file, bytes.Count(text[:at], []byte("\n")) + 1, 1}, Error, "too-large", msg, "split the document"}}
	}
	p.lines = newLines(file, text)
	b.lines = p.lines
	row, found := p.frontMatter()
	b.Plain = !found
	s := scan(p.lines, row)
	b.fences = s.code
	p.structure(s.out, row)
	slices.SortStableFunc(p.problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Pos.Line, y.Pos.Line), cmp.Compare(x.Pos.Col, y.Pos.Col))
	})
	return b, p.problems
}

func (p *parser) errorAt(offset int, code, msg, fix string) {
	p.problem(Problem{p.lines.pos(offset), Error, code, msg, fix})
}

func (p *parser) problem(pr Problem) {
	if p.full {
		return
	}
	p.problems = append(p.problems, pr)
	if len(p.problems) == maxProblems {
		p.full = true
		p.problems = append(p.problems, Problem{pr.Pos, Error, "too-many-problems",
			fmt.Sprintf("%d problems up to here; the rest was not looked at", maxProblems), "mend these first"})
	}
}

// lenient is the severity of a mistake that only a runbook must not have: a plain
// document was not written for Lifeboat.
func (p *parser) lenient() Severity {
	if p.book.Plain {
		return Warning
	}
	return Error
}

// block makes the block of a fence, nil if the fence is documentation.
func (p *parser) block(e element) *Block {
	f := e.fence
	if !f.closed {
		p.problem(Problem{p.lines.pos(e.at), p.lenient(), "open-fence", "this fence is never closed, so it swallows what follows",
			"close it with a line of the same characters"})
	}
	word, braced, _ := strings.Cut(f.word, "{")
	if !p.book.Plain && braced != "" {
		word = f.word
	}
	if !actionWord(word) || p.book.Plain && !shellWord(word) {
		p.nearAction(f)
		return nil
	}
	if f.quoted {
		p.problem(Problem{p.lines.pos(e.at), Warning, "quoted-block", "a block inside a quotation is text and does not run", "take it out of the quotation"})
		return nil
	}
	b := &Block{Action: word, AttrPos: map[string]Pos{}, Pos: p.lines.pos(e.at)}
	b.Body = Pos{b.Pos.File, b.Pos.Line + 1, b.Pos.Col}
	if len(f.body) > 0 {
		b.Body = f.body[0].pos
	}
	if len(f.rest) > maxInfo {
		p.errorAt(f.restAt, "too-large", fmt.Sprintf("this info string is longer than %d bytes", maxInfo), "shorten it")
		return nil
	}
	p.apply(b, p.attributes(f.rest, f.restAt, p.book.Plain))
	body := f.body
	if shellWord(word) {
		b.Action, b.Bash = Shell, strings.EqualFold(word, "bash")
		if strings.EqualFold(word, "console") {
			body = prompts(body)
		}
	}
	b.setText(body)
	if b.Action != Shell {
		p.arguments(b)
	} else if strings.TrimSpace(b.Text) == "" {
		if !p.book.Plain {
			p.problem(Problem{b.Pos, Error, "empty-block", "this block has no command", "write one, or take the block away"})
		}
		return nil
	}
	return b
}

// nearAction warns of a fence that carries attributes and yet is no action block.
func (p *parser) nearAction(f *fenceElement) {
	if p.book.Plain || f.quoted || f.rest == "" || len(f.rest) > maxInfo {
		return
	}
	for _, w := range strings.Fields(f.rest) {
		key, _, has := strings.Cut(w, "=")
		if has && slices.Contains(attributeNames, key) || slices.Contains([]string{"verify", "probe", "undo"}, w) {
			p.problem(Problem{p.lines.pos(f.wordAt), Warning, "not-an-action", fmt.Sprintf("%q opens no action block, so this does not run", clip(f.word)),
				"begin the fence with sh, runbook, choose or the name of an action"})
			return
		}
	}
}

func (b *Block) setText(body []bodyLine) {
	var text strings.Builder
	b.rows = nil
	for _, l := range body {
		text.WriteString(l.text)
		text.WriteByte('\n')
		b.rows = append(b.rows, row{pos: l.pos})
	}
	b.Text = text.String()
}

// prompts keeps what follows "$ " in a console block: the other lines are output.
// Without any prompt all lines are commands.
func prompts(body []bodyLine) []bodyLine {
	var out []bodyLine
	more := false
	for _, l := range body {
		text, cut := strings.TrimLeft(l.text, " \t"), 0
		switch {
		case strings.HasPrefix(text, "$ "):
			cut = len(l.text) - len(text) + 2
		case more && strings.HasPrefix(text, "> "):
			cut = len(l.text) - len(text) + 2
		case !more:
			continue
		}
		l.text = l.text[cut:]
		l.pos.Col += cut
		more = strings.HasSuffix(l.text, "\\")
		out = append(out, l)
	}
	if out == nil {
		return body
	}
	return out
}

// arguments decodes the YAML of a block that is no shell.
func (p *parser) arguments(b *Block) {
	b.Args, b.ArgPos = map[string]any{}, map[string]Pos{}
	y := &yamlText{p: p, at: b.At}
	for _, e := range y.root(b.Text) {
		b.ArgPos[e.key] = e.pos
		if b.Action == Choose && e.key == "options" {
			b.Args[e.key] = y.options(b, e)
			continue
		}
		v := y.value(e.value, e.key, b.ArgPos)
		b.Args[e.key] = v
		switch {
		case b.Action == Choose && e.key == "ask":
			b.Ask = y.text(e)
		case b.Action == Choose:
			y.unknown(e, " in a choose block", []string{"ask", "options"})
		case b.Action == Include && e.key == "runbook":
			s := y.text(e)
			if b.Args[e.key] = s; s != "" && !bookName.MatchString(s) {
				y.bad(e.pos, "include-name", "write the file name without .md, as in the library", "%q cannot name a runbook", clip(s))
			}
		case b.Action == Include && e.key == "params":
			if _, ok := v.(map[string]any); !ok && v != nil {
				y.wrong(e, "a mapping", "params: {name: value}")
			}
		case b.Action == Include:
			y.unknown(e, " in a runbook block", []string{"runbook", "params"})
		}
	}
	if p.full {
		return
	}
	if _, ok := b.ArgPos["runbook"]; b.Action == Include && !ok {
		p.problem(Problem{b.Pos, Error, "include-name", "this block names no runbook", "write runbook: name"})
	}
	if b.Action == Choose && (b.Ask == "" || len(b.Options) < 2) {
		p.problem(Problem{b.Pos, Error, "choose", "a choose block needs a question and two options or more",
			"write ask: question? and options: {key: text, other: text}"})
	}
}

// options reads the answers of a choose block, in order.
func (y *yamlText) options(b *Block, e entry) map[string]any {
	m := map[string]any{}
	for _, o := range y.mapping(e.value, "options") {
		text, ok := yamlScalar(o.value)
		if !ok {
			y.wrong(o, "text", o.key+": what this means")
			continue
		}
		b.ArgPos["options."+o.key] = o.pos
		b.Options = append(b.Options, Option{o.key, text, o.pos})
		m[o.key] = text
	}
	return m
}
