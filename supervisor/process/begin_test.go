package process

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// with spawns a program with attributes, and does not wait.
func (b *bench) with(a Attributes, argv ...string) RunID {
	b.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { null.Close() })
	b.next++
	b.Spawn(b.next, Spec{Name: argv[0], Path: argv[0], Argv: argv, Env: []string{"A=b"}, Attributes: a,
		Stdin: int(null.Fd()), Stdout: int(null.Fd()), Stderr: int(null.Fd())})
	return b.next
}

// fact returns the lines of a file of a process that begin with a word, with
// single spaces.
func fact(t *testing.T, pid int, file, word string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, word) {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

func is[T any](v T) *T { return &v }

// What was asked for is read back from a real child.
func TestAttributes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test changes users: it must be run as root")
	}
	limits := func(number int, soft, hard uint64) Attributes {
		return Attributes{Limits: map[int]unix.Rlimit{number: {Cur: soft, Max: hard}}}
	}
	const none = unix.RLIM_INFINITY
	own := func(file, word string) string { return fact(t, os.Getpid(), file, word) }
	for name, tt := range map[string]struct {
		give             Attributes
		file, word, want string
	}{
		"umask":          {Attributes{Umask: is(0o027)}, "status", "Umask:", "Umask: 0027"},
		"umask of none":  {Attributes{Umask: is(0)}, "status", "Umask:", "Umask: 0000"},
		"oom":            {Attributes{OOMScoreAdj: is(321)}, "oom_score_adj", "", "321"},
		"nnp":            {Attributes{NoNewPrivs: true}, "status", "NoNewPrivs:", "NoNewPrivs: 1"},
		"no nnp":         {Attributes{Umask: is(0)}, "status", "NoNewPrivs:", own("status", "NoNewPrivs:")},
		"uid":            {Attributes{UID: is(uint32(65534)), GID: is(uint32(7))}, "status", "Uid:", "Uid: 65534 65534 65534 65534"},
		"gid":            {Attributes{UID: is(uint32(65534)), GID: is(uint32(7))}, "status", "Gid:", "Gid: 7 7 7 7"},
		"no groups":      {Attributes{UID: is(uint32(65534)), GID: is(uint32(7))}, "status", "Groups:", "Groups:"},
		"groups":         {Attributes{GID: is(uint32(7)), Groups: []uint32{7, 9, 4242}}, "status", "Groups:", "Groups: 7 9 4242"},
		"no rights":      {Attributes{UID: is(uint32(65534)), GID: is(uint32(7))}, "status", "CapEff:", "CapEff: 0000000000000000"},
		"nofile":         {limits(unix.RLIMIT_NOFILE, 100, 200), "limits", "Max open files", "Max open files 100 200 files"},
		"nofile as ours": {Attributes{Umask: is(0)}, "limits", "Max open files", ""}, // see below
		"as":             {limits(unix.RLIMIT_AS, 64<<20, 64<<20), "limits", "Max address space", "Max address space 67108864 67108864 bytes"},
		"data":           {limits(unix.RLIMIT_DATA, 8<<20, none), "limits", "Max data size", "Max data size 8388608 unlimited bytes"},
		"stack":          {limits(unix.RLIMIT_STACK, 1<<20, none), "limits", "Max stack size", "Max stack size 1048576 unlimited bytes"},
		"core":           {limits(unix.RLIMIT_CORE, 0, 0), "limits", "Max core file size", "Max core file size 0 0 bytes"},
		"cpu":            {limits(unix.RLIMIT_CPU, 60, 61), "limits", "Max cpu time", "Max cpu time 60 61 seconds"},
		"fsize":          {limits(unix.RLIMIT_FSIZE, 0, none), "limits", "Max file size", "Max file size 0 unlimited bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if name == "nofile as ours" { // Go raises it for itself, for the start verb too; children must not see that
				id := b.with(Attributes{}, "/bin/sleep", "1000")
				tt.want = fact(t, wait(b, func(s Spawned) bool { return s.Run == id }).Pid, tt.file, tt.word)
			}
			id := b.with(tt.give, "/bin/sleep", "1000")
			pid := wait(b, func(s Spawned) bool { return s.Run == id }).Pid
			if got := fact(t, pid, tt.file, tt.word); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got := fact(t, pid, "comm", ""); got != "sleep" {
				t.Errorf("it is %s when it counts as spawned", got)
			}
		})
	}
}

func TestNice(t *testing.T) {
	b := newBench(t)
	id := b.with(Attributes{Nice: is(7)}, "/bin/sleep", "1000")
	pid := wait(b, func(s Spawned) bool { return s.Run == id }).Pid
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || 20-p != 7 { // getpriority(2): the raw call gives 20-nice
		t.Errorf("nice %d, %v", 20-p, err)
	}
}

// A tight limit of processes holds for the command alone: the threads of the
// start verb are none of the user's.
func TestFewProcesses(t *testing.T) {
	b := newBench(t)
	const nobodys = 1_987_654_321
	id := b.with(Attributes{UID: is(uint32(nobodys)), GID: is(uint32(nobodys)), Limits: map[int]unix.Rlimit{unix.RLIMIT_NPROC: {Cur: 1, Max: 1}}}, "/bin/sleep", "1000")
	pid := wait(b, func(s Spawned) bool { return s.Run == id }).Pid
	if got := fact(t, pid, "limits", "Max processes"); got != "Max processes 1 1 processes" {
		t.Error(got)
	}
}

// What fails is said in words, and there was no run.
func TestStartFails(t *testing.T) {
	closed := t.TempDir()
	program := closed + "/p"
	if err := os.WriteFile(program, []byte("#!/nowhere\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for want, tt := range map[string]struct {
		a     Attributes
		path  string
		errno unix.Errno
	}{
		"cannot execute /not/there: no such file or directory":                 {Attributes{Umask: is(0)}, "/not/there", unix.ENOENT},
		"cannot execute /etc/passwd: permission denied":                        {Attributes{Umask: is(0)}, "/etc/passwd", unix.EACCES},
		"cannot execute .*/p: no such file or directory":                       {Attributes{Umask: is(0)}, program, unix.ENOENT},
		"cannot set resource limit 7 to 2, 1: invalid argument":                {Attributes{Limits: map[int]unix.Rlimit{7: {Cur: 2, Max: 1}}}, "/bin/true", unix.EINVAL},
		"cannot set oom_score_adj to 2000: invalid argument":                   {Attributes{OOMScoreAdj: is(2000)}, "/bin/true", unix.EINVAL},
		"cannot execute /" + strings.Repeat("x", 400) + ": file name too long": {Attributes{Umask: is(0)}, "/" + strings.Repeat("x", 400), unix.ENAMETOOLONG},
	} {
		t.Run(want, func(t *testing.T) {
			b := newBench(t)
			id := b.with(tt.a, tt.path)
			f := wait(b, func(f SpawnFailed) bool { return f.Run == id })
			if !regexp.MustCompile("^"+want+"$").MatchString(f.Err.Error()) || !errors.Is(f.Err, tt.errno) {
				t.Error(f.Err)
			}
			for _, other := range b.left {
				if _, ok := other.(Spawned); ok {
					t.Error("it counts as spawned")
				}
			}
		})
	}
}
