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
	"format": fmtVerb, "new": "init", "graph": "plan", "show": "plan", "--": execVerb,
}

// otherFlags are flags of other programs, with ours.
var otherFlags = map[string]string{
	"file": "config", "configuration": "config", "conf": "config", "f": "config", "C": "config",
	"variable": "var", "variables": "var-file", "env-file": "var-file", "pidfile": "pid-file",
	"loglevel": "log-level", "logformat": "log-format", "services": "only", "service": "only",
}

// checkVerb is the check of the arguments of the root command. They are an unknown verb.
func checkVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	given := args[0]
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
