package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// systemdHead says what to do with the files; a person reads it in an editor.
const systemdHead = `# Written by "lifeboat schedule export --format systemd".
# Put both files into /etc/systemd/system, then: systemctl daemon-reload && systemctl enable --now %s.timer
`

// exportSystemd writes a service and a timer for each schedule.
func exportSystemd(schedules []Schedule, o ExportOptions) ([]File, error) {
	// The path of a program is the one word in which systemd expands no variables, so a
	// "$" in it cannot be written in a way that is right for the path and for argv[0].
	if strings.ContainsAny(o.Program, "$\n") {
		return nil, fmt.Errorf("export schedules: systemd cannot start a program with the path %q", o.Program)
	}
	var files []File
	for _, s := range schedules {
		unit := "lifeboat-" + s.Name
		service, err := s.systemdService(unit, o)
		if err != nil {
			return nil, fmt.Errorf("export schedule %q: %w", s.Name, err)
		}
		timer, err := s.systemdTimer(unit)
		if err != nil {
			return nil, err
		}
		files = append(files, File{unit + ".service", service}, File{unit + ".timer", timer})
	}
	return files, nil
}

func (s Schedule) systemdService(unit string, o ExportOptions) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, systemdHead, unit)
	fmt.Fprintf(&b, `
[Unit]
Description=%s
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=%s`, systemdText("Lifeboat runs "+s.Runbook), systemdWord(o.Program, false))
	for _, a := range s.args(o) {
		b.WriteString(" \\\n    " + systemdWord(a, true))
	}
	b.WriteString(`
# 75: the same is being done already; the next tick comes.
SuccessExitStatus=75
`)
	if o.User != "" {
		if !systemdUser(o.User) {
			return "", fmt.Errorf("%q is no name of a user", o.User)
		}
		b.WriteString("User=" + o.User + "\n")
	}
	if o.EnvFile != "" {
		if strings.ContainsAny(o.EnvFile, "\n\\\"'*?[") {
			return "", errors.New("the path of the file of variables has characters that systemd takes for a pattern or an escape")
		}
		b.WriteString("# Credentials, as NAME=value lines. Only root may read it (chmod 0600).\nEnvironmentFile=" + strings.ReplaceAll(o.EnvFile, "%", "%%") + "\n")
	}
	b.WriteString(`
# A backup leaves the machine to its users.
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7

# A step has its own time limit; a second limit here would only cut it off unrecorded.
TimeoutStartSec=infinity
# Lifeboat ends its children itself, and records how far they came.
KillMode=mixed
TimeoutStopSec=2min

# What it may write, beyond its state: vaults on a disk and the targets of restores. So the
# system itself is read-only, and the rest is not.
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
`)
	return b.String(), nil
}

func (s Schedule) systemdTimer(unit string) (string, error) {
	lines, err := s.onCalendar()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, systemdHead, unit)
	fmt.Fprintf(&b, "\n[Unit]\nDescription=%s\n\n[Timer]\n# %s\n", systemdText("When Lifeboat runs "+s.Runbook), systemdComment(s.Cron+" "+s.zoneName()))
	for _, l := range lines {
		b.WriteString("OnCalendar=" + l + "\n")
	}
	b.WriteString("# One run makes up for what was missed while the machine was off.\nPersistent=yes\nAccuracySec=1s\n")
	if s.Jitter > 0 {
		b.WriteString("# Different between machines, always the same on one.\nRandomizedDelaySec=" +
			strconv.FormatInt(max(1, int64(s.Jitter/time.Second)), 10) + "s\nFixedRandomDelay=yes\n")
	}
	b.WriteString("\n[Install]\nWantedBy=timers.target\n")
	return b.String(), nil
}

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// onCalendar says the same as the line of cron. Where cron means "this date or that
// weekday", systemd, which always means both, gets two lines, and starts the unit when
// either is due.
func (s Schedule) onCalendar() ([]string, error) {
	c, err := ParseCron(s.Cron)
	if err != nil {
		return nil, err
	}
	on := func(weekday, day field) string {
		var b strings.Builder
		if !weekday.every(0, 6) {
			var names []string
			for i, name := range weekdays {
				if weekday.has(i) {
					names = append(names, name)
				}
			}
			b.WriteString(strings.Join(names, ",") + " ")
		}
		fmt.Fprintf(&b, "*-%s-%s %s:%s:00 %s", calendar(c.month, 1, 12), calendar(day, 1, 31),
			calendar(c.hour, 0, 23), calendar(c.minute, 0, 59), s.zoneName())
		return b.String()
	}
	if !c.either() {
		return []string{on(c.weekday, c.day)}, nil
	}
	all := field{set: 1<<32 - 1<<1}
	week := field{set: 1<<7 - 1}
	return []string{on(week, c.day), on(c.weekday, all)}, nil
}

// calendar writes the values of a field as a list with ranges.
func calendar(f field, low, high int) string {
	if f.every(low, high) {
		return "*"
	}
	var items []string
	for _, r := range f.runs() {
		switch {
		case r[1] == r[0]:
			items = append(items, fmt.Sprintf("%02d", r[0]))
		case r[1] == r[0]+1:
			items = append(items, fmt.Sprintf("%02d,%02d", r[0], r[1]))
		default:
			items = append(items, fmt.Sprintf("%02d..%02d", r[0], r[1]))
		}
	}
	return strings.Join(items, ",")
}

// systemdWord quotes a word of ExecStart=: "%" begins a specifier, "$" a variable, and
// within double quotes the escapes of C hold.
func systemdWord(s string, variables bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '%':
			b.WriteString("%%")
		case c == '$' && variables:
			b.WriteString("$$")
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// systemdText is text on one line, for a value that systemd only shows.
func systemdText(s string) string {
	return strings.ReplaceAll(systemdComment(s), "%", "%%")
}

// systemdComment keeps a text from ending its line, and from continuing on the next.
func systemdComment(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.TrimRight(s, "\\ ")
}

func systemdUser(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == "" && s[0] != '-' && s[0] != '.'
}
