package estate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
)

const withDatabase = "assets:\n  db: {kind: sqlite, path: a.db}\n"

func TestApps(t *testing.T) {
	e, problems := estate.Load("/srv/app/lifeboat.yaml", []byte(withDatabase+`apps:
  booking-app:
    deployment: booking-app
    namespace: shop
    context: arn:aws:eks:eu-west-1:123456789012:cluster/prod
    health: https://booking.example.org/health?deep=1
  queue:
    stop: [systemctl, stop, queue]
    start: [./bin/queue, "", "--start all"]
    status: [systemctl, is-active, --quiet, queue]
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []estate.App{
		{Name: "booking-app", Deployment: "booking-app", Namespace: "shop", Context: "arn:aws:eks:eu-west-1:123456789012:cluster/prod",
			Health: "https://booking.example.org/health?deep=1"},
		{Name: "queue", Stop: []string{"systemctl", "stop", "queue"}, Start: []string{"/srv/app/bin/queue", "", "--start all"},
			Status: []string{"systemctl", "is-active", "--quiet", "queue"}},
	}
	if diff := cmp.Diff(want, e.Apps); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
	if a, err := e.App("queue"); err != nil || a.Name != "queue" {
		t.Errorf("App = %v, %v", a, err)
	}
	_, err := e.App("boking-app")
	if err == nil || !strings.Contains(strings.Join(hint.All(err), " "), `"booking-app"`) {
		t.Errorf("no advice in %v %q", err, hint.All(err))
	}
}

// TestAppProblems: every word of an application becomes an argument of a program, or an
// address that a person relies on.
func TestAppProblems(t *testing.T) {
	const all = "stop: [a], start: [a], status: [a]"
	for name, tt := range map[string]struct{ app, want, fix string }{
		"nothing":              {"{}", `application "a" has no stop, no start, no status`, "deployment"},
		"no start":             {"{stop: [a], status: [a]}", `has no start: it cannot`, ""},
		"both":                 {"{deployment: d, stop: [a]}", `"stop" means nothing beside "deployment"`, "remove"},
		"namespace alone":      {"{" + all + ", namespace: n}", `"namespace" means nothing without "deployment"`, ""},
		"option":               {"{deployment: --kubeconfig=x}", `deployment: "--kubeconfig=x" cannot be used`, "booking-app"},
		"kind and name":        {"{deployment: deployment/x}", `deployment: "deployment/x" cannot be used`, ""},
		"namespace option":     {"{deployment: d, namespace: -A}", `namespace: "-A" cannot be used`, ""},
		"context option":       {"{deployment: d, context: --as=admin}", `context: "--as=admin" cannot be used`, ""},
		"context of two words": {"{deployment: d, context: a b}", `context: "a b" cannot be used`, ""},
		"line break":           {`{deployment: "d\nx"}`, "line break", ""},
		"shell line":           {"{stop: a b, start: [a], status: [a]}", "stop must be a list", "no shell"},
		"empty list":           {"{stop: [], start: [a], status: [a]}", "stop names no program", ""},
		"unknown key":          {"{deployment: d, replica: 3}", `has no key "replica"`, ""},
		"health no address":    {"{deployment: d, health: booking.example.org}", "is no web address", "https://"},
		"health file":          {"{deployment: d, health: 'file:///etc/passwd'}", "is no web address", ""},
		"health password":      {"{deployment: d, health: 'https://a:b@h/x'}", "health: the address holds credentials", "secret"},
		"health fragment":      {"{deployment: d, health: 'https://h/x#y'}", "fragment", ""},
		"list":                 {"[deployment]", `application "a" must be a map`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, problems := estate.Load("/srv/app/lifeboat.yaml", []byte(withDatabase+"apps:\n  a: "+tt.app+"\n"))
			if e != nil || len(problems) != 1 {
				t.Fatalf("estate %v, problems %v", e, problems)
			}
			if p := problems[0]; !strings.Contains(p.Msg, tt.want) || !strings.Contains(p.Fix, tt.fix) || p.Pos.Line != 4 {
				t.Errorf("%v (%s), want %q (%q)", p, p.Fix, tt.want, tt.fix)
			}
		})
	}
	if _, problems := estate.Load("/srv/app/lifeboat.yaml", []byte(withDatabase+"apps: {A: {deployment: d}}\n")); len(problems) != 1 || !strings.Contains(problems[0].Msg, `"A" is no name`) {
		t.Errorf("problems %v", problems)
	}
}

// TestProposeApps finds Deployments where manifests lie, and takes no template for one.
func TestProposeApps(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"infrastructure/k8s/app.yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: front\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n" +
			"  labels:\n    app: x\n  name: booking-app\nspec:\n  template:\n    metadata:\n      name: inner\n",
		"deploy/one.yml":         "kind: Deployment\nmetadata: {namespace: shop, name: \"dashboard\"}\nspec: {replicas: 3}\n",
		"charts/templates/a.yml": "kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n",
		"k8s/bad.yaml":           "kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  # name: remark\n",
		"k8s/set.yaml":           "kind: StatefulSet\nmetadata:\n  name: database\n",
		"docs/example.yaml":      "kind: Deployment\nmetadata:\n  name: example\n",
	})
	o, err := estate.Observe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"booking-app", "dashboard"}, o.Deployments); diff != "" {
		t.Errorf("deployments (-want +got):\n%s", diff)
	}
	e, problems := estate.Load(dir+"/lifeboat.yaml", []byte(estate.Propose(o)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(e.Apps) != 2 || e.Apps[0].Deployment != "booking-app" || e.Apps[1].Deployment != "dashboard" {
		t.Errorf("apps %+v", e.Apps)
	}
}
