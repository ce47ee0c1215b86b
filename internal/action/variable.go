package action

import (
	"regexp"
	"slices"
)

var variable = regexp.MustCompile(`\$(?:\{[#!]?)?([a-z][A-Za-z0-9_]*)`)

// Variables lists the variables that a shell script reads by name, each once, in order. It
// looks at the text only: what a program that the script starts reads, nobody can tell.
func Variables(script string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(script, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}
