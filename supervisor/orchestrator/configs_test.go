package orchestrator

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// The defaults of newConfig and child.
const (
	killTimeout = 2 * time.Second
	delay       = time.Second // of a restart, at most
	deadline    = 10 * time.Second
	reserve     = 400 * time.Millisecond
)

// newConfig returns a valid configuration of children without output.
func newConfig(children ...*config.Child) *config.Config {
	return &config.Config{
		Shutdown: config.Shutdown{
			Deadline: deadline, Reserve: reserve, Proof: event.ProofExact,
		},
		Children: children,
	}
}

func configs(c ...*config.Config) []*config.Config { return c }

func withRollback(c *config.Config) *config.Config {
	c.Reload.Rollback = true
	return c
}

// change is a difference from the defaults of a child.
type change func(*config.Child, *config.Instance)

// child returns a child with one instance; "a*2" is a child "a" with the instances a1 and a2.
func child(name string, changes ...change) *config.Child {
	name, digits, counted := strings.Cut(name, "*")
	n := 1
	if counted {
		n, _ = strconv.Atoi(digits)
	}
	c := &config.Child{Name: name}
	for i := 1; i <= n; i++ {
		inst := defaultInstance(name, i)
		if counted {
			inst.Name += strconv.Itoa(i)
		}
		c.Instances = append(c.Instances, inst)
		for _, change := range changes {
			change(c, inst)
		}
	}
	return c
}

func defaultInstance(child string, index int) *config.Instance {
	return &config.Instance{
		Name: child, Child: child, Index: index,
		Launch: config.Launch{
			Command: "cmd", Path: "/bin/" + strings.TrimRight(child, "0123456789"),
			Logs: config.Logs{Format: "text", Stdout: "none", Stderr: "none"},
		},
		Policy: config.Policy{
			KillSignal: unix.SIGTERM, KillTimeout: killTimeout, MaxParallel: 100,
			SuccessCodes: []int{0}, OnSuccess: config.Ignore, OnFailure: config.ShutDown,
			Restart: config.Restart{
				On: "failure", Attempts: 2, Interval: time.Minute, Delay: delay, MaxDelay: delay,
			},
		},
	}
}

// after sets the dependencies: "a" must be ready, "a:started" started, "a:completed" completed.
func after(names ...string) change {
	return func(c *config.Child, _ *config.Instance) {
		c.DependsOn = nil
		for _, name := range names {
			d := config.Dependency{Child: name, Until: config.UntilReady}
			if name, until, ok := strings.Cut(name, ":"); ok {
				d = config.Dependency{Child: name, Until: config.Until(until)}
			}
			c.DependsOn = append(c.DependsOn, d)
		}
	}
}

func policy(set func(*config.Policy)) change {
	return func(_ *config.Child, i *config.Instance) { set(&i.Policy) }
}

func launch(set func(*config.Launch)) change {
	return func(_ *config.Child, i *config.Instance) { set(&i.Launch) }
}

var (
	oneshot  = policy(func(p *config.Policy) { p.Oneshot = true })
	sidecar  = policy(func(p *config.Policy) { p.Sidecar = true })
	critical = policy(func(p *config.Policy) { p.Critical = true })
	overlap  = policy(func(p *config.Policy) { p.OverlapUpdate = true })
	// ignored makes a failure no reason for a stop.
	ignored = onFailure(config.Ignore)
	never   = restart("never")
)

// args changes the launch of a child, so that a reload replaces its processes.
func args(a string) change {
	return launch(func(l *config.Launch) { l.Args = []string{a} })
}

func maxParallel(n int) change {
	return policy(func(p *config.Policy) { p.MaxParallel = n })
}

func minReady(d time.Duration) change {
	return policy(func(p *config.Policy) { p.MinReady = d })
}

func restart(on string) change {
	return policy(func(p *config.Policy) { p.Restart.On = on })
}

func onFailure(a config.Action) change {
	return policy(func(p *config.Policy) { p.OnFailure = a })
}

func onSuccess(a config.Action) change {
	return policy(func(p *config.Policy) { p.OnSuccess = a })
}

func killSignal(s unix.Signal, timeout time.Duration) change {
	return policy(func(p *config.Policy) { p.KillSignal, p.KillTimeout = s, timeout })
}

func killSequence(steps ...lifecycle.Step) change {
	return policy(func(p *config.Policy) { p.KillSequence, p.KillSignal = steps, steps[0].Signal })
}

func successCodes(codes ...int) change {
	return policy(func(p *config.Policy) { p.SuccessCodes = codes })
}

func scope(s lifecycle.Scope) change {
	return policy(func(p *config.Policy) { p.KillScope = s })
}

// readyBy gives a child a ready block with a timeout of one second.
func readyBy(r config.Ready) change {
	r.Timeout = time.Second
	return launch(func(l *config.Launch) { l.Ready = &r })
}

func readyAt(tcp string) change {
	return readyBy(config.Ready{Probe: config.Probe{TCP: tcp}})
}

// neverReady gives a child a ready block with an address that no process listens on.
var neverReady = readyAt("127.0.0.1:1")

func listenOn(tcp string) change {
	return launch(func(l *config.Launch) {
		if tcp != "" {
			l.Listen = []config.Listen{{Name: "x", TCP: tcp}}
		}
	})
}

// exec returns a probe with a command that takes the duration d.
func exec(d string) config.Probe {
	return config.Probe{Exec: []string{"probe", d}, ExecPath: "/bin/probe"}
}

// checkBy gives a child a check with a command that takes the duration d.
func checkBy(d string) change {
	return policy(func(p *config.Policy) {
		p.Checks = []config.Check{{
			Name: "alive", Probe: exec(d), Grace: 5 * time.Second, Interval: 10 * time.Second,
			Timeout: 2 * time.Second, Limit: 2,
		}}
	})
}
