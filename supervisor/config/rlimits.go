package config

import "golang.org/x/sys/unix"

// Resource is a resource whose use a child can limit, see getrlimit(2).
type Resource struct {
	Name   string // in an rlimits block
	Number int    // the RLIMIT_ constant
	Doc    string // what the limit counts, with its unit
}

// Resources are all resources, sorted by name.
var Resources = []Resource{
	{"as", unix.RLIMIT_AS, "Its address space, in bytes."},
	{"core", unix.RLIMIT_CORE, "A core file, in bytes."},
	{"cpu", unix.RLIMIT_CPU, "CPU time, in seconds; at the soft limit it gets SIGXCPU, at the hard one SIGKILL."},
	{"data", unix.RLIMIT_DATA, "Its data segment, in bytes."},
	{"fsize", unix.RLIMIT_FSIZE, "A file that it writes, in bytes."},
	{"memlock", unix.RLIMIT_MEMLOCK, "Memory that it locks, in bytes."},
	{"msgqueue", unix.RLIMIT_MSGQUEUE, "POSIX message queues of its user, in bytes."},
	{"nice", unix.RLIMIT_NICE, "20 less the lowest nice value that it may take."},
	{"nofile", unix.RLIMIT_NOFILE, "One more than the highest descriptor."},
	{"nproc", unix.RLIMIT_NPROC, "Processes and threads of its user."},
	{"rss", unix.RLIMIT_RSS, "Resident memory, in bytes; Linux does not heed it."},
	{"rtprio", unix.RLIMIT_RTPRIO, "Its highest real-time priority."},
	{"rttime", unix.RLIMIT_RTTIME, "CPU time of a real-time thread without a wait, in microseconds."},
	{"sigpending", unix.RLIMIT_SIGPENDING, "Signals that wait for its user."},
	{"stack", unix.RLIMIT_STACK, "The stack of its main thread, in bytes."},
}
