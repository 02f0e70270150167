package guard

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futex is a counter that a thread can wait on (futex(2)). The kernel's timer ends the wait: a
// timer of Go's would need another thread.
type futex struct{ count uint32 }

// load returns the value that wait needs.
func (f *futex) load() uint32 { return atomic.LoadUint32(&f.count) }

// wait returns once wake is called after seen was loaded, and after d at the latest. A negative d
// sets no limit. wait may also return earlier.
func (f *futex) wait(seen uint32, d time.Duration) {
	const waitPrivate = 0 | 128 // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
	var timeout *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&f.count)), waitPrivate,
		uintptr(seen), uintptr(unsafe.Pointer(timeout)), 0, 0)
}

func (f *futex) wake() {
	const wakePrivate = 1 | 128 // FUTEX_WAKE | FUTEX_PRIVATE_FLAG
	atomic.AddUint32(&f.count, 1)
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&f.count)), wakePrivate, 1)
}

// pause sleeps in the kernel, without a timer of Go's.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}
