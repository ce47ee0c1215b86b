package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level is how much a verification proves. Each level includes those before it.
type Level string

const (
	LevelStored   Level = "stored"   // every object is there with its size
	LevelChecked  Level = "checked"  // the bytes are the recorded ones and their structure is sound
	LevelApplied  Level = "applied"  // a replica made of them equals what was backed up
	LevelRestored Level = "restored" // so does one made by restore.sh and stock tools, and every check there is passes
)

// Levels in order.
var levels = []Level{LevelStored, LevelChecked, LevelApplied, LevelRestored}

// Levels lists the levels, weakest first.
func Levels() []Level { return slices.Clone(levels) }

// Covers says whether a pass at l proves at least what one at other does.
func (l Level) Covers(other Level) bool {
	return slices.Index(levels, l) >= slices.Index(levels, other)
}

// ReceiptFormat is the form of receipts.
const ReceiptFormat = "lifeboat.receipt/1"

// Receipt is the record of one verification of one point. It is written once.
type Receipt struct {
	Format   string    `json:"format"`
	Asset    string    `json:"asset"`
	Point    string    `json:"point"`
	Manifest string    `json:"manifest_sha256"`
	Level    Level     `json:"level"`
	Pass     bool      `json:"pass"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Took     float64   `json:"took_s"`          // for level restored: the measured RTO, in seconds
	Bytes    int64     `json:"bytes"`           // downloaded
	Read     []Proof   `json:"read,omitempty"`  // objects read and found as recorded
	Known    []Proof   `json:"known,omitempty"` // proven by earlier receipts, not read again
	Way      string    `json:"way,omitempty"`   // for level restored: "restore.sh", or why not
	Evidence []string  `json:"evidence,omitempty"`
	Error    string    `json:"error,omitempty"`
	Tool     Tool      `json:"tool"`
	Host     string    `json:"host,omitempty"`
	RunID    string    `json:"run_id,omitempty"`
	Sig      *Sig      `json:"sig,omitempty"`
}

// Standing says what the receipts of a point, oldest first, add up to: the strongest level
// that was proven, "" for none, and whether a failure stands. A failure stands, and takes
// back what was proven before it, until a pass at its level or a stronger one.
func Standing(receipts []Receipt) (proven Level, failed bool) {
	names := make([]receiptName, len(receipts))
	for i, r := range receipts {
		names[i] = receiptName{level: r.Level, pass: r.Pass}
	}
	proven, failure := standing(names)
	return proven, failure != nil
}

// standing is Standing by names, and gives the failure that stands.
func standing(names []receiptName) (proven Level, failure *receiptName) {
	for i, n := range names {
		switch {
		case !n.pass:
			if failure == nil || n.level.Covers(failure.level) {
				failure = &names[i]
			}
			proven = ""
		case failure != nil && !n.level.Covers(failure.level):
		case failure != nil || proven == "" || n.level.Covers(proven):
			proven, failure = n.level, nil
		}
	}
	return proven, failure
}

// Proof names one object and its stored bytes.
type Proof struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
}

type receiptName struct {
	name, stamp string
	level       Level
	pass        bool
}

// parseReceiptName reads <ts>-<level>-<pass|fail>.json.
func parseReceiptName(name string) (receiptName, bool) {
	parts := strings.Split(strings.TrimSuffix(name, ".json"), "-")
	if !strings.HasSuffix(name, ".json") || len(parts) != 3 || parts[2] != "pass" && parts[2] != "fail" {
		return receiptName{}, false
	}
	r := receiptName{name: name, stamp: parts[0], level: Level(parts[1]), pass: parts[2] == "pass"}
	_, err := time.Parse(stampLayout, r.stamp)
	return r, err == nil && slices.Contains(levels, r.level)
}

// receiptNames lists the receipts of a point, oldest first.
func (v *Vault) receiptNames(ctx context.Context, asset, point string) ([]receiptName, error) {
	names, err := v.store.list(ctx, receiptsPrefix(asset, point))
	if err != nil {
		return nil, fmt.Errorf("list the receipts of point %s: %w", point, err)
	}
	var out []receiptName
	for _, n := range names {
		if r, ok := parseReceiptName(n); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// Receipts reads the receipts of a point, oldest first. A receipt that cannot be used is
// left out and named by the error.
func (v *Vault) Receipts(ctx context.Context, asset, point string) ([]Receipt, error) {
	if !assetForm.MatchString(asset) || !pointForm.MatchString(point) {
		return nil, fmt.Errorf("there is no point %q of %q", point, asset)
	}
	names, err := v.receiptNames(ctx, asset, point)
	if err != nil {
		return nil, err
	}
	all := make([]Receipt, len(names))
	bad := make([]error, len(names))
	err = each(ctx, len(names), func(ctx context.Context, i int) error {
		all[i], bad[i] = v.receipt(ctx, asset, point, names[i])
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r Receipt) bool { return r.Point == "" }), errors.Join(bad...)
}

func (v *Vault) receipt(ctx context.Context, asset, point string, n receiptName) (Receipt, error) {
	key := receiptsPrefix(asset, point) + n.name
	raw, err := v.small(ctx, key)
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt %q: %w", key, err)
	}
	r, err := parseReceipt(raw, asset, point, n)
	if err == nil {
		err = checkSignature(raw, r.Sig, v.o.Trust)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt %q: %w", key, err)
	}
	return r, nil
}

// parseReceipt reads a receipt, which is hostile.
func parseReceipt(raw []byte, asset, point string, n receiptName) (Receipt, error) {
	if err := wellFormed(raw, "lifeboat.receipt/"); err != nil {
		return Receipt{}, err
	}
	var r Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if r.Asset != asset || r.Point != point || r.Level != n.level || r.Pass != n.pass {
		return Receipt{}, fmt.Errorf("%w: its content is not what its name says", ErrDamaged)
	}
	if r.Took < 0 || r.Bytes < 0 || r.Started.Year() < 2000 {
		return Receipt{}, fmt.Errorf("%w: numbers that are not sane", ErrDamaged)
	}
	return r, nil
}

// record writes a receipt, named after all that the point has, whatever the clock says: the
// order of names is what decides whether a failure stands, and a pass of a machine whose
// clock is ahead must not outlive the failure that comes after it. Two of the same
// millisecond get different names.
func (v *Vault) record(ctx context.Context, r *Receipt) error {
	var err error
	if r.Sig, err = sign(r, v.o.Sign); err != nil {
		return fmt.Errorf("sign the receipt: %w", err)
	}
	raw, err := encode(r)
	if err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	verdict := "fail"
	if r.Pass {
		verdict = "pass"
	}
	names, err := v.receiptNames(ctx, r.Asset, r.Point)
	if err != nil {
		return err
	}
	at := r.Finished
	if n := len(names); n > 0 {
		if last, err := time.Parse(stampLayout, names[n-1].stamp); err == nil && !at.After(last) {
			at = last.Add(time.Millisecond)
		}
	}
	for range 10 {
		key := fmt.Sprintf("%s%s-%s-%s.json", receiptsPrefix(r.Asset, r.Point), stamp(at), r.Level, verdict)
		err = v.putSmall(ctx, key, putOptions{contentType: "application/json"}, raw)
		if !errors.Is(err, errExists) {
			return err
		}
		at = at.Add(time.Millisecond)
	}
	return err
}

// proven collects which objects of m earlier receipts have proven at LevelChecked or
// better, by key. A later failure of a point takes its proofs back, and while one stands
// nothing is proven at all: the clocks of two machines do not tell which came later.
// Receipts that cannot be read prove nothing.
func (v *Vault) proven(ctx context.Context, m Manifest) (map[string]string, error) {
	ids := related(m)
	lists := make([][]Receipt, len(ids))
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		rs, err := v.Receipts(ctx, m.Asset, ids[i])
		if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUntrusted) || errors.Is(err, ErrNewer) {
			err = nil
		}
		lists[i] = rs
		return err
	})
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(lists, func(rs []Receipt) bool { _, failed := Standing(rs); return failed }) {
		return nil, nil
	}
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Receipt) int { return a.Finished.Compare(b.Finished) })
	known := map[string]string{}
	for _, r := range all {
		switch {
		case !r.Pass:
			clear(known) // what was damaged once is read again
		case r.Level.Covers(LevelChecked):
			for _, p := range slices.Concat(r.Read, r.Known) {
				known[p.Key] = p.SHA256
			}
		}
	}
	return known, nil
}
