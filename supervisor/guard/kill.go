package guard

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

const (
	mostPasses = 50                   // of SIGSTOP, over the whole tree
	killEvery  = 2 * time.Millisecond // between two passes of SIGKILL
)

// killAll ends the process tree below us, until nobody is left or the time is
// over. SIGSTOP goes first, until a pass finds nobody new: a process that forks
// faster than it is killed would never end.
func (g *Guard) killAll(now, end time.Time) {
	freeDescriptor()
	if g.opt.LeaveDescendants {
		g.killRuns(end)
		return
	}
	stopEnd := now.Add(end.Sub(now) / 3)
	stopped := map[int]bool{}
	for range mostPasses {
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
		walk(end, func(pid int) { // the children of one that dies meanwhile are ours in the next pass
			found = true
			if signal(pid, unix.SIGKILL) == nil {
				g.kills(pid)
			}
		})
		if !g.reap() && !found {
			return
		}
		pause(killEvery)
	}
}

// killRuns ends the children and their process groups, and nobody else.
func (g *Guard) killRuns(end time.Time) {
	for _, pid := range g.runs() {
		_ = unix.Kill(-pid, unix.SIGKILL)
		if unix.Kill(pid, unix.SIGKILL) == nil {
			g.kills(pid)
		}
	}
	for time.Now().Before(end) && len(g.runs()) > 0 && g.reap() {
		pause(killEvery)
	}
}

// walk visits everybody below us that is alive, parents first, until the time is
// over. It reads /proc alone.
func walk(end time.Time, visit func(pid int)) {
	self := os.Getpid()
	seen := map[int]bool{self: true}
	for todo := []int{self}; len(todo) > 0 && time.Now().Before(end); todo = todo[1:] {
		for _, pid := range children(todo[0]) {
			if seen[pid] {
				continue
			}
			seen[pid] = true
			// A dead main thread may have threads that live on.
			if s, err := procfs.ReadStat(pid); err == nil && (!s.Dead() || len(procfs.Threads(pid)) > 1) {
				visit(pid)
				todo = append(todo, pid)
			}
		}
	}
}

// childrenTime bounds the listing of the children of one process, which may have
// ten thousand threads. What is missed is found in a later pass.
const childrenTime = 5 * time.Millisecond

func children(pid int) (all []int) {
	end := time.Now().Add(childrenTime)
	for _, tid := range procfs.Threads(pid) {
		all = append(all, procfs.ThreadChildren(pid, tid)...)
		if !time.Now().Before(end) {
			break
		}
	}
	return all
}

// signal signals a process below us, unless its number belongs to somebody else
// by now.
func signal(pid int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if err == unix.ESRCH {
			return err
		}
		return unix.Kill(pid, sig) // no descriptor is to be had
	}
	defer unix.Close(fd)
	if !below(pid) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

const mostAbove = 10_000 // parents of a process

// below reports whether a process descends from us.
func below(pid int) bool {
	self := os.Getpid()
	for range mostAbove {
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

// reap collects every status that is there, and reports whether the kernel
// knows of a child of ours that has none yet.
func (g *Guard) reap() bool {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false
		case pid == 0:
			return true
		case status.Exited() || status.Signaled(): // else it is a stop that the loop traces
			g.reaps(pid)
		}
	}
}

// freeDescriptor makes sure that a file of /proc can be opened: it gives our
// standard input up where all descriptors are taken.
func freeDescriptor() {
	fd, err := unix.Open("/proc/self/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		_ = unix.Close(fd)
	case unix.EMFILE:
		_ = unix.Close(0)
	}
}

// pause sleeps in the kernel, without a timer of Go's.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}
