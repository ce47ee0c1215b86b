// Package builtin is the list of actions that Lifeboat brings.
//
// The list is a slice, in the order of the manual, made from what its families need.
// Nothing registers itself: what is not written here does not exist. An action is more
// than the command it may run: it plans against its live target, can be probed or undone,
// or checks what came of it. What is only a command belongs into a sh block of the
// runbook, where people can read it.
package builtin

import (
	"slices"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/check"
	"lifeboat/internal/builtin/files"
	"lifeboat/internal/builtin/forge"
	"lifeboat/internal/builtin/git"
	"lifeboat/internal/builtin/notify"
	"lifeboat/internal/builtin/secrets"
	"lifeboat/internal/builtin/shell"
	"lifeboat/internal/builtin/sqlite"
	"lifeboat/internal/builtin/stream"
	"lifeboat/internal/builtin/vault"
	"lifeboat/internal/builtin/workload"
)

// Deps are what the families need, each of its own.
type Deps struct {
	Git      git.Deps
	SQLite   sqlite.Deps
	Files    files.Deps
	Stream   stream.Deps
	Vault    vault.Deps
	Forge    forge.Deps
	Check    check.Deps
	Notify   notify.Deps
	Secrets  secrets.Deps
	Workload workload.Deps
}

// All lists the actions.
func All(d Deps) []action.Action {
	return slices.Concat(
		shell.Actions(),
		git.Actions(d.Git),
		sqlite.Actions(d.SQLite),
		files.Actions(d.Files),
		stream.Actions(d.Stream),
		vault.Actions(d.Vault),
		forge.Actions(d.Forge),
		check.Actions(d.Check),
		workload.Actions(d.Workload),
		notify.Actions(d.Notify),
		secrets.Actions(d.Secrets),
	)
}
