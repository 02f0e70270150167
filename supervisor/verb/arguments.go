package verb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// CheckNoArguments is the check of a verb without arguments; f has its flags and its name. The
// error does not repeat the value of a variable, which can be secret.
func CheckNoArguments(f *pflag.FlagSet, args []string) error {
	if len(args) == 0 {
		return nil
	}
	given := args[0]
	if name, _, ok := strings.Cut(given, "="); ok && f.Lookup("var") != nil {
		return fmt.Errorf("%s takes no arguments. Did you mean --var %s=…?", f.Name(), name)
	}
	if IsConfiguration(given) && f.Lookup("config") != nil {
		return fmt.Errorf("%s takes no arguments, but there is %q. Did you mean --config %s?",
			f.Name(), given, given)
	}
	return fmt.Errorf("%s takes no arguments, but there is %q", f.Name(), given)
}

// IsConfiguration reports whether an argument looks like the path of a configuration.
func IsConfiguration(argument string) bool {
	return strings.Contains(argument, "/") || strings.HasSuffix(argument, ".hcl") ||
		strings.HasSuffix(argument, ".json")
}

// checkCommand is the check of the arguments of exec.
func checkCommand(args []string) error {
	if len(args) == 0 {
		return errors.New("exec needs a command, such as supervisor exec -- server")
	}
	return nil
}
