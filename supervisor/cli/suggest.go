package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tp0/supervisor/similar"
	"tp0/supervisor/verb"
)

// otherVerbs are verbs of other programs, with ours.
var otherVerbs = map[string]string{
	"up": verb.Run, "serve": verb.Run, "daemon": verb.Run, "foreground": verb.Run,
	"check": "validate", "config": "validate", "verify": "validate", "lint": "validate",
	"configtest": "validate", "ready": "health", "healthcheck": "health", "ping": "health",
	"list": "status", "ls": "status", "state": "status", "test": "validate",
	"down": "shutdown", "quit": "shutdown", "halt": "shutdown", "kill": "signal",
	"reread": "reload", "update": "reload", "tail": "logs", "attach": "logs",
	"format": fmtVerb, "new": "init", "graph": "plan", "show": "plan", "--": verb.Exec,
}

// checkVerb is the check of the arguments of the root command. They are an unknown verb.
func checkVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	given := args[0]
	if verb.IsConfiguration(given) {
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
		meant = similar.Name(given, names)
	}
	return fmt.Errorf("unknown command %q%s", given, similar.Question(meant))
}

// explainFlag adds to the error of an unknown flag which flag was probably meant.
func explainFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !cmd.HasParent() && errors.As(err, &unknown) {
		switch unknown.GetSpecifiedName() {
		case "c", "config":
			return fmt.Errorf("%w. Give a command first, such as supervisor run --config", err)
		}
	}
	return verb.ExplainFlag(cmd.Flags(), err)
}
