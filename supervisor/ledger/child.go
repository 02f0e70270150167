package ledger

import (
	"strings"

	"tp0/supervisor/procfs"
)

// Runtime names the language runtime that a program was found to be built on.
type Runtime string

// The runtimes that the table below knows.
const (
	Unknown Runtime = ""
	Go      Runtime = "go"
)

// rule says of one kind of descriptor that a runtime opens it for itself, how
// many of them at most, and never closes it. What exceeds the number was opened
// by the application.
type rule struct {
	runtime Runtime
	most    int
	matches func(procfs.FD) bool
}

// rules is the one table of what belongs to runtimes. Sources: Go's
// runtime/netpoll_epoll.go (one epoll, one eventfd to break its wait) and
// internal/runtime/cgroup (the cpu limit's files, kept open to be read again),
// runtime/os_linux.go (getHugePageSize).
var rules = []rule{
	{Go, 1, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Go, 1, func(f procfs.FD) bool { return f.Kind == "eventfd" }},
	{Go, 2, func(f procfs.FD) bool {
		return f.Kind == "file" && strings.HasPrefix(f.Target, "/sys/fs/cgroup/") && strings.Contains(f.Target, "/cpu.")
	}},
	// What it reads as it starts: a child can be killed before it is done.
	{Go, 1, func(f procfs.FD) bool {
		inProc := strings.HasPrefix(f.Target, "/proc/") && (strings.HasSuffix(f.Target, "/cgroup") || strings.HasSuffix(f.Target, "/mountinfo"))
		return f.Kind == "file" && (inProc || f.Target == "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
	}},
}

// runtimeOf says of each number that belongs to the runtime why.
func runtimeOf(fds []procfs.FD, r Runtime) map[int]string {
	own := map[int]string{}
	for _, rule := range rules {
		if rule.runtime != r {
			continue
		}
		n := 0
		for _, f := range fds {
			if n < rule.most && rule.matches(f) {
				own[f.Num] = string(r) + " runtime"
				n++
			}
		}
	}
	return own
}

// Line is one descriptor of a run in its books.
type Line struct {
	procfs.FD
	ByChild   bool   // it closed it itself; else it was left to the kernel
	Uncounted string // why it does not count; empty: it counts
}

// Judge compares what a run held when its stop began with what it still held
// when it exited: what is missing it closed itself, what is there it left.
// Standard streams, and what the runtime keeps for itself, are listed but
// neither counted as closed nor as left; so is what a process inherited from
// its parent, in whose books it is.
func Judge(before, after, inherited []procfs.FD, r Runtime) (lines []Line, closed, left int) {
	from := map[int]procfs.FD{}
	for _, f := range inherited {
		from[f.Num] = f
	}
	uncounted := func(f procfs.FD, own map[int]string) string {
		g, ok := from[f.Num]
		switch {
		case f.Std():
			return "standard stream"
		case ok && f.Same(g):
			return "inherited"
		}
		return own[f.Num]
	}
	held := map[int]procfs.FD{}
	for _, f := range after {
		held[f.Num] = f
	}
	own := runtimeOf(before, r)
	for _, f := range before {
		if g, ok := held[f.Num]; ok && f.Same(g) {
			continue // comes with what was left
		}
		line := Line{FD: f, ByChild: true, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			closed++
		}
		lines = append(lines, line)
	}
	own = runtimeOf(after, r)
	for _, f := range after {
		line := Line{FD: f, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			left++
		}
		lines = append(lines, line)
	}
	return lines, closed, left
}
