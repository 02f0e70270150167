package verb

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"tp0/supervisor/exitcode"
)

// Verb is a verb with its flags and its help. Its flags have the values of one command line.
type Verb struct {
	Name  string
	Args  string // of the usage line, after the name; empty: only flags
	Short string // one line
	Long  string // help; empty: as Short
	Flags *pflag.FlagSet

	check func(args []string) error // of the arguments that are no flags
	run   func(args []string) (code int, err error)
}

// newVerb returns a verb without arguments.
func newVerb(name, short, long string) *Verb {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.BoolP(helpFlag, "h", false, "help for "+name)
	return &Verb{
		Name: name, Short: short, Long: long, Flags: f,
		check: func(args []string) error { return CheckNoArguments(f, args) },
	}
}

// helpFlag is the flag that prints the help of a verb.
const helpFlag = "help"

// UseLine returns the usage of the verb, without the name of the program.
func (v *Verb) UseLine() string {
	if v.Args == "" {
		return v.Name + " [flags]"
	}
	return v.Name + " " + v.Args
}

// Help returns the help of the verb.
func (v *Verb) Help() string {
	long := v.Long
	if long == "" {
		long = v.Short
	}
	return fmt.Sprintf("%s\n\nUsage:\n  supervisor %s\n\nFlags:\n%s",
		long, v.UseLine(), v.Flags.FlagUsages())
}

// start runs the verb with its arguments and returns the exit code.
func (v *Verb) start(args []string, p Program) int {
	code := exitcode.OK
	err := v.parse(args, p.Stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return code
	}
	if err == nil {
		code, err = v.run(v.Flags.Args())
	}
	if err != nil {
		WriteError(p.Stderr, err)
		return exitcode.Usage
	}
	return code
}

// parse parses and checks the arguments. If they ask for help, the help is printed, and the error
// is [pflag.ErrHelp].
func (v *Verb) parse(args []string, stdout io.Writer) error {
	if err := v.Flags.Parse(args); err != nil {
		return ExplainFlag(v.Flags, err)
	}
	if v.Flags.Lookup(helpFlag).Value.String() == "true" {
		_, _ = io.WriteString(stdout, v.Help())
		return pflag.ErrHelp
	}
	return v.check(v.Flags.Args())
}

// WriteError prints an error of the command line.
func WriteError(w io.Writer, err error) {
	fmt.Fprintf(w, "supervisor: %v\nSee 'supervisor --help'.\n", err)
}
