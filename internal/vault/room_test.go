package vault

import (
	"errors"
	"testing"
	"time"
)

// wrecked is a kind whose part of restore.sh fails.
type wrecked struct{ lines }

func (wrecked) Script([]string, []string, []byte) string { return "exit 3" }

// A restore.sh that fails speaks against the backup, unless the disk may have been full:
// then nothing is known, and there is no receipt that would say otherwise.
func TestScriptThatHadNoRoom(t *testing.T) {
	h := newHistory(t, 1, time.Hour, Options{})
	m := h.points[0]
	before, err := h.v.receiptNames(t.Context(), m.Asset, m.ID)
	must(t, err)
	huge := m
	huge.Chain = append([]Object(nil), m.Chain...)
	huge.Chain[0].Compression, huge.Chain[0].PlainSize = "gzip", maxObject
	huge.Chain[0].PlainSHA256 = hashOf(nil)
	if _, err := h.v.Verify(t.Context(), huge, wrecked{}, LevelRestored, VerifyOptions{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("without room: %v", err)
	}
	after, err := h.v.receiptNames(t.Context(), m.Asset, m.ID)
	must(t, err)
	if len(after) != len(before) {
		t.Errorf("a receipt about a disk: %v", after)
	}
	if r, err := h.v.Verify(t.Context(), m, wrecked{}, LevelRestored, VerifyOptions{}); !errors.Is(err, ErrDamaged) || r.Pass {
		t.Errorf("with room: %+v, %v", r, err)
	}
}
