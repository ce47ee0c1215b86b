package app

import (
	"bufio"
	"context"
	"sync"
	"time"
)

// typist reads the lines that a person types, for one question after another. A question can
// be withdrawn while somebody is typing; what they type is the next one's then, because a
// read of a terminal cannot be taken back. Nothing is read while nobody asks: a step that
// talks to a person itself has the terminal for itself.
type typist struct {
	in *bufio.Reader

	mu      sync.Mutex
	pending chan keyed // of the read that is under way; nil: none is
}

type keyed struct {
	text string
	err  error
	at   time.Time // when it was complete
}

// line begins to read a line, or joins the read that is under way. Whoever takes what comes
// calls took.
func (t *typist) line() <-chan keyed {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil {
		ch := make(chan keyed, 1)
		t.pending = ch
		go func() {
			text, err := t.in.ReadString('\n')
			ch <- keyed{text, err, time.Now()}
		}()
	}
	return t.pending
}

func (t *typist) took() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = nil
}

// read waits for a line.
func (t *typist) read(ctx context.Context) (keyed, error) {
	select {
	case got := <-t.line():
		t.took()
		return got, got.err
	case <-ctx.Done():
		return keyed{}, ctx.Err()
	}
}
