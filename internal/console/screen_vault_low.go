package console

import (
	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// drawNarrow lists the newest copy of each asset, and all classes of the chosen one below.
func (v *vaultScreen) drawNarrow(w *world, a area) {
	facts := factRows(w)
	mirrors := mirrorRows(w, a.w-4)
	at := v.chosen(w)
	classes := 0
	if at != nil {
		classes = max(len(at.shelf.Copies), 1) + 2
	}
	low := min(len(facts), 2)
	list := max(len(w.vault.view.Shelves)+3, 7)
	box := 0
	if n := len(mirrors); n > 0 && a.h-classes-low-min(n, 3)-2 >= min(list, 7) {
		box = min(n, 3) + 2
	}
	list = min(list, a.h-classes-low-box)
	v.drawList(w, a.sub(0, list).box(v.title(w)), true)
	y := list
	if at != nil {
		v.drawClasses(w, a.sub(y, min(classes, a.h-y)), at)
		y += classes
	}
	if box > 0 && y+box <= a.h {
		drawMirrors(w, a.sub(y, box), mirrors)
		y += box
	}
	for i := 0; i < low && y < a.h; i++ {
		a.row(y, row{left: append([]span{txt(rText, " ")}, facts[i].left...)})
		y++
	}
}

// drawClasses lists every class of one asset.
func (v *vaultScreen) drawClasses(w *world, a area, at *shelfRow) {
	f := frame{title: []span{bold(rStrong, at.shelf.Asset)}, role: rFrame}
	if c := at.copy; c != nil {
		if _, role, word := copyLook(w, at.shelf, c); word != "" {
			f.title = append(f.title, txt(rText, "  "), bold(role, word))
		}
		sealed := c.Scheme + " " + c.Key
		if c.Scheme == "none" {
			sealed = "not encrypted"
		}
		f.right = []span{txt(rDim, sealed)}
	}
	in := a.box(f)
	if len(at.shelf.Copies) == 0 {
		in.row(0, line(txt(rDim, "It was never backed up: lifeboat backup "+at.shelf.Asset)))
		return
	}
	var rs []row
	here := 0
	for i := range at.shelf.Copies {
		c := &at.shelf.Copies[i]
		glyph, role, _ := copyLook(w, at.shelf, c)
		r := row{tint: c == at.copy, left: []span{txt(role, glyph+" "), txt(rText, pad(c.Class, 10)), txt(rDim, pad(padLeft(c.Keep, 4), 6)),
			txt(rText, pad(stampWords(c.Cut, w.now), 13)), txt(rText, padLeft(ago(w, c.Cut), 7)+" ")}}
		if in.w >= 70 {
			r.left = append(r.left, txt(rText, padLeft(printable.Size(c.Bytes), 8)+"  "))
		} else {
			r.left = append(r.left, txt(rText, " "))
		}
		r.left = append(r.left, provenBar(c.Level)...)
		if r.tint {
			here = i
		}
		rs = append(rs, r)
	}
	scrolled(in, rs, here)
}

// mirrorRows say what each mirror holds beside the newest copy.
func mirrorRows(w *world, width int) []row {
	var rs []row
	for _, m := range w.vault.mirrors {
		r := row{left: []span{txt(rText, pad(m.Name, 12)), txt(rText, m.Branch+" ")}}
		switch {
		case m.Problem != "":
			r.left = append(r.left, txt(rWarn, "▲ "), txt(rText, "does not answer: "+widget.Cut(printable.Line(m.Problem), max(width-34, 8), "…")))
		case m.Commit == "":
			r.left = append(r.left, txt(rWarn, "▲ "), txt(rText, "has no such branch"))
		case m.Newest == "":
			r.left = append(r.left, bold(rText, shortHash(m.Commit)))
		case m.Newest == m.Commit:
			r.left = append(r.left, bold(rText, shortHash(m.Commit)))
			r.right = []span{txt(rOK, "✓ "), txt(rDim, "as the copy of "+day(m.Cut, w.now))}
		default:
			r.left = append(r.left, bold(rText, shortHash(m.Commit)))
			r.right = []span{txt(rWarn, "▲ "), txt(rText, "the copy of "+day(m.Cut, w.now)+" has "+shortHash(m.Newest))}
		}
		rs = append(rs, r)
	}
	return rs
}

func shortHash(s string) string { return s[:min(len(s), 7)] }

func drawMirrors(w *world, a area, rs []row) {
	if len(rs) == 0 && w.vault.told {
		rs = []row{line(txt(rDim, "no further copy of a repository is kept up"))}
	}
	f := frame{title: []span{bold(rStrong, "MIRRORS")}, role: rFrame}
	if !w.vault.told {
		f.right = []span{txt(rDim, "asking …")}
	}
	a.box(f).rows(rs)
}

// factRows say what is known of the vault as a whole.
func factRows(w *world) []row {
	var rs []row
	for _, f := range w.vault.view.Facts {
		glyph, role := "✓", rOK
		switch f.State {
		case "warning":
			glyph, role = "▲", rWarn
		case "problem":
			glyph, role = "✗", rFail
		}
		rs = append(rs, line(txt(role, glyph+" "), txt(rText, f.Text)))
	}
	return rs
}

func drawFacts(w *world, a area, rs []row) {
	f := frame{title: []span{bold(rStrong, "VAULT")}, role: rFrame}
	if next := w.vault.view.Next; next != "" {
		f.right = []span{txt(rDim, "next "+next)}
	}
	a.box(f).rows(rs)
}
