package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// Erasures are how people who asked to be forgotten are erased from a database, also from
// one that was restored from before they asked.
type Erasures struct {
	Register   string // absolute path of the file that says who: one JSON object a line
	Statements []Erasure
}

// Erasure is one statement of many. Both have the parameter :subject.
type Erasure struct {
	SQL   string // what erases
	Check string // SELECT that counts what is left of a subject
}

// Bounds of a register.
const (
	maxRegisterLine = 64 << 10
	maxSubjects     = 1_000_000
	shownLines      = 10
)

// subject is one who was erased. The value never leaves this process but into SQLite.
type subject struct {
	text   string
	line   int
	erased time.Time // last
	back   time.Time // last time that they came back by themselves; zero: never
}

// forms are the values that stand for a subject in a database. A number may be kept as one
// or as text, and a column without a type does not take the one for the other.
func (s subject) forms() []any {
	if n, err := strconv.ParseInt(s.text, 10, 64); err == nil && strconv.FormatInt(n, 10) == s.text {
		return []any{n, s.text}
	}
	return []any{s.text}
}

// digest tells subjects apart in evidence without naming them.
func (s subject) digest() string {
	sum := sha256.Sum256([]byte(s.text))
	return hex.EncodeToString(sum[:4])
}

// register is what was read of the file.
type register struct {
	subjects []subject // each once
	lines    int
	sum      string
	ahead    int  // entries dated in the future
	returns  bool // somebody has come back
}

// asOf leaves out who had come back when a database was as it is: what it holds of them is
// theirs again. An older one holds what was erased.
func (r register) asOf(at time.Time) register {
	out := r
	out.subjects = nil
	for _, s := range r.subjects {
		if s.back.IsZero() || s.erased.After(s.back) || s.back.After(at) {
			out.subjects = append(out.subjects, s)
		}
	}
	return out
}

// readRegister reads who was erased. One line that is not understood makes all of it
// refused: the one who is missing would be the one who complains.
func readRegister(ctx context.Context, path string, now time.Time) (register, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return register{}, hint.Wrap(fmt.Errorf("%w: the register of erasures %q is not there", action.ErrRefused, path),
			"get it back first, from its own backup: without it people come back who asked to be forgotten; where nobody was ever erased, make an empty file")
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return register{}, fmt.Errorf("read the register of erasures %q: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return register{}, fmt.Errorf("read the register of erasures: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	in := bufio.NewScanner(io.TeeReader(f, sum))
	in.Buffer(nil, maxRegisterLine)
	var out register
	var bad []string
	seen := map[string]int{} // place among the subjects
	for in.Scan() {
		if err := ctx.Err(); err != nil {
			return register{}, err
		}
		out.lines++
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		s, at, back, err := parseErasure(in.Bytes())
		if err != nil {
			bad = append(bad, fmt.Sprintf("line %d: %v", out.lines, err))
			continue
		}
		if at.After(now.Add(vault.Skew)) {
			out.ahead++
		}
		i, known := seen[s]
		if !known {
			if back {
				bad = append(bad, fmt.Sprintf("line %d: somebody returned who was not erased before", out.lines))
				continue
			}
			i = len(out.subjects)
			seen[s] = i
			out.subjects = append(out.subjects, subject{text: s, line: out.lines})
		}
		who := &out.subjects[i]
		if back {
			out.returns = true
			who.back = later(who.back, at)
		} else {
			who.erased = later(who.erased, at)
		}
		if len(seen) > maxSubjects {
			return register{}, fmt.Errorf("%w: the register of erasures %q names more than %d subjects", action.ErrRefused, path, maxSubjects)
		}
	}
	if err := in.Err(); err != nil {
		bad = append(bad, fmt.Sprintf("line %d: %v", out.lines+1, err))
	}
	if len(bad) > 0 {
		more := ""
		if len(bad) > shownLines {
			more = fmt.Sprintf("; and %d more", len(bad)-shownLines)
			bad = bad[:shownLines]
		}
		return register{}, hint.Wrap(fmt.Errorf("%w: the register of erasures %q: %s%s", action.ErrRefused, path, strings.Join(bad, "; "), more),
			`correct those lines, with who keeps the register: {"time": "2026-11-22T14:30:05Z", "subject": "4711", "by": "dpo"}. Nobody was erased yet`)
	}
	out.sum = hex.EncodeToString(sum.Sum(nil))
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// parseErasure reads one line: an object with time, subject and by, each once, and returned
// where it says that they came back by themselves. Its errors never repeat what stands there.
func parseErasure(line []byte) (value string, at time.Time, back bool, err error) {
	fields, err := erasureFields(line)
	if err != nil {
		return "", at, false, err
	}
	for _, key := range []string{"time", "subject"} {
		if fields[key] == nil {
			return "", at, false, fmt.Errorf("it has no %s", key)
		}
	}
	when, ok := fields["time"].(string)
	if at, err = time.Parse(time.RFC3339Nano, when); !ok || err != nil {
		return "", at, false, errors.New(`its time is none: write "2026-11-22T14:30:05Z"`)
	}
	if by, ok := fields["by"].(string); !ok || strings.TrimSpace(by) == "" {
		return "", at, false, errors.New("it does not say by whom")
	}
	if v, there := fields["returned"]; there {
		if back, _ = v.(bool); !back {
			return "", at, false, errors.New("its returned is not true")
		}
	}
	switch v := fields["subject"].(type) {
	case string:
		if strings.TrimSpace(v) == "" {
			return "", at, false, errors.New("its subject is empty")
		}
		return v, at, back, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return strconv.FormatInt(n, 10), at, back, nil
		}
	}
	return "", at, false, errors.New("its subject is neither a text nor a whole number")
}

// erasureFields takes an object apart. The decoder of structs would take "Subject" for
// "subject", and the last of two.
func erasureFields(line []byte) (map[string]any, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("it is no text in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is no JSON object of time, subject and by")
	}
	out := map[string]any{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errors.New("it is no sound JSON")
		}
		name, _ := key.(string)
		if !slices.Contains([]string{"time", "subject", "by", "returned"}, name) {
			return nil, errors.New("it has a key that is none of time, subject, by and returned")
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("it has %s twice", name)
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("it is no sound JSON")
		}
		out[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is no sound JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more follows after the object")
	}
	return out, nil
}

// erasable is what an action needs of the estate to erase, and who is to be erased from a
// database as of a time, "" where that is not known.
func (d Deps) erasable(ctx context.Context, env *action.Env, asset, asOf string) (Asset, register, error) {
	a, err := d.Asset(asset)
	if err != nil {
		return a, register{}, err
	}
	if a.Erasures.Register == "" || len(a.Erasures.Statements) == 0 {
		return a, register{}, hint.Wrap(fmt.Errorf("%w: nothing says how people are erased from %q", action.ErrRefused, a.Name),
			`add "erasures: {register: erasures.jsonl, statements: [\"DELETE FROM customers WHERE id = :subject\"]}" to the asset`)
	}
	r, err := readRegister(ctx, a.Erasures.Register, env.Now())
	switch {
	case err != nil:
		return a, r, err
	case asOf != "":
		at, err := vault.ParseTime(asOf, env.Now())
		return a, r.asOf(at), err
	case r.returns:
		return a, r, hint.Wrap(fmt.Errorf("%w: the register %q has people who came back since they were erased, and nothing says of when the database is", action.ErrRefused, a.Erasures.Register),
			"name the time with as_of: ${side.reached}, which sqlite.rewind saves: older data of theirs is erased then, and newer stays")
	}
	return a, r, nil
}

// digests are those of some subjects, in an order that tells nothing.
func digests(list []subject) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.digest())
	}
	slices.Sort(out)
	return out
}
