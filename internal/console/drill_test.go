package console

import (
	"context"

	"lifeboat/internal/run"
)

// fakeDrill is what a fakeBackend knows of drills.
type fakeDrill struct {
	items   []DrillItem
	alarm   DrillAlarm
	right   string // the runbook for the alarm
	report  DrillReport
	guesses []string
	staged  []DrillStart
	said    []string
	hints   []string
	ended   int
	broken  error // of everything that asks for a change
}

func (f *fakeDrill) Drills(context.Context) ([]DrillItem, error) { return f.items, nil }

func (f *fakeDrill) AlarmDrill(_ context.Context, d DrillStart) (DrillAlarm, error) {
	f.staged = append(f.staged, d)
	return f.alarm, f.broken
}

func (f *fakeDrill) GuessDrill(_ context.Context, book string) (run.ID, bool, error) {
	f.guesses = append(f.guesses, book)
	return runID, book == f.right, f.broken
}

func (f *fakeDrill) StartDrill(_ context.Context, d DrillStart) (run.ID, error) {
	f.staged = append(f.staged, d)
	return runID, f.broken
}

func (f *fakeDrill) SayInject(_ context.Context, _ run.ID, inject, text string) error {
	f.said = append(f.said, inject+": "+text)
	return f.broken
}

func (f *fakeDrill) TakeHint(_ context.Context, _ run.ID, step string) error {
	f.hints = append(f.hints, step)
	return f.broken
}

func (f *fakeDrill) EndDrill(context.Context, run.ID) error {
	f.ended++
	return f.broken
}

func (f *fakeDrill) ExportDrill(context.Context, run.ID) (DrillReport, error) {
	return f.report, f.broken
}
