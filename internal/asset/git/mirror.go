package git

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The mirror is the repository as one archive of a bare repository:
//
//	monorepo.git/HEAD
//	monorepo.git/config                        written here, of the source only its address
//	monorepo.git/packed-refs
//	monorepo.git/objects/pack/pack-<hash>.pack not deflated once more
//	monorepo.git/objects/pack/pack-<hash>.idx
//	monorepo.git/lfs/objects/aa/bb/<oid>       content of Git LFS, when it is kept
//
// Each file is a gzip member of its own, and programs that unpack take their row for one
// stream. Packs and LFS content are stored in theirs: deflating a pack costs six times as
// long and gains 3 %.
type mirrorArchive struct {
	out   io.Writer
	gz    *gzip.Writer
	tw    *tar.Writer
	facts MirrorFacts
}

func newMirrorArchive(w io.Writer) *mirrorArchive {
	m := &mirrorArchive{out: w}
	m.tw = tar.NewWriter(writerFunc(func(p []byte) (int, error) { return m.gz.Write(p) }))
	return m
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// member writes one entry, or with a nil header the end of the archive, as a gzip member.
func (m *mirrorArchive) member(level int, h *tar.Header, body io.Reader) (err error) {
	if m.gz, err = gzip.NewWriterLevel(m.out, level); err != nil {
		return err
	}
	if h == nil {
		if err := m.tw.Close(); err != nil {
			return err
		}
		return m.gz.Close()
	}
	if err := m.tw.WriteHeader(h); err != nil {
		return err
	}
	if body != nil {
		if _, err := io.CopyN(m.tw, body, h.Size); err != nil {
			return err
		}
		m.facts.Files++
		m.facts.Bytes += h.Size
	}
	if err := m.tw.Flush(); err != nil {
		return err
	}
	return m.gz.Close()
}

func (m *mirrorArchive) text(name, content string) error {
	return m.member(gzip.DefaultCompression, fileEntry(name, int64(len(content))), strings.NewReader(content))
}

// file adds a file of the scratch copy.
func (m *mirrorArchive) file(ctx context.Context, name, from string) error {
	f, err := openPlain(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	level := gzip.DefaultCompression
	if strings.HasSuffix(name, ".pack") {
		level = gzip.NoCompression
	}
	return m.member(level, fileEntry(name, info.Size()), withContext(ctx, f))
}

// storeMirror writes the still as mirror.tar.gz.
func (c *capture) storeMirror(ctx context.Context) (*MirrorFacts, error) {
	var facts MirrorFacts
	err := c.writeObject(RoleMirror, FileNameMirror, func(w io.Writer) error {
		m := newMirrorArchive(io.MultiWriter(w, &meter{report: c.progress}))
		err := c.fillMirror(ctx, m)
		facts = m.facts
		return err
	})
	return &facts, err
}

func (c *capture) fillMirror(ctx context.Context, m *mirrorArchive) error {
	f := c.still.facts
	refs, err := f.List()
	if err != nil {
		return err
	}
	top := c.origin.name() + ".git"
	for _, dir := range []string{"", "/objects", "/objects/info", "/objects/pack", "/refs", "/refs/heads", "/refs/tags"} {
		if err := m.member(gzip.DefaultCompression, dirEntry(top+dir), nil); err != nil {
			return err
		}
	}
	head, err := headFile(f)
	if err != nil {
		return err
	}
	for _, file := range [][2]string{
		{"config", mirrorConfig(f.ObjectFormat, c.origin.URL)},
		{"HEAD", head},
		{"packed-refs", packedRefs(refs)},
	} {
		if err := m.text(top+"/"+file[0], file[1]); err != nil {
			return err
		}
	}
	packs, err := onlyPacks(c.still.repo())
	if err != nil {
		return err
	}
	for _, name := range packs {
		if err := m.file(ctx, top+"/objects/pack/"+name, filepath.Join(c.still.repo(), "objects", "pack", name)); err != nil {
			return err
		}
	}
	if c.lfs != nil {
		for _, o := range c.lfs.all {
			if err := m.lfs(top, o); err != nil {
				return err
			}
		}
	}
	return m.member(gzip.DefaultCompression, nil, nil)
}

// lfs adds content of Git LFS, which seldom compresses.
func (m *mirrorArchive) lfs(top string, o lfsObject) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(o.copyTo(w)) }() // ends with r
	defer r.Close()
	if err := m.member(gzip.NoCompression, fileEntry(top+"/"+lfsPath(o.oid), o.size), r); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r) // what copyTo says at its end counts too
	return err
}

// onlyPacks lists the files of the object store, which must be packs and their indexes.
func onlyPacks(repo string) ([]string, error) {
	var out []string
	objects := filepath.Join(repo, "objects")
	err := filepath.WalkDir(objects, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if filepath.Dir(name) != filepath.Join(objects, "pack") || !packFile.MatchString(d.Name()) {
			return fmt.Errorf("%w: the scratch copy holds %q", ErrUnequal, name)
		}
		if !strings.HasSuffix(name, ".rev") { // git makes them again when it wants them
			out = append(out, d.Name())
		}
		return nil
	})
	slices.Sort(out)
	slices.Reverse(out) // the pack before its index, as git writes them
	return out, err
}

// headFile is the content of HEAD.
func headFile(f Facts) (string, error) {
	if oid, detached := f.Detached(); detached {
		return oid + "\n", nil
	}
	if f.Head == "" {
		return "ref: refs/heads/main\n", nil
	}
	name, err := decodeName(f.Head)
	return "ref: " + name + "\n", err
}

const packedHeader = "# pack-refs with: peeled fully-peeled sorted \n"

// packedRefs is the content of packed-refs; refs are sorted by name.
func packedRefs(refs []Ref) string {
	var b strings.Builder
	b.WriteString(packedHeader)
	for _, r := range refs {
		b.WriteString(r.OID + " " + r.Name + "\n")
		if r.Peeled != "" {
			b.WriteString("^" + r.Peeled + "\n")
		}
	}
	return b.String()
}

// mirrorConfig is the whole configuration of a mirror. Of the source it keeps at most the
// address, so that `git remote update` brings the mirror up to date; credentials, hooks,
// filters and programs of the source are no part of a backup.
func mirrorConfig(format, source string) string {
	version, extensions := "0", ""
	if format != "sha1" {
		version, extensions = "1", "[extensions]\n\tobjectFormat = "+format+"\n"
	}
	out := "[core]\n\trepositoryformatversion = " + version + "\n\tfilemode = true\n\tbare = true\n" + extensions
	if address := publicAddress(source); address != "" {
		out += "[remote \"origin\"]\n\turl = \"" + address + "\"\n\tfetch = +refs/*:refs/*\n\tmirror = true\n"
	}
	return out
}

// safeAddress is what a URL may consist of to stand in a configuration file.
var safeAddress = regexp.MustCompile(`^https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~%/+-]*)?$`)

// publicAddress is an https URL without user, query and fragment, where tokens stand; ""
// for anything else.
func publicAddress(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	if s := u.String(); safeAddress.MatchString(s) {
		return s
	}
	return ""
}

// name is what people call the repository, fit for the name of a directory.
func (src Source) name() string {
	from := src.Path + src.Dir
	if u, err := url.Parse(src.URL); err == nil && src.URL != "" {
		from = u.Path
	}
	from = strings.TrimSuffix(strings.TrimRight(filepath.ToSlash(from), "/"), "/.git")
	from = strings.TrimSuffix(from[strings.LastIndexByte(from, '/')+1:], ".git")
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, from)
	if clean = strings.TrimLeft(clean[:min(len(clean), 80)], ".-"); clean == "" {
		return "repository"
	}
	return clean
}
