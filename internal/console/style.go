package console

import (
	"time"

	"lifeboat/internal/console/look"
	"lifeboat/internal/console/widget"
	"lifeboat/internal/run"
)

// The roles of text: what it means. A theme gives them their colours.
const (
	rText       = look.Text
	rStrong     = look.Strong
	rDim        = look.Dim
	rFaint      = look.Faint
	rFrame      = look.Frame
	rHeavy      = look.Heavy
	rOK         = look.OK
	rWarn       = look.Warn
	rFail       = look.Fail
	rNow        = look.Now
	rGate       = look.Gate
	rLive       = look.Live
	rDrill      = look.Drill
	rDry        = look.Dry
	rBrand      = look.Brand
	rFade       = look.Fade
	rLiveBadge  = look.LiveBadge
	rDrillBadge = look.DrillBadge
	rDryBadge   = look.DryBadge
	rGateBadge  = look.GateBadge
	rWarnBadge  = look.WarnBadge
	rFailBadge  = look.FailBadge
	rOKBadge    = look.OKBadge
	rKeycap     = look.Keycap
)

// modeLook is how a mode is drawn: its word, its badge, its border.
func modeLook(m run.Mode) (word string, badge, border widget.Role) {
	switch m {
	case run.Drill:
		return "DRILL", rDrillBadge, rDrill
	case run.Dry:
		return "DRY RUN", rDryBadge, rDry
	}
	return "LIVE", rLiveBadge, rLive
}

// stepLook is the glyph of a step before it runs and what it will ask.
func stepLook(o run.Outline) (glyph string, role widget.Role, words string) {
	switch {
	case o.Hand:
		return "□", rText, "you do it"
	case o.Effect == "destroy":
		return "◆", rGate, "typed token"
	case o.Effect == "write":
		return "○", rText, "asks, then runs"
	}
	return "○", rText, "runs itself"
}

// stateLook is the glyph of a step as it stands now.
func stateLook(s *run.Step) (glyph string, role widget.Role) {
	switch s.State {
	case run.Verified, run.Claimed:
		return "✓", rOK
	case run.Failed:
		if s.ElseTo != "" {
			return "–", rDim
		}
		return "✗", rFail
	case run.InDoubt:
		return "?", rWarn
	case run.Skipped:
		return "–", rDim
	case run.Overridden:
		return "▲", rWarn
	case run.Undone:
		return "◂", rDim
	case run.Running, run.Checking:
		return "▸", rNow
	}
	glyph, role, _ = stepLook(s.Outline)
	return glyph, role
}

// clock writes a length of time as 2:46, 60:00 or 2:02:46.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	n := int(d / time.Second)
	if n >= 100*60 {
		return sign + itoa(n/3600) + ":" + two(n/60%60) + ":" + two(n%60)
	}
	return sign + itoa(n/60) + ":" + two(n%60)
}

// words writes a length of time for people: 47 s, 1 min 06 s, 2 h 20, 12 days.
func words(d time.Duration) string {
	n := int(d / time.Second)
	switch {
	case n < 60:
		return itoa(n) + " s"
	case n < 600 && n%60 != 0:
		return itoa(n/60) + " min " + two(n%60) + " s"
	case n < 3600:
		return itoa(n/60) + " min"
	case n < 48*3600:
		if n/60%60 == 0 {
			return itoa(n/3600) + " h"
		}
		return itoa(n/3600) + " h " + two(n/60%60)
	}
	return itoa(n/86400) + " days"
}

func two(n int) string {
	if n < 10 {
		return "0" + itoa(n)
	}
	return itoa(n)
}
