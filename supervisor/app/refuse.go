package app

import (
	"errors"
	"fmt"
	"os"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/termtext"
)

// refuse prints the error that prevents the start of the children, and returns code.
func refuse(err error, code int) int {
	var faults *hclconfig.Faults
	if errors.As(err, &faults) {
		_ = faults.Write(os.Stderr, 0, wantsColor(os.Stderr))
		return code
	}
	fmt.Fprintf(os.Stderr, "supervisor: %s\n", termtext.EscapeLines(err.Error()))
	return code
}

// refuse does the same for an app of which only some parts exist. It also closes the sockets, which
// removes the files of unix sockets.
func (a *app) refuse(err error, code int) int {
	if a.control != nil {
		a.control.server.Close()
	}
	if a.observation != nil {
		a.observation.endpoint.Close()
	}
	if a.sockets != nil {
		a.sockets.Keep(func(string) bool { return false })
	}
	return refuse(err, code)
}
