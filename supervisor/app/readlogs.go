package app

import (
	"context"
	"errors"
	"io"

	"tp0/supervisor/api"
	"tp0/supervisor/output/retain"
)

// readLogs calls each for the lines in memory that a query selects.
func (a *app) readLogs(
	ctx context.Context, q api.LogQuery, each func(api.LogLine) error,
) error {
	reader, err := a.relay.Lines(retain.Query{
		Names: q.Names, Stdout: q.Stream == "stdout", Stderr: q.Stream == "stderr",
		Since: q.Since, Last: q.Last, Previous: q.Previous, Follow: q.Follow,
	})
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		batch, err := reader.Next(ctx)
		missed := batch.Missed
		for line := range batch.Lines() {
			err := each(api.LogLine{
				Instance: line.Instance, Child: line.Child, Process: int(line.Process),
				Stream: line.Stream.String(), At: line.At.UTC(), Text: string(line.Text),
				Partial: line.Partial, Missed: missed,
			})
			if err != nil {
				return err
			}
			missed = 0
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
