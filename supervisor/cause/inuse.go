package cause

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
	"tp0/supervisor/termtext"
)

// inUse returns a text if a process did not get an address because another process has it:
// "127.0.0.1:8080 is in use by nginx (pid 12)". A process that was not ready may be silent about
// that: then the addresses of its probes count.
func inUse(ctx context.Context, e End) string {
	wanted, said := addressesIn(e.Output)
	if !said && !e.Starting {
		return ""
	}
	for _, a := range e.Addresses {
		wanted = appendAddress(wanted, a)
	}
	if said && len(wanted) == 0 { // the program does not say which address
		for _, a := range e.Args[:min(len(e.Args), maxArgs)] {
			a = a[:min(len(a), maxLine)]
			wanted = addressesOf(appendAddress(wanted, a), a)
		}
	}
	if len(wanted) == 0 {
		return ""
	}
	sockets, err := sockdiag.Bound()
	if err != nil {
		return ""
	}
	for _, a := range wanted {
		var inodes []uint64
		var uid uint32
		for _, s := range sockets {
			if a.conflicts(s.Local) && (said || s.Protocol == "tcp") {
				inodes, uid = append(inodes, s.Inode), s.UID
			}
		}
		if len(inodes) == 0 {
			continue
		}
		return fmt.Sprintf("%s is in use by %s", a, describeOwner(ctx, e, inodes, uid))
	}
	return ""
}

// conflicts reports whether a socket that is bound to an address prevents a bind to the wanted
// one.
func (a address) conflicts(bound netip.AddrPort) bool {
	ip := bound.Addr().Unmap()
	return a.port == bound.Port() &&
		(!a.ip.IsValid() || a.ip.IsUnspecified() || ip.IsUnspecified() || a.ip == ip)
}

// maxArgs bounds how many arguments are searched for an address.
const maxArgs = 64

// maxComm bounds the name of a process in a message: TASK_COMM_LEN is 16.
const maxComm = 16

// describeOwner says which process has one of some sockets. The oldest process is named: workers
// inherit the socket of their master. uid is the user of a socket.
func describeOwner(ctx context.Context, e End, inodes []uint64, uid uint32) string {
	pid := procfs.SocketOwner(ctx, inodes)
	if pid == 0 {
		return fmt.Sprintf("a process of uid %d that the supervisor cannot see", uid)
	}
	if pid == os.Getpid() {
		return "a listen block of this configuration (the supervisor has the socket open)"
	}
	s, err := procfs.ReadStat(pid)
	if err != nil {
		return fmt.Sprintf("pid %d, which has just ended", pid)
	}
	text := fmt.Sprintf("%s (pid %d)", termtext.Cut(s.Comm, maxComm), pid)
	child, below := ownerOf(pid, e.Children, parentOf)
	switch {
	case child != "":
		return text + " of child " + child
	case below:
		return text + ", which a former process of this supervisor left running"
	}
	return text
}

// maxDepth bounds the walk to the ancestors of a process.
const maxDepth = 64

// ownerOf returns the child whose process tree a process is in, and whether the process is a
// descendant of the supervisor.
func ownerOf(pid int, children map[int]string, parent func(int) int) (child string, below bool) {
	for range maxDepth {
		if name, ok := children[pid]; ok {
			return name, true
		}
		if pid = parent(pid); pid == os.Getpid() {
			return "", true
		}
		if pid <= 1 {
			return "", false
		}
	}
	return "", false
}

func parentOf(pid int) int {
	s, _ := procfs.ReadStat(pid)
	return s.PPid
}
