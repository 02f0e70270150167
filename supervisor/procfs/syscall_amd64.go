package procfs

import "golang.org/x/sys/unix"

// legacyCalls are further system calls, which newer architectures do not have.
var legacyCalls = map[int]systemCall{
	unix.SYS_EPOLL_WAIT: {"epoll_wait", true},
	unix.SYS_GETDENTS:   {"getdents", true},
	unix.SYS_POLL:       {name: "poll"},
	unix.SYS_SELECT:     {name: "select"},
	unix.SYS_PAUSE:      {name: "pause"},
	unix.SYS_OPEN:       {name: "open"},
	unix.SYS_UNLINK:     {name: "unlink"},
	unix.SYS_RENAME:     {name: "rename"},
	unix.SYS_VFORK:      {name: "vfork"},
}
