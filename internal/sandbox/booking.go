package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Cluster is what the cluster of a sandbox remembers of the booking app, also for the oracle.
type Cluster struct {
	Replicas   int       `json:"replicas"`
	Version    int64     `json:"resource_version"`
	Generation int64     `json:"generation"`       // 1: nobody has scaled it
	Started    time.Time `json:"started,omitzero"` // last, after nothing of it was left to run
	Created    time.Time `json:"created"`
}

// clusterName is the file that holds it, see [Sandbox.Runtime].
const clusterName = "cluster.json"

// ClusterFile is where it is kept.
func (s *Sandbox) ClusterFile() string { return s.runtime(clusterName) }

// Replicas is how many replicas of the booking app a new sandbox runs.
const Replicas = 3

// Book is one replica of the booking app: it serves requests on l and writes bookings, as
// [Sandbox.Write] does, until ctx ends. What it has acknowledged is committed: at the end
// it lets requests and its current booking finish.
func (s *Sandbox) Book(ctx context.Context, l net.Listener, pod string) error {
	app := &booking{s: s, pod: pod}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", app.health)
	mux.HandleFunc("GET /appointments", app.appointments)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	err := s.write(ctx, Replicas, app.tried)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(end))
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// booking answers the requests of one replica.
type booking struct {
	s   *Sandbox
	pod string

	mu    sync.Mutex // guards what follows
	wrote time.Time
	last  error // of the newest attempt to book
}

func (b *booking) tried(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last = err; err == nil {
		b.wrote = time.Now()
	}
}

// health says whether this replica can work: it reads the database now, and its last
// booking went well.
func (b *booking) health(w http.ResponseWriter, r *http.Request) {
	var version, newest int
	err := b.query(r.Context(), func(ctx context.Context, db querier) error {
		rows, err := db.QueryContext(ctx, "SELECT (SELECT user_version FROM pragma_user_version), (SELECT max(id) FROM appointments)")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(&version, &newest); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	b.mu.Lock()
	last, wrote := b.last, b.wrote
	b.mu.Unlock()
	switch {
	case err != nil:
		err = fmt.Errorf("the database cannot be read: %w", err)
	case version != userVersion:
		err = fmt.Errorf("the database has schema version %d, this app knows %d", version, userVersion)
	case last != nil:
		err = fmt.Errorf("the last booking failed: %w", last)
	case wrote.IsZero():
		err = errors.New("starting")
	}
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "failing", "reason": err.Error(), "pod": b.pod})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": "ok", "pod": b.pod, "newest_appointment": newest})
}

// appointments lists the newest appointments, of one day with ?date=2026-11-20.
func (b *booking) appointments(w http.ResponseWriter, r *http.Request) {
	type appointment struct {
		ID     int64  `json:"id"`
		Starts string `json:"starts_at"`
		Status string `json:"status"`
	}
	limit, date := 20, r.FormValue("date")
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			answer(w, http.StatusBadRequest, map[string]any{"error": "limit is a number from 1 to 1000"})
			return
		}
		limit = n
	}
	if _, err := time.Parse(time.DateOnly, date); date != "" && err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "date is written 2026-11-20"})
		return
	}
	list := []appointment{}
	err := b.query(r.Context(), func(ctx context.Context, db querier) error {
		rows, err := db.QueryContext(ctx, "SELECT id, starts_at, status FROM appointments WHERE ? = '' OR date(starts_at) = ? ORDER BY id DESC LIMIT ?", date, date, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a appointment
			if err := rows.Scan(&a.ID, &a.Starts, &a.Status); err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	if err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]any{"error": "the database cannot be read: " + err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"pod": b.pod, "appointments": list})
}

// query reads from the file that lies in place now.
func (b *booking) query(ctx context.Context, do func(ctx context.Context, db querier) error) error {
	db, err := openDatabase(b.s.Database(), "ro")
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, db), db.Close())
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked is gone then
}
