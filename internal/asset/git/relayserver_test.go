package git

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"lifeboat/internal/command"
)

// forge serves the bare repositories of a directory as a real one does: git http-backend
// behind https, with hooks and settings of its own.
type forge struct {
	t       testing.TB
	dir     string
	server  *httptest.Server
	backend http.Handler

	mu sync.Mutex
	// step stands before the backend when it is not nil; it says whether the request goes
	// on to it.
	step func(w http.ResponseWriter, r *http.Request) bool
}

// newForge starts a forge that speaks HTTP/1.1, or HTTP/2 as the public ones do.
func newForge(t testing.TB, two ...string) *forge {
	t.Helper()
	backend := filepath.Join(git(t, "", "--exec-path"), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skip("git http-backend is not installed")
	}
	f := &forge{t: t, dir: t.TempDir()}
	env := []string{"GIT_PROJECT_ROOT=" + f.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=3"}
	for i, kv := range []string{"safe.directory=*", "http.receivepack=true", "gc.auto=0"} {
		k, v, _ := strings.Cut(kv, "=")
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, k), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, v))
	}
	f.backend = &cgi.Handler{Path: backend, Dir: f.dir, Env: env, Stderr: io.Discard}
	f.server = httptest.NewUnstartedServer(f)
	f.server.EnableHTTP2 = len(two) > 0
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	return f
}

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	step := f.step
	f.mu.Unlock()
	if step == nil || step(w, r) {
		f.run(w, r)
	}
}

// run lets the backend answer. Package cgi refuses a body of unknown length, and the
// backend takes one: it reads to the end.
func (f *forge) run(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if len(r.TransferEncoding) > 0 && r.ContentLength >= 0 {
		http.Error(w, "chunked, and of known length", http.StatusBadRequest)
		return
	}
	r.TransferEncoding = nil
	f.backend.ServeHTTP(w, r)
}

// on sets what stands before the backend.
func (f *forge) on(step func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step = step
}

// repo makes an empty repository and gives its address and directory.
func (f *forge) repo(name string) (address, dir string) {
	f.t.Helper()
	dir = filepath.Join(f.dir, name)
	git(f.t, "", "init", "--quiet", "--bare", "--template=", dir)
	return f.server.URL + "/" + name, dir
}

// hook gives a repository a hook.
func (f *forge) hook(dir, name, script string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "hooks"), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hooks", name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		f.t.Fatal(err)
	}
}

// isPush says whether a request carries a pack to a mirror.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

// sshHost is an SSH server of this process that runs the real git-upload-pack and
// git-receive-pack, for one user key.
type sshHost struct {
	t        testing.TB
	port     string
	known    string // a known_hosts file with its key
	identity string // the file of the user's key
}

func newSSHHost(t testing.TB) *sshHost {
	t.Helper()
	if _, err := command.Look("ssh"); err != nil {
		t.Skip("ssh is not installed")
	}
	h := &sshHost{t: t, known: filepath.Join(t.TempDir(), "known hosts"), identity: filepath.Join(t.TempDir(), "id")}
	host, _ := newKey(t)
	user, block := newKey(t)
	if err := os.WriteFile(h.identity, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, h.port, _ = net.SplitHostPort(listener.Addr().String())
	h.learn(h.known, host.PublicKey())
	var wait sync.WaitGroup
	t.Cleanup(func() { listener.Close(); wait.Wait() })
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { h.serve(conn, config) })
		}
	})
	return h
}

func newKey(t testing.TB) (ssh.Signer, *pem.Block) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, block
}

// learn writes a known_hosts file in which this host has a key.
func (h *sshHost) learn(file string, key ssh.PublicKey) {
	h.t.Helper()
	line := fmt.Sprintf("[127.0.0.1]:%s %s", h.port, ssh.MarshalAuthorizedKey(key))
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *sshHost) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // a client that does not trust us, or that we do not
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			c.Reject(ssh.UnknownChannelType, "")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		h.session(channel, requests)
	}
}

func (h *sshHost) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			r.Reply(false, nil)
			continue
		}
		var exec struct{ Command string }
		err := ssh.Unmarshal(r.Payload, &exec)
		r.Reply(err == nil, nil)
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{h.run(exec.Command, channel)}))
		return
	}
}

// run runs what a person's shell would, of git's two programs only.
func (h *sshHost) run(line string, channel ssh.Channel) uint32 {
	program, dir, _ := strings.Cut(line, " ")
	dir = strings.ReplaceAll(strings.Trim(dir, "'"), `'\''`, "'")
	if program != "git-upload-pack" && program != "git-receive-pack" {
		return 127
	}
	c := command.Cmd{
		Argv: []string{"git", "-c", "safe.directory=*", "-c", "receive.autogc=false", strings.TrimPrefix(program, "git-"), dir},
		Env:  map[string]string{"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}, StdinPipe: true, StdoutPipe: true, Stderr: channel.Stderr(),
	}
	p, err := command.Start(h.t.Context(), c)
	if err != nil {
		return 126
	}
	go func() {
		io.Copy(p.Stdin, channel)
		p.Stdin.Close()
	}()
	io.Copy(channel, bufio.NewReader(p.Stdout))
	if _, err := p.Wait(); err != nil {
		return 1
	}
	return 0
}

// repo makes an empty repository and gives its address and directory.
func (h *sshHost) repo(name string) (address, dir string) {
	h.t.Helper()
	dir = filepath.Join(h.t.TempDir(), name)
	git(h.t, "", "init", "--quiet", "--bare", "--template=", dir)
	return "ssh://git@127.0.0.1:" + h.port + strings.ReplaceAll(dir, " ", "%20"), dir
}
