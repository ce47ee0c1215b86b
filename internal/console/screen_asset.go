package console

import (
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/estate"
)

// assetScreen says why an asset has its verdict: every gap with what mends it, and every
// proof with its date. It runs nothing.
type assetScreen struct{ name string }

func (s *assetScreen) card() bool           { return true }
func (s *assetScreen) field() *widget.Field { return nil }

// readiness is that of the asset now; nil when it has left the estate.
func (s *assetScreen) readiness(w *world) *estate.Readiness {
	for i := range w.board.Assets {
		if w.board.Assets[i].Asset.Name == s.name {
			return &w.board.Assets[i]
		}
	}
	return nil
}

func (s *assetScreen) bindings(w *world) []binding {
	r := s.readiness(w)
	noBook := "no runbook of the library brings it back"
	if r != nil && w.book(r.Recovery.Name) != nil {
		noBook = ""
	}
	mend := w.mend(r)
	mend.help = "open the fix"
	return []binding{
		does("enter", "how to get it back", "Open the plan of the runbook that brings it back. Runs nothing.", func() Intent {
			return push{newPlanAbout(w, w.book(r.Recovery.Name), s.name)}
		}).named("", "get it back").unless(noBook),
		mend,
		does("esc", "go back", "Back to the bridge.", wish(pop{})),
	}
}

func (s *assetScreen) draw(w *world, a area) {
	width := min(a.w-4, 88)
	r := s.readiness(w)
	if r == nil {
		drawCard(w, a, width, frame{title: []span{bold(rStrong, s.name)}, heavy: true, role: rHeavy}, wrapped(rText, "It is no longer in the estate.", width-4, 0))
		return
	}
	const col = 14
	glyph, role := readinessLook(w, r)
	rs := []row{gap()}
	says := func(text string) {
		for i, l := range wrap(text, width-6, 3) {
			mark := txt(rText, "  ")
			if i == 0 {
				mark = txt(role, glyph+" ")
			}
			rs = append(rs, line(mark, txt(rText, l)))
		}
	}
	for _, g := range r.Gaps {
		says(string(g.Verdict) + ": " + g.Reason)
		rs = append(rs, extra(labelled("", 2, rDim, mendWords(g), width-4, 2))...)
	}
	if len(r.Gaps) == 0 && r.Ready() {
		says("It could be recovered now, in time, and there is proof of it.")
	}
	for _, o := range r.Open {
		rs = append(rs, line(txt(rWarn, "▲ "), txt(rText, "run "+o.ID+" of "+o.Runbook+" is open")))
	}
	rs = append(rs, gap())
	facts := func(label, text string) { rs = append(rs, labelled(label, col, rText, text, width-4, 2)...) }
	facts("backup", backupWords(r, w.now))
	facts("restored", restoredWords(r))
	facts("drilled", drilledWords(r, w.now))
	if r.Recovery.Name != "" {
		facts("brought back", "by "+r.Recovery.Name)
	}
	rs = append(rs, gap(), row{left: []span{txt(rDim, "Nothing runs from here.")}, spare: 2})
	drawCard(w, a, width, frame{
		title: []span{bold(rStrong, r.Asset.Name), txt(rDim, "  "+kindWord(r.Asset)+", "+r.Asset.Tier)},
		right: []span{txt(role, glyph+" "), bold(role, verdictWord(w, r))}, heavy: true, role: rHeavy,
	}, rs)
}

// mendWords is what mends a gap, in words.
func mendWords(g estate.Gap) string {
	text := ""
	switch {
	case g.Mend.Name != "" && g.Drill:
		text = "a drill of " + g.Mend.Name + " mends it"
	case g.Mend.Name != "":
		text = g.Mend.Name + " mends it"
	case g.Waits:
		return "r on the bridge reads the vault"
	case len(g.Advice) > 0:
		return g.Advice[0]
	}
	if g.Mend.About > 0 {
		text += ", in about " + estate.Long(g.Mend.About)
	}
	return text
}

func backupWords(r *estate.Readiness, now time.Time) string {
	if r.Newest.Point == "" {
		return "none that is verified; the RPO is " + estate.Long(r.Asset.RPO)
	}
	return r.Newest.Cut.UTC().Format("2 Jan 15:04:05 UTC") + ", proven " + r.Newest.Proven + ", " + estate.Long(now.Sub(r.Newest.Cut)) + " old, and may be " + estate.Long(r.Asset.RPO)
}

func restoredWords(r *estate.Readiness) string {
	if r.Restored.At.IsZero() {
		return "never; the RTO is " + estate.Long(r.Asset.RTO)
	}
	return "in " + estate.Long(r.Restored.Took) + " of " + estate.Long(r.Asset.RTO) + ", on " + r.Restored.At.UTC().Format("2 Jan 2006") + ", " + r.Restored.How
}

func drilledWords(r *estate.Readiness, now time.Time) string {
	if r.Drilled.IsZero() {
		return "not as its runbook stands now"
	}
	text := estate.Long(now.Sub(r.Drilled)) + " ago, " + r.Recovery.Name
	if r.Holds.After(now) {
		return text + "; that holds until " + r.Holds.UTC().Format("2 Jan 2006")
	}
	return text + "; that held until " + r.Holds.UTC().Format("2 Jan 2006")
}
