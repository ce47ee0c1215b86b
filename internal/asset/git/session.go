package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
)

// A session is one conversation with upload-pack: first the advertisement, then at most
// one request. Close ends it and says how the far side ended.
type session interface {
	advertise(ctx context.Context) (advert, error)
	// request asks for wants, given haves. common says whether the server knew any of
	// the haves; if not, the pack is complete by itself. pack ends in io.EOF only where
	// the server said that it had sent everything.
	request(ctx context.Context, wants, haves []string) (pack io.Reader, common bool, err error)
	// ask is request with all that can be said.
	ask(ctx context.Context, q query) (pack io.Reader, common bool, err error)
	Close() error
}

// An intake is one conversation with receive-pack: the advertisement, then at most one
// push.
type intake interface {
	advertise(ctx context.Context) (advert, error)
	push(ctx context.Context, body io.Reader) (next packets, err error)
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

// A link is how a far side is reached. The zero value is ready to use.
type link struct {
	http *http.Client // for https; nil: http.DefaultClient
	// auth gives the credentials for an https address without any of its own; nil, or an
	// empty token: none.
	auth func(address string) (user string, token secret.String)
	// strict refuses a host behind ssh whose key is not known, whatever the person's own
	// configuration says. known and identity are files to use instead of the person's.
	strict          bool
	known, identity string
	wrap            func(io.Reader) io.Reader // stands before every byte that comes in; nil: nothing
	log             io.Writer                 // what the far side says to the person; nil: nobody hears it
}

func (k Kind) link(log io.Writer) link { return link{http: k.HTTP, wrap: k.wrap, log: log} }

func (l link) incoming(r io.Reader) io.Reader {
	if l.wrap != nil {
		r = l.wrap(r)
	}
	return bufio.NewReaderSize(r, 128<<10)
}

// stream speaks protocol version 0 over the pipes of a process, local or behind ssh.
type stream struct {
	proc *command.Process // nil: what it reads and writes is somebody else's to close
	scan *pktline.Scanner
	in   io.Writer
	log  io.Writer
	ad   advert
	sent chan struct{} // closed when the goroutine of push is done; nil without one
}

func openStream(ctx context.Context, c command.Cmd, l link) (*stream, error) {
	c.StdinPipe, c.StdoutPipe = true, true
	p, err := command.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return &stream{proc: p, in: p.Stdin, log: l.log, scan: pktline.NewScanner(l.incoming(p.Stdout))}, nil
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
	case name == "capabilities^{}", name == ".have": // the latter: borrowed by a mirror from elsewhere
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

func (s *stream) request(ctx context.Context, wants, haves []string) (io.Reader, bool, error) {
	return s.ask(ctx, query{wants: wants, haves: haves})
}

func (s *stream) ask(_ context.Context, q query) (io.Reader, bool, error) {
	if err := q.write(s.in, s.ad); err != nil {
		return nil, false, s.lost("ask the server", err)
	}
	return s.answer()
}

// A query is what upload-pack is asked for.
type query struct {
	wants, haves []string
	filter       string // what to leave out of the pack, where the server offers it
	whole        bool   // every delta has its base in the pack itself
}

// write sends a query to a server that offers the capabilities of ad.
func (q query) write(to io.Writer, ad advert) error {
	w := bufio.NewWriterSize(to, 64<<10)
	e := pktline.NewEncoder(w)
	caps := "agent=" + agent
	for _, c := range []string{"side-band-64k", "ofs-delta", "thin-pack", "no-progress", "filter"} {
		if ad.caps[c] && (c != "thin-pack" || len(q.haves) > 0 && !q.whole) && (c != "filter" || q.filter != "") {
			caps += " " + c
		}
	}
	if ad.format != "sha1" {
		caps += " object-format=" + ad.format
	}
	for i, oid := range q.wants {
		line := "want " + oid
		if i == 0 {
			line += " " + caps
		}
		if err := e.EncodeString(line + "\n"); err != nil {
			return err
		}
	}
	var err error
	if q.filter != "" && ad.caps["filter"] {
		err = e.EncodeString("filter " + q.filter + "\n")
	}
	err = errors.Join(err, e.Flush())
	for _, oid := range q.haves {
		err = errors.Join(err, e.EncodeString("have "+oid+"\n"))
	}
	return errors.Join(err, e.EncodeString("done\n"), w.Flush())
}

// answer reads what the server has to say to a query.
func (s *stream) answer() (pack io.Reader, common bool, err error) {
	data, _, err := s.packet()
	if err != nil {
		return nil, false, s.lost("read the answer of the server", err)
	}
	said := strings.TrimSpace(string(data))
	common = strings.HasPrefix(said, "ACK ")
	if !common && said != "NAK" {
		return nil, false, fmt.Errorf("read the answer of the server: it says %q", strings.TrimPrefix(said, "ERR "))
	}
	if !s.ad.caps["side-band-64k"] {
		return nil, false, hint.New("the server does not multiplex its answer (no side-band-64k)",
			"Clone the repository with git clone --mirror and back up that clone.")
	}
	return &demux{next: s.packet, log: s.log}, common, nil
}

// push sends commands and a pack to receive-pack, and gives its answer as it comes,
// perhaps before all is sent. When body fails, the far side sees the end of its input.
// Close waits until body is no longer read; a body that may block must be ended before.
func (s *stream) push(_ context.Context, body io.Reader) (next packets, err error) {
	s.sent = make(chan struct{})
	go func() {
		defer close(s.sent)
		if _, err := io.Copy(s.in, body); err != nil {
			s.proc.Stdin.Close()
		}
	}()
	return s.packet, nil
}

// packets gives one pkt-line after the other; see stream.packet.
type packets func() (data []byte, flush bool, err error)

// lost prefers what the far side said on its standard error over a broken pipe.
func (s *stream) lost(doing string, err error) error {
	if end := s.Close(); end != nil {
		return fmt.Errorf("%s: %w: %w", doing, end, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (s *stream) Close() error {
	if s.proc == nil {
		return nil
	}
	s.proc.Stdin.Close() // a server that waits for a request takes it for a goodbye
	s.proc.Stdout.Close()
	_, err := s.proc.Wait()
	if s.sent != nil {
		<-s.sent
	}
	return err
}

// demux reads band 1 of a multiplexed stream. It ends in io.EOF only at the flush
// packet: a stream that merely stops is io.ErrUnexpectedEOF.
type demux struct {
	next packets
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
