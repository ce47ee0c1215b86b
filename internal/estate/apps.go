package estate

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/hint"
)

// App is an application that a recovery stops before it touches what the application
// writes to, and starts again afterwards: a Deployment of a cluster, or whatever three
// programs stop, start and look at.
type App struct {
	Name string

	Deployment string // in a cluster; empty outside of one
	Namespace  string // empty: that of the context
	Context    string // of kubectl; empty: the current one

	Stop, Start []string // outside of a cluster: argument lists; a program with a slash in its name is absolute
	Status      []string // exits with 0 while the application runs, with 1 or 3 while it does not

	Health string // http or https URL that answers 200 when the application works; empty when there is none
}

// App gives the application of that name. The error advises with the names there are.
func (e *Estate) App(name string) (App, error) {
	var names []string
	for _, a := range e.Apps {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	err := fmt.Errorf("there is no application %q in %s", name, e.File)
	if len(names) == 0 {
		return App{}, hint.Wrap(err, "add it under \"apps:\", with its deployment, or with stop, start and status")
	}
	return App{}, hint.Wrap(err, choice(name, names))
}

// appWords are what may stand in keys of an application that become arguments of kubectl.
var appWords = map[string]option{
	"deployment": {deploymentName, "name the Deployment alone, as the cluster does: booking-app"},
	"namespace":  options["namespace"],
	"context":    options["context"],
}

var deploymentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// apps reads the applications. Their words become arguments of programs: none may look
// like an option.
func (l *loader) apps(n ast.Node) {
	l.entries(n, "apps", func(name string, key, value ast.Node) {
		if !assetName.MatchString(name) {
			l.add(l.pos(key), "value", `use lower-case letters, digits, ".", "_" and "-"`, "%q is no name for an application", name)
			return
		}
		if body := l.mapping(value, fmt.Sprintf("application %q", name)); body != nil {
			l.estate.Apps = append(l.estate.Apps, l.app(name, key, body))
		}
	})
}

func (l *loader) app(name string, key ast.Node, body *ast.MappingNode) App {
	a := App{Name: name}
	in := fmt.Sprintf("application %q", name)
	word := func(name string, into *string) field {
		return l.line(name, func(n ast.Node, t string) {
			if o := appWords[name]; !o.ok.MatchString(t) {
				l.add(l.pos(n), "value", o.say, "%s: %q cannot be used", name, show(t))
				return
			}
			*into = t
		})
	}
	seen := l.fields(body, in, []field{
		word("deployment", &a.Deployment), word("namespace", &a.Namespace), word("context", &a.Context),
		{"stop", func(n ast.Node) { a.Stop = l.argv(n, "stop") }},
		{"start", func(n ast.Node) { a.Start = l.argv(n, "start") }},
		{"status", func(n ast.Node) { a.Status = l.argv(n, "status") }},
		l.line("health", func(n ast.Node, t string) { a.Health = l.healthURL(n, t) }),
	})
	programs := []string{"stop", "start", "status"}
	if seen["deployment"] != nil {
		for _, k := range programs {
			if seen[k] != nil {
				l.add(l.pos(seen[k]), "unknown-key", "remove one of them", "%s: %q means nothing beside \"deployment\", which is stopped by scaling it to 0", in, k)
			}
		}
		return a
	}
	for _, k := range []string{"namespace", "context"} {
		if seen[k] != nil {
			l.add(l.pos(seen[k]), "unknown-key", "add \"deployment:\", or remove it", "%s: %q means nothing without \"deployment\"", in, k)
		}
	}
	if missing := slices.DeleteFunc(programs, func(k string) bool { return seen[k] != nil }); len(missing) > 0 {
		l.add(l.pos(key), "missing-key", `add "deployment: NAME" for a cluster; or stop, start and status, each a list [program, argument]`,
			"%s has no %s: it cannot be stopped and started", in, strings.Join(missing, ", no "))
	}
	return a
}

// healthURL reads the address that tells whether an application works.
func (l *loader) healthURL(n ast.Node, t string) string {
	u, err := url.Parse(t)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		l.add(l.pos(n), "value", `write an address such as "https://booking.example.org/health"`, "health: %q is no web address", show(t))
	case u.User != nil:
		l.add(l.pos(n), "secret", withoutSecrets, "health: the address holds credentials")
	case u.Fragment != "":
		l.add(l.pos(n), "value", `remove what follows "#"`, "health: %q has a fragment, which no server sees", show(t))
	default:
		return t
	}
	return ""
}
