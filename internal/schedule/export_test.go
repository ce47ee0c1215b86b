package schedule_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/command"
	"lifeboat/internal/schedule"
)

var daily = schedule.Schedule{
	Name: "daily", Cron: "15 1 * * *", Runbook: "daily-backup", Jitter: 10 * time.Minute, Zone: "Africa/Johannesburg",
	Params: map[string]string{"note": `100% of "$HOME" isn't \% $(id) $$`, "class": "daily"},
}

var place = schedule.ExportOptions{Program: "/usr/local/bin/lifeboat", Estate: "/srv/our app/lifeboat.yaml", State: "/var/lib/lifeboat"}

// wanted are the arguments that must reach the program, however a format quotes them.
func wanted(s schedule.Schedule, o schedule.ExportOptions) []string {
	args := []string{"run", s.Runbook, "--yes"}
	var names []string
	for n := range s.Params {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		args = append(args, "--param", n+"="+s.Params[n])
	}
	args = append(args, "--estate", o.Estate)
	if o.State != "" {
		args = append(args, "--state", o.State)
	}
	return args
}

func export(t testing.TB, format string, o schedule.ExportOptions, schedules ...schedule.Schedule) map[string]string {
	t.Helper()
	files, err := schedule.Export(format, schedules, o)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		if f.Name != filepath.Base(f.Name) || !strings.HasPrefix(f.Name, "lifeboat") || out[f.Name] != "" {
			t.Fatalf("a file called %q", f.Name)
		}
		out[f.Name] = f.Text
	}
	return out
}

// hostile makes text that a careless writer of any of the formats would break.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[-a-z%$(){}'"\\ #;&|*?:!\[\]~=<>@]{0,12}`), rapid.String()).Filter(func(s string) bool {
		return !strings.ContainsRune(s, 0) && utf8.ValidString(s)
	})
}

func anySchedule(t *rapid.T) schedule.Schedule {
	return schedule.Schedule{
		Name: "s-" + rapid.StringMatching(`[a-z0-9]{1,5}`).Draw(t, "name"), Cron: line().Draw(t, "cron"),
		Runbook: "r" + hostile().Draw(t, "runbook"), Jitter: time.Duration(rapid.IntRange(0, 1e12).Draw(t, "jitter")),
		Params: map[string]string{"p": hostile().Draw(t, "p"), "q": hostile().Draw(t, "q")}, Shards: rapid.IntRange(0, 3).Draw(t, "shards"),
	}
}

// systemdWords reads a command line as systemd.service(5) says: quotes, escapes of C,
// "%%" for "%", "$$" for "$", lines continued by a backslash. An unescaped "%" or "$" is
// an expansion and fails the test.
func systemdWords(t *rapid.T, text string) (words []string) {
	word, in := "", false
	for i := 0; i < len(text); i++ {
		c := text[i]
		two := func() byte {
			if i++; i >= len(text) {
				t.Fatalf("%q ends in the middle", text)
			}
			return text[i]
		}
		switch {
		case !in && c == '"':
			in = true
		case in && c == '"':
			in, words, word = false, append(words, word), ""
		case !in && c == '\\':
			if two() != '\n' {
				t.Fatalf("%q escapes outside of quotes", text)
			}
		case !in && (c == ' ' || c == '\n'):
		case !in:
			t.Fatalf("%q has %q outside of quotes", text, c)
		case c == '\n':
			t.Fatalf("%q breaks a line within quotes", text)
		case c == '%' || c == '$':
			if two() != c {
				t.Fatalf("%q expands something", text)
			}
			word += string([]byte{c})
		case c == '\\':
			switch e := two(); e {
			case '\\', '"':
				word += string(e)
			case 'x':
				n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				word, i = word+string([]byte{byte(n)}), i+2
			default:
				t.Fatalf("%q has the escape %q", text, e)
			}
		default:
			word += string([]byte{c})
		}
	}
	return words
}

func TestSystemdCarriesEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		o := place
		o.Estate = "/srv/" + strings.ReplaceAll(filepath.Clean("/"+hostile().Draw(t, "estate")), "/", "_") + "/lifeboat.yaml"
		files, err := schedule.Export(schedule.Systemd, []schedule.Schedule{s}, o)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(files[0].Text, "\nExecStart=")
		end := strings.Index(rest, "\n# 75:")
		if !ok || end < 0 {
			t.Fatalf("no command in\n%s", files[0].Text)
		}
		got := systemdWords(t, rest[:end])
		if diff := cmp.Diff(append([]string{o.Program}, wanted(s, o)...), got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for _, f := range files { // nothing from outside begins a line or a section of its own
			for l := range strings.Lines(f.Text) {
				l = strings.TrimRight(l, "\n")
				key, _, assigned := strings.Cut(l, "=")
				if !strings.HasPrefix(l, "    \"") && l != "" && l[0] != '#' && !(l[0] == '[' && strings.HasSuffix(l, "]")) && !(assigned && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "") {
					t.Fatalf("the line %q in\n%s", l, f.Text)
				}
			}
		}
	})
}

// TestSystemdAgreesOnTheTimes asks systemd itself when the timers elapse.
func TestSystemdAgreesOnTheTimes(t *testing.T) {
	if _, err := command.Look("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, text := range []string{"15 1 * * *", "*/15 * * * *", "0 9 1 1,4,7,10 *", "30 4 * * 1-5", "0 0 13 * 5", "5 0-23/6 */2 * *", "0 12 * * 0", "@hourly", "59 23 31 12 *", "0 0 1-31 * 1", "1,2,5-9 3 * * 6,7"} {
		s := schedule.Schedule{Name: "x", Cron: text, Runbook: "r", Zone: "Africa/Johannesburg"}
		timer := export(t, schedule.Systemd, place, s)["lifeboat-x.timer"]
		k, err := s.Ticks()
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Time
		for l := range strings.Lines(timer) {
			if expr, ok := strings.CutPrefix(l, "OnCalendar="); ok {
				got = append(got, elapses(t, strings.TrimSpace(expr))...)
			}
		}
		slices.SortFunc(got, time.Time.Compare)
		got = slices.CompactFunc(got, time.Time.Equal)
		at := epoch
		for i := range 12 {
			at = k.Next(at)
			if i >= len(got) || !got[i].Equal(at) {
				t.Errorf("%s: run %d is at %v, and systemd says %v of\n%s", text, i, at, got, timer)
				break
			}
		}
	}
}

func elapses(t *testing.T, expr string) (out []time.Time) {
	t.Helper()
	b, err := command.Output(t.Context(), command.Cmd{Argv: []string{"systemd-analyze", "calendar", "--iterations=12", "--base-time=2026-01-01 00:00:00 UTC", expr},
		Env: map[string]string{"LC_ALL": "C", "TZ": "UTC"}})
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		for _, label := range []string{"Next elapse: ", "(in UTC): ", "Iter. #", "Iteration #"} {
			if _, rest, ok := strings.Cut(l, label); ok {
				if strings.HasSuffix(label, "#") {
					_, rest, _ = strings.Cut(rest, ": ")
				}
				if at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", strings.TrimSpace(rest)); err == nil && strings.HasSuffix(strings.TrimSpace(rest), "UTC") {
					out = append(out, at)
				}
				break
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no times of %q in\n%s", expr, b)
	}
	return out
}

func TestSystemdVerifies(t *testing.T) {
	if _, err := command.Look("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	o := place
	o.Program, o.EnvFile, o.User = program(t, dir), filepath.Join(dir, "env%file"), "daemon"
	s := daily
	s.Cron = "0 0 13 * 5"
	var units []string
	for name, text := range export(t, schedule.Systemd, o, s) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	r, err := command.Run(t.Context(), command.Cmd{Argv: append([]string{"systemd-analyze", "verify", "--man=no"}, units...)})
	for l := range strings.Lines(string(r.Stderr) + string(r.Stdout)) {
		if strings.Contains(l, "lifeboat-") {
			t.Errorf("systemd says: %s", l)
		}
	}
	if err != nil && strings.Contains(string(r.Stderr), "lifeboat-") {
		t.Error(err)
	}
}

// program makes one that prints its arguments, each followed by a zero byte.
func program(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "lifeboat")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf '%s\\0' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// cronCommand does to a line what cron does (child_process in do_command.c of Vixie cron).
func cronCommand(line string) string {
	fields := strings.SplitN(line, " ", 6)
	var out []byte
	escaped := false
	for _, c := range []byte(fields[5]) {
		if escaped {
			if c == '%' {
				out = out[:len(out)-1]
			}
			out, escaped = append(out, c), false
			continue
		}
		if c == '%' {
			break // the rest is standard input
		}
		out = append(out, c)
		escaped = c == '\\'
	}
	return string(out)
}

func TestCrontabCarriesEverything(t *testing.T) {
	o := place
	dir := t.TempDir()
	o.Program = program(t, dir)
	run := func(text string) (string, []string) {
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		last := lines[len(lines)-1]
		out, err := command.Output(t.Context(), command.Cmd{Argv: []string{"/bin/sh", "-c", cronCommand(last)}})
		if err != nil {
			t.Fatalf("%s: %v", last, err)
		}
		return last, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		files, err := schedule.Export(schedule.Crontab, []schedule.Schedule{s}, o)
		broken := strings.ContainsAny(s.Runbook+s.Params["p"]+s.Params["q"], "\n\r")
		if err != nil {
			if !broken && !strings.Contains(err.Error(), "cron takes") {
				t.Fatal(err)
			}
			return
		}
		if broken {
			t.Fatalf("a line break went into %q", files[0].Text)
		}
		line, got := run(files[0].Text)
		if diff := cmp.Diff(wanted(s, o), got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", line, diff)
		}
	})

	o.EnvFile = filepath.Join(dir, "our env")
	if err := os.WriteFile(o.EnvFile, []byte("A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := export(t, schedule.Crontab, o, daily)["lifeboat.crontab"]
	if _, got := run(text); !slices.Equal(got, wanted(daily, o)) {
		t.Errorf("with a file of variables: %q", got)
	}
	for _, want := range []string{"\nCRON_TZ=Africa/Johannesburg\n", "\n15 1 * * * set -a && . ", "jitter of 10m"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
}

func TestExportTexts(t *testing.T) {
	files := export(t, schedule.Systemd, place, daily)
	for name, wants := range map[string][]string{
		"lifeboat-daily.service": {"Type=oneshot\n", "\nSuccessExitStatus=75\n", "NoNewPrivileges=yes\n", "systemctl enable --now lifeboat-daily.timer"},
		"lifeboat-daily.timer":   {"\nOnCalendar=*-*-* 01:15:00 Africa/Johannesburg\n", "\nPersistent=yes\n", "\nRandomizedDelaySec=600s\n", "\nAccuracySec=1s\n", "\nWantedBy=timers.target\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s does not say %q:\n%s", name, want, files[name])
			}
		}
	}
	both := daily
	both.Cron = "0 0 13 * 5"
	timer := export(t, schedule.Systemd, place, both)["lifeboat-daily.timer"]
	if !strings.Contains(timer, "OnCalendar=*-*-13 00:00:00 Africa/Johannesburg\nOnCalendar=Fri *-*-* 00:00:00 Africa/Johannesburg\n") {
		t.Errorf("a date or a weekday:\n%s", timer)
	}
}

func TestExportRefuses(t *testing.T) {
	kube := schedule.ExportOptions{Namespace: "ops", Image: "x"}
	set := func(o schedule.ExportOptions, change func(*schedule.ExportOptions)) schedule.ExportOptions {
		change(&o)
		return o
	}
	with := func(change func(*schedule.Schedule)) schedule.Schedule {
		s := daily
		change(&s)
		return s
	}
	type S = schedule.Schedule
	type O = schedule.ExportOptions
	for name, tt := range map[string]struct {
		format string
		o      O
		s      S
		want   string
	}{
		"format":            {"upstart", place, daily, `no format "upstart"`},
		"program relative":  {schedule.Systemd, set(place, func(o *O) { o.Program = "lifeboat" }), daily, "not absolute"},
		"program missing":   {schedule.Crontab, set(place, func(o *O) { o.Program = "" }), daily, "the program is not given"},
		"estate long":       {schedule.Crontab, set(place, func(o *O) { o.Estate = "/a/../b" }), daily, "shortest form"},
		"estate zero":       {schedule.Crontab, set(place, func(o *O) { o.Estate = "/a\x00b" }), daily, "zero byte"},
		"program variable":  {schedule.Systemd, set(place, func(o *O) { o.Program = "/a/$b" }), daily, "cannot start a program"},
		"user":              {schedule.Systemd, set(place, func(o *O) { o.User = "a\nExecStart=x" }), daily, "no name of a user"},
		"env file":          {schedule.Systemd, set(place, func(o *O) { o.EnvFile = "/a/*" }), daily, "takes for a pattern"},
		"namespace":         {schedule.Kubernetes, O{Image: "x"}, daily, "no namespace"},
		"namespace bad":     {schedule.Kubernetes, set(kube, func(o *O) { o.Namespace = "a\nb" }), daily, "no name of a namespace"},
		"image":             {schedule.Kubernetes, O{Namespace: "x"}, daily, "no image"},
		"image bad":         {schedule.Kubernetes, set(kube, func(o *O) { o.Image = "a b" }), daily, "no name of an image"},
		"variable":          {schedule.Kubernetes, set(kube, func(o *O) { o.Env = []string{"A=1"} }), daily, "no name of a variable"},
		"estate at the top": {schedule.Kubernetes, set(kube, func(o *O) { o.Estate = "/lifeboat.yaml" }), daily, "directories of their own"},
		"name":              {schedule.Systemd, place, with(func(s *S) { s.Name = "a/b" }), "cannot be that of a unit"},
		"cron":              {schedule.Systemd, place, with(func(s *S) { s.Cron = "@reboot" }), "no @reboot"},
		"zone":              {schedule.Systemd, place, with(func(s *S) { s.Zone = "Mars/Olympus" }), "no time zone"},
		"runbook option":    {schedule.Systemd, place, with(func(s *S) { s.Runbook = "--help" }), "is no runbook"},
		"parameter":         {schedule.Systemd, place, with(func(s *S) { s.Params = map[string]string{"a=b": "c"} }), "no name of a parameter"},
		"value zero":        {schedule.Systemd, place, with(func(s *S) { s.Params = map[string]string{"a": "\x00"} }), "zero byte"},
		"value no text":     {schedule.Systemd, place, with(func(s *S) { s.Params = map[string]string{"a": "\xff"} }), "not text in UTF-8"},
		"line break":        {schedule.Crontab, place, with(func(s *S) { s.Params = map[string]string{"a": "b\nc"} }), "line break"},
		"too long":          {schedule.Crontab, place, with(func(s *S) { s.Params = map[string]string{"a": strings.Repeat("b", 1000)} }), "cron takes 998"},
	} {
		files, err := schedule.Export(tt.format, []S{tt.s}, tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) || files != nil {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := schedule.Export(schedule.Systemd, nil, place); err == nil {
		t.Error("an export of nothing")
	}
	if _, err := schedule.Export(schedule.Systemd, []S{daily, daily}, place); err == nil {
		t.Error("two of one name")
	}
}
