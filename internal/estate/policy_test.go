package estate_test

import (
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/estate"
)

// recipient makes a key of age. The secret half is returned for tests of what must not be
// repeated.
func recipient(t *testing.T) (public, private string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String(), id.String()
}

const whole = `name: company
vault: s3://company-backups/lifeboat?region=eu-west-1
copies: [gs://company-backups-2/lifeboat, file:../copy]
encryption:
  method: age
  recipients: [RECIPIENT]
  break_glass: GLASS
  keeper: awskms://alias/backup-encryption?region=eu-west-1
  identity: ./keys/identity.txt
  rotate_every: 90d
retention: {within: 2d, hourly: 24, daily: 14, weekly: 8, monthly: 12, yearly: 7, lock: 30d, lock_mode: compliance}
alerts:
  - command: [./alert.sh, "--why"]
    on: [verification-failed, backup-failed]
  - command: [notify]
schedule:
  daily: {cron: "15 1 * * *", runbook: daily-backup, jitter: 10m, params: {class: daily, full: false}, zone: Africa/Johannesburg, shards: 4}
  quarter-hour: {cron: "*/15 * * * *", runbook: team.md#section}
assets:
  monorepo:
    kind: git
    path: .
    remote: https://example.org/monorepo.git
    branches: [main]
    mirrors: {gitlab: "https://gitlab.example.org/m.git", bitbucket: "ssh://git@bitbucket.example.org/m.git", near: ../m.git}
    exclude: [refs/pull/*]
    lfs: true
    critical_files: [README.md]
    build: [[pnpm, install], [./build.sh, ""]]
  all-refs: {kind: git, path: clone, exclude: []}
  bookings: {kind: sqlite, path: data/bookings.db, assertions: ["SELECT count(*) > 0 FROM users", "SELECT 1\n  FROM x"], tier: critical}
  auth: {kind: stream, preset: mongodump, namespace: prod, workload: deployment/booking-app, database: auth_db, secret: true}
  site: {kind: stream, preset: postgres, database: site, host: db.internal, port: 5432, format: custom}
  edge: {kind: stream, preset: d1, database: edge, config: apps/edge/wrangler.toml}
  own: {kind: stream, dump: [./dump, -v], load: [sh, -c, "cat >x"]}
  env: {kind: files, path: ., include: ["apps/*/.env*", "packages/*/.env*", "**/*.tfvars"], exclude: [node_modules/]}
  infra: {kind: files, path: infrastructure}
documents: [{path: docs/contacts.md, review_every: 1w}, {path: ./docs/recovery.md}]
contacts: [{name: Technical Lead, phone: "+27 11 555-0100 x12", email: lead@example.org, role: technical-lead}, {name: DevOps, email: devops@company.com}]
responders: [Anna, Ben]
trainees: [Carl]
levels: {2: {recovery: 3h}, 3: {impact: all of it, response: call everybody, recovery: 1d}}
`

func TestLoadEverything(t *testing.T) {
	public, _ := recipient(t)
	glass, _ := recipient(t)
	src := strings.NewReplacer("RECIPIENT", public, "GLASS", glass).Replace(whole)
	got, problems := estate.Load("/srv/app/lifeboat.yaml", []byte(src))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const day = 24 * time.Hour
	standard := func(a estate.Asset) estate.Asset {
		a.Tier, a.RTO, a.RPO = "standard", 4*time.Hour, time.Hour
		return a
	}
	levels := estate.DefaultLevels()
	levels[1].Recovery = 3 * time.Hour
	levels[2] = estate.Level{Number: 3, Impact: "all of it", Response: "call everybody", Recovery: day}
	want := &estate.Estate{
		File: "/srv/app/lifeboat.yaml", Dir: "/srv/app", Name: "company",
		Vault:  "s3://company-backups/lifeboat?region=eu-west-1",
		Copies: []string{"gs://company-backups-2/lifeboat", "file:///srv/copy"},
		Encryption: estate.Encryption{Method: "age", Recipients: []string{public}, BreakGlass: glass,
			Keeper:   "awskms://alias/backup-encryption?region=eu-west-1",
			Identity: "/srv/app/keys/identity.txt", RotateEvery: 90 * day},
		Retention: estate.Retention{Within: 2 * day, Hourly: 24, Daily: 14, Weekly: 8, Monthly: 12, Yearly: 7, Lock: 30 * day, LockMode: "compliance"},
		Alerts: []estate.Alert{
			{Name: "alert.sh", Command: []string{"/srv/app/alert.sh", "--why"}, On: []string{"verification-failed", "backup-failed"}},
			{Name: "notify", Command: []string{"notify"}},
		},
		Schedules: []estate.Schedule{
			{Name: "daily", Cron: "15 1 * * *", Runbook: "daily-backup", Jitter: 10 * time.Minute, Params: map[string]string{"class": "daily", "full": "false"}, Zone: "Africa/Johannesburg", Shards: 4},
			{Name: "quarter-hour", Cron: "*/15 * * * *", Runbook: "team.md#section"},
		},
		Assets: []estate.Asset{
			standard(estate.Asset{Name: "monorepo", Kind: estate.Git, Path: "/srv/app", Remote: "https://example.org/monorepo.git", Branches: []string{"main"},
				Mirrors: []estate.Mirror{{Name: "gitlab", URL: "https://gitlab.example.org/m.git"}, {Name: "bitbucket", URL: "ssh://git@bitbucket.example.org/m.git"}, {Name: "near", URL: "/srv/m.git"}},
				Exclude: []string{"refs/pull/*"}, LFS: true, Critical: []string{"README.md"}, Build: [][]string{{"pnpm", "install"}, {"./build.sh", ""}}}),
			standard(estate.Asset{Name: "all-refs", Kind: estate.Git, Path: "/srv/app/clone", Exclude: []string{}}),
			{Name: "bookings", Kind: estate.SQLite, Path: "/srv/app/data/bookings.db", Tier: "critical", RTO: time.Hour, RPO: 15 * time.Minute,
				Assertions: []string{"SELECT count(*) > 0 FROM users", "SELECT 1\n  FROM x"}},
			standard(estate.Asset{Name: "auth", Kind: estate.Stream, Preset: "mongodump", Secret: true,
				Options: map[string]string{"namespace": "prod", "workload": "deployment/booking-app", "database": "auth_db"}}),
			standard(estate.Asset{Name: "site", Kind: estate.Stream, Preset: "postgres",
				Options: map[string]string{"database": "site", "host": "db.internal", "port": "5432", "format": "custom"}}),
			standard(estate.Asset{Name: "edge", Kind: estate.Stream, Preset: "d1", Options: map[string]string{"database": "edge", "config": "/srv/app/apps/edge/wrangler.toml"}}),
			standard(estate.Asset{Name: "own", Kind: estate.Stream, Dump: []string{"/srv/app/dump", "-v"}, Load: []string{"sh", "-c", "cat >x"}}),
			standard(estate.Asset{Name: "env", Kind: estate.Files, Path: "/srv/app", Include: []string{"apps/*/.env*", "packages/*/.env*", "**/*.tfvars"}, Exclude: []string{"node_modules/"}, Secret: true}),
			standard(estate.Asset{Name: "infra", Kind: estate.Files, Path: "/srv/app/infrastructure"}),
		},
		Documents: []estate.Document{{Path: "docs/contacts.md", ReviewEvery: 7 * day}, {Path: "docs/recovery.md", ReviewEvery: 90 * day}},
		Contacts: []estate.Contact{{Name: "Technical Lead", Phone: "+27 11 555-0100 x12", Email: "lead@example.org", Role: "technical-lead"},
			{Name: "DevOps", Email: "devops@company.com"}},
		Responders: []string{"Anna", "Ben"}, Trainees: []string{"Carl"},
		Levels: levels,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if got.Assets[1].Exclude == nil {
		t.Error("an empty list of exclusions became none, which leaves out refs by default")
	}
}

func TestEncryptionForms(t *testing.T) {
	const assets = "assets: {r: {kind: git, path: .}}\n"
	for src, want := range map[string]estate.Encryption{
		"":                           {Method: "none"},
		"encryption: {method: none}": {Method: "none"},
		"encryption: {method: gpg, passphrase: keys/p}":                        {Method: "gpg", Passphrase: "/srv/keys/p"},
		"encryption: {method: gpg, passphrase: 'env:LIFEBOAT_GPG_PASSPHRASE'}": {Method: "gpg", Passphrase: "env:LIFEBOAT_GPG_PASSPHRASE"},
		"encryption: {method: age, keeper: 'env:TEST_KEEPER'}":                 {Method: "age", Keeper: "env:TEST_KEEPER"},
		"encryption: {method: age, keeper: 'awskms:///arn:aws:kms:us-east-1:111122223333:key/1234abcd?region=us-east-1'}": {Method: "age",
			Keeper: "awskms:///arn:aws:kms:us-east-1:111122223333:key/1234abcd?region=us-east-1"},
	} {
		e, problems := estate.Load("/srv/lifeboat.yaml", []byte(assets+src))
		if len(problems) > 0 {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		if diff := cmp.Diff(want, e.Encryption); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
	if name, ok := estate.FromEnv("env:X"); !ok || name != "X" {
		t.Errorf("FromEnv(env:X) = %q, %v", name, ok)
	}
	if _, ok := estate.FromEnv("/env:X"); ok {
		t.Error("FromEnv took a path for a variable")
	}
}

// policyProblems begin each with what the file says beside one good asset.
var policyProblems = map[string]struct{ src, want, fix string }{
	"copy without vault":     {"copies: ['mem://a']", `2:9: error: copies of what`, "vault"},
	"copy of itself":         {"vault: file:v\ncopies: ['file:./v']", "3:9: error: copies names the vault itself", "another"},
	"copy by another way":    {"vault: file:v?create=1\ncopies: ['file:v/']", "3:9: error: copies names the vault itself", "another"},
	"copy of the bucket":     {"vault: s3://b/lifeboat?region=eu-west-1\ncopies: ['s3://b/lifeboat/?region=eu-west-1&profile=x']", "3:9: error: copies names the vault itself", "another"},
	"copies of one bucket":   {"vault: file:v\ncopies: ['gs://b/x', 'gs://b/x/']", `3:22: error: "gs://b/x/" is listed twice in copies`, "remove"},
	"copy scheme":            {"vault: file:v\ncopies: ['s4://v']", `3:10: error: copies: "s4" is no kind of bucket`, `"s3"`},
	"method missing":         {"encryption: {recipients: [PUBLIC]}", "2:13: error: encryption has no method", "age"},
	"method":                 {"encryption: {method: aeg}", `2:22: error: method: there is no "aeg"`, `"age"`},
	"no recipients":          {"encryption: {method: age}", "2:13: error: encryption: nobody could read", "age-keygen"},
	"recipients empty":       {"encryption: {method: age, recipients: []}", "2:27: error: encryption: recipients is empty", ""},
	"recipient cut":          {"encryption: {method: age, recipients: [CUT]}", "2:40: error: recipients: this is no whole recipient", "whole line"},
	"recipient other":        {"encryption: {method: age, recipients: [ssh-ed25519 AAAA]}", "2:40: error: recipients: this is no recipient", "age1"},
	"recipient plugin":       {"encryption: {method: age, recipients: [age1yubikey1q0pqdfsj]}", "2:40: error: recipients: ", ""},
	"secret recipient":       {"encryption: {method: age, recipients: [PRIVATE]}", "2:40: error: an entry of recipients contains a private key", "new secret"},
	"secret break glass":     {"encryption: {method: age, recipients: [PUBLIC], break_glass: PRIVATE}", "2:118: error: break_glass contains a private key", ""},
	"secret in lower case":   {"encryption: {method: age, recipients: [LOWER]}", "2:40: error: an entry of recipients contains a private key", ""},
	"secret as identity":     {"encryption: {method: age, recipients: [PUBLIC], identity: PRIVATE}", "2:115: error: identity contains a private key", ""},
	"secret as a name":       {"name: PRIVATE", "2:7: error: name contains a private key", ""},
	"secret in an argument":  {"alerts: [{command: [x, PRIVATE]}]", "2:24: error: command contains a private key", ""},
	"break glass twice":      {"encryption: {method: age, recipients: [PUBLIC], break_glass: PUBLIC}", "2:105: error: break_glass is one of the recipients", "offline"},
	"gpg alone":              {"encryption: {method: gpg}", "2:13: error: encryption: gpg needs a passphrase", "passphrase:"},
	"gpg recipients":         {"encryption: {method: gpg, passphrase: ./p, recipients: [PUBLIC]}", `2:44: error: encryption: "recipients" means nothing`, "method"},
	"passphrase itself":      {"encryption: {method: gpg, passphrase: hunter2}", "2:39: error: passphrase is not the path of a file", "env:NAME"},
	"none with key":          {"encryption: {method: none, keeper: 'awskms://x'}", `2:28: error: encryption: "keeper" means nothing`, ""},
	"keeper hashivault":      {"encryption: {method: age, keeper: 'hashivault://k'}", "2:35: error: keeper: hashivault is not supported, its module lags behind", "awskms"},
	"keeper base64key":       {"encryption: {method: age, keeper: 'base64key://c2VjcmV0c2VjcmV0'}", "2:35: error: keeper: the address of a base64key is the key itself", "env:NAME"},
	"keeper scheme":          {"encryption: {method: age, keeper: 'awskm://k'}", `2:35: error: keeper: "awskm" is no kind of KMS`, `"awskms"`},
	"keeper text":            {"encryption: {method: age, keeper: mykey}", "2:35: error: keeper is not the address of a key", "awskms"},
	"keeper nameless":        {"encryption: {method: age, keeper: 'awskms://?region=x'}", "2:35: error: keeper names no key", ""},
	"variable":               {"encryption: {method: age, keeper: 'env:A B'}", "2:35: error: after \"env:\" comes the name of a variable", ""},
	"keeper password":        {"encryption: {method: age, keeper: 'gcpkms://a:hunter2@b/c'}", "2:35: error: keeper contains a password", ""},
	"rotate":                 {"encryption: {method: age, recipients: [PUBLIC], rotate_every: 90}", `2:119: error: rotate_every: "90" is not a duration`, "90d"},
	"retention empty":        {"retention: {lock: 3d}", "2:12: error: retention keeps nothing", "daily"},
	"retention zero":         {"retention: {daily: 0}", "2:12: error: retention keeps nothing", ""},
	"retention negative":     {"retention: {daily: -1}", `2:20: error: daily: "-1" is not a whole number from 0`, ""},
	"retention fraction":     {"retention: {daily: 1.5}", `2:20: error: daily: "1.5" is not a whole number`, ""},
	"retention key":          {"retention: {dayly: 3}", `2:13: error: retention has no key "dayly"`, `"daily"`},
	"lock too long":          {"retention: {daily: 7, lock: 8d}", "2:23: error: retention: the lock outlasts", "shorter"},
	"lock mode alone":        {"retention: {daily: 7, lock_mode: compliance}", "2:23: error: retention: lock_mode without lock", "lock: 30d"},
	"lock mode":              {"retention: {daily: 7, lock: 1d, lock_mode: complaince}", `2:44: error: lock_mode: there is no "complaince"`, `"compliance"`},
	"alert text":             {"alerts: ./x", "2:9: error: alerts must be a list", "- "},
	"alert event":            {"alerts: [{command: [x], on: [backup-fialed]}]", `2:30: error: there is no event "backup-fialed"`, `"backup-failed"`},
	"alert without":          {"alerts: [{on: [backup-failed]}]", "2:10: error: an alert has neither url nor command", "command:"},
	"alert both ways":        {"alerts: [{command: [x], url: 'env:A'}]", "2:11: error: an alert has both url and command", "two"},
	"alert name":             {"alerts: [{name: The Team, url: 'env:A'}]", `2:17: error: "The Team" is no name for an alert`, "lower-case"},
	"alert name twice":       {"alerts: [{name: a, url: 'env:A'}, {name: a, url: 'env:B'}]", `2:42: error: two alerts are called "a"`, ""},
	"alert word":             {"alerts: [{url: hunter2}]", "2:16: error: url is no address", "env:NAME"},
	"alert variable":         {"alerts: [{url: 'env:A-B'}]", `2:16: error: after "env:" comes`, ""},
	"alert service":          {"alerts: [{url: 'slak://hunter2@x'}]", `2:16: error: url: "slak" is no kind of service`, `"slack"`},
	"alert logger":           {"alerts: [{url: 'logger://'}]", `2:16: error: url: "logger" is no kind of service`, ""},
	"alert token":            {"alerts: [{url: 'slack://hook:T0-B0-hunter2@webhook'}]", "2:16: error: url: this address may let anybody write", "env:NAME"},
	"alert query":            {"alerts: [{url: 'https://x.example.com/team?key=hunter2'}]", "2:16: error: url: this address may", "file:./NAME"},
	"alert user":             {"alerts: [{url: 'https://a:hunter2@x.example.com/team'}]", "2:16: error: url: this address may", ""},
	"alert path":             {"alerts: [{url: 'https://hooks.example.com/services/T000/B000/hunter2hunter2'}]", "2:16: error: url: this address may", ""},
	"alert nowhere":          {"alerts: [{url: 'https:///team'}]", "2:16: error: url names no host", ""},
	"alert field":            {"alerts: [{url: 'env:A', template: '{{.Assett}}'}]", `2:38: error: template: there is no field "Assett"`, "Asset,"},
	"alert event template":   {"alerts: [{url: 'env:A', template: {recoverd: short}}]", `2:36: error: template: there is no event "recoverd"`, "recovered"},
	"alert event field":      {"alerts:\n  - url: env:A\n    template:\n      default: short\n      recovered: '{{.Assett}}'", `6:21: error: template: there is no field "Assett"`, "Asset,"},
	"alert template":         {"alerts:\n  - url: env:A\n    template: |\n      {{.Short}}\n      {{if .Asset}}for {{.Asset}}", "7:7: error: template: unexpected EOF", "{{if"},
	"alert template field":   {"alerts:\n  - url: env:A\n    template: |\n      {{.Short}}\n      for {{.When}}", `6:13: error: template: there is no field "When"`, "Time"},
	"alert as shell":         {"alerts: [{command: 'x | y'}]", "2:20: error: command must be a list, not a single value", "no shell"},
	"alert nobody":           {"alerts: [{command: []}]", "2:20: error: command names no program", ""},
	"schedule name":          {"schedule: {Daily: {cron: '@daily', runbook: x}}", `2:12: error: "Daily" is no name for a schedule`, "lower-case"},
	"schedule cron":          {"schedule: {d: {cron: '61 * * * *', runbook: x}}", `2:22: error: cron "61 * * * *": minute: "61" is not between 0 and 59`, "15 1 * * *"},
	"schedule seconds":       {"schedule: {d: {cron: '0 0 1 * * *', runbook: x}}", `2:22: error: cron "0 0 1 * * *": it has 6 fields`, ""},
	"schedule never":         {"schedule: {d: {cron: '0 0 30 2 *', runbook: x}}", `2:22: error: cron "0 0 30 2 *": no calendar has such a day`, ""},
	"schedule zone":          {"schedule: {d: {cron: '@daily', runbook: x, zone: Africa/Johannesbrg}}", `2:50: error: there is no time zone`, "IANA"},
	"schedule zone local":    {"schedule: {d: {cron: '@daily', runbook: x, zone: Local}}", `2:50: error: the zone "Local" differs`, ""},
	"schedule jitter":        {"schedule: {d: {cron: '*/15 * * * *', runbook: x, jitter: 15m}}", "2:58: error: jitter: 15m0s is not shorter", "shorter"},
	"schedule shards":        {"schedule: {d: {cron: '@daily', runbook: x, shards: 0}}", `2:52: error: shards: "0" is not a whole number from 1`, ""},
	"schedule no cron":       {"schedule: {d: {runbook: x}}", `2:12: error: schedule "d" has no cron`, "15 1"},
	"schedule no runbook":    {"schedule: {d: {cron: '@daily'}}", `2:12: error: schedule "d" has no runbook`, "daily-backup"},
	"schedule runbook":       {"schedule: {d: {cron: '@daily', runbook: --all}}", `2:41: error: "--all" is no name of a runbook`, ""},
	"schedule param":         {"schedule: {d: {cron: '@daily', runbook: x, params: {A: 1}}}", `2:53: error: "A" is no name of a parameter`, ""},
	"schedule param list":    {"schedule: {d: {cron: '@daily', runbook: x, params: {a: [1]}}}", `2:56: error: parameter "a" must be text, not a list`, ""},
	"document outside":       {"documents: [{path: ../x.md}]", `2:20: error: document "../x.md" lies outside`, "relative"},
	"document twice":         {"documents: [{path: x.md}, {path: ./x.md}]", `2:34: error: document "./x.md" is listed twice`, ""},
	"contact day":            {"contacts: [{name: x, email: a@b.example, verified: yesterday}]", `2:52: error: "yesterday" is no day`, "2026-11-29"},
	"document nameless":      {"documents: [{review_every: 1d}]", "2:13: error: a document has no path", ""},
	"contact unreachable":    {"contacts: [{name: A}]", "2:12: error: a contact cannot be reached", "phone"},
	"contact placeholder":    {"contacts: [{name: A, phone: +27-XX-XXX-XXXX}]", `2:29: error: "+27-XX-XXX-XXXX" is no telephone number`, "dialled"},
	"contact mail":           {"contacts: [{name: A, email: a@b}]", `2:29: error: "a@b" is no e-mail address`, ""},
	"contact key":            {"contacts: [{name: A, mail: a@b.c}]", `2:22: error: a contact has no key "mail"`, `"email"`},
	"contact nameless":       {"contacts: [{email: a@b.c}]", "2:12: error: a contact has no name", ""},
	"responder twice":        {"responders: [A, A]", `2:17: error: "A" is listed twice`, ""},
	"level":                  {"levels: {4: {recovery: 1h}}", `2:10: error: levels has no key "4"`, "1, 2, 3"},
	"level recovery":         {"levels: {1: {recovery: soon}}", `2:24: error: recovery: "soon" is not a duration`, ""},
	"duration unit":          {"levels: {1: {recovery: 1y}}", `2:24: error: recovery: "1y" is not a duration`, "90d"},
	"duration beyond reason": {"levels: {1: {recovery: 999999w}}", `2:24: error: recovery: "999999w" is not a duration`, ""},
}

func TestPolicyProblems(t *testing.T) {
	public, private := recipient(t)
	fill := strings.NewReplacer("PUBLIC", public, "PRIVATE", private, "LOWER", strings.ToLower(private), "CUT", public[:len(public)-1])
	for name, tt := range policyProblems {
		t.Run(name, func(t *testing.T) {
			expect(t, fill.Replace("assets: {r: {kind: git, path: .}}\n"+tt.src+"\n"), tt.want, tt.fix, private, "c2VjcmV0", "hunter2")
		})
	}
}

// expect loads a file and wants a problem that begins so and advises so. No problem may
// repeat a secret.
func expect(t *testing.T, src, want, fix string, secrets ...string) {
	t.Helper()
	e, problems := estate.Load("l.yaml", []byte(src))
	if e != nil || len(problems) == 0 {
		t.Fatalf("Load = %v, want problems", e)
	}
	var all []string
	found := ""
	for _, p := range problems {
		all = append(all, p.Error())
		if strings.HasPrefix(p.Error(), "l.yaml:"+want) && strings.Contains(p.Error(), fix) {
			found = p.Error()
		}
	}
	text := strings.Join(all, "\n")
	if found == "" {
		t.Fatalf("problems:\n%s\nwant one that begins with %q and advises %q", text, want, fix)
	}
	for _, s := range secrets {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			t.Fatalf("a problem repeats a secret:\n%s", text)
		}
	}
}

func TestAssetProblems(t *testing.T) {
	for name, tt := range map[string]struct{ src, want, fix string }{
		"files without path":      {"{kind: files}", `1:10: error: asset "a" has no path`, "path:"},
		"files with branches":     {"{kind: files, path: ., branches: [x]}", `1:36: error: asset "a": "branches" is for repositories, not files`, "remove"},
		"files with remote":       {"{kind: files, path: ., remote: /x}", `1:36: error: asset "a": "remote" is for repositories, not files`, ""},
		"git with include":        {"{kind: git, path: ., include: [x]}", `1:34: error: asset "a": "include" is for files, not repositories`, ""},
		"git with dump":           {"{kind: git, path: ., dump: [x]}", `1:34: error: asset "a": "dump" is for streams, not repositories`, ""},
		"sqlite with lfs":         {"{kind: sqlite, path: ., lfs: true}", `1:37: error: asset "a": "lfs" is for repositories, not databases`, ""},
		"stream with path":        {"{kind: stream, preset: d1, database: x, path: x}", `1:53: error: asset "a": "path" is for repositories and databases and files, not streams`, ""},
		"ours of git":             {"{kind: git, path: ., ours: [A]}", `1:34: error: asset "a": "ours" is for files, not repositories`, ""},
		"ours with value":         {"{kind: files, path: ., ours: ['A=hunter2']}", `1:43: error: this is no name of a variable`, "MY_SIGNING_KEY"},
		"env unencrypted":         {"{kind: files, path: ., include: ['apps/*/.env*']}", `1:36: error: asset "a" holds secrets, and backups are not encrypted`, "unencrypted: true"},
		"secret unencrypted":      {"{kind: files, path: ., secret: true}", `1:36: error: asset "a" holds secrets`, "encryption:"},
		"secret stream":           {"{kind: stream, preset: d1, database: x, secret: true}", `1:53: error: asset "a" holds secrets`, ""},
		"unencrypted alone":       {"{kind: files, path: ., unencrypted: true}", `1:36: error: asset "a" is not secret`, "secret: true"},
		"secret is text":          {"{kind: files, path: ., secret: 'yes'}", "1:44: error: secret must be true or false", "true or false"},
		"include outside":         {"{kind: files, path: ., include: [../x]}", `1:46: error: include: "../x" is no pattern`, "apps"},
		"include absolute":        {"{kind: files, path: ., include: [/etc/*]}", `1:46: error: include: "/etc/*" is no pattern`, ""},
		"include bracket":         {"{kind: files, path: ., exclude: ['[']}", `1:46: error: exclude: "[" is no pattern`, ""},
		"include stars":           {"{kind: files, path: ., include: ['a**']}", `1:46: error: include: "a**" is no pattern`, ""},
		"exclude of refs":         {"{kind: git, path: ., exclude: [pull/*]}", `1:44: error: exclude: "pull/*" is no pattern of refs`, "refs/pull"},
		"mirror name":             {"{kind: git, path: ., mirrors: {GitLab: /x}}", `1:44: error: "GitLab" is no name for a mirror`, "lower-case"},
		"mirror helper":           {"{kind: git, path: ., mirrors: {m: 'ext::sh'}}", `1:47: error: mirror "m": "ext::sh" is not the address`, "https"},
		"mirror token":            {"{kind: git, path: ., mirrors: {m: 'https://ghp_hunter2@h/x'}}", `1:47: error: mirror "m" contains a password`, "credential"},
		"mirror over http":        {"{kind: git, path: ., mirrors: {m: 'http://me:hunter2@h/x'}}", `1:47: error: mirror "m": "http://…@h/x" sends what is pushed`, ""},
		"mirror is remote":        {"{kind: git, remote: 'https://h/x.git', mirrors: {m: 'https://h/x/'}}", `1:52: error: asset "a": the mirror "m" is the remote itself`, ""},
		"mirrors alike":           {"{kind: git, path: ., mirrors: {m: 'https://h/x', n: 'https://h/x.git'}}", `1:65: error: the mirrors "m" and "n" are the same`, ""},
		"mirrors list":            {"{kind: git, path: ., mirrors: [x]}", "1:43: error: mirrors must be a map", ""},
		"build flat":              {"{kind: git, path: ., build: [pnpm, install]}", "1:42: error: a command of build must be a list", "[[pnpm"},
		"build outside":           {"{kind: git, path: ., build: [[../x]]}", `1:43: error: build: "../x" lies outside`, ""},
		"build nothing":           {"{kind: git, path: ., build: [[]]}", "1:42: error: a command of build names no program", ""},
		"assertion empty":         {"{kind: sqlite, path: x, assertions: [' ']}", "1:50: error: an assertion is empty", ""},
		"assertions text":         {"{kind: sqlite, path: x, assertions: x}", "1:49: error: assertions must be a list", "SELECT"},
		"stream alone":            {"{kind: stream}", `1:10: error: asset "a" has neither preset nor dump`, "preset:"},
		"stream without load":     {"{kind: stream, dump: [x]}", `1:10: error: asset "a" can be dumped and not be loaded`, "load:"},
		"preset and dump":         {"{kind: stream, preset: d1, database: x, dump: [x]}", `1:53: error: asset "a": the preset brings its own "dump"`, ""},
		"preset name":             {"{kind: stream, preset: mongodmp, workload: x}", `1:36: error: there is no preset "mongodmp"`, `"mongodump"`},
		"preset needs":            {"{kind: stream, preset: d1}", `1:10: error: asset "a": the preset "d1" needs "database"`, "database"},
		"preset foreign key":      {"{kind: stream, preset: mysql, database: x, config: y}", `1:56: error: asset "a": the preset "mysql" has no key "config"`, "host, user, port"},
		"namespace of nothing":    {"{kind: stream, preset: postgres, database: x, namespace: y}", `1:59: error: asset "a": "namespace" without workload`, "workload:"},
		"format of no preset":     {"{kind: stream, preset: postgres, database: x, format: tar}", `1:67: error: format: "tar" cannot be used`, "plain or custom"},
		"address for a variable":  {"{kind: stream, preset: mongodump, uri_env: 'mongodb://u:hunter2@h'}", `1:56: error: uri_env: "mongodb://…@h" cannot be used`, "name of the variable"},
		"option without preset":   {"{kind: stream, dump: [x], load: [x], host: y}", `1:50: error: asset "a": "host" belongs to a preset`, "preset:"},
		"option of a program":     {"{kind: stream, preset: postgres, database: -f}", `1:56: error: database: "-f" cannot be used`, "alone"},
		"database with password":  {"{kind: stream, preset: postgres, database: 'postgres://u:hunter2@h/d'}", "1:56: error: database: ", "without host and password"},
		"port":                    {"{kind: stream, preset: postgres, database: d, port: 65536}", `1:65: error: port: "65536" cannot be used`, "65535"},
		"oplog of one database":   {"{kind: stream, preset: mongodump, workload: w, database: d, oplog: true}", `1:73: error: asset "a": mongodump takes the oplog only of a whole instance`, ""},
		"workload as an option":   {"{kind: stream, preset: mongodump, workload: --all}", `1:57: error: workload: "--all" cannot be used`, "deployment/"},
		"critical file of stream": {"{kind: stream, preset: d1, database: x, critical_files: [x]}", `1:53: error: asset "a": "critical_files" is for`, ""},
	} {
		t.Run(name, func(t *testing.T) { expect(t, "assets: {a: "+tt.src+"}\n", tt.want, tt.fix, "hunter2") })
	}
}

// TestSecretsMayBeStoredOnRequest: the three ways to say that a file of variables may be
// backed up.
func TestSecretsMayBeStoredOnRequest(t *testing.T) {
	public, _ := recipient(t)
	for name, tt := range map[string]struct {
		src                 string
		secret, unencrypted bool
	}{
		"encrypted":   {"assets: {e: {kind: files, path: ., include: [.env]}}\nencryption: {method: age, recipients: [" + public + "]}", true, false},
		"unencrypted": {"assets: {e: {kind: files, path: ., include: [.env], unencrypted: true}}", true, true},
		"not secret":  {"assets: {e: {kind: files, path: ., include: [.env.example], secret: false}}", false, false},
	} {
		e, problems := estate.Load("l.yaml", []byte(tt.src))
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		} else if a := e.Assets[0]; a.Secret != tt.secret || a.Unencrypted != tt.unencrypted {
			t.Errorf("%s: secret %v, unencrypted %v", name, a.Secret, a.Unencrypted)
		}
	}
}
