package git

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/command"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

// Under stress people paste half an id, that of a build, or one from another repository.
// What follows says what such a token is, and what is near it.

// mostNear is how much of what is near a token is named.
const mostNear = 4

// noCommit is the error for a token that names no commit of this repository.
func (k *desk) noCommit(ctx context.Context, dir, arg, rev string) error {
	refuse := func(what, advice string) error {
		return hint.Wrap(hint.Blame(fmt.Errorf("%w: %s: %s", action.ErrRefused, arg, what), arg), advice)
	}
	shown := printable.Line(rev)
	if oid, kind := k.whatIs(ctx, dir, rev); kind != "" && kind != "commit" {
		return refuse(fmt.Sprintf("%q is a %s, not a commit", shown, kind), k.commitsWith(ctx, dir, oid, kind))
	}
	hex := strings.ToLower(rev)
	isHex := len(hex) >= 4 && len(hex) <= 64 && strings.Trim(hex, "0123456789abcdef") == ""
	if isHex {
		if many := k.beginsWith(ctx, hex); len(many) > 1 {
			return refuse(fmt.Sprintf("%d objects begin with %q", len(many), shown), "write more of the id; it may be one of "+strings.Join(k.describe(ctx, many), ", "))
		}
		for _, p := range k.others {
			if _, kind := kindIn(ctx, p.Dir, hex); kind != "" {
				return refuse(fmt.Sprintf("%q is a %s of %q, another repository", shown, kind, p.Name), "give asset: "+p.Name+", or an id of this repository")
			}
		}
	}
	what := fmt.Sprintf("there is no commit %q here", shown)
	if near := k.near(ctx, dir, hex, isHex); len(near) > 0 {
		return refuse(what, "near it: "+strings.Join(near, ", ")+"; or look for it with git.find-lost")
	}
	advice := "bring it in with git.keep, or look for it with git.find-lost"
	if isHex {
		advice += "; nothing here has an id near it, so it may be of another repository"
	}
	return refuse(what, advice)
}

// whatIs tells the type of what a token names, in the clone or anywhere the desk sees.
func (k *desk) whatIs(ctx context.Context, dir, rev string) (oid, kind string) {
	if dir != "" {
		if oid, kind = kindIn(ctx, dir, rev); kind != "" {
			return oid, kind
		}
	}
	return kindIn(ctx, k.dir, rev)
}

// kindIn tells the type of what a token names in one repository.
func kindIn(ctx context.Context, dir, rev string) (oid, kind string) {
	out, err := command.Output(ctx, command.Git(dir, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{object}"))
	if err != nil {
		return "", ""
	}
	oid = strings.TrimSpace(string(out))
	out, err = command.Output(ctx, command.Git(dir, "cat-file", "-t", oid))
	if err != nil {
		return "", ""
	}
	return oid, strings.TrimSpace(string(out))
}

// commitsWith advises which commits hold a tree or a file.
func (k *desk) commitsWith(ctx context.Context, dir, oid, kind string) string {
	const newest = "20000" // commits looked through: a courtesy need not read ten years
	var found []string
	if dir == "" {
		return "give the id of a commit"
	}
	switch kind {
	case "tree":
		out, err := command.Output(ctx, command.Git(dir, "log", "--all", "--max-count="+newest, "--format=%T %H"))
		for line := range strings.Lines(string(out)) {
			if tree, commit, _ := strings.Cut(strings.TrimSpace(line), " "); err == nil && tree == oid {
				found = append(found, commit)
			}
		}
	case "blob":
		out, err := command.Output(ctx, command.Git(dir, "log", "--all", "--max-count=3", "--format=%H", "--find-object="+oid))
		if err == nil {
			found = strings.Fields(string(out))
		}
	}
	if len(found) == 0 {
		return "give the id of a commit: git log shows them"
	}
	return "it belongs to " + strings.Join(k.describe(ctx, found), ", ")
}

// beginsWith lists the objects that the desk sees under a shortened id.
func (k *desk) beginsWith(ctx context.Context, hex string) []string {
	out, err := k.output(ctx, "rev-parse", "--disambiguate="+hex)
	if err != nil {
		return nil
	}
	return strings.Fields(out)
}

// describe names objects for a person: `3f2a1c9 "demo" by Klara`, or their type.
func (k *desk) describe(ctx context.Context, oids []string) []string {
	types, err := k.types(ctx, oids)
	if err != nil {
		return nil
	}
	var out []string
	for _, oid := range oids[:min(mostNear, len(oids))] {
		text := oid[:min(12, len(oid))]
		switch line, err := k.output(ctx, "log", "-1", "--no-show-signature", "--format=%s%x1f%an", oid, "--"); {
		case types[oid] == "commit" && err == nil:
			subject, author, _ := strings.Cut(line, "\x1f")
			text += fmt.Sprintf(" \"%s\" by %s", clip(printable.Line(subject)), printable.Line(author))
		case types[oid] != "":
			text += " (a " + types[oid] + ")"
		}
		out = append(out, text)
	}
	if more := len(oids) - mostNear; more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return out
}

// near lists commits or names that a mistyped token may have meant.
func (k *desk) near(ctx context.Context, dir, typed string, isHex bool) []string {
	if isHex {
		c := k.git("rev-list", "--all", "--ignore-missing", "--stdin")
		c.Stdin = strings.NewReader(strings.Join(k.known, "\n") + "\n")
		text, err := command.Output(ctx, c)
		if err != nil {
			return nil
		}
		out := string(text)
		var found []string
		for oid := range strings.Lines(out) {
			if oid = strings.TrimSpace(oid); alike(typed, oid) {
				found = append(found, oid)
			}
		}
		return k.describe(ctx, found)
	}
	if dir == "" {
		return nil
	}
	refs, err := refsOf(ctx, dir, "refs/")
	if err != nil {
		return nil
	}
	var found []string
	for _, ref := range refs {
		name := ref.Name
		for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/remotes/"} {
			name = strings.TrimPrefix(name, prefix)
		}
		if misspelt(strings.ToLower(name), typed, 2) && !slices.Contains(found, printable.Line(name)) {
			found = append(found, printable.Line(name))
		}
	}
	return found[:min(mostNear, len(found))]
}

// alike says whether an id may be what a mistyped beginning of an id meant: one digit
// wrong, missing, too many, or two that changed places; or the first half right.
func alike(typed, oid string) bool {
	same := 0
	for same < len(typed) && same < len(oid) && typed[same] == oid[same] {
		same++
	}
	if same >= max(5, len(typed)/2) {
		return true
	}
	n := min(len(typed), len(oid))
	return n >= 6 && (misspelt(typed, oid[:n], 1) || misspelt(typed, oid[:min(n+1, len(oid))], 1) || misspelt(typed, oid[:n-1], 1))
}

// misspelt says whether a may be b with at most so many mistakes.
func misspelt(a, b string, most int) bool {
	return hint.Distance([]byte(a), []byte(b), most+1) <= most
}

// clip shortens a subject.
func clip(s string) string {
	if r := []rune(s); len(r) > 50 {
		return string(r[:49]) + "…"
	}
	return s
}
