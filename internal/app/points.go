package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
	"lifeboat/internal/vault"
)

// assetID gives the id of what a person names: an asset of the estate, or the id of one that
// is in the vault and no longer in the estate.
func (w *world) assetID(name string) (string, error) {
	if a, err := w.protected(name, ""); err == nil {
		return vault.AssetID(a.Asset), nil
	} else if !vault.IsAssetID(name) {
		return "", usage(err)
	}
	return name, nil
}

// point finds a point by its id, by a part of its id that no other has, or by a word:
// "latest", "latest~2" for the second before it, or a time.
func (w *world) point(ctx context.Context, v *vault.Vault, asset, text string) (vault.Manifest, error) {
	word, back, _ := strings.Cut(text, "~")
	if text == "" || word == "latest" {
		if back == "" {
			return v.Latest(ctx, asset)
		}
		var n int
		if _, err := fmt.Sscanf(back, "%d", &n); err != nil || n < 0 {
			return vault.Manifest{}, usage(hint.New(fmt.Sprintf("%q is no point", text), "write latest, latest~1 for the one before it, an id, or a time"))
		}
		ids, err := v.Points(ctx, asset, time.Time{})
		if err != nil {
			return vault.Manifest{}, err
		}
		ids = vault.Past(ids, w.env.now()) // latest~0 is latest
		if n >= len(ids) {
			return vault.Manifest{}, usage(hint.New(fmt.Sprintf("there is no point %q", text), fmt.Sprintf("the asset has %s", printable.Count(len(ids), "point"))))
		}
		return v.Get(ctx, asset, ids[n])
	}
	if t, err := vault.ParseTime(text, w.env.now()); err == nil {
		return v.At(ctx, asset, t)
	}
	ids, err := v.Points(ctx, asset, time.Time{})
	if err != nil {
		return vault.Manifest{}, err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, text) || strings.HasSuffix(id, strings.ToUpper(text)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return v.Get(ctx, asset, found[0])
	case 0:
		return vault.Manifest{}, usage(hint.New(fmt.Sprintf("%s has no point %q", asset, text), "lifeboat vault ls "+asset+" lists them"))
	}
	return vault.Manifest{}, usage(hint.New(fmt.Sprintf("%d points begin or end with %q", len(found), text), "write more of the id"))
}

// pointID gives the whole id of what a person calls a point of an asset; "" stays "". The
// asset has to be one of the estate or of the vault.
func (w *world) pointID(asset, text string) (string, error) {
	a, err := w.protected(asset, "")
	if err != nil {
		return "", usage(err)
	}
	if text == "" {
		return "", nil
	}
	v, err := w.vaults.get(w.env.ctx)
	if err != nil {
		return "", usage(err)
	}
	m, err := w.point(w.env.ctx, v, vault.AssetID(a.Asset), text)
	return m.ID, err
}

// ours are the ids of the assets of the estate.
func (w *world) ours() map[string]bool {
	out := map[string]bool{}
	if w.estate == nil {
		return out
	}
	for _, name := range append(w.assetNames(), archiveAsset) {
		if a, err := w.protected(name, ""); err == nil {
			out[vault.AssetID(a.Asset)] = true
		}
	}
	return out
}
