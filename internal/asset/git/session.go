package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
)

// A session is one conversation with upload-pack: first the advertisement, then at most
// one request. Close ends it and says how the far side ended.
type session interface {
	advertise(ctx context.Context) (advert, error)
	// request asks for wants, given haves. common says whether the server knew any of
	// the haves; if not, the pack is complete by itself. pack ends in io.EOF only where
	// the server said that it had sent everything.
	request(ctx context.Context, wants, haves []string) (pack io.Reader, common bool, err error)
	Close() error
}

// advert is the snapshot that a server announces.
type advert struct {
	refs    []Ref // sorted by name
	head    string
	symref  string // what HEAD points to, empty when detached, unborn or not said
	format  string
	caps    map[string]bool
	shallow bool
}

const agent = "lifeboat"

// stream speaks protocol version 0 over the pipes of a process, local or behind ssh.
type stream struct {
	proc *command.Process
	scan *pktline.Scanner
	in   io.Writer
	log  io.Writer
	ad   advert
}

func openStream(ctx context.Context, c command.Cmd, k Kind, log io.Writer) (*stream, error) {
	c.StdinPipe, c.StdoutPipe = true, true
	p, err := command.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	var out io.Reader = p.Stdout
	if k.wrap != nil {
		out = k.wrap(out)
	}
	return &stream{
		proc: p, in: p.Stdin, log: log,
		scan: pktline.NewScanner(bufio.NewReaderSize(out, 128<<10)),
	}, nil
}

// packet reads one pkt-line; flush is true for the packet that ends a section. The end
// of the stream is always an error here.
func (s *stream) packet() (data []byte, flush bool, err error) {
	if !s.scan.Scan() {
		if err := s.scan.Err(); err != nil {
			return nil, false, err
		}
		return nil, false, io.ErrUnexpectedEOF
	}
	data = s.scan.Bytes()
	return data, len(data) == 0, nil
}

func (s *stream) advertise(context.Context) (advert, error) {
	ad := advert{format: "sha1", caps: map[string]bool{}}
	seen := map[string]int{}
	for first := true; ; first = false {
		data, flush, err := s.packet()
		if err != nil {
			return ad, s.lost("read refs of the server", err)
		}
		if flush {
			break
		}
		line := strings.TrimSuffix(string(data), "\n")
		if msg, ok := strings.CutPrefix(line, "ERR "); ok {
			return ad, fmt.Errorf("read refs of the server: it says %q", msg)
		}
		if first {
			var caps string
			line, caps, _ = strings.Cut(line, "\x00")
			ad.capabilities(caps)
		}
		if err := ad.add(line, seen); err != nil {
			return ad, err
		}
	}
	sortRefs(ad.refs)
	s.ad = ad
	return ad, nil
}

func (ad *advert) capabilities(caps string) {
	for c := range strings.FieldsSeq(caps) {
		key, value, _ := strings.Cut(c, "=")
		ad.caps[key] = true
		switch target, isHead := strings.CutPrefix(value, "HEAD:"); {
		case key == "object-format":
			ad.format = value
		case key == "symref" && isHead:
			ad.symref = target
		}
	}
}

// add reads one line of the advertisement; seen maps names to places in refs.
func (ad *advert) add(line string, seen map[string]int) error {
	oid, name, ok := strings.Cut(line, " ")
	if ok && oid == "shallow" {
		ad.shallow = true
		return nil
	}
	if !ok || !isOID(oid, ad.format) {
		return fmt.Errorf("read refs of the server: %q is no ref line", line)
	}
	switch base, peeled := strings.CutSuffix(name, "^{}"); {
	case name == "capabilities^{}":
		return nil
	case name == "HEAD":
		ad.head = oid
		return nil
	case peeled:
		if i, known := seen[base]; known {
			ad.refs[i].Peeled = oid
			return nil
		}
		return fmt.Errorf("read refs of the server: %q is peeled but not listed", base)
	}
	if _, twice := seen[name]; twice || !ValidRef(name) {
		return fmt.Errorf("read refs of the server: %q is no valid name for a ref, or there twice", name)
	}
	if len(ad.refs) >= maxRefs {
		return fmt.Errorf("read refs of the server: more than %d refs", maxRefs)
	}
	seen[name] = len(ad.refs)
	ad.refs = append(ad.refs, Ref{Name: name, OID: oid})
	return nil
}

func (s *stream) request(_ context.Context, wants, haves []string) (io.Reader, bool, error) {
	w := bufio.NewWriterSize(s.in, 64<<10)
	e := pktline.NewEncoder(w)
	caps := "agent=" + agent
	for _, c := range []string{"side-band-64k", "ofs-delta", "thin-pack", "no-progress"} {
		if s.ad.caps[c] && (c != "thin-pack" || len(haves) > 0) {
			caps += " " + c
		}
	}
	if s.ad.format != "sha1" {
		caps += " object-format=" + s.ad.format
	}
	for i, oid := range wants {
		line := "want " + oid
		if i == 0 {
			line += " " + caps
		}
		if err := e.EncodeString(line + "\n"); err != nil {
			return nil, false, s.lost("ask the server", err)
		}
	}
	err := e.Flush()
	for _, oid := range haves {
		err = errors.Join(err, e.EncodeString("have "+oid+"\n"))
	}
	if err = errors.Join(err, e.EncodeString("done\n"), w.Flush()); err != nil {
		return nil, false, s.lost("ask the server", err)
	}
	data, _, err := s.packet()
	if err != nil {
		return nil, false, s.lost("read the answer of the server", err)
	}
	answer := strings.TrimSpace(string(data))
	common := strings.HasPrefix(answer, "ACK ")
	if !common && answer != "NAK" {
		return nil, false, fmt.Errorf("read the answer of the server: it says %q", strings.TrimPrefix(answer, "ERR "))
	}
	if !s.ad.caps["side-band-64k"] {
		return nil, false, hint.New("the server does not multiplex its answer (no side-band-64k)",
			"Clone the repository with git clone --mirror and back up that clone.")
	}
	return &demux{next: s.packet, log: s.log}, common, nil
}

// lost prefers what the far side said on its standard error over a broken pipe.
func (s *stream) lost(doing string, err error) error {
	if end := s.Close(); end != nil {
		return fmt.Errorf("%s: %w: %w", doing, end, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (s *stream) Close() error {
	s.proc.Stdin.Close() // a server that waits for a request takes it for a goodbye
	s.proc.Stdout.Close()
	_, err := s.proc.Wait()
	return err
}

// demux reads band 1 of a multiplexed stream. It ends in io.EOF only at the flush
// packet: a stream that merely stops is io.ErrUnexpectedEOF.
type demux struct {
	next func() (data []byte, flush bool, err error)
	log  io.Writer
	buf  []byte
	end  error
	data bool // a band has been seen
}

func (d *demux) Read(p []byte) (int, error) {
	for len(d.buf) == 0 {
		if d.end != nil {
			return 0, d.end
		}
		data, flush, err := d.next()
		switch {
		case err != nil:
			d.end = err
			continue
		case flush:
			d.end = io.EOF
			continue
		case !d.data && bytes.HasPrefix(data, []byte("ACK ")):
			continue // a server says so again for an ancestor of what it knew already
		}
		d.data = true
		switch {
		case data[0] == 1:
			d.buf = data[1:]
		case data[0] == 2:
			if d.log != nil {
				d.log.Write(data[1:])
			}
		case data[0] == 3:
			d.end = fmt.Errorf("the server says %q", strings.TrimSpace(string(data[1:])))
		default:
			d.end = fmt.Errorf("%w: side band %d", ErrDamaged, data[0])
		}
	}
	n := copy(p, d.buf)
	d.buf = d.buf[n:]
	return n, nil
}
