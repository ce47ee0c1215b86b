package app

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

// otherwise lists the parameters that another run has to be given otherwise: those that
// whoever ended it named, else those with which the failure of its last step lies.
func otherwise(r *run.Run) []string {
	if r.Drill != nil { // its scenario gives them
		return nil
	}
	i := r.Current()
	if r.Outcome == run.NotComplete && i < len(r.Steps) {
		return r.Steps[i].Blamed
	}
	return r.Anew
}

// anew is the command that begins the run once more, of the same incident, with the values
// that it had; those of names are left to be typed.
func (l *lines) anew(r *run.Run, names []string) string {
	cmd := "lifeboat run " + shellWord(r.Started.Book)
	for _, name := range slices.Sorted(maps.Keys(r.Started.Params)) {
		v := r.Started.Params[name]
		usual := slices.ContainsFunc(l.params, func(p runbook.Param) bool { return p.Name == name && p.HasDefault && p.Default == v })
		switch {
		case slices.Contains(names, name):
			cmd += " --param " + name + "=…"
		case v != "" && !usual:
			cmd += " --param " + shellWord(name+"="+v)
		}
	}
	if r.Started.RTO > 0 || !r.Started.Incident.IsZero() { // whoever waits has waited since then
		cmd += " --incident " + shellWord(r.Began().UTC().Format(time.DateTime))
	}
	if r.Level > 0 && len(r.Raised) > 0 {
		cmd += " --level " + strconv.Itoa(r.Level)
	}
	switch r.Started.Mode {
	case run.Drill: // the same words without it would touch what is real
		cmd += " --sandbox"
	case run.Dry:
		cmd += " --dry-run"
	}
	return cmd
}
