package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// Key is one key that backups are encrypted for. A backup with several keys needs any one
// of them.
type Key struct {
	ID        string    // the name of its documents below v1/keys/
	Recipient string    // of age, "age1…"; "" for a passphrase
	Role      string    // "data" or "break-glass"
	Scheme    string    // "age" or "gpg"
	Keeper    string    // that wraps the identity, without credentials; "": it is kept elsewhere
	Created   time.Time // zero: its document is not there
	Tested    time.Time // when TestKey last proved it; zero: never
	Points    int       // restore points that it opens
	Newest    time.Time // cut of the newest of them
	Active    bool      // new backups are encrypted for it
}

// Keys lists every key that a backup was encrypted for or that the configuration names,
// oldest first, and says which backups need which: it reads all manifests. Where new
// backups are encrypted with age and no break-glass recipient is configured, the last of
// the list stands for what is missing: it has the role break-glass and no ID.
//
// Documents and manifests that cannot be used do not hide the others: the list is whole
// but for them, and the error names them all.
func (v *Vault) Keys(ctx context.Context) ([]Key, error) {
	keys, bad, err := v.inventory(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Key, 0, len(keys)+1)
	for _, k := range keys {
		out = append(out, k.Key)
	}
	slices.SortFunc(out, func(a, b Key) int {
		return cmp.Or(strings.Compare(b.Role, a.Role), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	if c := v.o.Crypt; c.scheme() == schemeAge && c.BreakGlass == "" {
		out = append(out, Key{Role: roleBreakGlass, Scheme: schemeAge})
	}
	return out, errors.Join(bad...)
}

// heldKey is a key with the newest object that it opens.
type heldKey struct {
	Key
	point  Manifest
	object Object
}

func (v *Vault) inventory(ctx context.Context) (map[string]*heldKey, []error, error) {
	keys := map[string]*heldKey{}
	docs, bad, err := v.keyDocs(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	for _, d := range docs {
		keys[d.ID] = &heldKey{Key: Key{ID: d.ID, Recipient: d.Recipient, Role: d.Role, Scheme: d.Scheme, Keeper: d.Keeper, Created: d.Created}}
	}
	unread, err := v.countPoints(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	bad = append(bad, unread...)
	if err := v.markActive(ctx, keys, docs); err != nil {
		bad = append(bad, err)
	}
	if err := v.markTested(ctx, keys); err != nil {
		return nil, nil, err
	}
	return keys, bad, nil
}

// countPoints reads all manifests, those of one asset at a time.
func (v *Vault) countPoints(ctx context.Context, keys map[string]*heldKey) (bad []error, err error) {
	assets, err := v.Assets(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range assets {
		points, err := v.List(ctx, a, time.Time{})
		if err != nil && !Unusable(err) {
			return nil, err
		}
		if err != nil {
			bad = append(bad, err)
		}
		for _, m := range points {
			counted := map[string]bool{}
			for _, o := range slices.Backward(m.Chain) {
				for _, k := range keysOf(o) {
					if !counted[k.ID] {
						counted[k.ID] = true
						held(keys, k).count(m, o)
					}
				}
			}
		}
	}
	return bad, nil
}

// keysOf are the keys that open an object, as far as its manifest tells.
func keysOf(o Object) []Key {
	switch o.Encryption.Scheme {
	case schemeGPG:
		if o.KeyID != "" {
			return []Key{{ID: o.KeyID, Scheme: schemeGPG, Role: roleData}}
		}
	case schemeAge:
		var out []Key
		for _, r := range o.Encryption.Recipients {
			out = append(out, Key{ID: keyID(r), Recipient: r, Scheme: schemeAge, Role: roleData})
		}
		return out
	}
	return nil
}

func held(keys map[string]*heldKey, k Key) *heldKey {
	if keys[k.ID] == nil {
		keys[k.ID] = &heldKey{Key: k}
	}
	return keys[k.ID]
}

func (k *heldKey) count(m Manifest, o Object) {
	k.Points++
	if k.point.ID == "" || m.Cut.After(k.Newest) {
		k.Newest, k.point, k.object = m.Cut, m, o
	}
}

// markActive marks what the next backup would be encrypted for. It makes no key.
func (v *Vault) markActive(ctx context.Context, keys map[string]*heldKey, docs []keyDoc) error {
	c := v.o.Crypt
	switch c.scheme() {
	case schemeGPG:
		v.keys.mu.Lock()
		defer v.keys.mu.Unlock()
		p, err := v.passphrase(ctx)
		if err != nil || p == nil {
			return err
		}
		for _, d := range slices.Backward(docs) {
			if d.Scheme == schemeGPG && v.opensCheck(d, p) {
				keys[d.ID].Active = true
				break
			}
		}
	case schemeAge:
		for _, r := range c.Recipients {
			held(keys, Key{ID: keyID(r), Recipient: r, Scheme: schemeAge, Role: roleData}).Active = true
		}
		if r := c.BreakGlass; r != "" {
			k := held(keys, Key{ID: keyID(r), Recipient: r, Scheme: schemeAge})
			k.Active, k.Role = true, roleBreakGlass
		}
		if c.Keeper == "" {
			return nil
		}
		v.keys.mu.Lock()
		defer v.keys.mu.Unlock()
		names, err := v.store.list(ctx, keysPrefix)
		if err != nil {
			return fmt.Errorf("list the keys: %w", err)
		}
		own, err := v.newestOwn(ctx, names, io.Discard)
		if err != nil || own.ID == "" {
			return err
		}
		held(keys, Key{ID: own.ID, Recipient: own.Recipient, Scheme: schemeAge, Role: roleData, Keeper: own.Keeper}).Active = true
	}
	return nil
}

func testsPrefix(id string) string { return keysPrefix + id + ".tests/" }

// markTested reads the names of the records of TestKey.
func (v *Vault) markTested(ctx context.Context, keys map[string]*heldKey) error {
	var ids []string
	for id := range keys {
		ids = append(ids, id)
	}
	tested := make([]time.Time, len(ids))
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		names, err := v.store.list(ctx, testsPrefix(ids[i]))
		if err != nil {
			return fmt.Errorf("list the tests of key %s: %w", ids[i], err)
		}
		for _, n := range names {
			at, err := time.Parse(stampLayout, strings.TrimSuffix(n, ".json"))
			if err == nil && strings.HasSuffix(n, ".json") && at.After(tested[i]) {
				tested[i] = at
			}
		}
		return nil
	})
	for i, id := range ids {
		keys[id].Tested = tested[i]
	}
	return err
}

// keyTest is the record of one test of a key.
type keyTest struct {
	Format    string    `json:"format"`
	ID        string    `json:"id"`
	Recipient string    `json:"recipient"`
	Point     string    `json:"point"`
	Object    string    `json:"object"`
	SHA256    string    `json:"sha256"` // of what is stored
	Tested    time.Time `json:"tested"`
	Host      string    `json:"host,omitempty"`
	Tool      Tool      `json:"tool"`
	Sig       *Sig      `json:"sig,omitempty"`
}

// TestKey proves that an identity of age opens the newest object that was encrypted for
// it, by reading all of the object, and writes that down below v1/keys/. It is how a
// break-glass key is tried before the day on which it is needed.
//
// Errors: ErrWrongKey when nothing in the vault was encrypted for the identity; ErrDamaged
// and ErrMissing, naming the object, which speak of the backup and not of the key.
func (v *Vault) TestKey(ctx context.Context, identity secret.String) (Key, error) {
	ids, err := parseIdentities(identity.Reveal())
	if err != nil {
		return Key{}, fmt.Errorf("test a key: the identity: %w", err)
	}
	if len(ids) > 1 {
		return Key{}, hint.Wrap(fmt.Errorf("test a key: %d identities were given", len(ids)), "test one at a time: whichever opened the backup, nothing would be known of the others")
	}
	k, err := v.testKey(ctx, ids[0])
	if err != nil {
		return Key{}, fmt.Errorf("test key %s: %w", keyID(ids[0].Recipient().String()), err)
	}
	return k, nil
}

func (v *Vault) testKey(ctx context.Context, id *age.X25519Identity) (Key, error) {
	recipient := id.Recipient().String()
	keys, bad, err := v.inventory(ctx)
	if err != nil {
		return Key{}, err
	}
	k := keys[keyID(recipient)]
	if k == nil || k.Points == 0 {
		err := fmt.Errorf("%w: no backup in %s is encrypted for %s", ErrWrongKey, v.url, recipient)
		return Key{}, hint.Wrap(errors.Join(append([]error{err}, bad...)...), "name the recipient in the configuration and make a backup first; `lifeboat vault keys` lists the keys that backups have")
	}
	err = twice(func() error {
		m, c, err := v.raw(ctx, k.object, nil)
		if err != nil {
			return err
		}
		return newPlainReader(k.object, m.r, c, &lazyCrypt{key: opening{identities: []age.Identity{id}}}).Close()
	})
	if err != nil {
		return Key{}, err
	}
	now := v.o.Now().UTC().Truncate(time.Millisecond)
	d := keyTest{
		Format: keyTestFormat, ID: k.ID, Recipient: recipient, Point: k.point.ID, Object: k.object.Key, SHA256: k.object.SHA256,
		Tested: now, Host: v.o.Host, Tool: Tool{Name: "lifeboat", Version: v.o.Version},
	}
	if err := v.putDoc(ctx, testsPrefix(k.ID)+stamp(now)+".json", &d, &d.Sig); err != nil {
		return Key{}, fmt.Errorf("it opens point %s, which could not be recorded: %w", k.point.ID, err)
	}
	k.Tested = now
	return k.Key, nil
}

// RotateKey makes a new key of the vault's own, for which the next backups are encrypted
// and which the next backup of each asset begins a full chain for, and wraps the
// identities of the older ones again by the keeper as it is now. Nothing is taken away:
// older backups keep needing the older keys.
//
// With an error beside a key the rotation took place, and some older identity was not
// wrapped again; what had wrapped it before still does. Without a keeper there is nothing
// to rotate here.
func (v *Vault) RotateKey(ctx context.Context) (Key, error) {
	c := v.o.Crypt
	if c.scheme() == schemeGPG {
		return Key{}, hint.Wrap(errors.New("rotate the key: the key is a passphrase, which only its owner can change"),
			"put a new one where encryption.passphrase in lifeboat.yaml points to; the next backup is a full one with it. Keep the old one for as long as backups need it")
	}
	if c.Keeper == "" || c.scheme() != schemeAge {
		return Key{}, hint.Wrap(errors.New("rotate the key: the vault has no key of its own, because no keeper is configured"),
			"make a new identity by `age-keygen -o identity.txt`, put its recipient in the place of the old one under encryption.recipients in lifeboat.yaml, and keep the old identity for as long as backups need it")
	}
	if err := c.check(); err != nil {
		return Key{}, fmt.Errorf("rotate the key: %w", err)
	}
	docs, bad, err := v.keyDocs(ctx, schemeAge)
	if err != nil {
		return Key{}, fmt.Errorf("rotate the key: %w", err)
	}
	given, err := v.given(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("rotate the key: %w", err)
	}
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	var newest time.Time
	for _, old := range docs {
		if old.Keeper != "" && old.Created.After(newest) {
			newest = old.Created
		}
	}
	d, err := v.makeOwn(ctx, newest)
	if err != nil {
		return Key{}, fmt.Errorf("rotate the key: %w", err)
	}
	v.keys.seal = nil
	for _, old := range docs {
		if old.Keeper == "" {
			continue
		}
		if err := v.rewrap(ctx, old, given); err != nil {
			bad = append(bad, hint.Wrapf(fmt.Errorf("key %s was not wrapped again: %w", old.ID, err),
				"what keeper %q wrapped is still there; give its identity (README-RESTORE.md says how to unwrap it) as encryption.identity and rotate again", old.Keeper))
		}
	}
	return Key{ID: d.ID, Recipient: d.Recipient, Role: d.Role, Scheme: d.Scheme, Keeper: d.Keeper, Created: d.Created, Active: true}, errors.Join(bad...)
}

// rewrap wraps the identity of a key again. A foreign identity must not become one that
// this keeper has wrapped: what is not vouched for must have been wrapped by it before. It
// is called with the keyring locked.
func (v *Vault) rewrap(ctx context.Context, old keyDoc, given []*age.X25519Identity) error {
	for _, id := range given {
		if id.Recipient().String() == old.Recipient {
			return v.wrap(ctx, id)
		}
	}
	names, err := v.store.list(ctx, keysPrefix)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	_, vouched, err := v.keyDoc(ctx, old.ID)
	if err != nil {
		return err
	}
	id, err := v.unwrapLocked(ctx, []string{old.Recipient}, names, !vouched)
	if err != nil {
		return err
	}
	return v.wrap(ctx, id)
}
