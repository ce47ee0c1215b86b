package sqlite

import (
	"sync"
	"sync/atomic"
)

// fan hands what one goroutine reads to several others, each of which takes all parts
// in their order. Its owner calls end exactly once, also after an error.
type fan struct {
	takers []chan *part
	free   chan *part
	used   *part // the one whose buffer was handed out last
	done   sync.WaitGroup
}

type part struct {
	b    []byte
	left atomic.Int32 // takers that have not finished with it
}

// ahead is how many parts the reader may be ahead of the slowest taker.
const ahead = 8

func newFan(takers ...func(b []byte)) *fan {
	// There are never more than ahead+2 parts: one with the reader, one with the slowest
	// taker, and those between. So nobody waits to give one back.
	f := &fan{free: make(chan *part, ahead+2)}
	for _, take := range takers {
		in := make(chan *part, ahead)
		f.takers = append(f.takers, in)
		f.done.Go(func() {
			for p := range in {
				take(p.b)
				if p.left.Add(-1) == 0 {
					f.free <- p
				}
			}
		})
	}
	return f
}

// buffer gives an empty buffer of a capacity, always the same one.
func (f *fan) buffer(capacity int) []byte {
	select {
	case f.used = <-f.free:
	default:
		f.used = &part{b: make([]byte, 0, capacity)}
	}
	return f.used.b[:0]
}

// add hands b on, which is the buffer that was handed out last. Its bytes may still be
// read, until buffer is called.
func (f *fan) add(b []byte) {
	p := f.used
	p.b = b
	p.left.Store(int32(len(f.takers)))
	for _, in := range f.takers {
		in <- p
	}
}

// end waits until all have taken everything.
func (f *fan) end() {
	for _, in := range f.takers {
		close(in)
	}
	f.done.Wait()
}
