package vault

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mapStore is the smallest store there is, for tests that need thousands. TestStore holds
// it to the promises of the real ones.
type mapStore struct {
	mu      sync.Mutex // protects below
	objects map[string][]byte
}

var _ store = (*mapStore)(nil)

// copyStore gives a new store with the same objects.
func copyStore(t *testing.T, from store) store {
	t.Helper()
	m, ok := from.(*mapStore)
	if !ok {
		t.Fatalf("a %T cannot be copied", from)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &mapStore{objects: maps.Clone(m.objects)}
}

type mapWriter struct {
	bytes.Buffer
	ctx context.Context
	m   *mapStore
	key string
}

func (w *mapWriter) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if _, ok := w.m.objects[w.key]; ok {
		return errExists
	}
	w.m.objects[w.key] = w.Bytes()
	return nil
}

func (m *mapStore) put(ctx context.Context, key string, _ putOptions) (io.WriteCloser, error) {
	return &mapWriter{ctx: ctx, m: m, key: key}, ctx.Err()
}

func (m *mapStore) get(ctx context.Context, key string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key]
	if !ok {
		return nil, errNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), ctx.Err()
}

func (m *mapStore) stat(ctx context.Context, key string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key]
	if !ok {
		return 0, errNotExist
	}
	return int64(len(data)), ctx.Err()
}

func (m *mapStore) list(ctx context.Context, prefix string) ([]string, error) {
	seen := map[string]bool{}
	err := m.scan(ctx, prefix, "", func(o stored) error {
		name, _, deeper := strings.Cut(strings.TrimPrefix(o.key, prefix), "/")
		if deeper {
			name += "/"
		}
		seen[name] = true
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

func (m *mapStore) scan(ctx context.Context, prefix, from string, visit func(stored) error) error {
	m.mu.Lock()
	var found []stored
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) && key >= from {
			found = append(found, stored{key, int64(len(m.objects[key])), time.Time{}})
		}
	}
	m.mu.Unlock()
	for _, o := range found {
		if err := visit(o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *mapStore) remove(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; !ok {
		return errNotExist
	}
	delete(m.objects, key)
	return ctx.Err()
}

func (m *mapStore) locks() bool  { return false }
func (m *mapStore) Close() error { return nil }
