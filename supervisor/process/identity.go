package process

import (
	"tp0/supervisor/procfs"
)

// identity names a process for good: pids are used again, pids with their
// start time are not.
type identity struct {
	pid   int
	start uint64
}

func identityOf(s procfs.Stat) identity { return identity{s.Pid, s.StartTime} }

// appendTree appends a process and all below it that live.
func appendTree(all []procfs.Stat, pid int) []procfs.Stat {
	for _, p := range append([]int{pid}, procfs.Descendants(pid)...) {
		if s, err := procfs.ReadStat(p); err == nil && !allThreadsDead(s) {
			all = append(all, s)
		}
	}
	return all
}

// allThreadsDead reports whether no thread of a process is alive. The stat of a process is
// that of its main thread, which can end before the others.
func allThreadsDead(s procfs.Stat) bool { return s.Dead() && procfs.IsGone(s.Pid) }

// kernelTime is a point in time on both clocks that the kernel keeps for processes: the
// ticks since boot, which [procfs.Stat].Start has, and the pid that was given last.
// A tick is 10 ms long; within one the pids tell what came first.
type kernelTime struct {
	tick    uint64
	lastPid int // 0: not known
}

// currentKernelTime is the present moment. It is the zero value, before everything, where the
// kernel does not say.
func currentKernelTime() kernelTime {
	tick, err := procfs.Uptime()
	if err != nil {
		return kernelTime{}
	}
	return kernelTime{tick, procfs.LastPid()}
}

// pidRange is far more than the pids that are given within a tick, and far less than
// there are (pid_max is 32,768 at least where it is not set): pids begin anew.
const pidRange = 8192

// existed reports whether a process existed at a moment.
func (m kernelTime) existed(p procfs.Stat) bool {
	if p.StartTime != m.tick {
		return p.StartTime < m.tick
	}
	return m.lastPid != 0 && p.Pid <= m.lastPid && m.lastPid-p.Pid < pidRange
}
