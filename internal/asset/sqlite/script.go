package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Needs lists the stock programs of Script.
func (Kind) Needs() []string { return []string{"sqlite3", "sha256sum"} }

// Script restores a point with the stock sqlite3 program into "$OUT"/database.db: the
// base is copied, each log is put beside it as its -wal and checkpointed. It ends with
// integrity_check and the SHA-256 of the point, because sqlite3
// takes a log that is cut off or for another base without a word.
func (Kind) Script(names, roles []string, facts []byte) string {
	var f Facts
	var b strings.Builder
	if err := json.Unmarshal(facts, &f); err != nil || !isHash(f.DBSHA256) || len(names) != len(roles) {
		return "echo 'this point has no SHA-256 of its database; it cannot be restored by this script' >&2\nexit 1\n"
	}
	b.WriteString(`mkdir -p "$OUT"
db="$OUT/database.db"
if [ -e "$db" ]; then
	echo "$db is there already; give an empty directory" >&2
	exit 1
fi
`)
	for i, role := range roles {
		switch role {
		case roleBase:
			fmt.Fprintf(&b, "cp -- \"$IN\"/%s \"$db\"\nchmod u+rw \"$db\"\n", shellQuote(names[i]))
		case roleDelta:
			fmt.Fprintf(&b, `cp -- "$IN"/%s "$db-wal"
chmod u+rw "$db-wal"
sqlite3 -batch -bail -init /dev/null "$db" 'PRAGMA wal_checkpoint(TRUNCATE);' >/dev/null
rm -f -- "$db-wal" "$db-shm"
`, shellQuote(names[i]))
		}
	}
	fmt.Fprintf(&b, `check=$(sqlite3 -batch -bail -init /dev/null "$db" 'PRAGMA trusted_schema=OFF; PRAGMA integrity_check;')
keys=$(sqlite3 -batch -init /dev/null "$db" 'PRAGMA trusted_schema=OFF; PRAGMA foreign_key_check;' 2>&1) || :
rm -f -- "$db-wal" "$db-shm"
if [ "$check" != ok ]; then
	printf 'the database is not sound:\n%%s\n' "$check" >&2
	exit 1
fi
if [ -n "$keys" ]; then
	printf 'foreign keys do not hold, as when it was backed up:\n%%s\n' "$keys" >&2
fi
if command -v sha256sum >/dev/null 2>&1; then
	got=$(sha256sum <"$db")
else
	got=$(shasum -a 256 <"$db")
fi
if [ "${got%%%% *}" != %s ]; then
	echo "the database is not that of the backup: ${got%%%% *}" >&2
	exit 1
fi
echo "proved: the database is the one that was backed up, byte by byte"
`, f.DBSHA256)
	return b.String()
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
