package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestActivity(t *testing.T) {
	cmd, said := start(t, "waits", func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, filepath.Join(t.TempDir(), "lock")) })
	for _, w := range strings.Fields(said) {
		call, rest, _ := strings.Cut(w, "=")
		name := "in " + call
		name = name[:min(len(name), 15)] // TASK_COMM_LEN
		var tid, fd int
		if _, err := fmt.Sscanf(rest, "%d:%d", &tid, &fd); err != nil {
			t.Fatalf("%q: %v", said, err)
		}
		var got Thread
		defer func() {
			if t.Failed() {
				t.Logf("%s: %+v", call, got)
			}
		}()
		eventually(t, "a thread sleeps in "+call, func() bool {
			all, err := ReadThreads(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			for _, th := range all {
				if th.Tid == tid {
					got = th
				}
			}
			return got.Syscall == call && got.State == 'S'
		})
		if got.FD != fd || got.Name != name || got.Wchan == "" {
			t.Errorf("%s on %d: %+v", call, fd, got)
		}
		text := got.Describe(func(n int) string { return fmt.Sprintf("the %dth", n) })
		want := fmt.Sprintf("%d %q sleeps in %s", tid, name, call)
		if fd >= 0 {
			want += fmt.Sprintf(" on fd %d (the %dth)", fd, fd)
		}
		if call == "futex" {
			want = fmt.Sprintf("%d %q waits for a lock (futex)", tid, name)
		}
		if text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	if _, err := ReadThreads(1 << 30); err == nil {
		t.Error("nobody is about something")
	}
}

func TestDescribe(t *testing.T) {
	name := func(fd int) string { return map[int]string{7: "/data/x"}[fd] }
	for want, th := range map[string]Thread{
		`14 "worker" sleeps in epoll_wait on fd 7 (/data/x)`:                        {Tid: 14, Name: "worker", State: 'S', Syscall: "epoll_wait", FD: 7, Wchan: "ep_poll"},
		`15 waits for a lock (futex)`:                                               {Tid: 15, State: 'S', Syscall: "futex", FD: -1},
		`16 uninterruptible in fsync on fd 7 (/data/x), wchan jbd2_log_wait_commit`: {Tid: 16, State: 'D', Syscall: "fsync", FD: 7, Wchan: "jbd2_log_wait_commit"},
		`17 runs`:                        {Tid: 17, State: 'R', Syscall: "running", FD: -1},
		`18 sleeps`:                      {Tid: 18, State: 'S', FD: -1},
		`19 sleeps in read on fd 3`:      {Tid: 19, State: 'S', Syscall: "read", FD: 3},
		`20 "a\nb" is stopped`:           {Tid: 20, Name: "a\nb", State: 'T', FD: -1},
		`21 has ended`:                   {Tid: 21, State: 'Z', FD: -1},
		`22 sleeps, wchan do_page_fault`: {Tid: 22, State: 'S', Wchan: "do_page_fault", FD: -1},
		`23 is stopped by a tracer`:      {Tid: 23, State: 't', Syscall: "running", FD: -1},
	} {
		if got := th.Describe(name); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParseSyscall(t *testing.T) {
	for line, want := range map[string]struct {
		name string
		fd   int
	}{
		"":                                       {"", -1},
		"running":                                {"running", -1},
		"-1 0x7ffc 0x7f":                         {"", -1},
		fmt.Sprintf("%d 0x4 0x1", unix.SYS_READ): {"read", 4},
		fmt.Sprintf("%d 0xffffffffffffffff", unix.SYS_READ): {"read", -1},
		fmt.Sprintf("%d", unix.SYS_READ):                    {"read", -1},
		fmt.Sprintf("%d 0x4", unix.SYS_FUTEX):               {"futex", -1},
		"99999 0x4":                                         {"syscall 99999", -1},
	} {
		if name, fd := parseSyscall(line); name != want.name || fd != want.fd {
			t.Errorf("%q: %q, %d", line, name, fd)
		}
	}
}

// A name may have in it whatever its owner likes.
func TestHostileNames(t *testing.T) {
	cmd, _ := start(t, "name", nil)
	pid := cmd.Process.Pid
	s, err := ReadStat(pid)
	if err != nil || s.Comm != "a) R 1 (\nb c" || s.PPid != os.Getpid() {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := ReadSignals(pid); err != nil {
		t.Error(err)
	}
	all, err := ReadThreads(pid)
	if err != nil || len(all) == 0 || all[0].Tid != pid || all[0].State == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if got := comm(pid); got != "a) R 1 (\nb c" {
		t.Errorf("its name is %q", got)
	}
	if text := all[0].Describe(func(int) string { return "" }); strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
}

func TestCPU(t *testing.T) {
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "time passes for a process that runs", func() bool {
		now, err := CPUTime(os.Getpid())
		return err == nil && now >= before+5*time.Millisecond
	})
	cmd, _ := start(t, "hold", nil)
	if used, err := CPUTime(cmd.Process.Pid); err != nil || used <= 0 || used > time.Minute {
		t.Errorf("a child used %v, %v", used, err)
	}
	if used, err := CPUTime(1 << 25); err == nil {
		t.Errorf("nobody used %v", used)
	}
}

func TestSignals(t *testing.T) {
	cmd, _ := start(t, "signals", nil)
	s, err := ReadSignals(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]string{
		unix.SIGUSR1: "caught", unix.SIGUSR2: "ignored", unix.SIGKILL: "default", unix.SIGSTOP: "default", 0: "default", 99: "default",
	} {
		if got := s.Disposition(sig); got != want {
			t.Errorf("%v is %s, want %s: %+v", sig, got, want, s)
		}
	}
	if _, err := ReadSignals(1 << 30); err == nil {
		t.Error("nobody has signals")
	}
}

// What one thread blocks, another still hears; what is blocked in all nobody
// does.
func TestBlocked(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	cmd, _ := start(t, "blocks", nil) // it begins with our mask, signal(7)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	main, err := readSignals(taskPath(pid, pid, "status"))
	if err != nil || main.Disposition(unix.SIGUSR1) != "blocked" {
		t.Errorf("the main thread blocks it: %+v, %v", main, err)
	}
	s, err := ReadSignals(pid)
	if err != nil || s.Disposition(unix.SIGUSR1) == "blocked" {
		t.Errorf("only the main thread blocks it: %+v, %v", s, err)
	}
	if s.Disposition(unix.SIGUSR2) != "blocked" {
		t.Errorf("all threads block it: %+v", s)
	}
}

func TestParseSignals(t *testing.T) {
	const sets = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000002\nSigCgt:\t0000000000000007\n"
	s, err := parseSignals([]byte(sets))
	if err != nil || s != (Signals{Blocked: 1, Ignored: 2, Caught: 7}) {
		t.Errorf("%+v, %v", s, err)
	}
	for sig, want := range map[syscall.Signal]string{1: "blocked", 2: "ignored", 3: "caught", 4: "default"} {
		if got := s.Disposition(sig); got != want {
			t.Errorf("%d is %s, want %s", sig, got, want)
		}
	}
	for _, bad := range []string{"", "\nSigBlk:\t", sets[:len(sets)-9], strings.Replace(sets, "7", "g", 1), strings.Replace(sets, "SigIgn", "SigXgn", 1)} {
		if s, err := parseSignals([]byte(bad)); err == nil {
			t.Errorf("%q passes for %+v", bad, s)
		}
	}
}

func FuzzParseSignals(f *testing.F) {
	f.Add([]byte("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000002\nSigCgt:\t0000000000000007\n"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parseSignals(b) })
}

func FuzzParseSyscall(f *testing.F) {
	f.Add("0 0x3 0x1")
	f.Fuzz(func(t *testing.T, line string) { parseSyscall(line) })
}
