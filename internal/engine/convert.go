package engine

import (
	"io"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/run"
)

// The stored form of a plan belongs to package run and is frozen; what actions speak
// belongs to package action and grows. They meet here and nowhere else.

func storedPlan(p action.Plan) *run.Plan {
	out := &run.Plan{
		Summary: p.Summary, Effect: string(p.Effect), Command: p.Command, Target: p.Target, Token: p.Token,
		Checks: storedChecks(p.Checks), Facts: p.Facts, Stop: p.Stop, Back: p.Back, Closes: p.Closes,
	}
	for _, l := range p.Lines {
		out.Lines = append(out.Lines, run.Line(l))
	}
	for _, d := range p.Opens {
		out.Opens = append(out.Opens, run.Debt{ID: d.ID, Text: d.Text, Within: d.Within})
	}
	return out
}

func storedChecks(checks []action.Check) []run.Check {
	var out []run.Check
	for _, c := range checks {
		out = append(out, run.Check{Text: c.Text, OK: c.OK, Evidence: c.Evidence, About: c.About})
	}
	return out
}

// livePlan gives an action back the plan that it made, as the journal kept it.
func livePlan(p *run.Plan) action.Plan {
	if p == nil {
		return action.Plan{}
	}
	out := action.Plan{
		Summary: p.Summary, Effect: action.Effect(p.Effect), Command: p.Command, Target: p.Target, Token: p.Token,
		Facts: p.Facts, Stop: p.Stop, Back: p.Back, Closes: p.Closes,
	}
	for _, l := range p.Lines {
		out.Lines = append(out.Lines, action.Line(l))
	}
	return out
}

// logFile is a spool file behind the redactor.
type logFile struct {
	name string
	w    io.WriteCloser
	file SpoolFile
}

func (l *logFile) Write(p []byte) (int, error) { return l.w.Write(p) }

// close makes the file durable. Its loss is no reason to fail a step that succeeded:
// the log is then simply not there, and its absence is on record.
func (l *logFile) close() *run.Log {
	err := l.w.Close()
	kept, closeErr := l.file.Close()
	if err != nil || closeErr != nil {
		return nil
	}
	return &kept
}

// openLog makes the spool file of an attempt: "04-push-the-branch.1.log".
func (e *Engine) openLog(u *unit, attempt int, suffix string) (*logFile, error) {
	name := logName(e.position(u), u.ID, attempt, suffix)
	f, err := e.cfg.Spool.Create(e.view().ID, name)
	if err != nil {
		return nil, err
	}
	return &logFile{name: name, w: e.cfg.Redact.Writer(f), file: f}, nil
}

// fileName makes a step id safe as a part of a file name.
func fileName(id string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, id)
	if len(clean) > 60 {
		clean = clean[:60]
	}
	return clean
}
