package schedule

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/hint"
)

// Formats that [Export] writes.
const (
	Systemd    = "systemd"
	Crontab    = "cron"
	Kubernetes = "kubernetes"
)

// Formats lists them, for the help of a command line.
func Formats() []string { return []string{Systemd, Crontab, Kubernetes} }

// ExportOptions is what the units need to know of the place where they run. For
// [Kubernetes] the paths are those in the container, and empty ones get the usual value.
//
// Nothing here is secret: units are readable by everybody on the machine. Credentials come
// from EnvFile and Secret, which are only named.
type ExportOptions struct {
	Program string // absolute path of lifeboat; Kubernetes: "" is /usr/local/bin/lifeboat
	Estate  string // absolute path of lifeboat.yaml; Kubernetes: "" is /etc/lifeboat/lifeboat.yaml
	State   string // absolute path of the state directory, "" leaves it to lifeboat; Kubernetes: "" is /var/lib/lifeboat

	EnvFile string // systemd, cron: absolute path of a file of NAME=value lines, mode 0600; "" is none
	User    string // systemd: who it runs as; "" leaves it to the unit's manager

	Namespace string   // Kubernetes, required
	Image     string   // Kubernetes, required: an image with lifeboat, git and what the runbooks call
	Env       []string // Kubernetes: names of variables that the runs get from Secret
	Secret    string   // Kubernetes: the Secret that holds them; "" is "lifeboat"
}

// File is one file of an export.
type File struct {
	Name string // without a directory
	Text string
}

// Export writes units that run schedules, in the order of the schedules. The command that
// each runs is
//
//	lifeboat run RUNBOOK --yes --param NAME=VALUE --estate FILE
//
// with "--shard i/n", 0 <= i < n, in each job of an Indexed Job. systemd and cron know one
// machine only, so there a schedule with shards does all of the work at once.
//
// A text that a format cannot carry is an error that says why; nothing is left out.
func Export(format string, schedules []Schedule, o ExportOptions) ([]File, error) {
	if format == Kubernetes {
		o = o.inContainer()
	}
	if err := o.check(format); err != nil {
		return nil, fmt.Errorf("export schedules: %w", err)
	}
	seen := map[string]bool{}
	for _, s := range schedules {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("export schedule %q: %w", s.Name, err)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("export schedules: there are two called %q", s.Name)
		}
		seen[s.Name] = true
	}
	switch {
	case len(schedules) == 0:
		return nil, hint.New("export schedules: there are none", `list them under "schedule:" in lifeboat.yaml`)
	case format == Systemd:
		return exportSystemd(schedules, o)
	case format == Crontab:
		return exportCrontab(schedules, o)
	case format == Kubernetes:
		return exportKubernetes(schedules, o)
	}
	return nil, hint.Wrapf(fmt.Errorf("export schedules: there is no format %q", format),
		"the formats are %s", strings.Join(Formats(), ", "))
}

func (o ExportOptions) inContainer() ExportOptions {
	for _, p := range []struct {
		to    *string
		value string
	}{
		{&o.Program, "/usr/local/bin/lifeboat"}, {&o.Estate, "/etc/lifeboat/lifeboat.yaml"},
		{&o.State, "/var/lib/lifeboat"}, {&o.Secret, "lifeboat"},
	} {
		if *p.to == "" {
			*p.to = p.value
		}
	}
	return o
}

func (o ExportOptions) check(format string) error {
	for _, p := range []struct {
		what, path string
		need       bool
	}{
		{"the program", o.Program, true}, {"lifeboat.yaml", o.Estate, true},
		{"the state directory", o.State, false}, {"the file of variables", o.EnvFile, false},
	} {
		switch {
		case p.path == "" && p.need:
			return fmt.Errorf("the path of %s is not given", p.what)
		case p.path == "":
		case !filepath.IsAbs(p.path):
			return hint.Wrap(fmt.Errorf("the path of %s, %q, is not absolute", p.what, p.path), "a scheduler starts in a directory of its own; write the whole path")
		case filepath.Clean(p.path) != p.path:
			return fmt.Errorf("the path of %s, %q, is not in its shortest form, %q", p.what, p.path, filepath.Clean(p.path))
		}
		if err := carries(p.path); err != nil {
			return fmt.Errorf("the path of %s: %w", p.what, err)
		}
	}
	if format == Kubernetes {
		return o.checkKubernetes()
	}
	return nil
}

// check proves what the writers of the formats rely on.
func (s Schedule) check() error {
	if !ValidName(s.Name) {
		return hint.New("the name cannot be that of a unit", `use lower-case letters, digits and "-", at most 40, a letter first`)
	}
	if _, err := s.Ticks(); err != nil {
		return err
	}
	if s.Runbook == "" || strings.HasPrefix(s.Runbook, "-") {
		return fmt.Errorf("%q is no runbook", s.Runbook)
	}
	if s.Jitter < 0 {
		return fmt.Errorf("the jitter %s is negative", s.Jitter)
	}
	for _, text := range s.args(ExportOptions{}) {
		if err := carries(text); err != nil {
			return err
		}
	}
	for name := range s.Params {
		if name == "" || strings.ContainsAny(name, "= \t\n") || strings.HasPrefix(name, "-") {
			return fmt.Errorf("%q is no name of a parameter", name)
		}
	}
	return nil
}

// carries says whether a text can be an argument of a program and a value in a unit.
func carries(text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return errors.New("an argument of a program cannot hold a zero byte")
	case !utf8.ValidString(text):
		return fmt.Errorf("%q is not text in UTF-8", text)
	}
	return nil
}

// args are what follows the name of the program.
func (s Schedule) args(o ExportOptions) []string {
	args := []string{"run", s.Runbook, "--yes"}
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		args = append(args, "--param", name+"="+s.Params[name])
	}
	args = append(args, "--estate", o.Estate)
	if o.State != "" {
		args = append(args, "--state", o.State)
	}
	return args
}

// zoneName is the zone as schedulers want it.
func (s Schedule) zoneName() string {
	if s.Zone == "" {
		return "UTC"
	}
	return s.Zone
}

// period is the shortest time between two ticks among the next few hundred.
func (k Ticks) period() time.Duration {
	const enough = 400
	shortest := time.Duration(0)
	from := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	last, ok := k.cron.wallNext(from)
	for range enough {
		next, more := k.cron.wallNext(last.Add(time.Minute))
		if !ok || !more {
			break
		}
		if d := next.Sub(last); shortest == 0 || d < shortest {
			shortest = d
		}
		if last = next; last.Sub(from) > 10*366*24*time.Hour {
			break
		}
	}
	return shortest
}

// Period is the shortest time between two ticks of the schedule, as the clock on the wall
// counts it. The jitter has to be shorter, or one start would pass the tick of the next.
func (s Schedule) Period() (time.Duration, error) {
	k, err := s.Ticks()
	if err != nil {
		return 0, err
	}
	return k.period(), nil
}
