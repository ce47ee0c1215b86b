package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Ciphertext that was cut or changed anywhere is never taken for the backup: neither when
// the manifest tells so, nor when whoever changed it has written the manifest as well.
func TestDamagedCiphertext(t *testing.T) {
	for _, tt := range schemes(t)[1:3] {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := cryptVault(t, dir, tt.c)
			m := backup(t, v, newSource(t), BackupOptions{})
			o := m.Chain[0]
			path := filepath.Join(dir, filepath.FromSlash(o.Key))
			sound, err := os.ReadFile(path)
			must(t, err)
			check := func(what, want string, data []byte) {
				t.Helper()
				must(t, os.WriteFile(path, data, 0o600))
				if err := v.fetch(t.Context(), o, filepath.Join(t.TempDir(), "x"), nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", what, err)
				}
				key, err := v.keyFor(t.Context(), o)
				must(t, err)
				forged := o
				forged.Size, forged.SHA256 = int64(len(data)), hashOf(data)
				r := newPlainReader(forged, bytes.NewReader(data), io.NopCloser(nil), &lazyCrypt{key: key})
				plain, err := io.ReadAll(r)
				if cerr := r.Close(); err == nil || cerr == nil || !errors.Is(cerr, ErrDamaged) && !errors.Is(cerr, ErrWrongKey) {
					t.Errorf("%s, manifest changed as well: %d bytes, %v, %v", what, len(plain), err, cerr)
				}
			}
			for at := 0; at < len(sound); at += 64 {
				data := bytes.Clone(sound)
				data[at] ^= 0x20
				check(fmt.Sprintf("flipped at %d of %d", at, len(sound)), "altered", data)
				check(fmt.Sprintf("cut at %d of %d", at, len(sound)), "truncated", sound[:at])
			}
			check("cut by one byte", "truncated", sound[:len(sound)-1])
			check("appended to", "more than the recorded", append(bytes.Clone(sound), 0))
			must(t, os.WriteFile(path, sound[:len(sound)/2], 0o600))
			if r, err := v.Verify(t.Context(), m, lines{}, LevelChecked, VerifyOptions{}); !errors.Is(err, ErrDamaged) || r.Pass || r.Point == "" {
				t.Errorf("verify: %+v, %v", r, err)
			}
			must(t, os.WriteFile(path, sound, 0o600))
			if r, err := v.Verify(t.Context(), m, lines{}, LevelChecked, VerifyOptions{}); err != nil || !r.Pass {
				t.Errorf("mended, and yet %v", err)
			}
		})
	}
}

// Whatever happens to one request while encrypted points are made with a keeper: what is
// listed can be opened by a machine that has nothing but the bucket and the keeper.
func TestFaultsDuringEncryptedBackup(t *testing.T) {
	for _, kind := range []fault{notStored, thoughSaved, shortWrite, shortFail, flipOnRead, cutOnRead, errOnRead, late, listFails} {
		for _, c := range []Crypt{{Scheme: "age", Keeper: base64Keeper(1), work: cheap}, {Scheme: "gpg", Passphrase: phrase("p"), work: cheap}} {
			t.Run(fmt.Sprintf("%s, %s", c.Scheme, kind), func(t *testing.T) {
				t.Parallel()
				sweep(t, kind, false, func(t *testing.T, f *faulty) { encryptedUnderFault(t, f, c) })
			})
		}
	}
}

func encryptedUnderFault(t *testing.T, f *faulty, c Crypt) {
	below := memStore()
	f.store = below
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	o := Options{Now: newClock().now, Host: "test", Pause: time.Microsecond, Scratch: t.TempDir(), Sign: key, Crypt: c}
	s := newSource(t)
	contents := map[string]bool{}
	made := 0
	for range 3 {
		contents[string(s.content())] = true
		if _, err := newVault("test", f, o).Backup(t.Context(), s.asset(), lines{}, BackupOptions{}); err == nil {
			made++
		}
		s.grow(10)
	}
	healthy := newVault("test", below, o)
	listed, err := healthy.List(t.Context(), AssetID(s.asset()), time.Time{})
	if err != nil && (!errors.Is(err, ErrDamaged) || f.kind != shortWrite && f.kind != shortFail) {
		t.Fatalf("list: %v", err)
	}
	if made < 2 || len(listed) < made {
		t.Errorf("%d points made, %d listed: one fault must not stop later backups", made, len(listed))
	}
	for _, m := range listed {
		got, err := replayedBytes(t.Context(), newVault("test", below, o), m, t.TempDir())
		if err != nil || !contents[string(got)] {
			t.Errorf("point %s: %d bytes, %v", m.ID, len(got), err)
		}
	}
}

// noise is an asset of 64 MiB that cannot be compressed, which is looked at for the memory
// that it takes to write and to read it.
type noise struct {
	lines
	sample func()
}

const noiseSize = 64 << 20

func (noise) Name() string { return "noise" }

func (n noise) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	w, err := create("tar", "noise.tar")
	if err != nil {
		return "", nil, err
	}
	random := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 64<<10)
	for done := 0; done < noiseSize; done += len(block) {
		for i := 0; i < len(block); i += 8 {
			binary.LittleEndian.PutUint64(block[i:], random.Uint64())
		}
		if _, err := w.Write(block); err != nil {
			return "", nil, errors.Join(err, w.Close())
		}
		if done%(8<<20) == 0 {
			n.sample()
		}
	}
	return Full, []byte("{}"), w.Close()
}

func (n noise) Check(ctx context.Context, role string, r io.Reader) error {
	block := make([]byte, 64<<10)
	for done := 0; ; {
		k, err := r.Read(block)
		if done/(8<<20) != (done+k)/(8<<20) {
			n.sample()
		}
		done += k
		if err == io.EOF {
			if done != noiseSize {
				return fmt.Errorf("%d bytes", done)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func TestEncryptionNeedsLittleMemory(t *testing.T) {
	const most = 40 << 20
	live := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	for _, tt := range schemes(t)[1:3] {
		t.Run(tt.name, func(t *testing.T) {
			before, peak, samples := live(), int64(0), 0
			k := noise{sample: func() { peak = max(peak, live()-before); samples++ }}
			v := cryptVault(t, t.TempDir(), tt.c)
			m, err := v.Backup(t.Context(), Asset{Name: "noise", Kind: "noise", Source: "noise"}, k, BackupOptions{})
			must(t, err)
			if _, err := v.Verify(t.Context(), m, k, LevelChecked, VerifyOptions{}); err != nil {
				t.Fatal(err)
			}
			if samples < 16 || peak > most {
				t.Errorf("%d MiB at the most in %d samples", peak>>20, samples)
			}
			t.Logf("%d MiB at the most", peak>>20)
			if o := m.Chain[0]; o.Compression != "gzip" || !strings.HasSuffix(o.Key, "/noise.tar.gz."+tt.name) {
				t.Errorf("%s, %s", o.Key, o.Compression)
			}
		})
	}
}

func FuzzOpenGPG(f *testing.F) {
	var b bytes.Buffer
	w, err := sealGPG(&b, []byte("pass"), cheap)
	if err != nil {
		f.Fatal(err)
	}
	io.WriteString(w, "hello")
	w.Close()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:20])
	f.Add([]byte{0xc3, 13, 4, 9, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openGPG(bytes.NewReader(data), []byte("pass"))
		if err != nil {
			return
		}
		plain, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if err == nil && string(plain) != "hello" {
			t.Errorf("a forged message was opened: %q", plain)
		}
	})
}

// A wrong passphrase makes a session key of nonsense, which one time in 256 looks like one.
// It is a wrong passphrase all the same, and no damage.
func TestWrongPassphraseIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	m := backup(t, cryptVault(t, dir, schemes(t)[2].c), newSource(t), BackupOptions{})
	o := m.Chain[0]
	o.KeyID = "" // otherwise the document of the key tells
	stored, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.Key)))
	must(t, err)
	began := time.Now()
	n := 0
	for ; n < 1500 && time.Since(began) < 2*time.Second; n++ {
		r := &lazyCrypt{key: opening{passphrase: fmt.Appendf(nil, "wrong %d", n)}, r: bytes.NewReader(stored)}
		_, err := io.Copy(io.Discard, struct{ io.Reader }{r})
		if err := o.unopened(err); !errors.Is(err, ErrWrongKey) {
			t.Fatalf("passphrase %d: %v", n, err)
		}
	}
	t.Logf("%d wrong passphrases", n)
}
