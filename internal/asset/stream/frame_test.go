package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

const mark = "0123456789abcdef"

// framed is a payload as the far side sends it.
func framed(payload []byte, exit int) []byte { return marked(payload, exit, mark) }

func marked(payload []byte, exit int, mark string) []byte {
	sum := sha256.Sum256(payload)
	return append(bytes.Clone(payload), fmt.Sprintf("\nLBEND1 %d %s %d %s\n", len(payload), hex.EncodeToString(sum[:]), exit, mark)...)
}

var payloads = map[string][]byte{
	"empty":         {},
	"text":          []byte("CREATE TABLE t (a);\n"),
	"binary":        {0, 1, 2, 0xff, '\n', 0, 'L', 'B'},
	"like a frame":  marked([]byte("inner"), 0, "fedcba9876543210"), // of an earlier dump
	"two frames":    marked(marked([]byte("x"), 3, "00"), 0, ""),
	"half a frame":  []byte("abc\nLBEND1 12 "),
	"longer":        bytes.Repeat([]byte("0123456789\nLBEND1 "), 40),
	"newlines only": bytes.Repeat([]byte("\n"), 300),
}

func unframe(stream []byte, size int) (payload []byte, t trailer, ok bool) {
	var out bytes.Buffer
	u := &unframer{to: &out, mark: mark}
	for len(stream) > 0 {
		n := min(size, len(stream))
		u.Write(stream[:n])
		stream = stream[n:]
	}
	t, ok, _ = u.end()
	return out.Bytes(), t, ok
}

// A trailer is found in whatever pieces it comes, and nothing else is taken for one.
func TestUnframe(t *testing.T) {
	for name, want := range payloads {
		stream := framed(want, 7)
		for size := 1; size <= len(stream)+1; size++ {
			got, tr, ok := unframe(stream, size)
			if !ok || !bytes.Equal(got, want) || tr.exit != 7 {
				t.Fatalf("%s in pieces of %d: %v %+v %q", name, size, ok, tr, got)
			}
			sum := sha256.Sum256(got)
			if err := tr.match(int64(len(got)), hex.EncodeToString(sum[:])); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// Whatever is missing at the end, or wrong anywhere, shows.
func TestUnframeDamage(t *testing.T) {
	for name, payload := range payloads {
		stream := framed(payload, 0)
		for n := range len(stream) {
			if err := verdict(stream[:n]); err == nil {
				t.Fatalf("%s cut to %d of %d bytes counts as whole", name, n, len(stream))
			}
			flipped := bytes.Clone(stream)
			flipped[n] ^= 1
			if err := verdict(flipped); err == nil {
				t.Fatalf("%s with byte %d of %d flipped counts as whole", name, n, len(stream))
			}
		}
		if verdict(append(stream, 'x')) == nil {
			t.Errorf("%s with more behind it counts as whole", name)
		}
	}
}

func verdict(stream []byte) error {
	payload, tr, ok := unframe(stream, 50)
	sum := sha256.Sum256(payload)
	switch {
	case !ok:
		return ErrCut
	case tr.exit != 0:
		return ErrFailed
	}
	return tr.match(int64(len(payload)), hex.EncodeToString(sum[:]))
}

func FuzzUnframe(f *testing.F) {
	for _, p := range payloads {
		f.Add(p, 3)
		f.Add(framed(p, 0), 64)
	}
	f.Add([]byte("\nLBEND1 99999999999999999999 "+strings.Repeat("0", 64)+" 0 "+mark+"\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 {
			size = 1
		}
		got, _, ok := unframe(data, size)
		if !ok && !bytes.Equal(got, data) {
			t.Fatalf("bytes are lost: %q of %q", got, data)
		}
		if !bytes.HasPrefix(data, got) {
			t.Fatalf("%q is not the begin of %q", got, data)
		}
		got, tr, ok := unframe(framed(data, 1), size)
		if !ok || !bytes.Equal(got, data) || tr.exit != 1 {
			t.Fatalf("a framed payload comes out as %q", got)
		}
	})
}
