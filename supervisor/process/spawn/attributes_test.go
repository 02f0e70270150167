package spawn

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/process/ptrace"
)

const unlimited = unix.RLIM_INFINITY

func limit(number int, soft, hard uint64) Attributes {
	return Attributes{Limits: map[int]unix.Rlimit{number: {Cur: soft, Max: hard}}}
}

// attributeTest is attributes, and a line of a file of /proc/PID that shows them.
type attributeTest struct {
	give             Attributes
	file, word, want string
}

// attributeTests returns the tests by name. For a child without an attribute, the line is that of
// the supervisor.
func attributeTests(t *testing.T) map[string]attributeTest {
	user := Attributes{UID: is(uint32(65534)), GID: is(uint32(7))}
	groups := Attributes{GID: is(uint32(7)), Groups: []uint32{7, 9, 4242}}
	ownPrivs := lineOf(t, os.Getpid(), "status", "NoNewPrivs:")
	// Go raises this limit for itself, in the start verb too. The child must have the limit of a
	// child that does not need the start verb.
	ownFiles := lineOf(t, mustStart(t, sleep(t, Attributes{})), "limits", "Max open files")
	return map[string]attributeTest{
		"umask":     {Attributes{Umask: is(0o027)}, "status", "Umask:", "Umask: 0027"},
		"umask 0":   {Attributes{Umask: is(0)}, "status", "Umask:", "Umask: 0000"},
		"oom":       {Attributes{OOMScoreAdj: is(321)}, "oom_score_adj", "", "321"},
		"nnp":       {Attributes{NoNewPrivs: true}, "status", "NoNewPrivs:", "NoNewPrivs: 1"},
		"no nnp":    {Attributes{Umask: is(0)}, "status", "NoNewPrivs:", ownPrivs},
		"uid":       {user, "status", "Uid:", "Uid: 65534 65534 65534 65534"},
		"gid":       {user, "status", "Gid:", "Gid: 7 7 7 7"},
		"no groups": {user, "status", "Groups:", "Groups:"},
		"groups":    {groups, "status", "Groups:", "Groups: 7 9 4242"},
		"no caps":   {user, "status", "CapEff:", "CapEff: 0000000000000000"},
		"nofile": {
			limit(unix.RLIMIT_NOFILE, 100, 200),
			"limits", "Max open files", "Max open files 100 200 files",
		},
		"no nofile": {Attributes{Umask: is(0)}, "limits", "Max open files", ownFiles},
		"as": {
			limit(unix.RLIMIT_AS, 64<<20, 64<<20),
			"limits", "Max address space", "Max address space 67108864 67108864 bytes",
		},
		"data": {
			limit(unix.RLIMIT_DATA, 8<<20, unlimited),
			"limits", "Max data size", "Max data size 8388608 unlimited bytes",
		},
		"stack": {
			limit(unix.RLIMIT_STACK, 1<<20, unlimited),
			"limits", "Max stack size", "Max stack size 1048576 unlimited bytes",
		},
		"core": {
			limit(unix.RLIMIT_CORE, 0, 0),
			"limits", "Max core file size", "Max core file size 0 0 bytes",
		},
		"cpu": {
			limit(unix.RLIMIT_CPU, 60, 61),
			"limits", "Max cpu time", "Max cpu time 60 61 seconds",
		},
		"fsize": {
			limit(unix.RLIMIT_FSIZE, 0, unlimited),
			"limits", "Max file size", "Max file size 0 unlimited bytes",
		},
	}
}

// TestAttributes reads the attributes of a child back.
func TestAttributes(t *testing.T) {
	needs.Check(t, "root")
	for name, tt := range attributeTests(t) {
		t.Run(name, func(t *testing.T) {
			pid := mustStart(t, sleep(t, tt.give))
			if got := lineOf(t, pid, tt.file, tt.word); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := lineOf(t, pid, "comm", ""); got != "sleep" {
				t.Errorf("the command is %s when the barrier is released, want sleep", got)
			}
		})
	}
}

func TestNice(t *testing.T) {
	pid := mustStart(t, sleep(t, Attributes{Nice: is(7)}))
	// The raw system call returns 20-nice, getpriority(2).
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || 20-p != 7 {
		t.Errorf("got nice %d, %v, want 7", 20-p, err)
	}
}

// TestFewProcesses sets RLIMIT_NPROC to 1 for a user. The threads of the start verb must not count
// for the user.
func TestFewProcesses(t *testing.T) {
	needs.Check(t, "root")
	user := is(uint32(1_987_654_321)) // a user without processes
	pid := mustStart(t, sleep(t, Attributes{
		UID: user, GID: user, Limits: map[int]unix.Rlimit{unix.RLIMIT_NPROC: {Cur: 1, Max: 1}},
	}))
	if got := lineOf(t, pid, "limits", "Max processes"); got != "Max processes 1 1 processes" {
		t.Errorf("got %q, want a limit of 1", got)
	}
}

// TestSignalsOfChild reads the dispositions and the mask of a child back.
func TestSignalsOfChild(t *testing.T) {
	s := sleep(t, Attributes{})
	s.Ignored = Signals(0).With(unix.SIGUSR2).With(unix.SIGHUP)
	s.Blocked = is(Signals(0).With(unix.SIGTERM))
	pid := mustStart(t, s)
	// A parent that uses posix_spawn(3), such as make, leaves signals 32 and 33 ignored. They
	// belong to the C library.
	const compared = 1<<31 - 1
	for word, want := range map[string]uint64{"SigIgn:": 0x801, "SigBlk:": 0x4000} {
		line := lineOf(t, pid, "status", word)
		got, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(line, word)), 16, 64)
		if err != nil || got&compared != want {
			t.Errorf("got %s, want %#x", line, want)
		}
	}
}

// TestStartFails checks that an error names the step that failed, with its errno.
func TestStartFails(t *testing.T) {
	program := t.TempDir() + "/p"
	if err := os.WriteFile(program, []byte("#!/nowhere\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("/x", unix.PathMax/2) // too long for every file system
	umask := Attributes{Umask: is(0)}
	limits := Attributes{Limits: map[int]unix.Rlimit{7: {Cur: 2, Max: 1}}}
	for want, tt := range map[string]struct {
		a     Attributes
		path  string
		errno unix.Errno
	}{
		"cannot execute /not/there: no such file or directory": {umask, "/not/there", unix.ENOENT},
		"cannot execute /etc/passwd: permission denied": {
			umask, "/etc/passwd", unix.EACCES,
		},
		`cannot execute .*/p: The script ".*/p" needs the interpreter "/nowhere". ` +
			`"/nowhere" does not exist`: {umask, program, unix.ENOENT},
		"cannot set resource limit 7 to 2, 1: invalid argument": {limits, "/bin/true", unix.EINVAL},
		"cannot set oom_score_adj to 2000: invalid argument": {
			Attributes{OOMScoreAdj: is(2000)}, "/bin/true", unix.EINVAL,
		},
		"cannot execute [/x]+: file name too long": {umask, long, unix.ENAMETOOLONG},
	} {
		t.Run(want, func(t *testing.T) {
			s := sleep(t, tt.a)
			s.Path, s.Argv = tt.path, []string{tt.path}
			_, err := start(t, s)
			if err == nil || !errors.Is(err, tt.errno) ||
				!regexp.MustCompile("^"+want+"$").MatchString(err.Error()) {
				t.Errorf("got error %v, want %s", err, want)
			}
		})
	}
}

// TestForkFails checks that the error is that of fork or exec without the start verb.
func TestForkFails(t *testing.T) {
	s := sleep(t, Attributes{})
	s.Path = "/not/there"
	if _, err := start(t, s); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got error %v, want ENOENT", err)
	}
}

// TestProbeAttributes checks that a probe has the attributes of its child, and a process group of
// its own.
func TestProbeAttributes(t *testing.T) {
	needs.Check(t, "root")
	for name, tt := range attributeTests(t) {
		t.Run(name, func(t *testing.T) {
			pid, err := startAs(t, sleep(t, tt.give), PrepareProbe)
			if err != nil {
				t.Fatal(err)
			}
			if got := lineOf(t, pid, tt.file, tt.word); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if group, err := unix.Getpgid(pid); err != nil || group != pid {
				t.Errorf("got process group %d, %v, want %d", group, err, pid)
			}
			if got := lineOf(t, pid, "environ", ""); got != "A=b\x00" {
				t.Errorf("got environment %q, want A=b", got)
			}
		})
	}
}

// TestProbeNeedsNoStartVerb checks that a probe with a user alone is executed by the fork: the
// start verb would cost some milliseconds for each probe.
func TestProbeNeedsNoStartVerb(t *testing.T) {
	for want, a := range map[bool]Attributes{
		false: {UID: is(uint32(7)), GID: is(uint32(7)), Groups: []uint32{7}},
		true:  {UID: is(uint32(7)), NoNewPrivs: true},
	} {
		p, err := PrepareProbe(sleep(t, a), newLedger(t))
		if err != nil {
			t.Fatal(err)
		}
		if p.Barrier != nil {
			p.CloseChildEnd()
			p.Barrier.Close()
		}
		if got := p.Barrier != nil; got != want {
			t.Errorf("%+v: start verb %t, want %t", a, got, want)
		}
	}
}

// TestParentDeathSignal ends the thread that forked a process: a child gets SIGTERM, a probe
// SIGKILL, also if the start verb changes the user, which clears the signal.
func TestParentDeathSignal(t *testing.T) {
	needs.Check(t, "root")
	for _, tt := range []struct {
		prepare prepare
		want    unix.Signal
	}{{Prepare, unix.SIGTERM}, {PrepareProbe, unix.SIGKILL}} {
		for _, a := range []Attributes{
			{}, {Umask: is(0)}, {UID: is(uint32(65534)), Umask: is(0)}, {UID: is(uint32(65534))},
		} {
			var pid int
			var err error
			onThreadThatEnds(func() { pid, err = startAs(t, sleep(t, a), tt.prepare) })
			if err != nil {
				t.Fatal(err)
			}
			var end ptrace.Siginfo
			_ = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			err = ptrace.Waitid(unix.P_PID, pid, &end, unix.WEXITED|unix.WNOWAIT)
			if err != nil || unix.Signal(end.Status) != tt.want {
				t.Errorf("%+v: got %+v, %v, want %v", a, end, err, tt.want)
			}
		}
	}
}

// onThreadThatEnds calls do on a thread that ends afterwards.
func onThreadThatEnds(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without an unlock, the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			onThreadThatEnds(do) // the main thread never ends
			return
		}
		do()
	}()
	<-done
}

func TestCredential(t *testing.T) {
	const uid, gid = 11, 12 // the supervisor's own
	for name, tt := range map[string]struct {
		give Attributes
		nil  bool
		u, g uint32
	}{
		"nothing": {Attributes{Umask: is(0)}, true, 0, 0},
		"user":    {Attributes{UID: is(uint32(7))}, false, 7, gid},
		"group":   {Attributes{GID: is(uint32(8))}, false, uid, 8},
		"both":    {Attributes{UID: is(uint32(7)), GID: is(uint32(8))}, false, 7, 8},
	} {
		c := tt.give.credential(uid, gid)
		if (c == nil) != tt.nil || c != nil && (c.Uid != tt.u || c.Gid != tt.g) {
			t.Errorf("%s: got %+v, want uid %d, gid %d, nil %v", name, c, tt.u, tt.g, tt.nil)
		}
	}
}

// TestWorkingDirectory checks that the working directory is entered with the rights of the user of
// the child, and that a directory that does not exist is named.
func TestWorkingDirectory(t *testing.T) {
	needs.Check(t, "root")
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	nobody := Attributes{UID: is(uint32(65534)), GID: is(uint32(65534))}
	for want, tt := range map[string]struct {
		dir   string
		errno unix.Errno
	}{
		private + ": permission denied":        {private, unix.EACCES},
		"/none/dir: no such file or directory": {"/none/dir", unix.ENOENT},
	} {
		s := sleep(t, nobody)
		s.Dir = tt.dir
		want = "cannot change to the directory " + want
		if _, err := start(t, s); err == nil || err.Error() != want || !errors.Is(err, tt.errno) {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
}
