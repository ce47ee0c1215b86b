package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/command"
	"lifeboat/internal/printable"
)

func readFacts(raw []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, fmt.Errorf("%w: %w", errNoFacts, err)
	}
	if len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "" || f.Bytes <= 0 {
		return f, errNoFacts
	}
	return f, nil
}

// Check reads a dump to its end: the checksums of a gzip file, and the marks that
// pg_dump and mysqldump set at the end.
func (Kind) Check(ctx context.Context, what string, r io.Reader) error {
	if what != role {
		return fmt.Errorf("check: unknown role %q", what)
	}
	_, err := inspect(ctx, r)
	return err
}

// inspect gives the format.
func inspect(ctx context.Context, r io.Reader) (string, error) {
	x := newInspector()
	defer x.stop()
	n, err := io.CopyBuffer(struct{ io.Writer }{x}, contextReader{ctx, r}, make([]byte, 256<<10))
	if err != nil {
		return "", fmt.Errorf("read the dump: %w", err)
	}
	if n == 0 {
		return "", fmt.Errorf("%w: it has 0 bytes", ErrShape)
	}
	format, _, err := x.end()
	return format, err
}

// Apply puts the dump into dir. It loads nothing.
func (Kind) Apply(ctx context.Context, dir, what, object string, log io.Writer) error {
	if what != role {
		return fmt.Errorf("apply: unknown role %q", what)
	}
	in, err := os.Open(object)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, FileName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("a point of this kind has one dump, and this one has two")
	}
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, contextReader{ctx, in}, make([]byte, 256<<10))
	return errors.Join(err, out.Close())
}

// Prove compares size and hash. With full it also reads the structure as Check does, and
// an export of D1 is loaded into a database in memory where the sqlite3 program is there.
func (k Kind) Prove(ctx context.Context, dir string, facts []byte, full bool, log io.Writer) (string, error) {
	f, err := readFacts(facts)
	if err != nil {
		return "", err
	}
	in, err := os.Open(filepath.Join(dir, FileName))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnequal, err)
	}
	defer in.Close()
	if err := sameDump(ctx, in, f); err != nil {
		return "", err
	}
	evidence := fmt.Sprintf("the dump has %d bytes and SHA-256 %s", f.Bytes, f.SHA256[:12])
	if !full {
		return evidence, nil
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	format, err := inspect(ctx, in)
	if err != nil {
		return "", err
	}
	if format != formatUnknown {
		evidence += ", " + format
	}
	if format != formatD1 {
		return evidence, nil
	}
	loaded, err := loadSQL(ctx, in, log)
	if err != nil {
		return "", err
	}
	if loaded {
		evidence += ", loads into SQLite"
	}
	return evidence, nil
}

// loadSQL loads an export of D1 into a database in memory with the stock sqlite3. The
// SQL is hostile, and lines that begin with a dot are commands of the program: -safe
// forbids those that reach files or run programs. Versions without it are not used.
func loadSQL(ctx context.Context, in *os.File, log io.Writer) (loaded bool, err error) {
	if log == nil {
		log = io.Discard
	}
	argv := []string{"sqlite3", "-safe", "-batch", "-bail", "-init", os.DevNull, ":memory:"}
	try := command.Cmd{Argv: append(argv[:len(argv):len(argv)], "SELECT 1")}
	if _, err := command.Run(ctx, try); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		fmt.Fprintf(log, "the SQL was not loaded to try it: %v\n", err)
		return false, nil
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	r, err := command.Run(ctx, command.Cmd{
		Argv: argv, Stdin: io.MultiReader(contextReader{ctx, in}, strings.NewReader("\nPRAGMA integrity_check;\n")),
	})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return false, fmt.Errorf("%w: its SQL does not load: %w", ErrShape, err)
	}
	if out := strings.TrimSpace(string(r.Stdout)); out != "ok" && !strings.HasSuffix(out, "\nok") {
		return false, fmt.Errorf("%w: after loading its SQL: %s", ErrShape, printable.Quote(out[max(0, len(out)-200):]))
	}
	return true, nil
}

// Script copies the dump to "$OUT"/dump and proves it. Loading it is left to the person,
// with the command that the asset had.
func (k Kind) Script(names, roles []string, facts []byte) string {
	f, err := readFacts(facts)
	if err != nil || len(names) != 1 || len(roles) != 1 || roles[0] != role {
		return "echo 'this point is not one dump with a hash; it cannot be restored by this script' >&2\nexit 1\n"
	}
	how := ""
	if len(k.Load) > 0 {
		how = "echo 'to load it:' " + shellQuote(commandLine(k.Load)) + "\n"
	}
	return strings.NewReplacer("@NAME", shellQuote(names[0]), "@HASH", f.SHA256, "@SIZE", fmt.Sprint(f.Bytes), "@HOW\n", how).Replace(`mkdir -p "$OUT"
if [ -e "$OUT/dump" ]; then
	echo "$OUT/dump is there already; give an empty directory" >&2
	exit 1
fi
cp -- "$IN"/@NAME "$OUT/dump"
chmod 600 "$OUT/dump"
if command -v sha256sum >/dev/null 2>&1; then
	got=$(sha256sum <"$OUT/dump")
else
	got=$(shasum -a 256 <"$OUT/dump")
fi
if [ "${got%% *}" != @HASH ] || [ "$(wc -c <"$OUT/dump")" -ne @SIZE ]; then
	echo "the dump is not that of the backup: ${got%% *}" >&2
	exit 1
fi
@HOW
echo 'proved: the dump is the one that was made, byte by byte'
`)
}

// commandLine is how a person would type a load command, without its secrets.
func commandLine(argv []string) string {
	parts := make([]string, 0, len(argv)+2)
	for _, a := range Redact(argv) {
		if a = printable.Line(a); a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,{}*@%+") != "" {
			a = shellQuote(a)
		}
		parts = append(parts, strings.ReplaceAll(a, FileMark, FileName))
	}
	if !usesFile(argv) {
		parts = append(parts, "<", FileName)
	}
	return strings.Join(parts, " ")
}

// CommandLine is how a person would type a command of this kind, with its secrets masked.
func CommandLine(argv []string) string {
	line := commandLine(argv)
	return strings.TrimSuffix(line, " < "+FileName)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
