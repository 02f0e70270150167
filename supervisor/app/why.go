package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/examine"
	"tp0/supervisor/explain"
)

const (
	// examineTime bounds what is read for one answer. The rest of the time of the request is for
	// the answer itself.
	examineTime = 3 * time.Second
	// maxExplained is the number of instances in one answer.
	maxExplained = 100
	// explainedLines is the number of lines of output in the explanation of a failure.
	explainedLines = 5
)

// explain says why instances are in their states, by the names of instances and children. The
// orchestrator gives the facts that it has; everything that can block is read by this goroutine.
func (a *app) explain(ctx context.Context, names []string) (answer api.WhyAnswer, err error) {
	all, err := a.orchestrator.Explain(ctx, names)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	onDisk := a.control.differences(ctx)
	for i := range all[:min(len(all), maxExplained)] {
		f := &all[i]
		f.Config = onDisk(f.Instance.Name)
		f.Process = examine.Process(ctx, f.Subject)
		f.Output = a.lastOutput(ctx, f)
		answer.Instances = append(answer.Instances, explain.Explain(f))
	}
	return answer, nil
}

// lastOutput returns the last lines of the last process of an instance, if that failed.
func (a *app) lastOutput(ctx context.Context, f *explain.Facts) (lines []string) {
	if !slices.Contains([]string{"failed", "backing_off"}, f.Instance.State) {
		return nil
	}
	q := api.LogQuery{Names: []string{f.Instance.Name}, Last: explainedLines, Previous: true}
	_ = a.readLogs(ctx, q, func(l api.LogLine) error { // without lines nothing is missing
		lines = append(lines, l.Text)
		return nil
	})
	return lines
}

// differences loads the configuration on disk. It returns a function that says what is different
// about an instance.
func (c *controlSocket) differences(ctx context.Context) func(name string) explain.Config {
	running := c.running()
	onDisk, err := c.loadOnce(ctx)
	if err != nil {
		var refused *api.Error
		fault := ""
		if errors.As(err, &refused) && refused.Kind == api.BadRequest {
			fault, _, _ = strings.Cut(refused.Detail, "\n")
		}
		return func(string) explain.Config { return explain.Config{Fault: fault} }
	}
	p := plan.Compare(running, onDisk)
	return func(name string) explain.Config {
		d := explain.Config{Removed: slices.Contains(p.Removed, name)}
		for _, change := range p.Changed {
			if change.Name == name {
				d.Attributes, d.Restart = change.Attributes, change.Restart
			}
		}
		return d
	}
}
