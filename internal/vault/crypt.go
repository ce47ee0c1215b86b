package vault

import (
	"context"

	"lifeboat/internal/secret"
)

// Crypt says how new objects are encrypted and how old ones are opened. The zero value
// stores objects as they are.
//
// With age every object has several recipients, and the identity of any one opens it: the
// configured ones, the break-glass recipient, whose identity lies in a safe and not on a
// machine, and with a Keeper a key of the vault's own.
type Crypt struct {
	Scheme     string   // "" or "none", "age", "gpg"
	Recipients []string // age: recipients of new backups, "age1…"
	BreakGlass string   // age: the offline recipient, added to every object

	// Keeper is the URL of the key of a key management service that wraps the vault's own
	// identity: awskms://…, gcpkms://…, azurekeyvault://…, and base64key://… for tests.
	Keeper string

	// Identities gives the age identities that open, each as one "AGE-SECRET-KEY-1…" or as
	// the text of an identity file; nil: none. It is asked only when something encrypted is
	// read.
	Identities func(ctx context.Context) ([]secret.String, error)

	// Passphrase of gpg, of which the first line counts, as for gpg itself; nil: none.
	Passphrase func(ctx context.Context) (secret.String, error)
}
