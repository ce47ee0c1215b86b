package alert_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lifeboat/internal/alert"
)

var full = alert.Message{
	Event: alert.Recovered, Text: "main is back at 9bd0e27.", Advice: "Run git fetch.", Asset: "monorepo", Vault: "file:///v", Runbook: "accidental-force-push",
	Run: "20261124T030005Z-7F3A", Step: "tell-the-team", Level: 2, Estate: "Booking", Host: "ops-1", By: "m.ito",
	Time: time.Date(2026, 11, 24, 3, 12, 0, 0, time.UTC),
}

func TestForms(t *testing.T) {
	t.Parallel()
	const long = `RECOVERED: main is back at 9bd0e27.
Asset: monorepo
Vault: file:///v
Level: 2
Runbook: accidental-force-push, run 7F3A
From: m.ito on ops-1
Estate: Booking
Time: 2026-11-24 03:12:00 UTC
To do: Run git fetch.`
	if got := full.Long(); got != long {
		t.Errorf("Long:\n%s\nwant\n%s", got, long)
	}
	if got, want := full.Short(), "RECOVERED monorepo: main is back at 9bd0e27."; got != want {
		t.Errorf("Short %q, want %q", got, want)
	}
	drill := full
	drill.Drill = true
	if got := drill.Short(); !strings.HasPrefix(got, "DRILL, RECOVERED monorepo") {
		t.Errorf("of a drill: %q", got)
	}
	if got := drill.Long(); !strings.HasPrefix(got, "DRILL, RECOVERED") || !strings.Contains(got, "nothing real is broken") {
		t.Errorf("of a drill:\n%s", got)
	}
}

// Every event has words of its own, so that a message without a text says something.
func TestEvents(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, name := range alert.Events() {
		m := alert.Message{Event: name}
		short := m.Short()
		if seen[short] || len(short) < 15 || strings.HasSuffix(short, ": ") || len(short) > 160 {
			t.Errorf("%s: %q", name, short)
		}
		seen[short] = true
	}
	if got := (alert.Message{Event: "of-a-newer-version", Text: "x"}).Short(); got != "OF A NEWER VERSION: x" {
		t.Errorf("an unknown event: %q", got)
	}
}

// What is foreign is made harmless for terminals and chats, and bounded.
func TestHostileText(t *testing.T) {
	t.Parallel()
	m := alert.Message{
		Event: alert.BackupFailed, Text: "branch @everyone <!channel> \x1b]0;x\a\x1b[31mred\u202e" + strings.Repeat("ä", 5000), Asset: "a\nFrom: nobody",
		Advice: "@HERE", By: strings.Repeat("x", 1000), Time: full.Time,
	}
	for _, text := range []string{m.Long(), m.Short(), alert.Template{}.Render(m), m.Wire("", "").Detail} {
		for _, bad := range []string{"@everyone", "<!", "\x1b", "\u202e", "@HERE", "\nFrom: nobody"} {
			if strings.Contains(text, bad) {
				t.Errorf("%q is in %.200q", bad, text)
			}
		}
		if !utf8.ValidString(text) || len(text) > 8<<10 {
			t.Errorf("%d bytes, valid %v", len(text), utf8.ValidString(text))
		}
	}
	if got := m.Short(); len(got) > 160 || !utf8.ValidString(got) {
		t.Errorf("short form of %d bytes", len(got))
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":      full.Long(),
		"long":  full.Long(),
		"short": full.Short(),
		"{{.Short}}{{if .Level}} (level {{.Level}}){{end}}":                               full.Short() + " (level 2)",
		"{{if and .Asset (not .Drill)}}{{upper .Asset}}{{else}}x{{end}}":                  "MONOREPO",
		`{{if eq .Event "recovered" "not-recovered"}}over{{end}} {{- "!" }}`:              "over!",
		"{{if .Drill}}nothing{{else if ne .Run .RunID}}{{.Run}} {{lower .Estate}}{{end}}": "7F3A booking",
		"  {{/* a remark */}}{{.Time}}\n":                                                 "2026-11-24 03:12:00 UTC",
		"{{if .Drill}}only in drills{{end}}":                                              full.Long(), // nothing is no message
	} {
		tm, err := alert.ParseTemplate(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := tm.Render(full); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

// An event can have a template of its own, beside that of all others.
func TestTemplateForEvent(t *testing.T) {
	t.Parallel()
	short, err := alert.ParseTemplate("short")
	own, err2 := alert.ParseTemplate("{{.Run}} is over")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	both := short.For(alert.Recovered, own)
	other := full
	other.Event = alert.NotRecovered
	if got := both.Render(full); got != "7F3A is over" {
		t.Errorf("of the event: %q", got)
	}
	if got := both.Render(other); got != other.Short() {
		t.Errorf("of another one: %q", got)
	}
	if short.Render(full) != full.Short() || both.Equal(short) || !both.Equal(short.For(alert.Recovered, own)) {
		t.Error("For changed what it was made of")
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{.Assett}}":                        `template line 1, column 3: there is no field "Assett"`,
		"a\nbä {{if .X}}{{end}}":             `template line 2, column 9: there is no field "X"`,
		"{{if .Asset}}":                      "template line 1: unexpected EOF",
		"{{.Asset.Name}}":                    `there is no field "Asset.Name"`,
		"{{.Asset | upper}}":                 "it has a pipe",
		"{{$x := .Asset}}{{$x}}":             "it declares $x",
		"{{$}}":                              `"$" is no text`,
		"{{range .Asset}}{{end}}":            "has no place here",
		"{{with .Asset}}{{end}}":             "has no place here",
		`{{define "x"}}{{end}}`:              `it defines "x"`,
		`{{template "x"}}`:                   "has no place here",
		`{{printf "%9999999d" 1}}`:           `there is no function "printf"`,
		"{{call .Asset}}":                    `there is no function "call"`,
		"{{nothing .Asset}}":                 `function "nothing" not defined`,
		"{{eq .Asset}}":                      "eq takes 2 to 8 values, not 1",
		"{{eq .Level 3}}":                    `"3" is no text`,
		"{{eq (not .Asset) .Asset}}":         "is no text",
		"{{.Asset .Level}}":                  "is given a value",
		"{{.}}":                              `"." is no text`,
		"{{(.Asset).X}}":                     "is no text",
		"{{break}}":                          "",
		"{{1}}":                              `"1" is no text`,
		"{{if true}}{{end}}":                 `"true" is no text`,
		strings.Repeat("x", 5000):            "it has 5000 bytes",
		"{{/* only a remark */}}":            "",
		"{{if .Asset}}{{.Y}}{{end}}":         `there is no field "Y"`,
		"{{if .Drill}}{{else}}{{.Z}}{{end}}": `there is no field "Z"`,
	} {
		_, err := alert.ParseTemplate(text)
		if text == "{{/* only a remark */}}" {
			continue // either is well
		}
		bad, ok := errors.AsType[*alert.TemplateError](err)
		if !ok {
			t.Errorf("%.40q was taken: %v", text, err)
			continue
		}
		if !strings.Contains(bad.Error(), want) || bad.Line < 1 {
			t.Errorf("%.40q: %q (line %d), want %q", text, bad, bad.Line, want)
		}
	}
}

// A template that was taken cannot fail, whatever the message.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"{{.Short}}", "{{if .Asset}}a{{else}}b{{end}}", `{{eq .Event "x" .Run}}`, "{{not .Asset}}", "{{and .Asset (or .Run .Step)}}", "{{", "{{- .Long -}}",
		`{{upper "x"}}`, "{{if eq .Level `3`}}{{end}}", "{{(.Asset)}}", "{{define `x`}}{{end}}", "{{block `x` .}}{{end}}", "{{.Asset | printf `%s`}}", "\xff{{.Text}}",
	} {
		f.Add(seed, "text", "asset")
	}
	f.Fuzz(func(t *testing.T, text, said, asset string) {
		tm, err := alert.ParseTemplate(text)
		if err != nil {
			if bad, ok := errors.AsType[*alert.TemplateError](err); !ok || bad.Line < 1 || bad.Col < 0 || bad.Msg == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, m := range []alert.Message{{}, full, {Event: "x", Text: said, Asset: asset, Drill: true, Level: 3}} {
			if err := tm.Try(m); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if got := tm.Render(m); len(got) > 16<<10 {
				t.Fatalf("%q gives %d bytes", text, len(got))
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct {
		kind   string
		secret bool
	}{
		"http://alerts.sandbox/team":                                   {"webhook", false},
		"https://x.example.com/":                                       {"webhook", false},
		"https://x.example.com/hooks/on-call-2":                        {"webhook", false},
		"HTTPS://x.example.com/hooks":                                  {"webhook", false},
		"https://hooks.slack.com/services/T0001/B0001/XXXXXXXXXXXXXXX": {"webhook", true},
		"https://x.example.com/hook?token=1":                           {"webhook", true},
		"https://a:b@x.example.com/hook":                               {"webhook", true},
		"https://x.example.com/team#frag":                              {"webhook", true},
		"ntfy://ntfy.example.com/team":                                 {"ntfy", false},
		"slack://hook:T-B-X@webhook":                                   {"slack", true},
		"discord://token@id":                                           {"discord", true},
		"ifttt://key/":                                                 {"ifttt", true}, // the host is the key
		"generic+https://x.example.com/team":                           {"generic", false},
		"logger://":                                                    {"", true},
		"team":                                                         {"", true},
		"https://%zz/":                                                 {"webhook", true},
	} {
		if got := alert.Service(address); got != want.kind {
			t.Errorf("Service(%q) = %q, want %q", address, got, want.kind)
		}
		if got := alert.HoldsSecret(address); got != want.secret {
			t.Errorf("HoldsSecret(%q) = %v", address, got)
		}
	}
	if !slices.IsSorted(alert.Services()) {
		t.Error("services are not sorted")
	}
}
