package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/verb"
)

// Program is the program that the command line belongs to.
type Program struct {
	Version string
	// Caller is the version of the supervisor that executed this program; empty: none did.
	Caller         string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// cli is one parse of a command line.
type cli struct {
	Program
	out    *verb.Output // standard output as it is: Stdout and Stderr escape what is written
	config verb.Config
	code   int

	toTerminal    bool // standard output is a terminal
	progressShows bool // standard error is a terminal
}

// checkNoArguments is the check of a verb without arguments.
func checkNoArguments(cmd *cobra.Command, args []string) error {
	return verb.CheckNoArguments(cmd.Flags(), args)
}

// load loads a configuration for a verb that starts nothing. If it has faults, they are printed,
// the exit code is set, and the result is nil. Warnings are printed, unless warnings is nil.
func (c *cli) load(path string, warnings io.Writer) (*config.Config, error) {
	cfg, warned, err := c.config.Read(path)
	var faults *hclconfig.Faults
	if errors.As(err, &faults) {
		c.code = exitcode.Usage
		return nil, faults.Write(c.Stderr, 0, false)
	}
	if err == nil && warnings != nil {
		err = warned.Write(warnings, verb.Columns, false)
	}
	return cfg, err
}

// writeJSON writes a value as one JSON document, indented.
func (c *cli) writeJSON(v any) error { return verb.WriteJSON(c.Stdout, v) }

// outputLost returns an error if output is lost. A verb that repeats its output ends with it.
func (c *cli) outputLost() error {
	if c.out.Err() != nil {
		return &codedError{exitcode.OK, errors.New("")} // Main prints the reason and sets the code
	}
	return nil
}
