package app

import (
	"os"

	"golang.org/x/sys/unix"
)

// wantsColor reports whether a file gets colors: it is a terminal and NO_COLOR is not set
// (no-color.org).
func wantsColor(f *os.File) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(f) }

// isTerminal reports whether a file is a terminal.
func isTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	tty := false
	_ = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		tty = err == nil
	})
	return tty
}
