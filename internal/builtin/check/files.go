package check

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const filesDoc = `Looks whether the files are there without which a restored asset is of no use: lock file,
environment files, infrastructure. The list comes from files, or from critical_files of
the asset. Paths are relative to dir, or to the asset's own place; a link that leads
outside of it counts as missing.

` + "```check.files" + `
dir: ./monorepo
files: [package.json, apps/booking/package.json]
nonempty: true
newer_than: 720h
` + "```" + `

With mode: private no file may be read or written by others than its owner; mode: "0644"
wants exactly that. sha256 names files with the hash of their content.
`

type filesParams struct {
	Asset     string            `param:"asset" help:"the asset whose critical files are looked for"`
	Dir       string            `param:"dir" help:"the directory to look in, instead of the asset's own"`
	Files     []string          `param:"files" help:"paths to look for, instead of the asset's critical files"`
	NonEmpty  bool              `param:"nonempty" help:"an empty file counts as missing"`
	NewerThan time.Duration     `param:"newer_than" help:"an older file counts as missing: 24h"`
	Mode      string            `param:"mode" help:"private: for the owner alone; or exactly these permissions: \"0644\""`
	SHA256    map[string]string `param:"sha256" help:"paths with the SHA-256 that their content must have"`
}

var (
	octal  = regexp.MustCompile(`^0?[0-7]{3}$`)
	digest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func checkFiles(p filesParams) error {
	if p.Asset == "" && len(p.Files) == 0 && len(p.SHA256) == 0 {
		return &action.ArgError{Name: "files", Msg: "there is nothing to look for", Fix: "give files: [...], or asset:"}
	}
	if p.Asset == "" && p.Dir == "" {
		return &action.ArgError{Name: "dir", Msg: "there is nowhere to look", Fix: "give dir:, or asset:"}
	}
	for _, f := range p.Files {
		if !filepath.IsLocal(f) {
			return &action.ArgError{Name: "files", Msg: fmt.Sprintf("%q lies outside the directory", f), Fix: "write paths relative to dir, without \"..\""}
		}
	}
	for _, f := range slices.Sorted(maps.Keys(p.SHA256)) {
		if !filepath.IsLocal(f) {
			return &action.ArgError{Name: "sha256", Msg: fmt.Sprintf("%q lies outside the directory", f), Fix: "write paths relative to dir, without \"..\""}
		}
		if !digest.MatchString(p.SHA256[f]) {
			return &action.ArgError{Name: "sha256", Msg: fmt.Sprintf("%q is no SHA-256", p.SHA256[f]), Fix: "write the 64 digits that sha256sum prints"}
		}
	}
	if p.Mode != "" && p.Mode != "private" && !octal.MatchString(p.Mode) {
		return &action.ArgError{Name: "mode", Msg: fmt.Sprintf("%q are no permissions", p.Mode), Fix: `write private, or digits in quotes: "0640"`}
	}
	return nil
}

func (d Deps) files() action.Action {
	return action.New(action.Def[filesParams]{
		Name: "check.files", Summary: "Look whether critical files are there", Doc: filesDoc,
		Effect: action.Read, Repeat: action.Safe,
		Check: checkFiles,
		Plan: func(_ context.Context, env *action.Env, p filesParams) (action.Plan, error) {
			dir, files, err := d.place(env, p)
			if err != nil {
				return action.Plan{}, err
			}
			return action.Plan{
				Summary: fmt.Sprintf("looks in %s for %s", printable.Line(dir), printable.Line(strings.Join(files, ", "))),
				Target:  dir, Stop: stopReading,
			}, nil
		},
		Run: func(ctx context.Context, env *action.Env, p filesParams, _ action.Plan) (action.Result, error) {
			dir, files, err := d.place(env, p)
			if err != nil {
				return action.Result{}, err
			}
			return lookFor(ctx, env, p, dir, files)
		},
	})
}

// place finds out where to look and for what.
func (d Deps) place(env *action.Env, p filesParams) (dir string, files []string, err error) {
	dir, files = p.Dir, slices.Clone(p.Files)
	for _, name := range slices.Sorted(maps.Keys(p.SHA256)) {
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	if p.Asset != "" {
		a, err := d.Asset(p.Asset)
		if err != nil {
			return "", nil, err
		}
		if len(files) == 0 {
			files = a.Critical
		}
		if len(files) == 0 {
			return "", nil, hint.Wrap(fmt.Errorf("%w: asset %q lists no critical files", action.ErrRefused, p.Asset),
				"give files: in the block, or critical_files: of the asset")
		}
		if dir == "" {
			dir = a.Path
			if info, err := os.Stat(dir); err == nil && !info.IsDir() {
				dir = filepath.Dir(dir)
			}
		}
	}
	if dir == "" {
		return "", nil, hint.Wrap(fmt.Errorf("%w: asset %q has no directory here", action.ErrRefused, p.Asset), "give dir:")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(env.Dir, dir)
	}
	return dir, files, nil
}

func lookFor(ctx context.Context, env *action.Env, p filesParams, dir string, files []string) (action.Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return action.Result{}, hint.Wrap(fmt.Errorf("%w: look in %q: %w", action.ErrCheck, dir, err),
			"if the directory was lost, restore its asset first")
	}
	defer root.Close()
	res := action.Result{Outputs: map[string]any{"files": int64(len(files))}}
	var missing []string
	for i, name := range files {
		if err := ctx.Err(); err != nil {
			return action.Result{}, err
		}
		evidence, err := look(ctx, env, p, root, name)
		c := action.Check{Text: name, OK: err == nil, Evidence: evidence}
		if err != nil {
			c.Evidence = err.Error()
			missing = append(missing, fmt.Sprintf("%s: %v", name, err))
		}
		env.Printf("%s: %s", name, c.Evidence)
		env.Report(int64(i+1), int64(len(files)), "files")
		res.Checks = append(res.Checks, c)
	}
	if len(missing) > 0 {
		return res, fmt.Errorf("%w: %d of %d files in %q: %s", action.ErrCheck, len(missing), len(files), dir, strings.Join(missing, "; "))
	}
	if res.Evidence = fmt.Sprintf("all %d files are there in %s", len(files), dir); len(files) == 1 {
		res.Evidence = fmt.Sprintf("%s is there in %s", files[0], dir)
	}
	return res, nil
}

// look says what is known of a file, or why it does not count.
func look(ctx context.Context, env *action.Env, p filesParams, root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("missing")
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("is a directory")
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("is no regular file (%s)", info.Mode().Type())
	case p.NonEmpty && info.Size() == 0:
		return "", errors.New("is empty")
	}
	if p.NewerThan > 0 {
		if age := env.Now().Sub(info.ModTime()); age > p.NewerThan {
			return "", fmt.Errorf("is older than %s: %s", p.NewerThan, info.ModTime().UTC().Format(time.RFC3339))
		}
	}
	if err := permitted(p.Mode, info.Mode().Perm()); err != nil {
		return "", err
	}
	f, err := root.Open(name)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	evidence := fmt.Sprintf("%d bytes", info.Size())
	if p.Mode != "" {
		evidence += fmt.Sprintf(", mode %04o", info.Mode().Perm())
	}
	want := p.SHA256[name]
	if want == "" {
		return evidence, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, reader{ctx, f}); err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return "", fmt.Errorf("has another content: sha256 %s, not %s", got, want)
	}
	return evidence + ", sha256 as expected", nil
}

// permitted compares the permissions of a file with what mode asks for.
func permitted(mode string, perm fs.FileMode) error {
	switch mode {
	case "":
		return nil
	case "private":
		if perm&0o077 != 0 {
			return fmt.Errorf("is open to others: mode %04o", perm)
		}
		return nil
	}
	want, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return err
	}
	if perm != fs.FileMode(want) {
		return fmt.Errorf("has mode %04o, not %04o", perm, want)
	}
	return nil
}

// reader ends when ctx does: a file can be larger than anybody's patience.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
