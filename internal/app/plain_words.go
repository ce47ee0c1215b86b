package app

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// command reads an answer. A few words are understood at every prompt and answer nothing:
// whom to call, a higher level, a note, the way back, who drives. Their first letters are
// enough where numbers are picked, and nowhere else: there a letter may be the answer.
func (p *plain) command(r *run.Run, word string, picks bool) (string, error) {
	for {
		text, err := p.read(r, word)
		if err != nil || p.hand == nil {
			return text, err
		}
		if done, err := p.word(r, text, picks); err != nil {
			return "", err
		} else if !done {
			return text, nil
		}
	}
}

// word carries a word out. It says whether text was one.
func (p *plain) word(r *run.Run, text string, picks bool) (bool, error) {
	if done, err := p.drillWord(r, text, picks); done || err != nil {
		return done, err
	}
	asked := p.hand.Snapshot().Asked
	switch {
	case text == "call" || picks && text == "c":
		return true, p.call(r)
	case text == "raise":
		return true, p.raise(r)
	case text == "note" || picks && text == "n":
		return true, p.note(r)
	case text == "undo plan" || picks && (text == "u" || text == "undo"):
		now := p.hand.Snapshot()
		p.out.wayBack(&now)
		return true, nil
	case text == "status" || picks && text == "m":
		now := p.hand.Snapshot()
		p.out.add("%s", incident.Status(&now, p.world.env.now()))
		return true, nil
	case text == "who":
		return true, p.who()
	case text == "take":
		return true, p.take()
	case (text == "give" || text == "keep") && asked != nil && !asked.Who.Is(p.world.who().Driver):
		return true, p.tell(p.hand.Decide(p.ctx, asked.Seq, text == "give"))
	case text == "?":
		p.help()
		return true, nil
	}
	return false, nil
}

// idle carries out a word that was typed while no question was open. What is no word is
// never an answer to one that comes later.
func (p *plain) idle(ctx context.Context, r *run.Run, text string) error {
	p.ctx = ctx
	if p.world.look && text != "?" && text != "who" && text != "status" && text != "m" && text != "call" && text != "c" {
		p.out.add("READ ONLY: nothing can be answered, stopped or noted from here. q leaves.")
		return nil
	}
	if text == "stop" || text == "s" {
		return p.stop(r)
	}
	done, err := p.word(r, text, true)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	if err == nil && !done {
		p.out.add("No question is open, %q was not taken for an answer. ? lists what can be typed.", text)
	}
	return err
}

// stop asks once more, and says whether stopping is safe.
func (p *plain) stop(r *run.Run) error {
	now := p.hand.Snapshot()
	s := now.Working()
	if s == nil {
		p.out.add("No step is running.")
		return nil
	}
	p.out.add("STOP step %d, %s? Is it safe: %s", now.Current()+1, s.Title, orElse(stopWords(s.Plan), "nothing is known about it"))
	p.out.add("Type stop to stop it, an empty line goes on.")
	text, err := p.read(r, "STOP")
	if err != nil || strings.TrimSpace(text) != "stop" {
		return err
	}
	return p.tell(p.hand.Stop(p.ctx, now.Attempt()))
}

func stopWords(p *run.Plan) string {
	if p == nil {
		return ""
	}
	return p.Stop
}

// watches reads words while somebody else drives the run that this process hosts, until ctx
// ends.
func (p *plain) watches(ctx context.Context, r run.Run) {
	p.ctx = ctx
	p.out.add("READ ONLY, you watch. ? keys   n note   c call   take to drive")
	for {
		got, err := p.in.read(ctx)
		if err != nil {
			return // nobody is there any more; the run goes on
		}
		text := strings.TrimSpace(got.text)
		p.shows(&r, text)
		switch {
		case text == "":
		case text == "q":
			p.out.add("This process hosts the run, which %s drives now. Ctrl+C ends it; the run", r.Driver.By)
			p.out.add("stays open then, and whoever attaches takes it up.")
		case p.idle(ctx, &r, text) != nil:
			return
		}
	}
}

// help lists the words.
func (p *plain) help() {
	for _, line := range []string{
		"A number, then Enter, picks a way on. Words understood everywhere, their",
		"letters only where numbers are picked:",
		"n note    put a remark on record",
		"c call    whom to call, and what to say",
		"u undo    the undo plan: shows the way back, runs nothing",
		"m status  one line about the run for the chat",
		"  raise   raise the level of the incident",
		"  who     who drives, and who watches",
		"  take    ask to drive a run that somebody else drives",
		"  give    hand the run to whoever asked for it; keep goes on driving",
		"q         leave; the run stays open",
	} {
		p.out.add("%s", line)
	}
	p.drillHelp()
}

// tell says why something could not be done, which ends nothing here.
func (p *plain) tell(err error) error {
	if err == nil || p.ctx.Err() != nil || errors.Is(err, engine.ErrStop) {
		return err
	}
	p.out.add("%s", sentence(err.Error()))
	for _, h := range hint.All(err) {
		p.out.add("%s", h)
	}
	return nil
}

// take asks to drive, and takes the run over once the driver had their time.
func (p *plain) take() error {
	err := p.hand.AskToDrive(p.ctx)
	if err != nil {
		return p.tell(err)
	}
	if room, err := p.hand.Room(p.ctx); err == nil && room.Asked && room.Driver.Session != p.session {
		p.out.add("%s has %s to answer. After that, type take again and you drive.", where(room.Driver, p.world.who().Driver), incident.Span(room.Wait()))
	}
	return nil
}

// who says who drives and who watches.
func (p *plain) who() error {
	room, err := p.hand.Room(p.ctx)
	if err != nil {
		return p.tell(err)
	}
	p.out.add("%s", company(room, p.world.who().Driver))
	return nil
}

// company says in a sentence who is at a run.
func company(room runner.Room, self run.Driver) string {
	text := where(room.Driver, self) + " drives"
	switch {
	case room.Driver.Is(self):
		text = "You drive"
	case !room.Here:
		text += ", and is not there"
	}
	var names []string
	for _, g := range room.Watch {
		switch name := g.By; {
		case g.Is(self):
		case g.ReadOnly:
			names = append(names, name+" (read only)")
		default:
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return text + "."
	case 1:
		return text + "; 1 watches: " + names[0] + "."
	}
	return text + "; " + strconv.Itoa(len(names)) + " watch: " + strings.Join(names, ", ") + "."
}

// call shows whom to call, and puts on record who was told.
func (p *plain) call(r *run.Run) error {
	now := p.hand.Snapshot()
	p.world.showCalls(p.out, now.Level, &now, "")
	calls := incident.Calls(now.Level, p.world.contacts())
	if len(calls) == 0 {
		return nil
	}
	p.out.add("Type the number of whom you told, it is put on record. An empty line")
	p.out.add("goes back.")
	for {
		text, err := p.read(r, "CALL")
		if text = strings.TrimSpace(text); err != nil || text == "" {
			return err
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(calls) {
			p.out.add("Type a number from 1 to %d, or an empty line.", len(calls))
			continue
		}
		if err := p.tell(p.hand.Note(p.ctx, incident.Told(calls[n-1]))); err != nil {
			return err
		}
	}
}

// raise asks for the higher level and for a reason.
func (p *plain) raise(r *run.Run) error {
	now := p.hand.Snapshot()
	if now.Level >= run.MaxLevel {
		p.out.add("It is %s, the highest.", incident.LevelName(now.Level))
		return nil
	}
	p.out.add("It is %s. A level is only ever raised:", incident.LevelName(now.Level))
	for n := now.Level + 1; n <= run.MaxLevel; n++ {
		l := incident.Level(p.world.estate, n)
		p.out.add("  %d  %s: %s, within %s", n, incident.LevelName(n), l.Response, incident.Span(l.Recovery))
	}
	p.out.add("Type its number. An empty line goes back.")
	for {
		text, err := p.read(r, "RAISE")
		if text = strings.TrimSpace(text); err != nil || text == "" {
			return err
		}
		to, err := strconv.Atoi(text)
		if err != nil || to <= now.Level || to > run.MaxLevel {
			p.out.add("Type a number from %d to %d, or an empty line.", now.Level+1, run.MaxLevel)
			continue
		}
		p.out.add("Why? In a sentence, kept in the record:")
		why, err := p.read(r, "REASON")
		if err != nil {
			return err
		}
		return p.tell(p.hand.Raise(p.ctx, to, strings.TrimSpace(why)))
	}
}

// note puts a remark on record.
func (p *plain) note(r *run.Run) error {
	text, err := p.read(r, "NOTE")
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return err
	}
	return p.tell(p.hand.Note(p.ctx, text))
}
