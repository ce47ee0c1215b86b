package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/console/look"
	"lifeboat/internal/hint"
)

// Themes implements console.ThemeReader.
func (b *backend) Themes(context.Context) []string { return b.world.env.themeNames() }

// Theme implements console.ThemeReader.
func (b *backend) Theme(_ context.Context, name string) (*look.Theme, error) {
	return b.world.env.theme(name)
}

// themeDir is where a person keeps themes, one NAME.yaml each; empty: there is no place.
func (e environment) themeDir() string {
	if d := e.configDir(); d != "" {
		return filepath.Join(d, "themes")
	}
	return ""
}

// themeNames lists our themes and then those of the person, by name. One of theirs may
// have the name of one of ours and stands in for it.
func (e environment) themeNames() []string {
	names := look.Ours()
	dir := e.themeDir()
	if dir == "" {
		return names
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return names // most people have none
	}
	for _, f := range entries {
		name, ok := strings.CutSuffix(f.Name(), ".yaml")
		if ok && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// theme reads a theme: a file where the name has a slash or ends in .yaml, else one of
// the person, else one of ours. An empty name is the standard one.
func (e environment) theme(name string) (*look.Theme, error) {
	if name == "" {
		name = look.Standard
	}
	file := name
	if !strings.ContainsRune(name, filepath.Separator) && !strings.HasSuffix(name, ".yaml") {
		if file = ""; e.themeDir() != "" {
			file = filepath.Join(e.themeDir(), name+".yaml")
		}
		if _, err := os.Stat(file); file == "" || errors.Is(err, fs.ErrNotExist) {
			t, err := look.Named(name)
			if err != nil {
				return nil, hint.Wrap(err, "yours lie in "+orElse(e.themeDir(), "$XDG_CONFIG_HOME/lifeboat/themes")+", each NAME.yaml")
			}
			return t, nil
		}
	} else if !filepath.IsAbs(file) {
		file = filepath.Join(e.dir, file)
	}
	src, err := readTheme(file)
	if err != nil {
		return nil, fmt.Errorf("read the theme %q: %w", name, err)
	}
	t, err := look.Parse(file, src)
	if err != nil {
		return nil, err
	}
	t.Name = strings.TrimSuffix(filepath.Base(file), ".yaml")
	return t, nil
}

// readTheme reads no more of a file than a theme may have, and nothing that could keep
// somebody waiting for the console.
func readTheme(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, look.MaxTheme+1))
}

// appearance is the theme of --theme or LIFEBOAT_THEME, and whether to begin with ASCII
// glyphs. A theme that cannot be read costs nobody the console: the standard one is
// used, and the notice says so.
func (e environment) appearance(name string, wantASCII bool) (t *look.Theme, ascii bool, notice string) {
	name = orElse(name, e.get("LIFEBOAT_THEME"))
	t, err := e.theme(name)
	if err != nil {
		t, notice = nil, fmt.Sprintf("This is the standard theme: %q cannot be used. See lifeboat theme check %s", name, name)
	}
	return t, wantASCII || look.NeedsASCII(e.all), notice
}
