package verb

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"tp0/supervisor/similar"
)

// daemonHint is for the flags that put other programs into the background.
const daemonHint = "The supervisor runs in the foreground. " +
	"Start it from a service manager, or with &"

// flagHints are flags of other programs that this one does not have, with what to do instead.
var flagHints = map[string]string{
	"d": daemonHint, "daemon": daemonHint, "daemonize": daemonHint, "detach": daemonHint,
	"background": daemonHint, "nodaemon": daemonHint, "n": daemonHint,
}

// otherFlags are flags of other programs, with ours.
var otherFlags = map[string]string{
	"file": "config", "configuration": "config", "conf": "config", "f": "config", "C": "config",
	"variable": "var", "variables": "var-file", "env-file": "var-file", "pidfile": "pid-file",
	"V": "version", "loglevel": "log-level", "logformat": "log-format",
	"services": "only", "service": "only",
}

// ExplainFlag adds to the error of an unknown flag which flag was probably meant. f has the flags
// that are known.
func ExplainFlag(f *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	given := unknown.GetSpecifiedName()
	if hint := flagHints[given]; hint != "" {
		return fmt.Errorf("%w. %s", err, hint)
	}
	var names []string
	known := map[string]bool{}
	f.VisitAll(func(flag *pflag.Flag) {
		names = append(names, flag.Name)
		known[flag.Name] = true
	})
	meant := otherFlags[given]
	if !known[meant] {
		meant = similar.Name(given, names)
	}
	if meant != "" {
		meant = "--" + meant
	}
	return fmt.Errorf("%w%s", err, similar.Question(meant))
}
