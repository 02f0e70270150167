package config

import "golang.org/x/sys/unix"

// Resource is a resource that setrlimit(2) limits for a child.
type Resource struct {
	Name   string // in an rlimits block
	Number int    // the RLIMIT_ constant
	Unit   string
	Doc    string // what the limit counts
}

// Resources are all resources, sorted by name.
var Resources = []Resource{
	{"as", unix.RLIMIT_AS, "bytes", "The size of the address space."},
	{"core", unix.RLIMIT_CORE, "bytes", "The size of a core file."},
	{"cpu", unix.RLIMIT_CPU, "seconds",
		"The CPU time. At the soft limit the process gets `SIGXCPU`, at the hard one `SIGKILL`."},
	{"data", unix.RLIMIT_DATA, "bytes", "The size of the data segment."},
	{"fsize", unix.RLIMIT_FSIZE, "bytes", "The size of a file that the process writes."},
	{"memlock", unix.RLIMIT_MEMLOCK, "bytes", "The memory that the process locks."},
	{"msgqueue", unix.RLIMIT_MSGQUEUE, "bytes", "The POSIX message queues of the user."},
	{"nice", unix.RLIMIT_NICE, "20 minus a nice value",
		"The limit of 30 allows the nice value -10, for example."},
	{"nofile", unix.RLIMIT_NOFILE, "descriptors", "One more than the highest descriptor."},
	{"nproc", unix.RLIMIT_NPROC, "processes and threads",
		"The processes and threads of the user."},
	{"rss", unix.RLIMIT_RSS, "bytes", "The resident memory. Linux ignores this limit."},
	{"rtprio", unix.RLIMIT_RTPRIO, "priority", "The highest real-time priority."},
	{"rttime", unix.RLIMIT_RTTIME, "microseconds",
		"The CPU time of a real-time thread between two blocking system calls."},
	{"sigpending", unix.RLIMIT_SIGPENDING, "signals", "The pending signals of the user."},
	{"stack", unix.RLIMIT_STACK, "bytes", "The stack of the main thread."},
}
