package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"lifeboat/internal/hint"
)

// https speaks smart HTTP through go-git. Its own side-band reader is not used: it takes
// a cut stream for the end.
type https struct {
	s    transport.UploadPackSession
	k    Kind
	log  io.Writer
	caps *capability.List
	body io.Closer
}

func openHTTPS(url string, k Kind, log io.Writer) (session, error) {
	ep, err := transport.NewEndpoint(url)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", redactURL(url), err)
	}
	s, err := githttp.NewClient(k.HTTP).NewUploadPackSession(ep, nil)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", redactURL(url), err)
	}
	return &https{s: s, k: k, log: log}, nil
}

func (h *https) advertise(ctx context.Context) (advert, error) {
	ad := advert{format: "sha1", caps: map[string]bool{}}
	adv, err := h.s.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return ad, nil
	}
	if err != nil && strings.Contains(err.Error(), "no space after hash") {
		return ad, hint.Wrap(fmt.Errorf("%w: it uses SHA-256 object ids, which are not spoken over https here", ErrUnsuitable),
			"Clone it with git clone --mirror and back up that clone.")
	}
	if err != nil {
		return ad, fmt.Errorf("read refs of the server: %w", err)
	}
	h.caps = adv.Capabilities
	ad.shallow = len(adv.Shallows) > 0
	if adv.Head != nil {
		ad.head = adv.Head.String()
	}
	for _, v := range adv.Capabilities.Get(capability.SymRef) {
		if target, ok := strings.CutPrefix(v, "HEAD:"); ok {
			ad.symref = target
		}
	}
	for name, oid := range adv.References {
		if !ValidRef(name) {
			return ad, fmt.Errorf("read refs of the server: %q is no valid name for a ref", name)
		}
		r := Ref{Name: name, OID: oid.String()}
		if peeled, ok := adv.Peeled[name]; ok {
			r.Peeled = peeled.String()
		}
		ad.refs = append(ad.refs, r)
	}
	sortRefs(ad.refs)
	return ad, nil
}

func (h *https) request(ctx context.Context, wants, haves []string) (io.Reader, bool, error) {
	req := packp.NewUploadPackRequestFromCapabilities(h.caps)
	if !h.caps.Supports(capability.Sideband64k) {
		return nil, false, hint.New("the server does not multiplex its answer (no side-band-64k)",
			"Clone the repository with git clone --mirror and back up that clone.")
	}
	err := req.Capabilities.Set(capability.NoProgress)
	if len(haves) > 0 {
		err = errors.Join(err, req.Capabilities.Set(capability.ThinPack))
	}
	if err != nil {
		return nil, false, fmt.Errorf("ask the server: %w", err)
	}
	req.Wants, req.Haves = hashes(wants), hashes(haves)
	rd, err := h.s.UploadPack(ctx, req)
	if err != nil {
		return nil, false, fmt.Errorf("ask the server: %w", err)
	}
	h.body = rd
	var body io.Reader = rd
	if h.k.wrap != nil {
		body = h.k.wrap(body)
	}
	s := &stream{scan: pktline.NewScanner(body)}
	return &demux{next: s.packet, log: h.log}, len(rd.ACKs) > 0, nil
}

func hashes(oids []string) []plumbing.Hash {
	out := make([]plumbing.Hash, len(oids))
	for i, oid := range oids {
		out[i] = plumbing.NewHash(oid)
	}
	return out
}

func (h *https) Close() error {
	if h.body != nil {
		h.body.Close()
	}
	return h.s.Close()
}
