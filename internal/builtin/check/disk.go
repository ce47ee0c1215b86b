package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"lifeboat/internal/action"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const diskDoc = `Looks how much room a disk has, before something fills it in the middle: free bytes, free
per cent, free inodes, and whether the newest backup of an asset can be restored there. A
restore may need three times what the backup holds: the objects, and what is made of them.

` + "```check.disk" + `
path: .
free: 10MB
free_percent: 0
room_for: booking
` + "```" + `

A path that does not exist yet stands for the directory in which it would be made.
`

type diskParams struct {
	Path          string `param:"path" help:"somewhere on the disk; the directory of the runbook when left out"`
	Free          string `param:"free" help:"how much has to be free: 500MB, 20GiB"`
	FreePercent   int    `param:"free_percent" help:"how many per cent of the disk have to be free"`
	InodesPercent int    `param:"inodes_percent" help:"how many per cent of the inodes have to be free"`
	RoomFor       string `param:"room_for" help:"an asset whose newest backup has to fit"`
}

var amount = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([kKMGTP]?)(i?)B?$`)

// parseAmount reads "500MB" (thousands) and "20GiB" (1024).
func parseAmount(text string) (int64, bool) {
	m := amount.FindStringSubmatch(text)
	if m == nil || m[3] == "i" && m[2] == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, false
	}
	step := 1000.0
	if m[3] == "i" {
		step = 1024
	}
	for _, unit := range "kMGTP" {
		if m[2] == "" {
			break
		}
		f *= step
		if string(unit) == m[2] || unit == 'k' && m[2] == "K" {
			break
		}
	}
	if f > math.MaxInt64/2 {
		return 0, false
	}
	return int64(f), true
}

func checkDisk(p diskParams) error {
	if p.Free != "" {
		if _, ok := parseAmount(p.Free); !ok {
			return &action.ArgError{Name: "free", Msg: fmt.Sprintf("%q is no amount", p.Free), Fix: `write it like "500MB" or "20GiB"`}
		}
	}
	for name, v := range map[string]int{"free_percent": p.FreePercent, "inodes_percent": p.InodesPercent} {
		if v < 0 || v > 100 {
			return &action.ArgError{Name: name, Msg: fmt.Sprintf("%d is no percentage", v), Fix: "write a number from 0 to 100"}
		}
	}
	if p.Free == "" && p.FreePercent == 0 && p.InodesPercent == 0 && p.RoomFor == "" {
		return &action.ArgError{Name: "free", Msg: "nothing is expected", Fix: "give free:, free_percent:, inodes_percent: or room_for:"}
	}
	return nil
}

func (d Deps) disk() action.Action {
	return action.New(action.Def[diskParams]{
		Name: "check.disk", Summary: "Look how much room a disk has", Doc: diskDoc,
		Effect: action.Read, Repeat: action.Safe, Check: checkDisk,
		Plan: func(ctx context.Context, env *action.Env, p diskParams) (action.Plan, error) {
			path := absolute(env, p.Path)
			return action.Plan{
				Summary: "looks how much room there is at " + printable.Line(path), Target: path, Stop: stopReading,
				Command: []string{"df -h " + shown([]string{path}), "df -i " + shown([]string{path})},
			}, nil
		},
		Run: d.runDisk,
	})
}

// standing is the nearest directory above path that exists, or path itself.
func standing(path string) (string, error) {
	for {
		_, err := os.Stat(path)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path, err
		}
		path = filepath.Dir(path)
	}
}

func (d Deps) runDisk(ctx context.Context, env *action.Env, p diskParams, _ action.Plan) (action.Result, error) {
	path := absolute(env, p.Path)
	at, err := standing(path)
	if err != nil {
		return action.Result{}, fmt.Errorf("look at %q: %w", path, err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err != nil {
		return action.Result{}, fmt.Errorf("look how much room %q has: %w", at, err)
	}
	size := int64(s.Bsize)
	free, total := int64(s.Bavail)*size, int64(s.Blocks)*size
	percent, inodes := share(s.Bavail, s.Blocks), share(s.Ffree, s.Files)
	res := action.Result{
		Evidence: fmt.Sprintf("%s of %s are free at %s (%d%%)", printable.Size(free), printable.Size(total), printable.Line(at), percent),
		Outputs:  map[string]any{"free_bytes": free, "total_bytes": total, "free_percent": percent, "inodes_percent": inodes},
	}
	if s.Files > 0 {
		res.Evidence += fmt.Sprintf(", and %d%% of its inodes", inodes)
	}
	env.Printf("%s", res.Evidence)
	add := func(ok bool, evidence, text string, args ...any) {
		res.Checks = append(res.Checks, action.Check{Text: fmt.Sprintf(text, args...), OK: ok, Evidence: evidence})
	}
	if p.Free != "" {
		want, _ := parseAmount(p.Free) // checkDisk has read it
		add(free >= want, printable.Size(free), "%s are free at %s", p.Free, printable.Line(at))
	}
	if p.FreePercent > 0 {
		add(percent >= int64(p.FreePercent), fmt.Sprintf("%d%%", percent), "%d%% are free at %s", p.FreePercent, printable.Line(at))
	}
	if p.InodesPercent > 0 && s.Files > 0 { // some file systems make inodes as they are needed
		add(inodes >= int64(p.InodesPercent), fmt.Sprintf("%d%%", inodes), "%d%% of the inodes are free at %s", p.InodesPercent, printable.Line(at))
	}
	if p.RoomFor != "" {
		need, err := d.Room(ctx, p.RoomFor)
		if err != nil {
			return res, fmt.Errorf("see how large %s is: %w", printable.Line(p.RoomFor), err)
		}
		res.Outputs["need_bytes"] = need
		add(free >= need, fmt.Sprintf("%s are free, %s may be needed", printable.Size(free), printable.Size(need)),
			"the newest backup of %s can be restored at %s", printable.Line(p.RoomFor), printable.Line(at))
	}
	return verdict(res, func(err error) error {
		return hint.Wrap(err, "make room there, or name a path on another disk")
	})
}

// share is a part of a whole in per cent, rounded down: 100 where there is no whole.
func share(part, whole uint64) int64 {
	if whole == 0 {
		return 100
	}
	return int64(float64(part) / float64(whole) * 100)
}
