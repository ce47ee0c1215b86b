package estate

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Propose writes a lifeboat.yaml for what was observed. It teaches the keys: what is
// certain is there, what needs a decision or a credential is there as a comment. [Load]
// accepts it as it is.
func Propose(o Observed) []byte {
	p := &proposal{seen: o, names: map[string]bool{}}
	p.head()
	p.assets()
	p.apps()
	p.schedule()
	p.people()
	return []byte(p.b.String())
}

// proposal is the text in the making.
type proposal struct {
	b     strings.Builder
	seen  Observed
	names map[string]bool // of assets
}

// add writes a line. Text from outside comes in through [scalar] or [remark] only.
func (p *proposal) add(format string, args ...any) {
	fmt.Fprintf(&p.b, format+"\n", args...)
}

func (p *proposal) head() {
	slug := slug(p.seen.Name, "estate")
	p.add("# What is protected, where its backups live, and who is called. Every command of Lifeboat")
	p.add("# checks this file first. Relative paths start from its directory.")
	if p.seen.Truncated {
		p.add("# This directory is large: not all of it was looked at. Add what is missing.")
	}
	p.add("")
	if name := strings.TrimSpace(p.seen.Name); usable(name) {
		p.add("name: %s", scalar(name))
	}
	p.add(`
# The vault. This one lies on the disk beside what it protects: good to try things out, and
# no backup. When the disk dies, both are gone. Give it a bucket elsewhere:
#   vault: s3://company-backups/%[1]s?region=eu-west-1
# or gs://bucket, azblob://container. Credentials come from the environment.
vault: file:../%[1]s-vault?create=1
# copies: [gs://company-backups-2/%[1]s]   # every backup once more, best at another provider

# Whoever can read the vault can read what is in it, until you encrypt. Make one identity
# with age-keygen for every day and one to lie offline on paper, and put their public halves here:
# encryption:
#   method: age                            # or gpg, with passphrase: ./FILE
#   recipients: [age1...]
#   break_glass: age1...                   # when everything else is lost
#   identity: /etc/lifeboat/identity.txt   # only where backups are restored and verified
#   rotate_every: 90d

# How many of the newest to keep. Nothing is removed before "lifeboat vault prune --apply".
retention: {within: 2d, hourly: 24, daily: 14, weekly: 8, monthly: 12, yearly: 7}

# How fast something has to be back (rto), and how much may be lost (rpo).
tiers:`, slug)
	tiers := DefaultTiers()
	for _, name := range tierNames {
		p.add("  %s: {rto: %s, rpo: %s}", name, short(tiers[name].RTO), short(tiers[name].RPO))
	}
}

func (p *proposal) assets() {
	p.add("\nassets:")
	if p.seen.Repository {
		p.repository()
	}
	for _, db := range p.seen.Databases {
		if !usable(db) {
			continue
		}
		p.add("  %s:", p.key(path.Base(db), "database"))
		p.add("    kind: sqlite")
		p.add("    path: %s", scalar("./"+db))
		p.add("    tier: critical")
		p.add("    # assertions: [\"SELECT count(*) > 0 FROM users\"]   # true on a database that is worth keeping")
		p.add("    # erasures: {register: erasures.jsonl, statements: [\"DELETE FROM users WHERE id = :subject\"]}   # who asked to be forgotten stays so after a restore")
	}
	var include []string
	for _, d := range p.seen.Infrastructure {
		if usable(d) && !strings.ContainsAny(d, `*?[\`) && pathGlob(d+"/") && !slices.Contains(include, d+"/") {
			include = append(include, d+"/")
		}
	}
	if p.seen.Workflows {
		include = append(include, ".github/workflows/")
	}
	if len(include) > 0 {
		p.add("  %s:", p.key("infrastructure", ""))
		p.add("    kind: files")
		p.add("    path: .")
		p.add("    include: %s", flow(include))
	}
	if p.seen.Repository && deriveForge(p.seen.Remote).Service != "" {
		p.add("  %s:   # copies of branch protection that \"lifeboat run protection-backup\" makes", p.key("protection", ""))
		p.add("    kind: files")
		p.add("    path: .")
		p.add("    include: [protection/]")
	}
	if len(p.names) == 0 {
		p.add("  %s:", p.key(p.seen.Name, "everything"))
		p.add("    kind: files   # nothing better was found here: the whole directory")
		p.add("    path: .")
	}
	p.env()
	p.streams()
}

func (p *proposal) repository() {
	o := p.seen
	p.add("  %s:", p.key(o.Name, "repository"))
	p.add("    kind: git")
	p.add("    path: .")
	switch {
	case o.Remote == "":
		p.add("    # remote: git@git.example.org:company/repository.git   # what is shared; backups read from there")
	case !loads("remote", o.Remote):
		p.add("    # remote: %s   # cannot be used: https, ssh, file or a path", remark(show(o.Remote)))
	default:
		p.add("    remote: %s   # backups read from there, since a clone lags behind", scalar(o.Remote))
	}
	p.forge(o.Remote)
	var branches []string
	for _, b := range o.Branches {
		if short := strings.TrimPrefix(b, "refs/heads/"); branchName(short) && usable(short) && !slices.Contains(branches, short) {
			branches = append(branches, short)
		}
	}
	if len(branches) > 0 {
		p.add("    branches: %s", flow(branches))
	}
	var files []string
	for _, f := range o.CriticalFiles {
		if usable(f) && filepath.IsLocal(f) && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	if len(files) > 0 {
		p.add("    critical_files:   # a restore without them is none")
		for _, f := range files {
			p.add("      - %s", scalar(f))
		}
	}
	if o.LFS {
		p.add("    lfs: true   # .gitattributes names Git LFS")
	} else {
		p.add("    # lfs: true   # keep what Git LFS stores too")
	}
	for _, s := range o.Submodules {
		p.add("    # submodule %s: a repository of its own; give it an asset of its own", remark(s))
	}
	p.add("    # mirrors: {gitlab: \"https://gitlab.com/company/repository.git\"}   # pushed to by the runbook mirror-repository")
	p.add("    # clones: [/home/colleague/repository]   # of other people on this machine: they may have what a force push took")
	p.add("    # build: [[pnpm, install, --frozen-lockfile], [pnpm, run, build]]   # proves a restore")
	p.add("    tier: critical")
}

// env teaches how to keep secrets. It is a comment: without encryption it would be refused,
// and for that a person has to make a key.
func (p *proposal) env() {
	var patterns []string
	for _, e := range p.seen.EnvPatterns {
		if usable(e) && pathGlob(e) {
			patterns = append(patterns, e)
		}
	}
	if len(patterns) == 0 {
		p.add("  # %s:   # files with secrets; they need \"encryption:\" above", p.key("env", ""))
		patterns = []string{".env*", "apps/*/.env*", "packages/*/.env*"}
	} else {
		p.add("  # FOUND AND NOT PROTECTED YET: files of environment variables. They hold secrets, and are")
		p.add("  # not in git. Fill in \"encryption:\" above, then take away the marks here:")
		p.add("  # %s:", p.key("env", ""))
	}
	p.add("  #   kind: files")
	p.add("  #   path: .")
	p.add("  #   include: %s", flow(patterns))
	p.add("  #   secret: true")
	p.add("  #   # ours: [MY_SIGNING_KEY]   # secrets that we make ourselves: when they leak, they get random values")
	p.add("  #   tier: critical")
}

// streams teaches assets that need credentials of a program.
func (p *proposal) streams() {
	p.add("  # Anything that a program can dump. Its credentials come from the environment.")
	for _, d := range p.seen.D1 {
		if !usable(d.Config) || !plainName.MatchString(d.Name) {
			continue
		}
		p.add("  # %s:   # found", p.key(d.Name, "d1"))
		p.add("  #   {kind: stream, preset: d1, database: %s, config: %s}", scalar(d.Name), scalar("./"+d.Config))
	}
	p.add("  # %s:", p.key("auth", ""))
	p.add("  #   {kind: stream, preset: mongodump, namespace: production, workload: deployment/booking-app, database: auth_db}")
	p.add("  # %s:   # presets: mongodump, d1, postgres, mysql; or programs of your own", p.key("dump", ""))
	p.add("  #   {kind: stream, dump: [my-dump], load: [my-load]}")
	if p.seen.Kubernetes {
		p.add("  # (there are manifests for Kubernetes here: \"lifeboat schedule export --format kubernetes\")")
	}
}

// apps proposes what to stop before its data is replaced. What was found is what manifests
// name; in which cluster it runs only a person knows.
func (p *proposal) apps() {
	found := slices.DeleteFunc(slices.Clone(p.seen.Deployments), func(d string) bool { return !deploymentName.MatchString(d) || !assetName.MatchString(d) })
	if len(found) == 0 && !p.seen.Kubernetes {
		p.add(`
# Applications that are stopped before what they write to is replaced: by kubectl, or by any programs.
# apps:
#   booking-app:
#     {stop: [systemctl, stop, booking], start: [systemctl, start, booking], status: [systemctl, is-active, --quiet, booking], health: "http://127.0.0.1:8080/health"}`)
		return
	}
	p.add("\n# Applications that are stopped before what they write to is replaced. Without a context and a")
	p.add("# namespace the current ones of kubectl are meant: better name them.")
	if len(found) == 0 {
		p.add("# apps:")
		p.add("#   booking-app: {deployment: booking-app, context: production, namespace: default, health: \"https://booking.example.org/health\"}")
		return
	}
	p.add("apps:")
	for _, d := range found {
		p.add("  %s: {deployment: %s}   # context: production, namespace: default, health: \"https://example.org/health\"", scalar(d), scalar(d))
	}
}

func (p *proposal) schedule() {
	p.add(`
# When what runs by itself: minute hour day month weekday. "lifeboat schedule export" writes it
# for systemd, cron or Kubernetes; "lifeboat schedule run" does it in the foreground.
schedule:
  daily: {cron: "15 1 * * *", runbook: daily-backup, jitter: 10m}
  weekly: {cron: "15 2 * * 0", runbook: weekly-backup, jitter: 10m}
  monthly: {cron: "15 3 1 * *", runbook: monthly-archive, jitter: 10m}
  quarterly: {cron: "0 9 1 1,4,7,10 *", runbook: quarterly-simulation}   # begins by itself, then waits for its people
  # zone: Africa/Johannesburg, shards: 4 and params: {name: value} go into the braces too; the zone is UTC without
  # Whoever may lose only a quarter of an hour has to back up every quarter of an hour. This
  # reads back only what is new; the daily one proves all of it:
  often: {cron: "*/15 * * * *", runbook: daily-backup, params: {level: checked}}

# Who is told at once: a webhook, a service such as slack:// or ntfy://, a program that gets
# the message as JSON. "lifeboat alerts test" sends a test to each.
# alerts:
#   - {name: team, url: env:TEAM_ALERTS}   # the address is a secret, and stands in a variable
#   - command: [./alert.sh]
#     on: [verification-failed, backup-failed, backup-late]   # without "on": everything`)
}

func (p *proposal) people() {
	p.add(`
# Who is called, who answers alarms, who trains. "lifeboat status" names who was not verified for
# a quarter.
# contacts:
#   - {name: Technical Lead, phone: "+27 11 555 0100", email: lead@example.org, role: technical-lead, verified: 2026-11-29}
# responders: [Anna, Ben]
# trainees: [Carl]

# Paper that recovery depends on. It goes into the monthly archive.
# documents:
#   - {path: docs/contacts.md, review_every: 90d}

# How serious, what is done, and until when it should be over.
levels:`)
	for _, l := range DefaultLevels() {
		p.add("  %d: {impact: %s, response: %s, recovery: %s}", l.Number, scalar(l.Impact), scalar(l.Response), short(l.Recovery))
	}
}

// key is the key of an asset, with a name that no other has.
func (p *proposal) key(from, otherwise string) string { return scalar(p.name(from, otherwise)) }

// name makes a name for an asset that no other has.
func (p *proposal) name(from, otherwise string) string {
	base := slug(strings.TrimSuffix(from, path.Ext(from)), otherwise)
	if path.Ext(from) == "" || p.names[base] {
		base = slug(from, otherwise)
	}
	name := base
	for n := 2; p.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	p.names[name] = true
	return name
}

// slug makes a name of letters, digits and dashes.
func slug(s, otherwise string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if n := b.Len(); n > 0 && b.String()[n-1] != '-' {
			b.WriteByte('-')
		}
		if b.Len() >= 40 {
			break
		}
	}
	if out := strings.Trim(b.String(), "-"); out != "" && !privateKey(out) {
		return out
	}
	return otherwise
}

// usable says whether a text can stand in the file at all.
func usable(s string) bool {
	if strings.TrimSpace(s) == "" || len(s) > 1024 || !utf8.ValidString(s) {
		return false
	}
	return !privateKey(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// loads says whether an asset with this value for a key is accepted.
func loads(key, value string) bool {
	if !usable(value) {
		return false
	}
	_, problems := Load("/x/"+FileName, []byte("assets: {a: {kind: git, "+key+": "+scalar(value)+"}}"))
	return len(problems) == 0
}

// bare is what YAML reads as the text that it is, in a flow too.
var bare = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./@+-]*$`)

// scalar writes a text as YAML.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", ".":
	default:
		if bare.MatchString(s) && !strings.HasSuffix(s, ".") && !strings.HasPrefix(s, "..") {
			return s
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func flow(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = scalar(t)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// remark makes a text fit for a comment, in one line.
func remark(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// short writes a duration of whole minutes.
func short(d time.Duration) string {
	switch {
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}
