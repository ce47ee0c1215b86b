package stream

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/hint"
)

// preset knows one program.
type preset struct {
	options []string
	needs   []string
	build   func(o options) (Kind, error)
}

type options map[string]string

// cluster are the options of presets whose command may run in a pod.
var cluster = []string{"workload", "namespace", "container", "context"}

func presets() map[string]preset {
	return map[string]preset{
		"mongodump": {append([]string{"database", "oplog", "uri_env"}, cluster...), nil, mongodump},
		"d1":        {[]string{"database", "config", "call"}, []string{"database"}, d1},
		"postgres":  {append([]string{"database", "format", "host", "port", "user"}, cluster...), []string{"database"}, postgres},
		"mysql":     {append([]string{"database", "host", "port", "user"}, cluster...), []string{"database"}, mysql},
	}
}

// Presets lists the names that [Preset] knows.
func Presets() []string { return slices.Sorted(maps.Keys(presets())) }

// PresetOptions lists the options that a preset takes, nil for an unknown one.
func PresetOptions(name string) []string { return presets()[name].options }

// Preset gives the commands for a well-known program:
//
//	mongodump  [workload, namespace, container, context], [database], [oplog: true], [uri_env]
//	postgres   database, [format: custom|plain], [host, port, user], [workload, …]
//	mysql      database, [host, port, user], [workload, …]
//	d1         database, [config: path of its wrangler.toml], [call: wrangler|npx]
//
// With workload ("deployment/booking-app") the program runs there through kubectl exec,
// framed; without it, here. Passwords are no options: here pg_dump reads ~/.pgpass or
// PGPASSFILE, mysqldump ~/.my.cnf or MYSQL_PWD, wrangler CLOUDFLARE_API_TOKEN; in a pod
// they use what the pod has. uri_env names the variable that holds the address of MongoDB
// with its password, here or in the pod; it reaches the program as a file.
func Preset(name string, given map[string]string) (Kind, error) {
	p, ok := presets()[name]
	if !ok {
		return Kind{}, hint.Wrap(fmt.Errorf("there is no preset %q", name), hint.Suggest(name, Presets())+"; or give dump: and load:")
	}
	o := options{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		v := given[key]
		switch {
		case strings.Contains(key, "pass") || strings.Contains(key, "secret") || strings.Contains(key, "token"):
			return Kind{}, hint.Wrap(fmt.Errorf("preset %q: it takes no %q", name, key),
				"a password in a command can be read by all users of the machine: use ~/.pgpass, ~/.my.cnf, CLOUDFLARE_API_TOKEN or uri_env")
		case !slices.Contains(p.options, key):
			return Kind{}, hint.Wrap(fmt.Errorf("preset %q: there is no option %q", name, key), hint.Suggest(key, p.options)+"; it takes "+strings.Join(p.options, ", "))
		case v == "":
			continue
		case strings.HasPrefix(v, "-") || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == ' ' && key != "config" || r == 0x7f }):
			return Kind{}, hint.Wrap(fmt.Errorf("preset %q: %s: %q begins with a dash or holds blanks, which no such name does", name, key, v),
				"write only the name; for other commands give dump: and load:")
		case strings.Contains(v, "://"):
			return Kind{}, hint.Wrap(fmt.Errorf("preset %q: %s: it is an address, not a name", name, key),
				"a password in it could be read by all users of the machine: give host:, port: and user:, or uri_env: for MongoDB")
		case strings.Contains(v, FileMark):
			return Kind{}, fmt.Errorf("preset %q: %s: it holds %q", name, key, FileMark)
		}
		o[key] = v
	}
	for _, key := range p.needs {
		if o[key] == "" {
			return Kind{}, hint.Wrapf(fmt.Errorf("preset %q: %s is missing", name, key), "add %s: …", key)
		}
	}
	for _, key := range []string{"namespace", "container", "context"} {
		if o[key] != "" && o["workload"] == "" {
			return Kind{}, hint.Wrapf(fmt.Errorf("preset %q: %s without workload", name, key), "add workload: deployment/NAME, or remove %s", key)
		}
	}
	k, err := p.build(o)
	if err != nil {
		return Kind{}, fmt.Errorf("preset %q: %w", name, err)
	}
	k.Target = o.target(name)
	return k, nil
}

// target says what a load overwrites, without blanks: people type it.
func (o options) target(name string) string {
	what := o["database"]
	if what == "" {
		what = "all"
	}
	switch {
	case o["workload"] != "" && o["namespace"] != "":
		what += "@" + o["namespace"] + "/" + o["workload"]
	case o["workload"] != "":
		what += "@" + o["workload"]
	case o["host"] != "":
		what += "@" + o["host"]
	case name == "d1":
		what += "@d1"
	}
	return what
}

// run gives the commands as they run, here or in a pod.
func (o options) run(dump, load []string) Kind {
	if o["workload"] == "" {
		return Kind{Dump: dump, Load: load}
	}
	// No --tty: a terminal changes line ends, which breaks binary data.
	kubectl := func(extra []string, argv []string) []string {
		out := []string{"kubectl"}
		for _, key := range []string{"context", "namespace"} {
			if o[key] != "" {
				out = append(out, "--"+key+"="+o[key])
			}
		}
		out = append(append(out, "exec"), extra...)
		if o["container"] != "" {
			out = append(out, "--container="+o["container"])
		}
		return slices.Concat(out, []string{o["workload"], "--"}, argv)
	}
	return Kind{Dump: kubectl(nil, dump), Load: kubectl([]string{"--stdin"}, load), Framed: true}
}

// uriWrapper runs a program of MongoDB with the address in a variable of that place. The
// program reads it as a configuration file from a pipe: neither the arguments nor a disk
// show it. Standard input stays that of the program.
const uriWrapper = `u=$(printenv "$1") || { echo "the variable $1 is not set here" >&2; exit 64; }
shift
exec 8<&0
printf "uri: '%s'\n" "$(printf %s "$u" | sed "s/'/''/g")" | { exec 7<&0 0<&8 8<&-; exec "$@" --config=/dev/fd/7; }`

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func mongodump(o options) (Kind, error) {
	dump := []string{"mongodump", "--archive", "--gzip"}
	load := []string{"mongorestore", "--archive", "--gzip", "--drop"}
	switch o["oplog"] {
	case "", "false":
	case "true":
		if o["database"] != "" {
			return Kind{}, hint.New("oplog works on a whole instance, not on one database", "remove database: or oplog:")
		}
		dump, load = append(dump, "--oplog"), append(load, "--oplogReplay")
	default:
		return Kind{}, hint.Wrap(fmt.Errorf("oplog: %q", o["oplog"]), "true or false")
	}
	if db := o["database"]; db != "" {
		dump, load = append(dump, "--db="+db), append(load, "--nsInclude="+db+".*")
	}
	env := o["uri_env"]
	if env == "" {
		return o.run(dump, load), nil
	}
	if !variableForm.MatchString(env) {
		return Kind{}, hint.Wrap(fmt.Errorf("uri_env: %q is no name of a variable", env), "write the name, not the address: MONGODB_URI")
	}
	with := []string{"sh", "-c", uriWrapper, "sh", env}
	k := o.run(slices.Concat(with, dump), slices.Concat(with, load))
	if !k.Framed {
		k.Inherit = []string{env}
	}
	return k, nil
}

func d1(o options) (Kind, error) {
	var wrangler []string
	switch o["call"] {
	case "", "npx":
		wrangler = []string{"npx", "wrangler"}
	case "wrangler":
		wrangler = []string{"wrangler"}
	default:
		return Kind{}, hint.Wrap(fmt.Errorf("call: %q", o["call"]), "npx or wrangler")
	}
	if path := o["config"]; path != "" {
		wrangler = append(wrangler, "--config="+path)
	}
	return Kind{
		Dump: append(slices.Clone(wrangler), "d1", "export", o["database"], "--remote", "--output="+FileMark),
		Load: append(slices.Clone(wrangler), "d1", "execute", o["database"], "--remote", "--yes", "--file="+FileMark),
	}, nil
}

func (o options) server() (argv []string) {
	for _, key := range []string{"host", "port", "user"} {
		if o[key] != "" {
			argv = append(argv, "--"+key+"="+o[key])
		}
	}
	return argv
}

func postgres(o options) (Kind, error) {
	db := o["database"]
	server := append([]string{"--no-password"}, o.server()...)
	for i, a := range server { // pg_dump calls it --username
		server[i] = strings.Replace(a, "--user=", "--username=", 1)
	}
	server = append(server, "--dbname="+db)
	switch o["format"] {
	case "", "custom":
		return o.run(append([]string{"pg_dump", "--format=custom"}, server...),
			append([]string{"pg_restore", "--clean", "--if-exists", "--exit-on-error", "--single-transaction"}, server...)), nil
	case "plain":
		return o.run(append([]string{"pg_dump", "--format=plain", "--clean", "--if-exists"}, server...),
			append([]string{"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"}, server...)), nil
	}
	return Kind{}, hint.Wrap(fmt.Errorf("format: %q", o["format"]), "custom or plain")
}

func mysql(o options) (Kind, error) {
	server := o.server()
	dump := slices.Concat([]string{"mysqldump"}, server, []string{"--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", o["database"]})
	return o.run(dump, slices.Concat([]string{"mysql"}, server, []string{o["database"]})), nil
}
