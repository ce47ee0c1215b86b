package console

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// scene is a screen that has golden frames, in testdata/frames/NAME.txt.
type scene struct {
	name string
	make func(t *testing.T, w, h int) *driver
}

// scenes are all of them. A screen with a test file of its own keeps its scenes there,
// and adds them here in one line.
var scenes = slices.Concat(
	runScenes,
	lookScenes,
	bridgeScenes,
	logScenes,
)

var runScenes = []scene{
	{"library", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, practised).press("/") }},
	{"library-search", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("/").typeText("forc") }},
	{"library-level", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil).press("/").typeText("git forc").press("tab")
	}},
	{"library-nothing", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("/").typeText("xyzzy") }},
	{"library-broken", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil).press("/").typeText("curropted")
	}},
	{"document", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, written).press("/", "enter", "r", "down")
	}},
	{"plan", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, practised).press("/", "enter", "down", "down", "down")
	}},
	{"form", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil).press("/", "enter", "tab").typeText("-2").press("enter")
	}},
	{"form-list", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil).press("/", "enter", "s", "enter", "enter", "right")
	}},
	{"form-wrong", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil).press("/", "enter", "s", "enter", "ctrl+u", "ctrl+o")
	}},
	{"plan-start", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("/", "enter", "s", "ctrl+o") }},
	{"checklist", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).frozen()).press("1").typeText("s.ka")
	}},
	{"confirm", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keepGate()) }},
	{"run", func(t *testing.T, w, h int) *driver {
		s := newStory(t).keeping()
		return drive(t, w, h, s, practised, func(b *fakeBackend, _ *Options) {
			b.progress = Progress{Step: "keep", Done: 890e6, Total: 1420e6, Unit: "B", Since: s.now}
		})
	}},
	{"run-first", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping()) }},
	{"run-usual", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping(), practised) }},
	{"run-late", func(t *testing.T, w, h int) *driver {
		s := newStory(t).keeping()
		return drive(t, w, h, s.add(46*minute, run.NoteAdded, "", run.Note{By: "s.kaya", Text: "how far are you?"}), practised)
	}},
	{"run-stopped", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).told(), practised) }},
	{"danger", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).pushGate(), practised).typeText("main@3f2")
	}},
	{"doubt", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).doubt(), practised) }},
	{"decision", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).decision()) }},
	{"reason", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).decision()).press("2") }},
	{"undo", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).decision()).press("u") }},
	{"input", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).told()).typeText("p.os") }},
	{"secret", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).secret()).typeText("hunter2") }},
	{"choice", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).choosing()) }},
	{"owing", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).owing()) }},
	{"closing", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).closing()) }},
	{"result", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).complete()) }},
	{"steps", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).decision()).press("tab") }},
	{"log", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping()).press("l") }},
	{"help", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping()).press("?") }},
	{"palette", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping()).press(":") }},
	{"palette-search", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).keeping()).press(":").typeText("push")
	}},
	{"help-search", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).decision()).press("?").typeText("sto")
	}},
	{"start-sandbox", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, inSandbox).press("/", "enter", "s", "ctrl+o")
	}},
	{"preparing", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, nil, inSandbox).press("/", "enter")
		d.m.do(push{&waitScreen{book: &d.m.books[0], mode: run.Drill, since: d.m.now.Add(-3 * time.Second)}})
		return d
	}},
	{"checklist-missed", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStoryIn(t, run.Drill).frozen()).press("1", "enter")
	}},
	{"checklist-differs", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, newStory(t).frozen()).press("1")
		d.typeText("s.kaya").press("enter")
		return d.typeText("3").press("enter", "enter")
	}},
	{"danger-whole", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).pushGate()).press("down") }},
	{"run-many", func(t *testing.T, w, h int) *driver { return drive(t, w, h, manySteps(t, 40)) }},
	{"run-one", func(t *testing.T, w, h int) *driver { return drive(t, w, h, manySteps(t, 1)) }},
	{"run-phases", func(t *testing.T, w, h int) *driver { return drive(t, w, h, phased(t), practised) }},
	{"danger-long", func(t *testing.T, w, h int) *driver { return drive(t, w, h, longPlan(t)) }},
	{"checking-many", func(t *testing.T, w, h int) *driver { return drive(t, w, h, checkingMany(t)) }},
	{"checklist-bare", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).frozen()).press("1").typeText("ok").press("enter")
	}},
	{"ctrl-c", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping()).press("ctrl+c") }},
	{"ctrl-c-gate", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).pushGate()).press("ctrl+c") }},
	{"adrift", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).keeping(), dead) }},
	{"recovered", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStoryIn(t, run.Drill).judged("RECOVERED", ""))
	}},
	{"not-recovered", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStoryIn(t, run.Drill).judged("NOT RECOVERED", "8e02b6f \"fix(booking): no double charge\" by Thabo Nkosi"))
	}},
	{"triage", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("3") }},
	{"triage-unsure", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("0", "1") }},
	{"triage-end", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("2", "1") }},
	{"triage-doubt", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil).press("1", "0", "0", "0") }},
	{"triage-plan", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, brokenForce).press("0", "1", "2", "enter")
	}},
	{"call", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).late().told1()).press("c") }},
	{"call-nobody", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, func(b *fakeBackend, _ *Options) { b.team.Contacts = nil }).press("2", "c")
	}},
	{"raise", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).nearly()).press("R").typeText("three mirrors are h")
	}},
	{"nearly", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).nearly()) }},
	{"overdue", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).late()) }},
	{"overdue-danger", func(t *testing.T, w, h int) *driver { return drive(t, w, h, newStory(t).lateGate()) }},
	{"raised", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, newStory(t).late().add(time.Second, run.LevelRaised, "", run.Raise{By: "s.kaya", From: 2, To: 3}))
	}},
	{"bridge-owed", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, owed) }},
	{"start-owed", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, nil, owed).press("/", "enter", "s", "ctrl+o")
	}},
	{"vault", func(t *testing.T, w, h int) *driver { return openVault(t, w, h) }},
	{"vault-late", func(t *testing.T, w, h int) *driver { return openVault(t, w, h).press("down", "down", "down", "down") }},
	{"vault-silent", func(t *testing.T, w, h int) *driver {
		return openVault(t, w, h, func(b *fakeBackend, _ *Options) { b.vault.Problem = "list s3://company-backups: connection refused" })
	}},
	{"vault-empty", func(t *testing.T, w, h int) *driver {
		return openVault(t, w, h, func(b *fakeBackend, _ *Options) {
			b.vault = Vault{URL: "file:///srv/backups"}
			b.fakeVault.mirrors = nil
		})
	}},
	{"vault-none", func(t *testing.T, w, h int) *driver {
		return openVault(t, w, h, func(b *fakeBackend, _ *Options) {
			b.noVault = hint.New("open vault: /srv/lifeboat.yaml names none", "add one")
		})
	}},
	{"vault-prove", func(t *testing.T, w, h int) *driver { return openVault(t, w, h).press("t") }},
	{"vault-restore", func(t *testing.T, w, h int) *driver { return openVault(t, w, h).press("r") }},
	{"point", func(t *testing.T, w, h int) *driver { return openVault(t, w, h).press("enter") }},
	{"watching", func(t *testing.T, w, h int) *driver { return drive(t, w, h, drivenBy(t, ito).keeping(), at(kaya)) }},
	{"watching-danger", func(t *testing.T, w, h int) *driver { return drive(t, w, h, drivenBy(t, ito).pushGate(), at(kaya)) }},
	{"read-only", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, drivenBy(t, ito).doubt(), at(osei), readOnly)
	}},
	{"read-only-home", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, readOnly) }},
	{"takeover", func(t *testing.T, w, h int) *driver {
		s := drivenBy(t, ito).keeping()
		return drive(t, w, h, s, at(ito)).play(s.asks(kaya))
	}},
	{"takeover-danger", func(t *testing.T, w, h int) *driver {
		s := drivenBy(t, ito).pushGate()
		return drive(t, w, h, s, at(ito)).typeText("main@3f2").play(s.asks(kaya))
	}},
	{"takeover-asked", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, drivenBy(t, ito).keeping().asks(kaya), at(kaya))
	}},
	{"handed-over", func(t *testing.T, w, h int) *driver {
		s := drivenBy(t, ito).pushGate()
		return drive(t, w, h, s, at(ito)).play(s.asks(kaya).handed(kaya, run.NoAnswer))
	}},
	{"handed-to-me", func(t *testing.T, w, h int) *driver {
		s := drivenBy(t, ito).pushGate()
		return drive(t, w, h, s, at(kaya)).play(s.asks(kaya).handed(kaya, run.Given))
	}},
	{"since", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, drivenBy(t, ito).doubt(), at(ito), wasAtThree)
	}},
	{"since-working", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, drivenBy(t, ito).keeping(), at(ito), wasAtThree)
	}},
	{"status", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, drivenBy(t, ito).keeping(), at(ito)).press("m")
	}},
	{"history", func(t *testing.T, w, h int) *driver { return openPast(t, w, h) }},
	{"history-search", func(t *testing.T, w, h int) *driver {
		return openPast(t, w, h).press("down", "down", "/").typeText("restore")
	}},
	{"history-routine", func(t *testing.T, w, h int) *driver { return openPast(t, w, h).press("tab", "tab", "tab", "e") }},
	{"history-checking", func(t *testing.T, w, h int) *driver {
		d := openPast(t, w, h)
		d.m.past.audit, d.m.past.metrics, d.m.past.record = nil, nil, nil
		return d
	}},
	{"history-broken", func(t *testing.T, w, h int) *driver { return openPast(t, w, h, brokenChain) }},
	{"history-empty", func(t *testing.T, w, h int) *driver { return openPast(t, w, h, noPast) }},
	{"history-many", func(t *testing.T, w, h int) *driver { return openPast(t, w, h, manyRuns(10_000)).press("G") }},
	{"history-hostile", func(t *testing.T, w, h int) *driver { return openPast(t, w, h, hostilePast) }},
	{"timeline", func(t *testing.T, w, h int) *driver {
		return openPast(t, w, h).press("enter", "down", "down", "down", "down")
	}},
	{"timeline-settled", func(t *testing.T, w, h int) *driver {
		d := openPast(t, w, h).press("enter", "G")
		return d.press("up", "up", "up", "up", "up", "up", "up", "up", "up")
	}},
	{"playback", func(t *testing.T, w, h int) *driver {
		return openPast(t, w, h).press("p", "down", "down", "down", "down", "down", "down")
	}},
	{"playback-end", func(t *testing.T, w, h int) *driver { return openPast(t, w, h).press("p", "end") }},
	{"problem", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, newStory(t).keepGate())
		d.b.fail = errBroken
		return d.press("1")
	}},
	{"drills", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, nil, rehearsals)
		d.run(d.m.do(push{newDrills()}))
		return d
	}},
	{"training", func(t *testing.T, w, h int) *driver { return drive(t, w, h, nil, rehearsals).press("t") }},
	{"drill-begin", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, nil, rehearsals)
		d.run(d.m.do(push{newDrills()}))
		d.wake()
		return d.press("G", "enter")
	}},
	{"drill-alarm", func(t *testing.T, w, h int) *driver {
		d := drive(t, w, h, nil, rehearsals)
		d.run(d.m.do(startDrill{DrillStart{Scenario: "accidental-force-push"}, true}))
		d.wake()
		return d.typeText("back").press("enter")
	}},
	{"drill", func(t *testing.T, w, h int) *driver { return drive(t, w, h, rehearsal(t).injected(), soon) }},
	{"drill-danger", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).pushGate().arrives("support"), soon).typeText("main@3f2")
	}},
	{"drill-inject", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).injected(), soon).press("i").typeText("the copy must be ol")
	}},
	{"drill-choice", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).keeping().arrives("chief"), soon).press("i")
	}},
	{"drill-hint", func(t *testing.T, w, h int) *driver { return drive(t, w, h, rehearsal(t).keepGate()).press("h") }},
	{"drill-end", func(t *testing.T, w, h int) *driver { return drive(t, w, h, rehearsal(t).keeping()).press("x") }},
	{"drill-passed", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).scored(nil), rehearsals).press("e")
	}},
	{"drill-failed", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).scored(failedDrill), rehearsals)
	}},
	{"drill-unscored", func(t *testing.T, w, h int) *driver {
		return drive(t, w, h, rehearsal(t).complete(), rehearsals)
	}},
}

// soon looks at a run twelve seconds after its last event.
func soon(b *fakeBackend, _ *Options) { b.now = b.events[len(b.events)-1].At.Add(12 * time.Second) }

// written gives the first runbook a text with all that Markdown has.
func written(b *fakeBackend, _ *Options) {
	b.books[0].Body = "---\ntitle: Undo an accidental force push\nlevel: 2\n---\n\n# Undo an accidental force push\n\nSomebody pushed over a **shared** branch and commits are gone from it. This runbook\nfinds the last good tip, see [the manual](https://example.com/a).\n\n" +
		"## Freeze pushes {#freeze}\n\n- [ ] Tell the team channel that nobody pushes to `${branch}`\n  until further notice\n- [ ] Who confirmed it? {observe}\n\n1. first\n2. second\n\n" +
		"> [!CAUTION]\n> Commits that are only in the bad version leave the branch.\n\n| what | where |\n| --- | --- |\n| clones | `clones:` in lifeboat.yaml |\n\n```git.find-lost save=good\nasset: ${asset}\nbranch: ${branch}\n```\n\nBy hand:\n\n    git reflog show origin/main\n\n```sh\ngit fsck --no-reflogs --dangling | grep commit\n```\n"
}

// brokenForce is a library in which the runbook says level 1 where triage says 2.
func brokenForce(b *fakeBackend, _ *Options) { b.books[0].Level = 1 }

// owed has an open run that owes something.
func owed(b *fakeBackend, _ *Options) {
	b.runs = pastRuns()
	b.runs[0].Debts = []run.Debt{
		{ID: "scale", Text: "booking-app is scaled to 0", At: began},
		{ID: "protection", Text: "branch protection of main is off", Within: 2 * minute, At: began},
	}
}

// inSandbox starts the console where everything may be broken.
func inSandbox(_ *fakeBackend, o *Options) { o.Mode = run.Drill }

// dead lets nobody drive the run.
func dead(b *fakeBackend, _ *Options) {
	for i := range b.runs {
		b.runs[i].Hosted = false
	}
}

func plainFrame(s string) string {
	lines := strings.Split(ansi.Strip(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestSizes draws every scene in every size: no line may be wider and no frame taller
// than the terminal.
func TestSizes(t *testing.T) {
	sizes := [][2]int{{0, 0}, {1, 1}, {20, 5}, {59, 19}, {60, 20}, {61, 40}, {79, 23}, {80, 24}, {109, 27}, {110, 28}, {120, 20}, {200, 60}, {400, 120}}
	for _, sc := range scenes {
		d := sc.make(t, 120, 36)
		for _, size := range sizes {
			d.send(sizeMsg(size[0], size[1]))
			lines := strings.Split(d.frame(), "\n")
			if len(lines) > max(size[1], 1) {
				t.Errorf("%s at %v: %d lines", sc.name, size, len(lines))
			}
			for i, l := range lines {
				if w := ansi.StringWidth(l); w > size[0] {
					t.Errorf("%s at %v: line %d is %d cells wide: %q", sc.name, size, i, w, ansi.Strip(l))
				}
			}
		}
	}
}

// BenchmarkFrame is what one change on the screen costs at the design size.
func BenchmarkFrame(b *testing.B) {
	d := drive(b, 120, 36, newStory(b).pushGate())
	for b.Loop() {
		d.m.dirty = true
		d.frame()
	}
}

// TestProseFlows: the line ends of a Markdown source are not those of the screen.
func TestProseFlows(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		bare       bool
		want       []string
	}{
		{"paragraphs, lists, alerts", "One sentence\nover two lines.\n\n- [ ] Tell the team\n  on the channel {observe}\n- push to `${branch}`\n\n> [!CAUTION]\n> It is\n> lost.\n", true,
			[]string{"One sentence over two lines.", "", "□ Tell the team on the channel", "· push to ${branch}", "", "▲ CAUTION: It is lost."}},
		{"placeholders stay", "Run `restore <asset>` with <point>.", true, []string{"Run restore <asset> with <point>."}},
		{"a table", "| what | where |\n| --- | :--- |\n| a clone | one that is so far away that it does not fit into the row |\n", true,
			[]string{"what     where", "a clone  one that is so far away that it does not fit into", "         the row"}},
		{"a fence with its words", "```git.push effect=destroy\nbranch: main\n```", false, []string{"  git.push effect=destroy", "  branch: main"}},
		{"a long command goes on", "    " + strings.Repeat("abcdefghi ", 8), false, []string{"  " + strings.Repeat("abcdefghi ", 5) + "abcdef …", "  ghi abcdefghi abcdefghi"}},
		{"a fence left out", "before\n\n```sh\nrm -rf /\n```\n", true, []string{"before"}},
	} {
		var got []string
		for _, r := range prose(tc.text, 60, tc.bare) {
			text := ""
			for _, s := range r.left {
				text += s.text
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}
