package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/command"
)

// write gives the history as one stream for git fast-import. All branches but main
// stand at their end; main stands where it was when the working clone was made.
func (h *history) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, c := range h.commits {
		fmt.Fprintf(out, "commit refs/heads/main\nmark :%d\nauthor %s <%s> %s\ncommitter %s <%s> %s\n",
			c.mark, c.by.name, c.by.email, c.by.stamp(c.at), c.by.name, c.by.email, c.by.stamp(c.at))
		data(out, c.message+"\n")
		for i, p := range c.parents {
			fmt.Fprintf(out, "%s :%d\n", [...]string{"from", "merge"}[min(i, 1)], p)
		}
		for _, file := range c.files {
			fmt.Fprintf(out, "M 100644 inline %s\n", file)
			data(out, c.tree.render(file))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.lines)) {
		mark := h.lines[name].tip
		if name == "main" {
			mark = h.early
		}
		fmt.Fprintf(out, "reset refs/heads/%s\nfrom :%d\n\n", name, mark)
	}
	for _, t := range h.tags {
		if t.message == "" {
			fmt.Fprintf(out, "reset refs/tags/%s\nfrom :%d\n\n", t.name, t.mark)
			continue
		}
		fmt.Fprintf(out, "tag %s\nfrom :%d\ntagger %s <%s> %s\n", t.name, t.mark, t.by.name, t.by.email, t.by.stamp(t.at))
		data(out, t.message+"\n")
	}
	return out.Flush()
}

func data(w io.Writer, text string) { fmt.Fprintf(w, "data %d\n%s\n", len(text), text) }

// load imports the history into an empty bare repository and returns the commit id of
// each mark.
func (h *history) load(ctx context.Context, origin, marks string) (map[int]string, error) {
	var in bytes.Buffer
	if err := h.write(&in); err != nil {
		return nil, err
	}
	c := command.Git(origin, "fast-import", "--quiet", "--force", "--export-marks="+marks)
	c.Stdin = &in
	if _, err := command.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("import the history: %w", err)
	}
	text, err := os.ReadFile(marks)
	if err != nil {
		return nil, fmt.Errorf("import the history: %w", err)
	}
	ids := map[int]string{}
	for entry := range strings.Lines(string(text)) {
		var mark int
		var id string
		if _, err := fmt.Sscanf(entry, ":%d %s", &mark, &id); err != nil {
			return nil, fmt.Errorf("import the history: mark %q: %w", entry, err)
		}
		ids[mark] = id
	}
	return ids, os.Remove(marks)
}

const noCommit = "0000000000000000000000000000000000000000"

// reflogs writes what a server would have logged of half a year of pushes. git itself
// has logged only the one import.
func (h *history) reflogs(origin string, ids map[int]string) error {
	id := func(mark int) string {
		if mark == 0 {
			return noCommit
		}
		return ids[mark]
	}
	for name := range h.lines {
		var b strings.Builder
		for _, p := range h.pushes {
			if p.branch == name {
				fmt.Fprintf(&b, "%s %s %s <%s> %s\tpush\n", id(p.old), id(p.new), p.by.name, p.by.email, p.by.stamp(p.at))
			}
		}
		file := filepath.Join(origin, "logs", "refs", "heads", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// repo is a git repository of the sandbox, as one person uses it.
type repo struct {
	dir string
	by  person
}

func (r repo) command(at time.Time, args ...string) command.Cmd {
	c := command.Git(r.dir, args...)
	if r.by.name != "" {
		for _, role := range []string{"AUTHOR", "COMMITTER"} {
			c.Env["GIT_"+role+"_NAME"] = r.by.name
			c.Env["GIT_"+role+"_EMAIL"] = r.by.email
			c.Env["GIT_"+role+"_DATE"] = r.by.stamp(at)
		}
	}
	return c
}

// git runs one git command at a moment of the story.
func (r repo) git(ctx context.Context, at time.Time, args ...string) error {
	_, err := command.Run(ctx, r.command(at, args...))
	return err
}

// out runs git for its output, without the newline at its end.
func (r repo) out(ctx context.Context, args ...string) (string, error) {
	b, err := command.Output(ctx, r.command(time.Time{}, args...))
	return strings.TrimRight(string(b), "\n"), err
}

// list runs git for the lines of its output.
func (r repo) list(ctx context.Context, args ...string) ([]string, error) {
	text, err := r.out(ctx, args...)
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}

// feed runs git with text as its input.
func (r repo) feed(ctx context.Context, text string, args ...string) error {
	c := r.command(time.Time{}, args...)
	c.Stdin = strings.NewReader(text)
	_, err := command.Run(ctx, c)
	return err
}
