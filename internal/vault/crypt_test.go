package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"lifeboat/internal/hint"
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
}

func schemes(t *testing.T) []scheme {
	t.Helper()
	data, glass := identity(t), identity(t)
	return []scheme{
		{"none", Crypt{}},
		{"age", Crypt{Scheme: "age", Recipients: []string{data.Recipient().String()}, BreakGlass: glass.Recipient().String(), Identities: opens(data)}},
		{"gpg", Crypt{Scheme: "gpg", Passphrase: phrase("correct horse battery staple\n")}},
		{"keeper", Crypt{Scheme: "age", Keeper: base64Keeper(1), BreakGlass: glass.Recipient().String()}},
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
					if want := tt.c.scheme(); o.Encryption.Scheme != want || (want != "none") != (o.KeyID != "") {
						t.Errorf("object %s: encryption %+v, key %q", o.Key, o.Encryption, o.KeyID)
					}
				}
			}
		})
	}
}

// Without a key, and with a wrong one, everything but the stored level is refused with an
// error of its own, and nothing is written down against the backup.
func TestNoKeyProvesNothing(t *testing.T) {
	stranger := identity(t)
	for _, tt := range schemes(t)[1:] {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSource(t)
			m := backup(t, cryptVault(t, dir, tt.c), s, BackupOptions{})
			if tt.name == "gpg" { // the objects alone must tell, too
				other := m
				other.Chain = []Object{m.Chain[0]}
				other.Chain[0].KeyID = ""
				v := cryptVault(t, dir, Crypt{Passphrase: phrase("wrong")})
				if err := v.fetch(t.Context(), other.Chain[0], filepath.Join(t.TempDir(), "x"), nil); !errors.Is(err, ErrWrongKey) || errors.Is(err, ErrDamaged) {
					t.Errorf("wrong passphrase, key not recorded: %v", err)
				}
				if _, _, err := v.keyFiles(t.Context(), other, t.TempDir()); !errors.Is(err, ErrWrongKey) {
					t.Errorf("wrong passphrase, key not recorded, for restore.sh: %v", err)
				}
			}
			for name, other := range map[string]struct {
				c    Crypt
				want error
			}{
				"no key":           {Crypt{}, ErrNoKey},
				"another identity": {Crypt{Identities: opens(stranger), Passphrase: phrase("wrong")}, ErrWrongKey},
				"another keeper":   {Crypt{Keeper: base64Keeper(2), Passphrase: phrase("wrong")}, nil},
			} {
				v := cryptVault(t, dir, other.c)
				if r, err := v.Verify(t.Context(), m, lines{}, LevelStored, VerifyOptions{}); err != nil || !r.Pass {
					t.Errorf("%s: stored: %v", name, err)
				}
				for _, level := range levels[1:] {
					r, err := v.Verify(t.Context(), m, lines{}, level, VerifyOptions{Reread: true})
					if err == nil || r.Point != "" || errors.Is(err, ErrDamaged) || other.want != nil && !errors.Is(err, other.want) {
						t.Errorf("%s: level %s: receipt of %q, %v", name, level, r.Point, err)
					}
					if other.want == nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrWrongKey) {
						t.Errorf("%s: level %s: %v", name, level, err)
					}
					if err != nil && len(hint.All(err)) == 0 {
						t.Errorf("%s: no advice: %v", name, err)
					}
				}
				if _, err := restoredBytes(t.Context(), v, m, filepath.Join(t.TempDir(), "out")); !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrWrongKey) {
					t.Errorf("%s: restore: %v", name, err)
				}
			}
			got, err := cryptVault(t, dir, tt.c).Receipts(t.Context(), m.Asset, m.ID)
			must(t, err)
			for _, r := range got {
				if !r.Pass {
					t.Errorf("a receipt of a missing key: %+v", r)
				}
			}
		})
	}
}

// The error says for whom the backup is encrypted and which of them is the break-glass key.
func TestNoKeySaysWhatOpens(t *testing.T) {
	dir := t.TempDir()
	data, glass := identity(t).Recipient().String(), identity(t).Recipient().String()
	v := cryptVault(t, dir, Crypt{Scheme: "age", Recipients: []string{data}, BreakGlass: glass})
	m := backup(t, v, newSource(t), BackupOptions{})
	_, err := restoredBytes(t.Context(), v, m, filepath.Join(t.TempDir(), "out"))
	for _, want := range []string{data, glass, keyID(data), "break-glass", m.Chain[0].Key} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if advice := strings.Join(hint.All(err), " "); !strings.Contains(advice, "encryption.identity") {
		t.Errorf("advice %q", advice)
	}
}

// Both recipients of age open it, the break-glass one too, without the other.
func TestBreakGlassOpens(t *testing.T) {
	dir := t.TempDir()
	data, glass := identity(t), identity(t)
	c := Crypt{Scheme: "age", Recipients: []string{data.Recipient().String()}, BreakGlass: glass.Recipient().String()}
	s := newSource(t)
	m := backup(t, cryptVault(t, dir, c), s, BackupOptions{})
	for _, id := range []*age.X25519Identity{data, glass} {
		got, err := restoredBytes(t.Context(), cryptVault(t, dir, Crypt{Identities: opens(identity(t), id)}), m, filepath.Join(t.TempDir(), "out"))
		if err != nil || !bytes.Equal(got, s.content()) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

func TestSecretAssetNeedsEncryption(t *testing.T) {
	dir := t.TempDir()
	s := newSource(t)
	a := s.asset()
	a.Secret = true
	if _, err := cryptVault(t, dir, Crypt{}).Backup(t.Context(), a, lines{}, BackupOptions{}); !errors.Is(err, ErrNotEncrypted) || len(hint.All(err)) == 0 {
		t.Errorf("error %v", err)
	}
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, "v1/a/") {
			t.Errorf("stored all the same: %s", name)
		}
	}
	if _, err := cryptVault(t, dir, schemes(t)[1].c).Backup(t.Context(), a, lines{}, BackupOptions{}); err != nil {
		t.Errorf("encrypted: %v", err)
	}
}

func TestCryptConfiguration(t *testing.T) {
	id := identity(t)
	r, secretKey := id.Recipient().String(), id.String()
	pq, err := age.GenerateHybridIdentity()
	must(t, err)
	mistyped := r[:len(r)-1] + "q"
	if mistyped == r {
		mistyped = r[:len(r)-1] + "p"
	}
	canary := encodeURL(bytes.Repeat([]byte{0xA7}, 31))
	for _, tt := range []struct {
		name, want string
		c          Crypt
		taboo      string
	}{
		{"unknown method", `unknown method "rot13"`, Crypt{Scheme: "rot13"}, ""},
		{"no recipient", "no recipient", Crypt{Scheme: "age", BreakGlass: r}, ""},
		{"empty recipient", "recipient 2 is no recipient", Crypt{Scheme: "age", Recipients: []string{r, ""}}, ""},
		{"mistyped recipient", mistyped, Crypt{Scheme: "age", Recipients: []string{mistyped}}, ""},
		{"identity for a recipient", "recipient 1 is an identity", Crypt{Scheme: "age", Recipients: []string{secretKey}}, secretKey},
		{"identity in lower case", "is an identity", Crypt{Scheme: "age", Recipients: []string{" " + strings.ToLower(secretKey)}}, strings.ToLower(secretKey)},
		{"identity for break-glass", "break-glass recipient is an identity", Crypt{Scheme: "age", Recipients: []string{r}, BreakGlass: secretKey}, secretKey},
		{"a password for a recipient", "is no recipient", Crypt{Scheme: "age", Recipients: []string{"hunter2hunter2"}}, "hunter2hunter2"},
		{"SSH key", "is an SSH key", Crypt{Scheme: "age", Recipients: []string{"ssh-ed25519 AAAAC3Nz"}}, ""},
		{"post-quantum recipient", "post-quantum", Crypt{Scheme: "age", Recipients: []string{pq.Recipient().String()}}, ""},
		{"break-glass among the others", "break-glass recipient too", Crypt{Scheme: "age", Recipients: []string{r}, BreakGlass: r}, ""},
		{"recipients of gpg", "gpg encrypts with a passphrase", Crypt{Scheme: "gpg", Recipients: []string{r}}, ""},
		{"keeper without a scheme", "keeper is no URL", Crypt{Scheme: "age", Keeper: "alias/backup"}, ""},
		{"unknown keeper", `unknown keeper "vault"`, Crypt{Scheme: "age", Keeper: "vault://hunter2"}, "hunter2"},
		{"hashivault", "module is older", Crypt{Scheme: "age", Keeper: "hashivault://key"}, ""},
		{"keeper without a key", "names no key", Crypt{Scheme: "age", Keeper: "awskms://"}, ""},
		{"short key", "base64key:// has no key", Crypt{Scheme: "age", Keeper: "base64key://" + canary}, canary},
		{"keeper for reading only", "unknown keeper", Crypt{Keeper: "x://y"}, ""},
	} {
		_, err := Open(t.Context(), "mem://", Options{Crypt: tt.c})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			continue
		}
		all := err.Error() + strings.Join(hint.All(err), " ")
		if tt.taboo != "" && strings.Contains(all, tt.taboo) {
			t.Errorf("%s: repeats a secret: %s", tt.name, all)
		}
		if len(hint.All(err)) == 0 {
			t.Errorf("%s: no advice: %v", tt.name, err)
		}
	}
	s := newSource(t)
	for name, c := range map[string]Crypt{"none": {Scheme: "gpg"}, "empty": {Scheme: "gpg", Passphrase: phrase("\nsecond line")}} {
		_, err := cryptVault(t, t.TempDir(), c).Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
		if !errors.Is(err, ErrNoKey) || len(hint.All(err)) == 0 {
			t.Errorf("passphrase %s: %v", name, err)
		}
	}
}

// Identities come out of files that people edit.
func TestIdentityFiles(t *testing.T) {
	id := identity(t)
	for name, tt := range map[string]struct{ text, want string }{
		"as age-keygen writes it": {"# created: today\n# public key: x\n" + id.String() + "\n", ""},
		"lines of DOS":            {"\r\n" + id.String() + "\r\n", ""},
		"a recipient":             {id.Recipient().String(), "line 1 is a recipient"},
		"cut off":                 {"#\n" + id.String()[:60], "line 2 is no identity"},
		"nothing":                 {"# nothing\n\n", "there is none"},
	} {
		_, err := parseIdentities(tt.text)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET-KEY-")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A machine that cannot decrypt makes increments out of its cache; without it, or when it
// was tampered with, the backup is full and says why.
func TestIndexCache(t *testing.T) {
	for _, tt := range schemes(t)[1:3] {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
			keyless := tt.c
			keyless.Identities = nil
			s := newSource(t)
			asset, now := AssetID(s.asset()), newClock().now
			take := func(c Crypt, want, inLog string) Manifest {
				t.Helper()
				s.grow(5)
				var log strings.Builder
				m := backup(t, cryptVault(t, dir, c, func(o *Options) { o.Cache, o.Now = cache, now }), s, BackupOptions{Log: &log})
				if m.Kind != want || !strings.Contains(log.String(), inLog) {
					t.Errorf("%s: %s, want %s with %q", m.Kind, &log, want, inLog)
				}
				return m
			}
			if tt.name == "gpg" { // whoever encrypts with a passphrase can also read
				take(keyless, Full, "first")
				take(keyless, Incremental, "")
				return
			}
			take(keyless, Full, "first")
			take(keyless, Incremental, "from the cache")
			m := take(keyless, Incremental, "from the cache")
			if cached := tree(t, filepath.Join(cache, asset)); len(cached) != cachedPoints+1 { // and the full one
				t.Errorf("cached are %v", cached)
			}
			must(t, filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
				must(t, err)
				info, err := d.Info()
				must(t, err)
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("others can read %s", path)
				}
				return nil
			}))
			if got, err := restoredBytes(t.Context(), cryptVault(t, dir, tt.c), m, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			path := filepath.Join(cache, asset, m.ID+"-reach.json")
			flip(t, path)
			m = take(keyless, Full, "the cache of this machine")
			must(t, os.Remove(filepath.Join(cache, asset, m.ID+"-reach.json")))
			m = take(keyless, Full, "does not have it")
			must(t, os.RemoveAll(cache))
			take(tt.c, Incremental, "") // with the key it needs no cache
			must(t, os.RemoveAll(cache))
			must(t, os.WriteFile(cache, nil, 0o600))
			take(tt.c, Incremental, "is not cached")
		})
	}
}

// Whoever is meant to read the new objects must be able to read all of the chain.
func TestChangedKeysBeginNewChain(t *testing.T) {
	dir := t.TempDir()
	s := newSource(t)
	a, b := identity(t), identity(t)
	ra, rb := a.Recipient().String(), b.Recipient().String()
	read, now := opens(a, b), newClock().now
	for i, tt := range []struct {
		c           Crypt
		kind, inLog string
	}{
		{Crypt{}, Full, "first"},
		{Crypt{}, Incremental, ""},
		{Crypt{Scheme: "age", Recipients: []string{ra, rb}, Identities: read}, Full, `of the encryption "none"`},
		{Crypt{Scheme: "age", Recipients: []string{rb, ra}, Identities: read}, Incremental, ""},
		{Crypt{Scheme: "age", Recipients: []string{ra}, Identities: read}, Incremental, ""},
		{Crypt{Scheme: "age", Recipients: []string{ra}, BreakGlass: rb, Identities: read}, Full, "cannot open it"},
		{Crypt{Scheme: "gpg", Passphrase: phrase("one")}, Full, `of "gpg"`},
		{Crypt{Scheme: "gpg", Passphrase: phrase("one\n")}, Incremental, ""},
		{Crypt{Scheme: "gpg", Passphrase: phrase("two")}, Full, "another passphrase"},
		{Crypt{}, Full, `of "none"`},
	} {
		s.grow(3)
		var log strings.Builder
		m := backup(t, cryptVault(t, dir, tt.c, func(o *Options) { o.Now = now }), s, BackupOptions{Log: &log})
		if m.Kind != tt.kind || !strings.Contains(log.String(), tt.inLog) {
			t.Errorf("step %d: %s: %s", i, m.Kind, &log)
		}
	}
}

// No secret is ever in the bucket, in an error or in a log.
func TestSecretsStayInside(t *testing.T) {
	data, stranger := identity(t), identity(t)
	const pass = "canary-passphrase-4711"
	dir := t.TempDir()
	var said strings.Builder
	taboo := []string{data.String(), stranger.String(), pass, strings.TrimPrefix(base64Keeper(1), "base64key://")}
	anyIdentity := regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{20}`)
	s := newSource(t)
	for _, c := range []Crypt{
		{Scheme: "age", Recipients: []string{data.Recipient().String()}, Keeper: base64Keeper(1), Identities: opens(stranger)},
		{Scheme: "gpg", Passphrase: phrase(pass)},
	} {
		v := cryptVault(t, dir, c)
		m := backup(t, v, s, BackupOptions{Log: &said})
		_, err := v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{Log: &said})
		fmt.Fprintln(&said, err)
		keys, err := v.Keys(t.Context())
		fmt.Fprintf(&said, "%+v %v\n", keys, err)
		k, err := v.RotateKey(t.Context())
		fmt.Fprintf(&said, "%+v %v\n", k, err)
		k, err = v.TestKey(t.Context(), secret.New(stranger.String()))
		fmt.Fprintf(&said, "%+v %v\n", k, err)
		for _, wrong := range []Crypt{{Identities: opens(stranger)}, {Passphrase: phrase(pass + "x")}, {Keeper: base64Keeper(2)}} {
			_, err := cryptVault(t, dir, wrong).Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{Log: &said})
			fmt.Fprintln(&said, err)
		}
	}
	texts := map[string]string{"what was said": said.String()}
	for _, name := range tree(t, dir) {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		texts[name] = string(raw)
	}
	for where, text := range texts {
		if anyIdentity.MatchString(text) {
			t.Errorf("an identity is in %s", where)
		}
		for _, secret := range taboo {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, where)
			}
		}
	}
}

// mirrored writes beside its chain another form of what it backs up.
type mirrored struct{ lines }

func (k mirrored) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	kind, facts, err := k.lines.Capture(ctx, source, parent, open, create, progress, log)
	if err != nil {
		return "", nil, err
	}
	w, err := create("mirror", "mirror.tar.gz")
	if err != nil {
		return "", nil, err
	}
	_, err = io.WriteString(w, "a form for people\n")
	return kind, facts, errors.Join(err, w.Close())
}

// A mirror is no part of the chain, is stored as it comes, and does not push out the index
// that the next increment needs.
func TestMirrorStandsAside(t *testing.T) {
	dir, now := t.TempDir(), newClock().now
	c := schemes(t)[1].c
	s := newSource(t)
	for i, want := range []string{Full, Unchanged, Incremental} {
		if want == Incremental {
			s.grow(1)
		}
		v := cryptVault(t, dir, c, func(o *Options) { o.Now = now })
		m, err := v.Backup(t.Context(), s.asset(), mirrored{}, BackupOptions{})
		must(t, err)
		roles := map[string]int{}
		for _, o := range m.Aux {
			roles[o.Role]++
			if o.Role == "mirror" && (o.Compression != "none" || !strings.HasSuffix(o.Key, "/mirror.tar.gz.age") || o.bareName() != "mirror.tar.gz") {
				t.Errorf("mirror %+v", o)
			}
		}
		if m.Kind != want || roles["mirror"] != 1 || roles["index"] != 1 || len(m.Chain) != 1+i/2 {
			t.Errorf("%s with %v beside a chain of %d", m.Kind, roles, len(m.Chain))
		}
		if r, err := v.Verify(t.Context(), m, mirrored{}, LevelRestored, VerifyOptions{}); err != nil || !r.Pass {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Without the stock program Lifeboat restores by itself and says so.
func TestRestoredWithoutAge(t *testing.T) {
	for _, tt := range schemes(t)[1:3] {
		v := cryptVault(t, t.TempDir(), tt.c)
		m := backup(t, v, newSource(t), BackupOptions{})
		bin, err := stockPath(filepath.Join(t.TempDir(), "bin"), lines{}.Needs())
		must(t, err)
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", bin)
			r, err := v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{})
			if err != nil || !r.Pass || !strings.HasPrefix(r.Way, "Lifeboat itself: ") || !strings.Contains(r.Way, tt.name) {
				t.Errorf("%q, %v", r.Way, err)
			}
		})
	}
}
