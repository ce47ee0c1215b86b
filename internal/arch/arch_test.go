// Package arch holds the architecture of Lifeboat as a test.
//
// The tables below are a statement of policy. They are not to be changed to make a
// build pass: a new import across a layer, or a new place that talks to an SDK, needs
// a reason that a reviewer accepts, and the reason stands beside the entry.
//
// Imports are parsed in process. A test that asked the go command would be cached by
// "go test" and stay green after a forbidden import.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer of each package. A package imports packages of lower layers only.
var layer = map[string]int{
	"internal/secret":         0, // values that never print
	"internal/durable":        0, // files that survive a power cut
	"internal/hint":           0, // errors with advice
	"internal/printable":      0, // the sanitiser for hostile text
	"internal/console/widget": 0, // drawing, without knowledge of Lifeboat
	"runbooks":                0, // embed.FS: embedding cannot reach upward
	"themes":                  0, // embed.FS

	"internal/console/look": 1, // themes, colours, glyphs
	"internal/command":      1, // the only door to other programs; its errors carry hints and hostile text made harmless
	"internal/runbook":      1, // the grammar
	"internal/action":       1, // what an action is
	"internal/run":          1, // events, states, the fold
	"internal/spool":        1, // what steps print, on disk; above durable, and knows nothing of runs
	"internal/alert":        1, // what people are told; below the estate, which reads templates with it
	"internal/schedule":     1, // when something is due; below the estate, which reads lines of cron with it

	"internal/journal":       2,
	"internal/vault":         2,
	"internal/asset/git":     2,
	"internal/asset/sqlite":  2,
	"internal/asset/stream":  2,
	"internal/asset/files":   2,
	"internal/estate":        2,
	"internal/sandbox/forge": 2, // below the sandbox that it is a part of
	"internal/sandbox/mongo": 2, // programs of the sandbox; a store on disk and nothing of Lifeboat

	"internal/report":           3, // pure rendering: no clock, no I/O
	"internal/incident":         3, // above the estate, below all that show it
	"internal/engine":           3,
	"internal/builtin/git":      3,
	"internal/builtin/sqlite":   3,
	"internal/builtin/files":    3,
	"internal/builtin/stream":   3,
	"internal/builtin/secrets":  3,
	"internal/builtin/shell":    3,
	"internal/builtin/workload": 3, // one family: an application is stopped and started alike in a cluster and outside
	"internal/builtin/vault":    3,
	"internal/builtin/forge":    3,
	"internal/builtin/notify":   3,
	"internal/builtin/check":    3,
	"internal/sandbox":          3,

	"internal/builtin":      4, // the list: above its families, below all who are handed it
	"internal/drill":        4,
	"internal/sandbox/live": 4, // the process that makes a sandbox alive: above the sandbox, beside what judges it

	"internal/console": 5,
	"internal/runner":  5,

	"internal/app":                 6,
	"internal/console/consoletest": 6, // a person in front of a console, for tests of it and of app
	"cmd/lifeboat":                 7,
}

// never lists what a package must not import although its layer would allow it.
var never = map[string][]string{
	"cmd/lifeboat":     {"anything but internal/app"},
	"internal/runbook": {"internal/action", "internal/run", "os"},                                                                                                             // a grammar needs a text, not a file
	"internal/run":     {"internal/", "os", "math/rand", "crypto/rand"},                                                                                                       // the fold is the same everywhere and for ever
	"internal/journal": {"internal/engine", "internal/action"},                                                                                                                // it keeps facts and has no opinion
	"internal/vault":   {"internal/asset", "internal/action", "internal/run"},                                                                                                 // kinds of assets are handed in
	"internal/asset":   {"internal/vault", "internal/action"},                                                                                                                 // a kind works without a vault
	"internal/engine":  {"internal/journal", "internal/vault", "internal/builtin", "internal/sandbox", "os", "net", "charm.land"},                                             // no I/O of its own
	"internal/console": {"internal/journal", "internal/vault", "internal/builtin", "internal/sandbox", "internal/engine", "internal/drill", "os/exec", "net", "database/sql"}, // it asks, it never does
	"internal/runner":  {"internal/console"},
	"internal/report":  {"internal/engine", "internal/journal", "os", "net"}, // the same history gives the same report, anywhere
	"internal/drill":   {"internal/console", "internal/runner"},
	"internal/sandbox": {"internal/engine", "internal/console", "internal/builtin"}, // an oracle shares no code with what it judges
}

// fences say which packages may talk to what, and why.
var fences = []struct {
	module string
	may    []string
	why    string
}{
	{"os/exec", []string{"internal/command"}, "one place pins the environment, the session and the signals of children"},
	{"modernc.org/sqlite", []string{"internal/journal", "internal/asset/sqlite", "internal/builtin/sqlite", "internal/sandbox"}, "these own a database"},
	{"github.com/go-git/", []string{"internal/asset/git", "internal/builtin/git"}, "the git protocol, nowhere else"},
	{"github.com/google/go-github/", []string{"internal/builtin/forge"}, "who may change a branch of a forge"},
	{"gocloud.dev", []string{"internal/vault"}, "the vault is the only one who knows where backups lie"},
	{"filippo.io/age", []string{"internal/vault"}, "encryption happens where objects are written"},
	{"github.com/ProtonMail/", []string{"internal/vault"}, "encryption happens where objects are written"},
	{"github.com/aws/", []string{"internal/vault"}, "what gocloud leaves out: object lock, and the key that a KMS must use"},
	{"cloud.google.com/", []string{"internal/vault"}, "what gocloud leaves out: object lock"},
	{"github.com/Azure/", []string{"internal/vault"}, "what gocloud leaves out: what a container enforces"},
	{"github.com/nicholas-fedor/shoutrrr", []string{"internal/builtin/notify"}, "it takes no context and reads without end: one call, in a process of its own"},
	{"charm.land", []string{"internal/console", "internal/app"}, "drawing; app only styles the help of its commands"},
	{"github.com/spf13/cobra", []string{"internal/app"}, "the command line"},
	{"github.com/yuin/goldmark", []string{"internal/runbook", "internal/report"}, "the grammar, and runbooks on paper"},
	{"github.com/expr-lang/", []string{"internal/runbook", "internal/engine"}, "lint compiles conditions, the engine evaluates them"},
	{"mvdan.cc/sh", []string{"internal/runbook"}, "lint reads shell; nothing builds it"},
}

const root = "../.."

// source is one Go file that is no test.
type source struct {
	pkg     string
	path    string
	file    *ast.File
	fset    *token.FileSet
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, top := range []string{"cmd", "internal", "runbooks", "themes"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			s := source{pkg: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel), file: file, fset: fset}
			for _, i := range file.Imports {
				name, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					return err
				}
				s.imports = append(s.imports, name)
			}
			out = append(out, s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d files found: the test looks in the wrong place", len(out))
	}
	return out
}

// under says whether name is prefix or lies below it. A prefix that ends in a slash
// stands for everything below.
func under(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, strings.TrimSuffix(prefix, "/")+"/")
}

func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		mine, ok := layer[s.pkg]
		if !ok {
			t.Errorf("%s: package %s has no layer; give it one, with its reason", s.path, s.pkg)
			continue
		}
		for _, name := range s.imports {
			short, internal := strings.CutPrefix(name, "lifeboat/")
			if !internal {
				continue
			}
			if theirs, ok := layer[short]; !ok || theirs >= mine {
				t.Errorf("%s imports %s: layer %d may not import layer %d", s.path, short, mine, theirs)
			}
			if s.pkg == "cmd/lifeboat" && short != "internal/app" {
				t.Errorf("%s imports %s: the command only calls app", s.path, short)
			}
		}
	}
}

func TestNever(t *testing.T) {
	for _, s := range sources(t) {
		for pkg, banned := range never {
			if !under(s.pkg, pkg) || s.pkg == "internal/console/widget" && pkg == "internal/console" {
				continue
			}
			for _, name := range s.imports {
				short := strings.TrimPrefix(name, "lifeboat/")
				for _, b := range banned {
					if under(short, b) {
						t.Errorf("%s imports %s: %s must never import %s", s.path, name, pkg, b)
					}
				}
			}
		}
	}
}

func TestFences(t *testing.T) {
	for _, s := range sources(t) {
		for _, f := range fences {
			for _, name := range s.imports {
				inside := slices.ContainsFunc(f.may, func(p string) bool { return under(s.pkg, p) })
				if strings.HasPrefix(name, f.module) && !inside {
					t.Errorf("%s imports %s: only %s may: %s", s.path, name, strings.Join(f.may, ", "), f.why)
				}
			}
		}
	}
}

// TestHabits looks for what makes code depend on hidden state: package-level init
// functions, blank imports that register something, contexts made below app, exits and
// panics out of reach of main, the environment read behind everybody's back.
func TestHabits(t *testing.T) {
	type habit struct {
		call string
		may  []string
	}
	habits := []habit{
		{"context.Background", []string{"internal/app"}},
		{"context.TODO", nil},
		{"os.Exit", []string{"cmd/lifeboat"}},
		{"log.Fatal", nil},
		{"os.Getenv", []string{"internal/app"}},
		{"os.LookupEnv", []string{"internal/app"}},
		{"os.Environ", []string{"internal/app", "internal/command"}}, // command picks its allow-list from it
		{"time.Sleep", nil},
	}
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			driver := i.Path.Value == `"modernc.org/sqlite"` // database/sql knows no other way to name a driver
			if i.Name != nil && i.Name.Name == "_" && i.Path.Value != `"embed"` && !driver {
				t.Errorf("%s: blank import of %s", s.path, i.Path.Value)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: func init", s.fset.Position(n.Pos()))
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				for _, h := range habits {
					if x.Name+"."+sel.Sel.Name == h.call && !slices.ContainsFunc(h.may, func(p string) bool { return under(s.pkg, p) }) {
						t.Errorf("%s: %s", s.fset.Position(n.Pos()), h.call)
					}
				}
			}
			return true
		})
	}
}

// TestPackageComments: every package says what it is for, once.
func TestPackageComments(t *testing.T) {
	said := map[string][]string{}
	pkgs := map[string]bool{}
	for _, s := range sources(t) {
		pkgs[s.pkg] = true
		if s.file.Doc != nil {
			said[s.pkg] = append(said[s.pkg], s.path)
		}
	}
	for pkg := range pkgs {
		if len(said[pkg]) != 1 {
			t.Errorf("%s: %d package comments: %v", pkg, len(said[pkg]), said[pkg])
		}
	}
}

// maxLines bounds a function. Beyond it stands a comment that begins "Long because".
const maxLines = 80

func TestFunctionLength(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line
			if n > maxLines && !strings.Contains(f.Doc.Text(), "Long because") {
				t.Errorf("%s: %s has %d lines", s.fset.Position(f.Pos()), f.Name.Name, n)
			}
		}
	}
}

// TestTopLevel holds the fixed top level.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	fixed := []string{"cmd", "internal", "runbooks", "themes", "go.mod", "go.sum", "Makefile", "README.md", "bin", "lifeboat"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(fixed, e.Name()) {
			t.Errorf("%s stands at the top level, which is fixed", e.Name())
		}
	}
}

// TestReadmeMap keeps the map of the code in the README that of the table above.
func TestReadmeMap(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for pkg, n := range layer {
		if row := "| " + strconv.Itoa(n) + " | `" + pkg + "` |"; !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row %q", row)
		}
	}
}
