package app

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/command"
	"lifeboat/internal/estate"
	"lifeboat/internal/vault"
)

// TestStockWholeGit lets repositories live, with everything that happens to them, and
// restores each point, and the archive of each weekly one, with git, tar, gzip, age and
// gpg alone.
func TestStockWholeGit(t *testing.T) {
	t.Parallel()
	stock(t, "git", "tar", "gzip", "age", "gpg")
	seen := newTally()
	histories(t, 3*time.Second, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), false, seen)
		r := newRepository(rt, 25)
		w.live(rt, r, rapid.Permutation(r.changes()).Draw(rt, "order"))
		w.judge(r, w.sample(rt, nil))
		w.judgeMirrors()
	})
	seen.require(t, "encryption", seen.schemes, "none", "age", "gpg")
	seen.require(t, "classes", seen.classes, "", "daily", "weekly", "monthly", "quarterly")
	seen.require(t, "points", seen.kinds, vault.Full, vault.Incremental, vault.Empty)
	seen.require(t, "changes", seen.changes, sorted(gitChanges)...)
	t.Logf("%d points restored, mirrors %v", seen.restored, seen.mirrors)
}

// TestStockWholeGitSteps makes a chain grow step by step, until it is rolled up.
func TestStockWholeGitSteps(t *testing.T) {
	t.Parallel()
	stock(t, "git", "age")
	seen := newTally()
	histories(t, 0, func(rt *rapid.T) {
		w := newWhole(rt, newFolderBucket(rt), true, seen)
		r := newRepository(rt, 300)
		w.steps(rt, r, 32, func() { r.change(rt, rapid.SampledFrom(smallChanges).Draw(rt, "change")) })
	})
	seen.require(t, "points", seen.kinds, vault.Full, vault.Incremental, vault.RollUp)
}

// steps takes points after small changes until a chain of at least so many objects was
// rolled up and has grown again.
func (w *whole) steps(rt *rapid.T, s subject, chain int, change func()) {
	w.t.Helper()
	scheme := rapid.SampledFrom([]string{"none", "age"}).Draw(rt, "scheme")
	for after := 0; after < 3 && len(w.points) < 60; {
		change()
		w.wait(time.Duration(rapid.IntRange(1, 600).Draw(rt, "minutes")) * time.Minute)
		w.backup(s, scheme, "daily", false)
		if w.seen.kinds[vault.RollUp] > 0 {
			after++
		}
	}
	w.judge(s, w.sample(rt, func(p wholePoint) bool { return p.Kind == vault.RollUp || len(p.Chain) == w.seen.chain }))
	if w.seen.chain < chain {
		w.t.Errorf("the longest chain has %d objects", w.seen.chain)
	}
}

// judgeMirrors requires that every point of a class for which that is promised has the
// repository as one archive, and unpacks the archives as the protocol does.
func (w *whole) judgeMirrors() {
	w.t.Helper()
	for _, p := range w.points {
		var mirror *vault.Object
		for _, o := range p.Aux {
			if o.Role == "mirror" {
				mirror = &o
			}
		}
		if mirror == nil {
			if p.Class != "" && p.Class != "daily" && p.Kind != vault.Empty {
				w.t.Errorf("point %s of class %q (%s) has no mirror.tar.gz", p.ID, p.Class, p.Kind)
			}
			continue
		}
		w.seen.mirrors[mirror.Encryption.Scheme+" "+p.Kind]++
		folder, err := w.bucket.download([]string{mirror.Key})
		must(w.t, err)
		dir, err := os.MkdirTemp(w.dir, "mirror-")
		must(w.t, err)
		archive := w.bucket.at(folder, mirror.Key)
		open := map[string]string{
			"none": `cat "$1" >mirror.tar.gz`,
			"age":  `age -d -i "$AGE_IDENTITY" "$1" >mirror.tar.gz`,
			"gpg":  `gpg --homedir "$HOME" --no-autostart --batch --pinentry-mode loopback --passphrase-file "$GPG_PASSPHRASE_FILE" -d "$1" >mirror.tar.gz`,
		}[mirror.Encryption.Scheme]
		must(w.t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
		programs := []string{"sh", "tar", "gzip", mirror.Encryption.Scheme}
		if mirror.Encryption.Scheme == "none" {
			programs = programs[:3]
		}
		w.stockRun(dir, programs, false, "sh", "-euc", open+"\ngzip -t mirror.tar.gz\ntar -xzf mirror.tar.gz -C out", "sh", archive)
		found, err := filepath.Glob(filepath.Join(dir, "out", "*.git"))
		must(w.t, err)
		if len(found) != 1 {
			w.t.Fatalf("mirror.tar.gz of %s holds %q", p.ID, found)
		}
		if got := wholeGit(w.t, found[0]); got != p.state {
			w.t.Errorf("mirror.tar.gz of %s (%s):\n%s\nthe source was:\n%s", p.ID, p.Kind, got, p.state)
		}
	}
}

// repository is a bare repository that lives.
type repository struct {
	t   tester
	dir string
	n   int // of changes; makes content and times
}

var _ subject = (*repository)(nil)

// newRepository makes one with a branch of so many commits.
func newRepository(t tester, commits int) *repository {
	r := &repository{t: t, dir: filepath.Join(scratch(t), "mono repo.git")}
	r.git("init", "--quiet", "--bare", "--template=", r.dir)
	r.grow("refs/heads/main", "", commits)
	return r
}

func (r *repository) asset() vault.Asset {
	return vault.Asset{Name: "monorepo", Kind: estate.Git, Source: r.dir}
}

func (r *repository) kind(class string) vault.Kind {
	return gitKind(estate.Asset{Kind: estate.Git}, class)
}
func (r *repository) changes() []string          { return sorted(gitChanges) }
func (r *repository) during(backup func())       { backup() }
func (r *repository) state() string              { return gitState(r.t, r.dir) }
func (r *repository) restored(dir string) string { return wholeGit(r.t, dir) }

// forges keep these refs for themselves.
var forges = []string{"refs/pull/", "refs/merge-requests/", "refs/keep-around/", "refs/pull-requests/"}

// wholeGit is the state of a restored repository, in which git finds nothing wrong.
func wholeGit(t tester, dir string) string {
	t.Helper()
	tool(t, command.Git("", "--git-dir="+dir, "fsck", "--full", "--no-dangling", "--no-progress"))
	return gitState(t, dir)
}

// gitState asks git for everything that a backup must give back: all refs with what is
// behind tags, where HEAD leads, every object that is reachable.
func gitState(t tester, dir string) string {
	t.Helper()
	git := func(args ...string) string {
		c := command.Git("", append([]string{"--git-dir=" + dir}, args...)...)
		c.Env["GIT_NO_REPLACE_OBJECTS"] = "1"
		return tool(t, c)
	}
	var b strings.Builder
	for line := range strings.Lines(git("for-each-ref", "--format=%(objectname) %(objecttype) %(refname) %(*objectname)")) {
		hidden := false
		for _, f := range forges {
			hidden = hidden || strings.Contains(line, " "+f)
		}
		if !hidden {
			fmt.Fprintf(&b, "%q\n", line)
		}
	}
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	must(t, err)
	fmt.Fprintf(&b, "HEAD %q\n", head)
	args := []string{"rev-list", "--objects", "--no-object-names"}
	for _, f := range forges {
		args = append(args, "--exclude="+f+"*")
	}
	objects := lineSet(git(append(args, "--all")...))
	fmt.Fprintf(&b, "%d objects %x\n", strings.Count(objects, "\n")+1, sha256.Sum256([]byte(objects)))
	return b.String()
}

func (r *repository) git(args ...string) string { return r.feed("", args...) }

// feed runs git in the repository, with a clock that depends on the history alone.
func (r *repository) feed(stdin string, args ...string) string {
	r.t.Helper()
	if args[0] != "init" {
		args = append([]string{"--git-dir=" + r.dir}, args...)
	}
	c := command.Git("", args...)
	r.n++
	at := fmt.Sprintf("%d +0200", 1700000000+r.n*60)
	c.Env["GIT_AUTHOR_DATE"], c.Env["GIT_COMMITTER_DATE"] = at, at
	c.Stdin = strings.NewReader(stdin)
	return strings.TrimSuffix(tool(r.t, c), "\n")
}

func (r *repository) refs(prefix string) []string {
	return strings.Fields(r.git("for-each-ref", "--format=%(refname)", prefix))
}

func (r *repository) resolve(name string) string { return r.git("rev-parse", "--verify", name) }

func (r *repository) set(ref, oid string) {
	r.feed("update "+ref+"\x00"+oid+"\x00\x00", "update-ref", "-z", "--stdin")
}

func (r *repository) drop(ref string) {
	r.feed("delete "+ref+"\x00\x00", "update-ref", "-z", "--stdin")
}

// annotate makes or moves an annotated tag.
func (r *repository) annotate(name, target string) {
	r.git("tag", "-f", "-a", "-m", fmt.Sprint("tag ", r.n), name, target)
}

// grow adds commits to a ref, from a start that may be "" for an orphan.
func (r *repository) grow(ref, from string, commits int) {
	var in strings.Builder
	for i := range commits {
		r.n++
		at := 1700000000 + r.n*60
		fmt.Fprintf(&in, "commit %s\nauthor A <a@example.org> %d +0000\ncommitter C <c@example.org> %d +0000\ndata <<E\nchange %d\nE\n", ref, at, at, r.n)
		if i == 0 && from != "" {
			fmt.Fprintf(&in, "from %s\n", from)
		}
		fmt.Fprintf(&in, "M 100644 inline src/file%d\ndata <<E\n%s %d\nE\n\n", r.n%7, strings.Repeat("text ", 40), r.n)
		fmt.Fprintf(&in, "M 100755 inline noise%d\ndata <<E\n", r.n%5)
		for k := range 24 {
			fmt.Fprintf(&in, "%x\n", sha256.Sum256(fmt.Append(nil, r.n, k)))
		}
		in.WriteString("E\n\n")
	}
	r.feed(in.String(), "fast-import", "--quiet", "--force")
}

// change makes something happen, with a branch to which it can.
func (r *repository) change(rt *rapid.T, name string) {
	heads := r.refs("refs/heads")
	if len(heads) == 0 {
		r.grow("refs/heads/main", "", rapid.IntRange(1, 4).Draw(rt, "commits"))
		heads = []string{"refs/heads/main"}
	}
	gitChanges[name](r, rt, rapid.SampledFrom(heads).Draw(rt, "branch"))
}

var oddNames = []string{
	"refs/heads/-x", "refs/heads/grün/ünïcode-日本", "refs/heads/a'b\"c$(d)", "refs/heads/latin-\xe9t\xe9", "refs/heads/%s&;|<>!`",
	"refs/notes/commits", "refs/heads/deep/er/still", "refs/weird", "refs/heads/HEAD", "refs/tags/refs/heads/main", "refs/heads/" + strings.Repeat("l", 180),
}

// smallChanges always change something.
var smallChanges = []string{"rewind", "move a lightweight tag", "move an annotated tag"}

// gitChanges are what happens to repositories, by name.
var gitChanges = map[string]func(r *repository, rt *rapid.T, some string){
	"grow": func(r *repository, rt *rapid.T, some string) {
		r.grow(some, some+"^0", rapid.IntRange(1, 5).Draw(rt, "commits"))
	},
	"merge": func(r *repository, _ *rapid.T, some string) {
		r.grow("refs/heads/side", some+"^0", 1)
		r.grow(some, some+"^0", 1)
		tree := r.resolve(some + "^{tree}")
		r.set(some, r.git("commit-tree", "-m", "merge", "-p", r.resolve(some), "-p", r.resolve("refs/heads/side"), tree))
	},
	"force push": func(r *repository, _ *rapid.T, some string) { // replaced from some ancestor on
		r.grow("refs/heads/side", some+"^0", 2)
		r.set(some, r.resolve("refs/heads/side~1"))
		r.grow(some, some+"^0", 1)
	},
	"rewind": func(r *repository, _ *rapid.T, some string) { // and nothing put in its place
		r.grow(some, some+"^0", 2)
		r.set(some, r.resolve(some+"~1"))
	},
	"delete a branch": func(r *repository, _ *rapid.T, some string) { r.drop(some) },
	"rename a branch": func(r *repository, _ *rapid.T, some string) {
		r.set(fmt.Sprintf("refs/heads/renamed-%d", r.n), r.resolve(some))
		r.drop(some)
	},
	"orphan": func(r *repository, _ *rapid.T, _ string) { r.grow(fmt.Sprintf("refs/heads/orphan%d", r.n), "", 1) },
	"move a lightweight tag": func(r *repository, _ *rapid.T, some string) {
		r.set("refs/tags/light", r.resolve(some+"^0"))
		r.grow(some, some+"^0", 1)
		r.set("refs/tags/light", r.resolve(some))
	},
	"move an annotated tag": func(r *repository, _ *rapid.T, some string) {
		r.annotate("note", r.resolve(some))
		r.annotate("note", r.resolve(some))
	},
	"tag a tag": func(r *repository, _ *rapid.T, some string) {
		r.annotate("inner", r.resolve(some))
		r.annotate("outer", r.resolve("refs/tags/inner"))
	},
	"tag becomes another kind": func(r *repository, _ *rapid.T, some string) {
		r.set("refs/tags/note", r.resolve(some+"^{tree}"))
	},
	"tag a blob": func(r *repository, _ *rapid.T, _ string) {
		blob := r.feed(fmt.Sprint("blob ", r.n), "hash-object", "-w", "--stdin")
		r.set("refs/tags/blob", blob)
		r.annotate("blob-note", blob)
	},
	"tag a tree": func(r *repository, _ *rapid.T, some string) { r.set("refs/tags/tree", r.resolve(some+"^{tree}")) },
	"delete the tags": func(r *repository, _ *rapid.T, _ string) {
		for _, name := range r.refs("refs/tags") {
			r.drop(name)
		}
	},
	"twin": func(r *repository, _ *rapid.T, some string) { r.set("refs/heads/twin", r.resolve(some)) },
	"odd names": func(r *repository, rt *rapid.T, some string) {
		for range 3 {
			r.set(rapid.SampledFrom(oddNames).Draw(rt, "name"), r.resolve(some))
		}
	},
	"branch becomes directory": func(r *repository, _ *rapid.T, some string) { // a name that was a file in refs
		oid := r.resolve(some)
		for _, name := range r.refs("refs/heads/d") {
			r.drop(name)
			if name != "refs/heads/d" {
				r.set("refs/heads/d", oid)
				return
			}
		}
		r.set("refs/heads/d/e/f", oid)
	},
	"names that begin alike": func(r *repository, _ *rapid.T, some string) {
		oid := r.resolve(some)
		for _, name := range []string{"a", "ab", "a-b", "a.b", "aa/b"} {
			r.set("refs/heads/"+name, oid)
		}
	},
	"detach HEAD": func(r *repository, _ *rapid.T, some string) { // at a commit that no ref holds
		r.grow("refs/heads/gone", some+"^0", 1)
		r.git("update-ref", "--no-deref", "HEAD", r.resolve("refs/heads/gone"))
		r.drop("refs/heads/gone")
	},
	"move HEAD":   func(r *repository, _ *rapid.T, some string) { r.git("symbolic-ref", "HEAD", some) },
	"unborn HEAD": func(r *repository, _ *rapid.T, _ string) { r.git("symbolic-ref", "HEAD", "refs/heads/unborn") },
	"other things called HEAD": func(r *repository, _ *rapid.T, some string) { // and HEAD itself leads nowhere
		r.git("symbolic-ref", "HEAD", "refs/heads/unborn")
		r.set("refs/heads/HEAD", r.resolve(some))
		r.set("refs/remotes/fork/HEAD", r.resolve(some))
	},
	"symbolic ref": func(r *repository, _ *rapid.T, some string) {
		r.git("symbolic-ref", "refs/remotes/origin/HEAD", some)
	},
	"replaced commit": func(r *repository, _ *rapid.T, some string) {
		r.grow("refs/heads/other", "", 1)
		r.set("refs/replace/"+r.resolve(some+"^0"), r.resolve("refs/heads/other"))
		r.drop("refs/heads/other")
	},
	"link to another repository": func(r *repository, _ *rapid.T, some string) { // which is not there
		tree := r.feed("160000 commit "+r.resolve(some+"^0")+"\tlib\n", "mktree", "--missing")
		r.set(some, r.git("commit-tree", "-m", "submodule", "-p", r.resolve(some+"^0"), tree))
	},
	"hidden refs": func(r *repository, _ *rapid.T, some string) {
		r.grow("refs/pull/1/head", some+"^0", 1)
		r.set("refs/keep-around/x", r.resolve(some))
	},
	emptied: func(r *repository, _ *rapid.T, _ string) {
		r.git("symbolic-ref", "HEAD", "refs/heads/main")
		for _, name := range r.refs("refs") {
			r.feed("option no-deref\x00delete "+name+"\x00\x00", "update-ref", "-z", "--stdin")
		}
	},
	"pack the refs": func(r *repository, _ *rapid.T, _ string) { r.git("pack-refs", "--all") },
	"collect garbage": func(r *repository, _ *rapid.T, _ string) { // old tips are gone for good
		r.git("-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
	},
}
