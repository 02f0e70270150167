package spawn

import "golang.org/x/sys/unix"

// rawSyscall makes a system call for the calling thread alone. Go's scheduler does not know of it,
// so the call must not block.
func rawSyscall(call, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
		return e
	}
	return nil
}
