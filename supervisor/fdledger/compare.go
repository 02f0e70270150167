package fdledger

import (
	"path"
	"strings"

	"tp0/supervisor/procfs"
)

// Runtime is the language runtime of a program.
type Runtime string

// The runtimes that the table rules knows.
const (
	Unknown Runtime = ""
	Go      Runtime = "go"
	Python  Runtime = "python"
	Java    Runtime = "java"
	Node    Runtime = "node"
)

// cLibrary is the C library and its loader, which any program can have.
const cLibrary Runtime = "C library"

// rule describes descriptors that a runtime opens for itself and never closes. The application
// opened those that exceed the limit.
type rule struct {
	runtime Runtime
	limit   int
	matches func(procfs.FD) bool
}

// classPathLimit is larger than any class path.
const classPathLimit = 1000

// rules is the table of the descriptors of runtimes. Sources:
//
// Go: runtime/netpoll_epoll.go (one epoll, one eventfd to break its wait),
// internal/runtime/cgroup (the cpu limit's files, kept open to be read again),
// runtime/os_linux.go (getHugePageSize).
//
// Python: nothing. Modules/_randommodule and Python/bootstrap_hash.c keep
// /dev/urandom open only if the kernel lacks getrandom(2). The epoll and the socket pair of an
// asyncio loop (asyncio/selector_events.py) belong to the program: asyncio.run closes them.
//
// Java: the image of its classes (jimage) and the jars of the class path; the
// heap of ZGC (zPhysicalMemoryBacking_linux.cpp); the sources of SecureRandom
// (sun.security.provider.NativePRNG); and half a socket pair that replaces sockets which are
// being closed (UnixDispatcher.c, preClose). The file of its counters is mapped and closed
// (perfMemory_posix.cpp). The epoll and the eventfd of a Selector belong to the program.
//
// Node: three loops of libuv, for the program, for V8's delayed tasks (src/node_platform.cc) and
// for tracing (src/tracing/agent.cc), each with an epoll, an eventfd (src/unix/async.c) and a
// pipe for signals; one more pipe, their lock (src/unix/signal.c); two rings a loop if io_uring
// is on (src/unix/linux.c); and a spare descriptor of /dev/null, later of the root, which is
// closed when descriptors run out (src/unix/stream.c). The loop of a Worker belongs to the
// program.
//
// The C library: the loader reads its cache and the libraries (glibc's elf/dl-load.c), setlocale
// reads its tables, and get_nprocs reads the number of processors. They are open for a short
// time, in which a child can be killed.
var rules = []rule{
	{cLibrary, 1, func(f procfs.FD) bool {
		name := path.Base(f.Target)
		isLibrary := strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")
		isLocale := f.Target == "/etc/locale.alias" ||
			strings.HasPrefix(f.Target, "/usr/lib/locale/") ||
			strings.HasPrefix(f.Target, "/usr/share/locale/")
		isOther := f.Target == "/etc/ld.so.cache" || f.Target == "/sys/devices/system/cpu/online"
		return readOnly(f) && (isLibrary || isLocale || isOther)
	}},

	{Go, 1, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Go, 1, func(f procfs.FD) bool { return f.Kind == "eventfd" }},
	{Go, 2, func(f procfs.FD) bool {
		return f.Kind == "file" && strings.HasPrefix(f.Target, "/sys/fs/cgroup/") &&
			strings.Contains(f.Target, "/cpu.")
	}},
	// The runtime reads these at its start, in which a child can be killed.
	{Go, 1, func(f procfs.FD) bool {
		inProc := strings.HasPrefix(f.Target, "/proc/") &&
			(strings.HasSuffix(f.Target, "/cgroup") || strings.HasSuffix(f.Target, "/mountinfo"))
		return f.Kind == "file" &&
			(inProc || f.Target == "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
	}},

	{
		Java, 1,
		func(f procfs.FD) bool {
			return readOnly(f) && strings.HasSuffix(f.Target, "/lib/modules")
		},
	},
	{
		Java, classPathLimit,
		func(f procfs.FD) bool { return readOnly(f) && strings.HasSuffix(f.Target, ".jar") },
	},
	{
		Java, 1,
		func(f procfs.FD) bool {
			return f.Kind == "memfd" && strings.HasPrefix(f.Target, "/memfd:java_heap")
		},
	},
	{Java, 1, func(f procfs.FD) bool { return readOnly(f) && f.Target == "/dev/random" }},
	{Java, 1, func(f procfs.FD) bool { return readOnly(f) && f.Target == "/dev/urandom" }},
	{Java, 1, func(f procfs.FD) bool {
		return f.Kind == "socket" && f.Target == "unix (unnamed)" && f.Detail.State == "peer closed"
	}},

	{Node, 3, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Node, 3, func(f procfs.FD) bool { return f.Kind == "eventfd" }},
	{Node, 8, func(f procfs.FD) bool { return f.Kind == "pipe" }},
	{Node, 6, func(f procfs.FD) bool { return f.Kind == "io_uring" }},
	{
		Node, 1,
		func(f procfs.FD) bool {
			return readOnly(f) && (f.Target == "/dev/null" || f.Target == "/")
		},
	},
}

func readOnly(f procfs.FD) bool { return f.Kind == "file" && f.Detail.Mode == "r" }

// ownedByRuntime returns the descriptors of a runtime: number → reason.
func ownedByRuntime(fds []procfs.FD, r Runtime) map[int]string {
	own := map[int]string{}
	for _, rule := range rules {
		if rule.runtime != r && rule.runtime != cLibrary {
			continue
		}
		n := 0
		for _, f := range fds {
			if n < rule.limit && !f.IsStandard() && rule.matches(f) {
				own[f.Num] = string(rule.runtime) + " runtime"
				n++
			}
		}
	}
	return own
}

// notCounted returns the descriptors that do not count: number → reason. They are inherited from
// the parent process, or of the runtime.
func notCounted(fds []procfs.FD, from map[int]procfs.FD, r Runtime) map[int]string {
	var rest []procfs.FD
	var inherited []int
	for _, f := range fds {
		if g, ok := from[f.Num]; ok && f.Same(g) {
			inherited = append(inherited, f.Num)
			continue
		}
		rest = append(rest, f)
	}
	own := ownedByRuntime(rest, r)
	for _, n := range inherited {
		own[n] = "inherited"
	}
	return own
}

// Line is what happened to one descriptor of a process.
type Line struct {
	procfs.FD
	ByChild   bool   // the process closed it; false: it leaked, and the kernel closed it
	Uncounted string // why it does not count; empty: it counts
}

// Compare compares the descriptors of a process at the start of its stop (before) with those at
// its exit (after). The process closed those that are missing in after, and leaked the others.
// Standard streams, descriptors of the runtime and inherited ones have a line but are not
// counted. An inherited descriptor counts in the process that it came from.
func Compare(before, after, inherited []procfs.FD, r Runtime) (lines []Line, closed, left int) {
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
	leaked := map[int]procfs.FD{}
	for _, f := range after {
		leaked[f.Num] = f
	}
	own := notCounted(before, from, r)
	for _, f := range before {
		if g, ok := leaked[f.Num]; ok && f.Same(g) {
			continue // it leaked
		}
		line := Line{FD: f, ByChild: true, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			closed++
		}
		lines = append(lines, line)
	}
	own = notCounted(after, from, r)
	for _, f := range after {
		line := Line{FD: f, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			left++
		}
		lines = append(lines, line)
	}
	return lines, closed, left
}
