package orchestrator

import (
	"tp0/supervisor/config"
	"tp0/supervisor/process/spawn"
)

// Sockets are what the children listen on. None of its methods waits.
type Sockets interface {
	Open([]config.Listen) error // all, or nothing is changed
	Take([]config.Listen) ([]int, error)
	Keep(needed func(address string) bool)
	Empty() bool
}

// takeSockets opens what a run is to get, unless it is open, which it is as a
// rule.
func (f *Orchestrator) takeSockets(u *unit) ([]spawn.Socket, error) {
	u.handed = u.spec.Launch.Listen
	if len(u.handed) == 0 {
		return nil, nil
	}
	fds, err := f.opt.Sockets.Take(u.handed)
	if err != nil {
		return nil, err
	}
	sockets := make([]spawn.Socket, len(fds))
	for i, fd := range fds {
		sockets[i] = spawn.Socket{FD: fd, Name: u.handed[i].Name}
	}
	return sockets, nil
}

// openSockets opens what a new configuration listens on, but for what is over
// and stays so.
func (f *Orchestrator) openSockets(cfg *config.Config) error {
	over := map[string]bool{}
	for _, u := range f.units {
		over[u.spec.Name] = over[u.spec.Name] || u.stands() && u.state.Final() && u.goal == toRun
	}
	for _, c := range config.PlanChange(f.cfg, cfg).Changed {
		over[c.Name] = over[c.Name] && !c.Restart
	}
	var want []config.Listen
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			if !over[i.Name] {
				want = append(want, i.Launch.Listen...)
				break // all instances have the same
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	return f.opt.Sockets.Open(want)
}

// dropSockets closes the sockets that nobody needs any more. So one is open
// from run to run and while a restart is due, and no longer than until the last
// run of its child is told to end: from then on who connects is refused as soon
// as the child closes its copy, in place of waiting for nobody.
func (f *Orchestrator) dropSockets() {
	if f.opt.Sockets == nil || f.opt.Sockets.Empty() {
		return
	}
	needed := map[string]bool{}
	for _, u := range f.units {
		for _, l := range u.sockets() {
			needed[l.Address()] = true
		}
	}
	f.opt.Sockets.Keep(func(address string) bool { return needed[address] })
}

// sockets are what an instance needs open.
func (u *unit) sockets() (all []config.Listen) {
	if u.state.HasProcess() && u.pid == 0 { // the process loop has their numbers, and has not forked yet
		all = append(all, u.handed...)
	}
	if u.state.HasProcess() && u.rung == 0 {
		all = append(all, u.spec.Launch.Listen...)
	}
	if u.goal != toEnd && (u.next != nil || !u.state.Final()) { // another run may follow
		all = append(all, u.wanted().Launch.Listen...)
	}
	return all
}
