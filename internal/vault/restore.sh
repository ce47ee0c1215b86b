#!/bin/sh
# Restores the point @POINT@
# of @ASSET@ (@TYPE@), which holds nothing newer than @CUT@.
# It needs stock programs only: @NEEDS@.
#
#   sh restore.sh FOLDER_OF_DOWNLOADED_OBJECTS TARGET
#
# @CRYPT@
# Download these objects with any client of the bucket and keep their paths from d/ on,
# or copy the whole bucket (SHA-256 and key of each):
#
# @OBJECTS@
#
# TARGET must not exist. After an error nothing is left of it.
set -eu
umask 077
LC_ALL=C
export LC_ALL

die() {
	printf 'restore: %s\n' "$*" >&2
	exit 1
}

[ $# -eq 2 ] || die 'usage: sh restore.sh FOLDER_OF_DOWNLOADED_OBJECTS TARGET'
case $1 in /*) folder=$1 ;; *) folder=$PWD/$1 ;; esac
case $2 in /*) target=$2 ;; *) target=$PWD/$2 ;; esac
target=${target%/}
[ -d "$folder" ] || die "there is no folder $folder"
[ ! -e "$target" ] && [ ! -L "$target" ] || die "$target exists already; name a target that does not"
[ -d "${target%/*}/" ] || die "there is no folder ${target%/*}"

for program in @NEEDS@; do
	[ "$program" = sha256sum ] || command -v "$program" >/dev/null 2>&1 || die "the program $program is needed"
done
if command -v sha256sum >/dev/null 2>&1; then
	sum() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then
	sum() { shasum -a 256; }
else
	die 'the program sha256sum (or shasum) is needed'
fi
# @KEYS@

work=$target.restore-$$
mkdir "$work" || die "cannot make $work"
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
IN=$work/in
OUT=$work/out
mkdir "$IN"

# same FILE HASH: is the content of FILE what was backed up?
same() {
	[ -f "$1" ] || return 1
	found=$(sum <"$1") || return 1
	[ "${found%% *}" = "$2" ]
}

# unlock SCHEME FILE OUT: decrypts FILE, which was found to be as it was stored.
unlock() {
	case $1 in
	age) unlock_age "$2" "$3" ;;
	gpg) unlock_gpg "$2" "$3" ;;
	*) die "$2: unknown encryption $1" ;;
	esac
}
unlock_age() {
	age -d -i "$AGE_IDENTITY" "$1" >"$2" || die "$1 cannot be decrypted with the identity in $AGE_IDENTITY"
}
unlock_gpg() {
	mkdir -p -m 700 "$work/gpg"
	gpg --homedir "$work/gpg" --no-autostart --quiet --batch --pinentry-mode loopback \
		--passphrase-file "$GPG_PASSPHRASE_FILE" --output "$2" --decrypt "$1" 2>"$work/said" && return 0
	cat "$work/said" >&2
	die "$1 cannot be decrypted with the passphrase in $GPG_PASSPHRASE_FILE"
}

# take PATH SIZE HASH COMPRESSION NAME PLAIN_HASH ENCRYPTION: proves one stored object and
# puts its plain content into $IN.
take() {
	file=
	for place in "$folder/$1" "$folder/d/$1" "$folder/v1/a/@ASSET@/d/$1" "$folder/a/@ASSET@/d/$1" "$folder/@ASSET@/d/$1"; do
		if [ -f "$place" ]; then
			file=$place
			break
		fi
	done
	[ -n "$file" ] || die "the object d/$1 ($2 bytes) is not in $folder"
	same "$file" "$3" || die "$file is damaged: its SHA-256 is not $3"
	clear=$file
	if [ "$7" != none ]; then
		clear=$work/clear
		unlock "$7" "$file" "$clear"
	fi
	case $4 in
	gzip) gzip -dc <"$clear" >"$IN/$5" || die "$file cannot be decompressed" ;;
	none) cp "$clear" "$IN/$5" || die "$file cannot be copied" ;;
	*) die "$file: unknown compression $4" ;;
	esac
	rm -f "$work/clear"
	same "$IN/$5" "$6" || die "the content of $file is damaged: its SHA-256 is not $6"
	printf 'restore: %s is as it was stored\n' "$1"
}

# @TAKE@

(
# @KIND@
)

[ -e "$OUT" ] || die 'nothing was restored'
[ ! -e "$target" ] && [ ! -L "$target" ] || die "$target has appeared meanwhile"
mv "$OUT" "$target"
printf 'restore: done, %s is as it was at @CUT@\n' "$target"
