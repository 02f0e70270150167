package fdledger

// Registrar records the descriptors that the supervisor itself opens and closes. [Ledger] is
// the one implementation of the running program. All methods may be called by any goroutine
// whose thread shares the descriptor table of the process. The thread of the process loop has
// a table of its own, so its descriptors are recorded by other threads.
type Registrar interface {
	// Opened records a descriptor that was just opened. Kind is "file", "pipe", "socket" and
	// so on, target says what the descriptor refers to.
	Opened(fd int, kind, target string)
	// OpenedInternal is Opened for a descriptor that serves the supervisor's own machinery, as the
	// pipe of a probe. The log has its events at debug, whatever log_fds says.
	OpenedInternal(fd int, kind, target string)
	// Close calls close and removes the entry, both under one lock: the kernel can reuse the
	// number as soon as it is closed, and the entry of the new owner must stay. It returns
	// the error of close.
	Close(fd int, close func() error) error
}
