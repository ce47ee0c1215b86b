package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/run"
)

// TestPromptIsRepeated lets things happen while a prompt stands: each has lines of its own,
// all lines of one event come together, and the prompt stands behind them once.
func TestPromptIsRepeated(t *testing.T) {
	at := time.Date(2026, 11, 24, 3, 0, 5, 0, time.UTC)
	var out bytes.Buffer
	l := &lines{w: &out, now: func() time.Time { return at }, raises: true, self: run.Driver{By: "m.ito", Session: "1"}}
	r := run.Run{ID: "20261124T030000Z-7F3A", Driver: l.self}
	l.ask("LIVE 1/2> ")
	l.event(r, run.Event{At: at, Kind: run.NoteAdded, Body: run.Note{By: "s.kaya", Text: "hello"}})
	l.event(r, run.Event{At: at, Kind: run.TakeoverAsked, Body: run.Request{Who: run.Driver{By: "s.kaya"}}})
	l.Write([]byte("one\ntwo\n"))
	l.answered()
	l.add("after")
	want := `LIVE 1/2> 
03:00:05 NOTE s.kaya: hello
LIVE 1/2> 
03:00:05 s.kaya asks to drive.
         Type give to hand the run to s.kaya, or keep to go on driving.
         Without an answer they may take it in 1 min.
LIVE 1/2> 
         out| one
         out| two
LIVE 1/2>          after
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTypist: a read that was withdrawn loses nothing: what comes is the next asker's.
func TestTypist(t *testing.T) {
	in, out := io.Pipe()
	ty := &typist{in: bufio.NewReader(in)}
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := make(chan error)
	go func() { _, err := ty.read(ctx); withdrawn <- err }()
	cancel()
	if err := <-withdrawn; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { io.WriteString(out, "one\ntwo\n"); out.Close() }()
	var got []string
	for {
		k, err := ty.read(t.Context())
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		got = append(got, k.text)
	}
	if strings.Join(got, "") != "one\ntwo\n" {
		t.Errorf("read %q", got)
	}
}
