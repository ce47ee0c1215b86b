package app

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/incident"
	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// errNotReady marks an estate of which something could not be recovered as promised.
var errNotReady = errors.New("not everything is ready")

// cmdStatus prints the board.
func cmdStatus(env environment, s *settings) *cobra.Command {
	var asJSON, offline bool
	c := &cobra.Command{
		Use: "status", Short: "Would we get it back? Every asset with its verdict, open runs, debts and drills due",
		Example: "  lifeboat status              with a look at the vault\n  lifeboat status --offline    at once, from what this machine knows",
		Long: "Shows for every asset the age of its newest verified backup against its RPO, the time that a\n" +
			"restore took against its RTO, when it was last drilled, and a verdict:\n\n" +
			"  READY          it could be recovered now, in time, and there is proof of it\n" +
			"  LATE           the newest verified backup is older than the RPO, or there is none\n" +
			"  STALE          it is more than twice as old, or the runbook has changed since it was drilled\n" +
			"  TOO SLOW       the restore takes longer than the RTO\n" +
			"  NEVER DRILLED  nobody has practised to bring it back\n" +
			"  DRILL DUE      the last drill is too long ago; \"drills:\" in lifeboat.yaml says how long one holds\n" +
			"  IN RUN         a run about it is open\n" +
			"  UNKNOWN        there is no way to tell, and it says why\n\n" +
			"A backup is verified when it was read back and is sound: proven checked, applied or restored.\n" +
			"It always exits 0 when it could look; lifeboat ready is for scripts that ask.",
		Args: exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			st, err := w.survey(offline)
			if err != nil {
				return err
			}
			if asJSON {
				return w.statusJSON(st)
			}
			return w.status(st)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.Flags().BoolVar(&offline, "offline", false, "what this machine knows, without asking the vault")
	return c
}

// cmdReady answers with its exit code.
func cmdReady(env environment, s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "ready [ASSET ...]", Short: "Exit with 0 when everything could be recovered now, with 5 when not",
		Long: "Says of every asset, or of those that are named, whether it could be recovered now, in time,\n" +
			"with proof. Exit code 0 when all are READY, else 5; then the first line names the worst gap and\n" +
			"the next what mends it. For cron and CI; lifeboat status explains the verdicts.",
		Example: "  lifeboat ready                all assets\n  lifeboat ready monorepo       before a risky deployment",
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := open(env, *s)
			if err != nil {
				return err
			}
			defer w.close()
			if w.estate == nil {
				return usage(errNoEstate)
			}
			for _, name := range args {
				if _, err := w.estate.Find(name); err != nil {
					return usage(err)
				}
			}
			st, err := w.survey(false)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				st.Assets = slices.DeleteFunc(st.Assets, func(r estate.Readiness) bool { return !slices.Contains(args, r.Asset.Name) })
			}
			return w.ready(st, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object an asset, the worst first")
	return c
}

// survey asks the vault and computes the board. A vault that cannot be read makes everything
// unknown; that is an answer, and no error.
func (w *world) survey(offline bool) (standing, error) {
	if w.estate == nil {
		return standing{}, usage(hint.Wrap(errNoEstate, "lifeboat init writes one by looking at this directory"))
	}
	facts := w.knownFacts()
	var failed error
	if !offline {
		var fresh vaultFacts
		if fresh, failed = w.readFacts(w.env.ctx); failed == nil {
			facts = fresh
		}
	}
	return w.stand(w.env.ctx, facts, failed)
}

func (w *world) ready(st standing, asJSON bool) error {
	list := estate.WorstFirst(st.Assets)
	sum := estate.Sum(list)
	switch {
	case asJSON:
		for i := range list {
			if err := printJSON(w.env, w.assetJSON(&list[i])); err != nil {
				return err
			}
		}
	case sum.Ready == sum.All:
		fmt.Fprintf(w.env.stdout, "%s. %s\n", sum.Head, sum.Text)
	default:
		w.sayGaps(w.env.stdout, list)
	}
	if !asJSON {
		if err := w.sayReviews(w.env.stdout); err != nil {
			return err
		}
	}
	if sum.Ready != sum.All {
		return silentError{errNotReady}
	}
	return nil
}

// sayGaps prints what is wrong and what mends it, the worst first. Assets with the same gap
// share a line.
func (w *world) sayGaps(out io.Writer, list []estate.Readiness) {
	var order []string
	names, next := map[string][]string{}, map[string][]string{}
	for i := range list {
		r := &list[i]
		if r.Ready() {
			continue
		}
		text := verdictWords(r)
		g, ok := r.Worst()
		if ok {
			text += ", " + printable.Line(g.Reason)
		}
		if names[text] == nil {
			order = append(order, text)
			if ok { // else a run about it is open, and nothing else is wrong
				next[text] = w.nextStep(g)
			}
		}
		names[text] = append(names[text], r.Asset.Name)
	}
	for _, text := range order {
		fmt.Fprintf(out, "%s: %s\n", strings.Join(names[text], ", "), text)
		for _, step := range next[text] {
			fmt.Fprintf(out, "  %s\n", printable.Line(step))
		}
	}
}

// verdictWords is the verdict, with the run where one is open.
func verdictWords(r *estate.Readiness) string {
	if r.Verdict == estate.InRun {
		return fmt.Sprintf("%s %s", r.Verdict, r.Open[0].ID)
	}
	return string(r.Verdict)
}

// nextStep says what mends a gap, as something to type.
func (w *world) nextStep(g estate.Gap) []string {
	if g.Waits {
		return []string{"lifeboat status asks the vault"}
	}
	if g.Mend.Name == "" {
		return g.Advice
	}
	does := "lifeboat run " + g.Mend.Name
	if sc, ok := w.scenarioOf(g.Mend.Name); ok && g.Drill {
		does = "lifeboat drill " + sc.Name
	} else if g.Drill || w.sandbox() != nil {
		does += " --sandbox"
	}
	if g.Mend.About > 0 {
		does += ", about " + estate.Long(g.Mend.About)
	}
	return []string{does}
}

// status prints the board, what is open, what is owed, and the drills that are due.
func (w *world) status(st standing) error {
	out, now := w.env.stdout, w.env.now()
	sum := estate.Sum(st.Assets)
	checked := "the vault was never read"
	switch {
	case st.Unread != "":
		checked = "the vault cannot be read"
	case !st.Checked.IsZero():
		checked = "checked " + estate.Long(now.Sub(st.Checked)) + " ago"
	}
	fmt.Fprintf(out, "%s. %s (%s)\n\n", sum.Head, sum.Text, checked)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ASSET\tKIND\tBACKUP AGE\tOF RPO\tPROVEN\tLAST DRILL\tRESTORED IN\tOF RTO\tVERDICT")
	for i := range st.Assets {
		r := &st.Assets[i]
		age, proven, drilled, restored := r.Backup(), "-", "never", "not yet"
		if r.Newest.Point != "" {
			proven = printable.Line(r.Newest.Proven)
		}
		if !r.Drilled.IsZero() {
			drilled = estate.Long(now.Sub(r.Drilled)) + " ago"
		}
		if !r.Restored.At.IsZero() {
			restored = estate.Long(r.Restored.Took)
		}
		fmt.Fprintf(t, "%s\t%s, %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Asset.Name, r.Asset.Kind, r.Asset.Tier,
			age, estate.Long(r.Asset.RPO), proven, drilled, restored, estate.Long(r.Asset.RTO), verdictWords(r))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if sum.Ready < sum.All {
		fmt.Fprintln(out, "\nGAPS, the worst first")
		w.sayGaps(out, estate.WorstFirst(st.Assets))
	}
	if err := w.statusOpen(out); err != nil {
		return err
	}
	statusDrills(out, st.Due)
	return w.sayReviews(out)
}

// statusOpen lists the open runs, and what they owe.
func (w *world) statusOpen(out io.Writer) error {
	list, err := w.journal.Runs(w.env.ctx, openRuns)
	if err != nil {
		return err
	}
	head := "\nOPEN RUNS\n"
	for _, s := range list {
		if !s.Open() {
			break
		}
		r, err := w.fold(s.ID)
		if err != nil {
			return err
		}
		where := "at its end"
		if i := r.Current(); i < len(r.Steps) {
			where = fmt.Sprintf("step %d of %d, %s", i+1, len(r.Steps), r.Steps[i].State)
		}
		fmt.Fprintf(out, "%s%s  %s  %s, by %s since %s, %s\n", head, s.ID.Short(), s.Started.Mode, printable.Line(s.Started.Book+prefix(" of ", s.Started.Asset)),
			printable.Line(s.Started.By), s.First.UTC().Format("2 Jan 15:04 UTC"), where)
		for _, d := range incident.Owed(&r, w.env.now()) {
			fmt.Fprintf(out, "      OWED: %s\n", printable.Line(d))
		}
		head = ""
	}
	return nil
}

// statusDrills lists the drills that are late, and the next one that will be due.
func statusDrills(out io.Writer, due []estate.DueDrill) {
	var lines, never []string
	for _, d := range due {
		if d.Never {
			never = append(never, d.Runbook)
			continue
		}
		lines = append(lines, d.Runbook+drillWords(d))
		if !d.Late() {
			break
		}
	}
	if len(never) > 0 {
		lines = append(lines, "never drilled: "+strings.Join(never, ", "))
	}
	if len(lines) > 0 {
		fmt.Fprintf(out, "\nDRILLS DUE\n%s\n", strings.Join(lines, "\n"))
	}
}

// drillWords says when a drill is due: ", 6 days late, about 2 h 20".
func drillWords(d estate.DueDrill) string {
	text := ", in " + estate.Long(d.Left)
	switch {
	case d.Passed.IsZero():
		text = ", changed since its last drill"
	case d.Left < 0:
		text = ", " + estate.Long(-d.Left) + " late"
	}
	if d.About > 0 {
		text += ", about " + estate.Long(d.About)
	}
	return text
}

// assetLine is an asset as JSON has it. Durations are in seconds.
type assetLine struct {
	Asset    string         `json:"asset"`
	Kind     string         `json:"kind"`
	Tier     string         `json:"tier"`
	Verdict  estate.Verdict `json:"verdict"`
	Gaps     []gapLine      `json:"gaps"`
	Open     []string       `json:"open_runs,omitempty"`
	Point    string         `json:"point,omitempty"` // the newest verified backup
	Cut      time.Time      `json:"cut,omitzero"`
	Proven   string         `json:"proven,omitempty"`
	Age      float64        `json:"age_s,omitempty"`
	RPO      float64        `json:"rpo_s"`
	Restored float64        `json:"restored_s,omitempty"`
	RTO      float64        `json:"rto_s"`
	How      string         `json:"restored_by,omitempty"`
	At       time.Time      `json:"restored_at,omitzero"`
	Drilled  time.Time      `json:"drilled,omitzero"`
	Holds    time.Time      `json:"drill_holds_until,omitzero"`
	Runbook  string         `json:"runbook,omitempty"` // that brings it back
}

type gapLine struct {
	Verdict estate.Verdict `json:"verdict"`
	Reason  string         `json:"reason"`
	Runbook string         `json:"runbook,omitempty"` // that mends it
	Drill   bool           `json:"drill,omitempty"`   // as a drill
	About   float64        `json:"about_s,omitempty"`
	Next    []string       `json:"next"`
}

func (w *world) assetJSON(r *estate.Readiness) assetLine {
	l := assetLine{
		Asset: r.Asset.Name, Kind: r.Asset.Kind, Tier: r.Asset.Tier, Verdict: r.Verdict, Gaps: []gapLine{},
		Point: r.Newest.Point, Cut: r.Newest.Cut, Proven: r.Newest.Proven, Age: r.Age.Seconds(), RPO: r.Asset.RPO.Seconds(),
		Restored: r.Restored.Took.Seconds(), RTO: r.Asset.RTO.Seconds(), How: r.Restored.How, At: r.Restored.At,
		Drilled: r.Drilled, Holds: r.Holds, Runbook: r.Recovery.Name,
	}
	for _, g := range r.Gaps {
		l.Gaps = append(l.Gaps, gapLine{g.Verdict, g.Reason, g.Mend.Name, g.Drill, g.Mend.About.Seconds(), append([]string{}, w.nextStep(g)...)})
	}
	for _, o := range r.Open {
		l.Open = append(l.Open, o.ID)
	}
	return l
}

func (w *world) statusJSON(st standing) error {
	type openLine struct {
		Run   run.ID     `json:"run"`
		Book  string     `json:"book"`
		Mode  run.Mode   `json:"mode"`
		Asset string     `json:"asset,omitempty"`
		By    string     `json:"by"`
		Since time.Time  `json:"since"`
		Debts []debtJSON `json:"debts,omitempty"`
	}
	type dueLine struct {
		Runbook string    `json:"runbook"`
		Late    bool      `json:"late"`
		Left    float64   `json:"left_s,omitempty"` // until it is due; negative: late
		Drilled time.Time `json:"drilled,omitzero"`
		About   float64   `json:"about_s,omitempty"`
	}
	sum := estate.Sum(st.Assets)
	out := struct {
		Head    string       `json:"verdict"`
		Text    string       `json:"text"`
		Ready   int          `json:"ready"`
		All     int          `json:"all"`
		Checked time.Time    `json:"checked,omitzero"`
		Unread  string       `json:"unread,omitempty"`
		Assets  []assetLine  `json:"assets"`
		Open    []openLine   `json:"open_runs"`
		Due     []dueLine    `json:"drills"`
		Reviews []lateReview `json:"reviews_late"`
	}{sum.Head, sum.Text, sum.Ready, sum.All, st.Checked, st.Unread, []assetLine{}, []openLine{}, []dueLine{}, []lateReview{}}
	late, err := w.lateReviews()
	if err != nil {
		return err
	}
	out.Reviews = append(out.Reviews, late...)
	for i := range st.Assets {
		out.Assets = append(out.Assets, w.assetJSON(&st.Assets[i]))
	}
	list, err := w.journal.Runs(w.env.ctx, openRuns)
	if err != nil {
		return err
	}
	for _, s := range list {
		if !s.Open() {
			break
		}
		l := openLine{Run: s.ID, Book: s.Started.Book, Mode: s.Started.Mode, Asset: s.Started.Asset, By: s.Started.By, Since: s.First}
		r, err := w.fold(s.ID)
		if err != nil {
			return err
		}
		for _, d := range incident.Debts(r.Debts) {
			l.Debts = append(l.Debts, debtJSON{d.ID, d.Text, d.At, d.Due(), d.Overdue(w.env.now())})
		}
		out.Open = append(out.Open, l)
	}
	for _, d := range st.Due {
		out.Due = append(out.Due, dueLine{d.Runbook, d.Late(), d.Left.Seconds(), d.Passed, d.About.Seconds()})
	}
	return printJSON(w.env, out)
}
