package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/asset/stream"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

func TestPresets(t *testing.T) {
	for name, tt := range map[string]struct {
		preset  string
		options map[string]string
		dump    string
		load    string
		framed  bool
		target  string
	}{
		"mongodump": {"mongodump", map[string]string{"workload": "deployment/booking-app", "namespace": "prod", "container": "db", "database": "auth_db"},
			"kubectl --namespace=prod exec --container=db deployment/booking-app -- mongodump --archive --gzip --db=auth_db",
			"kubectl --namespace=prod exec --stdin --container=db deployment/booking-app -- mongorestore --archive --gzip --drop '--nsInclude=auth_db.*'", true,
			"auth_db@prod/deployment/booking-app"},
		"oplog": {"mongodump", map[string]string{"oplog": "true"}, "mongodump --archive --gzip --oplog", "mongorestore --archive --gzip --drop --oplogReplay", false, "all"},
		"d1": {"d1", map[string]string{"database": "booking"}, "npx wrangler d1 export booking --remote --output=dump",
			"npx wrangler d1 execute booking --remote --yes --file=dump", false, "booking@d1"},
		"config": {"d1", map[string]string{"database": "b", "config": "/srv/my app/wrangler.toml", "call": "wrangler"},
			"wrangler --config=/srv/my app/wrangler.toml d1 export b --remote --output=dump", "wrangler --config=/srv/my app/wrangler.toml d1 execute b --remote --yes --file=dump", false, "b@d1"},
		"wrangler": {"d1", map[string]string{"database": "b", "call": "wrangler"}, "wrangler d1 export b --remote --output=dump", "wrangler d1 execute b --remote --yes --file=dump", false, "b@d1"},
		"postgres": {"postgres", map[string]string{"database": "shop", "host": "db1", "user": "backup"},
			"pg_dump --format=custom --no-password --host=db1 --username=backup --dbname=shop",
			"pg_restore --clean --if-exists --exit-on-error --single-transaction --no-password --host=db1 --username=backup --dbname=shop", false, "shop@db1"},
		"plain": {"postgres", map[string]string{"database": "shop", "format": "plain"}, "pg_dump --format=plain --clean --if-exists --no-password --dbname=shop",
			"psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction --no-password --dbname=shop", false, "shop"},
		"mysql": {"mysql", map[string]string{"database": "shop", "port": "3307"},
			"mysqldump --port=3307 --single-transaction --quick --routines --triggers --events --hex-blob shop", "mysql --port=3307 shop", false, "shop"},
	} {
		k, err := stream.Preset(tt.preset, tt.options)
		if err != nil || k.Validate() != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// {file} is shown as the file that the person has.
		if got := stream.CommandLine(k.Dump); strings.ReplaceAll(got, "'", "") != tt.dump {
			t.Errorf("%s dumps with\n%s", name, got)
		}
		if got := stream.CommandLine(k.Load); strings.ReplaceAll(got, "'", "") != strings.ReplaceAll(tt.load, "'", "") {
			t.Errorf("%s loads with\n%s", name, got)
		}
		if k.Framed != tt.framed || k.Target != tt.target {
			t.Errorf("%s: framed %v, %q", name, k.Framed, k.Target)
		}
	}
	for _, tt := range []struct {
		preset string
		give   map[string]string
		want   string
		advice string
	}{
		{"mongo", nil, "no preset", `"mongodump"`},
		{"postgresql", nil, "no preset", `"postgres"`},
		{"mysql", nil, "database is missing", "add database"},
		{"mysql", map[string]string{"databse": "x"}, `no option "databse"`, `"database"`},
		{"postgres", map[string]string{"database": "x", "password": "hush"}, `takes no "password"`, "~/.pgpass"},
		{"postgres", map[string]string{"database": "-x"}, "begins with a dash", ""},
		{"postgres", map[string]string{"database": "x y"}, "blanks", ""},
		{"postgres", map[string]string{"database": "postgres://u:p@h/x"}, "it is an address", "host"},
		{"postgres", map[string]string{"database": "x", "format": "tar"}, `"tar"`, "custom or plain"},
		{"postgres", map[string]string{"database": "x", "namespace": "y"}, "namespace without workload", "workload"},
		{"d1", map[string]string{"database": "x", "call": "pnpm"}, `"pnpm"`, "npx or wrangler"},
		{"d1", map[string]string{"database": "{file}"}, "{file}", ""},
		{"mongodump", map[string]string{"database": "x", "oplog": "true"}, "whole instance", "remove database"},
		{"mongodump", map[string]string{"oplog": "maybe"}, `"maybe"`, "true or false"},
		{"mongodump", map[string]string{"uri_env": "a;b"}, "no name of a variable", "not the address"},
	} {
		_, err := stream.Preset(tt.preset, tt.give)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.All(err), " "), tt.advice) {
			t.Errorf("%s %v: %v %q", tt.preset, tt.give, err, hint.All(err))
		}
		if err != nil && strings.Contains(err.Error()+strings.Join(hint.All(err), ""), "hush") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// A load begins when all of the dump has arrived on the far side, or not at all. Where
// there is no room for it there, it is loaded while it arrives.
func TestFeedWhole(t *testing.T) {
	b := newBench(t)
	b.program("load", `cat >"$LOGS/loaded"; ls "$TMPDIR" >"$LOGS/beside" 2>/dev/null || true`)
	b.program("lossy", `while [ "$1" != -- ]; do shift; done; shift
head -c 1000 | "$@"; exit 0`)
	b.program("whole", `while [ "$1" != -- ]; do shift; done; shift
"$@"`)
	dump := filepath.Join(b.dir, "dump")
	text := strings.Repeat("0123456789abcdef", 20_000)
	must(t, os.WriteFile(dump, []byte(text), 0o600))
	_, f, _, err := b.capture(stream.Kind{Dump: []string{"cat", dump}}, nil)
	must(t, err)
	temp := t.TempDir()
	feed := func(program, room string) (string, error) {
		os.Remove(filepath.Join(b.logs(), "loaded"))
		var log bytes.Buffer
		k := stream.Kind{Dump: []string{"x"}, Load: []string{program, "exec", "--", "load"}, Framed: true, Env: b.env("TMPDIR=" + room)}
		_, err := k.Feed(t.Context(), dump, f, &log)
		return log.String(), err
	}
	there := func() bool { _, err := os.Stat(filepath.Join(b.logs(), "loaded")); return err == nil }
	if log, err := feed("whole", temp); err != nil || b.read("loaded") != text || strings.Contains(log, "no room") {
		t.Errorf("%v %s", err, log)
	}
	if b.read("beside") == "" {
		t.Error("it was not collected first")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if _, err := feed("lossy", temp); !errors.Is(err, stream.ErrCut) || errors.Is(err, stream.ErrPartly) || there() || len(hint.All(err)) == 0 {
		t.Errorf("a dump that did not arrive whole: %v, begun: %v", err, there())
	}
	if log, err := feed("whole", filepath.Join(temp, "nowhere")); err != nil || b.read("loaded") != text || !strings.Contains(log, "no room") {
		t.Errorf("without room: %v %s", err, log)
	}
	if _, err := feed("lossy", filepath.Join(temp, "nowhere")); !errors.Is(err, stream.ErrPartly) || !there() {
		t.Errorf("without room a cut dump is loaded in part, and that is said: %v", err)
	}
}

// The presets with programs that behave like the real ones.
func TestPresetsRun(t *testing.T) {
	b := newBench(t)
	b.program("mongodump", `
for a; do case $a in --config=*) cat "${a#*=}" >"$LOGS/config" ;; esac; echo "$a" >>"$LOGS/mongodump"; done
printf '\155\342\231\201archive\377\377\377\377' | gzip -c`)
	b.program("mongorestore", `
for a; do case $a in --config=*) cat "${a#*=}" >"$LOGS/config" ;; esac; done
gzip -dc | cat >"$LOGS/restored"`)
	b.program("npx", `exec "$@"`)
	b.program("wrangler", `
umask 022
for a; do case $a in --output=*) f=${a#*=}; echo 'PRAGMA defer_foreign_keys=TRUE;' >"$f"; ls -ld "$(dirname "$f")" >"$LOGS/rights"; echo "$f" >"$LOGS/path" ;; esac; done
echo 'noise of wrangler on standard output'`)
	b.program("pg_dump", `printf 'PGDMP\001%s' "$PGPASSWORD"`)
	b.program("mysqldump", `echo '-- MySQL dump 10.13'; printf '%s\n' "$MYSQL_PWD" '-- Dump completed on today'`)
	t.Setenv("PGPASSWORD", "from the environment")
	t.Setenv("MYSQL_PWD", "also")
	t.Setenv("MONGO_URI", "mongodb://u:it's@h/?a=b")
	for _, where := range []map[string]string{{"uri_env": "MONGO_URI"}, {"uri_env": "MONGO_URI", "workload": "deployment/x"}} {
		k, err := stream.Preset("mongodump", where)
		must(t, err)
		if k.Env = b.env(); k.Framed {
			k.Inherit = []string{"MONGO_URI"} // as the pod has it
		}
		_, f, _, err := b.capture(k, nil)
		if err != nil || f.Format != "gzip of mongodump archive" || f.Framed != k.Framed {
			t.Fatalf("%+v %v\n%s", f, err, b.log.String())
		}
		if got := b.read("config"); got != "uri: 'mongodb://u:it''s@h/?a=b'\n" {
			t.Errorf("configuration %q", got)
		}
		if strings.Contains(b.read("mongodump")+fmt.Sprint(f.Command), "it's") {
			t.Error("the arguments tell the address")
		}
		file := filepath.Join(b.dir, "archive")
		must(t, os.WriteFile(file, b.stored, 0o600))
		if _, err := k.Feed(t.Context(), file, f, &b.log); err != nil {
			t.Fatalf("%v\n%s", err, b.log.String())
		}
		if got := b.read("restored"); got != "\x6d\xe2\x99\x81archive\xff\xff\xff\xff" {
			t.Errorf("restored %q", got)
		}
	}
	for name, want := range map[string]string{"d1": "PRAGMA defer_foreign_keys=TRUE;\n", "postgres": "PGDMP\x01from the environment", "mysql": "-- MySQL dump 10.13\nalso\n-- Dump completed on today\n"} {
		k, err := stream.Preset(name, map[string]string{"database": "shop"})
		must(t, err)
		k.Env, k.Scratch = b.env(), b.dir
		if _, _, _, err := b.capture(k, nil); err != nil || string(b.stored) != want {
			t.Errorf("%s: %q %v\n%s", name, b.stored, err, b.log.String())
		}
	}
	if rights := b.read("rights"); !strings.HasPrefix(rights, "drwx------") {
		t.Errorf("others may enter the directory of the export: %s", rights)
	}
	if _, err := os.Stat(strings.TrimSpace(b.read("path"))); err == nil {
		t.Error("the export was left on the disk")
	}
}

func TestRedact(t *testing.T) {
	for _, tt := range [][2]string{
		{"pg_dump --password=hush", "pg_dump --password=***"},
		{"x --api-key hush --other y", "x --api-key *** --other y"},
		{"mysqldump -phush db", "mysqldump -p*** db"},
		{"kubectl -phush", "kubectl -phush"},
		{"mongodump --uri=mongodb://u:hush@h/db", "mongodump --uri=mongodb://***@h/db"},
		{"env PGPASSWORD=hush pg_dump", "env PGPASSWORD=*** pg_dump"},
		{"sh -c MYSQL_PWD='hush'|mysqldump", "sh -c MYSQL_PWD=***|mysqldump"},
		{"curl X-Auth-Token:hush", "curl X-Auth-Token:***"},
		{"pg_dump --no-password --dbname=x", "pg_dump --no-password --dbname=x"},
	} {
		if got := strings.Join(stream.Redact(strings.Split(tt[0], " ")), " "); got != tt[1] {
			t.Errorf("%s\n got %s\nwant %s", tt[0], got, tt[1])
		}
	}
	b := newBench(t)
	_, f, _, err := b.capture(stream.Kind{Dump: []string{"printf", "x", "--token=hush"}}, nil)
	if err != nil || !slices.Contains(f.Command, "--token=***") {
		t.Errorf("%v %q", err, f.Command)
	}
}

func TestFeed(t *testing.T) {
	b := newBench(t)
	b.program("load", `cat >"$LOGS/loaded"; echo loaded`)
	b.program("some", `head -c 4 >"$LOGS/loaded"`)
	b.program("fails", `head -c 4 >"$LOGS/loaded"; echo 'table exists' >&2; exit 2`)
	b.program("fromfile", `cp "$1" "$LOGS/loaded"`)
	dump := filepath.Join(b.dir, "the dump")
	text := strings.Repeat("0123456789abcdef", 20_000)
	must(t, os.WriteFile(dump, []byte(text), 0o600))
	_, f, _, err := b.capture(stream.Kind{Dump: []string{"cat", dump}}, nil)
	must(t, err)
	for name, tt := range map[string]struct {
		load   []string
		framed bool
		env    string
		is     error // nil: it loads
		want   string
	}{
		"plain":              {[]string{"load"}, false, "", nil, text},
		"framed":             {[]string{"kubectl", "exec", "-i", "x", "--", "load"}, true, "", nil, text},
		"framed, reads some": {[]string{"kubectl", "--", "some"}, true, "", nil, text[:4]},
		"file":               {[]string{"fromfile", "{file}"}, false, "", nil, text},
		"fails":              {[]string{"fails"}, false, "", stream.ErrPartly, ""},
		"fails far away":     {[]string{"kubectl", "--", "fails"}, true, "SWALLOW=1", stream.ErrPartly, ""},
		"answer is cut":      {[]string{"kubectl", "--", "load"}, true, "CUT=30", stream.ErrPartly, ""},
		"missing":            {[]string{"no-such-program"}, false, "", command.ErrNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(filepath.Join(b.logs(), "loaded"))
			var log bytes.Buffer
			k := stream.Kind{Dump: []string{"x"}, Load: tt.load, Framed: tt.framed, Env: b.env(tt.env)}
			l, err := k.Feed(t.Context(), dump, f, &log)
			if tt.is != nil {
				if !errors.Is(err, tt.is) || tt.is == command.ErrNotFound && errors.Is(err, stream.ErrPartly) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || l.Bytes != f.Bytes || strings.Contains(log.String(), "LBEND1") {
				t.Fatalf("%+v %v\n%s", l, err, log.String())
			}
			if got := b.read("loaded"); got != tt.want {
				t.Errorf("%d bytes were loaded", len(got))
			}
		})
	}
	must(t, os.WriteFile(dump, []byte("another"), 0o600))
	os.Remove(filepath.Join(b.logs(), "loaded"))
	_, err = stream.Kind{Dump: []string{"x"}, Load: []string{"load"}, Env: b.env()}.Feed(t.Context(), dump, f, nil)
	if _, serr := os.Stat(filepath.Join(b.logs(), "loaded")); !errors.Is(err, stream.ErrUnequal) || serr == nil {
		t.Errorf("another dump was loaded: %v", err)
	}
	if _, err := (stream.Kind{Dump: []string{"x"}}).Feed(t.Context(), dump, f, nil); err == nil || len(hint.All(err)) == 0 {
		t.Errorf("nothing to load with: %v", err)
	}
}
