package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/report"
	"tp0/supervisor/similar"
	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

func (c *cli) whyCommand() *cobra.Command {
	var file string
	cmd, r := c.command("why NAME...", "Explain why children are in their states",
		`Explain in plain words what an instance waits for, why it was restarted or has failed,
why its stop takes long, and whether it needs a restart because its program, its files or
its configuration changed. The first line is the answer. The facts follow, then the next
commands. NAME is a child or an instance. With --report, the answer is about an earlier stop.`,
		func(r *running, ctx context.Context, found []*client.Supervisor, names []string) error {
			return r.showWhy(ctx, found, names)
		})
	cmd.Args = needNames
	cmd.ValidArgsFunction = r.completeNames
	cmd.Flags().StringVar(&file, "report", "",
		"explain the stop of this report: a `file` of run --report, or - for standard input")
	live := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if file == "" {
			return live(cmd, names)
		}
		if err := verb.CheckOutput(r.output); err != nil {
			return err
		}
		return r.finish(r.whyInReport(file, names))
	}
	return cmd
}

// showWhy asks each supervisor that has one of the names, and prints the answers.
func (r *running) showWhy(
	ctx context.Context, found []*client.Supervisor, names []string,
) error {
	byOne, err := distribute(ctx, found, names)
	if err != nil {
		return err
	}
	var all []api.Why
	for i, s := range found {
		if len(byOne[i]) == 0 {
			continue
		}
		answer, err := s.Why(ctx, byOne[i]...)
		if err != nil {
			return err
		}
		all = append(all, answer.Instances...)
	}
	return r.writeWhy(all)
}

// whyInReport prints the answers of a report.
func (r *running) whyInReport(file string, names []string) error {
	d, err := (&reports{cli: r.cli}).read(file)
	if err != nil {
		return err
	}
	var all []api.Why
	for _, name := range names {
		found := report.Why(d, name)
		if len(found) == 0 {
			return &codedError{noSuchChild, fmt.Errorf("the report has no child or instance named "+
				"%q%s", name, similar.Question(similar.Name(name, d.Names())))}
		}
		for _, w := range found {
			for i := range w.Next {
				w.Next[i] = strings.Replace(w.Next[i], "FILE", file, 1)
			}
			all = append(all, w)
		}
	}
	return r.writeWhy(all)
}

func (r *running) writeWhy(all []api.Why) error {
	if r.output == "json" {
		return r.writeJSON(api.WhyAnswer{Instances: all})
	}
	if len(all) == 0 {
		return errors.New("the supervisor sent no answer about these names")
	}
	for i := range all {
		if i > 0 {
			fmt.Fprintln(r.Stdout)
		}
		writeAnswer(r.Stdout, &all[i])
	}
	return nil
}

// writeAnswer writes the answer, the facts, and what to do next.
func writeAnswer(w io.Writer, why *api.Why) {
	fmt.Fprintln(w, termtext.Wrap(termtext.Escape(why.Answer), columns))
	for _, text := range why.Evidence {
		text = termtext.Wrap(termtext.Escape(text), columns-4)
		fmt.Fprintln(w, "  - "+strings.ReplaceAll(text, "\n", "\n    "))
	}
	if len(why.Next) > 0 {
		fmt.Fprintln(w, "Next:")
	}
	for _, text := range why.Next {
		fmt.Fprintln(w, "  "+termtext.Escape(text))
	}
}
