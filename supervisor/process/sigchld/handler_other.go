//go:build !amd64

package sigchld

// handlerAddress returns 0: there is no signal handler for this architecture.
func handlerAddress() uintptr { return 0 }

func install() error { return nil }
