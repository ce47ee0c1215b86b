package sqlite

// WithBeat makes r call beat at the named points of its way.
func (r Replacement) WithBeat(beat func(point string)) Replacement {
	r.beat = beat
	return r
}
