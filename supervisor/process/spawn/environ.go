package spawn

import "strings"

// hidden is put before each name of a variable that the start verb gets. The verb runs with the
// rights of the supervisor, and the variables are for a command that may have another user: with
// its own name, LD_PRELOAD makes the dynamic linker load a library of that user into the verb (in
// builds that have a dynamic linker), and GODEBUG and GOTRACEBACK change Go's runtime. Neither the
// linker nor the runtime knows a name with this prefix. The variables are not in the request,
// because every user can read the arguments of a process.
const hidden = "+"

// hideEnviron returns the environment of a start verb whose command gets environ.
func hideEnviron(environ []string) []string {
	all := make([]string, len(environ))
	for i, entry := range environ {
		all[i] = hidden + entry
	}
	return all
}

// showEnviron is the inverse of hideEnviron. It drops variables that were not hidden.
func showEnviron(environ []string) []string {
	all := make([]string, 0, len(environ))
	for _, entry := range environ {
		if entry, ok := strings.CutPrefix(entry, hidden); ok {
			all = append(all, entry)
		}
	}
	return all
}
