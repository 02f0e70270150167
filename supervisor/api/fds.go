package api

import "time"

// FDCount is the number of open descriptors of a process by kind: file, socket, pipe, epoll.
type FDCount struct {
	Pid   int            `json:"pid"`
	At    time.Time      `json:"at"`
	Kinds map[string]int `json:"kinds"`
}

// FDs are the open descriptors of instances.
type FDs struct {
	Instances []InstanceFDs `json:"instances"`
}

// InstanceFDs are the open descriptors of the process tree of an instance.
type InstanceFDs struct {
	Name  string `json:"name"`
	Child string `json:"child"`
	// Processes has the main process first. It is empty without a process.
	Processes []ProcessFDs `json:"processes"`
	// AtReady is the count of the main process one second after it was ready. It is nil if the
	// process is younger, or had too many descriptors to be counted then.
	AtReady *FDCount `json:"at_ready,omitempty"`
	// Omitted is the number of processes of the tree that were not read, because of a limit.
	Omitted int `json:"omitted,omitempty"`
}

// ProcessFDs are the open descriptors of a process.
type ProcessFDs struct {
	Pid     int    `json:"pid"`
	Command string `json:"command"` // the name that the process has; untrusted
	Open    int    `json:"open"`    // -1: they cannot be read
	// Limit is how many descriptors the process may have: the soft RLIMIT_NOFILE; 0: unknown.
	Limit uint64         `json:"limit"`
	Kinds map[string]int `json:"kinds"`
	// Common are the targets that most descriptors have, those with the most first.
	Common []FDTarget `json:"common"`
	FDs    []OpenFD   `json:"fds"`
	// Omitted is the number of open descriptors that FDs leaves out, because of a limit.
	Omitted int    `json:"omitted,omitempty"`
	Error   string `json:"error,omitempty"` // why they cannot be read
}

// FDTarget is what several descriptors refer to: a path, a directory, or a side of connections.
type FDTarget struct {
	Kind   string `json:"kind"`
	Target string `json:"target"` // untrusted
	Open   int    `json:"open"`
}

// OpenFD is an open descriptor.
type OpenFD struct {
	FD      int    `json:"fd"`
	Kind    string `json:"kind"`
	Target  string `json:"target"`           // a path, tcp 0.0.0.0:80 listen; untrusted
	State   string `json:"state,omitempty"`  // of a socket: established
	Unread  uint64 `json:"unread,omitempty"` // bytes in a socket that are not read
	Unsent  uint64 `json:"unsent,omitempty"` // bytes in a socket that are not sent or acknowledged
	Mode    string `json:"mode,omitempty"`   // of a file: r, w, rw, with a for append
	Lock    string `json:"lock,omitempty"`   // on a file
	Deleted bool   `json:"deleted,omitempty"`
}
