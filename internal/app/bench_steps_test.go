package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/command"
)

const benchStepCount = 100

// benchSteps runs a runbook of many steps that do nothing, headless, in the real
// program, beside a bash that runs the same commands.
func benchSteps(b *testing.B, t *table) {
	dir := b.TempDir()
	exe := buildProgram(b, dir)
	book := filepath.Join(dir, "hundred.md")
	text := &strings.Builder{}
	text.WriteString("---\ntitle: A hundred steps\nkind: procedure\nowner: bench\n---\n\n# A hundred steps\n\nNothing happens.\n")
	script := &strings.Builder{}
	for i := range benchStepCount {
		fmt.Fprintf(text, "\n## Step %d\n\n```sh effect=read\ntrue\n```\n", i+1)
		script.WriteString("/bin/true\n")
	}
	check(b, os.WriteFile(book, []byte(text.String()), 0o600))
	sh := filepath.Join(dir, "hundred.sh")
	check(b, os.WriteFile(sh, []byte(script.String()), 0o600))
	// The shell of a step is started anew for each; a bash for each command is the
	// closer comparison, one bash for all of them the more usual.
	each := filepath.Join(dir, "each.sh")
	check(b, os.WriteFile(each, []byte(strings.Repeat("bash -c true\n", benchStepCount)), 0o600))

	lifeboat := func(b *testing.B, parent, book string) time.Duration {
		state, err := os.MkdirTemp(parent, "state-")
		check(b, err)
		defer os.RemoveAll(state)
		return timed(b, func() error {
			r, err := command.Run(b.Context(), command.Cmd{
				Argv: []string{exe, "run", book, "--state", filepath.Join(state, "s"), "--quiet"}, Dir: dir, Env: map[string]string{"TERM": "dumb"},
			})
			if err != nil {
				return fmt.Errorf("%w\n%s%s", err, r.Stdout, r.Stderr)
			}
			return nil
		})
	}
	ours := func(b *testing.B, _ int) time.Duration { return lifeboat(b, dir, book) }
	stock := func(script string) func(b *testing.B, i int) time.Duration {
		return func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error { return sequence(b, dir, []string{"bash", script}) })
		}
	}
	t.measure(b, "bash", pair{work: "runbook of 100 steps", otherWay: "one bash, the same 100 commands", ours: ours, other: stock(sh)})
	t.measure(b, "bash_each", pair{work: "runbook of 100 steps", otherWay: "a bash for each of them", ours: ours, other: stock(each)})

	one := filepath.Join(dir, "one.md")
	check(b, os.WriteFile(one, []byte("---\ntitle: One step\nkind: procedure\nowner: bench\n---\n\n# One step\n\n## Step\n\n```sh effect=read\ntrue\n```\n"), 0o600))
	b.Run("overhead", func(b *testing.B) {
		perStep := func(state string) float64 {
			var list []float64
			for range rounds {
				d := lifeboat(b, state, book) - lifeboat(b, state, one)
				list = append(list, d.Seconds()*1000/(benchStepCount-1))
			}
			return median(list)
		}
		step, cost := perStep(dir), fsyncCost(b, dir)
		t.remark("one step, all in all", fmt.Sprintf("%.1f ms", step))
		t.remark("one fsync on this disk", short(cost))
		memory, err := os.MkdirTemp("/dev/shm", "lifeboat-bench-")
		if err != nil {
			t.remark("one step beyond its fsyncs", "not measured: there is no /dev/shm")
			return
		}
		defer os.RemoveAll(memory)
		shell := medianOf(func() time.Duration { return stock(each)(b, 0) }).Seconds() * 1000 / benchStepCount
		bare := perStep(memory)
		t.remark("one step where fsync costs nothing", fmt.Sprintf("%.1f ms, %.1f ms of it what a bash takes", bare, shell))
		t.limit(b, "one step beyond its fsyncs and its shell", bare-shell, 5, "ms")
		b.ReportMetric(step, "ms/step")
		b.ReportMetric(bare-shell, "ms/step_beyond_fsync")
		b.ReportMetric(0, "ns/op")
	})
}

func medianOf(f func() time.Duration) time.Duration {
	var list []time.Duration
	for range rounds {
		list = append(list, f())
	}
	return median(list)
}

// fsyncCost is what the disk takes to make a small append durable.
func fsyncCost(b *testing.B, dir string) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	check(b, err)
	defer f.Close()
	var list []time.Duration
	for range 100 {
		_, err := f.Write(make([]byte, 4096))
		check(b, err)
		list = append(list, timed(b, f.Sync))
	}
	return median(list)
}

// buildProgram builds the program, as make build does.
func buildProgram(b *testing.B, dir string) string {
	b.Helper()
	exe := filepath.Join(dir, "lifeboat")
	c := command.Cmd{Argv: []string{"go", "build", "-trimpath", "-o", exe, "lifeboat/cmd/lifeboat"}, Inherit: []string{"GO*", "XDG_CACHE_HOME"}}
	r, err := command.Run(b.Context(), c)
	if err != nil {
		b.Fatalf("%v\n%s", err, r.Stderr)
	}
	return exe
}
