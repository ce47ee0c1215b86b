package app

import (
	"context"
	"strings"
	"sync"

	"lifeboat/internal/console"
	"lifeboat/internal/hint"
)

// silence is why the vault did not answer the console last; nil: it did, or was not asked.
// It is safe for concurrent use.
type silence struct {
	mu  sync.Mutex
	err error
}

func (s *silence) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *silence) get() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Board implements console.BoardReader.
func (b *backend) Board(ctx context.Context, ask bool) (console.Board, error) {
	w := b.world
	if w.estate == nil { // a read-only console makes no sandbox to stand in for one
		return console.Board{}, nil
	}
	facts := w.knownFacts()
	if ask {
		fresh, err := w.readFacts(ctx)
		if err == nil {
			facts = fresh
		}
		b.silent.set(err)
	}
	st, err := w.stand(ctx, facts, b.silent.get())
	if err != nil {
		return console.Board{}, err
	}
	return console.Board{
		Assets: st.Assets, Due: st.Due, About: st.About, Checked: st.Checked,
		Unread: st.Unread, Advice: st.Advice, Reviews: w.boardReviews(), Practice: w.practice,
	}, nil
}

// boardReviews lists the late reviews. That they cannot be read is one of them, and hides no
// asset.
func (w *world) boardReviews() (out []console.LateReview) {
	list, err := w.lateReviews()
	if err != nil {
		return []console.LateReview{{What: "documents", Late: "not readable", Text: err.Error(), Mend: strings.Join(hint.All(err), "; ")}}
	}
	for _, l := range list {
		out = append(out, console.LateReview{What: l.What + " " + l.Name, Late: l.how, Text: l.Text, Mend: l.Mend})
	}
	return out
}
