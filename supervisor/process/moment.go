package process

import "tp0/supervisor/procfs"

// moment is a point in time on both clocks that the kernel keeps for processes: the
// ticks since boot, which [procfs.Stat].Start has, and the pid that was given last.
// A tick is 10 ms long; within one the pids tell what came first.
type moment struct {
	tick    uint64
	lastPid int // 0: not known
}

// thisMoment is the present moment. It is the zero value, before everything, where the
// kernel does not say.
func thisMoment() moment {
	tick, err := procfs.Uptime()
	if err != nil {
		return moment{}
	}
	return moment{tick, procfs.LastPid()}
}

// pidRange is far more than the pids that are given within a tick, and far less than
// there are (pid_max is 32,768 at least where it is not set): pids begin anew.
const pidRange = 8192

// hadForked reports whether a process existed at a moment.
func (m moment) hadForked(p procfs.Stat) bool {
	if p.StartTime != m.tick {
		return p.StartTime < m.tick
	}
	return m.lastPid != 0 && p.Pid <= m.lastPid && m.lastPid-p.Pid < pidRange
}
