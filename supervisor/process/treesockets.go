package process

import (
	"net/netip"

	"tp0/supervisor/procfs"
)

// treeSockets are the sockets that the fd scans of a process tree found. They tell of a leaked
// socket whether its peer belongs to the tree, even if the process of the peer has ended.
//
// The loop's thread owns scanned. The other fields belong to the search for holders. Only one
// search runs at a time.
type treeSockets struct {
	scanned [][]procfs.FD // scans that are not in ends yet
	ends    map[socketEnd]bool
	judged  map[uint64]bool // inodes of the sockets of which the last holder has ended
}

// socketEnd names one end of a connection: a unix socket by its inode, a TCP socket by its
// addresses.
type socketEnd struct {
	inode         uint64
	local, remote netip.AddrPort
}

// add records the descriptors that a scan found.
func (s *treeSockets) add(fds []procfs.FD) {
	if len(fds) > 0 {
		s.scanned = append(s.scanned, fds)
	}
}

// take returns the scans that are not in ends yet.
func (s *treeSockets) take() [][]procfs.FD {
	scanned := s.scanned
	s.scanned = nil
	return scanned
}

// index adds scans to ends.
func (s *treeSockets) index(scanned [][]procfs.FD) {
	if s.ends == nil {
		s.ends, s.judged = map[socketEnd]bool{}, map[uint64]bool{}
	}
	for _, fds := range scanned {
		for _, f := range fds {
			switch {
			case f.Socket == nil:
			case f.Socket.Local.IsValid():
				s.ends[socketEnd{local: f.Socket.Local, remote: f.Socket.Remote}] = true
			default:
				s.ends[socketEnd{inode: f.Inode()}] = true
			}
		}
	}
}

// hasPeer reports whether the other end of a connection belongs to the tree.
func (s *treeSockets) hasPeer(f procfs.FD) bool {
	switch {
	case f.Socket == nil || !f.Socket.Connection:
		return false
	case f.Socket.Local.IsValid():
		return s.ends[socketEnd{local: f.Socket.Remote, remote: f.Socket.Local}]
	}
	return s.ends[socketEnd{inode: f.Socket.Peer}]
}

// judgeOnce reports whether a socket is to be judged now. A socket is judged once: two processes
// that end at the same moment can both be its last holder.
func (s *treeSockets) judgeOnce(inode uint64) bool {
	if s.judged[inode] {
		return false
	}
	s.judged[inode] = true
	return true
}
