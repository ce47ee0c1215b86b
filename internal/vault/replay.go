package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
)

// replay is one rebuilding of a point from the bucket.
type replay struct {
	v        *Vault
	m        Manifest
	k        Kind
	dir      string // the replica
	objects  string // an empty directory for downloads
	log      writer
	progress func(done, total int64, unit string)
	done     int64 // bytes downloaded; owned by the goroutine that downloads
}

type writer interface{ Write(p []byte) (int, error) }

func (r *replay) seen(n int) {
	r.done += int64(n)
	r.progress(r.done, r.m.Size(), "B")
}

// run applies every object of the chain to the replica, in order. An object is applied
// only after all its bytes were found to be the recorded ones; meanwhile the next one is
// downloaded. Each download is removed when it was applied.
func (r *replay) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	type item struct {
		o    Object
		file string
		err  error
	}
	ready := make(chan item) // closed by the downloader, which the deferred loop waits for
	defer func() {
		cancel()
		for range ready {
		}
	}()
	go func() {
		defer close(ready)
		for i, o := range r.m.Chain {
			file := filepath.Join(r.objects, o.plainName(i))
			err := r.v.fetch(ctx, o, file, r.seen)
			select {
			case ready <- item{o, file, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for range r.m.Chain {
		it, ok := <-ready
		if !ok {
			return ctx.Err()
		}
		if it.err != nil {
			return it.err
		}
		fmt.Fprintf(r.log, "apply %s (%d bytes)\n", filepath.Base(it.file), it.o.PlainSize)
		if err := r.k.Apply(ctx, r.dir, it.o.Role, it.file, r.log); err != nil {
			return verdict(ctx, fmt.Errorf("apply object %q: %w", it.o.Key, err))
		}
		if err := os.Remove(it.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// prove compares the replica with the facts.
func (r *replay) prove(ctx context.Context, full bool) (string, error) {
	evidence, err := r.k.Prove(ctx, r.dir, r.m.Facts, full, r.log)
	if err != nil {
		return "", verdict(ctx, fmt.Errorf("prove point %s: %w", r.m.ID, err))
	}
	return evidence, nil
}

// verdict says of an error of a Kind whether the backup is to blame. It is not when the
// work was stopped, a program is absent, or the machine has run out of something.
func verdict(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, command.ErrNotFound) || errors.Is(err, command.ErrHeld) || errors.Is(err, ErrDamaged) {
		return err
	}
	for _, lack := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, lack) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// private makes a directory of this process's own and returns it with what removes it.
func (v *Vault) private(scratch string) (string, func() error, error) {
	if scratch == "" {
		scratch = v.o.Scratch
	}
	dir, err := os.MkdirTemp(scratch, "lifeboat-vault-")
	if err != nil {
		return "", nil, fmt.Errorf("make a private directory: %w", err)
	}
	return dir, func() error { return durable.RemoveTree(dir) }, nil
}
