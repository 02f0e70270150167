package orchestrator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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

// anyConfig makes a configuration of some of the children a to e. What depends
// on what, and until when, is in no two of them the same.
func anyConfig(r *rand.Rand) *config.Config {
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
		strategy := r.IntN(3)
		role := policy(func(p *config.Policy) {
			p.Oneshot, p.Sidecar, p.Critical = oneshot, sidecar, critical
			if oneshot && p.Restart.On == "always" {
				p.Restart.On = "failure"
			}
			if r.IntN(4) == 0 {
				p.ReloadSignal = unix.SIGHUP
			}
			p.OverlapUpdate, p.MaxParallel = !oneshot && strategy == 0, 1+strategy
		})
		children = append(children, child(pick(name, name+"*1", name+"*2", name+"*3"), after(deps...), listenOn(pick("", ":"+name, ":1"+name)), args(pick("", "", "+")),
			restart(pick("never", "failure", "always")), onSuccess(on), onFailure(on), killSignal(unix.SIGTERM, time.Duration(1+r.IntN(5))*time.Second), role))
		if last := children[len(children)-1]; r.IntN(10) == 0 {
			last.Disabled, last.Instances = true, nil
		}
	}
	r.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
	cfg := newConfig(children...)
	cfg.Reload.Rollback = r.IntN(3) == 0
	return cfg
}

// act does something that can happen at this moment.
func (h *harness) act(r *rand.Rand, reloads bool) {
	h.mu.Lock()
	var one *fakeProcess
	if n := len(h.processes); n > 0 {
		one = h.processes[r.IntN(n)]
	}
	swept := h.cleanupDue
	h.mu.Unlock()
	switch n := r.IntN(40); {
	case n == 0 && r.IntN(3) == 0:
		h.signal(unix.SIGTERM)
	case n < 4 && reloads:
		h.do(fmt.Sprintf("reload %d", r.IntN(len(h.configs))))
	case n < 10:
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
	case swept && r.IntN(5) == 0:
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

// oneshot reports whether an instance is one in some configuration: a reload can
// make one of a run.
func (h *harness) oneshot(name string) bool {
	return slices.ContainsFunc(h.configs, func(c *config.Config) bool {
		return slices.ContainsFunc(c.Instances(), func(i *config.Instance) bool { return i.Name == name && i.Policy.Oneshot })
	})
}

// settle lets everybody do as they are told, until nothing is to be done.
func (h *harness) settle() {
	for idle := false; ; {
		synctest.Wait()
		var begun, told []*fakeProcess
		h.mu.Lock()
		for _, r := range h.processes {
			switch {
			case r.pid == 0:
				begun = append(begun, r)
			case r.signalled, h.oneshot(r.name):
				told = append(told, r)
			}
		}
		h.mu.Unlock()
		for _, r := range begun {
			h.spawned(r, 0)
		}
		for _, r := range told {
			h.exit(r, event.Exit{}, process.FDResult{})
		}
		busy := len(begun)+len(told) > 0
		if idle && !busy {
			return
		}
		if idle = !busy; idle {
			<-time.After(delay)
		}
	}
}

// settled holds a fleet that is left alone against its configuration.
func (h *harness) settled() {
	if h.o.shutdown.phase != running || h.o.haltedReload() != "" {
		return
	}
	for _, inst := range h.o.instances {
		if inst.update.hasSlot && !h.o.dependenciesReady(inst) && (inst.state == lifecycle.Waiting || inst.goal == rollout.Replace) {
			return // it waits for what it depends on, and those that come after it wait for it
		}
	}
	var got, want []string
	for _, inst := range h.o.instances {
		got = append(got, inst.spec.Name)
		switch {
		case inst.goal != rollout.Run:
			h.t.Errorf(
				"%s is %s, and something else is still wanted of it", inst.spec.Name, inst.state,
			)
		case inst.state == lifecycle.Waiting && h.o.mayStart(inst):
			h.t.Errorf("%s waits for nothing", inst.spec.Name)
		case inst.state != lifecycle.Waiting && inst.state != lifecycle.Ready && inst.state != lifecycle.Succeeded && inst.state != lifecycle.Failed:
			h.t.Errorf("%s stays %s", inst.spec.Name, inst.state)
		}
	}
	for _, i := range h.o.cfg.Instances() {
		want = append(want, i.Name)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("there are %v, want %v", got, want)
	}
	needed := map[string]bool{}
	for _, inst := range h.o.instances {
		for _, l := range inst.spec.Launch.Listen {
			needed[l.TCP] = needed[l.TCP] || !inst.state.Final()
		}
	}
	for address, open := range needed {
		if open != (h.sockets.open[address] != 0) {
			h.t.Errorf("%s is open: %v", address, !open)
		}
	}
	if h.o.reloads.active != nil {
		h.t.Error("the reload is not over")
	}
}

// Whatever happens, in whatever order: no instance has two runs, nothing is
// spawned once a stop began (world.Spawn looks at both), everything ends, and
// a fleet that is left alone becomes what its configuration says.
func TestAnything(t *testing.T) {
	relay := newRelay(t)
	for seed := range uint64(600) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				h := newHarness(t, relay, anyConfig(r), anyConfig(r), anyConfig(r))
				defer h.finish()
				for range r.IntN(80) {
					h.act(r, true)
					if r.IntN(2) == 0 {
						synctest.Wait() // else several messages come together
					}
				}
				h.settle()
				h.settled()
			})
		})
	}
}

// Without a reload the order holds throughout: what an instance depends on is
// there when it is spawned, and what depends on it is gone when its stop
// begins.
func TestAnyOrder(t *testing.T) {
	relay := newRelay(t)
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				cfg := anyConfig(r)
				h := newHarness(t, relay, cfg)
				defer h.finish()
				h.mu.Lock()
				h.onSpawn = func(name string) {
					for _, inst := range h.o.instances {
						if d := dependsOn(cfg, name, inst.spec.Name); d != nil && !reached(inst, d.Until) {
							t.Errorf(
								"%s is spawned while %s is %s", name, inst.spec.Name, inst.state,
							)
						}
					}
				}
				h.onSignal = func(name string) {
					for _, other := range h.processes {
						if h.o.shutdown.requests < 2 && !other.killed && time.Since(h.o.shutdown.began) < deadline-reserve && goesBefore(cfg, other.name, name) {
							t.Errorf("%s is stopped while %s has a run", name, other.name)
						}
					}
				}
				h.mu.Unlock()
				for range r.IntN(80) {
					h.act(r, false)
					synctest.Wait()
				}
			})
		})
	}
}

// dependsOn is how the child of an instance depends on that of another; nil:
// it does not.
func dependsOn(cfg *config.Config, name, on string) *config.Dependency {
	for _, d := range owner(cfg, name).DependsOn {
		if d.Child == owner(cfg, on).Name {
			return &d
		}
	}
	return nil
}

// goesBefore says whether an instance is to be gone before the other is
// stopped.
func goesBefore(cfg *config.Config, name, other string) bool {
	a, b := owner(cfg, name).Sidecar(), owner(cfg, other).Sidecar()
	d := dependsOn(cfg, name, other)
	return !a && b || a == b && d != nil && d.Until != config.UntilCompleted
}

func reached(inst *instance, until config.Until) bool {
	switch until {
	case config.UntilStarted:
		return inst.state == lifecycle.Starting && inst.process.pid > 0 || inst.state == lifecycle.Ready || inst.state == lifecycle.Succeeded
	case config.UntilReady:
		return inst.state == lifecycle.Ready || inst.state == lifecycle.Succeeded
	}
	return inst.state == lifecycle.Succeeded
}

func owner(cfg *config.Config, instance string) *config.Child {
	i := slices.IndexFunc(cfg.Children, func(c *config.Child) bool {
		return slices.ContainsFunc(c.Instances, func(i *config.Instance) bool { return i.Name == instance })
	})
	return cfg.Children[i]
}
