package estate

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/internal/alert"
)

// Alert is a channel: a way to tell people. Exactly one of Command and URL is set.
type Alert struct {
	Name     string   // unique in the file, made up when the file gives none
	Command  []string // a program that gets the message as JSON: an argument list; absolute when it has a slash
	URL      string   // "env:NAME", "file:" and an absolute path, or an address that holds no secret
	Template alert.Template
	On       []string // of [alert.Events]; empty: all of them
}

// FromFile tells whether an address stands in a file, as "file:PATH", and in which.
func FromFile(value string) (path string, ok bool) {
	path, ok = strings.CutPrefix(value, "file:")
	return path, ok && !strings.HasPrefix(path, "//")
}

var channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`)

func (l *loader) alerts(n ast.Node) {
	for _, body := range l.maps(n, "alerts") {
		var a Alert
		seen := l.fields(body, "an alert", []field{
			l.line("name", func(n ast.Node, t string) {
				switch {
				case !channelName.MatchString(t):
					l.add(l.pos(n), "value", `use lower-case letters, digits, ".", "_" and "-", at most 40`, "%q is no name for an alert", t)
				case slices.ContainsFunc(l.estate.Alerts, func(o Alert) bool { return o.Name == t }):
					l.add(l.pos(n), "duplicate", "give each a name of its own", "two alerts are called %q", t)
				}
				a.Name = t
			}),
			l.line("url", func(n ast.Node, t string) { a.URL = l.address(n, t) }),
			{"command", func(n ast.Node) { a.Command = l.argv(n, "command") }},
			{"template", func(n ast.Node) { a.Template = l.templates(n) }},
			{"on", func(n ast.Node) {
				texts, nodes := l.list(n, "on")
				for i, t := range texts {
					if !slices.Contains(alert.Events(), t) {
						l.add(l.pos(nodes[i]), "value", choice(t, alert.Events()), "there is no event %q", t)
					}
				}
				a.On = texts
			}},
		})
		switch {
		case seen["command"] == nil && seen["url"] == nil:
			l.add(l.pos(body), "missing-key", `add "url: env:NAME", or "command: [PROGRAM, ARGUMENT]"`, "an alert has neither url nor command")
		case seen["command"] != nil && seen["url"] != nil:
			l.add(l.pos(seen["command"]), "value", "make two alerts of it", "an alert has both url and command")
		}
		if a.Name == "" {
			a.Name = l.called(a)
		}
		l.estate.Alerts = append(l.estate.Alerts, a)
	}
}

// called makes up a name for a channel that was given none.
func (l *loader) called(a Alert) string {
	name := "alert"
	switch {
	case len(a.Command) > 0:
		name = filepath.Base(a.Command[0])
	case a.URL != "":
		if at, ok := FromEnv(a.URL); ok {
			name = "$" + at
		} else if at, ok := FromFile(a.URL); ok {
			name = filepath.Base(at)
		} else if u, err := url.Parse(a.URL); err == nil && u.Host != "" {
			name = u.Hostname()
		}
	}
	free := name
	for i := 2; slices.ContainsFunc(l.estate.Alerts, func(o Alert) bool { return o.Name == free }); i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

// address reads where a channel is. Its text is never repeated: it may be all that keeps
// strangers from writing into the channel.
func (l *loader) address(n ast.Node, t string) string {
	if name, ok := FromEnv(t); ok {
		return l.variable(n, name)
	}
	if path, ok := FromFile(t); ok {
		if path = l.path(n, path); path == "" {
			return ""
		}
		return "file:" + path
	}
	switch {
	case !strings.Contains(t, "://"):
		l.add(l.pos(n), "value", `write "env:NAME" for a variable, "file:./NAME" for a file, or an address such as https://alerts.example.com/team`, "url is no address")
	case alert.Service(t) == "":
		scheme, _, _ := strings.Cut(t, "://")
		scheme, _, _ = strings.Cut(scheme, "+")
		l.add(l.pos(n), "value", choice(scheme, append(alert.Services(), "http", "https")), "url: %q is no kind of service", scheme)
	case alert.HoldsSecret(t):
		l.add(l.pos(n), "secret", `put it into a variable or a file, and write "url: env:NAME" or "url: file:./NAME"; if it was committed, make a new one`,
			"url: this address may let anybody write into the channel, and lifeboat.yaml is shared and kept in history")
	default:
		u, err := url.Parse(t)
		if err != nil || u.Host == "" {
			l.add(l.pos(n), "value", "", "url names no host")
			return ""
		}
		return t
	}
	return ""
}

// allEvents is the key of the template for the events that have none of their own.
const allEvents = "default"

// templates reads a template for all messages of a channel, or one for each event.
func (l *loader) templates(n ast.Node) alert.Template {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		return l.template(n)
	}
	var all alert.Template
	per := map[string]alert.Template{}
	l.entries(n, "template", func(name string, key, value ast.Node) {
		switch {
		case name == allEvents:
			all = l.template(value)
		case !slices.Contains(alert.Events(), name):
			l.add(l.pos(key), "value", choice(name, append(alert.Events(), allEvents)), "template: there is no event %q", name)
		default:
			per[name] = l.template(value)
		}
	})
	for event, t := range per {
		all = all.For(event, t)
	}
	return all
}

// template reads the text of a channel's messages, and points into it where it is wrong.
func (l *loader) template(n ast.Node) alert.Template {
	var text string
	at := l.pos(n) // where the text begins
	switch n := n.(type) {
	case *ast.LiteralNode:
		text = n.Value.Value
		at.Line, at.Col = at.Line+1, 1
		if t := n.Value.GetToken(); t != nil {
			at.Col += len(t.Origin) - len(strings.TrimLeft(t.Origin, " "))
		}
	default:
		t, ok := l.text(n, "template")
		if !ok {
			return alert.Template{}
		}
		text = t
		if origin := n.GetToken().Origin; strings.ContainsAny(strings.TrimSpace(origin)[:1], `"'`) {
			at.Col++
		}
	}
	if l.holdsSecret(n, text, "template") {
		return alert.Template{}
	}
	t, err := alert.ParseTemplate(text)
	if bad, ok := errors.AsType[*alert.TemplateError](err); ok {
		at.Line += bad.Line - 1
		at.Col += max(0, bad.Col-1)
		l.add(at, "template", bad.Fix, "template: %s", bad.Msg)
	}
	return t
}
