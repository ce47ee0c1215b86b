package runbook

import "slices"

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
