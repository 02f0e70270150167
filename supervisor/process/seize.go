package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// seize traces all threads of a process, and last the one that becomes the
// anchor: the main one, or another where that has ended. Call it once for a
// process, before anything of it is traced.
//
// SEIZE waits for a thread of the process that is in execve(2) (it takes the
// cred_guard_mutex), and that one waits until all other threads are dead and
// waited for, by us, if we trace them. So while there are threads that we trace
// already none may stop in its exit, which only this thread could end; and
// somebody else waits for them if this takes long.
func (l *Loop) seize(w *watched) error {
	if l.executes(w.pid) {
		return errExecutes
	}
	tids := procfs.Threads(w.pid)
	if len(tids) < 2 {
		return l.seizeAnchor(w, w.pid)
	}
	if len(tids) > mostThreadsTraced {
		return fmt.Errorf("it has %d threads, more than %d", len(tids), mostThreadsTraced)
	}
	anchor := w.pid
	switch s, err := procfs.ReadStatus(w.pid); {
	case err == nil && s.Tracer != 0:
		return unix.EPERM // whoever traces it may want its other threads, too
	case err == nil && s.Dead:
		anchor = tids[1]
	}
	defer l.keepReaping(w.pid)()
	for more := true; more; tids = procfs.Threads(w.pid) {
		more = false
		for _, tid := range tids {
			if tid != anchor && l.tids[tid] == nil && l.seizeThread(w, tid, siblingOptions) == nil {
				more = true
			}
		}
	}
	err := l.seizeAnchor(w, anchor)
	if err != nil && len(w.traced) > 0 { // it ended just now
		l.moveAnchor(w, w.traced[0])
		return nil
	}
	return err
}

func (l *Loop) seizeAnchor(w *watched, tid int) error {
	err := l.seizeThread(w, tid, anchorOptions)
	if err == nil {
		w.anchor = tid
	}
	return err
}

func (l *Loop) seizeThread(w *watched, tid, options int) error {
	attach := func() error { return ptraceSeize(tid, uintptr(options)) }
	err := attach()
	if errors.Is(err, unix.EPERM) {
		err = attachAs(w.pid, attach)
	}
	if err != nil {
		return err
	}
	l.traces(w, tid)
	return nil
}

// seizePatience is how long a SEIZE may take before its siblings are waited for
// beside the loop.
const seizePatience = 5 * time.Millisecond

// keepReaping waits for dead threads of a process, though not for itself, until
// the function that it returns is called. Any thread of ours may do that for a
// thread that another one traces (waitpid(2), __WNOTHREAD).
func (l *Loop) keepReaping(pid int) (stop func()) {
	done := make(chan struct{})
	start := time.AfterFunc(seizePatience, func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			for _, tid := range procfs.Threads(pid) {
				if s, err := procfs.ReadThread(pid, tid); tid == pid || err != nil || !s.Dead() {
					continue // its stops are the loop's to see, and wait4 takes those as well
				}
				if got, err := unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil); err == nil && got == tid {
					l.cmds.Put(func() { l.lost(tid) })
				}
			}
		}
	})
	return func() {
		close(done)
		start.Stop()
	}
}
