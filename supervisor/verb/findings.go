package verb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"tp0/supervisor/findings"
)

// addFindings adds the flags that say what counts as a finding. usual is the level without the
// flag.
func addFindings(f *pflag.FlagSet, p *findings.Policy, usual string) {
	f.Var(
		(*levelFlag)(&p.Level), "findings",
		"count leaked descriptors of this `level` as findings: data, sockets or all (default "+
			usual+")",
	)
	f.Var(
		(*allowFlag)(&p.Allow), "allow",
		"never count such a leaked `descriptor` as a finding, as epoll or 'file:/var/log/**'; "+
			"can be repeated",
	)
}

// levelFlag is the value of --findings.
type levelFlag findings.Level

func (f *levelFlag) String() string { return "" } // its default is in its description

func (f *levelFlag) Type() string { return "level" }

func (f *levelFlag) Set(text string) error {
	if !slices.Contains(findings.Levels(), findings.Level(text)) {
		return fmt.Errorf("%q is not a level: use data, sockets or all", text)
	}
	*f = levelFlag(text)
	return nil
}

// allowFlag is the value of --allow.
type allowFlag []findings.Pattern

func (f *allowFlag) String() string {
	var all []string
	for _, p := range *f {
		all = append(all, p.String())
	}
	return strings.Join(all, " ")
}

func (f *allowFlag) Type() string { return "descriptor" }

func (f *allowFlag) Set(text string) error {
	p, err := findings.ParsePattern(text)
	if err != nil {
		return err
	}
	*f = append(*f, p)
	return nil
}

// addChoice adds a flag that has one of some values.
func addChoice(f *pflag.FlagSet, to *string, name string, values []string, usage string) {
	f.Var(&choiceFlag{to, values}, name, usage)
}

// choiceFlag is the value of a flag that has one of some values.
type choiceFlag struct {
	to     *string
	values []string
}

func (f *choiceFlag) String() string { return "" } // its default is in its description

func (f *choiceFlag) Type() string { return "value" }

func (f *choiceFlag) Set(text string) error {
	if !slices.Contains(f.values, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(f.values, ", "))
	}
	*f.to = text
	return nil
}
