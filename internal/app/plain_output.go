package app

import (
	"io"

	"lifeboat/internal/run"
	"lifeboat/internal/runner"
)

// outputTail shows what the steps of a run print, read from its logs while they grow.
type outputTail struct {
	files runner.Files
	id    run.ID
	to    io.Writer

	name string // of the log that is read
	at   int64  // read so far
}

// tailMost is how much is shown of a log that has grown while nobody looked, in bytes: the
// log has the rest.
const tailMost = 64 << 10

// newest is the log of the step that works, or that worked last.
func newest(r *run.Run) string {
	name := ""
	for i := range r.Steps {
		if n := r.Steps[i].LogName; n != "" {
			name = n
		}
		if s := r.Steps[i].State; s == run.Running || s == run.Checking {
			return name
		}
	}
	return name
}

// skip leaves out what was printed before this person came.
func (o *outputTail) skip(r *run.Run) {
	o.name = newest(r)
	if size, _, ok := o.open(0); ok {
		o.at = size
	}
}

// read shows what is new.
func (o *outputTail) read(r *run.Run) {
	if name := newest(r); name != o.name {
		o.drain()
		o.name, o.at = name, 0
	}
	o.drain()
}

func (o *outputTail) drain() {
	if o.name == "" {
		return
	}
	size, data, ok := o.open(o.at)
	if !ok || size <= o.at {
		return
	}
	o.at = size
	o.to.Write(data)
}

// open reads the log behind a position. Only its newest part is read when it is far behind.
func (o *outputTail) open(from int64) (size int64, data []byte, ok bool) {
	if o.name == "" {
		return 0, nil, false
	}
	log, err := o.files.Log(o.id, o.name)
	if err != nil {
		return 0, nil, false // it is made after the intent, and is a courtesy here
	}
	defer log.Close()
	size, err = log.Size()
	if err != nil {
		return 0, nil, false
	}
	from = max(from, size-tailMost)
	data = make([]byte, max(size-from, 0))
	n, err := log.ReadAt(data, from)
	if err != nil && err != io.EOF {
		return 0, nil, false
	}
	return size, data[:n], true
}
