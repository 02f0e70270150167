package orchestrator

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
	"tp0/supervisor/explain"
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
	statusRequest  struct{ answer chan<- api.Status }
	explainRequest struct {
		names  []string
		answer chan<- explanation
	}
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

var errEnded = &api.Error{Kind: api.Conflict, Detail: "the supervisor has ended"}

// Status returns the state of all instances. It waits for the goroutine of Supervise, or until ctx
// ends. The fields Usage, Version and Config are left to the caller.
func (o *Orchestrator) Status(ctx context.Context) (api.Status, error) {
	answer := make(chan api.Status, 1)
	o.mail.Put(statusRequest{answer})
	select {
	case s := <-answer:
		return s, nil
	case <-o.ctx.Done():
		return api.Status{}, errEnded
	case <-ctx.Done():
		return api.Status{}, &api.Error{Kind: api.Unavailable, Detail: "the supervisor is busy"}
	}
}

// explanation is the answer to Explain.
type explanation struct {
	facts []explain.Facts
	err   error
}

// Explain returns what is known about the state of instances, by the names of instances and
// children. It waits for the goroutine of Supervise, or until ctx ends. The fields Output, Process
// and Config are left to the caller.
func (o *Orchestrator) Explain(ctx context.Context, names []string) ([]explain.Facts, error) {
	answer := make(chan explanation, 1)
	o.mail.Put(explainRequest{names, answer})
	select {
	case e := <-answer:
		return e.facts, e.err
	case <-o.ctx.Done():
		return nil, errEnded
	case <-ctx.Done():
		return nil, &api.Error{Kind: api.Unavailable, Detail: "the supervisor is busy"}
	}
}
