package vault

import (
	"context"
	"io/fs"
	"os"
	"syscall"
	"time"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// enforced asks a bucket what it enforces; known is false for one in memory.
func (c *cloud) enforced(ctx context.Context) (e enforced, known bool, err error) {
	var amazon *s3.Client
	var google *storage.Client
	var azure *container.Client
	switch {
	case c.bucket.As(&amazon):
		e, err = enforcedS3(ctx, amazon, c.name)
	case c.bucket.As(&google):
		e, err = enforcedGoogle(ctx, google, c.name)
	case c.bucket.As(&azure):
		e, err = enforcedAzure(ctx, azure)
	default:
		return e, false, nil
	}
	return e, true, err
}

const day = 24 * time.Hour

func enforcedS3(ctx context.Context, client *s3.Client, bucket string) (enforced, error) {
	var e enforced
	v, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil {
		return e, err
	}
	e.versions = v.Status == s3types.BucketVersioningStatusEnabled
	l, err := client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &bucket})
	if err != nil {
		// Servers that know no locks say so in many ways; whoever may not ask is told 403.
		if status, code := refusal(err); code == "ObjectLockConfigurationNotFoundError" || status == 404 || status == 501 {
			return e, nil
		}
		return e, err
	}
	if l.ObjectLockConfiguration == nil {
		return e, nil
	}
	e.locking = l.ObjectLockConfiguration.ObjectLockEnabled == s3types.ObjectLockEnabledEnabled
	if r := l.ObjectLockConfiguration.Rule; r != nil && r.DefaultRetention != nil {
		d := r.DefaultRetention
		e.lockMode = string(d.Mode)
		if d.Days != nil {
			e.lockDefault = time.Duration(*d.Days) * day
		}
		if d.Years != nil {
			e.lockDefault = time.Duration(*d.Years) * 365 * day
		}
	}
	return e, nil
}

func enforcedGoogle(ctx context.Context, client *storage.Client, bucket string) (enforced, error) {
	a, err := client.Bucket(bucket).Attrs(ctx)
	if err != nil {
		return enforced{}, err
	}
	e := enforced{versions: a.VersioningEnabled, locking: a.ObjectRetentionMode == "Enabled"}
	if p := a.RetentionPolicy; p != nil {
		e.lockDefault, e.lockMode = p.RetentionPeriod, "retention policy that can be taken back"
		if p.IsLocked {
			e.lockMode = "locked retention policy"
		}
	}
	return e, nil
}

// enforcedAzure knows as much as a container tells to those who use it.
func enforcedAzure(ctx context.Context, client *container.Client) (enforced, error) {
	p, err := client.GetProperties(ctx, nil)
	if err != nil {
		return enforced{}, err
	}
	is := func(b *bool) bool { return b != nil && *b }
	return enforced{versions: is(p.IsImmutableStorageWithVersioningEnabled), policy: is(p.HasImmutabilityPolicy) || is(p.HasLegalHold)}, nil
}

// folder looks at a vault in a directory.
func (d *doctor) folder(f *folder) {
	fi, err := f.root.Stat(".")
	if err != nil {
		d.say("folder", FindingProblem, "", "the folder cannot be looked at: %v", err)
		return
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		d.say("permissions", FindingWarning, "chmod 700 "+f.root.Name(), "others on this machine may look into the folder (%s); what is in it is for its owner only", mode)
	} else {
		d.say("permissions", FindingOK, "", "the folder is for its owner only")
	}
	d.say("lock", FindingWarning, "keep a second copy in a bucket with object lock", "nothing stops the owner of the folder, or a program of theirs, from deleting every backup")
	if d.v.o.Lock.For > 0 {
		d.say("object-lock", FindingProblem, "", "locks of %s are configured, and a folder cannot lock anything", d.v.o.Lock.For)
	}
	for _, other := range []struct{ path, name string }{{"/", "this machine's system"}, {d.v.o.Scratch, "Lifeboat's own state"}} {
		if sameDevice(fi, other.path) {
			d.say("disk", FindingWarning, "put the vault on another disk, another machine, or a bucket", "the folder is on the same disk as %s: one broken disk takes both", other.name)
			break
		}
	}
	d.space(f)
}

func sameDevice(fi fs.FileInfo, path string) bool {
	if path == "" {
		return false
	}
	other, err := os.Stat(path)
	if err != nil {
		return false
	}
	a, ok := fi.Sys().(*syscall.Stat_t)
	b, ok2 := other.Sys().(*syscall.Stat_t)
	return ok && ok2 && a.Dev == b.Dev
}

// Below these shares of a disk, in percent, there is a warning and a problem.
const (
	littleSpace = 10
	noSpace     = 2
)

func (d *doctor) space(f *folder) {
	dir, err := f.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(dir.Fd()), &s); err != nil || s.Blocks == 0 {
		return
	}
	free := int64(s.Bavail) * s.Bsize
	share := s.Bavail * 100 / s.Blocks
	const text = "%d MB are free on the disk of the folder, %d %%"
	switch {
	case share < noSpace:
		d.say("space", FindingProblem, "make room, or prune", text, free>>20, share)
	case share < littleSpace:
		d.say("space", FindingWarning, "make room before backups fail", text, free>>20, share)
	default:
		d.say("space", FindingOK, "", text, free>>20, share)
	}
}
