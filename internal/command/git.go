package command

import (
	"path/filepath"
	"strings"

	"lifeboat/internal/hint"
)

// pinned is configuration that a repository must not be able to change. Options on the
// command line are stronger than every file. See SECURITY in the manual of git: a
// repository from elsewhere can name programs in its configuration.
var pinned = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.pager=cat",
	"core.editor=false",
	"core.askPass=",
	"core.alternateRefsCommand=true",
	"credential.helper=",
	"protocol.ext.allow=never",
	"submodule.recurse=false",
	"fetch.recurseSubmodules=false",
	"push.recurseSubmodules=no",
	"gc.auto=0", // a backup must not start work that outlives it
	"maintenance.auto=false",
	"commit.gpgSign=false",
	"tag.gpgSign=false",
	"push.gpgSign=false",
	"log.showSignature=false",
	"init.defaultBranch=main",
	"advice.detachedHead=false",
}

// ownerless is the content of the one configuration file that counts. The repositories of
// an organisation belong to many users, and git heeds this setting in no other place: of
// options it reads it only since 2.38, and a clone does not pass options on to the process
// that reads the other repository.
const ownerless = "[safe]\n\tdirectory = *\n"

// Git makes a hardened call of git in a directory (empty: that of the caller). Neither
// the person's nor the system's configuration counts, no hook, editor, pager, credential
// helper or prompt runs, only the protocols file, https and ssh are spoken, and commits
// are made by "Lifeboat". SSH keeps HOME and SSH_AUTH_SOCK, and never asks.
//
// The directory must be the repository itself; git does not look above it. Delete
// GIT_CEILING_DIRECTORIES from Env to find the repository that encloses a directory.
// Credentials come in through Env or through further -c options, which are stronger.
//
// This does not make a restored repository safe to work in: filters, textconv and named
// remotes of its own configuration still count. Fetch from it by path into a repository
// made fresh. Put names and paths from outside after --end-of-options or "--".
func Git(dir string, args ...string) Cmd {
	argv := []string{"git", "--no-pager", "--no-optional-locks"}
	for _, option := range pinned {
		argv = append(argv, "-c", option)
	}
	env := map[string]string{
		"GIT_CONFIG_NOSYSTEM": "1",
		"GIT_CONFIG_GLOBAL":   "/dev/null",
		"GIT_ATTR_NOSYSTEM":   "1",
		"GIT_TEMPLATE_DIR":    "",
		"GIT_TERMINAL_PROMPT": "0",
		"GIT_ASKPASS":         "",
		"GIT_EDITOR":          "false",
		"GIT_ALLOW_PROTOCOL":  "file:https:ssh",
		"GIT_NO_LAZY_FETCH":   "1",                   // a partial clone names the program that fetches what it lacks
		"GIT_SSH_COMMAND":     "ssh -oBatchMode=yes", // stronger than core.sshCommand of the repository
		"GIT_SSH_VARIANT":     "ssh",
		"GIT_AUTHOR_NAME":     "Lifeboat",
		"GIT_AUTHOR_EMAIL":    "lifeboat@localhost",
		"GIT_COMMITTER_NAME":  "Lifeboat",
		"GIT_COMMITTER_EMAIL": "lifeboat@localhost",
		"LC_ALL":              "C",
	}
	if dir != "" {
		if abs, err := filepath.Abs(dir); err == nil {
			env["GIT_CEILING_DIRECTORIES"] = filepath.Dir(abs)
		}
	}
	return Cmd{Argv: append(argv, args...), Dir: dir, Env: env, gitConfig: ownerless}
}

// advise adds what a person can do about well-known ends.
func advise(e *ExitError) error {
	switch filepath.Base(e.Argv[0]) {
	case "git":
	case "kubectl":
		return adviseKubectl(e)
	default:
		return e
	}
	for _, known := range []struct{ text, advice string }{
		{"dubious ownership", "The repository belongs to another user: run Lifeboat as that user."},
		{"terminal prompts disabled", "The remote asks for a password. Lifeboat never prompts here: use an SSH remote with an agent, or configure a token for the asset."},
		{"Permission denied (publickey", "Load the SSH key into the agent (ssh-add) and check that SSH_AUTH_SOCK is set."},
		{"Host key verification failed", "Check the host key with its owner, then accept it once with plain ssh."},
		{"fatal: transport '", "Lifeboat speaks only file, https and ssh with git remotes."},
	} {
		if strings.Contains(e.Stderr, known.text) {
			return hint.Wrap(e, known.advice)
		}
	}
	return e
}
