package console

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"lifeboat/internal/run"
)

// hostile sets a title, moves the cursor, hides and turns text around, and ends in
// characters that some terminals obey.
const hostile = "a\x1b]0;owned\x07b\x1b[2J\x1b[Hc\u009b31md\u202eevil\u2066e\u200bf\x9b\xff\rg\nh\x1b_Gi=1;AAAA\x1b\\i\x1bPq#0\x1b\\j\x08\x0e\x05k"

// poison puts hostile text into every string of a value, except what code compares.
func poison(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(v.Elem())
			poison(c.Elem())
			v.Set(c)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			switch v.Type().Field(i).Name {
			case "ID", "Effect", "Mode", "Outcome", "Kind", "Verb", "Digest", "Log", "Step", "Finding", "Gate", "State", "Target", "Close":
				continue
			}
			if v.Field(i).CanSet() {
				poison(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || v.IsNil() {
			return
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			poison(c.Index(i))
		}
		v.Set(c)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		c := reflect.MakeMap(v.Type())
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			poison(e)
			c.SetMapIndex(k, e)
		}
		v.Set(c)
	case reflect.String:
		v.SetString(v.String() + hostile)
	}
}

// TestHostile poisons every foreign string of every story and of the library: nothing
// of it may reach the terminal as anything but text.
func TestHostile(t *testing.T) {
	stories := map[string]func(*story) *story{
		"frozen": (*story).frozen, "confirm": (*story).keepGate, "running": (*story).keeping, "danger": (*story).pushGate,
		"doubt": (*story).doubt, "decision": (*story).decision, "input": (*story).told, "closing": (*story).closing, "result": (*story).complete,
		"late": (*story).late, "late gate": (*story).lateGate, "nearly": (*story).nearly,
	}
	for name, make := range stories {
		t.Run(name, func(t *testing.T) {
			s := make(newStory(t))
			for i := range s.events {
				body := reflect.New(reflect.TypeOf(s.events[i].Body)).Elem()
				body.Set(reflect.ValueOf(s.events[i].Body))
				poison(body)
				s.events[i].Body = body.Interface()
			}
			d := drive(t, 120, 36, s, func(b *fakeBackend, o *Options) {
				for n := range b.logs {
					b.logs[n] = []byte(hostile + "\n" + hostile + "\r" + hostile + "\n")
				}
				b.progress = Progress{Step: "keep", Done: 5, Total: 9, Unit: "x" + hostile, Since: s.now}
				books := reflect.ValueOf(&b.books).Elem()
				poison(books)
				b.books[0].Guidance = library()[0].Guidance
				for k, g := range b.books[0].Guidance {
					b.books[0].Guidance[k] = g + "\n\n- " + hostile + "\n\n```sh\n" + hostile + "\n```\n"
				}
				b.books[0].Name = s.state.Started.Book + hostile
				o.User += hostile
				poison(reflect.ValueOf(&b.team.Contacts).Elem())
				poison(reflect.ValueOf(&b.team.Levels).Elem())
				poison(reflect.ValueOf(&b.team.Speaker).Elem())
				b.team.File += hostile
				for _, q := range b.team.Tree.Questions {
					q.Ask, q.Unsure.Text, q.Unsure.Hint = q.Ask+hostile, q.Unsure.Text+hostile, hostile
					for i := range q.Answers {
						q.Answers[i].Text += hostile
					}
				}
			})
			if d.m.snap.broken != nil {
				t.Fatal(d.m.snap.broken)
			}
			harmless(t, d)
			if f := d.frame(); !strings.Contains(f, "<U+202E>") {
				t.Fatalf("the hostile text is not on the screen, so this proves nothing:\n%s", plainFrame(f))
			}
			for _, keys := range [][]string{{"tab"}, {"esc"}, {"u"}, {"esc"}, {"l"}, {"esc"}, {"?"}, {"esc"}, {"n"}, {"esc"}, {"x"}, {"esc"}, {"s"}, {"esc"}, {"f2"}, {"down"}, {"esc"}, {"f3"}, {"down"}, {"esc"},
				{"esc", "o"}, {"c"}, {"esc"}, {"2"}, {"1"}, {"c"}, {"esc"}, {"/"}, {"forc", "tab"}, {"ctrl+r"}, {"G"}, {"esc"}, {"enter"}, {"r"}, {"esc"}, {"s"}, {"enter", "right"}, {"ctrl+o"}, {"esc"}} {
				d.press(keys...)
				harmless(t, d)
			}
		})
	}
}

func harmless(t *testing.T, d *driver) {
	t.Helper()
	v := d.m.View()
	for _, size := range [][2]int{{120, 36}, {80, 24}, {40, 10}} {
		d.send(sizeMsg(size[0], size[1]))
		frame := d.frame()
		for rest := frame; rest != ""; {
			i := strings.IndexByte(rest, '\x1b')
			if i < 0 {
				break
			}
			end := i + 1
			if !strings.HasPrefix(rest[end:], "[") {
				t.Fatalf("escape that is no colour: %q", rest[i:min(i+20, len(rest))])
			}
			end++
			for end < len(rest) && strings.IndexByte("0123456789;:", rest[end]) >= 0 {
				end++
			}
			if end == len(rest) || rest[end] != 'm' {
				t.Fatalf("escape that is no colour: %q", rest[i:min(i+20, len(rest))])
			}
			rest = rest[end+1:]
		}
		for _, r := range ansi.Strip(frame) + v.WindowTitle {
			if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Fatalf("%U reached the screen:\n%q", r, frame)
			}
		}
	}
	d.send(sizeMsg(120, 36))
}

// TestBrokenHistory: a history that cannot be folded is said, not guessed at.
func TestBrokenHistory(t *testing.T) {
	s := newStory(t).keepGate()
	s.events = append(s.events, run.Event{Run: runID, Seq: s.state.Seq + 1, At: s.now, Kind: run.StepVerified, Step: "tell", Body: run.Verdict{}})
	f := plainFrame(drive(t, 120, 36, s).frame())
	if !strings.Contains(f, "NOT UNDERSTOOD") {
		t.Error(f)
	}
}
