package vault

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"lifeboat/internal/hint"
)

// canonical is the form that is signed: the document without "sig", keys sorted, no
// space, numbers as they are written, HTML characters not escaped. Fields that this
// version does not know are covered.
func canonical(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	delete(doc, "sig")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// sign gives the signature of a document, nil without a key.
func sign(doc any, key ed25519.PrivateKey) (*Sig, error) {
	if key == nil {
		return nil, nil
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	c, err := canonical(raw)
	if err != nil {
		return nil, err
	}
	return &Sig{
		Alg:   "ed25519",
		Key:   base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
		Value: base64.StdEncoding.EncodeToString(ed25519.Sign(key, c)),
	}, nil
}

// checkSignature refuses a document whose signature does not fit, and, when trust names
// keys, one that none of them has signed.
func checkSignature(raw []byte, s *Sig, trust []ed25519.PublicKey) error {
	untrusted := hint.Wrap(ErrUntrusted, "if another installation made this backup, add its public key to the trusted ones")
	if s == nil {
		if len(trust) > 0 {
			return untrusted
		}
		return nil
	}
	key, err1 := base64.StdEncoding.DecodeString(s.Key)
	value, err2 := base64.StdEncoding.DecodeString(s.Value)
	if s.Alg != "ed25519" || err1 != nil || err2 != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: the signature has no proper form", ErrDamaged)
	}
	c, err := canonical(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !ed25519.Verify(key, c, value) {
		return fmt.Errorf("%w: the signature does not fit, the document was changed", ErrDamaged)
	}
	for _, k := range trust {
		if k.Equal(ed25519.PublicKey(key)) {
			return nil
		}
	}
	if len(trust) > 0 {
		return untrusted
	}
	return nil
}
