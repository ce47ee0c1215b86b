package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// target is the shared repository as it is now.
type target struct {
	dir    string // empty when it is not on this machine
	absent bool   // the directory has to be made
	refs   []repo.Ref
	head   string // its default branch
}

// aim looks at the target. It refuses a directory that is something else.
func (k *desk) aim(ctx context.Context, r Repo) (t target, err error) {
	t.dir, _ = r.localRemote()
	if t.dir != "" {
		entries, err := os.ReadDir(t.dir)
		switch {
		case errors.Is(err, os.ErrNotExist), err == nil && len(entries) == 0:
			t.absent = true
			return t, nil
		case err != nil:
			return t, fmt.Errorf("look at %q: %w", t.dir, err)
		}
		if _, err := objectsOf(ctx, t.dir); err != nil {
			return t, hint.Wrap(fmt.Errorf("%w: %q is there and no sound repository: %w", action.ErrRefused, t.dir, err),
				"move it aside (mv "+shellWord(t.dir)+" "+shellWord(t.dir+".lost")+"): it may still hold commits, and nothing is written over it")
		}
	}
	out, err := k.output(ctx, "ls-remote", "--symref", "--", r.Remote)
	if err != nil {
		return t, hint.Wrap(fmt.Errorf("read %s of %q: %w", r.remoteName(), r.Name, err),
			"make an empty repository at its address first (no README, no licence file), and check network and credentials")
	}
	t.head = symref(out)
	var plain strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "ref: ") {
			plain.WriteString(line)
		}
	}
	if t.refs, err = repo.ParseRefs(plain.String()); err != nil {
		return t, err
	}
	t.refs = slices.DeleteFunc(t.refs, func(ref repo.Ref) bool { return !strings.HasPrefix(ref.Name, "refs/") })
	if t.dir != "" { // an unborn HEAD is not advertised
		if state, err := command.Output(ctx, command.Git(t.dir, "symbolic-ref", "--quiet", "HEAD")); err == nil {
			t.head = strings.TrimSpace(string(state))
		}
	}
	return t, nil
}

func (t target) at() map[string]string { return byName(t.refs) }

// byName is the id of each ref.
func byName(refs []repo.Ref) map[string]string {
	out := map[string]string{}
	for _, ref := range refs {
		out[ref.Name] = ref.OID
	}
	return out
}

func (t target) digest() string { return digest(t.refs) }

// digest is over names and ids of refs, in order.
func digest(refs []repo.Ref) string {
	h := sha256.New()
	for _, ref := range refs {
		fmt.Fprintf(h, "%s %s\n", ref.OID, ref.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}
