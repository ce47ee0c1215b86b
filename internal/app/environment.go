package app

import (
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// version is set by the Makefile.
var version = "unversioned"

// environment is everything that Lifeboat takes from the process around it. It is
// read once, here; nothing below app looks for itself.
type environment struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer // tame
	screen         io.Writer // standard output as it is, for the console
	get            func(string) string
	all            []string // NAME=value
	dir            string   // working directory
	user, host     string
	exe            string // this program
	terminal       bool   // stdin and stdout are one
	now            func() time.Time
}

func newEnvironment(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (environment, error) {
	env := environment{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, screen: stdout, get: os.Getenv, all: os.Environ(), now: time.Now}
	var err error
	if env.dir, err = os.Getwd(); err != nil {
		return env, hint.Wrap(err, "change to a directory that exists")
	}
	if env.exe, err = os.Executable(); err != nil {
		return env, err
	}
	if env.host, err = os.Hostname(); err != nil {
		env.host = "unknown"
	}
	env.user = env.who()
	env.terminal = isTerminal(stdin) && isTerminal(stdout)
	return env, nil
}

// who is the person at the keyboard, also behind sudo, or what runs in their place.
func (e environment) who() string {
	for _, name := range []string{"LIFEBOAT_USER", "SUDO_USER", "USER", "LOGNAME"} {
		if v := e.get(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// stateDir is where journal, logs and sandboxes live.
func (e environment) stateDir() (string, error) {
	if d := e.get("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "lifeboat"), nil
	}
	if home := e.get("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "lifeboat"), nil
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return filepath.Join(u.HomeDir, ".local", "state", "lifeboat"), nil
	}
	return "", usage(hint.Wrap(errors.New("there is no place for the journal: HOME and XDG_STATE_HOME are not set"), "set one of them, or pass --state DIRECTORY"))
}

// configDir is where the person's own lifeboat.yaml may lie; empty when there is none.
func (e environment) configDir() string {
	if d := e.get("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "lifeboat")
	}
	if home := e.get("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "lifeboat")
	}
	return ""
}

// secretPrefix begins the environment variables that carry secret parameters:
// LIFEBOAT_SECRET_TOKEN for the parameter "token".
const secretPrefix = "LIFEBOAT_SECRET_"

// secrets collects the secret parameters of the environment.
func (e environment) secrets() map[string]secret.String {
	out := map[string]secret.String{}
	for _, kv := range e.all {
		name, value, _ := strings.Cut(kv, "=")
		if p, ok := strings.CutPrefix(name, secretPrefix); ok && value != "" {
			out[strings.ToLower(p)] = secret.New(value)
		}
	}
	return out
}

// dumb says whether the terminal can do nothing but show lines, or the person wants
// nothing else.
func (e environment) dumb() bool {
	t := e.get("TERM")
	return !e.terminal || t == "" || t == "dumb" || e.get("ACCESSIBLE") != ""
}
