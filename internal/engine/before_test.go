package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/run"
	"lifeboat/internal/runbook"
)

const provenSteps = `
## Look

~~~test.read
value: x
~~~
~~~test.read verify
value: only reads
~~~

## Set it

~~~test.set save=it
value: new
~~~
~~~test.read verify retry=5
value: holds already
~~~
~~~test.read verify before=pass
value: may hold
~~~
~~~test.read verify
value: ${it.value}
~~~

## Leave it out

~~~sh when="1 > 2"
ok
~~~
~~~sh verify
ok
~~~

## Script

~~~sh
ok
~~~

## Included

~~~runbook
runbook: child
~~~
`

func watchBefore(t *testing.T, b *bench, text string) (run.Run, []Before) {
	t.Helper()
	b.books["child"] = "## Write\n\n~~~test.write\nvalue: w\n~~~\n~~~test.read verify\nvalue: inside\n~~~\n"
	p := b.program(text)
	cfg := b.config(&person{t: t})
	var seen []Before
	cfg.Before = func(s Before) { seen = append(seen, s) }
	id, err := Begin(t.Context(), cfg, p, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), cfg, p, id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, seen
}

// A check is made before the effect that it is to prove, and says whether it holds by
// then. Nothing of it is the step's own.
func TestChecksBeforeTheEffect(t *testing.T) {
	b := newBench(t)
	r, seen := watchBefore(t, b, provenSteps)
	if r.Outcome != run.Complete {
		t.Fatalf("run is %q", r.Outcome)
	}
	var got []string
	for _, s := range seen {
		got = append(got, s.Step)
		for _, c := range s.Checks {
			got = append(got, fmt.Sprintf("%d holds=%v marked=%v", c.Pos.Line, c.Holds, c.Marked))
		}
	}
	want := "[set-it 23 holds=true marked=false 26 holds=true marked=true 29 holds=false marked=false script included.write 13 holds=true marked=false]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %s\nwant %s", fmt.Sprint(got), want)
	}
	if len(seen) == 3 && (seen[0].Checks[2].Why == "" || seen[0].Checks[0].Log != "02-set-it.0.check1.log" || seen[1].Action != runbook.Shell) {
		t.Errorf("%+v", seen)
	}
	for _, s := range r.Steps {
		if s.ID == "set-it" && (len(s.Checks) != 3 || s.Attempt != 1) {
			t.Errorf("the step has %d checks after %d attempts", len(s.Checks), s.Attempt)
		}
	}
	for name, want := range map[string]bool{"02-set-it.0.check1.log": true, "02-set-it.1.check1.log": false} {
		if log := b.spool.m[name]; log == nil || strings.Contains(log.String(), "at a glance") != want {
			t.Errorf("%s: %v", name, log)
		}
	}
}

// What a failed attempt left behind is nobody's expectation, and a check that does not
// hold is made once: it would wait in vain.
func TestChecksBeforeTheEffectOnce(t *testing.T) {
	b := newBench(t)
	reads := 0
	b.broken["read"] = errors.New("not there")
	text := "## Set it\n\n~~~test.set\nvalue: new\n~~~\n~~~test.read verify retry=3\nvalue: x\n~~~\n"
	p := b.program(text)
	cfg := b.config(&person{t: t, say: map[string][]func(*run.Gate) run.Answer{"set-it decision": {verb(run.Retry), verb(run.Finish)}}})
	cfg.Before = func(s Before) {
		reads++
		if len(s.Checks) != 1 || s.Checks[0].Holds || s.Checks[0].Why == "" {
			t.Errorf("%+v", s)
		}
	}
	id, err := Begin(t.Context(), cfg, p, Start{Mode: run.Live})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), cfg, p, id)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := e.Run(t.Context()); err != nil || r.Outcome != run.NotComplete {
		t.Fatalf("%q, %v", r.Outcome, err)
	}
	if reads != 1 {
		t.Errorf("the checks were made before %d attempts", reads)
	}
}

func TestBeforeIsForChecks(t *testing.T) {
	for text, want := range map[string]string{
		"~~~sh before=pass\nok\n~~~\n":                           "before= works only on a verify block",
		"~~~sh\nok\n~~~\n~~~sh before=pass undo\nok\n~~~\n":      "before= works only on a verify block",
		"~~~sh\nok\n~~~\n~~~sh verify before=fail\nok\n~~~\n":    `before="fail" is not known`,
		"~~~sh\nok\n~~~\n~~~sh before=pass verify\nok\n~~~\n":    "",
		"~~~runbook before=pass\nrunbook: child\n~~~\n":          "before= works only on a verify block",
		"~~~sh\nok\n~~~\n~~~sh verify before\nok\n~~~\n":         `attribute "before" needs a value`,
		"~~~sh\nok\n~~~\n~~~sh probe before=pass\nok\n~~~\n":     "before= works only on a verify block",
		"~~~sh\nok\n~~~\n~~~sh verify before=\"\"\nok\n~~~\n":    `before="" is not a value`,
		"~~~sh\nok\n~~~\n~~~sh verify befor=pass\nok\n~~~\n":     `there is no attribute "befor"`,
		"~~~test.read verify before=pass\nvalue: x\n~~~\n":       "",
		"~~~choose before=pass save=x\noptions: {a: A}\n~~~\n\n": "before= works only on a verify block",
	} {
		src := "---\ntitle: T\nkind: recovery\n---\n\n## X\n\n" + text
		_, problems := runbook.Parse("t.md", []byte(strings.ReplaceAll(src, "~~~", "```")))
		found := want == ""
		for _, p := range problems {
			if p.Severity == runbook.Error && want == "" {
				t.Errorf("%q: %s", text, p.Msg)
			}
			found = found || want != "" && p.Msg == want
		}
		if !found {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
}
