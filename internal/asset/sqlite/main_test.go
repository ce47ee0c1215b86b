package sqlite_test

import (
	"fmt"
	"os"
	"testing"

	"lifeboat/internal/asset/sqlite"
)

// TestMain is the test program, or, started by a test, what that test needs another
// process for.
func TestMain(m *testing.M) {
	// As Lifeboat itself does, before any database is opened. Without it everything is
	// read through SQLite.
	if os.Getenv("PROCESS_LOCKS") == "" {
		if err := sqlite.Locks(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if at := os.Getenv("CRASH_AT"); at != "" {
		os.Exit(crash(at))
	}
	if path := os.Getenv("WRITE_TO"); path != "" {
		os.Exit(writeOn(path))
	}
	os.Exit(m.Run())
}
