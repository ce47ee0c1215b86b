package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// viaGit captures a repository with SHA-256 object ids by `git bundle create`, which
// takes its own snapshot: the facts come from the header it writes. Always full: git
// leaves unchanged refs out of an increment, and refuses one that only deletes.
func (c capture) viaGit(ctx context.Context, f Facts) (Facts, error) {
	if c.src.Path == "" {
		return f, hint.Wrap(fmt.Errorf("%w: it uses SHA-256 object ids and is not local", ErrUnsuitable),
			"Clone it with git clone --mirror and back up that clone.")
	}
	args := []string{"bundle", "create", "--quiet", "--version=3", "-"}
	for _, p := range c.k.exclude() {
		args = append(args, "--exclude="+p)
	}
	call := command.Git(c.src.Path, append(args, "--all")...)
	call.StdoutPipe = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := command.Start(ctx, call)
	if err != nil {
		return f, err
	}
	err = c.storeFrom(ctx, p.Stdout, &f)
	if err != nil {
		cancel()
	}
	p.Stdout.Close()
	if _, end := p.Wait(); err == nil {
		err = end
	}
	if err != nil {
		return f, err
	}
	return f, nil
}

// storeFrom copies a bundle that git writes, reading refs and pack as they pass. The
// object is not closed when anything is wrong with it.
func (c capture) storeFrom(ctx context.Context, r io.Reader, f *Facts) error {
	w, err := c.create(Role, FileName)
	if err != nil {
		return err
	}
	meter := &meter{report: c.progress}
	br := bufio.NewReaderSize(io.TeeReader(r, io.MultiWriter(w, meter)), 256<<10)
	h, err := readHeader(br)
	if err != nil {
		return err
	}
	check := newPackCheck(h.Format)
	if _, err := io.Copy(check, br); err != nil {
		return fmt.Errorf("copy pack after %d bytes: %w", check.n, err)
	}
	if f.PackObjects, f.PackSHA1, err = check.finish(); err != nil {
		return err
	}
	if err := c.peel(ctx, h.Refs); err != nil {
		return err
	}
	sortRefs(h.Refs)
	f.PackBytes, f.ObjectFormat = check.n, h.Format
	f.setRefs(h.Refs)
	f.Head = headOf(*f, h)
	if err := w.Close(); err != nil {
		return fmt.Errorf("finish bundle: %w", err)
	}
	return nil
}

// headOf keeps the branch of HEAD where the bundle agrees with it.
func headOf(f Facts, h Header) string {
	for _, r := range h.Refs {
		if encodeName(r.Name) == f.Head && (r.OID == h.Head || h.Head == "") {
			return f.Head
		}
	}
	if h.Head != "" {
		return h.Head
	}
	return f.Head
}

// peel finds what annotated tags point to. Objects never change, so this cannot race.
func (c capture) peel(ctx context.Context, refs []Ref) error {
	var in strings.Builder
	for _, r := range refs {
		in.WriteString(r.OID + "^{}\n")
	}
	call := command.Git(c.src.Path, "cat-file", "--batch-check=%(objectname)")
	call.Stdin = strings.NewReader(in.String())
	out, err := command.Output(ctx, call)
	if err != nil {
		return fmt.Errorf("peel tags: %w", err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(refs) {
		return fmt.Errorf("peel tags: %d answers for %d refs", len(lines), len(refs))
	}
	for i := range refs {
		if lines[i] != refs[i].OID {
			refs[i].Peeled = lines[i]
		}
	}
	return nil
}
