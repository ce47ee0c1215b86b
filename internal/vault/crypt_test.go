package vault

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"lifeboat/internal/secret"
)

// cheap makes keys of passphrases fast enough for sweeps.
const cheap = 1024

// identity makes a key of age.
func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	return id
}

// opens gives identities as a configuration does.
func opens(ids ...*age.X25519Identity) func(context.Context) ([]secret.String, error) {
	return func(context.Context) ([]secret.String, error) {
		var out []secret.String
		for _, id := range ids {
			out = append(out, secret.New("# made for a test\n"+id.String()+"\n"))
		}
		return out, nil
	}
}

func phrase(p string) func(context.Context) (secret.String, error) {
	return func(context.Context) (secret.String, error) { return secret.New(p), nil }
}

// cryptVault opens a handle of the vault in dir.
func cryptVault(t *testing.T, dir string, c Crypt, more ...func(o *Options)) *Vault {
	t.Helper()
	c.work = cheap
	o := Options{Version: "1.2.3", Host: "test", Now: newClock().now, Scratch: t.TempDir(), Pause: time.Millisecond, Crypt: c}
	for _, f := range more {
		f(&o)
	}
	v, err := Open(t.Context(), "file://"+dir, o)
	must(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// scheme is one way to encrypt, for tables.
type scheme struct {
	name string
	c    Crypt
	stop string // the program that opens it, "" for none
}

func schemes(t *testing.T) []scheme {
	t.Helper()
	data, glass := identity(t), identity(t)
	return []scheme{
		{"none", Crypt{}, ""},
		{"age", Crypt{Scheme: "age", Recipients: []string{data.Recipient().String()}, BreakGlass: glass.Recipient().String(), Identities: opens(data)}, "age"},
		{"gpg", Crypt{Scheme: "gpg", Passphrase: phrase("correct horse battery staple\n")}, "gpg"},
		{"keeper", Crypt{Scheme: "age", Keeper: base64Keeper(1), BreakGlass: glass.Recipient().String()}, "age"},
	}
}

// base64Keeper is a real keeper whose key is made of n.
func base64Keeper(n byte) string {
	return "base64key://" + encodeURL(bytes.Repeat([]byte{n}, 32))
}

func TestEverySchemeComesBack(t *testing.T) {
	for _, tt := range schemes(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSource(t)
			v := cryptVault(t, dir, tt.c)
			var points []Manifest
			var contents [][]byte
			for i := range 3 {
				points = append(points, backup(t, v, s, BackupOptions{}))
				contents = append(contents, s.content())
				s.grow(10 * (i + 1))
			}
			if k := points[2].Kind; k != Incremental {
				t.Errorf("the third point is %s", k)
			}
			fresh := cryptVault(t, dir, tt.c)
			for i, m := range points {
				read, err := fresh.Get(t.Context(), m.Asset, m.ID)
				must(t, err)
				got, err := restoredBytes(t.Context(), fresh, read, filepath.Join(t.TempDir(), "out"))
				if err != nil || !bytes.Equal(got, contents[i]) {
					t.Errorf("point %d: %d bytes, want %d, %v", i, len(got), len(contents[i]), err)
				}
				for _, level := range Levels() {
					if r, err := fresh.Verify(t.Context(), read, lines{}, level, VerifyOptions{Reread: true}); err != nil || !r.Pass {
						t.Errorf("point %d, level %s: %v", i, level, err)
					}
				}
				for _, o := range read.Chain {
					if want := fmt.Sprintf("%s", tt.c.scheme()); o.Encryption.Scheme != want || (want != "none") != (o.KeyID != "") {
						t.Errorf("object %s: encryption %+v, key %q", o.Key, o.Encryption, o.KeyID)
					}
				}
			}
		})
	}
}
