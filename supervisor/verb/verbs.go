package verb

import (
	"fmt"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
)

// verbs are the verbs of the program supervisor. Only the verb that runs is made: the flags of all
// verbs take 25 pages of memory.
var verbs = [...]struct {
	name string
	make func(Program) *Verb
}{
	{Run, runVerb}, {Exec, execVerb}, {Validate, validateVerb}, {Health, healthVerb},
	{Version, versionVerb},
}

// All returns the verbs of the program supervisor.
func All(p Program) (all []*Verb) {
	for _, v := range verbs {
		all = append(all, v.make(p))
	}
	return all
}

// Main runs the verb that args name. ok is false if args name none of this package.
func Main(args []string, p Program) (code int, ok bool) {
	if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		args = []string{Version}
	}
	// Names of files, arguments and contents of files are in what the verbs print.
	out := NewOutput(p.Stdout)
	p.Stdout, p.Stderr = termtext.NewWriter(out), termtext.NewWriter(p.Stderr)
	v := find(args, p)
	if v == nil {
		return 0, false
	}
	return out.Finish(v.start(args[1:], p), p.Stderr), true
}

// find returns the verb that args name, or nil.
func find(args []string, p Program) *Verb {
	for _, v := range verbs {
		if len(args) > 0 && args[0] == v.name {
			return v.make(p)
		}
	}
	return nil
}

// Overview prints a help for the case that supervisorctl, which has the whole help, is missing:
// that of a verb for "help VERB", else a list of the verbs of this package. It reports whether args
// ask for help.
func Overview(args []string, p Program) (code int, ok bool) {
	out := NewOutput(p.Stdout)
	p.Stdout = out
	ok = writeOverview(args, p)
	return out.Finish(exitcode.OK, p.Stderr), ok
}

func writeOverview(args []string, p Program) bool {
	if len(args) == 2 && args[0] == helpFlag {
		if v := find(args[1:], p); v != nil {
			fmt.Fprint(p.Stdout, v.Help())
			return true
		}
	}
	if len(args) > 1 || len(args) == 1 && args[0] != helpFlag && args[0] != "--help" &&
		args[0] != "-h" {
		return false
	}
	fmt.Fprint(p.Stdout, "Run programs, end them gracefully, and prove it\n\n"+
		"Usage:\n  supervisor [command]\n\nAvailable Commands:\n")
	for _, v := range All(p) {
		fmt.Fprintf(p.Stdout, "  %-11s %s\n", v.Name, v.Short)
	}
	fmt.Fprint(p.Stdout, "\nUse \"supervisor [command] --help\" for more information about a "+
		"command.\nAll other commands need the program supervisorctl, which is not installed.\n")
	return true
}
