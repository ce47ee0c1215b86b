package vault

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// golden is a manifest as it is stored. Its form is a promise: vaults outlive versions.
const golden = `{
  "format": "lifeboat.point/1",
  "id": "20261123T001500.123Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD",
  "asset": "monorepo-3fa2c1",
  "name": "monorepo",
  "source": "https://example.org/monorepo.git",
  "type": "git",
  "kind": "incremental",
  "class": "daily",
  "started": "2026-11-23T00:15:00.123Z",
  "cut": "2026-11-23T00:15:01Z",
  "finished": "2026-11-23T00:15:02Z",
  "tool": {
    "name": "lifeboat",
    "version": "1.2.3",
    "programs": {
      "git": "2.39.5"
    }
  },
  "host": "db1",
  "run_id": "r7",
  "rpo_s": 3600,
  "parent": {
    "id": "20261122T001500.123Z-01KANHA3ZKZ6Y1TQ3V3N0CQ8ZD",
    "manifest_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  },
  "chain": [
    {
      "key": "v1/a/monorepo-3fa2c1/d/20261122T001500.123Z-01KANHA3ZKZ6Y1TQ3V3N0CQ8ZD/repo.bundle",
      "role": "bundle",
      "size": 7,
      "sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
      "plain_size": 7,
      "plain_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
      "compression": "none",
      "encryption": {
        "scheme": "none"
      }
    },
    {
      "key": "v1/a/monorepo-3fa2c1/d/20261123T001500.123Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD/repo.bundle.gz",
      "role": "bundle",
      "size": 5,
      "sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
      "plain_size": 9,
      "plain_sha256": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
      "compression": "gzip",
      "encryption": {
        "scheme": "none"
      },
      "retain_until": "2027-01-01T00:00:00Z"
    }
  ],
  "script": {
    "size": 3,
    "sha256": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
  },
  "git": {
    "head": "refs/heads/main",
    "refs_count": 12
  }
}
`

const (
	goldenAsset = "monorepo-3fa2c1"
	goldenID    = "20261123T001500.123Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD"
)

func TestManifestForm(t *testing.T) {
	m, err := parseManifest([]byte(golden), goldenAsset, goldenID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.RPO != 3600 || m.Chain[1].RetainUntil.Year() != 2027 || m.Size() != 12 || !strings.Contains(string(m.Facts), "refs_count") {
		t.Errorf("read as %+v", m)
	}
	raw, err := encode(m)
	if err != nil || string(raw) != golden {
		t.Errorf("written as %s, %v", raw, err)
	}
	var again Manifest
	if err := json.Unmarshal(raw, &again); err != nil || string(again.Facts) == "" || again.ID != m.ID {
		t.Errorf("unmarshalled as %+v, %v", again, err)
	}
}

func TestManifestHostile(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		want           error
		text           string
	}{
		{"another point", goldenID + `",`, "20261123T001500.123Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZE\",", ErrDamaged, "it says"},
		{"another asset", `"asset": "monorepo-3fa2c1"`, `"asset": "monorepo-3fa2c2"`, ErrDamaged, "it says"},
		{"newer format", "lifeboat.point/1", "lifeboat.point/2", ErrNewer, "lifeboat.point/2"},
		{"no format", "lifeboat.point/1", "elsewhere", ErrDamaged, "format"},
		{"format 0", "lifeboat.point/1", "lifeboat.point/0", ErrDamaged, "format"},
		{"key of another asset", "v1/a/monorepo-3fa2c1/d/20261122", "v1/a/monorepo-3fa2c2/d/20261122", ErrDamaged, "not one of this asset"},
		{"key climbs", "/repo.bundle\"", "/../repo.bundle\"", ErrDamaged, "not one of this asset"},
		{"key is dots", "/repo.bundle\"", "/..\"", ErrDamaged, "not one of this asset"},
		{"key breaks shell", "/repo.bundle\"", "/a'b.bundle\"", ErrDamaged, "not one of this asset"},
		{"key is an option", "/repo.bundle\"", "/-rf\"", ErrDamaged, "not one of this asset"},
		{"key names a manifest", "/d/20261122T001500.123Z-01KANHA3ZKZ6Y1TQ3V3N0CQ8ZD/repo.bundle", "/p/2026/11/22/x.json", ErrDamaged, "not one of this asset"},
		{"negative size", `"size": 7,`, `"size": -7,`, ErrDamaged, "sane"},
		{"huge size", `"plain_size": 9,`, `"plain_size": 9000000000000000000,`, ErrDamaged, "sane"},
		{"size beyond numbers", `"size": 7,`, `"size": 70000000000000000000,`, ErrDamaged, "number"},
		{"size is text", `"size": 7,`, `"size": "7",`, ErrDamaged, "string"},
		{"upper-case hash", strings.Repeat("c", 64), strings.Repeat("C", 64), ErrDamaged, "lower-case"},
		{"short hash", strings.Repeat("c", 64), strings.Repeat("c", 63), ErrDamaged, "lower-case"},
		{"plain bytes differ from stored", `"plain_size": 7`, `"plain_size": 8`, ErrDamaged, "two hashes or sizes"},
		{"unknown compression", `"compression": "gzip"`, `"compression": "lzma"`, ErrDamaged, "lzma"},
		{"unknown kind", `"kind": "incremental"`, `"kind": "partial"`, ErrDamaged, "kind"},
		{"unknown class", `"class": "daily"`, `"class": "hourly"`, ErrDamaged, "class"},
		{"type is a field", `"type": "git"`, `"type": "chain"`, ErrDamaged, "type"},
		{"role breaks shell", `"role": "bundle"`, `"role": "b;rm"`, ErrDamaged, "role"},
		{"parent without hash", strings.Repeat("a", 64), "x", ErrDamaged, "parent"},
		{"time runs backwards", `"cut": "2026-11-23T00:15:01Z"`, `"cut": "2026-11-24T00:15:01Z"`, ErrDamaged, "order"},
		{"no time", `"started": "2026-11-23T00:15:00.123Z",`, ``, ErrDamaged, "time"},
		{"facts are a list", `"git": {`, `"git": [1], "x": {`, ErrDamaged, "no object"},
		{"script without hash", strings.Repeat("e", 64), "", ErrDamaged, "script"},
		{"two keys", `"host": "db1",`, `"host": "db1", "host": "db2",`, ErrDamaged, "twice"},
		{"two keys, one capital", `"host": "db1",`, `"host": "db1", "Host": "db2",`, ErrDamaged, "twice"},
		{"two keys in an object", `"role": "bundle",`, `"role": "bundle", "Role": "base",`, ErrDamaged, "twice"},
		{"two keys in facts", `"refs_count": 12`, `"refs_count": 12, "refs_count": 13`, ErrDamaged, "twice"},
		{"more after the end", "\n}\n", "\n}\n{}", ErrDamaged, "after top-level"},
		{"cut", "\n}\n", "", ErrDamaged, "end"},
		{"not UTF-8", "db1", "db\xff", ErrDamaged, "UTF-8"},
		{"deep", `"head": "refs/heads/main"`, `"head": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40), ErrDamaged, "deeper"},
		{"same object twice", "20261123T001500.123Z-01KAR3Q1XKZ6Y1TQ3V3N0CQ8ZD/repo.bundle.gz", "20261122T001500.123Z-01KANHA3ZKZ6Y1TQ3V3N0CQ8ZD/repo.bundle", ErrDamaged, "twice"},
		{"no chain", `"chain": [`, `"chain": [], "old": [`, ErrDamaged, "without objects"},
		{"no scheme of encryption", `"scheme": "none"`, `"x": "none"`, ErrDamaged, "scheme"},
		{"signature of no form", `"script": {`, `"sig": {"alg": "rot13"}, "script": {`, ErrDamaged, "form"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(golden, tt.old) {
				t.Fatalf("%q is not in the manifest", tt.old)
			}
			raw := strings.Replace(golden, tt.old, tt.new, 1)
			m, err := parseManifest([]byte(raw), goldenAsset, goldenID, nil)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q; manifest %+v", err, tt.want, tt.text, m)
			}
		})
	}
	for _, tt := range []struct{ name, old, new string }{
		{"unknown field of this format", `"host": "db1",`, `"host": "db1", "weather": "fair",`},
		{"facts whose keys differ in case", `"refs_count": 12`, `"refs/heads/A": 1, "refs/heads/a": 2`},
	} {
		raw := strings.Replace(golden, tt.old, tt.new, 1)
		if _, err := parseManifest([]byte(raw), goldenAsset, goldenID, nil); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestUnknownEncryptionIsRefused(t *testing.T) {
	v, _ := fileVault(t)
	s := newSource(t)
	m := backup(t, v, s, BackupOptions{})
	m.Chain[0].Encryption.Scheme = "rot13"
	_, err := restoredBytes(t.Context(), v, m, filepath.Join(t.TempDir(), "out"))
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), `"rot13"`) {
		t.Errorf("error %v", err)
	}
}

func TestSignature(t *testing.T) {
	key := func(seed byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))
	}
	ours, other := key('a'), key('b')
	public := func(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }
	dir := t.TempDir()
	open := func(sign ed25519.PrivateKey, trust ...ed25519.PublicKey) *Vault {
		v, err := Open(t.Context(), "file://"+dir, Options{Sign: sign, Trust: trust, Pause: time.Millisecond})
		must(t, err)
		t.Cleanup(func() { v.Close() })
		return v
	}
	s := newSource(t)
	signer := open(ours)
	m := backup(t, signer, s, BackupOptions{})
	if _, err := signer.Verify(t.Context(), m, lines{}, LevelChecked, VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		trust []ed25519.PublicKey
		want  error
	}{
		{"nobody named", nil, nil},
		{"signer trusted", []ed25519.PublicKey{public(other), public(ours)}, nil},
		{"another trusted", []ed25519.PublicKey{public(other)}, ErrUntrusted},
	} {
		v := open(nil, tt.trust...)
		_, err := v.Get(t.Context(), m.Asset, m.ID)
		_, rerr := v.Receipts(t.Context(), m.Asset, m.ID)
		if !errors.Is(err, tt.want) || !errors.Is(rerr, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, %v", tt.name, err, rerr)
		}
	}

	path := filepath.Join(dir, filepath.FromSlash(m.Key()))
	raw, err := os.ReadFile(path)
	must(t, err)
	for _, tt := range []struct{ name, old, new string }{
		{"a value", `"name": "Booking lines"`, `"name": "Booking Lines"`},
		{"a field more", `"role": "base"`, `"role": "base", "weather": "fair"`},
		{"a fact", `"size": `, `"size": 1`},
	} {
		changed := strings.Replace(string(raw), tt.old, tt.new, 1)
		if changed == string(raw) {
			t.Fatalf("%q is not in the manifest", tt.old)
		}
		must(t, os.WriteFile(path, []byte(changed), 0o600))
		if _, err := open(nil).Get(t.Context(), m.Asset, m.ID); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s changed: %v", tt.name, err)
		}
	}
	// White space and the order of keys are not what was signed.
	var doc map[string]any
	must(t, json.Unmarshal(raw, &doc))
	same, err := json.Marshal(doc)
	must(t, err)
	must(t, os.WriteFile(path, same, 0o600))
	if _, err := open(nil, public(ours)).Get(t.Context(), m.Asset, m.ID); err != nil {
		t.Errorf("rewritten: %v", err)
	}
	delete(doc, "sig")
	unsigned, err := json.Marshal(doc)
	must(t, err)
	must(t, os.WriteFile(path, unsigned, 0o600))
	if _, err := open(nil, public(ours)).Get(t.Context(), m.Asset, m.ID); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signature removed: %v", err)
	}
}

// Whatever is read: no panic, and what is accepted can be written and read again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(strings.Replace(golden, `"git": {`, `"sqlite": {`, 1)))
	f.Add([]byte(`{"format":"lifeboat.point/1","type":"id","id":{}}`))
	f.Add([]byte(`{"format":"lifeboat.point/1"`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw, goldenAsset, goldenID, nil)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("error without a cause: %v", err)
			}
			return
		}
		for i, o := range m.Chain {
			if !strings.HasPrefix(o.Key, dataPrefix(goldenAsset)) || strings.Contains(o.Key, "..") || o.attempt() == "" || !objectForm.MatchString(o.plainName(i)) {
				t.Fatalf("accepted the key %q", o.Key)
			}
		}
		m.Sig = nil
		out, err := encode(m)
		if err != nil {
			t.Fatalf("accepted and not written: %v", err)
		}
		if _, err := parseManifest(out, goldenAsset, goldenID, nil); err != nil {
			t.Fatalf("written and not read: %v", err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	f.Add("20261123T001500.123Z-checked-pass.json", []byte(`{"format":"lifeboat.receipt/1","asset":"monorepo-3fa2c1","point":"`+goldenID+`","level":"checked","pass":true,"started":"2026-11-23T00:15:00Z"}`))
	f.Add("20261123T001500.123Z-checked-fail.json", []byte(`{}`))
	f.Add("x-y-z.json", []byte(`null`))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		n, ok := parseReceiptName(name)
		if !ok {
			return
		}
		if r, err := parseReceipt(raw, goldenAsset, goldenID, n); err == nil && (r.Pass != n.pass || r.Level != n.level) {
			t.Fatalf("%q says %v %v", name, r.Level, r.Pass)
		}
	})
}

func TestAssetID(t *testing.T) {
	for _, tt := range []struct{ name, a, b string }{
		{"password", "https://user:pa%20ss@example.org/r.git", "https://example.org/r.git"},
		{"token only", "https://ghp_abc@example.org/r.git", "https://example.org/r.git"},
		{"password with @", "https://u:p@ss@example.org/r.git", "https://example.org/r.git"},
		{"password with /", "https://u:p/ss@example.org/r.git", "https://example.org/r.git"},
		{"password badly escaped", "https://u:%zz@example.org/r.git", "https://example.org/r.git"},
		{"token in the query", "https://example.org/r.git?access_token=x", "https://example.org/r.git"},
		{"one of two parameters", "postgres://h/db?sslmode=require&password=x", "postgres://h/db?sslmode=require"},
		{"port stays", "ssh://git@example.org:2222/r@1.git", "ssh://example.org:2222/r@1.git"},
		{"a path is a path", "/srv/git/a@b:c.git", "/srv/git/a@b:c.git"},
	} {
		if got := stripCredentials(tt.a); got != tt.b {
			t.Errorf("%s: %q", tt.name, got)
		}
		if AssetID(Asset{Name: "x", Source: tt.a}) != AssetID(Asset{Name: "x", Source: tt.b}) {
			t.Errorf("%s: two ids", tt.name)
		}
	}
	for name, want := range map[string]string{
		"monorepo": "monorepo-", "Booking DB (prod)": "booking-db-prod-", "../../etc": "etc-", "": "asset-", "日本": "asset-",
		strings.Repeat("long", 50): strings.Repeat("long", 10) + "-",
	} {
		id := AssetID(Asset{Name: name, Source: "/x"})
		if !strings.HasPrefix(id, want) || !assetForm.MatchString(id) {
			t.Errorf("%q has the id %q", name, id)
		}
	}
	if AssetID(Asset{Name: "x", Source: "/a"}) == AssetID(Asset{Name: "x", Source: "/b"}) {
		t.Error("two sources, one id")
	}
}
