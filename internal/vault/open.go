package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// Open opens the vault at a URL:
//
//	file:///var/backups/vault       a directory; ?create=1 makes it
//	s3://bucket/prefix?region=…     also endpoint=, use_path_style=, profile=, …
//	gs://bucket/prefix              also endpoint=, anonymous=true, …
//	azblob://container/prefix
//	mem://                          forgotten when closed
//
// A path names a prefix within the bucket; other query parameters are those of
// gocloud.dev. Credentials come from the environment of each provider's own tools. A
// vault that is not there is [ErrNoVault]; for buckets one listing finds that out.
func Open(ctx context.Context, rawURL string, o Options) (*Vault, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // the error repeats the URL, and with it its password
		return nil, hint.New(fmt.Sprintf("open vault %q: this is no URL", stripCredentials(rawURL)), urlAdvice)
	}
	shown := stripCredentials(rawURL)
	if err := o.Crypt.check(); err != nil {
		return nil, fmt.Errorf("open vault %q: %w", shown, err)
	}
	if err := o.Lock.validate(); err != nil {
		return nil, fmt.Errorf("open vault %q: %w", shown, err)
	}
	var s store
	switch u.Scheme {
	case "file":
		s, err = openFile(u)
	case "s3", "gs", "azblob", "mem":
		s, err = openCloud(ctx, u)
	case "":
		err = hint.Wrap(errors.New("the URL has no scheme"), urlAdvice)
	default:
		err = hint.Wrap(fmt.Errorf("unknown scheme %q", u.Scheme), urlAdvice)
	}
	if err != nil {
		return nil, fmt.Errorf("open vault %q: %w", shown, err)
	}
	return newVault(shown, s, o), nil
}

const urlAdvice = "a vault is file:///DIRECTORY, s3://BUCKET, gs://BUCKET, azblob://CONTAINER or mem://"

func openFile(u *url.URL) (store, error) {
	dir := u.Path
	switch {
	case u.Host != "" && u.Host != "localhost":
		return nil, hint.Wrapf(fmt.Errorf("%q is taken for a host name", u.Host), "write file:///%s", u.Host+u.Path)
	case !filepath.IsAbs(dir):
		return nil, hint.Wrap(errors.New("the directory is not an absolute path"), "write file:///DIRECTORY with three slashes")
	}
	create := false
	for k, val := range u.Query() {
		if k != "create" {
			return nil, hint.Wrap(fmt.Errorf("unknown parameter %q", k), "file:// takes ?create=1 only")
		}
		create = val[0] != "" && val[0] != "0" && val[0] != "false"
	}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		if err := durable.MkdirAll(dir); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.Wrapf(fmt.Errorf("%w: %w", ErrNoVault, err), "create it, or add ?create=1 to the URL: file://%s?create=1", dir)
	case err != nil:
		return nil, err
	case !fi.IsDir():
		return nil, hint.Wrap(fmt.Errorf("%w: %q is a file", ErrNoVault, dir), "name a directory")
	}
	return openFolder(dir)
}

// openCloud opens a bucket through openers of its own, not through the global table that
// the drivers write themselves into.
func openCloud(ctx context.Context, u *url.URL) (store, error) {
	opener, err := openerFor(ctx, u)
	if err != nil {
		return nil, err
	}
	mux := new(blob.URLMux)
	mux.RegisterBucket(u.Scheme, opener)
	bare := *u
	bare.Path, bare.RawPath = "", ""
	if q := bare.Query(); u.Scheme == "gs" { // the driver knows no endpoint
		q.Del("endpoint")
		bare.RawQuery = q.Encode()
	}
	if q := bare.Query(); u.Scheme == "s3" && !q.Has("response_checksum_validation") {
		// The vault hashes what it reads. The driver would write a warning on standard
		// error, across the screen, for each object of a bucket without checksums.
		q.Set("response_checksum_validation", "when_required")
		bare.RawQuery = q.Encode()
	}
	b, err := mux.OpenBucketURL(ctx, &bare)
	if err != nil {
		return nil, advise(err, u.Scheme)
	}
	var google *storage.Client
	if b.As(&google) { // it would try for ever, where S3 and Azure try three times
		google.SetRetry(storage.WithMaxAttempts(googleTries), storage.WithBackoff(gax.Backoff{Initial: 250 * time.Millisecond, Max: 5 * time.Second, Multiplier: 3}))
	}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		b = blob.PrefixedBucket(b, prefix+"/")
	}
	ok, err := b.IsAccessible(ctx)
	if err == nil && !ok {
		err = hint.Wrapf(fmt.Errorf("%w: the bucket does not exist", ErrNoVault), "create the bucket %q, or correct its name", u.Host)
	}
	if err != nil {
		if !errors.Is(err, ErrNoVault) {
			err = advise(err, u.Scheme)
		}
		return nil, errors.Join(err, b.Close())
	}
	return &cloud{bucket: b, name: u.Host}, nil
}

const googleTries = 4 // of each request

// advise adds what a bucket of the scheme needs to be opened: what the drivers say names
// parts of themselves.
func advise(err error, scheme string) error {
	advice := map[string]string{
		"s3":     "name the region (s3://BUCKET?region=eu-west-1, or AWS_REGION) and give credentials: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; a server of your own also needs endpoint=https://…",
		"gs":     "look whether the account of GOOGLE_APPLICATION_CREDENTIALS, or of gcloud, may use the bucket",
		"azblob": "name the account in AZURE_STORAGE_ACCOUNT and give AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or log in by az login",
	}[scheme]
	if advice == "" {
		return err
	}
	return hint.Wrap(err, advice)
}

func openerFor(ctx context.Context, u *url.URL) (blob.BucketURLOpener, error) {
	switch u.Scheme {
	case "s3":
		return &s3blob.URLOpener{}, nil
	case "mem":
		return &memblob.URLOpener{}, nil
	case "azblob":
		return &azureblob.URLOpener{
			MakeClient:        azureblob.NewDefaultClient,
			ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions(),
		}, nil
	}
	options, err := googleOptions(u)
	if err != nil {
		return nil, err
	}
	if u.Query().Get("anonymous") == "true" { // needs no credentials, and so must not ask for them
		return &gcsblob.URLOpener{Client: gcp.NewAnonymousHTTPClient(gcp.DefaultTransport()), Options: options}, nil
	}
	creds, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, hint.Wrap(err, "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS")
	}
	client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
	if err != nil {
		return nil, err
	}
	return &gcsblob.URLOpener{Client: client, TokenSource: gcp.CredentialsTokenSource(creds), Options: options}, nil
}

// googleOptions reads endpoint=https://HOST of a gs:// URL: a private endpoint, or a server
// that speaks the JSON API of Cloud Storage.
func googleOptions(u *url.URL) (gcsblob.Options, error) {
	endpoint := u.Query().Get("endpoint")
	if endpoint == "" {
		return gcsblob.Options{}, nil
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Scheme != "https" && e.Scheme != "http" || e.Host == "" || e.User != nil {
		return gcsblob.Options{}, hint.New("the endpoint is no URL of a server", "write endpoint=https://HOST")
	}
	api := e.Scheme + "://" + e.Host + "/" + strings.TrimPrefix(strings.TrimSuffix(e.Path, "/")+"/storage/v1/", "/")
	return gcsblob.Options{ClientOptions: []option.ClientOption{option.WithEndpoint(api), storage.WithJSONReads()}}, nil
}
