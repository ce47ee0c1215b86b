package schedule

import (
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// longestCommand is what Debian's cron takes of a command (MAX_COMMAND in its cron.h);
// others take more.
const longestCommand = 998

const crontabHead = `# Written by "lifeboat schedule export --format cron".
# Add these lines to the table of the user who backs up: crontab -e
#
# cron does not make up for runs that were missed while the machine was off, has no jitter,
# and gives its children little environment. It mails what they print to MAILTO.
# Lifeboat itself sees to it that two runs do not do the same work at once.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
SHELL=/bin/sh
`

// exportCrontab writes one table with a line for each schedule.
func exportCrontab(schedules []Schedule, o ExportOptions) ([]File, error) {
	var b strings.Builder
	b.WriteString(crontabHead)
	for _, s := range schedules {
		c, err := ParseCron(s.Cron)
		if err != nil {
			return nil, err
		}
		command, err := s.crontabCommand(o)
		if err != nil {
			return nil, fmt.Errorf("export schedule %q: %w", s.Name, err)
		}
		fmt.Fprintf(&b, "\n# %s. The times are those of %s, if this cron knows CRON_TZ (cronie does;\n# Debian's does not: there they are those of the machine).\nCRON_TZ=%s\n", s.Name, s.zoneName(), s.zoneName())
		if s.Jitter > 0 {
			fmt.Fprintf(&b, "# lifeboat.yaml wants a jitter of %s: give each machine a minute of its own.\n", printable.Span(s.Jitter))
		}
		b.WriteString(c.String() + " " + command + "\n")
	}
	return []File{{"lifeboat.crontab", b.String()}}, nil
}

// crontabCommand is the command as cron hands it to the shell.
func (s Schedule) crontabCommand(o ExportOptions) (string, error) {
	words := []string{shellWord(o.Program)}
	for _, a := range s.args(o) {
		words = append(words, shellWord(a))
	}
	command := strings.Join(words, " ")
	if o.EnvFile != "" {
		command = "set -a && . " + shellWord(o.EnvFile) + " && exec " + command
	}
	if strings.ContainsAny(command, "\n\r") {
		return "", errors.New("a line of cron cannot hold a line break")
	}
	command = crontabPercent(command)
	if len(command) > longestCommand {
		return "", hint.Wrap(fmt.Errorf("its command has %d characters, and cron takes %d", len(command), longestCommand),
			"give the runbook fewer parameters, or use systemd")
	}
	return command, nil
}

// shellWord quotes a word for a POSIX shell, and leaves plain words as they are.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// crontabPercent escapes "%", which to cron is a line break. cron takes away a backslash
// before it, but only one that is not itself escaped; so that a backslash of the text
// does not count, the quotes are closed and opened again between the two. A "%" stands
// always within quotes: see [shellWord].
func crontabPercent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '%' {
			if i > 0 && s[i-1] == '\\' {
				b.WriteString("''")
			}
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
