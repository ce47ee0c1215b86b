package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/console"
	"lifeboat/internal/durable"
	"lifeboat/internal/incident"
	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

var _ console.Attendant = (*backend)(nil)

// Room implements console.Attendant.
func (b *backend) Room(ctx context.Context, id run.ID) (console.Room, error) {
	soon, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	room, err := b.client.Hello(soon, id)
	if err != nil {
		if errors.Is(err, runner.ErrNoHost) || errors.Is(err, runner.ErrSilent) { // Progress tells of the second
			err = nil
		}
		return console.Room{}, err
	}
	out := console.Room{Here: room.Here, Wait: room.Wait()}
	for _, p := range room.Watch {
		out.Watch = append(out.Watch, p.Driver)
	}
	return out, nil
}

// AskToDrive implements console.Attendant.
func (b *backend) AskToDrive(ctx context.Context, id run.ID) error {
	return b.client.AskToDrive(ctx, id)
}

// Decide implements console.Attendant.
func (b *backend) Decide(ctx context.Context, id run.ID, asked int64, yes bool) error {
	if yes {
		return b.client.Give(ctx, id, asked)
	}
	return b.client.Keep(ctx, id, asked)
}

// Bye implements console.Attendant.
func (b *backend) Bye(ctx context.Context, id run.ID) error { return b.client.Bye(ctx, id) }

// Recall implements console.Attendant.
func (b *backend) Recall(_ context.Context, id run.ID) (incident.Mark, error) {
	return b.world.recall(id)
}

// Remember implements console.Attendant.
func (b *backend) Remember(_ context.Context, id run.ID, m incident.Mark) error {
	return b.world.remember(id, m)
}

// Whole implements console.Attendant.
func (b *backend) Whole(ctx context.Context, id run.ID) (int64, error) {
	events, err := b.world.journal.Load(ctx, id) // which checks the chain of the run
	return int64(len(events)), err
}

// place is the file that keeps where a person last had their hands on a run, for all their
// terminals together. It is a courtesy: a file that is not there or holds nonsense says that
// nothing is known.
func (w *world) place(id run.ID) string {
	sum := sha256.Sum256([]byte(w.env.user))
	return filepath.Join(w.files.Run(id), "seen-"+hex.EncodeToString(sum[:4])+".json")
}

func (w *world) recall(id run.ID) (incident.Mark, error) {
	var m incident.Mark
	data, err := os.ReadFile(w.place(id))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	return m, err
}

func (w *world) remember(id run.ID, m incident.Mark) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(w.files.Run(id)); err != nil {
		return err
	}
	return durable.WriteFile(w.place(id), data, 0o600)
}
