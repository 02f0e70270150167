package fdledger

import (
	"path"
	"strings"

	"tp0/supervisor/procfs"
)

// Runtime names the language runtime that a program was found to be built on.
type Runtime string

// The runtimes that the table below knows.
const (
	Unknown Runtime = ""
	Go      Runtime = "go"
	Python  Runtime = "python"
	Java    Runtime = "java"
	Node    Runtime = "node"
)

// library stands for the C library and its loader, which may be part of any
// program.
const library Runtime = "C library"

// rule says of one kind of descriptor that a runtime opens it for itself, how
// many of them at most, and never closes it. What exceeds the number was opened
// by the application.
type rule struct {
	runtime Runtime
	most    int
	matches func(procfs.FD) bool
}

// classPath is more than any class path has.
const classPath = 1000

// rules is the one table of what belongs to runtimes. Sources:
//
// Go: runtime/netpoll_epoll.go (one epoll, one eventfd to break its wait),
// internal/runtime/cgroup (the cpu limit's files, kept open to be read again),
// runtime/os_linux.go (getHugePageSize).
//
// Python: nothing. Modules/_randommodule and Python/bootstrap_hash.c keep
// /dev/urandom open only where the kernel lacks getrandom(2). The epoll and the
// socket pair of an asyncio loop (asyncio/selector_events.py) are its
// program's: asyncio.run closes them.
//
// Java: the image of its classes (jimage) and the jars of the class path; the
// heap of ZGC (zPhysicalMemoryBacking_linux.cpp); the sources of SecureRandom
// (sun.security.provider.NativePRNG); and half a socket pair that is put in the
// place of sockets that are being closed (UnixDispatcher.c, preClose). The file
// of its counters is mapped and closed (perfMemory_posix.cpp). A Selector's
// epoll and eventfd are the program's.
//
// Node: three loops of libuv, the program's, that of V8's delayed tasks
// (src/node_platform.cc) and that of tracing (src/tracing/agent.cc), each with
// an epoll, an eventfd (src/unix/async.c) and a pipe for signals; one pipe more,
// their lock (src/unix/signal.c); two rings a loop if io_uring is on
// (src/unix/linux.c); and /dev/null, or the root after that was of use, to be
// closed when descriptors run out (src/unix/stream.c). The loop of a Worker is
// the program's.
//
// The C library: for a moment, and a child can be killed in it, the loader reads
// its cache and the libraries (glibc's elf/dl-load.c), setlocale its tables, and
// whoever asks how many processors there are reads that (get_nprocs).
var rules = []rule{
	{library, 1, func(f procfs.FD) bool {
		name := path.Base(f.Target)
		isLibrary := strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")
		isLocale := f.Target == "/etc/locale.alias" || strings.HasPrefix(f.Target, "/usr/lib/locale/") || strings.HasPrefix(f.Target, "/usr/share/locale/")
		return readOnly(f) && (isLibrary || isLocale || f.Target == "/etc/ld.so.cache" || f.Target == "/sys/devices/system/cpu/online")
	}},

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

	{Java, 1, func(f procfs.FD) bool { return readOnly(f) && strings.HasSuffix(f.Target, "/lib/modules") }},
	{Java, classPath, func(f procfs.FD) bool { return readOnly(f) && strings.HasSuffix(f.Target, ".jar") }},
	{Java, 1, func(f procfs.FD) bool { return f.Kind == "memfd" && strings.HasPrefix(f.Target, "/memfd:java_heap") }},
	{Java, 1, func(f procfs.FD) bool { return readOnly(f) && f.Target == "/dev/random" }},
	{Java, 1, func(f procfs.FD) bool { return readOnly(f) && f.Target == "/dev/urandom" }},
	{Java, 1, func(f procfs.FD) bool {
		return f.Kind == "socket" && f.Target == "unix (unnamed)" && f.Detail.State == "peer closed"
	}},

	{Node, 3, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Node, 3, func(f procfs.FD) bool { return f.Kind == "eventfd" }},
	{Node, 8, func(f procfs.FD) bool { return f.Kind == "pipe" }},
	{Node, 6, func(f procfs.FD) bool { return f.Kind == "io_uring" }},
	{Node, 1, func(f procfs.FD) bool { return readOnly(f) && (f.Target == "/dev/null" || f.Target == "/") }},
}

func readOnly(f procfs.FD) bool { return f.Kind == "file" && f.Detail.Mode == "r" }

// runtimeOf says of each number that belongs to a runtime why.
func runtimeOf(fds []procfs.FD, r Runtime) map[int]string {
	own := map[int]string{}
	for _, rule := range rules {
		if rule.runtime != r && rule.runtime != library {
			continue
		}
		n := 0
		for _, f := range fds {
			if n < rule.most && !f.IsStandard() && rule.matches(f) {
				own[f.Num] = string(rule.runtime) + " runtime"
				n++
			}
		}
	}
	return own
}

// ownOf says of each number why it does not count: the process has it from its
// parent, or it is its runtime's.
func ownOf(fds []procfs.FD, from map[int]procfs.FD, r Runtime) map[int]string {
	var rest []procfs.FD
	var inherited []int
	for _, f := range fds {
		if g, ok := from[f.Num]; ok && f.Same(g) {
			inherited = append(inherited, f.Num)
			continue
		}
		rest = append(rest, f)
	}
	own := runtimeOf(rest, r)
	for _, n := range inherited {
		own[n] = "inherited"
	}
	return own
}

// FDLine is one descriptor of a run in its books.
type FDLine struct {
	procfs.FD
	ByChild   bool   // it closed it itself; else it was left to the kernel
	Uncounted string // why it does not count; empty: it counts
}

// Judge compares what a run held when its stop began with what it still held
// when it exited: what is missing it closed itself, what is there it left.
// Standard streams, and what the runtime keeps for itself, are listed but
// neither counted as closed nor as left; so is what a process inherited from
// its parent, in whose books it is.
func Judge(before, after, inherited []procfs.FD, r Runtime) (lines []FDLine, closed, left int) {
	from := map[int]procfs.FD{}
	for _, f := range inherited {
		from[f.Num] = f
	}
	uncounted := func(f procfs.FD, own map[int]string) string {
		if f.IsStandard() {
			return "standard stream"
		}
		return own[f.Num]
	}
	held := map[int]procfs.FD{}
	for _, f := range after {
		held[f.Num] = f
	}
	own := ownOf(before, from, r)
	for _, f := range before {
		if g, ok := held[f.Num]; ok && f.Same(g) {
			continue // comes with what was left
		}
		line := FDLine{FD: f, ByChild: true, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			closed++
		}
		lines = append(lines, line)
	}
	own = ownOf(after, from, r)
	for _, f := range after {
		line := FDLine{FD: f, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			left++
		}
		lines = append(lines, line)
	}
	return lines, closed, left
}
