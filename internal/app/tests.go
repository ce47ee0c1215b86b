package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/drill"
	"lifeboat/internal/durable"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/secret"
)

// bookTest is one test of a runbook: a scenario, and where its runbook is found.
type bookTest struct {
	drill.Scenario
	book  string            // a name of the library, or the path of a file
	books []runbook.NamedFS // of a person

	// liars puts actions that lie in the place of the real ones, to test the test; nil: none.
	liars func([]action.Action) []action.Action
}

// finding is one thing that a test has to say, and what to do about it.
type finding struct {
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
}

// testResult is how a test went.
type testResult struct {
	test     bookTest
	result   drill.Result
	why      []finding                // why it did not pass
	marks    map[runbook.Pos]markUsed // of checks with before=pass
	ahead    time.Duration            // spent on checks ahead of effects: no part of the recovery
	bare     map[string]runbook.Pos   // of steps whose effect no check of the runbook proves
	log      string                   // what happened, as lines; "" when it is gone
	output   []byte                   // the same, when somebody wants to read it
	sandbox  string                   // where it was kept, "" when it is gone
	canceled error
}

// markUsed says whether the mark before=pass on a check was needed.
type markUsed struct {
	step   string
	needed bool
}

func newResult(t bookTest) testResult {
	return testResult{test: t, marks: map[runbook.Pos]markUsed{}, bare: map[string]runbook.Pos{}}
}

func (t *testResult) fail(text, fix string) { t.why = append(t.why, finding{text, fix}) }

// passed says whether nothing speaks against it.
func (t *testResult) passed() bool { return len(t.why) == 0 && t.canceled == nil }

// stageOf is the private place of a test in the state directory:
//
//	tests/<test>/      0700, made anew by each test of that name, held while it goes on
//	  log              what happened, as lines
//	  state/           journal and logs of its runs
//	  sandbox/         the systems that were broken
//
// A test that passed leaves nothing of it, one that failed all but the sandbox.
type stageOf struct {
	dir  string
	held *durable.FileLock
}

func openStage(state, name string, who environment) (stageOf, error) {
	parent := filepath.Join(state, "tests")
	if err := durable.MkdirAll(parent); err != nil {
		return stageOf{}, err
	}
	held, err := durable.Lock(filepath.Join(parent, "."+name+".lock"), fmt.Sprintf("%s on %s, process %d", who.user, who.host, os.Getpid()))
	if err != nil {
		if _, taken := errors.AsType[*durable.LockedError](err); taken {
			err = hint.Wrap(fmt.Errorf("%w: %w", errBusy, err), "wait for the other test, or give this one a --state DIRECTORY of its own")
		}
		return stageOf{}, err
	}
	s := stageOf{filepath.Join(parent, name), held}
	if err := errors.Join(s.clear(who.ctx), durable.MkdirAll(s.dir)); err != nil {
		return s, errors.Join(err, held.Unlock())
	}
	return s, nil
}

// sandbox is where the sandbox of the test lies.
func (s stageOf) sandbox() string { return filepath.Join(s.dir, "sandbox") }

// tearDown removes the sandbox, after what keeps it alive has ended.
func (s stageOf) tearDown(ctx context.Context) error {
	if sb, err := sandbox.Open(s.sandbox()); err == nil {
		return sb.Remove(context.WithoutCancel(ctx))
	}
	return durable.RemoveTree(s.sandbox())
}

// clear removes all of it.
func (s stageOf) clear(ctx context.Context) error {
	return errors.Join(s.tearDown(ctx), durable.RemoveTree(s.dir))
}

// playTest makes a sandbox of its own, breaks it, lets the script walk the runbook and
// asks the oracle. It never looks at the estate of the person.
func playTest(env environment, state string, t bookTest, keep bool) (res testResult) {
	res = newResult(t)
	s, err := openStage(state, t.Name, env)
	if err != nil {
		res.fail(err.Error(), firstHint(err))
		return res
	}
	defer s.held.Unlock()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		res.fail(err.Error(), "")
		return res
	}
	err = env.perform(s, log, &res)
	log.Close()
	if err != nil {
		if env.ctx.Err() != nil {
			res.canceled = err
		}
		res.fail(err.Error(), firstHint(err))
	}
	res.log, res.sandbox = log.Name(), s.sandbox()
	res.output, _ = os.ReadFile(log.Name()) // to be shown; the file is the record
	var left error
	switch {
	case keep:
		return res
	case res.passed():
		left, res.log = s.clear(env.ctx), ""
	default:
		left = s.tearDown(env.ctx)
	}
	res.sandbox = ""
	if left != nil {
		res.fail("its sandbox could not be removed: "+left.Error(), "")
	}
	return res
}

func firstHint(err error) string {
	for _, h := range hint.All(err) {
		return h
	}
	return ""
}

// perform plays the test in its place. Its error is one of the test itself; what the test has
// found is in res.
func (env environment) perform(s stageOf, log io.Writer, res *testResult) (err error) {
	t := res.test
	env.stdout, env.stderr, env.dir, env.terminal = log, log, s.dir, false
	w, err := openState(env, settings{state: filepath.Join(s.dir, "state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if filepath.IsAbs(t.book) {
		w.near = filepath.Dir(t.book)
	}
	w.books, w.secrets, w.redact = t.books, map[string]secret.String{}, secret.NewRedactor()
	if _, err := sandbox.Make(env.ctx, s.sandbox(), sandbox.Options{}); err != nil {
		return fmt.Errorf("make sandbox: %w", err)
	}
	if err := w.useEstate(filepath.Join(s.sandbox(), estate.FileName)); err != nil {
		return err
	}
	leave, err := w.enter(env.ctx)
	if err != nil {
		return err
	}
	defer leave()
	l := &lines{w: log, now: env.now}
	if t.Scenario, err = w.stage(env.ctx, t.Scenario, func(format string, args ...any) { l.say(env.now(), format, args...) }); err != nil {
		if env.ctx.Err() == nil { // the advice of the sandbox is for those who stand in it
			res.fail(err.Error(), "mend what stands under prepare: or break: in "+t.File)
			return nil
		}
		return err
	}
	if t.Breaks() && t.Expect == run.Complete {
		v, err := w.askOracle(env.ctx)
		if err != nil {
			return err
		}
		if v.Recovered {
			res.fail("the oracle finds nothing wrong right after the breakage, so its verdict proves nothing",
				"let the oracle look at what is broken")
		}
	}
	w.before = res.early
	if t.liars != nil {
		w.actions = t.liars(w.actions)
	}
	r, took, err := w.walk(env.ctx, t, l)
	if err != nil && !errors.Is(err, engine.ErrPerson) && !errors.Is(err, drill.ErrRefused) {
		return err
	}
	if err != nil {
		res.fail(err.Error(), `say under "answers:" in `+t.File+" what the rehearsal does there")
	}
	v, err := w.askOracle(env.ctx)
	if err != nil {
		return err
	}
	res.judge(r, took, v)
	if err := res.traces(w.sandbox(), r); err != nil {
		return err
	}
	for _, line := range res.result.Lines() {
		fmt.Fprintln(log, line)
	}
	return nil
}

// walk plays the run.
func (w *world) walk(ctx context.Context, t bookTest, l *lines) (run.Run, time.Duration, error) {
	began := w.env.now()
	id, program, err := w.beginScenario(ctx, t.Scenario, t.book, drill.Cast{Trainee: drill.By, Auto: true}, time.Time{})
	if err != nil {
		return run.Run{}, 0, err
	}
	l.guidance = program.Guidance()
	r, err := w.drive(ctx, program, id, drill.NewAuto(t.Scenario), l.event, tee{w.files, l})
	return r, w.env.now().Sub(began), err
}

// askOracle gives the verdict about the run that has just ended, or asks for one.
func (w *world) askOracle(ctx context.Context) (sandbox.Verdict, error) {
	if v := w.verdict; v != nil {
		w.verdict = nil
		return *v, nil
	}
	v, err := w.sandbox().Judge(ctx)
	if err != nil {
		return v, fmt.Errorf("ask the oracle: %w", err)
	}
	return v, nil
}

// early takes what the checks of a step say before its effect.
func (t *testResult) early(b engine.Before) {
	t.ahead += b.Took
	for _, c := range b.Checks {
		if c.Marked {
			m := t.marks[c.Pos]
			t.marks[c.Pos] = markUsed{b.Step, m.needed || c.Holds}
			continue
		}
		if c.Holds {
			t.fail(fmt.Sprintf("%s: step %q: its check %q holds before the step has done anything, so it proves nothing", c.Pos, b.Step, c.Text),
				"let it look at what the step changes; if it may hold before and has to hold after, mark it before=pass")
		}
	}
	if len(b.Checks) > 0 {
		return
	}
	t.bare[b.Step] = b.Pos
	if b.Action == runbook.Shell {
		t.fail(fmt.Sprintf("%s: step %q: nothing proves it: it has no check, and that a script ends with 0 says only that it ended", b.Pos, b.Step),
			"add a block sh verify below it that looks at what the script changes")
	}
}

// judge holds the end against what the test expects.
func (t *testResult) judge(r run.Run, took time.Duration, v sandbox.Verdict) {
	t.result = drill.Score(t.test.Scenario, r, v, took-t.ahead)
	for _, why := range t.result.Why {
		t.fail(why, "")
	}
	for _, s := range r.Steps {
		if pos, ok := t.bare[s.ID]; ok && s.State == run.Verified && s.Evidence == "" && len(s.Checks) == 0 {
			t.fail(fmt.Sprintf("%s: step %q: nothing proves it: it has no check, and its action says nothing of what it found", pos, s.ID),
				"add a verify block below it")
		}
	}
	if r.Outcome != t.test.Expect {
		for _, s := range r.Steps {
			if s.Error != "" && !slices.Contains([]run.State{run.Verified, run.Claimed}, s.State) {
				t.fail(fmt.Sprintf("step %q: %s", s.ID, s.Error), firstOf(s.Hints))
			}
		}
	}
	for _, c := range v.Checks {
		// A run that is expected to stop half-way need not have recovered anything, but
		// what the test asks for itself has to hold then, too.
		if !c.OK && (!t.result.Passed || c.Text == sandbox.OwnOracle) {
			t.fail("oracle: "+c.Text+prefix(": ", c.Evidence), "")
		}
	}
}

// traces looks for what steps leave outside of the thing that was broken, where the oracle
// does not look: a message has arrived, a backup lies in the bucket.
func (t *testResult) traces(sb *sandbox.Sandbox, r run.Run) error {
	alerts, err := sb.Alerts()
	if err != nil {
		return err
	}
	points := sb.Points()
	for _, s := range r.Steps {
		if s.State != run.Verified || s.Plan == nil || s.Plan.Nothing {
			continue
		}
		switch s.Action {
		case "notify.send":
			if !slices.ContainsFunc(alerts, func(a sandbox.Alert) bool { return a.Tells(string(r.ID), s.ID) }) {
				t.fail(fmt.Sprintf("step %q: it says that a message was sent, and none arrived at the sandbox", s.ID), "")
			}
		case "git.backup", "sqlite.backup", "files.backup", "stream.backup", "vault.backup", "vault.archive":
			asset, began := s.Plan.Args["asset"], s.Began.Truncate(time.Millisecond)
			if !slices.ContainsFunc(points, func(p sandbox.Point) bool {
				return (asset == "" || p.Of(asset)) && !p.At.Before(began) && !p.At.After(s.Ended)
			}) {
				t.fail(fmt.Sprintf("step %q: it says that a backup was written, and the bucket has none", s.ID), "")
			}
		}
	}
	return nil
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
