// Package vault keeps backups in a bucket so that they prove themselves: every restore
// point is described by one manifest, written last, and every proof of a point is a
// receipt beside it. Nothing that was written is ever changed.
//
//	v1/
//	  README-RESTORE.md                         how to restore with stock tools
//	  keys/<id>.json, .<ts>.kms, .tests/        what backups are encrypted for; no secret in plain
//	  a/<asset>/
//	    p/2026/11/23/<point>.json               manifest: the commit point
//	    p/2026/11/23/<point>.restore.sh         restores exactly this point
//	    d/<point>/…                             what one attempt wrote
//	    v/<point>/<ts>-<level>-<pass|fail>.json receipts
//	    t/<point>.json                          tombstone: the point was pruned
//	  doctor/<ulid>                             what Doctor wrote to see whether it can
//
// A point's id is the name of the attempt that made it, <ts>-<ulid>, so that the order
// of names is the order of time. A crash anywhere before the manifest leaves data under
// d/ that no manifest names: nothing lists it and nothing restores it.
//
// The vault knows nothing of git or databases; a [Kind] does. It trusts nothing that it
// reads back: manifests are validated, objects are hashed before anything is done with
// them.
package vault

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

var (
	// ErrNoVault is returned by Open when the bucket or folder is not there.
	ErrNoVault = errors.New("there is no vault")
	// ErrNoBackup is returned when no point answers the question.
	ErrNoBackup = errors.New("no backup")
	// ErrDamaged marks what is not as it was recorded: wrong bytes, wrong structure, a
	// replica that is not equal, a manifest that is none.
	ErrDamaged = errors.New("damaged")
	// ErrMissing marks an object that a manifest names and the bucket does not have.
	ErrMissing = errors.New("missing from the bucket")
	// ErrNewer marks a manifest that a newer Lifeboat wrote.
	ErrNewer = errors.New("written by a newer Lifeboat")
	// ErrProbe marks a point that is equal to what was backed up and in which something
	// does not work that its owner wants to.
	ErrProbe = errors.New("a probe of the restored asset failed")
	// ErrUntrusted marks a manifest without a signature of a trusted installation.
	ErrUntrusted = errors.New("not signed by a trusted installation")
	// ErrNoKey is returned when something encrypted is to be read and no key was given. It
	// says nothing about the backup.
	ErrNoKey = errors.New("there is no key to open it")
	// ErrWrongKey is returned when none of the given keys opens what is to be read. It says
	// nothing about the backup.
	ErrWrongKey = errors.New("encrypted for another key")
	// ErrNotEncrypted refuses to store a secret asset as it is.
	ErrNotEncrypted = errors.New("a secret asset is only stored encrypted")
)

// Options of [Open]. The zero value is useful.
type Options struct {
	Version  string              // of Lifeboat, for manifests
	Programs map[string]string   // versions of programs, for manifests: "git": "2.39.5"
	Host     string              // for manifests; "" is the name of this host
	Sign     ed25519.PrivateKey  // signs manifests and receipts; nil: not signed, and a digit that changed in one may go unnoticed
	Trust    []ed25519.PublicKey // if any, manifests must be signed by one of them
	Scratch  string              // where private directories are made; "" is the system's
	Now      func() time.Time    // nil is time.Now
	Lock     Lock                // object lock of what is written; zero: none
	Pause    time.Duration       // before an absent object is looked for again; 0 is 200 ms
	Crypt    Crypt               // how new objects are encrypted and old ones opened; zero: stored as they are

	// Cache is a private directory in which the index objects of this host's own encrypted
	// backups are kept plain, so that a machine that cannot decrypt can still make
	// increments; "" is none. What is read from it is proven by the manifest's hash.
	Cache string
}

// Vault is an open bucket. It is safe for concurrent use.
type Vault struct {
	url   string // without credentials
	store store
	o     Options

	mu      sync.Mutex // protects below
	entropy ulid.MonotonicEntropy
	readme  bool // is known to be there

	keys keyring
}

// newVault makes a vault of a store. The vault owns the store.
func newVault(url string, s store, o Options) *Vault {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause <= 0 {
		o.Pause = 200 * time.Millisecond
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname() // a manifest without a host name is still a manifest
	}
	if c, ok := s.(*cloud); ok {
		c.mode = o.Lock.Mode
	}
	return &Vault{url: url, store: s, o: o, entropy: *ulid.Monotonic(rand.Reader, 0)}
}

// String is the URL that was opened, without credentials.
func (v *Vault) String() string { return v.url }

// Close releases the bucket.
func (v *Vault) Close() error { return v.store.Close() }

// newID names an attempt that begins at t. Ids of one handle never go back while the
// clock does not.
func (v *Vault) newID(t time.Time) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id, err := ulid.New(ulid.Timestamp(t), &v.entropy)
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return stamp(t) + "-" + id.String(), nil
}

// again calls f until it finds what a manifest names, a few times: buckets may show a
// new object late. Any other outcome is returned at once.
func (v *Vault) again(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if !errors.Is(err, errNotExist) || try == 4 {
			return err
		}
		if err := v.wait(ctx, try); err != nil {
			return err
		}
	}
}

// wait lets pass the pause before another try, twice as long each time.
func (v *Vault) wait(ctx context.Context, try int) error {
	t := time.NewTimer(v.o.Pause << (try - 1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func orSilent(f func(done, total int64, unit string)) func(done, total int64, unit string) {
	if f == nil {
		return func(int64, int64, string) {}
	}
	return f
}
