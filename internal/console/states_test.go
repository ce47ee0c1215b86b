package console

import (
	"testing"

	"lifeboat/internal/console/look"
)

// TestStates: nothing that the console tells apart needs a colour.
func TestStates(t *testing.T) {
	for _, f := range look.CheckStates(States()).Fails {
		t.Error(f)
	}
}
