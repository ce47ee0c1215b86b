package app

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin"
	"lifeboat/internal/drill"
	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/journal"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/runner"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/secret"
	"lifeboat/internal/vault"
)

// settings are the flags that every command takes.
type settings struct {
	state   string // --state
	estate  string // --estate
	sandbox bool   // --sandbox
	theme   string // --theme
	ascii   bool   // --ascii
	look    bool   // --readonly
	fps     int    // --fps
}

// world is Lifeboat put together for one estate: what a command, a host and the
// console are handed.
type world struct {
	env     environment
	session string // of whoever is at this process, see [run.Driver]
	look    bool   // read-only: nothing is started, answered, stopped or noted
	theme   string // --theme
	fps     int    // --fps; 0: the standard
	ascii   bool   // --ascii
	state   string // directory
	journal *journal.Journal
	files   runner.Files
	estate  *estate.Estate                  // nil: none was found
	box     atomic.Pointer[sandbox.Sandbox] // see [world.sandbox]; a drill may put another in its place
	actions []action.Action
	shelf   *shelf
	redact  *secret.Redactor
	secrets map[string]secret.String
	vaults  *vaults
	scratch *scratchDir // nil in a world that only looks

	books   []runbook.NamedFS   // of a person, for a sandbox whose own estate has none
	typed   *bufio.Reader       // see [world.stdin]
	near    string              // directory of a runbook that is tested as a file: what prepares it may lie there
	drills  rehearsed           // see [world.rehearsals]
	before  func(engine.Before) // of a test; nil: nobody asks
	verdict *sandbox.Verdict    // of the oracle about the run that ended last

	practice bool                                              // no estate was found, and the sandbox stands in for one
	reading  atomic.Bool                                       // the vault is being read for the board
	alerted  atomic.Bool                                       // somebody was told of a failure
	progress func(step string, done, total int64, unit string) // of the running step; nil: not shown
}

// sandbox is the one that the estate is of: every run is a drill then. nil: it is none.
func (w *world) sandbox() *sandbox.Sandbox { return w.box.Load() }

// rehearsed is read when somebody first needs it. It is safe for concurrent use.
type rehearsed struct {
	once sync.Once
	list *drill.Library
}

// lookState is openState for commands that only look: they also show what a newer
// Lifeboat has recorded, as far as it is understood, and a journal that was rolled back.
func lookState(env environment, s settings) (*world, error) {
	return openJournal(env, s, func(ctx context.Context, path string) (*journal.Journal, error) {
		j, err := journal.Open(ctx, path)
		if !errors.Is(err, journal.ErrNewer) && !errors.Is(err, journal.ErrRolledBack) {
			return j, err
		}
		complain(env.stderr, err)
		return journal.OpenReadOnly(ctx, path)
	})
}

// openState finds and opens the state directory and its journal.
func openState(env environment, s settings) (*world, error) {
	w, err := openJournal(env, s, journal.Open)
	if err != nil {
		return nil, err
	}
	// The journal may be writable where its directory is not; logs, sandboxes and the
	// next checkpoint are not then, and that shows in the middle of a run.
	if err := unix.Access(w.state, unix.W_OK|unix.X_OK); err != nil {
		err = hint.Wrap(fmt.Errorf("write to state directory %q: %w", w.state, err), "make it writable for you alone (0700), or pass --state DIRECTORY")
		return nil, usage(errors.Join(err, w.journal.Close()))
	}
	if w.scratch, err = openScratch(w); err != nil {
		return nil, usage(errors.Join(fmt.Errorf("open state directory: %w", err), w.journal.Close()))
	}
	return w, nil
}

func openJournal(env environment, s settings, open func(context.Context, string) (*journal.Journal, error)) (*world, error) {
	dir := s.state
	if dir == "" {
		var err error
		if dir, err = env.stateDir(); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, usage(err)
	}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, usage(hint.Wrap(fmt.Errorf("open state directory: %w", err), "pass --state DIRECTORY, or set XDG_STATE_HOME to a directory that you can write"))
	}
	w := &world{env: env, session: newSession(), look: s.look, theme: s.theme, fps: s.fps, ascii: s.ascii, state: dir, files: runner.Files{Dir: filepath.Join(dir, "runs")}, redact: secret.NewRedactor(), secrets: env.secrets()}
	for _, v := range w.secrets {
		w.redact.Add(v) // one too short to mask is refused when a step asks for it
	}
	if w.journal, err = open(env.ctx, filepath.Join(dir, "journal.db")); err != nil {
		return nil, usage(err) // nothing has run; code knows what else it may mean
	}
	return w, nil
}

// open is openState with the estate and the library that belong to it.
func open(env environment, s settings) (*world, error) {
	w, err := openState(env, s)
	if err != nil {
		return nil, err
	}
	file := s.estate
	switch {
	case s.sandbox:
		err = w.useSandbox(w.sandboxDir())
	case file != "":
		err = w.useEstate(file)
	default:
		file, err = estate.Locate(env.dir, env.configDir())
		if errors.Is(err, fs.ErrNotExist) {
			err = w.furnish()
		} else if err == nil {
			err = w.useEstate(file)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) sandboxDir() string { return filepath.Join(w.state, "sandbox") }

// useEstate reads lifeboat.yaml and everything that hangs on it.
func (w *world) useEstate(file string) error {
	src, err := os.ReadFile(file)
	if err != nil {
		return usage(hint.Wrap(fmt.Errorf("read estate: %w", err), "pass --estate FILE, or run in a directory that has a "+estate.FileName))
	}
	e, bad := estate.Load(file, src)
	if len(bad) > 0 {
		return problems(bad)
	}
	w.estate = e
	w.look = w.look || e.ReadOnly
	if sb, err := sandbox.Open(e.Dir); err == nil {
		w.box.Store(sb)
	}
	if err := w.furnish(); err != nil || w.sandbox() == nil || w.look {
		return err
	}
	if err := w.scoreLeft(w.env.ctx); err != nil {
		complain(w.env.stderr, fmt.Errorf("score the last drill: %w", err)) // it stays unscored, which nothing else hangs on
	}
	return nil
}

// useSandbox opens the sandbox at dir, making it when it is not there.
func (w *world) useSandbox(dir string) error {
	if _, err := sandbox.Open(dir); err != nil {
		if _, err := sandbox.Make(w.env.ctx, dir, sandbox.Options{}); err != nil {
			return fmt.Errorf("make sandbox: %w", err)
		}
	}
	return w.useEstate(filepath.Join(dir, estate.FileName))
}

// furnish builds what depends on the estate.
func (w *world) furnish() error {
	w.vaults = &vaults{world: w}
	w.actions = builtin.All(w.deps())
	shelf, err := newShelf(w)
	w.shelf = shelf
	return err
}

func (w *world) close() error {
	err := errors.Join(w.vaults.close(), w.journal.Close())
	if left := w.scratch.close(); left != nil {
		complain(w.env.stderr, left) // no outcome of a run
	}
	return err
}

// dir is where relative paths of runbooks start.
func (w *world) dir() string {
	if w.estate != nil {
		return w.estate.Dir
	}
	return w.env.dir
}

// mode is what a run that is started now may touch.
func (w *world) mode(dry bool) run.Mode {
	switch {
	case dry:
		return run.Dry
	case w.sandbox() != nil:
		return run.Drill
	}
	return run.Live
}

// config gives an engine its parts. asker, observe and progress are the caller's.
func (w *world) config(asker engine.Asker, spool engine.Spool) engine.Config {
	c := engine.Config{
		Journal: events{w.journal}, Actions: w.actions, Asker: asker, Spool: spool, Now: w.env.now,
		By: w.env.user, Session: w.session, Host: w.env.host, PID: os.Getpid(), Version: version, Dir: w.dir(),
		Redact: w.redact, Secrets: w.secrets, Before: w.before,
	}
	if w.sandbox() != nil {
		c.Fence = w.sandbox().Fence()
	}
	return c
}

// events turns the journal's sentinel into the engine's.
type events struct{ *journal.Journal }

var _ engine.Journal = events{}

func (e events) Append(ctx context.Context, ev run.Event) error {
	err := e.Journal.Append(ctx, ev)
	if errors.Is(err, journal.ErrConflict) {
		return fmt.Errorf("%w: %w", engine.ErrConflict, err)
	}
	return err
}

// vaults opens the vault of the estate when somebody first needs it. It is safe for
// concurrent use.
type vaults struct {
	world *world

	mu   sync.Mutex // of who opens it, never of who closes: a bucket that hangs while it is opened holds up no end
	open atomic.Pointer[vault.Vault]
}

func (v *vaults) get(ctx context.Context) (*vault.Vault, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if open := v.open.Load(); open != nil {
		return open, nil
	}
	e := v.world.estate
	if e == nil {
		return nil, fmt.Errorf("open vault: %w", errNoEstate)
	}
	if e.Vault == "" {
		return nil, hint.New(fmt.Sprintf("open vault: %s names none", e.File), "add \"vault: file:///path\" or the URL of a bucket")
	}
	open, err := v.at(ctx, e.Vault)
	if err == nil {
		v.open.Store(open)
	}
	return open, err
}

// at opens the vault at a URL of the estate, which has one set of keys.
func (v *vaults) at(ctx context.Context, url string) (*vault.Vault, error) {
	w := v.world
	if name, ok := estate.FromEnv(w.estate.Encryption.Keeper); ok && w.env.get(name) == "" {
		return nil, hint.Wrapf(fmt.Errorf("open vault: %s has its keeper in $%s, which is not set", w.estate.File, name),
			"set it; where only the break-glass key is at hand, take \"keeper:\" out and name the file of that key as \"identity:\"")
	}
	key, err := installationKey(w.state)
	if err != nil {
		return nil, err
	}
	r := w.estate.Retention
	return vault.Open(ctx, url, vault.Options{
		Version: version, Host: w.env.host, Sign: key, Now: w.env.now,
		Crypt: w.crypt(), Cache: filepath.Join(w.state, "cache"), Scratch: w.scratch.dir(), Lock: vault.Lock{For: r.Lock, Mode: r.LockMode},
	})
}

// copies opens the other vaults of the estate. One that cannot be opened is named by the
// error and does not keep the others away: the list has them, also beside an error.
func (v *vaults) copies(ctx context.Context) ([]*vault.Vault, error) {
	if v.world.estate == nil {
		return nil, errNoEstate
	}
	var out []*vault.Vault
	var errs []error
	for _, url := range v.world.estate.Copies {
		c, err := v.at(ctx, url)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, c)
	}
	return out, errors.Join(errs...)
}

// hold keeps other processes of this host from pruning the vault of the estate.
func (v *vaults) hold(context.Context) (func() error, error) {
	sum := sha256.Sum256([]byte(v.world.estate.Vault))
	lock, err := durable.Lock(filepath.Join(v.world.state, "prune-"+hex.EncodeToString(sum[:6])+".lock"),
		fmt.Sprintf("%s on %s, process %d", v.world.env.user, v.world.env.host, os.Getpid()))
	if err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}

// forget has the vault opened anew when it is needed next: another one lies at its place.
// The old one is not closed, because somebody may be reading it; it ends with the process.
func (v *vaults) forget() { v.open.Store(nil) }

func (v *vaults) close() error {
	if v == nil || v.open.Load() == nil {
		return nil
	}
	return v.open.Load().Close()
}
