package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Probe says whether a restored repository is what its owner needs: every critical path is
// in HEAD, and the commands of Build succeed in a clone of it. They are the owner's, and
// run what the repository holds: whoever configures them trusts it.
func (k Kind) Probe(ctx context.Context, dir string, log io.Writer) (evidence string, err error) {
	evidence, err = proveCritical(ctx, dir, k.Critical)
	if err != nil || len(k.Build) == 0 {
		return evidence, err
	}
	scratch, err := os.MkdirTemp(k.Scratch, "lifeboat-build-")
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	tree, home := filepath.Join(scratch, "tree"), filepath.Join(scratch, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	if _, err := command.Output(ctx, command.Git("", "clone", "--quiet", "--no-local", "--", dir, tree)); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	for _, argv := range k.Build {
		fmt.Fprintf(log, "build: %s\n", strings.Join(argv, " "))
		c := command.Cmd{Argv: argv, Dir: tree, Env: map[string]string{"HOME": home, "CI": "true"}, Stdout: log, Stderr: log}
		if _, err := command.Run(ctx, c); err != nil {
			return "", hint.Wrap(fmt.Errorf("%w: %w", ErrBuild, err), "what it printed is in the log; build: of the asset names the commands")
		}
	}
	if evidence != "" {
		evidence += ", "
	}
	return evidence + "it builds: " + printable.Count(len(k.Build), "command") + " succeeded", nil
}

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
	return printable.Count(len(paths), "critical path") + " there", nil
}
