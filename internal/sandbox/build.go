package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/sandbox/forge"
)

// builder makes the parts of a sandbox in dir, which becomes final.
type builder struct {
	dir, final string
	o          Options
}

func (b builder) path(name string) string { return filepath.Join(b.dir, name) }

func (b builder) build(ctx context.Context) error {
	for _, dir := range []string{"vault", "mongo", "protection", truthDir} {
		if err := os.Mkdir(b.path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(b.path("lifeboat.yaml"), []byte(estateFile), 0o600); err != nil {
		return err
	}
	filled := make(chan error, 1) // the database is filled while git works
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { filled <- fillDatabase(ctx, b.path("booking.db"), b.o) }()
	err := errors.Join(b.host(ctx), b.ci())
	if err == nil {
		err = b.repositories(ctx)
	}
	if err != nil {
		cancel()
	}
	if dberr := <-filled; err == nil && dberr != nil {
		err = fmt.Errorf("fill the database: %w", dberr)
	}
	if err != nil {
		return err
	}
	s := &Sandbox{dir: b.dir, marker: marker{Options: b.o}}
	if _, err := forge.New(s.Forge()); err != nil {
		return err
	}
	t, err := s.look(ctx)
	if err == nil {
		err = s.copyAuth(authTruth)
	}
	if err != nil {
		return err
	}
	return s.store(madeName, t)
}

const estateFile = `# The estate of a sandbox: everything in it may be broken.
name: Appointment booking (sandbox)
vault: file:./vault
contacts: # in a drill a facilitator answers these numbers
  - {name: S. Kaya, role: technical lead, phone: "+1 555 0142"}
  - {name: R. Moss, role: DevOps, phone: "+1 555 0163"}
  - {name: N. Abadi, role: security, phone: "+1 555 0171"}
  - {name: P. Osei, role: management, phone: "+1 555 0117"}
alerts: # reaches nobody: a host of the sandbox takes them
  - {name: team, url: "http://alerts.sandbox/team"}
retention: {within: 2d, daily: 14, weekly: 8, monthly: 12, yearly: 7}
assets:
  monorepo:
    kind: git
    path: monorepo
    remote: origin.git
    branches: [main, develop]
    critical_files:
      - README.md
      - package.json
      - pnpm-lock.yaml
      - apps/booking/package.json
      - apps/dashboard/package.json
      - packages/auth/package.json
    mirrors:
      gitlab: mirror.git
    forge: {service: github, project: company/monorepo, api: "http://forge.sandbox/github"}
    tier: critical
  booking:
    kind: sqlite
    path: booking.db
    assertions: ["SELECT count(*) > 0 FROM customers"]
    erasures:
      register: erasures.jsonl
      statements:
        - DELETE FROM payments WHERE appointment_id IN (SELECT id FROM appointments WHERE customer_id = :subject)
        - DELETE FROM appointments WHERE customer_id = :subject
        - DELETE FROM customers WHERE id = :subject
    tier: critical
  auth:
    kind: stream
    preset: mongodump
    workload: deployment/booking-app
    database: auth_db
  env:
    kind: files
    path: server
    include: ["apps/*/.env*", "packages/*/.env*"]
    secret: true
    unencrypted: true # a sandbox has nothing to hide
  infrastructure:
    kind: files
    path: server
    include: [infrastructure/, .github/workflows/]
  protection:
    kind: files
    path: protection # copies of branch protection
apps:
  booking-app:
    deployment: booking-app
    health: "http://booking.sandbox/health"
`

// repositories makes the origin with its history and the developer's clone of it.
func (b builder) repositories(ctx context.Context) error {
	origin := repo{dir: b.path("origin.git")}
	if err := (repo{dir: b.dir}).git(ctx, b.o.Now, "init", "--quiet", "--bare", "--template=", "origin.git"); err != nil {
		return err
	}
	if err := b.configure(); err != nil {
		return err
	}
	h := simulate(b.o.Seed, b.o.Commits, b.o.Now.Add(-3*time.Hour))
	ids, err := h.load(ctx, origin.dir, b.path("marks"))
	if err != nil {
		return err
	}
	d := desk{builder: b, repo: repo{dir: b.path("monorepo"), by: developer}, r: stream(b.o.Seed, "desk")}
	if err := d.clone(ctx, h.commits[h.early-1].at.Add(10*time.Minute)); err != nil {
		return err
	}
	if err := origin.git(ctx, b.o.Now, "update-ref", "refs/heads/main", ids[h.lines["main"].tip]); err != nil {
		return err
	}
	if err := h.reflogs(origin.dir, ids); err != nil {
		return err
	}
	return d.today(ctx)
}

// configure lets the origin keep reflogs, as a server should, and the objects that
// nothing leads to.
func (b builder) configure() error {
	f, err := os.OpenFile(b.path("origin.git/config"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("[core]\n\tlogAllRefUpdates = true\n[receive]\n\tautogc = false\n")
	return errors.Join(err, f.Close())
}

// desk is the working clone with all that a developer has in it and nowhere else.
type desk struct {
	builder
	repo
	r *random
}

// localBranch exists in the working clone only.
const localBranch = "feature/offline-calendar"

// clone makes the clone and the work of some days ago: three commits that were never
// pushed, and a stash. All of it ends in one pack.
func (d desk) clone(ctx context.Context, at time.Time) error {
	minutes := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	server := repo{dir: d.builder.dir, by: d.by}
	if err := server.git(ctx, at, "clone", "--quiet", "--no-local", "--template=", "--config", "user.name="+d.by.name,
		"--config", "user.email="+d.by.email, "--config", "pull.ff=only", "origin.git", "monorepo"); err != nil {
		return err
	}
	if err := d.git(ctx, minutes(4), "switch", "--quiet", "develop"); err != nil {
		return err
	}
	if err := d.git(ctx, minutes(5), "switch", "--quiet", "--create", localBranch); err != nil {
		return err
	}
	c := componentAt("packages/calendar")
	for i, subject := range []string{"keep a week of bookings on the device", "draw the calendar from the local copy", "say how old the local copy is"} {
		name := functionName(d.r, c)
		file := fmt.Sprintf("%s/src/offline-%d.ts", c.dir, i+1)
		if err := d.writeFile(file, "import { db } from \"@booking/db\";\n\n"+function(d.r, c, name)); err != nil {
			return err
		}
		if err := d.git(ctx, minutes(30*(i+1)), "add", "--", file); err != nil {
			return err
		}
		if err := d.git(ctx, minutes(30*(i+1)), "commit", "--quiet", "-m", "feat(calendar): "+subject); err != nil {
			return err
		}
	}
	if err := d.appendTo("packages/calendar/src/ranges.ts", "\n// half an idea: "+function(d.r, c, "rangesOffline")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"stash", "push", "--quiet", "-m", "half an idea about ranges"},
		{"switch", "--quiet", "main"},
		{"repack", "--quiet", "-a", "-d"},
	} {
		if err := d.git(ctx, minutes(120), args...); err != nil {
			return err
		}
	}
	return nil
}

// today fetches the newest commits, which stay loose objects, and leaves work in
// progress and env files lying about.
func (d desk) today(ctx context.Context) error {
	morning := d.o.Now.Add(-170 * time.Minute)
	if err := d.git(ctx, morning, "fetch", "--quiet", "origin"); err != nil {
		return err
	}
	if err := d.git(ctx, morning, "merge", "--quiet", "--ff-only", "origin/main"); err != nil {
		return err
	}
	booking, dashboard := componentAt("apps/booking"), componentAt("apps/dashboard")
	if err := d.appendTo("apps/booking/src/lib/pricing.ts", "\n"+function(d.r, booking, "priceWithVoucher")); err != nil {
		return err
	}
	if err := d.git(ctx, morning, "add", "--", "apps/booking/src/lib/pricing.ts"); err != nil {
		return err
	}
	if err := d.appendTo("apps/dashboard/src/lib/staff.ts", "\n"+function(d.r, dashboard, "staffOnCall")); err != nil {
		return err
	}
	if err := d.writeFile("apps/dashboard/src/lib/roster.ts", function(d.r, dashboard, "loadRoster")); err != nil {
		return err
	}
	for _, dir := range []string{"apps/booking", "apps/dashboard", "packages/auth", "packages/db"} {
		text := fmt.Sprintf("# local values, never committed\nDATABASE_URL=file:../../../booking.db\nNEXTAUTH_SECRET=sandbox-%016x\nSMS_PROVIDER_KEY=sandbox-%016x\n", d.r.next(), d.r.next())
		if err := d.writeFile(dir+"/.env", text); err != nil {
			return err
		}
	}
	if err := d.writeFile("apps/booking/.env.local", "NEXTAUTH_URL=http://localhost:3000\nLOG_LEVEL=debug\n"); err != nil {
		return err
	}
	return d.settle(ctx, morning)
}

// settle replaces the path of the making by that of the finished sandbox.
func (d desk) settle(ctx context.Context, at time.Time) error {
	if err := d.git(ctx, at, "remote", "set-url", "origin", filepath.Join(d.final, "origin.git")); err != nil {
		return err
	}
	for _, name := range []string{"FETCH_HEAD", "logs/HEAD", "logs/refs/heads/main", "logs/refs/remotes/origin/HEAD"} {
		file := filepath.Join(d.repo.dir, ".git", filepath.FromSlash(name))
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("settle the clone: %w", err)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(d.builder.dir), []byte(d.final)), 0o600); err != nil {
			return fmt.Errorf("settle the clone: %w", err)
		}
	}
	return nil
}

func (d desk) writeFile(name, text string) error {
	file := filepath.Join(d.repo.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

func (d desk) appendTo(name, text string) error {
	old, err := os.ReadFile(filepath.Join(d.repo.dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	return d.writeFile(name, string(old)+text)
}
