package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// Loaded is how a load ended.
type Loaded struct {
	Bytes   int64  // given to the command; counted on the far side where it is framed
	SHA256  string // of them
	Seconds float64
}

// Feed runs Load with a dump, which is compared with want before. An error that wraps
// [ErrPartly] means that the command had begun; with any other one it was not started.
func (k Kind) Feed(ctx context.Context, dump string, want Facts, log io.Writer) (Loaded, error) {
	if len(k.Load) == 0 {
		return Loaded{}, hint.New("the asset has no command that loads its dump", "give load: [program, argument, …] of the asset, or restore into a file and load it by hand")
	}
	if err := k.Validate(); err != nil {
		return Loaded{}, err
	}
	if log == nil {
		log = io.Discard
	}
	in, err := os.Open(dump)
	if err != nil {
		return Loaded{}, err
	}
	defer in.Close()
	if err := sameDump(ctx, in, want); err != nil {
		return Loaded{}, err
	}
	began := time.Now()
	err = k.load(ctx, in, dump, want, loadWrapper, log)
	if errors.Is(err, errNoRoom) {
		fmt.Fprintln(log, "there is no room for the dump on the far side: it is loaded while it arrives")
		err = k.load(ctx, in, dump, want, throughWrapper, log)
	}
	if err != nil {
		return Loaded{}, err
	}
	return Loaded{Bytes: want.Bytes, SHA256: want.SHA256, Seconds: time.Since(began).Seconds()}, nil
}

// load runs the command once.
func (k Kind) load(ctx context.Context, in *os.File, dump string, want Facts, wrapper string, log io.Writer) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	argv, u := k.Load, &unframer{to: log}
	if k.Framed {
		argv, u.mark = wrap(argv, wrapper, strconv.FormatInt(want.Bytes, 10), want.SHA256)
	}
	c := k.cmd(argv)
	c.Stdin, c.Stdout, c.Stderr = in, log, log
	if k.Framed {
		c.Stdout = u
	}
	if usesFile(argv) {
		c.Argv, c.Stdin = withFile(argv, dump), nil
	}
	p, err := command.Start(ctx, c)
	if err != nil {
		return k.explain("load with", k.Load, err)
	}
	_, err = p.Wait()
	if k.Framed {
		err = k.arrived(u, want, err)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoRoom), errors.Is(err, errNotBegun):
		return err
	}
	return fmt.Errorf("%w: %w", ErrPartly, k.explain("load with", k.Load, err))
}

// arrived reads the trailer of a load; err is how the command on this side ended.
func (k Kind) arrived(u *unframer, want Facts, err error) error {
	t, ok, _ := u.end() // what the log refuses changes nothing
	switch {
	case ok && t.exit == noRoom:
		return errNoRoom
	case ok && t.exit == notWhole:
		return hint.Wrap(fmt.Errorf("load with %s: %w: %d bytes arrived of %d, and %w", program(k.Load), ErrCut, t.bytes, want.Bytes, errNotBegun),
			"kubectl exec can lose the end of what it carries: try again; if it stays so, look at the network and the far side's logs")
	case ok && t.exit != 0:
		return fmt.Errorf("%w on the far side with exit code %d", ErrFailed, t.exit)
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%w: the far side did not say how it ended", ErrCut)
	}
	return t.match(want.Bytes, want.SHA256)
}

// sameDump says whether a file is the dump of a point.
func sameDump(ctx context.Context, in io.Reader, want Facts) error {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, contextReader{ctx, in}, make([]byte, 256<<10))
	if err != nil {
		return fmt.Errorf("read the dump: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != want.Bytes || got != want.SHA256 {
		return fmt.Errorf("%w: it has %d bytes and SHA-256 %s, recorded are %d and %s", ErrUnequal, n, got, want.Bytes, want.SHA256)
	}
	return nil
}

var (
	errNoRoom   = errors.New("the far side has no room for the dump")
	errNotBegun = errors.New("nothing was loaded: the command was not started")
)

var errNoFacts = errors.New("the facts are not those of a dump")
