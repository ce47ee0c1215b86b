package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const httpDoc = `Asks a web page once, or again and again until it is as expected, and says what it found: the
status, what the body contains, fields of JSON, how long it took, and for how many days its
certificate is still good. It sends no credentials. Redirects are followed, five at most, and
shown.

` + "```check.http" + `
url: http://booking.sandbox/health
status: [200]
within: 30s
` + "```" + `

Fields of JSON are named by their path, and compared as text:

    url: https://booking.example.com/health
    json: {status: ok, "replicas.0.ready": "true"}
    contains: '"status"'
    latency: 2s
    tls_days: 14
    within: 2m

Up to 1 MiB of the body is read. In a drill only the sandbox is reached.
`

type httpParams struct {
	URL      string            `param:"url,required" help:"the page: http or https"`
	Status   []string          `param:"status" help:"the status codes that are well; 200 when left out"`
	Contains string            `param:"contains" help:"a text that the body must contain"`
	JSON     map[string]string `param:"json" help:"fields of the body, by their path, with their values: {status: ok, items.0.id: 7}"`
	Latency  time.Duration     `param:"latency" help:"how long it may take until the whole answer is there: 2s"`
	TLSDays  int               `param:"tls_days" help:"how many days the certificate must still be good"`
	Within   time.Duration     `param:"within" help:"ask again until it is as expected, for so long: 2m; once when left out"`
	Every    time.Duration     `param:"every" help:"how long to wait before asking again" default:"2s"`
}

// Bounds of what is read and followed.
const (
	maxBody      = 1 << 20
	maxRedirects = 5
)

func checkHTTP(p httpParams) error {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return &action.ArgError{Name: "url", Msg: "is no address of a web page", Fix: "write http://… or https://…"}
	case u.User != nil:
		return &action.ArgError{Name: "url", Msg: "holds a name or a password, and would be on record", Fix: "name a page that answers everybody"}
	}
	for _, s := range p.Status {
		if n, err := strconv.Atoi(s); err != nil || n < 100 || n > 599 {
			return &action.ArgError{Name: "status", Msg: fmt.Sprintf("%q is no status code", s), Fix: "write [200], or [200, 204]"}
		}
	}
	if p.TLSDays > 0 && u.Scheme != "https" {
		return &action.ArgError{Name: "tls_days", Msg: "the page has no certificate", Fix: "name it by https://"}
	}
	if p.TLSDays < 0 {
		return &action.ArgError{Name: "tls_days", Msg: "is below zero", Fix: "write a number of days"}
	}
	if p.Every < 100*time.Millisecond {
		return &action.ArgError{Name: "every", Msg: fmt.Sprintf("%s is too often", p.Every), Fix: "write 1s or more"}
	}
	return nil
}

func (d Deps) http() action.Action {
	return action.New(action.Def[httpParams]{
		Name: "check.http", Summary: "Look whether a web page answers as it should", Doc: httpDoc,
		Effect: action.Read, Repeat: action.Safe, Check: checkHTTP,
		Plan: func(_ context.Context, env *action.Env, p httpParams) (action.Plan, error) {
			if err := env.Allowed(p.URL); err != nil {
				return action.Plan{}, err
			}
			page := printable.Line(p.URL)
			plan := action.Plan{Summary: "asks " + page, Target: page, Stop: stopReading, Command: []string{"curl -sS -i " + shown([]string{p.URL})}}
			for _, text := range p.wants() {
				plan.Lines = append(plan.Lines, action.Line{Label: "expects", Text: text})
			}
			if p.Within > 0 {
				plan.Lines = append(plan.Lines, action.Line{Label: "asks again", Text: fmt.Sprintf("every %s, for %s", printable.Span(p.Every), printable.Span(p.Within))})
			}
			return plan, nil
		},
		Run: d.runHTTP,
	})
}

func (p httpParams) wants() []string {
	out := []string{"status " + strings.Join(p.statuses(), " or ")}
	if p.Contains != "" {
		out = append(out, fmt.Sprintf("a body that contains %q", p.Contains))
	}
	for _, path := range slices.Sorted(maps.Keys(p.JSON)) {
		out = append(out, fmt.Sprintf("%s is %q", path, p.JSON[path]))
	}
	if p.Latency > 0 {
		out = append(out, "an answer within "+printable.Span(p.Latency))
	}
	if p.TLSDays > 0 {
		out = append(out, fmt.Sprintf("a certificate that is good for %s", printable.Count(p.TLSDays, "more day")))
	}
	return out
}

func (p httpParams) statuses() []string {
	if len(p.Status) == 0 {
		return []string{"200"}
	}
	return p.Status
}

// runHTTP asks until the answer is as expected or time is up. What is judged is the last
// answer.
func (d Deps) runHTTP(ctx context.Context, env *action.Env, p httpParams, _ action.Plan) (action.Result, error) {
	if err := env.Allowed(p.URL); err != nil {
		return action.Result{}, err
	}
	if env.Glance {
		p.Within = 0
	}
	began := time.Now()
	end := began.Add(p.Within)
	for tries := 1; ; tries++ {
		res, err := d.ask(ctx, env, p)
		if errors.Is(err, action.ErrRefused) || ctx.Err() != nil {
			return res, errors.Join(err, ctx.Err())
		}
		if err == nil {
			res.Outputs["tries"] = int64(tries)
			if tries > 1 {
				res.Evidence += fmt.Sprintf("; at try %d, after %s", tries, printable.Span(time.Since(began)))
			}
			return res, nil
		}
		env.Printf("try %d: %v", tries, err)
		env.Report(int64(min(time.Since(began), p.Within)/time.Second), int64(p.Within/time.Second), "s")
		if !time.Now().Add(p.Every).Before(end) {
			if tries > 1 {
				err = fmt.Errorf("%w; asked %s in %s", err, printable.Count(tries, "time"), printable.Span(time.Since(began)))
			}
			return res, err
		}
		if err := pause(ctx, p.Every); err != nil {
			return res, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask asks once.
func (d Deps) ask(ctx context.Context, env *action.Env, p httpParams) (action.Result, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: url: is no sound address", action.ErrRefused)
	}
	req.Header.Set("User-Agent", "lifeboat")
	var way []string
	client := *d.HTTP
	client.Jar = nil
	client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		to := printable.Line(next.URL.Redacted())
		way = append(way, to)
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("it redirects from https to %s", to)
		}
		return env.Allowed(next.URL.String())
	}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return unreached(err, way)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	took := time.Since(began)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w: the answer broke off: %v", action.ErrCheck, err)
	}
	cut := len(body) > maxBody
	body = body[:min(len(body), maxBody)]
	return judgeHTTP(env, p, res, body, cut, took, way)
}

// unreached says why there was no answer.
func unreached(err error, way []string) (action.Result, error) {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the address is known
	}
	if errors.Is(err, action.ErrRefused) {
		return action.Result{}, err
	}
	text := printable.Line(err.Error())
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		text = "no answer in time"
	}
	if len(way) > 0 {
		text += "; redirected to " + strings.Join(way, ", then ")
	}
	return action.Result{}, hint.Wrap(fmt.Errorf("%w: it cannot be reached: %s", action.ErrCheck, text), "see whether it runs, and whether this machine can reach it")
}

func judgeHTTP(env *action.Env, p httpParams, res *http.Response, body []byte, cut bool, took time.Duration, way []string) (action.Result, error) {
	out := action.Result{
		Evidence: fmt.Sprintf("status %d after %s, %s", res.StatusCode, printable.Span(took.Round(time.Millisecond)), printable.Size(int64(len(body)))),
		Outputs:  map[string]any{"status": int64(res.StatusCode), "ms": took.Milliseconds(), "bytes": int64(len(body)), "url": printable.Line(res.Request.URL.Redacted())},
	}
	if cut {
		out.Evidence += " and more"
	}
	if len(way) > 0 {
		out.Evidence += ", redirected to " + strings.Join(way, ", then ")
	}
	add := func(ok bool, text, evidence string) {
		out.Checks = append(out.Checks, action.Check{Text: text, OK: ok, Evidence: evidence})
	}
	add(slices.Contains(p.statuses(), strconv.Itoa(res.StatusCode)), "the status is "+strings.Join(p.statuses(), " or "),
		"it is "+printable.Line(res.Status))
	if p.Contains != "" {
		ok := bytes.Contains(body, []byte(p.Contains))
		evidence := "it does"
		if !ok {
			evidence = fmt.Sprintf("it begins %q", brief(string(body)))
		}
		add(ok, fmt.Sprintf("the body contains %q", p.Contains), evidence)
	}
	judgeJSON(p, body, add)
	if p.Latency > 0 {
		add(took <= p.Latency, "the answer is there within "+printable.Span(p.Latency), "it took "+printable.Span(took.Round(time.Millisecond)))
	}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		left := res.TLS.PeerCertificates[0].NotAfter.Sub(env.Now())
		days := int64(left / (24 * time.Hour))
		out.Outputs["tls_days"] = days
		if p.TLSDays > 0 {
			add(days >= int64(p.TLSDays), fmt.Sprintf("the certificate is good for %s", printable.Count(p.TLSDays, "more day")),
				"until "+res.TLS.PeerCertificates[0].NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	env.Printf("%s", out.Evidence)
	return verdict(out, func(err error) error { return hint.Wrap(err, next(res.StatusCode, body)) })
}

// next is what can be done about an answer that is not as it should be.
func next(status int, body []byte) string {
	said := ""
	if text := brief(strings.TrimSpace(string(body))); text != "" && status >= 400 {
		said = fmt.Sprintf("it says %q; ", text)
	}
	switch {
	case status >= 500:
		return said + "look at the log of what serves it, and whether what that needs (a database, a disk, a secret) is there"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return said + "it wants credentials, and none are sent: name a page that answers everybody"
	case status >= 400:
		return said + "see whether the address is right, and whether the right version runs"
	}
	return said + "look at the page yourself: something else may answer there"
}

// judgeJSON looks up fields of the body.
func judgeJSON(p httpParams, body []byte, add func(ok bool, text, evidence string)) {
	if len(p.JSON) == 0 {
		return
	}
	var doc any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		add(false, "the body is JSON", fmt.Sprintf("it begins %q", brief(string(body))))
		return
	}
	for _, path := range slices.Sorted(maps.Keys(p.JSON)) {
		text := fmt.Sprintf("%s is %q", path, p.JSON[path])
		got, found := field(doc, path)
		if !found {
			add(false, text, "there is no such field")
			continue
		}
		add(got == p.JSON[path], text, fmt.Sprintf("it is %q", brief(got)))
	}
}

// field finds a value by its path, "replicas.0.ready", and writes it as text.
func field(doc any, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return "", false
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return "", false
			}
			doc = v[i]
		default:
			return "", false
		}
	}
	switch v := doc.(type) {
	case string:
		return v, true
	case nil:
		return "null", true
	case map[string]any, []any:
		data, err := json.Marshal(v)
		return string(data), err == nil
	}
	return fmt.Sprint(doc), true
}
