package procfs

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
	"tp0/supervisor/sockdiag"
)

// Resolve replaces "socket:[inode]" by the description of the socket, for each fd whose inode is
// among sockets.
func Resolve(fds []FD, sockets map[uint64]sockdiag.Socket) {
	for i := range fds {
		s, ok := sockets[fds[i].Inode()]
		if !ok {
			continue
		}
		d := s.Describe()
		if peer, ok := sockets[d.Peer]; ok {
			d.Unsent = peer.Describe().Unread
		}
		fds[i].Target = d.Text
		fds[i].Detail = FDDetail{State: d.State, Unread: d.Unread, Unsent: d.Unsent}
		fds[i].Socket = &d.Endpoint
		if q := s.Query(); q != "" {
			fds[i].query = q
		}
	}
}

// ResolveKnown is [Resolve] for the TCP, UDP and unix sockets that an earlier scan of the process
// resolved. It asks the kernel for these sockets alone; see [sockdiag.Lookup]. A socket that the
// kernel does not find stays unresolved. If the earlier scan has more than [sockdiag.MaxLookups]
// sockets, ResolveKnown does nothing.
func ResolveKnown(fds, before []FD) {
	known := map[uint64]sockdiag.Query{}
	for _, f := range before {
		if f.query != "" && !f.IsStandard() {
			known[f.Inode()] = f.query
		}
	}
	if len(known) > sockdiag.MaxLookups {
		return
	}
	queries := map[uint64]sockdiag.Query{}
	for _, f := range fds {
		if q := known[f.Inode()]; q != "" && !f.IsStandard() {
			queries[f.Inode()] = q
		}
	}
	Resolve(fds, sockdiag.Lookup(queries))
}

// NeedsSocketPart reports whether an unresolved socket of a process can be in a part of
// [sockdiag.List]. Where the protocol of a socket cannot be read, or the process has more than
// [sockdiag.MaxLookups] unresolved sockets, every part is needed.
func NeedsSocketPart(pid int, fds []FD, part int) bool {
	asked := 0
	return slices.ContainsFunc(fds, func(f FD) bool {
		if f.Kind != "socket" || f.IsStandard() || f.Resolved() {
			return false
		}
		asked++
		return asked > sockdiag.MaxLookups || sockdiag.InPart(socketProtocol(pid, f), part)
	})
}

// ResolveUnlisted describes the sockets that are in none of the kernel's lists, such as one that
// was never connected, by their protocol. It ends early once over reports true.
func ResolveUnlisted(pid int, fds []FD, over func(read int) bool) {
	for i, f := range fds {
		if i%checkInterval == 0 && over(i) {
			return
		}
		if f.Kind != "socket" || f.Resolved() {
			continue
		}
		if name := socketProtocol(pid, f); name != "" {
			fds[i].Target = strings.ToLower(name) + " (not connected)"
		}
	}
}

// socketProtocol returns the name of a socket's protocol, an extended attribute of the socket
// (system.sockprotoname, net/socket.c). It is empty if it cannot be read.
func socketProtocol(pid int, f FD) string {
	var name [32]byte
	path := procdir.Of(pid) + "/fd/" + strconv.Itoa(f.Num)
	n, err := unix.Getxattr(path, "system.sockprotoname", name[:])
	if err != nil || n < 1 {
		return ""
	}
	return strings.TrimRight(string(name[:n]), "\x00")
}
