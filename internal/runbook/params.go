package runbook

import "slices"

// ParamsOf lists what a parameter may be "of": a kind of asset, files with secrets, an
// application, a branch of the git asset that the run is about. A name of ours that an
// estate does not have gives way to the only one that it has.
func ParamsOf() []string {
	return []string{"git", "sqlite", "stream", "files", "secrets", "app", "branch"}
}

// AssetParam is the parameter that every runbook about an asset has: its name.
const AssetParam = "asset"

// Params lists the parameters that a run of the book takes: those of the front matter,
// and, when the book is about a kind of asset, which one it is.
func (b *Book) Params() []Param {
	named := slices.ContainsFunc(b.Meta.Params, func(p Param) bool { return p.Name == AssetParam })
	if b.Meta.Asset == "" || named {
		return b.Meta.Params
	}
	return append(slices.Clone(b.Meta.Params), Param{
		Name: AssetParam, Help: "the " + b.Meta.Asset + " asset that this is about", Pos: b.Meta.Pos["asset"],
	})
}
