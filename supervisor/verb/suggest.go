package verb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/pflag"
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
		meant = Nearest(given, names)
	}
	if meant != "" {
		meant = "--" + meant
	}
	return fmt.Errorf("%w%s", err, Question(meant))
}

// Nearest returns the name that is most similar to a given one, or "" if none is similar. Of two
// that are equally similar, the one that begins as the given one does is returned.
func Nearest(given string, names []string) (best string) {
	const most = 64 // bytes; the comparison takes the square
	distance := 3
	if len(given) > most {
		return ""
	}
	for _, name := range names {
		d := levenshtein.Distance(given, name, nil)
		begins := best != "" && best[0] != given[0] && name != "" && name[0] == given[0]
		if d < len(given) && (d < distance || d == distance && begins) {
			best, distance = name, d
		}
	}
	if best == "" && len(given) > 2 {
		for _, name := range names {
			if strings.HasPrefix(name, given) {
				return name
			}
		}
	}
	return best
}

// Question returns a sentence that asks for what was meant, or "".
func Question(meant string) string {
	if meant == "" {
		return ""
	}
	return fmt.Sprintf(". Did you mean %s?", meant)
}
