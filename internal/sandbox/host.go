package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/sandbox/mongo"
)

// hostFiles are what a server of the estate has beside its code: settings with secrets
// that no repository holds, and the infrastructure as code.
func hostFiles(r *random) map[string]string {
	token := func() string { return hexText(r, 32) }
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

// host makes what the estate has beside its repository and its database.
func (b builder) host(ctx context.Context) error {
	r := stream(b.o.Seed, "host")
	for name, text := range hostFiles(r) {
		path := filepath.Join(b.path("server"), filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	if err := fillAuth(mongo.Store{Dir: b.path("mongo")}, b.o.Seed, b.o.Now); err != nil {
		return fmt.Errorf("fill the auth data: %w", err)
	}
	for name, text := range map[string]string{RegisterName: registerText, LogName: logText} {
		if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return (repo{dir: b.dir}).git(ctx, b.o.Now, "init", "--quiet", "--bare", "--template=", "mirror.git")
}
