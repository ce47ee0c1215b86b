package vault

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/hint"
)

// Limits of what is read back. They are far above what is written.
const (
	maxDocument = 32 << 20 // bytes of a manifest or receipt
	maxChain    = 1000     // objects
	maxObject   = 1 << 50  // bytes
	maxDepth    = 32       // of JSON
)

// parseManifest reads and validates the manifest of a point. raw is hostile. Errors are
// ErrDamaged, ErrNewer or ErrUntrusted.
func parseManifest(raw []byte, asset, id string, trust []ed25519.PublicKey) (Manifest, error) {
	if err := wellFormed(raw, "lifeboat.point/"); err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m.sum = hashOf(raw)
	if m.Asset != asset || m.ID != id {
		return Manifest{}, fmt.Errorf("%w: it says that it is point %q of %q", ErrDamaged, m.ID, m.Asset)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := checkSignature(raw, m.Sig, trust); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// wellFormed says whether raw is one JSON object in UTF-8, of the format that begins with
// family and has version 1, in which no object has two keys that a reader could take for
// the same. Facts, which other packages read, may have keys that differ in case only.
func wellFormed(raw []byte, family string) error {
	if len(raw) > maxDocument {
		return fmt.Errorf("%w: larger than %d bytes", ErrDamaged, maxDocument)
	}
	if !utf8.Valid(raw) {
		return fmt.Errorf("%w: not UTF-8", ErrDamaged)
	}
	var head struct{ Format, Type string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	version, ok := strings.CutPrefix(head.Format, family)
	n, err := strconv.Atoi(version)
	if !ok || err != nil || n < 1 {
		return fmt.Errorf("%w: format %q", ErrDamaged, head.Format)
	}
	if n > 1 {
		return hint.Wrap(fmt.Errorf("%w: format %q", ErrNewer, head.Format),
			"update Lifeboat, or restore with the point's restore.sh and stock tools")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := distinct(d, 0, head.Type, false); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the document", ErrDamaged)
	}
	return nil
}

// distinct reads one value and refuses repeated keys and deep nesting.
func distinct(d *json.Decoder, depth int, facts string, exact bool) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		inner := exact
		if delim == '{' {
			token, err := d.Token()
			if err != nil {
				return err
			}
			key, _ := token.(string)
			inner = exact || depth == 0 && key == facts
			if !exact {
				key = strings.ToLower(key)
			}
			if seen[key] {
				return fmt.Errorf("key %q is there twice", key)
			}
			seen[key] = true
		}
		if err := distinct(d, depth+1, facts, inner); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing delimiter
	return err
}

// validate checks everything that later code relies on.
func (m *Manifest) validate() error {
	switch {
	case !assetForm.MatchString(m.Asset):
		return fmt.Errorf("asset %q", m.Asset)
	case !pointForm.MatchString(m.ID):
		return fmt.Errorf("id %q", m.ID)
	case !kindForm.MatchString(m.Type) || reserved[m.Type]:
		return fmt.Errorf("type %q", m.Type)
	case !slices.Contains([]string{Full, Incremental, RollUp, Unchanged, Empty}, m.Kind):
		return fmt.Errorf("kind %q", m.Kind)
	case !slices.Contains([]string{"", "daily", "weekly", "monthly", "quarterly"}, m.Class):
		return fmt.Errorf("class %q", m.Class)
	case len(m.Chain) == 0 && m.Kind != Empty && m.Kind != Unchanged:
		return fmt.Errorf("a point of kind %q without objects", m.Kind)
	case len(m.Chain) > maxChain || len(m.Aux) > maxChain:
		return fmt.Errorf("more than %d objects", maxChain)
	case !hashForm.MatchString(m.Script.SHA256) || m.Script.Size < 0 || m.Script.Size > maxDocument:
		return errors.New("the script has no proper hash and size")
	case m.RPO < 0:
		return fmt.Errorf("RPO %d", m.RPO)
	}
	for _, t := range []time.Time{m.Started, m.Cut, m.Finished} {
		if t.Year() < 2000 || t.Year() > 9999 {
			return fmt.Errorf("time %s", t)
		}
	}
	if m.Cut.Before(m.Started) || m.Finished.Before(m.Cut) {
		return errors.New("started, cut and finished are not in order")
	}
	if m.Parent != nil && (!pointForm.MatchString(m.Parent.ID) || !hashForm.MatchString(m.Parent.SHA256)) {
		return errors.New("the parent has no proper id and hash")
	}
	if f := bytes.TrimSpace(m.Facts); len(f) > 0 && f[0] != '{' {
		return fmt.Errorf("%q is no object", m.Type)
	}
	seen := map[string]bool{}
	for _, o := range slices.Concat(m.Chain, m.Aux) {
		if err := o.validate(m.Asset); err != nil {
			return fmt.Errorf("object %q: %w", o.Key, err)
		}
		if seen[o.Key] {
			return fmt.Errorf("object %q is there twice", o.Key)
		}
		seen[o.Key] = true
	}
	return nil
}

func (o Object) validate(asset string) error {
	rest, ok := strings.CutPrefix(o.Key, dataPrefix(asset))
	attempt, name, two := strings.Cut(rest, "/")
	if !ok || !two || !pointForm.MatchString(attempt) || !objectForm.MatchString(name) {
		return errors.New("the key is not one of this asset")
	}
	if !kindForm.MatchString(o.Role) {
		return fmt.Errorf("role %q", o.Role)
	}
	if o.Size < 0 || o.Size > maxObject || o.PlainSize < 0 || o.PlainSize > maxObject {
		return errors.New("the size is not sane")
	}
	if !hashForm.MatchString(o.SHA256) || !hashForm.MatchString(o.PlainSHA256) {
		return errors.New("a hash is not 64 lower-case hexadecimal digits")
	}
	if err := o.Encryption.validate(); err != nil {
		return err
	}
	if o.KeyID != "" && !keyForm.MatchString(o.KeyID) {
		return fmt.Errorf("key %q", o.KeyID)
	}
	switch o.Compression {
	case "none":
		if o.Encryption.Scheme == schemeNone && (o.Size != o.PlainSize || o.SHA256 != o.PlainSHA256) {
			return errors.New("stored as it is, and yet two hashes or sizes")
		}
	case "gzip":
	default:
		return fmt.Errorf("compression %q", o.Compression)
	}
	return nil
}

// validate lets schemes pass that this version does not know: their points can be listed,
// and reading one says that a newer Lifeboat is needed.
func (e Encryption) validate() error {
	const most = 100
	if !kindForm.MatchString(e.Scheme) {
		return fmt.Errorf("encryption has the scheme %q", e.Scheme)
	}
	switch n := len(e.Recipients); {
	case n > most:
		return fmt.Errorf("more than %d recipients", most)
	case e.Scheme == schemeAge && n == 0:
		return errors.New("encrypted for nobody")
	case (e.Scheme == schemeNone || e.Scheme == schemeGPG) && n > 0:
		return fmt.Errorf("recipients, and the encryption %q", e.Scheme)
	}
	for _, r := range e.Recipients {
		if !recipientForm.MatchString(r) {
			return fmt.Errorf("recipient %q", r)
		}
	}
	return nil
}

// asset, attempt and name are the parts of the key: whose object it is, the point whose
// backup wrote it, and its file name.
func (o Object) asset() string   { return strings.Split(o.Key, "/")[2] }
func (o Object) attempt() string { return strings.Split(o.Key, "/")[4] }
func (o Object) name() string    { return strings.Split(o.Key, "/")[5] }

// bareName is the file name without the endings that say how the object is stored.
func (o Object) bareName() string {
	name := strings.TrimSuffix(o.name(), suffixOf(o.Encryption.Scheme))
	if o.Compression == "gzip" {
		name = strings.TrimSuffix(name, ".gz")
	}
	return name
}

// plainName is a file name for the plain bytes, unique within a chain by its number.
func (o Object) plainName(i int) string {
	return fmt.Sprintf("%04d-%s", i+1, o.bareName())
}
