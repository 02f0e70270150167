package process

import (
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// member is a process of a tree, and its descriptors when its stop started.
type member struct {
	pid int
	fds []procfs.FD
}

// othersInTree returns the other processes of the tree of a process. It leaves out those in their
// exit stop: of two processes that exit at the same time, the one whose exit stop is later does
// not count the other as a holder, so one of them is the last holder of a socket.
func (l *Loop) othersInTree(o *observed) (all []member) {
	for pid, other := range l.observations {
		_, exits := other.machine.Data.(*proof.ExitStopData)
		if other != o && other.sockets == o.sockets && !exits && !other.hasEnded() {
			all = append(all, member{pid, other.evidence.Before})
		}
	}
	return all
}

// sharedSockets returns the sockets among fds that another process of the tree has open, by their
// number in fds. Call it while the process with fds is in its exit stop. A later search is too
// late: the parent of a worker can close a listener and end within a millisecond after the worker.
func sharedSockets(fds []procfs.FD, others []member) map[int]proof.Socket {
	open := map[uint64]bool{} // inode of a socket among fds → another process has it open
	for _, f := range fds {
		if inode := f.Inode(); inode != 0 && !f.IsStandard() {
			open[inode] = false
		}
	}
	if len(open) == 0 {
		return nil
	}
	for _, m := range others {
		for _, f := range m.fds {
			if found, ours := open[f.Inode()]; ours && !found {
				open[f.Inode()] = f.IsOpenIn(m.pid)
			}
		}
	}
	shared := map[int]proof.Socket{}
	for _, f := range fds {
		if open[f.Inode()] {
			shared[f.Num] = proof.Socket{Shared: true}
		}
	}
	return shared
}
