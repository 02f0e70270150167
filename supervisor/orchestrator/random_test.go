package orchestrator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// randomConfig returns a configuration of some of the children a to e, with random dependencies and
// policies.
func randomConfig(r *rand.Rand) *config.Config {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	names := []string{"a", "b", "c", "d", "e"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var children []*config.Child
	for i, name := range names[:1+r.IntN(len(names))] {
		var deps []string
		for _, dep := range names[:i] {
			if r.IntN(3) == 0 {
				deps = append(deps, dep+pick("", "", ":started", ":completed"))
			}
		}
		oneshot, sidecar, critical := r.IntN(4) == 0, r.IntN(4) == 0, r.IntN(12) == 0
		on := config.Ignore
		if r.IntN(10) == 0 {
			on = config.ShutDown
		}
		strategy, hooks := r.IntN(3), randomHooks(r)
		role := policy(func(p *config.Policy) {
			p.Oneshot, p.Sidecar, p.Critical = oneshot, sidecar, critical
			if oneshot && p.Restart.On == "always" {
				p.Restart.On = "failure"
			}
			if r.IntN(4) == 0 {
				p.ReloadSignal = unix.SIGHUP
			}
			p.OverlapUpdate, p.MaxParallel = !oneshot && strategy == 0, 1+strategy
			p.Hooks = hooks
			p.MinReady = delay / 2 * time.Duration(r.IntN(2))
		})
		children = append(children, child(pick(name, name+"*1", name+"*2", name+"*3"),
			after(deps...), listenOn(pick("", ":"+name, ":1"+name)), args(pick("", "", "+")),
			restart(pick("never", "failure", "always")), onSuccess(on), onFailure(on),
			killSignal(unix.SIGTERM, time.Duration(1+r.IntN(5))*time.Second), role))
		if last := children[len(children)-1]; r.IntN(10) == 0 {
			last.Disabled, last.Instances = true, nil
		}
	}
	r.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
	cfg := newConfig(children...)
	cfg.Reload.Rollback = r.IntN(3) == 0
	return cfg
}

// randomHooks returns hooks for one child in two.
func randomHooks(r *rand.Rand) config.Hooks {
	h := config.Hooks{Timeout: 2 * time.Second, StopTimeout: time.Second}
	if r.IntN(2) == 0 {
		return h
	}
	for _, name := range config.HookNames {
		if r.IntN(2) == 0 {
			*h.Named(name) = config.Hook{Exec: []string{name}, Path: "/bin/hook"}
		}
	}
	return h
}

// act does something random that can happen now.
func (h *harness) act(r *rand.Rand, reloads bool) {
	h.mu.Lock()
	var one *fakeProcess
	if n := len(h.processes); n > 0 {
		one = h.processes[r.IntN(n)]
	}
	cleanup := h.cleanupDue
	h.mu.Unlock()
	switch n := r.IntN(40); {
	case n == 0 && r.IntN(3) == 0:
		h.signal(unix.SIGTERM)
	case n < 4 && reloads:
		h.do(fmt.Sprintf("reload %d", r.IntN(len(h.configs))))
	case n < 10:
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
	case cleanup && r.IntN(5) == 0:
		h.mu.Lock()
		h.cleanupDue = false
		h.mu.Unlock()
		h.do("cleaned-up")
	case one == nil:
	case one.pid != 0:
		h.exit(one, event.Exit{Code: r.IntN(2)}, process.FDResult{Proof: event.ProofNone})
	case n < 14:
		h.spawnFailed(one, [2]error{errors.New("no such file"), unix.EAGAIN}[r.IntN(2)])
	default:
		h.spawned(one, 0)
	}
}

// isOneshot reports whether an instance is a oneshot in any configuration: a reload can make a
// process that runs already a oneshot.
func (h *harness) isOneshot(name string) bool {
	for _, c := range h.configs {
		for _, i := range c.Instances() {
			if i.Name == name && i.Policy.Oneshot {
				return true
			}
		}
	}
	return false
}

// settle answers all spawns, and ends all processes that got a signal and all oneshots, until the
// orchestrator asks for nothing more.
func (h *harness) settle() {
	for idle := false; ; {
		synctest.Wait()
		var spawning, ending []*fakeProcess
		h.mu.Lock()
		for _, p := range h.processes {
			switch {
			case p.pid == 0:
				spawning = append(spawning, p)
			case p.signalled, h.isOneshot(p.name), hookOf(p.spec) != "":
				ending = append(ending, p)
			}
		}
		h.mu.Unlock()
		for _, p := range spawning {
			h.spawned(p, 0)
		}
		for _, p := range ending {
			h.exit(p, event.Exit{}, process.FDResult{})
		}
		busy := len(spawning)+len(ending) > 0
		if idle && !busy {
			return
		}
		if idle = !busy; idle {
			<-time.After(delay)
		}
	}
}

// checkSettled compares an orchestrator that has settled with its configuration.
func (h *harness) checkSettled() {
	if h.o.shutdown.phase != running || h.o.haltedReload() != "" {
		return
	}
	for _, inst := range h.o.instances {
		blocked := inst.state == lifecycle.Waiting || inst.goal == rollout.Replace
		if inst.update.hasSlot && blocked && !h.o.dependenciesReady(inst) {
			return // it waits for its dependencies, and other instances wait for its slot
		}
	}
	var got, want []string
	for _, inst := range h.o.instances {
		got = append(got, inst.spec.Name)
		switch {
		case inst.goal != rollout.Run:
			h.t.Errorf("%s is %s: got goal %d, want run", inst.spec.Name, inst.state, inst.goal)
		case h.o.mayStart(inst):
			h.t.Errorf("%s is waiting, though it may start", inst.spec.Name)
		case inst.state == lifecycle.Waiting, inst.state == lifecycle.Ready:
		case inst.state == lifecycle.Succeeded, inst.state == lifecycle.Failed:
		default:
			h.t.Errorf("%s stays %s", inst.spec.Name, inst.state)
		}
	}
	for _, i := range h.o.cfg.Instances() {
		want = append(want, i.Name)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("instances: got %v, want %v", got, want)
	}
	needed := map[string]bool{}
	for _, inst := range h.o.instances {
		if inst.state == lifecycle.Waiting && len(inst.handOver.takes) > 0 {
			continue // a socket that another process had is opened for the first process
		}
		for _, l := range inst.spec.Launch.Listen {
			needed[l.TCP] = needed[l.TCP] || !inst.state.Final()
		}
	}
	for address, open := range needed {
		if open != (h.sockets.open[address] != 0) {
			h.t.Errorf("%s: got open %v, want %v", address, !open, open)
		}
	}
	if h.o.reloads.active != nil {
		h.t.Error("the reload is not finished")
	}
}

// TestRandomEvents plays random events. No instance has two processes and no spawn follows a stop:
// harness.Spawn checks both. Every orchestrator ends, and one that settles is as its configuration
// says.
func TestRandomEvents(t *testing.T) {
	relay := newRelay(t)
	for seed := range uint64(600) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				h := newHarness(t, relay, randomConfig(r), randomConfig(r), randomConfig(r))
				defer h.finish()
				for range r.IntN(80) {
					h.act(r, true)
					if r.IntN(2) == 0 {
						synctest.Wait() // else several messages are handled in one batch
					}
				}
				h.settle()
				h.checkSettled()
			})
		})
	}
}

// TestRandomOrder plays random events without reloads. An instance is spawned when its dependencies
// allow that, and its stop begins when its dependents have ended.
func TestRandomOrder(t *testing.T) {
	relay := newRelay(t)
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				cfg := randomConfig(r)
				h := newHarness(t, relay, cfg)
				defer h.finish()
				h.checkOrder(cfg)
				for range r.IntN(80) {
					h.act(r, false)
					synctest.Wait()
				}
			})
		})
	}
}

// checkOrder checks the order of all spawns and stops from now on.
func (h *harness) checkOrder(cfg *config.Config) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onSpawn = func(name string) {
		hook, isHook := strings.CutPrefix(name, instanceOf(name)+".")
		prepared := owner(cfg, name).Instances[0].Policy.Hooks.PreStart.Set()
		if isHook && hook != config.PreStartHook || !isHook && prepared {
			return // the start began with its pre_start hook, or a process was there
		}
		for _, inst := range h.o.instances {
			if d := dependsOn(cfg, name, inst.spec.Name); d != nil && !reached(inst, d.Until) {
				h.t.Errorf("%s is spawned while %s is %s", name, inst.spec.Name, inst.state)
			}
		}
	}
	h.onSignal = func(name string) {
		s := &h.o.shutdown
		if name != instanceOf(name) {
			return // the hook can have taken too long
		}
		if s.requests >= 2 || time.Since(s.beganAt) >= deadline-reserve {
			return // all are killed
		}
		for _, other := range h.processes {
			if !other.killed && stopsBefore(cfg, other.name, name) {
				h.t.Errorf("%s is stopped while %s has a process", name, other.name)
			}
		}
	}
}

// dependsOn returns how the child of an instance depends on that of another one; nil: it does not.
func dependsOn(cfg *config.Config, name, on string) *config.Dependency {
	for _, d := range owner(cfg, name).DependsOn {
		if d.Child == owner(cfg, on).Name {
			return &d
		}
	}
	return nil
}

// stopsBefore reports whether an instance must have ended before the stop of the other one begins.
func stopsBefore(cfg *config.Config, name, other string) bool {
	a, b := owner(cfg, name).Sidecar(), owner(cfg, other).Sidecar()
	d := dependsOn(cfg, name, other)
	return !a && b || a == b && d != nil && d.Until != config.UntilCompleted
}

// reached reports whether an instance has reached a condition of its dependents.
func reached(inst *instance, until config.Until) bool {
	switch until {
	case config.UntilStarted:
		started := inst.state == lifecycle.Starting && inst.process.pid > 0
		return started || reached(inst, config.UntilReady)
	case config.UntilReady:
		return inst.state == lifecycle.Ready || inst.state == lifecycle.Succeeded
	}
	return inst.state == lifecycle.Succeeded
}

// owner returns the child of an instance.
func owner(cfg *config.Config, instance string) *config.Child {
	instance = instanceOf(instance)
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			if i.Name == instance {
				return c
			}
		}
	}
	panic("no child has the instance " + instance)
}
