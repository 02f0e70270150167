package orchestrator

import (
	"net"
	"net/url"
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/cause"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
)

// endOf returns what the search for the cause of an unexpected end begins with.
func (o *Orchestrator) endOf(inst *instance, x process.Exited) cause.End {
	l := &inst.spec.Launch
	e := cause.End{
		Pid: x.Pid, Killed: x.Status.Signaled() && x.Status.Signal() == unix.SIGKILL && !x.Killed,
		Code: inst.exit.code, MaxRSS: x.Rusage.Maxrss, Args: l.Args,
		Starting: inst.state == lifecycle.Starting, Children: map[int]string{},
	}
	if !o.sharesAddresses(inst) {
		e.Addresses = probedAddresses(inst.spec)
	}
	for _, other := range o.instances {
		if other != inst && other.state.HasProcess() {
			e.Children[other.process.pid] = other.spec.Name
		}
	}
	return e
}

// sharesAddresses reports whether another process may listen where an instance listens: the
// supervisor for its listen blocks, or another instance of the child with SO_REUSEPORT. That such
// an address is in use is no cause of an end.
func (o *Orchestrator) sharesAddresses(inst *instance) bool {
	sibling := func(other *instance) bool {
		return other != inst && other.spec.Child == inst.spec.Child && other.state.HasProcess()
	}
	return len(inst.spec.Launch.Listen) > 0 || slices.ContainsFunc(o.instances, sibling)
}

// probedAddresses returns the addresses of the probes of an instance, as host:port.
func probedAddresses(spec *config.Instance) (all []string) {
	add := func(p config.Probe) {
		if p.TCP != "" {
			all = append(all, p.TCP)
		}
		u, err := url.Parse(p.HTTP)
		if p.HTTP == "" || err != nil {
			return
		}
		port := u.Port()
		if port == "" && u.Scheme == "http" {
			port = "80"
		}
		all = append(all, net.JoinHostPort(u.Hostname(), port))
	}
	if r := spec.Launch.Ready; r != nil {
		add(r.Probe)
	}
	for _, c := range spec.Policy.Checks {
		add(c.Probe)
	}
	return all
}

// findCause returns the cause of an unexpected end in the form of outcome.
func (o *Orchestrator) findCause(e cause.End, out *output.ChildOutput) string {
	if o.opt.FindCause == nil {
		return ""
	}
	e.Output = out.Tail()
	if text := o.opt.FindCause(e); text != "" {
		return "; " + text
	}
	return ""
}
