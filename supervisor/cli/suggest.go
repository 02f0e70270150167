package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// otherVerbs are verbs of other programs, with ours.
var otherVerbs = map[string]string{
	"up": runVerb, "serve": runVerb, "daemon": runVerb, "foreground": runVerb, "start": runVerb,
	"check": "validate", "config": "validate", "verify": "validate", "lint": "validate",
	"configtest": "validate", "ready": "health", "healthcheck": "health", "ping": "health",
	"status": "health", "ps": "health", "list": "health", "test": "validate",
	"format": fmtVerb, "new": "init", "graph": "plan", "show": "plan", "--": execVerb,
}

// Requests to a running supervisor are signals.
const (
	stopHint   = "To stop a supervisor, send SIGTERM to its process"
	reloadHint = "To reload the configuration of a supervisor, send SIGHUP to its process"
	outputHint = "The output of the children is on the standard output of supervisor run"
	daemonHint = "The supervisor runs in the foreground. Start it from a service manager, or with &"
)

// verbHints are verbs of other programs that this one does not have, with what to do instead.
var verbHints = map[string]string{
	"stop": stopHint, "down": stopHint, "kill": stopHint, "shutdown": stopHint, "quit": stopHint,
	"reload": reloadHint, "restart": reloadHint, "reread": reloadHint, "update": reloadHint,
	"logs": outputHint, "tail": outputHint, "attach": outputHint,
}

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

// checkVerb is the check of the arguments of the root command. They are an unknown verb.
func checkVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	given := args[0]
	if hint := verbHints[given]; hint != "" {
		return fmt.Errorf("unknown command %q. %s", given, hint)
	}
	if isConfiguration(given) {
		return fmt.Errorf("unknown command %q. Did you mean run --config %s?", given, given)
	}
	meant := otherVerbs[given]
	if meant == "" {
		var names []string
		for _, sub := range root.Commands() {
			if !sub.Hidden {
				names = append(names, sub.Name())
			}
		}
		meant = nearest(given, names)
	}
	return fmt.Errorf("unknown command %q%s", given, question(meant))
}

// explainFlag adds to the error of an unknown flag which flag was probably meant.
func explainFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	given := unknown.GetSpecifiedName()
	if hint := flagHints[given]; hint != "" {
		return fmt.Errorf("%w. %s", err, hint)
	}
	if !cmd.HasParent() && (given == "c" || given == "config") {
		return fmt.Errorf("%w. Give a command first, such as supervisor run --config", err)
	}
	var names []string
	known := map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names = append(names, f.Name)
		known[f.Name] = true
	})
	meant := otherFlags[given]
	if !known[meant] {
		meant = nearest(given, names)
	}
	if meant != "" {
		meant = "--" + meant
	}
	return fmt.Errorf("%w%s", err, question(meant))
}

// nearest returns the name that is most similar to a given one, or "" if none is similar.
func nearest(given string, names []string) (best string) {
	const most = 64 // bytes; the comparison takes the square
	distance := 3
	if len(given) > most {
		return ""
	}
	for _, name := range names {
		d := levenshtein.Distance(given, name, nil)
		if d < distance && d < len(given) {
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

func question(meant string) string {
	if meant == "" {
		return ""
	}
	return fmt.Sprintf(". Did you mean %s?", meant)
}
