package settings

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Program describes a program for --help and --version.
type Program struct {
	Name    string
	Version string
	Summary string // one sentence
	File    string // the configuration file
}

// Arguments handles the command line. Without arguments ended is false and the program continues.
// Otherwise code is the exit code: 0 after --version and --help, 2 for any other argument.
func (p Program) Arguments(args []string, table []Setting, stdout, stderr io.Writer) (code int,
	ended bool) {
	switch {
	case len(args) == 0:
		return 0, false
	case len(args) == 1 && args[0] == "--version":
		fmt.Fprintf(stdout, "%s %s\n", p.Name, p.Version)
		return 0, true
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h"):
		p.help(table, stdout)
		return 0, true
	}
	fmt.Fprintf(stderr, "%s: unknown arguments %q\n\n", p.Name, args)
	p.help(table, stderr)
	return 2, true
}

func (p Program) help(table []Setting, w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage: %s [--version | --help]\n\n", p.Summary, p.Name)
	fmt.Fprintf(w,
		"Its settings come from the environment, else from %s in the working directory:\n\n",
		p.File)
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range table {
		value := s.Default
		if value == "" {
			value = "(required)"
		}
		fmt.Fprintf(columns, "  %s\t%s\t%s\t%s\n", s.Name, s.Key, value, s.Want)
	}
	columns.Flush()
}
