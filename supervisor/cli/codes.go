package cli

import (
	"errors"

	"tp0/supervisor/exitcode"
)

// The exit codes of the verbs about a running supervisor, beside those of package exitcode.
const (
	noSupervisor = 4
	noSuchChild  = 5
)

// codedError is an error with its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// failed is an error without a text: it was printed.
var failed = &codedError{exitcode.Failed, errors.New("")}
