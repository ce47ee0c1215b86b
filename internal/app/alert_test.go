package app

import (
	"slices"
	"testing"

	vaultactions "lifeboat/internal/builtin/vault"
	"lifeboat/internal/estate"
)

// TestEvents holds together what lifeboat.yaml may name and what is ever sent: an alert for
// an event that never comes would be taken for good news.
func TestEvents(t *testing.T) {
	t.Parallel()
	sent := []string{
		vaultactions.BackupFailed, vaultactions.BackupLate, vaultactions.VerificationFailed, vaultactions.MirrorFailed,
		vaultactions.CopyFailed, vaultactions.PruneFrozen, vaultactions.VaultProblem,
	}
	if known := estate.Events(); !slices.Equal(known, sent) {
		t.Errorf("lifeboat.yaml knows %q, sent are %q", known, sent)
	}
}
