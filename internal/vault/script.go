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
		fmt.Fprintf(&take, "take '%s/%s' %d %s %s '%s' %s\n",
			o.attempt(), o.name(), o.Size, o.SHA256, o.Compression, name, o.PlainSHA256)
	}
	needs := slices.Compact(slices.Sorted(slices.Values(slices.Concat(scriptNeeds, k.Needs()))))
	return strings.NewReplacer(
		"@POINT@", m.ID,
		"@ASSET@", m.Asset,
		"@TYPE@", m.Type,
		"@CUT@", m.Cut.UTC().Format("2006-01-02 15:04:05 UTC"),
		"# @OBJECTS@\n", list.String(),
		"@NEEDS@", strings.Join(needs, " "),
		"# @TAKE@\n", take.String(),
		"# @KIND@\n", strings.TrimSuffix(k.Script(names, roles, m.Facts), "\n")+"\n",
	).Replace(scriptFrame)
}
