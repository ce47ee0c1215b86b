// Package runbooks carries the runbooks that come with Lifeboat, so that one binary is
// enough when everything else is down.
package runbooks

import "embed"

// FS holds the runbooks, each a Markdown file, beside them their tests, and the way from
// symptoms to one of them.
//
//go:embed *.md *.test.yaml triage.yaml
var FS embed.FS
