package process

import (
	"context"
	"fmt"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// A descriptor that a process leaked may be open in another one: then the socket
// still listens, the lock is still held. Who that is takes a scan of the tables
// of all processes. It is asked once the process is gone, or about to be, and
// only for what counts; and one scan serves all who asked before it began.
type holders struct {
	asking  []*watched
	looking bool
}

// askHolders asks who else holds what a process leaked.
func (l *Loop) askHolders(w *watched) {
	w.scans++
	l.holders.asking = append(l.holders.asking, w)
	if !l.holders.looking {
		l.lookForHolders()
	}
}

func (l *Loop) lookForHolders() {
	asking := l.holders.asking
	l.holders.asking, l.holders.looking = nil, true
	var left []procfs.FD
	var pids, ends []int // ends: where in left that of each process ends
	for _, w := range asking {
		left = append(left, w.result().After...)
		pids, ends = append(pids, w.pid), append(ends, len(left))
	}
	l.lookers.all.Go(func() {
		found := procfs.FindHolders(context.Background(), left, pids)
		l.cmds.Put(func() {
			begin := 0
			for i, w := range asking {
				w.scans--
				l.holdersKnown(w, found, begin)
				begin = ends[i]
				l.finish(w)
			}
			l.holders.looking = false
			if len(l.holders.asking) > 0 {
				l.lookForHolders()
			}
		})
	})
}

// holdersKnown takes over who holds what a process leaked. In the list that was
// searched for, its fds begin at a number.
func (l *Loop) holdersKnown(w *watched, found map[int]procfs.Holder, begin int) {
	v, ok := w.machine.Data.(*proof.EndData)
	if !ok || !w.is(proof.Judged) {
		return // the time for it is over, and its end is reported
	}
	v.Result.Holders = map[int]string{}
	for i, f := range v.Result.After {
		if h, ok := found[begin+i]; ok {
			v.Result.Holders[f.Num] = fmt.Sprintf("%s (pid %d)", h.Comm, h.Pid)
		}
	}
	l.feed(w, proof.HoldersFound, cause{})
}
