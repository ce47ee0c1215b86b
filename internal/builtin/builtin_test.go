package builtin

import (
	"testing"

	"lifeboat/internal/action"
)

// Every action has what people and the engine rely on: see [action.Validate].
func TestEveryActionIsWhole(t *testing.T) {
	all := All(Deps{})
	if len(all) < 15 {
		t.Fatalf("only %d actions", len(all))
	}
	if err := action.Validate(all); err != nil {
		t.Error(err)
	}
}
