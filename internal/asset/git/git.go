// Package git captures repositories as bundles, applies bundles to replicas and
// proves that a replica equals its source.
//
// One upload-pack session makes one restore point: the server's advertisement is the
// snapshot, and its pack goes straight into a bundle behind a header that lists every
// ref, with no clone, no temporary copy and flat memory. An increment asks for what is
// new since the parent point and lists all refs again, even over a pack of no objects,
// so that replaying the chain with `git fetch --prune` reproduces deletions, rewinds
// and renames.
//
//	# v2 git bundle
//	-<oid of a branch tip of the parent>     increments only
//	<oid> refs/heads/main                    every ref, sorted
//	<oid> HEAD
//
//	PACK…<SHA-1 of the pack>
//
// Nothing here is believed because a program ended with 0: a cut side-band stream ends
// in a clean EOF and `git bundle verify` does not read the pack, so the pack's magic,
// version and trailing hash are checked in the stream, and a replica counts only when
// its refs hash to the recorded value.
package git

import (
	"errors"
	"io"
	"net/http"
	"path"
	"time"
)

// Roles of the objects of a restore point, and their file names.
const (
	Role     = "bundle" // every point but unchanged and empty ones has one
	FileName = "repo.bundle"

	RoleLFS     = "lfs" // content of Git LFS that the chain did not hold before, a tar
	FileNameLFS = "lfs.tar"

	RoleMirror     = "mirror" // the whole repository once more, for `tar -xzf`; not part of the chain
	FileNameMirror = "mirror.tar.gz"

	RoleIndex     = "index" // what of Git LFS the chain holds, for the next increment
	FileNameIndex = "lfs-index.txt"
)

// What Capture made.
const (
	Full        = "full"
	Incremental = "incremental"
	Unchanged   = "unchanged"
	Empty       = "empty"
)

// Errors that callers tell apart.
var (
	// ErrStalled is a server that sent nothing for Kind.Idle.
	ErrStalled = errors.New("the server sent nothing for too long")
	// ErrUnsuitable is a source that cannot be backed up as it is: shallow, partial.
	ErrUnsuitable = errors.New("this repository cannot be backed up as it is")
	// ErrDamaged is a bundle or pack that is not whole.
	ErrDamaged = errors.New("the bundle is damaged")
	// ErrUnequal is a replica that is not what the facts say.
	ErrUnequal = errors.New("the replica is not equal to its source")
	// ErrCritical is a repository without something that must be in it.
	ErrCritical = errors.New("a critical path is missing from HEAD")
	// ErrBuild is a restored repository that does not build.
	ErrBuild = errors.New("it does not build")
	// ErrNoRoom is a scratch directory that would grow beyond its limit.
	ErrNoRoom = errors.New("the scratch copy outgrows its limit")
	// ErrNotRepository is a directory that git does not recognise as a repository.
	ErrNotRepository = errors.New("not a git repository")
)

// Hidden are the refs that forges keep for themselves and refuse to take back. They are
// most of the refs of an old repository and none of its history.
var Hidden = []string{"refs/pull/*", "refs/merge-requests/*", "refs/keep-around/*", "refs/pull-requests/*"}

// Kind is the git kind of asset. The zero value is ready to use.
type Kind struct {
	// Exclude lists refs to leave out, as globs in which a trailing "*" also spans
	// slashes. nil means [Hidden]; an empty, non-nil list leaves out nothing.
	Exclude []string
	// Idle is how long a server may send nothing; 0 means 2 minutes. A working server
	// sends a sign of life every 5 seconds.
	Idle time.Duration
	// HTTP is used for https sources; nil means http.DefaultClient.
	HTTP *http.Client
	// Mirror also writes the point as mirror.tar.gz, an archive of a bare repository as
	// `git clone --mirror` makes it. It goes through Scratch.
	Mirror bool
	// LFS also keeps the content that pointers of Git LFS stand for. What neither the
	// source nor its server has is recorded as missing and does not fail the capture.
	LFS bool
	// Critical lists paths, relative to the top, that [Kind.Probe] must find in HEAD.
	Critical []string
	// Build lists commands that must succeed in a clone of what was restored, each an
	// argument list.
	Build [][]string
	// Scratch is where a copy of the repository is made when Mirror needs one, or LFS of a
	// source that is not local; empty means os.TempDir. The copy is private and removed.
	Scratch string
	// ScratchLimit is the size in bytes that the copy's pack, and any one object of LFS,
	// may have; 0 means 64 GiB.
	ScratchLimit int64

	wrap func(io.Reader) io.Reader // tests cut and flip the stream of the server here
}

// Name is the word in manifests.
func (Kind) Name() string { return "git" }

// Needs lists the stock programs that Script uses.
func (k Kind) Needs() []string {
	if k.LFS {
		return []string{"git", "sha256sum", "tar"}
	}
	return []string{"git", "sha256sum"}
}

func (k Kind) idle() time.Duration {
	if k.Idle > 0 {
		return k.Idle
	}
	return 2 * time.Minute
}

func (k Kind) exclude() []string {
	if k.Exclude == nil {
		return Hidden
	}
	return k.Exclude
}

// excludes finds the pattern that leaves out a ref.
func excludes(patterns []string, name string) (pattern string, out bool) {
	for _, p := range patterns {
		if prefix, spans := cutStar(p); spans && len(name) > len(prefix) && name[:len(prefix)] == prefix {
			return p, true
		}
		if ok, err := path.Match(p, name); err == nil && ok {
			return p, true
		}
	}
	return "", false
}

func cutStar(p string) (prefix string, ok bool) {
	if n := len(p) - 1; n > 0 && p[n] == '*' && !hasMeta(p[:n]) {
		return p[:n], true
	}
	return "", false
}

func hasMeta(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case '*', '?', '[', '\\':
			return true
		}
	}
	return false
}
