package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// noSuchOwner is how the kernel refuses an owner that this user namespace does not know.
func noSuchOwner(err error) bool { return errors.Is(err, syscall.EINVAL) }

// Diff tells which files were added, removed and changed between two points. It needs
// their lists, which are as secret as the files: without the key it is an error.
func (Kind) Diff(ctx context.Context, older, newer []byte,
	openOlder, openNewer func(role string) (io.ReadCloser, error),
	report func(what, name, before, after string)) error {
	was, err := listOf(ctx, older, openOlder)
	if err != nil {
		return fmt.Errorf("read the list of files of the older point: %w", err)
	}
	is, err := listOf(ctx, newer, openNewer)
	if err != nil {
		return fmt.Errorf("read the list of files of the newer point: %w", err)
	}
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && before(was[0].Path, is[0].Path):
			report("file", was[0].Path, was[0].state(), "")
			was = was[1:]
		case len(was) == 0 || before(is[0].Path, was[0].Path):
			report("file", is[0].Path, "", is[0].state())
			is = is[1:]
		default:
			if o, n := was[0], is[0]; !o.Same(n) || o.UID != n.UID || o.GID != n.GID {
				x, y := o.state(), n.state()
				if o.UID != n.UID || o.GID != n.GID {
					x, y = fmt.Sprintf("%s, %d:%d", x, o.UID, o.GID), fmt.Sprintf("%s, %d:%d", y, n.UID, n.GID)
				}
				if o.Sum != n.Sum {
					y += ", other content"
				}
				report("file", n.Path, x, y)
			}
			was, is = was[1:], is[1:]
		}
	}
	return nil
}

func listOf(ctx context.Context, facts []byte, open func(string) (io.ReadCloser, error)) ([]Entry, error) {
	f, err := readFacts(facts)
	if err != nil || f.ListSHA256 == "" {
		return nil, err
	}
	l, err := readIndex(ctx, f, open)
	return l.Entries, err
}

// state says in few words what an entry is, without its hash: a short one of a small
// secret would let it be guessed.
func (e Entry) state() string {
	switch e.Type {
	case Dir:
		return fmt.Sprintf("directory, %04o", e.Mode)
	case Link:
		return "link"
	}
	return fmt.Sprintf("%d bytes, %04o", e.Size, e.Mode)
}
