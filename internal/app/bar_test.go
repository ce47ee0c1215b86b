package app

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBar lets a step report its progress and other lines come between: on a terminal the
// bar is wiped before each of them and never grows beyond a line of 80; elsewhere a line
// comes now and then, without control characters.
func TestBar(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{true, false} {
		now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
		var out strings.Builder
		b := &bar{w: &out, tty: tty, now: func() time.Time { return now }}
		const total = 300 << 20
		for i := range 61 {
			b.progress("write", int64(i)*total/60, total, "B")
			if i == 30 {
				fmt.Fprintln(b, "03:00:30 a line of somebody else")
			}
			now = now.Add(time.Second)
		}
		b.progress("next", 3, 0, "objects")
		fmt.Fprintln(b, "03:01:01 DONE")
		text := out.String()
		if tty {
			screen := strings.Split(text, wipe)
			for _, s := range screen {
				if line, _, _ := strings.Cut(s, "\n"); len(line) > 79 {
					t.Errorf("%d columns: %q", len(line), line)
				}
			}
			if n := strings.Count(text, "["); n < 50 {
				t.Errorf("%d bars in a minute", n)
			}
			for _, want := range []string{"[==========>.........]  50 %  150 MiB of 300 MiB, 5.0 MiB/s, 30s left" + wipe + "03:00:30 a line", "100 %  300 MiB of 300 MiB", wipe + "03:01:01 DONE\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%q", want, text)
				}
			}
			continue
		}
		if strings.ContainsAny(text, "\r\x1b[") {
			t.Errorf("control characters in %q", text)
		}
		if n := strings.Count(text, " % "); n != 4 {
			t.Errorf("%d lines of progress in a minute, want 4:\n%s", n, text)
		}
	}
}

// What is counted says its unit once, and how long it will take.
func TestBarCounts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	var out strings.Builder
	b := &bar{w: &out, tty: true, now: func() time.Time { return now }}
	for i := range int64(4) {
		b.progress("write", i*5000, 20000, "pages")
		now = now.Add(2 * time.Second)
	}
	if want := "[=====>..............]  25 %  5000 of 20000 pages, 6s left"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in %q", want, out.String())
	}
}

func TestBarWithoutATotal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	var out strings.Builder
	b := &bar{w: &out, tty: true, now: func() time.Time { return now }}
	for i := range int64(3) {
		b.progress("dump", i*1000, 0, "\x1b[31mobjects")
		now = now.Add(time.Second)
	}
	if got := out.String(); strings.Contains(got, "\x1b[31m") || !strings.Contains(got, "[....................]") {
		t.Errorf("%q", got)
	}
}
