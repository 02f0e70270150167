package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A mark identifies the process tree of an adopted process after its parent has ended: the kernel
// keeps no other trace. The mark is the soft limit RLIMIT_LOCKS, which Linux has ignored since
// 2.4.25 (getrlimit(2)). Every process inherits it over fork, execve, setuid, setsid, an empty
// environment and closed descriptors, and every process can read it. Only a program that sets
// all limits loses it (pam_limits: su, sudo, sshd).
//
// A supervisor below another one keeps the bits of the outer mark and puts its own number above
// them, so that both can read their marks. There are markLevels levels.
const (
	markBits   = 20 // of one level
	markLevels = 3
	maxMark    = 1<<markBits - 1 // the highest number; 0 stands for no tree
)

// marks makes and reads the marks of one supervisor. The zero value makes none.
type marks struct {
	usable bool
	hard   uint64 // the hard limit, which is not changed
	outer  uint64 // the mark of the supervisor itself: the bits below the number
	shift  uint   // of the number
}

// newMarks returns the marks of a supervisor that was started with these limits. It can make no
// mark if the hard limit is too low, or below markLevels other supervisors.
func newMarks(soft, hard uint64) marks {
	m := marks{hard: hard}
	if soft != unix.RLIM_INFINITY {
		m.outer = soft
	}
	for m.outer>>m.shift != 0 {
		m.shift += markBits
	}
	m.usable = m.shift < markLevels*markBits && m.outer|maxMark<<m.shift <= hard
	return m
}

// limitFor returns the limit for the process tree with number n, from 1 to maxMark. 0 stands
// for no tree.
func (m marks) limitFor(n uint64) uint64 {
	if n == 0 && m.outer == 0 {
		return unix.RLIM_INFINITY
	}
	return m.outer | n<<m.shift
}

// number reads the number back from the limit of a process. It returns 0 if the process has no
// mark of this supervisor.
func (m marks) number(limit uint64) uint64 {
	if !m.usable || limit == unix.RLIM_INFINITY || limit&(1<<m.shift-1) != m.outer {
		return 0
	}
	return limit >> m.shift & maxMark
}

// withoutMark returns those of the processes that have no mark of this supervisor.
func (m marks) withoutMark(pids []int) (all []identity) {
	for _, pid := range pids {
		if limit, err := procfs.FileLocks(pid); err != nil || m.number(limit) != 0 {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil {
			all = append(all, identityOf(s))
		}
	}
	return all
}
