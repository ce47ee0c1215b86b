package vault

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"lifeboat/internal/hint"
)

// The whole way over HTTP with the real S3 driver, with an object that is uploaded in parts.
func TestS3(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	must(t, backend.CreateBucket("backups"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	defer server.Close()
	query := "?region=us-east-1&use_path_style=true&endpoint=" + server.URL
	open := func(url string) (*Vault, error) {
		return Open(t.Context(), url+query, Options{Scratch: t.TempDir(), Pause: time.Millisecond})
	}
	if _, err := open("s3://elsewhere/team"); !errors.Is(err, ErrNoVault) || len(hint.All(err)) == 0 {
		t.Errorf("a bucket that is not there: %v", err)
	}
	v, err := open("s3://backups/team/prod")
	must(t, err)
	defer v.Close()
	s := newSource(t)
	first := backup(t, v, s, BackupOptions{})
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString(strings.Repeat(strings.Repeat("x", 1023)+"\n", 17<<10))
	must(t, errors.Join(err, f.Close()))
	second := backup(t, v, s, BackupOptions{})
	if second.Kind != Incremental || second.Chain[1].Size != 17<<20 {
		t.Errorf("%s, %d bytes", second.Kind, second.Chain[1].Size)
	}
	latest, err := v.Latest(t.Context(), first.Asset)
	if err != nil || latest.ID != second.ID {
		t.Errorf("latest %s, %v", latest.ID, err)
	}
	for _, level := range Levels() {
		if _, err := v.Verify(t.Context(), second, lines{}, level, VerifyOptions{Reread: true}); err != nil {
			t.Error(err)
		}
	}
	if got, err := restoredBytes(t.Context(), v, latest, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
		t.Errorf("restore: %v", err)
	}
	if rs, err := v.Receipts(t.Context(), second.Asset, second.ID); err != nil || len(rs) != 4 {
		t.Errorf("%d receipts, %v", len(rs), err)
	}
	if err := v.putSmall(t.Context(), first.Key(), putOptions{contentType: "application/json"}, []byte("other")); !errors.Is(err, errExists) {
		t.Errorf("a manifest was written over: %v", err)
	}
	o, err := backend.HeadObject("backups", "team/prod/"+first.Key())
	if err != nil || o.Size == 0 {
		t.Errorf("the prefix is not used: %v", err)
	}

	// Damage in the bucket.
	key := "team/prod/" + second.Chain[1].Key
	if _, err := backend.PutObject("backups", key, map[string]string{}, bytes.NewReader(make([]byte, 17<<20)), 17<<20, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), second, lines{}, LevelChecked, VerifyOptions{Reread: true}); !errors.Is(err, ErrDamaged) {
		t.Errorf("changed: %v", err)
	}
	if _, err := backend.DeleteObject("backups", key); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), second, lines{}, LevelStored, VerifyOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("deleted: %v", err)
	}
}
