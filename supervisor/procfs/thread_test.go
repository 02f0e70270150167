package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadThreads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd, line := start(t, "blocked-threads", func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, path)
	})
	for _, w := range strings.Fields(line) {
		call, rest, _ := strings.Cut(w, "=")
		var tid, fd int
		if _, err := fmt.Sscanf(rest, "%d:%d", &tid, &fd); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		t.Run(call, func(t *testing.T) { checkThread(t, cmd.Process.Pid, tid, call, fd) })
	}
	if all, err := ReadThreads(1 << 30); err == nil {
		t.Errorf("a process that does not exist has the threads %v", all)
	}
}

// checkThread checks a thread that sleeps in a system call.
func checkThread(t *testing.T, pid, tid int, call string, fd int) {
	var got Thread
	defer func() {
		if t.Failed() {
			t.Logf("got %+v", got)
		}
	}()
	eventually(t, "the thread sleeps in "+call, func() bool {
		all, err := ReadThreads(pid)
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
	name := "in " + call
	name = name[:min(len(name), 15)] // TASK_COMM_LEN
	if got.FD != fd || got.Name != name || got.Wchan == "" {
		t.Errorf("got %+v, want fd %d, name %q and a wchan", got, fd, name)
	}
	want := fmt.Sprintf("%d %q sleeps in %s", tid, name, call)
	if fd >= 0 {
		want += fmt.Sprintf(" on fd %d (name of %d)", fd, fd)
	}
	if call == "futex" {
		want = fmt.Sprintf("%d %q waits for a lock (futex)", tid, name)
	}
	if text := got.Describe(func(n int) string { return fmt.Sprint("name of ", n) }); text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestDescribe(t *testing.T) {
	nameOf := func(fd int) string { return map[int]string{7: "/data/x"}[fd] }
	for want, th := range map[string]Thread{
		`14 "worker" sleeps in epoll_wait on fd 7 (/data/x)`: {
			Tid: 14, Name: "worker", State: 'S', Syscall: "epoll_wait", FD: 7, Wchan: "ep_poll",
		},
		`15 waits for a lock (futex)`: {Tid: 15, State: 'S', Syscall: "futex", FD: -1},
		`16 uninterruptible in fsync on fd 7 (/data/x), wchan jbd2_log_wait_commit`: {
			Tid: 16, State: 'D', Syscall: "fsync", FD: 7, Wchan: "jbd2_log_wait_commit",
		},
		`17 runs`:                        {Tid: 17, State: 'R', Syscall: "running", FD: -1},
		`18 sleeps`:                      {Tid: 18, State: 'S', FD: -1},
		`19 sleeps in read on fd 3`:      {Tid: 19, State: 'S', Syscall: "read", FD: 3},
		`20 "a\nb" is stopped`:           {Tid: 20, Name: "a\nb", State: 'T', FD: -1},
		`21 has ended`:                   {Tid: 21, State: 'Z', FD: -1},
		`22 sleeps, wchan do_page_fault`: {Tid: 22, State: 'S', Wchan: "do_page_fault", FD: -1},
		`23 is stopped by a tracer`:      {Tid: 23, State: 't', Syscall: "running", FD: -1},
	} {
		if got := th.Describe(nameOf); got != want {
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
			t.Errorf("%q: got %q on fd %d, want %q on fd %d", line, name, fd, want.name, want.fd)
		}
	}
}

// TestHostileName reads a process whose name looks like a part of its stat line.
func TestHostileName(t *testing.T) {
	const name = "a) R 1 (\nb c"
	cmd, _ := start(t, "sets-name", nil)
	pid := cmd.Process.Pid
	s, err := ReadStat(pid)
	if err != nil || s.Comm != name || s.PPid != os.Getpid() {
		t.Errorf("got %+v, %v, want name %q and parent %d", s, err, name, os.Getpid())
	}
	if _, err := ReadSignals(pid); err != nil {
		t.Error(err)
	}
	all, err := ReadThreads(pid)
	if err != nil || len(all) == 0 || all[0].Tid != pid || all[0].State == 0 {
		t.Fatalf("got threads %+v, %v, want thread %d first", all, err, pid)
	}
	if got := comm(pid); got != name {
		t.Errorf("got name %q, want %q", got, name)
	}
	if text := all[0].Describe(func(int) string { return "" }); strings.Contains(text, "\n") {
		t.Errorf("%q has a line break", text)
	}
}

func TestCPUTime(t *testing.T) {
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the CPU time of a running process grows by 5ms", func() bool {
		now, err := CPUTime(os.Getpid())
		return err == nil && now >= before+5*time.Millisecond
	})
	cmd, _ := start(t, "idle", nil)
	if used, err := CPUTime(cmd.Process.Pid); err != nil || used <= 0 || used > time.Minute {
		t.Errorf("got %v, %v for a child, want more than 0 and at most 1m", used, err)
	}
	if used, err := CPUTime(1 << 25); err == nil {
		t.Errorf("a process that does not exist used %v", used)
	}
}

func FuzzParseSyscall(f *testing.F) {
	f.Add("0 0x3 0x1")
	f.Fuzz(func(t *testing.T, line string) { parseSyscall(line) })
}
