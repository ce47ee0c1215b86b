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
}

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
	data, err := json.Marshal(req)
	if err != nil {
		return reply{}, err
	}
	if _, err := conn.Write(append(data, '\n')); err != nil {
		return reply{}, fmt.Errorf("send to the host of run %s: %w", id.Short(), err)
	}
	line, err := readLine(bufio.NewReader(conn))
	if err != nil {
		return reply{}, fmt.Errorf("hear from the host of run %s: %w", id.Short(), err)
	}
	var rep reply
	if err := json.Unmarshal(line, &rep); err != nil {
		return reply{}, fmt.Errorf("understand the host of run %s: %w", id.Short(), err)
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

// Ping says whether a process drives the run.
func (c Client) Ping(ctx context.Context, id run.ID) bool {
	_, err := c.call(ctx, id, request{Verb: verbPing})
	return err == nil
}

// Answer answers the open gate; when it returns nil the answer is durable.
func (c Client) Answer(ctx context.Context, id run.ID, a run.Answer) error {
	_, err := c.call(ctx, id, request{Verb: verbAnswer, Answer: &a})
	return err
}

// Stop asks the running step to stop.
func (c Client) Stop(ctx context.Context, id run.ID) error {
	_, err := c.call(ctx, id, request{Verb: verbStop})
	return err
}

// Note adds a remark.
func (c Client) Note(ctx context.Context, id run.ID, by, text string) error {
	_, err := c.call(ctx, id, request{Verb: verbNote, By: by, Text: text})
	return err
}

// Raise puts the incident on a more serious level.
func (c Client) Raise(ctx context.Context, id run.ID, by string, level int, reason string) error {
	_, err := c.call(ctx, id, request{Verb: verbRaise, By: by, Level: level, Text: reason})
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
