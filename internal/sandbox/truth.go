package sandbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
)

// truth is what the oracle knows of a sandbox before it was broken, and of the
// breakage. It is written before the damage is done.
type truth struct {
	Breakage string            `json:"breakage,omitempty"` // empty: that of the making
	Origin   map[string]string `json:"origin"`             // ref -> object id, in the shared repository
	Clone    map[string]string `json:"clone"`              // the same of the working clone, refs/remotes left out
	Head     string            `json:"head"`               // branch that the clone had checked out: "refs/heads/main"
	Local    []string          `json:"local"`              // commits of branches of the clone that nobody else has
	Stash    []string          `json:"stash,omitempty"`    // entries of the stash of the clone, the newest first
	Files    map[string]string `json:"files"`              // work in progress, untracked and env files -> SHA-256
	Rows     map[string]table  `json:"rows"`
	Guards   guards            `json:"guards,omitempty"` // what protects branches at the forge

	Good    string   `json:"good,omitempty"`    // force-push: where main was
	Bad     string   `json:"bad,omitempty"`     // force-push: where it is now
	Lost    []string `json:"lost,omitempty"`    // force-push: commits that the push dropped
	Foreign []string `json:"foreign,omitempty"` // force-push: commits that it brought
	Damaged []string `json:"damaged,omitempty"` // corrupt-object: files in the clone

	Ours   string              `json:"ours,omitempty"`   // merge-conflict: the developer's commit
	Theirs string              `json:"theirs,omitempty"` // merge-conflict: the colleague's
	Wrong  string              `json:"wrong,omitempty"`  // bad-config, broken-workflow: the commit that did it
	After  string              `json:"after,omitempty"`  // the same: the good one on top of it
	Path   string              `json:"path,omitempty"`   // the file it is about
	Want   string              `json:"want,omitempty"`   // bad-config: SHA-256 of that file when it is mended
	Host   map[string]hostFile `json:"host"`             // env files and infrastructure, by their path below the server
	Leak   *leak               `json:"leak,omitempty"`   // leaked-secret
	Data   *dataTruth          `json:"data,omitempty"`   // breakages of the database
}

// table is what must still be in a table: all rows up to an id, in the columns that
// the app never changes.
type table struct {
	Last int64  `json:"last"`
	Rows int64  `json:"rows"`
	Hash string `json:"hash"` // SHA-256 over those columns, by id
}

const (
	madeName   = "made.json"
	brokenName = "broken.json"
	doneName   = "broken.done" // the damage is complete
)

// constant lists the columns that the live writer leaves alone.
var constant = map[string]string{
	"customers":    "id, name, email, phone, created_at",
	"staff":        "id, name, email, role, active",
	"services":     "id, name, minutes, price_cents",
	"appointments": "id, customer_id, staff_id, service_id, starts_at, created_at",
	"payments":     "id, appointment_id, amount_cents, method, reference, paid_at",
}

// look reads the state that a recovery has to bring back.
func (s *Sandbox) look(ctx context.Context) (truth, error) {
	var t truth
	var err error
	origin, clone := repo{dir: s.Origin()}, repo{dir: s.Clone()}
	if t.Origin, err = refs(ctx, origin); err != nil {
		return t, fmt.Errorf("read the origin: %w", err)
	}
	if t.Clone, err = refs(ctx, clone); err != nil {
		return t, fmt.Errorf("read the clone: %w", err)
	}
	maps.DeleteFunc(t.Clone, func(ref, _ string) bool { return strings.HasPrefix(ref, "refs/remotes/") })
	if t.Head, err = clone.out(ctx, "symbolic-ref", "HEAD"); err != nil {
		return t, fmt.Errorf("read the clone: %w", err)
	}
	if t.Local, err = clone.list(ctx, "rev-list", "--branches", "--not", "--remotes"); err != nil {
		return t, fmt.Errorf("read the clone: %w", err)
	}
	if t.Stash, err = stashed(ctx, clone, t.Clone); err != nil {
		return t, fmt.Errorf("read the clone: %w", err)
	}
	if t.Files, err = ownFiles(ctx, clone); err != nil {
		return t, fmt.Errorf("read the clone: %w", err)
	}
	if t.Host, err = s.lookHost(); err != nil {
		return t, fmt.Errorf("read the server: %w", err)
	}
	if t.Guards, err = readGuards(s.Forge()); err != nil {
		return t, fmt.Errorf("read the forge: %w", err)
	}
	db, err := openDatabase(s.Database(), "ro")
	if err != nil {
		return t, fmt.Errorf("read the database: %w", err)
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil) // one snapshot, whatever the app writes meanwhile
	if err != nil {
		return t, fmt.Errorf("read the database: %w", err)
	}
	defer tx.Rollback()
	t.Rows = map[string]table{}
	for name := range constant {
		var last sql.NullInt64
		if err := tx.QueryRowContext(ctx, "SELECT max(id) FROM "+name).Scan(&last); err != nil {
			return t, fmt.Errorf("read the database: %w", err)
		}
		if t.Rows[name], err = readTable(ctx, tx, name, last.Int64); err != nil {
			return t, fmt.Errorf("read the database: %w", err)
		}
	}
	return t, nil
}

// refs lists all refs of a repository with the object each names itself.
func refs(ctx context.Context, r repo) (map[string]string, error) {
	lines, err := r.list(ctx, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, line := range lines {
		id, ref, _ := strings.Cut(line, " ")
		out[ref] = id
	}
	return out, nil
}

// stashed lists the entries of the stash, of which only the newest is a ref.
func stashed(ctx context.Context, r repo, refs map[string]string) ([]string, error) {
	if refs["refs/stash"] == "" {
		return nil, nil
	}
	return r.list(ctx, "rev-list", "--walk-reflogs", "refs/stash")
}

// ownFiles lists what a fresh clone would not have: changed, new and ignored files.
func ownFiles(ctx context.Context, r repo) (map[string]string, error) {
	names := map[string]bool{}
	for _, args := range [][]string{
		{"diff", "--name-only", "--diff-filter=d", "-z", "HEAD"},
		{"ls-files", "-z", "--others"},
	} {
		text, err := r.out(ctx, args...)
		if err != nil {
			return nil, err
		}
		for name := range strings.SplitSeq(text, "\x00") {
			if name != "" {
				names[name] = true
			}
		}
	}
	out := map[string]string{}
	for name := range names {
		sum, err := hashFile(filepath.Join(r.dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		out[name] = sum
	}
	return out, nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readTable hashes the rows up to an id.
func readTable(ctx context.Context, db querier, name string, last int64) (table, error) {
	return readRows(ctx, db, name, last, "id <= ?", last)
}

// readRows hashes the rows that a condition holds for.
func readRows(ctx context.Context, db querier, name string, last int64, where string, args ...any) (table, error) {
	found := table{Last: last}
	columns := strings.Split(constant[name], ", ")
	// One text per row costs a third of scanning each column.
	query := "SELECT " + strings.Join(columns, " || char(31) || ") + " FROM " + name + " WHERE " + where + " ORDER BY id"
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	h := sha256.New()
	var row sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&row); err != nil {
			return found, err
		}
		h.Write(row)
		h.Write([]byte{'\n'})
		found.Rows++
	}
	found.Hash = hex.EncodeToString(h.Sum(nil))
	return found, rows.Err()
}

// store writes a truth, once: an existing one is an error that wraps [fs.ErrExist].
func (s *Sandbox) store(name string, t truth) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return durable.Create(s.truth(name), append(text, '\n'), 0o600)
}

// known reads the newest truth.
func (s *Sandbox) known() (truth, error) {
	var t truth
	text, err := os.ReadFile(s.truth(brokenName))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(s.truth(madeName))
	} else if _, derr := os.Lstat(s.truth(doneName)); err == nil && derr != nil {
		return t, hint.New("the breakage was interrupted half-way: nobody can say what is recovered", "Reset the sandbox.")
	}
	if err != nil {
		return t, fmt.Errorf("read the truth: %w", err)
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("read the truth: %w", err)
	}
	return t, nil
}

// Broken tells which breakage the sandbox has suffered, "" for none.
func (s *Sandbox) Broken() (string, error) {
	t, err := s.known()
	return t.Breakage, err
}

// only lists the keys of m in order that keep holds for.
func only[V any](m map[string]V, keep func(key string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(k string) bool { return !keep(k) })
}
