package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// proveCritical says whether HEAD of the replica has every critical path. Paths are taken
// to the letter, as files or directories; nothing of the repository is checked out.
func proveCritical(ctx context.Context, dir string, paths []string) (string, error) {
	if len(paths) == 0 {
		return "", nil
	}
	args := []string{"ls-tree", "-z", "-t", "--full-tree", "--name-only", "HEAD", "--"}
	for _, p := range paths {
		p = path.Clean(filepath.ToSlash(p))
		if !fs.ValidPath(p) || p == "." {
			return "", fmt.Errorf("look for critical paths: %q is no path inside the repository", p)
		}
		args = append(args, p)
	}
	wanted := args[len(args)-len(paths):]
	if _, err := replica(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD^{tree}"); err != nil {
		var exit *command.ExitError
		if !errors.As(err, &exit) || exit.Exit != 1 {
			return "", fmt.Errorf("look for critical paths: %w", err)
		}
		return "", fmt.Errorf("%w: HEAD has no files, and %q must be there", ErrCritical, wanted)
	}
	out, err := replica(ctx, dir, args...)
	if err != nil {
		return "", fmt.Errorf("look for critical paths: %w", err)
	}
	there := map[string]bool{}
	for name := range strings.SplitSeq(out, "\x00") {
		there[name] = true
	}
	var missing []string
	for _, p := range wanted {
		if !there[p] {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return "", hint.Wrap(fmt.Errorf("%w: %q", ErrCritical, missing),
			"Look when they were removed (git log -- PATH), and restore an older point; or correct critical_files of the asset.")
	}
	return ", " + printable.Count(len(paths), "critical path") + " there", nil
}
