// Supervisorctl has the verbs of supervisor that start no child. Supervisor executes it.
package main

import (
	"os"

	"tp0/supervisor/cli"
	"tp0/supervisor/sibling"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Program{
		Version: version, Caller: sibling.TakeCaller(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}))
}
