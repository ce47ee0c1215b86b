package sandbox

// random is splitmix64. It is written out here because commit ids depend on every
// number it gives: a library may change its stream, this one may not.
type random struct{ state uint64 }

// stream gives an independent sequence for one part of the sandbox, so that a change
// in how the database is filled leaves the commit ids as they were.
func stream(seed uint64, part string) *random {
	r := &random{state: seed}
	for _, c := range []byte(part) {
		r.state = r.next() ^ uint64(c)
	}
	return r
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below gives 0 to n-1; n must be positive.
func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

// between gives low to high, both included.
func (r *random) between(low, high int) int { return low + r.below(high-low+1) }

func (r *random) chance(percent int) bool { return r.below(100) < percent }

func pick[T any](r *random, list []T) T { return list[r.below(len(list))] }
