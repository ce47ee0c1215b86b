package runbook

import (
	"fmt"
	"strings"
)

// nearest gives the candidate that name was most likely meant to be, empty when there
// is none like it.
func nearest(name string, candidates []string) string {
	best, bestAt := "", 1+max(2, len(name)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), c, bestAt); d < bestAt {
			best, bestAt = c, d
		}
	}
	return best
}

// Suggest says which of the candidates somebody may have meant, as a sentence of advice.
func Suggest(name string, candidates []string) string { return suggest(name, candidates) }

// suggest makes a fix of the nearest candidate, or of all of them.
func suggest(name string, candidates []string) string {
	if c := nearest(name, candidates); c != "" {
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

// distance counts the edits between a and b, swapping two neighbours as one; it gives
// up at limit.
func distance(a, b string, limit int) int {
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
