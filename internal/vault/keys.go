package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

// The documents of keys, below v1/keys/. None holds a secret, none is ever changed:
//
//	<id>.json              what the key is: recipient, role, keeper; the first backup that uses it writes it
//	<id>.<ts>.kms          the identity, wrapped by the keeper; nothing but what the service gave
//	<id>.<ts>.kms.json     which keeper wrapped it
//	<id>.tests/<ts>.json   proof that an identity opened a backup
//
// The id of a key of age follows from its recipient, so that two machines that know the
// recipient name it alike. The id of a passphrase is random and tells nothing about it.
const (
	keysPrefix    = "v1/keys/"
	keyFormat     = "lifeboat.key/1"
	wrapFormat    = "lifeboat.wrap/1"
	keyTestFormat = "lifeboat.keytest/1"
)

// What a key is for.
const (
	roleData       = "data"        // opens in daily life
	roleBreakGlass = "break-glass" // lies in a safe
)

var (
	keyForm  = regexp.MustCompile(`^(age|gpg)-[0-9a-f]{16}$`)
	wrapForm = regexp.MustCompile(`^(age-[0-9a-f]{16})\.([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)\.kms$`)
)

// keyID names the key of a recipient.
func keyID(recipient string) string {
	sum := sha256.Sum256([]byte(recipient))
	return schemeAge + "-" + hex.EncodeToString(sum[:8])
}

type keyDoc struct {
	Format    string    `json:"format"`
	ID        string    `json:"id"`
	Scheme    string    `json:"scheme"`
	Role      string    `json:"role"`
	Recipient string    `json:"recipient,omitempty"` // of age
	Keeper    string    `json:"keeper,omitempty"`    // without credentials; "": the identity is kept elsewhere
	Check     []byte    `json:"check,omitempty"`     // of gpg: the id, encrypted with the passphrase
	Created   time.Time `json:"created"`
	Host      string    `json:"host,omitempty"`
	Tool      Tool      `json:"tool"`
	Sig       *Sig      `json:"sig,omitempty"`
}

type wrapDoc struct {
	Format    string    `json:"format"`
	ID        string    `json:"id"`
	Recipient string    `json:"recipient"`
	Keeper    string    `json:"keeper"`
	SHA256    string    `json:"sha256"` // of the .kms
	Created   time.Time `json:"created"`
	Sig       *Sig      `json:"sig,omitempty"`
}

// keyring is what a handle has learnt of keys; all of it can be learnt again.
type keyring struct {
	mu      sync.Mutex // protects below, and is held while a key is asked for
	seal    *seal      // of new objects; nil: not made yet
	given   []*age.X25519Identity
	asked   bool                           // given is complete
	opened  map[string]*age.X25519Identity // unwrapped by the keeper, by recipient
	checked map[string]bool                // by key id and passphrase: whether they belong together
}

func (v *Vault) newKeyDoc(id, scheme, role string) keyDoc {
	return keyDoc{
		Format: keyFormat, ID: id, Scheme: scheme, Role: role, Created: v.o.Now().UTC().Truncate(time.Millisecond),
		Host: v.o.Host, Tool: Tool{Name: "lifeboat", Version: v.o.Version},
	}
}

// parseKeyDoc reads the document of a key. raw is hostile.
func parseKeyDoc(raw []byte, id string) (keyDoc, error) {
	if err := wellFormed(raw, "lifeboat.key/"); err != nil {
		return keyDoc{}, err
	}
	var d keyDoc
	if err := json.Unmarshal(raw, &d); err != nil {
		return keyDoc{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	wrong := func(what string) (keyDoc, error) {
		return keyDoc{}, fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	switch {
	case d.ID != id || !keyForm.MatchString(id) || !strings.HasPrefix(id, d.Scheme+"-"):
		return wrong(fmt.Sprintf("it says that it is key %q of %q", d.ID, d.Scheme))
	case d.Role != roleData && d.Role != roleBreakGlass:
		return wrong(fmt.Sprintf("role %q", d.Role))
	case d.Scheme == schemeAge && (!recipientForm.MatchString(d.Recipient) || keyID(d.Recipient) != id):
		return wrong("the recipient is not that of the key's id")
	case d.Scheme == schemeGPG && d.Recipient != "", d.Scheme == schemeGPG && len(d.Check) > 1<<12:
		return wrong("it is not the form of a passphrase's")
	case d.Created.Year() < 2000 || d.Created.Year() > 9999:
		return wrong(fmt.Sprintf("time %s", d.Created))
	}
	return d, checkSignature(raw, d.Sig, nil)
}

// vouched says whether a document is signed by this installation or by one it trusts.
func (v *Vault) vouched(raw []byte, s *Sig) bool {
	trust := slices.Clone(v.o.Trust)
	if v.o.Sign != nil {
		trust = append(trust, v.o.Sign.Public().(ed25519.PublicKey))
	}
	return len(trust) > 0 && checkSignature(raw, s, trust) == nil
}

// keyDoc reads the document of a key.
func (v *Vault) keyDoc(ctx context.Context, id string) (d keyDoc, vouched bool, err error) {
	key := keysPrefix + id + ".json"
	err = twice(func() error {
		raw, err := v.small(ctx, key)
		if err != nil {
			return err
		}
		if d, err = parseKeyDoc(raw, id); err == nil {
			vouched = v.vouched(raw, d.Sig)
		}
		return err
	})
	if err != nil {
		return keyDoc{}, false, fmt.Errorf("key %q: %w", key, err)
	}
	return d, vouched, nil
}

// putDoc signs and writes a document of a key, which must not exist.
func (v *Vault) putDoc(ctx context.Context, key string, doc any, sig **Sig) error {
	s, err := sign(doc, v.o.Sign)
	if err != nil {
		return fmt.Errorf("sign %q: %w", key, err)
	}
	*sig = s
	raw, err := encode(doc)
	if err != nil {
		return fmt.Errorf("write %q: %w", key, err)
	}
	return v.putSmall(ctx, key, v.keyOptions("application/json"), raw)
}

func (v *Vault) keyOptions(contentType string) putOptions {
	return putOptions{contentType, v.chainLock(v.o.Now(), nil)}
}

// prepare gives how the objects of a new attempt are encrypted. Whatever an object is
// encrypted for has its document before the first byte of the object is written.
func (v *Vault) prepare(ctx context.Context, log io.Writer) (*seal, error) {
	c := v.o.Crypt
	if c.scheme() == schemeNone {
		return &seal{scheme: schemeNone}, nil
	}
	if err := c.check(); err != nil { // also for a vault that was not opened by a URL
		return nil, err
	}
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	if c.scheme() == schemeGPG {
		return v.sealWithPassphrase(ctx, log)
	}
	if v.keys.seal == nil {
		s, err := v.sealForRecipients(ctx, log)
		if err != nil {
			return nil, err
		}
		v.keys.seal = s
	}
	return v.keys.seal, nil
}

// sealForRecipients is called with the keyring locked.
func (v *Vault) sealForRecipients(ctx context.Context, log io.Writer) (*seal, error) {
	c := v.o.Crypt
	names, err := v.store.list(ctx, keysPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	s := &seal{scheme: schemeAge}
	for _, r := range c.Recipients {
		if !slices.Contains(s.names, r) {
			s.names = append(s.names, r)
		}
	}
	for _, r := range s.names {
		if err := v.registerKey(ctx, names, r, roleData, log); err != nil {
			return nil, err
		}
	}
	if c.Keeper != "" {
		own, err := v.ownKey(ctx, names, log)
		if err != nil {
			return nil, err
		}
		s.names = slices.Insert(s.names, 0, own.Recipient)
	}
	s.keyID = keyID(s.names[0])
	if c.BreakGlass != "" {
		if err := v.registerKey(ctx, names, c.BreakGlass, roleBreakGlass, log); err != nil {
			return nil, err
		}
		s.names = append(s.names, c.BreakGlass)
	} else {
		fmt.Fprintln(log, "no break-glass recipient is configured: when the other keys are lost, so are the backups")
	}
	for _, name := range s.names {
		r, err := age.ParseX25519Recipient(name)
		if err != nil {
			return nil, fmt.Errorf("recipient %s: %w", name, err)
		}
		s.recipients = append(s.recipients, r)
	}
	return s, nil
}

// registerKey writes the document of a recipient unless it is there. The document serves
// people and inventories; a damaged one, which cannot be replaced, stops no backup.
func (v *Vault) registerKey(ctx context.Context, names []string, recipient, role string, log io.Writer) error {
	id := keyID(recipient)
	if slices.Contains(names, id+".json") {
		return nil
	}
	d := v.newKeyDoc(id, schemeAge, role)
	d.Recipient = recipient
	err := v.putDoc(ctx, keysPrefix+id+".json", &d, &d.Sig)
	if errors.Is(err, errExists) { // another machine, a moment ago
		if _, _, err := v.keyDoc(ctx, id); err != nil {
			fmt.Fprintf(log, "the document of a key cannot be used, and the backup goes on: %v\n", err)
		}
		return nil
	}
	return err
}

// sealWithPassphrase finds the key of the passphrase, by trying what the documents have to
// be opened, or makes one. It is called with the keyring locked.
func (v *Vault) sealWithPassphrase(ctx context.Context, log io.Writer) (*seal, error) {
	p, err := v.passphrase(ctx)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, noPassphrase()
	}
	if s := v.keys.seal; s != nil && bytes.Equal(s.passphrase, p) {
		return s, nil
	}
	id, err := v.findPassphrase(ctx, p, log)
	if err != nil {
		return nil, err
	}
	if id == "" {
		var random [8]byte
		rand.Read(random[:]) // never fails
		id = schemeGPG + "-" + hex.EncodeToString(random[:])
		d := v.newKeyDoc(id, schemeGPG, roleData)
		if d.Check, err = checkOf(id, p, v.o.Crypt.work); err != nil {
			return nil, fmt.Errorf("encrypt the check of a passphrase: %w", err)
		}
		if err := v.putDoc(ctx, keysPrefix+id+".json", &d, &d.Sig); err != nil {
			return nil, err
		}
	}
	v.keys.seal = &seal{scheme: schemeGPG, passphrase: p, keyID: id, work: v.o.Crypt.work}
	return v.keys.seal, nil
}

// triedPassphrases bounds how many documents are tried, each of which takes a tenth of a
// second by design.
const triedPassphrases = 16

// findPassphrase gives the id of the key of a passphrase, "" when it is a new one. It is
// called with the keyring locked.
func (v *Vault) findPassphrase(ctx context.Context, p []byte, log io.Writer) (string, error) {
	docs, bad, err := v.keyDocs(ctx, schemeGPG)
	if err != nil {
		return "", err
	}
	for _, err := range bad {
		fmt.Fprintf(log, "the document of a key cannot be used: %v\n", err)
	}
	for i, d := range slices.Backward(docs) {
		if i < len(docs)-triedPassphrases {
			break
		}
		if v.opensCheck(d, p) {
			return d.ID, nil
		}
	}
	return "", nil
}

// keyDocs reads the documents of the keys of a scheme, "" for all, oldest first. Those that
// cannot be used are left out and named.
func (v *Vault) keyDocs(ctx context.Context, scheme string) (docs []keyDoc, bad []error, err error) {
	names, err := v.store.list(ctx, keysPrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("list the keys: %w", err)
	}
	var ids []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, ".json"); ok && keyForm.MatchString(id) && strings.HasPrefix(id, scheme) {
			ids = append(ids, id)
		}
	}
	all, errs := make([]keyDoc, len(ids)), make([]error, len(ids))
	err = each(ctx, len(ids), func(ctx context.Context, i int) error {
		all[i], _, errs[i] = v.keyDoc(ctx, ids[i])
		return ctx.Err()
	})
	if err != nil {
		return nil, nil, err
	}
	for i, d := range all {
		if errs[i] != nil {
			bad = append(bad, errs[i])
		} else {
			docs = append(docs, d)
		}
	}
	slices.SortFunc(docs, func(a, b keyDoc) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return docs, bad, nil
}

// checkOf encrypts the id of a key with its passphrase: whether a passphrase belongs to a
// key is tried with that, which tells no more about it than any backup does.
func checkOf(id string, passphrase []byte, work int) ([]byte, error) {
	var b bytes.Buffer
	w, err := sealGPG(&b, passphrase, work)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, id); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// opensCheck is called with the keyring locked.
func (v *Vault) opensCheck(d keyDoc, passphrase []byte) bool {
	known := d.ID + " " + string(passphrase)
	if fits, ok := v.keys.checked[known]; ok {
		return fits
	}
	fits := false
	if r, err := openGPG(bytes.NewReader(d.Check), passphrase); err == nil {
		text, err := io.ReadAll(io.LimitReader(r, 1<<10))
		fits = err == nil && string(text) == d.ID
	}
	if v.keys.checked == nil {
		v.keys.checked = map[string]bool{}
	}
	v.keys.checked[known] = fits
	return fits
}

// fitsKey says whether a passphrase is that of a key, if the vault knows the key.
func (v *Vault) fitsKey(ctx context.Context, id string, passphrase []byte) (fits, known bool) {
	if id == "" {
		return false, false
	}
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	if fits, ok := v.keys.checked[id+" "+string(passphrase)]; ok {
		return fits, true
	}
	d, _, err := v.keyDoc(ctx, id)
	if err != nil || d.Scheme != schemeGPG {
		return false, false
	}
	return v.opensCheck(d, passphrase), true
}
