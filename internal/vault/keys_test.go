package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"
	"gocloud.dev/secrets/driver"

	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

func encodeURL(b []byte) string { return base64.URLEncoding.EncodeToString(b) }

// find gives the key of an id.
func find(keys []Key, id string) Key {
	for _, k := range keys {
		if k.ID == id {
			return k
		}
	}
	return Key{}
}

func TestKeysSayWhichBackupsNeedThem(t *testing.T) {
	dir, now := t.TempDir(), newClock().now
	s := newSource(t)
	a, b, glass := identity(t), identity(t), identity(t)
	ra, rb, rg := a.Recipient().String(), b.Recipient().String(), glass.Recipient().String()
	open := func(c Crypt) *Vault { return cryptVault(t, dir, c, func(o *Options) { o.Now = now }) }
	make := func(c Crypt) Manifest {
		s.grow(2)
		return backup(t, open(c), s, BackupOptions{})
	}
	make(Crypt{})
	make(Crypt{Scheme: "age", Recipients: []string{ra}, Identities: opens(a)})
	second := make(Crypt{Scheme: "age", Recipients: []string{ra}, Identities: opens(a)})
	third := make(Crypt{Scheme: "age", Recipients: []string{rb}, BreakGlass: rg})
	gpg := make(Crypt{Scheme: "gpg", Passphrase: phrase("one")})
	next := identity(t).Recipient().String()
	v := open(Crypt{Scheme: "age", Recipients: []string{rb, next}, BreakGlass: rg})
	keys, err := v.Keys(t.Context())
	must(t, err)
	if len(keys) != 5 {
		t.Errorf("%d keys: %+v", len(keys), keys)
	}
	for name, tt := range map[string]struct {
		id, role string
		points   int
		newest   Manifest
		active   bool
	}{
		"old":         {keyID(ra), "data", 2, second, false},
		"current":     {keyID(rb), "data", 1, third, true},
		"break-glass": {keyID(rg), "break-glass", 1, third, true},
		"not yet":     {keyID(next), "data", 0, Manifest{}, true},
		"passphrase":  {gpg.Chain[0].KeyID, "data", 1, gpg, false},
	} {
		k := find(keys, tt.id)
		if k.Role != tt.role || k.Points != tt.points || !k.Newest.Equal(tt.newest.Cut) || k.Active != tt.active || !k.Tested.IsZero() || k.Created.IsZero() != (tt.points == 0) {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if last := keys[len(keys)-1]; last.ID != keyID(rg) {
		t.Errorf("the list ends with %+v", last)
	}
	// Without a break-glass recipient the list says so.
	keys, err = open(Crypt{Scheme: "age", Recipients: []string{rb}}).Keys(t.Context())
	if last := keys[len(keys)-1]; err != nil || last.ID != "" || last.Role != "break-glass" || last.Active {
		t.Errorf("the list ends with %+v, %v", last, err)
	}
	keys, err = open(Crypt{Scheme: "gpg", Passphrase: phrase("one")}).Keys(t.Context())
	if k := find(keys, gpg.Chain[0].KeyID); err != nil || !k.Active {
		t.Errorf("the passphrase in use: %+v, %v", k, err)
	}

	// What cannot be read hides nothing else.
	must(t, os.WriteFile(filepath.Join(dir, "v1", "keys", keyID(ra)+".json"), []byte("{"), 0o600))
	keys, err = v.Keys(t.Context())
	if k := find(keys, keyID(ra)); !errors.Is(err, ErrDamaged) || k.Points != 2 || !k.Created.IsZero() || len(keys) != 5 {
		t.Errorf("damaged document: %+v, %v", k, err)
	}
}

// The break-glass identity is tried on the newest object that was encrypted for it.
func TestKeyIsTested(t *testing.T) {
	dir := t.TempDir()
	data, glass := identity(t), identity(t)
	rg := glass.Recipient().String()
	v := cryptVault(t, dir, Crypt{Scheme: "age", Recipients: []string{data.Recipient().String()}, BreakGlass: rg})
	m := backup(t, v, newSource(t), BackupOptions{})
	tested, err := v.TestKey(t.Context(), secret.New(glass.String()))
	if err != nil || tested.ID != keyID(rg) || tested.Tested.IsZero() || tested.Points != 1 {
		t.Errorf("test: %+v, %v", tested, err)
	}
	keys, err := v.Keys(t.Context())
	if k := find(keys, keyID(rg)); err != nil || !k.Tested.Equal(tested.Tested) {
		t.Errorf("after the test: %+v, %v", k, err)
	}
	for name, tt := range map[string]struct {
		identity string
		want     error
	}{
		"stranger": {identity(t).String(), ErrWrongKey}, "no identity": {"hunter2", nil}, "two": {data.String() + "\n" + glass.String(), nil},
	} {
		_, err := v.TestKey(t.Context(), secret.New(tt.identity))
		if err == nil || !errors.Is(err, tt.want) && tt.want != nil || len(hint.All(err)) == 0 || strings.Contains(err.Error(), tt.identity) {
			t.Errorf("test of %s: %v", name, err)
		}
	}
	flip(t, filepath.Join(dir, filepath.FromSlash(m.Chain[0].Key)))
	if _, err := v.TestKey(t.Context(), secret.New(glass.String())); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrWrongKey) {
		t.Errorf("test on a damaged object: %v", err)
	}
}

func TestRotation(t *testing.T) {
	dir, now := t.TempDir(), newClock().now
	s := newSource(t)
	c := Crypt{Scheme: "age", Keeper: base64Keeper(1), BreakGlass: identity(t).Recipient().String()}
	open := func(c Crypt) *Vault { return cryptVault(t, dir, c, func(o *Options) { o.Now = now }) }
	v := open(c)
	first := backup(t, v, s, BackupOptions{})
	s.grow(1)
	if m := backup(t, open(c), s, BackupOptions{}); m.Kind != Incremental || m.Chain[0].KeyID != first.Chain[0].KeyID {
		t.Errorf("another handle made another key: %s, %s", m.Kind, m.Chain[0].KeyID)
	}
	before, err := v.Keys(t.Context())
	must(t, err)
	k, err := v.RotateKey(t.Context())
	if err != nil || !k.Active || k.ID == first.Chain[0].KeyID || strings.Contains(k.Keeper, strings.TrimPrefix(c.Keeper, "base64key://")) {
		t.Fatalf("rotated to %+v, %v", k, err)
	}
	s.grow(1)
	second := backup(t, v, s, BackupOptions{})
	if second.Kind != Full || second.Chain[0].KeyID != k.ID {
		t.Errorf("after the rotation: %s, key %s", second.Kind, second.Chain[0].KeyID)
	}
	keys, err := open(c).Keys(t.Context())
	old := find(keys, first.Chain[0].KeyID)
	if err != nil || old.Active || old.Points != 2 || !find(keys, k.ID).Active || len(keys) != len(before)+1 {
		t.Errorf("keys %+v, %v", keys, err)
	}
	var wraps int
	for _, name := range tree(t, filepath.Join(dir, "v1", "keys")) {
		if wrapOf(name) == old.ID {
			wraps++
		}
	}
	if wraps != 2 {
		t.Errorf("the old identity is wrapped %d times, want 2", wraps)
	}
	for _, m := range []Manifest{first, second} {
		if _, err := restoredBytes(t.Context(), open(Crypt{Keeper: c.Keeper}), m, filepath.Join(t.TempDir(), "out")); err != nil {
			t.Errorf("restore by the keeper alone: %v", err)
		}
	}

	// The keeper itself is replaced: the new one knows the old identities once somebody
	// gives them.
	moved := c
	moved.Keeper = base64Keeper(2)
	if k, err = open(moved).RotateKey(t.Context()); err == nil || k.ID == "" || !strings.Contains(err.Error(), old.ID) || len(hint.All(err)) == 0 {
		t.Errorf("rotation by a keeper that opens nothing: %+v, %v", k, err)
	}
	holder := open(c)
	var ids []*age.X25519Identity
	for _, key := range keys[:2] {
		id, err := holder.unwrap(t.Context(), []string{key.Recipient})
		must(t, err)
		ids = append(ids, id)
	}
	moved.Identities = opens(ids...)
	v = open(moved)
	if _, err := v.RotateKey(t.Context()); err != nil {
		t.Errorf("rotation with the old identities: %v", err)
	}
	for _, m := range []Manifest{first, second} {
		if _, err := restoredBytes(t.Context(), open(Crypt{Keeper: moved.Keeper}), m, filepath.Join(t.TempDir(), "out")); err != nil {
			t.Errorf("restore by the new keeper alone: %v", err)
		}
	}

	_, err = open(Crypt{Scheme: "age", Recipients: []string{k.Recipient}}).RotateKey(t.Context())
	if err == nil || len(hint.All(err)) == 0 {
		t.Errorf("rotation without a keeper: %v", err)
	}
}

// A key made while the clock was wrong does not stay the newest for ever.
func TestRotationUnderAWrongClock(t *testing.T) {
	dir := t.TempDir()
	c := Crypt{Scheme: "age", Keeper: base64Keeper(1)}
	late := func() time.Time { return time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) }
	s := newSource(t)
	backup(t, cryptVault(t, dir, c, func(o *Options) { o.Now = late }), s, BackupOptions{})
	v := cryptVault(t, dir, c)
	k, err := v.RotateKey(t.Context())
	must(t, err)
	if m := backup(t, v, s, BackupOptions{Full: true}); m.Chain[0].KeyID != k.ID {
		t.Errorf("encrypted for %s, rotated to %s", m.Chain[0].KeyID, k.ID)
	}
}

// Somebody who can write to the bucket cannot have backups encrypted for a key of his.
func TestForeignKeyIsNotUsed(t *testing.T) {
	signer := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	for name, sign := range map[string]ed25519.PrivateKey{"not signed": nil, "signed": signer} {
		t.Run(name, func(t *testing.T) {
			dir, now := t.TempDir(), newClock().now
			c := Crypt{Scheme: "age", Keeper: base64Keeper(1)}
			open := func() *Vault {
				return cryptVault(t, dir, c, func(o *Options) { o.Now, o.Sign = now, sign })
			}
			s := newSource(t)
			own := backup(t, open(), s, BackupOptions{}).Chain[0].KeyID
			evil := identity(t)
			r := evil.Recipient().String()
			d := keyDoc{Format: keyFormat, ID: keyID(r), Scheme: "age", Role: "data", Recipient: r, Keeper: shownKeeper(c.Keeper), Created: now().Add(time.Hour)}
			raw, err := json.Marshal(d)
			must(t, err)
			keys := filepath.Join(dir, "v1", "keys")
			must(t, os.WriteFile(filepath.Join(keys, d.ID+".json"), raw, 0o600))
			must(t, os.WriteFile(filepath.Join(keys, d.ID+"."+stamp(d.Created)+".kms"), []byte(evil.String()), 0o600))
			var log strings.Builder
			m := backup(t, open(), s, BackupOptions{Full: true, Log: &log})
			if o := m.Chain[0]; o.KeyID != own || len(o.Encryption.Recipients) != 1 || o.Encryption.Recipients[0] == r {
				t.Errorf("encrypted for %v", o.Encryption.Recipients)
			}
			if !strings.Contains(log.String(), d.ID) {
				t.Errorf("nothing is said of key %s: %s", d.ID, &log)
			}
		})
	}
}

// A crash between the writes of a new key leaves garbage that nothing is encrypted for.
func TestCrashWhileMakingAKey(t *testing.T) {
	for _, ending := range []string{".json", ".kms.json"} {
		dir, now := t.TempDir(), newClock().now
		c := Crypt{Scheme: "age", Keeper: base64Keeper(1)}
		s := newSource(t)
		open := func() *Vault { return cryptVault(t, dir, c, func(o *Options) { o.Now = now }) }
		lost := backup(t, open(), s, BackupOptions{}).Chain[0].KeyID
		for _, name := range tree(t, filepath.Join(dir, "v1", "keys")) { // as if the last writes had not been made
			if name == lost+".json" || ending == ".kms.json" && strings.HasSuffix(name, ending) {
				must(t, os.Remove(filepath.Join(dir, "v1", "keys", name)))
			}
		}
		s.grow(1)
		m := backup(t, open(), s, BackupOptions{Full: true})
		if m.Chain[0].KeyID == lost {
			t.Errorf("%s: encrypted for a key without a document", ending)
		}
		if got, err := restoredBytes(t.Context(), open(), m, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
			t.Errorf("%s: %v", ending, err)
		}
		keys, err := open().Keys(t.Context())
		if k := find(keys, lost); err != nil || k.Points != 1 || k.Active {
			t.Errorf("%s: %+v, %v", ending, k, err)
		}
	}
}

// Every write of a document of a key fails, stored and not stored. Afterwards the vault
// goes on, and what was made opens.
func TestKeyDocumentsFailBothWays(t *testing.T) {
	for _, kind := range []fault{notStored, thoughSaved, shortWrite, shortFail} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			sweep(t, kind, false, func(t *testing.T, f *faulty) {
				below := memStore()
				o := Options{Now: newClock().now, Host: "test", Pause: time.Microsecond, Scratch: t.TempDir(), Crypt: Crypt{Scheme: "age", Keeper: base64Keeper(1)}}
				s := newSource(t)
				first := backup(t, newVault("test", below, o), s, BackupOptions{})
				f.store = below
				v := newVault("test", f, o)
				rotated, rerr := v.RotateKey(t.Context())
				healthy := newVault("test", below, o)
				m := backup(t, healthy, s, BackupOptions{Full: true})
				if rotated.ID != "" && m.Chain[0].KeyID != rotated.ID {
					t.Errorf("rotated to %s, and encrypted for %s", rotated.ID, m.Chain[0].KeyID)
				}
				if f.fired && kind != thoughSaved && rerr == nil {
					t.Error("the rotation has not noticed")
				}
				for _, m := range []Manifest{first, m} {
					if got, err := replayedBytes(t.Context(), newVault("test", below, o), m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
						t.Errorf("point %s: %v", m.ID, err)
					}
				}
				if _, err := healthy.TestKey(t.Context(), secret.New(unwrapped(t, healthy, m).String())); err != nil {
					t.Errorf("test: %v", err)
				}
			})
		})
	}
}

func unwrapped(t *testing.T, v *Vault, m Manifest) *age.X25519Identity {
	t.Helper()
	id, err := v.unwrap(t.Context(), m.Chain[0].Encryption.Recipients)
	must(t, err)
	return id
}

func FuzzKeyDocument(f *testing.F) {
	const r = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	for _, d := range []keyDoc{
		{Format: keyFormat, ID: keyID(r), Scheme: "age", Role: "data", Recipient: r, Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Format: keyFormat, ID: "gpg-0123456789abcdef", Scheme: "gpg", Role: "data", Check: []byte("x"), Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		raw, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := parseKeyDoc(raw, d.ID); err != nil {
			f.Fatalf("a proper document: %v", err)
		}
		f.Add(raw, d.ID)
	}
	f.Fuzz(func(t *testing.T, raw []byte, id string) {
		d, err := parseKeyDoc(raw, id)
		if err != nil {
			if !Unusable(err) {
				t.Errorf("error without a cause: %v", err)
			}
			return
		}
		if d.ID != id || d.Scheme == "age" && keyID(d.Recipient) != id {
			t.Errorf("%+v", d)
		}
	})
}

// refusing is the driver of a keeper that may only encrypt.
type refusing struct {
	driver.Keeper
	err  error
	code gcerrors.ErrorCode
}

func (r refusing) Decrypt(context.Context, []byte) ([]byte, error) { return nil, r.err }
func (r refusing) ErrorCode(error) gcerrors.ErrorCode              { return r.code }

type awsError struct{ error }

func (awsError) ErrorCode() string { return "AccessDeniedException" }

func TestDenied(t *testing.T) {
	fault := errors.New("no")
	for name, tt := range map[string]struct {
		r    refusing
		want bool
	}{
		"by its code":                   {refusing{err: fault, code: gcerrors.PermissionDenied}, true},
		"by Amazon":                     {refusing{err: awsError{fault}, code: gcerrors.Unknown}, true},
		"the service is not there":      {refusing{err: fault, code: gcerrors.Internal}, false},
		"it is another key's":           {refusing{err: fault, code: gcerrors.InvalidArgument}, false},
		"it cannot be told what it was": {refusing{err: fault, code: gcerrors.Unknown}, false},
	} {
		k := secrets.NewKeeper(tt.r)
		if _, err := k.Decrypt(t.Context(), nil); denied(fmt.Errorf("keeper: %w", err)) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShownKeeper(t *testing.T) {
	for raw, want := range map[string]string{
		"awskms://alias/backup?region=eu-west-1":                "awskms://alias/backup?region=eu-west-1",
		"awskms://user:hunter2@alias/backup?token=hunter2":      "awskms://alias/backup",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys": "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys",
	} {
		if got := shownKeeper(raw); got != want {
			t.Errorf("%s is shown as %s", raw, got)
		}
	}
	one, two := shownKeeper(base64Keeper(1)), shownKeeper(base64Keeper(2))
	if one == two || strings.Contains(one, base64Keeper(1)[12:20]) {
		t.Errorf("%s and %s", one, two)
	}
	raw := base64Keeper(1)
	u, err := url.Parse(raw)
	must(t, err)
	if got := masked(fmt.Errorf("open %s: host %s", u, u.Host), raw, u).Error(); strings.Contains(got, u.Host) {
		t.Errorf("an error repeats the key: %s", got)
	}
}
