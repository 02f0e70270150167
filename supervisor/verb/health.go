package verb

import (
	"context"
	"fmt"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/control"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
)

func healthVerb(p Program) *Verb {
	var c Config
	var timeout time.Duration
	var ready bool
	var output string
	v := newVerb(Health, "Check the supervisor that runs a configuration",
		`Check the supervisor that runs a configuration. The result is the exit code, within
the timeout, in every state of the supervisor.

Exit code 0: the supervisor responds and no child has failed permanently. With
--ready also: every child is ready or completed, every oneshot child is completed,
and no stop has begun. Exit code 1: one of these is not so.`)
	v.run = func([]string) (int, error) {
		if err := CheckOutput(output); err != nil {
			return 0, err
		}
		if timeout <= 0 {
			return 0, fmt.Errorf("--timeout is %v: it must be above 0, such as 2s", timeout)
		}
		path, err := c.Locate()
		if err != nil {
			return 0, err
		}
		ctx, cancel := client.WithTimeout(context.Background(), timeout)
		defer cancel()
		question := control.Alive
		if ready {
			question = control.Ready
		}
		note, err := client.AskHealth(ctx, client.Options{Config: path}, question)
		if output == "json" {
			return p.health(note, err)
		}
		if err != nil {
			fmt.Fprintf(p.Stderr, "supervisor: %s\n", termtext.Escape(err.Error()))
			return exitcode.Failed, nil
		}
		answer := "ok"
		if note != "" {
			answer += ": " + note
		}
		fmt.Fprintln(p.Stdout, termtext.Escape(answer))
		return exitcode.OK, nil
	}
	c.AddFile(v.Flags)
	AddOutput(v.Flags, &output)
	v.Flags.BoolVar(&ready, "ready", false, "check also that every child is ready or completed")
	v.Flags.DurationVar(&timeout, "timeout", 2*time.Second, "wait this `time` for the answer")
	return v
}

// health prints an answer as JSON, also that there is none. It returns the exit code.
func (p Program) health(note string, err error) (int, error) {
	if err != nil {
		return exitcode.Failed, WriteJSON(p.Stdout, api.Result{Message: err.Error()})
	}
	return exitcode.OK, WriteJSON(p.Stdout, api.Result{OK: true, Message: note})
}
