package forge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const (
	fileKind    = "lifeboat branch protection"
	fileVersion = 1
	maxFile     = 1 << 20
	maxRules    = 500
)

// Saved is a copy of a protection in a file. People can restore from it with stock tools:
// By hand holds the requests to send.
type Saved struct {
	Kind     string    `json:"kind"`
	Version  int       `json:"version"`
	Service  string    `json:"service"`
	API      string    `json:"api"`
	Project  string    `json:"project"`
	Branch   string    `json:"branch"`
	Saved    time.Time `json:"saved"`
	By       string    `json:"by,omitempty"`
	Digest   string    `json:"digest,omitempty"` // of what the rules say; left out by who edited them
	Says     []string  `json:"says,omitempty"`   // the same in words
	Beside   []string  `json:"beside,omitempty"` // what guarded it too, and is not in here
	Unseen   string    `json:"unseen,omitempty"` // what the service did not tell, and so is not in here either
	Rules    []Rule    `json:"rules"`
	ByHand   []Request `json:"restore_by_hand,omitempty"`
	filePath string
}

// ParseSaved reads a copy. It is strict: what is not understood would not be restored.
func ParseSaved(src []byte) (Saved, error) {
	var s Saved
	if len(src) > maxFile {
		return s, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("it is no saved protection: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("there is more behind the saved protection")
	}
	switch {
	case s.Kind != fileKind:
		return s, fmt.Errorf("it is no saved protection: its kind is %q", printable.Line(s.Kind))
	case s.Version != fileVersion:
		return s, fmt.Errorf("it is of version %d, and this Lifeboat knows %d", s.Version, fileVersion)
	case services[s.Service] == "":
		return s, fmt.Errorf("there is no service %q", printable.Line(s.Service))
	case len(s.Rules) > maxRules:
		return s, fmt.Errorf("it has more than %d rules", maxRules)
	case s.Service == GitLab && len(s.Rules) > 1 || s.Service == GitHub && len(s.Rules) > 1 && (len(s.Rules) > 2 || s.Rules[1].Name != beyondName):
		return s, fmt.Errorf("%s has one protection for a branch, and this has %d", services[s.Service], len(s.Rules))
	case s.Service == GitHub && len(s.Rules) > 0 && s.Rules[0].Name == beyondName:
		return s, fmt.Errorf("it has the rule %q without the protection that goes with it", beyondName)
	}
	if err := checkBranch(s.Branch); err != nil {
		return s, err
	}
	names := map[string]bool{}
	for i, r := range s.Rules {
		if _, err := object(r); err != nil {
			return s, err
		}
		if names[r.Name] {
			return s, fmt.Errorf("rule %q stands in it twice", printable.Line(r.Name))
		}
		names[r.Name] = true
		var err error
		if s.Rules[i].Raw, err = compact(r.Raw); err != nil {
			return s, err
		}
	}
	return s, nil
}

// folder is where the copies of our branch lie.
func (g *gate) folder() string { return filepath.Join(g.Dir, url.PathEscape(g.branch)) }

// copyName is the time, the digest, and whether it is a state that was to be replaced. Such
// a one is kept and found by its digest, but it is never the newest copy: a restore that
// failed half-way, and is run again, would find it and take what is wrong for what was saved.
var copyName = regexp.MustCompile(`^(\d{8}T\d{6}Z)-([0-9a-f]{7})(\.replaced)?\.json$`)

const stamp = "20060102T150405Z"

// copies lists the copies of our branch, oldest first.
func (g *gate) copies() ([]string, error) {
	entries, err := os.ReadDir(g.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for saved copies: %w", err)
	}
	var out []string
	for _, e := range entries {
		if copyName.MatchString(e.Name()) && e.Type().IsRegular() {
			out = append(out, filepath.Join(g.folder(), e.Name()))
		}
	}
	slices.Sort(out)
	return out, nil
}

// load reads a copy and makes sure that it is one of our branch.
func (g *gate) load(path string) (Saved, []Field, error) {
	bad := func(err error, advice string) (Saved, []Field, error) {
		return Saved{}, nil, hint.Wrap(hint.Blame(fmt.Errorf("%w: saved copy %q: %w", action.ErrRefused, path, err), "from"), advice)
	}
	const others = "use another copy with from:, or one from the vault (files.restore), or set the protection by hand and save it"
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return bad(cmp.Or(err, errors.New("it is no file")), others)
	}
	f, err := os.Open(path)
	if err != nil {
		return bad(err, others)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return bad(err, others)
	}
	s, err := ParseSaved(src)
	if err != nil {
		return bad(err, others)
	}
	s.filePath = path
	switch {
	case s.Service != g.Service:
		return bad(fmt.Errorf("it is of %s, and the branch is on %s", services[s.Service], services[g.Service]), others)
	case !strings.EqualFold(s.Project, g.Project):
		return bad(fmt.Errorf("it is of %s, and the branch is one of %s", printable.Quote(s.Project), g.Project),
			"if the project was renamed, write its new name as \"project\" in a copy of the file; else "+others)
	case s.Branch != g.branch:
		return bad(fmt.Errorf("it is of the branch %s, not of %s", printable.Quote(s.Branch), g.branch),
			"if this branch is to have it too, write its name as \"branch\" in a copy of the file; else "+others)
	}
	digest, fields, err := g.digest(s.Rules)
	if err != nil {
		return bad(err, others)
	}
	if s.Digest != "" && s.Digest != digest {
		return bad(errors.New("its rules are not those that were saved: the file is damaged, or somebody edited it"),
			"if it was edited on purpose, take the line \"digest\" out of it; else "+others)
	}
	s.Digest = digest
	return s, fields, nil
}

// newest gives the newest copy of what somebody wanted, "" when there is none.
func (g *gate) newest() (string, error) {
	all, err := g.copies()
	return newestOf(all), err
}

func newestOf(all []string) string {
	for _, path := range slices.Backward(all) {
		if copyName.FindStringSubmatch(filepath.Base(path))[3] == "" {
			return path
		}
	}
	return ""
}

// copyOf is the newest copy with a digest, for commands that a person would type.
func (g *gate) copyOf(digest string) string {
	all, _ := g.copies() // what cannot be listed now is named as any file
	for _, path := range slices.Backward(all) {
		if copyName.FindStringSubmatch(filepath.Base(path))[2] == digest[:7] {
			return path
		}
	}
	return "FILE"
}

var digestPrefix = regexp.MustCompile(`^(?:protected-)?([0-9a-f]{4,64})$`)

// choose finds the copy that from: names: "newest", a digest as plans show it, or a file.
func (g *gate) choose(env *action.Env, from string) (Saved, []Field, error) {
	all, err := g.copies()
	if err != nil {
		return Saved{}, nil, err
	}
	if m := digestPrefix.FindStringSubmatch(from); m != nil {
		for _, path := range slices.Backward(all) {
			short := copyName.FindStringSubmatch(filepath.Base(path))[2]
			if strings.HasPrefix(m[1], short) || strings.HasPrefix(short, m[1]) {
				return g.load(path)
			}
		}
		return Saved{}, nil, hint.Wrapf(hint.Blame(fmt.Errorf("%w: no copy of %s has the digest %s", action.ErrRefused, g.branch, m[1]), "from"), "the copies are: %s", listed(all))
	}
	if from != "newest" {
		path := absolute(env, from)
		if err := env.Allowed(path); err != nil {
			return Saved{}, nil, err
		}
		return g.load(path)
	}
	last := newestOf(all)
	if last == "" {
		return Saved{}, nil, hint.Wrapf(fmt.Errorf("%w: no copy of the protection of %s was saved in %q", action.ErrRefused, g.branch, g.folder()),
			"get the directory back from the vault with files.restore; or give the file with from:; or find it in the journal of the run that removed it (lifeboat show RUN); or set the protection by hand, and save it with forge.protection-save")
	}
	return g.load(last)
}

func listed(paths []string) string {
	if len(paths) == 0 {
		return "none"
	}
	var out []string
	for _, p := range paths[max(0, len(paths)-10):] {
		out = append(out, filepath.Base(p))
	}
	return strings.Join(out, ", ")
}

// keep writes a copy, unless the newest one says the same.
func (g *gate) keep(env *action.Env, s state) (path string, fresh bool, err error) {
	return g.put(env, s, ".json")
}

// keepReplaced is keep for a state that is about to be replaced by a saved one.
func (g *gate) keepReplaced(env *action.Env, s state) (path string, err error) {
	path, _, err = g.put(env, s, ".replaced.json")
	return path, err
}

func (g *gate) put(env *action.Env, s state, ending string) (path string, fresh bool, err error) {
	all, err := g.copies()
	if err != nil {
		return "", false, err
	}
	if last := newestOf(all); last != "" {
		if old, _, err := g.load(last); err == nil && old.Digest == s.digest {
			return last, false, nil
		}
	}
	at := env.Now().UTC().Truncate(time.Second)
	if len(all) > 0 {
		last := all[len(all)-1]
		// A clock that was put back must not hide this copy behind older ones.
		if t, err := time.Parse(stamp, copyName.FindStringSubmatch(filepath.Base(last))[1]); err == nil && !at.After(t) {
			at = t.Add(time.Second)
		}
	}
	text, err := g.document(env, s)
	if err != nil {
		return "", false, err
	}
	if err := durable.MkdirAll(g.folder()); err != nil {
		return "", false, fmt.Errorf("keep a copy: %w", err)
	}
	path = filepath.Join(g.folder(), at.Format(stamp)+"-"+s.digest[:7]+ending)
	if err := durable.Create(path, text, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", false, fmt.Errorf("keep a copy: %w", err)
	}
	// What cannot be read again was not kept.
	if again, _, err := g.load(path); err != nil || again.Digest != s.digest {
		return "", false, fmt.Errorf("keep a copy: %q does not read back: %w", path, err)
	}
	return path, true, nil
}

// document is the text of a copy.
func (g *gate) document(env *action.Env, s state) ([]byte, error) {
	byHand, err := g.requests(g.branch, s.Rules)
	if err != nil {
		return nil, err
	}
	d := Saved{
		Kind: fileKind, Version: fileVersion, Service: g.Service, API: g.API, Project: s.Project, Branch: g.branch,
		Saved: env.Now().UTC().Truncate(time.Second), By: strings.TrimSpace(env.By + " run " + env.Run),
		Digest: s.digest, Beside: s.Beside, Unseen: s.Unseen, Rules: s.Rules, ByHand: byHand,
	}
	for _, f := range s.fields {
		d.Says = append(d.Says, label(f.Path)+": "+f.text())
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// packed is how rules travel in the facts of a plan: in full, and the same each time.
func packed(rules []Rule) (string, error) {
	text, err := json.Marshal(rules)
	return string(text), err
}

func unpacked(text string) ([]Rule, error) {
	var rules []Rule
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return nil, fmt.Errorf("read the protection in the journal: %w", err)
	}
	return rules, nil
}
