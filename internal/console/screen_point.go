package console

import (
	"strconv"
	"strings"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// pointScreen is all that is known of one restore point.
type pointScreen struct {
	asset  string // id in the vault
	shelf  Shelf  // what it is of, for the runs that it begins
	point  Point
	scroll int
}

func (p *pointScreen) card() bool           { return false }
func (p *pointScreen) field() *widget.Field { return nil }
func (p *pointScreen) place() string        { return "vault" }
func (p *pointScreen) head(w *world) int    { return (&vaultScreen{}).head(w) - 1 }

func (p *pointScreen) bindings(w *world) []binding {
	beside := func(id string) func() Intent { return wish(showPoint{p.asset, id}) }
	noOlder, noNewer := "", ""
	if p.point.Older == "" {
		noOlder = "it is the oldest point"
	}
	if p.point.Newer == "" {
		noNewer = "it is the newest point"
	}
	scroll := func(by int) func() Intent { return func() Intent { p.scroll = max(p.scroll+by, 0); return nil } }
	c := &Copy{Class: p.point.Class, Point: p.point.ID, Cut: p.point.Cut}
	return []binding{
		{keys: []string{"left", "h"}, show: "left right", help: "older, newer", brief: "older newer", long: "The point before this one.", act: beside(p.point.Older), off: noOlder},
		{keys: []string{"right", "l"}, long: "The point after this one.", act: beside(p.point.Newer), off: noNewer},
		does("t", "prove it", "Verify this copy now. Asks at which level, then begins a run.", func() Intent { return push{newProve(&p.shelf, c)} }).named("", "prove"),
		does("r", "restore for a look", "Rebuild this copy in a new directory. Nothing that is in use is touched.", func() Intent { return push{newRestoreTo(w, &p.shelf, c)} }).named("", "restore"),
		does("y", "copy the command", "Copy the command that restores this point.", wish(copyText{p.point.Command, "The command that restores it is on the clipboard of the terminal."})).named("", "copy"),
		{keys: []string{"down", "j"}, show: "up down", help: "scroll", act: scroll(2)},
		{keys: []string{"up", "k"}, long: "Scroll back.", act: scroll(-2)},
		{keys: []string{"pgdown", "space", "ctrl+d"}, long: "A page on.", act: scroll(10)},
		{keys: []string{"pgup", "ctrl+u"}, long: "A page back.", act: scroll(-10)},
		does("esc", "back", "Back to the vault.", wish(pop{})),
		does("b", "bridge", "Go to the bridge.", wish(goHome{})),
		does("q", "", "Leave the console. Open runs go on.", wish(leave{})),
	}
}

func (p *pointScreen) draw(w *world, a area) {
	drawBrand(w, a, "vault")
	top := 1
	if wide(a) {
		top = 2
	}
	body := a.sub(top, a.h-top-footRows(a))
	pt := &p.point
	f := frame{title: []span{bold(rStrong, pt.Asset), txt(rDim, "  "+pt.ID)}, heavy: true, role: rHeavy}
	if pt.Of > 0 {
		f.right = []span{txt(rDim, "point "+itoa(pt.Number)+" of "+itoa(pt.Of))}
	}
	in := body.box(f)
	drawParts(in, pointRows(w, pt, in.w), nil, p.scroll, "down")
}

func pointRows(w *world, p *Point, width int) []row {
	kind := p.Kind
	if p.Class != "" {
		kind += ", kept as " + p.Class
	}
	moment := func(label string, says string) []row { return labelled(label, 13, rText, says, width, 3) }
	full := "_2 Jan 2006 15:04:05"
	rs := moment("holds", p.Cut.UTC().Format(full)+" UTC and nothing newer, "+ago(w, p.Cut)+" ago")
	rs = append(rs, moment("is", kind+", "+plural(len(p.Objects), "object", "objects")+", a restore reads "+printable.Size(p.Bytes))...)
	rs = append(rs, moment("of", p.Source)...)
	rs = append(rs, moment("made", "from "+p.Started.UTC().Format(full)+", in "+words(p.Finished.Sub(p.Started))+", on "+p.Host+" by "+p.Tool)...)
	rs = append(rs, moment("signed", p.Signed)...)
	rs = append(rs, gap(), line(bold(rStrong, "GET IT BACK")))
	rs = append(rs, moment("lifeboat", p.Command)...)
	rs = append(rs, moment("by hand", "fetch "+p.Script+" from the bucket, and run it: it needs stock tools only")...)
	rs = append(rs, gap(), line(bold(rStrong, "PROOFS"), txt(rDim, "  newest first")))
	rs = append(rs, proofRows(p, width)...)
	rs = append(rs, gap(), line(bold(rStrong, "OBJECTS"), txt(rDim, "  in the order in which a restore reads them")))
	for i, o := range p.Objects {
		locked := "not locked"
		if o.Locked.After(w.now) {
			locked = "locked until " + o.Locked.UTC().Format("2 Jan 2006")
		}
		sealed := o.Scheme
		if sealed == "none" {
			sealed = "not encrypted"
		}
		rs = append(rs, row{left: []span{txt(rDim, padLeft(itoa(i+1), 3)+"  "), txt(rText, pad(o.Role, 14)), txt(rText, padLeft(printable.Size(o.Bytes), 9)+"  "), txt(rDim, sealed+"  "+locked)}})
		rs = append(rs, labelled("", 5, rFaint, o.Key, width, 2)...)
		rs = append(rs, labelled("", 5, rFaint, "sha256 "+o.SHA256, width, 2)...)
	}
	return rs
}

func proofRows(p *Point, width int) []row {
	if len(p.Proofs) == 0 {
		return []row{line(txt(rWarn, "▲ "), txt(rText, "nothing was proven of this point yet; "), bold(rStrong, "t"), txt(rText, " proves it"))}
	}
	var rs []row
	for _, v := range p.Proofs {
		glyph, role := "✓", rOK
		word := "proven"
		if !v.Pass {
			glyph, role, word = "✗", rFail, "FAILED"
		}
		took := ""
		if v.Took > 0 {
			took = ", took " + clock(v.Took)
		}
		rs = append(rs, line(txt(role, glyph+" "), txt(rText, v.At.UTC().Format("_2 Jan 2006 15:04")+"  "), bold(rText, pad(v.Level, 10)), txt(rDim, word+" on "+v.Host+took)))
		for _, e := range append(strings.Split(v.Why, "\n"), v.Evidence...) {
			if e != "" {
				rs = append(rs, labelled("", 4, rDim, e, width, 2)...)
			}
		}
	}
	return rs
}

// proveScreen asks how much is to be proven.
type proveScreen struct {
	shelf Shelf
	copy  Copy
}

func newProve(s *Shelf, c *Copy) screen { return &proveScreen{*s, *c} }

var proofLevels = [][2]string{
	{"checked", "reads every byte and compares the sums"},
	{"applied", "builds a replica of it and compares it with the source"},
	{"restored", "runs its restore.sh with stock tools; its time is the RTO you can promise"},
}

func (p *proveScreen) card() bool           { return true }
func (p *proveScreen) field() *widget.Field { return nil }
func (p *proveScreen) bindings(*world) []binding {
	var bs []binding
	for i, l := range proofLevels {
		b := does(strconv.Itoa(i+1), "", "Prove it at level "+l[0]+": "+l[1]+".", wish(several{pop{}, provePoint{p.shelf.name(), p.copy.Point, l[0]}}))
		if i == 0 {
			b = b.named("1 2 3", "")
			b.help = "choose"
		}
		bs = append(bs, b)
	}
	return append(bs, does("esc", "go back", "Go back. Nothing was begun.", wish(pop{})))
}

// name is what commands call the asset.
func (s *Shelf) name() string {
	if s.Foreign {
		return s.ID
	}
	return s.Asset
}

func (p *proveScreen) draw(w *world, a area) {
	width := min(a.w-4, 76)
	rs := append(wrapped(rText, p.shelf.Asset+", the point of "+stampWords(p.copy.Cut, w.now)+" UTC. Proving reads the vault and writes a receipt; the asset itself is not touched.", width-4, 3), gap())
	for i, l := range proofLevels {
		rs = append(rs, line(txt(rKeycap, " "+itoa(i+1)+" "), bold(rStrong, "  "+pad(l[0], 10))))
		rs = append(rs, labelled("", 5, rDim, l[1], width-4, 2)...)
	}
	rs = append(rs, gap(), row{right: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing was begun")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "PROVE THIS COPY")}, heavy: true, role: rHeavy}, rs)
}

// restoreScreen asks for the directory of a restore that is only looked at.
type restoreScreen struct {
	shelf Shelf
	copy  Copy
	dir   widget.Field
}

func newRestoreTo(w *world, s *Shelf, c *Copy) screen {
	r := &restoreScreen{shelf: *s, copy: *c}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, s.Asset)
	r.dir.Reset(w.vault.view.Room + "/" + strings.TrimLeft(name, ".") + "-" + c.Cut.UTC().Format("20060102T150405Z"))
	return r
}

func (r *restoreScreen) card() bool           { return true }
func (r *restoreScreen) field() *widget.Field { return &r.dir }
func (r *restoreScreen) bindings(*world) []binding {
	off := ""
	if r.dir.Empty() {
		off = "it needs a directory"
	}
	return []binding{
		{show: "type", help: "the directory"},
		does("enter", "begin", "Begin a run that rebuilds the copy there.", func() Intent {
			return several{pop{}, restorePoint{r.shelf.name(), r.copy.Point, r.dir.Value()}}
		}).unless(off),
		does("esc", "go back", "Go back. Nothing was begun.", wish(pop{})),
	}
}

func (r *restoreScreen) draw(w *world, a area) {
	width := min(a.w-4, 84)
	rs := append(wrapped(rText, r.shelf.Asset+", the point of "+stampWords(r.copy.Cut, w.now)+" UTC, is rebuilt in a directory that does not exist yet. What is in use is not touched, and the run asks before it begins.", width-4, 4), gap())
	rs = append(rs, fieldRows(&r.dir, width-4, rFrame)...)
	rs = append(rs, row{left: []span{bold(rStrong, "esc"), txt(rDim, " go back, nothing was begun")}, right: []span{txt(rDim, "[ enter  begin ]")}})
	drawCard(w, a, width, frame{title: []span{bold(rStrong, "RESTORE FOR A LOOK")}, heavy: true, role: rHeavy}, rs)
}
