package check_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/check"
	"lifeboat/internal/hint"
)

// act gives an action of the family by its name.
func act(t *testing.T, d check.Deps, name string) action.Action {
	t.Helper()
	list := check.Actions(d)
	i := slices.IndexFunc(list, func(a action.Action) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("no action %q", name)
	}
	return list[i]
}

// play plans and runs.
func play(t *testing.T, a action.Action, env *action.Env, args map[string]any) (action.Result, error) {
	t.Helper()
	c, err := a.Bind(args)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := c.Plan(t.Context(), env)
	if err != nil {
		return action.Result{}, err
	}
	if plan.Effect != action.Read {
		t.Errorf("its effect is %q", plan.Effect)
	}
	return c.Run(t.Context(), env, plan)
}

func environment(t *testing.T) *action.Env {
	return &action.Env{Log: &bytes.Buffer{}, Dir: t.TempDir(), Scratch: t.TempDir(), Now: time.Now}
}

// expect wants an outcome and words in it.
func expect(t *testing.T, res action.Result, err, want error, text string) {
	t.Helper()
	got := res.Evidence
	if err != nil {
		got = err.Error()
	}
	switch {
	case want == nil && err != nil, want != nil && !errors.Is(err, want):
		t.Errorf("%v, want %v", err, want)
	case !strings.Contains(got, text):
		t.Errorf("%q does not say %q", got, text)
	case strings.ContainsAny(got, "\x1b\x07"):
		t.Errorf("%q would be obeyed by a terminal", got)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "probe")
	script := "#!/bin/sh\n[ \"$1\" = hang ] && exec sleep 60\n[ \"$1\" = die ] && kill -9 $$\nprintf 'first\\n\\033[31mreplicas: %s\\n' \"$2\"\necho 'what went wrong' >&2\nexit \"$1\"\n"
	syscall.ForkLock.RLock() // a child of another test that inherited the open file would keep it from being started
	err := os.WriteFile(program, []byte(script), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	a := act(t, check.Deps{}, "check.command")
	for name, tt := range map[string]struct {
		args map[string]any
		want error
		text string
	}{
		"well":         {map[string]any{"run": []any{program, "0", "3"}}, nil, "replicas: 3"},
		"output":       {map[string]any{"run": []any{program, "0", "3"}, "output": "replicas: [1-9]"}, nil, "exit 0"},
		"other output": {map[string]any{"run": []any{program, "0", "0"}, "output": "replicas: [1-9]"}, action.ErrCheck, `not so: its output matches "replicas: [1-9]"; it does not match`},
		"absent":       {map[string]any{"run": []any{program, "0", "0"}, "absent": "replicas: 0"}, action.ErrCheck, `it says "replicas: 0"`},
		"absent well":  {map[string]any{"run": []any{program, "0", "3"}, "absent": "replicas: 0"}, nil, "exit 0"},
		"exit":         {map[string]any{"run": []any{program, "4", "0"}}, action.ErrCheck, "probe ends with 0; exit 4"},
		"wanted exit":  {map[string]any{"run": []any{program, "4", "0"}, "exit": "4"}, nil, "exit 4"},
		"missing":      {map[string]any{"run": []any{"no-such-program"}}, nil, "program not found"},
		"killed":       {map[string]any{"run": []any{program, "die"}}, nil, "killed by SIGKILL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := play(t, a, environment(t), tt.args)
			if tt.want == nil && (name == "missing" || name == "killed") {
				// It says nothing about the world: no check has failed.
				if err == nil || errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%v", err)
				}
				return
			}
			expect(t, res, err, tt.want, tt.text)
			if name == "exit" && !slices.Contains(hint.All(err), "it said: what went wrong") {
				t.Errorf("advice %q", hint.All(err))
			}
		})
	}
	c, err := a.Bind(map[string]any{"run": []any{program, "hang"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Run(ctx, environment(t), action.Plan{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, action.ErrCheck) {
		t.Errorf("out of time: %v", err)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		action, bad string
		args        map[string]any
	}{
		"shell":      {"check.command", "run", map[string]any{"run": []any{"/bin/bash", "-c", "rm x"}}},
		"changer":    {"check.command", "run", map[string]any{"run": []any{"rm", "x"}}},
		"nothing":    {"check.command", "run", map[string]any{"run": []any{""}}},
		"pattern":    {"check.command", "output", map[string]any{"run": []any{"x"}, "output": "("}},
		"exit":       {"check.command", "exit", map[string]any{"run": []any{"x"}, "exit": "300"}},
		"no page":    {"check.http", "url", map[string]any{"url": "example.com"}},
		"ftp":        {"check.http", "url", map[string]any{"url": "ftp://example.com"}},
		"password":   {"check.http", "url", map[string]any{"url": "https://a:b@example.com"}},
		"status":     {"check.http", "status", map[string]any{"url": "http://x", "status": []any{"ok"}}},
		"no TLS":     {"check.http", "tls_days", map[string]any{"url": "http://x", "tls_days": "3"}},
		"often":      {"check.http", "every", map[string]any{"url": "http://x", "every": "1ms"}},
		"amount":     {"check.disk", "free", map[string]any{"free": "much"}},
		"percent":    {"check.disk", "free_percent", map[string]any{"free_percent": "101"}},
		"no disk":    {"check.disk", "free", map[string]any{}},
		"hash":       {"check.files", "sha256", map[string]any{"dir": ".", "sha256": map[string]any{"x": "abc"}}},
		"hash where": {"check.files", "sha256", map[string]any{"dir": ".", "sha256": map[string]any{"../x": strings.Repeat("0", 64)}}},
		"mode":       {"check.files", "mode", map[string]any{"dir": ".", "files": []any{"x"}, "mode": "rw"}},
	} {
		_, err := act(t, check.Deps{}, tt.action).Bind(tt.args)
		if bad, ok := errors.AsType[*action.ArgError](err); !ok || bad.Name != tt.bad || bad.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	var flaky, slow atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"ok","replicas":[{"ready":true,"id":12345678901234567890}],"none":null}`)
	})
	mux.HandleFunc("/fails", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		io.WriteString(w, "\x1b]0;title\x07no replica\n")
	})
	mux.HandleFunc("/flaky", func(w http.ResponseWriter, _ *http.Request) {
		if flaky.Add(1) < 3 {
			w.WriteHeader(503)
		}
	})
	mux.HandleFunc("/there", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/health", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://outside.invalid/", http.StatusFound)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		slow.Add(1)
		select {
		case <-r.Context().Done():
		case <-time.After(150 * time.Millisecond):
		}
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/lost", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "the beg")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	a := act(t, check.Deps{HTTP: &http.Client{Timeout: 3 * time.Second}}, "check.http")
	for name, tt := range map[string]struct {
		args map[string]any
		want error
		text string
	}{
		"well":           {map[string]any{"url": s.URL + "/health"}, nil, "status 200"},
		"status":         {map[string]any{"url": s.URL + "/fails"}, action.ErrCheck, "not so: the status is 200; it is 503"},
		"wanted status":  {map[string]any{"url": s.URL + "/fails", "status": []any{"200", "503"}}, nil, "status 503"},
		"contains":       {map[string]any{"url": s.URL + "/health", "contains": `"ok"`}, nil, "status 200"},
		"lacks":          {map[string]any{"url": s.URL + "/fails", "status": []any{"503"}, "contains": "ok"}, action.ErrCheck, `the body contains "ok"; it begins "no replica`},
		"json":           {map[string]any{"url": s.URL + "/health", "json": map[string]any{"status": "ok", "replicas.0.ready": "true", "replicas.0.id": "12345678901234567890", "none": "null"}}, nil, "status 200"},
		"json value":     {map[string]any{"url": s.URL + "/health", "json": map[string]any{"status": "down"}}, action.ErrCheck, `status is "down"; it is "ok"`},
		"json field":     {map[string]any{"url": s.URL + "/health", "json": map[string]any{"replicas.1.ready": "true"}}, action.ErrCheck, "there is no such field"},
		"no json":        {map[string]any{"url": s.URL + "/fails", "status": []any{"503"}, "json": map[string]any{"a": "b"}}, action.ErrCheck, "the body is JSON"},
		"latency":        {map[string]any{"url": s.URL + "/slow", "latency": "50ms"}, action.ErrCheck, "the answer is there within 100ms"},
		"redirect":       {map[string]any{"url": s.URL + "/there", "contains": "ok"}, nil, "redirected to " + s.URL + "/health"},
		"round":          {map[string]any{"url": s.URL + "/round"}, action.ErrCheck, "more than 5 redirects"},
		"hang":           {map[string]any{"url": s.URL + "/hang"}, action.ErrCheck, "no answer in time"},
		"lost":           {map[string]any{"url": s.URL + "/lost"}, action.ErrCheck, "the answer broke off"},
		"endless":        {map[string]any{"url": s.URL + "/endless"}, nil, "1.0 MiB and more"},
		"refused":        {map[string]any{"url": closed}, action.ErrCheck, "connection refused"},
		"in the end":     {map[string]any{"url": s.URL + "/flaky", "within": "20s", "every": "100ms"}, nil, "at try 3"},
		"not in the end": {map[string]any{"url": s.URL + "/fails", "within": "400ms", "every": "100ms"}, action.ErrCheck, "it is 503 Service Unavailable; asked "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := play(t, a, environment(t), tt.args)
			if name == "latency" {
				tt.text = "the answer is there within"
			}
			expect(t, res, err, tt.want, tt.text)
		})
	}
	t.Run("fence", func(t *testing.T) {
		t.Parallel()
		env := environment(t)
		env.Fence = func(target string) error {
			if strings.HasPrefix(target, s.URL+"/away") {
				return nil
			}
			return fmt.Errorf("%w: outside", action.ErrRefused)
		}
		_, err := play(t, a, env, map[string]any{"url": s.URL + "/health"})
		expect(t, action.Result{}, err, action.ErrRefused, "outside")
		_, err = play(t, a, env, map[string]any{"url": s.URL + "/away", "within": "10s"}) // and is not asked again
		expect(t, action.Result{}, err, action.ErrRefused, "outside")
	})
	t.Run("advice", func(t *testing.T) {
		t.Parallel()
		_, err := play(t, a, environment(t), map[string]any{"url": s.URL + "/fails"})
		if said := strings.Join(hint.All(err), "; "); !strings.Contains(said, "no replica") || !strings.Contains(said, "look at the log of what serves it") || strings.Contains(said, "\x1b") {
			t.Errorf("advice %q", said)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		c, err := a.Bind(map[string]any{"url": s.URL + "/fails", "within": "60s"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := c.Run(ctx, environment(t), action.Plan{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	a := act(t, check.Deps{HTTP: s.Client()}, "check.http")
	until := s.Certificate().NotAfter
	env := environment(t)
	env.Now = func() time.Time { return until.Add(-240*time.Hour - time.Minute) }
	res, err := play(t, a, env, map[string]any{"url": s.URL, "tls_days": "10"})
	expect(t, res, err, nil, "status 200")
	if res.Outputs["tls_days"] != int64(10) {
		t.Errorf("%v", res.Outputs)
	}
	res, err = play(t, a, env, map[string]any{"url": s.URL, "tls_days": "11"})
	expect(t, res, err, action.ErrCheck, "the certificate is good for 11 more days; until "+until.UTC().Format("2006-01-02"))
	res, err = play(t, a, env, map[string]any{"url": s.URL + "/down"})
	expect(t, res, err, action.ErrCheck, "it redirects from https to http")
	a = act(t, check.Deps{HTTP: &http.Client{}}, "check.http")
	res, err = play(t, a, env, map[string]any{"url": s.URL})
	expect(t, res, err, action.ErrCheck, "certificate")
}

func TestDisk(t *testing.T) {
	t.Parallel()
	room := int64(1)
	d := check.Deps{Room: func(_ context.Context, asset string) (int64, error) {
		if asset == "nope" {
			return 0, hint.New("there is no asset", "name another")
		}
		return room, nil
	}}
	a := act(t, d, "check.disk")
	env := environment(t)
	res, err := play(t, a, env, map[string]any{"free": "1kB", "free_percent": "0", "room_for": "booking", "path": "not/yet/there"})
	expect(t, res, err, nil, "are free at "+env.Dir)
	free := res.Outputs["free_bytes"].(int64)
	if free <= 0 || res.Outputs["total_bytes"].(int64) < free || res.Outputs["need_bytes"] != int64(1) {
		t.Errorf("%v", res.Outputs)
	}
	res, err = play(t, a, env, map[string]any{"free": "900PB"})
	expect(t, res, err, action.ErrCheck, "not so: 900PB are free at")
	res, err = play(t, a, env, map[string]any{"free_percent": "100"})
	expect(t, res, err, action.ErrCheck, "100% are free")
	room = 1 << 60
	res, err = play(t, a, env, map[string]any{"room_for": "booking"})
	expect(t, res, err, action.ErrCheck, "the newest backup of booking can be restored at")
	_, err = play(t, a, env, map[string]any{"room_for": "nope"})
	if err == nil || errors.Is(err, action.ErrCheck) || len(hint.All(err)) == 0 {
		t.Errorf("%v", err)
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "12B": 12, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "1.5 MB": 1_500_000, "20GiB": 20 << 30, "2TiB": 2 << 40, "1P": 1e15,
		"": -1, "x": -1, "-1": -1, "1iB": -1, "1 G B": -1, "999999999999PiB": -1, "1e9": -1,
	} {
		got, ok := check.ParseAmount(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

func TestModeAndHash(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for name, perm := range map[string]os.FileMode{"private": 0o600, "open": 0o644} {
		path := filepath.Join(env.Dir, name)
		if err := os.WriteFile(path, []byte(name), perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("private"))
	good := hex.EncodeToString(sum[:])
	a := act(t, check.Deps{}, "check.files")
	for name, tt := range map[string]struct {
		args map[string]any
		want error
		text string
	}{
		"private":    {map[string]any{"files": []any{"private"}, "mode": "private"}, nil, "private is there"},
		"open":       {map[string]any{"files": []any{"private", "open"}, "mode": "private"}, action.ErrCheck, "open: is open to others: mode 0644"},
		"exactly":    {map[string]any{"files": []any{"open"}, "mode": "0644"}, nil, "open is there"},
		"otherwise":  {map[string]any{"files": []any{"private"}, "mode": "644"}, action.ErrCheck, "private: has mode 0600, not 0644"},
		"hash":       {map[string]any{"sha256": map[string]any{"private": good}}, nil, "private is there"},
		"other hash": {map[string]any{"sha256": map[string]any{"open": good}}, action.ErrCheck, "open: has another content"},
		"gone":       {map[string]any{"sha256": map[string]any{"gone": good}}, action.ErrCheck, "gone: missing"},
	} {
		tt.args["dir"] = "."
		res, err := play(t, a, env, tt.args)
		t.Run(name, func(t *testing.T) { expect(t, res, err, tt.want, tt.text) })
	}
}
