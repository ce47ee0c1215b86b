package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// installationKey signs what this installation writes into vaults. It is made when it
// is first needed. Two processes that make it at once agree: the file is created once,
// and both read it.
func installationKey(state string) (ed25519.PrivateKey, error) {
	path := filepath.Join(state, "installation.key")
	seed := make([]byte, ed25519.SeedSize)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := rand.Read(seed); err != nil {
			return nil, fmt.Errorf("make installation key: %w", err)
		}
		err := durable.Create(path, []byte(hex.EncodeToString(seed)+"\n"), 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make installation key: %w", err)
		}
		data, err = os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read installation key: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("read installation key: %w", err)
	}
	seed, err = hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, hint.Wrap(fmt.Errorf("read installation key %q: it is damaged", path), "move it away; a new one is made, and backups signed with the old one stay readable")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// signed says by whom a point is signed. signer is the public key, base64, whose signature
// was found to fit; "" is none.
func (w *world) signed(signer string) (string, error) {
	if signer == "" {
		return "no", nil
	}
	key, err := installationKey(w.state)
	if err != nil {
		return "", err
	}
	if signer == base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) {
		return "ed25519 by this installation", nil
	}
	return "ed25519 by another installation " + signer, nil
}
