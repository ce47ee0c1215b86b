package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/runner"
	"lifeboat/internal/sandbox"
)

// wish is what a person asks to run.
type wish struct {
	book     string
	params   map[string]string
	allow    map[string]string // step id -> token
	dry      bool
	incident time.Time
	level    int      // of the incident where it is above that of the runbook
	triage   []string // the answers that led to the runbook; nil: none did
	asset    string   // what the run is about, where the runbook does not say
	drill    *casting
}

// begin makes a run: the runbook is sound, the parameters fit, the asset is known, the
// start is durable and the runbook is pinned. Nothing of it has been done yet.
func (w *world) begin(ctx context.Context, s wish) (run.ID, *engine.Program, error) {
	p, err := w.shelf.ready(s.book)
	if err != nil {
		return "", nil, err
	}
	id, err := w.start(ctx, p, s)
	return id, p, err
}

// start is begin for a program that was found already.
func (w *world) start(ctx context.Context, p *engine.Program, s wish) (run.ID, error) {
	if err := w.mayAct("start a run"); err != nil {
		return "", err
	}
	if err := knows(s.allow, p.Outline()); err != nil {
		return "", err
	}
	start := engine.Start{Mode: w.mode(s.dry), Level: s.level, Triage: s.triage, Params: s.params, Section: p.Book.Anchor, Incident: s.incident}
	if w.estate != nil {
		start.Estate = w.estate.File
	}
	if err := w.chooseAsset(p, &start); err != nil {
		return "", err
	}
	if err := w.fit(p, &start); err != nil {
		return "", err
	}
	if s.asset != "" {
		start.Asset = s.asset
		if a, err := w.estate.Find(s.asset); err == nil {
			start.RTO = a.RTO
		} else if _, err := w.protected(s.asset, ""); err != nil {
			return "", usage(err)
		}
	}
	if kind := p.Book.Meta.Kind; kind == runbook.Backup || kind == runbook.Verification {
		start.RTO = 0 // nothing is broken that somebody waits for
	}
	if err := w.preflight(ctx, p, start); err != nil {
		w.missed(ctx, p.Book.Meta.Kind, "", "", err)
		return "", usage(err)
	}
	if s.drill != nil {
		w.cast(p, &start, *s.drill)
	}
	id, err := engine.Begin(w.programs(ctx), w.config(newPolicy(w.env.user, false, nil), w.files), p, start)
	if err != nil {
		return "", usage(err)
	}
	return id, w.shelf.pin(id, p)
}

// preflight refuses a backup or a verification whose vault or asset is not there: it
// would begin a run only to fail. A recovery is never refused here: something is
// missing, and that is why it is run.
func (w *world) preflight(ctx context.Context, p *engine.Program, start engine.Start) error {
	kind := p.Book.Meta.Kind
	if kind != runbook.Backup && kind != runbook.Verification || w.estate == nil {
		return nil
	}
	if w.uses(p, "vault.", ".backup") {
		if _, err := w.vaults.get(ctx); err != nil {
			return err
		}
	}
	if start.Asset == "" || w.vaultOnly(p) {
		return nil
	}
	a, err := w.estate.Find(start.Asset)
	if err != nil {
		return err
	}
	switch a.Kind {
	case estate.Git:
		if !filepath.IsAbs(a.Source()) {
			return nil // its server says so itself
		}
		if kind == runbook.Verification && w.uses(p, "git.check", "git.gather", "git.find-lost") {
			return nil // that it is gone is what a look at its health has to find, and to tell
		}
		if _, err := command.Output(ctx, command.Git(a.Source(), "rev-parse", "--git-dir")); err != nil {
			return hint.Wrap(fmt.Errorf("asset %q: %q is no git repository: %w", a.Name, a.Source(), err), "mend the path in "+w.estate.File)
		}
	case estate.SQLite:
		if info, err := os.Stat(a.Path); err != nil || !info.Mode().IsRegular() {
			return hint.Wrap(errors.Join(fmt.Errorf("asset %q: %q is no database file", a.Name, a.Path), err), "mend the path in "+w.estate.File)
		}
	}
	return nil
}

// vaultOnly says that no step reads an asset itself: backups are proven, copied and given
// up also when what they are of is lost, and that is when it matters.
func (w *world) vaultOnly(p *engine.Program) bool {
	return !slices.ContainsFunc(p.Outline(), func(o run.Outline) bool {
		return !strings.HasPrefix(o.Action, "vault.") || o.Action == "vault.backup" || o.Action == "vault.archive"
	})
}

// uses says whether a step of the program has an action whose name holds one of these.
func (w *world) uses(p *engine.Program, parts ...string) bool {
	return slices.ContainsFunc(p.Outline(), func(o run.Outline) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(o.Action, part) })
	})
}

// chooseAsset fills in the asset that the runbook is about: the one that was given, or
// the only one of its kind.
func (w *world) chooseAsset(p *engine.Program, start *engine.Start) error {
	kind := p.Book.Meta.Asset
	if kind == "" {
		return nil
	}
	if w.estate == nil {
		return usage(fmt.Errorf("runbook %q is about a %s asset: %w", p.Book.Name, kind, errNoEstate))
	}
	name := start.Params[runbook.AssetParam]
	for _, m := range p.Book.Params() {
		if m.Name == runbook.AssetParam && m.Of != "" && name == "" { // says more than the kind
			if only, ok := suits(m, w.estate.Named(m.Of)); ok {
				name = only
			}
		}
	}
	if name == "" {
		of := w.estate.OfKind(kind)
		if len(of) != 1 {
			var names []string
			for _, a := range of {
				names = append(names, a.Name)
			}
			advice := "add --param asset=NAME; there are: " + strings.Join(names, ", ")
			if len(of) == 0 {
				advice = fmt.Sprintf("add an asset of kind %s to %s", kind, w.estate.File)
			}
			return usage(hint.Wrap(fmt.Errorf("runbook %q is about a %s asset, and the estate has %d", p.Book.Name, kind, len(of)), advice))
		}
		name = of[0].Name
	}
	a, err := w.estate.Find(name)
	if err != nil {
		return usage(err)
	}
	if a.Kind != kind {
		return usage(fmt.Errorf("asset %q is of kind %s, runbook %q is about %s", a.Name, a.Kind, p.Book.Name, kind))
	}
	start.Asset, start.RTO = a.Name, a.RTO
	start.Params = maps.Clone(start.Params)
	if start.Params == nil {
		start.Params = map[string]string{}
	}
	start.Params[runbook.AssetParam] = a.Name
	return nil
}

// load reads a run and puts its own estate into the world.
func (w *world) load(ctx context.Context, name string) (run.Run, error) {
	id, err := w.journal.Find(ctx, name)
	if err != nil {
		return run.Run{}, usage(err)
	}
	list, err := w.journal.Load(ctx, id)
	if err != nil {
		return run.Run{}, err
	}
	return run.FoldAll(list)
}

// settle makes the world that of an existing run: its estate, its fence.
func (w *world) settle(r run.Run) error {
	if r.Started.Estate == "" {
		return w.furnish()
	}
	if w.estate != nil && w.estate.File == r.Started.Estate {
		return nil
	}
	if err := w.useEstate(r.Started.Estate); err != nil {
		return err
	}
	if r.Started.Mode == run.Drill && w.sandbox() == nil {
		return hint.Wrap(fmt.Errorf("run %s was a drill, and its sandbox is gone", r.ID.Short()), "a drill cannot be taken up without its sandbox")
	}
	return nil
}

// drive hosts a run in this process until it stops. asker answers its gates; with nil
// whoever is attached does.
func (w *world) drive(ctx context.Context, p *engine.Program, id run.ID, asker engine.Asker, observe func(run.Run, run.Event), spool engine.Spool) (run.Run, error) {
	if err := w.mayAct("take a run up"); err != nil {
		return run.Run{}, err
	}
	leave, err := w.enter(ctx)
	if err != nil {
		return run.Run{}, err
	}
	defer leave()
	ctx = w.programs(ctx)
	host, err := runner.NewHost(w.files, id, fmt.Sprintf("%s on %s, process %d", w.env.user, w.env.host, os.Getpid()))
	if err != nil {
		return run.Run{}, err
	}
	defer host.Close()
	hands := &hands{ctx: ctx, unwatch: func() {}, local: asker, host: host, session: w.session}
	defer hands.endWatch()
	play := newPlay(ctx)
	defer play.end()
	cfg := w.config(played{hands, play}, spool)
	cfg.Progress = host.Progress
	if w.progress != nil {
		cfg.Progress = func(step string, done, total int64, unit string) {
			host.Progress(step, done, total, unit)
			w.progress(step, done, total, unit)
		}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	watch := w.newWatch(tick.C)
	cfg.Observe = func(r run.Run, ev run.Event) {
		host.Observe(r, ev)
		hands.observe(r, ev)
		watch.observe(ev)
		play.nudge()
		if observe != nil {
			observe(r, ev)
		}
	}
	e, err := engine.Open(ctx, cfg, p, id)
	if err != nil {
		return run.Run{}, err
	}
	hands.drives(e)
	if p, ok := asker.(*plain); ok {
		p.drives(seat{host.Seat(w.who()), e})
	}
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { watch.run(watching, e) })
	if e.Snapshot().Drill != nil {
		play.direct(e, w.env)
		host.Practise(play)
		if p, ok := asker.(interface{ practises(runner.Practice) }); ok {
			p.practises(play)
		}
		watched.Go(func() { play.run(watching) })
	}
	r, err := host.Run(ctx, e)
	stop()
	watched.Wait()
	if err == nil && w.sandbox() != nil && !r.Open() {
		return w.judge(ctx, e, r)
	}
	return r, err
}

// judge lets the oracle of the sandbox say what was recovered, and puts it on record.
func (w *world) judge(ctx context.Context, e *engine.Engine, r run.Run) (run.Run, error) {
	broken, err := w.sandbox().Broken()
	if err != nil || broken == "" && r.Drill == nil {
		return r, err
	}
	v, err := w.sandbox().Judge(ctx)
	if err != nil {
		return r, fmt.Errorf("judge the sandbox: %w", err)
	}
	w.verdict = &v
	for _, line := range verdictLines(v) {
		if err := e.Note(ctx, oracle, line); err != nil {
			return r, err
		}
	}
	if r = e.Snapshot(); r.Drill != nil && r.Score == nil {
		found, err := w.findings(ctx, &r, v)
		if err != nil {
			return r, err
		}
		if err := e.Drill(ctx, r.Judge(found)); err != nil {
			return r, fmt.Errorf("score the drill: %w", err)
		}
	}
	return e.Snapshot(), nil
}

// oracle is who writes the verdict about a sandbox into the record.
const oracle = "oracle"

func verdictLines(v sandbox.Verdict) []string {
	head := "NOT RECOVERED"
	if v.Recovered {
		head = "RECOVERED"
	}
	out := []string{head}
	for _, c := range v.Checks {
		out = append(out, fmt.Sprintf("%s %s%s", okWord(c.OK), c.Text, prefix(": ", c.Evidence)))
	}
	for _, l := range v.Lost {
		out = append(out, "lost: "+l)
	}
	return out
}

// tee copies what steps print to a second reader while it is spooled.
type tee struct {
	runner.Files
	to io.Writer
}

func (t tee) Create(id run.ID, name string) (engine.SpoolFile, error) {
	f, err := t.Files.Create(id, name)
	if err != nil {
		return nil, err
	}
	return teeFile{f, t.to}, nil
}

type teeFile struct {
	engine.SpoolFile
	to io.Writer
}

func (t teeFile) Write(p []byte) (int, error) {
	t.to.Write(p) // what is shown is a courtesy; the file is the record
	return t.SpoolFile.Write(p)
}

// hostWait is how long a new host may take until it answers.
const hostWait = 20 * time.Second

// attach makes sure that a process of its own hosts the run.
func (w *world) attach(ctx context.Context, id run.ID) error {
	client := w.hosts()
	there, err := client.Ping(ctx, id)
	if err != nil || w.look {
		return err
	}
	if there {
		return w.driven(ctx, client, id, "")
	}
	dir := w.files.Run(id)
	if err := durable.MkdirAll(dir); err != nil {
		return err
	}
	logPath := filepath.Join(dir, "host.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of the host: %w", err)
	}
	defer log.Close()
	groups, named := w.hostVars()
	_, err = command.Detach(command.Cmd{
		Argv: []string{w.env.exe, "host", string(id), "--state", w.state, "--session", w.session},
		Dir:  w.dir(), Inherit: groups, Env: named,
	}, log)
	if err != nil {
		return fmt.Errorf("start the process that hosts run %s: %w", id.Short(), err)
	}
	return w.driven(ctx, client, id, logPath)
}

// driven waits until a process drives the run: it listens before it has read the run, and
// who drives is known only then.
func (w *world) driven(ctx context.Context, client runner.Client, id run.ID, logPath string) error {
	ctx, cancel := context.WithTimeout(ctx, hostWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		room, err := client.Hello(ctx, id)
		switch {
		case errors.Is(err, runner.ErrProtocol):
			return err
		case err == nil && room.Driver.By != "":
			return nil
		}
		if r, err := w.load(ctx, string(id)); err == nil && !r.Open() {
			return nil // it has run to its end already
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tail, _ := os.ReadFile(logPath)
			return hint.Wrap(fmt.Errorf("run %s: its host did not start within %s: %s", id.Short(), hostWait, lastLine(tail)), "see "+logPath)
		}
	}
}

// hostVars are the variables that the process of a run needs, beside those that every
// program gets: groups of names, and single ones with their values. The estate may name
// one for a token that no program would be handed, such as $GIT_TOKEN.
func (w *world) hostVars() (groups []string, named map[string]string) {
	named = map[string]string{}
	for _, name := range slices.Concat(command.Cloud(), w.keyVars(), w.forgeTokens(), w.alertVars(),
		[]string{secretPrefix + "*", "LIFEBOAT_USER", "SUDO_USER", "XDG_CONFIG_HOME"}) {
		if strings.HasSuffix(name, "*") {
			groups = append(groups, name)
		} else if v := w.env.get(name); v != "" {
			named[name] = v
		}
	}
	return groups, named
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// host is the process of a run: it has no terminal, and nobody to tell.
func (w *world) host(ctx context.Context, name string) error {
	r, err := w.load(ctx, name)
	if err != nil {
		return err
	}
	if !r.Open() {
		return nil
	}
	if err := w.settle(r); err != nil {
		return err
	}
	p, err := w.shelf.pinned(r.ID, r.Started)
	if err != nil {
		return err
	}
	_, err = w.drive(ctx, p, r.ID, nil, nil, w.files)
	if errors.Is(err, engine.ErrLeft) {
		return nil
	}
	return err
}
