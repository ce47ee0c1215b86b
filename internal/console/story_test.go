package console

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/runbooks"
)

// story builds the events of one run, folding as it goes, so that no test can show the
// console a history that cannot happen.
type story struct {
	t      testing.TB
	events []run.Event
	state  run.Run
	now    time.Time
}

const runID = run.ID("20261124T030005Z-7F3A")

var began = time.Date(2026, 11, 24, 3, 0, 5, 0, time.UTC)

var outline = []run.Outline{
	{ID: "freeze-pushes", Title: "Freeze pushes", Hand: true},
	{ID: "find", Title: "Find the last good commit", Action: "git.find-lost", Effect: "read"},
	{ID: "keep", Title: "Keep the lost commits safe", Action: "git.keep", Effect: "write"},
	{ID: "push", Title: "Push the recovered branch", Action: "git.push", Effect: "destroy"},
	{ID: "verify", Title: "Verify the remote", Action: "git.compare", Effect: "read"},
	{ID: "tell", Title: "Tell the team", Hand: true},
}

func newStory(t testing.TB) *story { return newStoryIn(t, run.Live) }

func newStoryIn(t testing.TB, mode run.Mode) *story {
	s := &story{t: t, now: began}
	return s.add(0, run.RunStarted, "", run.Started{
		Mode: mode, Book: "accidental-force-push", Title: "Undo an accidental force push", Level: 2,
		Asset: "monorepo", Steps: outline, By: "m.ito", Host: "rescue-01", Version: "1.0",
		Incident: began.Add(-7*time.Minute - 47*time.Second), RTO: time.Hour,
	})
}

func (s *story) add(after time.Duration, kind run.Kind, step string, body any) *story {
	s.t.Helper()
	s.now = s.now.Add(after)
	ev := run.Event{Run: runID, Seq: s.state.Seq + 1, At: s.now, Kind: kind, Step: step, Body: body}
	if kind == run.StepBegan || kind == run.UndoBegan {
		ev.Attempt = s.state.Step(step).Attempt + 1
	}
	next, err := run.Fold(s.state, ev)
	if err != nil {
		s.t.Fatal(err)
	}
	s.state = next
	s.events = append(s.events, ev)
	return s
}

// gate opens a gate; answer answers it.
func (s *story) gate(after time.Duration, step string, g run.Gate) *story {
	return s.add(after, run.GateOpened, step, g)
}

func (s *story) answer(after time.Duration, a run.Answer) *story {
	g := s.state.Gate
	a.Gate, a.By, a.How = g.Seq, "m.ito", "console"
	if a.Verb == run.Approve {
		a.Digest = g.Digest
	}
	return s.add(after, run.GateAnswered, g.Step, a)
}

func (s *story) begin(step string, plan *run.Plan) *story {
	b := run.Began{Action: s.state.Step(step).Action, Plan: plan, Log: step + ".1.log", Digest: "d-" + step}
	b.Gate = s.state.Step(step).Approval
	return s.add(time.Second, run.StepBegan, step, b)
}

const minute = time.Minute

// frozen has the first step done by hand.
func (s *story) frozen() *story {
	s.gate(time.Second, "freeze-pushes", run.Gate{Kind: run.Checklist, Digest: "d-freeze-pushes", Items: []run.Item{
		{Text: "Tell the team channel that nobody pushes to `main`"},
		{Text: "Name the person who confirmed it", Observe: true},
		{Text: "Count the pushes since the incident", Expect: "0"},
	}})
	return s
}

func (s *story) found() *story {
	s.frozen().answer(2*minute+45*time.Second, run.Answer{Verb: run.Give, Values: []string{"done", "s.kaya", "0"}})
	s.add(0, run.StepClaimed, "freeze-pushes", run.Verdict{By: "m.ito", Values: []string{"done", "s.kaya", "0"}})
	s.begin("find", &run.Plan{Summary: "looks for the tip that main had before", Effect: "read"})
	s.add(minute+42*time.Second, run.StepFinished, "find", run.Finished{Evidence: "9bd0e27, 14 commits by 6 people"})
	s.add(0, run.CheckMade, "find", run.Check{Text: "9bd0e27 is a commit", OK: true})
	s.add(0, run.StepVerified, "find", run.Verdict{Evidence: "9bd0e27, 14 commits by 6 people"})
	s.add(0, run.NoteAdded, "", run.Note{By: "m.ito", Text: "k.lind pushed a demo branch over main"})
	return s.add(0, run.NoteAdded, "", run.Note{By: "s.kaya", Text: "lock is on, go ahead"})
}

var keepPlan = &run.Plan{
	Summary: "copies both versions of main into the vault", Effect: "write",
	Lines:   []run.Line{{Label: "keeps", Text: "refs/lifeboat/7f3a/good 9bd0e27 and refs/lifeboat/7f3a/bad 3f2a1c9"}},
	Command: []string{"git bundle create --progress - --glob=refs/lifeboat/7f3a", "copy to s3://company-backups/runs/7f3a/lost.bundle"},
	Target:  "rescue-01:/srv/monorepo.git", Stop: "safe, nothing is moved: run it again",
	Back:   "delete refs/lifeboat/7f3a, nothing else knows them",
	Checks: []run.Check{{Text: "9bd0e27 is there", OK: true}, {Text: "31 GB free, 3 GB needed", OK: true}},
}

func (s *story) keepGate() *story {
	return s.found().gate(time.Second, "keep", run.Gate{Kind: run.Confirm, Digest: "d-keep", Plan: keepPlan})
}

func (s *story) keeping() *story {
	return s.keepGate().answer(4*time.Second, run.Answer{Verb: run.Approve}).begin("keep", keepPlan)
}

func (s *story) kept() *story {
	s.keeping().add(2*minute, run.StepFinished, "keep", run.Finished{Evidence: "4 of 4 checks", Back: keepPlan.Back})
	s.add(0, run.CheckMade, "keep", run.Check{Text: "refs/lifeboat/7f3a/good is 9bd0e27", OK: true})
	return s.add(0, run.StepVerified, "keep", run.Verdict{Evidence: "4 of 4 checks"})
}

var pushPlan = &run.Plan{
	Summary: "moves origin/main", Effect: "destroy", Once: true, Token: "main@3f2a1c9",
	Lines: []run.Line{
		{Label: "moves", Text: "origin/main 3f2a1c9 -> 9bd0e27"},
		{Label: "brings in", Text: "14 lost commits by 6 people, newest 9bd0e27 from 02:47"},
		{Label: "drops", Text: "2 commits by k.lind: 3f2a1c9 \"demo\", 8e02b6f \"squash for demo\"; kept as refs/lifeboat/7f3a/bad"},
	},
	Command: []string{"git push --force-with-lease=main:3f2a1c9 origin 9bd0e27:main"},
	Target:  "github.com:company/monorepo refs/heads/main",
	Back:    "push 3f2a1c9 again, about 20 s. Closes when people pull.",
	Checks: []run.Check{
		{Text: "origin/main is still 3f2a1c9", OK: true}, {Text: "both versions are in the vault", OK: true},
		{Text: "pushes frozen, none since 02:52:18", OK: true}, {Text: "s.kaya said go at 03:10:58", OK: true},
	},
}

func (s *story) pushGate() *story {
	return s.kept().gate(time.Second, "push", run.Gate{Kind: run.Token, Digest: "d-push", Token: "main@3f2a1c9", Plan: pushPlan})
}

func (s *story) pushing() *story {
	return s.pushGate().answer(20*time.Second, run.Answer{Verb: run.Approve, Token: "main@3f2a1c9"}).begin("push", pushPlan)
}

func (s *story) doubt() *story {
	s.pushing().add(2*minute, run.RunResumed, "", run.Resumed{By: "m.ito", Host: "rescue-01", Session: s.state.Driver.Session})
	s.add(3*time.Second, run.ProbeMade, "push", run.Probe{
		Finding: run.Applied, Command: []string{"git ls-remote origin refs/heads/main"},
		Before: "3f2a1c9", Wanted: "9bd0e27", Found: "9bd0e27", Means: "the push arrived: origin/main is where step 4 wanted it",
	})
	return s.gate(0, "push", run.Gate{Kind: run.Doubt, Digest: "d-push", Options: []run.Option{
		{Verb: run.Settle, Text: "Mark step 4 done and go on", Hint: "Step 5 checks the remote again."},
		{Verb: run.Retry, Text: "Run step 4 again", Hint: "With a new approval. Git would change nothing."},
		{Verb: run.Undo, Text: "Undo step 4", Hint: "Pushes 3f2a1c9 back, with a typed token."},
		{Verb: run.Reprobe, Text: "Probe again", Hint: "Looks at the target again, only reads."},
	}})
}

func (s *story) decision() *story {
	s.pushing().add(4*time.Second, run.StepFailed, "push", run.Failure{
		Error: "push to origin: remote rejected main: protected branch hook declined", Exit: 1,
		Hints: []string{"allow force pushes on main for the time of the recovery", "or ask a repository administrator to push"},
	})
	return s.gate(0, "push", run.Gate{Kind: run.Decision, Options: []run.Option{
		{Verb: run.Retry, Text: "Try step 4 again", Hint: "Reads the target again, shows the plan and asks for the token."},
		{Verb: run.Skip, Text: "Skip step 4", Hint: "Asks for a reason. It comes back at the end."},
		{Verb: run.Abandon, Text: "End the run here", Hint: "Nothing more runs. What has been changed stays changed."},
	}})
}

func (s *story) told() *story {
	s.pushing().add(5*time.Second, run.StepFinished, "push", run.Finished{Evidence: "origin/main is 9bd0e27", Back: pushPlan.Back})
	s.add(0, run.StepVerified, "push", run.Verdict{Evidence: "origin/main is 9bd0e27"})
	s.begin("verify", nil).add(minute, run.StepFinished, "verify", run.Finished{Evidence: "same tree, 14 of 14 commits"})
	s.add(0, run.StepVerified, "verify", run.Verdict{Evidence: "same tree, 14 of 14 commits"})
	return s.gate(time.Second, "tell", run.Gate{Kind: run.Input, Prompt: "Who confirmed that the team knows?"})
}

func (s *story) closing() *story {
	s.told().answer(time.Second, run.Answer{Verb: run.Skip, Class: run.NoTime, Reason: "they sleep"})
	s.add(0, run.StepSkipped, "tell", run.Reason{By: "m.ito", Class: run.NoTime, Text: "they sleep"})
	return s.gate(0, "", run.Gate{Kind: run.Closing, Prompt: "One step was skipped.", Options: []run.Option{
		{Verb: run.Finish, Text: "That is all", Hint: "The run ends as complete with overrides."},
		{Verb: run.Reopen, Text: "Do a skipped step after all"},
	}})
}

func (s *story) choosing() *story {
	return s.gate(time.Second, "freeze-pushes", run.Gate{Kind: run.Choice, Prompt: "Which one?", Options: []run.Option{
		{Verb: run.Give, Key: "new", Text: "The new one"}, {Verb: run.Give, Key: "old", Text: "The old one"}}})
}

func (s *story) secret() *story {
	return s.found().gate(time.Second, "keep", run.Gate{Kind: run.Input, Prompt: "token: of the forge", Secret: true})
}

// owing has a debt that was not paid at the end.
func (s *story) owing() *story {
	s.told().answer(time.Second, run.Answer{Verb: run.Skip, Class: run.NoTime, Reason: "they sleep"})
	s.add(0, run.StepSkipped, "tell", run.Reason{By: "m.ito", Class: run.NoTime, Text: "they sleep"})
	s.add(0, run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off"})
	return s.gate(0, "", run.Gate{Kind: run.Closing, Prompt: "Still open: branch protection of main is off", Options: []run.Option{
		{Verb: run.Settle, Key: "protection", Text: "I have put it back by hand", Hint: "Asks how you know."}}})
}

// nearly is a run of level 1 whose time is nearly spent.
func (s *story) nearly() *story {
	ev := s.events[0]
	started := ev.Body.(run.Started)
	started.Level, started.Incident = 1, began.Add(-19*minute)
	s.events, s.state, s.now = nil, run.Run{}, began
	return s.add(0, run.RunStarted, "", started).keepGate()
}

// late has a debt that is overdue, another with time left, and a step that works.
func (s *story) late() *story {
	s.keeping()
	s.add(0, run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off", Within: 5 * minute})
	s.add(0, run.DebtOpened, "", run.Debt{ID: "scale", Text: "booking-app is scaled to 0", Within: time.Hour})
	return s.add(7*minute, run.NoteAdded, "", run.Note{By: "s.kaya", Text: "how far are you?"})
}

// lateGate is the danger gate while something is overdue and the time of the level is over.
func (s *story) lateGate() *story {
	ev := s.events[0]
	started := ev.Body.(run.Started)
	started.Level, started.Incident = 1, began.Add(-40*minute)
	s.events, s.state, s.now = nil, run.Run{}, began
	s.add(0, run.RunStarted, "", started)
	s.kept()
	s.add(0, run.DebtOpened, "", run.Debt{ID: "protection", Text: "branch protection of main is off", Within: minute})
	return s.gate(2*minute, "push", run.Gate{Kind: run.Token, Digest: "d-push", Token: "main@3f2a1c9", Plan: pushPlan})
}

// told1 has the first of the contacts told.
func (s *story) told1() *story {
	return s.add(0, run.NoteAdded, "", run.Note{By: "m.ito", Text: "told S. Kaya (technical lead), +1 555 0142, s.kaya@example.com"})
}

func (s *story) complete() *story {
	s.told().answer(minute, run.Answer{Verb: run.Give, Values: []string{"p.osei"}})
	s.add(0, run.StepClaimed, "tell", run.Verdict{By: "m.ito", Values: []string{"p.osei"}})
	return s.add(time.Second, run.RunEnded, "", run.Ended{Outcome: run.Complete, By: "m.ito"})
}

// judged is a drill with the verdict of the oracle, which found something missing when
// lost is not empty.
func (s *story) judged(head, lost string) *story {
	s.complete()
	notes := []string{head, "OK the origin passes git fsck --full: no error", "OK every row from before is there: appointments 20422 of 20422"}
	if lost != "" {
		notes = append(notes, "FAILED every commit that the push dropped is on main again: 13 of 14", "lost: "+lost)
	}
	for _, n := range notes {
		s.add(time.Second, run.NoteAdded, "", run.Note{By: oracle, Text: n})
	}
	return s
}

// fakeBackend is a Backend of values.
type fakeBackend struct {
	fakeLook
	fakeRoom
	fakePast
	mu       sync.Mutex
	books    []Book
	runs     []Summary
	events   []run.Event
	progress Progress
	logs     map[string][]byte
	now      time.Time
	fail     error // of everything that asks for a change

	started  []Start
	attached []run.ID
	answers  []run.Answer
	stopped  int
	which    run.Attempt // was stopped last
	notes    []string
	raised   []string
	team     Team
	closed   int

	fakeVault
	fakeDrill
	fakeHistory
	fakeBridge
	fakeFaults
}

var _ Backend = (*fakeBackend)(nil)

func (b *fakeBackend) Books(context.Context) ([]Book, error)        { return b.books, nil }
func (b *fakeBackend) Runs(context.Context, int) ([]Summary, error) { return b.runs, b.listErr }
func (b *fakeBackend) Now() time.Time                               { return b.now }
func (b *fakeBackend) Progress(context.Context, run.ID) (Progress, error) {
	return b.progress, b.hostErr
}

func (b *fakeBackend) Start(_ context.Context, s Start) (run.ID, error) {
	if b.fail != nil {
		return "", b.fail
	}
	b.started = append(b.started, s)
	return runID, nil
}

func (b *fakeBackend) Attach(_ context.Context, id run.ID) error {
	b.attached = append(b.attached, id)
	return b.fail
}

func (b *fakeBackend) Events(_ context.Context, _ run.ID, after int64) ([]run.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events[min(int(after), len(b.events)):]), nil
}

func (b *fakeBackend) Answer(_ context.Context, _ run.ID, a run.Answer) error {
	if b.fail != nil {
		return b.fail
	}
	b.answers = append(b.answers, a)
	return nil
}

func (b *fakeBackend) Raise(_ context.Context, _ run.ID, to int, reason string) error {
	b.raised = append(b.raised, fmt.Sprintf("%d: %s", to, reason))
	return b.fail
}

func (b *fakeBackend) Team(context.Context) (Team, error) { return b.team, nil }

func (b *fakeBackend) Stop(_ context.Context, _ run.ID, which run.Attempt) error {
	b.stopped++
	b.which = which
	return b.fail
}

func (b *fakeBackend) Note(_ context.Context, _ run.ID, text string) error {
	b.notes = append(b.notes, text)
	return b.fail
}

func (b *fakeBackend) Log(_ context.Context, _ run.ID, name string) (Log, error) {
	if _, ok := b.logs[name]; !ok {
		return nil, hint.New("the log "+name+" is not there", "it may have been removed")
	}
	return &fakeLog{name, b}, nil
}

// fakeLog is a log that a test may let grow.
type fakeLog struct {
	name string
	b    *fakeBackend
}

func (l *fakeLog) Size() (int64, error) { return int64(len(l.b.logs[l.name])), nil }
func (l *fakeLog) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(l.b.logs[l.name]).ReadAt(p, off)
}

// Mark has one entry per line, and lines come every other second.
func (l *fakeLog) Mark(off int64) (start, lines, ms int64, ok bool) {
	b := make([]byte, off)
	n, _ := l.ReadAt(b, 0)
	lines = int64(bytes.Count(b[:n], []byte{'\n'}))
	start = int64(bytes.LastIndexByte(b[:n], '\n') + 1)
	return start, lines, began.Add(4*minute + 33*time.Second + time.Duration(2*lines)*time.Second).UnixMilli(), true
}

func (l *fakeLog) Gap() (from, to, before int64) { return 0, 0, 0 }
func (l *fakeLog) Close() error                  { l.b.closed++; return nil }

var errBroken = hint.New("the socket of the run does not answer", "attach again: lifeboat attach 7F3A")

func library() []Book {
	guidance := map[string]string{
		"freeze-pushes": "Nobody may push while the branch is moved, or their work is lost a second time.\n\n- [ ] Tell the team channel that nobody pushes to `${branch}`\n- [ ] Name the person who confirmed it {observe}\n",
		"find":          "What to look for, what the candidates mean.",
		"keep":          "Copies **both** versions of main into the vault before anything is moved.",
		"push":          "Moves main on the host back to the last good commit.\n\n> [!CAUTION]\n> Commits that are only in the bad version leave the branch.\n",
		"verify":        "Reads the remote again from a fresh clone.",
		"tell":          "Tell everybody what happened and what they must do now.",
	}
	books := []Book{{
		Name: "accidental-force-push", Title: "Undo an accidental force push", Kind: "recovery", Level: 2,
		Summary: "Someone force-pushed a shared branch and commits are gone.",
		When:    []string{"Commits that were on a shared branch are gone", "`git pull` reports a forced update"},
		NotFor:  []string{"a repository that fails git fsck: corrupted-repository"},
		Asset:   "git", Assets: []string{"monorepo, critical, RTO 1 h, RPO 15 min"}, Steps: outline, Guidance: guidance, Tools: []string{"git", "aws"},
		Commands: []string{"git.find-lost branch: ${branch}", "git.push force: with-lease"}, Room: "31 GiB free here", Owner: "devops",
		Drilled:    Deed{At: time.Date(2026, 10, 21, 9, 0, 0, 0, time.UTC), By: "s.kaya", Took: 21*minute + 40*time.Second, RTO: time.Hour, Score: 88, Of: 100, Same: true},
		Used:       Deed{At: time.Date(2026, 8, 8, 9, 0, 0, 0, time.UTC), By: "m.ito", Took: 26*minute + 45*time.Second, RTO: time.Hour},
		DrillEvery: 90 * 24 * time.Hour, ReviewEvery: 90 * 24 * time.Hour,
		Params: []Param{
			{Name: "branch", Default: "main", Help: "The branch that was overwritten"},
			{Name: "remote", Help: "Where it was pushed", Required: true, Default: "origin"},
			{Name: "depth", Default: "all", Options: []string{"all", "1000", "100"}, Help: "How far back to look"},
			{Name: "token", Secret: true, Help: "Of the forge"},
		},
		Checks:  map[string][]string{"push": {"git.compare: Compare a branch with what it should be"}},
		Staged:  "First a backup is taken, then this happens: A colleague force-pushes a demo over main.",
		LastRun: time.Date(2026, 10, 21, 9, 0, 0, 0, time.UTC), LastOutcome: run.Complete, LastMode: run.Drill,
		Reviewed: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), Source: "runbooks/accidental-force-push.md",
	}, {
		Name: "corrupted-repository", Title: "Recover a corrupted repository", Kind: "recovery", Level: 3,
		Summary: "git fsck fails after a forced stop.", When: []string{"git fsck reports missing or broken objects"},
		Steps: outline[:2], Problems: []string{"corrupted-repository.md:14:3: unknown action \"git.fsck\"; did you mean git.check?"},
		Broken: true, Source: "runbooks/corrupted-repository.md",
	}, {
		Name: "repository-backup", Title: "Back up the repository", Kind: "backup", Summary: "Daily incremental, weekly full.",
		Steps: outline[1:3], LastRun: began.Add(-2 * time.Hour), LastOutcome: run.Complete, LastMode: run.Live,
		Problems: []string{"repository-backup.md:3:1: reviewed 96 days ago, review_every is 90d"}, Source: "runbooks/repository-backup.md",
	}, {
		Name: "verify-backups", Title: "Verify the backups", Kind: "verification", Summary: "Reads every copy back.",
		Steps: outline[4:5], LastRun: time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC), LastOutcome: run.NotComplete, Source: "runbooks/verify-backups.md",
	}}
	return books
}

func pastRuns() []Summary {
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	return []Summary{
		{ID: runID, Book: "accidental-force-push", Title: "Undo an accidental force push", Asset: "monorepo", Mode: run.Live, By: "m.ito",
			At: began, Last: began.Add(6 * time.Minute), Steps: 6, Done: 2, Step: "Keep the lost commits safe", State: run.Running, Gate: run.Confirm, Hosted: true,
			Incident: began.Add(-7*minute - 47*time.Second), RTO: time.Hour},
		{ID: "20261117T140000Z-C2B9", Book: "database-restore", Mode: run.Drill, At: at(17, 14), Last: at(17, 14).Add(40 * time.Minute), Steps: 5, Done: 5, Outcome: run.Complete},
		{ID: "20261112T090000Z-11AA", Book: "corrupted-repository", Mode: run.Drill, At: at(12, 9), Last: at(12, 9).Add(24 * time.Minute), Steps: 5, Done: 5, Outcome: run.CompleteWithOverrides},
		{ID: "20261106T090000Z-0042", Book: "merge-conflict", Mode: run.Live, At: at(6, 9), Last: at(6, 9).Add(11 * time.Minute), Steps: 3, Done: 2, Outcome: run.Aborted},
	}
}

// team is the estate of the designs, with the questions that are shipped.
func team(t testing.TB) Team {
	t.Helper()
	src, err := runbooks.FS.ReadFile(incident.TreeFile)
	if err != nil {
		t.Fatal(err)
	}
	tree := &incident.Tree{}
	if bad := tree.Add(incident.TreeFile, src); len(bad) > 0 {
		t.Fatal(bad)
	}
	return Team{Tree: tree, Levels: estate.DefaultLevels(), File: "/srv/lifeboat.yaml", Contacts: []estate.Contact{
		{Name: "S. Kaya", Role: "technical lead", Phone: "+1 555 0142", Email: "s.kaya@example.com"},
		{Name: "R. Moss", Role: "DevOps", Phone: "+1 555 0163"},
		{Name: "N. Abadi", Role: "security", Phone: "+1 555 0171"},
		{Name: "P. Osei", Role: "management", Phone: "+1 555 0117"},
	}, Assets: []AssetName{{"monorepo", "git", "critical"}, {"booking.db", "sqlite", "critical"}, {"env files", "files", "standard"}}, Speaker: incident.Speaker{By: "m.ito", Host: "rescue-01", Estate: "company"}}
}

// driver runs a model without a terminal and without waiting: timers go off when a
// test says so.
type driver struct {
	t      testing.TB
	m      *Model
	b      *fakeBackend
	timers []tea.Msg
	quit   bool
}

// drive makes a console of the size with a story on it; a nil story stays at home.
func drive(t testing.TB, w, h int, s *story, change ...func(*fakeBackend, *Options)) *driver {
	t.Helper()
	b := &fakeBackend{books: library(), team: team(t), runs: pastRuns(), now: began.Add(5 * minute), logs: map[string][]byte{
		"find.1.log": []byte("reading reflog\n"),
		"keep.1.log": []byte("ref refs/lifeboat/7f3a/good -> 9bd0e27\nref refs/lifeboat/7f3a/bad  -> 3f2a1c9\nEnumerating objects: 184412, done.\nCounting objects:  10%\rCounting objects: 100% (184412/184412), done.\n\x1b[32mCompressing objects\x1b[0m: 100% (61207/61207), done.\nWriting objects:  63% (116180/184412)\n"),
		"push.1.log": []byte("git push --force-with-lease=main:3f2a1c9 origin 9bd0e27:main\nCounting objects: 100% (61/61), done.\nTotal 38 (delta 24), reused 0 (delta 0), pack-reused 0\n"),
	}}
	o := Options{User: "m.ito", Version: "1.0", State: "~/.local/state/lifeboat"}
	if s != nil {
		b.events, b.now, o.Run = s.events, s.now.Add(80*time.Second), runID
	} else {
		b.runs = b.runs[1:]
	}
	for _, c := range change {
		c(b, &o)
	}
	m, err := New(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{t: t, m: m, b: b}
	m.after = func(_ time.Duration, msg tea.Msg) tea.Cmd {
		return func() tea.Msg { d.timers = append(d.timers, msg); return nil }
	}
	d.send(tea.WindowSizeMsg{Width: w, Height: h})
	d.run(m.Init())
	d.wake()
	d.tick()
	return d
}

func (d *driver) send(msg tea.Msg) {
	_, cmd := d.m.Update(msg)
	d.run(cmd)
}

func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			d.run(c)
		}
	case tea.QuitMsg:
		d.quit = true
	default:
		d.send(msg)
	}
}

// tick lets all timers but the quiet ones go off once.
func (d *driver) tick() {
	d.fire(func(m tea.Msg) bool {
		switch m.(type) {
		case quietMsg, strokeMsg:
			return false
		}
		return true
	})
}

// wake ends the quiet time, also one that goes on because keys came in it.
func (d *driver) wake() {
	for range 3 {
		d.fire(func(m tea.Msg) bool { _, quiet := m.(quietMsg); return quiet })
	}
}

// rest is the pause between two keys of a person.
func (d *driver) rest() {
	d.fire(func(m tea.Msg) bool { _, stroke := m.(strokeMsg); return stroke })
}

func (d *driver) fire(which func(tea.Msg) bool) {
	var due, rest []tea.Msg
	for _, m := range d.timers {
		if which(m) {
			due = append(due, m)
		} else {
			rest = append(rest, m)
		}
	}
	d.timers = rest
	for _, m := range due {
		d.send(m)
	}
}

// press sends one key and ends the quiet time after it, as a person would.
func (d *driver) press(keys ...string) *driver {
	for _, k := range keys {
		d.send(keyPress(k))
		d.wake()
	}
	return d
}

func (d *driver) typeText(text string) *driver {
	for _, r := range text {
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		d.rest()
	}
	return d
}

// burst sends text as a terminal sends a paste that it does not mark: without a pause.
func (d *driver) burst(text string) *driver {
	for _, r := range text {
		if r == '\n' {
			d.send(keyPress("enter"))
			continue
		}
		d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
	d.rest()
	return d
}

// play lets the rest of a story happen.
func (d *driver) play(s *story) *driver {
	d.b.mu.Lock()
	d.b.events, d.b.now = s.events, s.now.Add(time.Second)
	d.b.mu.Unlock()
	d.tick()
	return d
}

func (d *driver) frame() string { return d.m.View().Content }

func keyPress(k string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "f1": tea.KeyF1, "f2": tea.KeyF2, "f3": tea.KeyF3, "f4": tea.KeyF4, "f5": tea.KeyF5, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace}
	if r, ok := special[k]; ok {
		return tea.KeyPressMsg{Code: r}
	}
	if rest, ok := strings.CutPrefix(k, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(rest)[0], Mod: tea.ModCtrl}
	}
	if k == "space" {
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	}
	r := []rune(k)[0]
	return tea.KeyPressMsg{Code: r, Text: k}
}

func sizeMsg(w, h int) tea.WindowSizeMsg { return tea.WindowSizeMsg{Width: w, Height: h} }
