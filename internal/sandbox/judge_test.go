package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/sandbox"
)

type expected struct {
	recovered bool
	failing   []string // parts of the texts of checks that must fail, and no others
	lost      []string // parts of entries, one each; nil: nothing may be lost
	kept      []string
}

func judge(t *testing.T, s *sandbox.Sandbox, want expected) {
	t.Helper()
	v, err := s.Judge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Recovered != want.recovered {
		t.Errorf("recovered: %v", v.Recovered)
	}
	var failing []string
	for _, c := range v.Checks {
		if c.Text == "" || c.Evidence == "" {
			t.Errorf("check %+v says nothing", c)
		}
		if !c.OK {
			failing = append(failing, c.Text)
		}
	}
	for _, list := range []struct {
		what      string
		got, want []string
	}{{"failing", failing, want.failing}, {"lost", v.Lost, want.lost}, {"kept", v.Kept, want.kept}} {
		if len(list.got) != len(list.want) {
			t.Errorf("%s: %d entries, want %d:\n%s", list.what, len(list.got), len(list.want), strings.Join(list.got, "\n"))
			continue
		}
		for _, part := range list.want {
			if !slices.ContainsFunc(list.got, func(s string) bool { return strings.Contains(s, part) }) {
				t.Errorf("%s: no %q in\n%s", list.what, part, strings.Join(list.got, "\n"))
			}
		}
	}
}

func many(n int, part string) []string { return slices.Repeat([]string{part}, n) }

func TestJudgeForcePush(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.ForcePush)
	const (
		contains = "main contains the last good commit"
		every    = "every commit that the push dropped"
		others   = "the other branches and tags"
	)
	good := func(t *testing.T, s *sandbox.Sandbox) string { return id(t, s.Origin(), "main@{1}") }
	push := func(t *testing.T, s *sandbox.Sandbox, args ...string) {
		git(t, s.Clone(), append([]string{"push", "--force"}, args...)...)
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox)
		want expected
	}{
		"nothing done": {
			func(*testing.T, *sandbox.Sandbox) {},
			expected{false, []string{contains, every}, many(5, "no ref leads to it, origin.git still has its object"), many(9, "monorepo")},
		},
		"by hand, the demo kept": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/lifeboat/7f3a/bad", "main")
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s))
			},
			expected{true, nil, nil, []string{"\"demo\" by Klara Lind: refs/lifeboat/7f3a/bad of origin.git", "below a ref of origin.git"}},
		},
		"by hand, the demo dropped": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s))
			},
			expected{true, nil, []string{"\"demo\" by Klara Lind: no ref leads to it", "\"squash for demo\""}, nil},
		},
		"as the protocol says, through a recovery branch": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/heads/found", good(t, s))
				git(t, s.Clone(), "fetch", "origin")
				git(t, s.Clone(), "branch", "recovery-branch", "origin/found")
				git(t, s.Clone(), "branch", "demo", "origin/main")
				push(t, s, "origin", "recovery-branch:main")
			},
			expected{true, nil, nil, []string{"refs/heads/demo of monorepo", "below a ref of monorepo"}},
		},
		"the demo merged on top": {
			func(t *testing.T, s *sandbox.Sandbox) {
				tree := id(t, s.Origin(), good(t, s)+"^{tree}")
				merge := git(t, s.Origin(), "commit-tree", "-p", good(t, s), "-p", "main", "-m", "bring both together", tree)
				git(t, s.Origin(), "update-ref", "refs/heads/main", merge[0])
			},
			expected{true, nil, nil, nil},
		},
		"the stale main of the clone pushed": {
			func(t *testing.T, s *sandbox.Sandbox) { push(t, s, "origin", "main:main") },
			expected{false, []string{contains, every},
				append(many(5, "origin.git still has its object"), "\"demo\"", "\"squash for demo\""), nil},
		},
		"all but the newest two": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s)+"~2")
			},
			expected{false, []string{contains, every}, []string{"docs: how holds", "two customers", "\"demo\"", "\"squash for demo\""}, nil},
		},
		"only found, not pushed": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/lifeboat/7f3a/good", good(t, s))
			},
			expected{false, []string{contains, every}, nil, many(14, "origin.git")},
		},
		"main deleted": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/lifeboat/7f3a/good", good(t, s))
				git(t, s.Origin(), "update-ref", "-d", "refs/heads/main")
			},
			expected{false, []string{"the origin has a branch main", every}, []string{"\"demo\"", "\"squash for demo\""}, many(14, "origin.git")},
		},
		"recovered, and a tag and a branch harmed": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s))
				git(t, s.Origin(), "update-ref", "refs/heads/develop", "main")
				git(t, s.Origin(), "update-ref", "-d", "refs/tags/v1.1.0")
			},
			expected{false, []string{others}, []string{"refs/tags/v1.1.0", "\"demo\"", "\"squash for demo\""}, nil},
		},
		"recovered, and the clone thrown away": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "update-ref", "refs/lifeboat/7f3a/bad", "main")
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s))
				if err := os.RemoveAll(s.Clone()); err != nil {
					t.Fatal(err)
				}
				git(t, s.Dir(), "clone", "--no-local", "origin.git", "monorepo")
			},
			expected{false, []string{"no commit that only the working clone had", "no stash, tag or file in work"}, append(append(many(3, "no repository has it"), "no repository has it"), many(8, "never committed")...), many(2, "origin.git")},
		},
		"the demo in a bundle in the vault": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Origin(), "bundle", "create", "--quiet", filepath.Join(s.Vault(), "x.bundle"), "main")
				git(t, s.Origin(), "update-ref", "refs/heads/main", good(t, s))
			},
			expected{true, nil, nil, many(2, "in the vault")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			judge(t, s, c.want)
		})
	}
}

// mend repairs the damaged clone in place: whatever can still be read of its pack is
// unpacked, and the origin gives the rest.
func mend(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	objects := filepath.Join(s.Clone(), ".git", "objects")
	dropLoose(t, s.Clone())
	packs, err := filepath.Glob(filepath.Join(objects, "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs %q, %v", packs, err)
	}
	aside := filepath.Join(t.TempDir(), "damaged.pack")
	if err := errors.Join(os.Rename(packs[0], aside), os.Remove(strings.TrimSuffix(packs[0], ".pack")+".idx")); err != nil {
		t.Fatal(err)
	}
	damaged, err := os.Open(aside)
	if err != nil {
		t.Fatal(err)
	}
	defer damaged.Close()
	unpack := command.Git(s.Clone(), "unpack-objects", "-r", "-q")
	unpack.Stdin = damaged
	if _, err := command.Run(t.Context(), unpack); err == nil {
		t.Fatal("the pack is not damaged")
	}
	fresh := filepath.Join(t.TempDir(), "fresh.git")
	git(t, s.Dir(), "clone", "--quiet", "--bare", "--no-local", "origin.git", fresh)
	if err := os.CopyFS(objects, os.DirFS(filepath.Join(fresh, "objects"))); err != nil {
		t.Fatal(err)
	}
}

// dropLoose removes the loose objects that git fsck finds corrupt.
func dropLoose(t *testing.T, clone string) {
	t.Helper()
	out, err := command.Run(t.Context(), command.Git(clone, "fsck", "--full"))
	if err == nil {
		t.Fatal("nothing is damaged")
	}
	for line := range strings.Lines(string(out.Stderr)) {
		if rest, ok := strings.CutPrefix(line, "error: corrupt loose object '"); ok {
			if err := os.Remove(filepath.Join(clone, ".git", "objects", rest[:2], rest[2:40])); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
}

func TestJudgeCorruptObject(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.CorruptObject)
	mended := copyOf(t)
	mend(t, mended)
	const (
		fsck     = "the working clone passes git fsck"
		readable = "the history of the working clone can be read"
		branches = "the branches of the working clone"
		own      = "no commit that only the working clone had"
		work     = "no stash, tag or file in work that only the working clone had"
	)
	renew := func(t *testing.T, s *sandbox.Sandbox, aside string) {
		if err := os.Rename(s.Clone(), aside); err != nil {
			t.Fatal(err)
		}
		git(t, s.Dir(), "clone", "--quiet", "--no-local", "origin.git", "monorepo")
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *sandbox.Sandbox) // with a mended sandbox where the name says so
		want expected
	}{
		"nothing done": {
			func(*testing.T, *sandbox.Sandbox) {},
			expected{false, []string{fsck, readable, branches, own, work}, many(4, "monorepo still has its object"), nil},
		},
		"mended in place": {func(*testing.T, *sandbox.Sandbox) {}, expected{recovered: true}},
		"a fresh clone, its own commits fetched, the old one put aside": {
			func(t *testing.T, s *sandbox.Sandbox) {
				old := s.Clone() + ".before-7f3a"
				renew(t, s, old)
				// Only what the origin has is damaged: the old clone borrows it from there.
				dropLoose(t, old)
				alternates := filepath.Join(old, ".git", "objects", "info", "alternates")
				if err := os.WriteFile(alternates, []byte(filepath.Join(s.Origin(), "objects")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				git(t, s.Clone(), "fetch", "--quiet", old, "feature/offline-calendar:feature/offline-calendar")
			},
			expected{true, nil, nil, append(many(8, "in monorepo.before-7f3a"), "refs/stash of monorepo.before-7f3a")},
		},
		"a fresh clone and nothing else": {
			func(t *testing.T, s *sandbox.Sandbox) {
				renew(t, s, filepath.Join(t.TempDir(), "old"))
			},
			expected{false, []string{own, work}, append(many(4, "no repository has it"), many(8, "never committed")...), nil},
		},
		"mended, the own branch deleted": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Clone(), "branch", "-D", "feature/offline-calendar")
				git(t, s.Clone(), "stash", "drop")
			},
			expected{false, []string{own, work}, many(4, "monorepo still has its object"), nil},
		},
		"mended, stashed once more": {
			func(t *testing.T, s *sandbox.Sandbox) {
				readme := filepath.Join(s.Clone(), "README.md")
				if err := os.WriteFile(readme, []byte("another idea\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				git(t, s.Clone(), "stash", "push", "--quiet", "--", "README.md")
			},
			expected{recovered: true},
		},
		"mended, main moved back": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Clone(), "update-ref", "refs/heads/main", "main~8")
			},
			expected{false, []string{branches}, nil, nil},
		},
		"mended, work in progress overwritten": {
			func(t *testing.T, s *sandbox.Sandbox) {
				git(t, s.Clone(), "reset", "--hard", "--quiet")
			},
			expected{false, []string{work}, []string{"apps/booking/src/lib/pricing.ts", "apps/dashboard/src/lib/staff.ts"}, nil},
		},
		"the damage deleted": {
			func(t *testing.T, s *sandbox.Sandbox) {
				for _, ref := range git(t, s.Clone(), "for-each-ref", "--format=%(refname)") {
					git(t, s.Clone(), "update-ref", "--no-deref", "-d", ref)
				}
				if err := os.RemoveAll(filepath.Join(s.Clone(), ".git", "objects", "pack")); err != nil {
					t.Fatal(err)
				}
			},
			expected{false, []string{fsck, branches, own, work}, many(4, "no repository has it"), nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *sandbox.Sandbox
			if strings.HasPrefix(name, "mended") {
				s = copied(t, mended)
			} else {
				s = copyOf(t)
			}
			c.do(t, s)
			judge(t, s, c.want)
		})
	}
}

func TestJudgeDatabase(t *testing.T) {
	t.Parallel()
	copyOf := broken(t, sandbox.ForcePush)
	const whole, rows = "the booking database is whole", "every row from before is there"
	for name, c := range map[string]struct {
		do      func(t *testing.T, s *sandbox.Sandbox)
		failing []string
		lost    string
	}{
		"bookings go on": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "UPDATE appointments SET status = 'confirmed', updated_at = '2027-01-01'", "INSERT INTO payments VALUES (99999, 1, 1, 'card', 'PAY-X', '2027-01-01')")
		}, nil, ""},
		"rows deleted": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "DELETE FROM payments WHERE id IN (3, 4, 5)")
		}, []string{rows}, "3 of"},
		"rows changed": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "UPDATE customers SET email = 'gone' WHERE id = 7")
		}, []string{rows}, "customers: rows have changed"},
		"rows that refer to nothing": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "PRAGMA foreign_keys = OFF", "INSERT INTO payments VALUES (99999, 77777, 1, 'card', 'PAY-X', '2027-01-01')")
		}, []string{whole}, ""},
		"another schema": {func(t *testing.T, s *sandbox.Sandbox) { exec(t, s, "PRAGMA user_version = 6") }, []string{whole}, ""},
		"a table dropped": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "DROP TABLE payments")
		}, []string{rows}, "payments: the table cannot be read"},
		"a page overwritten": {func(t *testing.T, s *sandbox.Sandbox) {
			exec(t, s, "PRAGMA wal_checkpoint(TRUNCATE)")
			page := number(t, database(t, s.Database()), "SELECT rootpage FROM sqlite_master WHERE name = 'customers'")
			f, err := os.OpenFile(s.Database(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(make([]byte, 4096), int64(page-1)*4096); err != nil {
				t.Fatal(err)
			}
		}, []string{whole, rows}, "cannot be read"},
		"gone": {func(t *testing.T, s *sandbox.Sandbox) {
			if err := os.Remove(s.Database()); err != nil {
				t.Fatal(err)
			}
		}, []string{whole}, "the booking database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copyOf(t)
			c.do(t, s)
			v, err := s.Judge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var failing []string
			for _, check := range v.Checks {
				if !check.OK && (check.Text == whole || check.Text == rows) {
					failing = append(failing, check.Text)
				}
			}
			if !slices.Equal(failing, c.failing) {
				t.Errorf("failing checks %q, want %q: %+v", failing, c.failing, v.Checks)
			}
			if lost := strings.Join(v.Lost, "\n"); c.lost != "" && !strings.Contains(lost, c.lost) {
				t.Errorf("no %q in\n%s", c.lost, lost)
			}
		})
	}
}

func exec(t *testing.T, s *sandbox.Sandbox, statements ...string) {
	t.Helper()
	db := database(t, s.Database())
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestJudgeUnbroken(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	judge(t, s, expected{recovered: true})
	judge(t, s, expected{recovered: true}) // looking changes nothing
	git(t, s.Origin(), "update-ref", "-d", "refs/heads/develop")
	judge(t, s, expected{false, []string{"branches and tags of the origin"}, []string{"refs/heads/develop"}, nil})
}
