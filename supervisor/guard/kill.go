package guard

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
	"tp0/supervisor/procfs"
)

const (
	maxStopPasses = 50                   // passes of SIGSTOP over the process tree
	killInterval  = 2 * time.Millisecond // between two passes of SIGKILL
)

// killTree kills all descendants of the supervisor and counts them in t. It returns once none is
// left, and at end at the latest. SIGSTOP comes first, until a pass finds no new process: killing
// alone never ends while a process forks faster than it is killed.
func killTree(t *totals, now, end time.Time) {
	freeDescriptor()
	if procdir.Fault() != nil {
		killUnlisted(t, end)
		return
	}
	stopEnd := now.Add(end.Sub(now) / 3)
	stopped := map[int]bool{}
	for range maxStopPasses {
		found := 0
		walk(stopEnd, func(pid int) {
			if !stopped[pid] {
				found++
				stopped[pid] = true
				_ = signal(pid, unix.SIGSTOP)
			}
		})
		if found == 0 || !time.Now().Before(stopEnd) {
			break
		}
	}
	for time.Now().Before(end) {
		found := false
		walk(end, func(pid int) { // the next pass finds its children, which are then adopted
			found = true
			if signal(pid, unix.SIGKILL) == nil {
				t.addKill(pid)
			}
		})
		if !reap(t, childrenOf(os.Getpid())) && !found {
			return
		}
		pause(killInterval)
	}
}

// killUnlisted kills where /proc does not list the processes of this pid namespace: every process
// of it if the supervisor is its pid 1, else the children and their process groups.
func killUnlisted(t *totals, end time.Time) {
	if os.Getpid() != 1 {
		killChildren(t, end)
		return
	}
	for _, pid := range t.children() {
		t.addKill(pid)
	}
	for time.Now().Before(end) {
		_ = unix.Kill(-1, unix.SIGKILL)
		if !reapAll(t) {
			return
		}
		pause(killInterval)
	}
}

// killChildren kills the children and their process groups, and no other descendants.
func killChildren(t *totals, end time.Time) {
	for _, pid := range t.children() {
		_ = unix.Kill(-pid, unix.SIGKILL)
		if unix.Kill(pid, unix.SIGKILL) == nil {
			t.addKill(pid)
		}
	}
	for time.Now().Before(end) && len(t.children()) > 0 && reap(t, t.children()) {
		pause(killInterval)
	}
}

// walk visits each living descendant of the supervisor, parents first. It ends early at end. It
// reads only /proc.
func walk(end time.Time, visit func(pid int)) {
	self := os.Getpid()
	seen := map[int]bool{self: true}
	for queue := []int{self}; len(queue) > 0 && time.Now().Before(end); queue = queue[1:] {
		for _, pid := range childrenOf(queue[0]) {
			if seen[pid] {
				continue
			}
			seen[pid] = true
			s, err := procfs.ReadStat(pid)
			if err != nil {
				continue
			}
			// Other threads can live on when the main thread is dead.
			if !s.Dead() || len(procfs.Threads(pid)) > 1 {
				visit(pid)
				queue = append(queue, pid)
			}
		}
	}
}

// maxListTime bounds the listing of the children of one process, which may have ten thousand
// threads. A later pass finds the children that are missed.
const maxListTime = 5 * time.Millisecond

func childrenOf(pid int) (all []int) {
	end := time.Now().Add(maxListTime)
	for _, tid := range procfs.Threads(pid) {
		all = append(all, procfs.ThreadChildren(pid, tid)...)
		if !time.Now().Before(end) {
			break
		}
	}
	return all
}

// signal sends a signal to a descendant. A pidfd makes sure that the pid does not belong to another
// process meanwhile.
func signal(pid int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if err == unix.ESRCH {
			return err
		}
		return unix.Kill(pid, sig) // no descriptor is available
	}
	defer unix.Close(fd)
	if !isDescendant(pid) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// maxAncestors bounds the way from a process to the supervisor.
const maxAncestors = 10_000

func isDescendant(pid int) bool {
	self := os.Getpid()
	for range maxAncestors {
		s, err := procfs.ReadStat(pid)
		if err != nil || s.PPid == 0 {
			return false
		}
		if s.PPid == self {
			return true
		}
		pid = s.PPid
	}
	return false
}

// peek finds an end without collecting it.
const peek = unix.WEXITED | unix.WNOHANG | unix.WNOWAIT | unix.WALL

// reap collects the statuses of the given children that have ended, and reports whether the
// supervisor has any child. It leaves the ptrace stops to the process loop, which runs again if the
// guard has killed what blocked it. A process whose stop is collected here would stay in that stop.
//
// A process has not ended for its parent while one of its threads is traced and not collected, so
// the threads come first.
func reap(t *totals, pids []int) bool {
	for _, pid := range pids {
		for _, tid := range procfs.Threads(pid) {
			if tid != pid {
				collectEnd(tid)
			}
		}
		if collectEnd(pid) {
			t.addReap(pid)
		}
	}
	return unix.Waitid(unix.P_ALL, 0, nil, peek, nil) == nil
}

// collectEnd collects the status of a child or of a traced thread if it has ended.
func collectEnd(tid int) bool {
	var info unix.Siginfo
	if unix.Waitid(unix.P_PID, tid, &info, peek, nil) != nil || !hasEnded(info) {
		return false
	}
	got, _ := unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil)
	return got == tid
}

// hasEnded reports whether waitid(2) has found the end of a process, and no ptrace stop.
func hasEnded(info unix.Siginfo) bool {
	const exited, killed, dumped = 1, 2, 3 // CLD_EXITED, CLD_KILLED, CLD_DUMPED
	return info.Code == exited || info.Code == killed || info.Code == dumped
}

// reapAll collects every status that is available, and reports whether there is a child that has
// not ended. It is for a /proc without the children, where the process loop traces nothing.
func reapAll(t *totals) bool {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false
		case pid == 0:
			return true
		case status.Exited() || status.Signaled():
			t.addReap(pid)
		}
	}
}

// freeDescriptor makes sure that a file of /proc can be opened. If all descriptors are in use, it
// closes the supervisor's standard input.
func freeDescriptor() {
	fd, err := unix.Open("/proc/self/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		_ = unix.Close(fd)
	case unix.EMFILE:
		_ = unix.Close(0)
	}
}
