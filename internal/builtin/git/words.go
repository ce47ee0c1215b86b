package git

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/printable"
)

// relation is how two commits stand to each other, as a person asks: what does one lack,
// what has it of its own, where did they part, and which files differ.
type relation struct {
	behind, ahead []commit // what found lacks of want, and has beyond it
	base          commit   // where they part; the zero value when they share no history
	files         []string // that differ between the two, printable
}

// relate compares found with want, both seen by the desk.
func (k *desk) relate(ctx context.Context, found, want string) (r relation, err error) {
	if r.behind, err = k.between(ctx, found, want); err != nil {
		return r, err
	}
	if r.ahead, err = k.between(ctx, want, found); err != nil {
		return r, err
	}
	if base := k.mergeBase(ctx, found, want); base != "" {
		list, err := k.between(ctx, "", base, "--max-count=1")
		if err != nil {
			return r, err
		}
		if len(list) > 0 {
			r.base = list[0]
		}
	}
	out, err := k.output(ctx, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", found, want, "--")
	if err != nil {
		return r, fmt.Errorf("compare files: %w", err)
	}
	for name := range strings.SplitSeq(out, "\x00") {
		if name != "" {
			r.files = append(r.files, printable.Line(name))
		}
	}
	return r, nil
}

// words says it in a sentence. name is what is looked at, other what it is compared with.
func (r relation) words(now time.Time, name, other string) string {
	behind, ahead := len(r.behind), len(r.ahead)
	var text string
	switch {
	case behind == 0 && ahead == 0:
		return fmt.Sprintf("%s is %s", name, other)
	case behind == 0:
		text = fmt.Sprintf("%s is %s ahead of %s", name, printable.Count(ahead, "commit"), other)
	case ahead == 0:
		text = fmt.Sprintf("%s is %s behind %s", name, printable.Count(behind, "commit"), other)
	default:
		text = fmt.Sprintf("%s is %s behind and %d ahead of %s", name, printable.Count(behind, "commit"), ahead, other)
	}
	var parts []string
	if behind > 0 {
		parts = append(parts, fmt.Sprintf("it lacks %s: %s", summary(r.behind), subjects(r.behind)))
	}
	if ahead > 0 {
		parts = append(parts, fmt.Sprintf("it has %s that %s does not have: %s", summary(r.ahead), other, subjects(r.ahead)))
	}
	switch {
	case behind > 0 && ahead > 0 && r.base.oid != "":
		parts = append(parts, fmt.Sprintf("they part at %s from %s", short(r.base.oid), clock(now, r.base.when)))
	case r.base.oid == "":
		parts = append(parts, "they have no history in common")
	}
	switch n := len(r.files); n {
	case 0:
		parts = append(parts, "no file differs")
	case 1:
		parts = append(parts, "1 file differs: "+r.files[0])
	default:
		parts = append(parts, fmt.Sprintf("%d files differ: %s", n, few(r.files, nil)))
	}
	return text + ": " + strings.Join(parts, "; ")
}
