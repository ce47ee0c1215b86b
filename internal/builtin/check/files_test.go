package check_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/builtin/check"
	"lifeboat/internal/hint"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// estate has a directory with some files and an asset for it.
func estate(t *testing.T) (dir string, actions []action.Action) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"package.json": "{}", "empty": "", "infra/main.tf": "x", "old": "x"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		mtime := now.Add(-time.Hour)
		if name == "old" {
			mtime = now.Add(-48 * time.Hour)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("package.json", filepath.Join(dir, "inside")); err != nil {
		t.Fatal(err)
	}
	return dir, check.Actions(check.Deps{Asset: func(name string) (check.Asset, error) {
		switch name {
		case "repo":
			return check.Asset{Name: name, Path: dir, Critical: []string{"package.json", "infra/main.tf"}}, nil
		case "file":
			return check.Asset{Name: name, Path: filepath.Join(dir, "package.json"), Critical: []string{"package.json"}}, nil
		case "bare":
			return check.Asset{Name: name, Path: dir}, nil
		}
		return check.Asset{}, hint.Wrap(fmt.Errorf("there is no asset %q", name), "the assets are: repo")
	}})
}

func TestActionsAreValid(t *testing.T) {
	_, actions := estate(t)
	if err := action.Validate(actions); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	dir, actions := estate(t)
	for name, tt := range map[string]struct {
		args map[string]any
		is   error  // nil: all is well
		text string // in the error, or the evidence
	}{
		"asset":              {map[string]any{"asset": "repo"}, nil, "all 2 files are there"},
		"asset that is file": {map[string]any{"asset": "file"}, nil, "package.json is there"},
		"own list":           {map[string]any{"asset": "repo", "files": []any{"old"}}, nil, "old is there"},
		"relative dir":       {map[string]any{"dir": ".", "files": []any{"inside", "empty"}}, nil, "all 2 files"},
		"missing":            {map[string]any{"asset": "repo", "files": []any{"x", "package.json", "y"}}, action.ErrCheck, "x: missing; y: missing"},
		"empty":              {map[string]any{"dir": dir, "files": []any{"empty"}, "nonempty": true}, action.ErrCheck, "empty: is empty"},
		"old":                {map[string]any{"dir": dir, "files": []any{"old"}, "newer_than": "24h"}, action.ErrCheck, "old: is older than 24h0m0s: 2026-11-21T12:00:00Z"},
		"directory":          {map[string]any{"dir": dir, "files": []any{"infra"}}, action.ErrCheck, "infra: is a directory"},
		"link outside":       {map[string]any{"dir": dir, "files": []any{"outside"}}, action.ErrCheck, "outside: "},
		"no such dir":        {map[string]any{"dir": "nowhere", "files": []any{"x"}}, action.ErrCheck, "nowhere"},
		"no critical files":  {map[string]any{"asset": "bare"}, action.ErrRefused, "lists no critical files"},
		"unknown asset":      {map[string]any{"asset": "nope"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := actions[3].Bind(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			log := &bytes.Buffer{}
			env := &action.Env{Log: log, Dir: dir, Now: func() time.Time { return now }}
			res, err := c.Run(t.Context(), env, action.Plan{})
			if name == "unknown asset" {
				if err == nil || len(hint.All(err)) == 0 {
					t.Errorf("Run = %v, want an error with advice", err)
				}
				return
			}
			if tt.is == nil && err != nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("Run = %v, want %v", err, tt.is)
			}
			text := res.Evidence
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, tt.text) {
				t.Errorf("%q does not say %q", text, tt.text)
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	_, actions := estate(t)
	for name, args := range map[string]map[string]any{
		"files": {"asset": "repo", "files": []any{"../x"}},
		"dir":   {"files": []any{"x"}},
	} {
		_, err := actions[3].Bind(args)
		bad, ok := errors.AsType[*action.ArgError](err)
		if !ok || bad.Name != name || bad.Fix == "" {
			t.Errorf("%v: Bind = %v, want an error for %q with a fix", args, err, name)
		}
	}
	if _, err := actions[3].Bind(nil); err == nil {
		t.Error("nothing to look for was accepted")
	}
}
