package git

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
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// lfsServer speaks the batch API of Git LFS (docs/api/batch.md of git-lfs), downloads only.
// Every address is https. The credentials of the source go to its own host and to no
// other, whatever a redirect says.
type lfsServer struct {
	client *http.Client
	idle   func(ctx context.Context) *watchdog
	base   *url.URL // …/info/lfs, without user
	user   *url.Userinfo
	header map[string]string // what a host reached by ssh wants to see
}

const (
	lfsMedia     = "application/vnd.git-lfs+json"
	batchSize    = 100     // objects of one request; servers refuse many more
	batchAnswer  = 4 << 20 // bytes of one answer
	maxRedirects = 3
)

// batchItem is an object in a request and, with the rest, in an answer.
type batchItem struct {
	OID     string `json:"oid"`
	Size    int64  `json:"size"`
	Actions *struct {
		Download *struct {
			Href   string            `json:"href"`
			Header map[string]string `json:"header"`
		} `json:"download"`
	} `json:"actions,omitempty"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// errNoContent is an object that a server does not have. It is recorded, and no reason to
// make no backup.
var errNoContent = errors.New("the server does not have it")

// fetchContent downloads objects into dir. What the server says it lacks, and what arrives
// with another hash, is not in the result; every other failure ends the capture.
func (c *capture) fetchContent(ctx context.Context, dir string, needed map[string]int64) ([]lfsObject, error) {
	s, err := c.lfsServer(ctx)
	if errors.Is(err, errNoContent) {
		fmt.Fprintf(c.log, "Git LFS: %v\n", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var out []lfsObject
	room := c.k.scratchLimit()
	for oids := range slices.Chunk(slices.Sorted(maps.Keys(needed)), batchSize) {
		items, err := s.batch(ctx, oids, needed)
		if errors.Is(err, errNoContent) {
			fmt.Fprintf(c.log, "Git LFS: %v\n", err)
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ask the server: %w", err)
		}
		for _, oid := range oids {
			o := lfsObject{oid: oid, path: filepath.Join(dir, oid)}
			if room -= needed[oid]; room < 0 {
				return nil, hint.Wrap(ErrNoRoom, "Raise the limit of the scratch copy, or back up a local clone that has the content.")
			}
			o.size, err = s.download(ctx, items[oid], needed[oid], o)
			switch {
			case errors.Is(err, errNoContent) || errors.Is(err, ErrDamaged):
				fmt.Fprintf(c.log, "Git LFS: object %s: %v\n", oid, err)
			case err != nil:
				return nil, fmt.Errorf("download object %s: %w", oid, err)
			default:
				out = append(out, o)
			}
		}
		c.progress(int64(len(out)), int64(len(needed)), "objects")
	}
	return out, nil
}

// lfsServer finds out where the content of the source is served.
func (c *capture) lfsServer(ctx context.Context) (*lfsServer, error) {
	client := http.Client{}
	if c.k.HTTP != nil {
		client = *c.k.HTTP
	}
	client.CheckRedirect = redirect
	s := &lfsServer{client: &client, idle: func(ctx context.Context) *watchdog { return watch(ctx, c.k.idle()) }}
	if c.origin.Host != "" {
		return s, s.authenticate(ctx, c.origin)
	}
	u, err := url.Parse(c.origin.URL)
	if err != nil {
		return nil, errors.New("the source is not a URL")
	}
	s.user = u.User
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	path := strings.TrimRight(u.Path, "/")
	if !strings.HasSuffix(path, ".git") {
		path += ".git"
	}
	u.Path, u.RawPath = path+"/info/lfs", ""
	s.base = u
	return s, nil
}

// authenticate asks a host reached by ssh where its content is served over https
// (docs/api/server-discovery.md). A host that does not know the question serves none.
func (s *lfsServer) authenticate(ctx context.Context, src Source) error {
	out, err := command.Output(ctx, src.ssh("git-lfs-authenticate", "download"))
	var exit *command.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errNoContent, err)
	}
	if err != nil {
		return err
	}
	var answer struct {
		Href   string            `json:"href"`
		Header map[string]string `json:"header"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return errors.New("git-lfs-authenticate: the host gives no JSON")
	}
	s.base, err = secureURL(answer.Href)
	s.header = answer.Header
	return err
}

// secureURL refuses what is not https; its error does not show the address, which may
// hold a token.
func secureURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the server of Git LFS names an address that is not https")
	}
	return u, nil
}

// redirect follows few redirects, only to https, and takes nothing secret to another host.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if req.URL.Scheme != "https" {
		return errors.New("a redirect away from https")
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header = http.Header{"Accept": via[0].Header["Accept"]}
		req.URL.User = nil
	}
	return nil
}

// do sends a request. The error does not hold the address, in which tokens may stand.
func (s *lfsServer) do(req *http.Request, extra map[string]string) (*http.Response, error) {
	if req.URL.Host == s.base.Host && s.user != nil {
		password, _ := s.user.Password()
		req.SetBasicAuth(s.user.Username(), password)
	}
	for key, value := range extra {
		req.Header.Set(key, value)
	}
	resp, err := s.client.Do(req)
	var shown *url.Error
	if errors.As(err, &shown) {
		err = shown.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", req.URL.Hostname(), err)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return resp, nil
	case code == http.StatusNotFound || code == http.StatusGone || code == http.StatusNotImplemented:
		err = fmt.Errorf("%w: it answers %d", errNoContent, code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		err = hint.Wrap(fmt.Errorf("%q answers %d", req.URL.Hostname(), code),
			"Give the asset a source whose credentials may read Git LFS, or set lfs: false.")
	default:
		err = fmt.Errorf("%q answers %d", req.URL.Hostname(), code)
	}
	resp.Body.Close()
	return nil, err
}

// batch asks where objects can be downloaded.
func (s *lfsServer) batch(ctx context.Context, oids []string, sizes map[string]int64) (map[string]batchItem, error) {
	question := struct {
		Operation string      `json:"operation"`
		Transfers []string    `json:"transfers"`
		Objects   []batchItem `json:"objects"`
	}{Operation: "download", Transfers: []string{"basic"}}
	for _, oid := range oids {
		question.Objects = append(question.Objects, batchItem{OID: oid, Size: sizes[oid]})
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	dog := s.idle(ctx)
	defer dog.stop()
	req, err := http.NewRequestWithContext(dog.ctx, http.MethodPost, s.base.JoinPath("objects/batch").String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the server has no sound address")
	}
	req.Header.Set("Accept", lfsMedia)
	req.Header.Set("Content-Type", lfsMedia)
	resp, err := s.do(req, s.header)
	if err != nil {
		return nil, dog.cause(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(dog.reader(resp.Body), batchAnswer))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Transfer string      `json:"transfer"`
		Objects  []batchItem `json:"objects"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("its answer is no JSON of at most %d bytes", batchAnswer)
	}
	if answer.Transfer != "" && answer.Transfer != "basic" {
		return nil, fmt.Errorf("it wants to transfer by %q", answer.Transfer)
	}
	out := map[string]batchItem{}
	for _, item := range answer.Objects {
		out[item.OID] = item
	}
	return out, nil
}

// download puts the content of one object, of at most max bytes, into its file, proven by
// its hash.
func (s *lfsServer) download(ctx context.Context, item batchItem, max int64, o lfsObject) (size int64, err error) {
	switch {
	case item.Error != nil && (item.Error.Code == http.StatusNotFound || item.Error.Code == http.StatusGone):
		return 0, fmt.Errorf("%w: %q", errNoContent, item.Error.Message)
	case item.Error != nil:
		return 0, fmt.Errorf("the server says %d %q", item.Error.Code, item.Error.Message)
	case item.Actions == nil || item.Actions.Download == nil:
		return 0, fmt.Errorf("%w: it names no place for it", errNoContent)
	}
	u, err := secureURL(item.Actions.Download.Href)
	if err != nil {
		return 0, err
	}
	dog := s.idle(ctx)
	defer dog.stop()
	req, err := http.NewRequestWithContext(dog.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, errors.New("the server of Git LFS names no sound address")
	}
	resp, err := s.do(req, item.Actions.Download.Header)
	if err != nil {
		return 0, dog.cause(err)
	}
	defer resp.Body.Close()
	body := &counted{r: io.LimitReader(dog.reader(resp.Body), max+1)}
	err = provenCopy(o.oid, body, func(string) (io.WriteCloser, error) {
		return os.OpenFile(o.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	})
	return body.n, err
}
