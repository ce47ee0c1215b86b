package run

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "add missing lines to testdata/events.golden and rewrite testdata/transitions.golden")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)

// full sets every field that is stored, so that a renamed or dropped one is noticed.
func full(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon))
		return
	case map[string]any:
		v.Set(reflect.ValueOf(map[string]any{"text": "a -> b & <c>", "number": 1.5, "yes": true, "list": []any{"x", "y"}}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		full(v.Index(0), name)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": name}))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Tag.Get("json") != "-" {
				full(v.Field(i), strings.ToLower(f.Name))
			}
		}
	default:
		panic("no example for " + v.Type().String())
	}
}

func kinds() []Kind { return slices.Sorted(maps.Keys(bodies)) }

// example is an event of a kind with every field set.
func example(kind Kind) Event {
	body := bodies[kind]()
	full(reflect.ValueOf(body).Elem(), "")
	return Event{Run: "20261124T120000Z-7F3A", Seq: 7, At: noon, Kind: kind, Step: "push", Attempt: 2, Body: value(body)}
}

func goldenLines(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/events.golden")
	if err != nil && !*update {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// The golden file only ever grows: a line in it is on somebody's disk.
func TestStoredFormIsFrozen(t *testing.T) {
	lines := goldenLines(t)
	for _, kind := range kinds() {
		ev := example(kind)
		data, err := Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(lines, string(data)) {
			if !*update {
				t.Errorf("%s is stored in a new way; if that is meant, add it with -update and keep the old lines:\n%s", kind, data)
			}
			lines = append(lines, string(data))
		}
		if back, err := Decode(data); err != nil || !reflect.DeepEqual(back, ev) {
			t.Errorf("%s came back as %+v, %v\nwant %+v", kind, back, err, ev)
		}
	}
	for _, line := range lines {
		ev, err := Decode([]byte(line))
		if err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		if again, err := Encode(ev); err != nil || string(again) != line {
			t.Errorf("encoded again it is\n%s\nwant\n%s\n%v", again, line, err)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/events.golden", []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(Event{Run: "r", Seq: 1, At: noon, Kind: NoteAdded, Body: Note{By: "ada", Text: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "EOF"},
		{"not JSON", "\x00\xff", "invalid character"},
		{"array", "[]", "cannot unmarshal"},
		{"newer form", change(`"v":1`, `"v":2`), "stored form 2"},
		{"form 0", change(`"v":1`, `"v":0`), "stored form 0"},
		{"no form", change(`"v":1,`, ``), "stored form 0"},
		{"unknown kind", change(`note-added`, `moon-landed`), `kind "moon-landed" is not known`},
		{"unknown field", change(`"seq":1`, `"seq":1,"moon":1`), `unknown field "moon"`},
		{"unknown field of the body", change(`"by":"ada"`, `"by":"ada","moon":1`), `unknown field "moon"`},
		{"body of another kind", change(`note-added`, `run-ended`), "unknown field"},
		{"no body", change(`,"body":{"by":"ada","text":"x"}`, ``), "EOF"},
		{"time", change(`"at":"2026-11-24T12:00:00.123456Z"`, `"at":"yesterday"`), "parsing time"},
		{"sequence too large", change(`"seq":1`, `"seq":9223372036854775808`), "cannot unmarshal"},
		{"sequence as text", change(`"seq":1`, `"seq":"1"`), "cannot unmarshal"},
		{"second object", string(good) + string(good), "data after the object"},
		{"brace behind it", string(good) + "}", "data after the object"},
		{"bracket behind it", string(good) + "]", "data after the object"},
		{"cut off", string(good[:len(good)-1]), "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if ev, err := Decode([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v; want an error with %q", ev, err, tt.want)
			}
		})
	}
}

// What could not be read again is not written.
func TestEncodeRefuses(t *testing.T) {
	for _, ev := range []Event{
		{Kind: "moon-landed", Body: Note{}}, {Kind: NoteAdded, Body: Ended{}}, {Kind: NoteAdded, Body: &Note{}}, {Kind: NoteAdded},
		{Kind: StepFinished, Body: Finished{Outputs: map[string]any{"f": func() {}}}},
	} {
		if data, err := Encode(ev); err == nil {
			t.Errorf("%+v was encoded: %s", ev, data)
		}
	}
}

func TestKnown(t *testing.T) {
	if !StepUndone.Known() || Kind("moon-landed").Known() || Kind("").Known() {
		t.Error("a kind is known when it has a body")
	}
}

func FuzzDecode(f *testing.F) {
	for _, line := range goldenLines(f) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"v":1,"run":"r","seq":1,"at":"0000-01-01T00:00:00.000000Z","kind":"note-added","body":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(ev)
		if err != nil {
			t.Fatalf("%q decodes and cannot be encoded: %v", data, err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("%q was encoded as %q: %v", data, again, err)
		}
		if third, err := Encode(back); err != nil || string(third) != string(again) {
			t.Fatalf("%q is not stable: %q, %v", again, third, err)
		}
	})
}

func TestShort(t *testing.T) {
	for id, want := range map[ID]string{"20261124T030005Z-7F3A": "7F3A", "r": "r", "": "", "a-": ""} {
		if got := id.Short(); got != want {
			t.Errorf("%q gives %q, want %q", id, got, want)
		}
	}
}

var states = []State{Pending, Waiting, Running, Checking, Verified, Claimed, Failed, InDoubt, Skipped, Overridden, Undone}

// The whole table on one page, so that a change of it is seen in review.
func TestTransitions(t *testing.T) {
	var b strings.Builder
	for _, state := range states {
		for _, kind := range kinds() {
			if to, ok := next[state][kind]; ok {
				fmt.Fprintf(&b, "%-10s  %-15s  %s\n", state, kind, to)
			}
		}
	}
	if *update {
		if err := os.WriteFile("testdata/transitions.golden", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/transitions.golden")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table is now\n%s\nwant\n%s", b.String(), want)
	}
	if len(next) != len(states) {
		t.Errorf("%d states in the table, %d known", len(next), len(states))
	}
}

// Every pair that is not in the table is refused with the history, and changes nothing.
func TestEveryPair(t *testing.T) {
	for _, state := range states {
		for _, kind := range kinds() {
			r := Run{ID: "r", Seq: 6, Steps: []Step{{Outline: Outline{ID: "push"}, State: state}}, history: []string{"5 push gate-opened", "6 push step-began"}}
			ev := example(kind)
			ev.Run = "r"
			n, err := Fold(r, ev)
			var illegal *IllegalError
			if err != nil && !errors.As(err, &illegal) {
				t.Fatalf("%s in %q: error %v", kind, state, err)
			}
			to, legal := next[state][kind]
			switch {
			case err == nil && (!legal || n.Steps[0].State != to || n.Seq != 7):
				t.Errorf("%s in %q gave %q, the table says %q", kind, state, n.Steps[0].State, to)
			case err != nil && !legal && (illegal.Why == "" || !strings.HasSuffix(err.Error(), "history: 5 push gate-opened > 6 push step-began")):
				t.Errorf("%s in %q: error %v", kind, state, err)
			case err != nil && (n.Seq != 6 || n.Steps[0].State != state || r.Steps[0].State != state):
				t.Errorf("%s in %q was refused and changed the run", kind, state)
			}
		}
	}
}

func TestIllegalErrorTellsEverything(t *testing.T) {
	events := []Event{
		{Run: "20261124T120000Z-7F3A", Seq: 1, At: noon, Kind: RunStarted, Body: Started{Mode: Live, Steps: []Outline{{ID: "push", Effect: "write"}}}},
		{Run: "20261124T120000Z-7F3A", Seq: 2, At: noon, Kind: GateOpened, Step: "push", Body: Gate{Kind: Confirm}},
		{Run: "20261124T120000Z-7F3A", Seq: 3, At: noon, Kind: StepVerified, Step: "push", Body: Verdict{}},
	}
	_, err := FoldAll(events)
	want := `illegal event 3 step-verified in run 7F3A step "push" (waiting): not a transition; history: 1 run-started > 2 push gate-opened`
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

// walk makes a random history that folds, and hands each event to see before and after.
func walk(rng *rand.Rand, length int, see func(before Run, ev Event, after Run)) {
	steps := []string{"a", "b", "c"}
	started := Started{Mode: []Mode{Live, Drill}[rng.IntN(2)], Book: "book"}
	for _, id := range steps {
		started.Steps = append(started.Steps, Outline{ID: id, Effect: []string{"read", "write", "destroy"}[rng.IntN(3)]})
	}
	first := Event{Run: "r", Seq: 1, At: noon, Kind: RunStarted, Body: started}
	r, err := Fold(Run{}, first)
	if err != nil {
		panic(err)
	}
	see(Run{}, first, r)
	all := kinds()
	for try := 0; r.Seq < int64(length) && try < 20*length && r.Open(); try++ {
		ev := Event{Run: "r", Seq: r.Seq + 1, At: r.Last.Add(time.Second), Kind: all[rng.IntN(len(all))]}
		if ev.Kind == RunEnded && rng.IntN(40) > 0 {
			continue
		}
		if rng.IntN(5) > 0 { // mostly what the table allows, sometimes anything
			ev.Step = steps[rng.IntN(len(steps))]
			if r.Gate != nil && r.Gate.Step != "" && rng.IntN(4) > 0 {
				ev.Step = r.Gate.Step
			}
			if legal := slices.Sorted(maps.Keys(next[r.Step(ev.Step).State])); rng.IntN(8) > 0 {
				ev.Kind = legal[rng.IntN(len(legal))]
			}
		}
		ev.Body = fitting(rng, &r, &ev)
		n, err := Fold(r, ev)
		if err != nil {
			continue
		}
		see(r, ev, n)
		r = n
	}
}

// fitting makes a body that has a chance to be accepted.
func fitting(rng *rand.Rand, r *Run, ev *Event) any {
	body := value(bodies[ev.Kind]())
	digest := []string{"d1", "d2"}[rng.IntN(2)]
	switch b := body.(type) {
	case Gate:
		b.Digest, b.Undo = digest, rng.IntN(4) == 0
		return b
	case Answer:
		b.Verb = []Verb{Approve, Approve, Approve, Retry}[rng.IntN(4)]
		if r.Gate != nil {
			b.Gate, b.Digest = r.Gate.Seq, r.Gate.Digest
		}
		return b
	case Began:
		b.Digest = digest
		if s := r.Step(ev.Step); s != nil {
			ev.Attempt = s.Attempt + 1
			if rng.IntN(4) > 0 {
				b.Gate, b.Digest = s.Approval, s.Approved
			} else {
				b.Gate = s.Used // an old approval
			}
		}
		return b
	case Debt:
		b.ID = digest
		return b
	case Raise:
		b.From, b.To = r.Level, r.Level+rng.IntN(3)
		return b
	case Finished:
		b.Save, b.Outputs = digest, map[string]any{"at": ev.Seq}
		return b
	case Reason:
		b.Else = "c"
		return b
	case Ended:
		b.Outcome = NotComplete
		return b
	case DrillSetup:
		b.Injects = []Inject{{Name: "d1"}, {Name: "d2"}}
		b.Hints = []Hint{{Step: "d1", Text: "one"}, {Step: "d1", Text: "two"}}
		return b
	case Arrival:
		b.Inject = digest
		return b
	case InjectAnswer:
		b.Inject = digest
		return b
	case HintTaking:
		b.Step = digest
		return b
	}
	return body
}

// Invariant S1 as the fold sees it: an approval starts at most one attempt, and an effect
// other than reading starts only with one.
func TestApprovalIsConsumedOnce(t *testing.T) {
	begun := 0
	for seed := range uint64(150) {
		used := map[int64]bool{}
		walk(rand.New(rand.NewPCG(seed, 1)), 80, func(before Run, ev Event, after Run) {
			b, ok := ev.Body.(Began)
			if !ok {
				return
			}
			s := before.Step(ev.Step)
			switch {
			case b.Gate == 0 && s.Effect != "read":
				t.Errorf("seed %d: %s of step %q began without an approval", seed, s.Effect, s.ID)
			case b.Gate != 0 && used[b.Gate]:
				t.Errorf("seed %d: approval %d was used twice", seed, b.Gate)
			}
			if b.Gate != 0 {
				used[b.Gate] = true
				begun++
			}
		})
	}
	if begun < 100 {
		t.Errorf("only %d approved attempts in all walks", begun)
	}
}

func fingerprint(t *testing.T, r Run) string {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + strings.Join(r.history, ">")
}

// The same events give the same state, fold by fold or from their stored form, and no fold
// changes a state that somebody still looks at.
func TestFoldIsPure(t *testing.T) {
	ended := 0
	for seed := range uint64(120) {
		type snapshot struct {
			run  Run
			text string
		}
		var past []snapshot
		var events, stored []Event
		walk(rand.New(rand.NewPCG(seed, 2)), 60, func(_ Run, ev Event, after Run) {
			events = append(events, ev)
			data, err := Encode(ev)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, back)
			past = append(past, snapshot{after, fingerprint(t, after)})
			if !after.Open() {
				ended++
			}
		})
		for i, p := range past {
			if got := fingerprint(t, p.run); got != p.text {
				t.Fatalf("seed %d: the state after event %d was changed later:\n%s\nwas\n%s", seed, i+1, got, p.text)
			}
		}
		want := past[len(past)-1].text
		for range 5 {
			for _, list := range [][]Event{events, stored} {
				r, err := FoldAll(list)
				if err != nil || fingerprint(t, r) != want {
					t.Fatalf("seed %d: folded again it is\n%s, %v\nwant\n%s", seed, fingerprint(t, r), err, want)
				}
			}
		}
	}
	if ended == 0 {
		t.Error("no walk reached the end of a run")
	}
}

// A level only goes up, by an event that knows where it was, and stays an integer of the table.
func TestLevelOnlyRises(t *testing.T) {
	started := Event{Run: "r", Seq: 1, At: noon, Kind: RunStarted, Body: Started{Mode: Live, Level: 1, Steps: []Outline{{ID: "a"}}}}
	raise := func(seq int64, from, to int) Event {
		return Event{Run: "r", Seq: seq, At: noon, Kind: LevelRaised, Body: Raise{By: "ada", From: from, To: to, Reason: "it spreads"}}
	}
	r, err := FoldAll([]Event{started, raise(2, 1, 3)})
	if err != nil || r.Level != 3 || len(r.Raised) != 1 || r.Raised[0].By != "ada" || !r.Raised[0].At.Equal(noon) {
		t.Fatalf("level %d, raised %+v, %v", r.Level, r.Raised, err)
	}
	if r.Started.Level != 1 {
		t.Errorf("the start was changed to level %d", r.Started.Level)
	}
	for _, tt := range []struct{ from, to int }{{3, 3}, {3, 2}, {3, 4}, {1, 2}, {2, 3}} {
		if n, err := Fold(r, raise(3, tt.from, tt.to)); err == nil || n.Level != 3 {
			t.Errorf("raised from %d to %d: level %d, error %v", tt.from, tt.to, n.Level, err)
		}
	}
	ended, err := Fold(r, Event{Run: "r", Seq: 3, At: noon, Kind: RunEnded, Body: Ended{Outcome: Aborted}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Fold(ended, raise(4, 3, 3)); err == nil {
		t.Error("a run that has ended was raised")
	}
}

func TestDebtDue(t *testing.T) {
	d := Debt{ID: "protection", Within: time.Hour, At: noon}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {time.Hour, false}, {time.Hour + time.Second, true}} {
		if got := d.Overdue(noon.Add(tt.after)); got != tt.want {
			t.Errorf("after %s overdue %v, want %v", tt.after, got, tt.want)
		}
	}
	if d.Within = 0; !d.Due().IsZero() || d.Overdue(noon.Add(1000*time.Hour)) {
		t.Error("a debt without a deadline is never overdue")
	}
}
