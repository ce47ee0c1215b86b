package files

import (
	"fmt"
	"strings"
)

// Script extracts a point with the stock tar into "$OUT"/files and proves it as Prove
// does but for the times: the hash of the list, which the archive brings along, then with
// the list the content of each file, the target of each link, and all types and modes.
func (Kind) Script(names, roles []string, facts []byte) string {
	f, err := readFacts(facts)
	if err == nil && f.ListSHA256 == "" && len(names) == 0 {
		return "mkdir -p \"$OUT\"\necho 'proved: the point holds nothing'\n"
	}
	if err != nil || f.ListSHA256 == "" || len(names) != 1 || len(roles) != 1 || roles[0] != roleTar {
		return "echo 'this point is not one archive with a list; it cannot be restored by this script' >&2\nexit 1\n"
	}
	return strings.NewReplacer("ARCHIVE", shellQuote(names[0]), "DIGEST", f.ListSHA256,
		"WORDS", fmt.Sprintf("%s, modes and SHA-256 of each", f.words())).Replace(script)
}

// script needs names without line breaks and in UTF-8, which is what archives have. A
// name is never text of the script.
const script = `mkdir -p "$OUT"
if [ -e "$OUT/files" ]; then
	echo "$OUT/files is there already; give an empty directory" >&2
	exit 1
fi
tar -x -p -f "$IN"/ARCHIVE -C "$OUT"
if command -v sha256sum >/dev/null 2>&1; then
	sha256() { sha256sum "$@"; }
else
	sha256() { shasum -a 256 "$@"; }
fi
unequal() {
	printf 'the files are not those of the backup: %s\n' "$1" >&2
	exit 1
}
list=$OUT/files.list
got=$(sha256 <"$list")
[ "${got%% *}" = DIGEST ] || unequal "the SHA-256 of their list is ${got%% *}"
cd "$OUT/files"
rest='[0-9][0-9]* [0-9][0-9]* [0-9][0-9]* -\{0,1\}[0-9][0-9]*'
if grep -q '^f ' "$list"; then
	sed -n "s/^f [0-7]* $rest \([0-9a-f]\{64\}\) /\1  .\//p" "$list" >"$IN/sums"
	sha256 -c "$IN/sums" >"$IN/sums.log" 2>&1 || unequal "$(grep -v ': OK$' "$IN/sums.log")"
fi
sed -n "s/^l 0777 $rest \([0-9a-f]\{64\}\) /\1 /p" "$list" >"$IN/links"
while IFS= read -r line; do
	got=$(readlink "./${line#* }") || unequal "${line#* } is no link"
	got=$(printf %s "$got" | sha256)
	[ "${got%% *}" = "${line%% *}" ] || unequal "the link ${line#* }"
done <"$IN/links"
sed -n "s/^\([fdl]\) \([0-7]*\) $rest [-0-9a-f]* /\1 \2 .\//p" "$list" | sort >"$IN/expected"
{
	find . -type l -print | sed 's/^/l 0777 /'
	for mode in $(sed -n 's/^[fd] \([0-7]*\) .*/\1/p' "$list" | sort -u); do
		find . -type f -perm "$mode" -print | sed "s/^/f $mode /"
		find . -type d ! -name . -perm "$mode" -print | sed "s/^/d $mode /"
	done
} | sort >"$IN/found"
cmp -s "$IN/expected" "$IN/found" || unequal "$(diff "$IN/expected" "$IN/found")"
[ "$(find . ! -name . -print | wc -l)" -eq "$(wc -l <"$IN/expected")" ] || unequal 'there are more than listed'
cd "$IN"
echo 'proved: WORDS'
`

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
