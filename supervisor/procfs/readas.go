package procfs

import (
	"errors"
	"io/fs"
	"runtime"

	"golang.org/x/sys/unix"
)

// ReadAs runs read, which reads what /proc says of a process. If that fails for lack of permission,
// it runs read again with the file system ids of the process: without CAP_SYS_PTRACE, root may read
// the descriptors of another user's process in no other way. The ids that decide who may send a
// signal to this thread do not change. read must stay on its goroutine. setfsuid(2) makes the
// supervisor undumpable, so ReadAs makes it dumpable again.
//
// A process that is not dumpable stays unreadable, for example one that changed its user id without
// execve(2) (prctl(2), PR_SET_DUMPABLE).
func ReadAs(pid int, read func() error) error {
	err := read()
	if !errors.Is(err, fs.ErrPermission) || unix.Geteuid() != 0 {
		return err
	}
	s, e := ReadStatus(pid)
	if e != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setFSID(unix.SYS_SETFSGID, int(s.GID))
	setFSID(unix.SYS_SETFSUID, int(s.UID))
	err = read()
	setFSID(unix.SYS_SETFSUID, unix.Geteuid())
	setFSID(unix.SYS_SETFSGID, unix.Getegid())
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	return err
}

// setFSID has no error: setfsuid(2) and setfsgid(2) return the previous id.
func setFSID(call uintptr, id int) { _, _, _ = unix.Syscall(call, uintptr(id), 0, 0) }
