package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/api/server"
	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/control"
	"tp0/supervisor/event"
	"tp0/supervisor/openfds"
	"tp0/supervisor/usage"
	"tp0/supervisor/verb"
)

// openControl opens the control sockets. It returns an error if another supervisor runs children of
// the same configuration, or if the socket that the configuration or the environment names cannot
// be opened.
func (a *app) openControl(o verb.RunOptions, cfg *config.Config) (*controlSocket, error) {
	overlap := func(only []string) []string { return overlapping(cfg, only) }
	if o.AllowSecond {
		overlap = nil
	}
	id := cfg.Path
	if hclconfig.IsDescriptor(id) { // not the same file as that of another process
		id = fmt.Sprintf("%s of process %d", id, os.Getpid())
	}
	l, err := control.Claim(control.Claimant{Config: id, Overlap: overlap, Ask: client.Identify})
	if errors.As(err, new(*control.SecondError)) {
		return nil, err
	}
	if err != nil {
		a.Emit(event.Warning{What: "control socket not opened", Reason: err.Error()})
	}
	c := &controlSocket{
		name: control.Name(id), inForce: cfg, plans: make(chan struct{}, 1),
		load: func() (*config.Config, error) { return a.loadAgain(o) },
		warn: func(what string, err error) {
			a.Emit(event.Warning{What: what, Reason: err.Error()})
		},
	}
	c.server = server.New(server.Options{
		FDs: a.ledger, Events: a.events, Measure: measure, ReadFDs: openfds.List,
		Identity: api.Identity{
			ID: rand.Text(), Pid: os.Getpid(), Version: a.version, Only: o.Only,
		}.WithConfig(id),
		Orchestrator: a.operations, Logs: a.readLogs,
		Health: func(ctx context.Context) control.Health {
			return a.orchestrator.Health(ctx)
		},
		Plan: c.plan, Explain: a.explain, Answered: a.idleMemory.used,
	})
	c.first = true
	if l != nil {
		c.first = l.Addr().String() == c.name
		c.name = l.Addr().String()
		c.server.AddAbstract(l)
	}
	if err := c.openPath(cfg.Control); err != nil {
		c.server.Close()
		return nil, err
	}
	return c, nil
}

// operations returns the orchestrator, which is younger than the socket.
func (a *app) operations() server.Orchestrator { return a.orchestrator }

// measure adds what the process tree of each instance uses.
func measure(ctx context.Context, s *api.Status) {
	pids := make([]int, len(s.Instances))
	for i := range s.Instances {
		pids[i] = s.Instances[i].Pid
	}
	for i, u := range usage.Of(ctx, pids) {
		s.Instances[i].Usage = u
	}
}

// overlapping returns the names of --only that are children or instances of a configuration.
func overlapping(cfg *config.Config, only []string) (common []string) {
	for _, name := range only {
		isInstance := func(i *config.Instance) bool { return i.Name == name }
		if cfg.Child(name) != nil || slices.ContainsFunc(cfg.Instances(), isInstance) {
			common = append(common, name)
		}
	}
	return common
}
