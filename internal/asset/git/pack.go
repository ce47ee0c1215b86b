package git

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
)

// packCheck is a writer that a pack passes through: it sees whether the pack is whole
// without understanding its objects. A cut stream fails because its last bytes are not
// the hash of those before.
type packCheck struct {
	sum  hash.Hash
	head []byte // up to 12 bytes: magic, version, number of objects
	tail []byte // the last bytes, not yet hashed because they may be the trailing hash
	n    int64
}

const packHeader = 12

func newPackCheck(format string) *packCheck {
	if format == "sha256" {
		return &packCheck{sum: sha256.New()}
	}
	return &packCheck{sum: sha1.New()}
}

func (c *packCheck) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	if missing := packHeader - len(c.head); missing > 0 {
		c.head = append(c.head, p[:min(missing, len(p))]...)
	}
	size := c.sum.Size()
	if len(p) >= size {
		c.sum.Write(c.tail)
		c.sum.Write(p[:len(p)-size])
		c.tail = append(c.tail[:0], p[len(p)-size:]...)
		return len(p), nil
	}
	c.tail = append(c.tail, p...)
	if over := len(c.tail) - size; over > 0 {
		c.sum.Write(c.tail[:over])
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
	return len(p), nil
}

// finish judges the whole pack.
func (c *packCheck) finish() (objects int64, trailer string, err error) {
	if c.n < int64(packHeader+c.sum.Size()) {
		return 0, "", fmt.Errorf("%w: the pack ends after %d bytes", ErrDamaged, c.n)
	}
	if !bytes.Equal(c.head[:4], []byte("PACK")) {
		return 0, "", fmt.Errorf("%w: the pack begins with %q", ErrDamaged, c.head[:4])
	}
	if v := binary.BigEndian.Uint32(c.head[4:]); v != 2 && v != 3 {
		return 0, "", fmt.Errorf("%w: pack version %d", ErrDamaged, v)
	}
	if sum := c.sum.Sum(nil); !bytes.Equal(sum, c.tail) {
		return 0, "", fmt.Errorf("%w: %d bytes of the pack hash to %x, and it ends with %x", ErrDamaged, c.n, sum, c.tail)
	}
	const smallest = 9 // bytes of an entry: its header and an empty zlib stream
	objects = int64(binary.BigEndian.Uint32(c.head[8:]))
	if rest := c.n - int64(packHeader+c.sum.Size()); rest < objects*smallest || objects == 0 && rest > 0 {
		return 0, "", fmt.Errorf("%w: the pack announces %d objects in %d bytes", ErrDamaged, objects, rest)
	}
	return objects, hex.EncodeToString(c.tail), nil
}

// emptyPack is the pack of an increment that changes only refs.
func emptyPack(format string) []byte {
	p := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	if format == "sha256" {
		sum := sha256.Sum256(p)
		return append(p, sum[:]...)
	}
	sum := sha1.Sum(p)
	return append(p, sum[:]...)
}
