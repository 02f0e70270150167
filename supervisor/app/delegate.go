package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/sibling"
	"tp0/supervisor/verb"
)

// delegate executes supervisorctl, which has the verbs that this program has not. It returns only
// if that fails.
func delegate(args []string, p verb.Program) int {
	err := sibling.Exec(sibling.Supervisorctl, args, p.Version)
	if code, ok := verb.Overview(args, p); ok {
		return code
	}
	what := "this command line"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		what = fmt.Sprintf("%q", args[0])
	}
	fmt.Fprintf(p.Stderr, "supervisor: %s needs the program supervisorctl: %v\n"+
		"It belongs to the same release as supervisor. Copy it into the directory of supervisor.\n",
		what, err)
	if errors.Is(err, fs.ErrNotExist) {
		return exitcode.NotFound
	}
	return exitcode.NotExecutable
}
