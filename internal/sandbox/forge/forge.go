// Package forge is a small forge to rehearse on: it speaks what GitHub, GitLab and
// Bitbucket document about who may change a branch, under /github/, /gitlab/ and
// /bitbucket/ of one address.
//
// It is written from the documentation of the services and shares no code with the
// actions that are tried on it. Where a service is unkind the forge is too: GitHub hides
// what a token may not see behind 404, and drops people that it does not know from a list
// without a word. Its whole state is one file, read anew for each request, so that a
// breakage or an oracle in another process works on the same truth. Faults are made on
// demand: a file beside the state says which request is answered how, and how often.
package forge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/durable"
)

// Tokens that a forge made by [New] knows, by what they may do. All are made up.
const (
	Admin   = "sandbox-admin"   // everything
	Writer  = "sandbox-writer"  // pushes; on GitHub it does not see protection
	Reader  = "sandbox-reader"  // sees the repository
	Narrow  = "sandbox-narrow"  // an administrator's, without the permission to administer
	SSO     = "sandbox-sso"     // not yet authorised for the organisation
	Nothing = "sandbox-nothing" // valid, and sees no repository
)

// Forge is the handler. All of its state is in its directory.
type Forge struct {
	dir string
	mux *http.ServeMux

	mu   sync.Mutex // one request at a time changes the state
	used int        // requests since the forge was opened, for the headers of the rate limit
}

// New opens the forge in dir, and makes it there when dir holds none.
func New(dir string) (*Forge, error) {
	f := &Forge{dir: dir, mux: http.NewServeMux()}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open the forge: %w", err)
	}
	err := f.locked(func() error {
		if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return write(filepath.Join(dir, stateName), first())
	})
	if err != nil {
		return nil, fmt.Errorf("open the forge: %w", err)
	}
	f.github()
	f.gitlab()
	f.bitbucket()
	return f, nil
}

const (
	stateName = "state.json"
	faultName = "faults.json"
)

// Read gives the state of the forge in dir as it lies on the disk.
func Read(dir string) (*State, error) {
	text, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return nil, err
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read the state of the forge: %w", err)
	}
	return &s, nil
}

func write(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}

// Change edits the state as an administrator in another window would.
func (f *Forge) Change(edit func(*State)) error {
	return f.locked(func() error {
		s, err := Read(f.dir)
		if err != nil {
			return err
		}
		edit(s)
		return write(filepath.Join(f.dir, stateName), s)
	})
}

// locked keeps requests of this and of other processes apart.
func (f *Forge) locked(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		held, err := durable.Lock(filepath.Join(f.dir, "lock"), "a request to the forge")
		if err == nil {
			return errors.Join(do(), held.Unlock())
		}
		if _, busy := errors.AsType[*durable.LockedError](err); !busy {
			return err
		}
		<-tick.C
	}
	return errors.New("the forge is locked by another process")
}

// Kinds of faults.
const (
	Error     = "error"     // Status, and nothing is done
	Lost      = "lost"      // it is done, and the connection breaks before the answer
	Cut       = "cut"       // the connection breaks before anything is done
	Slow      = "slow"      // it is answered after Millis
	Primary   = "primary"   // 403: no request is left in this hour
	Spent     = "spent"     // the same of GitHub's GraphQL API: an error of status 200
	Secondary = "secondary" // 403: too many at once, with Retry-After
	Login     = "login"     // 200 and a page of HTML, as of a proxy that wants a password
	Short     = "short"     // 200 and half of the answer
)

// Fault is one wrong answer, or several.
type Fault struct {
	Kind    string `json:"kind"`
	Method  string `json:"method,omitempty"`  // empty: any; "WRITE": any that may change something
	Path    string `json:"path,omitempty"`    // part of the path; empty: any
	Skip    int    `json:"skip,omitempty"`    // requests that fit and are answered well first
	Times   int    `json:"times,omitempty"`   // how often; 0: once, below: for ever
	Status  int    `json:"status,omitempty"`  // of error, default 500
	Seconds int    `json:"seconds,omitempty"` // in Retry-After and the reset of the limit
	Millis  int    `json:"millis,omitempty"`  // of slow
}

// Fault makes requests from now on fail. Faults that were set before and have not
// happened yet are forgotten; without an argument all are.
func (f *Forge) Fault(faults ...Fault) error {
	return f.locked(func() error { return write(filepath.Join(f.dir, faultName), faults) })
}

// Faults lists those that have not happened yet. A test that set one asks at its end: a
// fault that never happened has proved nothing.
func (f *Forge) Faults() ([]Fault, error) {
	var out []Fault
	text, err := os.ReadFile(filepath.Join(f.dir, faultName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read %s: %w", faultName, err)
	}
	return out, nil
}

// fault takes the fault that fits a request, nil for none.
func (f *Forge) fault(r *http.Request) (*Fault, error) {
	faults, err := f.Faults()
	if err != nil {
		return nil, err
	}
	writes := r.Method != http.MethodGet
	if writes && strings.HasSuffix(r.URL.Path, "/graphql") { // a query is sent like a mutation
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return nil, err
		}
		r.Body, writes = io.NopCloser(bytes.NewReader(body)), bytes.Contains(body, []byte("mutation("))
	}
	for i := range faults {
		ft := &faults[i]
		if ft.Method == "WRITE" && !writes || ft.Method != "" && ft.Method != "WRITE" && ft.Method != r.Method || !strings.Contains(r.URL.EscapedPath(), ft.Path) {
			continue
		}
		hit := *ft
		switch {
		case ft.Skip > 0:
			ft.Skip--
			return nil, write(filepath.Join(f.dir, faultName), faults)
		case ft.Times > 1:
			ft.Times--
		case ft.Times >= 0:
			faults = append(faults[:i], faults[i+1:]...)
		}
		return &hit, write(filepath.Join(f.dir, faultName), faults)
	}
	return nil, nil
}

// exchange is one request in the making of its answer, which is sent when it is whole.
type exchange struct {
	head    http.Header
	status  int
	body    bytes.Buffer
	state   *State
	level   string // what the token may do, "" for none
	changed bool
}

func (x *exchange) Header() http.Header         { return x.head }
func (x *exchange) WriteHeader(status int)      { x.status = status }
func (x *exchange) Write(p []byte) (int, error) { return x.body.Write(p) }

// answer sets the status and a body in JSON.
func (x *exchange) answer(status int, v any) {
	x.status = status
	x.body.Reset()
	if v == nil {
		return
	}
	x.head.Set("Content-Type", "application/json; charset=utf-8")
	enc := json.NewEncoder(&x.body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // into memory, of our own types
}

// ServeHTTP answers one request.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var x *exchange
	var fault *Fault
	err := f.locked(func() error {
		var err error
		if fault, err = f.fault(r); err != nil {
			return err
		}
		x, err = f.serve(r, fault)
		return err
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if fault != nil {
		switch fault.Kind {
		case Lost, Cut:
			panic(http.ErrAbortHandler) // documented to break the connection
		case Slow:
			t := time.NewTimer(time.Duration(fault.Millis) * time.Millisecond)
			defer t.Stop()
			select {
			case <-t.C:
			case <-r.Context().Done():
				return
			}
		case Short:
			whole := x.body.Len()
			x.head.Set("Content-Length", strconv.Itoa(whole))
			x.body.Truncate(whole / 2)
		}
	}
	send(w, r, x)
	if fault != nil && fault.Kind == Short {
		_ = http.NewResponseController(w).Flush() // else the client sees no answer at all, and asks again
		panic(http.ErrAbortHandler)
	}
}

// send gives the whole answer, or 304 when the client has it already.
func send(w http.ResponseWriter, r *http.Request, x *exchange) {
	if r.Method == http.MethodGet && x.status == http.StatusOK {
		sum := sha256.Sum256(x.body.Bytes())
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		x.head.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			x.status = http.StatusNotModified
			x.body.Reset()
		}
	}
	for k, v := range x.head {
		w.Header()[k] = v
	}
	w.WriteHeader(x.status)
	_, _ = io.Copy(w, &x.body) // the client may have gone
}

// serve makes the answer; what it changes is on the disk when it returns.
func (f *Forge) serve(r *http.Request, fault *Fault) (*exchange, error) {
	x := &exchange{head: http.Header{}, status: http.StatusOK}
	f.used++
	left, reset := max(0, 5000-f.used), time.Now().Add(time.Hour)
	if fault != nil {
		done := true
		wait := strconv.Itoa(fault.Seconds)
		switch fault.Kind {
		case Error:
			if fault.Status == 0 {
				fault.Status = http.StatusInternalServerError
			}
			x.answer(fault.Status, map[string]string{"message": http.StatusText(fault.Status)})
		case Primary:
			left, reset = 0, time.Now().Add(time.Duration(fault.Seconds)*time.Second)
			x.answer(http.StatusForbidden, map[string]string{"message": "API rate limit exceeded"})
		case Spent:
			left, reset = 0, time.Now().Add(time.Duration(fault.Seconds)*time.Second)
			x.answer(http.StatusOK, map[string]any{"errors": []any{map[string]string{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}}})
		case Secondary:
			x.head.Set("Retry-After", wait)
			x.answer(http.StatusForbidden, map[string]string{"message": "You have exceeded a secondary rate limit.",
				"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"})
			if !strings.HasPrefix(r.URL.Path, "/github/") {
				x.status = http.StatusTooManyRequests
			}
		case Login:
			x.answer(http.StatusOK, nil)
			x.head.Set("Content-Type", "text/html")
			x.body.WriteString("<html><form>password</form></html>")
		case Cut:
		default:
			done = false
		}
		if done {
			f.limits(x, r, left, reset)
			return x, nil
		}
	}
	f.limits(x, r, left, reset)
	var err error
	if x.state, err = Read(f.dir); err != nil {
		return nil, err
	}
	token := r.Header.Get("PRIVATE-TOKEN")
	if token == "" {
		_, token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	}
	if x.level = x.state.Tokens[token]; x.level == "" {
		x.answer(http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
		return x, nil
	}
	f.mux.ServeHTTP(x, r)
	if x.changed && x.status < 300 {
		return x, write(filepath.Join(f.dir, stateName), x.state)
	}
	return x, nil
}

func (f *Forge) limits(x *exchange, r *http.Request, left int, reset time.Time) {
	prefix := "X-Ratelimit-"
	if strings.HasPrefix(r.URL.Path, "/gitlab/") {
		prefix = "Ratelimit-"
	}
	x.head.Set(prefix+"Limit", "5000")
	x.head.Set(prefix+"Remaining", strconv.Itoa(left))
	x.head.Set(prefix+"Reset", strconv.FormatInt(reset.Unix(), 10))
}

// handle adds a route. Bodies are read up to a bound.
func (f *Forge) handle(pattern string, h func(x *exchange, r *http.Request)) {
	f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		h(w.(*exchange), r)
	})
}

// decode reads a body; unknown keys are refused only by being ignored, as services do.
func decode(r *http.Request, v any) bool { return json.NewDecoder(r.Body).Decode(v) == nil }
