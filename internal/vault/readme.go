package vault

// ReadmeText says how to restore from a vault with stock tools. It lies in every vault as
// README-RESTORE.md, and in archives.
func ReadmeText() string { return readmeText }
