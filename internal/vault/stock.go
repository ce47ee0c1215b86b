package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// What restore.sh needs beside the programs of Kind, and what the part of a Kind may use
// without naming it.
var (
	scriptNeeds = []string{"sh", "sha256sum", "gzip", "mkdir", "mv", "rm", "cp"}
	stockTools  = []string{
		"awk", "basename", "cat", "chmod", "cmp", "comm", "cut", "date", "dd", "diff", "dirname", "env", "expr", "find",
		"grep", "head", "ln", "ls", "mktemp", "od", "printf", "pwd", "rmdir", "sed", "sort", "tail", "tee", "test",
		"touch", "tr", "uname", "uniq", "wc", "xargs",
	}
)

// restored does what a person without Lifeboat would do, in an empty directory: download
// the objects and run restore.sh, with a PATH that has nothing but stock programs. The
// time that it takes is the measured RTO.
func (p *verification) restored(ctx context.Context) (err error) {
	stored, err := p.readScript(ctx)
	if err != nil {
		return err
	}
	dir, remove, err := p.v.private(p.o.Scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	keys, forget, err := p.v.keyFiles(ctx, p.m, dir)
	if err != nil {
		return err
	}
	defer forget()
	bin, err := stockPath(filepath.Join(dir, "bin"), slices.Concat(p.k.Needs(), cryptNeeds(p.m)))
	if errors.Is(err, command.ErrNotFound) {
		p.r.Way = "Lifeboat itself: " + err.Error()
		p.say("not with stock tools: %v", err)
		began := time.Now()
		err = p.replayed(ctx, true)
		p.r.Took = time.Since(began).Seconds()
		return err
	}
	if err != nil {
		return err
	}
	text, way := p.choose(stored)
	p.r.Way = way
	began := time.Now()
	if err := p.downloadAll(ctx, filepath.Join(dir, "objects")); err != nil {
		return err
	}
	script := filepath.Join(dir, "restore.sh")
	if err := os.WriteFile(script, text, 0o600); err != nil {
		return err
	}
	last, err := p.runScript(ctx, dir, bin, script, keys)
	p.r.Took = time.Since(began).Seconds()
	if err != nil {
		return err
	}
	p.allRead()
	p.say("%s in %.1f s: %s", way, p.r.Took, strings.ReplaceAll(last, filepath.Join(dir, "out"), "what it made"))
	return p.probe(ctx, filepath.Join(dir, "out"))
}

// probe asks for what the owner wants to work. A replica that fails was proven equal all
// the same: the receipt then says so, at level applied.
func (p *verification) probe(ctx context.Context, dir string) error {
	k, ok := p.k.(Prober)
	if !ok {
		return nil
	}
	evidence, err := k.Probe(ctx, dir, p.o.Log)
	if err != nil && ctx.Err() == nil && !errors.Is(err, command.ErrNotFound) {
		p.r.Level = LevelApplied
		p.say("as its owner wants it: no, %v", err)
		return fmt.Errorf("%w: %w", ErrProbe, err)
	}
	if evidence != "" {
		p.say("%s", evidence)
	}
	return err
}

// choose decides which text may run on this machine. The bucket is not trusted with
// that: the stored script runs when it is what this version writes for the manifest, or
// when a trusted installation has signed the manifest that holds its hash.
func (p *verification) choose(stored []byte) (text []byte, way string) {
	own := []byte(restoreScript(p.m, p.k))
	switch {
	case bytes.Equal(own, stored):
		return stored, "restore.sh"
	case p.m.Sig != nil && len(p.v.o.Trust) > 0:
		return stored, "restore.sh of version " + p.m.Tool.Version
	}
	return own, "restore.sh as this version writes it; the stored one is of another version and was not run"
}

func (p *verification) downloadAll(ctx context.Context, dir string) error {
	var total int64 = p.m.Size()
	for _, o := range p.m.Chain {
		sub := filepath.Join(dir, "d", o.attempt())
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return err
		}
		err := p.v.fetchStored(ctx, o, filepath.Join(sub, o.name()), func(n int) {
			p.r.Bytes += int64(n)
			p.o.Progress(p.r.Bytes, total, "B")
		})
		if err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o700)
}

// runScript returns the last line that the script wrote. keys are the variables that name
// the files of keyFiles.
func (p *verification) runScript(ctx context.Context, dir, bin, script string, keys map[string]string) (string, error) {
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", err
	}
	var last lastLine
	out := io.MultiWriter(p.o.Log, &last)
	env := map[string]string{
		"PATH": bin, "HOME": home, "TMPDIR": dir, "LC_ALL": "C",
		"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.DevNull,
	}
	maps.Copy(env, keys)
	_, err := command.Run(ctx, command.Cmd{
		Argv: []string{filepath.Join(bin, "sh"), script, filepath.Join(dir, "objects"), filepath.Join(dir, "out")},
		Dir:  dir, Env: env,
		Stdout: out, Stderr: out,
	})
	if err != nil {
		err = fmt.Errorf("restore.sh: %w (its last line: %q)", err, last.String())
		if lack := lacking(dir, p.m); lack != nil { // a script cannot say that the disk was full
			return "", errors.Join(err, lack)
		}
		return "", verdict(ctx, err)
	}
	return last.String(), nil
}

// Room is how many bytes a restore of the point may need: it holds the plain objects, and
// what it makes of them, which a repository with its indexes may be twice over.
func (m Manifest) Room() int64 {
	const spare = 32 << 20
	return 3*plainSize(m.Chain) + spare
}

// lacking is an error when the disk of dir had perhaps not enough room for a restore.sh
// that has failed, and has cleaned up since.
func lacking(dir string, m Manifest) error {
	need := m.Room()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return fmt.Errorf("look how much room %q has: %w", dir, err)
	}
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return hint.Wrap(fmt.Errorf("%w: %d MB are free on the disk of %q, and it may need %d MB: this says nothing about the backup", syscall.ENOSPC, free>>20, dir, need>>20),
			"make room there, and verify it again")
	}
	return nil
}

// stockPath fills a directory with links to stock programs and returns it.
func stockPath(bin string, needs []string) (string, error) {
	if err := os.Mkdir(bin, 0o700); err != nil {
		return "", err
	}
	required := slices.Concat(scriptNeeds, needs)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(required, stockTools)))) {
		path, err := command.Look(name)
		if errors.Is(err, command.ErrNotFound) && !slices.Contains(required, name) {
			continue
		}
		if err != nil {
			return "", err
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			return "", err
		}
	}
	return bin, nil
}

// lastLine keeps the last line of text that is not empty, up to 400 bytes of it.
type lastLine struct{ line, part []byte }

func (l *lastLine) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c != '\n' && len(l.part) < 400:
			l.part = append(l.part, c)
		case c == '\n' && len(bytes.TrimSpace(l.part)) > 0:
			l.line = append(l.line[:0], l.part...)
			l.part = l.part[:0]
		case c == '\n':
			l.part = l.part[:0]
		}
	}
	return len(p), nil
}

func (l *lastLine) String() string {
	if len(bytes.TrimSpace(l.part)) > 0 {
		return strings.TrimSpace(string(l.part))
	}
	return strings.TrimSpace(string(l.line))
}
