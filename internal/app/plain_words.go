package app

import (
	"strconv"
	"strings"

	"lifeboat/internal/incident"
	"lifeboat/internal/run"
)

// command reads an answer. A few words are understood at every prompt and answer nothing:
// whom to call, a higher level, a note. Their first letters are enough where numbers are
// picked, and nowhere else: there a letter may be the answer.
func (p *plain) command(r *run.Run, word string, picks bool) (string, error) {
	for {
		text, err := p.read(r, word)
		if err != nil || p.hand == nil {
			return text, err
		}
		if done, err := p.drillWord(r, text, picks); err != nil {
			return "", err
		} else if done {
			continue
		}
		switch text {
		case "call":
			err = p.call(r)
		case "raise":
			err = p.raise(r)
		case "note":
			err = p.note(r)
		case "c", "n", "?":
			if !picks && text != "?" {
				return text, nil
			}
			switch text {
			case "c":
				err = p.call(r)
			case "n":
				err = p.note(r)
			default:
				p.out.add("call   whom to call, and what to say")
				p.out.add("raise  raise the level of the incident")
				p.out.add("note   put a remark on record")
				p.drillHelp()
				p.out.add("q      leave; the run stays open")
			}
		default:
			return text, nil
		}
		if err != nil {
			return "", err
		}
	}
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
		if err := p.hand.Note(p.ctx, p.by, incident.Told(calls[n-1])); err != nil {
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
		return p.hand.Raise(p.ctx, p.by, to, strings.TrimSpace(why))
	}
}

// note puts a remark on record.
func (p *plain) note(r *run.Run) error {
	text, err := p.read(r, "NOTE")
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return err
	}
	return p.hand.Note(p.ctx, p.by, text)
}
