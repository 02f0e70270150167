package process

import (
	"context"
	"fmt"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// maxHolderFDs is the highest number of descriptors for which a search for holders is made. The
// comparison of more would block the loop for too long.
const maxHolderFDs = 4096

// findHolders searches for other processes that have the leaked descriptors of a process open.
func (l *Loop) findHolders(o *observed) {
	o.running++
	l.holders.queue = append(l.holders.queue, o)
	if !l.holders.scanning {
		l.scanForHolders()
	}
}

// scanForHolders starts a search for the processes in the queue. A process that is about to end is
// no holder: it is judged by itself.
func (l *Loop) scanForHolders() {
	var asking []*search
	for _, o := range l.holders.queue {
		s := &search{of: o, result: o.result(), tree: o.sockets}
		s.scanned, s.given = s.tree.take(), l.givenSockets(o, s.result.After)
		asking = append(asking, s)
	}
	l.holders.queue, l.holders.scanning = nil, true
	var ending []int
	for pid, o := range l.observations {
		if o.hasEnded() {
			ending = append(ending, pid)
		}
	}
	l.workers.goroutines.Go(func() {
		searchHolders(asking, ending)
		for _, s := range asking {
			s.recordSockets()
		}
		l.commands.Put(func() { l.recordHolders(asking) })
	})
}

// searchHolders searches for processes that have the leaked descriptors of others open. It skips
// processes that leaked too many.
func searchHolders(asking []*search, ending []int) {
	var leaked []procfs.FD
	for _, s := range asking {
		if len(s.result.After) <= maxHolderFDs {
			leaked = append(leaked, s.result.After...)
		}
	}
	found := procfs.FindHolders(context.Background(), leaked, ending)
	first := 0
	for _, s := range asking {
		if len(s.result.After) > maxHolderFDs {
			continue
		}
		s.result.Holders = map[int]string{}
		for i, f := range s.result.After {
			if h, ok := found[first+i]; ok {
				s.result.Holders[f.Num] = fmt.Sprintf("%s (pid %d)", h.Comm, h.Pid)
			}
		}
		first += len(s.result.After)
	}
}

// recordHolders records what a search found, and starts the next one.
func (l *Loop) recordHolders(asking []*search) {
	for _, s := range asking {
		o := s.of
		o.running--
		// Else its end is reported already.
		if v, ok := o.machine.Data.(*proof.EndData); ok && o.inState(proof.Judged) {
			v.Result.Holders, v.Result.Sockets = s.result.Holders, s.result.Sockets
			l.handleEvent(o, proof.HoldersFound, stopCause{})
		}
		l.finish(o)
	}
	l.holders.scanning = false
	if len(l.holders.queue) > 0 {
		l.scanForHolders()
	}
}

// givenSockets returns the inodes of the sockets that a process tree did not open: standard
// streams, sockets of listen blocks, and those that the supervisor was started with.
func (l *Loop) givenSockets(o *observed, after []procfs.FD) map[uint64]bool {
	given := map[uint64]bool{}
	add := func(fds []procfs.FD, all bool) {
		for _, f := range fds {
			if f.Kind == "socket" && (all || f.IsStandard()) {
				given[f.Inode()] = true
			}
		}
	}
	add(after, false)
	add(l.inheritedFDs(), true)
	if o.owner != nil {
		add(o.owner.sockets, true)
	}
	return given
}

// search is what a search for holders finds out about one process that ended.
type search struct {
	of      *observed
	result  proof.Result
	tree    *treeSockets
	scanned [][]procfs.FD   // of the tree, since the last search
	given   map[uint64]bool // see givenSockets
}

// recordSockets records in the result which leaked sockets have another holder or a peer in the
// process tree. The holders of the leaked descriptors must be known.
func (s *search) recordSockets() {
	s.tree.index(s.scanned)
	atExit := s.result.Sockets
	s.result.Sockets = map[int]proof.Socket{}
	for _, f := range s.result.After {
		if f.Kind != "socket" {
			continue
		}
		x := proof.Socket{
			Given:  s.given[f.Inode()],
			Shared: s.result.Holders[f.Num] != "" || atExit[f.Num].Shared,
			InTree: s.tree.hasPeer(f),
		}
		if !x.Given && !x.Shared && s.result.Proof == event.ProofExact {
			x.Shared = !s.tree.judgeOnce(f.Inode())
		}
		s.result.Sockets[f.Num] = x
	}
}
