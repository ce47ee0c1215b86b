package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"
)

var (
	errExists   = errors.New("exists already")
	errNotExist = errors.New("is not there")
	errLocked   = errors.New("may not be removed")
	errBusy     = errors.New("somebody else is writing it") // nothing is known of the outcome
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
	// scan visits all objects below prefix, which ends with a slash, in any order. Keys
	// that sort before from may be left out, which saves requests.
	scan(ctx context.Context, prefix, from string, visit func(stored) error) error
	// remove deletes an object; errNotExist, and errLocked where the bucket forbids it.
	// Nothing but Prune calls it: with credentials that may not delete, all else works.
	remove(ctx context.Context, key string) error
	// locks says whether put keeps putOptions.retain.
	locks() bool
	Close() error
}

// stored is an object as a listing shows it.
type stored struct {
	key      string
	size     int64
	modified time.Time // by the clock of the bucket; zero where it does not say
}

// maxListed bounds a listing, so that a bucket that repeats its pages cannot hold the
// vault for ever.
const maxListed = 1 << 20

// cloud is a store over the drivers of gocloud.dev.
type cloud struct {
	bucket *blob.Bucket
	name   string // of the bucket or container, for what only its own client can ask
	mode   string // of object locks: "governance", or compliance
}

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
		BeforeWrite:    c.lock(o.retain),
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
	if err == nil {
		return nil
	}
	switch status, code := refusal(err); {
	case status == http.StatusForbidden, gcerrors.Code(err) == gcerrors.PermissionDenied,
		code == "BlobImmutableDueToPolicy", code == "BlobImmutableDueToLegalHold":
		return fmt.Errorf("%w: %w", errLocked, err)
	}
	return named(err)
}

func (c *cloud) scan(ctx context.Context, prefix, from string, visit func(stored) error) error {
	it := c.bucket.List(&blob.ListOptions{Prefix: prefix, BeforeList: func(as func(any) bool) error {
		var s3in *s3.ListObjectsV2Input
		var query *storage.Query
		switch {
		case from == "":
		case as(&s3in) && s3in.ContinuationToken == nil:
			// The driver has put the vault's own prefix before ours.
			s3in.StartAfter = aws.String(strings.TrimSuffix(aws.ToString(s3in.Prefix), prefix) + from)
		case as(&query):
			query.StartOffset = strings.TrimSuffix(query.Prefix, prefix) + from
		}
		return nil
	}})
	for n := 0; ; n++ {
		o, err := it.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil && n == maxListed {
			err = fmt.Errorf("more than %d names, the listing seems to have no end", maxListed)
		}
		if err == nil {
			err = visit(stored{o.Key, o.Size, o.ModTime})
		}
		if err != nil {
			return fmt.Errorf("list %q: %w", prefix, err)
		}
	}
}

func (c *cloud) Close() error { return c.bucket.Close() }

// named adds the vault's own sentinels to an error of a driver.
func named(err error) error {
	if err == nil {
		return nil
	}
	status, code := refusal(err)
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return err // Google's driver takes this for an object that is not there
	case code == "ConditionalRequestConflict" || code == "OperationAborted":
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("%w: %w", errNotExist, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return fmt.Errorf("%w: %w", errExists, err)
	}
	return err
}

// refusal gives the HTTP status and the provider's code of an error, as far as it has them.
func refusal(err error) (status int, code string) {
	var aws smithy.APIError
	if errors.As(err, &aws) {
		code = aws.ErrorCode()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode(), code
	}
	var google *googleapi.Error
	if errors.As(err, &google) {
		return google.Code, ""
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return azure.StatusCode, azure.ErrorCode
	}
	return 0, code
}
