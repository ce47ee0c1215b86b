package app

import (
	"errors"
	"testing"

	"lifeboat/internal/vault"
)

// What the bucket names as a source stands in a file, and nothing of it is read.
func TestStrangersReadNothing(t *testing.T) {
	for _, k := range []vault.Kind{strangeGit{}, strangeSQLite{}, strangeFiles{}, strangeStream{}} {
		t.Run(k.Name(), func(t *testing.T) {
			if _, _, err := k.Capture(t.Context(), t.TempDir(), nil, nil, nil, nil, nil); !errors.Is(err, errStranger) {
				t.Errorf("Capture = %v, want errStranger", err)
			}
		})
	}
}

func TestSigned(t *testing.T) {
	w := &world{state: t.TempDir()}
	for signer, want := range map[string]string{"": "no", "AAAA": "ed25519 by another installation AAAA"} {
		if got, err := w.signed(signer); err != nil || got != want {
			t.Errorf("signed(%q) = %q, %v, want %q", signer, got, err, want)
		}
	}
}
