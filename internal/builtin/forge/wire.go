package forge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const (
	maxBody  = 4 << 20 // of an answer
	maxPages = 100     // of a list
	tries    = 3       // of a reading
	// patience bounds all waiting for a limit of the service in one action.
	patience  = 2 * time.Minute
	mostWaits = 10 // of one request: a service may say 0 seconds for ever
)

// reply is the answer of a service, of any status.
type reply struct {
	status int
	header http.Header
	body   []byte
	wait   time.Duration // how long the service wants to be left alone; see limited
	more   string        // address of the next page
}

// transport sends one request and reads its answer. An error means that there was none.
type transport func(ctx context.Context, method, path string, body any) (reply, error)

// wire is the way to one service: it waits where it is told to, tries readings again, and
// knows when an effect may have happened.
type wire struct {
	*gate
	send  transport
	env   *action.Env
	http  *http.Client
	pause time.Duration
	left  time.Duration // of the patience
}

func newWire(d Deps, env *action.Env, g *gate) *wire {
	c := http.Client{}
	if d.HTTP != nil {
		c = *d.HTTP
	}
	w := &wire{gate: g, env: env, http: &c, pause: d.Pause, left: patience}
	if w.pause == 0 {
		w.pause = 500 * time.Millisecond
	}
	// A redirected write would become a reading (301, 302), or go where nobody looked.
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		switch {
		case first.Method != http.MethodGet || len(via) > 5:
			return http.ErrUseLastResponse
		case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
			return fmt.Errorf("%w: %s", errElsewhere, printable.Line(req.URL.Host))
		}
		return nil
	}
	w.http = &c
	return w
}

var errElsewhere = errors.New("the forge sends us to another host")

// plain is the transport without a library.
func (w *wire) plain(auth func(h http.Header)) transport {
	return func(ctx context.Context, method, path string, body any) (reply, error) {
		var in io.Reader
		if body != nil {
			text, err := json.Marshal(body)
			if err != nil {
				return reply{}, err
			}
			in = bytes.NewReader(text)
		}
		address := path
		if !strings.Contains(path, "://") {
			address = strings.TrimRight(w.API, "/") + path
		}
		req, err := http.NewRequestWithContext(ctx, method, address, in)
		if err != nil {
			return reply{}, err
		}
		if req.URL.Host != w.at.Host || req.URL.Scheme != w.at.Scheme {
			return reply{}, fmt.Errorf("%w: %s", errElsewhere, printable.Line(req.URL.Host)) // a next page
		}
		auth(req.Header)
		req.Header.Set("Accept", "application/json")
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := w.http.Do(req)
		if err != nil {
			return reply{}, err
		}
		return readReply(res, method)
	}
}

// readReply reads an answer. One that is cut off is none, but for a write that was
// answered with success: what it says is read anew anyway.
func readReply(res *http.Response, method string) (reply, error) {
	defer res.Body.Close()
	r := reply{status: res.StatusCode, header: res.Header}
	var err error
	if r.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1)); err != nil && (method == http.MethodGet || r.status >= 300) {
		return reply{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(r.body) > maxBody {
		return reply{}, fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	return r, nil
}

// limited says how long a service wants to be left alone, from what all three agree on.
func limited(r reply, now time.Time) (time.Duration, bool) {
	if r.status != http.StatusForbidden && r.status != http.StatusTooManyRequests {
		return 0, false
	}
	if r.wait > 0 {
		return r.wait, true
	}
	after := r.header.Get("Retry-After")
	if s, err := strconv.ParseInt(after, 10, 64); err == nil && s >= 0 {
		return time.Duration(min(s, 1<<31)) * time.Second, true
	}
	if t, err := http.ParseTime(after); err == nil {
		return max(time.Second, t.Sub(now)), true
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		if r.header.Get(prefix+"Remaining") != "0" {
			continue
		}
		if s, err := strconv.ParseInt(r.header.Get(prefix+"Reset"), 10, 64); err == nil {
			return max(time.Second, time.Unix(s, 0).Sub(now)), true
		}
	}
	return time.Minute, r.status == http.StatusTooManyRequests
}

// get reads.
func (w *wire) get(ctx context.Context, path string) (reply, error) {
	return w.reading(ctx, http.MethodGet, path, nil)
}

// reading sends a request that changes nothing. It tries again where the service stumbles.
func (w *wire) reading(ctx context.Context, method, path string, body any) (reply, error) {
	wait := w.pause
	for n := 1; ; n++ {
		r, err := w.patient(ctx, method, path, body)
		stumbled := err == nil && r.status >= 500 || err != nil && retriable(err)
		if !stumbled || n == tries || ctx.Err() != nil {
			if err != nil {
				return r, w.explain(fmt.Errorf("read from %s: %w", services[w.Service], err))
			}
			return r, nil
		}
		if err := w.sleep(ctx, wait, ""); err != nil {
			return r, err
		}
		wait *= 2
	}
}

// json reads an answer of status 200 into v; the reply of another status is returned as
// it is, for the caller to explain.
func (w *wire) json(ctx context.Context, path string, v any) (reply, error) {
	r, err := w.get(ctx, path)
	if err != nil || r.status != http.StatusOK {
		return r, err
	}
	return r, w.decode(r, v)
}

func (w *wire) decode(r reply, v any) error {
	if kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type")); err == nil && kind == "text/html" {
		return hint.Wrap(fmt.Errorf("%s answers with a page of HTML, not with JSON", w.at.Host),
			"a proxy or a sign-in page stands in between; check forge.api in lifeboat.yaml and the way out of this network")
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", w.at.Host, err)
	}
	return nil
}

// do writes, once. Only a request that the service refused for its limit is sent again:
// that one certainly did nothing.
func (w *wire) do(ctx context.Context, method, path string, body any, fine ...int) (reply, error) {
	r, err := w.patient(ctx, method, path, body)
	if err != nil {
		err = w.explain(fmt.Errorf("%s %s: %w", method, w.show(path), err))
		if unsent(err) || errors.Is(err, errTooLong) {
			return r, err
		}
		return r, fmt.Errorf("%w: %w", action.ErrUnclear, err)
	}
	for _, s := range fine {
		if r.status == s {
			return r, nil
		}
	}
	err = w.status(r, method+" "+w.show(path))
	if r.status >= 500 {
		return r, fmt.Errorf("%w: %w", action.ErrUnclear, err)
	}
	return r, err
}

var errTooLong = errors.New("the forge wants to be left alone for longer than is waited")

// patient sends a request, and sends it again when the service had asked for patience.
func (w *wire) patient(ctx context.Context, method, path string, body any) (reply, error) {
	for n := 1; ; n++ {
		r, err := w.send(ctx, method, path, body)
		if err != nil {
			return r, err
		}
		wait, ok := limited(r, w.env.Now())
		if !ok {
			return r, nil
		}
		if wait > w.left {
			return r, hint.Wrap(fmt.Errorf("%w: its limit of requests is used up until %s, in %s", errTooLong,
				w.env.Now().Add(wait).Format("15:04:05"), wait.Round(time.Second)),
				"wait until then and run the step again, or use a token of another account")
		}
		if n == mostWaits {
			return r, hint.Wrap(fmt.Errorf("%w: it was asked %d times", errTooLong, n), "run the step again later, or use a token of another account")
		}
		w.env.Printf("%s limits requests: waiting %s", services[w.Service], wait.Round(time.Second))
		if err := w.sleep(ctx, max(wait, 10*time.Millisecond), "s"); err != nil {
			return r, fmt.Errorf("%w: %w", errTooLong, err)
		}
	}
}

// sleep waits, and shows how long it still takes when unit is given.
func (w *wire) sleep(ctx context.Context, d time.Duration, unit string) error {
	w.left -= d
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for passed := int64(0); ; passed++ {
		if unit != "" {
			w.env.Report(passed, int64(d/time.Second), unit)
		}
		select {
		case <-end.C:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unsent says whether the service certainly never saw the request.
func unsent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok || errors.Is(err, errElsewhere)
}

// retriable says whether a reading may do better a second time.
func retriable(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	return !errors.Is(err, errElsewhere) && !errors.Is(err, errTooLong)
}

// explain adds advice to an error of the network.
func (w *wire) explain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok && u.Timeout() {
		return hint.Wrapf(err, "%s does not answer; check the network and its status page", w.at.Host)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return hint.Wrapf(err, "the certificate of %s is not trusted here. Do not turn the check off: a token would go to whoever answers. Let the system trust your company's authority, or check forge.api in lifeboat.yaml", w.at.Host)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return hint.Wrapf(err, "the way to %s leads through a proxy, which does not answer: check HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY", w.at.Host)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return hint.Wrapf(err, "%s does not speak TLS there; check forge.api in lifeboat.yaml", w.at.Host)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return hint.Wrapf(err, "%s has no address here; check the network and forge.api in lifeboat.yaml", w.at.Host)
	}
	if errors.Is(err, errElsewhere) {
		return hint.Wrap(err, "the token is not sent there; write the right address as forge.api in lifeboat.yaml")
	}
	return err
}

// show is a path for people.
func (w *wire) show(path string) string { return printable.Line(path) }

// status makes an error of an answer that is no success.
func (w *wire) status(r reply, what string) error {
	name := services[w.Service]
	err := fmt.Errorf("%s: %s answers %d %s%s", what, name, r.status, http.StatusText(r.status), said(r.body))
	switch {
	case r.status == http.StatusUnauthorized:
		return hint.Wrapf(fmt.Errorf("%w: %w", action.ErrRefused, err), "the token from %s is wrong, expired or revoked; make a new one", w.token.From)
	case r.status == http.StatusForbidden && r.header.Get("X-GitHub-SSO") != "":
		return hint.Wrapf(fmt.Errorf("%w: %w", action.ErrRefused, err), "the token from %s must be authorised for single sign-on of the organisation: github.com/settings/tokens, Configure SSO", w.token.From)
	case r.status == http.StatusForbidden:
		return w.lacks(err)
	case r.status >= 300 && r.status < 400:
		return hint.Wrapf(fmt.Errorf("%w: %w", action.ErrRefused, err), "the project has moved; write its new name as forge.project in lifeboat.yaml")
	}
	return err
}

// needs say which right each service asks for.
var needs = map[string]string{
	GitHub:    `a token of an administrator of the repository: classic with scope "repo", or fine-grained with "Administration: read and write"`,
	GitLab:    `a token with scope "api" of a maintainer of the project, who is among those that may unprotect the branch`,
	Bitbucket: `an access token with "repository:admin"`,
}

// lacks says that the token may not do it.
func (w *wire) lacks(err error) error {
	return hint.Wrapf(fmt.Errorf("%w: %w", action.ErrRefused, err), "the token from %s lacks the right; this needs %s. Or ask an administrator to run this step", w.token.From, needs[w.Service])
}

// said is the message of a service, as foreign text.
func said(body []byte) string {
	var m struct {
		Message any `json:"message"`
		Err     any `json:"error"`
		Errors  any `json:"errors"`
	}
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	var parts []string
	for _, v := range []any{m.Message, m.Err, m.Errors} {
		if v == nil {
			continue
		}
		if part, ok := v.(map[string]any); ok && part["message"] != nil {
			v = part["message"]
		}
		t, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				continue
			}
			t = string(b)
		}
		if t = printable.Line(t); t != "" {
			parts = append(parts, t[:min(len(t), 300)])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// there makes sure that the project is there under its name, and the branch in it, and
// gives the name of the project as the service writes it, which stands under key.
func (w *wire) there(ctx context.Context, project, key, branchAt, branch string) (string, error) {
	var p map[string]any
	r, err := w.json(ctx, project, &p)
	switch {
	case err != nil:
		return "", err
	case r.status == http.StatusNotFound:
		return "", w.noProject(r)
	case r.status != http.StatusOK:
		return "", w.status(r, "read "+w.Project)
	}
	name := text(p, key)
	if err := w.renamed(name); err != nil {
		return name, err
	}
	switch r, err = w.get(ctx, branchAt); {
	case err != nil:
		return name, err
	case r.status == http.StatusNotFound:
		return name, noBranch(name, branch)
	case r.status != http.StatusOK:
		return name, w.status(r, "read the branch "+branch)
	}
	return name, nil
}

// tooLong is a list that does not end. What was read of it is not used: a rule that was not
// read would count as one that is not there.
func tooLong(what string) error {
	return fmt.Errorf("%w: the list of %s has more than %d pages", action.ErrRefused, what, maxPages)
}
