package vault

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/secrets"
	"gocloud.dev/secrets/awskms"
)

// openAmazon opens awskms://KEY, or awskms:///ARN, with the parameters of
// awskms.URLOpener: context_NAME, and those of aws.V2ConfigFromURLParams, such as region,
// profile, role and endpoint. It exists for bound: a Decrypt that names no key, as the
// driver's, is answered with any key that the caller may use, among them one of an
// account of somebody else who allows it to everybody.
func openAmazon(ctx context.Context, u *url.URL, bound bool) (*secrets.Keeper, error) {
	q := u.Query()
	var o awskms.KeeperOptions
	for name, values := range q {
		key, ok := strings.CutPrefix(name, "context_")
		if !ok {
			continue
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("parameter %q has %d values", name, len(values))
		}
		if o.EncryptionContext == nil {
			o.EncryptionContext = map[string]string{}
		}
		o.EncryptionContext[key] = values[0]
		q.Del(name)
	}
	cfg, err := gcaws.V2ConfigFromURLParams(ctx, q)
	if err != nil {
		return nil, err
	}
	id := strings.TrimPrefix(path.Join(u.Host, u.Path), "/")
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		if bound {
			o.APIOptions = append(o.APIOptions, decryptWith(id))
		}
	})
	return awskms.OpenKeeper(client, id, &o), nil
}

// decryptWith puts the id of a key into each Decrypt.
func decryptWith(id string) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("DecryptWith", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if d, ok := in.Parameters.(*kms.DecryptInput); ok {
				d.KeyId = &id
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	}
}
