package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// hostFiles are what a server of the estate has beside its code: settings with secrets
// that no repository holds, and the infrastructure as code.
func hostFiles(r *random) map[string]string {
	token := func() string {
		const hex = "0123456789abcdef"
		b := make([]byte, 32)
		for i := range b {
			b[i] = hex[r.below(len(hex))]
		}
		return string(b)
	}
	return map[string]string{
		"apps/booking/.env":                       "NODE_ENV=production\nDATABASE_URL=file:../../booking.db\nNEXTAUTH_SECRET=" + token() + "\n",
		"apps/booking/.env.local":                 "SMTP_PASSWORD=" + token() + "\n",
		"apps/dashboard/.env":                     "NODE_ENV=production\nSESSION_SECRET=" + token() + "\n",
		"packages/auth/.env":                      "JWT_SIGNING_KEY=" + token() + "\n",
		"infrastructure/main.tf":                  "resource \"kubernetes_deployment\" \"booking_app\" {\n  metadata { name = \"booking-app\" }\n  spec { replicas = 3 }\n}\n",
		"infrastructure/k8s/booking-app.yaml":     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: booking-app}\nspec: {replicas: 3}\n",
		".github/workflows/ci.yml":                "name: CI\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: pnpm install --frozen-lockfile\n      - run: pnpm run build\n",
		".github/workflows/branch-protection.yml": "name: Branch protection\non: {schedule: [{cron: '0 6 * * *'}]}\n",
	}
}

// authScript is the program of the sandbox that dumps and loads the sessions of people
// who are signed in. It stands for a database that only its own tools can read.
const authScript = `#!/bin/sh
# auth.sh dump|load DIRECTORY: the sessions, one in each line.
set -eu
case $1 in
dump) cat "$2/sessions" ;;
load)
	cat >"$2/sessions.new"
	mv "$2/sessions.new" "$2/sessions"
	;;
*) exit 64 ;;
esac
`

// host makes what the estate has beside its repository and its database.
func (b builder) host(ctx context.Context) error {
	r := stream(b.o.Seed, "host")
	for name, text := range hostFiles(r) {
		path := filepath.Join(b.path("server"), filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(b.path("auth"), 0o700); err != nil {
		return err
	}
	var sessions []byte
	for i := range 400 {
		sessions = fmt.Appendf(sessions, `{"_id":"%06x","user":"user%d@example.com","expires":"%s"}`+"\n", r.below(1<<24), i,
			b.o.Now.AddDate(0, 0, r.below(30)).UTC().Format("2006-01-02"))
	}
	for name, f := range map[string]struct {
		text []byte
		perm fs.FileMode
	}{"auth/sessions": {sessions, 0o600}, "auth/auth.sh": {[]byte(authScript), 0o700}} {
		if err := os.WriteFile(b.path(name), f.text, f.perm); err != nil {
			return err
		}
	}
	return (repo{dir: b.dir}).git(ctx, b.o.Now, "init", "--quiet", "--bare", "--template=", "mirror.git")
}
