package process

import (
	"context"
	"fmt"
	"slices"

	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// A descriptor that a process left may be open in another one: then the socket
// still listens, the lock is still held. Who that is takes a look at the tables
// of all processes. It is asked once the process is gone, or about to be, and
// only for what counts; and one look serves all who asked before it began.
type holders struct {
	asking  []*watched
	looking bool
}

// askHolders asks who else holds what a process left, if there is anything of
// that kind and nobody asked yet. It reports whether an answer is to come.
func (l *Loop) askHolders(w *watched) bool {
	if w.asked {
		return false
	}
	w.asked = true
	look := w.judged()
	if !slices.ContainsFunc(look.After, func(f procfs.FD) bool { return !f.Std() }) {
		return false // as with most that end well
	}
	if _, _, left := ledger.Judge(look.Before, look.After, look.Inherited, look.Runtime); left == 0 {
		return false
	}
	w.looks++
	l.holders.asking = append(l.holders.asking, w)
	if !l.holders.looking {
		l.lookForHolders()
	}
	return true
}

func (l *Loop) lookForHolders() {
	asking := l.holders.asking
	l.holders.asking, l.holders.looking = nil, true
	var left []procfs.FD
	var pids []int
	for _, w := range asking {
		left = append(left, w.judged().After...)
		pids = append(pids, w.pid)
	}
	l.lookers.all.Go(func() {
		found := procfs.Holders(context.Background(), left, pids)
		l.cmds.Put(func() {
			at := 0
			for _, w := range asking {
				w.look.Holders = map[int]string{}
				for _, f := range w.judged().After {
					if h, ok := found[at]; ok {
						w.look.Holders[f.Num] = fmt.Sprintf("%s (pid %d)", h.Comm, h.Pid)
					}
					at++
				}
				w.looks--
				l.finish(w)
			}
			l.holders.looking = false
			if len(l.holders.asking) > 0 {
				l.lookForHolders()
			}
		})
	})
}
