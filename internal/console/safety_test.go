package console

import (
	"math/rand/v2"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"lifeboat/internal/run"
)

// TestNothingHappensOnALetter presses every letter, enter and space that means anything on
// any screen of a run: none of them starts, stops, approves, leaves out or ends anything.
func TestNothingHappensOnALetter(t *testing.T) {
	for _, sc := range scenes {
		d := sc.make(t, 120, 36)
		if d.m.snap == nil {
			continue
		}
		seen := map[string]bool{}
		for _, b := range d.m.keys() {
			for _, key := range b.keys {
				if letter := len(key) == 1 && (key < "0" || key > "9"); !letter && key != "enter" && key != "space" || seen[key] {
					continue
				}
				seen[key] = true
				one := sc.make(t, 120, 36)
				before := len(one.b.answers)
				one.press(key)
				for _, a := range one.b.answers[before:] {
					if a.Verb != run.Give && a.Verb != run.Reprobe { // what was typed is handed in, and a look only reads
						t.Errorf("%s: %s answers %s", sc.name, key, a.Verb)
					}
				}
				if one.b.stopped > 0 || len(one.b.started) > 0 {
					t.Errorf("%s: %s stops or starts something", sc.name, key)
				}
			}
		}
	}
}

// TestNoWayPastTheToken throws keys, pastes, bursts, sizes and time at a danger gate. All
// of the token is there in many ways, but one character of it is never typed: nothing may
// ever approve.
func TestNoWayPastTheToken(t *testing.T) {
	const token, never = "main@3f2a1c9", 'c'
	keys := []string{"enter", "enter", "enter", "esc", "y", "1", "2", "3", "tab", "up", "down", "left", "right", "home", "end", "backspace",
		"pgdown", "space", "f2", "f3", "f4", "f5", "x", "s", "q", "?", ":", "A", "R", "n", "u", "l", "o", "p"}
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 5))
		d := drive(t, 120, 36, newStory(t).pushGate())
		var did []string
		for range 40 {
			what := ""
			switch n := r.IntN(12); n {
			case 0, 1: // all of it at once, mostly into an empty field, and then enter
				if r.IntN(4) > 0 {
					d.wake()
					d.send(tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl})
				}
				text := []string{token, token + "\n", token[:11], token + "\n\n", token[7:], "c"}[r.IntN(5)]
				if what = "burst"; n == 0 {
					what = "paste"
					d.send(tea.PasteMsg{Content: text})
				} else {
					d.burst(text)
				}
				if r.IntN(3) > 0 {
					d.wake()
					d.send(keyPress("enter"))
				}
			case 2:
				what = "size"
				size := [][2]int{{120, 36}, {80, 24}, {60, 20}, {50, 10}, {200, 60}}[r.IntN(5)]
				d.send(sizeMsg(size[0], size[1]))
			case 3:
				what = "time"
				d.wake()
				d.tick()
			case 4, 5, 6: // what stands before and after the character
				from := r.IntN(len(token))
				what = strings.Split(token[from:], string(never))[0]
				d.wake()
				d.typeText(what)
			default:
				what = keys[r.IntN(len(keys))]
				d.wake()
				d.send(keyPress(what))
				d.rest()
			}
			did = append(did, what)
		}
		for _, a := range d.b.answers {
			if a.Verb == run.Approve || a.Token == token {
				t.Fatalf("seed %d approved: %q", seed, did)
			}
		}
	}
}
