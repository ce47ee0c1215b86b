package git

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever stands in a reflog, a line gives ids or nothing, and no id of zeros.
func FuzzReflog(f *testing.F) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	f.Add([]byte(a + " " + b + " Klara Lind <k@x> 1700000000 +0100\tpush\n"))
	f.Add([]byte(strings.Repeat("0", 40) + " " + b + " <> 1 +0000\n\n" + a))
	f.Add([]byte(a + " " + b + " x 99999999999999999999 +0000\tpush"))
	f.Add([]byte(a + "\t" + b + " \x1b[31m 5 +0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range parseReflog(data) {
			if !isOID(s.oid) || strings.Trim(s.oid, "0") == "" || strings.Contains(s.by, "\n") {
				t.Errorf("%+v", s)
			}
		}
	})
}

// What is typed is always like itself, and the distance of two words is the same both ways.
func FuzzAlike(f *testing.F) {
	f.Add("3f2a1c9", "3f2ac19b000000000000000000000000000000ab")
	f.Add("", "a")
	f.Add("é", "e\u0301")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 64 || len(b) > 64 || !utf8.ValidString(a+b) {
			return
		}
		if len(a) >= 6 && !alike(a, a) {
			t.Errorf("%q is not like itself", a)
		}
		if there, back := misspelt(a, b, 2), misspelt(b, a, 2); there != back || misspelt(a, b, 0) != (a == b) {
			t.Errorf("%q and %q: %t and %t", a, b, there, back)
		}
		_ = alike(a, b)
	})
}

// Whatever a server says of HEAD, it is a branch or nothing.
func FuzzSymref(f *testing.F) {
	f.Add("ref: refs/heads/main\tHEAD\n0000\tHEAD\n")
	f.Add("ref: refs/heads/../../x\tHEAD\n")
	f.Add("ref: refs/heads/a b\n")
	f.Fuzz(func(t *testing.T, out string) {
		if name := symref(out); name != "" && (!strings.HasPrefix(name, "refs/heads/") || strings.ContainsAny(name, " \t\n\x00") || strings.Contains(name, "..")) {
			t.Errorf("%q of %q", name, out)
		}
	})
}
