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
	Ruby    Runtime = "ruby"
	PHP     Runtime = "php"
	Bash    Runtime = "bash"
	Dash    Runtime = "dash"
	BusyBox Runtime = "busybox"
	Erlang  Runtime = "erlang"
	Tokio   Runtime = "tokio"
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
// The shells: the script, and copies of the standard streams while a redirection of a builtin or of
// a block lasts. bash moves the script and the terminal of its jobs to 255, or the next number
// below that is free (general.c, move_to_high_fd; shell.c, open_shell_script; jobs.c,
// initialize_job_control), and copies streams from 10 on (redir.c, add_undo_redirect). A variable
// gets such numbers too, as in "exec {log}>file", but without close-on-exec. dash and busybox have
// the script, the terminal and the copies from 10 on (dash: input.c, redir.c; busybox:
// shell/ash.c); a script can open the numbers below 10. "$(…)" holds a pipe while the command
// runs, at first with both ends (bash: subst.c, command_substitute; dash: eval.c, evalbackcmd).
//
// Ruby: two eventfds, of the thread that runs timers and of the main thread (3.1: thread_pthread.c,
// setup_communication_pipe). The selector of a fiber scheduler belongs to the program.
//
// PHP: the script, open until the end (sapi/cli/php_cli.c, cli_seek_file_begin).
//
// Erlang: two epolls with a timerfd each, one of them for timeouts, and a pipe to wake the threads
// that poll (erts/emulator/sys/common/erl_poll.c); pipes for signals, for the end of children and
// for the descriptors of erl_child_setup (sys/unix/sys.c, sys_drivers.c); half a socket pair to
// erl_child_setup, which starts all programs (sys_drivers.c, forker_driver.c); and /dev/null
// (sys/unix/sys.c, erts_sys_unix_later_init). erl_child_setup (sys/unix/erl_child_setup.c) has the
// other half and a pipe for SIGCHLD. The ports of a program belong to the program.
//
// Tokio, of Rust: an epoll and its copy, an eventfd (mio: src/sys/unix/selector/epoll.rs,
// src/sys/unix/waker.rs), and a unix socket pair for signals with a copy of one end
// (src/signal/registry.rs, src/runtime/signal/mod.rs). Found with sccache 0.4 and tokio 1.24.
//
// .NET is not in the table, because Debian has no program of it.
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

	// Below 256, and above what scripts and redirections use.
	{Bash, 2, func(f procfs.FD) bool { return f.Kind == "file" && f.Num >= 250 && f.Num <= 255 }},
	{Bash, shellCopies, func(f procfs.FD) bool {
		return f.Num >= firstShellFD && f.Num < firstShellFD+shellCopies && isShellCopy(f)
	}},
	{Bash, 2, isSubstitution},
	// The script, the terminal and the copies.
	{Dash, 2 + shellCopies, func(f procfs.FD) bool { return f.Num >= firstShellFD }},
	{Dash, 2, isSubstitution},
	{BusyBox, 2 + shellCopies, func(f procfs.FD) bool {
		return f.Num >= firstShellFD && isShellCopy(f)
	}},
	{BusyBox, 2, isSubstitution},

	{Ruby, 2, func(f procfs.FD) bool { return f.Kind == "eventfd" }},

	{PHP, 1, func(f procfs.FD) bool {
		extension := path.Ext(f.Target)
		isScript := extension == "" || extension == ".php" || extension == ".phar"
		return readOnly(f) && isScript
	}},

	{Erlang, 2, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Erlang, 2, func(f procfs.FD) bool { return f.Kind == "timerfd" }},
	{Erlang, 8, func(f procfs.FD) bool { return f.Kind == "pipe" }},
	{Erlang, 1, isUnnamedUnix},
	{Erlang, 1, func(f procfs.FD) bool { return readOnly(f) && f.Target == "/dev/null" }},

	{Tokio, 2, func(f procfs.FD) bool { return f.Kind == "epoll" }},
	{Tokio, 1, func(f procfs.FD) bool { return f.Kind == "eventfd" }},
	{Tokio, 3, isUnnamedUnix},
}

// Shells keep their own descriptors from firstShellFD on. shellCopies is the number of standard
// streams that a shell can have copies of at once.
const (
	firstShellFD = 10
	shellCopies  = 3
)

// isShellCopy reports whether a shell can have made f itself: with close-on-exec, which is not
// known of a pipe or a socket.
func isShellCopy(f procfs.FD) bool {
	return f.Kind == "pipe" || f.Kind == "socket" || f.Kind == "file" && f.CloseOnExec
}

// isSubstitution reports whether f can be the pipe of a command substitution.
func isSubstitution(f procfs.FD) bool { return f.Kind == "pipe" && f.Num < firstShellFD }

func isUnnamedUnix(f procfs.FD) bool {
	return f.Kind == "socket" && f.Target == "unix (unnamed)"
}

func readOnly(f procfs.FD) bool { return f.Kind == "file" && f.Detail.Mode == "r" }
