// Package themes holds the looks of the console that come with Lifeboat.
package themes

import _ "embed"

//go:embed default.yaml
var standard string

// Default is the standard theme: YAML with a palette and roles.
func Default() []byte { return []byte(standard) }
