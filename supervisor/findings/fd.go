package findings

// FD is a descriptor that a process still held at its exit.
type FD struct {
	Kind   string // file, pipe, socket, epoll, …
	Target string // in plain words, for example "tcp 0.0.0.0:80 listen"

	// NotCounted says why the descriptor never counts: a standard stream, inherited, or the
	// runtime's own. It is empty if the descriptor may count.
	NotCounted string

	// What follows is known of sockets only.

	Listener   bool
	Connection bool
	Waiting    uint64 // connections in the accept queue of a listener
	Unread     uint64 // bytes
	Unsent     uint64 // bytes
	Shared     bool   // another process holds the socket too, so nothing of it is lost
	InTree     bool   // the peer belongs to the same process tree
}
