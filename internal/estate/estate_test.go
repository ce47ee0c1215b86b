package estate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
)

const sound = `# what is protected
name: Appointment booking
vault: file:./vault?create_dir=1
tiers:
  critical: {rpo: 5m}
assets:
  monorepo:
    kind: git
    path: clone
    remote: file:../origin.git
    branches: [main, "release/1.0", 2.0, on]
    critical_files:
      - package.json
      - infra/./main.tf
    tier: critical
  booking-db:
    kind: sqlite
    path: /data/booking.db
`

func TestLoad(t *testing.T) {
	got, problems := estate.Load("/srv/app/lifeboat.yaml", []byte(sound))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := &estate.Estate{
		File: "/srv/app/lifeboat.yaml", Dir: "/srv/app", Name: "Appointment booking",
		Vault: "file:///srv/app/vault?create_dir=1",
		Assets: []estate.Asset{{
			Name: "monorepo", Kind: estate.Git, Path: "/srv/app/clone", Remote: "file:///srv/origin.git",
			Branches: []string{"main", "release/1.0", "2.0", "on"},
			Critical: []string{"package.json", "infra/main.tf"},
			Tier:     "critical", RTO: time.Hour, RPO: 5 * time.Minute,
		}, {
			Name: "booking-db", Kind: estate.SQLite, Path: "/data/booking.db",
			Tier: "standard", RTO: 4 * time.Hour, RPO: time.Hour,
		}},
		Encryption: estate.Encryption{Method: "none"},
		Levels:     estate.DefaultLevels(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	crlf, problems := estate.Load("/srv/app/lifeboat.yaml", []byte("\ufeff"+strings.ReplaceAll(sound, "\n", "\r\n")))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff(want, crlf); diff != "" {
		t.Errorf("with CRLF and a byte order mark (-want +got):\n%s", diff)
	}
}

func TestRemoteForms(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.org/a.git":     "https://example.org/a.git",
		"ssh://git@example.org/a.git":   "ssh://git@example.org/a.git",
		"git@example.org:team/a.git":    "git@example.org:team/a.git",
		"../origin.git":                 "/srv/origin.git",
		"/srv/x.git":                    "/srv/x.git",
		"file:///srv/x.git":             "file:///srv/x.git",
		"file://localhost/srv/x.git":    "file:///srv/x.git",
		"file://./x.git":                "file:///srv/app/x.git",
		"'file:my%20repo'":              "file:///srv/app/my%20repo",
		"./with:colon/behind-the-slash": "/srv/app/with:colon/behind-the-slash",
	} {
		e, problems := estate.Load("/srv/app/lifeboat.yaml", []byte("assets: {r: {kind: git, remote: "+in+"}}"))
		if len(problems) > 0 {
			t.Errorf("%s: %v", in, problems)
			continue
		}
		if got := e.Assets[0].Remote; got != want {
			t.Errorf("remote %s = %q, want %q", in, got, want)
		}
	}
}

func TestLoadProblems(t *testing.T) {
	const db = "assets:\n  db:\n    kind: sqlite\n    path: a.db\n"
	for name, tt := range map[string]struct {
		src  string
		want string // begins the message after the file
		fix  string // part of the advice
	}{
		"empty":               {"", "1:1: error: the file says nothing", "assets"},
		"comment only":        {"# nothing\n", "1:1: error: the file says nothing", ""},
		"no assets":           {"name: x\n", `1:1: error: the file has no key "assets"`, "assets:"},
		"assets empty":        {"assets: {}\n", "1:9: error: assets is empty", ""},
		"unknown key":         {db + "vualt: file:v\n", `5:1: error: the file has no key "vualt"`, `"vault"`},
		"unknown asset key":   {db + "    critical_file: [a]\n", `5:5: error: asset "db" has no key "critical_file"`, `"critical_files"`},
		"key without match":   {db + "    zzzzzz: 1\n", `5:5: error: asset "db" has no key "zzzzzz"`, "kind, path"},
		"duplicate key":       {db + "    path: b.db\n", "5:5: error: mapping key \"path\" already defined", ""},
		"no kind":             {"assets:\n  db:\n    path: x\n", `2:3: error: asset "db" has no kind`, "kind: git"},
		"bad kind":            {"assets:\n  db:\n    kind: sqlit\n    path: x\n", `3:11: error: there is no kind of asset "sqlit"`, `"sqlite"`},
		"kind is a list":      {"assets:\n  db:\n    kind: [git]\n    path: x\n", "3:11: error: kind must be text, not a list", ""},
		"git without place":   {"assets:\n  r:\n    kind: git\n", `2:3: error: asset "r" has neither path nor remote`, "remote:"},
		"sqlite with remote":  {db + "    remote: x\n", `5:5: error: asset "db": "remote" is for repositories`, "remove"},
		"bad tier":            {db + "    tier: critcal\n", `5:11: error: there is no tier "critcal"`, `"critical"`},
		"asset is text":       {"assets:\n  db: x\n", `2:7: error: asset "db" must be a map`, ""},
		"asset is nothing":    {"assets:\n  db:\n", `2:7: error: asset "db" must be a map, not nothing`, ""},
		"asset name":          {"assets:\n  DB: {kind: sqlite, path: x}\n", `2:3: error: "DB" is no name for an asset`, "lower-case"},
		"asset name path":     {"assets:\n  ../x: {kind: sqlite, path: x}\n", `2:3: error: "../x" is no name`, ""},
		"duration":            {db + "tiers: {critical: {rto: 60}}\n", `5:25: error: rto: "60" is not a duration`, `"15m"`},
		"negative duration":   {db + "tiers: {critical: {rto: -1h}}\n", `5:25: error: rto: "-1h" is not a duration`, ""},
		"unknown tier":        {db + "tiers: {critcal: {rto: 1h}}\n", `5:9: error: tiers has no key "critcal"`, `"critical"`},
		"vault path":          {db + "vault: ./vault\n", `5:8: error: vault: "./vault" is not the address`, "file:./vault"},
		"vault scheme":        {db + "vault: s4://b\n", `5:8: error: vault: "s4" is no kind of bucket`, `"s3"`},
		"vault host":          {db + "vault: file://vault/x\n", `5:8: error: "file://vault/x" names a host`, "file:./dir"},
		"vault password":      {db + "vault: s3://me:pw@b\n", "5:8: error: vault contains a password", "remove"},
		"remote helper":       {"assets: {r: {kind: git, remote: 'ext::sh -c x'}}", `1:33: error: remote: "ext::sh -c x" is not the address`, "https"},
		"remote option":       {"assets: {r: {kind: git, remote: '--upload-pack=x'}}", `1:33: error: remote:`, ""},
		"remote http":         {"assets: {r: {kind: git, remote: 'http://h/x'}}", `1:33: error: remote: "http://h/x" sends what is pushed and the password`, "https or ssh"},
		"remote ssh option":   {"assets: {r: {kind: git, remote: 'ssh://-oProxyCommand=x/y'}}", `1:33: error: remote:`, ""},
		"remote password":     {"assets: {r: {kind: git, remote: 'https://a:b@h/x'}}", `1:33: error: remote contains a password`, ""},
		"path home":           {"assets: {d: {kind: sqlite, path: ~/a.db}}", `1:34: error: "~/a.db": "~" is not expanded`, "whole path"},
		"branch option":       {"assets: {r: {kind: git, path: ., branches: [-f]}}", `1:45: error: "-f" is no name for a branch`, ""},
		"branch wildcard":     {"assets: {r: {kind: git, path: ., branches: ['*']}}", `1:45: error: "*" is no name for a branch`, ""},
		"branch twice":        {"assets: {r: {kind: git, path: ., branches: [a, a]}}", `1:48: error: "a" is listed twice`, ""},
		"branches is text":    {"assets: {r: {kind: git, path: ., branches: main}}", `1:44: error: branches must be a list`, "[one, two]"},
		"critical outside":    {"assets: {r: {kind: git, path: ., critical_files: [../x]}}", `1:51: error: critical file "../x" lies outside`, ""},
		"critical absolute":   {"assets: {r: {kind: git, path: ., critical_files: [/etc/x]}}", `1:51: error: critical file "/etc/x" lies outside`, ""},
		"alias":               {"assets:\n  a: &x {kind: sqlite, path: p}\n  b: *x\n", "2:6: error: asset \"a\" must be a map, not an anchor", ""},
		"tag":                 {db + "name: !!binary aGk=\n", "5:7: error: name must be text, not a tagged value", ""},
		"control character":   {db + "name: \"a\\x1b[2J\"\n", "5:7: error: name contains a line break or control character", ""},
		"empty name":          {db + "name: \"\"\n", "5:7: error: name is empty", ""},
		"two documents":       {db + "---\nname: x\n", "6:5: error: a second document begins here", "---"},
		"list at top":         {"- a\n- b\n", "1:1: error: the file must be a map, not a list", ""},
		"broken flow":         {db + "tiers: {critical\n", "5:", "key: value"},
		"tab":                 {"assets:\n\tdb: 1\n", "2:1: error:", "key: value"},
		"not utf-8":           {db + "name: caf\xe9\n", "5:10: error: byte 0xe9 is not text in UTF-8", "UTF-8"},
		"nul":                 {"na\x00me: x\n", "1:3: error: byte 0x00", ""},
		"utf-16":              {"\xff\xfea\x00", "1:1: error: byte 0xff", ""},
		"deep flow":           {"a: " + strings.Repeat("[", 10000), "1:1: error: more than 64 levels", ""},
		"deep block":          {deepBlock(1000), "65:1: error: more than 64 levels", ""},
		"deep compact":        {strings.Repeat("- ", 10000) + "x", "1:1: error: more than 64 levels", ""},
		"alias bomb":          {"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", `1:1: error: the file has no key "a"`, ""},
		"too large":           {"#" + strings.Repeat("x", 5<<20), "1:1: error: the file has 5242881 bytes", ""},
		"non-scalar key":      {"{[a]: b}: c\n", "1:", ""},
		"integer asset field": {"assets: {d: {kind: sqlite, path: {a: b}}}", "1:34: error: path must be text, not a map", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, problems := estate.Load("conf/lifeboat.yaml", []byte(tt.src))
			if e != nil || len(problems) == 0 {
				t.Fatalf("Load = %v, %v, want problems", e, problems)
			}
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			text := strings.Join(all, "\n")
			found := ""
			for _, s := range all {
				if strings.HasPrefix(s, "conf/lifeboat.yaml:"+tt.want) {
					found = s
				}
			}
			if found == "" {
				t.Fatalf("problems:\n%s\nwant one that begins with %q", text, "conf/lifeboat.yaml:"+tt.want)
			}
			if !strings.Contains(found, tt.fix) {
				t.Errorf("problem %q does not advise %q", found, tt.fix)
			}
		})
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

func TestLoadReportsEveryProblem(t *testing.T) {
	_, problems := estate.Load("l.yaml", []byte("nme: x\nassets:\n  a: {kind: sqlite}\n  b: {kind: gti, path: .}\n"))
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%s", p.Pos.Line, p.Code))
	}
	if diff := cmp.Diff([]string{"1:unknown-key", "3:missing-key", "4:value"}, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	e, problems := estate.Load("/srv/lifeboat.yaml", []byte(sound))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if a, err := e.Find("booking-db"); err != nil || a.Kind != estate.SQLite {
		t.Errorf("Find(booking-db) = %+v, %v", a, err)
	}
	if a, _ := e.Find("monorepo"); a.Source() != "file:///origin.git" {
		t.Errorf("Source = %q, want the remote", a.Source())
	}
	for name, advice := range map[string]string{
		"bookingdb": `did you mean "booking-db"?`, "mono": `did you mean "monorepo"?`, "xyz": "monorepo, booking-db",
	} {
		_, err := e.Find(name)
		if err == nil || !strings.Contains(strings.Join(hint.All(err), " "), advice) {
			t.Errorf("Find(%q): %v, advice %q, want %q", name, err, hint.All(err), advice)
		}
	}
	if got := e.OfKind(estate.Git); len(got) != 1 || got[0].Name != "monorepo" {
		t.Errorf("OfKind(git) = %v", got)
	}
}

func TestLocate(t *testing.T) {
	top, config := t.TempDir(), t.TempDir()
	deep := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := estate.Locate(deep, config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Locate without a file: %v, want ErrNotExist", err)
	}
	for _, dir := range []string{config, top, filepath.Join(top, "a")} {
		path := filepath.Join(dir, estate.FileName)
		if err := os.WriteFile(path, []byte(sound), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := estate.Locate(deep, config); err != nil || got != path {
			t.Errorf("Locate = %q, %v, want %q", got, err, path)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{sound, "", "a: &a [*a]", "? a\n: b\n", "<<: {a: b}\n", "assets:\n- x", "a: |\n  b\n c", "%YAML 1.2\n---\n", "\"\\", "a: !<", "{", "- - -\n?", "assets: {a: {kind: git, path: \"\"}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		e, problems := estate.Load("/x/lifeboat.yaml", bytes.Clone(src))
		if (e == nil) == (len(problems) == 0) {
			t.Fatalf("Load(%q) = %v, %v", src, e, problems)
		}
		for _, p := range problems {
			if p.Pos.Line < 1 || p.Pos.Col < 1 {
				t.Fatalf("Load(%q): problem without a place: %v", src, p)
			}
		}
		if e != nil {
			for _, a := range e.Assets {
				if a.Name == "" || a.Kind == "" || a.RTO <= 0 || a.RPO <= 0 {
					t.Fatalf("Load(%q): asset %+v", src, a)
				}
			}
		}
	})
}
