package forge_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/sandbox/forge"
)

func serve(t *testing.T) (*forge.Forge, string, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := forge.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, dir, s.URL
}

func ask(t *testing.T, method, url, token, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return res.StatusCode, string(text), res.Header
}

const (
	hub    = "/github/repos/company/monorepo/branches/main/protection"
	lab    = "/gitlab/api/v4/projects/company%2Fmonorepo/protected_branches"
	bucket = "/bitbucket/2.0/repositories/company/monorepo/branch-restrictions"
)

// Who may what, as the services document it.
func TestLevels(t *testing.T) {
	_, _, url := serve(t)
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{hub, forge.Admin, 200}, {hub, forge.Writer, 404}, {hub, forge.Reader, 404}, {hub, forge.Narrow, 403}, {hub, forge.SSO, 403},
		{hub, forge.Nothing, 404}, {hub, "wrong", 401}, {hub, "", 401},
		{lab, forge.Admin, 200}, {lab, forge.Writer, 403}, {lab, forge.Nothing, 404}, {lab, "wrong", 401},
		{bucket, forge.Admin, 200}, {bucket, forge.Writer, 403}, {bucket, forge.Nothing, 404}, {bucket, "wrong", 401},
		{"/github/repos/company/none", forge.Admin, 404}, {"/github/repos/company/monorepo/branches/none", forge.Admin, 404},
	} {
		if got, text, _ := ask(t, "GET", url+c.path, c.token, ""); got != c.want {
			t.Errorf("%s as %q: %d, want %d: %s", c.path, c.token, got, c.want, text)
		}
	}
}

// What is changed is on the disk, for another process, and a new Forge goes on with it.
func TestDurable(t *testing.T) {
	_, dir, url := serve(t)
	for _, path := range []string{hub, lab + "/main", bucket + "/31"} {
		if got, text, _ := ask(t, "DELETE", url+path, forge.Admin, ""); got != 204 {
			t.Fatalf("%s: %d %s", path, got, text)
		}
	}
	if _, err := forge.New(dir); err != nil {
		t.Fatal(err)
	}
	s, err := forge.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := s.Projects[forge.Name]
	if p.GitHub["main"] != nil || len(p.GitLab) != 1 || len(p.Bitbucket) != 4 {
		t.Errorf("left: %+v", p)
	}
}

// A PUT of what the documentation calls the body gives back the same protection, and one
// that lacks a required key is refused.
func TestGitHubPut(t *testing.T) {
	_, dir, url := serve(t)
	before, err := forge.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"required_status_checks":{"strict":true,"checks":[{"context":"build","app_id":15368},{"context":"test","app_id":15368},{"context":"license/scan","app_id":-1}]},
"enforce_admins":true,"required_pull_request_reviews":{"dismissal_restrictions":{"users":["anna"],"teams":["leads"],"apps":[]},"bypass_pull_request_allowances":{"users":[],"teams":[],"apps":["release-bot"]},
"dismiss_stale_reviews":true,"require_code_owner_reviews":true,"require_last_push_approval":true,"required_approving_review_count":2},
"restrictions":{"users":["anna"],"teams":["platform","unknown"],"apps":["release-bot"]},"required_linear_history":true,"required_conversation_resolution":true}`
	if got, text, _ := ask(t, "DELETE", url+hub, forge.Admin, ""); got != 204 {
		t.Fatal(got, text)
	}
	if got, text, _ := ask(t, "PUT", url+hub, forge.Admin, strings.Replace(body, `"restrictions"`, `"restriction"`, 1)); got != 422 {
		t.Errorf("without restrictions: %d %s", got, text)
	}
	if got, text, _ := ask(t, "PUT", url+hub, forge.Admin, body); got != 200 {
		t.Fatal(got, text)
	}
	if got, text, _ := ask(t, "POST", url+hub+"/required_signatures", forge.Admin, ""); got != 200 {
		t.Fatal(got, text)
	}
	after, err := forge.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after.Projects[forge.Name].GitHub["main"], before.Projects[forge.Name].GitHub["main"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestFaults(t *testing.T) {
	f, dir, url := serve(t)
	if err := f.Fault(
		forge.Fault{Kind: forge.Lost, Method: "DELETE", Path: "protection"},
		forge.Fault{Kind: forge.Secondary, Path: "protected_branches", Seconds: 7},
		forge.Fault{Kind: forge.Primary, Path: "/github/", Times: 2},
		forge.Fault{Kind: forge.Error, Path: "/bitbucket/", Status: 503},
		forge.Fault{Kind: forge.Short, Path: "/bitbucket/"},
	); err != nil {
		t.Fatal(err)
	}
	if got, text, _ := ask(t, "DELETE", url+hub, forge.Admin, ""); got != 0 {
		t.Errorf("a lost answer came: %d %s", got, text)
	}
	if s, err := forge.Read(dir); err != nil || s.Projects[forge.Name].GitHub["main"] != nil {
		t.Errorf("it was not done: %v", err)
	}
	if got, _, h := ask(t, "GET", url+lab, forge.Admin, ""); got != 429 || h.Get("Retry-After") != "7" {
		t.Errorf("secondary limit: %d %v", got, h)
	}
	for range 2 {
		if got, _, h := ask(t, "GET", url+hub, forge.Admin, ""); got != 403 || h.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("primary limit: %d %v", got, h)
		}
	}
	if got, text, _ := ask(t, "GET", url+bucket, forge.Admin, ""); got != 503 {
		t.Errorf("%d %s", got, text)
	}
	if got, text, _ := ask(t, "GET", url+bucket, forge.Admin, ""); got != 0 {
		t.Errorf("a short answer is whole: %d %s", got, text)
	}
	if left, err := f.Faults(); err != nil || len(left) != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// A client that has the newest answer is told so, and pages are linked.
func TestConditionalAndPages(t *testing.T) {
	f, _, url := serve(t)
	_, _, h := ask(t, "GET", url+hub, forge.Admin, "")
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+forge.Admin)
	req.Header.Set("If-None-Match", h.Get("ETag"))
	again := func() int {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := again(); got != 304 {
		t.Errorf("unchanged: %d", got)
	}
	if err := f.Change(func(s *forge.State) { s.Projects[forge.Name].GitHub["main"].Admins = false }); err != nil {
		t.Fatal(err)
	}
	if got := again(); got != 200 {
		t.Errorf("changed: %d", got)
	}
	_, text, _ := ask(t, "GET", url+bucket+"?pagelen=2", forge.Admin, "")
	var page struct {
		Values []any
		Next   string
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Values) != 2 || !strings.Contains(page.Next, "page=2") {
		t.Errorf("%v %s", err, text)
	}
	if _, _, h := ask(t, "GET", url+lab+"?per_page=1", forge.Admin, ""); h.Get("X-Next-Page") != "2" || !strings.Contains(h.Get("Link"), `rel="next"`) {
		t.Errorf("%v", h)
	}
}

// Two forges on one directory, as in two processes, lose no change.
func TestTwoProcesses(t *testing.T) {
	a, dir, _ := serve(t)
	b, err := forge.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for i := range 40 {
		f := []*forge.Forge{a, b}[i%2]
		wg.Go(func() { errs <- f.Change(func(s *forge.State) { s.Last++ }) })
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	s, rerr := forge.Read(dir)
	if err != nil || rerr != nil || s.Last != 1040 {
		t.Errorf("%v %v, %d changes of 40", err, rerr, s.Last-1000)
	}
}
