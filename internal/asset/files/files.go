// Package files captures chosen files of a directory, env files and infrastructure for
// instance, as one tar, and puts them back without believing what an archive says.
//
// A point is the state of one moment: the tree is listed first, and a file that is no
// longer as it was listed when its turn comes makes the capture begin again, once, and
// then fail by name. What is stored is an ordinary PAX archive for the stock tar:
//
//	global header, comment=lifeboat-files/1 <salt>
//	files/                       what was chosen, parents before children, sorted
//	files/apps/web/.env
//	files.list                   type, mode, owner, size, mtime, SHA-256 and name of each
//
// The salt is 32 random bytes. Manifests hold plain hashes for everybody to read; without
// the salt the hash of an archive of one small secret would let its value be guessed.
//
// Extraction takes exactly this form and nothing else: regular files, directories and
// symbolic links that stay inside, each once, in order, none through a link. The limits
// hold for a capture too, so that what was stored can be restored.
package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Names in a replica: the tree, and the list that proves it.
const (
	TreeName = "files"
	ListName = "files.list"
)

// Names of the objects of a point.
const (
	TarName   = "files.tar"
	IndexName = "files.idx" // the same bytes as ListName
)

// Own is how names at the top of a source begin that belong to Lifeboat: what a restore
// replaced, what it is about to put there. They are never captured.
const Own = ".lifeboat-"

const (
	roleTar   = "tar"
	roleIndex = "index"
)

// What a capture made.
const (
	full      = "full"
	unchanged = "unchanged"
	empty     = "empty"
)

// Limits of a capture and of what is believed in an archive.
const (
	maxEntries = 250_000
	maxName    = 1024 // bytes of a path or of the target of a link
	maxPart    = 255  // bytes of one component
	maxDepth   = 64
)

var (
	// ErrDamaged is an archive or a list that is not whole or not of the form that this
	// package writes.
	ErrDamaged = errors.New("the archive is damaged or not one of Lifeboat's")
	// ErrUnequal is a tree that is not what the facts say.
	ErrUnequal = errors.New("the files are not those of the point")
	// ErrMoving is a source that changed while it was read, twice.
	ErrMoving = errors.New("it changed while it was read")
	// ErrNothing is a source that suddenly has no file that is to be kept.
	ErrNothing = errors.New("no file matches any more")
	// ErrUnsuitable is something in the source that cannot be kept as it is.
	ErrUnsuitable = errors.New("it cannot be backed up as it is")
)

// Kind chooses files below a source, which is a directory.
//
// A pattern is a path relative to the source. "*", "?" and "[…]" match within one
// component, leading dots included; "**" as a component matches any number of them. A
// pattern that matches a directory takes its whole tree; with a slash at the end it
// matches directories only. No Include takes everything. Exclude, of the same form, wins.
type Kind struct {
	Include []string
	Exclude []string
}

// Name is "files".
func (Kind) Name() string { return "files" }

// Needs lists the stock programs of Script.
func (Kind) Needs() []string { return []string{"tar", "sha256sum", "readlink"} }

// Facts prove the equality of files with a point. JSON of the manifest. Nothing in them
// lets the content of a file be guessed.
type Facts struct {
	ListSHA256 string    `json:"list_sha256,omitempty"` // of files.list, which holds the salt; "" when nothing matched
	Files      int       `json:"files"`
	Dirs       int       `json:"dirs"`
	Links      int       `json:"links"`
	Bytes      int64     `json:"bytes"`             // of the content of all files
	Newest     time.Time `json:"newest,omitzero"`   // mtime of the file that changed last
	Skipped    int       `json:"skipped,omitempty"` // sockets, fifos and devices, which hold nothing to keep
}

func readFacts(raw []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, fmt.Errorf("read the facts: %w", err)
	}
	if f.ListSHA256 != "" && !isHash(f.ListSHA256) {
		return f, fmt.Errorf("read the facts: %q is no SHA-256", f.ListSHA256)
	}
	return f, nil
}
