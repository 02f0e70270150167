package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/verb"
)

func (c *cli) initCommand() *cobra.Command {
	show := false
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented configuration to start from",
		Long: `Write a commented configuration to start from: to ./supervisor.hcl, or to the file of
--config. An existing file is not changed.

Exit codes: 0 the file is written, 1 it exists or cannot be written.`,
		Args: checkNoArguments,
		RunE: func(*cobra.Command, []string) error {
			if show || c.config.File == "-" {
				_, err := fmt.Fprint(c.Stdout, verb.FirstConfig)
				return err
			}
			path, err := c.config.Locate()
			if err != nil {
				return err
			}
			if strings.HasSuffix(path, ".json") {
				return fmt.Errorf("init writes HCL, and %s is for JSON. Use a name such as %s",
					path, strings.TrimSuffix(path, "json")+"hcl")
			}
			if err := writeNew(path, verb.FirstConfig); err != nil {
				fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
				c.code = exitcode.Failed
				return nil
			}
			run := "supervisor run"
			if c.config.File != "" {
				run += " --config " + c.config.File
			}
			fmt.Fprintf(c.Stdout, "%s is written. `%s` starts it.\n", path, run)
			return nil
		},
	}
	c.config.AddFile(cmd.Flags())
	cmd.Flags().BoolVar(&show, "print", false, "print the configuration and write no file")
	return cmd
}

// writeNew writes a file that does not exist yet.
func writeNew(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not changed", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return nil
}
