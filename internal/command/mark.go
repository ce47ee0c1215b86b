package command

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"lifeboat/internal/printable"
)

// markName is the variable by which a program, and what it starts, can be found again.
const markName = "LIFEBOAT_MARK"

// markKey is how a context carries the mark of [Mark].
type markKey struct{}

// Mark lets programs that are started with this context be found by [Marked], also after
// Lifeboat was killed: they go on then, and what they do is not over yet. The mark is in
// their environment, so it must hold no secret.
func Mark(ctx context.Context, mark string) context.Context {
	return context.WithValue(ctx, markKey{}, mark)
}

func withMark(ctx context.Context, c Cmd) Cmd {
	mark, ok := ctx.Value(markKey{}).(string)
	if !ok {
		return c
	}
	env := map[string]string{markName: mark}
	maps.Copy(env, c.Env)
	c.Env = env
	return c
}

// Marked names the programs of this user that carry a mark and still run, with their
// process numbers: "git (4711)". Programs of others cannot be looked into; without /proc
// there are none to see.
func Marked(mark string) []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // its only error is a bad pattern
	want := []byte(markName + "=" + mark)
	var out []string
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		vars, err := os.ReadFile(filepath.Join(dir, "environ")) // of one that has ended it is empty
		if err != nil {
			continue
		}
		for one := range bytes.SplitSeq(vars, []byte{0}) {
			if bytes.Equal(one, want) {
				name, _ := os.ReadFile(filepath.Join(dir, "comm"))
				out = append(out, fmt.Sprintf("%s (%d)", printable.Line(string(bytes.TrimSpace(name))), pid))
			}
		}
	}
	return out
}
