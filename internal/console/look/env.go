package look

import "strings"

// of gives the value of a variable in an environment of "NAME=value".
func of(env []string, name string) string {
	for _, e := range env {
		if n, v, _ := strings.Cut(e, "="); n == name {
			return v
		}
	}
	return ""
}

// NoColour says whether the person wants no colours: NO_COLOR is not empty, or CLICOLOR
// is 0 and CLICOLOR_FORCE does not say otherwise.
func NoColour(env []string) bool {
	if of(env, "NO_COLOR") != "" {
		return true
	}
	force := of(env, "CLICOLOR_FORCE")
	return of(env, "CLICOLOR") == "0" && (force == "" || force == "0")
}

// Dark guesses the ground of the terminal from COLORFGBG ("15;0") until the terminal
// has answered; most do not set it, and most are dark.
func Dark(env []string) bool {
	v := of(env, "COLORFGBG")
	ground := v[strings.LastIndexByte(v, ';')+1:]
	return ground != "7" && ground != "15"
}
