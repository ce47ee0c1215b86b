package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// A chain that grows for long: it never gets longer than one restore can bear, roll-ups
// replace increments, a full backup replaces roll-ups that have grown too large, and every
// point restores to what was there then.
func TestChainGrowth(t *testing.T) {
	for _, tt := range []struct {
		name                string
		grow                func(i int) int // lines before point i
		rollUps, fulls      int             // at least
		maxRollUps, maxFull int
	}{
		{"slow", func(int) int { return 1 }, 3, 1, 3, 1},
		{"fast", func(int) int { return 60 }, 3, 3, 60, 20},
		{"idle and bursts", func(i int) int { return (i % 10) / 9 * 40 }, 1, 1, 20, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			v := newVault("test", memStore(), Options{Now: c.now, Host: "test", Pause: time.Microsecond, Scratch: t.TempDir()})
			s := newSource(t)
			s.grow(3000)
			kinds := map[string]int{}
			previous := ""
			for i := range 110 {
				s.grow(tt.grow(i))
				m := backup(t, v, s, BackupOptions{})
				kinds[m.Kind]++
				if len(m.Chain) > maxSteps+2 {
					t.Errorf("point %d has a chain of %d objects", i, len(m.Chain))
				}
				if m.Kind == RollUp {
					base, err := v.Get(t.Context(), m.Asset, m.Chain[0].attempt())
					if err != nil || len(m.Chain) != 2 || m.Parent == nil || m.Parent.ID != base.ID || m.Parent.SHA256 != base.Sum() {
						t.Errorf("roll-up %d: parent %+v, %d objects, %v", i, m.Parent, len(m.Chain), err)
					}
					if previous == RollUp {
						t.Errorf("point %d: two roll-ups, one after the other", i)
					}
					if m.Chain[1].PlainSize*100 > m.Chain[0].PlainSize*maxRollUp {
						t.Errorf("roll-up %d has %d bytes, the full backup %d", i, m.Chain[1].PlainSize, m.Chain[0].PlainSize)
					}
				}
				previous = m.Kind
				if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
					t.Fatalf("point %d (%s): %v", i, m.Kind, err)
				}
			}
			if kinds[RollUp] < tt.rollUps || kinds[RollUp] > tt.maxRollUps || kinds[Full] < tt.fulls || kinds[Full] > tt.maxFull {
				t.Errorf("kinds of points: %v", kinds)
			}
		})
	}
}

// When there is nothing to roll up on, the backup is full and says why.
func TestRollUpNeedsItsBase(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		hurt       func(t *testing.T, v *Vault, base Manifest)
	}{
		{"manifest is gone", "nothing to roll them up on", func(t *testing.T, v *Vault, base Manifest) {
			must(t, v.store.remove(t.Context(), base.Key()))
		}},
		{"object is gone", "broken", func(t *testing.T, v *Vault, base Manifest) {
			must(t, v.store.remove(t.Context(), base.Chain[0].Key))
		}},
		{"index is gone", "could not be read", func(t *testing.T, v *Vault, base Manifest) {
			must(t, v.store.remove(t.Context(), base.Aux[0].Key))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := fileVault(t)
			s := newSource(t)
			s.grow(2000)
			base := backup(t, v, s, BackupOptions{})
			for range maxSteps {
				s.grow(1)
				backup(t, v, s, BackupOptions{})
			}
			tt.hurt(t, v, base)
			s.grow(1)
			var log strings.Builder
			m := backup(t, v, s, BackupOptions{Log: &log})
			if m.Kind != Full || len(m.Chain) != 1 || !strings.Contains(log.String(), tt.want) {
				t.Errorf("%s: %s", m.Kind, &log)
			}
			if got, err := replayedBytes(t.Context(), v, m, t.TempDir()); err != nil || !bytes.Equal(got, s.content()) {
				t.Error(err)
			}
		})
	}
}

// deaf is a kind that hears no error of a write.
type deaf struct{ lines }

func (d deaf) Capture(ctx context.Context, source string, parent []byte,
	open func(role string) (io.ReadCloser, error),
	create func(role, name string) (io.WriteCloser, error),
	progress func(done, total int64, unit string), log io.Writer,
) (string, []byte, error) {
	w, err := create("tail", "x")
	if err != nil {
		return "", nil, err
	}
	for range 100 {
		fmt.Fprintln(w, strings.Repeat("y", 100))
	}
	return Incremental, []byte(`{}`), w.Close()
}

// A roll-up that was cut off by its limit is no point, whatever Kind says.
func TestRollUpThatOutgrew(t *testing.T) {
	r := &rollingUp{Kind: deaf{}, limit: 1000}
	kind, _, err := r.Capture(t.Context(), "", nil, nil, func(string, string) (io.WriteCloser, error) {
		return os.Create(t.TempDir() + "/x")
	}, nil, io.Discard)
	if !errors.Is(err, errOutgrown) || !r.outgrown.Load() {
		t.Errorf("%q, %v", kind, err)
	}
}
