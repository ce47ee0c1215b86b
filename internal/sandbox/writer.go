package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// Write plays the booking app: it books, confirms, cancels and takes payments, one
// short transaction every 20 to 50 milliseconds and now and then a pause, until ctx
// ends. onWrite, which may be nil, is called after each commit with the number of
// commits so far.
//
// It bears what a recovery does to a live database: a lock, a missing file, another
// file in its place, damage. It then tries again with a newly opened file and loses
// only its own current booking. It never creates the file. The end of ctx is no error;
// when the sandbox was removed or replaced the error wraps [ErrNone].
func (s *Sandbox) Write(ctx context.Context, onWrite func(n int)) error {
	done := 0
	return s.write(ctx, 1, func(err error) {
		if done++; err != nil {
			done--
		} else if onWrite != nil {
			onWrite(done)
		}
	})
}

// write is Write at a pace so many times slower, because as many write. tried is called
// after each attempt.
func (s *Sandbox) write(ctx context.Context, slower int, tried func(err error)) error {
	w := writer{s: s, r: stream(uint64(time.Now().UnixNano()), "writer")}
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		wait := time.Duration(slower*w.r.between(20, 50)) * time.Millisecond
		if w.r.chance(3) {
			wait += time.Duration(w.r.between(100, 400)) * time.Millisecond
		}
		err := w.once(ctx)
		if err == nil || ctx.Err() == nil {
			tried(err)
		}
		if err != nil && ctx.Err() == nil {
			if err := s.still(); err != nil {
				return fmt.Errorf("write bookings: %w", err)
			}
			w.close()
			wait = 100 * time.Millisecond
		}
		timer.Reset(wait)
	}
}

// writer owns the connection; it belongs to one goroutine.
type writer struct {
	s    *Sandbox
	r    *random
	db   *sql.DB
	file os.FileInfo // of what db has open
}

func (w *writer) close() {
	if w.db != nil {
		w.db.Close()
		w.db = nil
	}
}

// once makes one change to the file that lies in place now: writing on into one that
// was moved away would be bookings that nobody ever sees again.
func (w *writer) once(ctx context.Context) error {
	now, err := os.Stat(w.s.Database())
	if err != nil {
		return err
	}
	if w.db == nil || !os.SameFile(now, w.file) {
		w.close()
		if err := w.s.still(); err != nil {
			return err
		}
		if w.db, err = openDatabase(w.s.Database(), "rw", "synchronous(NORMAL)"); err != nil {
			w.db = nil
			return err
		}
		w.file = now
	}
	// A writer that starts as a reader cannot wait for a lock, so it says at once that
	// it is going to write.
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := w.change(ctx, conn); err != nil {
		_, rerr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rerr)
	}
	// Commit also when ctx ended meanwhile: a transaction left open would lock others out.
	_, err = conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return err
}

func (w *writer) change(ctx context.Context, conn *sql.Conn) error {
	var last, customers int
	if err := conn.QueryRowContext(ctx, "SELECT (SELECT max(id) FROM appointments), (SELECT max(id) FROM customers)").Scan(&last, &customers); err != nil {
		return err
	}
	now := time.Now().UTC()
	stamp := now.Format(timeLayout)
	switch p := w.r.below(10); {
	case p < 6:
		starts := now.Truncate(24*time.Hour).AddDate(0, 0, w.r.between(30, 400)).Add(time.Duration(16+w.r.below(16)) * 30 * time.Minute)
		_, err := conn.ExecContext(ctx, "INSERT OR IGNORE INTO appointments (customer_id, staff_id, service_id, starts_at, status, created_at, updated_at) VALUES (?, ?, ?, ?, 'booked', ?, ?)",
			w.r.between(1, customers), w.r.between(1, staffCount), w.r.between(1, len(services)), starts.Format(timeLayout), stamp, stamp)
		return err
	case p < 9:
		_, err := conn.ExecContext(ctx, "UPDATE appointments SET status = ?, updated_at = ? WHERE id = ?",
			pick(w.r, []string{"confirmed", "confirmed", "cancelled"}), stamp, max(1, last-w.r.below(1000)))
		return err
	}
	_, err := conn.ExecContext(ctx, "INSERT INTO payments (appointment_id, amount_cents, method, reference, paid_at) VALUES (?, ?, ?, ?, ?)",
		last, w.r.between(10, 120)*500, pick(w.r, methods), fmt.Sprintf("PAY-L%016x", w.r.next()), stamp)
	return err
}
