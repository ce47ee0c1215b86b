// Package alert is what people are told when nobody is looking, or when everybody should
// be: the events, and a message about one of them in a short and in a long form.
//
// A message is made of foreign text: names of branches, errors of servers, words of a
// runbook. [Message.Clean] makes it harmless for chats and terminals and bounds it, and
// everything that leaves this package has been through it. How a message reaches anybody
// is the matter of internal/builtin/notify.
package alert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/printable"
)

// What a message can be about.
const (
	RecoveryBegun      = "recovery-begun"
	Recovered          = "recovered"
	NotRecovered       = "not-recovered"
	LevelRaised        = "level-raised"
	LevelTime          = "level-time"
	DebtOverdue        = "debt-overdue"
	ProtectionOff      = "protection-off"
	ProtectionOn       = "protection-on"
	SecurityBreach     = "security-breach"
	HealthProblem      = "health-problem"
	BackupFailed       = "backup-failed"
	BackupLate         = "backup-late"
	VerificationFailed = "verification-failed"
	MirrorFailed       = "mirror-failed"
	CopyFailed         = "copy-failed"
	PruneFrozen        = "prune-frozen"
	VaultProblem       = "vault-problem"
	DrillPassed        = "drill-passed"
	DrillFailed        = "drill-failed"
	ChannelDead        = "channel-dead"
	Test               = "test"
	Info               = "info"
)

// event is what is said of an event where its sender says nothing else.
type event struct{ name, headline, text string }

// events lists all of them, in the order of the manual.
func events() []event {
	return []event{
		{RecoveryBegun, "RECOVERY BEGUN", "Something is broken and is being recovered. Please change nothing there until you hear that it is over."},
		{Recovered, "RECOVERED", "The recovery is over and was checked."},
		{NotRecovered, "NOT RECOVERED", "The recovery came to no good end. Somebody has to take over."},
		{LevelRaised, "LEVEL RAISED", "The incident is more serious than it was taken for."},
		{LevelTime, "TIME RUNS OUT", "The time that the level of the incident allows is nearly spent."},
		{DebtOverdue, "NOT PUT BACK", "Something that was switched off for a recovery is still off."},
		{ProtectionOff, "PROTECTION OFF", "The protection of a branch is off. Please push nothing until it is back."},
		{ProtectionOn, "PROTECTION ON", "The protection of the branch is back as it was."},
		{SecurityBreach, "SECURITY BREACH", "A breach of security is being contained. Speak about it only where nobody can listen."},
		{HealthProblem, "HEALTH", "A check of what is running found a problem."},
		{BackupFailed, "BACKUP FAILED", "A backup was not made."},
		{BackupLate, "BACKUP LATE", "The newest backup is older than it may be."},
		{VerificationFailed, "VERIFICATION FAILED", "A backup does not give back what it should."},
		{MirrorFailed, "MIRROR FAILED", "A mirror is not up to date."},
		{CopyFailed, "COPY FAILED", "A backup did not reach another vault."},
		{PruneFrozen, "PRUNING FROZEN", "Nothing is removed from the vault until its backups are sound again."},
		{VaultProblem, "VAULT", "Something endangers the backups in the vault."},
		{DrillPassed, "DRILL PASSED", "The drill is over, and everything came back."},
		{DrillFailed, "DRILL FAILED", "The drill is over, and not everything came back."},
		{ChannelDead, "ALERTS", "A channel of alerts is dead: it was not told what you were."},
		{Test, "TEST", "This is a test of the alerts. Nothing happened, and nothing is to be done."},
		{Info, "INFO", "There is news."},
	}
}

// Events are the names of what a message can be about.
func Events() []string {
	var out []string
	for _, e := range events() {
		out = append(out, e.name)
	}
	return out
}

func find(name string) event {
	all := events()
	if i := slices.IndexFunc(all, func(e event) bool { return e.name == name }); i >= 0 {
		return all[i]
	}
	return event{name, strings.ToUpper(strings.ReplaceAll(name, "-", " ")), ""}
}

// Message is what people are told.
type Message struct {
	Event   string // of [Events]
	Text    string // what the sender says; empty: the event's own words
	Advice  string // what can be done
	Asset   string
	Vault   string
	Runbook string // its name
	Run     string // the whole id
	Step    string // its id
	Level   int    // of the incident, 0: not known
	Estate  string
	Host    string
	By      string
	Time    time.Time
	Drill   bool // nothing real is broken
}

// Bounds of a message: more than a page reaches nobody at night.
const (
	maxText = 3000 // bytes of Text and Advice
	maxName = 200  // bytes of anything else
	maxWord = 160  // bytes of the short form: a text message of a telephone
)

// Clean gives m without anything that a terminal or a chat would obey, bounded.
func (m Message) Clean() Message {
	for _, s := range []*string{&m.Text, &m.Advice} {
		*s = harmless(cut(printable.Text(strings.TrimSpace(*s)), maxText))
	}
	for _, s := range []*string{&m.Event, &m.Asset, &m.Vault, &m.Runbook, &m.Run, &m.Step, &m.Estate, &m.Host, &m.By} {
		*s = harmless(cut(printable.Line(strings.TrimSpace(*s)), maxName))
	}
	return m
}

// marks are what calls everybody, or somebody, in Slack, Discord, Teams, Mattermost or
// Rocket.Chat.
var marks = regexp.MustCompile(`(?i)@(?:everyone|here|channel|all)\b|<[!@#]`)

// harmless takes from a chat what would call people by the name of a branch.
func harmless(s string) string {
	return marks.ReplaceAllStringFunc(s, func(mark string) string { return mark[:1] + " " + mark[1:] })
}

// cut shortens a text to so many bytes and shows that it did.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	most -= len("…")
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// headline begins every form. That it is a drill comes before anything else.
func (m Message) headline() string {
	if h := find(m.Event).headline; !m.Drill {
		return h
	} else {
		return "DRILL, " + h
	}
}

func (m Message) words() string {
	if m.Text != "" {
		return m.Text
	}
	return find(m.Event).text
}

// short is the run as people say it.
func (m Message) short() string { return m.Run[strings.LastIndexByte(m.Run, '-')+1:] }

// Title is what it is about, for a window or a mail.
func (m Message) Title() string {
	m = m.Clean()
	if m.Asset == "" {
		return m.headline()
	}
	return m.headline() + " " + m.Asset
}

// Short is one line, for a telephone and the title of a longer one.
func (m Message) Short() string {
	m = m.Clean()
	text, _, _ := strings.Cut(m.words(), "\n")
	return cut(m.Title()+": "+text, maxWord)
}

// Long says everything, one thing a line.
func (m Message) Long() string {
	m = m.Clean()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", m.headline(), m.words())
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s: %s\n", label, text)
		}
	}
	if m.Drill {
		line("Drill", "nothing real is broken")
	}
	line("Asset", m.Asset)
	line("Vault", m.Vault)
	if m.Level > 0 {
		line("Level", fmt.Sprint(m.Level))
	}
	run := m.Runbook
	if m.Run != "" {
		run = strings.TrimPrefix(run+", run "+m.short(), ", ")
	}
	line("Runbook", run)
	by := m.By
	if m.Host != "" {
		by = strings.TrimPrefix(by+" on "+m.Host, " ")
	}
	line("From", by)
	line("Estate", m.Estate)
	if !m.Time.IsZero() {
		line("Time", m.when())
	}
	line("To do", m.Advice)
	return strings.TrimSuffix(b.String(), "\n")
}

func (m Message) when() string { return m.Time.UTC().Format("2006-01-02 15:04:05 UTC") }

// Wire is a message as webhooks and programs get it, in JSON. text is what the template
// of the channel made, which is also the field that chats with a plain webhook show.
type Wire struct {
	Time    time.Time `json:"time"`
	Estate  string    `json:"estate"`
	Host    string    `json:"host"`
	By      string    `json:"by"`
	Event   string    `json:"event"`
	Asset   string    `json:"asset,omitempty"`
	Vault   string    `json:"vault,omitempty"`
	Text    string    `json:"text"`
	Short   string    `json:"short"`
	Detail  string    `json:"detail"` // the sender's own words
	Advice  string    `json:"advice,omitempty"`
	Runbook string    `json:"runbook,omitempty"`
	Run     string    `json:"run,omitempty"`
	Step    string    `json:"step,omitempty"`
	Level   int       `json:"level,omitempty"`
	Drill   bool      `json:"drill,omitempty"`
	ID      string    `json:"id,omitempty"` // the same for every try to tell the same
}

// Wire gives the stored fields with a rendered text.
func (m Message) Wire(text, id string) Wire {
	m = m.Clean()
	return Wire{
		Time: m.Time.UTC(), Estate: m.Estate, Host: m.Host, By: m.By, Event: m.Event, Asset: m.Asset, Vault: m.Vault,
		Text: text, Short: m.Short(), Detail: m.words(), Advice: m.Advice, Runbook: m.Runbook, Run: m.Run, Step: m.Step,
		Level: m.Level, Drill: m.Drill, ID: id,
	}
}
