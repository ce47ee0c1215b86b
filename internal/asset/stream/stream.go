// Package stream captures what a command writes: the dump of a database that only its
// own program can read, wherever that runs.
//
// The danger is a dump that ends early and looks whole. An exit code of 0 is no proof:
// `kubectl exec` loses the end of the output and returns 0. A framed command therefore
// runs inside a small POSIX shell wrapper on the far side, which counts and hashes what
// the command writes, passes it on, and ends with a trailer:
//
//	<the dump>\nLBEND1 <bytes> <SHA-256> <exit code> <mark>\n
//
// The mark is random and chosen here, so that no dump can hold it. The trailer is taken
// off here and compared. Whatever does not fit, is cut off, failed
// or wrote nothing is an error and never a backup. Loading a dump is framed the same way:
// the far side says how many bytes of which hash reached the command.
//
// Commands are argument lists and never text for a shell. Arguments can be read by every
// user of a machine, so a password has no place there: it comes from a file such as
// ~/.pgpass, or from a variable of the environment that is passed on by its name.
package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// FileName is the dump in a replica, and the object of a point.
const FileName = "dump"

// FileMark stands in Dump and Load for the path of a private file, for commands that
// cannot write to standard output or read standard input.
const FileMark = "{file}"

const role = "dump"

// What a capture made.
const (
	full      = "full"
	unchanged = "unchanged"
)

var (
	// ErrCut is a dump, or a load, whose end is missing.
	ErrCut = errors.New("the stream was cut off")
	// ErrFailed is a command that ended badly, on this side or the far one.
	ErrFailed = errors.New("the command failed")
	// ErrNothing is a command that ended well and wrote nothing.
	ErrNothing = errors.New("the command wrote nothing")
	// ErrShape is a dump that its own format shows to be broken or incomplete.
	ErrShape = errors.New("the dump is not whole")
	// ErrUnequal is a replica that is not what the facts say.
	ErrUnequal = errors.New("the dump is not that of the point")
	// ErrPartly is a load that began and did not end well: what it changed is not known.
	ErrPartly = errors.New("the dump may be loaded in part")
)

// Kind is one command to dump with and one to load with.
type Kind struct {
	Dump []string // writes the dump to standard output, or to FileMark
	Load []string // reads it from standard input, or from FileMark; nil: cannot be loaded

	// Framed runs the part of Dump and Load after the first "--", or all of it where
	// there is none, inside the wrapper. "kubectl exec … -- pg_dump …": on the far side,
	// which needs sh, tee, wc and sha256sum (or shasum), and no writable directory.
	Framed bool

	Env     map[string]string // set for the command; no secrets, see Inherit
	Inherit []string          // variables to pass on by name, beside those of Passed: "MY_TOKEN", "ORACLE_*"
	Dir     string            // where it runs; "" is the current directory
	Scratch string            // where the private file of FileMark lies; "" is os.TempDir
	Target  string            // what Load overwrites, as people type it to confirm: "auth_db@deployment/booking-app"
}

// Passed are the variables that commands get from the caller's environment without being
// named: access to clouds and clusters, and the ways in which the programs of the presets
// take passwords outside of their arguments.
func Passed() []string {
	return append(command.Cloud(),
		"PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSFILE", "PGPASSWORD", "PGSERVICE", "PGSERVICEFILE",
		"PGSSL*", "PGOPTIONS", "PGCONNECT_TIMEOUT", "MYSQL_PWD", "MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_HOME",
		"WRANGLER_*", "CI")
}

// Facts prove the equality of a dump with a point. JSON of the manifest.
type Facts struct {
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
	Exit    int      `json:"exit"`             // of the command, on the far side where it is framed
	Framed  bool     `json:"framed,omitempty"` // bytes and hash were compared with what the far side counted
	Format  string   `json:"format,omitempty"` // what the dump turned out to be: "pg_dump custom", "gzip of mongodump archive"
	Command []string `json:"command"`          // without secrets
	// Contents are the collections of an archive of mongodump with the number of their
	// documents; nil for what shows no such thing.
	Contents map[string]int64 `json:"contents,omitempty"`
	Seconds  float64          `json:"seconds"`
}

// Name is "stream".
func (Kind) Name() string { return "stream" }

// Needs lists the stock programs of Script.
func (Kind) Needs() []string { return []string{"sha256sum"} }

// Validate says what is wrong with the commands.
func (k Kind) Validate() error {
	if len(k.Dump) == 0 || k.Dump[0] == "" {
		return hint.New("the asset has no command that dumps it", "give dump: [program, argument, …] or preset:")
	}
	for what, argv := range map[string][]string{"dump": k.Dump, "load": k.Load} {
		for _, a := range argv {
			if strings.ContainsRune(a, 0) {
				return fmt.Errorf("%s: an argument holds a zero byte", what)
			}
		}
		if k.Framed && usesFile(argv) {
			return hint.Wrap(fmt.Errorf("%s: %s and framed exclude each other", what, FileMark),
				"a frame guards a pipe; leave it out where the command writes a file")
		}
		if i := slices.Index(argv, "--"); k.Framed && i >= 0 && i == len(argv)-1 {
			return fmt.Errorf("%s: no command follows %q", what, "--")
		}
	}
	return nil
}

func usesFile(argv []string) bool {
	return slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, FileMark) })
}

func withFile(argv []string, path string) []string {
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = strings.ReplaceAll(a, FileMark, path)
	}
	return out
}

// cmd is what a command needs beside its streams.
func (k Kind) cmd(argv []string) command.Cmd {
	return command.Cmd{Argv: argv, Dir: k.Dir, Env: k.Env, Inherit: append(Passed(), k.Inherit...)}
}
