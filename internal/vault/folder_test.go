package vault

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/hint"
)

// The two stores keep the same promises.
func TestStore(t *testing.T) {
	stores := map[string]func(t *testing.T) store{
		"folder": func(t *testing.T) store {
			f, err := openFolder(t.TempDir())
			must(t, err)
			return f
		},
		"cloud": func(t *testing.T) store { return memStore() },
		"map":   func(t *testing.T) store { return &mapStore{objects: map[string][]byte{}} },
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			ctx := t.Context()
			put := func(ctx context.Context, key, text string) error {
				w, err := s.put(ctx, key, putOptions{contentType: "text/plain"})
				if err != nil {
					return err
				}
				_, err = io.WriteString(w, text)
				return errors.Join(err, w.Close())
			}
			read := func(key string) (string, error) {
				r, err := s.get(ctx, key)
				if err != nil {
					return "", err
				}
				defer r.Close()
				b, err := io.ReadAll(r)
				return string(b), err
			}
			must(t, put(ctx, "v1/a/x/one", "1"))
			must(t, put(ctx, "v1/a/x/sub/two", "22"))
			must(t, put(ctx, "v1/a/x.y", ""))
			if err := put(ctx, "v1/a/x/one", "other"); !errors.Is(err, errExists) {
				t.Errorf("second create: %v", err)
			}
			if got, err := read("v1/a/x/one"); err != nil || got != "1" {
				t.Errorf("read %q, %v", got, err)
			}
			if n, err := s.stat(ctx, "v1/a/x/sub/two"); err != nil || n != 2 {
				t.Errorf("size %d, %v", n, err)
			}
			for _, absent := range []string{"v1/a/x/none", "v1/a/x", "v1/a/none/none"} {
				if _, err := read(absent); !errors.Is(err, errNotExist) {
					t.Errorf("read %q: %v", absent, err)
				}
				if _, err := s.stat(ctx, absent); !errors.Is(err, errNotExist) {
					t.Errorf("size of %q: %v", absent, err)
				}
			}
			for prefix, want := range map[string]string{"v1/a/": "x.y x/", "v1/a/x/": "one sub/", "v1/none/": "", "v1/a/x/sub/": "two"} {
				if names, err := s.list(ctx, prefix); err != nil || strings.Join(names, " ") != want {
					t.Errorf("list %q: %q, %v", prefix, names, err)
				}
			}
			for from, want := range map[string]string{"": "v1/a/x/one v1/a/x/sub/two", "v1/a/x/p": "v1/a/x/sub/two"} {
				var keys []string
				err := s.scan(ctx, "v1/a/x/", from, func(o stored) error {
					if o.key >= from {
						keys = append(keys, o.key)
					}
					return nil
				})
				slices.Sort(keys)
				if text := strings.Join(keys, " "); err != nil || text != want {
					t.Errorf("scan from %q: %s, %v", from, text, err)
				}
			}
			if err := s.scan(ctx, "v1/none/", "", func(stored) error { return errFault }); err != nil {
				t.Errorf("scan of nothing: %v", err)
			}
			if err := s.scan(ctx, "v1/a/x/", "", func(stored) error { return errFault }); !errors.Is(err, errFault) {
				t.Errorf("scan that was stopped: %v", err)
			}
			must(t, s.remove(ctx, "v1/a/x/sub/two"))
			if err := s.remove(ctx, "v1/a/x/sub/two"); !errors.Is(err, errNotExist) {
				t.Errorf("removed twice: %v", err)
			}
			if names, err := s.list(ctx, "v1/a/x/"); err != nil || strings.Join(names, " ") != "one" {
				t.Errorf("after the removal: %q, %v", names, err)
			}
			must(t, put(ctx, "v1/a/x/sub/two", "again")) // its directory had gone
			stopped, cancel := context.WithCancel(ctx)
			w, err := s.put(stopped, "v1/a/x/three", putOptions{contentType: "text/plain"})
			must(t, err)
			io.WriteString(w, "half")
			cancel()
			if err := w.Close(); !errors.Is(err, context.Canceled) {
				t.Errorf("close after the end of the context: %v", err)
			}
			if _, err := s.stat(ctx, "v1/a/x/three"); !errors.Is(err, errNotExist) {
				t.Errorf("stopped object: %v", err)
			}
		})
	}
}

func TestFolderIsPrivateAndClean(t *testing.T) {
	v, dir := fileVault(t)
	m := backup(t, v, newSource(t), BackupOptions{})
	err := filepath.WalkDir(filepath.Join(dir, "v1"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, fi.Mode())
		}
		if strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), ".attrs") {
			t.Errorf("%s is no object", path)
		}
		return err
	})
	must(t, err)

	// A link that leads out of the folder is not followed.
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("x"), 0o600))
	object := filepath.Join(dir, filepath.FromSlash(m.Chain[0].Key))
	must(t, os.Remove(object))
	must(t, os.Symlink(outside, object))
	if _, err := v.Verify(t.Context(), m, lines{}, LevelStored, VerifyOptions{}); err == nil {
		t.Error("an object was read through a link")
	}
}

// An unreadable folder is not an empty one.
func TestListingErrorIsNoEmptyVault(t *testing.T) {
	v, dir := fileVault(t)
	s := newSource(t)
	m := backup(t, v, s, BackupOptions{})
	points := filepath.Join(dir, filepath.FromSlash(pointsPrefix(m.Asset)))
	must(t, os.Rename(points, points+".away"))
	must(t, os.WriteFile(points, nil, 0o600)) // as root no permission would do
	if _, err := v.Latest(t.Context(), m.Asset); err == nil || errors.Is(err, ErrNoBackup) {
		t.Errorf("error %v", err)
	}
	if _, err := v.Backup(t.Context(), s.asset(), lines{}, BackupOptions{}); err == nil {
		t.Error("a backup without knowing what is there")
	}
}

// Of many that create one object exactly one succeeds, and what it wrote is there.
func TestFolderCreatesOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	won := make(chan string, 16)
	for i := range 16 {
		wg.Go(func() {
			f, err := openFolder(dir) // each with a handle of its own, as processes have
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			text := strings.Repeat(string(rune('a'+i)), 1000)
			w, err := f.put(t.Context(), "v1/a/b/c", putOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(w, text)
			switch err := w.Close(); {
			case err == nil:
				won <- text
			case !errors.Is(err, errExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d winners", len(won))
	}
	if got, err := os.ReadFile(filepath.Join(dir, "v1/a/b/c")); err != nil || string(got) != <-won {
		t.Errorf("the object is not the winner's, %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, tt := range []struct {
		name, url, text string
		want            error
	}{
		{"no directory", "file://" + dir + "/none", "no such file", ErrNoVault},
		{"a file", "file://" + file, "is a file", ErrNoVault},
		{"relative", "file:vault", "absolute", nil},
		{"host", "file://vault/x", "host name", nil},
		{"unknown parameter", "file://" + dir + "?metadata=skip", "metadata", nil},
		{"unknown scheme", "ftp://example.org/x", `"ftp"`, nil},
		{"no scheme", dir, "scheme", nil},
		{"no URL", "s3://user:hunter2@%zz", "no URL", nil},
	} {
		v, err := Open(t.Context(), tt.url, Options{})
		if err == nil {
			v.Close()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || len(hint.All(err)) == 0 {
			t.Errorf("%s: %v, hints %q", tt.name, err, hint.All(err))
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in the error: %v", tt.name, err)
		}
	}
	v, err := Open(t.Context(), "file://"+dir+"/new/vault?create=1", Options{})
	must(t, err)
	defer v.Close()
	if fi, err := os.Stat(filepath.Join(dir, "new", "vault")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("created: %v", err)
	}
	mem, err := Open(t.Context(), "mem://", Options{Scratch: t.TempDir()})
	must(t, err)
	defer mem.Close()
	m := backup(t, mem, newSource(t), BackupOptions{})
	if _, err := mem.Verify(t.Context(), m, lines{}, LevelRestored, VerifyOptions{}); err != nil {
		t.Error(err)
	}
}

// TestOpenWithoutCredentials: buckets that lack a region or an account say what to give,
// without a request.
func TestOpenWithoutCredentials(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AZURE_STORAGE_ACCOUNT": "", "AZURE_STORAGE_KEY": "", "AZURE_STORAGE_SAS_TOKEN": "", "AZURE_STORAGE_CONNECTION_STRING": "",
	} {
		t.Setenv(name, value)
	}
	for url, advice := range map[string]string{"s3://backups": "AWS_REGION", "azblob://backups": "AZURE_STORAGE_ACCOUNT"} {
		v, err := Open(t.Context(), url, Options{})
		if err == nil {
			v.Close()
			t.Errorf("%s: no error", url)
			continue
		}
		if !strings.Contains(strings.Join(hint.All(err), " "), advice) {
			t.Errorf("%s: %v, advice %q", url, err, hint.All(err))
		}
	}
}

func TestRestoreTarget(t *testing.T) {
	v, _ := fileVault(t)
	s := newSource(t)
	m := backup(t, v, s, BackupOptions{})
	dir := t.TempDir()
	full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
	must(t, os.Mkdir(full, 0o700))
	must(t, os.WriteFile(filepath.Join(full, "mine"), []byte("mine"), 0o600))
	must(t, os.Mkdir(empty, 0o700))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	for _, tt := range []struct{ name, dir, want string }{
		{"not empty", full, "not empty"},
		{"a file", filepath.Join(full, "mine"), "not a directory"},
		{"a dangling link", filepath.Join(dir, "dangling"), "is a symbolic link"},
		{"no parent", filepath.Join(dir, "a", "b"), "no such file"},
	} {
		if _, err := restoredBytes(t.Context(), v, m, tt.dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, target := range []string{empty, filepath.Join(dir, "new")} {
		if got, err := restoredBytes(t.Context(), v, m, target); err != nil || string(got) != string(s.content()) {
			t.Errorf("%s: %v", target, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := restoredBytes(ctx, v, m, filepath.Join(dir, "stopped")); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	other := m
	other.Type = "git"
	if _, err := v.Restore(t.Context(), other, lines{}, filepath.Join(dir, "other"), RestoreOptions{}); err == nil {
		t.Error("restored as another kind of asset")
	}
	left := []string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != "dangling empty full new" {
		t.Errorf("left behind: %s", got)
	}
}
