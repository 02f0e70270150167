package orchestrator

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/control"
	"tp0/supervisor/process"
)

// Requests to the goroutine of Supervise.
type (
	stopRequest struct {
		signal unix.Signal // 0: an internal fault
		at     time.Time   // its arrival
	}
	reloadRequest  struct{}
	healthRequest  struct{ answer chan<- control.Health }
	forwardRequest struct{ received, sent unix.Signal }
)

// Deliver takes facts of the process loop.
func (o *Orchestrator) Deliver(facts ...process.Fact) {
	all := make([]any, len(facts))
	for i, fact := range facts {
		all[i] = fact
	}
	o.mail.Put(all...)
}

// Signal asks for the stop. The first call starts the stop, the second one escalates to the next
// step of each stop sequence, further ones send SIGKILL.
func (o *Orchestrator) Signal(sig unix.Signal) { o.mail.Put(stopRequest{sig, time.Now()}) }

// Stop asks for the stop because of an internal fault.
func (o *Orchestrator) Stop() { o.mail.Put(stopRequest{}) }

// Reload asks for the configuration to be read and applied.
func (o *Orchestrator) Reload() { o.mail.Put(reloadRequest{}) }

// Forward sends the signal sent to every process because received reached the supervisor. 0 sends
// nothing. No stop begins.
func (o *Orchestrator) Forward(received, sent unix.Signal) {
	o.mail.Put(forwardRequest{received, sent})
}

// Health returns what is not healthy. It waits for the goroutine of Supervise, or until ctx ends.
func (o *Orchestrator) Health(ctx context.Context) control.Health {
	answer := make(chan control.Health, 1)
	o.mail.Put(healthRequest{answer})
	select {
	case h := <-answer:
		return h
	case <-o.ctx.Done():
		return control.Health{Dead: "the supervisor has ended"}
	case <-ctx.Done():
		return control.Health{Dead: "the supervisor is busy"}
	}
}
