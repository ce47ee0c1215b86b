package vault

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed README-RESTORE.md
var readmeText string

//go:embed restore.sh
var scriptFrame string

// restoreScript writes restore.sh of a point. Everything of the manifest that is put
// into it was validated: no value has a character that means something to a shell.
func restoreScript(m Manifest, k Kind) string {
	var list, take strings.Builder
	var names, roles []string
	for i, o := range m.Chain {
		name := o.plainName(i)
		names, roles = append(names, name), append(roles, o.Role)
		fmt.Fprintf(&list, "#   %s  %s\n", o.SHA256, o.Key)
		fmt.Fprintf(&take, "take '%s/%s' %d %s %s '%s' %s %s\n",
			o.attempt(), o.name(), o.Size, o.SHA256, o.Compression, name, o.PlainSHA256, o.Encryption.Scheme)
	}
	needs := slices.Compact(slices.Sorted(slices.Values(slices.Concat(scriptNeeds, k.Needs(), cryptNeeds(m)))))
	return strings.NewReplacer(
		"@POINT@", m.ID,
		"@ASSET@", m.Asset,
		"@TYPE@", m.Type,
		"@CUT@", m.Cut.UTC().Format("2006-01-02 15:04:05 UTC"),
		"# @OBJECTS@\n", list.String(),
		"# @CRYPT@\n", cryptNote(m),
		"# @KEYS@\n", cryptGuard(m),
		"@NEEDS@", strings.Join(needs, " "),
		"# @TAKE@\n", take.String(),
		"# @KIND@\n", strings.TrimSuffix(k.Script(names, roles, m.Facts), "\n")+"\n",
	).Replace(scriptFrame)
}

// cryptNeeds are the programs that open the objects of a chain.
func cryptNeeds(m Manifest) []string {
	var out []string
	for _, o := range m.Chain {
		if s := o.Encryption.Scheme; (s == schemeAge || s == schemeGPG) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// cryptNote tells the reader of restore.sh which key to look for.
func cryptNote(m Manifest) string {
	var b strings.Builder
	for _, program := range cryptNeeds(m) {
		var keys []string
		for _, o := range m.Chain {
			if o.Encryption.Scheme != program {
				continue
			}
			names := o.Encryption.Recipients
			if program == schemeGPG {
				names = []string{o.KeyID}
			}
			for _, n := range names {
				if n != "" && !slices.Contains(keys, n) {
					keys = append(keys, n)
				}
			}
		}
		if program == schemeAge {
			b.WriteString("# It is encrypted. Name a file with the identity of any one of these recipients:\n#\n")
			b.WriteString("#   AGE_IDENTITY=FILE sh restore.sh FOLDER_OF_DOWNLOADED_OBJECTS TARGET\n#\n")
		} else {
			b.WriteString("# It is encrypted. Name a file whose first line is the passphrase, that of the key:\n#\n")
			b.WriteString("#   GPG_PASSPHRASE_FILE=FILE sh restore.sh FOLDER_OF_DOWNLOADED_OBJECTS TARGET\n#\n")
		}
		for _, k := range keys {
			if program == schemeAge {
				k += "  " + keyID(k)
			}
			fmt.Fprintf(&b, "#   %s\n", k)
		}
		b.WriteString("#\n# v1/keys/KEY.json in the bucket says what each is, and v1/README-RESTORE.md how an\n")
		b.WriteString("# identity comes out of a key management service (v1/keys/KEY.….kms).\n#\n")
	}
	return b.String()
}

// cryptGuard is the part of restore.sh that asks for the key before anything is done.
func cryptGuard(m Manifest) string {
	const guard = `[ -n "${@VAR@-}" ] || die 'it is encrypted with @PROGRAM@: set @VAR@ to @WHAT@'
case $@VAR@ in /*) ;; *) @VAR@=$PWD/$@VAR@ ;; esac
[ -f "$@VAR@" ] && [ -r "$@VAR@" ] || die "@VAR@: there is no file $@VAR@ that can be read"
`
	var b strings.Builder
	for _, program := range cryptNeeds(m) {
		variable, what := "AGE_IDENTITY", "a file with an identity (AGE-SECRET-KEY-1...) of one of its recipients"
		if program == schemeGPG {
			variable, what = "GPG_PASSPHRASE_FILE", "a file whose first line is the passphrase"
		}
		b.WriteString(strings.NewReplacer("@VAR@", variable, "@PROGRAM@", program, "@WHAT@", what).Replace(guard))
	}
	return b.String()
}
