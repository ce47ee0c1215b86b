package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"

	"lifeboat/internal/hint"
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

	work int // bytes hashed to make a key of a passphrase; 0 is the most that OpenPGP knows
}

// Schemes of encryption.
const (
	schemeNone = "none"
	schemeAge  = "age"
	schemeGPG  = "gpg"
)

func (c Crypt) scheme() string {
	if c.Scheme == "" {
		return schemeNone
	}
	return c.Scheme
}

// check refuses a configuration that could not encrypt or that says something else than
// was meant. It asks nobody.
func (c Crypt) check() error {
	if c.Keeper != "" {
		if err := checkKeeper(c.Keeper); err != nil {
			return fmt.Errorf("encryption: %w", err)
		}
	}
	switch c.scheme() {
	case schemeNone:
		return nil
	case schemeGPG:
		if len(c.Recipients) > 0 || c.BreakGlass != "" || c.Keeper != "" {
			return hint.Wrap(errors.New("encryption: gpg encrypts with a passphrase, and recipients, a break-glass recipient or a keeper are named"),
				"remove them, or choose the method age")
		}
		return nil
	case schemeAge:
	default:
		return hint.Wrap(fmt.Errorf("encryption: unknown method %q", c.Scheme), "age, gpg or none")
	}
	if len(c.Recipients) == 0 && c.Keeper == "" {
		return hint.Wrap(errors.New("encryption: age has no recipient"),
			"make a key by `age-keygen -o identity.txt`, keep the file, and name the recipient that it prints (age1…); or name a keeper")
	}
	for i, r := range c.Recipients {
		if err := checkRecipient(r); err != nil {
			return fmt.Errorf("encryption: recipient %d %w", i+1, err)
		}
		if r == c.BreakGlass {
			return hint.Wrap(fmt.Errorf("encryption: recipient %d is the break-glass recipient too", i+1),
				"the break-glass key is for the day on which all other keys are lost: make one of its own")
		}
	}
	if c.BreakGlass != "" {
		if err := checkRecipient(c.BreakGlass); err != nil {
			return fmt.Errorf("encryption: the break-glass recipient %w", err)
		}
	}
	return nil
}

// recipientForm is what a manifest may name as a recipient; this version writes native
// ones only, of 62 characters.
var recipientForm = regexp.MustCompile(`^age1[a-z0-9]{1,1000}$`)

// checkRecipient repeats nothing that may be a secret in the wrong place.
func checkRecipient(r string) error {
	const advice = "a recipient is age1 and 58 more characters; `age-keygen -y IDENTITY_FILE` prints it"
	switch lower := strings.ToLower(strings.TrimSpace(r)); {
	case strings.HasPrefix(lower, "age-secret-key-"):
		return hint.Wrap(errors.New("is an identity, which is the secret key, and is not repeated here"),
			"name its recipient, which `age-keygen -y IDENTITY_FILE` prints; whoever has read this configuration has the key: make a new one")
	case strings.HasPrefix(lower, "age1pq1"): // the last 1 ends the prefix: a native recipient may begin with age1pq
		return hint.Wrap(errors.New("is of the post-quantum form, which the age of most machines cannot read yet"), advice)
	case strings.HasPrefix(lower, "ssh-"):
		return hint.Wrap(errors.New("is an SSH key"), "use a key of age's own: `age-keygen -o identity.txt`")
	case !strings.HasPrefix(lower, "age1"):
		return hint.Wrap(errors.New("is no recipient of age"), advice)
	}
	if _, err := age.ParseX25519Recipient(r); err != nil {
		return hint.Wrap(fmt.Errorf("is no recipient of age: %q is mistyped", r), advice)
	}
	return nil
}

// checkKeeper refuses a URL that names no keeper. It repeats no part that may be secret.
func checkKeeper(raw string) error {
	const advice = "a keeper is awskms://…, gcpkms://…, azurekeyvault://… or, for tests, base64key://…"
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return hint.Wrap(errors.New("the keeper is no URL"), advice)
	}
	switch u.Scheme {
	case "awskms", "gcpkms", "azurekeyvault":
		if u.Host == "" && strings.Trim(u.Path, "/") == "" {
			return hint.Wrap(fmt.Errorf("the keeper %q names no key", shownKeeper(raw)), advice)
		}
		return nil
	case "base64key":
		if _, err := base64Key(u); err != nil {
			return hint.Wrap(errors.New("the keeper base64key:// has no key of 32 bytes in URL-safe base64, and what it has is not repeated here"), advice)
		}
		return nil
	case "hashivault":
		return hint.Wrap(errors.New("the keeper hashivault:// cannot be used: its module is older than the library that this Lifeboat is built with"),
			"use another keeper; or keep the identity in Vault and fetch it into the file that encryption.identity names")
	}
	return hint.Wrap(fmt.Errorf("unknown keeper %q", u.Scheme), advice)
}

// seal is how the objects of one attempt are encrypted.
type seal struct {
	scheme     string
	recipients []age.Recipient
	names      []string // of the recipients, in the same order
	passphrase []byte
	keyID      string // of the key that opens in daily life
	work       int
}

func (s *seal) encryption() Encryption {
	return Encryption{Scheme: s.scheme, Recipients: slices.Clone(s.names)}
}

// suffix is what the names of objects end with.
func (s *seal) suffix() string { return suffixOf(s.scheme) }

func suffixOf(scheme string) string {
	if scheme == schemeNone {
		return ""
	}
	return "." + scheme
}

// writer encrypts into dst. The object is whole once Close returned nil, which does not
// close dst. nil: the bytes are stored as they are.
func (s *seal) writer(dst io.Writer) (io.WriteCloser, error) {
	switch s.scheme {
	case schemeNone:
		return nil, nil
	case schemeAge:
		return age.Encrypt(dst, s.recipients...)
	}
	return sealGPG(dst, s.passphrase, s.work)
}

// mostWork is the highest count that OpenPGP can write down.
const mostWork = 65011712

// sealGPG writes what `gpg --symmetric --cipher-algo AES256` of every version since 2.0
// can open: a version 4 key packet, an iterated and salted passphrase, AES-256 in CFB
// with a modification detection code. The newer AEAD forms need gpg 2.3.
func sealGPG(dst io.Writer, passphrase []byte, work int) (io.WriteCloser, error) {
	if work == 0 {
		work = mostWork
	}
	return openpgp.SymmetricallyEncrypt(dst, passphrase, &openpgp.FileHints{IsBinary: true}, &packet.Config{
		DefaultCipher:          packet.CipherAES256,
		DefaultCompressionAlgo: packet.CompressionNone,
		S2KConfig:              &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, S2KCount: work},
	})
}

// continues says whether an increment can be put on a chain: whoever can open the new
// objects must be able to open the older ones too. "" is yes, else it is why not.
func (s *seal) continues(chain []Object) string {
	for _, o := range chain {
		switch {
		case o.Encryption.Scheme != s.scheme:
			return fmt.Sprintf("its objects are of the encryption %q, new ones are of %q", o.Encryption.Scheme, s.scheme)
		case s.scheme == schemeGPG && o.KeyID != s.keyID:
			return "it was encrypted with another passphrase"
		}
		for _, r := range s.names {
			if !slices.Contains(o.Encryption.Recipients, r) {
				return fmt.Sprintf("recipient %s cannot open it", r)
			}
		}
	}
	return ""
}

func noPassphrase() error {
	return hint.Wrap(fmt.Errorf("%w: gpg has no passphrase to encrypt with", ErrNoKey), passphraseAdvice)
}
