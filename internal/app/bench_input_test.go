package app

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/command"
)

// The repository of the benchmarks: a monorepo after some years. Most of its bytes are
// pictures and builds that nothing compresses, most of its objects are small changes of
// source files.
const (
	benchCommits = 4000
	benchSources = 1500
	benchPicture = 66 << 10 // bytes, on average
	benchEvery   = 3        // commits between two pictures
)

// stream writes a history for git fast-import. The same seed gives the same bytes.
type stream struct {
	w       *bufio.Writer
	rng     *rand.Rand
	sources [][][]byte // lines of each source file
	mark    int
	clock   int64
}

func newStream(w io.Writer, seed uint64) *stream {
	return &stream{w: bufio.NewWriterSize(w, 1<<20), rng: rand.New(rand.NewPCG(seed, 7)), clock: 1_700_000_000}
}

var benchWords = [...]string{
	"booking", "slot", "customer", "await", "const", "return", "calendar", "reminder", "tenant", "invoice",
	"schedule", "async", "import", "export", "props", "render", "session", "token", "payment", "staff",
}

func (s *stream) line() []byte {
	n := 3 + s.rng.IntN(7)
	out := bytes.Repeat([]byte("  "), s.rng.IntN(4))
	for range n {
		out = append(out, benchWords[s.rng.IntN(len(benchWords))]...)
		out = fmt.Appendf(out, "%d ", s.rng.IntN(900))
	}
	return append(out, '\n')
}

func (s *stream) data(parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	fmt.Fprintf(s.w, "data %d\n", n)
	for _, p := range parts {
		s.w.Write(p)
	}
	s.w.WriteByte('\n')
}

// commit writes one commit on a branch: a few sources changed, sometimes a picture.
func (s *stream) commit(branch, from string) {
	s.mark++
	s.clock += 600 + int64(s.rng.IntN(7200))
	author := s.rng.IntN(9)
	fmt.Fprintf(s.w, "commit refs/heads/%s\nmark :%d\n", branch, s.mark)
	for _, who := range []string{"author", "committer"} {
		fmt.Fprintf(s.w, "%s Dev %d <dev%d@example.org> %d +0000\n", who, author, author, s.clock)
	}
	s.data(fmt.Appendf(nil, "Change %d of %s\n", s.mark, branch))
	if from != "" {
		fmt.Fprintf(s.w, "from %s\n", from)
	}
	touched := 1 + s.rng.IntN(4)
	if s.sources == nil {
		s.sources = make([][][]byte, benchSources)
		touched = benchSources
	}
	for i := range touched {
		n := i
		if touched < benchSources {
			n = s.rng.IntN(benchSources)
		}
		s.source(n)
	}
	if s.mark%benchEvery == 0 {
		picture := make([]byte, benchPicture/2+s.rng.IntN(benchPicture))
		for i := range picture {
			picture[i] = byte(s.rng.Uint32())
		}
		fmt.Fprintf(s.w, "M 100644 inline apps/app%d/public/picture-%d.webp\n", s.rng.IntN(5), s.rng.IntN(600))
		s.data(picture)
	}
}

// source changes a file a little, or makes it.
func (s *stream) source(n int) {
	lines := s.sources[n]
	if lines == nil {
		for range 40 + s.rng.IntN(240) {
			lines = append(lines, s.line())
		}
	}
	for range 1 + s.rng.IntN(3) {
		at := s.rng.IntN(len(lines))
		if s.rng.IntN(2) == 0 {
			lines[at] = s.line()
		} else {
			lines = slices.Insert(lines, at, s.line())
		}
	}
	s.sources[n] = lines
	fmt.Fprintf(s.w, "M 100644 inline packages/pkg%02d/src/part%d/file%04d.ts\n", n%23, n%7, n)
	s.data(lines...)
}

// history writes everything: a main line, short branches beside it, tags on it.
func (s *stream) history() error {
	branches := 0
	for s.mark < benchCommits {
		s.commit("main", "")
		if s.mark%160 == 0 {
			branches++
			base := s.mark
			for i := range 4 {
				from := ""
				if i == 0 {
					from = fmt.Sprintf(":%d", base)
				}
				s.commit(fmt.Sprintf("feature/%d", branches), from)
			}
			fmt.Fprintf(s.w, "tag v1.%d\nfrom :%d\ntagger Dev 1 <dev1@example.org> %d +0000\n", branches, base, s.clock)
			s.data(fmt.Appendf(nil, "Release 1.%d\n", branches))
		}
	}
	return s.w.Flush()
}

// few adds some commits on top of main, as a day does.
func (s *stream) few(n int) error {
	s.mark = 1_000_000
	s.sources = make([][][]byte, benchSources)
	for i := range n {
		from := ""
		if i == 0 {
			from = "refs/heads/main^0"
		}
		s.commit("main", from)
	}
	return s.w.Flush()
}

// fastImport pipes what write makes into a repository.
func fastImport(ctx context.Context, dir string, write func(io.Writer) error) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(write(w)) }()
	c := command.Git(dir, "fast-import", "--quiet", "--force")
	c.Stdin = r
	_, err := command.Run(ctx, c)
	r.Close()
	return err
}

// makeRepository makes the bare repository of the benchmarks, packed as a server keeps it.
func makeRepository(b *testing.B, dir string) {
	b.Helper()
	runGit(b, "", "init", "--quiet", "--bare", dir)
	check(b, fastImport(b.Context(), dir, func(w io.Writer) error { return newStream(w, 1).history() }))
	runGit(b, dir, "repack", "-a", "-d", "-f", "-q", "--window=5")
	runGit(b, dir, "symbolic-ref", "HEAD", "refs/heads/main")
	runGit(b, dir, "pack-refs", "--all")
}

// addCommits makes the work of one day in it.
func addCommits(b *testing.B, dir string, seed uint64) {
	b.Helper()
	check(b, fastImport(b.Context(), dir, func(w io.Writer) error { return newStream(w, seed).few(5) }))
}

func runGit(b *testing.B, dir string, args ...string) {
	b.Helper()
	_, err := command.Run(b.Context(), command.Git(dir, args...))
	check(b, err)
}

// makeDatabase makes a database in WAL mode of about 400 MB.
func makeDatabase(b *testing.B, path string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=synchronous(0)&_pragma=cache_size(-65536)")
	check(b, err)
	for _, q := range []string{
		"PRAGMA journal_mode=WAL",
		"CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)",
		`CREATE TABLE booking(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer(id),
			starts INTEGER NOT NULL, token TEXT NOT NULL, note TEXT NOT NULL)`,
		`INSERT INTO customer SELECT value, 'Customer number ' || value, 'customer' || value || '@example.org' FROM ` + numbers(50_000),
		`INSERT INTO booking SELECT value, 1 + (value * 7919) % 50000, 1700000000 + value * 37, hex(randomblob(12)),
			substr(` + "'" + benchNote() + "'" + `, 1 + (value * 7907) % 3000, 200 + (value * 31) % 300) FROM ` + numbers(930_000),
		"CREATE INDEX booking_customer ON booking(customer, starts)",
		"PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if _, err := db.ExecContext(b.Context(), q); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
	check(b, db.Close())
}

func numbers(n int) string {
	return fmt.Sprintf("(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < %d) SELECT value FROM n)", n)
}

func benchNote() string {
	s := newStream(io.Discard, 3)
	var out []byte
	for len(out) < 4000 {
		out = append(out, s.line()...)
	}
	return string(out)
}
