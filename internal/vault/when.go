package vault

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// TimeForms says how a time is written, for advice.
const TimeForms = `write "2026-11-22 14:30" (UTC), "2026-11-22 14:30+02:00" for another zone, or "36h" for a day and a half ago`

// written is a time as people and our own screens write it: 2026-11-22 14:30:05 UTC.
var written = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[ Tt](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?) ?(Z|z|UTC|[+-]\d{2}:?\d{2})?$`)

// ParseTime reads a point in time as people write it, in UTC where they name no zone:
// "2026-11-22 14:30", "2026-11-22 14:30:05.123 UTC", "2026-11-22T14:30:05+02:00",
// "2026-11-22" (its end, or now), or how long before now: "90m", "36h", "3d".
func ParseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if m := written.FindStringSubmatch(text); m != nil {
		clock, zone := m[2], strings.Replace(m[3], ":", "", 1)
		if len(clock) == len("15:04") {
			clock += ":00"
		}
		if len(zone) < len("+0200") {
			zone = "+0000"
		}
		if t, err := time.Parse("2006-01-02 15:04:05 -0700", m[1]+" "+clock+" "+zone); err == nil {
			return t.UTC(), nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.UTC); err == nil {
		end := t.AddDate(0, 0, 1).Add(-time.Millisecond)
		if end.After(now) && !t.After(now) {
			return now.UTC(), nil // today has not ended
		}
		return end, nil
	}
	days, isDays := strings.CutSuffix(text, "d")
	if isDays {
		text = days + "h"
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && d < 100*365*24*time.Hour {
		if isDays {
			d *= 24
		}
		return now.UTC().Add(-d), nil
	}
	return time.Time{}, hint.Wrap(fmt.Errorf("%q is no time", text), TimeForms)
}

// Finder is a vault in which points can be found. [Vault] is one.
type Finder interface {
	String() string
	Latest(ctx context.Context, asset string) (Manifest, error)
	At(ctx context.Context, asset string, t time.Time) (Manifest, error)
	Get(ctx context.Context, asset, id string) (Manifest, error)
	Points(ctx context.Context, asset string, since time.Time) ([]string, error)
}

// Point finds the restore point of an asset that somebody names: by its id, as of a time
// in a form of [ParseTime], or, with neither or with "latest", the newest. Where none
// answers, ErrNoBackup, the advice says which there are, and the error lies with the argument
// "at" or "point".
func Point(ctx context.Context, v Finder, a Asset, id, at string, now time.Time) (m Manifest, err error) {
	asset := AssetID(a)
	switch {
	case at != "":
		var t time.Time
		if t, err = ParseTime(at, now); err != nil {
			return m, err
		}
		if t.After(now.Add(Skew)) {
			return m, hint.Wrap(hint.Blame(fmt.Errorf("%w as of %s, %s in the future by the clock of this machine", ErrNoBackup, t.Format("2006-01-02 15:04:05 UTC"), printable.Span(t.Sub(now))), "at"),
				"name a time that has passed, or none for the newest point; if the clock is wrong, correct it first")
		}
		m, err = v.At(ctx, asset, t)
	case id != "" && id != "latest":
		m, err = v.Get(ctx, asset, id)
	default:
		m, err = v.Latest(ctx, asset)
	}
	if !errors.Is(err, ErrNoBackup) {
		return m, err
	}
	ids, lerr := v.Points(ctx, asset, time.Time{})
	if lerr != nil || len(ids) == 0 {
		return m, hint.Wrapf(err, "%s has no point in %s; lifeboat backup %s makes one", a.Name, v, a.Name)
	}
	first, arg := "", "point"
	if at != "" {
		arg = "at"
	}
	if oldest, gerr := v.Get(ctx, asset, ids[len(ids)-1]); gerr == nil && at != "" {
		// To the next millisecond: given back to us it must not be before the point.
		first = fmt.Sprintf("take the oldest with at: %s, if it is good; ", oldest.Cut.Add(time.Millisecond-1).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return m, hint.Wrapf(hint.Blame(err, arg), "%s%s has %s, the oldest %s, the newest %s; lifeboat vault ls %s lists them",
		first, a.Name, printable.Count(len(ids), "point"), ids[len(ids)-1], ids[0], a.Name)
}

// CheckPoint refuses, before anything is read, a point that is named both ways and a time
// that is none.
func CheckPoint(id, at string) error {
	if at == "" {
		return nil
	}
	if id != "" && id != "latest" {
		return errors.New("there is a point: too, give one of them")
	}
	_, err := ParseTime(at, time.Time{})
	return err
}
