package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	gitasset "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/vault"
)

// gitBench is one repository that is backed up both ways.
type gitBench struct {
	dir   string // of everything
	bare  string // the repository
	asset vault.Asset
}

// url is how both ways reach the repository: over the protocol that a server speaks.
func (g gitBench) url() string { return "file://" + filepath.ToSlash(g.bare) }

// place is a directory of one way and round.
func (g gitBench) place(b *testing.B, name string, round int) string {
	b.Helper()
	dir := filepath.Join(g.dir, fmt.Sprintf("%s-%d", name, round))
	check(b, os.RemoveAll(dir)) // of an earlier comparison
	check(b, os.MkdirAll(dir, 0o700))
	return dir
}

func (g gitBench) open(b *testing.B, dir string) *vault.Vault {
	b.Helper()
	v, err := vault.Open(b.Context(), "file://"+filepath.ToSlash(dir)+"?create=1", vault.Options{Version: "bench"})
	check(b, err)
	return v
}

// backup makes a point in the vault of dir.
func (g gitBench) backup(b *testing.B, dir string, full bool) (m vault.Manifest, took time.Duration) {
	b.Helper()
	took = timed(b, func() error {
		v := g.open(b, dir)
		defer v.Close()
		var err error
		m, err = v.Backup(b.Context(), g.asset, gitasset.Kind{}, vault.BackupOptions{Full: full})
		return err
	})
	return m, took
}

// stock is the way of the protocol: mirror clone, archive, copy to where backups are kept.
// What it writes is not made durable, unlike the vault.
func (g gitBench) stock(b *testing.B, dir, source string) (archive string, took time.Duration) {
	b.Helper()
	archive = filepath.Join(dir, "bucket", "repo.tar.gz")
	check(b, os.Mkdir(filepath.Dir(archive), 0o700))
	took = timed(b, func() error {
		return sequence(b, dir,
			[]string{"git", "clone", "--quiet", "--mirror", source, "backup-repo.git"},
			[]string{"tar", "-czf", "repo.tar.gz", "backup-repo.git"},
			[]string{"cp", "repo.tar.gz", archive},
		)
	})
	return archive, took
}

// sequence runs stock programs as a script does, one after the other.
func sequence(b *testing.B, dir string, calls ...[]string) error {
	b.Helper()
	for _, argv := range calls {
		c := command.Cmd{Argv: argv, Dir: dir}
		if argv[0] == "git" { // the same hardened git for both ways
			c = command.Git(dir, argv[1:]...)
		}
		if _, err := command.Run(b.Context(), c); err != nil {
			return err
		}
	}
	return nil
}

func benchGit(b *testing.B, t *table) {
	dir := b.TempDir()
	g := gitBench{dir: dir, bare: filepath.Join(dir, "origin.git")}
	made := timed(b, func() error { makeRepository(b, g.bare); return nil })
	g.asset = vault.Asset{Name: "monorepo", Kind: "git", Source: g.url()}
	size, err := treeSize(g.bare)
	check(b, err)
	t.remark("repository", fmt.Sprintf("%d MB, %d commits, made in %s", size/1e6, benchCommits, short(made)))

	t.measure(b, "full", pair{
		work: "full backup into the vault", otherWay: "mirror clone + tar -czf + copy", faster: 5,
		ours: func(b *testing.B, i int) time.Duration {
			_, took := g.backup(b, g.place(b, "vault", i), true)
			return took
		},
		other: func(b *testing.B, i int) time.Duration {
			_, took := g.stock(b, g.place(b, "stock", i), g.url())
			return took
		},
	})
	t.measure(b, "hardlinks", pair{
		work: "full backup into the vault", otherWay: "the same, clone by hard links",
		ours: func(b *testing.B, i int) time.Duration {
			_, took := g.backup(b, g.place(b, "vault", i), true)
			return took
		},
		other: func(b *testing.B, i int) time.Duration {
			_, took := g.stock(b, g.place(b, "stock", i), g.bare)
			return took
		},
	})
	g.restores(b, t)
	g.increments(b, t)
	benchMemory(b, t, g)
}

// increments backs up the work of a day, on a vault that has the day before.
func (g gitBench) increments(b *testing.B, t *table) {
	shelf := g.place(b, "daily", 0)
	g.backup(b, shelf, true)
	t.measure(b, "incremental", pair{
		work: "increment of five commits", otherWay: "mirror clone + tar -czf + copy", faster: 15,
		ours: func(b *testing.B, i int) time.Duration {
			addCommits(b, g.bare, uint64(100+i))
			quiet()
			m, took := g.backup(b, shelf, false)
			if m.Kind != vault.Incremental {
				b.Fatalf("the point is %s", m.Kind)
			}
			return took
		},
		other: func(b *testing.B, i int) time.Duration {
			_, took := g.stock(b, g.place(b, "stock", i), g.url())
			return took
		},
	})
}

// restores brings the repository back and proves it, from both kinds of backup.
func (g gitBench) restores(b *testing.B, t *table) {
	shelf := g.place(b, "restore-vault", 0)
	m, _ := g.backup(b, shelf, true)
	archive, _ := g.stock(b, g.place(b, "restore-stock", 0), g.url())
	bundle := filepath.Join(shelf, filepath.FromSlash(m.Chain[0].Key))
	restore := func(b *testing.B, i int) time.Duration {
		to := filepath.Join(g.place(b, "restored", i), "repo.git")
		return timed(b, func() error {
			v := g.open(b, shelf)
			defer v.Close()
			_, err := v.Restore(b.Context(), m, gitasset.Kind{}, to, vault.RestoreOptions{})
			return err
		})
	}
	by := func(name string, calls ...[]string) func(b *testing.B, i int) time.Duration {
		return func(b *testing.B, i int) time.Duration {
			dir := g.place(b, name, i)
			return timed(b, func() error { return sequence(b, dir, calls...) })
		}
	}
	fsck := []string{"git", "--git-dir=backup-repo.git", "fsck", "--full", "--no-progress"}
	t.measure(b, "restore_tar", pair{
		work: "verified restore", otherWay: "untar + git fsck --full", faster: 3, ours: restore,
		other: by("untar", []string{"tar", "-xzf", archive}, fsck),
	})
	clone := []string{"git", "clone", "--quiet", "--mirror", bundle, "backup-repo.git"}
	t.measure(b, "restore_bundle", pair{
		work: "verified restore", otherWay: "clone from the bundle + git fsck --full", faster: 3, ours: restore,
		other: by("cloned", clone, fsck),
	})
	t.measure(b, "restore_unproven", pair{
		work: "verified restore", otherWay: "clone from the bundle, nothing checked", ours: restore,
		other: by("cloned", clone),
	})
}

func treeSize(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
