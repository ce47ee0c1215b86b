package run

import (
	"maps"
	"slices"
)

type refuse func(state State, why string, args ...any) error

// foldRun takes an event of the whole run into n, which Fold has already copied.
func (n Run) foldRun(ev Event, illegal refuse) (Run, error) {
	switch b := ev.Body.(type) {
	case Started:
		n.ID, n.At, n.Started, n.Level = ev.Run, ev.At, b, b.Level
		n.Driver = Driver{By: b.By, Session: b.Session, Host: b.Host}
		n.Steps = make([]Step, len(b.Steps))
		for i, o := range b.Steps {
			n.Steps[i] = Step{Outline: o, State: Pending}
		}
	case Resumed:
		n.Resumed = append(slices.Clone(n.Resumed), ev)
		n.Driver, n.Asked = Driver{By: b.By, Session: b.Session, Host: b.Host}, nil
		n.Gate = nil // the new engine reads the target again and asks again
		n.Steps = slices.Clone(n.Steps)
		for i := range n.Steps {
			s := &n.Steps[i]
			to, ok := next[s.State][RunResumed]
			if !ok {
				return n, illegal(s.State, "step %q cannot be resumed", s.ID)
			}
			if to == InDoubt {
				s.Probe = nil // what an earlier look found may not hold any more
				s.doubted(s.State, ev.Seq)
			}
			if to == Checking {
				s.Checks = s.own // all others are made again
			}
			s.State = to
			s.Approval, s.Approved = 0, "" // an approval never outlives the engine that asked for it
		}
	case Ended:
		n.Outcome, n.EndedAt, n.EndedBy, n.Reason, n.Anew, n.Gate = b.Outcome, ev.At, b.By, b.Reason, b.Anew, nil
	case Note:
		n.Notes = append(slices.Clone(n.Notes), Noted{At: ev.At, Note: b})
	case Request, Handover:
		return n.foldDriver(ev, illegal)
	case Raise:
		if b.From != n.Level || b.To <= b.From || b.To > MaxLevel {
			return n, illegal("", "level %d cannot be raised from %d to %d", n.Level, b.From, b.To)
		}
		n.Level = b.To
		n.Raised = append(slices.Clone(n.Raised), Raised{At: ev.At, Raise: b})
	case Debt:
		open := slices.IndexFunc(n.Debts, func(d Debt) bool { return d.ID == b.ID })
		switch {
		case ev.Kind == DebtOpened && open < 0:
			b.Seq, b.At = ev.Seq, ev.At
			n.Debts = append(slices.Clone(n.Debts), b)
		case ev.Kind == DebtClosed && open >= 0:
			n.Debts = slices.Delete(slices.Clone(n.Debts), open, open+1)
		default:
			return n, illegal("", "debt %q is not in that state", b.ID)
		}
	case Gate: // at the end of the run
		b.Seq = ev.Seq
		n.Gate = &b
	case Answer:
		if n.Gate == nil || n.Gate.Seq != b.Gate {
			return n, illegal("", "it answers gate %d, which is not open", b.Gate)
		}
		n.Gate = nil
	case DrillSetup, Arrival, InjectAnswer, HintTaking, Score:
		return n.foldDrill(ev, illegal)
	default:
		return n, illegal("", "body %T does not belong to a run", ev.Body)
	}
	return n, nil
}

// foldStep takes an event into s, whose State is already the next one. It holds no
// rule about what may follow what: those are all in the table.
func (n *Run) foldStep(s *Step, from State, ev Event, illegal refuse) error {
	switch b := ev.Body.(type) {
	case Gate:
		b.Seq, b.Step = ev.Seq, ev.Step
		n.Gate = &b
		s.Approval, s.Approved = 0, "" // it was for what an earlier gate showed
		if b.Undo {
			s.UndoPlan = b.Plan
		} else if b.Plan != nil {
			s.Plan = b.Plan
		}
	case Answer:
		if ev.Kind == DoubtSettled {
			if s.Undoing {
				return illegal(s.State, "the doubt is about its undo")
			}
			s.By, s.Evidence, s.Back = b.By, b.Reason, b.Extra[BackKey]
			var saved Saved
			if p := s.Probe; p != nil && p.Outputs != nil {
				saved = Saved{p.Scope, p.Save, p.Outputs}
			}
			s.changed(ev.Seq, saved)
			n.save(saved)
			break
		}
		if n.Gate == nil || n.Gate.Seq != b.Gate || n.Gate.Step != ev.Step {
			return illegal(s.State, "it answers gate %d, which is not open", b.Gate)
		}
		s.Approval, s.Approved = 0, ""
		if b.Verb == Approve {
			s.Approval, s.Approved = ev.Seq, b.Digest
			n.typed(b)
		}
		if b.Verb == Give && len(b.Values) > 0 { // half a list, left with "skip", is no answer to it
			s.Values, s.By = b.Values, b.By
		}
		n.Gate = nil
	case Began:
		return n.foldBegan(s, from, ev, b, illegal)
	case Finished:
		s.Evidence, s.Back, s.Log, s.Facts = b.Evidence, b.Back, b.Log, b.Facts
		s.Checks, s.own = b.Checks, b.Checks
		saved := Saved{b.Scope, b.Save, b.Outputs}
		s.changed(ev.Seq, saved)
		n.save(saved)
	case Check:
		s.Checks = append(slices.Clone(s.Checks), b)
	case Verdict:
		n.foldVerdict(s, ev, b)
	case Failure:
		s.Error, s.Hints, s.Exit, s.CheckFailed, s.Busy, s.Given, s.Blamed, s.Ended = b.Error, b.Hints, b.Exit, b.Check, b.Busy, b.Given, b.Blamed, ev.At
		if b.Log != nil {
			s.Log = b.Log
		}
		if ev.Kind == StepDoubted {
			s.doubted(from, ev.Seq)
		}
		n.Gate = nil
	case Reason:
		n.foldReason(s, from, ev, b)
	case Probe:
		s.Probe = &b
	default:
		return illegal(s.State, "body %T does not belong to a step", ev.Body)
	}
	return nil
}

// foldBegan takes an intent. An approval is consumed here, in the very event that
// makes the intent durable, so it can never serve a second attempt.
func (n *Run) foldBegan(s *Step, from State, ev Event, b Began, illegal refuse) error {
	undo := ev.Kind == UndoBegan
	if b.Gate != 0 && (s.Approval != b.Gate || s.Approved != b.Digest) {
		return illegal(s.State, "approval %d is not open for this digest", b.Gate)
	}
	effect := s.Effect
	if b.Plan != nil {
		effect = b.Plan.Effect
	}
	if b.Gate == 0 && effect != "read" && n.Started.Mode != Dry {
		return illegal(s.State, "effect %q without an approval", effect)
	}
	if ev.Attempt != s.Attempt+1 {
		return illegal(s.State, "attempt %d expected", s.Attempt+1)
	}
	if undo && from == InDoubt && !s.Undoing {
		// The effect may have happened. If this inverse fails too, it still may.
		s.Changes = append(slices.Clone(s.Changes), Change{Seq: ev.Seq, Plan: s.Plan, Back: s.Back})
		s.Changed = true
	}
	s.Attempt, s.Undoing, s.Used, s.Approval, s.Approved = ev.Attempt, undo, b.Gate, 0, ""
	s.Began, s.Digest, s.LogName = ev.At, b.Digest, b.Log
	s.Log, s.Error, s.Hints, s.Exit, s.CheckFailed, s.Busy, s.Given, s.Blamed, s.Probe = nil, "", nil, 0, false, false, false, nil, nil
	if undo {
		s.UndoPlan = b.Plan
	} else {
		s.Checks, s.own, s.Evidence, s.Back, s.Facts = nil, nil, "", "", nil
		if b.Plan != nil {
			s.Plan = b.Plan
		}
	}
	return nil
}

func (n *Run) foldVerdict(s *Step, ev Event, b Verdict) {
	s.Ended = ev.At
	if b.Evidence != "" {
		s.Evidence = b.Evidence
	}
	if b.By != "" {
		s.By = b.By
	}
	if len(b.Values) > 0 {
		s.Values = b.Values
	}
	if ev.Kind == StepUndone {
		n.forget(s.undone(ev.Seq), s.Changes)
	}
	n.save(Saved{b.Scope, b.Save, b.Outputs})
	n.Gate = nil
}

// changed takes in that the newest attempt had its effect.
func (s *Step) changed(seq int64, saved Saved) {
	s.Over = seq
	if s.effect() == "read" || s.Plan != nil && s.Plan.Nothing {
		if n := len(s.Changes); n > 0 { // what an earlier attempt did has its way back still
			s.Back = s.Changes[n-1].Back
		}
		return
	}
	s.Changes = append(slices.Clone(s.Changes), Change{Seq: seq, Plan: s.Plan, Evidence: s.Evidence, Back: s.Back, Facts: s.Facts, Saved: saved})
	s.Changed = true
}

// doubted takes in that the end of the newest attempt is not known.
func (s *Step) doubted(from State, seq int64) {
	if from == Running && !s.Undoing {
		s.Doubts = append(slices.Clone(s.Doubts), Change{Seq: seq, Plan: s.Plan, Back: s.Back})
	}
}

// undone takes the newest change back and gives what it had saved. An earlier attempt may
// have left another.
func (s *Step) undone(seq int64) (saved Saved) {
	s.Over, s.Undoing, s.Back = seq, false, ""
	if last := len(s.Changes) - 1; last >= 0 {
		saved, s.Changes = s.Changes[last].Saved, slices.Clone(s.Changes[:last])
	}
	if s.Changed = len(s.Changes) > 0; s.Changed {
		s.Back = s.Changes[len(s.Changes)-1].Back
	}
	return saved
}

func (n *Run) foldReason(s *Step, from State, ev Event, b Reason) {
	s.Reason, s.By = b, b.By
	switch ev.Kind {
	case StepElse:
		s.ElseTo = b.Else
		if i := slices.IndexFunc(n.Steps, func(o Step) bool { return o.ID == b.Else }); i >= 0 {
			n.Steps[i].Entered = true
		}
	case StepReopened:
		s.Undoing, s.Approval, s.Approved, s.ElseTo = false, 0, "", ""
		s.Error, s.Hints, s.Exit, s.CheckFailed, s.Busy, s.Given, s.Blamed, s.Probe = "", nil, 0, false, false, false, nil, nil
		s.Checks, s.own, s.Evidence = nil, nil, ""
		if from != Failed && from != InDoubt {
			s.Values = nil // what was seen long ago is looked at again; a new try goes on with it
		}
	default:
		s.Ended = ev.At
	}
	n.Gate = nil
}

func (n *Run) save(v Saved) {
	if v.Name == "" {
		return
	}
	n.vars(v.Scope)[v.Name] = v.Outputs
}

// forget takes back what a change saved that was undone: what an earlier change of the step
// saved, which is still there, is true again.
func (n *Run) forget(v Saved, left []Change) {
	if v.Name == "" {
		return
	}
	inner := n.vars(v.Scope)
	delete(inner, v.Name)
	for _, c := range left {
		if c.Saved.Name == v.Name {
			inner[v.Name] = c.Saved.Outputs
		}
	}
}

// vars gives the saved values of a scope to change: a copy, which an earlier fold does not see.
func (n *Run) vars(scope string) map[string]any {
	all := maps.Clone(n.Vars)
	if all == nil {
		all = map[string]map[string]any{}
	}
	inner := maps.Clone(all[scope])
	if inner == nil {
		inner = map[string]any{}
	}
	all[scope], n.Vars = inner, all
	return inner
}
