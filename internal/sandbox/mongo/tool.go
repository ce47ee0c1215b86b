package mongo

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Tools are the names of the programs.
func Tools() []string { return []string{"mongodump", "mongorestore", "mongosh"} }

// Tool runs one of the programs on a store. It takes the
// flags that a backup needs and refuses the others, as the real programs do. The result is
// the exit code.
func (s Store) Tool(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	say := func(format string, a ...any) {
		fmt.Fprintf(stderr, "%s\t%s\n", now().UTC().Format("2006-01-02T15:04:05.000-0700"), fmt.Sprintf(format, a...))
	}
	if len(args) == 0 {
		say("no program is named")
		return 1
	}
	t := tool{store: s, stdin: stdin, stdout: stdout, say: say}
	run := map[string]func() error{"mongodump": t.dump, "mongorestore": t.restore, "mongosh": t.shell}[args[0]]
	if run == nil {
		say("there is no program %q", args[0])
		return 1
	}
	if err := t.parse(args[0], args[1:]); err != nil {
		say("error parsing command line options: %v", err)
		say("try '%s --help' for more information", args[0])
		return 1
	}
	if err := run(); err != nil {
		say("Failed: %v", err)
		return 1
	}
	return 0
}

type tool struct {
	store  Store
	stdin  io.Reader
	stdout io.Writer
	say    func(format string, a ...any)

	archive, gzip, drop, dry bool
	file, dir                string // of the archive, "" for the pipe; of a dump without one
	eval                     string
	db, collection           string
	include, exclude         []string
}

func (t *tool) parse(program string, args []string) error {
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(args[i], "=")
		if long, ok := map[string]string{"-d": "--db", "-c": "--collection", "-o": "--out"}[name]; ok {
			name = long
		}
		switch name {
		case "--archive":
			t.archive, t.file = true, value
			continue
		case "--gzip", "--drop", "--dryRun", "--quiet":
			if has {
				return fmt.Errorf("bool flag `%s' cannot have an argument", name)
			}
			t.gzip, t.drop, t.dry = t.gzip || name == "--gzip", t.drop || name == "--drop", t.dry || name == "--dryRun"
			continue
		case "--db", "--collection", "--out", "--dir", "--nsInclude", "--nsExclude", "--config", "--eval":
		default:
			if strings.HasPrefix(name, "-") || program == "mongodump" || t.dir != "" {
				return fmt.Errorf("unknown option %q", args[i])
			}
			t.dir = args[i]
			continue
		}
		if !has {
			if i++; i == len(args) {
				return fmt.Errorf("expected argument for flag `%s'", name)
			}
			value = args[i]
		}
		switch name {
		case "--db":
			t.db = value
		case "--collection":
			t.collection = value
		case "--out", "--dir":
			t.dir = value
		case "--nsInclude":
			t.include = append(t.include, value)
		case "--nsExclude":
			t.exclude = append(t.exclude, value)
		case "--eval":
			t.eval = value
		case "--config":
			if _, err := os.ReadFile(value); err != nil { // who may read the store needs no password
				return err
			}
		}
	}
	switch {
	case t.eval != "" && program != "mongosh", t.archive && program == "mongosh":
		return errors.New("this flag belongs to another program")
	case t.archive && t.dir != "":
		return errors.New("--archive and a directory cannot be given together")
	case program == "mongodump" && t.drop, program == "mongodump" && t.include != nil:
		return errors.New("this flag belongs to mongorestore")
	case t.collection != "" && t.db == "":
		return errors.New("cannot dump a collection without a specified database")
	}
	return nil
}

func (t *tool) dump() (err error) {
	if !t.archive {
		return t.dumpDir()
	}
	list, end, err := t.store.sources(t.db, t.collection)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	out, where := t.stdout, "archive on stdout"
	if t.file != "" {
		f, err := os.OpenFile(t.file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out, where = f, "archive '"+t.file+"'"
	}
	if t.gzip {
		z := gzip.NewWriter(out)
		defer func() { err = errors.Join(err, z.Close()) }()
		out = z
	}
	for _, c := range list {
		t.say("writing %s to %s", c.Namespace(), where)
	}
	counts, err := writeArchive(out, list)
	if err != nil {
		return err
	}
	for _, c := range list {
		t.say("done dumping %s (%s)", c.Namespace(), plural(counts[c.Namespace()]))
	}
	return nil
}

func plural(n int) string {
	if n == 1 {
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}

// dumpDir writes the files of the store as they are: they have the form of such a dump.
func (t *tool) dumpDir() (err error) {
	if t.dir == "" {
		t.dir = "dump"
	}
	if t.gzip {
		return errors.New("--gzip without --archive is not known here")
	}
	list, end, err := t.store.sources(t.db, t.collection)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	to := Store{Dir: t.dir}
	for _, c := range list {
		if err := to.Drop(c.DB, c.Collection); err != nil {
			return err
		}
		n := 0
		if err := to.Create(c.DB, c.Collection, c.Metadata); err != nil {
			return err
		}
		for {
			raw, err := c.next()
			if err == io.EOF {
				break
			}
			if err == nil {
				err = to.appendRaw(c.DB, c.Collection, raw)
			}
			if err != nil {
				return err
			}
			n++
		}
		t.say("done dumping %s (%s)", c.Namespace(), plural(n))
	}
	return nil
}

func (t *tool) restore() (err error) {
	r := &restorer{tool: t, open: map[string]*target{}}
	t.say("preparing collections to restore from")
	if !t.archive {
		err = r.fromDir()
	} else {
		in := t.stdin
		if t.file != "" {
			f, err := os.Open(t.file)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if t.gzip {
			z, err := gzip.NewReader(in)
			if err != nil {
				return fmt.Errorf("error opening archive: %w", err)
			}
			in = z
		}
		err = readArchive(in, r)
	}
	// What arrived before an error stays: a server has it by then.
	for _, o := range r.open {
		err = errors.Join(err, o.flush())
	}
	t.say("%d document(s) restored successfully. %d document(s) failed to restore.", r.done, r.failed)
	return err
}

// covers says whether the flags choose a collection.
func (t *tool) covers(m Meta) bool {
	matches := func(patterns []string) bool {
		for _, p := range patterns {
			// "*" of mongorestore stands for any characters, dots too; names have no slash.
			if ok, err := path.Match(p, m.Namespace()); err == nil && ok {
				return true
			}
		}
		return false
	}
	switch {
	case t.db != "" && m.DB != t.db, t.collection != "" && m.Collection != t.collection:
		return false
	case t.include != nil && !matches(t.include):
		return false
	}
	return !matches(t.exclude)
}

// restorer puts what it is given into the store.
type restorer struct {
	*tool
	open         map[string]*target
	done, failed int
}

// target is a collection that is being restored.
type target struct {
	Meta
	store Store
	ids   map[string]bool // of documents that are there
	batch bytes.Buffer
}

const batchSize = 32 << 10 // documents go to the store in batches, as to a server

func (r *restorer) prelude(list []Meta) error {
	for _, m := range list {
		if err := checkName(m.DB, m.Collection); err != nil {
			return err
		}
	}
	for _, m := range list {
		if !r.covers(m) {
			continue
		}
		if err := r.begin(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *restorer) begin(m Meta) error {
	o := &target{Meta: m, store: r.store, ids: map[string]bool{}}
	r.say("reading metadata for %s from archive on stdin", m.Namespace())
	if r.dry {
		return nil
	}
	if r.drop {
		if err := r.store.Drop(m.DB, m.Collection); err != nil {
			return fmt.Errorf("error dropping collection: %w", err)
		}
	}
	ids, err := r.store.ids(m.DB, m.Collection)
	if err == nil {
		o.ids, err = ids, r.store.Create(m.DB, m.Collection, m.Metadata)
	}
	if err != nil {
		return err
	}
	r.open[m.Namespace()] = o
	r.say("restoring %s from archive on stdin", m.Namespace())
	return nil
}

func (r *restorer) document(m Meta, raw []byte) error {
	o := r.open[m.Namespace()]
	if o == nil {
		return nil
	}
	id, err := idOf(raw)
	if err != nil {
		return err
	}
	if o.ids[id] {
		r.failed++
		r.say("continuing through error: E11000 %v collection: %s index: _id_", ErrExists, m.Namespace())
		return nil
	}
	o.ids[id] = true
	o.batch.Write(raw)
	r.done++
	if o.batch.Len() > batchSize {
		return o.flush()
	}
	return nil
}

func (o *target) flush() error {
	if o.batch.Len() == 0 {
		return nil
	}
	err := o.store.appendRaw(o.DB, o.Collection, o.batch.Bytes())
	o.batch.Reset()
	return err
}

func (r *restorer) end(m Meta, n int) error {
	o := r.open[m.Namespace()]
	if o == nil {
		return nil
	}
	r.say("finished restoring %s (%s, 0 failures)", m.Namespace(), plural(n))
	return o.flush()
}

// fromDir restores a dump that is a directory.
func (r *restorer) fromDir() (err error) {
	if r.dir == "" {
		r.dir = "dump"
	}
	if r.gzip {
		return errors.New("--gzip without --archive is not known here")
	}
	list, end, err := Store{Dir: filepath.Clean(r.dir)}.sources("", "")
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	for _, c := range list {
		if !r.covers(c.Meta) {
			continue
		}
		if err := r.begin(c.Meta); err != nil {
			return err
		}
		n := 0
		for {
			raw, err := c.next()
			if err == io.EOF {
				break
			}
			if err == nil {
				n++
				err = r.document(c.Meta, raw)
			}
			if err != nil {
				return err
			}
		}
		if err := r.end(c.Meta, n); err != nil {
			return err
		}
	}
	return nil
}
