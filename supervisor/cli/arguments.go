package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// checkNoArguments is the check of a verb without arguments. It does not repeat the value of a
// variable, which can be secret.
func checkNoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	given := args[0]
	known := func(flag string) bool { return cmd.Flags().Lookup(flag) != nil }
	if name, _, ok := strings.Cut(given, "="); ok && known("var") {
		return fmt.Errorf("%s takes no arguments. Did you mean --var %s=…?", cmd.Name(), name)
	}
	if isConfiguration(given) && known("config") {
		return fmt.Errorf("%s takes no arguments, but there is %q. Did you mean --config %s?",
			cmd.Name(), given, given)
	}
	return fmt.Errorf("%s takes no arguments, but there is %q", cmd.Name(), given)
}

// isConfiguration reports whether an argument looks like the path of a configuration.
func isConfiguration(argument string) bool {
	return strings.Contains(argument, "/") || strings.HasSuffix(argument, ".hcl") ||
		strings.HasSuffix(argument, ".json")
}

// checkCommand is the check of the arguments of exec.
func checkCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("exec needs a command, such as supervisor exec -- server")
	}
	return nil
}
