package stream

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
)

// dumpWrapper runs its arguments as a command and ends its output with the trailer. It
// makes no file, because the root file system of a container is often read-only: tee
// writes into two pipes of the same shell. Descriptors: 3 is the real output, 4 collects
// the findings, 5 and 6 lead to the hash and to the counter.
const dumpWrapper = `t=$1
shift
command -v sha256sum >/dev/null 2>&1 && h=sha256sum || h='shasum -a 256'
for p in tee wc ${h%% *}; do command -v "$p" >/dev/null 2>&1 || { echo "the program $p is needed here" >&2; exit 127; }; done
exec 3>&1
r=$({ { { { "$@" 3>&- 4>&- 5>&- 6>&-; echo "rc $?" >&4; } | tee /dev/fd/5 /dev/fd/6 >&3; } 5>&1 | { s=$($h); echo "sum ${s%% *}" >&4; }; } 6>&1 | { n=$(wc -c); echo "len" $n >&4; }; } 4>&1)
set -- $r
while [ $# -gt 1 ]; do
	case $1 in rc) c=$2 ;; sum) s=$2 ;; len) n=$2 ;; esac
	shift 2
done
printf '\nLBEND1 %s %s %s %s\n' "$n" "$s" "$c" "$t"
exit "$c"`

// loadWrapper runs its arguments as a command on the dump that it is given. The dump is
// collected in a private file first, and compared with the number of bytes and the hash
// that it should have: a load that begins with half a dump ends with half a database.
// Nothing has begun then, which the codes of [notWhole] and [noRoom] say; no command can
// end with them.
const loadWrapper = `t=$1 n0=$2 s0=$3
shift 3
command -v sha256sum >/dev/null 2>&1 && h=sha256sum || h='shasum -a 256'
for p in wc cat ${h%% *}; do command -v "$p" >/dev/null 2>&1 || { echo "the program $p is needed here" >&2; exit 127; }; done
n=0 s=$s0 c=998
umask 077
if d=$(mktemp -d 2>/dev/null) && [ -d "$d" ]; then
	trap 'rm -rf "$d"' EXIT
	trap 'exit 1' HUP INT TERM
	if cat >"$d/dump" 2>/dev/null; then
		n=$(wc -c <"$d/dump") s=$($h <"$d/dump")
		n=$((n)) s=${s%% *}
		if [ "$n" = "$n0" ] && [ "$s" = "$s0" ]; then
			"$@" <"$d/dump"
			c=$?
		else
			c=999
		fi
	fi
fi
printf '\nLBEND1 %s %s %s %s\n' "$n" "$s" "$c" "$t"
[ "$c" -lt 256 ] && exit "$c"
exit 1`

// What the trailer of a load says in place of an exit code: the command was not started.
const (
	noRoom   = 998 // no private file could be made, or it did not fit
	notWhole = 999 // what arrived is not the dump
)

// throughWrapper is loadWrapper where there is no room for a file, as in a container whose
// root file system is read-only: it counts and hashes while the command reads. A command
// that ended well need not have read all: a mongorestore stops at the end of its archive.
// The rest is read then, so that count and hash say what arrived.
const throughWrapper = `t=$1
shift 3
command -v sha256sum >/dev/null 2>&1 && h=sha256sum || h='shasum -a 256'
for p in tee wc cat ${h%% *}; do command -v "$p" >/dev/null 2>&1 || { echo "the program $p is needed here" >&2; exit 127; }; done
exec 3>&1
r=$({ { { tee /dev/fd/5 /dev/fd/6 | { "$@" >&3 3>&- 4>&- 5>&- 6>&-; c=$?; [ $c -ne 0 ] || cat >/dev/null; echo "rc $c" >&4; }; } 5>&1 | { s=$($h); echo "sum ${s%% *}" >&4; }; } 6>&1 | { n=$(wc -c); echo "len" $n >&4; }; } 4>&1)
set -- $r
while [ $# -gt 1 ]; do
	case $1 in rc) c=$2 ;; sum) s=$2 ;; len) n=$2 ;; esac
	shift 2
done
printf '\nLBEND1 %s %s %s %s\n' "$n" "$s" "$c" "$t"
exit "$c"`

// wrap puts a wrapper before the part of argv that runs on the far side. The arguments
// stay arguments. The first one is a random mark for the trailer: without it a dump that
// itself holds a framed one, cut at the right place, would look whole.
func wrap(argv []string, wrapper string, more ...string) (wrapped []string, mark string) {
	random := make([]byte, 8)
	rand.Read(random) // never fails
	mark = hex.EncodeToString(random)
	at := slices.Index(argv, "--") + 1
	return slices.Concat(argv[:at], []string{"sh", "-c", wrapper, "sh", mark}, more, argv[at:]), mark
}

// trailer is what the far side says.
type trailer struct {
	bytes  int64
	sha256 string
	exit   int
}

// maxTrailer is more than a trailer can have: 8 + 18 + 1 + 64 + 1 + 3 + 1 + 16 + 1 bytes.
const maxTrailer = 128

var trailerForm = regexp.MustCompile(`^\nLBEND1 ([0-9]{1,18}) ([0-9a-f]{64}) ([0-9]{1,3}) ([0-9a-f]{16})\n$`)

// unframer passes on what it is given but for the trailer at the end. It holds back
// enough bytes that a trailer in any number of pieces is never passed on; what looks like
// one further ahead is part of the dump.
type unframer struct {
	to   io.Writer
	mark string // of the one trailer that counts
	held []byte
}

func (u *unframer) Write(p []byte) (int, error) {
	n := len(p)
	if spare := len(u.held) + len(p) - maxTrailer; spare > 0 {
		old := min(spare, len(u.held))
		if _, err := u.to.Write(u.held[:old]); err != nil {
			return 0, err
		}
		u.held = append(u.held[:0], u.held[old:]...)
		if spare -= old; spare > 0 {
			if _, err := u.to.Write(p[:spare]); err != nil {
				return 0, err
			}
			p = p[spare:]
		}
	}
	u.held = append(u.held, p...)
	return n, nil
}

// end passes on the rest and gives the trailer. Without one ok is false, and what was
// held back goes to the writer.
func (u *unframer) end() (t trailer, ok bool, err error) {
	at := bytes.LastIndex(u.held, []byte("\nLBEND1 "))
	rest := u.held
	if at >= 0 {
		if m := trailerForm.FindSubmatch(u.held[at:]); m != nil && string(m[4]) == u.mark {
			t.bytes, _ = strconv.ParseInt(string(m[1]), 10, 64) // the form leaves nothing to go wrong
			t.exit, _ = strconv.Atoi(string(m[3]))
			t.sha256, ok, rest = string(m[2]), true, u.held[:at]
		}
	}
	if len(rest) > 0 {
		_, err = u.to.Write(rest)
	}
	return t, ok, err
}

// match compares what arrived with what the far side sent.
func (t trailer) match(n int64, sum string) error {
	if t.bytes != n {
		return fmt.Errorf("%w: %d bytes arrived of %d", ErrCut, n, t.bytes)
	}
	if t.sha256 != sum {
		return fmt.Errorf("%w: what arrived has another SHA-256 than what was sent", ErrCut)
	}
	return nil
}
