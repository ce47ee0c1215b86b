package console

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// fakeVault is the vault of a fakeBackend.
type fakeVault struct {
	vault    Vault
	noVault  error
	points   map[string]Point
	mirrors  []Mirror
	asked    int // times the bucket was asked
	proved   []string
	restored []string
}

func (f *fakeVault) Vault(_ context.Context, fresh bool) (Vault, error) {
	if fresh {
		f.asked++
	}
	if f.noVault != nil {
		return Vault{}, f.noVault
	}
	return f.vault, nil
}

func (f *fakeVault) Point(_ context.Context, _, point string) (Point, error) {
	p, ok := f.points[point]
	if !ok {
		return Point{}, hint.New("the point "+point+" is not there", "lifeboat vault doctor looks at the vault as a whole")
	}
	return p, nil
}

func (f *fakeVault) Mirrors(context.Context) []Mirror { return f.mirrors }

func (f *fakeVault) Prove(_ context.Context, asset, point, level string) (run.ID, error) {
	f.proved = append(f.proved, asset+" "+point+" "+level)
	return runID, nil
}

func (f *fakeVault) RestoreTo(_ context.Context, asset, point, dir string) (run.ID, error) {
	f.restored = append(f.restored, asset+" "+point+" "+dir)
	return runID, nil
}

// someVault has copies of every kind: proven, late, stale, damaged, and one of an asset that
// nobody knows any more.
func someVault(b *fakeBackend, _ *Options) {
	at := func(d time.Duration) time.Time { return b.now.Add(-d) }
	lock := b.now.Add(30 * 24 * time.Hour)
	of := func(class, keep, point, level string, age time.Duration, size int64) Copy {
		return Copy{Class: class, Keep: keep, Point: point, Cut: at(age), Bytes: size, Level: level, ProvenAt: at(age / 2), Scheme: "age", Key: "01JD4Q", Locked: lock}
	}
	stale := of("newest", "14 d", "p-env", "checked", 2*time.Hour+39*time.Minute, 41_000)
	stale.Late = true
	late := of("newest", "14 d", "p-infra", "stored", 25*time.Hour, 1_100_000)
	late.Late, late.Locked, late.Scheme, late.Key = true, time.Time{}, "none", ""
	failed := of("weekly", "8 w", "p-env-w", "", 50*time.Hour, 41_000)
	failed.Failed = true
	b.vault = Vault{URL: "s3://company-backups", Listed: at(40 * time.Second), Points: 2914, Bytes: 214e9, Next: "daily-backup 03:15", Room: "/state/restored",
		Facts: []Fact{{"ok", "locked: nobody, not even root, can delete early"}, {"warning", "the estate has one vault"}},
		Shelves: []Shelf{
			{Asset: "monorepo", ID: "git-monorepo-1", Kind: "git", RPO: 15 * minute, Points: 900, Copies: []Copy{
				of("newest", "14 d", "p-mono", "checked", 14*time.Minute, 4_200_000), of("weekly", "8 w", "p-mono-w", "applied", 50*time.Hour, 1_420_000_000),
				of("monthly", "12 m", "p-mono-m", "restored", 23*24*time.Hour, 1_390_000_000)}},
			{Asset: "booking.db", ID: "sqlite-booking-1", Kind: "sqlite", RPO: 15 * minute, Points: 700, Copies: []Copy{of("newest", "14 d", "p-book", "applied", 4*time.Minute, 18_000_000)}},
			{Asset: "env files", ID: "files-env-1", Kind: "files", RPO: time.Hour, Points: 40, Copies: []Copy{stale, failed}},
			{Asset: "infrastructure", ID: "git-infra-1", Kind: "git", RPO: 24 * time.Hour, Points: 3, Copies: []Copy{late}},
			{Asset: "auth_db", ID: "stream-auth-1", Kind: "stream", RPO: time.Hour},
			{Asset: "old wiki", ID: "git-wiki-9", Kind: "git", Foreign: true, Points: 1, Copies: []Copy{of("newest", "", "p-wiki", "stored", 400*24*time.Hour, 99_000)}},
		}}
	newest := "9bd0e27aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	b.fakeVault.mirrors = []Mirror{
		{Asset: "monorepo", Name: "gitlab", Branch: "main", Commit: newest, Newest: newest, Cut: at(14 * time.Minute)},
		{Asset: "monorepo", Name: "bitbucket", Branch: "main", Commit: "3f2a1c9bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", Newest: newest, Cut: at(14 * time.Minute)},
		{Asset: "monorepo", Name: "codeberg", Branch: "main", Problem: "read the mirror \"codeberg\": no route to host"},
	}
	b.points = map[string]Point{"p-mono": {
		Asset: "monorepo", ID: "p-mono", Kind: "incremental", Class: "daily", Started: at(15 * time.Minute), Cut: at(14 * time.Minute), Finished: at(13 * time.Minute),
		Host: "backup-01", Tool: "lifeboat 1.0", Source: "git@git.example.com:company/monorepo.git", Bytes: 4_200_000, Signed: "ed25519 by this installation",
		Script: "v1/assets/git-monorepo-1/s/p-mono.sh", Command: "lifeboat restore git-monorepo-1 --point p-mono --to DIR", Number: 1, Of: 900, Older: "p-mono-w",
		Objects: []Object{{Key: "v1/data/aa/base.bundle.age", Role: "base.bundle", SHA256: strings.Repeat("ab", 32), Scheme: "age", Bytes: 4_100_000, Locked: lock},
			{Key: "v1/data/bb/inc.bundle.age", Role: "inc.bundle", SHA256: strings.Repeat("cd", 32), Scheme: "age", Bytes: 100_000, Locked: lock}},
		Proofs: []Proof{{At: at(10 * minute), Level: "checked", Pass: true, Took: 3 * time.Second, Host: "backup-01", Evidence: []string{"2 objects, 4.2 MB read"}},
			{At: at(12 * minute), Level: "applied", Host: "backup-01", Why: "the replica differs: refs/heads/main"}},
	}}
}

func openVault(t *testing.T, w, h int, change ...func(*fakeBackend, *Options)) *driver {
	return drive(t, w, h, nil, append([]func(*fakeBackend, *Options){someVault}, change...)...).press("v")
}

func TestVaultShowsWhatIsKnownThenAsksTheBucket(t *testing.T) {
	d := openVault(t, 120, 36)
	if d.b.asked != 1 {
		t.Fatalf("the bucket was asked %d times, want once", d.b.asked)
	}
	d.tick() // a minute later
	if d.b.asked != 2 {
		t.Errorf("it was asked %d times after a minute, want twice", d.b.asked)
	}
	d.press("esc").tick()
	d.tick()
	if d.b.asked > 2 {
		t.Error("it is asked although nobody looks")
	}
	// Opening it twice leaves one clock, not two.
	d.press("v", "esc", "v").tick()
	if d.b.asked != 5 {
		t.Errorf("it was asked %d times, want 5: twice for opening, once a minute later", d.b.asked)
	}
}

func TestVaultKeys(t *testing.T) {
	for _, tt := range []struct {
		name             string
		keys             []string
		proved, restored string
		says             string // that is on the screen then
	}{
		{"prove asks for the level", []string{"t"}, "", "", "PROVE THIS COPY"},
		{"a level begins a run", []string{"t", "2"}, "monorepo p-mono applied", "", ""},
		{"esc begins nothing", []string{"t", "esc", "2"}, "", "", "NEWEST COPIES"},
		{"moving chooses another", []string{"down", "j", "t", "1"}, "monorepo p-mono-m checked", "", ""},
		{"restore asks for a directory", []string{"r"}, "", "", "/state/restored/monorepo-2026"},
		{"enter begins the restore", []string{"r", "enter"}, "", "monorepo p-mono /state/restored/monorepo-20261124T025105Z", ""},
		{"what the estate forgot has its id", []string{"G", "t", "3"}, "git-wiki-9 p-wiki restored", "", ""},
		{"an asset without a copy says so", []string{"G", "k", "t"}, "", "", "auth_db has no copy"},
		{"a copy, whole", []string{"enter"}, "", "", "the replica differs"},
		{"a copy that is gone", []string{"down", "enter"}, "", "", "is not there"},
		{"to the bridge", []string{"b"}, "", "", "WHAT HAPPENED?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openVault(t, 120, 36).press(tt.keys...)
			if got := strings.Join(d.b.proved, "; "); got != tt.proved {
				t.Errorf("proved %q, want %q", got, tt.proved)
			}
			if got := strings.Join(d.b.restored, "; "); got != tt.restored {
				t.Errorf("restored %q, want %q", got, tt.restored)
			}
			if !strings.Contains(ansi.Strip(d.frame()), tt.says) {
				t.Errorf("the screen does not say %q:\n%s", tt.says, ansi.Strip(d.frame()))
			}
		})
	}
}
