package sqlite_test

import (
	"io"
	"os"
	"testing"

	"lifeboat/internal/asset/sqlite"
)

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// BenchmarkCapture captures a database of about 80 MB, whole.
func BenchmarkCapture(b *testing.B) {
	path := b.TempDir() + "/bench.db"
	db := openDB(b, path, "journal_mode=WAL", "synchronous=OFF")
	fill(b, db, 250_000)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	create := func(string, string) (io.WriteCloser, error) { return discard{io.Discard}, nil }
	for b.Loop() {
		if _, _, err := (sqlite.Kind{}).Capture(b.Context(), path, nil, nil, create, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
