package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/console"
	"lifeboat/internal/engine"
	"lifeboat/internal/estate"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// Books implements console.Backend.
func (b *backend) Books(ctx context.Context) ([]console.Book, error) {
	list := b.world.shelf.library.List()
	var wanted []journal.Want
	for _, book := range list {
		for _, mode := range []run.Mode{run.Live, run.Drill, run.Dry} {
			wanted = append(wanted, journal.Want{Mode: mode, Book: book.Name}, journal.Want{Mode: mode, Book: book.Name, Incomplete: true})
		}
	}
	latest, err := b.world.journal.Ended(ctx, wanted, 1)
	if err != nil {
		return nil, err
	}
	room := b.room()
	var out []console.Book
	for _, book := range list {
		c := b.describe(book)
		c.Room = room
		for _, s := range slices.Backward(latest) { // the newest last
			if s.Started.Book == book.Name {
				c.remember(s)
			}
		}
		out = append(out, c.Book)
	}
	return out, nil
}

// described is a runbook with the digest of its program, which says whether a past run
// was one of the same text.
type described struct {
	console.Book
	digest string
}

// remember takes a run of the book; they come oldest first.
func (d *described) remember(s journal.Summary) {
	deed := console.Deed{At: s.First, By: s.Started.By, RTO: s.Started.RTO, Same: s.Started.Digest == d.digest}
	r := pastRun(s, nil)
	deed.Took = r.Took()
	if s.Score != nil {
		deed.Score, deed.Of = s.Score.Points, s.Score.Of
	}
	d.LastRun, d.LastOutcome, d.LastMode = s.First, s.Outcome, s.Started.Mode
	if s.Outcome != run.Complete && s.Outcome != run.CompleteWithOverrides || s.Score != nil && !s.Score.Passed {
		return
	}
	switch s.Started.Mode {
	case run.Drill:
		d.Drilled = deed
	case run.Live:
		d.Used = deed
	}
}

// room says how much space is left where runs write; empty when nobody knows.
func (b *backend) room() string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(b.world.files.Dir, &s); err != nil {
		return ""
	}
	return printable.Size(int64(s.Bavail)*int64(s.Bsize)) + " free here"
}

func (b *backend) describe(book *runbook.Book) described {
	p, found := b.world.shelf.compile(book, b.world.shelf.library.Problems(book))
	c := console.Book{
		Name: book.Name, Title: book.Title, Kind: string(book.Meta.Kind), Level: book.Meta.Level,
		Summary: book.Intro, When: book.Meta.When, NotFor: book.Meta.NotFor, Asset: book.Meta.Asset,
		Steps: p.Outline(), Guidance: p.Guidance(), Broken: engine.HasErrors(found), NoWayBack: p.NoWayBack(),
		Owner: book.Meta.Owner, Reviewed: book.Meta.Reviewed, ReviewEvery: book.Meta.ReviewEvery, DrillEvery: b.drillHolds(book),
		Source: book.File, Body: string(book.Source),
	}
	for _, f := range found {
		c.Problems = append(c.Problems, f.Error())
	}
	c.Checks = b.checks(book)
	for _, s := range book.Steps {
		for _, block := range s.Blocks() {
			c.Commands = append(c.Commands, block.Action+" "+strings.Join(strings.Fields(block.Text), " "))
		}
	}
	if sc, ok := b.world.scenarioOf(book.Name); ok && b.world.sandbox() != nil && sc.Breaks() {
		c.Staged = "First a backup is taken, then this happens: " + sc.Summary
	}
	for _, m := range book.Params() {
		c.Params = append(c.Params, b.param(book, m))
	}
	if b.world.estate != nil && book.Meta.Asset != "" {
		for _, a := range b.world.estate.OfKind(book.Meta.Asset) {
			c.Assets = append(c.Assets, fmt.Sprintf("%s, %s, RTO %s, RPO %s", a.Name, a.Tier, incident.Span(a.RTO), incident.Span(a.RPO)))
		}
	}
	for _, tool := range book.Meta.Tools {
		if _, err := command.Find(b.world.programs(b.world.env.ctx), tool); err != nil {
			c.Missing = append(c.Missing, tool)
			continue
		}
		c.Tools = append(c.Tools, tool)
	}
	return described{c, p.Digest}
}

// drillHolds is how long a passed drill of a runbook proves something: as long as for the
// most urgent asset that it can be about.
func (b *backend) drillHolds(book *runbook.Book) time.Duration {
	return cmp.Or(b.world.drillEvery(book), (&estate.Estate{}).DrillEvery(book.Name, "standard"))
}

// param is what a person may set. The asset is one of those that the estate has.
func (b *backend) param(book *runbook.Book, m runbook.Param) console.Param {
	p := console.Param{Name: m.Name, Default: m.Default, Help: m.Help, Secret: m.Secret, Required: !m.HasDefault, Options: m.Options}
	if b.world.estate != nil && m.Of == "branch" {
		if book.Meta.Asset == estate.Git {
			if of := b.world.estate.OfKind(estate.Git); len(of) == 1 {
				if def, ok := b.world.branchOf(book, m, map[string]string{runbook.AssetParam: of[0].Name}); ok {
					p.Default, p.Required = def, false
				}
			}
		}
		return p
	}
	if b.world.estate != nil && m.Of != "" {
		there := b.world.estate.Named(m.Of)
		def, ok := suits(m, there)
		p.Default, p.Required, p.Options = def, !ok, there
		return p
	}
	if m.Name != runbook.AssetParam || b.world.estate == nil || book.Meta.Asset == "" {
		return p
	}
	for _, a := range b.world.estate.OfKind(book.Meta.Asset) {
		p.Options = append(p.Options, a.Name)
	}
	if len(p.Options) == 1 {
		p.Default, p.Required = p.Options[0], false
	}
	return p
}

// checks says in words what is checked after each step of a runbook.
func (b *backend) checks(book *runbook.Book) map[string][]string {
	out := map[string][]string{}
	for _, s := range book.Steps {
		for _, v := range s.Verify {
			says := v.Action
			for _, a := range b.world.actions {
				if a.Name == v.Action {
					says += ": " + a.Summary
				}
			}
			if v.Action == runbook.Shell {
				says = strings.TrimSpace(v.Text) + " succeeds"
			}
			out[s.ID] = append(out[s.ID], says)
		}
	}
	return out
}
