package git

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"lifeboat/internal/action"
	repo "lifeboat/internal/asset/git"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// tip reads a branch of the shared repository now, empty when it does not exist.
func (k *desk) tip(ctx context.Context, r Repo, branch string) (string, error) {
	refs, err := k.remoteRefs(ctx, r, "refs/heads/"+branch)
	return oidOf(refs, "refs/heads/"+branch), err
}

// oidOf finds a ref by its name, empty when it is not there.
func oidOf(refs []repo.Ref, name string) string {
	for _, ref := range refs {
		if ref.Name == name {
			return ref.OID
		}
	}
	return ""
}

// remoteRefs lists refs of the shared repository now.
func (k *desk) remoteRefs(ctx context.Context, r Repo, patterns ...string) ([]repo.Ref, error) {
	out, err := k.output(ctx, append([]string{"ls-remote", "--", r.Remote}, patterns...)...)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("read %s of %q: %w", r.remoteName(), r.Name, err),
			"check the address of the remote, the network and the credentials")
	}
	return repo.ParseRefs(out)
}

// fetch brings a branch or commit of the shared repository into the desk.
func (k *desk) fetch(ctx context.Context, r Repo, what, as string) error {
	return k.fetchFrom(ctx, Mirror{Name: r.remoteName(), URL: r.Remote}, what, as)
}

// local is the directory of a mirror on this machine, empty for every other.
func (m Mirror) local() string {
	s, err := repo.ParseSource(m.URL)
	if err != nil {
		return ""
	}
	return s.Path
}

// as lets a call speak to a mirror with the token of it, which goes where no list of
// processes shows it, and to no other address.
func (m Mirror) as(c *command.Cmd) {
	token := m.Token.Reveal()
	if token == "" || !strings.HasPrefix(m.URL, "https://") {
		return
	}
	user := "git"
	if u, err := url.Parse(m.URL); err == nil && u.User.Username() != "" {
		user = u.User.Username()
	}
	c.Env["GIT_CONFIG_COUNT"] = "1"
	c.Env["GIT_CONFIG_KEY_0"] = "http." + m.URL + ".extraHeader"
	c.Env["GIT_CONFIG_VALUE_0"] = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
}

// refsAt lists refs of a mirror now.
func (k *desk) refsAt(ctx context.Context, m Mirror, patterns ...string) ([]repo.Ref, error) {
	c := k.git(append([]string{"ls-remote", "--", m.URL}, patterns...)...)
	m.as(&c)
	out, err := command.Output(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read the mirror %q: %w", m.Name, err)
	}
	return repo.ParseRefs(string(out))
}

// Tip reads a branch of the mirror now, empty when it does not exist. It works in a
// directory of its own below scratch.
func (m Mirror) Tip(ctx context.Context, scratch, branch string) (string, error) {
	k, err := openDesk(ctx, &action.Env{Scratch: scratch}, Repo{Name: m.Name})
	if err != nil {
		return "", err
	}
	defer k.close()
	refs, err := k.refsAt(ctx, m, "refs/heads/"+branch)
	return oidOf(refs, "refs/heads/"+branch), err
}

// fetchFrom brings refs of a mirror into the desk.
func (k *desk) fetchFrom(ctx context.Context, m Mirror, what, as string) error {
	c := k.git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", m.URL, "+"+what+":"+as)
	m.as(&c)
	if _, err := command.Run(ctx, c); err != nil {
		return fmt.Errorf("fetch %q from %q: %w", what, m.Name, err)
	}
	return nil
}

// see makes sure that the desk sees the tip of a branch.
func (k *desk) see(ctx context.Context, r Repo, branch, oid string) error {
	types, err := k.types(ctx, []string{oid})
	if err != nil || types[oid] != "" {
		return err
	}
	if err := k.fetch(ctx, r, "refs/heads/"+branch, "refs/desk/tip"); err != nil {
		return err
	}
	if types, err = k.types(ctx, []string{oid}); err == nil && types[oid] == "" {
		return fmt.Errorf("%w: %s/%s moved while it was read", action.ErrChanged, r.remoteName(), branch)
	}
	return err
}

// lease is one conditional move of a branch. An empty old means that it must not exist,
// an empty new deletes it.
type lease struct {
	branch, old, new string
	plain            bool // without force: only forward
}

// command is what a person would type.
func (l lease) command(r Repo) string {
	args := []string{"git"}
	if r.Dir != "" {
		args = append(args, "-C", shellWord(r.Dir))
	}
	for _, a := range l.args(showURL(r.Remote)) {
		args = append(args, shellWord(a))
	}
	return strings.Join(args, " ")
}

func (l lease) args(remote string) []string {
	ref := "refs/heads/" + l.branch
	args := []string{"push", "--porcelain", "--no-verify"}
	if !l.plain {
		args = append(args, "--force-with-lease="+ref+":"+l.old)
	}
	return append(args, "--", remote, l.new+":"+ref)
}

// do makes the move.
func (l lease) do(ctx context.Context, env *action.Env, k *desk, r Repo) error {
	return k.send(ctx, env, r, l.args(r.Remote), fmt.Sprintf(
		"nothing was moved. If %s is protected: \"lifeboat run branch-protection --param asset=%s --param branch=%s\" takes the protection off for this push and puts it back exactly; then try this step again. If a rule of the server says no, talk to whoever owns it",
		l.branch, shellWord(r.Name), shellWord(l.branch)))
}

// send pushes. The error wraps ErrChanged when a ref was not as expected, ErrUnclear when the
// answer was lost, and is a plain error with the advice refused when the server said no.
func (k *desk) send(ctx context.Context, env *action.Env, r Repo, args []string, refused string) error {
	c := k.git(args...)
	var out bytes.Buffer
	c.Stdout = &out
	res, err := command.Run(ctx, c)
	for line := range strings.Lines(out.String() + string(res.Stderr)) {
		env.Printf("%s", strings.TrimSpace(line))
	}
	status := pushStatus(out.String())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, command.ErrNotFound):
		return err
	case strings.Contains(status, "[rejected]"):
		return fmt.Errorf("%w: %s", action.ErrChanged, printable.Line(status))
	case strings.Contains(status, "[remote rejected]"):
		return hint.Wrap(fmt.Errorf("push to %s: the server refuses: %s", r.remoteName(), printable.Line(status)), refused)
	}
	return fmt.Errorf("%w: push to %s: %w", action.ErrUnclear, r.remoteName(), err)
}

// pushStatus is the porcelain line of a ref that was not pushed.
func pushStatus(out string) string {
	for line := range strings.Lines(out) {
		if rest, bad := strings.CutPrefix(line, "!\t"); bad {
			return strings.TrimSpace(strings.ReplaceAll(rest, "\t", " "))
		}
	}
	return ""
}

// showURL is an address without its password.
func showURL(s string) string {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		return u.Redacted()
	}
	return s
}

// showRemote is the address as short as it is still clear.
func showRemote(r Repo) string {
	s := showURL(r.Remote)
	for _, scheme := range []string{"https://", "ssh://", "file://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	return strings.TrimSuffix(filepath.Clean(s), ".git")
}

// shellWord quotes where a shell would need it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
