package stream_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/asset/stream"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

var _ vault.Kind = stream.Kind{}

// bench has programs of its own on its PATH and keeps what a capture stores.
type bench struct {
	t       *testing.T
	dir     string
	stored  []byte // of the object that was closed; nil: none
	aborted bool
	log     bytes.Buffer
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir()}
	b.program("kubectl", `
while [ "$1" != -- ]; do printf '%s\n' "$1" >>"$LOGS/kubectl"; shift; done
shift
if [ -n "${CUT-}" ]; then "$@" | head -c "$CUT"; exit 0; fi
if [ -n "${SWALLOW-}" ]; then "$@"; exit 0; fi
exec "$@"`)
	return b
}

// program writes a shell script under a name.
func (b *bench) program(name, text string) {
	b.t.Helper()
	must(b.t, os.WriteFile(filepath.Join(b.dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700))
}

// env is the environment in which the programs of the bench are found.
func (b *bench) env(more ...string) map[string]string {
	env := map[string]string{"PATH": b.dir + ":" + os.Getenv("PATH"), "LOGS": b.logs()}
	for _, kv := range more {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	return env
}

// logs is where its programs write down what they saw.
func (b *bench) logs() string {
	dir := filepath.Join(b.dir, "logs")
	must(b.t, os.MkdirAll(dir, 0o700))
	return dir
}

type object struct {
	b   *bench
	buf bytes.Buffer
}

func (o *object) Write(p []byte) (int, error) { return o.buf.Write(p) }
func (o *object) Close() error                { o.b.stored = o.buf.Bytes(); return nil }
func (o *object) Abort() error                { o.b.aborted = true; return nil }

func (b *bench) capture(k stream.Kind, parent []byte) (string, stream.Facts, []byte, error) {
	b.t.Helper()
	b.stored, b.aborted = nil, false
	b.log.Reset()
	kind, raw, err := k.Capture(b.t.Context(), "a database", parent, nil,
		func(role, name string) (io.WriteCloser, error) {
			if role != "dump" || name != "dump" {
				b.t.Errorf("object %q of role %q", name, role)
			}
			return &object{b: b}, nil
		}, nil, &b.log)
	var f stream.Facts
	if err == nil {
		must(b.t, json.Unmarshal(raw, &f))
	} else if b.stored != nil {
		b.t.Errorf("stored in spite of %v", err)
	}
	return kind, f, raw, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.logs(), name))
	must(b.t, err)
	return string(data)
}

func TestLocal(t *testing.T) {
	b := newBench(t)
	for _, framed := range []bool{false, true} {
		k := stream.Kind{Dump: []string{"printf", "%s", "hello\x01\xff"}, Framed: framed}
		kind, f, raw, err := b.capture(k, nil)
		if err != nil || kind != "full" || string(b.stored) != "hello\x01\xff" || f.Bytes != 7 || f.Framed != framed || f.Exit != 0 {
			t.Fatalf("%s %+v %q %v", kind, f, b.stored, err)
		}
		if kind, _, _, err = b.capture(k, raw); err != nil || kind != "unchanged" || b.stored != nil || !b.aborted {
			t.Errorf("again: %s %v, stored %q", kind, err, b.stored)
		}
		k.Dump[2] = "other"
		if kind, _, _, err = b.capture(k, raw); err != nil || kind != "full" || string(b.stored) != "other" {
			t.Errorf("changed: %s %v %q", kind, err, b.stored)
		}
	}
}

// A kubectl that loses the end and exits with 0 is never a backup.
func TestCut(t *testing.T) {
	b := newBench(t)
	k := stream.Kind{Dump: []string{"kubectl", "exec", "deployment/x", "--", "printf", "a dump\nLBEND1 of text"}, Framed: true, Env: b.env()}
	_, f, _, err := b.capture(k, nil)
	must(t, err)
	total := int(f.Bytes) + len(fmt.Sprintf("\nLBEND1 %d %s 0 0123456789abcdef\n", f.Bytes, f.SHA256))
	for cut := 0; cut < total; cut += 3 { // TestUnframeDamage cuts at each byte
		k.Env = b.env(fmt.Sprintf("CUT=%d", cut))
		if kind, _, _, err := b.capture(k, nil); !errors.Is(err, stream.ErrCut) || len(hint.All(err)) == 0 {
			t.Fatalf("cut to %d of %d bytes: %s %v", cut, total, kind, err)
		}
	}
	k.Env = b.env(fmt.Sprintf("CUT=%d", total))
	if _, _, _, err := b.capture(k, nil); err != nil {
		t.Errorf("not cut at all: %v", err)
	}
	// A larger one, around the sizes of buffers.
	k.Dump = []string{"kubectl", "exec", "x", "--", "head", "-c", "200000", "/dev/zero"}
	for _, cut := range []int{1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 199999, 200000, 200001, 200050, 200098} {
		k.Env = b.env(fmt.Sprintf("CUT=%d", cut))
		if kind, _, _, err := b.capture(k, nil); !errors.Is(err, stream.ErrCut) {
			t.Errorf("cut to %d: %s %v", cut, kind, err)
		}
	}
}

func TestFailures(t *testing.T) {
	b := newBench(t)
	b.program("half", `echo half; echo 'cannot read table 2' >&2; exit 3`)
	b.program("silent", `exit 0`)
	b.program("killed", `echo half; kill -9 $$`)
	b.program("daemon", `echo all; sleep 600 & exit 0`)
	b.program("piped", `printf -- '-- MySQL dump 10.13\nCREATE'; exit 0`)
	for name, tt := range map[string]struct {
		k    stream.Kind
		is   error
		want string
	}{
		"exit code":                  {stream.Kind{Dump: []string{"half"}}, stream.ErrFailed, "cannot read table 2"},
		"exit code, framed":          {stream.Kind{Dump: []string{"half"}, Framed: true}, stream.ErrFailed, "far side with exit code 3"},
		"swallowed by kubectl":       {stream.Kind{Dump: []string{"kubectl", "exec", "x", "--", "half"}, Framed: true, Env: b.env("SWALLOW=1")}, stream.ErrFailed, "exit code 3"},
		"killed":                     {stream.Kind{Dump: []string{"killed"}}, stream.ErrFailed, "SIGKILL"},
		"killed, framed":             {stream.Kind{Dump: []string{"killed"}, Framed: true}, stream.ErrFailed, "exit code 137"},
		"nothing":                    {stream.Kind{Dump: []string{"silent"}}, stream.ErrNothing, "wrote nothing"},
		"nothing, framed":            {stream.Kind{Dump: []string{"silent"}, Framed: true}, stream.ErrNothing, "wrote nothing"},
		"missing":                    {stream.Kind{Dump: []string{"no-such-program"}}, command.ErrNotFound, "no-such-program"},
		"missing on the far side":    {stream.Kind{Dump: []string{"kubectl", "--", "no-such-program"}, Framed: true}, stream.ErrFailed, "127"},
		"not whole by its own marks": {stream.Kind{Dump: []string{"piped"}}, stream.ErrShape, "-- Dump completed"},
		"no file":                    {stream.Kind{Dump: []string{"rm", "{file}"}}, os.ErrNotExist, "read what"},
		"an empty file":              {stream.Kind{Dump: []string{"test", "-f", "{file}"}}, stream.ErrNothing, "wrote nothing"},
		"no command":                 {stream.Kind{}, nil, "no command"},
		"file and frame":             {stream.Kind{Dump: []string{"x", "{file}"}, Framed: true}, nil, "exclude each other"},
		"nothing after the dashes":   {stream.Kind{Dump: []string{"kubectl", "--"}, Framed: true}, nil, "no command follows"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t: t, dir: b.dir}
			if tt.k.Env == nil {
				tt.k.Env = b.env()
			}
			_, _, _, err := b.capture(tt.k, nil)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error()+b.log.String(), tt.want) {
				t.Fatalf("%v\n%s", err, b.log.String())
			}
			if len(hint.All(err)) == 0 && !strings.Contains(err.Error(), "exit code") && !errors.Is(err, stream.ErrFailed) && tt.want != "read what" && tt.want != "no command follows" {
				t.Errorf("no advice: %v", err)
			}
		})
	}
}

// A command that hangs ends with the context, and makes no backup.
func TestHangs(t *testing.T) {
	for _, framed := range []bool{false, true} {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		k := stream.Kind{Dump: []string{"sh", "-c", "echo begun; exec sleep 600"}, Framed: framed}
		began := time.Now()
		out := &object{b: b}
		go func() {
			poll := time.NewTicker(5 * time.Millisecond)
			defer poll.Stop()
			for b.waiting() {
				<-poll.C
			}
			cancel()
		}()
		k.Dump[2] = "echo begun; : >" + filepath.Join(b.dir, "runs") + "; exec sleep 600"
		_, _, err := k.Capture(ctx, "", nil, nil, func(string, string) (io.WriteCloser, error) { return out, nil }, nil, nil)
		if !errors.Is(err, context.Canceled) || b.stored != nil || !b.aborted {
			t.Errorf("framed %v: %v", framed, err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

func (b *bench) waiting() bool {
	_, err := os.Stat(filepath.Join(b.dir, "runs"))
	return err != nil
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errors.New("bucket full")
	}
	return len(p), nil
}

func (f *failing) Close() error { return errors.New("closed in spite of an error") }
func (f *failing) Abort() error { return nil }

// A bucket that refuses stops the command; one that fails at the end makes no point.
func TestStoreFails(t *testing.T) {
	for _, k := range []stream.Kind{
		{Dump: []string{"sh", "-c", "yes | head -c 3000000"}}, {Dump: []string{"sh", "-c", "yes | head -c 3000000"}, Framed: true},
		{Dump: []string{"sh", "-c", `yes | head -c 3000000 >"$0"`, "{file}"}},
	} {
		for _, after := range []int{0, 100_000, 2_999_990} {
			f := &failing{after: after}
			_, _, err := k.Capture(t.Context(), "", nil, nil, func(string, string) (io.WriteCloser, error) { return f, nil }, nil, nil)
			if err == nil || !strings.Contains(err.Error(), "bucket full") {
				t.Errorf("%v after %d: %v", k.Dump, after, err)
			}
		}
		f := &failing{after: 1 << 30}
		if _, _, err := k.Capture(t.Context(), "", nil, nil, func(string, string) (io.WriteCloser, error) { return f, nil }, nil, nil); err == nil {
			t.Error("an object that could not be closed counts")
		}
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }
func (c *counter) Close() error                { return nil }

func TestFlatMemory(t *testing.T) {
	const size = 50 << 20
	k := stream.Kind{Dump: []string{"head", "-c", fmt.Sprint(size), "/dev/zero"}, Framed: true}
	var before, after runtime.MemStats
	var c counter
	runtime.ReadMemStats(&before)
	_, _, err := k.Capture(t.Context(), "", nil, nil, func(string, string) (io.WriteCloser, error) { return &c, nil }, nil, nil)
	runtime.ReadMemStats(&after)
	must(t, err)
	if grown := after.TotalAlloc - before.TotalAlloc; c.n != size || grown > 8<<20 {
		t.Errorf("%d bytes came, %d bytes of memory were used for them", c.n, grown)
	}
}

func zipped(data string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(data))
	z.Close()
	return b.String()
}

// What a dump shows of itself: errors where it is certainly broken, else none.
func TestShape(t *testing.T) {
	mysql := "-- MySQL dump 10.13  Distrib 8.0\nCREATE TABLE a;\n-- Dump completed on 2026-11-23  1:15:00\n"
	maria := "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\nCREATE TABLE a;\n-- Dump completed on 2026-11-23\n"
	plain := "--\n-- PostgreSQL database dump\n--\nCREATE;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
	mongo := "\x6d\xe2\x99\x81" + strings.Repeat("x", 5000) + "\xff\xff\xff\xff"
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	big := zipped(mysql[:33] + string(noise) + "\n-- Dump completed\n")
	for name, tt := range map[string]struct {
		data   string
		format string // "!" for broken
	}{
		"mysql": {mysql, "mysqldump"}, "mysql cut": {mysql[:60], "!"}, "mariadb": {maria, "mysqldump"}, "mariadb cut": {maria[:90], "!"},
		"plain": {plain, "pg_dump plain"}, "plain cut": {plain[:45], "!"}, "custom": {"PGDMP\x01\x0e", "pg_dump custom"},
		"mongo": {mongo, "mongodump archive"}, "mongo, odd end": {mongo + "??", "mongodump archive"},
		"mongo gz": {zipped(mongo), "gzip of mongodump archive"}, "gz": {zipped("anything"), "gzip"}, "gz of gz": {zipped(zipped("x")), "gzip"},
		"gz twice": {zipped("a") + zipped("b"), "gzip"}, "gz cut": {zipped(mongo)[:40], "!"}, "gz header": {"\x1f\x8b\x08", "!"},
		"gz and more": {zipped("a") + "more", "!"}, "mysql gz": {zipped(mysql), "gzip of mysqldump"}, "mysql gz cut": {zipped(mysql[:60]), "!"},
		"big gz": {big, "gzip of mysqldump"}, "big gz flipped": {big[:50_000] + string([]byte{big[50_000] ^ 1}) + big[50_001:], "!"}, "big gz cut": {big[:90_000], "!"},
		"one odd byte": {"\x1f", ""}, "two": {"\x1fx", ""}, "text": {"hello", ""}, "mentions": {"x\n\n\n\n-- MySQL dump", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			must(t, os.WriteFile(filepath.Join(b.dir, "data"), []byte(tt.data), 0o600))
			_, f, raw, err := b.capture(stream.Kind{Dump: []string{"cat", filepath.Join(b.dir, "data")}}, nil)
			cerr := stream.Kind{}.Check(t.Context(), "dump", strings.NewReader(tt.data))
			if tt.format == "!" {
				if !errors.Is(err, stream.ErrShape) || !errors.Is(cerr, stream.ErrShape) {
					t.Errorf("capture: %v, check: %v", err, cerr)
				}
				return
			}
			if err != nil || cerr != nil || f.Format != tt.format || string(b.stored) != tt.data {
				t.Fatalf("%v, %v, %q", err, cerr, f.Format)
			}
			dir := t.TempDir()
			must(t, stream.Kind{}.Apply(t.Context(), dir, "dump", filepath.Join(b.dir, "data"), nil))
			if evidence, err := (stream.Kind{}).Prove(t.Context(), dir, raw, true, nil); err != nil || !strings.Contains(evidence, "SHA-256") {
				t.Errorf("%q %v", evidence, err)
			}
		})
	}
	if err := (stream.Kind{}).Check(t.Context(), "dump", strings.NewReader("")); !errors.Is(err, stream.ErrShape) {
		t.Errorf("empty: %v", err)
	}
	b := newBench(t)
	b.program("pg_dump", "echo not a custom dump")
	if _, _, _, err := b.capture(stream.Kind{Dump: []string{"pg_dump", "--format=custom"}, Env: b.env()}, nil); !errors.Is(err, stream.ErrShape) {
		t.Errorf("pg_dump in another format: %v", err)
	}
}

func TestProve(t *testing.T) {
	b := newBench(t)
	k := stream.Kind{Dump: []string{"printf", "the dump"}, Load: []string{"psql", "--dbname=x", "a b", "--password=hush"}}
	_, _, raw, err := b.capture(k, nil)
	must(t, err)
	for name, data := range map[string]string{"shorter": "the dum", "longer": "the dump!", "flipped": "the dumb", "empty": ""} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "dump"), []byte(data), 0o600))
		if _, err := k.Prove(t.Context(), dir, raw, false, nil); !errors.Is(err, stream.ErrUnequal) {
			t.Errorf("%s: %v", name, err)
		}
		if out, err := script(t, k, raw, data); err == nil {
			t.Errorf("script, %s: %s", name, out)
		}
	}
	if _, err := k.Prove(t.Context(), t.TempDir(), raw, false, nil); !errors.Is(err, stream.ErrUnequal) {
		t.Errorf("no dump: %v", err)
	}
	out, err := script(t, k, raw, "the dump")
	if err != nil || !strings.Contains(out, "proved: ") || !strings.Contains(out, "to load it: psql --dbname=x 'a b' --password=*** < dump") {
		t.Errorf("script: %v\n%s", err, out)
	}
	for _, facts := range []string{`{}`, `null`, `{"sha256":"x"}`, `[`} {
		if _, err := k.Prove(t.Context(), t.TempDir(), []byte(facts), false, nil); err == nil {
			t.Errorf("facts %s", facts)
		}
		if text := k.Script([]string{"dump"}, []string{"dump"}, []byte(facts)); !strings.Contains(text, "exit 1") {
			t.Errorf("script of facts %s", facts)
		}
	}
}

// script runs what a restore.sh would run for the kind.
func script(t *testing.T, k stream.Kind, facts []byte, dump string) (string, error) {
	t.Helper()
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(filepath.Join(in, "0001-dump"), []byte(dump), 0o600))
	var log bytes.Buffer
	_, err := command.Run(t.Context(), command.Cmd{
		Argv: []string{"sh", "-c", "set -eu\n" + k.Script([]string{"0001-dump"}, []string{"dump"}, facts)},
		Env:  map[string]string{"IN": in, "OUT": out}, Stdout: &log, Stderr: &log,
	})
	if err == nil {
		if got, rerr := os.ReadFile(filepath.Join(out, "dump")); rerr != nil || string(got) != dump {
			t.Errorf("restored %q, %v", got, rerr)
		}
	}
	return log.String(), err
}

// An export of D1 is loaded to try it, and can run nothing on the way.
func TestD1Loads(t *testing.T) {
	b := newBench(t)
	for name, tt := range map[string]struct {
		sql string
		ok  bool
	}{
		"sound":   {"PRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t (a);\nINSERT INTO t VALUES (1);\n", true},
		"broken":  {"PRAGMA defer_foreign_keys=TRUE;\nINSERT INTO nowhere VALUES (1);\n", false},
		"hostile": {"PRAGMA defer_foreign_keys=TRUE;\n.shell touch " + b.dir + "/owned\n", false},
		"attach":  {"PRAGMA defer_foreign_keys=TRUE;\nATTACH '" + b.dir + "/owned' AS x; CREATE TABLE x.t(a);\n", false},
	} {
		must(t, os.WriteFile(filepath.Join(b.dir, "dump"), []byte(tt.sql), 0o600))
		_, _, raw, err := b.capture(stream.Kind{Dump: []string{"cat", filepath.Join(b.dir, "dump")}}, nil)
		must(t, err)
		var log bytes.Buffer
		evidence, err := stream.Kind{}.Prove(t.Context(), b.dir, raw, true, &log)
		if strings.Contains(log.String(), "was not loaded to try it") {
			t.Skip("sqlite3 with -safe is not installed")
		}
		if tt.ok != (err == nil) || tt.ok && !strings.Contains(evidence, "loads into SQLite") {
			t.Errorf("%s: %q %v", name, evidence, err)
		}
		if _, err := os.Stat(filepath.Join(b.dir, "owned")); err == nil {
			t.Fatalf("%s: the dump ran something", name)
		}
	}
}
