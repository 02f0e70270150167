package probe

import (
	"context"
	"fmt"
	"os"
	"slices"

	"tp0/supervisor/procdir"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// Child is the process that a probe is about.
type Child struct {
	Pid int
	UID uint32 // the user that it was started with
}

// processTree is what can be read of the sockets of a process and its descendants.
type processTree struct {
	pids   []int
	held   []uint64 // inodes of the sockets that can be read
	hidden []hiddenProcess
}

// hiddenProcess is a process whose descriptors the supervisor may not read: it changed its user
// itself, has capabilities that the supervisor lacks, or made itself undumpable (ptrace(2), access
// mode checking).
type hiddenProcess struct {
	pid       int
	uids      [4]uint32
	namespace uint64 // see sockdiag.Namespace
}

// readSockets reads the sockets of the processes.
func (t *processTree) readSockets() {
	for _, pid := range t.pids {
		inodes, err := procfs.Sockets(pid)
		t.held = append(t.held, inodes...)
		if err == nil {
			continue
		}
		s, err := procfs.ReadStatus(pid)
		if err == nil && !s.Dead {
			h := hiddenProcess{pid: pid, uids: s.UIDs, namespace: sockdiag.Namespace(pid)}
			t.hidden = append(t.hidden, h)
		}
	}
}

// candidate is a listener that may be the child's.
type candidate struct {
	sockdiag.InetSocket
	namespace uint64
}

// evidence is what is known of a candidate that no readable process of the child holds.
type evidence struct {
	port   uint16
	owner  uint32          // the user who opened the socket
	start  uint32          // the user that the child was started with
	hidden []hiddenProcess // of the child, in the network namespace of the socket
	holder int             // pid of a foreign process that has the socket; 0: none that can be read
	// complete says that every foreign process of the owner can be read.
	complete bool
}

// verdict returns nil if the socket is that of the child, and else what is known of it. A socket
// belongs to the user of the process that opened it. That decides only for processes that cannot be
// read, and only if no foreign process is known to have the socket. A program that opened the
// socket before it changed its user is recognized only if every foreign process of the owner can be
// read.
func (e evidence) verdict() error {
	if len(e.hidden) == 0 {
		return fmt.Errorf("a process listens on port %d, but none of this child", e.port)
	}
	h := e.hidden[0]
	if e.holder != 0 {
		return fmt.Errorf("the process with pid %d listens on port %d; it is not known whether "+
			"this child does too: the descriptors of its process %d cannot be read",
			e.holder, e.port, h.pid)
	}
	owns := func(h hiddenProcess) bool { return slices.Contains(h.uids[:], e.owner) }
	if slices.ContainsFunc(e.hidden, owns) || e.complete && e.owner == e.start {
		return nil
	}
	return fmt.Errorf("a process of the user with uid %d listens on port %d; the descriptors of "+
		"process %d of this child, with uid %d, cannot be read", e.owner, e.port, h.pid, h.uids[1])
}

// ownsOne returns nil if one of the candidates, of which there is one at least, is that of a child.
func ownsOne(ctx context.Context, c Child, t processTree, all []candidate) (err error) {
	if procdir.Fault() != nil {
		return nil // no process of the child can be read
	}
	t.readSockets()
	held := func(s candidate) bool { return slices.Contains(t.held, s.Inode) }
	if slices.ContainsFunc(all, held) {
		return nil
	}
	for _, s := range all {
		e := evidence{port: s.Local.Port(), owner: s.UID, start: c.UID}
		for _, h := range t.hidden {
			if h.namespace == s.namespace {
				e.hidden = append(e.hidden, h)
			}
		}
		if len(e.hidden) > 0 {
			// The supervisor holds the sockets of listen blocks, which it hands on.
			except := append([]int{os.Getpid()}, t.pids...)
			e.holder, e.complete = procfs.SocketHolder(ctx, s.Inode, s.UID, except)
		}
		if err = e.verdict(); err == nil {
			return nil
		}
	}
	return err
}
