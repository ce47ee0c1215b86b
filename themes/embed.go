// Package themes holds the looks of the console that come with Lifeboat.
package themes

import "embed"

// FS has one NAME.yaml per theme.
//
//go:embed *.yaml
var FS embed.FS
