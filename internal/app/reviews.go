package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/report"
	"lifeboat/internal/runbook"
)

// reviews lists what has to be read again: runbooks and the documents of the estate.
func (w *world) reviews(in *report.Input) error {
	if w.shelf != nil {
		for _, b := range w.shelf.library.List() {
			in.Reviews = append(in.Reviews, report.Review{Name: b.Name, What: "runbook", Last: b.Meta.Reviewed, Every: b.Meta.ReviewEvery})
		}
	}
	own, err := w.ownReviews()
	in.Reviews = append(in.Reviews, own...)
	return err
}

// ownReviews lists what the estate itself has to look at again: its documents, and whether
// its contacts are still who answers. Those of a sandbox are played by nobody.
func (w *world) ownReviews() ([]report.Review, error) {
	var out []report.Review
	if w.estate == nil || w.sandbox() != nil {
		return nil, nil
	}
	for _, d := range w.estate.Documents {
		last, err := reviewed(filepath.Join(w.estate.Dir, d.Path))
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("document %q: %w", d.Path, err), "mend documents: in "+w.estate.File)
		}
		out = append(out, report.Review{Name: d.Path, What: "document", Last: last, Every: d.ReviewEvery})
	}
	for _, c := range w.estate.Contacts {
		out = append(out, report.Review{Name: c.Name, What: "contact", Last: c.Verified, Every: estate.DefaultReview()})
	}
	return out, nil
}

// lateReviews lists those of the estate's own that are late, in words with what to do.
func (w *world) lateReviews() (out []lateReview, err error) {
	own, err := w.ownReviews()
	if err != nil {
		return nil, err
	}
	now := w.env.now()
	for _, r := range report.Reviews(own, now) {
		if r.Late == 0 && !r.Last.IsZero() {
			continue
		}
		l := lateReview{Review: r, how: "never verified", Text: fmt.Sprintf("%s %s was never verified", r.What, r.Name), Mend: "call them, and write verified: " + now.UTC().Format(time.DateOnly) + " beside the name in " + w.estate.File}
		done := "verified"
		if r.What == "document" {
			done = "read"
			l.Mend = "read it to the end, and write the line reviewed: " + now.UTC().Format(time.DateOnly) + " into it"
			if _, err := os.Stat(filepath.Join(w.estate.Dir, r.Name)); errors.Is(err, fs.ErrNotExist) {
				l.how, l.Text, l.Mend = "not there", fmt.Sprintf("document %s is not there", r.Name), "write it, or take it out of documents: in "+w.estate.File
			}
		}
		if !r.Last.IsZero() {
			l.how = printable.Count(r.Late, "day") + " late"
			l.Text = fmt.Sprintf("%s %s was last %s on %s, %s", r.What, r.Name, done, r.Last.UTC().Format(time.DateOnly), l.how)
		}
		out = append(out, l)
	}
	return out, nil
}

// lateReview is a review that is late.
type lateReview struct {
	report.Review
	Text string `json:"text"`
	Mend string `json:"mend"`
	how  string // "12 days late", "never verified"
}

// sayReviews prints what has to be looked at again. It endangers no asset today, so that it
// changes no verdict.
func (w *world) sayReviews(out io.Writer) error {
	list, err := w.lateReviews()
	if err != nil || len(list) == 0 {
		return err
	}
	fmt.Fprintln(out, "\nREVIEWS LATE")
	for _, l := range list {
		fmt.Fprintf(out, "%s\n  %s\n", printable.Line(l.Text), printable.Line(l.Mend))
	}
	return nil
}

// lintReviews finds documents and contacts of the estate that nobody looked at lately.
func (w *world) lintReviews() []runbook.Problem {
	list, err := w.lateReviews()
	if err != nil {
		return []runbook.Problem{{Pos: runbook.Pos{File: w.estate.File}, Severity: runbook.Error, Code: "document", Msg: err.Error(), Fix: strings.Join(hint.All(err), "; ")}}
	}
	var out []runbook.Problem
	for _, l := range list {
		out = append(out, runbook.Problem{Pos: runbook.Pos{File: w.estate.File}, Severity: runbook.Warning, Code: "overdue-review", Msg: l.Text, Fix: l.Mend})
	}
	return out
}

// reviewLine is the line of a document that says when somebody has read it, in the words of
// the front matter of a runbook.
var reviewLine = regexp.MustCompile(`(?m)^reviewed:\s*"?(\d{4}-\d{2}-\d{2})"?\s*$`)

// reviewed tells when a document was last read: what its front matter says, else when it
// was last changed (what is no text says nothing of itself); of a directory the newest of its
// files. One that is not there was never read.
func reviewed(path string) (time.Time, error) {
	var newest time.Time
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		at := info.ModTime()
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		head, err := io.ReadAll(io.LimitReader(f, 4<<10))
		if err != nil {
			return err
		}
		if m := reviewLine.FindSubmatch(head); m != nil {
			if t, err := time.Parse(time.DateOnly, string(m[1])); err == nil {
				at = t
			}
		}
		if at.After(newest) {
			newest = at
		}
		return nil
	})
	if os.IsNotExist(err) {
		return time.Time{}, nil
	}
	return newest, err
}
