package run

import (
	"errors"
	"testing"
)

// TestDriver is the table of who may drive next.
func TestDriver(t *testing.T) {
	ito, twice, kaya, osei := Driver{By: "m.ito", Session: "1"}, Driver{By: "m.ito", Session: "2"}, Driver{By: "s.kaya", Session: "3"}, Driver{By: "p.osei", Session: "4"}
	ask := func(who Driver) Event { return Event{Kind: TakeoverAsked, Body: Request{Who: who}} }
	no := func(who Driver) Event { return Event{Kind: TakeoverRefused, Body: Request{Who: who, By: "m.ito"}} }
	hand := func(from, to Driver, how Handing) Event {
		return Event{Kind: DriverChanged, Body: Handover{From: from, To: to, How: how}}
	}
	resume := Event{Kind: RunResumed, Body: Resumed{By: "p.osei", Session: "4"}}
	for _, tt := range []struct {
		name   string
		events []Event
		want   Driver
		asked  string // whose wish is open
		ok     bool   // the last event is possible
	}{
		{"started", nil, ito, "", true},
		{"asked", []Event{ask(kaya)}, ito, "s.kaya", true},
		{"asked by the driver", []Event{ask(ito)}, ito, "", false},
		{"asked by nobody", []Event{ask(Driver{})}, ito, "", false},
		{"asked at a second terminal", []Event{ask(twice)}, ito, "m.ito", true},
		{"a newer wish takes the place of an older", []Event{ask(kaya), ask(osei)}, ito, "p.osei", true},
		{"refused", []Event{ask(kaya), no(kaya)}, ito, "", true},
		{"refused without a wish", []Event{no(kaya)}, ito, "", false},
		{"another one refused", []Event{ask(kaya), no(osei)}, ito, "s.kaya", false},
		{"given", []Event{ask(kaya), hand(ito, kaya, Given)}, kaya, "", true},
		{"given without a wish", []Event{hand(ito, kaya, Given)}, ito, "", false},
		{"given to another one", []Event{ask(kaya), hand(ito, osei, Given)}, ito, "s.kaya", false},
		{"given by another one", []Event{ask(kaya), hand(osei, kaya, Given)}, ito, "s.kaya", false},
		{"given after a refusal", []Event{ask(kaya), no(kaya), hand(ito, kaya, Given)}, ito, "", false},
		{"unanswered", []Event{ask(kaya), hand(ito, kaya, NoAnswer)}, kaya, "", true},
		{"unanswered without a wish", []Event{hand(ito, kaya, NoAnswer)}, ito, "", false},
		{"gone", []Event{ask(kaya), hand(ito, kaya, Gone)}, kaya, "", true},
		{"to nobody", []Event{hand(ito, Driver{}, Gone)}, ito, "", false},
		{"to themselves", []Event{hand(ito, ito, Gone)}, ito, "", false},
		{"returned", []Event{hand(ito, twice, Returned)}, twice, "", true},
		{"returned, the wish of another one stands", []Event{ask(kaya), hand(ito, twice, Returned)}, twice, "s.kaya", true},
		{"somebody else returns", []Event{hand(ito, kaya, Returned)}, ito, "", false},
		{"resumed", []Event{ask(kaya), resume}, osei, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := FoldAll([]Event{{Run: "r", Seq: 1, At: noon, Kind: RunStarted, Body: Started{Mode: Live, By: "m.ito", Session: "1", Steps: []Outline{{ID: "a"}}}}})
			for _, ev := range tt.events {
				if err != nil {
					t.Fatal(err)
				}
				ev.Run, ev.Seq, ev.At = "r", r.Seq+1, noon
				var n Run
				if n, err = Fold(r, ev); err == nil {
					r = n
				}
			}
			var illegal *IllegalError
			if (err == nil) != tt.ok || err != nil && !errors.As(err, &illegal) {
				t.Fatalf("error %v", err)
			}
			asked := ""
			if r.Asked != nil {
				asked = r.Asked.Who.By
			}
			if r.Driver != tt.want || asked != tt.asked {
				t.Errorf("driver %+v, asked %q", r.Driver, asked)
			}
		})
	}
}
