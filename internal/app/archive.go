package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/asset/files"
	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/durable"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

// archiveAsset is the name of the asset that holds what a recovery needs to read.
const archiveAsset = "archive"

// archiveDir is where its files are put together.
func (w *world) archiveDir() string {
	sum := sha256.Sum256([]byte(w.estate.File))
	return filepath.Join(w.state, "archive-"+hex.EncodeToString(sum[:6]))
}

// documents captures them from where this machine has put them together.
type documents struct {
	files.Kind
	dir string
}

func (k documents) Capture(ctx context.Context, _ string, parent []byte,
	open func(role string) (io.ReadCloser, error), create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (kind string, facts []byte, err error) {
	return k.Kind.Capture(ctx, k.dir, parent, open, create, progress, log)
}

// archiveProtected has the same id on every machine: whoever looks for the documents of an
// estate has perhaps nothing left of the machine that made them.
func (w *world) archiveProtected() vaultactions.Protected {
	return vaultactions.Protected{
		Asset:       vault.Asset{Name: archiveAsset, Kind: estate.Files, Source: "documents of " + w.estate.Name},
		Understands: documents{dir: w.archiveDir()},
		Reads:       []string{w.archiveDir()},
	}
}

// archive puts together what people need to read when everything else is gone: the
// runbooks, the estate file, the documents that it lists, and how to restore with stock
// tools. Only what has changed is written, so that an archive of the same documents is
// the same archive.
func (w *world) archive(ctx context.Context) (vaultactions.Protected, error) {
	if w.estate == nil {
		return vaultactions.Protected{}, errNoEstate
	}
	if _, err := w.estate.Find(archiveAsset); err == nil {
		return vaultactions.Protected{}, hint.Wrap(fmt.Errorf("the estate has an asset %q of its own", archiveAsset), "give it another name: this one is for the documents")
	}
	want := map[string][]byte{"RESTORE.md": []byte(vault.ReadmeText())}
	text, err := os.ReadFile(w.estate.File)
	if err != nil {
		return vaultactions.Protected{}, err
	}
	want[estate.FileName] = text
	for _, d := range w.estate.Documents {
		if err := w.collect(ctx, d.Path, want); err != nil {
			return vaultactions.Protected{}, hint.Wrap(fmt.Errorf("document %q: %w", d.Path, err), "mend documents: in "+w.estate.File)
		}
	}
	for _, b := range w.shelf.library.List() {
		want[filepath.Join("runbooks", b.Name+".md")] = b.Source
	}
	return w.archiveProtected(), sameFiles(w.archiveDir(), want)
}

// maxDocument bounds one document of the archive, in bytes.
const maxDocument = 64 << 20

// collect reads a document, or all below a directory, from inside the estate's directory.
func (w *world) collect(ctx context.Context, path string, want map[string][]byte) error {
	root, err := os.OpenRoot(w.estate.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if filepath.IsAbs(path) {
		if path, err = filepath.Rel(w.estate.Dir, path); err != nil {
			return err
		}
	}
	return fs.WalkDir(root.FS(), filepath.ToSlash(filepath.Clean(path)), func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > maxDocument {
			err = fmt.Errorf("%q has %d bytes, more than a document may have", name, info.Size())
		}
		if err != nil {
			return err
		}
		text, err := root.ReadFile(name)
		want[filepath.Join("documents", name)] = text
		return err
	})
}

// sameFiles makes a directory hold exactly these files.
func sameFiles(dir string, want map[string][]byte) error {
	if err := durable.MkdirAll(dir); err != nil {
		return err
	}
	for name, text := range want {
		path := filepath.Join(dir, name)
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, text) {
			continue
		}
		if err := errors.Join(durable.MkdirAll(filepath.Dir(path)), durable.WriteFile(path, text, 0o600)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name, err := filepath.Rel(dir, path); err != nil || want[name] != nil {
			return err
		}
		return os.Remove(path)
	})
}
