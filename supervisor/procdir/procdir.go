// Package procdir names the directories of processes in /proc, and tells whether /proc can be
// believed. Every path of a process in /proc starts with [Of].
package procdir

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
)

// none is a directory that does not exist: no process has the pid 0.
const none = "/proc/0"

// Fault returns why /proc does not show the processes of the supervisor's pid namespace; nil if it
// does. The text says what to do. With `unshare -pf`, and in a container with the /proc of the
// host, a pid in /proc is that of another process. Fault reads /proc once.
var Fault = sync.OnceValue(func() error {
	self, err := os.Readlink("/proc/self")
	return check(self, err, os.Getpid())
})

// check returns the fault of a /proc whose link self has this target in a process with this pid.
// The link has no target if the process has no pid in the pid namespace of /proc (proc(5)).
func check(target string, err error, pid int) error {
	const mount = "mount the /proc of this pid namespace: mount -t proc proc /proc, or " +
		"unshare --mount-proc"
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("/proc is not mounted, or belongs to another pid namespace: " + mount)
	case err != nil:
		return nil // a security module hides the link, and the rest of /proc may be readable
	case target != strconv.Itoa(pid):
		return fmt.Errorf("/proc belongs to another pid namespace: this process has pid %d, and "+
			"/proc/self is %s: %s", pid, target, mount)
	}
	return nil
}

// Of returns the directory of a process. If /proc has a [Fault], other processes than this one have
// a directory that does not exist. So what is read of them is that of no other process.
func Of(pid int) string { return string(Append(nil, pid)) }

// Append appends [Of] to b. It is for what is read of each orphan: it does not allocate memory.
func Append(b []byte, pid int) []byte {
	switch {
	case Fault() == nil:
		return strconv.AppendInt(append(b, "/proc/"...), int64(pid), 10)
	case pid == os.Getpid():
		return append(b, "/proc/self"...)
	}
	return append(b, none...)
}
