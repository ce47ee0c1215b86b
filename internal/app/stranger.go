package app

import (
	"context"
	"errors"
	"io"

	filesasset "lifeboat/internal/asset/files"
	gitasset "lifeboat/internal/asset/git"
	"lifeboat/internal/asset/sqlite"
	streamasset "lifeboat/internal/asset/stream"
	"lifeboat/internal/vault"
)

// errStranger is what a backup says of an asset that only the vault knows. The action
// refuses it first; this holds should another way lead here.
var errStranger = errors.New("an asset that only the vault knows is not backed up")

// The kinds of assets that only the vault knows do everything but read a source.
type (
	strangeGit    struct{ gitasset.Kind }
	strangeSQLite struct{ sqlite.Kind }
	strangeFiles  struct{ filesasset.Kind }
	strangeStream struct{ streamasset.Kind }
)

var (
	_ vault.Prober = strangeGit{}
	_ vault.Prober = strangeSQLite{}
	_ vault.Differ = strangeGit{}
	_ vault.Differ = strangeSQLite{}
	_ vault.Differ = strangeFiles{}
)

func (strangeGit) Capture(context.Context, string, []byte, func(string) (io.ReadCloser, error),
	func(role, name string) (io.WriteCloser, error), func(int64, int64, string), io.Writer,
) (string, []byte, error) {
	return "", nil, errStranger
}

func (strangeSQLite) Capture(context.Context, string, []byte, func(string) (io.ReadCloser, error),
	func(role, name string) (io.WriteCloser, error), func(int64, int64, string), io.Writer,
) (string, []byte, error) {
	return "", nil, errStranger
}

func (strangeFiles) Capture(context.Context, string, []byte, func(string) (io.ReadCloser, error),
	func(role, name string) (io.WriteCloser, error), func(int64, int64, string), io.Writer,
) (string, []byte, error) {
	return "", nil, errStranger
}

func (strangeStream) Capture(context.Context, string, []byte, func(string) (io.ReadCloser, error),
	func(role, name string) (io.WriteCloser, error), func(int64, int64, string), io.Writer,
) (string, []byte, error) {
	return "", nil, errStranger
}
