package process

import (
	"errors"
	"io/fs"
	"runtime"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// The kernel lets a thread look at a process whose ids are its own
// (ptrace(2), "Ptrace access mode checking"). A child of another user is none
// of ours, but who may change ids, as root in a container, may take over its
// ids for the moment of the look: the real ones to attach, those of the file
// system to read. Capabilities, effective ids and the other threads stay as
// they are, so these are raw system calls; setuid(3) and Go's own would change
// every thread.

const keep = ^uintptr(0) // setresuid(2): leave this id as it is

// attachAs runs attach with the real ids of a process. On the loop's thread
// only.
func attachAs(pid int, attach func() error) error {
	s, err := procfs.ReadStatus(pid)
	if err != nil {
		return err
	}
	uid, gid := unix.Getuid(), unix.Getgid()
	if int(s.UID) == uid && int(s.GID) == gid {
		return unix.EPERM
	}
	if err := raw(unix.SYS_SETRESGID, uintptr(s.GID), keep, keep); err != nil {
		return err
	}
	defer func() { _ = raw(unix.SYS_SETRESGID, uintptr(gid), keep, keep) }()
	if err := raw(unix.SYS_SETRESUID, uintptr(s.UID), keep, keep); err != nil {
		return err
	}
	defer func() { _ = raw(unix.SYS_SETRESUID, uintptr(uid), keep, keep) }()
	return attach()
}

// readAs runs read with the file system ids of a process, if reading it was
// denied to ours. setfsuid(2) makes a process undumpable; that is put right.
func readAs(pid int, read func() error) error {
	err := read()
	if !errors.Is(err, fs.ErrPermission) || unix.Geteuid() != 0 {
		return err
	}
	s, e := procfs.ReadStatus(pid)
	if e != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = raw(unix.SYS_SETFSGID, uintptr(s.GID), 0, 0)
	_ = raw(unix.SYS_SETFSUID, uintptr(s.UID), 0, 0)
	err = read()
	_ = raw(unix.SYS_SETFSUID, uintptr(unix.Geteuid()), 0, 0)
	_ = raw(unix.SYS_SETFSGID, uintptr(unix.Getegid()), 0, 0)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	return err
}

func raw(call, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
		return e
	}
	return nil
}
