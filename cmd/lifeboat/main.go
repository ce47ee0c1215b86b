// Command lifeboat is the runbook console for backup and disaster recovery.
package main

import (
	"os"

	"lifeboat/internal/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
