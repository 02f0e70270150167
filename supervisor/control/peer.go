package control

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection, as the kernel knows it. At the end of a
// client it is the process that listens.
type Peer struct {
	Pid    int // 0: the process is in another pid namespace
	UID    int
	Groups []int // the groups of the process, at most 256 supplementary ones
}

// overflowUID is the uid that the kernel shows for a uid that our user namespace does not have
// (/proc/sys/kernel/overflowuid). It proves nothing.
const overflowUID = 65534

// PeerOf returns the peer of a connection (unix(7), SO_PEERCRED and SO_PEERGROUPS).
func PeerOf(c *net.UnixConn) (p Peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	e := raw.Control(func(fd uintptr) { p, err = peerOf(int(fd)) })
	return p, errors.Join(e, err)
}

func peerOf(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt", err)
	}
	p := Peer{Pid: int(cred.Pid), UID: int(cred.Uid), Groups: []int{int(cred.Gid)}}
	p.Groups = append(p.Groups, peerGroups(fd)...)
	return p, nil
}

// peerGroups returns the supplementary groups of a peer; none if they cannot be read. Package unix
// has no function for a socket option that is a list.
func peerGroups(fd int) (groups []int) {
	var list [maxGroups]uint32
	size := uint32(unsafe.Sizeof(list))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET,
		unix.SO_PEERGROUPS, uintptr(unsafe.Pointer(&list)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	for _, gid := range list[:size/4] {
		groups = append(groups, int(gid))
	}
	return groups
}

// maxGroups is the number of supplementary groups of a peer that are read.
const maxGroups = 256

// Trusted reports whether the process belongs to root or to our own user.
func (p Peer) Trusted() bool {
	if p.UID == overflowUID && p.Pid == 0 {
		return false
	}
	return p.UID == 0 || p.UID == os.Geteuid()
}

// IsMember reports whether the process is a member of a group.
func (p Peer) IsMember(gid int) bool { return slices.Contains(p.Groups, gid) }

// FD returns the descriptor of a socket, for the ledger only.
func FD(c syscall.Conn) int {
	fd := -1
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}
