package openfds

import (
	"context"

	"tp0/supervisor/api"
	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
)

// List returns the open descriptors of the process trees of instances. It lists 20,000 of them at
// most, and counts the others. It returns an error if ctx ends before.
func List(ctx context.Context, instances []api.Instance) (api.FDs, error) {
	return inTurn(ctx, func() api.FDs {
		l := lister{describer{ctx: ctx}, maxListed}
		found := api.FDs{Instances: []api.InstanceFDs{}}
		for _, inst := range instances {
			found.Instances = append(found.Instances, l.instance(&inst))
		}
		return found
	})
}

// lister lists the descriptors of processes.
type lister struct {
	describer
	left int // descriptors that may be listed
}

func (l *lister) instance(inst *api.Instance) api.InstanceFDs {
	i := api.InstanceFDs{
		Name: inst.Name, Child: inst.Child, AtReady: inst.FDsAtReady,
		Processes: []api.ProcessFDs{},
	}
	if inst.Pid == 0 {
		return i
	}
	pids, omitted := tree(l.ctx, inst.Pid)
	i.Omitted = omitted
	for _, pid := range pids {
		if l.ctx.Err() != nil {
			i.Omitted++
			continue
		}
		limits.ReadSlots.Run(func() { i.Processes = append(i.Processes, l.process(pid)) })
	}
	return i
}

// process returns the descriptors of a process. A process with too many is counted only.
func (l *lister) process(pid int) api.ProcessFDs {
	p := api.ProcessFDs{
		Pid: pid, Open: -1, Kinds: map[string]int{}, Common: []api.FDTarget{}, FDs: []api.OpenFD{},
	}
	if s, err := procfs.ReadStat(pid); err == nil {
		p.Command = s.Comm
	}
	p.Limit, _ = procfs.OpenFiles(pid)
	if procfs.CountFDs(pid, procfs.LiveThread(pid)) > maxDescribed {
		counted, err := count(l.ctx, pid, maxRead)
		if err != nil {
			p.Error = whyUnreadable(pid, err)
			return p
		}
		p.Open, p.Kinds = counted.Open(), counted.Kinds
		p.Omitted = p.Open
		return p
	}
	fds, err := l.describe(pid)
	if err != nil {
		p.Error = whyUnreadable(pid, err)
		return p
	}
	p.Open = len(fds)
	p.Omitted = max(len(fds)-l.left, 0)
	l.left -= len(fds) - p.Omitted
	for i, f := range fds {
		p.Kinds[f.Kind]++
		if i >= len(fds)-p.Omitted {
			continue
		}
		p.FDs = append(p.FDs, api.OpenFD{
			FD: f.Num, Kind: f.Kind, Target: f.Target,
			State: f.Detail.State, Unread: f.Detail.Unread, Unsent: f.Detail.Unsent,
			Mode: f.Detail.Mode, Lock: f.Detail.Lock, Deleted: f.Detail.Deleted,
		})
	}
	p.Common = commonTargets(fds, nil)
	return p
}
