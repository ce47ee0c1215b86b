package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	agekey "filippo.io/age"

	"lifeboat/internal/asset/sqlite"
	"lifeboat/internal/command"
	"lifeboat/internal/vault"
)

// syncedFile is a file that is durable when it is closed, as what the others write.
type syncedFile struct{ *os.File }

func (f syncedFile) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

func benchSQLite(b *testing.B, t *table) {
	dir := b.TempDir()
	source := filepath.Join(dir, "booking.db")
	made := timed(b, func() error { makeDatabase(b, source); return nil })
	info, err := os.Stat(source)
	check(b, err)
	t.remark("database", fmt.Sprintf("%d MB, WAL mode, made in %s", info.Size()/1e6, short(made)))

	asset := vault.Asset{Name: "booking", Kind: "sqlite", Source: source}
	intoFile := func(b *testing.B, i int) time.Duration {
		create := func(role, _ string) (io.WriteCloser, error) {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("capture-%d.%s", i, role)))
			return syncedFile{f}, err
		}
		return timed(b, func() error {
			_, _, err := sqlite.Kind{}.Capture(b.Context(), source, nil, nil, create, nil, nil)
			return err
		})
	}
	key, err := agekey.GenerateX25519Identity()
	check(b, err)
	into := func(crypt vault.Crypt) func(b *testing.B, i int) time.Duration {
		return func(b *testing.B, i int) time.Duration {
			shelf := filepath.Join(dir, fmt.Sprintf("vault-%d", i))
			check(b, os.RemoveAll(shelf))
			return timed(b, func() error {
				v, err := vault.Open(b.Context(), "file://"+filepath.ToSlash(shelf)+"?create=1", vault.Options{Version: "bench", Crypt: crypt})
				if err != nil {
					return err
				}
				defer v.Close()
				_, err = v.Backup(b.Context(), asset, sqlite.Kind{}, vault.BackupOptions{Full: true})
				return err
			})
		}
	}
	intoVault := into(vault.Crypt{})
	sealed := into(vault.Crypt{Scheme: "age", Recipients: []string{key.Recipient().String()}})
	if _, err := command.Look("sqlite3"); err != nil {
		t.remark("online backup into a file", short(intoFile(b, 0))+"; no sqlite3 program to compare with")
		t.remark("online backup into the vault", short(intoVault(b, 0))+"; no sqlite3 program to compare with")
		return
	}
	stock := func(more ...[]string) func(b *testing.B, i int) time.Duration {
		return func(b *testing.B, i int) time.Duration {
			stock := filepath.Join(dir, fmt.Sprintf("stock-%d", i))
			check(b, os.RemoveAll(stock))
			check(b, os.Mkdir(stock, 0o700))
			calls := append([][]string{{"sqlite3", source, ".backup copy.db"}}, more...)
			return timed(b, func() error { return sequence(b, stock, calls...) })
		}
	}
	t.measure(b, "file", pair{
		work: "online backup into a file, hashed", otherWay: "sqlite3 .backup", within: 1.3, ours: intoFile, other: stock(),
	})
	t.measure(b, "vault", pair{
		work: "online backup into the vault, gzip, hashed", otherWay: "sqlite3 .backup", within: 1.6, ours: intoVault, other: stock(),
	})
	t.measure(b, "vault_age", pair{
		work: "online backup into the vault, gzip, hashed, age", otherWay: "sqlite3 .backup", within: 1.6, ours: sealed, other: stock(),
	})
	t.measure(b, "vault_gzip", pair{
		work: "online backup into the vault, gzip, hashed", otherWay: "sqlite3 .backup + sha256sum + gzip -1",
		ours: intoVault, other: stock([]string{"sha256sum", "copy.db"}, []string{"gzip", "-1", "copy.db"}),
	})
}
