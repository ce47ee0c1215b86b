package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// historic are faults of objects that old programs wrote into histories which are in
// daily use. They are no damage, nothing can mend them without rewriting history, and a
// backup that refuses them at the restore is worthless. What can harm whoever checks
// the repository out (.git in a tree, bad submodule names and URLs) stays an error.
var historic = []string{
	"badDate", "badDateOverflow", "badEmail", "badFilemode", "badTimezone", "missingEmail",
	"missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "multipleAuthors",
	"zeroPaddedDate", "zeroPaddedFilemode",
}

// lenient gives the options that make historic faults warnings; section is "fsck" or
// "fetch.fsck".
func lenient(section string) []string {
	var out []string
	for _, id := range historic {
		out = append(out, "-c", section+"."+id+"=warn")
	}
	return out
}

// Apply puts one bundle, or one archive of LFS content, on the bare replica in dir. A
// bundle for an empty directory makes the replica first, by a fresh init without templates,
// hooks or foreign configuration. A crash or error leaves a replica that must be thrown
// away: git prunes before it fetches.
func (k Kind) Apply(ctx context.Context, dir, role, object string, log io.Writer) error {
	switch role {
	case Role:
		return applyBundle(ctx, dir, object, log)
	case RoleLFS:
		if err := applyLFS(ctx, dir, object); err != nil {
			return fmt.Errorf("apply %q: %w", filepath.Base(object), err)
		}
		return nil
	}
	return fmt.Errorf("apply git object: there is no role %q", role)
}

func applyBundle(ctx context.Context, dir, object string, log io.Writer) error {
	object, err := filepath.Abs(object)
	if err != nil {
		return fmt.Errorf("apply bundle: %w", err)
	}
	h, offset, err := fileHeader(object)
	if err != nil {
		return fmt.Errorf("apply bundle %q: %w", filepath.Base(object), err)
	}
	if err := ensureReplica(ctx, dir, h.Format); err != nil {
		return err
	}
	if err := hasAll(ctx, dir, h.Prereqs); err != nil {
		return fmt.Errorf("apply bundle %q: %w", filepath.Base(object), err)
	}
	if err := indexStrict(ctx, dir, object, offset); err != nil {
		return fmt.Errorf("apply bundle %q: %w", filepath.Base(object), err)
	}
	args := append(lenient("fetch.fsck"), "-c", "fetch.fsckObjects=true", "-c", "core.bigFileThreshold=64m",
		"fetch", "--quiet", "--no-tags", "--prune", "--update-head-ok", "--no-show-forced-updates",
		"--end-of-options", object, "+refs/*:refs/*")
	if h.Head != "" {
		args = append(args, "HEAD") // brings the objects of a detached HEAD
	}
	call := command.Git("", args...)
	call.Argv = slices.Insert(call.Argv, 1, "--git-dir="+dir)
	call.Stdout = log
	if _, err := command.Run(ctx, call); err != nil {
		return fmt.Errorf("apply bundle %q: %w", filepath.Base(object), err)
	}
	if err := os.Remove(filepath.Join(dir, "FETCH_HEAD")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("apply bundle %q: %w", filepath.Base(object), err)
	}
	return nil
}

// fileHeader reads the header of a bundle; pack is where its pack begins.
func fileHeader(path string) (h Header, pack int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 256<<10)
	if h, err = readHeader(r); err != nil {
		return h, 0, err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return h, at - int64(r.Buffered()), err
}

// ensureReplica makes a bare repository in dir unless it is one. The object format of
// an existing one must be format.
func ensureReplica(ctx context.Context, dir, format string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		out, err := replica(ctx, dir, "rev-parse", "--show-object-format")
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(out); got != format {
			return fmt.Errorf("%w: object ids of the replica are %s, those of the bundle %s", ErrDamaged, got, format)
		}
		return nil
	}
	args := []string{"init", "--quiet", "--bare", "--template="}
	if format != "sha1" {
		args = append(args, "--object-format="+format)
	}
	if _, err := command.Run(ctx, command.Git("", append(args, "--end-of-options", dir)...)); err != nil {
		return fmt.Errorf("make replica: %w", err)
	}
	return nil
}

// replica runs git in a bare repository of our own making.
func replica(ctx context.Context, dir string, args ...string) (string, error) {
	call := command.Git("", args...)
	call.Argv = slices.Insert(call.Argv, 1, "--git-dir="+dir)
	out, err := command.Output(ctx, call)
	return string(out), err
}

// hasAll fails when an object is missing from the replica.
func hasAll(ctx context.Context, dir string, oids []string) error {
	if len(oids) == 0 {
		return nil
	}
	call := command.Git("", "cat-file", "--batch-check")
	call.Argv = slices.Insert(call.Argv, 1, "--git-dir="+dir)
	call.Stdin = strings.NewReader(strings.Join(oids, "\n") + "\n")
	out, err := command.Output(ctx, call)
	if err != nil {
		return fmt.Errorf("look for prerequisites: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if oid, missing := strings.CutSuffix(strings.TrimSpace(line), " missing"); missing {
			return hint.Wrap(fmt.Errorf("%w: it builds on commit %q, which the steps before it did not bring", ErrUnequal, oid),
				"Apply the objects of the restore point in the order of its manifest, from the full one on.")
		}
	}
	return nil
}

// Prove compares the replica with the facts: every ref, every peeled tag, HEAD. It also
// sets HEAD, which a bundle cannot carry, and makes the empty repository of an empty
// point. Content of LFS must be that of the facts. With full every object and every link is
// checked: those of packs that Apply has checked and that have not changed since by their
// hash, all others by `git fsck --full`; content of LFS is hashed and held against the
// pointers.
func (k Kind) Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (string, error) {
	f, err := ParseFacts(facts)
	if err != nil {
		return "", err
	}
	if len(f.Refs) == 0 {
		if err := ensureReplica(ctx, dir, f.ObjectFormat); err != nil {
			return "", err
		}
	}
	refs, err := replicaRefs(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("prove replica: %w", err)
	}
	if got := hashRefs(refs); got != f.RefsSHA256 {
		want, err := f.List()
		if err != nil {
			return "", err
		}
		return "", fmt.Errorf("%w: refs hash to %.12s, recorded is %.12s; %s", ErrUnequal, got, f.RefsSHA256, Difference(refs, want))
	}
	if err := settleHead(ctx, dir, f); err != nil {
		return "", fmt.Errorf("prove replica: %w", err)
	}
	evidence := fmt.Sprintf("%d refs equal (sha256 %.12s), HEAD %s", len(refs), f.RefsSHA256, f.Head)
	if f.LFS != nil {
		words, err := proveLFS(ctx, dir, f, full)
		if err != nil {
			return "", fmt.Errorf("prove replica: %w", err)
		}
		evidence += words
	}
	if !full {
		return evidence, nil
	}
	checked, err := everything(ctx, dir, f.ObjectFormat, log)
	if err != nil {
		return "", fmt.Errorf("prove replica: %w", err)
	}
	return evidence + ", " + checked, nil
}

// replicaRefs lists the refs of a bare repository, with what its tags point to.
func replicaRefs(ctx context.Context, dir string) ([]Ref, error) {
	out, err := replica(ctx, dir, "show-ref", "--dereference")
	var exit *command.ExitError
	if errors.As(err, &exit) && exit.Exit == 1 && out == "" {
		return nil, nil // no refs
	}
	if err != nil {
		return nil, err
	}
	return ParseRefs(out)
}

// ParseRefs reads what `git show-ref -d`, `git ls-remote` and `git for-each-ref` print, and
// sorts it by name. HEAD is listed where they list it.
func ParseRefs(out string) ([]Ref, error) {
	var refs []Ref
	at := map[string]int{}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.IndexAny(line, " \t")
		if i < 0 || !isHex(line[:i]) {
			return nil, fmt.Errorf("read refs: %q is no ref line", line)
		}
		oid, name := line[:i], line[i+1:]
		if base, peeled := strings.CutSuffix(name, "^{}"); peeled {
			if k, ok := at[base]; ok {
				refs[k].Peeled = oid
			}
			continue
		}
		at[name] = len(refs)
		refs = append(refs, Ref{Name: name, OID: oid})
	}
	sortRefs(refs)
	return refs, nil
}

// Difference tells in one line how two lists of refs differ, naming the first few.
func Difference(got, want []Ref) string {
	index := make(map[string]Ref, len(want))
	for _, r := range want {
		index[r.Name] = r
	}
	var diffs []string
	for _, r := range got {
		w, ok := index[r.Name]
		delete(index, r.Name)
		switch {
		case !ok:
			diffs = append(diffs, fmt.Sprintf("%q is too many", r.Name))
		case w.OID != r.OID:
			diffs = append(diffs, fmt.Sprintf("%q is %.10s and not %.10s", r.Name, r.OID, w.OID))
		case w.Peeled != r.Peeled:
			diffs = append(diffs, fmt.Sprintf("%q peels to %.10s and not %.10s", r.Name, r.Peeled, w.Peeled))
		}
	}
	for name := range index {
		diffs = append(diffs, fmt.Sprintf("%q is missing", name))
	}
	slices.Sort(diffs)
	if n := len(diffs); n > 5 {
		diffs = append(diffs[:5], fmt.Sprintf("and %d more", n-5))
	}
	return strings.Join(diffs, ", ")
}

// settleHead sets HEAD as recorded and reads it back.
func settleHead(ctx context.Context, dir string, f Facts) error {
	if f.Head == "" {
		return nil
	}
	if oid, detached := f.Detached(); detached {
		if _, err := replica(ctx, dir, "update-ref", "--no-deref", "HEAD", oid); err != nil {
			return fmt.Errorf("set HEAD to %q: %w", oid, err)
		}
	} else {
		name, err := decodeName(f.Head)
		if err != nil {
			return fmt.Errorf("set HEAD to %q: %w", f.Head, err)
		}
		if _, err := replica(ctx, dir, "symbolic-ref", "HEAD", name); err != nil {
			return fmt.Errorf("set HEAD to %q: %w", name, err)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return fmt.Errorf("read HEAD: %w", err)
	}
	got = bytes.TrimPrefix(bytes.TrimSpace(got), []byte("ref: "))
	if encodeName(string(got)) != f.Head {
		return fmt.Errorf("%w: HEAD is %q, recorded is %q", ErrUnequal, got, f.Head)
	}
	return nil
}
