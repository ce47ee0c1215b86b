package console

import (
	"context"

	"lifeboat/internal/console/look"
)

// ThemeReader finds themes: ours and those of the person.
type ThemeReader interface {
	// Themes lists the names of the themes there are, ours first.
	Themes(ctx context.Context) []string
	// Theme reads one, by its name or from a file. Its mistakes are [look.Problem] errors.
	Theme(ctx context.Context, name string) (*look.Theme, error)
}
