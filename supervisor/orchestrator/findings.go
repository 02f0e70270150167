package orchestrator

import (
	"cmp"
	"slices"
	"strings"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/findings"
	"tp0/supervisor/process"
)

// policyOf returns what counts as a finding in the process tree of an instance. nil stands for a
// process whose instance is not known: an orphan, or one of an instance that was removed.
func (o *Orchestrator) policyOf(inst *instance) findings.Policy {
	p := o.cfg.Shutdown.Findings
	if inst != nil {
		own := inst.spec.Policy.Findings
		p.Level = cmp.Or(own.Level, p.Level)
		p.Allow = slices.Concat(p.Allow, own.Allow)
	}
	p.Level = cmp.Or(p.Level, findings.Data)
	return p
}

// named returns the instance with a name, nil if there is none.
func (o *Orchestrator) named(name string) *instance {
	for _, inst := range o.instances {
		if inst.spec.Name == name {
			return inst
		}
	}
	return nil
}

// leakedFD returns what the judge needs of a leaked descriptor. A socket that a process inherited
// from another one of its tree counts at the end of its last holder.
func leakedFD(l fdledger.Line, fds process.FDResult) findings.FD {
	fd := findings.FD{Kind: l.Kind, Target: l.Target, NotCounted: l.Uncounted}
	if l.Kind != "socket" {
		return fd
	}
	if s, known := fds.Sockets[l.Num]; known {
		fd.Shared, fd.InTree = s.Shared, s.InTree
		switch {
		case s.Given && fd.NotCounted == "":
			fd.NotCounted = fdledger.Inherited
		case !s.Given && fd.NotCounted == fdledger.Inherited:
			fd.NotCounted = ""
		}
	}
	if s := l.Socket; s != nil {
		fd.Listener, fd.Connection, fd.Waiting = s.Listener, s.Connection, s.Waiting
		fd.Unread, fd.Unsent = l.Detail.Unread, l.Detail.Unsent
	}
	switch protocol, _, _ := strings.Cut(l.Target, " "); protocol {
	case "unix":
		fd.Unsent = 0 // the bytes are in the queue of the peer, which can still read them
	case "netlink", "packet", "raw":
		fd.Unread, fd.Unsent = 0, 0 // copies of messages of the kernel
	}
	return fd
}

// judgeLeak sets the finding of a leaked descriptor. Only an exact proof makes a finding: the
// process can have closed the descriptor after a sample. An inherited socket that is a finding of
// its last holder counts as left in the process that it came from.
func judgeLeak(e *event.FDClosed, l fdledger.Line, fds process.FDResult, p findings.Policy) {
	if fds.Proof != event.ProofExact || l.ByChild {
		return
	}
	fd := leakedFD(l, fds)
	kind := p.Judge(fd)
	if kind == findings.None {
		return
	}
	e.Finding, e.Harm, e.Advice = string(kind), kind.Harm(fd), kind.Advice(fd)
}
