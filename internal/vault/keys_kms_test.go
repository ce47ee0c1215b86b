package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"

	"lifeboat/internal/hint"
)

// The keeper of Amazon, over HTTP with the real SDK.
func TestAmazonKeeper(t *testing.T) {
	kmsEnvironment(t)
	for name, f := range map[string]func(t *testing.T){
		"whole way": amazonWholeWay, "refuses": amazonRefuses, "may only encrypt": amazonMayOnlyEncrypt, "out of reach": amazonOutOfReach,
		"throttled": amazonThrottled, "foreign key": amazonForeignKey, "parameters": amazonParameters, "alias is moved": amazonMovedAlias,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

func amazonWholeWay(t *testing.T) {
	a, dir, scratch, now := newFakeKMS(t), t.TempDir(), t.TempDir(), newClock().now
	var log strings.Builder
	c := Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", ""), BreakGlass: identity(t).Recipient().String()}
	open := func(c Crypt) *Vault {
		return cryptVault(t, dir, c, func(o *Options) { o.Now, o.Scratch = now, scratch })
	}
	s := newSource(t)
	v := open(c)
	first := backup(t, v, s, BackupOptions{Log: &log})
	if n := len(a.met("Encrypt")); n != 1 || !strings.Contains(log.String(), "made key "+first.Chain[0].KeyID) {
		t.Errorf("%d wrapped at the first backup: %s", n, &log)
	}
	s.grow(3)
	second := backup(t, open(c), s, BackupOptions{Log: &log})
	if n := len(a.met("Encrypt")); n != 1 || second.Kind != Incremental || second.Chain[0].KeyID != first.Chain[0].KeyID {
		t.Errorf("second backup: %s, %d wrapped", second.Kind, n)
	}
	content := s.content()

	rotated, err := v.RotateKey(t.Context())
	must(t, err)
	if n := len(a.met("Encrypt")); n != 3 {
		t.Errorf("after the rotation %d were wrapped, want 3: the first, the new one, the first again", n)
	}
	s.grow(3)
	third := backup(t, v, s, BackupOptions{Log: &log})
	if third.Kind != Full || third.Chain[0].KeyID != rotated.ID {
		t.Errorf("after the rotation: %s for key %s", third.Kind, third.Chain[0].KeyID)
	}

	// Nothing but the keeper opens each of them.
	reader := open(Crypt{Keeper: c.Keeper})
	for _, tt := range []struct {
		m    Manifest
		want []byte
	}{{second, content}, {third, s.content()}} {
		got, err := restoredBytes(t.Context(), reader, tt.m, filepath.Join(t.TempDir(), "out"))
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("restore of %s: %d bytes, %v", tt.m.ID, len(got), err)
		}
		if r, err := reader.Verify(t.Context(), tt.m, lines{}, LevelRestored, VerifyOptions{Log: &log}); err != nil || !r.Pass {
			t.Errorf("verify of %s: %v", tt.m.ID, err)
		}
	}
	if n := len(a.met("Decrypt")); n > 12 {
		t.Errorf("%d requests to unwrap", n)
	}

	// So does what README-RESTORE.md says, with the bytes as they lie there.
	wraps := map[string]int{}
	for _, name := range tree(t, filepath.Join(dir, "v1", "keys")) {
		id := wrapOf(name)
		if id == "" {
			continue
		}
		wraps[id]++
		blob, err := os.ReadFile(filepath.Join(dir, "v1", "keys", name))
		must(t, err)
		ids, err := parseIdentities(string(a.byHand(t, blob)))
		if err != nil || len(ids) != 1 || keyID(ids[0].Recipient().String()) != id {
			t.Errorf("%s unwraps to %d identities, %v", name, len(ids), err)
		}
	}
	if wraps[first.Chain[0].KeyID] != 2 || wraps[rotated.ID] != 1 || len(wraps) != 2 {
		t.Errorf("wrapped: %v", wraps)
	}
	for _, top := range []string{dir, scratch} {
		for _, name := range tree(t, top) {
			raw, err := os.ReadFile(filepath.Join(top, name))
			must(t, err)
			a.discreet(t, name, string(raw))
		}
	}
	a.discreet(t, "the log", log.String())
}

// refused checks an error that follows from the keeper: it is short, names the keeper and
// the cause, has advice, and has no secret.
func (a *fakeKMS) refused(t *testing.T, what string, err error, keeper, cause string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	text := err.Error()
	if len(text) > 1500 || !strings.Contains(text, fmt.Sprintf("keeper %q", keeper)) || !strings.Contains(text, cause) || strings.Contains(text, "\n") {
		t.Errorf("%s: %v", what, err)
	}
	if !strings.Contains(strings.Join(hint.All(err), "\n"), "AWS_PROFILE") {
		t.Errorf("%s: no advice: %v", what, err)
	}
	a.discreet(t, what, text+strings.Join(hint.All(err), "\n"))
}

// provesNothing checks that a handle cannot read a point, for a cause, and that nothing is
// written down against the point.
func (a *fakeKMS) provesNothing(t *testing.T, v *Vault, m Manifest, cause string) {
	t.Helper()
	_, err := restoredBytes(t.Context(), v, m, filepath.Join(t.TempDir(), "out"))
	errs := map[string]error{"restore": err}
	for _, level := range levels[1:] {
		var log strings.Builder
		r, err := v.Verify(t.Context(), m, lines{}, level, VerifyOptions{Reread: true, Log: &log})
		errs[string(level)] = err
		if r.Point != "" {
			t.Errorf("level %s: a receipt: %+v", level, r)
		}
		a.discreet(t, "the log", log.String())
	}
	for what, err := range errs {
		if !errors.Is(err, ErrNoKey) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), cause) || len(err.Error()) > 2500 || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			a.discreet(t, what, err.Error())
		}
	}
	if rs, err := v.Receipts(t.Context(), m.Asset, m.ID); err != nil || len(rs) != 0 {
		t.Errorf("receipts %+v, %v", rs, err)
	}
}

func amazonRefuses(t *testing.T) {
	a := newFakeKMS(t)
	keeper := a.keeper("alias/backup", "")
	c := Crypt{Scheme: "age", Keeper: keeper}
	s := newSource(t)
	for _, name := range []string{"AccessDeniedException", "NotFoundException", "DisabledException", "KMSInvalidStateException"} {
		dir := t.TempDir()
		v := cryptVault(t, dir, c)
		a.set(func(kmsCall) string { return name })
		_, err := v.Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
		a.refused(t, name, err, keeper, name)
		if n := len(a.met("")); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
		for _, o := range tree(t, dir) {
			if strings.HasPrefix(o, "v1/a/") || strings.HasPrefix(o, "v1/keys/") {
				t.Errorf("%s: %s is stored", name, o)
			}
		}

		a.set(nil)
		m := backup(t, v, s, BackupOptions{}) // by the same handle
		a.set(func(kmsCall) string { return name })
		a.provesNothing(t, cryptVault(t, dir, Crypt{Keeper: keeper}), m, name)
		if n := len(a.met("")); n == 0 || n > len(levels) {
			t.Errorf("%s: %d requests to read", name, n)
		}
		a.set(nil)
	}

	// A blob that is damaged, and what is too long for the real one.
	dir := t.TempDir()
	m := backup(t, cryptVault(t, dir, c), s, BackupOptions{})
	keys := filepath.Join(dir, "v1", "keys")
	for _, name := range tree(t, keys) {
		if wrapOf(name) != "" {
			flip(t, filepath.Join(keys, name))
		}
	}
	reader := cryptVault(t, dir, Crypt{Keeper: keeper})
	a.provesNothing(t, reader, m, "InvalidCiphertextException")
	if _, err := reader.unwrap(t.Context(), m.Chain[0].Encryption.Recipients); err == nil || len(hint.All(err)) != 0 {
		t.Errorf("advice that does not help with damage: %q, %v", hint.All(err), err)
	}
	err := cryptVault(t, t.TempDir(), c).withKeeper(t.Context(), false, func(ctx context.Context, k *secrets.Keeper) error {
		_, err := k.Encrypt(ctx, make([]byte, 4097))
		return err
	})
	a.refused(t, "4097 bytes", err, keeper, "ValidationException")
	a.set(nil)
	missing := a.keeper("alias/absent", "")
	_, err = cryptVault(t, t.TempDir(), Crypt{Scheme: "age", Keeper: missing}).Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
	if a.refused(t, "no such key", err, missing, "NotFoundException"); gcerrors.Code(err) != gcerrors.NotFound || len(a.met("")) != 1 {
		t.Errorf("no such key: %d requests, %v", len(a.met("")), err)
	}
}

// A machine that makes backups needs no right to decrypt, and recognises its key by its
// own signature.
func amazonMayOnlyEncrypt(t *testing.T) {
	a, dir, now := newFakeKMS(t), t.TempDir(), newClock().now
	a.set(func(c kmsCall) string {
		if c.action == "Decrypt" {
			return "AccessDeniedException"
		}
		return ""
	})
	signer := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	c := Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", "")}
	s := newSource(t)
	var made []string
	for range 2 {
		v := cryptVault(t, dir, c, func(o *Options) { o.Now, o.Sign = now, signer })
		m := backup(t, v, s, BackupOptions{Full: true})
		made = append(made, m.Chain[0].KeyID)
		a.provesNothing(t, v, m, "AccessDeniedException")
	}
	if made[0] != made[1] || len(a.met("Encrypt")) != 1 {
		t.Errorf("keys %v, %d wrapped", made, len(a.met("Encrypt")))
	}
}

func amazonOutOfReach(t *testing.T) {
	// Nobody listens.
	gone := &fakeKMS{Server: &httptest.Server{URL: "http://127.0.0.1:1"}}
	keeper := gone.keeper("alias/backup", "")
	s := newSource(t)
	start := time.Now()
	_, err := cryptVault(t, t.TempDir(), Crypt{Scheme: "age", Keeper: keeper}).Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
	gone.refused(t, "closed port", err, keeper, "refused")
	if took := time.Since(start); took > keeperPatience/2 {
		t.Errorf("a closed port took %s", took)
	}

	// Somebody listens and hangs up. The key was wrapped several times, and one try tells
	// enough.
	a, dir, now := newFakeKMS(t), t.TempDir(), newClock().now
	c := Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", "")}
	open := func() *Vault { return cryptVault(t, dir, c, func(o *Options) { o.Now = now }) }
	v := open()
	m := backup(t, v, s, BackupOptions{})
	for range 2 {
		_, err := v.RotateKey(t.Context())
		must(t, err)
	}
	before := tree(t, filepath.Join(dir, "v1", "keys"))
	a.set(func(c kmsCall) string {
		if c.action == "Decrypt" {
			return "hang up"
		}
		return ""
	})
	_, err = restoredBytes(t.Context(), open(), m, filepath.Join(t.TempDir(), "out"))
	if n := len(a.met("")); n != kmsCount || !errors.Is(err, ErrNoKey) {
		t.Errorf("restore after %d requests: %v", n, err)
	}
	a.set(a.fault)
	_, err = open().Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
	if a.refused(t, "backup", err, c.Keeper, "EOF"); len(a.met("")) != kmsCount {
		t.Errorf("backup: %d requests: %v", len(a.met("")), err)
	}
	if after := tree(t, filepath.Join(dir, "v1", "keys")); !slices.Equal(before, after) {
		t.Errorf("a key was made because nobody answered: %v", after)
	}
	a.provesNothing(t, open(), m, "EOF")
}

func amazonThrottled(t *testing.T) {
	a := newFakeKMS(t)
	left := 1
	a.set(func(c kmsCall) string {
		if left--; left >= 0 {
			return "ThrottlingException"
		}
		return ""
	})
	v := cryptVault(t, t.TempDir(), Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", "")})
	backup(t, v, newSource(t), BackupOptions{})
	if n := len(a.met("Encrypt")); n != 2 {
		t.Errorf("%d requests to wrap, want the throttled one and its repetition", n)
	}
}

// Somebody who can write to the bucket has a key of his own in the service, with which
// this machine may decrypt: a Decrypt that names no key would open what he has wrapped.
func amazonForeignKey(t *testing.T) {
	a, dir, now := newFakeKMS(t), t.TempDir(), newClock().now
	c := Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", "")}
	open := func(c Crypt) *Vault { return cryptVault(t, dir, c, func(o *Options) { o.Now = now }) }
	s := newSource(t)
	first := backup(t, open(c), s, BackupOptions{})
	own := first.Chain[0].KeyID
	evil := open(Crypt{Scheme: "age", Keeper: a.keeper(kmsTwo, "")})
	id := identity(t)
	must(t, evil.wrap(t.Context(), id))
	r := id.Recipient().String()
	d := evil.newKeyDoc(keyID(r), schemeAge, roleData)
	d.Recipient, d.Keeper = r, shownKeeper(c.Keeper)
	must(t, evil.putDoc(t.Context(), keysPrefix+d.ID+".json", &d, &d.Sig))

	v := open(c)
	if _, err := v.unwrap(t.Context(), []string{r}); err != nil {
		t.Errorf("for reading it is welcome: %v", err)
	}
	if m := backup(t, v, s, BackupOptions{Full: true}); m.Chain[0].KeyID != own || slices.Contains(m.Chain[0].Encryption.Recipients, r) {
		t.Errorf("encrypted for %v", m.Chain[0].Encryption.Recipients)
	}
	rotated, err := v.RotateKey(t.Context())
	if err == nil || !strings.Contains(err.Error(), d.ID+" was not wrapped again") || strings.Contains(err.Error(), own) {
		t.Errorf("rotation: %v", err)
	}
	if m := backup(t, open(c), s, BackupOptions{Full: true}); m.Chain[0].KeyID != rotated.ID {
		t.Errorf("after the rotation encrypted for %v", m.Chain[0].Encryption.Recipients)
	}
}

// An alias is pointed at another key, as a rotation by hand does: what the former key has
// wrapped is still read, and a rotation wraps it by the new one.
func amazonMovedAlias(t *testing.T) {
	a, dir, now := newFakeKMS(t), t.TempDir(), newClock().now
	signer := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	c := Crypt{Scheme: "age", Keeper: a.keeper("alias/backup", "")}
	open := func(c Crypt) *Vault {
		return cryptVault(t, dir, c, func(o *Options) { o.Now, o.Sign = now, signer })
	}
	s := newSource(t)
	m := backup(t, open(c), s, BackupOptions{})
	a.mu.Lock()
	a.aliases["alias/backup"] = kmsTwo
	a.mu.Unlock()
	v := open(c)
	if _, err := v.RotateKey(t.Context()); err != nil {
		t.Errorf("rotation: %v", err)
	}
	a.mu.Lock()
	delete(a.keys, kmsOne)
	a.mu.Unlock()
	if got, err := restoredBytes(t.Context(), open(Crypt{Keeper: c.Keeper}), m, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
		t.Errorf("restore without the former key: %v", err)
	}
}

func amazonParameters(t *testing.T) {
	a := newFakeKMS(t)
	s := newSource(t)
	arn := "arn:aws:kms:eu-west-1:111122223333:key/" + kmsTwo
	endpoint := "&endpoint=" + url.QueryEscape(a.URL)
	for name, tt := range map[string]struct {
		url  string
		want kmsCall
	}{
		"environment": {a.keeper("alias/backup", ""), kmsCall{"Encrypt", "alias/backup", "AKIDTEST", "eu-west-1"}},
		"profile":     {"awskms://" + kmsOne + "?profile=vault" + endpoint, kmsCall{"Encrypt", kmsOne, "AKIDPROFILE", "us-west-2"}},
		"both":        {"awskms://" + kmsOne + "?profile=vault&region=eu-west-1" + endpoint, kmsCall{"Encrypt", kmsOne, "AKIDPROFILE", "eu-west-1"}},
		"ARN":         {"awskms:///" + arn + "?region=eu-west-1" + endpoint, kmsCall{"Encrypt", arn, "AKIDTEST", "eu-west-1"}},
		"context":     {a.keeper("alias/backup", "&context_purpose=backup&context_team=sre"), kmsCall{"Encrypt", "alias/backup", "AKIDTEST", "eu-west-1"}},
	} {
		dir := t.TempDir()
		a.set(nil)
		m := backup(t, cryptVault(t, dir, Crypt{Scheme: "age", Keeper: tt.url}), s, BackupOptions{})
		if got := a.met("Encrypt"); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		if _, err := restoredBytes(t.Context(), cryptVault(t, dir, Crypt{Keeper: tt.url}), m, filepath.Join(t.TempDir(), "out")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "context" { // it belongs to what is wrapped
			a.provesNothing(t, cryptVault(t, dir, Crypt{Keeper: a.keeper("alias/backup", "&context_purpose=backup")}), m, "InvalidCiphertextException")
		}
	}
	for name, tt := range map[string]struct{ url, shown, cause string }{
		"unknown":      {a.keeper("alias/backup", "&regoin=x"), "", `unknown query parameter "regoin"`},
		"no profile":   {a.keeper("alias/backup", "&profile=absent"), "", "absent"},
		"no region":    {"awskms://alias/backup", "", "egion"},
		"context":      {a.keeper("alias/backup", "&context_a=1&context_a=2"), "", `parameter "context_a" has 2 values`},
		"a credential": {"awskms:///" + arn + "?region=eu-west-1&token=" + kmsCanary, "awskms:///" + arn + "?region=eu-west-1", `unknown query parameter "token"`},
	} {
		a.set(nil)
		_, err := cryptVault(t, t.TempDir(), Crypt{Scheme: "age", Keeper: tt.url}).Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
		a.refused(t, name, err, cmp.Or(tt.shown, tt.url), tt.cause)
		if n := len(a.met("")); n != 0 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}
