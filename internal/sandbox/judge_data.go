package sandbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// mayLose is how much of what was booked a recovery of the booking database may lose: the
// recovery point objective of a critical system.
const mayLose = 15 * time.Minute

// restored checks a database that was broken. What was written before the newest backup
// must be back, every row of it; what was written since may be lost as far as the
// objective allows, and is counted; nobody who was erased may be there.
func (j *judge) restored(ctx context.Context, q querier) {
	d := j.t.Data
	var err error
	if d.made, err = j.s.madeRows(); err != nil {
		j.check(false, "the oracle has its truth", err.Error())
		return
	}
	var evidence []string
	ok := true
	for _, name := range slices.Sorted(maps.Keys(d.Tables)) {
		want := d.Tables[name]
		got, err := d.upToPoint(ctx, q, name)
		if err != nil {
			ok = false
			evidence = append(evidence, fmt.Sprintf("%s: %v", name, err))
			j.lost("%s: the table cannot be read", name)
			continue
		}
		switch {
		case got.Rows < want.Rows:
			j.lost("%d of %d rows of %s that the newest backup has", want.Rows-got.Rows, want.Rows, name)
		case got != want:
			j.lost("%s: rows have changed that nobody changes", name)
		}
		ok = ok && got == want
		evidence = append(evidence, fmt.Sprintf("%s %d of %d", name, got.Rows, want.Rows))
	}
	j.check(ok, "every row of the newest backup is there", strings.Join(evidence, ", "))
	j.written(ctx, q)
	j.forgotten(ctx, q)
}

// written measures what of the time between the backup and the harm, and of the time after
// the harm, is there.
func (j *judge) written(ctx context.Context, q querier) {
	d := j.t.Data
	reached, all, kept := d.Point, 0, 0
	for name, rows := range d.Since {
		now, err := rowTexts(ctx, q, name, "1")
		if err != nil {
			continue // said already
		}
		all += len(rows)
		for id, text := range rows {
			if now[id] != text {
				continue
			}
			kept++
			stamp := text[strings.LastIndexByte(text, '\x1f')+1:]
			if at, err := time.Parse(timeLayout, stamp); err == nil && at.After(reached) {
				reached = at
			}
		}
	}
	if kept == all {
		reached = d.At
	}
	loss := max(d.At.Sub(reached), 0)
	j.v.Loss = &loss
	if kept < all {
		j.lost("%d of %d rows that were written after the newest backup and before the harm: the last %s", all-kept, all, loss.Round(time.Second))
	}
	j.check(!d.Point.IsZero() && loss <= mayLose, fmt.Sprintf("at most %s of bookings are lost", mayLose),
		fmt.Sprintf("%s, %d of %d rows", loss.Round(time.Second), all-kept, all))
	for name, rows := range d.Later {
		now, err := rowTexts(ctx, q, name, "1")
		if err != nil {
			continue
		}
		n := 0
		for id, text := range rows {
			if now[id] == text {
				n++
			}
		}
		if n < len(rows) {
			j.lost("%d of %d rows of %s that were written after the harm", len(rows)-n, len(rows), name)
		}
		if n > 0 {
			j.kept("%d rows of %s that were written after the harm", n, name)
		}
	}
}

// forgotten holds that erasures outlive a restore.
func (j *judge) forgotten(ctx context.Context, q querier) {
	if len(j.t.Data.Erased) == 0 {
		return
	}
	back := 0
	for _, id := range j.t.Data.Erased {
		for name, where := range map[string]string{"customers": "id = ?", "appointments": "customer_id = ?"} {
			rows, err := rowTexts(ctx, q, name, where, id)
			if err != nil {
				j.check(false, "nobody who was erased is back", err.Error())
				return
			}
			back += len(rows)
		}
	}
	j.check(back == 0, "nobody who was erased is back", fmt.Sprintf("%d rows of %d people", back, len(j.t.Data.Erased)))
}
