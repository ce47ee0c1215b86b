package sqlite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Statement is one statement of a log of SQL.
type Statement struct {
	Line  int       // where it begins
	Text  string    // without the semicolon at its end
	At    time.Time // zero: no time stands before it
	Whole bool      // At was written without a fraction: it is some moment of that second
	Torn  bool      // the log ends before the statement does
	words []string  // the first words, in capitals
	loads bool      // it names load_extension
}

// Bounds of a log. One that is beyond them was not written by an application.
const (
	maxStatement = 16 << 20 // bytes
	maxWords     = 6
)

// Tokens and states of SQLite's own sqlite3_complete: a semicolon ends a statement unless
// it stands in the body of a trigger, whose last one follows END.
const (
	tokenSemi = iota
	tokenSpace
	tokenOther
	tokenExplain
	tokenCreate
	tokenTemp
	tokenTrigger
	tokenEnd
)

const stateStart = 1

var completes = [8][8]uint8{
	{1, 0, 2, 3, 4, 2, 2, 2}, // nothing yet
	{1, 1, 2, 3, 4, 2, 2, 2}, // between statements
	{1, 2, 2, 2, 2, 2, 2, 2}, // in a statement
	{1, 3, 3, 2, 4, 2, 2, 2}, // after EXPLAIN
	{1, 4, 2, 2, 2, 4, 5, 2}, // after CREATE
	{6, 5, 5, 5, 5, 5, 5, 5}, // in a trigger
	{6, 6, 5, 5, 5, 5, 5, 7}, // after a semicolon in a trigger
	{1, 7, 5, 5, 5, 5, 5, 5}, // after END that follows one
}

// splitter cuts SQL into statements. It reads a byte at a time and holds one statement.
type splitter struct {
	r    *bufio.Reader
	line int
	text bytes.Buffer
	at   time.Time // of the last stamp
	full bool      // it had no fraction
	st   Statement // in the making
	from int       // state of completes
}

func newSplitter(r io.Reader) *splitter {
	s := &splitter{r: bufio.NewReaderSize(r, 64<<10), line: 1}
	if head, _ := s.r.Peek(3); string(head) == "\xef\xbb\xbf" {
		_, _ = s.r.Discard(3)
	}
	return s
}

// next gives the next statement; io.EOF past the last one.
func (s *splitter) next() (Statement, error) {
	s.text.Reset()
	s.st, s.from = Statement{}, stateStart
	fresh := true // nothing but space since the line began
	for {
		c, err := s.byte()
		if err == io.EOF {
			return s.torn()
		}
		if err != nil {
			return Statement{}, err
		}
		started := s.st.Line > 0
		token := tokenOther
		switch {
		case c == ';':
			token = tokenSemi
		case isSpace(c):
			token = tokenSpace
		case c == '-' && s.peek() == '-':
			if err := s.comment(!started && fresh); err != nil {
				return Statement{}, err
			}
			fresh = true
			continue
		case c == '/' && s.peek() == '*':
			if err := s.block(); err != nil {
				return Statement{}, err
			}
			continue
		}
		if c == '\n' {
			fresh = true
		} else if token != tokenSpace {
			fresh = false
		}
		if !started && c == '.' {
			return s.dot()
		}
		if !started && token == tokenOther {
			s.begin()
		}
		if token == tokenOther {
			if token, err = s.token(c); err != nil {
				return Statement{}, err
			}
		} else if s.st.Line > 0 {
			s.text.WriteByte(c)
		}
		if s.text.Len() > maxStatement {
			return Statement{}, fmt.Errorf("line %d: a statement of more than %d bytes", s.st.Line, maxStatement)
		}
		s.from = int(completes[s.from][token])
		if s.st.Line > 0 && s.from == stateStart && token == tokenSemi {
			return s.end(), nil
		}
	}
}

// dot reads a command of the sqlite3 program, which ends with its line.
func (s *splitter) dot() (Statement, error) {
	s.begin()
	s.text.WriteByte('.')
	for {
		c, err := s.byte()
		if err == io.EOF || c == '\n' && err == nil || s.text.Len() > maxStatement {
			return s.end(), nil
		}
		if err != nil {
			return Statement{}, err
		}
		s.text.WriteByte(c)
	}
}

func (s *splitter) begin() { s.st.Line, s.st.At, s.st.Whole = s.line, s.at, s.full }

func (s *splitter) end() Statement {
	s.st.Text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s.text.String()), ";"))
	return s.st
}

// torn is the end of the log: in the middle of a statement, or not.
func (s *splitter) torn() (Statement, error) {
	if s.st.Line == 0 {
		return Statement{}, io.EOF
	}
	s.st.Torn = true
	return s.end(), nil
}

func (s *splitter) byte() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	switch c {
	case '\n':
		s.line++
	case 0:
		return 0, fmt.Errorf("line %d: a zero byte: this is no text", s.line)
	}
	return c, nil
}

func (s *splitter) peek() byte {
	if next, err := s.r.Peek(1); err == nil {
		return next[0]
	}
	return 0
}

// token reads the rest of what begins with c.
func (s *splitter) token(c byte) (int, error) {
	s.text.WriteByte(c)
	switch {
	case c == '\'' || c == '"' || c == '`':
		return tokenOther, s.until(c)
	case c == '[':
		return tokenOther, s.until(']')
	case !isWord(c):
		return tokenOther, nil
	}
	word := []byte{c}
	for isWord(s.peek()) {
		c, err := s.byte()
		if err != nil {
			return 0, err
		}
		s.text.WriteByte(c)
		if word = append(word, c); len(word) > maxStatement {
			return 0, fmt.Errorf("line %d: a word of more than %d bytes", s.line, maxStatement)
		}
	}
	name := strings.ToUpper(string(word))
	if len(s.st.words) < maxWords {
		s.st.words = append(s.st.words, name)
	}
	s.st.loads = s.st.loads || name == "LOAD_EXTENSION"
	switch name {
	case "EXPLAIN":
		return tokenExplain, nil
	case "CREATE":
		return tokenCreate, nil
	case "TEMP", "TEMPORARY":
		return tokenTemp, nil
	case "TRIGGER":
		return tokenTrigger, nil
	case "END":
		return tokenEnd, nil
	}
	return tokenOther, nil
}

// until reads up to the end of a string or a quoted name. Where a quote is doubled
// another one begins at once, which comes to the same.
func (s *splitter) until(end byte) error {
	for {
		c, err := s.byte()
		if err == io.EOF {
			return nil // torn, which the next read tells
		}
		if err != nil {
			return err
		}
		if s.text.WriteByte(c); c == end {
			return nil
		}
		if s.text.Len() > maxStatement {
			return fmt.Errorf("line %d: a statement of more than %d bytes", s.st.Line, maxStatement)
		}
	}
}

// comment reads a comment to the end of its line. Between statements, alone on its line,
// it may be the time of those that follow.
func (s *splitter) comment(stamp bool) error {
	line := s.line
	var text []byte
	for {
		c, err := s.byte()
		if err == io.EOF || c == '\n' && err == nil {
			break
		}
		if err != nil {
			return err
		}
		if len(text) < 200 {
			text = append(text, c)
		}
	}
	if s.st.Line > 0 {
		s.text.WriteByte('\n') // what it told is of no use to SQLite
	}
	if !stamp {
		return nil
	}
	at, whole, ok, err := parseStamp(strings.TrimPrefix(string(text), "-"))
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	if ok {
		s.at, s.full = at, whole
	}
	return nil
}

// block reads a comment of the other form. One without an end reaches to the end of the log.
func (s *splitter) block() error {
	if _, err := s.byte(); err != nil { // the star
		return err
	}
	for {
		c, err := s.byte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if c == '*' && s.peek() == '/' {
			_, err := s.byte()
			if s.st.Line > 0 {
				s.text.WriteByte(' ')
			}
			return err
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

var (
	stampForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[T ]\d`)
	stampText = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)(Z|[+-]\d{2}:\d{2})?(?:\s|$)`)
)

var errStamp = errors.New(`this begins as a time and is none: write "-- 2026-11-22T14:30:05Z"`)

// parseStamp reads the time in a comment, which may say more after it. Without a zone it
// is UTC.
func parseStamp(text string) (at time.Time, whole, ok bool, err error) {
	text = strings.TrimSpace(text)
	if !stampForm.MatchString(text) {
		return at, false, false, nil
	}
	m := stampText.FindStringSubmatch(text)
	if m == nil {
		return at, false, false, errStamp
	}
	zone := m[3]
	if zone == "" {
		zone = "Z"
	}
	if at, err = time.Parse(time.RFC3339Nano, m[1]+"T"+m[2]+zone); err != nil {
		return at, false, false, errStamp
	}
	return at.UTC(), !strings.Contains(m[2], "."), true, nil
}
