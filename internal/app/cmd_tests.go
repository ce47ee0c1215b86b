package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lifeboat/internal/drill"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/runbook"
)

// testPlan says how runbooks are tested.
type testPlan struct {
	json, verbose, keep, strict bool
	parallel                    int
}

func cmdTest(env environment, s *settings) *cobra.Command {
	var h testPlan
	c := &cobra.Command{
		Use: "test [RUNBOOK|FILE ...]", Short: "Test runbooks: break a sandbox, play the runbook, ask the oracle",
		Long: "Plays the tests of runbooks, the files *" + drill.Suffix + " beside them. Each test makes a\n" +
			"sandbox of its own, breaks it, lets a script walk the runbook, and asks an oracle that\n" +
			"shares no code with the recovery. Each check of a step is also made before the step has\n" +
			"its effect: one that holds by then proves nothing, and fails the test unless its block\n" +
			"is marked before=pass. The estate is never touched.\n\n" +
			"Without an argument it plays every test of the library and names the runbooks that have\n" +
			"none. Exit codes: 0 all pass, 1 one does not, 2 nothing ran.",
		Example: "  lifeboat test\n  lifeboat test accidental-force-push -v\n  lifeboat test runbooks/restart.md",
		RunE: func(_ *cobra.Command, args []string) error {
			if h.parallel < 1 || h.parallel > 64 {
				return usage(hint.New("--parallel must be from 1 to 64", "leave it out: it is as many as there are processors"))
			}
			return testBooks(env, *s, args, h)
		},
	}
	c.Flags().BoolVar(&h.json, "json", false, "one JSON object a test, and one at the end")
	c.Flags().BoolVarP(&h.verbose, "verbose", "v", false, "show what happened in each test")
	c.Flags().BoolVar(&h.keep, "keep", false, "leave sandbox, journal and logs of each test for a look")
	c.Flags().BoolVar(&h.strict, "strict", false, "a runbook without a test, and a mark without need, are failures")
	c.Flags().IntVar(&h.parallel, "parallel", min(runtime.GOMAXPROCS(0), 8), "how many tests at the same time")
	return c
}

// testBooks plays the tests that the arguments name.
func testBooks(env environment, s settings, args []string, h testPlan) error {
	f := &testFinder{own: ownBooks(env, s)}
	tests, untested, err := f.find(args)
	if err != nil {
		return err
	}
	if len(tests) == 0 {
		return usage(hint.New("there is no test", "write NAME"+drill.Suffix+" beside the runbook NAME.md"))
	}
	w, err := openState(env, s) // finds the state directory, and keeps it
	if err != nil {
		return err
	}
	defer w.close()
	results := make([]chan testResult, len(tests))
	turn := make(chan struct{}, h.parallel)
	for i := range tests {
		results[i] = make(chan testResult, 1)
	}
	go func() {
		for i, t := range tests {
			turn <- struct{}{}
			go func() {
				defer func() { <-turn }()
				if err := env.ctx.Err(); err != nil {
					results[i] <- testResult{test: t, canceled: err}
					return
				}
				results[i] <- playTest(env, w.state, t, h.keep)
			}()
		}
	}()
	out := testOutput{env: env, how: h}
	for _, r := range results { // in the order of their names, whichever ends first
		out.one(<-r)
	}
	return out.end(untested)
}

// testFinder finds tests, and holds them against their runbooks.
type testFinder struct {
	own      []runbook.NamedFS
	books    *runbook.Library
	problems problems
}

func (f *testFinder) find(args []string) (tests []bookTest, untested []string, err error) {
	places := (&world{books: f.own}).places()
	lib := drill.NewLibrary(places...)
	f.books = runbook.NewLibrary(places...)
	if len(args) == 0 {
		f.problems = append(f.problems, lib.Problems()...)
		for _, s := range lib.All() {
			tests = append(tests, f.sound(bookTest{Scenario: s, book: s.Runbook, books: f.own}))
		}
		for _, name := range f.books.Names() {
			if len(lib.Of(name)) == 0 {
				untested = append(untested, name)
			}
		}
	}
	for _, arg := range args {
		found, err := f.named(lib, arg)
		if err != nil {
			return nil, nil, err
		}
		tests = append(tests, found...)
	}
	if len(f.problems) > 0 {
		return nil, nil, f.problems
	}
	slices.SortStableFunc(tests, func(a, b bookTest) int { return cmp.Compare(a.Name, b.Name) })
	same := func(a, b bookTest) bool { return a.Name == b.Name }
	for i := 1; i < len(tests); i++ {
		if same(tests[i-1], tests[i]) && tests[i-1].File != tests[i].File {
			return nil, nil, usage(hint.New(fmt.Sprintf("%s and %s have the same name", tests[i-1].File, tests[i].File), "test one after the other, or rename one"))
		}
	}
	return slices.CompactFunc(tests, same), untested, nil
}

// named finds the tests that one argument means.
func (f *testFinder) named(lib *drill.Library, arg string) ([]bookTest, error) {
	switch {
	case strings.HasSuffix(arg, drill.Suffix):
		return f.files([]string{arg})
	case strings.HasSuffix(arg, ".md") || strings.ContainsRune(arg, os.PathSeparator):
		files, err := testsBeside(arg)
		if err != nil {
			return nil, usage(fmt.Errorf("look for tests: %w", err))
		}
		if len(files) == 0 {
			return nil, usage(hint.New(fmt.Sprintf("%q has no test", arg), "write "+strings.TrimSuffix(filepath.Base(arg), ".md")+drill.Suffix+" beside it"))
		}
		return f.files(files)
	}
	list := lib.Of(arg)
	if len(list) == 0 {
		s, err := lib.Find(arg)
		var bad runbook.Problem
		switch book, missing := f.books.Get(arg); {
		case err == nil:
			list = append(list, s)
		case errors.As(err, &bad):
			return nil, problems{bad}
		case missing == nil:
			return nil, usage(hint.New(fmt.Sprintf("runbook %q has no test", book.Name), "write "+book.Name+drill.Suffix+" beside it"))
		default:
			return nil, usage(missing)
		}
	}
	var out []bookTest
	for _, s := range list {
		out = append(out, f.sound(bookTest{Scenario: s, book: s.Runbook, books: f.own}))
	}
	return out, nil
}

// testsBeside lists the tests that lie beside the file of a runbook.
func testsBeside(file string) ([]string, error) {
	stem := strings.TrimSuffix(filepath.Base(file), ".md")
	entries, err := os.ReadDir(filepath.Dir(file))
	var files []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), stem+"."); ok && strings.HasSuffix("."+rest, drill.Suffix) {
			files = append(files, filepath.Join(filepath.Dir(file), e.Name()))
		}
	}
	return files, err
}

// lintTests finds what is wrong with the tests of runbooks: those of the library where
// nothing was named, else those that were named and those beside files.
func (w *world) lintTests(all bool, names []string) ([]runbook.Problem, error) {
	f := &testFinder{own: w.books, books: w.shelf.library}
	if w.estate != nil {
		f.own = append(f.own, beside(w.estate.Dir)...)
	}
	if all {
		f.problems = append(f.problems, w.rehearsals().Problems()...)
		for _, s := range w.rehearsals().All() {
			f.sound(bookTest{Scenario: s, book: s.Runbook, books: f.own})
		}
		return f.problems, nil
	}
	var files []string
	for _, name := range names {
		if strings.HasSuffix(name, drill.Suffix) {
			files = append(files, filepath.Clean(name))
		}
		if strings.HasSuffix(name, ".md") {
			beside, err := testsBeside(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // that the book is not there is said elsewhere
				return nil, usage(err)
			}
			files = append(files, beside...)
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	_, err := f.files(files)
	return f.problems, err
}

// files reads tests by their paths. The runbook of one is the file beside it, else one of
// the library.
func (f *testFinder) files(names []string) ([]bookTest, error) {
	var out []bookTest
	for _, name := range names {
		dir, err := filepath.Abs(filepath.Dir(name))
		if err != nil {
			return nil, usage(err)
		}
		src, err := runbook.ReadFile(os.DirFS(dir), filepath.Base(name))
		if errors.Is(err, fs.ErrNotExist) {
			err = hint.New("there is no such file", "name a file *"+drill.Suffix)
		}
		if err != nil {
			return nil, usage(fmt.Errorf("open test %q: %w", name, err))
		}
		s, bad := drill.Load(name, src)
		f.problems = append(f.problems, bad...)
		if len(bad) > 0 {
			continue
		}
		t := bookTest{Scenario: s, book: s.Runbook, books: f.own}
		beside := filepath.Join(dir, s.Runbook+".md")
		if _, err := os.Lstat(beside); err == nil && s.Runbook == filepath.Base(s.Runbook) {
			t.book = beside
		}
		out = append(out, f.sound(t))
	}
	return out, nil
}

// sound holds a test against the runbooks that it names.
func (f *testFinder) sound(t bookTest) bookTest {
	f.problems = append(f.problems, t.Check(func(name string) (*runbook.Book, error) {
		dir := filepath.Dir(t.book)
		if filepath.IsAbs(t.book) && name == filepath.Base(name) {
			book, bad, err := runbook.OpenFile(os.DirFS(dir), name+".md")
			if err == nil && runbook.Failed(bad) {
				return nil, fmt.Errorf("runbook %q: %w", filepath.Join(dir, name+".md"), bad[0])
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return book, err
			}
		}
		return f.books.Get(name)
	})...)
	return t
}

// testOutput writes what tests have shown.
type testOutput struct {
	env    environment
	how    testPlan
	failed int
	all    []testResult
	cancel error
}

// one writes the line of a test.
func (o *testOutput) one(r testResult) {
	if r.canceled != nil {
		o.cancel = r.canceled
	}
	if r.canceled != nil && r.log == "" {
		return // it did not begin
	}
	o.all = append(o.all, r)
	if !r.passed() {
		o.failed++
	}
	if o.how.json {
		o.print(struct {
			Test    string    `json:"test"`
			Runbook string    `json:"runbook"`
			Passed  bool      `json:"passed"`
			Seconds float64   `json:"seconds"`
			RTO     float64   `json:"rto_seconds,omitempty"`
			Broken  string    `json:"broken,omitempty"`
			Lost    []string  `json:"lost"`
			Why     []finding `json:"why"`
			Log     string    `json:"log,omitempty"`
			Sandbox string    `json:"sandbox,omitempty"`
		}{r.test.Name, r.test.Runbook, r.passed(), r.result.Took.Seconds(), r.test.RTO.Seconds(), r.result.Verdict.Breakage,
			noNil(r.result.Verdict.Lost), noNil(r.why), r.log, r.sandbox})
		return
	}
	word := "ok  "
	if !r.passed() {
		word = "FAIL"
	}
	o.line("%s  %-34s %s", word, r.test.Name, r.measured())
	for _, f := range r.why {
		for text := range strings.SplitSeq(f.Text, "\n") {
			o.line("      %s", text)
		}
		if f.Fix != "" {
			o.line("          fix: %s", f.Fix)
		}
	}
	if r.log != "" {
		o.line("      log: %s", r.log)
	}
	if r.sandbox != "" {
		o.line("      sandbox: %s", r.sandbox)
	}
	if o.how.verbose {
		o.env.stdout.Write(r.output)
	}
}

// measured is what a test has measured, in words: "4.2s of 1h  lost nothing".
func (t *testResult) measured() string {
	if t.result.Run.ID == "" {
		return "not played"
	}
	took := printable.Span(t.result.Took)
	if t.result.RTO > 0 {
		took += " of " + printable.Span(t.result.RTO)
	}
	return fmt.Sprintf("%-14s lost %s", took, t.loss())
}

func (t *testResult) loss() string {
	switch lost := t.result.Verdict.Lost; len(lost) {
	case 0:
		return "nothing"
	case 1:
		return lost[0]
	default:
		return fmt.Sprintf("%s, and %d more", lost[0], len(lost)-1)
	}
}

func noNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (o *testOutput) line(format string, args ...any) {
	fmt.Fprintln(o.env.stdout, printable.Line(fmt.Sprintf(format, args...)))
}

func (o *testOutput) print(v any) {
	if data, err := json.Marshal(v); err == nil { // plain data: it can be
		fmt.Fprintf(o.env.stdout, "%s\n", data)
	}
}

// end writes what belongs to no test alone: the table of recoveries, marks that nobody
// needed, runbooks without a test.
func (o *testOutput) end(untested []string) error {
	needless := o.needless()
	if o.how.strict {
		o.failed += len(untested) + len(needless)
	}
	if o.how.json {
		o.print(struct {
			Tests    int      `json:"tests"`
			Failed   int      `json:"failed"`
			Untested []string `json:"untested"`
			Needless []string `json:"needless_marks"`
		}{len(o.all), o.failed, noNil(untested), noNil(needless)})
	} else {
		for _, text := range needless {
			o.line("note  %s", text)
		}
		for _, name := range untested {
			o.line("note  runbook %q has no test: write %s beside it", name, name+drill.Suffix)
		}
		o.table()
	}
	switch {
	case o.cancel != nil:
		return fmt.Errorf("the tests were interrupted: %v", o.cancel) // not wrapped: no run of the estate waits for a person
	case o.failed > 0:
		return silentError{fmt.Errorf("%d of %s failed", o.failed, printable.Count(len(o.all), "test"))}
	}
	return nil
}

// needless lists checks that are marked before=pass and never held before.
func (o *testOutput) needless() []string {
	all := map[runbook.Pos]markUsed{}
	for _, r := range o.all {
		if !r.passed() {
			continue
		}
		for pos, m := range r.marks {
			all[pos] = markUsed{m.step, all[pos].needed || m.needed}
		}
	}
	var out []string
	for pos, m := range all {
		if !m.needed {
			out = append(out, fmt.Sprintf("%s: step %q: its check is marked before=pass and did not hold before: take the mark away", pos, m.step))
		}
	}
	slices.Sort(out)
	return out
}

// table shows what recoveries took and lost, where there are several.
func (o *testOutput) table() {
	recoveries := slices.DeleteFunc(slices.Clone(o.all), func(r testResult) bool { return r.result.Verdict.Breakage == "" })
	if len(recoveries) < 2 {
		return
	}
	fmt.Fprintln(o.env.stdout)
	t := tabwriter.NewWriter(o.env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BROKEN BY\tRECOVERY\tTOOK\tPROMISE\tLOST")
	for _, r := range recoveries {
		promise := "-"
		if r.result.RTO > 0 {
			promise = printable.Span(r.result.RTO)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.result.Verdict.Breakage, printable.Line(r.test.Name), printable.Span(r.result.Took), promise, printable.Line(r.loss()))
	}
	t.Flush() // to standard output, whose errors are seen there
}
