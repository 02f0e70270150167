package orchestrator

import (
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// operation is a request to act on instances, until it has an answer.
type operation struct {
	api.Operation
	signal   unix.Signal
	targets  []*target
	progress chan api.Progress // one that finds no space is dropped
	answer   chan operationAnswer
	load     int  // of reload: the number of the load that covers it
	loaded   bool // that load was applied
}

// target is an instance that an operation acts on.
type target struct {
	name     string
	process  process.ID // at the request
	reported lifecycle.State
}

type operationAnswer struct {
	result api.Result
	err    error
}

// operations are the operations that wait for their end.
type operations struct{ waiting []*operation }

func (all *operations) remove(op *operation) {
	all.waiting = slices.DeleteFunc(all.waiting, func(o *operation) bool { return o == op })
}

// onLoaded tells the operations that wait for a load how it ended.
func (all *operations) onLoaded(load int, err error) {
	for _, op := range slices.Clone(all.waiting) {
		if op.Verb != api.Reload || op.load != load {
			continue
		}
		op.loaded = true
		if err != nil {
			all.remove(op)
			op.answer <- operationAnswer{result: api.Result{
				Message: "the configuration was rejected:\n" + err.Error(),
			}}
		}
	}
}
