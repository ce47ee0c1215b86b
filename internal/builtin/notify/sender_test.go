package notify_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"lifeboat/internal/alert"
	"lifeboat/internal/builtin/notify"
	"lifeboat/internal/secret"
)

// sink is a server that takes alerts, and answers the first ones as it is told.
type sink struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc // of the first requests; then 204
	got     []alert.Wire
	keys    []string
}

func newSink(t *testing.T, answers ...http.HandlerFunc) *sink {
	t.Helper()
	s := &sink{answers: answers}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.take))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *sink) take(w http.ResponseWriter, r *http.Request) {
	var m alert.Wire
	err := json.NewDecoder(r.Body).Decode(&m)
	s.mu.Lock()
	if err == nil && r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/json" {
		s.got, s.keys = append(s.got, m), append(s.keys, r.Header.Get("Idempotency-Key"))
	}
	var answer http.HandlerFunc
	if len(s.answers) > 0 {
		answer, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *sink) received() []alert.Wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, "the answer says \x1b[31mtoken-hunter2hunter2\n")
	}
}

// later asks to wait until five seconds from now.
func later(w http.ResponseWriter, r *http.Request) {
	status(429, "Retry-After", time.Now().Add(5*time.Second).UTC().Format(http.TimeFormat))(w, r)
}

// lost takes the request and ends the connection without an answer.
func lost(w http.ResponseWriter, _ *http.Request) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		c.Close()
	}
}

// hang gives no answer while anybody waits for one.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// endless answers without end.
func endless(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusInternalServerError)
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// post is the office of a test: a sender whose pauses are only remembered.
type post struct {
	*notify.Sender
	mu     sync.Mutex
	pauses []time.Duration
	hidden []secret.String
}

func newPost() *post {
	p := &post{}
	p.Sender = &notify.Sender{
		HTTP: &http.Client{Timeout: 10 * time.Second},
		Hide: func(s secret.String) { p.mu.Lock(); p.hidden = append(p.hidden, s); p.mu.Unlock() },
		Limits: notify.Limits{Try: 1500 * time.Millisecond, Pause: func(ctx context.Context, d time.Duration) error {
			p.mu.Lock()
			p.pauses = append(p.pauses, d)
			p.mu.Unlock()
			return ctx.Err()
		}},
	}
	return p
}

func webhook(name, url string) notify.Channel {
	return notify.Channel{Name: name, Address: func() (secret.String, error) { return secret.New(url), nil }}
}

var message = alert.Message{Event: alert.Recovered, Text: "main is back", Asset: "monorepo", Run: "20261124T030005Z-7F3A", Step: "tell", Time: time.Unix(1_790_000_000, 0)}

func TestWebhook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []http.HandlerFunc
		tries   int
		arrived int
		done    bool
		unclear bool
		say     string
		pause   time.Duration // the first one, 0: none
	}{
		"at once":        {nil, 1, 1, true, false, "delivered", 0},
		"500, then well": {[]http.HandlerFunc{status(500)}, 2, 2, true, false, "delivered at try 2", 500 * time.Millisecond},
		"500":            {[]http.HandlerFunc{status(500), status(502), status(503)}, 3, 3, false, false, "NOT DELIVERED: it answers 503 Service Unavailable: the answer says", 500 * time.Millisecond},
		"400":            {[]http.HandlerFunc{status(400)}, 1, 1, false, false, "NOT DELIVERED: it answers 400 Bad Request", 0},
		"403":            {[]http.HandlerFunc{status(403)}, 1, 1, false, false, "403 Forbidden", 0},
		"429 seconds":    {[]http.HandlerFunc{status(429, "Retry-After", "7")}, 2, 2, true, false, "delivered at try 2", 7 * time.Second},
		"429 a date":     {[]http.HandlerFunc{later}, 2, 2, true, false, "delivered at try 2", 2 * time.Second},
		"429 too long":   {[]http.HandlerFunc{status(429, "Retry-After", "3600")}, 1, 1, false, false, "it asks to wait 1h", 0},
		"429 for years":  {[]http.HandlerFunc{status(429, "Retry-After", "99999999")}, 1, 1, false, false, "it asks to wait 24h", 0},
		"429 nonsense":   {[]http.HandlerFunc{status(429, "Retry-After", "-5")}, 2, 2, true, false, "delivered at try 2", 500 * time.Millisecond},
		"redirect":       {[]http.HandlerFunc{status(307, "Location", "/elsewhere")}, 1, 1, false, false, "a redirect, which is not followed", 0},
		"hang":           {[]http.HandlerFunc{hang, hang, hang}, 3, 3, false, true, "no answer in time, 3 times (it may have arrived all the same)", 500 * time.Millisecond},
		"lost answer":    {[]http.HandlerFunc{lost, lost, lost}, 3, 3, false, true, "the connection was lost before an answer", 500 * time.Millisecond},
		"lost, then":     {[]http.HandlerFunc{lost}, 2, 2, true, false, "delivered at try 2", 500 * time.Millisecond},
		"endless body":   {[]http.HandlerFunc{endless}, 2, 2, true, false, "delivered at try 2", 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := newSink(t, tt.answers...), newPost()
			began := time.Now()
			d := p.Send(t.Context(), []notify.Channel{webhook("team", s.URL+"/hooks/token-hunter2hunter2")}, message, nil)[0]
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %s", took)
			}
			if d.Done != tt.done || d.Tries != tt.tries || !strings.Contains(d.String(), tt.say) {
				t.Errorf("%+v\n%s", d, d)
			}
			if !d.Done && d.Unclear != tt.unclear {
				t.Errorf("unclear: %v", d.Unclear)
			}
			if strings.Contains(d.String(), "hunter2") || strings.Contains(d.String(), "\x1b") {
				t.Errorf("it gives away its address, or obeys the answer: %q", d)
			}
			got := s.received()
			if len(got) != tt.arrived {
				t.Fatalf("%d arrived, want %d", len(got), tt.arrived)
			}
			if got[0].Detail != "main is back" || got[0].Asset != "monorepo" || !strings.HasPrefix(got[0].Text, "RECOVERED: main is back\n") {
				t.Errorf("%+v", got[0])
			}
			if keys := slices.Compact(slices.Clone(s.keys)); len(keys) != 1 || keys[0] != notify.ID(message, "team") || got[0].ID != keys[0] {
				t.Errorf("tries carry the keys %q", s.keys)
			}
			var first time.Duration
			if len(p.pauses) > 0 {
				first = p.pauses[0]
			}
			if first < tt.pause || tt.pause == 0 && first != 0 || first > max(5*time.Second, tt.pause) {
				t.Errorf("pauses %s, want %s first", p.pauses, tt.pause)
			}
			if len(p.hidden) != 1 {
				t.Error("the address was not handed to the redactor")
			}
		})
	}
}

func TestUnreached(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String() + "/token-hunter2hunter2"
	l.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := newSink(t)
	for name, tt := range map[string]struct {
		url   string
		tries int
		say   string
	}{
		"refused":     {refused, 3, "connection refused"},
		"untrusted":   {untrusted.URL + "/token-hunter2hunter2", 1, "certificate"},
		"no TLS":      {strings.Replace(plain.URL, "http:", "https:", 1) + "/token-hunter2hunter2", 3, "NOT DELIVERED: http: server gave HTTP response to HTTPS client"},
		"no kind":     {"gopher://token-hunter2hunter2/", 1, "of no known kind"},
		"no host":     {"https:///token-hunter2hunter2", 3, "no Host in request URL"},
		"no URL":      {"https://%zz/token-hunter2hunter2", 1, "no sound URL"},
		"no service":  {"slack://token-hunter2hunter2@x", 1, "services are not reached from here"},
		"not a digit": {"http://127.0.0.1:hunter2/", 1, "no sound URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newPost().Send(t.Context(), []notify.Channel{webhook("team", tt.url)}, message, nil)[0]
			if d.Done || d.Tries != tt.tries || d.Unclear || !strings.Contains(d.String(), tt.say) {
				t.Errorf("%+v\n%s", d, d)
			}
			if strings.Contains(d.String(), "hunter2") {
				t.Errorf("it gives away its address: %s", d)
			}
		})
	}
}

// A trusted certificate is one all the same.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := &sink{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.take))
	defer s.Close()
	p := newPost()
	p.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}}
	if d := p.Send(t.Context(), []notify.Channel{webhook("team", s.URL)}, message, nil)[0]; !d.Done {
		t.Error(d)
	}
}

// One dead channel holds up nobody, and the others hear of it, once.
func TestDeadChannel(t *testing.T) {
	t.Parallel()
	well, slow := newSink(t), newSink(t, hang, hang, hang)
	p := newPost()
	unset := notify.Channel{Name: "unset", Address: func() (secret.String, error) { return secret.String{}, errors.New("$X is not set") }}
	list := p.Send(t.Context(), []notify.Channel{webhook("slow", slow.URL), unset, webhook("well", well.URL)}, message, nil)
	if list[0].Done || list[1].Done || !list[2].Done || list[1].String() != "unset: NOT DELIVERED: $X is not set" {
		t.Errorf("%v", list)
	}
	got := well.received()
	if len(got) != 2 || got[0].Event != alert.Recovered || got[1].Event != alert.ChannelDead || !strings.Contains(got[1].Detail, "slow, unset did not get") {
		t.Errorf("%+v", got)
	}
	if n := len(slow.received()); n != 3 {
		t.Errorf("the dead one was told %d times", n)
	}
	if len(newPost().Send(t.Context(), nil, message, nil)) != 0 {
		t.Error("nobody was told something")
	}
}

// The context ends everything that is under way.
func TestStopped(t *testing.T) {
	t.Parallel()
	s := newSink(t, hang)
	ctx, cancel := context.WithCancel(t.Context())
	p := newPost()
	p.Limits.Try = time.Minute
	go func() {
		for len(s.received()) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		cancel()
	}()
	began := time.Now()
	if d := p.Send(ctx, []notify.Channel{webhook("team", s.URL)}, message, nil)[0]; d.Done || d.Tries != 1 {
		t.Error(d)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// memory is a ledger.
type memory struct {
	mu  sync.Mutex
	ids map[string]bool
	err error
}

func (m *memory) Told(run, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ids[run+id]
}

func (m *memory) Keep(run, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.ids[run+id] = true
	}
	return m.err
}

// Whoever takes a run up again tells only those who have not heard.
func TestOnce(t *testing.T) {
	t.Parallel()
	well, bad := newSink(t), newSink(t, status(400))
	p := newPost()
	ledger := &memory{ids: map[string]bool{}}
	p.Ledger = ledger
	both := []notify.Channel{webhook("well", well.URL), webhook("bad", bad.URL)}
	p.Send(t.Context(), both, message, nil)
	list := p.Send(t.Context(), both, message, nil)
	if !list[0].Already || list[0].String() != "well (webhook at 127.0.0.1): delivered before, not sent again" || list[1].Already || !list[1].Done {
		t.Errorf("%v", list)
	}
	if got := well.received(); len(got) != 2 || got[1].Event != alert.ChannelDead {
		t.Errorf("%+v", got)
	}
	// Another text, another step, another run is another message.
	for _, change := range []func(*alert.Message){
		func(m *alert.Message) { m.Text = "x" }, func(m *alert.Message) { m.Step = "x" }, func(m *alert.Message) { m.Run = "x" }, func(m *alert.Message) { m.Event = alert.Info },
	} {
		m := message
		change(&m)
		if d := p.Send(t.Context(), both[:1], m, nil)[0]; d.Already || !d.Done {
			t.Errorf("%+v: %v", m, d)
		}
	}
	// What is told and cannot be remembered is told.
	ledger.err = errors.New("disk full")
	m := message
	m.Text = "y"
	if d := p.Send(t.Context(), both[:1], m, nil)[0]; !d.Done {
		t.Error(d)
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newPost()
	p.Limits.Program = 2 * time.Second
	program := func(argv ...string) notify.Channel { return notify.Channel{Name: "p", Command: argv, Dir: dir} }
	if d := p.Send(t.Context(), []notify.Channel{program("sh", "-c", `cat >"$LIFEBOAT_EVENT.$LIFEBOAT_ASSET"`)}, message, nil)[0]; !d.Done {
		t.Fatal(d)
	}
	data, err := os.ReadFile(filepath.Join(dir, "recovered.monorepo"))
	var m alert.Wire
	if err != nil || json.Unmarshal(data, &m) != nil || m.Run != message.Run || strings.Count(string(data), "\n") != 1 {
		t.Errorf("%v %s", err, data)
	}
	if d := p.Send(t.Context(), []notify.Channel{program("sh", "-c", "echo x >>tries; echo broken >&2; exit 3")}, message, nil)[0]; d.Done || d.Tries != 3 || !strings.Contains(d.String(), "sh: exit 3: broken") {
		t.Error(d)
	}
	if d := p.Send(t.Context(), []notify.Channel{program("no-such-program")}, message, nil)[0]; d.Done || d.Tries != 1 || !strings.Contains(d.String(), "program not found") {
		t.Error(d)
	}
}

// A drill reaches what its fence allows, and no service at all.
func TestFence(t *testing.T) {
	t.Parallel()
	s, p := newSink(t), newPost()
	p.Service = func(context.Context, secret.String, string, string) error {
		t.Error("a service was reached")
		return nil
	}
	outside := errors.New("outside of the sandbox")
	fence := func(target string) error {
		if strings.HasSuffix(target, "/team") {
			return nil
		}
		return outside
	}
	list := p.Send(t.Context(), []notify.Channel{webhook("team", s.URL+"/team"), webhook("other", s.URL+"/other"), webhook("slack", "slack://hook:T-B-X@webhook")}, message, fence)
	if !list[0].Done || list[1].Done || list[2].Done || !errors.Is(list[1].Err, outside) {
		t.Errorf("%v", list)
	}
	for _, m := range s.received() {
		if m.Event == alert.Recovered && m.Short == "" {
			t.Errorf("%+v", m)
		}
	}
}

// Secrets leave in no message.
func TestRedacted(t *testing.T) {
	t.Parallel()
	s, p := newSink(t), newPost()
	p.Redact = func(text string) string { return strings.ReplaceAll(text, "hunter2", secret.Mask) }
	m := message
	m.Text, m.Advice = "the password hunter2 was wrong", "try hunter2 again"
	p.Send(t.Context(), []notify.Channel{webhook("team", s.URL)}, m, nil)
	data, _ := json.Marshal(s.received())
	if strings.Contains(string(data), "hunter2") || !strings.Contains(string(data), secret.Mask) {
		t.Errorf("%s", data)
	}
}

// A service is tried like everything else, is told title and text, and no error of it
// gives its address away.
func TestService(t *testing.T) {
	t.Parallel()
	p := newPost()
	var titles []string
	fail := 2
	p.Service = func(_ context.Context, to secret.String, title, text string) error {
		titles = append(titles, title)
		if fail--; fail >= 0 {
			return errors.New("post " + to.Reveal() + ": token T00000000 B00000000 is bad")
		}
		if text != message.Short() {
			t.Errorf("text %q", text)
		}
		return nil
	}
	c := webhook("chat", "slack://hook:T00000000-B00000000-XXXX@webhook")
	short, err := alert.ParseTemplate("short")
	if err != nil {
		t.Fatal(err)
	}
	c.Template = short
	if d := p.Send(t.Context(), []notify.Channel{c}, message, nil)[0]; !d.Done || d.Tries != 3 || d.How != "slack" {
		t.Error(d)
	}
	if !slices.Equal(titles, []string{"RECOVERED monorepo", "RECOVERED monorepo", "RECOVERED monorepo"}) {
		t.Errorf("%q", titles)
	}
	fail = 10
	d := p.Send(t.Context(), []notify.Channel{c}, message, nil)[0]
	if d.Done || strings.Contains(d.String(), "00000000") || strings.Contains(d.String(), "XXXX") || !strings.Contains(d.String(), "is bad") {
		t.Error(d)
	}
	p.Service = func(ctx context.Context, _ secret.String, _, _ string) error { <-ctx.Done(); return ctx.Err() }
	if d := p.Send(t.Context(), []notify.Channel{c}, message, nil)[0]; d.Done || !d.Unclear || !strings.Contains(d.String(), "no answer in time") {
		t.Error(d)
	}
}

// Deliver speaks to a real server through the library.
func TestDeliver(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var bodies []string
	code := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(data))
		w.WriteHeader(code)
	}))
	defer s.Close()
	to := secret.New("generic+" + s.URL + "/token-hunter2?template=json")
	if err := notify.Deliver(to, "RECOVERED", "main is back"); err != nil {
		t.Fatal(err)
	}
	if len(bodies) != 1 || !strings.Contains(bodies[0], `"message":"main is back"`) || !strings.Contains(bodies[0], `"title":"RECOVERED"`) {
		t.Errorf("%q", bodies)
	}
	code = http.StatusForbidden
	if err := notify.Deliver(to, "", "x"); err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	s.Close()
	if err := notify.Deliver(to, "", "x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"slack://hunter2", "discord://hunter2", "nonsense://hunter2hunter2", "smtp://"} {
		if err := notify.Deliver(secret.New(bad), "", "x"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// What the estate takes for a service is one.
func TestServices(t *testing.T) {
	t.Parallel()
	r, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	known := slices.DeleteFunc(r.ListServices(), func(s string) bool { return s == "logger" })
	slices.Sort(known)
	if !slices.Equal(alert.Services(), known) {
		t.Errorf("services %q, the library has %q", alert.Services(), known)
	}
}
