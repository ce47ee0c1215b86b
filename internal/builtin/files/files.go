// Package files holds the actions on plain files: backup and restore.
//
// Files are restored into a new directory, or one by one in their place. In the second
// case everything that is replaced is kept beside them first, under a name that backups
// leave out, with a record of what was there: that is the undo, also of a restore that
// ended in the middle.
package files

import (
	"context"

	"lifeboat/internal/action"
)

// Deps are what the actions need of the rest.
type Deps struct {
	// Source finds an asset of kind files; the error advises.
	Source func(name string) (Source, error) // required
	// Vault gives the open vault; it is not closed here.
	Vault func(ctx context.Context) (Vault, error) // required
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.backup(), d.restore(), d.compare(), d.parse()}
}
