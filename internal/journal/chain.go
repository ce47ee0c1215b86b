package journal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/durable"
	"lifeboat/internal/hint"
	"lifeboat/internal/run"
)

const (
	linkDomain  = "lifeboat/journal/v1\x00"
	chainDomain = "lifeboat/journal/all/v1\x00"
)

// linkOf is the hash of a run up to an event:
//
//	leaf = SHA-256(0x00 || bytes)                                       (RFC 6962)
//	link = SHA-256(domain || run || u64(seq) || link before || leaf)
//
// The first link follows nothing. A run has no zero byte and every part behind it has a
// fixed length, so two different inputs are never the same bytes.
func linkOf(id run.ID, seq int64, before, data []byte) []byte {
	leaf := sha256.New()
	leaf.Write([]byte{0})
	leaf.Write(data)
	h := sha256.New()
	h.Write([]byte(linkDomain))
	h.Write([]byte(id))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	h.Write(before)
	h.Write(leaf.Sum(nil))
	return h.Sum(nil)
}

// chainOf is the hash of everything up to the n-th append:
//
//	chain = SHA-256(domain || u64(n) || run || u64(seq) || chain before || link)
func chainOf(n int64, id run.ID, seq int64, before, link []byte) []byte {
	h := sha256.New()
	h.Write([]byte(chainDomain))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	h.Write([]byte(id))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	h.Write(before)
	h.Write(link)
	return h.Sum(nil)
}

// head is how much a journal has: the number of appends and the hash over them.
type head struct {
	id    string
	count int64
	chain []byte
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func readHead(ctx context.Context, db querier) (head, error) {
	var h head
	err := db.QueryRowContext(ctx, "SELECT id, n, chain FROM head").Scan(&h.id, &h.count, &h.chain)
	if errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("%w: its head is missing", ErrCorrupt)
	}
	if err == nil && (len(h.chain) != sha256.Size || h.count < 0) {
		return h, fmt.Errorf("%w: its head is broken", ErrCorrupt)
	}
	return h, explain(err)
}

// witness is a head as it once was, kept in a file of its own beside the database. It is
// written durably at the ends of a run, before a destroying effect and at Close: more would
// cost two more fsyncs for each event.
type witness struct {
	Version int    `json:"v"`
	Journal string `json:"journal"`
	Count   int64  `json:"count"`
	Chain   string `json:"chain"` // hexadecimal
}

func witnessPath(journal string) string {
	return strings.TrimSuffix(journal, filepath.Ext(journal)) + ".head"
}

// readWitness gives nil when there is none.
func readWitness(journal string) (*witness, error) {
	data, err := os.ReadFile(witnessPath(journal))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var w witness
	if err == nil {
		err = json.Unmarshal(data, &w)
	}
	if err == nil && (w.Version != 1 || w.Count < 0 || len(w.Chain) != 64) {
		err = errors.New("it has an unknown form")
	}
	if err != nil {
		return nil, rolledBack(fmt.Errorf("%w: the witness %q cannot be read: %w", ErrCorrupt, witnessPath(journal), unwrapPath(err)))
	}
	return &w, nil
}

// writeWitness never goes back behind what another process has written.
func writeWitness(journal string, h head) error {
	old, err := readWitness(journal)
	if err != nil {
		return err
	}
	switch {
	case old != nil && old.Journal != h.id:
		return rolledBack(fmt.Errorf("%w: the witness has seen journal %s, this is journal %s", ErrRolledBack, brief(old.Journal), brief(h.id)))
	case old != nil && old.Count >= h.count:
		return nil
	}
	data, err := json.Marshal(witness{Version: 1, Journal: h.id, Count: h.count, Chain: hex.EncodeToString(h.chain)})
	if err == nil {
		err = durable.WriteFile(witnessPath(journal), append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the witness of the journal: %w", err)
	}
	return nil
}

// check compares a witness with a journal, which may only have grown since.
func (w *witness) check(ctx context.Context, db querier, h head) error {
	if w == nil {
		return nil
	}
	if w.Journal != h.id {
		return rolledBack(fmt.Errorf("%w: it is journal %s, the witness has seen journal %s", ErrRolledBack, brief(h.id), brief(w.Journal)))
	}
	if h.count < w.Count {
		return rolledBack(fmt.Errorf("%w: it has %d events, the witness has seen %d", ErrRolledBack, h.count, w.Count))
	}
	chain := make([]byte, sha256.Size)
	if w.Count > 0 {
		err := db.QueryRowContext(ctx, "SELECT chain FROM events WHERE n = ?", w.Count).Scan(&chain)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return explain(err)
		}
	}
	if hex.EncodeToString(chain) != w.Chain {
		return rolledBack(fmt.Errorf("%w: append %d is not the one that the witness has seen", ErrRolledBack, w.Count))
	}
	return nil
}

func brief(id string) string { return id[:min(8, len(id))] }

func rolledBack(err error) error {
	return hint.Wrap(err, "Put the newer journal.db back. If it is lost, keep both files as evidence and move journal.head away: "+
		"then Lifeboat goes on from what is there. Steps done since may be missing; look at the systems before you repeat any.")
}
