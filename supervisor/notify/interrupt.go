package notify

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// interruptAfter is how long a call of [interruptible] may take before it is interrupted. A receive
// takes some 2 µs.
const interruptAfter = 5 * time.Millisecond

// interruptible makes a system call that can drop the last reference to a file of another process.
// Such a file was passed to one of our sockets (SCM_RIGHTS, unix(7)). The kernel releases the file
// in the thread that made the call, before the call returns. That can take as long as the sender
// wants: a TCP socket with SO_LINGER waits until its peer has read everything, and a passed unix
// socket can have such sockets in its own queue. The wait ends when the thread has a signal, and
// the release continues without the thread. So a late call gets SIGURG, with which Go's runtime
// preempts its threads and which no program sees. interruptible reports whether the call was late.
func interruptible(call func()) (late bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, tid := os.Getpid(), unix.Gettid()
	var done, interrupted atomic.Bool
	set := make(chan struct{})
	var timer *time.Timer
	timer = time.AfterFunc(interruptAfter, func() {
		<-set
		if done.Load() {
			return
		}
		interrupted.Store(true)
		_ = unix.Tgkill(pid, tid, unix.SIGURG)
		timer.Reset(interruptAfter) // the signal can come before the wait
	})
	close(set)
	call()
	done.Store(true)
	timer.Stop()
	return interrupted.Load()
}
