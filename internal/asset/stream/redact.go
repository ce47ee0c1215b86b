package stream

import (
	"path/filepath"
	"regexp"
	"strings"
)

const masked = "***"

var (
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:passw|passphrase|pwd|secret|token|credential|api-?key)[\w.-]*\s*[=:]\s*)('[^']*'|"[^"]*"|[^\s'";&|]+)`)
	option   = regexp.MustCompile(`(?i)^--?[\w-]*(passw|passphrase|pwd|secret|token|api-?key)[\w-]*$`)
	userinfo = regexp.MustCompile(`://[^/@\s'"]*@`)
)

// Redact masks what looks like a secret in an argument list: the values of options and
// variables with telling names, and the user part of URLs. It is for showing and storing;
// whoever runs such a command has already shown its secrets to all users of the machine.
func Redact(argv []string) []string {
	out := make([]string, len(argv))
	mysql := len(argv) > 0 && containsProgram(argv, "mysql", "mysqldump", "mariadb", "mariadb-dump")
	for i, a := range argv {
		switch {
		case i > 0 && option.MatchString(argv[i-1]) && !strings.HasPrefix(a, "-"):
			out[i] = masked
		case mysql && strings.HasPrefix(a, "-p") && len(a) > 2:
			out[i] = "-p" + masked
		default:
			out[i] = userinfo.ReplaceAllString(assigned.ReplaceAllString(a, "${1}"+masked), "://"+masked+"@")
		}
	}
	return out
}

// containsProgram looks for a program by the base name of any argument, since it may come
// after kubectl or sudo.
func containsProgram(argv []string, names ...string) bool {
	for _, a := range argv {
		for _, n := range names {
			if filepath.Base(a) == n {
				return true
			}
		}
	}
	return false
}
