package envfile

import (
	"slices"
	"strings"
)

// VariablePrefix is the prefix of the environment variables with values of variables of a
// configuration.
const VariablePrefix = "SUPERVISOR_VAR_"

// IsOwn reports whether a variable is for the supervisor alone: the values of its variables, which
// can be secret, and its control socket.
func IsOwn(name string) bool {
	return name == "SUPERVISOR_SOCKET" || strings.HasPrefix(name, VariablePrefix)
}

// WithoutOwn returns an environment without the variables that are for the supervisor alone.
func WithoutOwn(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return IsOwn(name)
	})
}
