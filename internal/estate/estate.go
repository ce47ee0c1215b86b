// Package estate reads lifeboat.yaml: what is protected, how fast it has to be back,
// how much may be lost, and where its backups live.
//
// The file is strict. A key that means nothing is an error, because a misspelt
// "critical_file" would otherwise protect nothing until the day it is needed. Every
// error says file, line and column.
package estate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/hint"
)

// FileName is what the file is called.
const FileName = "lifeboat.yaml"

// Kinds of asset.
const (
	Git    = "git"
	SQLite = "sqlite"
	Files  = "files"
	Stream = "stream"
)

var kinds = []string{Git, SQLite, Files, Stream}

// Estate is everything that is protected.
type Estate struct {
	File   string   // absolute path of lifeboat.yaml
	Dir    string   // its directory, which relative paths start from
	Name   string   // the name of the directory when the file gives none
	Vault  string   // URL of the bucket, file URLs absolute; empty when there is none
	Copies []string // URLs of further buckets that hold copies of every backup
	Assets []Asset

	Encryption Encryption
	Retention  Retention
	Alerts     []Alert
	Schedules  []Schedule
	Drills     Drills
	Apps       []App

	Documents  []Document
	Contacts   []Contact
	ReadOnly   bool     // nothing is run from here: the console of a commander, a screen on a wall
	Responders []string // names of who answers an alarm
	Trainees   []string // names of who takes part in drills
	Levels     []Level  // 1 to 3, in this order
}

// Asset is one protected thing.
type Asset struct {
	Name     string
	Kind     string   // [Git], [SQLite], [Files] or [Stream]
	Path     string   // absolute: the working clone, the database file, the directory; empty for streams
	Remote   string   // git: URL or absolute path of what is shared, empty when there is none
	Branches []string // git: the branches that matter, without refs/heads/
	Critical []string // files that must be there for the asset to be usable, relative to it
	Tier     string   // "critical", "standard" or "non-critical"
	RTO      time.Duration
	RPO      time.Duration

	Forge      Forge             // git: where the protection of its branches is kept; no Service when nowhere
	Mirrors    []Mirror          // git: where further copies of the repository are kept
	Clones     []string          // git: absolute paths of other people's clones, to look for lost commits in
	Exclude    []string          // git: patterns of refs, nil when the file is silent; files: patterns of paths
	LFS        bool              // git: what Git LFS stores is kept too
	Build      [][]string        // git: commands that prove that a restored tree builds, each an argument list
	Assertions []string          // sqlite: SQL that gives true on a sound database
	Erasures   Erasures          // sqlite: how people who asked to be forgotten are erased again after a restore
	Include    []string          // files: patterns of paths
	Dump, Load []string          // stream: argument lists of programs that write and read a dump; nil with a preset
	Preset     string            // stream: a ready-made pair of programs, see [Presets]; empty with Dump
	Options    map[string]string // stream: what the preset is told

	Ours []string // files: names of variables whose values we make ourselves, beside those that everybody does

	Secret      bool // its content must not be stored in the clear
	Unencrypted bool // it may be, all the same
}

// Mirror is a further copy of a repository. It follows deletions, and so is no backup.
type Mirror struct {
	Name string // "gitlab"
	URL  string // as [Asset.Remote]
}

// Tier is how fast an asset has to be back and how much of it may be lost.
type Tier struct {
	RTO, RPO time.Duration
}

// tierNames are the tiers, most urgent first.
var tierNames = []string{"critical", "standard", "non-critical"}

// DefaultTiers are what lifeboat.yaml need not say.
func DefaultTiers() map[string]Tier {
	return map[string]Tier{
		"critical":     {RTO: time.Hour, RPO: 15 * time.Minute},
		"standard":     {RTO: 4 * time.Hour, RPO: time.Hour},
		"non-critical": {RTO: 24 * time.Hour, RPO: 24 * time.Hour},
	}
}

// Source is what a backup of the asset reads: the shared repository where there is
// one, since a clone may lag behind it, else the path.
func (a Asset) Source() string {
	if a.Remote != "" {
		return a.Remote
	}
	return a.Path
}

// Find gives the asset of that name. The error advises with the nearest names.
func (e *Estate) Find(name string) (Asset, error) {
	var names []string
	for _, a := range e.Assets {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	where := e.File
	if where == "" {
		where = "this estate"
	}
	err := fmt.Errorf("there is no asset %q in %s", name, where)
	if near := hint.Nearest(name, names); near != "" {
		return Asset{}, hint.Wrapf(err, "did you mean %q? The assets are: %s", near, strings.Join(names, ", "))
	}
	if len(names) == 0 {
		return Asset{}, hint.Wrapf(err, "list it under \"assets:\" in %s", FileName)
	}
	return Asset{}, hint.Wrapf(err, "the assets are: %s", strings.Join(names, ", "))
}

// OfKind lists the assets of a kind, in the order of the file.
func (e *Estate) OfKind(kind string) []Asset {
	return slices.DeleteFunc(slices.Clone(e.Assets), func(a Asset) bool { return a.Kind != kind })
}

// Locate finds lifeboat.yaml in dir or in the nearest directory above it, else in
// config, the user's own directory for Lifeboat ("" leaves that out). It is
// [fs.ErrNotExist] when there is none.
func Locate(dir, config string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("locate %s: %w", FileName, err)
	}
	var places []string
	for d := dir; ; d = filepath.Dir(d) {
		places = append(places, d)
		if d == filepath.Dir(d) {
			break
		}
	}
	if config != "" {
		places = append(places, config)
	}
	for _, d := range places {
		path := filepath.Join(d, FileName)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("locate %s in %q or above: %w", FileName, dir, fs.ErrNotExist)
}
