package git

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/command"
)

// checkedName is a file in a replica that lists its packs whose every object was checked
// when it was indexed. Only Apply writes it; the directory is private to a restore, and
// no bundle can reach it.
const checkedName = "lifeboat-checked"

// indexStrict brings the pack of a bundle into the replica, and checks every object and
// every link on the way: `git fetch` from a bundle does not before 2.46. It then finds
// everything there and only sets refs. offset is where the pack begins.
func indexStrict(ctx context.Context, dir, bundle string, offset int64) error {
	f, err := os.Open(bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	ids := make([]string, 0, len(historic))
	for _, id := range historic {
		ids = append(ids, id+"=warn")
	}
	call := command.Git("", "-c", "core.bigFileThreshold=64m",
		"index-pack", "--stdin", "--fix-thin", "--strict="+strings.Join(ids, ","))
	call.Argv = slices.Insert(call.Argv, 1, "--git-dir="+dir)
	call.Stdin = f
	out, err := command.Output(ctx, call)
	if err != nil {
		return err
	}
	word, name, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	if word != "pack" || !isHex(name) {
		return fmt.Errorf("index pack: git says %q", out)
	}
	list, err := os.OpenFile(filepath.Join(dir, checkedName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(list, name)
	return errors.Join(err, list.Close())
}

// unchanged says whether all objects of a replica are in packs that Apply has checked and
// that still are, byte for byte, what was checked then. Hashing a pack is ten times
// faster than unpacking it, and proves the same of it as doing so again.
func unchanged(ctx context.Context, dir, format string) (bool, error) {
	list, err := os.ReadFile(filepath.Join(dir, checkedName))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	checked := strings.Fields(string(list))
	var files []string
	err = filepath.WalkDir(filepath.Join(dir, "objects"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	for _, path := range files {
		name, kind, ok := strings.Cut(strings.TrimPrefix(filepath.Base(path), "pack-"), ".")
		known := ok && filepath.Base(filepath.Dir(path)) == "pack" && slices.Contains(checked, name)
		if !known || !slices.Contains([]string{"pack", "idx", "rev"}, kind) {
			return false, nil
		}
		trailer, err := trailing(ctx, path, format)
		if err != nil || trailer == "" || kind == "pack" && trailer != name {
			return false, err
		}
	}
	return true, nil
}

// trailing gives the hash at the end of a file of git when it is that of all bytes before
// it, empty when it is not.
func trailing(ctx context.Context, path, format string) (string, error) {
	var sum hash.Hash = sha1.New()
	if format == "sha256" {
		sum = sha256.New()
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	size := int64(sum.Size())
	r := bufio.NewReaderSize(withContext(ctx, f), 256<<10)
	if info.Size() < size {
		return "", nil
	}
	if _, err := io.CopyN(sum, r, info.Size()-size); err != nil {
		return "", err
	}
	end, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(end, sum.Sum(nil)) {
		return "", err
	}
	return fmt.Sprintf("%x", end), nil
}

// everything makes every check there is of a replica, and says in words which.
func everything(ctx context.Context, dir, format string, log io.Writer) (string, error) {
	same, err := unchanged(ctx, dir, format)
	if err != nil {
		return "", err
	}
	check, words := Fsck, "git fsck --full found nothing"
	if same {
		check, words = connectivity, "every object whole (git index-pack --strict), git fsck --connectivity-only found nothing"
	}
	report, err := check(ctx, dir, log)
	if err != nil {
		return "", err
	}
	if err := report.Err(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnequal, err)
	}
	if err := os.Remove(filepath.Join(dir, checkedName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return words, nil
}
