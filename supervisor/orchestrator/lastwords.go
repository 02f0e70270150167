package orchestrator

import (
	"context"
	"time"

	"tp0/supervisor/output"
	"tp0/supervisor/process"
)

// lastWordsRead says that the supervisor has read what a process said before its exit, or that the
// time for it is over.
type lastWordsRead struct {
	inst    *instance
	process process.ID
}

// lastWordsTimeout bounds the wait for the last words of a process: a descendant can hold its pipe
// open for ever.
const lastWordsTimeout = 200 * time.Millisecond

// awaitLastWords reports whether a process that has ended may have said before that it is ready,
// without the supervisor having read it: a line of output and the exit come on different ways. If
// so, lastWordsRead follows.
func (o *Orchestrator) awaitLastWords(inst *instance, id process.ID) bool {
	if inst.health.line == nil {
		return false
	}
	m, out := lastWordsRead{inst, id}, inst.process.output
	o.wg.Go(func() {
		o.awaitOutput(out, lastWordsTimeout)
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
