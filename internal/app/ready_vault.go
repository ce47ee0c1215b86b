package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/vault"
)

const (
	// patience is how long a bucket may take for its first answer.
	patience = 10 * time.Second
	// reading is how long the whole of what is new may take; a first look at a large vault
	// reads every manifest.
	reading = 10 * time.Minute
)

// vaultFacts is what was last read from the vault of an estate, kept beside the journal so
// that a board can be drawn before the bucket has answered. A crash while it is written
// leaves the older one; one that is lost or damaged is read again from the bucket.
type vaultFacts struct {
	Format  string                `json:"format"`
	Vault   string                `json:"vault"`
	Checked time.Time             `json:"checked,omitzero"` // zero: never
	Assets  map[string]assetFacts `json:"assets,omitempty"` // by id
}

// assetFacts are those of one asset.
type assetFacts struct {
	Points   []estate.PointProof           `json:"points,omitempty"`
	Restores map[string]estate.RestoreTime `json:"restores,omitempty"` // by point, the fastest of each
}

const (
	factsFormat  = "lifeboat.readiness/1"
	restoresKept = 3 // points whose restores are read
)

func (w *world) factsFile() string {
	sum := sha256.Sum256([]byte(w.estate.File + "\x00" + w.estate.Vault))
	return filepath.Join(w.state, "readiness-"+hex.EncodeToString(sum[:6])+".json")
}

// knownFacts are those of the last look, empty when there was none.
func (w *world) knownFacts() vaultFacts {
	var f vaultFacts
	raw, err := os.ReadFile(w.factsFile())
	if err != nil || json.Unmarshal(raw, &f) != nil || f.Format != factsFormat || f.Vault != w.estate.Vault {
		return vaultFacts{Format: factsFormat, Vault: w.estate.Vault}
	}
	return f
}

// readFacts asks the vault. A bucket that says nothing within its patience is an error, also
// one on a file system that hangs: then a goroutine is left behind until it stops hanging.
func (w *world) readFacts(ctx context.Context) (vaultFacts, error) {
	if !w.reading.CompareAndSwap(false, true) {
		return vaultFacts{}, hint.New("it was asked before, and has not answered yet", "look at the network and at the credentials; lifeboat vault doctor says more")
	}
	ids := w.vaultIDs() // here, because a sandbox may be made anew meanwhile
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	type result struct {
		facts vaultFacts
		err   error
	}
	first, done := make(chan struct{}, 1), make(chan result, 1)
	go func() {
		defer w.reading.Store(false)
		facts, err := w.gatherFacts(ctx, ids, first)
		done <- result{facts, err}
	}()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	for {
		select {
		case <-first:
			slow.Stop()
			first = nil
		case r := <-done:
			return r.facts, r.err
		case <-slow.C:
			return vaultFacts{}, hint.New(fmt.Sprintf("no answer within %s", estate.Long(patience)), "look at the network and at the credentials; lifeboat vault doctor says more")
		case <-ctx.Done():
			return vaultFacts{}, fmt.Errorf("read the vault: %w", context.Cause(ctx))
		}
	}
}

// vaultIDs are the assets of the estate as the vault knows them. What nothing understands
// is left out, and has its own verdict.
func (w *world) vaultIDs() []string {
	var ids []string
	for _, a := range w.estate.Assets {
		if p, err := w.protected(a.Name, ""); err == nil {
			ids = append(ids, vault.AssetID(p.Asset))
		}
	}
	return ids
}

// gatherFacts tells first when the bucket has answered at all.
func (w *world) gatherFacts(ctx context.Context, ids []string, first chan<- struct{}) (vaultFacts, error) {
	v, err := w.vaults.get(ctx)
	if err != nil {
		return vaultFacts{}, err
	}
	if _, err := v.Assets(ctx); err != nil {
		return vaultFacts{}, err
	}
	first <- struct{}{}
	c, err := w.catalogue(v)
	if err != nil {
		return vaultFacts{}, err
	}
	old := w.knownFacts()
	f := vaultFacts{Format: factsFormat, Vault: w.estate.Vault, Checked: w.env.now().UTC(), Assets: map[string]assetFacts{}}
	if err := c.Refresh(ctx, v); err != nil {
		return vaultFacts{}, err
	}
	for _, id := range ids {
		entries := c.Entries(id)
		restores, err := readRestores(ctx, v, id, entries, old.Assets[id].Restores)
		if err != nil {
			return vaultFacts{}, err
		}
		f.Assets[id] = assetFacts{Points: proofs(entries, f.Checked), Restores: restores}
	}
	raw, err := json.Marshal(f)
	if err == nil {
		err = durable.WriteFile(w.factsFile(), raw, 0o600)
	}
	if err != nil {
		return vaultFacts{}, fmt.Errorf("keep what the vault said: %w", err)
	}
	return f, nil
}

// proofs picks the few points that a verdict can depend on: the newest one, the newest one
// that is verified, and one that is dated ahead.
func proofs(entries []vault.Entry, now time.Time) []estate.PointProof {
	var newest, verified, ahead estate.PointProof
	for _, e := range entries {
		p := estate.PointProof{
			Point: e.Point, Cut: e.Cut, Proven: string(e.Level), Failed: e.Failed || e.Problem != "",
			Verified: e.Problem == "" && e.Level != "" && e.Level.Covers(vault.LevelChecked),
		}
		if p.Cut.After(now.Add(estate.Skew)) {
			ahead = p
			continue
		}
		if newest.Point == "" || p.Cut.After(newest.Cut) {
			newest = p
		}
		if p.Verified && !p.Failed && (verified.Point == "" || p.Cut.After(verified.Cut)) {
			verified = p
		}
	}
	var out []estate.PointProof
	for _, p := range []estate.PointProof{newest, verified, ahead} {
		if p.Point != "" && (len(out) == 0 || out[0].Point != p.Point) {
			out = append(out, p)
		}
	}
	return out
}

// readRestores reads how long the newest points took to restore. Of points that were read
// before only the newest is read again: a later verification may have been faster.
func readRestores(ctx context.Context, v *vault.Vault, id string, entries []vault.Entry, known map[string]estate.RestoreTime) (map[string]estate.RestoreTime, error) {
	out := map[string]estate.RestoreTime{}
	for _, e := range entries { // newest first
		if e.Level != vault.LevelRestored || e.Failed || e.Problem != "" {
			continue
		}
		if len(out) == restoresKept {
			break
		}
		if t, ok := known[e.Point]; ok && len(out) > 0 {
			out[e.Point] = t
			continue
		}
		list, err := v.Receipts(ctx, id, e.Point)
		if err != nil && !vault.Unusable(err) {
			return nil, err
		}
		for _, r := range list {
			took := time.Duration(r.Took * float64(time.Second))
			if best, ok := out[e.Point]; r.Level == vault.LevelRestored && r.Pass && (!ok || took < best.Took) {
				out[e.Point] = estate.RestoreTime{At: r.Finished, Took: took, How: "verification"}
			}
		}
	}
	return out, nil
}

// unread says why a vault could not be read, and what to do.
func unread(err error) (why string, advice []string) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = hint.Wrap(errors.New("it takes too long"), "lifeboat vault rebuild reads it all, and says how far it is")
	}
	return err.Error(), hint.All(err)
}
