package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"pgregory.net/rapid"
)

// TestStockWholeS3 takes shorter histories of a repository, a database and a directory
// through a bucket over HTTP. What a script names is downloaded by plain GET, as with any
// client, and put where its head says.
func TestStockWholeS3(t *testing.T) {
	t.Parallel()
	stock(t, "git", "sqlite3", "tar", "gzip", "age", "gpg")
	seen := newTally()
	histories(t, 0, func(rt *rapid.T) {
		server := newServer(rt)
		for name, make := range map[string]func() subject{
			"git":    func() subject { return newRepository(rt, 10) },
			"sqlite": func() subject { return newDatabase(rt, rt) },
			"files":  func() subject { return newTree(rt) },
		} {
			s := make()
			w := newWhole(rt, &httpBucket{server: server, prefix: "team/" + name, dir: scratch(rt)}, true, seen)
			w.live(rt, s, rapid.Permutation(s.changes()).Draw(rt, "order of "+name)[:4])
			w.judge(s, w.sample(rt, nil))
			if name == "git" {
				w.judgeMirrors()
			}
		}
	})
	seen.require(t, "encryption", seen.schemes, "none", "age", "gpg")
	t.Logf("%d points restored, %v, mirrors %v", seen.restored, seen.kinds, seen.mirrors)
}

// newServer is a server that speaks S3, with the bucket "backups".
func newServer(t tester) string {
	t.Helper()
	backend := s3mem.New()
	must(t, backend.CreateBucket("backups"))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return server.URL
}

// httpBucket is a bucket behind HTTP.
type httpBucket struct {
	server, prefix string
	dir            string // of downloads
	n              int    // of downloads
}

func (b *httpBucket) url() string {
	return "s3://backups/" + b.prefix + "?region=us-east-1&anonymous=true&use_path_style=true&endpoint=" + b.server
}

func (b *httpBucket) read(key string) ([]byte, error) {
	client := http.Client{Timeout: 20 * time.Second}
	r, err := client.Get(b.server + "/backups/" + b.prefix + "/" + key)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", key, r.Status)
	}
	return io.ReadAll(r.Body)
}

// download keeps the paths from d/ on.
func (b *httpBucket) download(keys []string) (string, error) {
	b.n++
	folder := filepath.Join(b.dir, fmt.Sprint("download ", b.n))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	for _, key := range keys {
		data, err := b.read(key)
		if err != nil {
			return "", err
		}
		to := filepath.Join(folder, downloaded(key))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func (b *httpBucket) at(folder, key string) string { return filepath.Join(folder, downloaded(key)) }

// downloaded is d/<attempt>/<name> of v1/a/<asset>/d/<attempt>/<name>.
func downloaded(key string) string {
	dir, name := path.Split(key)
	return filepath.Join("d", path.Base(dir), name)
}
