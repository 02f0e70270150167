// hostile is a child that tries to break its supervisor. It draws behaviours from a table by a
// seed, prints them, and performs them. The same seed gives the same program. It is static, so
// that it runs in an empty container, and it runs in a container only.
//
//	hostile SEED [BEHAVIOUR,...]    draws behaviours, or performs those that are given
//	hostile draw SEED               prints what SEED draws, and exits
//	hostile list                    prints the behaviours
//	hostile honest                  exits with 0 on SIGTERM
//	hostile outside FIFO            as honest, and sends the signals of lines "PID SIGNAL"
//	hostile init CMD ARG...         a PID 1: forwards signals to CMD, then prints the processes left
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char **argument;  // of main, to overwrite
static pid_t supervisor; // the parent of the main process
static pid_t me;         // the main process
static unsigned long long seed;
static const char *given; // the behaviours that are given, or NULL

// random_t is the state of a random number generator, splitmix64.
typedef uint64_t random_t;

static uint64_t draw(random_t *r) {
	uint64_t z = (*r += 0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static unsigned below(random_t *r, unsigned n) { return draw(r) % n; }
static void pause_ms(unsigned ms) { usleep(ms * 1000); }

// say writes a line to standard output in one write.
static void say(const char *format, ...) {
	char line[1024];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	if (write(1, line, n) < 0)
		return; // a closed output is one of the behaviours
}

// at_term is what a process does on SIGTERM.
enum at_term { IGNORES, BLOCKS, DIES, DRAINS, AT_TERMS };
static const char *at_terms[] = {"ignores", "blocks", "dies", "drains"};

static unsigned drain_ms;
static void drain(int sig) {
	(void)sig;
	pause_ms(drain_ms);
	_exit(0);
}

static void dispose(enum at_term what, random_t *r) {
	sigset_t term;
	sigemptyset(&term), sigaddset(&term, SIGTERM);
	drain_ms = below(r, 400);
	signal(SIGTERM, what == IGNORES ? SIG_IGN : what == DRAINS ? drain : SIG_DFL);
	sigprocmask(what == BLOCKS ? SIG_BLOCK : SIG_UNBLOCK, &term, NULL);
}

// live waits without an end.
static void live(void) {
	for (;;)
		pause();
}

static pid_t child(void (*does)(void)) {
	pid_t pid = fork();
	if (pid == 0) {
		does();
		_exit(0);
	}
	return pid;
}

static void *thread_lives(void *unused) { return live(), unused; }

static int thread(void *(*does)(void *), void *arg) {
	pthread_t t;
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	return pthread_create(&t, &a, does, arg);
}

// ---- processes

static void do_fork(random_t *r) {
	for (int n = below(r, 4); n >= 0; n--)
		child(live);
	live();
}

static void daemonize(void) {
	setsid();
	child(live);
}

static void do_double_fork(random_t *r) {
	(void)r;
	waitpid(child(daemonize), NULL, 0);
	_exit(0);
}

static void do_setsid(random_t *r) {
	(void)r;
	setsid();
	child(live);
	live();
}

static void do_setpgid(random_t *r) {
	(void)r;
	setpgid(0, 0);
	child(live);
	live();
}

// chain forks and exits in a loop, so that each process is an orphan.
static void do_chain(random_t *r) {
	for (;;) {
		if (below(r, 4) == 0)
			setsid();
		usleep(200 + below(r, 3000));
		pid_t pid = fork();
		if (pid > 0)
			_exit(0);
		if (pid < 0)
			pause_ms(1);
	}
}

static void do_bomb(random_t *r) {
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		if (fork() == 0) {
			if (below(r, 2) == 0)
				fork();
			_exit(below(r, 256));
		}
		usleep(300);
	}
}

static void do_take_pids(random_t *r) {
	(void)r;
	for (;;)
		if (child(live) < 0)
			pause_ms(1);
}

static void do_vfork_storm(random_t *r) {
	(void)r;
	for (;;) {
		pid_t pid = vfork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		usleep(200);
	}
}

// vfork_stuck sleeps in vfork(2), as its child never exits.
static void do_vfork_stuck(random_t *r) {
	(void)r;
	if (vfork() == 0)
		for (;;)
			pause();
	live();
}

static void do_subreaper(random_t *r) {
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int n = below(r, 4); n >= 0; n--)
		waitpid(child(daemonize), NULL, 0);
	live();
}

// clone_parent makes a sibling, a child that the supervisor did not spawn.
static void do_clone_parent(random_t *r) {
	int traced = below(r, 2);
	if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
		if (traced)
			ptrace(PTRACE_TRACEME, 0, 0, 0);
		dispose(below(r, AT_TERMS), r);
		live();
	}
}

static void do_zombies(random_t *r) {
	for (int n = below(r, 60); n >= 0; n--)
		if (fork() == 0)
			_exit(0);
	live();
}

static void do_namespaces(random_t *r) {
	static const int flags[] = {CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWPID, CLONE_NEWPID,
		CLONE_NEWNS | CLONE_NEWPID,
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET};
	int flag = flags[below(r, COUNT(flags))];
	if (unshare(flag) != 0)
		say("hostile %llu: unshare %x: %m", seed, flag);
	if (fork() == 0) { // PID 1 of its namespace
		do_fork(r);
	}
	live();
}

// join_group puts a process into the process group of a sibling or of the supervisor.
static pid_t sibling(random_t *r);
static void do_join_group(random_t *r) {
	pid_t other = below(r, 2) ? supervisor : sibling(r);
	if (other > 0 && setpgid(0, getpgid(other)) != 0)
		say("hostile %llu: setpgid %d: %m", seed, other);
	live();
}

static void do_spin(random_t *r) {
	fork();
	for (volatile uint64_t n = 0;; n++)
		if (n % (1 << 20) == 0 && below(r, 1000) == 0)
			sched_yield();
}

// ---- programs

static void again(const char *path, random_t *r) {
	char next[32];
	const char *depth = getenv("HOSTILE_DEPTH");
	int n = depth ? atoi(depth) : 0;
	if (n >= 2)
		return;
	setenv("HOSTILE_DEPTH", n ? "2" : "1", 1);
	snprintf(next, sizeof next, "%llu", (unsigned long long)below(r, 1000000));
	execl(path, "hostile", next, given, NULL);
	say("hostile %llu: exec %s: %m", seed, path);
}

static void do_exec_self(random_t *r) { again("/proc/self/exe", r); }
static void do_exec_setuid(random_t *r) { again("/bin/hostile-setuid", r); }

static void *executes(void *arg) {
	random_t *r = arg;
	again("/proc/self/exe", r);
	return NULL;
}

static void do_exec_thread(random_t *r) {
	for (int i = 0; i < 4; i++)
		thread(thread_lives, NULL);
	static random_t own;
	own = draw(r);
	thread(executes, &own);
	pause_ms(200);
}

// exec_storm executes itself in a loop.
static void *storms(void *unused) {
	execl("/proc/self/exe", "hostile", "storm", NULL);
	return unused;
}

static void do_exec_storm(random_t *r) {
	(void)r;
	for (int i = 0; i < 3; i++)
		thread(thread_lives, NULL);
	pause_ms(2);
	thread(storms, NULL);
	live();
}

static void do_setuid_program(random_t *r) {
	(void)r;
	execl("/bin/hostile-setuid", "hostile", "live", NULL);
	live();
}

// setuid_root is a process of root. A supervisor of another user may not signal it. HOSTILE_ROOT
// is set where the process ends with the supervisor, which is root or PID 1.
static void do_setuid_root(random_t *r) {
	(void)r;
	if (getenv("HOSTILE_ROOT"))
		execl("/bin/hostile-setuid", "hostile", "root", NULL);
	live();
}

static void do_exec_missing(random_t *r) {
	for (int n = below(r, 50); n >= 0; n--)
		execl("/no/such/program", "program", NULL);
	_exit(127);
}

// ---- ptrace

static volatile pid_t first_thread;
static volatile int execute;

static void *first(void *unused) {
	first_thread = syscall(SYS_gettid);
	live();
	return unused;
}

static void *second(void *arg) {
	while (!execute)
		pause_ms(1);
	return executes(arg);
}

// exec_held is an execve(2) that does not return: a descendant traces a thread of the process and
// does not resume it in its exit stop. PTRACE_SEIZE of the process waits in the kernel.
static void do_exec_held(random_t *r) {
	static random_t own;
	int p[2];
	char c;
	own = draw(r);
	if (pipe(p) != 0 || thread(first, NULL) != 0 || thread(second, &own) != 0)
		return;
	while (!first_thread)
		pause_ms(1);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	pid_t pid = fork();
	if (pid == 0) {
		dispose(below(r, AT_TERMS), r);
		if (below(r, 2))
			setsid();
		if (ptrace(PTRACE_SEIZE, first_thread, 0, PTRACE_O_TRACEEXIT) == 0 &&
			write(p[1], "x", 1) == 1)
			live();
		_exit(1);
	}
	close(p[1]);
	if (pid > 0 && read(p[0], &c, 1) == 1)
		execute = 1;
	close(p[0]);
}

#define TRACE_ALL \
	(PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)

// trace_main traces the main process and does not resume it in any ptrace stop.
static void do_trace_main(random_t *r) {
	if (ptrace(PTRACE_SEIZE, me, 0, below(r, 2) ? TRACE_ALL : PTRACE_O_TRACEEXIT) != 0)
		say("hostile %llu: seize: %m", seed);
	else if (below(r, 3) == 0)
		ptrace(PTRACE_INTERRUPT, me, 0, 0);
	if (below(r, 2))
		setsid();
	live();
}

static void ends_soon(void) {
	for (;;) {
		pause_ms(50);
		if (fork() == 0)
			_exit(0);
	}
}

static void do_trace_child(random_t *r) {
	for (int n = below(r, 3); n >= 0; n--)
		ptrace(PTRACE_SEIZE, child(ends_soon), 0, TRACE_ALL);
	live();
}

// trace_me makes the supervisor the tracer of its child.
static void do_trace_me(random_t *r) {
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	if (below(r, 2))
		raise(below(r, 2) ? SIGUSR1 : SIGWINCH);
}

// ---- signals

static void do_stop_self(random_t *r) { raise(below(r, 2) ? SIGSTOP : SIGTSTP); }

static void do_stop_group(random_t *r) {
	(void)r;
	kill(0, SIGSTOP);
}

static void do_ignore_all(random_t *r) {
	(void)r;
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_IGN);
	child(live);
	live();
}

static void do_block_all(random_t *r) {
	(void)r;
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	child(live);
	live();
}

static void do_kill_group(random_t *r) {
	(void)r;
	kill(0, SIGKILL);
}

static void do_signal_supervisor(random_t *r) {
	static const int signals[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM,
		SIGVTALRM, SIGIO, SIGPIPE};
	for (;; pause_ms(20))
		kill(supervisor, below(r, 30) ? signals[below(r, COUNT(signals))] : SIGHUP);
}

static void do_stop_supervisor(random_t *r) {
	for (;; pause_ms(150 + below(r, 300))) {
		kill(supervisor, SIGSTOP);
		pause_ms(20);
		kill(supervisor, SIGCONT);
	}
}

// term_supervisor starts the stop, once in a container.
static void do_term_supervisor(random_t *r) {
	(void)r;
	if (open("/tmp/told", O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0)
		kill(supervisor, SIGTERM);
}

// field returns a field of /proc/PID/stat after the command. Field 0 is the state.
static long field(const char *pid, int n) {
	char path[64], stat[512] = "";
	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, stat, sizeof stat - 1);
	close(fd);
	char *p = got > 0 ? strrchr(stat, ')') : NULL;
	if (!p)
		return -1;
	p += 2;
	if (n == 0)
		return *p;
	for (; n > 0 && p; n--)
		if ((p = strchr(p, ' ')))
			p++;
	return p ? atol(p) : -1;
}

// sibling returns another child of the supervisor, or 0.
static pid_t sibling(random_t *r) {
	pid_t found = 0;
	unsigned n = 0;
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));) {
		pid_t pid = atoi(e->d_name);
		if (pid > 0 && pid != me && field(e->d_name, 1) == supervisor && below(r, ++n) == 0)
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}

static void do_signal_siblings(random_t *r) {
	static const int signals[] = {SIGCONT, SIGWINCH, SIGURG, SIGCHLD};
	for (;; pause_ms(30)) {
		pid_t other = sibling(r);
		if (other <= 0)
			continue;
		if (below(r, 4) == 0) {
			kill(-other, SIGSTOP);
			pause_ms(10);
			kill(-other, SIGCONT);
		} else
			kill(below(r, 8) ? -other : -1, signals[below(r, COUNT(signals))]);
	}
}

// ---- output

// flood writes blocks in a loop, with short pauses for other programs of the machine.
static void flood(int fd, const char *block, size_t size) {
	signal(SIGPIPE, SIG_IGN);
	for (;; pause_ms(1))
		if (write(fd, block, size) < 0)
			pause_ms(10);
}

static char block[32 << 10];

static void fill(const char *with) {
	size_t n = strlen(with);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] = with[i % n];
}

static void do_flood_lines(random_t *r) {
	fill(below(r, 2) ? "\n" : "a line that says nothing, over and over again\n");
	flood(1, block, below(r, 2) ? 4096 : sizeof block);
}

static void do_flood_raw(random_t *r) {
	fill("no end of the line, ");
	flood(1, block, below(r, 2) ? 1000 : sizeof block);
}

static void do_flood_escapes(random_t *r) {
	fill("\x1b[2J\x1b]0;title\a\x9b" "31m\xff\xfe\r\0\x1b[1000D\n supervisor: shutdown complete\n");
	flood(1 + below(r, 2), block, sizeof block);
}

static void do_flood_errors(random_t *r) {
	fill("on standard error\n");
	flood(2, block, 1 + below(r, sizeof block));
}

static void do_hold_pipes(random_t *r) {
	if (fork())
		_exit(0);
	setsid();
	dispose(below(r, 2) ? IGNORES : BLOCKS, r);
	live();
}

static void do_close_output(random_t *r) {
	if (below(r, 3))
		close(1);
	if (below(r, 3))
		close(2);
}

// read_own_pipe reads its own output, in place of the supervisor.
static void do_read_own_pipe(random_t *r) {
	char buffer[1000];
	int fd = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);
	for (; fd >= 0 && below(r, 50); pause_ms(5))
		if (read(fd, buffer, sizeof buffer) <= 0)
			break;
	live();
}

static void do_pipe_flags(random_t *r) {
	static const int sizes[] = {4096, 65536, 1 << 20};
	fcntl(1, F_SETPIPE_SZ, sizes[below(r, COUNT(sizes))]);
	fcntl(1, F_SETFL, below(r, 2) ? O_NONBLOCK : O_ASYNC | O_APPEND);
	fcntl(2, F_SETFL, O_NONBLOCK);
}

// ---- limits

static void do_threads(random_t *r) {
	(void)r;
	int n = 0;
	while (n < 10000 && thread(thread_lives, NULL) == 0)
		n++;
	say("hostile %llu: %d threads", seed, n);
}

static void do_descriptors(random_t *r) {
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int n = 0, p[2], fd = open("/dev/null", O_RDWR);
	for (int last = fd; n < 20000 && last >= 0; n++)
		switch (n % 200 ? 0 : 1 + below(r, 4)) {
		case 1: last = pipe(p) ? -1 : p[1]; break;
		case 2: last = socket(AF_INET, SOCK_STREAM, 0); break;
		case 3: last = eventfd(0, 0); break;
		case 4: last = open("/proc/self/status", O_RDONLY); break;
		default: last = dup(fd);
		}
	say("hostile %llu: %d descriptors", seed, n);
}

static void do_memory(random_t *r) {
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1000", 4) == 4)
		close(fd);
	for (int mib = 16 + below(r, 32); mib > 0; mib--, pause_ms(2)) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, 1, 1 << 20);
	}
	live();
}

static void do_rlimits(random_t *r) {
	static const int limits[] = {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_LOCKS,
		RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_STACK};
	int which = limits[below(r, COUNT(limits))];
	struct rlimit limit = {0, 2};
	if (which == RLIMIT_STACK)
		limit.rlim_cur = limit.rlim_max = 1 << 16;
	setrlimit(which, &limit);
}

static void do_schedule(random_t *r) {
	struct sched_param none = {0};
	if (below(r, 2))
		sched_setscheduler(0, SCHED_IDLE, &none);
	else
		setpriority(PRIO_PROCESS, 0, below(r, 2) ? 19 : -20);
}

// ---- names

static void do_undumpable(random_t *r) {
	(void)r;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void do_rename(random_t *r) {
	static const char *names[] = {") R 1 (", "x) Z 0 0 0\n", "supervisor", "\x1b[2J\x07", ""};
	const char *name = names[below(r, COUNT(names))];
	prctl(PR_SET_NAME, name, 0, 0, 0);
	memset(argument[0], '\n', strlen(argument[0]));
	strncpy(argument[0], name, strlen(argument[0]));
}

// ---- files and sockets

static void do_locks(random_t *r) {
	char path[64];
	snprintf(path, sizeof path, "/tmp/fifo-%u", below(r, 1000));
	mkfifo(path, 0600);
	open(path, O_RDWR);
	snprintf(path, sizeof path, "/tmp/lock-%u", below(r, 4));
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd >= 0)
		flock(fd, LOCK_EX | LOCK_NB);
	live();
}

// lingering returns a socket with unread bytes, whose close(2) waits for the reader.
static int lingering(void) {
	int l = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0), small = 2048;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	struct linger linger = {1, 600};
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (bind(l, (void *)&a, n) || getsockname(l, (void *)&a, &n) || listen(l, 5) ||
		connect(s, (void *)&a, n) || accept(l, 0, 0) < 0)
		return -1;
	fcntl(s, F_SETFL, O_NONBLOCK);
	while (write(s, block, sizeof block) > 0)
		;
	fcntl(s, F_SETFL, 0);
	setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	return s;
}

static void do_linger(random_t *r) {
	(void)r;
	lingering();
}

// notify_socket returns a socket, and the address of the supervisor's notify socket. Without
// NOTIFY_SOCKET it searches the address. It returns -1 if there is none.
static int notify_socket(struct sockaddr_un *u, socklen_t *n) {
	char name[108] = "", line[512];
	const char *told = getenv("NOTIFY_SOCKET");
	if (told)
		snprintf(name, sizeof name, "%.100s", told);
	else {
		FILE *f = fopen("/proc/net/unix", "re");
		while (f && fgets(line, sizeof line, f)) {
			char *p = strstr(line, "@supervisor/notify/");
			if (p)
				p[strcspn(p, "\n")] = 0, snprintf(name, sizeof name, "%.100s", p);
		}
		if (f)
			fclose(f);
	}
	if (!*name)
		return -1;
	*u = (struct sockaddr_un){.sun_family = AF_UNIX};
	*n = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	memcpy(u->sun_path, name, strlen(name));
	if (*name == '@')
		u->sun_path[0] = 0;
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void do_notify_garbage(random_t *r) {
	static const char *words[] = {"READY=1", "STOPPING=1", "RELOADING=1", "MAINPID=1", "MAINPID=2",
		"MAINPID=-1", "MAINPID=99999999999999999999", "EXTEND_TIMEOUT_USEC=600000000",
		"EXTEND_TIMEOUT_USEC=18446744073709551615", "WATCHDOG=1", "WATCHDOG=trigger",
		"WATCHDOG_USEC=1", "FDSTORE=1", "BARRIER=1", "ERRNO=0", "STATUS=\x1b[2J\xff", "", "=",
		"\n\n\n"};
	struct sockaddr_un u;
	socklen_t n;
	int fd = notify_socket(&u, &n);
	for (; fd >= 0; pause_ms(10)) {
		char text[256];
		const char *word = words[below(r, COUNT(words))];
		snprintf(text, sizeof text, "%s\n%s", word, words[below(r, COUNT(words))]);
		if (below(r, 6) == 0)
			snprintf(text, sizeof text, "MAINPID=%d", below(r, 2) ? sibling(r) : getpid());
		if (below(r, 10))
			sendto(fd, text, strlen(text), 0, (void *)&u, n);
		else
			sendto(fd, block, 1 + below(r, sizeof block), 0, (void *)&u, n);
	}
	live();
}

static void do_notify_flood(random_t *r) {
	(void)r;
	struct sockaddr_un u;
	socklen_t n;
	int fd = notify_socket(&u, &n);
	fork();
	for (int i = 0; fd >= 0; i++) {
		sendto(fd, "", 0, 0, (void *)&u, n);
		if (i % 50 == 0)
			pause_ms(1);
	}
	live();
}

// notify_fds passes sockets whose close(2) waits, and many other descriptors.
static void do_notify_fds(random_t *r) {
	struct sockaddr_un u;
	socklen_t n;
	int fd = notify_socket(&u, &n), all[253];
	for (int round = 0; fd >= 0 && round < 5; round++, pause_ms(20)) {
		int many = below(r, 2) ? 1 : (int)COUNT(all), s = lingering();
		for (int i = 0; i < many; i++)
			all[i] = s;
		char data[] = "FDSTORE=1", control[CMSG_SPACE(sizeof all)] = {0};
		struct iovec io = {data, sizeof data - 1};
		struct msghdr m = {.msg_name = &u, .msg_namelen = n, .msg_iov = &io, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = CMSG_SPACE(many * sizeof(int))};
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(many * sizeof(int));
		memcpy(CMSG_DATA(h), all, many * sizeof(int));
		sendmsg(fd, &m, MSG_DONTWAIT);
		fcntl(s, F_SETFL, O_NONBLOCK); // our own close(2) does not wait
		struct linger none = {0};
		if (below(r, 4) == 0)
			setsockopt(s, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	}
	live();
}

// ---- exits

static void do_exit_odd(random_t *r) {
	static const int codes[] = {1, 2, 3, 77, 124, 125, 126, 127, 128, 137, 143, 255};
	_exit(codes[below(r, COUNT(codes))]);
}

static void do_crash(random_t *r) {
	static const int signals[] = {SIGSEGV, SIGABRT, SIGILL, SIGKILL, SIGBUS, SIGALRM};
	int sig = signals[below(r, COUNT(signals))];
	signal(sig, SIG_DFL);
	raise(sig);
}

static void *main_loop(void *arg);

// leader_exit ends the main thread, so that the process is a zombie with live threads.
static void do_leader_exit(random_t *r) {
	(void)r;
	if (thread(main_loop, NULL) == 0)
		syscall(SYS_exit, 0);
}

static const struct behaviour {
	const char *name;
	int own; // 1: in a new process; 0: in the main process, which continues if it can
	void (*act)(random_t *r);
} behaviours[] = {
	{"fork", 1, do_fork},
	{"double-fork", 1, do_double_fork},
	{"setsid", 1, do_setsid},
	{"setpgid", 1, do_setpgid},
	{"chain", 1, do_chain},
	{"bomb", 1, do_bomb},
	{"take-pids", 1, do_take_pids},
	{"vfork-storm", 1, do_vfork_storm},
	{"vfork-stuck", 1, do_vfork_stuck},
	{"subreaper", 1, do_subreaper},
	{"clone-parent", 0, do_clone_parent},
	{"zombies", 1, do_zombies},
	{"namespaces", 1, do_namespaces},
	{"join-group", 1, do_join_group},
	{"spin", 1, do_spin},
	{"exec-self", 0, do_exec_self},
	{"exec-setuid", 0, do_exec_setuid},
	{"exec-thread", 0, do_exec_thread},
	{"exec-storm", 1, do_exec_storm},
	{"setuid-program", 1, do_setuid_program},
	{"setuid-root", 1, do_setuid_root},
	{"exec-missing", 0, do_exec_missing},
	{"exec-held", 0, do_exec_held},
	{"trace-main", 1, do_trace_main},
	{"trace-child", 1, do_trace_child},
	{"trace-me", 0, do_trace_me},
	{"stop-self", 0, do_stop_self},
	{"stop-group", 0, do_stop_group},
	{"ignore-all", 1, do_ignore_all},
	{"block-all", 1, do_block_all},
	{"kill-group", 0, do_kill_group},
	{"signal-supervisor", 1, do_signal_supervisor},
	{"stop-supervisor", 1, do_stop_supervisor},
	{"term-supervisor", 1, do_term_supervisor},
	{"signal-siblings", 1, do_signal_siblings},
	{"flood-lines", 1, do_flood_lines},
	{"flood-raw", 1, do_flood_raw},
	{"flood-escapes", 1, do_flood_escapes},
	{"flood-errors", 1, do_flood_errors},
	{"hold-pipes", 1, do_hold_pipes},
	{"close-output", 0, do_close_output},
	{"read-own-pipe", 1, do_read_own_pipe},
	{"pipe-flags", 0, do_pipe_flags},
	{"threads", 0, do_threads},
	{"descriptors", 0, do_descriptors},
	{"memory", 1, do_memory},
	{"rlimits", 0, do_rlimits},
	{"schedule", 0, do_schedule},
	{"undumpable", 0, do_undumpable},
	{"rename", 0, do_rename},
	{"locks", 1, do_locks},
	{"linger", 0, do_linger},
	{"notify-garbage", 1, do_notify_garbage},
	{"notify-flood", 1, do_notify_flood},
	{"notify-fds", 1, do_notify_fds},
	{"exit-odd", 0, do_exit_odd},
	{"crash", 0, do_crash},
	{"leader-exit", 0, do_leader_exit},
};

// plan is the list of steps of the main process.
static struct step {
	const struct behaviour *does;
	int ms; // after the start; -1: on SIGTERM
	enum at_term process; // of its own
	random_t random;
} steps[8];
static size_t step_count;
static enum at_term at_term;
static random_t rest; // for draws at run time

static void add_step(const struct behaviour *b, random_t *r) {
	if (step_count == COUNT(steps))
		return;
	struct step *s = &steps[step_count++];
	s->does = b;
	s->ms = below(r, 2) ? 0 : below(r, 600);
	if ((at_term == BLOCKS || at_term == DRAINS) && below(r, 3) == 0)
		s->ms = -1;
	s->process = below(r, AT_TERMS);
	s->random = draw(r);
}

static void draw_plan(char *names) {
	random_t r = seed;
	draw(&r);
	at_term = below(&r, AT_TERMS);
	size_t n = 2 + below(&r, 4);
	while (!names && n > 0) {
		const struct behaviour *b = &behaviours[below(&r, COUNT(behaviours))];
		if (getenv("HOSTILE_MILD") && (b->act == do_take_pids || b->act == do_threads))
			continue; // the server and the client need threads
		add_step(b, &r);
		n--;
	}
	for (char *name = names ? strtok(names, ",") : NULL; name; name = strtok(NULL, ","))
		for (size_t i = 0; i < COUNT(behaviours); i++)
			if (strcmp(name, behaviours[i].name) == 0)
				add_step(&behaviours[i], &r);
	// Sort the steps by time.
	for (size_t i = 1; i < step_count; i++)
		for (size_t j = i; j > 0; j--) {
			if ((unsigned)steps[j].ms >= (unsigned)steps[j - 1].ms) // the step on SIGTERM, -1, is the last
				break;
			struct step s = steps[j];
			steps[j] = steps[j - 1], steps[j - 1] = s;
		}
	rest = draw(&r);
}

static void say_plan(void) {
	char text[900];
	int n = snprintf(text, sizeof text, "hostile %llu: %s SIGTERM;", seed, at_terms[at_term]);
	for (size_t i = 0; i < step_count; i++) {
		struct step *s = &steps[i];
		n += snprintf(text + n, sizeof text - n, " %s", s->does->name);
		if (s->ms < 0)
			n += snprintf(text + n, sizeof text - n, "@SIGTERM");
		else
			n += snprintf(text + n, sizeof text - n, "@%dms", s->ms);
		if (s->does->own)
			n += snprintf(text + n, sizeof text - n, "(%s)", at_terms[s->process]);
	}
	say("%s", text);
}

static void perform(struct step *s) {
	if (s->does->own) {
		if (fork() != 0)
			return; // at once, or not at all without a pid
		dispose(s->process, &s->random);
		s->does->act(&s->random);
		live();
	}
	s->does->act(&s->random);
}

static int64_t now_ms(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t began;
static size_t done;

// main_loop performs the plan, by time and on SIGTERM, and exits as drawn.
static void *main_loop(void *unused) {
	sigset_t term;
	sigemptyset(&term), sigaddset(&term, SIGTERM);
	for (;;) {
		int64_t wait = 60000;
		if (done < step_count && steps[done].ms >= 0)
			wait = began + steps[done].ms - now_ms();
		if (wait <= 0) {
			perform(&steps[done++]);
			continue;
		}
		struct timespec t = {wait / 1000, wait % 1000 * 1000000};
		if (at_term == IGNORES || at_term == DIES) {
			nanosleep(&t, NULL);
			continue;
		}
		if (sigtimedwait(&term, NULL, &t) != SIGTERM)
			continue;
		for (size_t i = done; i < step_count; i++)
			if (steps[i].ms < 0)
				done = i + 1, perform(&steps[i]);
		if (at_term == DRAINS) {
			pause_ms(below(&rest, 500));
			if (below(&rest, 4) == 0)
				do_exit_odd(&rest);
			_exit(0);
		}
	}
	return unused;
}

// ---- honest programs

static volatile sig_atomic_t asked;
static void ask(int sig) { asked = sig; }

static void catch(int sig, void (*handler)(int)) {
	struct sigaction a = {.sa_handler = handler}; // without SA_RESTART it interrupts system calls
	sigaction(sig, &a, NULL);
}

// honest prints that it is ready. On SIGTERM it prints "bye" and returns 0. With a FIFO it sends
// signals for the test: where no pid is left, docker exec cannot.
static int honest(const char *fifo) {
	sigset_t term, none;
	sigemptyset(&none), sigemptyset(&term), sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	catch(SIGTERM, ask);
	int fd = fifo ? open(fifo, O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fifo && fd < 0)
		return say("%s: %m", fifo), 1;
	say("ready");
	while (!asked) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (ppoll(&p, fd >= 0, NULL, &none) <= 0)
			continue;
		char text[512];
		ssize_t n = read(fd, text, sizeof text - 1);
		text[n > 0 ? n : 0] = 0;
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			int pid, sig;
			if (sscanf(line, "%d %d", &pid, &sig) == 2 && pid > 0)
				say("kill %d %d: %s", pid, sig, kill(pid, sig) ? strerror(errno) : "done");
		}
	}
	say("bye");
	close(fd);
	return 0;
}

static volatile pid_t forwards_to;
static volatile int64_t stop_began;
static void forward(int sig) {
	if (sig != SIGHUP && !stop_began)
		stop_began = now_ms();
	kill(forwards_to, sig);
}

// init is PID 1 and starts the supervisor. It prints the processes that are left when the
// supervisor has ended. There must be none.
static int init(char **command) {
	for (int i = 0; i < 4; i++)
		catch((int[]){SIGTERM, SIGINT, SIGQUIT, SIGHUP}[i], forward);
	sigset_t chld;
	sigemptyset(&chld), sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &chld, NULL);
		execvp(command[0], command);
		_exit(127);
	}
	forwards_to = pid;
	char name[16];
	snprintf(name, sizeof name, "%d", pid);
	int status = -1, left = 0;
	for (pid_t who = 0; who != pid;) {
		struct timespec t = {0, 100000000};
		sigtimedwait(&chld, NULL, &t);
		while ((who = waitpid(-1, &status, WNOHANG)) > 0 && who != pid)
			dprintf(2, "init: reaped pid=%d: the supervisor did not\n", who);
		if (who == 0 && field(name, 0) == 'T')
			kill(pid, SIGCONT); // a process that stopped it ended before it sent SIGCONT
	}
	int64_t stop = stop_began ? now_ms() - stop_began : -1;
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));)
		if (atoi(e->d_name) > 1 && field(e->d_name, 0) != 'Z') { // a zombie has ended
			char path[300], comm[64] = "";
			snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, comm, sizeof comm - 1) > 0)
				comm[strcspn(comm, "\n")] = 0;
			close(fd);
			dprintf(2, "init: left: pid=%s comm=%s state=%c ppid=%ld\n", e->d_name, comm,
				(int)field(e->d_name, 0), field(e->d_name, 1));
			left++;
		}
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	dprintf(2, "init: code=%d stop_ms=%lld left=%d\n", code, (long long)stop, left);
	return code;
}

int main(int argc, char **argv) {
	argument = argv;
	const char *verb = argc > 1 ? argv[1] : "list";
	if (strcmp(verb, "list") == 0) {
		for (size_t i = 0; i < COUNT(behaviours); i++)
			say("%s", behaviours[i].name);
		return 0;
	}
	if (strcmp(verb, "draw") == 0 && argc > 2) {
		seed = strtoull(argv[2], NULL, 10);
		draw_plan(argc > 3 ? argv[3] : NULL);
		say_plan();
		return 0;
	}
	if (access("/.dockerenv", F_OK) != 0) {
		fprintf(stderr, "hostile: runs in a container with limits only\n");
		return 2;
	}
	if (strcmp(verb, "honest") == 0)
		return honest(NULL);
	if (strcmp(verb, "outside") == 0 && argc > 2)
		return honest(argv[2]);
	if (strcmp(verb, "init") == 0 && argc > 2)
		return init(argv + 2);
	random_t r = getpid();
	if (strcmp(verb, "storm") == 0) {
		do_exec_storm(&r);
	} else if (strcmp(verb, "root") == 0 || strcmp(verb, "live") == 0) {
		if (*verb == 'r') {
			prctl(PR_SET_NAME, "setuid-root", 0, 0, 0);
			if (setgid(0) || setuid(0))
				say("hostile: setuid: %m");
		}
		live();
	}
	seed = strtoull(verb, NULL, 10);
	supervisor = getppid();
	me = getpid();
	began = now_ms();
	if (argc > 2)
		given = strdup(argv[2]);
	draw_plan(argc > 2 ? argv[2] : NULL);
	sigset_t term;
	sigemptyset(&term), sigaddset(&term, SIGTERM);
	signal(SIGTERM, at_term == IGNORES ? SIG_IGN : SIG_DFL);
	sigprocmask(at_term == BLOCKS || at_term == DRAINS ? SIG_BLOCK : SIG_UNBLOCK, &term, NULL);
	say_plan();
	main_loop(NULL);
}
