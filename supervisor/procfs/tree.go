package procfs

import (
	"bytes"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
)

// Threads returns the thread ids of a process, including zombies.
func Threads(pid int) []int {
	dir := procdir.Of(pid) + "/task"
	if hasOneThread(dir) {
		return []int{pid}
	}
	return listNumbers(dir)
}

// hasOneThread reports whether a task directory belongs to a process with one thread, whose id is
// then the pid. Most processes have one. The number of links of the directory is two, plus one for
// each thread (proc_task_getattr, fs/proc/base.c). To read it costs a tenth of a listing.
func hasOneThread(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Nlink == 3
}

// LiveThread returns a thread of a process that has not ended: the main thread unless it ended.
func LiveThread(pid int) int {
	for _, tid := range threadsAfterMain(pid) {
		return tid
	}
	return pid
}

// threadsAfterMain returns the threads that live on after the main thread ended. It returns none if
// the main thread is alive.
func threadsAfterMain(pid int) []int {
	if s, err := ReadStat(pid); err != nil || !s.Dead() {
		return nil
	}
	return slices.DeleteFunc(Threads(pid), func(tid int) bool { return tid == pid })
}

// IsGone reports whether no thread of a process is alive any more.
func IsGone(pid int) bool {
	alive, _ := LiveSiblings(pid, nil)
	return alive == 0
}

// IsWaiting reports whether every thread of a process waits: none runs, is ready to run, or is in
// an uninterruptible sleep.
func IsWaiting(pid int) bool {
	for _, tid := range Threads(pid) {
		s, err := ReadThread(pid, tid)
		if err == nil && (s.State == 'R' || s.State == 'D') {
			return false
		}
	}
	return true
}

// LiveSiblings returns how many threads of a process, other than those of except, can still change
// the fd table. survivor is one of them that lives on: it neither exits nor has a SIGKILL pending.
// It is 0 if the whole process exits.
//
// A thread that has taken its SIGKILL and has not set PF_EXITING yet is returned as a survivor too.
// So a survivor is certain only after several calls in a row.
func LiveSiblings(pid int, except []int) (alive, survivor int) {
	for _, tid := range Threads(pid) {
		if slices.Contains(except, tid) {
			continue
		}
		s, err := ReadThread(pid, tid)
		if err != nil || s.Dead() {
			continue
		}
		alive++
		if s.Flags&pfExiting == 0 && !killPending(pid, tid) {
			survivor = tid
		}
	}
	return alive, survivor
}

// killPending reports whether a thread has a pending SIGKILL, or is gone.
func killPending(pid, tid int) bool {
	b, err := readFile(taskPath(pid, tid, "status"))
	if err != nil {
		return true
	}
	_, rest, ok := bytes.Cut(b, []byte("SigPnd:\t"))
	if !ok || len(rest) < 16 {
		return false
	}
	set, err := strconv.ParseUint(string(rest[:16]), 16, 64)
	return err == nil && set&(1<<(unix.SIGKILL-1)) != 0
}

// Children returns the children of all threads of a process, including zombies.
func Children(pid int) []int {
	var all []int
	for _, tid := range Threads(pid) {
		all = append(all, ThreadChildren(pid, tid)...)
	}
	return all
}

// ThreadChildren returns the children that one thread of a process forked.
func ThreadChildren(pid, tid int) []int {
	b, err := readFile(taskPath(pid, tid, "children"))
	if err != nil || procdir.Fault() != nil {
		return nil
	}
	return parseNumbers(b)
}

// parseNumbers parses decimal numbers that are separated by spaces.
func parseNumbers(b []byte) (all []int) {
	if len(b) == 0 {
		return nil
	}
	all = make([]int, 0, bytes.Count(b, []byte{' '})+1)
	n, digits := 0, false
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n, digits = n*10+int(c-'0'), true
		case digits:
			all = append(all, n)
			n, digits = 0, false
		}
	}
	if digits {
		all = append(all, n)
	}
	return all
}

// Descendants returns all descendants of a process, parents before their children. A process that
// is forked meanwhile can be missing.
func Descendants(pid int) []int {
	all := Children(pid)
	for i := 0; i < len(all); i++ {
		all = append(all, Children(all[i])...)
	}
	return all
}
