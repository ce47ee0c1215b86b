package git

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lfsHost is a server of git and Git LFS, of one repository, and a second host where the
// content lies.
type lfsHost struct {
	git, store *httptest.Server
	answer     func(o batchItem) string // JSON of one object, "" for where it really is
	batch      int                      // status of the batch API, 0 for 200
	seen       []string                 // requests with the credentials they carried
}

func newLFSHost(t *testing.T, w *world) *lfsHost {
	t.Helper()
	backend := filepath.Join(git(t, "", "--exec-path"), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skip("git http-backend is not installed")
	}
	h := &lfsHost{}
	show := func(r *http.Request) {
		h.seen = append(h.seen, fmt.Sprintf("%s %s %q %q", r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Token")))
	}
	content := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		show(r)
		if r.URL.Path == "/loop" {
			http.Redirect(rw, r, "/loop", http.StatusFound)
			return
		}
		http.ServeFile(rw, r, filepath.Join(w.dir, filepath.FromSlash(lfsPath(filepath.Base(r.URL.Path)))))
	})
	h.store = httptest.NewTLSServer(content)
	t.Cleanup(h.store.Close)
	mux := http.NewServeMux()
	mux.Handle("/", &cgi.Handler{
		Path: backend, Dir: filepath.Dir(w.dir),
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(w.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: io.Discard,
	})
	mux.HandleFunc("/moved/", func(rw http.ResponseWriter, r *http.Request) {
		show(r)
		http.Redirect(rw, r, h.store.URL+"/"+filepath.Base(r.URL.Path), http.StatusFound)
	})
	mux.Handle("/same/", content)
	mux.HandleFunc("/source.git/info/lfs/objects/batch", func(rw http.ResponseWriter, r *http.Request) {
		show(r)
		var q struct {
			Operation string      `json:"operation"`
			Objects   []batchItem `json:"objects"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Operation != "download" || r.Header.Get("Accept") != lfsMedia {
			t.Errorf("asked %+v, %v", q, err)
		}
		if h.batch != 0 {
			rw.WriteHeader(h.batch)
			return
		}
		var out []string
		for _, o := range q.Objects {
			text := ""
			if h.answer != nil {
				text = h.answer(o)
			}
			if text == "" {
				text = fmt.Sprintf(`{"oid":%q,"size":%d,"actions":{"download":{"href":"%s/%s","header":{"X-Token":"signed"}}}}`, o.OID, o.Size, h.store.URL, o.OID)
			}
			out = append(out, text)
		}
		fmt.Fprintf(rw, `{"transfer":"basic","objects":[%s]}`, strings.Join(out, ","))
	})
	h.git = httptest.NewTLSServer(mux)
	t.Cleanup(h.git.Close)
	return h
}

// client trusts both hosts.
func (h *lfsHost) client() *http.Client {
	c := h.git.Client()
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(h.store.Certificate())
	return c
}

// kept says whether the password stayed with the host that it is for.
func (h *lfsHost) kept(t *testing.T) {
	t.Helper()
	for _, line := range h.seen {
		own := strings.Contains(line, "/source.git/") || strings.Contains(line, "/same/") || strings.Contains(line, "/moved/")
		if !own && strings.Contains(line, "Basic") {
			t.Errorf("the password went elsewhere: %s", line)
		}
	}
}

// proveChain restores a full point and proves all of it.
func proveChain(t *testing.T, p point) {
	t.Helper()
	replica := filepath.Join(t.TempDir(), "r.git")
	for _, o := range p.chain {
		if err := (Kind{}).Apply(t.Context(), replica, o.role, o.path, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (Kind{}).Prove(t.Context(), replica, p.facts, true, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// Content of a remote comes over the batch API. Credentials go to the host they are for
// and to no other; what the server does not have is recorded.
func TestLFSOverHTTPS(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(44, 1))}
	w.grow("refs/heads/main", "", 2)
	a, b := w.track("refs/heads/main", "a", "content of a"), w.track("refs/heads/main", "b", "content of b")
	place := func(format string) func(o batchItem) string {
		return func(o batchItem) string { return fmt.Sprintf(format, o.OID) }
	}
	action := func(href string) string {
		return `{"oid":"%[1]s","actions":{"download":{"href":"` + href + `","header":{"X-Token":"signed"}}}}`
	}
	h := newLFSHost(t, w)
	for _, tt := range []struct {
		name   string
		answer func(o batchItem) string
		batch  int
		stored int
		says   string
	}{
		{"elsewhere", nil, 0, 2, ""},
		{"same host", place(action(h.git.URL + "/same/%[1]s")), 0, 2, ""},
		{"redirected to another host", place(action(h.git.URL + "/moved/%[1]s")), 0, 2, ""},
		{"one does not exist", func(o batchItem) string {
			if o.OID == a {
				return place(`{"oid":"%s","error":{"code":404,"message":"gone \u001b[2J"}}`)(o)
			}
			return ""
		}, 0, 1, ""},
		{"another's content", place(action(h.store.URL + "/" + b + "?%[1]s")), 0, 1, ""},
		{"404 at its place", place(action(h.store.URL + "/" + strings.Repeat("0", 64) + "?%[1]s")), 0, 0, ""},
		{"no place", place(`{"oid":"%s"}`), 0, 0, ""},
		{"no Git LFS", nil, 404, 0, ""},
		{"forbidden", nil, 403, 0, "answers 403"},
		{"broken", nil, 500, 0, "answers 500"},
		{"one is broken", place(`{"oid":"%s","error":{"code":500,"message":"x"}}`), 0, 0, "says 500"},
		{"no https", place(action("http://example.org/%[1]s?secret")), 0, 0, "not https"},
		{"loop", place(action(h.store.URL + "/loop?%[1]s")), 0, 0, "redirects"},
		{"no JSON", place(`%s`), 0, 0, "no JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.answer, h.batch, h.seen = tt.answer, tt.batch, nil
			k := Kind{LFS: true, HTTP: h.client(), Scratch: t.TempDir()}
			s := newShelf(t)
			p, err := s.capture(t.Context(), k, strings.Replace(h.git.URL, "//", "//me:hunter2@", 1)+"/source.git", nil)
			h.kept(t)
			if left, err := os.ReadDir(k.Scratch); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := ParseFacts(p.facts)
			if err != nil || f.LFS.Stored != tt.stored || f.LFS.Absent != 2-tt.stored || f.LFS.Pointers != 2 {
				t.Fatalf("%+v, %v", f.LFS, err)
			}
			proveChain(t, p)
			if tt.name != "elsewhere" {
				return
			}
			if got := strings.Join(h.seen, "\n"); !strings.Contains(got, `"Basic bWU6aHVudGVyMg==" ""`) || !strings.Contains(got, `"" "signed"`) {
				t.Errorf("requests %s", got)
			}
			h.seen = nil
			c := w.track("refs/heads/main", "c", "content of c")
			next := s.must(k, h.git.URL+"/source.git", p.facts)
			if got := strings.Join(h.seen, "\n"); next.kind != Incremental || !strings.Contains(got, c) || strings.Contains(got, a) {
				t.Errorf("%s point asked %s", next.kind, got)
			}
			git(t, w.dir, "update-ref", "refs/heads/main", "refs/heads/main~1")
		})
	}
}

// The scratch copy holds content of LFS too.
func TestLFSIsBounded(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(46, 1))}
	h := newLFSHost(t, w)
	k := Kind{LFS: true, HTTP: h.client(), Scratch: t.TempDir(), ScratchLimit: 20 << 10}
	w.track("refs/heads/main", "big", strings.Repeat("x", 30<<10))
	if _, err := newShelf(t).capture(t.Context(), k, h.git.URL+"/source.git", nil); !errors.Is(err, ErrNoRoom) {
		t.Errorf("no room: %v", err)
	}
}

// A host reached by ssh says itself where its content is.
func TestLFSOverSSH(t *testing.T) {
	w := &world{t: t, dir: newRepo(t), rng: rand.New(rand.NewPCG(45, 1))}
	w.track("refs/heads/main", "a", "content of a")
	h := newLFSHost(t, w)
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for _, tt := range []struct {
		answer string
		stored int
	}{
		{"echo '{\"href\":\"" + h.git.URL + "/source.git/info/lfs\",\"header\":{\"Authorization\":\"RemoteAuth xyz\"}}'", 1},
		{"echo unknown command >&2; exit 127", 0},
	} {
		h.seen = nil
		fake := "#!/bin/sh\nfor last; do :; done\ncase $last in\n\"git-lfs-authenticate '" + w.dir + "' \"*download*) " + tt.answer +
			" ;;\n*) PATH=" + git(t, "", "--exec-path") + ":$PATH; eval \"$last\" ;;\nesac\n"
		if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(fake), 0o700); err != nil {
			t.Fatal(err)
		}
		p := newShelf(t).must(Kind{LFS: true, HTTP: h.client(), Scratch: t.TempDir()}, "git@host:"+w.dir, nil)
		f, err := ParseFacts(p.facts)
		if err != nil || f.LFS.Stored != tt.stored || f.LFS.Absent != 1-tt.stored {
			t.Errorf("%+v, %v", f.LFS, err)
		}
		if got := strings.Join(h.seen, "\n"); tt.stored > 0 && !strings.Contains(got, `batch "RemoteAuth xyz"`) {
			t.Errorf("requests %s", got)
		}
	}
}
