package vault_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
)

// A backup that a clock wrote which was ahead is named for as long as it is listed, and is
// not what is verified and restored.
func TestLatestBesideTheFuture(t *testing.T) {
	w := newWorld(t)
	right := w.now
	w.now = right.AddDate(2, 0, 0)
	w.protect("kept", "what a wrong clock saw")
	wrong := w.backUp("kept")
	w.now = right.Add(time.Hour)
	w.protect("kept", "what is there now")
	real := w.backUp("kept")
	for _, args := range []map[string]any{{"asset": "kept"}, {"asset": "kept", "max_age": "24h"}, {}} {
		res, _, err := w.run("vault.latest", args, nil)
		if !errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), wrong.ID) || !strings.Contains(err.Error(), "future") || len(hint.All(err)) == 0 {
			t.Errorf("%v: %v", args, err)
		}
		if len(args) > 0 && res.Outputs["point"] != real.ID {
			t.Errorf("%v: the newest is %v, want %s", args, res.Outputs["point"], real.ID)
		}
	}
	if res, _, err := w.run("vault.verify", map[string]any{"asset": "kept", "level": "restored"}, nil); err != nil || res.Outputs["point"] != real.ID {
		t.Errorf("verified %v, %v; want %s", res.Outputs["point"], err, real.ID)
	}
}
