package sandbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/printable"
)

// Verdict is what the oracle says about a sandbox.
type Verdict struct {
	Breakage  string   // that was suffered, "" for none
	Recovered bool     // every check holds
	Lost      []string // what is gone, or still out of everybody's reach
	Kept      []string // what is not where it was but safe in another place
	Checks    []Check
	Loss      *time.Duration // how much of the time before the harm is gone; nil: it was not measured
}

// Check is one thing that the oracle looked at itself.
type Check struct {
	Text     string
	OK       bool
	Evidence string
}

// Judge says whether the sandbox is as it was before it was broken: the shared
// repository with every commit that was on it, the working clone sound and with its own
// commits, the database whole. It uses plain git commands and reads the database itself;
// it changes nothing. It may be called at any time, also for a sandbox that was never
// broken: then it says whether a rehearsal did harm.
//
// What only the working clone had (commits, tags, the stash, uncommitted work) may have been
// put somewhere else in the sandbox; when it is nowhere it is in Lost and nothing is
// recovered, unless it was the breakage that took it. An error means that no judgement is possible, not that
// something is wrong with the sandbox.
func (s *Sandbox) Judge(ctx context.Context) (Verdict, error) {
	if err := s.still(); err != nil {
		return Verdict{}, fmt.Errorf("judge the sandbox: %w", err)
	}
	t, err := s.known()
	if err != nil {
		return Verdict{}, fmt.Errorf("judge the sandbox: %w", err)
	}
	common := judge{s: s, t: t, v: Verdict{Recovered: true}, tips: bundleTips(ctx, s.Vault())}
	dirs := append([]string{s.Origin(), s.Clone()}, common.otherRepos()...)
	common.repos = make([]holding, len(dirs))
	each(len(dirs), func(i int) { common.repos[i] = survey(ctx, repo{dir: dirs[i]}) })
	looks := []func(*judge, context.Context){(*judge).origin, (*judge).clone, (*judge).forge, (*judge).database, (*judge).auth, (*judge).host, (*judge).app, (*judge).own}
	if kind, err := findBreakage(t.Breakage); err == nil && kind.look != nil {
		looks = append(looks, kind.look)
	}
	parts := slices.Repeat([]judge{common}, len(looks))
	each(len(looks), func(i int) { looks[i](&parts[i], ctx) })
	if err := ctx.Err(); err != nil {
		return Verdict{}, fmt.Errorf("judge the sandbox: %w", err)
	}
	v := Verdict{Breakage: t.Breakage, Recovered: true}
	for _, p := range parts {
		v.Recovered = v.Recovered && p.v.Recovered
		v.Lost = append(v.Lost, p.v.Lost...)
		v.Kept = append(v.Kept, p.v.Kept...)
		v.Checks = append(v.Checks, p.v.Checks...)
		if p.v.Loss != nil {
			v.Loss = p.v.Loss
		}
	}
	return v, nil
}

// judge gathers a part of the verdict; it belongs to one goroutine.
type judge struct {
	s     *Sandbox
	t     truth
	v     Verdict
	tips  map[string]bool // commits that bundles in the vault end with
	repos []holding       // the origin, the clone, and whatever else lies in the sandbox
}

// each calls do for 0 to n-1 at the same time and waits.
func each(n int, do func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

func (j *judge) check(ok bool, text, evidence string) {
	j.v.Checks = append(j.v.Checks, Check{Text: text, OK: ok, Evidence: printable.Line(evidence)})
	j.v.Recovered = j.v.Recovered && ok
}

func (j *judge) lost(format string, args ...any) {
	j.v.Lost = append(j.v.Lost, printable.Line(fmt.Sprintf(format, args...)))
}

func (j *judge) kept(format string, args ...any) {
	j.v.Kept = append(j.v.Kept, printable.Line(fmt.Sprintf(format, args...)))
}

// holding is what a repository can still show.
type holding struct {
	repo
	name    string
	refs    map[string]string
	commits map[string]bool // reachable from its refs and its HEAD
	broken  error           // why refs or commits could not be read
}

func survey(ctx context.Context, r repo) holding {
	h := holding{repo: r, name: filepath.Base(r.dir), commits: map[string]bool{}}
	if h.refs, h.broken = refs(ctx, r); h.broken != nil {
		return h
	}
	ids, err := r.list(ctx, "rev-list", "--all")
	if err != nil {
		h.broken = err
		return h
	}
	entries, err := stashed(ctx, r, h.refs)
	if err != nil {
		h.broken = err
	}
	for _, id := range append(ids, entries...) {
		h.commits[id] = true
	}
	return h
}

// app checks that an application that was scaled has the replicas again that it had.
func (j *judge) app(context.Context) {
	now, err := j.cluster()
	if err == nil && now.Generation <= 1 {
		return // nobody has touched it
	}
	seen := fmt.Sprintf("%d of %d", now.Replicas, Replicas)
	if err != nil {
		seen = err.Error()
	}
	j.check(err == nil && now.Replicas == Replicas, "the application runs with the replicas that it had", seen)
}

// restarted checks that the application was stopped and started: it reads its environment
// when it starts.
func (j *judge) restarted(context.Context) {
	now, err := j.cluster()
	if err == nil && now.Generation == 0 {
		return // it has never run
	}
	seen := "it has run all the time"
	switch {
	case err != nil:
		seen = err.Error()
	case !now.Started.IsZero():
		seen = "it was stopped, and started"
	}
	read := !now.Started.IsZero()
	if name, newer := j.newerFile(now.Started); newer {
		read, seen = false, seen+", and "+name+" is newer"
	}
	j.check(err == nil && read, "the application has read its env files again", seen)
}

// newerFile names a file of the server that was written after the time.
func (j *judge) newerFile(at time.Time) (name string, found bool) {
	filepath.WalkDir(j.s.Server(), func(path string, d os.DirEntry, err error) error { // what is missing is judged elsewhere
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), keptPrefix):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(at) {
			name, _ = filepath.Rel(j.s.Server(), path)
			found = true
		}
		return nil
	})
	return name, found
}

func (j *judge) cluster() (now Cluster, err error) {
	text, err := os.ReadFile(j.s.runtime(clusterName))
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil // nobody has been in this sandbox, and it has never run
	}
	if err == nil {
		err = json.Unmarshal(text, &now)
	}
	return now, err
}

// otherRepos lists the repositories in the sandbox besides origin and clone, such as a
// damaged clone that was put aside.
func (j *judge) otherRepos() []string {
	var out []string
	for _, name := range glob(j.s.dir, "*/HEAD", "*/.git/HEAD", "*/*/HEAD", "*/*/.git/HEAD") {
		meta := filepath.Join(j.s.dir, filepath.Dir(name))
		dir := strings.TrimSuffix(meta, "/.git")
		_, err := os.Stat(filepath.Join(meta, "objects"))
		real, rerr := resolve(dir)
		if err == nil && rerr == nil && real == dir && !inside(dir, j.s.Origin()) && !inside(dir, j.s.Clone()) {
			out = append(out, dir)
		}
	}
	return out
}

// glob lists what matches below dir, whose own name may hold anything. What cannot be
// read matches nothing.
func glob(dir string, patterns ...string) []string {
	var out []string
	for _, p := range patterns {
		names, err := fs.Glob(os.DirFS(dir), p)
		if err == nil {
			out = append(out, names...)
		}
	}
	return out
}

// bundleTips reads what the git bundles in the vault end with, where they are neither
// compressed nor encrypted.
func bundleTips(ctx context.Context, vault string) map[string]bool {
	tips := map[string]bool{}
	_ = filepath.WalkDir(vault, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !isBundle(name) {
			return nil // what cannot be read keeps nothing
		}
		heads, err := repo{dir: vault}.list(ctx, "bundle", "list-heads", name)
		if err != nil {
			return nil
		}
		for _, line := range heads {
			id, _, _ := strings.Cut(line, " ")
			tips[id] = true
		}
		return nil
	})
	return tips
}

func isBundle(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len("# v2 git bundle\n"))
	if _, err := io.ReadFull(f, head); err != nil {
		return false
	}
	return string(head) == "# v2 git bundle\n" || string(head) == "# v3 git bundle\n"
}

// fsck is the check that the protocol makes.
func (j *judge) fsck(ctx context.Context, r repo, what string) {
	c := r.command(time.Time{}, "fsck", "--full", "--no-dangling", "--no-progress")
	result, err := command.Run(ctx, c)
	evidence := "no error"
	if err != nil {
		evidence = err.Error()
		if first, _, _ := strings.Cut(strings.TrimSpace(string(result.Stderr)), "\n"); first != "" {
			evidence = first
		}
	}
	j.check(err == nil, what+" passes git fsck --full", evidence)
}

// database checks the booking database.
func (j *judge) database(ctx context.Context) {
	const whole = "the booking database is whole"
	info, err := os.Lstat(j.s.Database())
	if err != nil || !info.Mode().IsRegular() {
		j.check(false, whole, "booking.db is no file")
		j.lost("the booking database")
		return
	}
	db, err := openDatabase(j.s.Database(), "ro")
	if err != nil {
		j.check(false, whole, err.Error())
		return
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		j.check(false, whole, err.Error())
		return
	}
	defer tx.Rollback()
	if err := sound(ctx, tx); err != nil {
		j.check(false, whole, err.Error())
	} else {
		j.check(true, whole, "integrity_check ok, foreign_key_check empty")
	}
	if j.t.Data != nil {
		j.restored(ctx, tx)
		return
	}
	var evidence []string
	ok := true
	for _, name := range slices.Sorted(maps.Keys(j.t.Rows)) {
		want := j.t.Rows[name]
		got, err := readTable(ctx, tx, name, want.Last)
		switch {
		case err != nil:
			ok = false
			evidence = append(evidence, fmt.Sprintf("%s: %v", name, err))
			j.lost("%s: the table cannot be read", name)
			continue
		case got.Rows < want.Rows:
			j.lost("%d of %d rows of %s", want.Rows-got.Rows, want.Rows, name)
		case got != want:
			j.lost("%s: rows have changed that nobody changes", name)
		}
		ok = ok && got == want
		evidence = append(evidence, fmt.Sprintf("%s %d of %d", name, got.Rows, want.Rows))
	}
	j.check(ok, "every row from before is there", strings.Join(evidence, ", "))
}

// sound makes SQLite's own checks and that of the schema version.
func sound(ctx context.Context, tx *sql.Tx) error {
	var said string
	if err := tx.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return errors.New(said)
	}
	var child string
	switch err := tx.QueryRowContext(ctx, "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1").Scan(&child); {
	case err == nil:
		return fmt.Errorf("a row of %s refers to nothing", child)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version != userVersion {
		return fmt.Errorf("user_version is %d, the app expects %d", version, userVersion)
	}
	return nil
}
