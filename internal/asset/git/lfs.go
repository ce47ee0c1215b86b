package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/command"
)

// lfsObject is content of Git LFS that can be had: a file with the SHA-256 of its name.
type lfsObject struct {
	oid  string
	path string
	size int64
}

// lfsPlan is what a point needs of Git LFS and where it lies.
type lfsPlan struct {
	chain []string    // names of all that the chain holds, with this point; sorted
	fresh []lfsObject // what this point adds to the chain, sorted
	all   []lfsObject // what the pointers of this point name, sorted; complete only for a mirror
}

// brings says whether there is something to store.
func (p *lfsPlan) brings() bool { return p != nil && len(p.fresh) > 0 }

const (
	maxPointer = 1024 // bytes; git-lfs takes nothing longer for a pointer
	lfsDir     = "lfs/objects"
)

// maxPointers bounds what is held in memory about one repository.
const maxPointers = 1 << 20

// planLFS finds the pointers that the refs reach and the content that they name, and
// records both in f.
func (c *capture) planLFS(ctx context.Context, f, parent *Facts) error {
	c.lfs = nil
	if !c.k.LFS {
		return nil
	}
	plan := &lfsPlan{}
	var before *LFSFacts
	if parent != nil {
		before = parent.LFS
	}
	if before != nil && before.Absent == 0 && sameRefs(*parent, *f) && !c.k.Mirror {
		f.LFS, c.lfs = before, plan // an unchanged point
		return nil
	}
	known, err := c.chainIndex(ctx, before)
	if err != nil {
		return err
	}
	pointers, err := findPointers(ctx, c.src.Path, *f)
	if err != nil {
		return fmt.Errorf("look for pointers of Git LFS: %w", err)
	}
	needed := maps.Clone(pointers)
	if !c.k.Mirror {
		maps.DeleteFunc(needed, func(oid string, _ int64) bool { return known[oid] })
	}
	if plan.all, err = c.findContent(ctx, needed); err != nil {
		return fmt.Errorf("look for content of Git LFS: %w", err)
	}
	f.LFS = &LFSFacts{Pointers: len(pointers)}
	for _, o := range plan.all {
		delete(needed, o.oid)
		if !known[o.oid] {
			plan.fresh = append(plan.fresh, o)
			known[o.oid] = true
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(needed)) {
		if known[oid] {
			fmt.Fprintf(c.log, "Git LFS: object %s is in the chain, and can no longer be had for the mirror\n", oid)
			continue
		}
		if f.LFS.Absent++; f.LFS.Absent <= maxMissing {
			f.LFS.Missing = append(f.LFS.Missing, oid)
		}
	}
	if f.LFS.Absent > 0 {
		fmt.Fprintf(c.log, "Git LFS: %d of %d objects could not be had, first %s\n", f.LFS.Absent, len(pointers), f.LFS.Missing[0])
	}
	plan.chain = slices.Sorted(maps.Keys(known))
	f.LFS.Stored, f.LFS.ObjectsSHA256 = len(plan.chain), hashLines(plan.chain)
	c.lfs = plan
	return nil
}

// maxMissing is how many names of missing objects stand in a manifest.
const maxMissing = 100

// chainIndex reads what of LFS the chain holds. An index that cannot be had or believed
// is no reason to make no backup, but the point must be full then.
func (c *capture) chainIndex(ctx context.Context, before *LFSFacts) (map[string]bool, error) {
	known := map[string]bool{}
	if before == nil || before.Stored == 0 {
		return known, nil
	}
	if c.open == nil {
		return nil, fmt.Errorf("%w: the index of Git LFS is not at hand", errFull)
	}
	oids, err := func() ([]string, error) {
		r, err := c.open(RoleIndex)
		if err != nil {
			return nil, err
		}
		oids, err := readIndex(withContext(ctx, r))
		return oids, errors.Join(err, r.Close())
	}()
	if err == nil && hashLines(oids) != before.ObjectsSHA256 {
		err = fmt.Errorf("%w: it is not the one that its facts describe", ErrDamaged)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		fmt.Fprintf(c.log, "the index of Git LFS cannot be used (%v): making a full point\n", err)
		return nil, fmt.Errorf("%w: read the index of Git LFS: %w", errFull, err)
	}
	for _, oid := range oids {
		known[oid] = true
	}
	return known, nil
}

// readIndex reads an index: names of objects, a line each, sorted.
func readIndex(r io.Reader) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		oid := lines.Text()
		if !isOID(oid, "sha256") || len(out) > 0 && oid <= out[len(out)-1] || len(out) >= maxEntries {
			return nil, fmt.Errorf("%w: line %d of the index of Git LFS is %.80q", ErrDamaged, len(out)+1, oid)
		}
		out = append(out, oid)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: line %d of the index of Git LFS is too long", ErrDamaged, len(out)+1)
	}
	return out, lines.Err()
}

// findPointers lists what the pointers name that the refs of f and HEAD reach, with the
// sizes they state. It reads blobs of less than a kilobyte only.
func findPointers(ctx context.Context, dir string, f Facts) (map[string]int64, error) {
	refs, err := f.List()
	if err != nil {
		return nil, err
	}
	var tips strings.Builder
	for _, r := range refs {
		tips.WriteString(r.OID + "\n")
	}
	if oid, detached := f.Detached(); detached {
		tips.WriteString(oid + "\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	walk := command.Git(dir, "rev-list", "--stdin", "--objects", "--no-object-names",
		"--filter=object:type=blob", "--filter=blob:limit="+strconv.Itoa(maxPointer), "--filter-provided-objects")
	walk.Stdin, walk.StdoutPipe = strings.NewReader(tips.String()), true
	walker, err := command.Start(ctx, walk)
	if err != nil {
		return nil, err
	}
	read := command.Git(dir, "cat-file", "--batch", "--buffer")
	read.Stdin, read.StdoutPipe = walker.Stdout, true
	reader, err := command.Start(ctx, read)
	if err != nil {
		cancel()
		walker.Stdout.Close()
		walker.Wait()
		return nil, err
	}
	out, err := readPointers(bufio.NewReaderSize(reader.Stdout, 128<<10))
	if err != nil {
		cancel()
	}
	reader.Stdout.Close()
	_, readEnd := reader.Wait()
	walker.Stdout.Close()
	_, walkEnd := walker.Wait()
	if err = errors.Join(err, walkEnd, readEnd); err != nil {
		return nil, err
	}
	return out, nil
}

// readPointers understands what cat-file --batch prints.
func readPointers(r *bufio.Reader) (map[string]int64, error) {
	out := map[string]int64{}
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read blobs: %w", err)
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("read blobs: git says %q", line)
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("read blobs: git says %q", line)
		}
		if fields[1] != "blob" || size >= maxPointer { // the target of a tag
			if _, err := io.CopyN(io.Discard, r, size+1); err != nil {
				return nil, fmt.Errorf("read blobs: %w", err)
			}
			continue
		}
		data := make([]byte, size+1)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, fmt.Errorf("read blobs: %w", err)
		}
		if oid, length, ok := parsePointer(data[:size]); ok {
			if out[oid] = length; len(out) > maxPointers {
				return nil, fmt.Errorf("%w: more than %d pointers of Git LFS", ErrUnsuitable, maxPointers)
			}
		}
	}
}

// parsePointer reads a pointer as docs/spec.md of git-lfs describes it: lines of a key and
// a value, the version first. A pointer to nothing needs no object and is none.
func parsePointer(data []byte) (oid string, size int64, ok bool) {
	if len(data) >= maxPointer {
		return "", 0, false
	}
	version, rest, _ := bytes.Cut(data, []byte("\n"))
	switch string(bytes.TrimSuffix(version, []byte("\r"))) {
	case "version https://git-lfs.github.com/spec/v1", "version https://hawser.github.com/spec/v1", "version http://git-media.io/v/2":
	default:
		return "", 0, false
	}
	size = -1
	for line := range strings.Lines(string(rest)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch key {
		case "oid":
			oid, _ = strings.CutPrefix(value, "sha256:")
		case "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return "", 0, false
			}
			size = n
		}
	}
	return oid, size, isOID(oid, "sha256") && size > 0
}

// findContent looks for objects where the source keeps them, and where it is no directory
// asks its server. The result is sorted; what is not in it could not be had.
func (c *capture) findContent(ctx context.Context, needed map[string]int64) ([]lfsObject, error) {
	var out []lfsObject
	if c.origin.Path != "" && len(needed) > 0 {
		store, err := localStore(ctx, c.origin.Path)
		if err != nil {
			return nil, err
		}
		for _, oid := range slices.Sorted(maps.Keys(needed)) {
			o := lfsObject{oid: oid, path: filepath.Join(store, oid[:2], oid[2:4], oid)}
			switch sum, size, err := hashFile(ctx, o.path); {
			case err == nil && sum == oid:
				o.size = size
				out = append(out, o)
			case err == nil:
				fmt.Fprintf(c.log, "Git LFS: object %s is damaged in the source\n", oid)
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case !errors.Is(err, os.ErrNotExist):
				fmt.Fprintf(c.log, "Git LFS: object %s cannot be read: %v\n", oid, err)
			}
		}
		return out, nil
	}
	if c.still == nil || len(needed) == 0 {
		return nil, nil
	}
	return c.fetchContent(ctx, filepath.Join(c.still.root, "lfs"), needed)
}

// localStore is where git-lfs keeps content: beside the objects that all work trees share.
func localStore(ctx context.Context, dir string) (string, error) {
	out, err := command.Output(ctx, command.Git(dir, "rev-parse", "--git-common-dir"))
	if err != nil {
		return "", err
	}
	common := strings.TrimSuffix(string(out), "\n")
	if !filepath.IsAbs(common) {
		common = filepath.Join(dir, common)
	}
	return filepath.Join(common, filepath.FromSlash(lfsDir)), nil
}
