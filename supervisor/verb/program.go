// Package verb has the verbs that the program supervisor runs by itself: run, exec, validate,
// health and version. The program supervisorctl has all other verbs. It shows the flags and the
// help of the verbs of this package too, so each flag is defined once. The package needs no
// framework of the command line, because it is a part of the process with pid 1.
package verb

import "io"

// The verbs of the program supervisor.
const (
	Run      = "run"
	Exec     = "exec"
	Validate = "validate"
	Health   = "health"
	Version  = "version"
)

// Program is the program that the verbs belong to.
type Program struct {
	Version        string
	Stdout, Stderr io.Writer
	Run            func(RunOptions) int
	Exec           func(ExecOptions) int
}
