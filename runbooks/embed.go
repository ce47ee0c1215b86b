// Package runbooks carries the runbooks that come with Lifeboat, so that one binary is
// enough when everything else is down.
package runbooks

import "embed"

// FS holds the runbooks, each a Markdown file.
//
//go:embed *.md triage.yaml
var FS embed.FS
