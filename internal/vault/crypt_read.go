package vault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"lifeboat/internal/hint"
)

// keyFor finds what opens an object, before any of its bytes are asked for. Errors:
// ErrNoKey, ErrWrongKey, ErrNewer, or what asking for the key has met.
func (v *Vault) keyFor(ctx context.Context, o Object) (opening, error) {
	switch o.Encryption.Scheme {
	case schemeAge:
		ids, err := v.identitiesFor(ctx, o)
		if err != nil {
			return opening{}, fmt.Errorf("object %q: %w", o.Key, err)
		}
		return opening{identities: ids}, nil
	case schemeGPG:
		p, fits, err := v.passphraseFor(ctx, o)
		if err != nil {
			return opening{}, fmt.Errorf("object %q: %w", o.Key, err)
		}
		return opening{passphrase: p, fits: fits}, nil
	}
	return opening{}, hint.Wrap(fmt.Errorf("object %q: %w: it is encrypted with %q", o.Key, ErrNewer, o.Encryption.Scheme),
		"update Lifeboat, or restore with the point's restore.sh and stock tools")
}

// opening is what opens an object; one of the two.
type opening struct {
	identities []age.Identity
	passphrase []byte
	fits       bool // the passphrase is known to be the right one
}

func (k opening) open(r io.Reader) (io.Reader, error) {
	if k.passphrase != nil {
		return openGPG(r, k.passphrase)
	}
	return age.Decrypt(r, k.identities...)
}

// errPassphrase is a passphrase that does not open an OpenPGP message.
var errPassphrase = errors.New("the passphrase does not open it")

// errForm is a message that this vault would not have written.
var errForm = errors.New("it is no OpenPGP message of this vault")

// openGPG reads only the form that sealGPG writes. Other forms let whoever has written the
// bytes choose how much memory and time they take to read.
func openGPG(r io.Reader, passphrase []byte) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(5)
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	// A new-format packet of type 3, its length, version 4, AES-256, iterated and salted.
	if !bytes.Equal(head[:1], []byte{0xc3}) || !bytes.Equal(head[2:], []byte{4, 9, 3}) {
		return nil, errForm
	}
	asked := false
	m, err := openpgp.ReadMessage(b, nil, func([]openpgp.Key, bool) ([]byte, error) {
		if asked {
			return nil, errPassphrase
		}
		asked = true
		return passphrase, nil
	}, &packet.Config{})
	switch {
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case !m.IsSymmetricallyEncrypted || m.IsSigned:
		return nil, errForm
	}
	return &lastPacket{m.UnverifiedBody, b}, nil
}

// lastPacket reads a message to its end, which is reached only when the detection code
// fits, and lets nothing follow it.
type lastPacket struct {
	plain io.Reader
	rest  *bufio.Reader
}

func (l *lastPacket) Read(p []byte) (int, error) {
	n, err := l.plain.Read(p)
	if err == io.EOF {
		if _, rerr := l.rest.Peek(1); rerr == nil {
			err = errors.New("something follows the message")
		} else if rerr != io.EOF {
			err = rerr
		}
	}
	return n, err
}

// lazyCrypt opens at the first Read, where errors have a place to go, and remembers the
// first error: decompressors hide it.
type lazyCrypt struct {
	key   opening
	r     io.Reader
	plain io.Reader
	err   error
}

func (l *lazyCrypt) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.plain == nil {
		if l.plain, l.err = l.key.open(l.r); l.err != nil {
			l.err = l.key.doubted(l.err)
			return 0, l.err
		}
	}
	n, err := l.plain.Read(p)
	l.err = l.key.doubted(err)
	return n, l.err
}

// doubted says what an error means with a passphrase that may be a wrong one. It makes a
// session key of nonsense, of which one in 256 looks like one; the message then breaks
// sooner or later, and that must not be taken for damage.
func (k opening) doubted(err error) error {
	if err == nil || err == io.EOF || k.passphrase == nil || k.fits || errors.Is(err, errForm) {
		return err
	}
	return fmt.Errorf("%w: %w", errPassphrase, err)
}

// unopened says what it means that stored bytes which are the recorded ones do not open
// with a key that should open them.
func (o Object) unopened(err error) error {
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other), errors.Is(err, errPassphrase):
		return fmt.Errorf("object %q: %w: %w", o.Key, ErrWrongKey, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("object %q: %w: the ciphertext is truncated", o.Key, ErrDamaged)
	}
	return fmt.Errorf("object %q: %w: the ciphertext was tampered with: %w", o.Key, ErrDamaged, err)
}

// identitiesFor gives the identities that open an object of age, by their recipients. No
// byte of the object is needed for that, and a wrong identity is found out at once.
func (v *Vault) identitiesFor(ctx context.Context, o Object) ([]age.Identity, error) {
	given, err := v.given(ctx)
	if err != nil {
		return nil, err
	}
	var out []age.Identity
	for _, id := range given {
		if slices.Contains(o.Encryption.Recipients, id.Recipient().String()) {
			out = append(out, id)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	var kept error
	if v.o.Crypt.Keeper != "" {
		id, err := v.unwrap(ctx, o.Encryption.Recipients)
		if err == nil {
			return []age.Identity{id}, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		kept = err
	}
	return nil, v.lacking(o, len(given) > 0, kept)
}

// lacking is the error of an object that nothing opens.
func (v *Vault) lacking(o Object, given bool, keeper error) error {
	var names []string
	for _, r := range o.Encryption.Recipients {
		name := fmt.Sprintf("%s (key %s)", r, keyID(r))
		if r == v.o.Crypt.BreakGlass {
			name = fmt.Sprintf("%s (key %s, break-glass)", r, keyID(r))
		}
		names = append(names, name)
	}
	err := fmt.Errorf("%w: it is encrypted for %s", ErrNoKey, strings.Join(names, ", "))
	if given {
		err = fmt.Errorf("%w: the given identity is that of none of its recipients %s", ErrWrongKey, strings.Join(names, ", "))
	}
	if keeper != nil {
		err = fmt.Errorf("%w; the keeper: %w", err, keeper)
	}
	return hint.Wrap(err, "put the identity of one of these recipients into the file that encryption.identity names, or into $LIFEBOAT_AGE_IDENTITY")
}

// given are the identities of the configuration.
func (v *Vault) given(ctx context.Context) ([]*age.X25519Identity, error) {
	if v.o.Crypt.Identities == nil {
		return nil, nil
	}
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	if v.keys.asked {
		return v.keys.given, nil
	}
	texts, err := v.o.Crypt.Identities(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the identities of age: %w", err)
	}
	var out []*age.X25519Identity
	for i, t := range texts {
		ids, err := parseIdentities(t.Reveal())
		if err != nil {
			return nil, fmt.Errorf("identity %d of age: %w", i+1, err)
		}
		out = append(out, ids...)
	}
	v.keys.given, v.keys.asked = out, true
	return out, nil
}

// parseIdentities reads an identity file: one identity in a line, comments and empty lines
// beside. No error repeats any of it.
func parseIdentities(text string) ([]*age.X25519Identity, error) {
	const advice = "an identity is one line AGE-SECRET-KEY-1…, as `age-keygen` writes it"
	var out []*age.X25519Identity
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "age1") {
			return nil, hint.Wrap(fmt.Errorf("line %d is a recipient, which opens nothing", n), advice)
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("line %d is no identity", n), advice)
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, hint.Wrap(errors.New("there is none in it"), advice)
	}
	return out, nil
}

// passphrase is the first line of what was given, nil when nothing was.
func (v *Vault) passphrase(ctx context.Context) ([]byte, error) {
	if v.o.Crypt.Passphrase == nil {
		return nil, nil
	}
	p, err := v.o.Crypt.Passphrase(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the passphrase of gpg: %w", err)
	}
	line, _, _ := strings.Cut(p.Reveal(), "\n")
	if line == "" {
		return nil, nil
	}
	return []byte(line), nil
}

const passphraseAdvice = "name the file whose first line is the passphrase in encryption.passphrase, or set $LIFEBOAT_GPG_PASSPHRASE"

// passphraseFor gives the passphrase for an object of gpg. Where the vault knows the key,
// a wrong passphrase is found out without a byte of the object; fits says that it is the
// right one for certain.
func (v *Vault) passphraseFor(ctx context.Context, o Object) (p []byte, fits bool, err error) {
	if p, err = v.passphrase(ctx); err != nil {
		return nil, false, err
	}
	if p == nil {
		return nil, false, hint.Wrap(fmt.Errorf("%w: it is encrypted with a passphrase%s", ErrNoKey, ofKey(o.KeyID)), passphraseAdvice)
	}
	fits, known := v.fitsKey(ctx, o.KeyID, p)
	if known && !fits {
		return nil, false, hint.Wrap(fmt.Errorf("%w: the given passphrase is not that%s", ErrWrongKey, ofKey(o.KeyID)), passphraseAdvice)
	}
	return p, known, ctx.Err()
}

func ofKey(id string) string {
	if id == "" {
		return ""
	}
	return " of key " + id
}

// keyFiles hands what opens a point to restore.sh, as files that have no name where the
// system knows such: a crash, which comes without a word, must leave no key behind. It
// gives the variables that name them; they are there until done. Whether they open is found
// out before the script runs, whose failure would speak against the backup. Errors as of
// keyFor.
func (v *Vault) keyFiles(ctx context.Context, m Manifest, dir string) (env map[string]string, done func(), err error) {
	var identities []string
	var passphrase []byte
	for _, o := range m.Chain {
		if o.Encryption.Scheme == schemeNone {
			continue
		}
		key, err := v.keyFor(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range key.identities {
			if x, ok := id.(*age.X25519Identity); ok && !slices.Contains(identities, x.String()) {
				identities = append(identities, x.String())
			}
		}
		if key.passphrase != nil {
			passphrase = key.passphrase
			if err := v.tryPassphrase(ctx, o, passphrase); err != nil {
				return nil, nil, err
			}
		}
	}
	env = map[string]string{}
	var files []*os.File
	done = func() {
		for _, f := range files {
			f.Close() // it was only read since
		}
	}
	put := func(variable, name, text string) error {
		f, path, err := keyFile(filepath.Join(dir, name), text)
		if err == nil {
			files, env[variable] = append(files, f), path
		}
		return err
	}
	if identities != nil {
		err = put("AGE_IDENTITY", "identity.txt", strings.Join(identities, "\n")+"\n")
	}
	if passphrase != nil && err == nil {
		err = put("GPG_PASSPHRASE_FILE", "passphrase", string(passphrase)+"\n")
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return env, done, nil
}

// keyFile makes a private file and gives the path at which other processes of this user
// read it while it is open. Where the system shows the open files of a process, its name is
// taken away before anything is in it.
func keyFile(name, text string) (f *os.File, path string, err error) {
	f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", err
	}
	path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
	if own, oerr := f.Stat(); oerr == nil {
		if shown, serr := os.Stat(path); serr == nil && os.SameFile(own, shown) {
			err = os.Remove(name)
		} else {
			path = name
		}
	} else {
		err = oerr
	}
	if err == nil {
		_, err = io.WriteString(f, text)
	}
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return f, path, nil
}

// tryPassphrase reads an object whose key the vault does not know, because its document is
// lost, and is satisfied with everything but a wrong passphrase.
func (v *Vault) tryPassphrase(ctx context.Context, o Object, passphrase []byte) error {
	if _, known := v.fitsKey(ctx, o.KeyID, passphrase); known {
		return nil
	}
	r, err := v.reader(ctx, o, nil)
	if err != nil {
		return err
	}
	if err := r.Close(); errors.Is(err, ErrWrongKey) {
		return err
	}
	return ctx.Err()
}
