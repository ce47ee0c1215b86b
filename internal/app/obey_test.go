package app

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// obey [TEXT=>ANSWER ...] -- ARGUMENT ...: runs lifeboat in plain mode as an obedient
// person would: types the token that a gate shows, takes the first choice, and says of
// everything else that it was seen. Where a question holds TEXT it gives that ANSWER; one that
// begins with "!" is a command of the shell that is run first. The
// variable obey is the exit code, the file obey.log what was on the screen. A question that
// comes again and again ends it.
func obey(ts *testscript.TestScript, neg bool, args []string) {
	var rules [][2]string
	for len(args) > 0 && args[0] != "--" {
		text, answer, ok := strings.Cut(args[0], "=>")
		if !ok {
			ts.Fatalf("%q is no TEXT=>ANSWER", args[0])
		}
		rules, args = append(rules, [2]string{text, answer}), args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: obey [TEXT=>ANSWER ...] -- ARGUMENT ...")
	}
	c := exec.Command(lookIn(ts, "lifeboat"), append(args[1:], "--plain")...)
	c.Dir = ts.MkAbs(".")
	for _, k := range []string{"HOME", "PATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "TERM", "LIFEBOAT_USER", "USER", "TEAM"} {
		c.Env = append(c.Env, k+"="+ts.Getenv(k))
	}
	in, err := c.StdinPipe()
	ts.Check(err)
	r, w, err := os.Pipe()
	ts.Check(err)
	c.Stdout, c.Stderr = w, w
	ts.Check(c.Start())
	ts.Defer(func() { _ = c.Process.Kill() }) // it has ended, or the script has failed
	w.Close()
	log := converse(ts, rules, in, r)
	code := "0"
	if c.Wait() != nil {
		code = c.ProcessState.String()[len("exit status "):]
	}
	ts.Check(os.WriteFile(ts.MkAbs("obey.log"), log, 0o600))
	ts.Setenv("obey", code)
}

// lookIn finds a program in the PATH of the script, which is not that of the test.
func lookIn(ts *testscript.TestScript, name string) string {
	for _, dir := range strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if info, err := os.Stat(dir + "/" + name); err == nil && info.Mode().IsRegular() {
			return dir + "/" + name
		}
	}
	ts.Fatalf("there is no %s", name)
	return ""
}

var (
	promptEnd = regexp.MustCompile(`(?:LIVE|DRILL) \d+/\d+[^\n]*> $`)
	tokenLine = regexp.MustCompile(`Type the token read from the target: (.+?) An empty line`)
	firstMenu = regexp.MustCompile(`(?m)^ +1 +\S`)
	clocks    = regexp.MustCompile(`\d+:[\d:]+`)
	blanks    = regexp.MustCompile(`\s+`)
)

// converse answers until the output ends, and gives all of it.
func converse(ts *testscript.TestScript, rules [][2]string, in io.WriteCloser, out io.Reader) []byte {
	var all bytes.Buffer
	var before string
	buf, from, same := make([]byte, 64<<10), 0, 0
	for {
		n, err := out.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			return all.Bytes()
		}
		if !promptEnd.Match(all.Bytes()) {
			continue
		}
		said := string(all.Bytes()[from:])
		from = all.Len()
		answer := reply(said, rules)
		if command, ok := strings.CutPrefix(answer, "!"); ok {
			ts.Check(ts.Exec("sh", "-c", command))
			answer = reply(said, nil)
		}
		if said = clocks.ReplaceAllString(said, ""); said == before {
			same++
		} else {
			same = 0
		}
		if before = said; same == 2 {
			ts.Logf("%s", all.String())
			ts.Fatalf("it asks again and again: %s", said)
		}
		if _, err := io.WriteString(in, answer+"\n"); err != nil {
			return all.Bytes()
		}
	}
}

func reply(said string, rules [][2]string) string {
	flat := blanks.ReplaceAllString(said, " ")
	for _, r := range rules {
		if strings.Contains(flat, r[0]) {
			return r[1]
		}
	}
	if m := tokenLine.FindStringSubmatch(flat); m != nil {
		return m[1]
	}
	if firstMenu.MatchString(said) {
		return "1"
	}
	return "seen by S. Kaya"
}
