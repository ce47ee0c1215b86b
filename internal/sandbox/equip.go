package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/durable"
	"lifeboat/internal/sandbox/mongo"
)

// Bin is the directory of the sandbox's own programs. A run in the sandbox finds them
// before those of the machine, and nothing else ever does.
func (s *Sandbox) Bin() string { return filepath.Join(s.dir, "bin") }

// program is one of them: its text, for a sandbox in dir and the program exe that knows
// what it stands for. Both are quoted for a shell.
type program struct {
	name string
	text func(exe, dir string) string
}

// programs lists what a sandbox has in place of what talks to the outside.
func programs() []program {
	list := []program{
		{"kubectl", func(exe, dir string) string { return "exec " + exe + " sandbox-kubectl " + dir + " \"$@\"\n" }},
	}
	for _, name := range mongo.Tools() {
		list = append(list, program{name, func(exe, dir string) string {
			return "exec " + exe + " sandbox-mongo " + dir + " " + name + " \"$@\"\n"
		}})
	}
	return list
}

// equip writes the programs, also into a sandbox that an older Lifeboat made.
func (s *Sandbox) equip(exe string) error {
	if err := durable.MkdirAll(s.Bin()); err != nil {
		return err
	}
	for _, p := range programs() {
		path := filepath.Join(s.Bin(), p.name)
		text := "#!/bin/sh\n# The " + p.name + " of a sandbox. It never leaves it.\n" + p.text(quote(exe), quote(s.dir))
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		if err := durable.WriteFile(path, []byte(text), 0o700); err != nil {
			return fmt.Errorf("equip the sandbox: %w", err)
		}
	}
	return nil
}

// quote makes a text one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
