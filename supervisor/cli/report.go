package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/report"
)

func (c *cli) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report FILE",
		Short: "Print the report of a stop as tables",
		Long: `Print the report of a stop as tables: the time that each child took and why, the
findings, and how each child ended. FILE was written by run --report, as JSON or
HTML; - is standard input.

Exit codes: 0 done, 1 the file cannot be read or is no report.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := readReport(args[0])
			if err == nil {
				err = report.Text(c.Stdout, d)
			}
			if err != nil {
				fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
				c.code = exitcode.Failed
			}
			return nil
		},
	}
}

// readReport reads a report. O_NONBLOCK keeps the open of a FIFO from blocking.
func readReport(path string) (*report.Document, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file; use - to read standard input", path)
		}
	}
	d, err := report.Read(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return d, nil
}
