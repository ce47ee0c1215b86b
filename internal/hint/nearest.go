package hint

import (
	"fmt"
	"strings"
)

// Nearest gives the candidate that a wrong name was most likely meant to be: the one with
// the fewest mistakes in it, or one that begins as the name does. Empty when none is like
// it. Letter case does not count.
func Nearest(name string, candidates []string) string {
	best, bestAt := "", min(max(2, len(name)/3), len(name)-1)+1 // not every letter is wrong
	lower := strings.ToLower(name)
	for _, c := range candidates {
		if d := Distance([]byte(lower), []byte(strings.ToLower(c)), bestAt); d < bestAt {
			best, bestAt = c, d
		}
	}
	if best != "" || len(name) < 2 {
		return best
	}
	for _, c := range candidates {
		if len(c) > 1 && (strings.HasPrefix(strings.ToLower(c), lower) || strings.HasPrefix(lower, strings.ToLower(c))) {
			return c
		}
	}
	return ""
}

// Suggest says which of the candidates somebody may have meant, or what there is.
func Suggest(name string, candidates []string) string {
	if c := Nearest(name, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	if len(candidates) == 0 {
		return "there is none to name"
	}
	const most = 12
	if len(candidates) > most {
		return "there are " + strings.Join(candidates[:most], ", ") + fmt.Sprintf(" and %d more", len(candidates)-most)
	}
	return "there are " + strings.Join(candidates, ", ")
}

// Distance counts the letters to put in, leave out, change or swap with their neighbour to
// come from a to b; what it gives from limit on says only that there are too many. Words over
// 64 letters are not compared: they are no misspelling.
func Distance[T comparable](a, b []T, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before, last, row [65]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
