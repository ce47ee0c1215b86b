package sandbox

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"
)

// What steps leave outside of the thing that was broken is looked for by what any stranger
// would see: the name of a file in the bucket, the line of a message.

// Tells says whether an alert was sent by a step of a run, and taken.
func (a Alert) Tells(run, step string) bool {
	var body struct{ Run, Step string }
	return json.Unmarshal([]byte(a.Body), &body) == nil && body.Run == run && body.Step == step && a.Status/100 == 2
}

// Point is a backup in the vault of the sandbox.
type Point struct {
	ID string // of its asset, as the bucket names it: the name and six digits
	At time.Time
}

// Of says whether it is of an asset of that name.
func (p Point) Of(asset string) bool {
	name, ok := strings.CutSuffix(p.ID[:max(0, len(p.ID)-6)], "-")
	return ok && name == asset
}

// Points lists the backups that lie in the vault of the sandbox, read or not.
func (s *Sandbox) Points() []Point {
	var out []Point
	for _, file := range glob(s.Vault(), "v1/a/*/p/*/*/*/*.json") {
		stamp, _, _ := strings.Cut(filepath.Base(file), "-")
		if at, err := time.Parse("20060102T150405.000Z", stamp); err == nil {
			out = append(out, Point{strings.Split(file, string(filepath.Separator))[2], at})
		}
	}
	return out
}
