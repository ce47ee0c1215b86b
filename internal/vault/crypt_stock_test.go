package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"lifeboat/internal/command"
)

// program finds a stock program or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := command.Look(name)
	if err != nil {
		t.Skipf("the stock program %s is not installed", name)
	}
	return path
}

// sizes are those at which the two formats change their form: nothing, a block, around
// the 64 KiB chunks of age and the parts of OpenPGP.
var sizes = []int{0, 1, 15, 16, 17, 511, 512, 8191, 65535, 65536, 65537, 131072, 1<<20 + 3}

func random(n int) []byte {
	out := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	for i := range out {
		out[i] = byte(r.Uint64())
	}
	return out
}

// sealed encrypts data, in pieces of odd sizes.
func sealed(t *testing.T, s *seal, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := s.writer(&b)
	must(t, err)
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 10007)])
		must(t, err)
		data = data[n:]
	}
	must(t, w.Close())
	return b.Bytes()
}

func TestStockAge(t *testing.T) {
	bin := program(t, "age")
	dir := t.TempDir()
	data, glass := identity(t), identity(t)
	s := &seal{scheme: schemeAge, recipients: []age.Recipient{data.Recipient(), glass.Recipient()}}
	for _, n := range sizes {
		in, want := filepath.Join(dir, "in.age"), random(n)
		must(t, os.WriteFile(in, sealed(t, s, want), 0o600))
		for who, id := range map[string]*age.X25519Identity{"data": data, "break-glass": glass} {
			key, out := filepath.Join(dir, "key"), filepath.Join(dir, fmt.Sprintf("out-%d-%s", n, who))
			must(t, os.WriteFile(key, []byte(id.String()+"\n"), 0o600))
			f, err := os.Create(out) // of no bytes -o makes no file
			must(t, err)
			_, err = command.Run(t.Context(), command.Cmd{Argv: []string{bin, "-d", "-i", key, in}, Stdout: f})
			must(t, f.Close())
			if got, rerr := os.ReadFile(out); err != nil || rerr != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes with the %s key: %v, %v", n, who, err, rerr)
			}
		}
	}
}

func TestStockGPG(t *testing.T) {
	bin := program(t, "gpg")
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o700))
	pass := filepath.Join(dir, "pass")
	const passphrase = "Grüße, \"quoted\" and with spaces "
	must(t, os.WriteFile(pass, []byte(passphrase+"\nsecond line\n"), 0o600))
	gpg := func(args ...string) (command.Result, error) {
		return command.Run(t.Context(), command.Cmd{
			Argv: append([]string{bin, "--homedir", home, "--no-autostart", "--batch", "--pinentry-mode", "loopback", "--passphrase-file", pass}, args...),
		})
	}
	for i, n := range sizes {
		s := &seal{scheme: schemeGPG, passphrase: []byte(passphrase), work: cheap}
		if i == 0 {
			s.work = 0 // as outside of tests
		}
		in, out, want := filepath.Join(dir, "in.gpg"), filepath.Join(dir, fmt.Sprintf("out-%d", n)), random(n)
		must(t, os.WriteFile(in, sealed(t, s, want), 0o600))
		_, err := gpg("--output", out, "--decrypt", in)
		if got, rerr := os.ReadFile(out); err != nil || rerr != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %v, %v", n, err, rerr)
		}
	}
	res, err := gpg("--list-packets", filepath.Join(dir, "in.gpg"))
	must(t, err)
	for _, want := range []string{"version 4, cipher 9,", "s2k 3,", "encrypted data packet", "mdc_method: 2", "literal data packet"} {
		if !strings.Contains(string(res.Stdout), want) {
			t.Errorf("%q is not in:\n%s", want, res.Stdout)
		}
	}
	if strings.Contains(string(res.Stdout), "aead encrypted") || strings.Contains(string(res.Stdout), "compressed packet") {
		t.Errorf("a form that gpg 2.2 does not read everywhere:\n%s", res.Stdout)
	}
}

// What gpg itself has written is opened too, when it is of the vault's form.
func TestOpensOwnFormOnly(t *testing.T) {
	s := &seal{scheme: schemeGPG, passphrase: []byte("p"), work: cheap}
	for _, n := range sizes {
		want := random(n)
		r, err := openGPG(bytes.NewReader(sealed(t, s, want)), []byte("p"))
		must(t, err)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	// An Argon2 that wants a terabyte, a plain message, another cipher.
	for _, head := range [][]byte{
		append([]byte{0xc3, 26, 4, 9, 4}, bytes.Repeat([]byte{40}, 64)...), {0xcb, 10, 'b', 0, 0, 0, 0, 0, 'x'}, {0xc3, 13, 4, 2, 3}, {0xc3}, {},
	} {
		if _, err := openGPG(bytes.NewReader(head), []byte("p")); err == nil {
			t.Errorf("%x was opened", head)
		}
	}
}

// restore.sh of an encrypted point, run as a person would run it, without Lifeboat.
func TestScriptOpensEncryptedPoints(t *testing.T) {
	for _, tt := range schemes(t)[1:] {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name, variable := "age", "AGE_IDENTITY"
			if tt.name == "gpg" {
				name, variable = "gpg", "GPG_PASSPHRASE_FILE"
			}
			program(t, name)
			dir, work := t.TempDir(), t.TempDir()
			v := cryptVault(t, dir, tt.c)
			s := newSource(t)
			backup(t, v, s, BackupOptions{})
			s.grow(10)
			m := backup(t, v, s, BackupOptions{})
			bin, err := stockPath(filepath.Join(work, "bin"), append(lines{}.Needs(), cryptNeeds(m)...))
			must(t, err)
			keys, done, err := v.keyFiles(t.Context(), m, work)
			must(t, err)
			defer done()
			if info, err := os.Stat(keys[variable]); err != nil || info.Mode().Perm() != 0o600 || len(keys) != 1 {
				t.Fatalf("key files %v: %v", keys, err)
			}
			run := func(file string) (string, error) {
				parent := t.TempDir()
				env := map[string]string{"PATH": bin, "HOME": filepath.Join(work, "no-home")}
				if file != "" {
					env[variable] = file
				}
				_, err := command.Run(t.Context(), command.Cmd{
					Argv: []string{filepath.Join(bin, "sh"), filepath.Join(dir, filepath.FromSlash(m.ScriptKey())), dir, "out"}, Dir: parent, Env: env,
				})
				if entries, rerr := os.ReadDir(parent); rerr != nil || err != nil && len(entries) > 0 {
					t.Errorf("left behind: %v, %v", entries, rerr)
				}
				return filepath.Join(parent, "out", "lines.txt"), err
			}
			out, err := run(keys[variable])
			if got, rerr := os.ReadFile(out); err != nil || rerr != nil || !bytes.Equal(got, s.content()) {
				t.Errorf("not equal: %v, %v", err, rerr)
			}
			wrong := filepath.Join(work, "wrong")
			must(t, os.WriteFile(wrong, []byte(identity(t).String()+"\n"), 0o600))
			for file, want := range map[string]string{
				"":                              variable,
				filepath.Join(work, "not-here"): "there is no file",
				wrong:                           "cannot be decrypted",
			} {
				var x *command.ExitError
				if _, err := run(file); !errors.As(err, &x) || !strings.Contains(x.Stderr, want) {
					t.Errorf("key %q: %v", file, err)
				}
			}
			base := filepath.Join(dir, filepath.FromSlash(m.Chain[0].Key))
			flip(t, base)
			var x *command.ExitError
			if _, err := run(keys[variable]); !errors.As(err, &x) || !strings.Contains(x.Stderr, "is damaged: its SHA-256 is not") {
				t.Errorf("damaged object: %v", err)
			}
			flip(t, base)
			r, err := v.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{})
			if err != nil || r.Way != "restore.sh" {
				t.Errorf("verified by %q, %v", r.Way, err)
			}
			text := restoreScript(m, lines{})
			for _, want := range append([]string{variable + "=FILE", " " + name + " "}, m.Chain[0].Encryption.Recipients...) {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in restore.sh", want)
				}
			}
			if strings.Contains(text, "@") {
				t.Errorf("a place was not filled:\n%s", text)
			}
		})
	}
}

// README-RESTORE.md says how to try a passphrase on the document of a key.
func TestStockGPGOpensCheck(t *testing.T) {
	bin := program(t, "gpg")
	dir, home := t.TempDir(), t.TempDir()
	must(t, os.Chmod(home, 0o700))
	m := backup(t, cryptVault(t, dir, schemes(t)[2].c), newSource(t), BackupOptions{})
	pass := filepath.Join(home, "pass")
	must(t, os.WriteFile(pass, []byte("correct horse battery staple\n"), 0o600))
	const line = `sed -n 's/.*"check": "\([^"]*\)".*/\1/p' "$DOC" | base64 -d | "$GPG" --homedir "$HOME" --no-autostart --batch --pinentry-mode loopback --passphrase-file "$PASS" -d`
	if !strings.Contains(readmeText, line[:strings.Index(line, ` "$DOC"`)]) {
		t.Error("README-RESTORE.md says it in another way")
	}
	out, err := command.Output(t.Context(), command.Cmd{
		Argv: []string{program(t, "sh"), "-c", line},
		Env:  map[string]string{"DOC": filepath.Join(dir, "v1", "keys", m.Chain[0].KeyID+".json"), "GPG": bin, "HOME": home, "PASS": pass},
	})
	if err != nil || string(out) != m.Chain[0].KeyID {
		t.Errorf("%q, %v", out, err)
	}
}
