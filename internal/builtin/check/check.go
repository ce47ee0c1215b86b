// Package check holds the actions that look at the world and say whether it is as it
// should be: a program, a web page, a disk, files. All of them only read. One that finds
// something wrong fails with what it found, in words, as evidence.
package check

import (
	"context"
	"net/http"

	"lifeboat/internal/action"
)

// Deps are what the actions need of the rest.
type Deps struct {
	HTTP *http.Client // required for check.http; in a drill it reaches the sandbox alone
	// Asset finds an asset by its name; the error advises.
	Asset func(name string) (Asset, error) // required
	// Room is how many bytes a restore of the newest backup of an asset may need.
	Room func(ctx context.Context, asset string) (int64, error) // required for check.disk
}

// Asset is what the actions need to know of an asset.
type Asset struct {
	Name     string
	Path     string   // directory, or a file whose directory is meant
	Critical []string // relative to it
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	return []action.Action{d.command(), d.http(), d.disk(), d.files()}
}

const stopReading = "Yes: it only reads."
