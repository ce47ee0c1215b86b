package live

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// faultName is a file of the sandbox that makes exec lose the end of what it carries and
// still end well, as the real one does over a bad network: "stdout 1000" lets a thousand
// bytes of the output through, "stdin 1000" as many of the input.
const faultName = "exec-fault"

// lossy gives input and output, cut where the fault says so.
func (k *kubectl) lossy() (io.Reader, io.Writer, error) {
	text, err := os.ReadFile(k.s.Runtime(faultName))
	if errors.Is(err, fs.ErrNotExist) {
		return k.in, k.out, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var what string
	var n int64
	if _, err := fmt.Sscan(string(text), &what, &n); err != nil {
		return nil, nil, fmt.Errorf("read the fault of exec: %w", err)
	}
	switch what {
	case "stdin":
		return io.LimitReader(k.in, n), k.out, nil
	case "stdout":
		return k.in, &leaking{k.out, n}, nil
	}
	return nil, nil, fmt.Errorf("read the fault of exec: %q is neither stdin nor stdout", what)
}

// leaking passes on so many bytes and loses the rest.
type leaking struct {
	to   io.Writer
	left int64
}

func (l *leaking) Write(p []byte) (int, error) {
	n := min(int64(len(p)), l.left)
	l.left -= n
	if _, err := l.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
