package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// settle decides what an error at the end of writing an object means. The answer may have
// been lost after the object was stored, and a driver that then asked again was told that
// it exists; keys are never used twice, so what is there is ours when its bytes are. Then
// there was no error.
func (v *Vault) settle(ctx context.Context, o Object, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if v.same(ctx, o) == nil {
		return nil
	}
	return err
}

// same reads a stored object and compares it with its record. Errors: errNotExist,
// ErrDamaged.
func (v *Vault) same(ctx context.Context, o Object) error {
	return twice(func() error {
		r, err := v.store.get(ctx, o.Key)
		if err != nil {
			return fmt.Errorf("object %q: %w", o.Key, err)
		}
		m := &measured{r: r, sum: sha256.New(), limit: o.Size}
		_, err = io.Copy(io.Discard, m)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("object %q: %w", o.Key, err)
		}
		return o.match(m)
	})
}
