package fdledger

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/fixture/piped"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

func TestRuntimes(t *testing.T) {
	var r Runtimes
	for range 2 { // detected, then cached
		if got, _ := r.Of(os.Getpid()); got != Go {
			t.Errorf("runtime of this test: %q, want go", got)
		}
	}
	if got, _ := r.Of(0); got != Unknown {
		t.Errorf("runtime of pid 0: %q, want none", got)
	}
}

func TestRuntimeByName(t *testing.T) {
	for path, want := range map[string]Runtime{
		"/usr/bin/python3.11":                      Python,
		"/usr/bin/python":                          Python,
		"/usr/bin/python3.11 (deleted)":            Python,
		"/usr/lib/jvm/java-17-openjdk/bin/java":    Java,
		"/usr/bin/node":                            Node,
		"/usr/bin/ruby3.1":                         Ruby,
		"/usr/bin/php8.2":                          PHP,
		"/usr/sbin/php-fpm8.2":                     Unknown,
		"/usr/bin/bash":                            Bash,
		"/bin/dash":                                Dash,
		"/bin/busybox":                             BusyBox,
		"/usr/lib/erlang/erts-13.1.5/bin/beam.smp": Erlang,
		"/usr/bin/pythonista":                      Unknown,
		"/srv/python3/3.11":                        Unknown,
		"/srv/nodes":                               Unknown,
		"/usr/lib/jvm/java-17-openjdk/bin/javac":   Unknown,
		"/usr/lib/node/server":                     Unknown,
		"/usr/local/java/bin/nobody knows (java)":  Unknown,
	} {
		if got := runtimeByName(path); got != want {
			t.Errorf("runtime of %s: %q, want %q", path, got, want)
		}
	}
}

// TestIdleInterpreters checks that no descriptor of an interpreter counts whose program does
// nothing.
func TestIdleInterpreters(t *testing.T) {
	java := filepath.Join(t.TempDir(), "Idle.java")
	source := `public class Idle { public static void main(String[] a) throws Exception {
		var s = new java.net.ServerSocket(0); s.close(); new java.security.SecureRandom().nextInt();
		System.out.println("up"); System.in.read(); } }`
	if err := os.WriteFile(java, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		runtime Runtime
		build   []string
		run     []string
	}{
		{Python, nil, []string{"python3", "-c", idlePython}},
		{Node, nil, []string{"node", "-e", idleNode}},
		{Java, []string{"javac", java}, []string{"java", "-cp", filepath.Dir(java), "Idle"}},
		{Ruby, nil, []string{"ruby", "-e", idleRuby}},
		{PHP, nil, []string{"php", script(t, "idle.php", idlePHP)}},
		{Bash, nil, []string{"bash", script(t, "idle.sh", idleShell)}},
		{Dash, nil, []string{"dash", script(t, "idle.sh", idleShell)}},
		{BusyBox, nil, []string{"busybox", "sh", script(t, "idle.sh", idleShell)}},
		{Bash, nil, []string{"bash", "-c", idleSubstitution}},
		{Dash, nil, []string{"dash", "-c", idleSubstitution}},
		{BusyBox, nil, []string{"busybox", "sh", "-c", idleSubstitution}},
		{Erlang, nil, []string{"erl", "-noshell", "-eval", idleErlang}},
	} {
		t.Run(string(tt.runtime), func(t *testing.T) {
			needs.Check(t, string(tt.runtime))
			if tt.build != nil {
				if out, err := exec.Command(
					tt.build[0], tt.build[1:]...,
				).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v: %s", tt.build, err, out)
				}
			}
			pid := start(t, tt.run)
			var r Runtimes
			if runtime := first(r.Of(pid)); runtime != tt.runtime {
				t.Fatalf("runtime of %v: %q, want %q", tt.run, runtime, tt.runtime)
			}
			// Other threads can still start, with a file open for a moment.
			for tries := 0; ; tries++ {
				lines, _, left := compared(nil, tableOf(t, pid), tt.runtime)
				if left == 0 {
					break
				}
				if tries == 100 {
					t.Fatalf("%d of its descriptors count: %+v", left, lines)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// The programs print a line and wait for the end of standard input. idleShell does so in a
// block with a redirection, so that the shell has a copy of a standard stream. idleSubstitution
// also waits for a command substitution.
const (
	idlePython = `import sys, random, secrets; secrets.token_bytes(1); print("up", flush=True); ` +
		`sys.stdin.read()`
	idleNode = `require("crypto").randomBytes(1)
		const s = require("net").createServer().listen(0, () => s.close(() => {
			require("fs").writeSync(1, "up\n"); setTimeout(() => {}, 60000) }))`
	idleRuby = `require "socket"; TCPServer.new("127.0.0.1", 0).close; Random.urandom(4)
		Thread.new { sleep }; $stdout.puts "up"; $stdout.flush; $stdin.read`
	idlePHP          = `<?php random_bytes(2); echo "up\n"; stream_get_contents(STDIN);`
	idleShell        = `{ echo up; read line; } 2>/dev/null`
	idleSubstitution = `{ x=$(echo up >&2; cat); } 2>&1`
	idleErlang       = `io:format("up~n"), timer:sleep(60000).`
)

// script writes a program to a file and returns its path.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inherited returns the descriptors that the process which started this test passes on to its
// descendants.
func inherited(t *testing.T) map[int]bool {
	fds, err := procfs.OwnFDs()
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]bool{}
	for _, f := range fds {
		if flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0); err == nil &&
			flags&unix.FD_CLOEXEC == 0 {
			all[f.Num] = !f.IsStandard()
		}
	}
	return all
}

// start starts a program, waits until it prints "up", and returns its pid. It is killed at the end
// of the test.
func start(t *testing.T, argv []string) int {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	_, out := piped.Start(t, cmd)
	if line, err := out.ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("%v printed %q, %v, want up", argv, line, err)
	}
	return cmd.Process.Pid
}

// tableOf returns the descriptors of a process, without those that it inherited from this test.
func tableOf(t *testing.T, pid int) []procfs.FD {
	t.Helper()
	fds, err := procfs.ReadFDs(pid, pid)
	if err != nil && err != procfs.ErrTableChanged {
		t.Fatal(err)
	}
	sockets, err := sockdiag.List()
	if err != nil {
		t.Fatal(err)
	}
	procfs.Resolve(fds, sockets)
	ours := inherited(t)
	return slices.DeleteFunc(fds, func(f procfs.FD) bool { return ours[f.Num] })
}

func file(num int, target, mode string) procfs.FD {
	return procfs.FD{
		Num: num, Kind: "file", Target: target, Detail: procfs.FDDetail{Mode: mode},
	}
}

var unixPair = procfs.FD{
	Num: 9, Kind: "socket", Target: "unix (unnamed)",
	Detail: procfs.FDDetail{State: "established"},
}

// programs have descriptors beside those of their runtime; left is the number that counts.
var programs = []struct {
	runtime Runtime
	fds     []procfs.FD
	left    int
}{
	{Python, []procfs.FD{file(3, "/dev/urandom", "r"), fd(4, "epoll", ""), unixPair}, 3},
	{
		Java,
		[]procfs.FD{
			file(3, "/j/lib/modules", "r"), file(4, "/a.jar", "r"), file(5, "/b.jar", "r"),
		},
		0,
	},
	{
		Java,
		[]procfs.FD{
			file(3, "/a.jar", "rw"), fd(4, "epoll", ""), fd(5, "eventfd", ""), unixPair,
		},
		4,
	},
	{
		Java,
		[]procfs.FD{
			file(3, "/dev/random", "r"), file(4, "/dev/urandom", "r"),
			file(5, "/dev/urandom", "r"),
		},
		1,
	},
	{
		Java,
		[]procfs.FD{
			fd(3, "memfd", "/memfd:java_heap (deleted)"),
			fd(4, "memfd", "/memfd:mine (deleted)"),
		},
		1,
	},
	{
		Node,
		slices.Concat(
			many(10, "epoll", 4), many(20, "eventfd", 4), many(30, "pipe", 9),
			many(40, "io_uring", 7),
		),
		4,
	},
	{
		Bash,
		[]procfs.FD{
			file(3, "/in", "r"), file(10, "/log", "w"), own(file(11, "/dev/pts/0", "rw")),
			fd(63, "pipe", "pipe:[1]"), own(file(255, "/run.sh", "r")),
		},
		3,
	},
	{
		Dash,
		[]procfs.FD{
			file(3, "/in", "r"), own(file(10, "/run.sh", "r")), fd(11, "pipe", "pipe:[1]"),
			fd(4, "pipe", "pipe:[2]"), fd(5, "pipe", "pipe:[2]"),
			fd(6, "pipe", "pipe:[3]"),
		},
		2,
	},
	{
		BusyBox,
		[]procfs.FD{file(12, "/in", "r"), own(file(10, "/run.sh", "r"))},
		1,
	},
	{Ruby, many(3, "eventfd", 3), 1},
	{Ruby, []procfs.FD{fd(3, "epoll", ""), fd(4, "pipe", "pipe:[1]"), unixPair}, 3},
	{
		PHP,
		[]procfs.FD{
			file(3, "/srv/index.php", "r"), file(4, "/srv/lock", "rw"), file(5, "/etc/x.ini", "r"),
		},
		2,
	},
	{
		Erlang,
		slices.Concat(
			many(10, "epoll", 3), many(20, "timerfd", 3), many(30, "pipe", 9),
			[]procfs.FD{unixPair, file(3, "/dev/null", "r"), file(4, "/db", "r")},
		),
		4,
	},
	{
		Tokio,
		slices.Concat(
			many(10, "epoll", 3), many(20, "eventfd", 2), []procfs.FD{unixPair},
			[]procfs.FD{fd(8, "socket", "tcp 0.0.0.0:80 listen"), fd(7, "pipe", "pipe:[1]")},
		),
		4,
	},
	{Unknown, []procfs.FD{file(3, "/lib/x86_64-linux-gnu/libc.so.6", "r")}, 0},
	{
		Unknown,
		[]procfs.FD{
			file(3, "/lib/libc.so.6", "rw"), file(4, "/etc/ld.so.cache", "r"),
			file(5, "/srv/x.so", "r"), file(6, "/srv/notes.some", "r"),
		},
		3,
	},
	{
		Node,
		[]procfs.FD{
			file(3, "/dev/null", "w"), file(4, "/dev/null", "r"), file(5, "/x.js", "r"),
		},
		2,
	},
}

// TestProgramDescriptors checks that the descriptors of a program count, even those of kinds that
// its runtime has too.
func TestProgramDescriptors(t *testing.T) {
	for _, tt := range programs {
		if lines, _, left := compared(nil, tt.fds, tt.runtime); left != tt.left {
			t.Errorf("%s: %d left, want %d: %+v", tt.runtime, left, tt.left, lines)
		}
	}
}

// own returns f with close-on-exec, as a shell opens its own files.
func own(f procfs.FD) procfs.FD {
	f.CloseOnExec = true
	return f
}

// TestTokio checks that a Rust program with tokio is found.
func TestTokio(t *testing.T) {
	needs.Check(t, "sccache")
	path, err := exec.LookPath("sccache")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !hasTokio(f) {
		t.Errorf("tokio is not found in %s", path)
	}
}

func many(first int, kind string, n int) []procfs.FD {
	all := make([]procfs.FD, n)
	for i := range all {
		all[i] = fd(first+i, kind, "")
	}
	return all
}

func first(r Runtime, _ error) Runtime { return r }
