package sandbox

import (
	"errors"
	"os"
	"path/filepath"
)

// ciFiles are a CI that really runs: it reads the workflow of a checkout and runs what it says.
// Its pnpm knows what the monorepo needs of it, and fails as the real one does.
func ciFiles() map[string]string {
	return map[string]string{
		"ci/ci.sh": `#!/bin/sh
# ci.sh DIRECTORY: runs the "run:" lines of .github/workflows/ci.yml in a checkout, one after
# the other. It ends with 0 when all of them do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$here/bin:$PATH
export PATH
cd "$1"
workflow=.github/workflows/ci.yml
test -s "$workflow" || { echo "there is no $workflow" >&2; exit 1; }
lines=$(sed -n 's/^ *-\{0,1\} *run: *//p' "$workflow")
test -n "$lines" || { echo "$workflow runs nothing" >&2; exit 1; }
printf '%s\n' "$lines" | while IFS= read -r line; do
	echo "+ $line"
	sh -euc "$line" </dev/null || { echo "FAILED: $line" >&2; exit 1; }
done
echo "passed"
`,
		"ci/bin/pnpm": `#!/bin/sh
# pnpm, as far as the workflow of the sandbox needs it.
case ${1-} in
install) test -s pnpm-lock.yaml || { echo " ERR_PNPM_NO_LOCKFILE  there is no pnpm-lock.yaml" >&2; exit 1; } ;;
run)
	grep -q "\"${2-}\":" package.json || { echo " ERR_PNPM_NO_SCRIPT  Missing script: ${2-}" >&2; exit 1; }
	echo "> $2"
	;;
*) echo "pnpm: ${1-}: not known here" >&2; exit 64 ;;
esac
`,
	}
}

// ci puts the CI beside the repositories.
func (b builder) ci() error {
	for name, text := range ciFiles() {
		path := b.path(filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			return err
		}
	}
	return nil
}
