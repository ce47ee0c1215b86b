package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/sandbox"
)

func TestFence(t *testing.T) {
	s := copied(t, template)
	outside := t.TempDir()
	in := func(parts ...string) string { return filepath.Join(append([]string{s.Dir()}, parts...)...) }
	if err := os.Mkdir(in("vault", "v1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"to-vault": "vault", "to-v1": "vault/v1", "out": outside, "out-relative": "../" + filepath.Base(filepath.Dir(outside)),
		"dangling-in": in("vault", "later"), "dangling-out": filepath.Join(outside, "later"), "loop": "loop",
		"chain": "out", "up": "..", "to-truth": "truth",
	} {
		if err := os.Symlink(to, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	fence := s.Fence()
	for _, target := range []string{
		s.Dir(), s.Dir() + "/", s.Origin(), s.Clone(), s.Database(), s.Estate(), in("new", "deep", "file"),
		"file://" + s.Vault(), "file://" + s.Vault() + "?create_dir=1&no_tmp_dir=true", "file://" + in("a%20b"),
		in("to-vault", "x"), in("dangling-in"), s.Dir() + "/vault/../booking.db", s.Dir() + "//vault///x",
		s.Dir() + "/to-v1/../x", // is vault/x
		in("..data"), in("truthful"),
	} {
		if err := fence(target); err != nil {
			t.Errorf("inside, and refused: %v", err)
		}
	}
	for _, c := range []struct{ target, why string }{
		{"", "is empty"},
		{"/", "outside"},
		{"/etc/passwd", "outside"},
		{outside, "outside"},
		{filepath.Dir(s.Dir()), "outside"},
		{s.Dir() + "x", "outside"},
		{s.Dir() + "/../other", "outside"},
		{s.Dir() + "/vault/../../other", "outside"},
		{in("out"), "leads to"},
		{in("out", "x"), "leads to"},
		{in("chain", "x"), "leads to"},
		{in("out-relative", "x"), "outside"},
		{in("dangling-out"), "leads to"},
		{in("up", "other"), "outside"},
		{in("loop", "x"), "too many symbolic links"},
		{s.Dir() + "/out/../vault", "outside"},     // inside by its text, outside for the kernel
		{s.Dir() + "/to-v1/../../../x", "outside"}, // outside by its text only
		{s.Dir() + "/missing/../../x", "outside"},
		{in("truth"), "belongs to the drill"},
		{in("truth", "made.json"), "belongs to the drill"},
		{in("to-truth", "made.json"), "belongs to the drill"},
		{in(".lifeboat-sandbox"), "belongs to the drill"},
		{"monorepo", "relative path"},
		{"./monorepo", "relative path"},
		{"../origin.git", "relative path"},
		{"~/monorepo", "relative path"},
		{"-oProxyCommand=x", "relative path"},
		{"file:relative", "on the host"},
		{"host:path", "on the host"},
		{"git@github.com:company/monorepo.git", "on the host"},
		{"github.com:" + s.Origin(), "on the host"},
		{"ext::sh -c true", "remote helper"},
		{"ext::" + s.Origin(), "remote helper"},
		{"https://github.com/company/monorepo.git", "https"},
		{"ssh://git@github.com/x", "ssh"},
		{"s3://company-backups", "s3"},
		{"mem://", "mem"},
		{"FILE://" + s.Vault(), "FILE"},
		{"file://host" + s.Vault(), "names a host"},
		{"file://localhost" + s.Vault(), "names a host"},
		{"file://user@" + s.Vault(), "names a host"},
		{"file://./vault", "names a host"},
		{"file://", "names a host"},
		{"file:///etc", "outside"},
		{"file://" + s.Dir() + "/%2e%2e/other", "outside"},
		{"file://" + s.Dir() + "/out%2fx", "leads to"},
		{"file://" + s.Dir() + "/vault?x=/../../../other", "parameter"},
		{"file://" + s.Vault() + "?secret_key_path=/etc/shadow", "parameter"},
		{"file://" + s.Dir() + "/%00", "control characters"},
		{"file://" + s.Dir() + "/%zz", "no sound URL"},
		{s.Dir() + "/vault\n/etc", "control characters"},
		{s.Dir() + "/booking.db/x", "not a directory"},
	} {
		err := fence(c.target)
		switch {
		case err == nil:
			t.Errorf("%q passed the fence", c.target)
		case !errors.Is(err, action.ErrRefused) || len(hint.All(err)) == 0:
			t.Errorf("%q: %v is no refusal with advice", c.target, err)
		case !strings.Contains(err.Error(), c.why):
			t.Errorf("%q: %v, want %q", c.target, err, c.why)
		}
	}
}

func TestFenceBehindLink(t *testing.T) {
	t.Parallel()
	s := copied(t, template)
	link := filepath.Join(t.TempDir(), "state")
	if err := os.Symlink(filepath.Dir(s.Dir()), link); err != nil {
		t.Fatal(err)
	}
	// The state directory may itself be reached through a link.
	again, err := sandbox.Open(filepath.Join(link, "sandbox"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{s.Origin(), filepath.Join(link, "sandbox", "origin.git")} {
		if err := again.Fence()(target); err != nil {
			t.Error(err)
		}
	}
}

func FuzzFence(f *testing.F) {
	s, err := sandbox.Make(f.Context(), filepath.Join(f.TempDir(), "sandbox"), small)
	if err != nil {
		f.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(s.Dir(), "out")); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/vault/x", "/../x", "/out/etc", "file:///x", "host:path", "/vault/../out/../x", "/%2e%2e/", "/./..//out/."} {
		f.Add(seed)
	}
	fence := s.Fence()
	f.Fuzz(func(t *testing.T, tail string) {
		for _, target := range []string{tail, s.Dir() + tail, "file://" + s.Dir() + tail} {
			if fence(target) != nil || strings.HasPrefix(target, "file:") {
				continue
			}
			// What passed and exists must be inside for the kernel.
			if real, err := filepath.EvalSymlinks(target); err == nil && real != s.Dir() && !strings.HasPrefix(real, s.Dir()+"/") {
				t.Errorf("%q passed the fence and is %q", target, real)
			}
		}
	})
}
