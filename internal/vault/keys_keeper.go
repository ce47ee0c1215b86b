package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"gocloud.dev/gcerrors"
	"gocloud.dev/gcp"
	"gocloud.dev/secrets"
	"gocloud.dev/secrets/azurekeyvault"
	"gocloud.dev/secrets/gcpkms"
	"gocloud.dev/secrets/localsecrets"

	"lifeboat/internal/hint"
)

// keeperPatience bounds one answer of a key management service.
const keeperPatience = 30 * time.Second

// shownKeeper is the URL of a keeper as it may be shown and stored. The key in a
// base64key:// URL is the secret itself; a part of its hash tells one from another.
func shownKeeper(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	if scheme != "base64key" {
		return stripCredentials(raw)
	}
	sum := sha256.Sum256([]byte(rest))
	return "base64key://sha256-" + hex.EncodeToString(sum[:6])
}

func base64Key(u *url.URL) ([32]byte, error) { return localsecrets.Base64Key(u.Host) }

// withKeeper opens the keeper by an opener of its own, not through the global table that
// the drivers write themselves into, and closes it after f. Only the keeper of the
// configuration is ever opened: a URL that lies in the bucket could be anybody's. bound is
// as of [openKeeper].
func (v *Vault) withKeeper(ctx context.Context, bound bool, f func(ctx context.Context, k *secrets.Keeper) error) (err error) {
	raw := v.o.Crypt.Keeper
	if err := checkKeeper(raw); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, keeperPatience)
	defer cancel()
	defer func() {
		if err != nil { // what the drivers say may repeat the URL
			err = fmt.Errorf("keeper %q: %w", shownKeeper(raw), err)
		}
	}()
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("this is no URL")
	}
	k, done, err := openKeeper(ctx, u, bound)
	if err == nil {
		defer done()
		err = f(ctx, k)
	}
	if err == nil {
		return nil
	}
	err = masked(err, raw, u)
	if advice := keeperAdvice[u.Scheme]; advice != "" && gcerrors.Code(err) != gcerrors.InvalidArgument {
		err = hint.Wrap(err, advice)
	}
	return err
}

// keeperAdvice is also of the first request: Amazon's driver finds out only then that it
// has no region or no credentials.
var keeperAdvice = map[string]string{
	"awskms":        "name the region (awskms://alias/NAME?region=eu-west-1), give credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and allow them kms:Encrypt and kms:Decrypt with the key",
	"gcpkms":        "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
	"azurekeyvault": "log in by `az login`, or give AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
}

// masked removes the URL of the keeper from an error that repeats it. The error keeps its
// causes only where nothing had to be removed.
func masked(err error, raw string, u *url.URL) error {
	shown := shownKeeper(raw)
	if shown == raw {
		return err
	}
	replace := []string{raw, shown, u.String(), shown}
	if u.Scheme == "base64key" { // elsewhere it is half the name of a key, or nothing
		replace = append(replace, u.Host, "…")
	}
	text := strings.NewReplacer(replace...).Replace(err.Error())
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// openKeeper opens the keeper of a URL. A bound one unwraps only what the very key of the
// URL has wrapped, so that what it unwraps comes from somebody who may use that key. The
// others are for reading: whatever opens a backup is welcome. Azure's are never bound.
func openKeeper(ctx context.Context, u *url.URL, bound bool) (*secrets.Keeper, func(), error) {
	var k *secrets.Keeper
	var err error
	release := func() {}
	switch u.Scheme {
	case "awskms":
		k, err = openAmazon(ctx, u, bound)
	case "azurekeyvault":
		k, err = (&azurekeyvault.URLOpener{ClientMaker: azurekeyvault.DefaultClientMaker}).OpenKeeperURL(ctx, u)
	case "base64key":
		k, err = (&localsecrets.URLOpener{}).OpenKeeperURL(ctx, u)
	case "gcpkms":
		creds, cerr := gcp.DefaultCredentials(ctx)
		if cerr != nil {
			return nil, nil, cerr
		}
		client, closeClient, cerr := gcpkms.Dial(ctx, creds.TokenSource)
		if cerr != nil {
			return nil, nil, cerr
		}
		release = closeClient
		k, err = (&gcpkms.URLOpener{Client: client}).OpenKeeperURL(ctx, u)
	default:
		return nil, nil, fmt.Errorf("unknown keeper %q", u.Scheme)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return k, func() {
		k.Close() // a client that held nothing but connections
		release()
	}, nil
}

// ownKey gives the vault's own key of this keeper, the newest, and makes the first. It is
// called with the keyring locked.
func (v *Vault) ownKey(ctx context.Context, names []string, log io.Writer) (keyDoc, error) {
	own, err := v.newestOwn(ctx, names, log)
	if err != nil || own.ID != "" {
		return own, err
	}
	d, err := v.makeOwn(ctx, time.Time{})
	if err == nil {
		fmt.Fprintf(log, "made key %s, whose identity the keeper has wrapped\n", d.ID)
	}
	return d, err
}

// newestOwn is the newest own key of this keeper, the zero keyDoc when there is none. A key
// counts when its document is signed by an installation that is trusted, or when the
// keeper unwraps its identity: somebody who can write to the bucket must not be able to
// slip in a recipient of his own. What RSA wraps, as Azure's keeper does, proves nothing,
// because everybody has the public key.
func (v *Vault) newestOwn(ctx context.Context, names []string, log io.Writer) (keyDoc, error) {
	shown := shownKeeper(v.o.Crypt.Keeper)
	var docs []keyDoc
	vouched := map[string]bool{}
	for _, n := range names {
		id, ok := strings.CutSuffix(n, ".json")
		if !ok || !keyForm.MatchString(id) || !slices.ContainsFunc(names, func(w string) bool { return wrapOf(w) == id }) {
			continue
		}
		d, sure, err := v.keyDoc(ctx, id)
		switch {
		case Unusable(err) || errors.Is(err, errNotExist):
			fmt.Fprintf(log, "the document of a key cannot be used: %v\n", err)
			continue
		case err != nil:
			return keyDoc{}, err
		}
		if d.Role == roleData && d.Keeper == shown {
			docs, vouched[id] = append(docs, d), sure
		}
	}
	slices.SortFunc(docs, func(a, b keyDoc) int { return a.Created.Compare(b.Created) })
	for _, d := range slices.Backward(docs) {
		if vouched[d.ID] {
			return d, nil
		}
		if !strings.HasPrefix(shown, "azurekeyvault:") {
			_, err := v.unwrapLocked(ctx, []string{d.Recipient}, names, true)
			if err == nil {
				return d, nil
			}
			if ctx.Err() != nil || unanswered(err) { // a key too many would follow from a moment's trouble
				return keyDoc{}, fmt.Errorf("find out whether key %s is this vault's own: %w", d.ID, err)
			}
			fmt.Fprintf(log, "key %s is not used: nobody who is trusted has signed it, and %v\n", d.ID, err)
		}
	}
	return keyDoc{}, nil
}

// wrapOf is the id of the key whose identity the name of a .kms says it has, or "".
func wrapOf(name string) string {
	if m := wrapForm.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// makeOwn makes a new own key, dated after another time whatever the clock says, because
// the newest is the one in use. Its document is written last: a crash before that leaves a
// wrapped identity that no backup was encrypted for, which is garbage, while a document
// without a wrapped identity would let backups be encrypted for a key that nobody has.
func (v *Vault) makeOwn(ctx context.Context, after time.Time) (keyDoc, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return keyDoc{}, fmt.Errorf("make a key: %w", err)
	}
	if err := v.wrap(ctx, id); err != nil {
		return keyDoc{}, err
	}
	r := id.Recipient().String()
	d := v.newKeyDoc(keyID(r), schemeAge, roleData)
	d.Recipient, d.Keeper = r, shownKeeper(v.o.Crypt.Keeper)
	if !d.Created.After(after) {
		d.Created = after.Add(time.Millisecond)
	}
	if err := v.putDoc(ctx, keysPrefix+d.ID+".json", &d, &d.Sig); err != nil {
		return keyDoc{}, err
	}
	return d, nil
}

// wrap stores an identity wrapped by the keeper, and proves by what the bucket gives back
// that the keeper opens it. A machine that may only encrypt proves that the bytes are
// there.
func (v *Vault) wrap(ctx context.Context, id *age.X25519Identity) error {
	r := id.Recipient().String()
	now := v.o.Now().UTC().Truncate(time.Millisecond)
	key := keysPrefix + keyID(r) + "." + stamp(now) + ".kms"
	var wrapped []byte
	err := v.withKeeper(ctx, false, func(ctx context.Context, k *secrets.Keeper) (err error) {
		wrapped, err = k.Encrypt(ctx, []byte(id.String()))
		return err
	})
	if err != nil {
		return fmt.Errorf("wrap the identity of key %s: %w", keyID(r), err)
	}
	if err := v.putSmall(ctx, key, v.keyOptions("application/octet-stream"), wrapped); err != nil {
		return err
	}
	back, err := v.small(ctx, key)
	if err != nil {
		return fmt.Errorf("read %q back: %w", key, err)
	}
	if !bytes.Equal(back, wrapped) {
		return fmt.Errorf("read %q back: %w: it is not what was written", key, ErrDamaged)
	}
	err = v.withKeeper(ctx, false, func(ctx context.Context, k *secrets.Keeper) error {
		text, err := k.Decrypt(ctx, back)
		if err == nil && string(text) != id.String() {
			err = errors.New("what it wraps it does not unwrap")
		}
		return err
	})
	if err != nil && !denied(err) {
		return fmt.Errorf("unwrap the identity of key %s: %w", keyID(r), err)
	}
	d := wrapDoc{Format: wrapFormat, ID: keyID(r), Recipient: r, Keeper: shownKeeper(v.o.Crypt.Keeper), SHA256: hashOf(wrapped), Created: now}
	return v.putDoc(ctx, key+".json", &d, &d.Sig)
}

// unwrap lets the keeper open the identity of one of the recipients.
func (v *Vault) unwrap(ctx context.Context, recipients []string) (*age.X25519Identity, error) {
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	for _, r := range recipients {
		if id := v.keys.opened[r]; id != nil {
			return id, nil
		}
	}
	names, err := v.store.list(ctx, keysPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	return v.unwrapLocked(ctx, recipients, names, false)
}

// unwrapLocked tries the wrapped identities of the recipients, newest first, until the
// keeper has no answer: the others would wait for one as long. It is called with the
// keyring locked. What a bound keeper has to open is asked for again each time, because
// what was opened before may be anybody's.
func (v *Vault) unwrapLocked(ctx context.Context, recipients, names []string, bound bool) (*age.X25519Identity, error) {
	const tries = 8 // of one recipient
	var errs []error
	for _, r := range recipients {
		if id := v.keys.opened[r]; id != nil && !bound {
			return id, nil
		}
		n := 0
		for _, name := range slices.Backward(names) {
			if wrapOf(name) != keyID(r) {
				continue
			}
			if n++; n > tries {
				break
			}
			id, err := v.unwrapOne(ctx, keysPrefix+name, r, bound)
			if err == nil {
				if v.keys.opened == nil {
					v.keys.opened = map[string]*age.X25519Identity{}
				}
				v.keys.opened[r] = id
				return id, nil
			}
			if ctx.Err() != nil || unanswered(err) {
				return nil, err
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("the vault has no wrapped identity of these recipients")
	}
	return nil, errors.Join(errs...)
}

func (v *Vault) unwrapOne(ctx context.Context, key, recipient string, bound bool) (*age.X25519Identity, error) {
	wrapped, err := v.small(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(wrapped) > 1<<16 {
		return nil, fmt.Errorf("%q: %w: too large for a wrapped identity", key, ErrDamaged)
	}
	var text []byte
	err = v.withKeeper(ctx, bound, func(ctx context.Context, k *secrets.Keeper) (err error) {
		text, err = k.Decrypt(ctx, wrapped)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unwrap %q: %w", key, err)
	}
	ids, err := parseIdentities(string(text))
	if err != nil || len(ids) != 1 || ids[0].Recipient().String() != recipient {
		return nil, fmt.Errorf("unwrap %q: it holds no identity of recipient %s", key, recipient)
	}
	return ids[0], nil
}

// denied says whether a keeper has understood and refused: the machine may not decrypt.
func denied(err error) bool {
	var aws interface{ ErrorCode() string } // the driver does not translate this one
	return gcerrors.Code(err) == gcerrors.PermissionDenied ||
		errors.As(err, &aws) && aws.ErrorCode() == "AccessDeniedException"
}

// unanswered says whether a keeper has not come to look at what it was asked: it could not
// be reached, or had too much to do. Nothing follows from that for what it was asked.
func unanswered(err error) bool {
	var aws interface{ ErrorCode() string }
	if errors.As(err, &aws) {
		return aws.ErrorCode() == "ThrottlingException"
	}
	var network net.Error
	code := gcerrors.Code(err)
	return code == gcerrors.DeadlineExceeded || code == gcerrors.ResourceExhausted || errors.As(err, &network)
}
