package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/report"
	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

// reports is one call of the verb report.
type reports struct {
	*cli
	compare bool
	output  string // text or json
}

func (c *cli) reportCommand() *cobra.Command {
	r := &reports{cli: c}
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Print reports of stops as tables, and compare them",
		Long: `Print the report of a stop as tables: the time that each child took and why, the
findings, and how each child ended. FILE was written by run --report, as JSON or
HTML; - is standard input. A directory stands for its files *.json and *.html.

With several files or a directory, print for each child how long its stops took,
how often it was on the critical path, how often it was forced or had findings.
With --compare A B, print what got slower from A to B, new findings, and children
added or removed. A and B are files or directories.

Exit codes: 0 done, 1 a file cannot be read or is no report. The other files are
still printed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return r.run(args) },
	}
	cmd.Flags().BoolVar(&r.compare, "compare", false,
		"compare the reports of two files or directories")
	verb.AddOutput(cmd.Flags(), &r.output)
	return cmd
}

func (r *reports) run(args []string) error {
	if err := verb.CheckOutput(r.output); err != nil {
		return err
	}
	if r.compare && len(args) != 2 {
		return fmt.Errorf("--compare needs two files or directories, not %d: supervisor report "+
			"--compare A B", len(args))
	}
	var err error
	switch {
	case r.compare:
		err = r.writeComparison(args[0], args[1])
	case len(args) > 1 || isDir(args[0]):
		err = r.writeSummary(args)
	default:
		err = r.writeReport(args[0])
	}
	if err != nil {
		r.complain(err)
	}
	return nil
}

// complain prints an error and sets the exit code.
func (r *reports) complain(err error) {
	fmt.Fprintf(r.Stderr, "supervisor: %s\n", termtext.Escape(err.Error()))
	r.code = exitcode.Failed
}

func (r *reports) writeReport(path string) error {
	d, err := r.read(path)
	if err != nil {
		return err
	}
	if r.output == "json" {
		return r.writeJSON(d)
	}
	return report.Text(r.Stdout, d)
}

func (r *reports) writeSummary(paths []string) error {
	s := r.summarize(paths)
	switch {
	case s.Reports == 0:
		return nil // an error was printed for each path
	case r.output == "json":
		return r.writeJSON(s)
	}
	return report.SummaryText(r.Stdout, s)
}

func (r *reports) writeComparison(a, b string) error {
	before, after := r.summarize([]string{a}), r.summarize([]string{b})
	if before.Reports == 0 || after.Reports == 0 {
		return nil // an error was printed
	}
	c := report.Compare(before, after)
	if r.output == "json" {
		return r.writeJSON(c)
	}
	return report.ComparisonText(r.Stdout, c, a, b)
}

// summarize returns the figures of all reports that can be read. It prints an error for each of the
// others, and says which files are the same report.
func (r *reports) summarize(paths []string) *report.Summary {
	c := report.NewCollector()
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			r.complain(err)
		}
		for _, file := range files {
			d, err := r.read(file)
			if err != nil {
				r.complain(err)
			} else if first := c.Add(file, d); first != "" {
				fmt.Fprintf(r.Stderr, "supervisor: %s is the same report as %s: it is counted "+
					"once\n", termtext.Escape(file), termtext.Escape(first))
			}
		}
	}
	return c.Summary()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// filesOf returns the files that an argument stands for, by name. A directory stands for its files
// *.json and *.html, without those of its own directories.
func filesOf(path string) ([]string, error) {
	if !isDir(path) {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && (ext == ".json" || ext == ".html") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s is not a regular file and has no files *.json or *.html", path)
	}
	slices.Sort(files)
	return files, nil
}

// read reads a report. O_NONBLOCK keeps the open of a FIFO from blocking.
func (r *reports) read(path string) (*report.Document, error) {
	in := io.Reader(r.Stdin)
	if path != "-" {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, pathError(path, err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file; use - to read standard input", path)
		}
		in = f
	}
	d, err := report.Read(in)
	if err != nil {
		return nil, pathError(path, err)
	}
	return d, nil
}

// pathError returns an error with the path of the file, once.
func pathError(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("cannot read %s: %w", path, err)
}
