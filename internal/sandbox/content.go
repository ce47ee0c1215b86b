package sandbox

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// block is a piece of a file with a name of its own: a function, a dependency, a
// changelog entry. Two branches that touch different blocks merge without conflict,
// which is what the simulated team does.
type block struct{ key, text string }

// tree is the content of a commit before rendering. The slices are shared between
// branches and never changed in place.
type tree map[string][]block

// put replaces the block of that key or adds it at the end.
func (t tree) put(file, key, text string) {
	blocks := slices.Clone(t[file])
	if i := slices.IndexFunc(blocks, func(b block) bool { return b.key == key }); i >= 0 {
		blocks[i].text = text
	} else {
		blocks = append(blocks, block{key, text})
	}
	t[file] = blocks
}

// merge brings into t what other changed since base.
func (t tree) merge(other, base tree) {
	for _, file := range slices.Sorted(maps.Keys(other)) {
		for _, b := range other[file] {
			if !slices.Contains(base[file], b) {
				t.put(file, b.key, b.text)
			}
		}
	}
}

// changed lists the files of t that differ from old, in order.
func (t tree) changed(old tree) []string {
	var out []string
	for _, file := range slices.Sorted(maps.Keys(t)) {
		if !slices.Equal(t[file], old[file]) {
			out = append(out, file)
		}
	}
	return out
}

// render gives the bytes of a file.
func (t tree) render(file string) string {
	blocks := t[file]
	switch path.Base(file) {
	case "package.json":
		return renderPackage(file, blocks)
	case "pnpm-lock.yaml":
		return renderLock(blocks)
	case "CHANGELOG.md":
		var b strings.Builder
		b.WriteString("# Changelog\n")
		for _, entry := range slices.Backward(blocks) {
			b.WriteString("\n" + entry.text)
		}
		return b.String()
	}
	texts := make([]string, len(blocks))
	for i, b := range blocks {
		texts[i] = b.text
	}
	return strings.Join(texts, "\n")
}

func renderPackage(file string, blocks []block) string {
	name := "appointment-booking"
	scripts := `"build": "turbo run build", "test": "turbo run test", "lint": "turbo run lint"`
	if dir := path.Dir(file); dir != "." {
		name = "@booking/" + path.Base(dir)
		scripts = `"build": "tsc -p .", "test": "vitest run", "lint": "eslint src"`
	}
	version, deps := "0.1.0", []string{}
	for _, b := range blocks {
		if dep, ok := strings.CutPrefix(b.key, "dep:"); ok {
			deps = append(deps, fmt.Sprintf("    %q: %q", dep, b.text))
		} else if b.key == "version" {
			version = b.text
		}
	}
	slices.Sort(deps)
	list := "{}"
	if len(deps) > 0 {
		list = "{\n" + strings.Join(deps, ",\n") + "\n  }"
	}
	return fmt.Sprintf("{\n  \"name\": %q,\n  \"version\": %q,\n  \"private\": true,\n  \"scripts\": { %s },\n  \"dependencies\": %s\n}\n",
		name, version, scripts, list)
}

func renderLock(blocks []block) string {
	sorted := slices.Clone(blocks)
	slices.SortFunc(sorted, func(a, b block) int { return strings.Compare(a.key, b.key) })
	var b strings.Builder
	b.WriteString("lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n\npackages:\n")
	for _, dep := range sorted {
		sum := sha512.Sum512([]byte(dep.key + "@" + dep.text))
		fmt.Fprintf(&b, "\n  %s@%s:\n    resolution: {integrity: sha512-%s}\n    engines: {node: '>=20'}\n",
			strings.TrimPrefix(dep.key, "dep:"), strings.TrimPrefix(dep.text, "^"), base64.StdEncoding.EncodeToString(sum[:]))
	}
	return b.String()
}

// depend records a dependency in a package and in the lock file, as pnpm does.
func (t tree) depend(dir, name, version string) {
	t.put(path.Join(dir, "package.json"), "dep:"+name, "^"+version)
	t.put("pnpm-lock.yaml", "dep:"+name, "^"+version)
}

// component is an app or a package of the monorepo.
type component struct {
	dir     string
	deps    []string
	modules []string // below src
	nouns   []string // what its functions are about
}

func (c component) name() string { return path.Base(c.dir) }

var components = []component{
	{"packages/config", []string{"zod"}, []string{"env.ts", "flags.ts"}, []string{"Setting", "Flag", "Limit"}},
	{"packages/db", []string{"drizzle-orm", "better-sqlite3"}, []string{"schema.ts", "appointments.ts", "customers.ts"}, []string{"Appointment", "Customer", "Migration"}},
	{"packages/auth", []string{"next-auth", "jose"}, []string{"session.ts", "roles.ts", "tokens.ts"}, []string{"Session", "Role", "Token"}},
	{"packages/ui", []string{"react", "clsx"}, []string{"Button.tsx", "Calendar.tsx", "Dialog.tsx"}, []string{"Dialog", "Badge", "Calendar"}},
	{"apps/booking", []string{"next", "react", "zod"}, []string{"lib/availability.ts", "lib/pricing.ts", "api/appointments.ts", "app/page.tsx"}, []string{"Slot", "Booking", "Deposit", "Price"}},
	{"apps/dashboard", []string{"next", "react", "recharts"}, []string{"lib/reports.ts", "lib/staff.ts", "api/overview.ts", "app/page.tsx"}, []string{"Report", "Shift", "Revenue", "Booking"}},
	{"packages/calendar", []string{"date-fns", "rrule"}, []string{"ranges.ts", "recurrence.ts", "holidays.ts"}, []string{"Range", "Recurrence", "Holiday"}},
	{"apps/notifier", []string{"pino", "bullmq"}, []string{"queue.ts", "sms.ts", "email.ts"}, []string{"Reminder", "Message", "Receipt"}},
}

var versions = map[string]string{
	"zod": "3.23.8", "drizzle-orm": "0.36.1", "better-sqlite3": "11.5.0", "next-auth": "4.24.10", "jose": "5.9.6",
	"react": "18.3.1", "clsx": "2.1.1", "next": "14.2.18", "recharts": "2.13.3", "date-fns": "4.1.0", "rrule": "2.8.1",
	"pino": "9.5.0", "bullmq": "5.26.2", "turbo": "2.2.3", "typescript": "5.6.3", "vitest": "2.1.5", "eslint": "9.15.0",
}

// scaffold is one of the first commits: a message and what it adds.
type scaffold struct {
	message string
	add     func(t tree, r *random)
}

func scaffolds() []scaffold {
	list := []scaffold{{"chore: start the monorepo\n\nOne repository for the booking site, the dashboard and what they share.", addRoot}}
	for _, c := range components {
		list = append(list, scaffold{"feat(" + c.name() + "): add " + c.dir, func(t tree, r *random) { addComponent(t, r, c) }})
	}
	return append(list,
		scaffold{"infra: describe buckets, database and DNS in terraform", addTerraform},
		scaffold{"infra: add kubernetes manifests for the apps", addKubernetes},
		scaffold{"ci: build, deploy and nightly health check", addWorkflows},
		scaffold{"docs: write down the first decisions", addDocs})
}

func addRoot(t tree, _ *random) {
	t.put("README.md", "title", "# Appointment booking\n\nBooking site, staff dashboard and notifier in one pnpm workspace.\n")
	t.put("README.md", "start", "## Start\n\n    pnpm install --frozen-lockfile\n    cp .env.example apps/booking/.env\n    pnpm run dev\n")
	t.put("package.json", "version", "0.1.0")
	for _, dep := range []string{"turbo", "typescript", "vitest", "eslint"} {
		t.depend("", dep, versions[dep])
	}
	t.put("pnpm-workspace.yaml", "all", "packages:\n  - apps/*\n  - packages/*\n")
	t.put("turbo.json", "all", "{\n  \"tasks\": {\n    \"build\": { \"dependsOn\": [\"^build\"], \"outputs\": [\"dist/**\"] },\n    \"test\": {},\n    \"lint\": {}\n  }\n}\n")
	t.put("tsconfig.base.json", "all", "{\n  \"compilerOptions\": { \"strict\": true, \"target\": \"ES2022\", \"module\": \"ESNext\", \"moduleResolution\": \"Bundler\" }\n}\n")
	t.put(".gitignore", "all", "node_modules/\ndist/\n.next/\n.turbo/\n.env\n.env.local\n*.db\n")
	t.put(".editorconfig", "all", "root = true\n\n[*]\nindent_style = space\nindent_size = 2\nend_of_line = lf\n")
	t.put(".env.example", "all", "DATABASE_URL=file:../../booking.db\nNEXTAUTH_URL=http://localhost:3000\nNEXTAUTH_SECRET=\nSMS_PROVIDER_KEY=\n")
}

func addComponent(t tree, r *random, c component) {
	t.put(c.dir+"/package.json", "version", "0.1.0")
	for _, dep := range c.deps {
		t.depend(c.dir, dep, versions[dep])
	}
	t.put(c.dir+"/tsconfig.json", "all", "{\n  \"extends\": \"../../tsconfig.base.json\",\n  \"include\": [\"src\"]\n}\n")
	if strings.HasPrefix(c.dir, "apps/") || c.name() == "auth" || c.name() == "db" {
		t.put(c.dir+"/.env.example", "all", "LOG_LEVEL=info\n"+strings.ToUpper(c.name())+"_URL=\n"+strings.ToUpper(c.name())+"_SECRET=\n")
	}
	for _, m := range c.modules {
		file := c.dir + "/src/" + m
		t.put(file, "import", "import { z } from \"zod\";\nimport { log } from \"@booking/config\";\n")
		for range r.between(1, 3) {
			name := functionName(r, c)
			t.put(file, name, function(r, c, name))
		}
	}
	t.put(c.dir+"/src/index.test.ts", "import", "import { describe, expect, it } from \"vitest\";\n")
	if c.name() == "db" {
		t.put(c.dir+"/migrations/0001_init.sql", "all", schema)
	}
}

func addTerraform(t tree, _ *random) {
	const dir = "infrastructure/terraform/"
	t.put(dir+"main.tf", "all", "terraform {\n  required_version = \">= 1.9\"\n}\n\nprovider \"cloudflare\" {\n  api_token = var.cloudflare_token\n}\n")
	t.put(dir+"variables.tf", "cloudflare_token", "variable \"cloudflare_token\" {\n  type      = string\n  sensitive = true\n}\n")
	t.put(dir+"variables.tf", "region", "variable \"region\" {\n  type    = string\n  default = \"af-south-1\"\n}\n")
	t.put(dir+"buckets.tf", "backups", "resource \"aws_s3_bucket\" \"backups\" {\n  bucket = \"company-backups\"\n}\n")
	t.put(dir+"database.tf", "booking", "resource \"cloudflare_d1_database\" \"booking\" {\n  name = \"booking\"\n}\n")
}

func addKubernetes(t tree, _ *random) {
	for _, app := range []string{"booking", "dashboard", "notifier"} {
		t.put("infrastructure/k8s/"+app+".yaml", "deployment", deployment(app, 3, "0.1.0"))
		t.put("infrastructure/k8s/"+app+".yaml", "service", fmt.Sprintf(
			"---\napiVersion: v1\nkind: Service\nmetadata:\n  name: %[1]s-app\nspec:\n  selector: {app: %[1]s-app}\n  ports: [{port: 80, targetPort: 3000}]\n", app))
	}
}

func deployment(app string, replicas int, version string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %[1]s-app\nspec:\n  replicas: %[2]d\n  selector:\n    matchLabels: {app: %[1]s-app}\n"+
		"  template:\n    metadata:\n      labels: {app: %[1]s-app}\n    spec:\n      containers:\n        - name: %[1]s\n          image: registry.example/%[1]s:%[3]s\n", app, replicas, version)
}

func addWorkflows(t tree, _ *random) {
	for _, w := range []struct{ name, on, run string }{
		{"ci", "[push, pull_request]", "pnpm run lint && pnpm run test && pnpm run build"},
		{"deploy", "{push: {branches: [main]}}", "kubectl apply -f infrastructure/k8s"},
		{"repository-health", "{schedule: [{cron: '15 2 * * *'}]}", "git fsck --full --no-progress"},
	} {
		t.put(".github/workflows/"+w.name+".yml", "all", fmt.Sprintf(
			"name: %s\non: %s\njobs:\n  %s:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - uses: pnpm/action-setup@v4\n      - run: %s\n",
			w.name, w.on, w.name, w.run))
	}
}

func addDocs(t tree, _ *random) {
	t.put("docs/decisions.md", "title", "# Decisions\n")
	t.put("docs/decisions.md", "monorepo", "## One repository\n\nApps and packages change together, so they live together.\n")
	t.put("docs/on-call.md", "title", "# On call\n\nThe dashboard shows the error rate of the last hour. Call the technical lead above 2 %.\n")
}
