package ptrace

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// The options of traced threads. Only the primary thread of a process has an exit stop.
const (
	SiblingOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE
	PrimaryOptions = SiblingOptions | unix.PTRACE_O_TRACEEXIT
)

// MaxThreads is the highest number of threads of a traced process. All threads are traced at
// once, and 2,000 take some 10 ms.
const MaxThreads = 2048

// TooManyThreadsError is the error of [Seize] for a process with more than [MaxThreads] threads.
type TooManyThreadsError struct{ Threads int }

func (e TooManyThreadsError) Error() string {
	return fmt.Sprintf("it has %d threads, more than %d", e.Threads, MaxThreads)
}

// Seizer seizes the threads of processes.
type Seizer struct {
	// Attach traces a thread with options.
	Attach func(tid, options int) error
	// Traced reports whether a thread is traced already.
	Traced func(tid int) bool
	// Reaped is called on another goroutine for each thread that was reaped during a Seize.
	Reaped func(tid int)
}

// Seized are the threads that a Seize traced, and the primary thread among them.
type Seized struct {
	Threads []int
	Primary int
}

// Seize traces all threads of a process. The last one becomes the primary thread: the main thread,
// or another one if the main thread has ended. Call it once for a process, before a thread of it is
// traced.
//
// PTRACE_SEIZE waits for a thread of the process that is in execve(2), since it takes the
// cred_guard_mutex. The execve waits until all other threads are dead and reaped; if they are
// traced, their tracer has to reap them. So Seize keeps no thread in an exit stop, which only the
// calling thread could end, and another thread reaps if Seize takes long.
func (z *Seizer) Seize(pid int) (s Seized, err error) {
	seize := func(tid, options int) error {
		err := z.Attach(tid, options)
		if err == nil {
			s.Threads = append(s.Threads, tid)
		}
		return err
	}
	tids := procfs.Threads(pid)
	if len(tids) < 2 {
		err = seize(pid, PrimaryOptions)
		s.Primary = pid
		return s, err
	}
	if len(tids) > MaxThreads {
		return s, TooManyThreadsError{len(tids)}
	}
	s.Primary = pid
	switch status, err := procfs.ReadStatus(pid); {
	case err == nil && status.Tracer != 0:
		return s, unix.EPERM // its tracer may want the other threads too
	case err == nil && status.Dead:
		s.Primary = tids[1]
	}
	defer z.reapDuringSeize(pid)()
	seen := map[int]bool{}
	for more := true; more; tids = procfs.Threads(pid) {
		more = false
		for _, tid := range tids {
			if tid != s.Primary && !seen[tid] && !z.Traced(tid) &&
				seize(tid, SiblingOptions) == nil {
				seen[tid], more = true, true
			}
		}
	}
	err = seize(s.Primary, PrimaryOptions)
	if err != nil && len(s.Threads) > 0 { // the primary thread has just ended
		s.Primary = s.Threads[0]
		_ = Request(unix.PTRACE_INTERRUPT, s.Primary, 0) // at the stop it gets its options
		return s, nil
	}
	return s, err
}

// reapDelay is how long Seize may take before another thread starts to reap.
const reapDelay = 5 * time.Millisecond

// reapDuringSeize reaps dead threads of a process, except for the main thread, until stop is
// called. Any thread of a process may reap a thread that another one traces (waitpid(2),
// __WNOTHREAD).
func (z *Seizer) reapDuringSeize(pid int) (stop func()) {
	done := make(chan struct{})
	start := time.AfterFunc(reapDelay, func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			for _, tid := range procfs.Threads(pid) {
				if s, err := procfs.ReadThread(pid, tid); tid == pid || err != nil || !s.Dead() {
					continue // the tracer needs its ptrace stops, which wait4 would take
				}
				got, err := unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil)
				if err == nil && got == tid {
					z.Reaped(tid)
				}
			}
		}
	})
	return func() {
		close(done)
		start.Stop()
	}
}
