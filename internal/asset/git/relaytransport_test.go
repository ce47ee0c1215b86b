package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// filled is a source with two branches, two kinds of tag and refs that are not mirrored.
func filled(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, rng: rand.New(rand.NewPCG(5, 5))}
	w.grow("refs/heads/main", "", 5)
	w.grow("refs/heads/grün/日本", "refs/heads/main~1", 2)
	git(t, dir, "tag", "-a", "-m", "one", "v1", "main~2")
	w.set("refs/tags/light", w.resolve("refs/heads/main"))
	w.set("refs/pull/1/head", w.resolve("refs/heads/main"))
	w.set("refs/notes/commits", w.resolve("refs/heads/main"))
	return w
}

func bare(t testing.TB, options ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mirror.git")
	git(t, "", append(append([]string{"init", "--quiet", "--bare", "--template="}, options...), dir)...)
	return dir
}

// Every pair of ways to reach the two sides makes an equal mirror, and keeps it up.
func TestRelayTransports(t *testing.T) {
	t.Parallel()
	f, h := newForge(t, "HTTP/2"), newSSHHost(t)
	f.on(func(w http.ResponseWriter, r *http.Request) bool {
		if r.ProtoMajor != 2 {
			t.Errorf("%s over %s", r.URL.Path, r.Proto)
		}
		_, password, _ := r.BasicAuth()
		if password != "s3cret-token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return false
		}
		return true
	})
	kinds := map[string]func(name string) (string, string){
		"https": f.repo, "ssh": h.repo,
		"file": func(string) (string, string) { dir := bare(t); return "file://" + dir, dir },
	}
	for _, pair := range []string{"file file", "https https", "ssh ssh", "ssh https"} {
		from, to, _ := strings.Cut(pair, " ")
		t.Run(pair, func(t *testing.T) {
			source, sourceDir := kinds[from](strings.ReplaceAll(pair, " ", "-") + ".git")
			mirror, mirrorDir := kinds[to]("it's a " + strings.ReplaceAll(pair, " ", "-") + " mirror.git")
			mirror = strings.ReplaceAll(mirror, "it's a ", "it's%20a%20")
			mirror = strings.ReplaceAll(mirror, " mirror", "%20mirror")
			w := filled(t, sourceDir)
			o := RelayOptions{
				Prune: true, HTTP: f.server.Client(), KnownHosts: h.known, Identity: h.identity,
				Auth: func(string) (string, secret.String) { return "", secret.New("s3cret-token") },
			}
			sync := func(want string) RelayReport {
				t.Helper()
				rep, err := Relay(t.Context(), source, mirror, o)
				if err != nil || !rep.Equal || mirrored(t, mirrorDir) != mirrored(t, sourceDir) {
					t.Fatalf("%v\n%+v", err, rep)
				}
				var got []string
				for _, ref := range rep.Refs {
					got = append(got, ref.Name+" "+string(ref.Status))
				}
				if strings.Join(got, ", ") != want {
					t.Errorf("got %q, want %q", got, want)
				}
				return rep
			}
			first := sync("refs/heads/grün/日本 created, refs/heads/main created, refs/tags/light created, refs/tags/v1 created")
			if first.Objects < 20 || first.Pushes != 1 || strings.Contains(fmt.Sprintf("%+v", first), "s3cret") {
				t.Errorf("first: %+v", first)
			}
			w.grow("refs/heads/main", "refs/heads/main^0", 2)
			w.set("refs/heads/grün/日本", w.resolve("refs/heads/main~4"))
			git(t, sourceDir, "tag", "-d", "v1")
			w.set("refs/tags/light", w.resolve("refs/heads/main~1"))
			w.set("refs/heads/new", w.resolve("refs/heads/main~1"))
			second := sync("refs/heads/grün/日本 forced, refs/heads/main updated, refs/heads/new created, refs/tags/light forced, refs/tags/v1 deleted")
			if second.Objects == 0 || second.Objects > 12 {
				t.Errorf("second sent %d objects", second.Objects)
			}
			if none := sync(""); none.Unchanged != 4 || none.Bytes != 0 {
				t.Errorf("third: %+v", none)
			}
			intact(t, mirrorDir)
		})
	}
}

// What a server answers becomes an error that says what to do, and holds no secret.
func TestRelayRefusedByServer(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	mirror, dir := f.repo("mirror.git")
	source := filled(t, newRepo(t)).dir
	deny := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, body, code)
			return false
		}
	}
	atPush := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return !isPush(r) || deny(code, "no")(w, r) }
	}
	for _, tt := range []struct {
		name, want, advice string
		is                 error
		step               func(http.ResponseWriter, *http.Request) bool
		auth               bool
	}{
		{"wrong token", "401", "expired", ErrDenied, deny(401, "bad \x1b[31mtoken"), true},
		{"no token", "401", "give it a token", ErrDenied, deny(401, ""), false},
		{"may only read", "403", "right to write", ErrDenied, deny(403, "read only"), true},
		{"not there", "404", "may not see", nil, deny(404, ""), true},
		{"length wanted", "411", "chunked", nil, atPush(411), true},
		{"too large", "413", "use ssh", nil, atPush(413), true},
		{"a web page", "which is not git", "web page", nil, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Sign in</html>")
			return false
		}, true},
		{"sent to plain http", "302", "", nil, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://"+r.Host+"/elsewhere.git/info/refs", http.StatusFound)
			return false
		}, true},
		{"push sent elsewhere", "307", "", nil, func(w http.ResponseWriter, r *http.Request) bool {
			if isPush(r) {
				http.Redirect(w, r, "/elsewhere.git/git-receive-pack", http.StatusTemporaryRedirect)
			}
			return !isPush(r)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.on(tt.step)
			o := RelayOptions{HTTP: f.server.Client(), Settle: time.Millisecond}
			if tt.auth {
				o.Auth = func(string) (string, secret.String) { return "me", secret.New("s3cret-token") }
			}
			rep, err := Relay(t.Context(), source, mirror, o)
			f.on(nil)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || rep.InDoubt {
				t.Fatalf("got %v, %+v", err, rep)
			}
			if all := err.Error() + fmt.Sprint(hint.All(err)); strings.Contains(all, "s3cret") || strings.ContainsRune(all, 0x1b) {
				t.Errorf("the error shows %q", all)
			}
			if tt.advice != "" && !strings.Contains(strings.Join(hint.All(err), " "), tt.advice) {
				t.Errorf("advice %q lacks %q", hint.All(err), tt.advice)
			}
			if mirrored(t, dir) != "" {
				t.Error("the mirror has changed")
			}
		})
	}
}

// A renamed repository sends the first request elsewhere; the push follows it there.
// Credentials do not follow to another host.
func TestRelayFollowsRename(t *testing.T) {
	t.Parallel()
	f, other := newForge(t), newForge(t)
	_, dir := f.repo("new.git")
	f.on(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/old.git") {
			http.Redirect(w, r, "/new.git"+strings.TrimPrefix(r.URL.Path, "/old.git")+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return false
		}
		_, token, _ := r.BasicAuth()
		return token == "s3cret"
	})
	source := filled(t, newRepo(t)).dir
	old := strings.Replace(f.server.URL, "https://", "https://me:s3cret@", 1) + "/old.git/"
	if _, err := Relay(t.Context(), source, old, RelayOptions{HTTP: f.server.Client()}); err != nil {
		t.Fatal(err)
	}
	if mirrored(t, dir) != mirrored(t, source) {
		t.Error("not equal")
	}
	otherAddress, _ := other.repo("other.git")
	asked := 0
	other.on(func(w http.ResponseWriter, r *http.Request) bool {
		asked++
		if _, _, has := r.BasicAuth(); has && r.Method == http.MethodPost {
			t.Error("credentials were sent to another host")
		}
		return true
	})
	f.on(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, otherAddress+"/info/refs?"+r.URL.RawQuery, http.StatusMovedPermanently)
		return false
	})
	if _, err := Relay(t.Context(), source, old, RelayOptions{HTTP: f.server.Client()}); err != nil || asked < 4 {
		t.Errorf("to another host: %d requests, %v", asked, err)
	}
}

// A host is believed only with the key that is known for it, and a user only with a key.
func TestRelayKnowsHosts(t *testing.T) {
	h := newSSHHost(t)
	mirror, dir := h.repo("mirror.git")
	source := filled(t, newRepo(t)).dir
	wrong, empty, stranger := filepath.Join(t.TempDir(), "wrong"), filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "stranger")
	key, _ := newKey(t)
	h.learn(wrong, key.PublicKey())
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := newSSHHost(t)
	data, err := os.ReadFile(other.identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stranger, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, known, identity, want string }{
		{"another key than known", wrong, h.identity, "Host key verification failed"},
		{"no known key", empty, h.identity, "Host key verification failed"},
		{"unknown user", h.known, stranger, "Permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Relay(t.Context(), source, mirror, RelayOptions{KnownHosts: tt.known, Identity: tt.identity})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.All(err), " "), "known_hosts") {
				t.Errorf("got %v, advice %q", err, hint.All(err))
			}
		})
	}
	if mirrored(t, dir) != "" {
		t.Error("the mirror has changed")
	}
	_, err = Relay(t.Context(), source, mirror+"-gone", RelayOptions{KnownHosts: h.known, Identity: h.identity})
	if err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Errorf("a path that is not there: %v", err)
	}
}

// ending passes the first bytes of a stream and changes the rest, which it reads to its
// end before.
func ending(after int64, change func(rest []byte) []byte) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		var rest io.Reader
		return io.MultiReader(io.LimitReader(r, after), readerFunc(func(p []byte) (int, error) {
			if rest == nil {
				data, err := io.ReadAll(r)
				if err != nil {
					return 0, err
				}
				rest = bytes.NewReader(change(data))
			}
			return rest.Read(p)
		}))
	}
}

// A source that dies while it sends, or sends something else, changes nothing: no ref
// moves and no object is left behind.
func TestRelaySourceDies(t *testing.T) {
	t.Parallel()
	f, two, h := newForge(t), newForge(t, "HTTP/2"), newSSHHost(t)
	w := filled(t, newRepo(t))
	git(t, w.dir, "branch", "base", "main~3")
	mirrors := map[string]func(string) (string, string){
		"file": func(string) (string, string) { dir := bare(t); return dir, dir }, "https": f.repo, "ssh": h.repo,
		"https of two": two.repo,
	}
	for kind, made := range mirrors {
		t.Run(kind, func(t *testing.T) {
			mirror, dir := made("dies.git")
			o := RelayOptions{HTTP: two.server.Client(), KnownHosts: h.known, Identity: h.identity}
			only := o
			only.Exclude = []string{"refs/heads/main", "refs/heads/gr*", "refs/tags/*"}
			if _, err := Relay(t.Context(), w.dir, mirror, only); err != nil {
				t.Fatal(err)
			}
			before, objects := mirrored(t, dir), git(t, dir, "count-objects", "-v")
			var advert int64
			o.wrapSource = func(r io.Reader) io.Reader { return counting{r, &advert} }
			if _, err := RelayPlan(t.Context(), w.dir, mirror, o); err != nil || advert == 0 {
				t.Fatal(advert, err)
			}
			dies := func(what string, change func(data []byte) []byte) {
				t.Helper()
				reached := false
				o.wrapSource = ending(advert, func(data []byte) []byte { reached = true; return change(data) })
				rep, err := Relay(t.Context(), w.dir, mirror, o)
				if err == nil || rep.InDoubt || !reached || !strings.Contains(err.Error(), "source: ") {
					t.Errorf("%s: %v %+v", what, err, rep)
				}
				if mirrored(t, dir) != before {
					t.Fatalf("%s: the mirror has changed", what)
				}
				if now := git(t, dir, "count-objects", "-v"); now != objects {
					t.Errorf("%s left objects behind: %s", what, now)
				}
			}
			cuts, starts, flips := []int{1, 4, 5, 24, 25, 30, 300, 900}, []int{0, 8, 30}, []int{10, 60, 400}
			if kind != "file" { // what is sent is the same; this is about how it is broken off
				cuts, starts, flips = []int{5, 300}, []int{8}, []int{10}
			}
			for _, back := range cuts {
				dies(fmt.Sprintf("cut %d before the end", back), func(data []byte) []byte { return data[:len(data)-back] })
			}
			for _, at := range starts {
				dies(fmt.Sprintf("cut %d after the refs", at), func(data []byte) []byte { return data[:at] })
			}
			for _, back := range flips {
				dies(fmt.Sprintf("flipped %d before the end", back), func(data []byte) []byte { data[len(data)-back] ^= 0x55; return data })
			}
			intact(t, dir)
			o.wrapSource = nil
			if _, err := Relay(t.Context(), w.dir, mirror, o); err != nil || mirrored(t, dir) != mirrored(t, w.dir) {
				t.Error(err)
			}
		})
	}
}

// The same, of a source that is a server which breaks off.
func TestRelaySourceServerDies(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	source, sourceDir := f.repo("source.git")
	filled(t, sourceDir)
	mirror := bare(t)
	for _, n := range []int{0, 20, 500, 1000} {
		fired := false
		f.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return true
			}
			fired = true
			full := httptest.NewRecorder()
			f.backend.ServeHTTP(full, r)
			maps.Copy(w.Header(), full.Header())
			w.Write(full.Body.Bytes()[:n])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		rep, err := Relay(t.Context(), source, mirror, RelayOptions{HTTP: f.server.Client()})
		if err == nil || !fired || rep.InDoubt || mirrored(t, mirror) != "" {
			t.Errorf("after %d bytes: %v %+v", n, err, rep)
		}
	}
	f.on(nil)
	if _, err := Relay(t.Context(), source, mirror, RelayOptions{HTTP: f.server.Client()}); err != nil {
		t.Error(err)
	}
}

// A mirror that neither reads nor answers ends the relay. It may have the whole push by
// then, so the end is not known.
func TestRelayMirrorStalls(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	mirror, dir := f.repo("mirror.git")
	source := filled(t, newRepo(t)).dir
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	f.on(func(w http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			select { // neither reads nor answers
			case <-r.Context().Done():
			case <-over:
			}
		}
		return !isPush(r)
	})
	rep, err := Relay(t.Context(), source, mirror, RelayOptions{HTTP: f.server.Client(), Idle: 200 * time.Millisecond, Settle: time.Millisecond})
	if !errors.Is(err, ErrStalled) || !errors.Is(err, ErrInDoubt) || !rep.InDoubt || rep.Count(Doubtful) != 4 || mirrored(t, dir) != "" {
		t.Errorf("got %v, %+v", err, rep)
	}
}
