package app

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalsHaveColor reports whether terminals get colors: NO_COLOR is not set (no-color.org), and
// TERM is not that of a terminal without colors.
func terminalsHaveColor() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// wantsColor reports whether a file gets colors.
func wantsColor(f *os.File) bool { return terminalsHaveColor() && isTerminal(f) }

// hasControllingTerminal reports whether the session of the supervisor has a terminal. The kernel
// takes it away when the terminal is closed and when the session leader ends (tty(4)).
func hasControllingTerminal() bool {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Open("/dev/tty", flags, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

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
