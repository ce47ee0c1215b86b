package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"lifeboat/internal/hint"
)

// Severities of findings.
const (
	FindingOK      = "ok"
	FindingWarning = "warning" // the backups are worth less than they could be
	FindingProblem = "problem" // backups or restores will fail, or are not protected as was asked for
)

// Finding is one thing that Doctor has looked at.
type Finding struct {
	Code     string `json:"code"` // what was looked at: "write", "lock", …
	Severity string `json:"severity"`
	Text     string `json:"text"`
	Advice   string `json:"advice,omitempty"`
}

// maxSkew is how far the clocks of host and bucket may differ: the providers refuse
// requests at five to fifteen minutes.
const maxSkew = time.Minute

// Doctor looks at what the bucket really does, whatever it was configured to: whether it
// can be listed, read and written, refuses to overwrite, keeps versions and locks objects,
// and whether its clock is ours. It writes one small object below v1/doctor/, and asks for
// it a second time; it removes nothing, since with credentials that may not delete
// everything else works, so a later prune removes it. What is wrong with the
// bucket is a finding, not an error; the error is that of ctx.
func (v *Vault) Doctor(ctx context.Context) ([]Finding, error) {
	d := &doctor{v: v}
	d.list(ctx)
	if key, ok := d.write(ctx); ok {
		d.createOnce(ctx, key)
		d.read(ctx, key)
		d.shown(ctx, key)
	}
	switch s := v.store.(type) {
	case *cloud:
		d.bucket(ctx, s)
	case *folder:
		d.folder(s)
	}
	d.keys(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("examine %s: %w", v, context.Cause(ctx))
	}
	return d.findings, nil
}

type doctor struct {
	v        *Vault
	text     string // of the probe
	findings []Finding
	before   time.Time // the probe was written between the two
	after    time.Time
}

func (d *doctor) say(code, severity, advice, format string, args ...any) {
	d.findings = append(d.findings, Finding{code, severity, fmt.Sprintf(format, args...), advice})
}

// advised is the advice that an error carries, or another.
func advised(err error, other string) string {
	if all := hint.All(err); len(all) > 0 {
		return strings.Join(all, "; ")
	}
	return other
}

func (d *doctor) list(ctx context.Context) {
	assets, err := d.v.Assets(ctx)
	if err != nil {
		d.say("list", FindingProblem, advised(err, "the credentials must be allowed to list the bucket"), "the vault cannot be listed: %v", err)
		return
	}
	d.say("list", FindingOK, "", "the vault can be listed; it holds %d assets", len(assets))
}

// write makes the probe. Where objects are to be locked it is, for a minute, so that a
// bucket that takes no locks says so here and not at night.
func (d *doctor) write(ctx context.Context) (key string, ok bool) {
	d.before = d.v.o.Now()
	id, err := ulid.New(ulid.Timestamp(d.before), rand.Reader)
	if err != nil {
		d.say("write", FindingProblem, "", "no name could be made: %v", err)
		return "", false
	}
	key = doctorPrefix + id.String()
	d.text = "Lifeboat looked here whether it can write, at " + stamp(d.before) + ".\n"
	o := putOptions{contentType: "text/plain; charset=utf-8"}
	if d.v.locking() {
		o.retain = wholeSecond(d.before.Add(time.Minute))
		err = d.v.putSmall(ctx, key, o, []byte(d.text))
		if err == nil {
			d.after = d.v.o.Now()
			d.say("write", FindingOK, "", "the vault can be written, with a lock on the object")
			return key, true
		}
		o.retain = time.Time{}
		if plain := d.v.putSmall(ctx, key, o, []byte(d.text)); plain == nil {
			d.after = d.v.o.Now()
			d.say("object-lock", FindingProblem, "make a bucket with object lock, or take the lock out of the retention: until then every backup fails",
				"the bucket can be written, but takes no lock on an object: %v", err)
			return key, true
		}
	} else if err = d.v.putSmall(ctx, key, o, []byte(d.text)); err == nil {
		d.after = d.v.o.Now()
		d.say("write", FindingOK, "", "the vault can be written")
		return key, true
	}
	d.say("write", FindingProblem, advised(err, "restores work; for backups the credentials must be allowed to create objects"), "the vault cannot be written: %v", err)
	return "", false
}

// createOnce writes the probe again, with other bytes.
func (d *doctor) createOnce(ctx context.Context, key string) {
	err := d.v.putOnce(ctx, key, putOptions{contentType: "text/plain; charset=utf-8"}, []byte("written over\n"))
	switch {
	case errors.Is(err, errExists), errors.Is(err, errBusy):
		d.say("create-once", FindingOK, "", "the bucket refuses to write over an object")
	case err == nil:
		d.text = "written over\n"
		d.say("create-once", FindingWarning, "the names of backups never repeat, so they are safe from each other; use a bucket that honours If-None-Match, or object lock, against everybody else",
			"the bucket ignores the condition that an object must not exist yet, and writes over it")
	default:
		d.say("create-once", FindingWarning, "", "whether the bucket writes over an object is not known: %v", err)
	}
}

func (d *doctor) read(ctx context.Context, key string) {
	r, err := d.v.store.get(ctx, key)
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(io.LimitReader(r, 1<<10))
		err = errors.Join(err, r.Close())
	}
	switch {
	case err != nil:
		d.say("read", FindingProblem, advised(err, "the credentials must be allowed to read objects"), "what was written cannot be read: %v", err)
	case string(raw) != d.text:
		d.say("read", FindingProblem, "verify the newest backups of each asset at once", "what is read is not what was written")
	default:
		d.say("read", FindingOK, "", "what was written can be read")
	}
}

// shown looks for the probe in a listing, and at the clock of the bucket.
func (d *doctor) shown(ctx context.Context, key string) {
	var found stored
	err := d.v.store.scan(ctx, doctorPrefix, key, func(o stored) error {
		if o.key == key {
			found = o
		}
		return nil
	})
	switch {
	case err != nil:
		d.say("listing", FindingProblem, "", "what was written cannot be listed: %v", err)
		return
	case found.key == "":
		d.say("listing", FindingWarning, "restores look again; the catalogue may lag behind", "the listing does not show yet what was written")
		return
	}
	d.say("listing", FindingOK, "", "the listing shows what was written")
	if found.modified.IsZero() {
		return
	}
	skew := found.modified.Sub(d.before)
	if found.modified.After(d.before) {
		skew = max(0, found.modified.Sub(d.after))
	}
	if skew.Abs() > maxSkew {
		d.say("clock", FindingProblem, "set both clocks by NTP: names, locks and retention follow them", "the clock of the bucket differs from that of this host by %s", skew.Round(time.Second))
		return
	}
	d.say("clock", FindingOK, "", "the clocks of bucket and host agree")
}

// enforced is what a bucket says of itself.
type enforced struct {
	versions    bool
	locking     bool          // objects can be locked
	lockDefault time.Duration // every object is locked for so long
	lockMode    string
	policy      bool // objects are held, for how long it does not say
}

func (d *doctor) bucket(ctx context.Context, c *cloud) {
	e, known, err := c.enforced(ctx)
	if !known {
		return
	}
	want := d.v.o.Lock.For
	if err != nil {
		severity := FindingWarning
		if want > 0 {
			severity = FindingProblem
		}
		d.say("protection", severity, "allow the credentials to read the settings of the bucket, or look yourself", "whether the bucket keeps versions and locks objects is not known: %v", err)
		return
	}
	if e.versions {
		d.say("versioning", FindingOK, "", "the bucket keeps versions; a rule of its own must remove those that are no longer current")
	} else {
		d.say("versioning", FindingWarning, "turn versioning on", "the bucket keeps no versions: what is deleted or written over is gone")
	}
	switch {
	case want > 0 && c.locks() && !e.locking:
		d.say("lock", FindingProblem, "make a bucket with object lock: most providers allow it only when a bucket is made", "locks of %s are configured, and the bucket cannot lock objects", want)
	case e.policy:
		d.say("lock", FindingWarning, "compare its period with the retention in the account's own tools", "the container has an immutability policy or a legal hold; for how long it does not tell")
	case want > 0 && !c.locks() && e.lockDefault < want:
		d.say("lock", FindingProblem, "set the retention of the container itself: this kind of bucket takes no lock for each object", "locks of %s are configured, the bucket itself holds every object for %s", want, e.lockDefault)
	case want > 0 && c.locks():
		d.say("lock", FindingOK, "", "each object is locked when it is written, for %s and more", want)
	case e.lockDefault > 0:
		d.say("lock", FindingOK, "", "the bucket holds every object for %s (%s)", e.lockDefault, e.lockMode)
	default:
		d.say("lock", FindingWarning, "use a bucket with object lock and set retention.lock, or credentials that may not delete", "nothing is locked: whoever has credentials that may delete can delete every backup")
	}
	if want > 0 && e.lockDefault > 0 && e.lockDefault < want {
		d.say("lock-default", FindingWarning, "", "the bucket's own retention of %s is shorter than the configured %s; it counts for receipts and tombstones", e.lockDefault, want)
	}
}

// keys looks at what opens the backups.
func (d *doctor) keys(ctx context.Context) {
	if s := d.v.o.Crypt.Scheme; s == "" || s == "none" {
		return
	}
	keys, err := d.v.Keys(ctx)
	if err != nil {
		d.say("keys", FindingProblem, advised(err, ""), "the keys cannot be listed: %v", err)
		return
	}
	breakGlass := false
	for _, k := range keys {
		if k.Role != roleBreakGlass || !k.Active {
			continue
		}
		breakGlass = true
		if k.Tested.IsZero() {
			d.say("break-glass", FindingWarning, "fetch it from its safe and try it: lifeboat vault keys test FILE", "nobody has tried yet whether the break-glass key %s opens a backup", k.ID)
		} else {
			d.say("break-glass", FindingOK, "", "the break-glass key %s opened a backup at %s", k.ID, k.Tested.UTC().Format(time.RFC3339))
		}
	}
	if !breakGlass && len(keys) > 0 && d.v.o.Crypt.Scheme == schemeAge {
		d.say("break-glass", FindingWarning, "make one with age-keygen on a machine that is offline, and name its recipient under encryption.break_glass", "there is no break-glass key: who loses the key loses the backups")
	}
}
