package orchestrator

import (
	"context"
	"time"

	"tp0/supervisor/output"
	"tp0/supervisor/process"
)

// readyOutputRead says that the output of a process that has ended is read, or that
// readyOutputTimeout is over.
type readyOutputRead struct {
	inst    *instance
	process process.ID
}

// readyOutputTimeout bounds the wait for the output of a process that has ended: a descendant can
// keep its pipe open without limit.
const readyOutputTimeout = 200 * time.Millisecond

// awaitReadyOutput reports whether the unread output of a process that has ended can contain the
// line that makes it ready. The output comes through a pipe and the exit from the kernel, so the
// exit can be seen first. If it returns true, readyOutputRead follows.
func (o *Orchestrator) awaitReadyOutput(inst *instance, id process.ID) bool {
	if inst.health.line == nil {
		return false
	}
	m, out := readyOutputRead{inst, id}, inst.process.output
	o.wg.Go(func() {
		o.awaitOutput(out, readyOutputTimeout)
		o.mail.Put(m)
	})
	return true
}

// awaitOutput waits until the output of a process is read to its end, or the time is over.
func (o *Orchestrator) awaitOutput(out *output.ChildOutput, d time.Duration) {
	ctx, cancel := o.clock.WithTimeout(context.Background(), d)
	defer cancel()
	select {
	case <-out.Done():
	case <-ctx.Done():
	}
}
