package console

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sahilm/fuzzy"

	"lifeboat/internal/hint"
)

// needle is what a person types to find something, taken apart once.
type needle struct {
	text  string   // in small letters, without space around it
	terms []string // its words, without those that say nothing
}

// most bounds what is searched for: more than this is no search but a paste.
const most = 120

func newNeedle(text string) needle {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	if len(text) > most {
		text = text[:most]
		for !utf8.ValidString(text) && text != "" {
			text = text[:len(text)-1]
		}
	}
	n := needle{text: text}
	all := strings.Fields(text)
	for _, t := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '-' || r == '_' }) {
		if len(all) == 1 || !slices.Contains(fillers[:], t) {
			n.terms = append(n.terms, t)
		}
	}
	if len(n.terms) == 0 {
		n.terms = all
	}
	return n
}

func (n needle) empty() bool { return n.text == "" }

// fillers are words of a sentence that find nothing.
var fillers = [...]string{"a", "an", "the", "is", "are", "was", "were", "be", "has", "have", "had", "i", "we", "my", "our", "it", "its", "to", "of", "on", "in",
	"at", "and", "or", "do", "does", "did", "how", "what", "someone", "somebody", "with", "after", "for", "this", "that", "there", "from"}

// straw is one text by which something is found.
type straw struct {
	text   string // in small letters
	weight int    // how much it says: a name more than a command
}

// stack is everything by which one thing is found: its name, then the other texts,
// those that say most first.
type stack struct {
	name   string // in small letters
	title  string // in small letters
	straws []straw
	words  []string // of the name, the title and the symptoms, each once
}

// symptom is the weight of what a person sees when a runbook is the right one.
const symptom = 10

func newStack(name, title string) stack {
	s := stack{name: strings.ToLower(name), title: strings.ToLower(title)}
	s.add(2*symptom, name)
	s.add(symptom+2, title)
	return s
}

func (s *stack) add(weight int, texts ...string) {
	for _, t := range texts {
		if t != "" {
			t = strings.ToLower(t)
			s.straws = append(s.straws, straw{t, weight})
			if weight < symptom {
				continue
			}
			for word := range strings.FieldsFuncSeq(t, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				if !slices.Contains(s.words, word) {
					s.words = append(s.words, word)
				}
			}
		}
	}
}

// How well something is found. Within one of them a higher sum is better.
const (
	rankPart    = 1000 * (iota + 1) // some of the words
	rankNearly                      // the words with a typing mistake
	rankLetters                     // the letters in this order, "afp"
	rankWords                       // every word somewhere
	rankPrefix                      // the name begins with it
	rankName                        // it is the name
)

// rank says how well s is found; 0: not at all.
func (n needle) rank(s *stack) int {
	switch dashed := strings.ReplaceAll(n.text, " ", "-"); {
	case n.empty():
		return 0
	case s.name == n.text || s.name == dashed || s.title == n.text:
		return rankName
	case strings.HasPrefix(s.name, n.text) || strings.HasPrefix(s.name, dashed):
		return rankPrefix
	}
	sum, found := 0, 0
	for _, t := range n.terms {
		if w := s.best(t); w > 0 {
			sum, found = sum+w, found+1
		}
	}
	if found == len(n.terms) {
		return rankWords + min(sum, 999)
	}
	if score := n.letters(s); score > 0 {
		return rankLetters + min(score, 999)
	}
	return 0
}

// doubtful says how well s is found when nothing is found for certain: with typing
// mistakes, or by some of the words.
func (n needle) doubtful(s *stack) int {
	sum, found, wrong := 0, 0, 0
	for _, t := range n.terms {
		switch w := s.best(t); {
		case w > 0:
			sum, found = sum+w, found+1
		case s.nearly(t):
			sum, found, wrong = sum+1, found+1, wrong+1
		}
	}
	switch {
	case found == 0 || found*2 < len(n.terms):
		return 0
	case found == len(n.terms):
		return rankNearly + min(sum, 999)
	}
	return rankPart + min(found*100+sum-wrong, 999)
}

// best is the weight of the best place of a word, or else of its stem.
func (s *stack) best(term string) int {
	best := s.place(term)
	if best > 0 || len(term) < 6 {
		return best
	}
	for _, end := range [...]string{"ing", "ed", "es", "s"} {
		if stem, ok := strings.CutSuffix(term, end); ok {
			return s.place(stem)
		}
	}
	return 0
}

// place is the weight of the best place of a word, doubled where a word begins with it.
// Inside of words only names and symptoms are searched, and not for two letters: much of
// anything is in a command.
func (s *stack) place(term string) int {
	best := 0
	for _, st := range s.straws {
		if 2*st.weight <= best {
			break // what follows weighs less still
		}
		for from := 0; ; {
			i := strings.Index(st.text[from:], term)
			if i < 0 {
				break
			}
			if i += from; starts(st.text, i) {
				best = max(best, 2*st.weight)
				break
			}
			if st.weight >= symptom && len(term) > 2 {
				best = max(best, st.weight)
			}
			_, size := utf8.DecodeRuneInString(st.text[i:])
			from = i + size
		}
	}
	return best
}

// starts says whether a word begins at i.
func starts(s string, i int) bool {
	r, _ := utf8.DecodeLastRuneInString(s[:i])
	return i == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// letters scores a name or a title that has the letters of the search in their order.
// Letters that are strewn over it score nothing.
func (n needle) letters(s *stack) int {
	text := strings.ReplaceAll(n.text, " ", "")
	if utf8.RuneCountInString(text) < 2 {
		return 0
	}
	best := 0
	for _, m := range fuzzy.FindNoSort(text, []string{s.name, s.title}) {
		best = max(best, m.Score)
	}
	return best
}

// nearly says whether a word of the name, the title or a symptom is the term with one
// typing mistake, or with two when it is long.
func (s *stack) nearly(term string) bool {
	want := []rune(term)
	if len(want) < 4 {
		return false
	}
	limit := 1
	if len(want) > 8 {
		limit = 2
	}
	for _, word := range s.words {
		first, _ := utf8.DecodeRuneInString(word)
		if first != want[0] && first != want[1] || len(word)+limit < len(want) { // hardly anybody gets the first two wrong
			continue
		}
		have := []rune(word)
		if len(have) > len(want) {
			have = have[:len(want)] // it may go on
		}
		if len(have)+limit >= len(want) && hint.Distance(want, have, limit+1) <= limit {
			return true
		}
	}
	return false
}

// found is a thing that a search has found.
type found struct {
	at   int // index of the thing
	rank int
}

// search ranks things, the best first; equal ones stay in their order. Doubtful matches
// are given only when nothing is certain.
func search(n needle, things []stack) []found {
	var out []found
	for _, rank := range [...]func(*stack) int{n.rank, n.doubtful} {
		for i := range things {
			if r := rank(&things[i]); r > 0 {
				out = append(out, found{i, r})
			}
		}
		if len(out) > 0 {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b found) int { return cmp.Compare(b.rank, a.rank) })
	if len(out) > 0 && out[0].rank >= rankNearly { // some of the words only where nowhere all of them are
		for i, f := range out {
			if f.rank < rankNearly {
				return out[:i]
			}
		}
	}
	return out
}

// marks are the runes of text that a search has found, as half-open ranges of bytes in
// order. It is made for the few rows that are drawn.
func (n needle) marks(text string) [][2]int {
	var out [][2]int
	for _, t := range n.terms {
		want := []rune(t)
		for i := range text {
			if utf8.RuneStart(text[i]) && starts(text, i) {
				if end := prefixed(text[i:], want); end > 0 {
					out = append(out, [2]int{i, i + end})
				}
			}
		}
	}
	if len(out) == 0 { // inside a word, then
		for _, t := range n.terms {
			want := []rune(t)
			for i := range text {
				if end := prefixed(text[i:], want); end > 0 {
					out = append(out, [2]int{i, i + end})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(b[1], a[1])) })
	end, kept := 0, out[:0]
	for _, m := range out {
		if m[0] >= end {
			kept, end = append(kept, m), m[1]
		}
	}
	return kept
}

// prefixed says how many bytes of text are the runes of want, in any letter case; 0: it
// does not begin with them.
func prefixed(text string, want []rune) int {
	i := 0
	for end, r := range text {
		if i == len(want) {
			return end
		}
		if unicode.ToLower(r) != want[i] {
			return 0
		}
		i++
	}
	if i == len(want) {
		return len(text)
	}
	return 0
}

// strewn are the runes of a name that a search by letters has found.
func (n needle) strewn(text string) [][2]int {
	var out [][2]int
	for _, m := range fuzzy.FindNoSort(strings.ReplaceAll(n.text, " ", ""), []string{text}) {
		for _, i := range m.MatchedIndexes {
			_, size := utf8.DecodeRuneInString(text[i:])
			out = append(out, [2]int{i, i + size})
		}
	}
	return out
}
