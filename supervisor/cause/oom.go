package cause

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// unusedTime is how long a kill that was counted can explain a further end. The victims of several
// kills do not end in the order of their kills, and a large process takes long to free its memory.
// A later end has another reason: the victim of the kill was a process without an end here, such as
// a descendant.
const unusedTime = time.Second

// oomCounters are the counters of the OOM killer. The kernel increments them before it sends
// SIGKILL (__oom_kill_process, mm/oom_kill.c), so they have changed when the exit is seen.
type oomCounters struct {
	files files
	mu    sync.Mutex // guards the rest
	last  oomCounts  // the last reading
	at    time.Time  // when a rise was last read; the kills can be older
	used  oomCounts  // the kills up to these counts explain no further end
}

// oomCounts are how many processes the OOM killer has killed.
type oomCounts struct {
	dir     string // of the supervisor's control group; empty: it has no counter
	group   int64  // in the control group
	machine int64  // on the machine; -1: unknown
	limit   int64  // of the memory of the control group, in bytes; 0: none
}

// files are the files of the kernel that are read.
type files struct{ cgroup, mounts, vmstat, kmsg string }

var systemFiles = files{"/proc/self/cgroup", "/sys/fs/cgroup", "/proc/vmstat", "/dev/kmsg"}

// signalCode is the exit code of a shell whose command ended by SIGKILL.
const signalCode = 128 + int(unix.SIGKILL)

// explain returns a text if the OOM killer killed the process, or a process that it waited for.
func (c *oomCounters) explain(e End) string {
	if !e.Killed && e.Code != signalCode {
		return ""
	}
	c.mu.Lock()
	c.forgetUnused()
	used := c.used
	c.mu.Unlock()
	if n := readMachineCount(c.files); n >= 0 && n == used.machine {
		return "" // the kernel counts the victims of a control group there too
	}
	before, now := c.use(readOOMCounts(c.files))
	if now.same(before) {
		return ""
	}
	victim, inGroup := "", false
	if e.Killed && inInitialPidNamespace() {
		victim, inGroup = findVictim(c.files.kmsg, e.Pid)
	}
	return oomText(e, before, now, victim, inGroup)
}

// use notes a reading. It returns the counts between which there are kills that explain no end yet,
// and uses one of them. They are the same if there is none.
func (c *oomCounters) use(reading oomCounts) (before, now oomCounts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetUnused()
	if reading.dir != c.last.dir || reading.group > c.last.group ||
		reading.machine > c.last.machine { // else another end has read the same, or more
		c.last, c.at = reading, time.Now()
	}
	before, now = c.used, c.last
	c.used = now
	if before.dir == now.dir {
		c.used.group = min(before.group+1, now.group)
		c.used.machine = min(before.machine+1, now.machine)
	}
	return before, now
}

// forgetUnused forgets the kills that are too old to explain an end. The caller holds the lock.
func (c *oomCounters) forgetUnused() {
	if time.Since(c.at) > unusedTime {
		c.used = c.last
	}
}

// same reports whether the OOM killer has killed nothing between two readings.
func (n oomCounts) same(before oomCounts) bool {
	return n.dir == before.dir && n.group == before.group && n.machine == before.machine
}

// oomText returns what the counters and the kernel log say about an end. A process that the kernel
// log does not name is the victim for certain only if it used half of the limit or more: the
// counter does not say which process was killed.
func oomText(e End, before, now oomCounts, victim string, inGroup bool) string {
	limit := ""
	if now.limit > 0 {
		limit = " (limit of the cgroup " + formatSize(now.limit) + ")"
	}
	rose := now.dir != "" && now.dir == before.dir && now.group > before.group
	switch {
	case victim != "" && inGroup:
		return "killed by the OOM killer" + limit
	case victim != "":
		return "killed by the OOM killer (the machine was out of memory)"
	case rose && !e.Killed:
		return "a process of it was probably killed by the OOM killer" + limit
	case rose && now.limit > 0 && e.MaxRSS*1024 >= now.limit/2:
		return "killed by the OOM killer" + limit
	case rose:
		return "probably killed by the OOM killer" + limit
	case now.dir == "" && before.machine >= 0 && now.machine > before.machine:
		return "possibly killed by the OOM killer, which has killed a process of this machine"
	}
	return ""
}

// NamesOOMKiller reports whether a text of [Finder.Find] says that the OOM killer ended the
// process, or one of its descendants.
func NamesOOMKiller(text string) bool { return strings.Contains(text, "by the OOM killer") }

// formatSize returns a size in the largest unit that divides it.
func formatSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n%1024 == 0 && n > 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

// noLimit is the lowest value by which version 1 says that there is no limit.
const noLimit = 1 << 60

// readOOMCounts reads the counters of the machine and of the supervisor's control group. In a
// container the path of the group can be that of the host although the mount starts at the group,
// so the first directory upwards that has a counter is taken.
func readOOMCounts(f files) oomCounts {
	counts := oomCounts{machine: readMachineCount(f)}
	cgroups, _ := os.ReadFile(f.cgroup)
	for line := range strings.Lines(string(cgroups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch controllers := strings.Split(fields[1], ","); {
		case slices.Contains(controllers, "memory"):
			counts.readGroup(path.Join(f.mounts, "memory"), fields[2],
				"memory.oom_control", "memory.limit_in_bytes")
		case fields[1] == "" && counts.dir == "":
			counts.readGroup(f.mounts, fields[2], "memory.events", "memory.max")
		}
	}
	return counts
}

// readMachineCount reads the counter of the machine; -1: unknown.
func readMachineCount(f files) int64 {
	if n, ok := readField(f.vmstat, "oom_kill"); ok {
		return n
	}
	return -1
}

// readGroup reads the counter of a control group, and the lowest limit up to the root of the mount.
func (n *oomCounts) readGroup(root, group, counter, limit string) {
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		dir := path.Join(root, group)
		if count, ok := readField(path.Join(dir, counter), "oom_kill"); ok && n.dir == "" {
			n.dir, n.group = dir, count
		}
		b, _ := os.ReadFile(path.Join(dir, limit))
		max, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && max > 0 && max < noLimit && (n.limit == 0 || max < n.limit) {
			n.limit = max
		}
		if group == "/" {
			return
		}
	}
}

// readField returns the number of a line "name number" of a file.
func readField(file, name string) (int64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
