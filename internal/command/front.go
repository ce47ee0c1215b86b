package command

import (
	"context"
	"maps"
	"path/filepath"
)

// frontKey is how a context carries the directory of [InFront].
type frontKey struct{}

// InFront lets programs that are started with this context be found in a directory before
// all others: a sandbox has its own kubectl. It travels with the context of one run and
// not with the process, so that nothing that is outside of this run ever meets it. The
// directory goes to the front of the PATH of the programs as well.
func InFront(ctx context.Context, dir string) context.Context {
	if !filepath.IsAbs(dir) {
		return ctx // a relative directory is never searched
	}
	return context.WithValue(ctx, frontKey{}, dir)
}

// Find is [Look] as a program that is started with this context is found.
func Find(ctx context.Context, name string) (path string, err error) {
	return look(name, "", inFront(ctx, searchPath()))
}

func inFront(ctx context.Context, path string) string {
	if dir, ok := ctx.Value(frontKey{}).(string); ok {
		return cleanPath(dir + string(filepath.ListSeparator) + path)
	}
	return path
}

// withFront puts the directory of the context into the PATH of a program.
func withFront(ctx context.Context, c Cmd) Cmd {
	if _, ok := ctx.Value(frontKey{}).(string); !ok {
		return c
	}
	path, own := c.Env["PATH"]
	if !own {
		path = searchPath()
	}
	env := maps.Clone(c.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["PATH"] = inFront(ctx, path)
	c.Env = env
	return c
}
