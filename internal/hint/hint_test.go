package hint

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestAll(t *testing.T) {
	root := errors.New("no such file")
	inner := Wrap(root, "create it")
	err := fmt.Errorf("open vault: %w", Wrap(errors.Join(inner, Wrap(errors.New("x"), "look")), "mend the path"))
	if got, want := All(err), []string{"mend the path", "create it", "look"}; !slices.Equal(got, want) {
		t.Errorf("hints %q, want %q", got, want)
	}
	if !errors.Is(err, root) {
		t.Error("the cause is hidden")
	}
	if got := All(Wrap(inner, "create it")); len(got) != 1 {
		t.Errorf("the same advice twice: %q", got)
	}
	if Wrap(nil, "x") != nil || All(nil) != nil {
		t.Error("nil became an error")
	}
	if got := Wrapf(root, "run %d", 3).Error(); got != "no such file" {
		t.Errorf("the advice is part of the message: %q", got)
	}
}
