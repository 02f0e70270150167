package process

import (
	"tp0/supervisor/procfs"
)

// identity names a process for good: a pid is used again, a pid with its start time is not.
type identity struct {
	pid   int
	start uint64
}

// identityOf returns the identity of a process.
func identityOf(s procfs.Stat) identity { return identity{s.Pid, s.StartTime} }

// appendTree appends a process and its descendants to all, except for dead ones.
func appendTree(all []procfs.Stat, pid int) []procfs.Stat {
	for _, p := range append([]int{pid}, procfs.Descendants(pid)...) {
		if s, err := procfs.ReadStat(p); err == nil && !allThreadsDead(s) {
			all = append(all, s)
		}
	}
	return all
}

// allThreadsDead reports whether all threads of a process are dead. The stat of a process is
// that of its main thread, which can end before the others.
func allThreadsDead(s procfs.Stat) bool { return s.Dead() && procfs.IsGone(s.Pid) }

// kernelTime is a point in time in the two measures that the kernel has for processes: the
// ticks since boot, as in [procfs.Stat].StartTime, and the pid that was given last. A tick
// lasts 10 ms. Within a tick the pids tell the order.
type kernelTime struct {
	tick    uint64
	lastPid int // 0 if it is unknown
}

// currentKernelTime returns the current time. Where the kernel does not tell it, it returns the
// zero value, which is before all processes.
func currentKernelTime() kernelTime {
	tick, err := procfs.Uptime()
	if err != nil {
		return kernelTime{}
	}
	return kernelTime{tick, procfs.LastPid()}
}

// pidRange is far more than the pids that are given within a tick, and far less than all pids.
// Pids start again at 300 after pid_max, which is at least 32,768 by default.
const pidRange = 8192

// existed reports whether a process existed at that time.
func (t kernelTime) existed(p procfs.Stat) bool {
	if p.StartTime != t.tick {
		return p.StartTime < t.tick
	}
	return t.lastPid != 0 && p.Pid <= t.lastPid && t.lastPid-p.Pid < pidRange
}
