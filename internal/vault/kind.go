package vault

import (
	"context"
	"io"
)

// Kind is what the vault must be able to ask of a kind of asset. It is written with
// the types of the standard library only, so that package asset/git and its siblings
// satisfy it without knowing the vault.
//
// facts is the JSON of what proves equality of one restore point ("git": {…} in the
// manifest); each Kind defines its own and is the only one to read it.
type Kind interface {
	// Name is the word in manifests and the key of the facts: "git", "sqlite".
	Name() string

	// Capture writes one restore point of source. parent holds the facts of the point
	// to build on, nil for a full backup; open reads an object of the parent point by
	// its role. create begins an object: role says what it is for ("bundle", "base",
	// "delta", "index"), name is its file name; the object exists once Close returned
	// nil. Where it has a method SHA256() string, that gives the hash of all its bytes,
	// in hexadecimal, after Close. Objects whose role is "index" serve only the next increment and are not
	// part of the chain. Capture holds no more than a bounded part of the data in
	// memory. It returns what it made: full, incremental, unchanged or empty (an
	// increment may turn out to be full; unchanged and empty create no chain object),
	// and the facts of the new point. After an error nothing that it created counts.
	Capture(ctx context.Context, source string, parent []byte,
		open func(role string) (io.ReadCloser, error),
		create func(role, name string) (io.WriteCloser, error),
		progress func(done, total int64, unit string), log io.Writer,
	) (kind string, facts []byte, err error)

	// Check reads one plain object to its end and says whether its structure is sound:
	// a pack's version, object count and trailing hash; a database's header and size;
	// a WAL's checksums and final commit. Level "checked".
	Check(ctx context.Context, role string, r io.Reader) error

	// Apply puts one downloaded plain object, a file, on the replica in directory dir,
	// which is empty before the first. It is called for each chain object in order.
	// The objects and what they contain are hostile until proven.
	Apply(ctx context.Context, dir, role, object string, log io.Writer) error

	// Prove compares the replica in dir with facts: refs hash and HEAD, hash of the
	// database. With full it also makes every check there is (of each object and link,
	// integrity_check, foreign_key_check). It returns one line of evidence.
	Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (evidence string, err error)

	// Script is the part of restore.sh that rebuilds a point into "$OUT" from the plain
	// objects, whose names and roles are given in chain order and lie in "$IN". POSIX
	// shell, stock programs only, set -eu is on. It ends with the proof.
	Script(names, roles []string, facts []byte) string

	// Needs lists the stock programs that Script uses.
	Needs() []string
}

// Differ is a Kind that can tell what changed between two points. older and newer are
// their facts; openOlder and openNewer read the newest object of a role of each, and fail
// where the point has none or it cannot be opened. report is told of each change: what it
// is about ("ref", "table", "file"), its name, and its state before and after, "" for
// absent: a short commit, a number of rows, a size and mode. The order is that of a
// listing for people.
type Differ interface {
	Diff(ctx context.Context, older, newer []byte,
		openOlder, openNewer func(role string) (io.ReadCloser, error),
		report func(what, name, before, after string)) error
}

// Prober is a Kind whose owner has said what must work in a restored asset beyond its
// being equal: critical files, a build, assertions. Level "restored" asks it, of a replica
// in dir that was proven equal. An error says that what was backed up is not as its owner
// wants it; that is no damage of the backup, which stays what a recovery is made from.
type Prober interface {
	Probe(ctx context.Context, dir string, log io.Writer) (evidence string, err error)
}
