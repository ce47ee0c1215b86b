package estate

import (
	"path/filepath"

	"github.com/goccy/go-yaml/ast"
)

// clones reads where other people's clones of a repository lie on this machine. They are
// only ever read: after a force push one of them may be the last that has a commit. A path
// that does not exist is no mistake of the file, since people come and go.
func (l *loader) clones(n ast.Node) (out []string) {
	texts, nodes := l.list(n, "clones")
	for i, t := range texts {
		if p := l.path(nodes[i], t); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// ownClone refuses the clone of the asset among those of other people: it is looked at anyway,
// and twice seen would read as seen by two.
func (l *loader) ownClone(a *Asset, n ast.Node) {
	for _, c := range a.Clones {
		if c == a.Path || filepath.IsAbs(a.Remote) && c == a.Remote {
			l.add(l.pos(n), "duplicate", "remove it; clones are those of other people", "%q is the asset's own path or remote", c)
		}
	}
}
