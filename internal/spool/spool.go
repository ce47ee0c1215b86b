// Package spool keeps what steps print: every byte as it came, in files that cannot fill
// the disk, with a sparse index beside them so that a log of ten million lines opens at
// once.
//
//	04-push.1.log                              the first 256 MiB
//	04-push.1.log.idx                          its index
//	04-push.1.log.HEAD-START-LINES             a later part: see below
//	04-push.1.log.HEAD-START-LINES.idx         its index
//
// A log that grows past the first file goes on in parts of 64 MiB, and the oldest part is
// deleted whenever there are more than 1 GiB of them. The name of a part has three
// numbers: the bytes of the first file that are output, the bytes of output before the
// part, and the lines before it. So places in a log are bytes of output, and stay the same
// when parts go. Where some are gone, a line that says so ends the first file when the log
// is closed: "… 12 340 112 lines not kept …". Read in the order of their names, without
// the indexes, the files are the log, and that is what its SHA-256 is taken of.
//
// When the disk runs low, a log no longer grows: it keeps what it has, and the newest two
// megabytes in turn. A write that fails loses lines, never the step: how many is said in
// the log as soon as something can be written again.
//
// An index has a mark every 256 lines or 64 KiB, and every second, of 24 bytes in little
// endian: byte of output where a line begins, lines before it, Unix milliseconds. It is
// written after the bytes that it speaks of. It may be missing, cut off or damaged: a log
// is whole without it.
//
// A crash loses what was printed in the last 50 ms.
package spool

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limits say how much of a log is kept, and how soon it is on disk.
type Limits struct {
	Head   int64         // bytes of the first file
	Tail   int64         // bytes of all parts
	Part   int64         // bytes of one of them
	Buffer int           // bytes held in memory at most
	Every  time.Duration // how long they are held at most
	Floor  int64         // a disk with fewer bytes free is low
	Share  int64         // as is one with less than this percentage free
	Low    int64         // bytes that a log may still grow by then
}

// Standard is what steps get.
func Standard() Limits {
	return Limits{
		Head: 256 << 20, Tail: 1 << 30, Part: 64 << 20, Buffer: 256 << 10, Every: 50 * time.Millisecond,
		Floor: 1 << 30, Share: 5, Low: 2 << 20,
	}
}

// Kept is what is on disk of a closed log.
type Kept struct {
	Size   int64  // bytes of all files together
	SHA256 string // of all files in order, hexadecimal
	Parts  int    // files beyond the first
	Lost   int64  // bytes that were printed and are not kept
}

const (
	indexSuffix = ".idx"
	markLines   = 256
	markBytes   = 64 << 10
	markTime    = 1000 // ms
)

// part is where a file of a log stands in its output.
type part struct {
	name              string
	head, start, line int64
}

func partName(log string, head, start, line int64) string {
	return fmt.Sprintf("%s.%015d-%015d-%015d", log, head, start, line)
}

// parsePart reads the name of a part of a log.
func parsePart(log, name string) (p part, ok bool) {
	rest, ok := strings.CutPrefix(name, log+".")
	if !ok {
		return p, false
	}
	fields := strings.Split(rest, "-")
	if len(fields) != 3 {
		return p, false
	}
	var n [3]int64
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 62)
		if err != nil || len(f) != 15 {
			return p, false
		}
		n[i] = int64(v)
	}
	return part{name, n[0], n[1], n[2]}, n[0] <= n[1] && n[2] <= n[1]
}

// Belongs says whether a file name is that of a part or an index, and not of a log.
func Belongs(name string) bool {
	name = strings.TrimSuffix(filepath.Base(name), indexSuffix)
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return false
	}
	_, ok := parsePart(name[:i], name)
	return ok
}

// grouped writes a number with thin groups: 12 340 112.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// Record is the line that stands for lines that are not kept.
func Record(lines int64) string {
	if lines == 1 {
		return "… 1 line not kept …"
	}
	return "… " + grouped(lines) + " lines not kept …"
}
