package vault

// ReadmeText says how to restore from a vault with stock tools. It lies in every vault as
// README-RESTORE.md, and in archives.
func ReadmeText() string { return readmeText }

// IsAssetID says whether a text has the form of what [AssetID] gives.
func IsAssetID(s string) bool { return assetForm.MatchString(s) }
