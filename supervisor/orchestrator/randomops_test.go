package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// request is an operation of a random test. Its answer is guarded by randomRequests.harness.mu.
type request struct {
	api.Operation
	answered bool
	ok       bool
	text     string
}

// covers reports whether an operation is about an instance.
func (q *request) covers(inst *instance) bool {
	return slices.Contains(q.Names, inst.spec.Name) || slices.Contains(q.Names, inst.child())
}

// randomRequests are the operations of a random test, and what must hold about stopped instances.
type randomRequests struct {
	*harness
	all     []*request
	recent  []*request           // since the last check
	held    map[string]*instance // those that a request stopped, by name
	spawned map[string]int       // processes and pre_start hooks of each instance; guarded by mu
	// Of the last check.
	ending   map[string]int // spawned of the instances that had failed or were ending
	reload   *reload        // that was being applied
	revision int            // of the configuration
}

// send begins a random operation.
func (h *randomRequests) send(r *rand.Rand) {
	names := []string{"a", "b", "c", "d", "e", "a1", "b2", "nobody"}
	q := &request{}
	q.Verb = []api.Verb{
		api.Start, api.Stop, api.Restart, api.Signal, api.Wait, api.Reload, api.Stop, api.Start,
	}[r.IntN(8)]
	if q.Verb != api.Reload {
		for range 1 + r.IntN(2) {
			q.Names = append(q.Names, names[r.IntN(len(names))])
		}
	}
	switch {
	case r.IntN(60) == 0:
		q.Operation = api.Operation{Verb: api.Shutdown, Deadline: api.Duration(time.Second)}
	case q.Verb == api.Signal:
		q.Signal = "USR1"
	case q.Verb == api.Wait:
		q.For = []string{waitReady, waitStopped}[r.IntN(2)]
	}
	q.By = testRequester
	h.begin(q, r.IntN(10) == 0)
}

// begin begins an operation, of which the requester may go away at once.
func (h *randomRequests) begin(q *request, goes bool) {
	h.all, h.recent = append(h.all, q), append(h.recent, q)
	ctx, cancel := context.WithCancel(context.Background())
	if goes {
		cancel()
	}
	ending := h.ending
	go func() {
		defer cancel()
		result, err := h.o.Operate(ctx, q.Operation, func(api.Progress) {})
		h.mu.Lock()
		defer h.mu.Unlock()
		refused := (*api.Error)(nil)
		switch {
		case errors.As(err, &refused) && refused.Detail != "" && refused.Kind != api.Internal:
		case goes && errors.Is(err, context.Canceled):
		case err != nil:
			h.t.Errorf("%s %v: got the error %v", q.Verb, q.Names, err)
		case result.Message == "" || !result.OK && len(q.Names) > 0 && len(result.Failed) == 0:
			h.t.Errorf("%s %v: the result says nothing: %+v", q.Verb, q.Names, result)
		}
		q.answered, q.ok, q.text = true, err == nil && result.OK, result.Message
		if err != nil {
			q.text = err.Error()
		}
		h.checkStarted(q, ending)
	}()
}

// countSpawns counts the spawns of each instance from now on.
func (h *randomRequests) countSpawns() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spawned = map[string]int{}
	h.onSpawn = func(name string) {
		if hook := strings.TrimPrefix(name, instanceOf(name)); hook == "" ||
			hook == "."+config.PreStartHook {
			h.spawned[instanceOf(name)]++
		}
	}
}

// noteEnding notes the instances that have failed or are ending, with their spawns until now.
func (h *randomRequests) noteEnding() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending = map[string]int{}
	for _, inst := range h.o.instances {
		failing := inst.state.IsEnding() || inst.state == lifecycle.Failed
		if failing && inst.current() && inst.update.surge == nil {
			h.ending[inst.spec.Name] = h.spawned[inst.spec.Name]
		}
	}
}

// checkStarted checks that a start was not answered with a failure from before it. Called with the
// lock.
func (h *randomRequests) checkStarted(q *request, ending map[string]int) {
	for name, before := range ending {
		failed := strings.Contains(q.text, name+": it failed: ")
		if q.Verb == api.Start && failed && h.spawned[name] == before {
			h.t.Errorf("start %v: %q, and %s was not spawned", q.Names, q.text, name)
		}
	}
}

// check compares the instances with what was requested. Nothing may run in the bubble.
func (h *randomRequests) check() {
	synctest.Wait()
	defer h.sync()
	started := func(inst *instance) bool {
		return slices.ContainsFunc(h.recent, func(q *request) bool {
			return (q.Verb == api.Start || q.Verb == api.Restart) && q.covers(inst)
		})
	}
	now := map[string]*instance{}
	for _, inst := range h.o.instances {
		name := inst.spec.Name
		if !inst.current() || inst.goal == rollout.End || h.o.shutdown.phase != running {
			continue
		}
		// One reload can have removed an instance, and the next one have added another one.
		before := h.held[name]
		other := before != inst && h.reload != h.o.reloads.active
		switch {
		case inst.goal == rollout.Hold:
			now[name] = inst
			if final := inst.state.Final(); final && inst.state != lifecycle.Stopped {
				h.t.Errorf("%s is %s: a request stopped it", name, inst.state)
			}
			if inst.held == nil || inst.held.UID != testRequester.UID {
				h.t.Errorf("%s is stopped by %v", name, inst.held)
			}
		case before != nil && !other && !started(inst):
			h.t.Errorf("%s is %s with the goal %d: a request stopped it, and none started it",
				name, inst.state, inst.goal)
		default:
			h.checkStopped(inst)
		}
	}
	h.held, h.recent = now, nil
	h.noteEnding()
	h.reload, h.revision = h.o.reloads.active, h.o.revision
}

// sync lets the orchestrator go on after its state was read. Without it the race detector sees no
// order between the reads and what a timer makes the orchestrator do next.
func (h *randomRequests) sync() { _, _ = h.o.Status(context.Background()) }

// checkStopped checks that the only request since the last check did not have to hold an instance,
// whatever its state is.
func (h *randomRequests) checkStopped(inst *instance) {
	if h.revision != h.o.revision || len(h.recent) != 1 || h.recent[0].Verb != api.Stop ||
		!h.recent[0].covers(inst) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if refused := h.recent[0].answered && !h.recent[0].ok; !refused {
		h.t.Errorf("%s is %s with the goal %d after stop", inst.spec.Name, inst.state, inst.goal)
	}
}

// unanswered returns the requests that have no answer, without those that wait for what may never
// come.
func (h *randomRequests) unanswered() (left []string) {
	synctest.Wait()
	defer h.sync()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, inst := range h.o.instances {
		if inst.goal == rollout.Replace && !h.o.dependenciesReady(inst) {
			return nil // its update waits for its dependencies, and others wait for its slot
		}
	}
	for _, q := range h.all {
		if q.answered || q.Verb == api.Wait {
			continue
		}
		text := fmt.Sprintf("%s %v:", q.Verb, q.Names)
		waits := false
		for _, inst := range h.o.instances {
			if q.covers(inst) {
				text += fmt.Sprintf(" %s %s goal %d %s", inst.spec.Name, inst.state, inst.goal,
					h.o.reasonOf(inst))
				waits = waits || inst.state == lifecycle.Waiting
			}
		}
		if !waits {
			left = append(left, text)
		}
	}
	return left
}

// TestRandomOperations plays random operations and events, some at the same time. A stopped
// instance stays stopped over reloads until a request starts it, and every request has an answer
// that says something once nothing is left to do.
func TestRandomOperations(t *testing.T) {
	relay := newRelay(t)
	// These have found faults.
	seeds := []uint64{329, 497, 611, 828, 889, 1199, 1419, 1571, 2190, 4738, 5351, 8003, 9753}
	for seed := range uint64(200) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 2))
				configs := []*config.Config{randomConfig(r), randomConfig(r), randomConfig(r)}
				h := &randomRequests{harness: newHarness(t, relay, configs...)}
				h.countSpawns()
				h.loader.next = h.configs[r.IntN(len(h.configs))]
				for range r.IntN(60) {
					h.check()
					for range r.IntN(3) {
						h.send(r)
					}
					h.act(r, true)
				}
				h.check()
				h.settle()
				for range 10 {
					<-time.After(time.Minute)
					h.check()
					h.settle()
				}
				if h.o.shutdown.phase == running && h.o.haltedReload() == "" {
					if left := h.unanswered(); len(left) > 0 {
						t.Errorf("without an answer: %q", left)
					}
				}
				h.finish()
				synctest.Wait()
				for _, q := range h.all {
					if !q.answered {
						t.Errorf("%s %v: no answer after the end", q.Verb, q.Names)
					}
				}
			})
		})
	}
}
