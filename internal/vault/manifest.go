package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Format is the form of manifests that this package writes and reads.
const Format = "lifeboat.point/1"

// What a point is.
const (
	Full        = "full"        // its chain begins with it
	Incremental = "incremental" // adds to the chain of its parent
	RollUp      = "rollup"      // replaces the increments of a chain by one
	Unchanged   = "unchanged"   // the source was as the parent has it; proof of life
	Empty       = "empty"       // the source holds nothing
)

// Manifest describes one restore point: everything that a restore needs, and everything
// that proves the restore equal. It is plain JSON; Facts stand under the key Type.
type Manifest struct {
	Format   string    `json:"format"`
	ID       string    `json:"id"`
	Asset    string    `json:"asset"`  // [AssetID]
	Name     string    `json:"name"`   // of the asset, for people
	Source   string    `json:"source"` // without credentials
	Type     string    `json:"type"`   // kind of asset: "git", "sqlite"
	Kind     string    `json:"kind"`   // Full, Incremental, RollUp, Unchanged or Empty
	Class    string    `json:"class,omitempty"`
	Started  time.Time `json:"started"`
	Cut      time.Time `json:"cut"` // the point holds nothing newer; Kind has pinned the source by then
	Finished time.Time `json:"finished"`
	Tool     Tool      `json:"tool"`
	Host     string    `json:"host,omitempty"`
	RunID    string    `json:"run_id,omitempty"`
	RPO      int64     `json:"rpo_s,omitempty"` // wanted at the time, seconds
	Parent   *Parent   `json:"parent,omitempty"`
	Chain    []Object  `json:"chain"` // complete, from base to this point, in order
	Aux      []Object  `json:"aux,omitempty"`
	Script   Script    `json:"script"`
	Sig      *Sig      `json:"sig,omitempty"`

	Facts json.RawMessage `json:"-"`

	sum string // SHA-256 of the stored bytes; "" for a manifest made by hand
}

// Tool is what made a point.
type Tool struct {
	Name     string            `json:"name"`
	Version  string            `json:"version,omitempty"`
	Programs map[string]string `json:"programs,omitempty"`
}

// Parent is the point that an increment builds on.
type Parent struct {
	ID     string `json:"id"`
	SHA256 string `json:"manifest_sha256"` // of its manifest as stored
}

// Object is one stored object of a chain.
type Object struct {
	Key         string     `json:"key"`
	Role        string     `json:"role"`
	Size        int64      `json:"size"`   // bytes stored
	SHA256      string     `json:"sha256"` // of what is stored
	PlainSize   int64      `json:"plain_size"`
	PlainSHA256 string     `json:"plain_sha256"`
	Compression string     `json:"compression"` // "none" or "gzip"
	Encryption  Encryption `json:"encryption"`
	KeyID       string     `json:"key_id,omitempty"` // of the key that opens it in daily life: v1/keys/<id>.json
	RetainUntil *time.Time `json:"retain_until,omitempty"`
}

// Encryption of an object.
type Encryption struct {
	Scheme     string   `json:"scheme"`               // "none", "age" or "gpg"
	Recipients []string `json:"recipients,omitempty"` // of age; the identity of any one opens it
}

// Script is the restore.sh of a point as stored.
type Script struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Sig signs the canonical JSON of a document without its sig.
type Sig struct {
	Alg   string `json:"alg"`   // "ed25519"
	Key   string `json:"key"`   // public key, base64
	Value string `json:"value"` // base64
}

// Key is where the manifest is stored.
func (m Manifest) Key() string { return manifestKey(m.Asset, m.ID) }

// ScriptKey is where the point's restore.sh is stored.
func (m Manifest) ScriptKey() string { return scriptKey(m.Asset, m.ID) }

// Sum is the SHA-256 of the manifest as stored, "" when it was not read from a vault.
func (m Manifest) Sum() string { return m.sum }

// Size is the number of stored bytes that a restore downloads.
func (m Manifest) Size() int64 {
	var n int64
	for _, o := range m.Chain {
		n += o.Size
	}
	return n
}

type plainManifest Manifest // without the methods

// MarshalJSON writes the facts under the key Type.
func (m Manifest) MarshalJSON() ([]byte, error) {
	if m.Chain == nil {
		m.Chain = []Object{}
	}
	raw, err := json.Marshal(plainManifest(m))
	if err != nil || len(m.Facts) == 0 {
		return raw, err
	}
	if !kindForm.MatchString(m.Type) || reserved[m.Type] {
		return nil, fmt.Errorf("type %q cannot be the key of facts", m.Type)
	}
	raw = append(raw[:len(raw)-1], `,"`+m.Type+`":`...)
	return append(append(raw, m.Facts...), '}'), nil
}

// UnmarshalJSON reads the form; it does not validate, which only reading from a vault does.
func (m *Manifest) UnmarshalJSON(raw []byte) error {
	var p plainManifest
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	if !reserved[p.Type] {
		p.Facts = fields[p.Type]
	}
	*m = Manifest(p)
	return nil
}

// reserved are the keys of a manifest that a type must not have as its name.
var reserved = map[string]bool{
	"format": true, "id": true, "asset": true, "name": true, "source": true, "type": true, "kind": true,
	"class": true, "started": true, "cut": true, "finished": true, "tool": true, "host": true, "parent": true,
	"chain": true, "aux": true, "script": true, "sig": true,
}

// encode gives the bytes that are stored: indented, with a newline at the end.
func encode(doc any) ([]byte, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
