package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/secret"
)

// ErrDenied is a server that wants other credentials, or lets nobody do this.
var ErrDenied = errors.New("access denied")

// errRefused is a request that the server did not take: it has not acted on it.
var errRefused = errors.New("the server does not take the request")

// smart is one conversation over smart HTTP, protocol version 0, with upload-pack or
// receive-pack. A push goes out as it comes in, of no announced length; go-git, which
// speaks the same, keeps the whole pack in memory.
type smart struct {
	base    *url.URL // of the repository, without credentials
	service string
	user    string
	token   secret.String
	client  http.Client
	l       link
	s       *stream // reads the body of the newest response
	body    io.Closer
	sending *upload // nil without a push
}

func newSmart(address, service string, l link) (*smart, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("repository %q: is not a URL", redactURL(address))
	}
	h := &smart{service: service, l: l, s: &stream{log: l.log}}
	if u.User != nil {
		h.user = u.User.Username()
		password, _ := u.User.Password()
		h.token = secret.New(password)
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	h.base = u
	if l.auth != nil && h.token.IsZero() {
		if user, token := l.auth(address); !token.IsZero() {
			if h.user == "" || user != "" {
				h.user = user
			}
			if h.user == "" {
				h.user = "git" // no forge looks at it, and none takes an empty one
			}
			h.token = token
		}
	}
	if l.http != nil {
		h.client = *l.http
	}
	return h, nil
}

func (h *smart) request(ctx context.Context, wants, haves []string) (io.Reader, bool, error) {
	return h.ask(ctx, query{wants: wants, haves: haves})
}

const refsPath = "/info/refs"

// advertise may be sent elsewhere, as forges do after a repository was renamed; what
// follows goes to the new place, with credentials only on the same host.
func (h *smart) advertise(ctx context.Context) (advert, error) {
	ad := advert{format: "sha1", caps: map[string]bool{}}
	h.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 5 || r.URL.Scheme != "https" || !strings.HasSuffix(r.URL.Path, refsPath) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base.String()+refsPath+"?service="+h.service, nil)
	if err != nil {
		return ad, fmt.Errorf("read refs of the server: %w", err)
	}
	res, err := h.do(r, "advertisement")
	if err != nil {
		return ad, fmt.Errorf("read refs of the server: %w", err)
	}
	if at := res.Request.URL; at.Host != h.base.Host || at.Path != h.base.Path+refsPath {
		if at.Host != h.base.Host {
			h.user, h.token = "", secret.String{}
		}
		moved := *at
		moved.RawQuery, moved.User = "", nil
		moved.Path, moved.RawPath = strings.TrimSuffix(at.Path, refsPath), strings.TrimSuffix(at.RawPath, refsPath)
		h.base = &moved
	}
	data, _, err := h.s.packet()
	if err == nil && !strings.HasPrefix(string(data), "# service="+h.service) {
		err = fmt.Errorf("it begins with %q", data[:min(len(data), 80)])
	}
	if err == nil {
		_, flush, end := h.s.packet()
		if err = end; err == nil && !flush {
			err = fmt.Errorf("%w: no end of its greeting", ErrDamaged)
		}
	}
	if err != nil {
		return ad, fmt.Errorf("read refs of the server: %w", err)
	}
	ad, err = h.s.advertise(ctx)
	h.body.Close()
	return ad, err
}

func (h *smart) ask(ctx context.Context, q query) (io.Reader, bool, error) {
	var buf bytes.Buffer
	if err := q.write(&buf, h.s.ad); err != nil {
		return nil, false, fmt.Errorf("ask the server: %w", err)
	}
	if err := h.post(ctx, &buf); err != nil {
		return nil, false, fmt.Errorf("ask the server: %w", err)
	}
	return h.s.answer()
}

func (h *smart) push(ctx context.Context, body io.Reader) (packets, error) {
	h.sending = &upload{Reader: body, closed: make(chan struct{})}
	if err := h.post(ctx, h.sending); err != nil {
		return nil, err
	}
	return h.s.packet, nil
}

// upload tells when the transport has let go of it.
type upload struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

func (u *upload) Close() error {
	u.once.Do(func() { close(u.closed) })
	return nil
}

func (h *smart) post(ctx context.Context, body io.Reader) error {
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.base.String()+"/"+h.service, body)
	if err != nil {
		if h.sending != nil {
			h.sending.Close()
		}
		return err
	}
	r.Header.Set("Content-Type", "application/x-"+h.service+"-request")
	_, err = h.do(r, "result")
	return err
}

// do sends a request and lets the stream read the response.
func (h *smart) do(r *http.Request, kind string) (*http.Response, error) {
	want := "application/x-" + h.service + "-" + kind
	r.Header.Set("User-Agent", "git/"+agent) // some servers answer only what looks like git
	r.Header.Set("Accept", want)
	if h.user != "" || !h.token.IsZero() {
		r.SetBasicAuth(h.user, h.token.Reveal())
	}
	res, err := h.client.Do(r)
	if err != nil {
		return nil, err
	}
	if err := h.judge(res, want); err != nil {
		res.Body.Close()
		return nil, err
	}
	if h.body != nil {
		h.body.Close()
	}
	h.body = res.Body
	h.s.scan = pktline.NewScanner(h.l.incoming(res.Body))
	return res, nil
}

// judge says what a response means that is not the wanted one.
func (h *smart) judge(res *http.Response, want string) error {
	address := h.base.String()
	said := ""
	if kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); kind == "text/plain" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // what came before an error tells enough
		if said = strings.TrimSpace(string(text)); said != "" {
			said = ": it says " + printable.Quote(said)
		}
	}
	status := fmt.Errorf("%s answers %s%s", address, printable.Line(res.Status), said)
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized && h.token.IsZero():
		return hint.Wrap(fmt.Errorf("%w: %w", ErrDenied, status), "It asks for credentials: give it a token that may do this.")
	case code == http.StatusUnauthorized:
		return hint.Wrap(fmt.Errorf("%w: %w", ErrDenied, status), "It does not take the token: look whether the token has expired, and which user it belongs to.")
	case code == http.StatusForbidden:
		return hint.Wrap(fmt.Errorf("%w: %w", ErrDenied, status), "The token is known and may not do this: give it the right to write, or use one that has it.")
	case code == http.StatusNotFound:
		return hint.Wrap(fmt.Errorf("%w: %w", errRefused, status), "Check the address. Forges also say so of a repository that the token may not see.")
	case code == http.StatusLengthRequired:
		return hint.Wrap(fmt.Errorf("%w: %w", errRefused, status), "A proxy before the server wants the length of a pack in advance, which nobody knows: let it pass chunked requests, or use ssh.")
	case code == http.StatusRequestEntityTooLarge:
		return hint.Wrap(fmt.Errorf("%w: %w", errRefused, status), "The pack is larger than the server takes: raise its limit, or use ssh.")
	case code/100 == 4 || code/100 == 3:
		return fmt.Errorf("%w: %w", errRefused, status)
	case code != http.StatusOK:
		return status
	}
	if kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); kind != want {
		return hint.Wrap(fmt.Errorf("%s answers with %q, which is not git", address, kind), "Check that the address is that of a repository, not of a web page.")
	}
	return nil
}

func (h *smart) Close() error {
	if h.body != nil {
		h.body.Close()
	}
	if h.sending != nil {
		<-h.sending.closed
	}
	return nil
}
