package estate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Preset is a ready-made pair of programs that dump and load.
type Preset struct {
	Name     string
	Required []string // keys of the asset that it cannot do without
	Optional []string
}

// inCluster are the keys of presets whose program may run in a workload of a cluster; it
// runs here without them.
var inCluster = []string{"workload", "namespace", "container", "context"}

// Presets lists them.
func Presets() []Preset {
	return []Preset{
		{"mongodump", nil, append([]string{"database", "oplog", "uri_env"}, inCluster...)},
		{"d1", []string{"database"}, []string{"config", "call"}},
		{"postgres", []string{"database"}, append([]string{"host", "user", "port", "format"}, inCluster...)},
		{"mysql", []string{"database"}, append([]string{"host", "user", "port"}, inCluster...)},
	}
}

// option is what may stand in one key of a preset. The values become arguments of
// programs: none may look like an option.
type option struct {
	ok  *regexp.Regexp
	say string
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.$@:-]{0,252}$`)
	options   = map[string]option{
		"context":   {regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:/-]{0,252}$`), "name a context of kubectl"},
		"namespace": {regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`), "name a namespace of the cluster"},
		"workload":  {regexp.MustCompile(`^([a-z]+/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`), `write it as kubectl does, "deployment/booking-app"`},
		"container": {regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`), "name a container of the workload"},
		"database":  {plainName, "name the database alone, without host and password"},
		"oplog":     {regexp.MustCompile(`^(true|false)$`), "write true or false"},
		"host":      {regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.:-]{0,252}|/[A-Za-z0-9_./-]{1,252})$`), "write a host, or the directory of its socket"},
		"user":      {plainName, "write the user alone; the password stands in the environment or in a file of the program"},
		"port":      {regexp.MustCompile(`^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`), "write a number from 1 to 65535"},
		"format":    {regexp.MustCompile(`^(plain|custom)$`), "write plain or custom"},
		"call":      {regexp.MustCompile(`^(npx|wrangler)$`), "write npx or wrangler"},
		"uri_env":   {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`), "write the name of the variable that holds the address, not the address: MONGODB_URI"},
	}
)

// streamFields are the keys of a stream, beside preset.
func (l *loader) streamFields(a *Asset) []field {
	fields := []field{
		l.line("preset", func(n ast.Node, t string) {
			var names []string
			for _, p := range Presets() {
				names = append(names, p.Name)
			}
			if !slices.Contains(names, t) {
				l.add(l.pos(n), "value", choice(t, names), "there is no preset %q", t)
				return
			}
			a.Preset = t
		}),
		{"dump", func(n ast.Node) { a.Dump = l.argv(n, "dump") }},
		{"load", func(n ast.Node) { a.Load = l.argv(n, "load") }},
		l.line("config", func(n ast.Node, t string) { l.option(a, "config", l.path(n, t)) }),
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		fields = append(fields, l.line(key, func(n ast.Node, t string) {
			if !options[key].ok.MatchString(t) {
				l.add(l.pos(n), "value", options[key].say, "%s: %q cannot be used", key, show(t))
				return
			}
			l.option(a, key, t)
		}))
	}
	return fields
}

func (l *loader) option(a *Asset, key, t string) {
	if a.Options == nil {
		a.Options = map[string]string{}
	}
	a.Options[key] = t
}

// stream checks how the keys of a stream belong together.
func (l *loader) stream(a *Asset, here ast.Node, seen map[string]ast.Node) {
	in := fmt.Sprintf("asset %q", a.Name)
	var given []string
	for key := range seen {
		if _, ok := options[key]; ok || key == "config" {
			given = append(given, key)
		}
	}
	slices.Sort(given)
	if seen["preset"] == nil {
		for _, key := range given {
			l.add(l.pos(seen[key]), "unknown-key", `add "preset:"`, "%s: %q belongs to a preset, and there is none", in, key)
		}
		if seen["dump"] == nil {
			l.add(l.pos(here), "missing-key", `add "preset:" (mongodump, d1, postgres or mysql), or "dump: [PROGRAM, ARGUMENT]" that writes to standard output`,
				"%s has neither preset nor dump", in)
		} else if seen["load"] == nil {
			l.add(l.pos(here), "missing-key", `add "load: [PROGRAM, ARGUMENT]" that reads from standard input`,
				"%s can be dumped and not be loaded again", in)
		}
		return
	}
	for _, key := range []string{"dump", "load"} {
		if n := seen[key]; n != nil {
			l.add(l.pos(n), "unknown-key", "remove it, or the preset", "%s: the preset brings its own %q", in, key)
		}
	}
	i := slices.IndexFunc(Presets(), func(p Preset) bool { return p.Name == a.Preset })
	if i < 0 {
		return // reported
	}
	p := Presets()[i]
	for _, key := range given {
		if !slices.Contains(p.Required, key) && !slices.Contains(p.Optional, key) {
			l.add(l.pos(seen[key]), "unknown-key", "the keys of this preset are "+strings.Join(slices.Concat(p.Required, p.Optional), ", "),
				"%s: the preset %q has no key %q", in, p.Name, key)
		}
	}
	for _, key := range p.Required {
		if seen[key] == nil {
			l.add(l.pos(here), "missing-key", fmt.Sprintf("add %q", key+":"), "%s: the preset %q needs %q", in, p.Name, key)
		}
	}
	for _, key := range inCluster[1:] {
		if seen[key] != nil && seen["workload"] == nil && slices.Contains(p.Optional, key) {
			l.add(l.pos(seen[key]), "missing-key", `add "workload:", such as deployment/booking-app, or remove it`, "%s: %q without workload", in, key)
		}
	}
	if p.Name == "mongodump" && a.Options["oplog"] == "true" && seen["database"] != nil {
		l.add(l.pos(seen["oplog"]), "value", `remove "database:" to dump the whole instance, or "oplog:"`,
			"%s: mongodump takes the oplog only of a whole instance", in)
	}
}
