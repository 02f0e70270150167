package process

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// Listeners returns the addresses on which process trees listen: host:port, or the name of a unix
// socket. Sockets of listen blocks are left out, and so are processes whose descriptors the
// supervisor may not read. It waits, until ctx ends at the latest. The result is then incomplete,
// and the error is that of ctx.
func (l *Loop) Listeners(ctx context.Context, ids []ID) (map[ID][]string, error) {
	trees := make(chan map[ID]listeningTree, 1)
	l.commands.Put(func() { trees <- l.listeningTrees(ids) })
	found := make(chan map[ID][]string, 1)
	select {
	case t := <-trees:
		go func() { // nothing waits for it: a read of /proc can take any time
			limits.ReadSlots.Run(func() { found <- readListeners(ctx, t) })
		}()
	case <-l.quit:
		return nil, context.Canceled
	case <-ctx.Done():
		return nil, fmt.Errorf("the process loop did not answer: %w", ctx.Err())
	}
	select {
	case all := <-found:
		return all, ctx.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listeningTree is what the search for the listeners of a process tree begins with.
type listeningTree struct {
	pids  []int           // the main process, and the survivors
	given map[uint64]bool // inodes of the sockets of listen blocks
}

func (l *Loop) listeningTrees(ids []ID) map[ID]listeningTree {
	trees := map[ID]listeningTree{}
	for _, id := range ids {
		c := l.processes[id]
		if c == nil {
			continue
		}
		t := listeningTree{given: map[uint64]bool{}}
		if !c.phase.MainEnded() {
			t.pids = append(t.pids, c.pid)
		}
		for _, a := range l.survivors(c) {
			t.pids = append(t.pids, a.stat.Pid)
		}
		for _, f := range c.sockets {
			t.given[f.Inode()] = true
		}
		trees[id] = t
	}
	return trees
}

// readListeners finds the listeners of process trees, until ctx ends.
func readListeners(ctx context.Context, trees map[ID]listeningTree) map[ID][]string {
	const listenersAndUnix = 0 // the part of sockdiag.List
	sockets, _ := sockdiag.ListPart(listenersAndUnix)
	over := func(int) bool { return ctx.Err() != nil }
	all := map[ID][]string{}
	for id, t := range trees {
		for _, pid := range t.pids {
			for _, p := range append([]int{pid}, procfs.Descendants(pid)...) {
				if ctx.Err() != nil {
					return all
				}
				var fds []procfs.FD
				_ = procfs.ReadAs(p, func() (err error) {
					fds, err = procfs.ReadFDsUntil(p, procfs.LiveThread(p), over)
					return err
				})
				for _, f := range fds {
					address := listenerAddress(sockets, f.Inode())
					if address != "" && !t.given[f.Inode()] && !slices.Contains(all[id], address) {
						all[id] = append(all[id], address)
					}
				}
			}
		}
	}
	return all
}

// listenerAddress returns the address of a listening socket; empty: it is none.
func listenerAddress(sockets map[uint64]sockdiag.Socket, inode uint64) string {
	s, ok := sockets[inode]
	if inode == 0 || !ok {
		return ""
	}
	d := s.Describe()
	if !d.Listener {
		return ""
	}
	return addressIn(d.Text)
}

// addressIn returns the address in the description of a listener: "tcp [::]:80 listen", "unix
// /run/x.sock listen". Empty: it has none.
func addressIn(description string) string {
	_, address, _ := strings.Cut(strings.TrimSuffix(description, " listen"), " ")
	if strings.HasPrefix(address, "(") { // "unix (unnamed) listen"
		return ""
	}
	return address
}

// ListenersOf returns the addresses of the listening sockets among descriptors.
func ListenersOf(fds []procfs.FD) (all []string) {
	for _, f := range fds {
		if f.Socket != nil && f.Socket.Listener {
			if address := addressIn(f.Target); address != "" {
				all = append(all, address)
			}
		}
	}
	return all
}
