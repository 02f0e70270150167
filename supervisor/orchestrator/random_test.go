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
		children = append(children, kid(pick(name, name+"*1", name+"*2", name+"*3"), after(deps...), listenOn(pick("", ":"+name, ":1"+name)), args(pick("", "", "+")),
			restart(pick("never", "failure", "always")), onSuccess(on), onFailure(on), killBy(unix.SIGTERM, time.Duration(1+r.IntN(5))*time.Second), role))
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
func (w *world) act(r *rand.Rand, reloads bool) {
	w.mu.Lock()
	var one *live
	if n := len(w.runs); n > 0 {
		one = w.runs[r.IntN(n)]
	}
	swept := w.swept
	w.mu.Unlock()
	switch n := r.IntN(40); {
	case n == 0 && r.IntN(3) == 0:
		w.signal(unix.SIGTERM)
	case n < 4 && reloads:
		w.do(fmt.Sprintf("reload %d", r.IntN(len(w.cfgs))))
	case n < 10:
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
	case swept && r.IntN(5) == 0:
		w.mu.Lock()
		w.swept = false
		w.mu.Unlock()
		w.do("swept")
	case one == nil:
	case one.pid != 0:
		w.exit(one, event.Exit{Code: r.IntN(2)}, process.FDResult{Proof: event.ProofNone})
	case n < 14:
		w.refuse(one, [2]error{errors.New("no such file"), unix.EAGAIN}[r.IntN(2)])
	default:
		w.up(one, 0)
	}
}

// oneshot reports whether an instance is one in some configuration: a reload can
// make one of a run.
func (w *world) oneshot(name string) bool {
	return slices.ContainsFunc(w.cfgs, func(c *config.Config) bool {
		return slices.ContainsFunc(c.Instances(), func(i *config.Instance) bool { return i.Name == name && i.Policy.Oneshot })
	})
}

// settle lets everybody do as they are told, until nothing is to be done.
func (w *world) settle() {
	for idle := false; ; {
		synctest.Wait()
		var begun, told []*live
		w.mu.Lock()
		for _, r := range w.runs {
			switch {
			case r.pid == 0:
				begun = append(begun, r)
			case r.told, w.oneshot(r.name):
				told = append(told, r)
			}
		}
		w.mu.Unlock()
		for _, r := range begun {
			w.up(r, 0)
		}
		for _, r := range told {
			w.exit(r, event.Exit{}, process.FDResult{})
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
func (w *world) settled() {
	if w.f.shutdown.phase != running || w.f.haltedReload() != "" {
		return
	}
	for _, u := range w.f.instances {
		if u.update.hasSlot && !w.f.dependenciesReady(u) && (u.state == lifecycle.Waiting || u.goal == rollout.Replace) {
			return // it waits for what it depends on, and those that come after it wait for it
		}
	}
	var got, want []string
	for _, u := range w.f.instances {
		got = append(got, u.spec.Name)
		switch {
		case u.goal != rollout.Run:
			w.t.Errorf("%s is %s, and something else is still wanted of it", u.spec.Name, u.state)
		case u.state == lifecycle.Waiting && w.f.mayStart(u):
			w.t.Errorf("%s waits for nothing", u.spec.Name)
		case u.state != lifecycle.Waiting && u.state != lifecycle.Ready && u.state != lifecycle.Succeeded && u.state != lifecycle.Failed:
			w.t.Errorf("%s stays %s", u.spec.Name, u.state)
		}
	}
	for _, i := range w.f.cfg.Instances() {
		want = append(want, i.Name)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("there are %v, want %v", got, want)
	}
	needed := map[string]bool{}
	for _, u := range w.f.instances {
		for _, l := range u.spec.Launch.Listen {
			needed[l.TCP] = needed[l.TCP] || !u.state.Final()
		}
	}
	for address, open := range needed {
		if open != (w.sockets[address] != 0) {
			w.t.Errorf("%s is open: %v", address, !open)
		}
	}
	if w.f.reloads.active != nil {
		w.t.Error("the reload is not over")
	}
}

// Whatever happens, in whatever order: no instance has two runs, nothing is
// spawned once a stop began (world.Spawn looks at both), everything ends, and
// a fleet that is left alone becomes what its configuration says.
func TestAnything(t *testing.T) {
	hub := newHub(t)
	for seed := range uint64(600) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 0))
				w := open(t, hub, anyConfig(r), anyConfig(r), anyConfig(r))
				defer w.finish()
				for range r.IntN(80) {
					w.act(r, true)
					if r.IntN(2) == 0 {
						synctest.Wait() // else several messages come together
					}
				}
				w.settle()
				w.settled()
			})
		})
	}
}

// Without a reload the order holds throughout: what an instance depends on is
// there when it is spawned, and what depends on it is gone when its stop
// begins.
func TestAnyOrder(t *testing.T) {
	hub := newHub(t)
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				cfg := anyConfig(r)
				w := open(t, hub, cfg)
				defer w.finish()
				w.mu.Lock()
				w.onSpawn = func(name string) {
					for _, u := range w.f.instances {
						if d := dependsOn(cfg, name, u.spec.Name); d != nil && !reached(u, d.Until) {
							t.Errorf("%s is spawned while %s is %s", name, u.spec.Name, u.state)
						}
					}
				}
				w.onSignal = func(name string) {
					for _, other := range w.runs {
						if w.f.shutdown.requests < 2 && !other.killed && time.Since(w.f.shutdown.began) < deadline-reserve && goesBefore(cfg, other.name, name) {
							t.Errorf("%s is stopped while %s has a run", name, other.name)
						}
					}
				}
				w.mu.Unlock()
				for range r.IntN(80) {
					w.act(r, false)
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

func reached(u *instance, until config.Until) bool {
	switch until {
	case config.UntilStarted:
		return u.state == lifecycle.Starting && u.process.pid > 0 || u.state == lifecycle.Ready || u.state == lifecycle.Succeeded
	case config.UntilReady:
		return u.state == lifecycle.Ready || u.state == lifecycle.Succeeded
	}
	return u.state == lifecycle.Succeeded
}

func owner(cfg *config.Config, instance string) *config.Child {
	i := slices.IndexFunc(cfg.Children, func(c *config.Child) bool {
		return slices.ContainsFunc(c.Instances, func(i *config.Instance) bool { return i.Name == instance })
	})
	return cfg.Children[i]
}
