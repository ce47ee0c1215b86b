package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"lifeboat/internal/hint"
)

// front stands before a server of a provider: it counts, remembers and answers in its place.
type front struct {
	url string

	mu       sync.Mutex // protects below
	requests int
	seen     func(r *http.Request, body string)                // may be nil
	answer   func(w http.ResponseWriter, r *http.Request) bool // may be nil; true: answered
	lose     func(r *http.Request) bool                        // the server works, its answer is lost
}

func (f *front) set(seen func(*http.Request, string), answer func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.answer, f.requests = seen, answer, 0
}

func (f *front) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *front) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.requests++
		if f.seen != nil {
			f.seen(r, string(body))
		}
		answered := f.answer != nil && f.answer(w, r)
		lost := !answered && f.lose != nil && f.lose(r)
		f.mu.Unlock()
		switch {
		case answered:
		case lost:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// amazon is a server that speaks S3, with the bucket "backups".
func amazon(t *testing.T) (*front, *s3mem.Backend) {
	t.Helper()
	backend := s3mem.New()
	must(t, backend.CreateBucket("backups"))
	f := &front{}
	server := httptest.NewServer(f.before(gofakes3.New(backend).Server()))
	t.Cleanup(server.Close)
	f.url = "s3://backups/team?region=us-east-1&use_path_style=true&endpoint=" + server.URL
	return f, backend
}

// google is a server that speaks Cloud Storage, with the bucket "backups".
func google(t *testing.T) *front {
	t.Helper()
	f := &front{}
	server := httptest.NewUnstartedServer(nil)
	address := server.Listener.Addr().String()
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: "http://" + address, PublicHost: address})
	must(t, err)
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "backups"})
	server.Config.Handler = f.before(fake.HTTPHandler())
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(fake.Stop)
	f.url = "gs://backups/team?anonymous=true&endpoint=http://" + address
	return f
}

func (f *front) open(t *testing.T, o Options) *Vault {
	t.Helper()
	o.Scratch, o.Pause = t.TempDir(), time.Millisecond
	v, err := Open(t.Context(), f.url, o)
	must(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

// The whole way over HTTP with the real driver of Google, with an object of several chunks.
func TestGoogle(t *testing.T) {
	t.Parallel()
	f := google(t)
	if _, err := Open(t.Context(), strings.Replace(f.url, "backups", "elsewhere", 1), Options{}); !errors.Is(err, ErrNoVault) {
		t.Errorf("a bucket that is not there: %v", err)
	}
	var creates, conditional int
	f.set(func(r *http.Request, _ string) {
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/upload/") && !r.URL.Query().Has("upload_id") {
			creates++
			if r.URL.Query().Get("ifGenerationMatch") == "0" {
				conditional++
			}
		}
	}, nil)
	v := f.open(t, Options{})
	s := newSource(t)
	first := backup(t, v, s, BackupOptions{})
	file, err := os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = file.WriteString(strings.Repeat(strings.Repeat("x", 1023)+"\n", 17<<10))
	must(t, errors.Join(err, file.Close()))
	second := backup(t, v, s, BackupOptions{})
	if second.Kind != Incremental || second.Chain[1].Size != 17<<20 {
		t.Errorf("%s, %d bytes", second.Kind, second.Chain[1].Size)
	}
	if creates == 0 || creates != conditional {
		t.Errorf("%d objects created, %d on the condition that they are new", creates, conditional)
	}
	for _, level := range Levels() {
		if _, err := v.Verify(t.Context(), second, lines{}, level, VerifyOptions{Reread: true}); err != nil {
			t.Error(err)
		}
	}
	if got, err := restoredBytes(t.Context(), v, second, filepath.Join(t.TempDir(), "out")); err != nil || !bytes.Equal(got, s.content()) {
		t.Errorf("restore: %v", err)
	}
	if err := v.putSmall(t.Context(), first.Key(), putOptions{}, []byte("other")); !errors.Is(err, errExists) {
		t.Errorf("a manifest was written over: %v", err)
	}
	must(t, v.store.remove(t.Context(), second.Chain[1].Key))
	if _, err := v.Verify(t.Context(), second, lines{}, LevelStored, VerifyOptions{}); !errors.Is(err, ErrMissing) {
		t.Errorf("deleted: %v", err)
	}
}

// A scan of a bucket gives every object below the prefix, and may begin in the middle.
func TestRemoteScan(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			v := f.open(t, Options{})
			for i := range 5 {
				must(t, v.putSmall(t.Context(), fmt.Sprintf("v1/a/x/%d/y", i), putOptions{}, []byte("z")))
			}
			must(t, v.putSmall(t.Context(), "v1/b", putOptions{}, nil))
			for from, want := range map[string]string{"": "0 1 2 3 4", "v1/a/x/3": "3 4", "v1/a/x/9": ""} {
				var got []string
				err := v.store.scan(t.Context(), "v1/a/", from, func(o stored) error {
					if o.size != 1 || o.modified.IsZero() {
						t.Errorf("%+v", o)
					}
					got = append(got, strings.Split(o.key, "/")[3])
					return nil
				})
				if text := strings.Join(got, " "); err != nil || text != want {
					t.Errorf("from %q: %s, %v", from, text, err)
				}
			}
		})
	}
}

func remotes(t *testing.T) map[string]*front {
	t.Helper()
	s, _ := amazon(t)
	return map[string]*front{"s3": s, "gs": google(t)}
}

// What is sent to lock an object, byte for byte as the providers document it.
func TestRemoteLock(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	s3, _ := amazon(t)
	locks := map[string]int{}
	s3.set(func(r *http.Request, _ string) {
		if r.Method == http.MethodPut {
			h := r.Header
			sum := h.Get("X-Amz-Checksum-Sha256") != "" || strings.Contains(strings.ToLower(h.Get("X-Amz-Trailer")), "sha256")
			locks[fmt.Sprintf("%s %s %t", h.Get("X-Amz-Object-Lock-Mode"), h.Get("X-Amz-Object-Lock-Retain-Until-Date"), sum)]++
		}
	}, nil)
	clock := func() time.Time { return now }
	v := s3.open(t, Options{Now: clock, Lock: Lock{For: 48 * time.Hour, Mode: "governance"}})
	m := backup(t, v, newSource(t), BackupOptions{})
	point, chain := wholeSecond(m.Started.Add(48*time.Hour)), wholeSecond(m.Started.Add(96*time.Hour))
	for what, want := range map[string]int{
		"GOVERNANCE " + point.Format("2006-01-02T15:04:05Z") + " true": 2, // manifest and script
		"GOVERNANCE " + chain.Format("2006-01-02T15:04:05Z") + " true": 2, // data and index
	} {
		if locks[what] != want {
			t.Errorf("S3: %d objects with %q, want %d; all: %v", locks[what], what, want, locks)
		}
	}
	if m.Chain[0].RetainUntil == nil || !m.Chain[0].RetainUntil.Equal(chain) {
		t.Errorf("recorded %v, sent %s", m.Chain[0].RetainUntil, chain)
	}

	gs := google(t)
	clear(locks)
	gs.set(func(r *http.Request, body string) {
		for _, until := range []time.Time{point, chain} {
			if strings.Contains(body, `"retention":{"mode":"Locked","retainUntilTime":"`+until.Format("2006-01-02T15:04:05Z")) {
				locks[until.String()]++
			}
		}
	}, nil)
	v = gs.open(t, Options{Now: clock, Lock: Lock{For: 48 * time.Hour}})
	backup(t, v, newSource(t), BackupOptions{})
	if locks[point.String()] != 2 || locks[chain.String()] != 2 {
		t.Errorf("Google: %v", locks)
	}
}

func deny(w http.ResponseWriter) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
	return true
}

// A bucket that may only be read serves restores; a backup says clearly that it cannot write.
func TestRemoteReadOnly(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			v := f.open(t, Options{})
			s := newSource(t)
			m := backup(t, v, s, BackupOptions{})
			f.set(nil, func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method != http.MethodGet && r.Method != http.MethodHead && deny(w)
			})
			v = f.open(t, Options{})
			if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
				t.Errorf("restore: %v", err)
			}
			if _, err := v.Backup(t.Context(), s.asset(), lines{}, BackupOptions{}); err == nil || errors.Is(err, ErrMissing) || Unusable(err) || !strings.Contains(err.Error(), "403") {
				t.Errorf("backup: %v", err)
			}
			if err := v.store.remove(t.Context(), m.Key()); !errors.Is(err, errLocked) || errors.Is(err, errNotExist) {
				t.Errorf("remove: %v", err)
			}
			findings, err := v.Doctor(t.Context())
			if err != nil || severityOf(findings, "write") != FindingProblem || severityOf(findings, "list") != FindingOK {
				t.Errorf("doctor: %+v, %v", findings, err)
			}
			if n := f.count(); n > 60 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// A bucket that refuses even to be read is not a damaged one.
func TestRemoteForbidden(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			v := f.open(t, Options{})
			m := backup(t, v, newSource(t), BackupOptions{})
			f.set(nil, func(w http.ResponseWriter, r *http.Request) bool { return deny(w) })
			r, err := v.Verify(t.Context(), m, lines{}, LevelStored, VerifyOptions{})
			if err == nil || Unusable(err) || r.Point != "" {
				t.Errorf("verify: %v", err)
			}
			if _, err := v.Latest(t.Context(), m.Asset); err == nil || errors.Is(err, ErrNoBackup) {
				t.Errorf("latest: %v", err)
			}
		})
	}
}

func severityOf(findings []Finding, code string) string {
	for _, f := range findings {
		if f.Code == code {
			return f.Severity
		}
	}
	return ""
}

// Nobody answers at a closed port: an error soon, that says what cannot be reached.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dead := httptest.NewServer(nil)
			dead.Close()
			url := f.url[:strings.Index(f.url, "endpoint=")] + "endpoint=" + dead.URL
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := Open(ctx, url, Options{})
			if err == nil || ctx.Err() != nil || errors.Is(err, ErrNoVault) || len(hint.All(err)) == 0 || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("error %v, hints %q", err, hint.All(err))
			}
		})
	}
}

// A server that answers with an error is asked a few times, not for ever.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := f.open(t, Options{})
			f.set(nil, func(w http.ResponseWriter, r *http.Request) bool {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return true
			})
			if _, err := v.Assets(t.Context()); err == nil {
				t.Error("no error")
			}
			if n := f.count(); n < 2 || n > 5 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// The answer to the creation of an object is lost and the driver asks again, which finds
// its own object: that is no conflict.
func TestRemoteLostAnswer(t *testing.T) {
	t.Parallel()
	for name, f := range remotes(t) {
		t.Run(name, func(t *testing.T) {
			v := f.open(t, Options{})
			s := newSource(t)
			backup(t, v, s, BackupOptions{})
			for _, what := range []string{"appended.txt", "reach.json", ".restore.sh", "Z.json"} {
				s.grow(1)
				lost := 0
				f.mu.Lock()
				f.lose = func(r *http.Request) bool {
					if body, _ := io.ReadAll(r.Body); true {
						r.Body = io.NopCloser(bytes.NewReader(body))
						write := r.Method == http.MethodPut || r.Method == http.MethodPost
						name := r.URL.Path + string(body[:min(len(body), 400)])
						if what == "Z.json" {
							write = write && strings.Contains(name, "/p/") && !strings.Contains(name, ".restore.sh")
						} else {
							write = write && strings.Contains(name, what)
						}
						if write && lost == 0 {
							lost++
							return true
						}
					}
					return false
				}
				f.mu.Unlock()
				m, err := v.Backup(t.Context(), s.asset(), lines{}, BackupOptions{})
				if lost != 1 {
					t.Fatalf("%s: the fault never fired", what)
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A bucket that ignores the condition is found out, and backups are whole in it.
func TestRemoteIgnoresConditions(t *testing.T) {
	t.Parallel()
	f, _ := amazon(t)
	f.set(func(r *http.Request, _ string) { r.Header.Del("If-None-Match") }, nil)
	v := f.open(t, Options{})
	findings, err := v.Doctor(t.Context())
	if err != nil || severityOf(findings, "create-once") != FindingWarning || severityOf(findings, "read") != FindingOK {
		t.Errorf("doctor: %+v, %v", findings, err)
	}
	s := newSource(t)
	for range 3 {
		m := backup(t, v, s, BackupOptions{})
		if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
			t.Error(err)
		}
		s.grow(5)
	}
}

func TestEndpointOfGoogle(t *testing.T) {
	for _, bad := range []string{"storage.example.org", "ftp://x", "http://", "https://user:word@host", "%zz"} {
		_, err := Open(t.Context(), "gs://bucket?anonymous=true&endpoint="+bad, Options{})
		if err == nil || len(hint.All(err)) == 0 || strings.Contains(err.Error(), "word") {
			t.Errorf("endpoint %q: %v", bad, err)
		}
	}
	if _, err := Open(t.Context(), "bucket/without/scheme", Options{}); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("no scheme: %v", err)
	}
	if _, err := Open(t.Context(), "mem://", Options{Lock: Lock{For: time.Hour, Mode: "strict"}}); err == nil || !strings.Contains(err.Error(), "strict") {
		t.Errorf("mode of lock: %v", err)
	}
}
