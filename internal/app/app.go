// Package app builds Lifeboat from its parts: commands, flags, environment, signals,
// construction, exit codes. It is the only package that reads os.Args and the
// environment, the only one that prints errors, and the only one that knows them all.
package app

import "io"

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int { return 2 }
