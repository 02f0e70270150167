package files

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A refusal is the reason why a file is not used although the kernel permits it.
type refusal string

func (r refusal) Error() string { return string(r) }

// IsRefused reports whether a file was not used because another user may have prepared it.
func IsRefused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// retry calls a system call again while a signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func isOneOf(err error, errnos ...unix.Errno) bool {
	return slices.ContainsFunc(errnos, func(e unix.Errno) bool { return errors.Is(err, e) })
}

// ThroughFD returns a path that leads to the file of a descriptor, for system calls that have no
// variant for a descriptor with the flag O_PATH: chmod(2) and connect(2).
func ThroughFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// isMagic reports whether a directory has links that only the kernel can follow: those of a process
// in /proc (proc_pid_fd(5)).
func isMagic(dir string) bool {
	process, isProc := strings.CutPrefix(dir, "/proc/")
	if !isProc {
		return false
	}
	process, _, _ = strings.Cut(process, "/")
	_, err := strconv.ParseUint(process, 10, 32)
	return err == nil
}

// join joins a directory and a name. It keeps ".." elements.
func join(dir, name string) string {
	return strings.TrimSuffix(dir, "/") + "/" + name
}

// reason returns the error of a system call without the path.
func reason(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

func octal(mode uint32) string { return "0" + strconv.FormatUint(uint64(mode&0o7777), 8) }
