package console

import (
	"slices"
	"strings"
	"time"

	"lifeboat/internal/console/widget"
	"lifeboat/internal/printable"
)

// vaultState is what is known of the vault. What this machine knows is shown at once, and
// what the bucket says replaces it when it comes.
type vaultState struct {
	known   bool // one answer has come
	asking  bool // the bucket is being asked
	view    Vault
	err     error // there is no vault to look at
	mirrors []Mirror
	told    bool // the mirrors have answered
	answers int  // of the bucket so far
}

// vaultScreen answers what copies there are, and how sure they are. Nothing on it changes
// a copy: what it begins is a run that proves or rebuilds one.
type vaultScreen struct {
	at    int    // row of all copies
	asset string // to go to as soon as it is there; empty: none
}

func newVault() screen { return &vaultScreen{} }

var _ placed = (*vaultScreen)(nil)

func (v *vaultScreen) card() bool           { return false }
func (v *vaultScreen) field() *widget.Field { return nil }
func (v *vaultScreen) place() string        { return "vault" }

// opens asks for what is shown.
func (v *vaultScreen) opens(*world) Intent { return several{loadVault{}, askMirrors{}} }

func (v *vaultScreen) head(w *world) int {
	n := len(owedRows(w)) + 2
	if w.size.w >= 110 {
		n++
	}
	return n
}

// shelfRow is a line of the list: a copy of an asset, or an asset without one.
type shelfRow struct {
	shelf *Shelf
	copy  *Copy // nil: the asset was never backed up
}

// shelfRows are the copies in the order of the screen.
func shelfRows(w *world) []shelfRow {
	var out []shelfRow
	for i := range w.vault.view.Shelves {
		s := &w.vault.view.Shelves[i]
		if len(s.Copies) == 0 {
			out = append(out, shelfRow{shelf: s})
		}
		for k := range s.Copies {
			out = append(out, shelfRow{s, &s.Copies[k]})
		}
	}
	return out
}

// chosen is the row with the cursor, nil when there is none.
func (v *vaultScreen) chosen(w *world) *shelfRow {
	rows := shelfRows(w)
	if len(rows) == 0 {
		return nil
	}
	if i := slices.IndexFunc(rows, func(r shelfRow) bool { return r.shelf.Asset == v.asset }); v.asset != "" && i >= 0 {
		v.at, v.asset = i, ""
	}
	v.at = min(max(v.at, 0), len(rows)-1)
	return &rows[v.at]
}

func (v *vaultScreen) bindings(w *world) []binding {
	r := v.chosen(w)
	noCopy, noAsk := "", ""
	switch {
	case r == nil:
		noCopy = "there is no copy"
	case r.copy == nil:
		noCopy = r.shelf.Asset + " has no copy"
	}
	noRun := noCopy
	if r != nil && r.copy != nil && r.copy.Problem != "" {
		noRun = "this copy cannot be used"
	}
	if w.vault.asking {
		noAsk = "it is being asked"
	}
	move := func(by int) func() Intent { return func() Intent { v.at += by; v.chosen(w); return nil } }
	return append([]binding{
		{keys: []string{"up", "k"}, show: "up down", help: "move", long: "Move in the list.", act: move(-1)},
		{keys: []string{"down", "j"}, long: "Next copy.", act: move(1)},
		does("enter", "one copy", "Show all that is known of this copy: objects, proofs, how to restore it.", func() Intent {
			return showPoint{r.shelf.ID, r.copy.Point}
		}).unless(noCopy),
		does("t", "prove it", "Verify this copy now. Asks at which level, then begins a run.", func() Intent { return push{newProve(r.shelf, r.copy)} }).named("", "prove").unless(noRun),
		does("r", "restore for a look", "Rebuild this copy in a new directory. Nothing that is in use is touched.", func() Intent {
			return push{newRestoreTo(w, r.shelf, r.copy)}
		}).named("", "restore").unless(noRun),
		does("f", "fix", "Open the plan of the runbook that mends this copy. Runs nothing.", func() Intent {
			return push{newPlan(w, mends(w, r))}
		}).unless(noMend(w, r)),
		does("l", "list again", "Ask the bucket again what it holds.", wish(loadVault{fresh: true})).unless(noAsk),
		{keys: []string{"pgup", "ctrl+u"}, long: "Ten up.", act: move(-10)},
		{keys: []string{"pgdown", "ctrl+d"}, long: "Ten down.", act: move(10)},
		{keys: []string{"home", "g"}, long: "First copy.", act: move(-1 << 20)},
		{keys: []string{"end", "G"}, long: "Last copy.", act: move(1 << 20)},
	}, append(placeKeys("vault"),
		does("esc", "", "Back to the bridge.", wish(goHome{})),
		does("q", "", "Leave the console. Open runs go on.", wish(leave{})))...)
}

// mends is the runbook that makes a new copy, or finds out what is wrong with one; nil when
// there is nothing to mend, or no such runbook.
func mends(w *world, r *shelfRow) *Book {
	name := ""
	switch _, _, word := copyLook(w, r.shelf, r.copy); word {
	case "NO COPY", "LATE", "STALE":
		name = "daily-backup"
	case "FAILED", "UNUSABLE", "NOT PROVEN":
		name = "verify-backups"
	}
	i := slices.IndexFunc(w.books, func(b Book) bool { return b.Name == name })
	if i < 0 || r.shelf.Foreign {
		return nil
	}
	return &w.books[i]
}

func noMend(w *world, r *shelfRow) string {
	switch {
	case r == nil:
		return "there is no copy"
	case mends(w, r) == nil:
		return "there is nothing to mend, or no runbook for it"
	}
	return ""
}

// copyLook is how a copy stands: its glyph, and a word where it is not as it should be.
func copyLook(w *world, s *Shelf, c *Copy) (glyph string, role widget.Role, word string) {
	if c == nil {
		return "✗", rFail, "NO COPY"
	}
	switch {
	case c.Problem != "":
		return "✗", rFail, "UNUSABLE"
	case c.Failed:
		return "✗", rFail, "FAILED"
	case c.Late && s.RPO > 0 && c.Class == "newest" && w.since(c.Cut) > 2*s.RPO:
		return "✗", rFail, "STALE"
	case c.Late:
		return "▲", rWarn, "LATE"
	}
	if i := slices.IndexFunc(w.runs, func(r Summary) bool { return r.Outcome == "" && r.Asset != "" && r.Asset == s.Asset }); i >= 0 && c.Class == "newest" {
		return "▲", rWarn, "RUN " + w.runs[i].ID.Short()
	}
	if c.Level == "" {
		return "○", rDim, "NOT PROVEN"
	}
	return "✓", rOK, ""
}

// provenBar draws how far a copy is proven, one cell a level.
func provenBar(level string) []span {
	n := slices.Index([]string{"", "stored", "checked", "applied", "restored"}, level)
	if n <= 0 {
		return []span{txt(rFrame, "────"), txt(rDim, " "+pad("nothing", 9))}
	}
	return []span{txt(rOK, strings.Repeat("━", n)), txt(rFrame, strings.Repeat("─", 4-n)), txt(rText, " "+pad(level, 9))}
}

func (v *vaultScreen) legend() row {
	r := line(txt(rDim, " proven:  "))
	for _, l := range [][2]string{{"stored", "objects are there"}, {"checked", "sums match"}, {"applied", "equal to the source"}, {"restored", "by restore.sh"}} {
		bar := provenBar(l[0])
		r.left = append(append(r.left, bar[:2]...), txt(rText, " "+l[0]), txt(rDim, " "+l[1]+"   "))
	}
	return r
}

func (v *vaultScreen) draw(w *world, a area) {
	drawBrand(w, a, "vault")
	y := 1
	if wide(a) {
		y = 2
	}
	a.row(y, vaultVerdict(w, a.w))
	y++
	for _, r := range owedRows(w) {
		a.row(y, r)
		y++
	}
	body := a.sub(y, a.h-y-footRows(a))
	switch {
	case w.vault.err != nil:
		f := body.sub(0, min(body.h, 9)).box(frame{title: []span{bold(rStrong, "NO VAULT")}, heavy: true, role: rHeavy})
		f.rows(append(append(append([]row{gap()}, wrapped(rText, w.vault.err.Error(), f.w, 4)...), gap()),
			wrapped(rDim, "A vault is a bucket or a directory. In a repository, lifeboat init writes an estate file that names one.", f.w, 3)...))
	case wide(a):
		v.drawWide(w, body)
	default:
		v.drawNarrow(w, body)
	}
}

// vaultVerdict says in one line how many copies are as they should be.
func vaultVerdict(w *world, width int) row {
	st := &w.vault
	if !st.known {
		return line(txt(rDim, "  looking at what this machine knows …"))
	}
	good, all, failing := 0, 0, false
	var worst string
	for _, r := range shelfRows(w) {
		if r.shelf.Foreign {
			continue
		}
		all++
		_, role, word := copyLook(w, r.shelf, r.copy)
		if role == rOK || role == rDim || strings.HasPrefix(word, "RUN ") {
			good++
			continue
		}
		if worst == "" || role == rFail && !failing {
			failing = role == rFail
			class := ""
			if r.copy != nil && r.copy.Class != "newest" {
				class = " " + r.copy.Class
			}
			worst = r.shelf.Asset + class + " is " + strings.ToLower(word) + "."
			if r.copy == nil {
				worst = r.shelf.Asset + " has no copy."
			}
		}
	}
	listed := "never listed"
	switch {
	case st.asking:
		listed = "asking the bucket …"
	case !st.view.Listed.IsZero():
		listed = "listed " + hhmmss(st.view.Listed)
	}
	r := row{right: []span{txt(rDim, listed+" ")}}
	head := itoa(good) + " OF " + itoa(all) + " NEWEST COPIES ARE ON TIME"
	switch {
	case st.err != nil:
		return line(txt(rWarn, "  ▲ "), bold(rWarn, "THERE IS NO VAULT"), txt(rText, "   nothing could be restored."))
	case st.view.Problem != "":
		r.left = []span{txt(rWarn, "  ▲ "), bold(rWarn, "THE BUCKET DOES NOT ANSWER"), txt(rText, "   shown is what this machine knows: "+widget.Cut(printable.Line(st.view.Problem), width/2, "…"))}
	case all == 0:
		r.left = []span{txt(rWarn, "  ▲ "), bold(rWarn, "THE VAULT IS EMPTY"), txt(rText, "   nothing could be restored from it.")}
	case good == all:
		r.left = []span{txt(rOK, "  ✓ "), bold(rOK, head)}
	default:
		r.left = []span{txt(rWarn, "  ▲ "), bold(rWarn, head), txt(rText, "   "+worst)}
	}
	return r
}

func (v *vaultScreen) title(w *world) frame {
	st := &w.vault.view
	right := []span{}
	if st.Points > 0 {
		right = append(right, txt(rDim, plural(st.Points, "copy", "copies")+", "+printable.Size(st.Bytes)))
	}
	return frame{title: []span{bold(rStrong, "NEWEST COPIES"), txt(rDim, "  "+st.URL)}, right: right, heavy: true, role: rHeavy}
}

// drawWide is the list with every class, and two boxes below it.
func (v *vaultScreen) drawWide(w *world, a area) {
	mirrors, facts := mirrorRows(w, 54), factRows(w)
	low := 0
	if n := max(len(mirrors), len(facts)); n > 0 {
		low = min(n, 6) + 2
	}
	in := a.sub(0, a.h-low).box(v.title(w))
	v.drawList(w, in, false)
	if low == 0 {
		return
	}
	left, right := a.sub(a.h-low, low).split(a.w / 2)
	drawMirrors(w, left, mirrors)
	drawFacts(w, right, facts)
}

// drawList lists copies, or where the window is narrow the newest one of each asset.
func (v *vaultScreen) drawList(w *world, in area, newest bool) {
	if !w.vault.known {
		return
	}
	at := v.chosen(w)
	all := shelfRows(w)
	assets := len(w.vault.view.Shelves)
	roomy := !newest && len(all)+assets <= in.h
	rs := []row{v.columns(in.w, newest)}
	here := 0
	for i, r := range all {
		first := i == 0 || all[i-1].shelf != r.shelf
		if newest && !first {
			continue
		}
		if first && i > 0 && roomy {
			rs = append(rs, row{})
		}
		mark := i == v.at && !newest || newest && at != nil && at.shelf == r.shelf
		if mark {
			here = len(rs)
		}
		rs = append(rs, copyRow(w, r, in.w, first, newest, mark))
	}
	if len(all) == 0 {
		rs = append(rs, gap())
		rs = append(rs, wrapped(rDim, "There is no copy of anything yet. lifeboat backup --all makes the first ones; the runbook daily-backup does it every day.", in.w, 0)...)
	}
	in.row(0, rs[0])
	scrolled(in.sub(1, in.h-1), rs[1:], here-1)
}

// scrolled draws the part of a list that holds the chosen row.
func scrolled(in area, rs []row, at int) {
	from := min(max(at-in.h/2, 0), max(len(rs)-in.h, 0))
	for i := from; i < min(len(rs), from+in.h); i++ {
		in.row(i-from, rs[i])
		if rs[i].tint { // the ground alone is not seen without colour
			in.c.Put(in.x-1, in.y+i-from, 1, rNow, 0, "▸")
		}
	}
}

func (v *vaultScreen) columns(width int, newest bool) row {
	head := "  " + pad("ASSET", nameWidth(width, newest))
	switch {
	case width < 70:
		return line(txt(rDim, head+pad("TAKEN", 13)+"    AGE  PROVEN"))
	case newest || width < 106:
		return line(txt(rDim, head+pad("TAKEN", 13)+"    AGE     SIZE  "+pad("PROVEN", 14)+"LOCKED TO"))
	}
	return line(txt(rDim, head+pad("CLASS", 14)+pad("TAKEN", 13)+"    AGE     SIZE  "+pad("PROVEN", 14)+padLeft("ON", 6)+"  "+pad("ENCRYPTED", 12)+"LOCKED TO"))
}

func nameWidth(width int, newest bool) int {
	if newest || width < 106 {
		return 18
	}
	return 15
}

// copyRow is one line of the list.
func copyRow(w *world, r shelfRow, width int, first, newest, mark bool) row {
	glyph, role, word := copyLook(w, r.shelf, r.copy)
	name, all := "", !newest && width >= 106
	if first {
		name = r.shelf.Asset
	}
	title := bold(rText, pad(name, nameWidth(width, newest)))
	if r.shelf.Foreign {
		title.role, title.attr = rDim, 0
		if word == "" && first {
			role, word = rDim, "not ours"
		}
	}
	out := row{tint: mark, left: []span{txt(role, glyph+" "), title}, right: []span{bold(role, word)}}
	c := r.copy
	if c == nil {
		out.left = append(out.left, txt(rDim, "it was never backed up"))
		return out
	}
	if all {
		out.left = append(out.left, txt(rText, pad(c.Class, 9)), txt(rDim, pad(padLeft(c.Keep, 4), 5)))
	}
	out.left = append(out.left, txt(rText, pad(stampWords(c.Cut, w.now), 13)), txt(rText, padLeft(ago(w, c.Cut), 7)+" "))
	if width < 70 {
		out.left = append(append(out.left, txt(rText, " ")), provenBar(c.Level)...)
		return out
	}
	out.left = append(append(out.left, txt(rText, padLeft(printable.Size(c.Bytes), 8)+"  ")), provenBar(c.Level)...)
	if all {
		out.left = append(out.left, sealedSpans(c)...)
	}
	if all || word == "" {
		out.left = append(out.left, txt(rDim, lockedWords(w, c)))
	}
	return out
}

// sealedSpans say when a copy was proven, and how it is encrypted.
func sealedSpans(c *Copy) []span {
	on := ""
	if !c.ProvenAt.IsZero() {
		on = c.ProvenAt.UTC().Format("_2 Jan")
	}
	if c.Scheme == "none" {
		return []span{txt(rDim, padLeft(on, 6)+"  "+pad("no", 12))}
	}
	return []span{txt(rDim, padLeft(on, 6)+"  "), txt(rText, pad(c.Scheme+" "+c.Key, 12))}
}

func lockedWords(w *world, c *Copy) string {
	if c.Locked.After(w.now) {
		return c.Locked.UTC().Format("_2 Jan 2006")
	}
	return "no"
}

// ago is how long ago something was, by the clock of the screen.
func ago(w *world, t time.Time) string {
	if t.After(w.now.Add(time.Minute)) {
		return "ahead"
	}
	if n := w.since(t) / (24 * time.Hour); n > 99 {
		return itoa(int(n)) + " d"
	}
	return words(w.since(t).Truncate(time.Minute))
}

// stampWords writes a moment of this year without its year.
func stampWords(t, now time.Time) string {
	if t.UTC().Year() != now.UTC().Year() {
		return t.UTC().Format("_2 Jan 2006")
	}
	return t.UTC().Format("_2 Jan 15:04")
}

func padLeft(text string, w int) string {
	text = printable.Line(text)
	return strings.Repeat(" ", max(w-widget.Width(text), 0)) + text
}
