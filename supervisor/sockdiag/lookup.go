package sockdiag

import "golang.org/x/sys/unix"

// MaxLookups is the number of sockets up to which [Lookup] costs less than [List].
const MaxLookups = 64

// Lookup finds single sockets by inode. queries has the queries of sockets that were listed before
// (see [Socket.Query]). The cost does not depend on the number of sockets of the machine
// (sock_diag(7), a request without NLM_F_DUMP). For a unix socket the result has its peer too. A
// socket is missing in the result if the kernel does not find it any more, or finds another one, as
// in a group of SO_REUSEPORT.
func Lookup(queries map[uint64]Query) map[uint64]Socket {
	found := map[uint64]Socket{}
	if len(queries) == 0 {
		return found
	}
	c, err := dial()
	if err != nil {
		return found
	}
	defer c.close()
	for inode, query := range queries {
		if !c.lookup(query, addQueried(query, found)) {
			continue
		}
		s, ok := found[inode]
		if !ok {
			continue
		}
		if peer := s.Describe().Peer; peer != 0 {
			query := unixQueryByInode(peer)
			c.lookup(query, addQueried(query, found))
		}
	}
	return found
}

// addQueried returns a function that adds the answer to a query to a list.
func addQueried(query Query, into map[uint64]Socket) func(message []byte) {
	if query[0] == unix.AF_UNIX {
		return addUnix(into)
	}
	return addInet(query[1], into)
}
