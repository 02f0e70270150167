// Package usage measures what process trees use.
package usage

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/procdir"
	"tp0/supervisor/procfs"
)

// maxProcesses is the number of processes that one call measures. Each takes about 0.1 ms.
const maxProcesses = 10_000

// Of returns what the trees of processes use, by the index of their main processes. An element is
// nil if its pid is 0, if the process has ended, or if ctx ended before.
func Of(ctx context.Context, pids []int) []*api.Usage {
	all := make([]*api.Usage, len(pids))
	m := meter{ctx: ctx, left: maxProcesses, page: int64(os.Getpagesize())}
	for i, pid := range pids {
		if pid > 0 {
			all[i] = m.measure(pid)
		}
	}
	return all
}

// Own returns what this process uses, without its descendants. It is nil if that cannot be read.
func Own() *api.Usage {
	u := &api.Usage{}
	m := meter{page: int64(os.Getpagesize())}
	if !m.add(u, os.Getpid()) {
		return nil
	}
	if t, err := procfs.CPUTime(os.Getpid()); err == nil {
		u.CPUSeconds = t.Seconds() // without that of the processes that it reaped
	}
	return u
}

type meter struct {
	ctx  context.Context
	left int   // processes
	page int64 // bytes
}

// measure returns what the tree of a process uses. A process that is forked meanwhile can be
// missing, as is a descendant whose parent has ended.
func (m *meter) measure(pid int) *api.Usage {
	tree := []int{pid}
	u := &api.Usage{}
	for i := 0; i < len(tree); i++ {
		if m.left--; m.left < 0 || m.ctx.Err() != nil {
			return nil
		}
		if m.add(u, tree[i]) {
			tree = append(tree, procfs.Children(tree[i])...)
		}
	}
	if u.Processes == 0 {
		return nil
	}
	return u
}

// add adds a process. It reports whether the process lives.
func (m *meter) add(u *api.Usage, pid int) bool {
	s, err := readStat(pid)
	if err != nil {
		return false
	}
	u.Processes++
	if s.stopped {
		u.Stopped++
	}
	u.Threads += s.threads
	u.MemoryBytes += s.pages * m.page
	u.CPUSeconds += s.waited.Seconds()
	if t, err := procfs.CPUTime(pid); err == nil {
		u.CPUSeconds += t.Seconds()
	}
	fds := countFDs(pid)
	if fds < 0 || u.FDs < 0 {
		u.FDs = -1
	} else {
		u.FDs += fds
	}
	return true
}

// maxFDs is the number of descriptors of a process that are counted on a kernel before 6.2.
const maxFDs = 100_000

// countFDs returns the number of open descriptors, or -1 if the process does not let us count.
func countFDs(pid int) int {
	dir, err := os.Open(procdir.Of(pid) + "/fd")
	if err != nil {
		return -1
	}
	defer dir.Close()
	if info, err := dir.Stat(); err == nil && info.Size() > 0 {
		return int(info.Size()) // proc_pid_fd(5): the number, since Linux 6.2
	}
	names, err := dir.Readdirnames(maxFDs)
	if err != nil && len(names) == 0 {
		return 0
	}
	return len(names)
}

// stat is a part of proc_pid_stat(5).
type stat struct {
	stopped bool
	threads int
	pages   int64         // resident
	waited  time.Duration // CPU time of the descendants that it waited for
}

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every architecture that Go supports.
const tick = 10 * time.Millisecond

// readStat reads the stat of a process. It is an error for a zombie.
func readStat(pid int) (s stat, err error) {
	line, err := os.ReadFile(procdir.Of(pid) + "/stat")
	if err != nil {
		return s, err
	}
	text := string(line)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const state, cutime, cstime, numThreads, rss = 0, 13, 14, 17, 21 // fields 3, 16, 17, 20 and 24
	if len(fields) <= rss || fields[state] == "Z" || fields[state] == "X" {
		return s, os.ErrProcessDone
	}
	var numbers [rss + 1]int64
	for _, i := range []int{cutime, cstime, numThreads, rss} {
		if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return s, err
		}
	}
	s.stopped = fields[state] == "T"
	s.threads, s.pages = int(numbers[numThreads]), numbers[rss]
	s.waited = time.Duration(numbers[cutime]+numbers[cstime]) * tick
	return s, nil
}
