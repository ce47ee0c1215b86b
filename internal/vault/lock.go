package vault

import (
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Lock is the object lock of what a vault writes: until it ends, nobody can delete or
// overwrite an object, not even with the credentials that wrote it. Buckets on S3 and
// Google keep it per object; elsewhere the bucket's own default counts, and [Vault.Doctor]
// says what is enforced.
//
// Each point can be restored for at least For after it began. An increment is worthless
// without its base, whose lock nobody extends in a bucket that is only appended to; so
// the objects of a chain share one end: that of the first, which is locked for For and
// as much again (chainAge at most). A chain whose end is nearer than For is not built on,
// and the next backup is a full one.
type Lock struct {
	For  time.Duration // zero: none
	Mode string        // "compliance", which is also "", or "governance", which privileged users may lift
}

// chainAge bounds how long a locked chain is built on.
const chainAge = 31 * 24 * time.Hour

func (l Lock) validate() error {
	if l.For < 0 {
		return fmt.Errorf("a lock for %s", l.For)
	}
	if !slices.Contains([]string{"", "compliance", "governance"}, l.Mode) {
		return fmt.Errorf("unknown mode of object lock %q: compliance or governance", l.Mode)
	}
	return nil
}

func (v *Vault) locking() bool { return v.o.Lock.For > 0 && v.store.locks() }

// pointLock is the end of the lock of a manifest and its script.
func (v *Vault) pointLock(m Manifest) time.Time {
	if !v.locking() {
		return time.Time{}
	}
	return wholeSecond(m.Started.Add(v.o.Lock.For))
}

// chainLock is the end of the lock of the objects that an attempt writes.
func (v *Vault) chainLock(started time.Time, parent *Manifest) time.Time {
	if !v.locking() {
		return time.Time{}
	}
	own := wholeSecond(started.Add(v.o.Lock.For + min(v.o.Lock.For, chainAge)))
	if parent == nil {
		return own
	}
	return lockEnd(parent.Chain)
}

// lockEnd is when the first of the locks of objects ends, zero when one has none.
func lockEnd(objects []Object) time.Time {
	var end time.Time
	for i, o := range objects {
		if o.RetainUntil == nil {
			return time.Time{}
		}
		if i == 0 || o.RetainUntil.Before(end) {
			end = *o.RetainUntil
		}
	}
	return end
}

// wholeSecond rounds up: some buckets keep no fractions.
func wholeSecond(t time.Time) time.Time { return t.UTC().Add(time.Second - 1).Truncate(time.Second) }

func retained(until time.Time) *time.Time {
	if until.IsZero() {
		return nil
	}
	return &until
}

// locks: the drivers of S3 and Google can lock each object.
func (c *cloud) locks() bool {
	var s *s3.Client
	var g *storage.Client
	return c.bucket.As(&s) || c.bucket.As(&g)
}

// lock sets what a driver sends with the creation of an object.
func (c *cloud) lock(until time.Time) func(as func(any) bool) error {
	if until.IsZero() {
		return nil
	}
	return func(as func(any) bool) error {
		var upload *transfermanager.UploadObjectInput
		var object *storage.Writer
		switch {
		case as(&upload):
			upload.ObjectLockMode = tmtypes.ObjectLockModeCompliance
			if c.mode == "governance" {
				upload.ObjectLockMode = tmtypes.ObjectLockModeGovernance
			}
			upload.ObjectLockRetainUntilDate = &until
			upload.ChecksumAlgorithm = tmtypes.ChecksumAlgorithmSha256 // demanded beside a lock
		case as(&object):
			object.Retention = &storage.ObjectRetention{Mode: "Locked", RetainUntil: until}
			if c.mode == "governance" {
				object.Retention.Mode = "Unlocked"
			}
		default:
			return fmt.Errorf("this bucket cannot lock an object until %s", until)
		}
		return nil
	}
}
