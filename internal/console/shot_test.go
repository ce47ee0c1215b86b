package console

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/console/look"
)

// pictures are what the README shows, each a scene of the golden frames: make shots.
var pictures = []struct{ file, scene, describe string }{
	{"bridge", "bridge-in-run", "The bridge: what would we get back, and what happened?"},
	{"run", "run", "A run: the step that works, how it is checked, what comes next, and the way back"},
	{"gate", "danger", "The danger gate: what moves, what is lost, the way back, and the token to type"},
	{"drill", "drill-passed", "The result of a drill: did we keep the promise, where did the time go, and what do we fix?"},
	{"history", "history", "The history: what every recovery took against its target, the proof of each, and how drills and backups went"},
	{"vault", "vault", "The vault: the newest copies of each asset, and how far each is proven"},
}

const readme = "../../.readme"

// shotThemes are the themes for dark and for light readers.
func shotThemes(t testing.TB) [2]*look.Theme {
	var out [2]*look.Theme
	for i, name := range []string{"dark", "light"} {
		th, err := look.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = th
	}
	return out
}

// inks draws what d shows in both themes.
func (d *driver) inks(themes [2]*look.Theme, w, h int) []inkCell {
	was := d.m.skin
	var frames [2]string
	for i, th := range themes {
		d.m.skin.theme, d.m.dirty = th, true
		d.m.skin.renew()
		frames[i] = d.frame()
	}
	d.m.skin, d.m.dirty = was, true
	return frameInks(frames[0], frames[1], w, h)
}

// groundOf is the ground of both themes: what an empty cell has.
func groundOf(cells []inkCell) [2]string { return cells[len(cells)-1].style.bg }

// TestShots compares the pictures of the README with what the console draws.
func TestShots(t *testing.T) {
	themes := shotThemes(t)
	for _, p := range pictures {
		t.Run(p.file, func(t *testing.T) {
			i := slices.IndexFunc(scenes, func(s scene) bool { return s.name == p.scene })
			if i < 0 {
				t.Fatalf("there is no scene %q", p.scene)
			}
			d := scenes[i].make(t, 120, 36)
			cells := d.inks(themes, 120, 36)
			s := newSheet(groundOf(cells))
			var body strings.Builder
			drawCells(&body, s, cells)
			shot(t, p.file, svgPage(s, 120, 36, d.m.title(), p.describe, "", body.String()))
		})
	}
	t.Run("story", func(t *testing.T) { shot(t, "story", movie(t, themes)) })
}

func shot(t *testing.T, name, got string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%s.svg is no XML: %v", name, err)
		}
	}
	file := filepath.Join(readme, name+".svg")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s is not what the console draws; draw it with: make shots", file)
	}
}

// still is one frame of the story.
type still struct {
	cells []inkCell
	title string
	secs  float64
}

// movie is the story of a recovery as an animated picture: every cell is drawn once for
// all the frames that show it, and its group is visible in those.
func movie(t *testing.T, themes [2]*look.Theme) string {
	const w, h = 116, 30
	frames, rest := playStory(t, themes, w, h)
	type seen struct {
		c    inkCell
		mask uint64
	}
	index := map[inkCell]int{}
	var all []seen
	for f, s := range frames {
		for _, c := range s.cells {
			i, ok := index[c]
			if !ok {
				i = len(all)
				index[c] = i
				all = append(all, seen{c: c})
			}
			all[i].mask |= 1 << f
		}
	}
	groups := map[uint64][]inkCell{}
	ground := groundOf(frames[0].cells)
	for _, s := range all {
		if s.c.text == " " && s.c.style.bg == ground && !s.c.style.under {
			continue
		}
		groups[s.mask] = append(groups[s.mask], s.c)
	}
	titles := map[uint64]string{}
	for _, s := range frames {
		mask := uint64(0)
		for f := range frames {
			if frames[f].title == s.title {
				mask |= 1 << f
			}
		}
		titles[mask] = s.title
		if groups[mask] == nil {
			groups[mask] = []inkCell{}
		}
	}
	masks := make([]uint64, 0, len(groups))
	for m := range groups {
		masks = append(masks, m)
	}
	slices.Sort(masks)
	total := 0.0
	for _, f := range frames {
		total += f.secs
	}
	sheet := newSheet(ground)
	var body, css, still strings.Builder
	for i, m := range masks {
		slices.SortFunc(groups[m], func(a, b inkCell) int { return (a.y-b.y)*1000 + a.x - b.x })
		if bits.OnesCount64(m) == len(frames) {
			drawCells(&body, sheet, groups[m])
			continue
		}
		fmt.Fprintf(&body, `<g class="a k%d">`+"\n", i)
		body.WriteString(svgTitle(sheet, titles[m], w))
		drawCells(&body, sheet, groups[m])
		body.WriteString("</g>\n")
		fmt.Fprintf(&css, ".k%d{animation-name:k%d}@keyframes k%d{%s}", i, i, i, keyframes(frames, m, total))
		if m&(1<<rest) != 0 {
			fmt.Fprintf(&still, ".k%d{visibility:visible}", i)
		}
	}
	style := fmt.Sprintf(".a{animation:%.1fs step-end infinite}", total) + css.String() +
		"@media(prefers-reduced-motion:reduce){.a{animation:none!important;visibility:hidden}" + still.String() + "}"
	return svgPage(sheet, w, h, "", "A recovery: the bridge, three answers, the plan, the danger gate with its typed token, verified", style, body.String())
}

// keyframes says when a group is visible.
func keyframes(frames []still, mask uint64, total float64) string {
	var b strings.Builder
	at, last := 0.0, ""
	for f, s := range frames {
		now := "hidden"
		if mask&(1<<f) != 0 {
			now = "visible"
		}
		if now != last {
			fmt.Fprintf(&b, "%.4g%%{visibility:%s}", at/total*100, now)
		}
		last = now
		at += s.secs
	}
	return b.String()
}

// playStory plays a recovery through the model, as a person would, and keeps the frames.
// rest is the frame for readers who want no motion.
func playStory(t *testing.T, themes [2]*look.Theme, w, h int) (frames []still, rest int) {
	calm := slices.Clone(storyAssets)
	calm[0].age, calm[0].change = 4*time.Minute, nil // the run is not open yet
	d := drive(t, w, h, nil, func(b *fakeBackend, _ *Options) { b.now = began.Add(-50 * time.Second) },
		withBoard(func(now time.Time) Board { return boardOf(now, calm) }))
	keep := func(secs float64) { frames = append(frames, still{d.inks(themes, w, h), d.m.title(), secs}) }
	keep(1.7)
	for _, k := range []string{"0", "1", "2"} { // what happened? not sure, in Git, commits are gone
		d.press(k)
		keep(0.9)
	}
	frames[len(frames)-1].secs = 1.5
	d.press("enter") // its plan
	keep(1.5)
	working := newStory(t).keeping()
	d.b.events, d.b.now = working.events, working.now.Add(40*time.Second)
	d.b.progress = Progress{Step: "keep", Done: 890e6, Total: 1420e6, Unit: "B", Since: working.now}
	d.press("s", "ctrl+o", "1") // start, with the parameters as they are, yes
	if len(d.b.started) != 1 {
		t.Fatal("the plan did not start")
	}
	d.tick()
	d.tick() // the log
	d.wake()
	keep(1.3)
	d.play(newStory(t).pushGate())
	d.wake()
	keep(1.5)
	rest = len(frames)
	for _, part := range []string{"main", "@3f", "2a", "1c9"} {
		d.typeText(part)
		keep(0.3)
	}
	frames[len(frames)-1].secs = 0.9
	d.press("enter")
	if n := len(d.b.answers); n != 1 || d.b.answers[0].Token != "main@3f2a1c9" {
		t.Fatalf("the gate was not answered with its token: %+v", d.b.answers)
	}
	done := newStory(t).complete()
	d.play(done)
	d.wake()
	keep(2.6)
	return frames, rest
}

// TestKeyframes: in the middle of each frame exactly the groups of that frame are seen.
func TestKeyframes(t *testing.T) {
	frames := []still{{secs: 1}, {secs: 0.3}, {secs: 2}, {secs: 0.7}}
	for mask := uint64(1); mask < 1<<len(frames); mask++ {
		css, from := keyframes(frames, mask, 4), 0.0
		for f, s := range frames {
			now := ""
			for _, rule := range strings.Split(strings.TrimSuffix(css, "}"), "}") {
				var at float64
				var is string
				if _, err := fmt.Sscanf(strings.NewReplacer("%", " ", "{visibility:", "").Replace(rule), "%g %s", &at, &is); err != nil {
					t.Fatal(err, rule)
				}
				if at <= (from+s.secs/2)/4*100 {
					now = is
				}
			}
			if want := map[bool]string{true: "visible", false: "hidden"}[mask&(1<<f) != 0]; now != want {
				t.Errorf("mask %b: frame %d is %s in %s", mask, f, now, css)
			}
			from += s.secs
		}
	}
}
