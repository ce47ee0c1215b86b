package app

import (
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"lifeboat/runbooks"
)

// typed are the commands of ours that a text tells people to type: between backticks, or as a
// line of an indented or fenced block.
var typed = regexp.MustCompile("(?m)`lifeboat ([^`\n]+)`|^    (?:\\$ )?lifeboat ([^`\n]+)$")

// TestAdvice looks up every command that the runbooks, the README and the manual of the vault tell
// people to type: at 3 a.m. nobody should be told of one that does not exist.
func TestAdvice(t *testing.T) {
	env, err := newEnvironment(t.Context(), nil, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range []string{"../../README.md", "../vault/README-RESTORE.md"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(b)
	}
	books, err := fs.Glob(runbooks.FS, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range books {
		b, err := runbooks.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(b)
	}
	seen := 0
	for file, text := range texts {
		for _, m := range typed.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1]+m[2], "#")
			line, _, _ = strings.Cut(line, ">")
			if problem := unknownCommand(env, books, strings.Fields(line)); problem != "" {
				t.Errorf("%s: lifeboat %s: %s", file, line, problem)
			}
			seen++
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands were found in %d texts", seen, len(texts))
	}
}

// unknownCommand says what is wrong with a command, "" when nothing is.
func unknownCommand(env environment, books, words []string) string {
	c, rest, err := commands(env).Find(words)
	if err != nil {
		return err.Error()
	}
	if c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "there is no command " + rest[0]
	}
	if err := c.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if name := c.Flags().Arg(0); c.Name() == "run" && regexp.MustCompile(`^[a-z-]+$`).MatchString(name) {
		for _, b := range books {
			if b == name+".md" {
				return ""
			}
		}
		return "there is no runbook " + name
	}
	return ""
}
