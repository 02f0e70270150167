package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/similar"
)

// Requests about operations to the goroutine of Supervise.
type (
	operationRequest   struct{ operation *operation }
	operationAbandoned struct{ operation *operation }
)

// maxProgress is the number of steps of an operation that wait for its requester. More are dropped.
const maxProgress = 256

// Operate acts on instances and waits until that is done, until it fails, or until ctx ends. What
// was begun continues after ctx. progress is called for each step, by the goroutine of the caller.
// The error is an [*api.Error] if nothing was done.
func (o *Orchestrator) Operate(
	ctx context.Context, request api.Operation, progress func(api.Progress),
) (api.Result, error) {
	op := &operation{
		Operation: request, progress: make(chan api.Progress, maxProgress),
		answer: make(chan operationAnswer, 1),
	}
	if err := op.parse(); err != nil {
		return api.Result{}, err
	}
	o.mail.Put(operationRequest{op})
	finish := func(a operationAnswer) (api.Result, error) {
		for len(op.progress) > 0 {
			progress(<-op.progress)
		}
		return a.result, a.err
	}
	for {
		select {
		case p := <-op.progress:
			progress(p)
		case a := <-op.answer:
			return finish(a)
		case <-o.ctx.Done():
			select {
			case a := <-op.answer:
				return finish(a)
			default:
			}
			return api.Result{}, errEnded
		case <-ctx.Done():
			o.mail.Put(operationAbandoned{op})
			return api.Result{}, context.Cause(ctx)
		}
	}
}

// parse checks what does not depend on the state of the supervisor.
func (op *operation) parse() error {
	bad := func(format string, a ...any) error {
		return &api.Error{Kind: api.BadRequest, Detail: fmt.Sprintf(format, a...)}
	}
	switch op.Verb {
	case api.Start, api.Stop, api.Restart, api.Signal:
		if len(op.Names) == 0 {
			return bad("%s needs the name of a child or of an instance", op.Verb)
		}
	case api.Reload, api.Shutdown:
		if len(op.Names) > 0 {
			return bad("%s takes no names", op.Verb)
		}
	case api.Wait:
		if op.For != waitReady && op.For != waitStopped {
			return bad("wait is for %q or %q, not for %q", waitReady, waitStopped, op.For)
		}
	default:
		return bad("unknown verb %q", op.Verb)
	}
	if op.Deadline < 0 {
		return bad("the deadline %v is negative", time.Duration(op.Deadline))
	}
	if op.Verb == api.Signal {
		sig, err := config.ParseSignal(op.Signal)
		if err != nil {
			return bad("%v", err)
		}
		op.signal = sig
	}
	return nil
}

// What wait waits for.
const (
	waitReady   = "ready"
	waitStopped = "stopped"
)

// onOperation begins an operation.
func (o *Orchestrator) onOperation(op *operation) {
	instances, err := o.instancesOf(op.Names)
	switch {
	case o.shutdown.phase != running && op.Verb != api.Shutdown && op.For != waitStopped:
		err = &api.Error{Kind: api.Conflict, Detail: "the supervisor is stopping"}
	case err == nil && op.Verb == api.Wait && len(op.Names) == 0:
		instances = slices.DeleteFunc(slices.Clone(o.instances), func(inst *instance) bool {
			return !inst.current()
		})
	}
	if err != nil {
		op.answer <- operationAnswer{err: err}
		return
	}
	for _, inst := range instances {
		op.targets = append(op.targets, &target{inst.spec.Name, inst.process.id, inst.state})
	}
	if op.Verb != api.Wait {
		o.opt.Sink.Emit(event.OperationRequested{
			Verb: string(op.Verb), Names: op.Names, Signal: op.signalName(), By: op.By.String(),
		})
	}
	o.begin(op, instances)
	o.operations.waiting = append(o.operations.waiting, op)
}

func (op *operation) signalName() string {
	if op.signal == 0 {
		return ""
	}
	return signalName(op.signal)
}

// begin does the first step of an operation. The rest follows from the goals of the instances.
func (o *Orchestrator) begin(op *operation, instances []*instance) {
	switch op.Verb {
	case api.Start:
		o.startInstances(instances)
	case api.Stop:
		o.holdInstances(instances, op.By)
	case api.Restart:
		o.restartInstances(instances)
	case api.Signal:
		for _, inst := range instances {
			if inst.state.HasProcess() && !inst.runsHook() {
				o.opt.Processes.Send(inst.process.id, op.signal)
			}
		}
	case api.Reload:
		o.onReloadRequest()
		op.load = o.reloads.loads
		if o.reloads.requested {
			op.load++ // the load that runs may have read the file before its last edit
		}
	case api.Shutdown:
		if op.Deadline > 0 && o.shutdown.phase == running {
			o.shutdown.setLength(time.Duration(op.Deadline))
		}
		o.beginStop("a request of " + op.By.String())
	}
}

// instancesOf returns the current instances with the given names, which are names of children or of
// instances, in the order of the file.
func (o *Orchestrator) instancesOf(names []string) (found []*instance, err error) {
	known := map[string]bool{}
	for _, inst := range o.instances {
		if !inst.current() || inst.goal == rollout.End && o.shutdown.phase == running {
			continue
		}
		name, child := inst.spec.Name, inst.child()
		known[name], known[child] = true, true
		if slices.Contains(names, name) || slices.Contains(names, child) {
			found = append(found, inst)
		}
	}
	var unknown []string
	for _, name := range names {
		if !known[name] && !slices.Contains(unknown, fmt.Sprintf("%q", name)) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) > 0 {
		e := &api.Error{
			Kind:   api.UnknownName,
			Detail: "no child or instance is named " + strings.Join(unknown, " or "),
		}
		if len(names) == 1 {
			meant := similar.Name(names[0], slices.Sorted(maps.Keys(known)))
			e.Detail += similar.Question(meant)
		}
		return nil, e
	}
	return found, nil
}
