package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// Source is where a repository is.
type Source struct {
	Path string // local directory, when it is local
	URL  string // https
	Host string // ssh: "user@host"
	Port string // ssh, empty for the default
	Dir  string // ssh: path on the host
}

// ParseSource reads a path, a file, https or ssh URL, or the short form host:path.
// Everything else is refused: other schemes make git run programs.
func ParseSource(s string) (Source, error) {
	bad := func(why string) (Source, error) {
		return Source{}, hint.Wrap(fmt.Errorf("repository %q: %s", redactURL(s), why),
			"Give a path, file:///path, https://host/path, ssh://user@host/path or user@host:path.")
	}
	if s == "" || strings.HasPrefix(s, "-") || strings.ContainsAny(s, "\x00\n\r") {
		return bad("is not the address of a repository")
	}
	scheme, _, hasScheme := strings.Cut(s, "://")
	if !hasScheme {
		host, dir, colon := strings.Cut(s, ":")
		switch {
		case strings.Contains(s, "::"):
			return bad("names a helper program")
		case colon && host != "" && dir != "" && !strings.Contains(host, "/"):
			return Source{Host: host, Dir: dir}, nil
		}
		abs, err := filepath.Abs(s)
		return Source{Path: abs}, err
	}
	u, err := url.Parse(s)
	if err != nil {
		return bad("is not a URL")
	}
	switch scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return bad("a file URL names a directory of this machine")
		}
		return Source{Path: filepath.Clean(u.Path)}, nil
	case "https":
		if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") {
			return bad("names no host")
		}
		return Source{URL: s}, nil
	case "ssh":
		if port := u.Port(); port != "" {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return bad("has no sound port")
			}
		}
		host := u.Hostname()
		if strings.HasPrefix(host, "-") || host == "" || u.Path == "" {
			return bad("names no host or no path")
		}
		if name := u.User.Username(); name != "" {
			host = name + "@" + host
		}
		if strings.HasPrefix(host, "-") {
			return bad("names no host")
		}
		return Source{Host: host, Port: u.Port(), Dir: u.Path}, nil
	}
	return bad(fmt.Sprintf("%q is not a way to reach a repository here", scheme))
}

// redactURL hides the credentials of a URL, which may stand in an error. The name alone
// stays only where it is no secret: forges take a token for a name over https.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	if _, has := u.User.Password(); !has && (u.Scheme == "https" || u.Scheme == "http") {
		u.User = url.User("xxxxx")
	}
	return u.Redacted()
}

// open begins a session with the server of the source.
func (src Source) open(ctx context.Context, k Kind, log io.Writer) (session, error) {
	return src.upload(ctx, k.link(log))
}

func (src Source) upload(ctx context.Context, l link) (session, error) {
	switch {
	case src.URL != "":
		return newSmart(src.URL, "git-upload-pack", l)
	case src.Host != "":
		return openStream(ctx, l.ssh(src, "git-upload-pack"), l)
	}
	if err := suitable(ctx, src.Path); err != nil {
		return nil, err
	}
	c := command.Git("", "upload-pack", "--strict", "--timeout=0", "--", gitDir(src.Path))
	return openStream(ctx, c, l)
}

// receive begins a push to the repository. Hooks of one on this machine do not run: they
// would run as us. Its receive.* settings count.
func (src Source) receive(ctx context.Context, l link) (intake, error) {
	switch {
	case src.URL != "":
		return newSmart(src.URL, "git-receive-pack", l)
	case src.Host != "":
		return openStream(ctx, l.ssh(src, "git-receive-pack"), l)
	}
	dir := gitDir(src.Path)
	if _, err := command.Output(ctx, command.Git(dir, "rev-parse", "--git-dir")); err != nil {
		return nil, hint.Wrapf(fmt.Errorf("repository %q: %w: %w", src.Path, ErrNotRepository, err),
			"Check the address; an empty repository is made with: git init --bare %s", src.Path)
	}
	return openStream(ctx, command.Git("", "receive-pack", "--", dir), l)
}

// ssh is the call that starts a program of git on the host, for the repository and with
// further words. The ssh program, not a library, so that the person's own configuration
// of hosts, keys and jumps counts as it does for every git push.
func (src Source) ssh(program string, words ...string) command.Cmd {
	return link{}.ssh(src, program, words...)
}

func (l link) ssh(src Source, program string, words ...string) command.Cmd {
	argv := []string{"ssh", "-oBatchMode=yes"}
	if l.strict {
		argv = append(argv, "-oStrictHostKeyChecking=yes")
	}
	if l.known != "" {
		argv = append(argv, `-oUserKnownHostsFile="`+l.known+`"`, "-oGlobalKnownHostsFile=/dev/null")
	}
	if l.identity != "" {
		argv = append(argv, "-oIdentitiesOnly=yes", "-i", l.identity)
	}
	if src.Port != "" {
		argv = append(argv, "-p", src.Port)
	}
	for _, w := range append([]string{src.Dir}, words...) {
		program += " '" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return command.Cmd{Argv: append(argv, "--", src.Host, program)}
}

// gitDir finds the repository of a work tree; anything else is its own.
func gitDir(path string) string {
	if info, err := os.Stat(filepath.Join(path, ".git")); err == nil && info.IsDir() {
		return filepath.Join(path, ".git")
	}
	return path
}

// suitable refuses local repositories that do not hold all their objects.
func suitable(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("is not a directory")
		}
		return hint.Wrap(fmt.Errorf("repository %q: %w: %w", path, ErrNotRepository, err),
			"Check the path of the asset in lifeboat.yaml.")
	}
	out, err := command.Output(ctx, command.Git(path, "rev-parse", "--git-dir", "--is-shallow-repository"))
	if err != nil {
		return hint.Wrap(fmt.Errorf("repository %q: %w: %w", path, ErrNotRepository, err),
			"Check the path of the asset, and that it is the top of a repository.")
	}
	if strings.Contains(string(out), "\ntrue\n") {
		return shallow(path)
	}
	out, err = command.Output(ctx, command.Git(path, "config", "--get-regexp", `^(extensions\.partialclone|remote\..*\.promisor)$`))
	var exit *command.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.Exit == 1) {
		return fmt.Errorf("read configuration of %q: %w", path, err)
	}
	if len(out) > 0 {
		return hint.Wrap(fmt.Errorf("%w: %q is a partial clone: it fetches missing objects when they are needed", ErrUnsuitable, path),
			"Back up the remote it was cloned from, or make it whole: git fetch --refetch --no-filter, then unset remote.<name>.promisor.")
	}
	return nil
}

func shallow(source string) error {
	return hint.Wrap(fmt.Errorf("%w: %q is shallow: its oldest commits lack their parents", ErrUnsuitable, redactURL(source)),
		"Back up the remote it was cloned from, or complete it: git fetch --unshallow.")
}

// same says whether two sources are one repository; see [SameRepository].
func (src Source) same(other Source) bool {
	if src.Path != "" || other.Path != "" {
		if src.Path == "" || other.Path == "" {
			return false
		}
		a, errA := os.Stat(gitDir(src.Path))
		b, errB := os.Stat(gitDir(other.Path))
		return filepath.Clean(src.Path) == filepath.Clean(other.Path) || errA == nil && errB == nil && os.SameFile(a, b)
	}
	hostA, portA, pathA := src.place()
	hostB, portB, pathB := other.place()
	ports := portA == portB || (src.URL == "") != (other.URL == "")
	return ports && hostA == hostB && pathA == pathB
}

// place takes the address of a server apart, in the one form that all ways of writing it
// have in common.
func (src Source) place() (host, port, path string) {
	if src.URL == "" {
		_, name, found := strings.Cut(src.Host, "@")
		if !found {
			name = src.Host
		}
		host, port, path = name, cmp.Or(src.Port, "22"), src.Dir
	} else if u, err := url.Parse(src.URL); err == nil {
		host, port, path = u.Hostname(), cmp.Or(u.Port(), "443"), u.Path
	}
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	return strings.TrimSuffix(strings.ToLower(host), "."), port, path
}

// String names the source without credentials.
func (src Source) String() string {
	switch {
	case src.URL != "":
		return redactURL(src.URL)
	case src.Host != "" && src.Port != "":
		return src.Host + ":" + src.Port + ":" + src.Dir
	case src.Host != "":
		return src.Host + ":" + src.Dir
	}
	return src.Path
}
