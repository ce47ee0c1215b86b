package runbook

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// errCostly is shell text that would cost too much to look into.
var errCostly = errors.New("this shell text is too large")

// parseShell reads shell text as bash does. It refuses what would cost too much, with
// [errCostly].
func parseShell(text string) (*syntax.File, error) {
	if len(text) > maxShell {
		return nil, fmt.Errorf("%w: more than %d KiB", errCostly, maxShell>>10)
	}
	const deep = 200
	open := 0
	for _, c := range text {
		switch c {
		case '(', '{', '[':
			open++
		case ')', '}', ']':
			open = max(0, open-1)
		}
		if open > deep {
			return nil, fmt.Errorf("%w: nested more than %d levels deep", errCostly, deep)
		}
	}
	return syntax.NewParser(syntax.KeepComments(true), syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
}

// CheckShell says what is wrong with the grammar of shell text, at which line of it,
// from 1. Text that would cost too much to look into passes.
func CheckShell(text string) (line int, msg string) {
	_, err := parseShell(text)
	if err == nil || errors.Is(err, errCostly) {
		return 0, ""
	}
	at, msg := shellError(err)
	line, _ = place(text, at)
	return line, msg
}

// shellError gives the offset and the words of a syntax error.
func shellError(err error) (offset int, msg string) {
	var bad syntax.ParseError
	if errors.As(err, &bad) {
		return int(bad.Pos.Offset()), bad.Text
	}
	var lang syntax.LangError
	if errors.As(err, &lang) {
		return int(lang.Pos.Offset()), strings.TrimPrefix(lang.Error(), lang.Pos.String()+": ")
	}
	return 0, err.Error()
}

// place turns an offset in a text into line and column, from 1, columns in characters.
func place(text string, offset int) (line, col int) {
	offset = min(max(offset, 0), len(text))
	head := text[:offset]
	line = strings.Count(head, "\n") + 1
	return line, len([]rune(head[strings.LastIndexByte(head, '\n')+1:])) + 1
}

// at gives the place in the file of an offset in the block's text.
func (b *Block) at(offset int) Pos { return b.At(place(b.Text, offset)) }
