package acceptance

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// heldExecve is a program whose execve never returns: a descendant traces one of its threads
// and does not resume it in its exit stop. PTRACE_SEIZE of the process waits for that execve.
const heldExecve = `#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int traced, go;
static void *sleeps(void *x) { traced = syscall(SYS_gettid); for (;;) pause(); return x; }
static void *executes(void *x) {
	while (!go) usleep(1000);
	execl("/bin/sleep", "sleep", "1000", NULL);
	return x;
}
int main(void) {
	pthread_t t;
	int p[2];
	char c;
	if (pipe(p)) return 1;
	pthread_create(&t, 0, sleeps, 0);
	pthread_create(&t, 0, executes, 0);
	while (!traced) usleep(1000);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (!fork()) {
		signal(SIGTERM, SIG_IGN);
		if (ptrace(PTRACE_SEIZE, traced, 0, PTRACE_O_TRACEEXIT)) _exit(1);
		if (write(p[1], "x", 1) < 1) _exit(1);
		for (;;) pause();
	}
	if (read(p[0], &c, 1) < 1) return 1;
	go = 1;
	printf("executes\n");
	fflush(stdout);
	for (;;) pause();
}`

// silentFS mounts a file system with one file, f, at its argument. Once f is open it answers
// no request. FOPEN_NOFLUSH: close(2) sends no request, which a process would wait for in its
// exit, unkillable.
const silentFS = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
static int d;
static void answer(struct fuse_in_header *h, int err, void *p, size_t n) {
	char b[4096];
	struct fuse_out_header o = {.len = sizeof o + n, .error = -err, .unique = h->unique};
	memcpy(b, &o, sizeof o);
	if (n) memcpy(b + sizeof o, p, n);
	if (write(d, b, o.len) < 0) perror("answer");
}
static struct fuse_attr attributes(int ino) {
	int mode = ino == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
	return (struct fuse_attr){.ino = ino, .mode = mode, .nlink = 1, .size = 4096};
}
int main(int argc, char **argv) {
	static char b[200000];
	char o[100];
	if (argc < 2 || (d = open("/dev/fuse", O_RDWR)) < 0) return perror("/dev/fuse"), 1;
	sprintf(o, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", d);
	if (mount("silent", argv[1], "fuse", MS_NODEV, o)) return perror("mount"), 1;
	puts("mounted");
	fflush(stdout);
	while (read(d, b, sizeof b) > 0) {
		struct fuse_in_header *h = (void *)b;
		struct fuse_init_out i = {.major = 7, .minor = 31, .max_write = 4096};
		struct fuse_entry_out e = {.nodeid = 2, .attr = attributes(2)};
		struct fuse_attr_out a = {.attr = attributes(h->nodeid)};
		struct fuse_open_out f = {.fh = 1, .open_flags = FOPEN_NOFLUSH};
		switch (h->opcode) {
		case FUSE_INIT: answer(h, 0, &i, sizeof i); break;
		case FUSE_LOOKUP:
			if (strcmp(b + sizeof *h, "f")) answer(h, ENOENT, &e, 0);
			else answer(h, 0, &e, sizeof e);
			break;
		case FUSE_GETATTR: answer(h, 0, &a, sizeof a); break;
		case FUSE_OPEN: answer(h, 0, &f, sizeof f); for (;;) pause();
		case FUSE_FORGET: case FUSE_INTERRUPT: break;
		default: answer(h, ENOSYS, 0, 0);
		}
	}
	return 0;
}`

// silentFile returns a file whose reads block until free is called.
func silentFile(t *testing.T) (path string, free func()) {
	t.Helper()
	needs.Check(t, "root", "gcc")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		needs.Skip(t, "fuse", err)
	}
	dir := t.TempDir()
	cmd := exec.Command(compileC(t, silentFS), dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	free = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		free()
		needs.Skip(t, "fuse", fmt.Sprintf("cannot mount: %q %v", line, err))
	}
	return filepath.Join(dir, "f"), free
}

// hasOpen reports whether a process has the file open.
func hasOpen(pid int, path string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if target, _ := os.Readlink(link); target == path {
			return true
		}
	}
	return false
}

// expectStopWithin sends SIGTERM and checks that the stop takes at most twice the deadline.
// The second half is for a busy machine.
func (s *supervisor) expectStopWithin(deadline time.Duration, ends func()) {
	s.t.Helper()
	began := time.Now()
	s.signal(unix.SIGTERM)
	ends()
	if took := time.Since(began); took > 2*deadline {
		s.t.Errorf("the stop took %v, want at most %v", took, 2*deadline)
	}
}

func TestStopDuringEndlessExecve(t *testing.T) {
	s := start(t, `shutdown { deadline = "4s" }
child "held" {
  command = "`+compileC(t, heldExecve)+`"
  kill_timeout = "500ms"
}
`+fixture("other", "sleep", ""))
	s.awaitLine("[held] executes")
	s.awaitLine("[other] ready")
	pid := s.awaitEntry("child spawned", "child", "held").int("pid")
	await(t, "it waits in execve", func() bool {
		all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		for _, path := range all {
			if b, _ := os.ReadFile(path); strings.HasPrefix(string(b),
				fmt.Sprint(unix.SYS_EXECVE, " ")) {
				return true
			}
		}
		return false
	})
	s.expectStopWithin(4*time.Second, func() {
		e := s.expectStop(124, "forced")
		if e.int("killed") == 0 {
			t.Errorf("got %v, want at least one kill", e)
		}
	})
	s.awaitEntry("child reaped", "child", "other", "code", 0, "proof", "exact")
	s.awaitEntry("child reaped", "child", "held", "proof", "sampled")
	if e := s.awaitEntry("proof unavailable", "child",
		"held"); !strings.Contains(fmt.Sprint(e["reason"]), "execve") {
		t.Errorf("got %v, want execve in the reason", e)
	}
}

// TestNotificationWithLingeringSocket checks that closing a passed socket with SO_LINGER of
// ten minutes, sent by a process that is no child, does not delay the stop.
func TestNotificationWithLingeringSocket(t *testing.T) {
	s := start(t, `shutdown { deadline = "4s" }`+"\n"+fixture("n", "notify",
		"ready { notify = true }"))
	s.awaitLine("[n] socket")
	line, _, err := s.output.find(0, func(line string) bool {
		return strings.Contains(line, "socket ")
	})
	if err != nil {
		t.Fatal(err)
	}
	_, name, _ := strings.Cut(line, "socket ")
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	for range 4 {
		fd, drop := lingeringSocket(t)
		defer drop()
		if err := unix.Sendmsg(c, []byte("X=1"), unix.UnixRights(fd),
			&unix.SockaddrUnix{Name: name}, 0); err != nil {
			t.Fatal(err)
		}
		// The message still holds the socket, so this close rarely blocks. If it does, it blocks
		// beside the test.
		go unix.Close(fd)
	}
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child ready", "child", "n")
	s.expectStopWithin(4*time.Second, func() { s.expectStop(0, "graceful") })
}

// lingeringSocket returns a TCP socket with unread bytes. drop resets the connection from the
// other end.
func lingeringSocket(t *testing.T) (fd int, drop func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.SetsockoptInt(l, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048))
	must(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(l, 1))
	at, err := unix.Getsockname(l)
	must(err)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	must(unix.Connect(fd, at))
	peer, _, err := unix.Accept(l)
	must(err)
	must(unix.SetNonblock(fd, true))
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<16))
	}
	must(unix.SetNonblock(fd, false))
	must(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER,
		&unix.Linger{Onoff: 1, Linger: 600}))
	return fd, func() {
		_ = unix.SetsockoptLinger(peer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(peer)
		_ = unix.Close(l)
	}
}

// TestReloadTooExpensiveToEvaluate checks that a file of two kilobytes that takes minutes to
// evaluate is refused and does not delay the stop.
func TestReloadTooExpensiveToEvaluate(t *testing.T) {
	good := `shutdown { deadline = "4s" }` + "\n" + fixture("a", "sleep", "")
	s := start(t, good)
	s.awaitLine("[a] ready")
	s.reload(good + `locals {
  b    = "` + strings.Repeat("b", 1000) + `"
  e    = "` + strings.Repeat("é", 500) + `"
  text = join("", [for i in range(900): local.b])
  cut  = join("", concat([for i in range(900): local.e], ["b"]))
}
child "x" {
  command = "/bin/true"
  env     = { A = strlen(trim(local.text, local.cut)) }
}
`)
	if e := s.awaitEntry("config rejected"); !strings.Contains(fmt.Sprint(e["diagnostics"]),
		"Too many evaluation steps") {
		t.Errorf("got %v, want \"Too many evaluation steps\" in the diagnostics", e)
	}
	s.expectStopWithin(4*time.Second, func() { s.expectStop(0, "graceful") })
}

// TestStopDuringBlockedReload checks that a file system that does not answer during a reload
// does not delay the stop.
func TestStopDuringBlockedReload(t *testing.T) {
	good := `shutdown { deadline = "4s" }` + "\n" + fixture("a", "sleep", "")
	for _, args := range [][]string{nil, {"--watch"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			file, free := silentFile(t)
			defer free()
			s := start(t, good, args...)
			s.awaitLine("[a] ready")
			s.reload(good + `child "x" {
  command  = "/bin/true"
  env_file = "` + file + `"
}
`)
			await(t, "the file is read", func() bool { return hasOpen(s.pid, file) })
			s.expectStopWithin(4*time.Second, func() { s.expectStop(0, "graceful") })
			s.awaitEntry("reload ignored", "reason", "a stop began while the file was read")
		})
	}
}

// TestStopDuringBlockedFirstLoad checks the same for the first load, when no child runs yet.
func TestStopDuringBlockedFirstLoad(t *testing.T) {
	file, free := silentFile(t)
	defer free()
	s := start(t, fixture("a", "sleep", `env_file = "`+file+`"`))
	await(t, "the file is read", func() bool { return hasOpen(s.pid, file) })
	s.expectStopWithin(limit/6, func() {
		if code := s.exitCode(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	})
	lines := strings.Split(strings.TrimSpace(s.log.text()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "shutdown complete: spawned=0") ||
		!strings.Contains(last, "verdict=graceful") {
		t.Errorf("got the last line %q, want shutdown complete with spawned=0 and verdict=graceful",
			last)
	}
}

// childInExecve reports whether a child of the supervisor is in execve.
func (s *supervisor) childInExecve() bool {
	for _, pid := range childPIDs(s.pid) {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid)); strings.HasPrefix(string(b),
			fmt.Sprint(unix.SYS_EXECVE, " ")) {
			return true
		}
	}
	return false
}

// TestStopDuringBlockedSpawn checks that other children stop gracefully while the file system
// of a command does not answer.
func TestStopDuringBlockedSpawn(t *testing.T) {
	file, free := silentFile(t)
	defer free()
	good := `shutdown { deadline = "4s" }` + "\n" + fixture("a", "sleep", "")
	s := start(t, good)
	s.awaitLine("[a] ready")
	s.reload(good + "child \"x\" {\n  command = \"" + file + "\"\n  kill_timeout = \"500ms\"\n}\n")
	await(t, "its program is read", s.childInExecve)
	s.expectStopWithin(4*time.Second, func() {
		if code := s.exitCode(); code != 0 && code != 124 {
			t.Errorf("exit code %d, want 0 or 124", code)
		}
	})
	s.awaitEntry("child reaped", "child", "a", "code", 0, "proof", "exact")
	e := s.awaitEntry("shutdown complete")
	if e.int("spawned") != e.int("reaped") || e.int("fds_opened") != e.int("fds_closed") {
		t.Errorf("got %v, want spawned = reaped and fds_opened = fds_closed", e)
	}
}

// TestStopDuringBlockedLogFile checks that a log file on a file system that does not answer keeps
// no stop from its end, and that the log says why a descriptor of it is still open. The file is
// opened before the first child starts.
func TestStopDuringBlockedLogFile(t *testing.T) {
	file, free := silentFile(t)
	defer free()
	const deadline = 2 * time.Second
	s := start(t, fmt.Sprintf("shutdown { deadline = \"%v\" }\n", deadline)+
		fixture("a", "sleep", "logs { stdout = \""+file+"\" }"))
	await(t, "the log file is opened", func() bool { return hasOpen(s.pid, file) })
	s.expectStopWithin(deadline, func() {
		if code := s.exitCode(); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	})
	e := s.awaitEntry("internal fault")
	reason := fmt.Sprint(e["reason"])
	if !strings.HasSuffix(reason, "its file system does not respond: "+file) {
		t.Errorf("got the reason %q, want one with the path of the log file", reason)
	}
	s.awaitEntry("shutdown complete", "killed", 0, "spawned", 0)
}

// TestLastGuard blocks the process loop: the file system of a probe's command does not answer,
// so fork does not return. The last guard must end the stop.
func TestLastGuard(t *testing.T) {
	file, free := silentFile(t)
	defer free()
	const deadline = 2 * time.Second
	gate := filepath.Join(t.TempDir(), "gate") // a is ready once it can read a line
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	a := fmt.Sprintf("shutdown { deadline = \"%v\" }\n", deadline) +
		shell("a", "trap '' TERM; (trap '' TERM; setsid sleep 1000 & echo descendant $!); "+
			"read line < "+gate+"; echo up; sleep 1000 & wait",
			"ready {\nlog = \"up\"\ntimeout = \"1h\"\n}") +
		shell("c", "exit 1", "on_failure = \"ignore\"\nrestart { on = \"never\" }")
	s := start(t, a+fixture("b", "sleep", "depends_on = [\"a\"]\nready { exec = [\""+file+"\"] }"))
	s.awaitEntry("child failed", "child", "c") // before b, which blocks the process loop
	writer, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
	s.awaitLine("[a] up")
	descendant := s.printedNumber("descendant")
	await(t, "its program is read", s.childInExecve)
	s.expectStopWithin(deadline, func() {
		if code := s.exitCode(); code != 124 {
			t.Errorf("exit code %d, want 124", code)
		}
	})
	e := s.awaitEntry("shutdown complete", "verdict", "forced", "failed", "[c]")
	if e.int("spawned") != e.int("reaped") || e.int("deadline_ms") != int(deadline.Milliseconds()) {
		t.Errorf("got %v, want spawned = reaped and deadline_ms=2000", e)
	}
	if err := unix.Kill(descendant, 0); err != unix.ESRCH {
		t.Errorf("the process in another session has not ended: %v", err)
	}
}

// childPIDs returns the children of all threads of a process.
func childPIDs(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range files {
		b, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(b)) {
			var n int
			if _, err := fmt.Sscan(word, &n); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}
