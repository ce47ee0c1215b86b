package git

import (
	"fmt"
	"strings"
)

// scriptHead defines what the steps use. Git never runs a hook, a template or a
// configured program of what is being restored.
const scriptHead = `LC_ALL=C
GIT_CONFIG_NOSYSTEM=1
GIT_CONFIG_GLOBAL=/dev/null
GIT_TERMINAL_PROMPT=0
export LC_ALL GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_TERMINAL_PROMPT
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES || :
repo() {
	git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c protocol.ext.allow=never \
		-c safe.directory='*' --git-dir="$OUT" "$@"
}
hash() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}
# content FILE: unpacks content of Git LFS, if there is nothing else in the archive.
content() {
	if tar -tf "$1" | grep -Ev '^lfs/objects/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}$' || tar -tvf "$1" | grep -v '^-'; then
		echo "this does not belong into an archive of Git LFS content: $1" >&2
		exit 1
	fi
	tar -xof "$1" -C "$OUT"
}
`

// proveContent takes the hash of the list of objects and their number.
const proveContent = `got=$(cd "$OUT/lfs/objects" && find . -type f | sed 's|.*/||' | sort | hash | cut -d ' ' -f 1)
if test "$got" != %s; then
	echo "the objects of Git LFS are not those of the backup: $got" >&2
	exit 1
fi
(cd "$OUT/lfs/objects" && find . -type f | sed 's|^\(.*/\)\(.*\)$|\2  \1\2|' | hash -c >/dev/null)
echo "proved: %d objects of Git LFS"
`

// Script rebuilds a point into "$OUT", a bare repository, from the bundles in "$IN",
// and ends with the proof: refs, HEAD, and a full check by git. See vault.Kind.
func (Kind) Script(names, roles []string, facts []byte) string {
	f, err := ParseFacts(facts)
	if err != nil {
		return fmt.Sprintf("echo %s >&2\nexit 1\n", shellQuote("the facts of this restore point cannot be read: "+err.Error()))
	}
	var b strings.Builder
	b.WriteString(scriptHead)
	format := ""
	if f.ObjectFormat != "sha1" {
		format = " --object-format=" + f.ObjectFormat
	}
	fmt.Fprintf(&b, "git init --quiet --bare --template=%s \"$OUT\"\n", format)
	for i, name := range names {
		at := `"$IN"/` + shellQuote(name)
		role := Role
		if i < len(roles) {
			role = roles[i]
		}
		if role == Role || role == RoleLFS {
			fmt.Fprintf(&b, "echo \"step %d of %d: \"%s\n", i+1, len(names), shellQuote(name))
		}
		if role == RoleLFS {
			fmt.Fprintf(&b, "content %s\n", at)
		}
		if role != Role {
			continue
		}
		fmt.Fprintf(&b, "repo fetch --quiet --no-tags --prune --update-head-ok %s '+refs/*:refs/*'\n", at)
		// A detached HEAD may be all that holds its commits.
		// The pattern of ls-remote would take a branch called HEAD for it, too.
		fmt.Fprintf(&b, "if repo ls-remote %s | cut -f 2 | grep -qx HEAD; then repo fetch --quiet --no-tags %s HEAD; fi\n", at, at)
	}
	b.WriteString("rm -f \"$OUT/FETCH_HEAD\"\n")
	head, _ := decodeName(f.Head)
	if oid, detached := f.Detached(); detached {
		fmt.Fprintf(&b, "repo update-ref --no-deref HEAD %s\n", oid)
	} else if head != "" {
		fmt.Fprintf(&b, "repo symbolic-ref HEAD %s\n", shellQuote(head))
	}
	fmt.Fprintf(&b, `got=$( (repo show-ref --dereference || test $? -eq 1) | sort | hash | cut -d ' ' -f 1)
if test "$got" != %s; then
	echo "the refs are not those of the backup: $got" >&2
	exit 1
fi
repo fsck --full --no-dangling --no-progress
`, f.RefsSHA256)
	if f.LFS != nil && f.LFS.Stored > 0 {
		fmt.Fprintf(&b, proveContent, f.LFS.ObjectsSHA256, f.LFS.Stored)
	}
	fmt.Fprintf(&b, `echo "proved: %d refs and every object"
`, countRefs(f))
	return b.String()
}

func countRefs(f Facts) int {
	n := 0
	for _, line := range f.Refs {
		if !strings.HasSuffix(line, "^{}") && !strings.HasSuffix(line, `^{}"`) {
			n++
		}
	}
	return n
}

// shellQuote makes one word of a POSIX shell. Non-UTF-8 bytes pass as they are.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
