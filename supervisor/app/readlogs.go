package app

import (
	"context"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/output/history"
	"tp0/supervisor/output/retain"
)

// readLogs calls each for the lines that a query selects, in memory and in log files.
func (a *app) readLogs(
	ctx context.Context, q api.LogQuery, each func(api.LogLine) error,
) error {
	query := retain.Query{
		Names: q.Names, Stdout: q.Stream == "stdout", Stderr: q.Stream == "stderr",
		Since: q.Since, Last: q.Last, Previous: q.Previous, Follow: q.Follow,
	}
	files := logFilesOf(a.control.running())
	return history.Show(ctx, a.relay, a.ledger, query, files, func(l history.Line) error {
		return each(api.LogLine{
			Instance: l.Instance, Child: l.Child, Process: int(l.Process), Stream: l.Stream,
			Hook: l.Hook, At: l.At.UTC(), Text: string(l.Text), Partial: l.Partial,
			Missed: l.Missed, Note: l.Note,
		})
	})
}

// logFilesOf returns the log files of a configuration, with the instances that write to them.
func logFilesOf(cfg *config.Config) (sources []history.Source) {
	at := map[string]int{}
	for _, i := range cfg.Instances() {
		logs := i.Launch.Logs
		paths := logs.Files()
		if len(paths) == 2 && paths[0] == paths[1] {
			paths = paths[:1]
		}
		for _, path := range paths {
			n, ok := at[path]
			if !ok {
				n = len(sources)
				at[path], sources = n, append(sources, history.Source{Path: path})
			}
			s := &sources[n]
			s.Instances = append(s.Instances, history.Instance{
				Name: i.Name, Child: i.Child, Format: logs.Format, Colors: logs.Colors,
				Timed: i.Policy.Logs.Timestamps, Stdout: logs.Stdout == path,
				Stderr: logs.Stderr == path,
			})
			if uid := i.Launch.Attributes.UID; uid != nil {
				s.Owners = append(s.Owners, *uid)
			}
		}
	}
	return sources
}
