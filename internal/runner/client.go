package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

// ErrNoHost is a run that no process drives.
var ErrNoHost = errors.New("no process drives this run")

// Client sends wishes to the host of a run. Each call is a connection of its own: a
// host that was replaced in between is found again.
type Client struct {
	Files Files
	Who   Person // who wishes
}

// ErrProtocol is a host of another version of Lifeboat.
var ErrProtocol = errors.New("the process that hosts this run is of another version of Lifeboat")

// callLimit bounds one request: accepting an answer may take a fsync, never more.
const callLimit = 15 * time.Second

func (c Client) call(ctx context.Context, id run.ID, req request) (reply, error) {
	path, err := os.ReadFile(filepath.Join(c.Files.Run(id), addressName))
	if errors.Is(err, os.ErrNotExist) {
		return reply{}, fmt.Errorf("run %s: %w", id.Short(), ErrNoHost)
	}
	if err != nil {
		return reply{}, fmt.Errorf("find the host of run %s: %w", id.Short(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", string(path))
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return reply{}, fmt.Errorf("run %s: %w", id.Short(), ErrNoHost) // killed: its socket file is left
	}
	if err != nil {
		return reply{}, fmt.Errorf("call the host of run %s: %w", id.Short(), err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	req.Version, req.Who = protocol, c.Who
	data, err := json.Marshal(req)
	if err != nil {
		return reply{}, err
	}
	if _, err := conn.Write(append(data, '\n')); err != nil {
		return reply{}, fmt.Errorf("send to the host of run %s: %w", id.Short(), err)
	}
	line, err := readLine(bufio.NewReader(conn))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return reply{}, hint.Wrap(fmt.Errorf("run %s: %w", id.Short(), ErrSilent),
			"it may be stopped, or its disk may hang; "+filepath.Join(c.Files.Run(id), lockName)+" says which process it is")
	}
	if err != nil {
		return reply{}, fmt.Errorf("hear from the host of run %s: %w", id.Short(), err)
	}
	var rep reply
	if err := json.Unmarshal(line, &rep); err != nil {
		return reply{}, fmt.Errorf("understand the host of run %s: %w", id.Short(), err)
	}
	if rep.Version != protocol {
		return reply{}, hint.Wrap(fmt.Errorf("run %s: %w", id.Short(), ErrProtocol),
			"use the console of that version, or let its process end at a gate ("+filepath.Join(c.Files.Run(id), lockName)+" says which it is) and attach again")
	}
	if rep.Error != "" {
		err := errors.New(rep.Error)
		for _, h := range rep.Hints {
			err = hint.Wrap(err, h)
		}
		return rep, err
	}
	return rep, nil
}

// ErrSilent is a host that is there and does not answer: it is stopped, or it hangs.
var ErrSilent = errors.New("the process that hosts this run does not answer")

// Ping says whether a process drives the run. One that speaks another protocol is an error,
// and so is one that does not answer in time.
func (c Client) Ping(ctx context.Context, id run.ID) (bool, error) {
	_, err := c.call(ctx, id, request{Verb: verbPing})
	switch {
	case errors.Is(err, ErrProtocol):
		return true, err
	case errors.Is(err, ErrSilent):
		return true, err
	}
	return err == nil, nil
}

// Answer answers the open gate; when it returns nil the answer is durable. Only the driver
// may.
func (c Client) Answer(ctx context.Context, id run.ID, a run.Answer) error {
	_, err := c.call(ctx, id, request{Verb: verbAnswer, Answer: &a})
	return err
}

// Stop asks an attempt at a step to stop; one that has ended is an error, and whatever runs
// by then goes on. Only the driver may.
func (c Client) Stop(ctx context.Context, id run.ID, which run.Attempt) error {
	_, err := c.call(ctx, id, request{Verb: verbStop, Which: which})
	return err
}

// Note adds a remark.
func (c Client) Note(ctx context.Context, id run.ID, text string) error {
	_, err := c.call(ctx, id, request{Verb: verbNote, Text: text})
	return err
}

// Raise puts the incident on a more serious level.
func (c Client) Raise(ctx context.Context, id run.ID, level int, reason string) error {
	_, err := c.call(ctx, id, request{Verb: verbRaise, Level: level, Text: reason})
	return err
}

// Hello says that somebody is here, and who else is. A driver who comes back at another
// terminal drives there.
func (c Client) Hello(ctx context.Context, id run.ID) (Room, error) {
	return c.room(ctx, id, verbHello)
}

// Room says who is here.
func (c Client) Room(ctx context.Context, id run.ID) (Room, error) { return c.room(ctx, id, verbRoom) }

func (c Client) room(ctx context.Context, id run.ID, v verb) (Room, error) {
	rep, err := c.call(ctx, id, request{Verb: v})
	if err != nil || rep.Room == nil {
		return Room{}, err
	}
	return *rep.Room, nil
}

// Bye says that somebody leaves.
func (c Client) Bye(ctx context.Context, id run.ID) error {
	_, err := c.call(ctx, id, request{Verb: verbBye})
	return err
}

// AskToDrive asks the driver for the run. Asked again after the driver had their time, it
// takes over; before that it is an error that says how long it is still.
func (c Client) AskToDrive(ctx context.Context, id run.ID) error {
	_, err := c.call(ctx, id, request{Verb: verbAsk})
	return err
}

// Give lets whoever asked drive; asked is the number of the wish. Only the driver may.
func (c Client) Give(ctx context.Context, id run.ID, asked int64) error {
	_, err := c.call(ctx, id, request{Verb: verbGive, Asked: asked})
	return err
}

// Keep says no to whoever asked. Only the driver may.
func (c Client) Keep(ctx context.Context, id run.ID, asked int64) error {
	_, err := c.call(ctx, id, request{Verb: verbKeep, Asked: asked})
	return err
}

// Progress tells how far the running step is.
func (c Client) Progress(ctx context.Context, id run.ID) (Progress, error) {
	rep, err := c.call(ctx, id, request{Verb: verbProgress})
	if err != nil || rep.Progress == nil {
		return Progress{}, err
	}
	return *rep.Progress, nil
}
