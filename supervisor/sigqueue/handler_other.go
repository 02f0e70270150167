//go:build !amd64

package sigqueue

import "golang.org/x/sys/unix"

// handlerAddress returns 0: there is no signal handler for this architecture.
func handlerAddress() uintptr { return 0 }

func install(unix.Signal) bool { return false }
