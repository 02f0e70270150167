package orchestrator

import (
	"slices"

	"tp0/supervisor/config"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process/spawn"
)

// takeSockets returns the sockets that the next process inherits. Sockets that are not open yet are
// opened.
func (o *Orchestrator) takeSockets(inst *instance) ([]spawn.Socket, error) {
	listen := inst.spec.Launch.Listen
	inst.process.sockets = listen
	if len(listen) == 0 {
		return nil, nil
	}
	fds, err := o.opt.Sockets.Take(listen)
	if err != nil {
		return nil, err
	}
	sockets := make([]spawn.Socket, len(fds))
	for i, fd := range fds {
		sockets[i] = spawn.Socket{FD: fd, Name: listen[i].Name}
	}
	return sockets, nil
}

// openSockets opens the sockets of a new configuration, except those of children that have ended
// and are not started by it. The sockets with an address that a process must give up first are
// opened for the first process that inherits them.
func (o *Orchestrator) openSockets(cfg *config.Config, d *difference) error {
	ended := map[string]bool{}
	for _, inst := range o.instances {
		if inst.current() && inst.state.Final() && inst.goal == rollout.Run {
			ended[inst.spec.Name] = true
		}
	}
	for _, s := range d.starting {
		delete(ended, s.Spec.Name)
	}
	var listen []config.Listen
	for _, c := range cfg.Children {
		for _, spec := range c.Instances {
			if !ended[spec.Name] {
				listen = append(listen, spec.Launch.Listen...)
				break // all instances of a child inherit the same sockets
			}
		}
	}
	deferred := d.deferred()
	listen = slices.DeleteFunc(listen, func(l config.Listen) bool { return deferred[l.Address()] })
	if len(listen) == 0 {
		return nil
	}
	return o.opt.Sockets.Open(listen)
}

// closeSockets closes the sockets that no instance needs. A socket stays open between two processes
// and while a restart is due, until the stop of the last process of its child begins. From then on
// a client is refused as soon as the child closes its copy, instead of waiting for no server.
func (o *Orchestrator) closeSockets() {
	if o.opt.Sockets == nil || o.opt.Sockets.Empty() {
		return
	}
	needed := map[string]bool{}
	for _, inst := range o.instances {
		for _, l := range inst.neededSockets() {
			needed[l.Address()] = true
		}
	}
	o.opt.Sockets.Keep(func(address string) bool { return needed[address] })
}

// neededSockets returns the sockets that an instance needs open.
func (inst *instance) neededSockets() (all []config.Listen) {
	if inst.state.HasProcess() && inst.process.pid == 0 {
		// The process loop has their numbers and may not have forked yet.
		all = append(all, inst.process.sockets...)
	}
	if inst.state.HasProcess() && inst.stop.step == 0 && !inst.runsHook() {
		all = append(all, inst.spec.Launch.Listen...)
	}
	if inst.goal != rollout.End &&
		(inst.next != nil || !inst.state.Final() || inst.goal == rollout.Hold) {
		all = append(all, inst.wanted().Launch.Listen...) // of the next process
	}
	return all
}
