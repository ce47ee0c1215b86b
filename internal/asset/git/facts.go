package git

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Ref is a ref and what it points to. Peeled is the object behind an annotated tag,
// empty for everything else.
type Ref struct{ Name, OID, Peeled string }

// Facts prove equality of one restore point. They stand in the manifest under "git".
type Facts struct {
	// Head is the ref HEAD points to ("refs/heads/main", which need not exist yet), or
	// an object id when HEAD is detached; empty when the server does not say.
	Head string `json:"head"`
	// RefsSHA256 is the hash of the sorted lines "<oid> <ref>\n", with a line
	// "<oid> <ref>^{}" for each annotated tag: `git show-ref -d | LC_ALL=C sort | sha256sum`.
	RefsSHA256 string `json:"refs_sha256"`
	// Refs are those lines. A name that is not UTF-8 is quoted as in Go.
	Refs []string `json:"refs"`
	// PackSHA1 is the trailing hash of the pack (SHA-256 where ObjectFormat says so).
	// Empty for unchanged and empty points.
	PackSHA1    string `json:"pack_sha1,omitempty"`
	PackObjects int64  `json:"pack_objects"`
	PackBytes   int64  `json:"pack_bytes"`
	// Prereqs are the commits that an increment builds on.
	Prereqs      []string `json:"prereqs,omitempty"`
	ObjectFormat string   `json:"object_format"`
	// Excluded are the patterns that left out refs of this source.
	Excluded []string `json:"excluded,omitempty"`
	// Mirror describes mirror.tar.gz, nil when the point has none.
	Mirror *MirrorFacts `json:"mirror,omitempty"`
	// LFS is nil when Git LFS was not looked at.
	LFS *LFSFacts `json:"lfs,omitempty"`
}

// MirrorFacts say what is in mirror.tar.gz.
type MirrorFacts struct {
	Files int   `json:"files"` // regular files
	Bytes int64 `json:"bytes"` // their sizes, added up
}

// LFSFacts say what the point needs of Git LFS and what the chain up to it holds.
type LFSFacts struct {
	Pointers int `json:"pointers"` // objects that pointers reachable from the refs name, each once
	Stored   int `json:"stored"`   // objects in the chain, also those that no ref needs any more
	// ObjectsSHA256 is the hash of their names, sorted, a line each:
	// `find lfs/objects -type f | sed 's|.*/||' | LC_ALL=C sort | sha256sum`.
	ObjectsSHA256 string `json:"objects_sha256"`
	// Absent counts the pointers whose object could not be had; Missing names up to 100.
	Absent  int      `json:"absent,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// ParseFacts reads the facts of a manifest and checks them: the refs must have the hash
// that stands beside them.
func ParseFacts(data []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(data, &f); err != nil {
		return Facts{}, fmt.Errorf("read facts of a git restore point: %w", err)
	}
	if f.ObjectFormat != "sha1" && f.ObjectFormat != "sha256" {
		return Facts{}, fmt.Errorf("read facts of a git restore point: object format %q", f.ObjectFormat)
	}
	refs, err := f.List()
	if err != nil {
		return Facts{}, err
	}
	if got := hashRefs(refs); got != f.RefsSHA256 {
		return Facts{}, fmt.Errorf("read facts of a git restore point: its refs have hash %q, not %q", got, f.RefsSHA256)
	}
	if l := f.LFS; l != nil {
		sound := len(l.ObjectsSHA256) == 64 && isHex(l.ObjectsSHA256) && l.Stored >= 0 && l.Pointers >= l.Absent &&
			l.Absent >= len(l.Missing) && l.Pointers-l.Absent <= l.Stored
		for _, oid := range l.Missing {
			sound = sound && isOID(oid, "sha256")
		}
		if !sound {
			return Facts{}, fmt.Errorf("read facts of a git restore point: its account of Git LFS contradicts itself")
		}
	}
	if f.Head != "" && !isOID(f.Head, f.ObjectFormat) {
		if name, err := decodeName(f.Head); err != nil || !ValidRef(name) {
			return Facts{}, fmt.Errorf("read facts of a git restore point: HEAD is %q", f.Head)
		}
	}
	return f, nil
}

func (f Facts) encode() ([]byte, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("write facts of a git restore point: %w", err)
	}
	return data, nil
}

// List gives the refs, sorted by name.
func (f Facts) List() ([]Ref, error) {
	byName := make(map[string]*Ref, len(f.Refs))
	var peeled [][2]string
	for _, line := range f.Refs {
		oid, text, ok := strings.Cut(line, " ")
		name, err := decodeName(text)
		base, isPeeled := strings.CutSuffix(name, "^{}")
		if !ok || err != nil || !isOID(oid, f.ObjectFormat) || !ValidRef(base) {
			return nil, fmt.Errorf("read facts of a git restore point: bad ref line %q", line)
		}
		if isPeeled {
			peeled = append(peeled, [2]string{base, oid})
			continue
		}
		byName[name] = &Ref{Name: name, OID: oid}
	}
	for _, p := range peeled {
		if r := byName[p[0]]; r != nil {
			r.Peeled = p[1]
			continue
		}
		return nil, fmt.Errorf("read facts of a git restore point: %q is peeled but not listed", p[0])
	}
	out := make([]Ref, 0, len(byName))
	for _, r := range byName {
		out = append(out, *r)
	}
	sortRefs(out)
	return out, nil
}

// Detached gives the object id of a detached HEAD.
func (f Facts) Detached() (oid string, ok bool) { return f.Head, isOID(f.Head, f.ObjectFormat) }

// setRefs records refs.
func (f *Facts) setRefs(refs []Ref) {
	f.RefsSHA256 = hashRefs(refs)
	f.Refs = make([]string, 0, len(refs))
	for _, r := range refs {
		f.Refs = append(f.Refs, r.OID+" "+encodeName(r.Name))
		if r.Peeled != "" {
			f.Refs = append(f.Refs, r.Peeled+" "+encodeName(r.Name+"^{}"))
		}
	}
}

func sortRefs(refs []Ref) {
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
}

func hashRefs(refs []Ref) string {
	lines := make([]string, 0, len(refs))
	for _, r := range refs {
		lines = append(lines, r.OID+" "+r.Name+"\n")
		if r.Peeled != "" {
			lines = append(lines, r.Peeled+" "+r.Name+"^{}\n")
		}
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// encodeName makes a ref name fit for JSON without loss. A valid name never begins with
// a quote, so the two forms cannot be confused.
func encodeName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}

func decodeName(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		return text, nil
	}
	return strconv.Unquote(text)
}

// oidLen is the number of hexadecimal digits of an object id.
func oidLen(format string) int {
	if format == "sha256" {
		return 64
	}
	return 40
}

func isOID(s, format string) bool { return len(s) == oidLen(format) && isHex(s) }

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) > 0
}

// ValidRef applies the rules of git check-ref-format to a full ref name.
func ValidRef(name string) bool {
	if len(name) > 4096 || !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
