package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

var (
	errExists   = errors.New("exists already")
	errNotExist = errors.New("is not there")
	errLocked   = errors.New("may not be removed")
)

// putOptions say how an object is created.
type putOptions struct {
	contentType string
	retain      time.Time // nobody may delete the object before; zero: no lock. Only where the store locks
}

// store is what the vault asks of a bucket: create, read, size, list one level. There is
// no overwriting to ask for, and only Prune asks to remove.
type store interface {
	// put begins an object. It exists, whole and durable, once Close returned nil; it
	// does not exist when ctx ended before Close. An error of Close may leave it
	// stored: the caller looks. An object that is there already is never changed and
	// gives errExists, at the latest from Close.
	put(ctx context.Context, key string, o putOptions) (io.WriteCloser, error)
	// get reads an object; errNotExist.
	get(ctx context.Context, key string) (io.ReadCloser, error)
	// stat gives the size in bytes; errNotExist.
	stat(ctx context.Context, key string) (int64, error)
	// list gives the names directly below prefix, which ends with a slash, sorted.
	// What has names below it is listed once, with a slash at the end. A prefix that
	// nothing begins with has no names.
	list(ctx context.Context, prefix string) ([]string, error)
	// remove deletes an object; errNotExist, and errLocked where the bucket forbids it.
	// Nothing but Prune calls it: with credentials that may not delete, all else works.
	remove(ctx context.Context, key string) error
	// locks says whether put keeps putOptions.retain.
	locks() bool
	Close() error
}

// maxListed bounds a listing of one level, so that a bucket that repeats its pages
// cannot hold the vault for ever.
const maxListed = 1 << 20

// cloud is a store over the drivers of gocloud.dev.
type cloud struct{ bucket *blob.Bucket }

var _ store = (*cloud)(nil)

// One upload holds at most uploadPart × uploadWorkers bytes; S3 allows 10,000 parts, so
// an object may have 160 GiB.
const (
	uploadPart    = 16 << 20
	uploadWorkers = 3
)

func (c *cloud) put(ctx context.Context, key string, o putOptions) (io.WriteCloser, error) {
	w, err := c.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType:    o.contentType,
		CacheControl:   "no-store, no-transform",
		IfNotExist:     true,
		BufferSize:     uploadPart,
		MaxConcurrency: uploadWorkers,
	})
	if err != nil {
		return nil, named(err)
	}
	return &cloudWriter{w}, nil
}

type cloudWriter struct{ *blob.Writer }

func (w *cloudWriter) Close() error { return named(w.Writer.Close()) }

func (c *cloud) get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := c.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, named(err)
	}
	return r, nil
}

func (c *cloud) stat(ctx context.Context, key string) (int64, error) {
	a, err := c.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, named(err)
	}
	return a.Size, nil
}

func (c *cloud) list(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	it := c.bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
	for {
		o, err := it.Next(ctx)
		if err == io.EOF {
			sort.Strings(names)
			return names, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", prefix, err)
		}
		if name := strings.TrimPrefix(o.Key, prefix); name != "" {
			names = append(names, name)
		}
		if len(names) > maxListed {
			return nil, fmt.Errorf("list %q: more than %d names, the listing seems to have no end", prefix, maxListed)
		}
	}
}

func (c *cloud) remove(ctx context.Context, key string) error {
	err := c.bucket.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.PermissionDenied {
		return fmt.Errorf("%w: %w", errLocked, err)
	}
	return named(err)
}

func (c *cloud) locks() bool { return false }

func (c *cloud) Close() error { return c.bucket.Close() }

// named adds the vault's own sentinels to an error of a driver.
func named(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("%w: %w", errNotExist, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return fmt.Errorf("%w: %w", errExists, err)
	}
	return err
}
