package procfs

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestFileSystemIDsPermitNoSignal: a process of another user may not signal a thread that has the
// file system ids of this user, as in ReadAs. It may signal one with its real user id
// (kill_ok_by_cred in kernel/signal.c), which no thread of the supervisor has.
func TestFileSystemIDsPermitNoSignal(t *testing.T) {
	needs.Check(t, "root")
	const user, same = 65534, ^uintptr(0)
	for _, tt := range []struct {
		name      string
		change    func()
		permitted bool
	}{
		{"file system ids", func() {
			setFSID(unix.SYS_SETFSGID, user)
			setFSID(unix.SYS_SETFSUID, user)
		}, false},
		{"real user id", func() {
			_, _, _ = unix.Syscall(unix.SYS_SETRESUID, user, same, same)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tid, done := make(chan int), make(chan struct{})
			go func() {
				runtime.LockOSThread() // the thread ends with the goroutine
				tt.change()
				tid <- unix.Gettid()
				<-done
			}()
			defer close(done)
			cmd := exec.Command("/bin/sh", "-c", fmt.Sprint("kill -0 ", <-tid))
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: user, Gid: user},
			}
			out, err := cmd.CombinedOutput()
			if (err == nil) != tt.permitted {
				t.Errorf("signal 0: %v (%s), want permitted: %v", err, out, tt.permitted)
			}
		})
	}
}
