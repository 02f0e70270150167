package tracehelper

import (
	"os"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/process/ptrace"
)

// unchangedID tells setresuid(2) to keep an id.
const unchangedID = ^uintptr(0)

// attachAs traces a thread with the real ids of its user. Only the real ids of this thread change:
// the effective ids and the capabilities stay those of the supervisor. So the helper stays dumpable
// and keeps its parent death signal (commit_creds in kernel/cred.c), and its user cannot trace it.
func attachAs(userID, groupID uint32, tid, options int) error {
	uid, gid := uintptr(unix.Getuid()), uintptr(unix.Getgid())
	defer func() {
		if rawCall(unix.SYS_SETRESUID, uid, unchangedID, unchangedID) != nil ||
			rawCall(unix.SYS_SETRESGID, gid, unchangedID, unchangedID) != nil {
			os.Exit(exitcode.Failed) // another user's ids must not stay
		}
	}()
	if err := rawCall(unix.SYS_SETRESGID, uintptr(groupID), unchangedID, unchangedID); err != nil {
		return err
	}
	if err := rawCall(unix.SYS_SETRESUID, uintptr(userID), unchangedID, unchangedID); err != nil {
		return err
	}
	return ptrace.Attach(tid, uintptr(options))
}

// rawCall changes the calling thread alone; setuid(3) and Go's functions change all threads.
func rawCall(call, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
		return e
	}
	return nil
}
