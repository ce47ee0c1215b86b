package runbook

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// danger is a command that can lose something for good.
type danger struct {
	program string
	verbs   []string       // the words that follow, flags left out; empty: any
	flag    *regexp.Regexp // a flag or argument that must be there; nil: none. "--a b" is also seen as "--a=b"
	not     *regexp.Regexp // one that takes the danger away
	what    string
}

// dangers are matched against the literal words of a command. It is a list of what has
// hurt people, not a proof: a step that is not on it can still be destructive.
var dangers = []danger{
	{"rm", nil, regexp.MustCompile(`^(-[a-zA-Z]*[rR][a-zA-Z]*|--recursive)$`), nil, "deletes whole directories"},
	{"git", []string{"push"}, regexp.MustCompile(`^(--force|-[a-zA-Z]*f[a-zA-Z]*|\+.+|--mirror|--prune)$`), nil, "overwrites history that others have"},
	{"git", []string{"push"}, regexp.MustCompile(`^(--delete|-d|:.+)$`), nil, "deletes a branch or tag that others have"},
	{"git", []string{"reset"}, regexp.MustCompile(`^--hard$`), nil, "throws uncommitted work away"},
	{"git", []string{"clean"}, regexp.MustCompile(`^(-[a-zA-Z]*f[a-zA-Z]*|--force)$`), nil, "deletes files that are in no commit"},
	{"git", []string{"branch"}, regexp.MustCompile(`^-[a-zA-Z]*D[a-zA-Z]*$`), nil, "deletes a branch that may hold the only copy of commits"},
	{"git", []string{"reflog", "expire"}, nil, nil, "drops the way back to lost commits"},
	{"git", []string{"gc"}, regexp.MustCompile(`^--prune=now$`), nil, "drops the way back to lost commits"},
	{"git", []string{"filter-branch"}, nil, nil, "rewrites history"},
	{"git", []string{"filter-repo"}, nil, nil, "rewrites history"},
	{"gh", []string{"api"}, regexp.MustCompile(`(?i)^(DELETE|--method=DELETE|-XDELETE)$`), nil, "deletes something on the forge"},
	{"gh", []string{"repo", "delete"}, nil, nil, "deletes a repository"},
	{"curl", nil, regexp.MustCompile(`(?i)^(DELETE|--request=DELETE|-XDELETE)$`), nil, "sends a DELETE request"},
	{"kubectl", []string{"scale"}, regexp.MustCompile(`^--replicas=0$`), nil, "stops a service"},
	{"kubectl", []string{"delete"}, nil, regexp.MustCompile(`^--dry-run`), "deletes objects of the cluster"},
	{"helm", []string{"uninstall"}, nil, regexp.MustCompile(`^--dry-run`), "removes a release"},
	{"terraform", []string{"destroy"}, nil, nil, "destroys infrastructure"},
	{"aws", []string{"s3", "rm"}, nil, regexp.MustCompile(`^--dryrun$`), "deletes objects in a bucket"},
	{"aws", []string{"s3", "rb"}, nil, nil, "deletes a bucket"},
	{"aws", []string{"s3", "sync"}, regexp.MustCompile(`^--delete$`), regexp.MustCompile(`^--dryrun$`), "deletes objects in a bucket"},
	{"gcloud", []string{"storage", "rm"}, nil, nil, "deletes objects in a bucket"},
	{"gsutil", []string{"rm"}, nil, nil, "deletes objects in a bucket"},
	{"rclone", []string{"purge"}, nil, nil, "deletes a directory of a bucket"},
	{"rsync", nil, regexp.MustCompile(`^--delete`), regexp.MustCompile(`^(--dry-run|-[a-z]*n[a-z]*)$`), "deletes files that the source does not have"},
	{"dd", nil, regexp.MustCompile(`^of=`), nil, "writes over a device or file"},
	{"mkfs", nil, nil, nil, "makes a new file system over what is there"},
	{"wipefs", nil, nil, nil, "wipes a file system"},
	{"shred", nil, nil, nil, "makes a file unreadable for good"},
	{"truncate", nil, nil, nil, "cuts a file"},
	{"find", nil, regexp.MustCompile(`^-delete$`), nil, "deletes files"},
	{"dropdb", nil, nil, nil, "deletes a database"},
	{"redis-cli", nil, regexp.MustCompile(`(?i)^flush(all|db)$`), nil, "empties a database"},
	{"sqlite3", nil, regexp.MustCompile(`^\s*\.restore\b`), nil, "writes over a database"},
	{"docker", []string{"volume", "rm"}, nil, nil, "deletes a volume"},
	{"docker", []string{"system", "prune"}, nil, nil, "deletes what no container uses now"},
}

var (
	sqlDanger    = regexp.MustCompile(`(?i)\b(DELETE\s+FROM|DROP\s+(?:TABLE|DATABASE|SCHEMA|INDEX|VIEW|USER|ROLE|COLUMN|COLLECTION)|TRUNCATE\s+(?:TABLE\s+)?[a-z_"])|\.(?:dropDatabase|drop|deleteMany|remove)\(`)
	fieldInShell = regexp.MustCompile(`\$\{[a-z][a-z0-9_]*\.[A-Za-z0-9_.-]+\}`)
)

// script looks into a shell block.
func (l *linter) script(b *Block) {
	if m := fieldInShell.FindStringIndex(b.Text); m != nil {
		name := b.Text[m[0]+2 : m[1]-1]
		l.add(b.at(m[0]), Error, "saved-in-shell", fmt.Sprintf("%s means nothing to a shell", b.Text[m[0]:m[1]]),
			fmt.Sprintf(`in shell blocks values are variables: write "$%s"`, strings.ReplaceAll(name, ".", "_")))
		return
	}
	l.shell += len(b.Text)
	if l.shell > maxShellAll {
		l.add(b.Pos, Warning, "too-large", "the document has so much shell text that this was not looked into", "put it into a script of its own")
		return
	}
	f, err := parseShell(b.Text)
	if errors.Is(err, errCostly) {
		l.add(b.Pos, Warning, "too-large", "this was not looked into: "+err.Error(), "put it into a script of its own")
		return
	}
	if err != nil {
		at, msg := shellError(err)
		l.add(b.at(at), l.lenient(), "shell-syntax", "the shell cannot read this: "+msg, "mend it; bash -n shows the same")
		return
	}
	code := []byte(b.Text) // with comments blanked
	calls := 0
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Comment:
			for i := int(n.Pos().Offset()); i < int(n.End().Offset()) && i < len(code); i++ {
				code[i] = ' '
			}
		case *syntax.CallExpr:
			if calls++; calls <= 2000 {
				l.call(b, n)
			}
		}
		return true
	})
	if m := sqlDanger.FindIndex(code); m != nil {
		l.dangerous(b, m[0], "data", strings.Join(strings.Fields(string(code[m[0]:m[1]])), " "), "deletes data")
	}
}

func (l *linter) dangerous(b *Block, at int, name, what, why string) {
	if b.Effect == "destroy" {
		return
	}
	if l.peril != nil {
		l.peril(name, clip(strings.Join(strings.Fields(what), " ")), why)
		return
	}
	l.add(b.at(at), l.lenient(), "dangerous", fmt.Sprintf("%q %s and is not marked as destructive", clip(strings.Join(strings.Fields(what), " ")), why),
		"add effect=destroy target=name to the fence, so that it asks for the token of its target")
}

// call looks at one command.
func (l *linter) call(b *Block, c *syntax.CallExpr) {
	var words []string
	for i, w := range c.Args {
		if i < 200 {
			words = append(words, wordText(w))
		}
		for _, part := range w.Parts {
			l.unquoted(b, part)
		}
	}
	if len(words) == 0 || words[0] == "echo" || words[0] == "printf" {
		return
	}
	wrapped := false
	for i := range words {
		if d := match(words[i:]); d != nil && (i == 0 || wrapped) {
			l.dangerous(b, int(c.Pos().Offset()), d.name(), b.Text[c.Pos().Offset():c.End().Offset()], d.what)
			return
		}
		wrapped = wrapped || wrappers[words[i]]
		// sh -c "rm -rf x", ssh host "rm -rf x"
		if wrapped && strings.Contains(words[i], " ") && len(words[i]) < maxInfo {
			inner := strings.Fields(words[i])
			for j := range inner[:min(len(inner), 50)] {
				if d := match(inner[j:]); d != nil {
					l.dangerous(b, int(c.Args[i].Pos().Offset()), d.name(), words[i], d.what)
					return
				}
			}
		}
	}
}

func (d *danger) name() string { return strings.Join(append([]string{d.program}, d.verbs...), " ") }

// wrappers run the command that stands among their arguments.
var wrappers = map[string]bool{"sudo": true, "doas": true, "env": true, "nohup": true, "time": true, "exec": true, "command": true,
	"nice": true, "ionice": true, "timeout": true, "xargs": true, "find": true, "ssh": true, "kubectl": true, "docker": true,
	"podman": true, "sh": true, "bash": true, "eval": true, "su": true, "chroot": true, "parallel": true}

// match finds the danger of a command that begins with words[0].
func match(words []string) *danger {
	program := words[0]
	if i := strings.LastIndexByte(program, '/'); i >= 0 {
		program = program[i+1:]
	}
	if strings.HasPrefix(program, "mkfs.") {
		program = "mkfs"
	}
	for i := range dangers {
		if d := &dangers[i]; d.program == program && d.matches(words[1:]) {
			return d
		}
	}
	return nil
}

func (d *danger) matches(args []string) bool {
	verbs := d.verbs
	for i := 0; i < len(args) && len(verbs) > 0; i++ {
		switch {
		case args[i] == verbs[0]:
			verbs = verbs[1:]
		case (args[i] == "-C" || args[i] == "-c" || args[i] == "-n" || args[i] == "--namespace" || args[i] == "--context" || args[i] == "--profile") && i+1 < len(args):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return false
		}
	}
	if len(verbs) > 0 {
		return false
	}
	has := func(re *regexp.Regexp) bool {
		for i, a := range args {
			if re.MatchString(a) || i > 0 && strings.HasPrefix(args[i-1], "--") && re.MatchString(args[i-1]+"="+a) {
				return true
			}
		}
		return false
	}
	return (d.flag == nil || has(d.flag)) && (d.not == nil || !has(d.not))
}

// wordText gives the literal text of a word; what the shell puts in becomes "$".
func wordText(w *syntax.Word) string {
	var b strings.Builder
	var parts func([]syntax.WordPart)
	parts = func(list []syntax.WordPart) {
		for _, p := range list {
			switch p := p.(type) {
			case *syntax.Lit:
				b.WriteString(p.Value)
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				parts(p.Parts)
			default:
				b.WriteByte('$')
			}
		}
	}
	parts(w.Parts)
	return b.String()
}

// unquoted warns of an expansion that the shell splits at blanks and expands as a
// pattern.
func (l *linter) unquoted(b *Block, part syntax.WordPart) {
	what := ""
	switch p := part.(type) {
	case *syntax.ParamExp:
		if p.Param == nil || p.Length || strings.Contains("?#!$-", p.Param.Value) {
			return
		}
		what = "$" + p.Param.Value
	case *syntax.CmdSubst:
		if dated(p) {
			return
		}
		what = "$(...)"
	default:
		return
	}
	l.add(b.at(int(part.Pos().Offset())), Warning, "unquoted", what+" is not quoted: a blank or * in its value makes several words of it", `put it in double quotes`)
}

// dated says whether a substitution gives a date in one word, as in backup-$(date +%Y%m%d).
func dated(p *syntax.CmdSubst) bool {
	if len(p.Stmts) != 1 {
		return false
	}
	call, ok := p.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) < 2 || wordText(call.Args[0]) != "date" {
		return false
	}
	return oneWord.MatchString(wordText(call.Args[len(call.Args)-1]))
}

// oneWord is a format of date whose result has no blank: %c and such are not among them.
var oneWord = regexp.MustCompile(`^\+(%[YmdHMSsFTuVjGyNz]|[A-Za-z0-9_.:-])+$`)
