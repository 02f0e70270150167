package procfs

import (
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadSignals(t *testing.T) {
	cmd, _ := start(t, "handles-signals", nil)
	s, err := ReadSignals(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[syscall.Signal]string{
		unix.SIGUSR1: "caught", unix.SIGUSR2: "ignored", unix.SIGKILL: "default",
		unix.SIGSTOP: "default", 0: "default", 99: "default",
	} {
		if got := s.Disposition(sig); got != want {
			t.Errorf("%v is %s, want %s: %+v", sig, got, want, s)
		}
	}
	if s, err := ReadSignals(1 << 30); err == nil {
		t.Errorf("a process that does not exist has %+v", s)
	}
}

// TestBlocked checks that a signal is blocked only if every thread blocks it. The child inherits a
// mask with SIGUSR2, and its main thread also blocks SIGUSR1.
func TestBlocked(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	cmd, _ := start(t, "blocks-signal", nil)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	main, err := readSignals(taskPath(pid, pid, "status"))
	if err != nil || main.Disposition(unix.SIGUSR1) != "blocked" {
		t.Errorf("SIGUSR1 is not blocked in the main thread: %+v, %v", main, err)
	}
	s, err := ReadSignals(pid)
	if err != nil || s.Disposition(unix.SIGUSR1) == "blocked" {
		t.Errorf("SIGUSR1 is blocked, and only the main thread blocks it: %+v, %v", s, err)
	}
	if s.Disposition(unix.SIGUSR2) != "blocked" {
		t.Errorf("SIGUSR2 is not blocked, and every thread blocks it: %+v", s)
	}
}

const signalLines = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000002\n" +
	"SigCgt:\t0000000000000007\n"

func TestParseSignals(t *testing.T) {
	want := Signals{Blocked: 1, Ignored: 2, Caught: 7}
	s, err := parseSignals([]byte(signalLines))
	if err != nil || s != want {
		t.Errorf("got %+v, %v, want %+v", s, err, want)
	}
	for sig, want := range map[syscall.Signal]string{
		1: "blocked", 2: "ignored", 3: "caught", 4: "default",
	} {
		if got := s.Disposition(sig); got != want {
			t.Errorf("signal %d is %s, want %s", sig, got, want)
		}
	}
	for _, bad := range []string{
		"", "\nSigBlk:\t", signalLines[:len(signalLines)-9],
		strings.Replace(signalLines, "7", "g", 1),
		strings.Replace(signalLines, "SigIgn", "SigXgn", 1),
	} {
		if s, err := parseSignals([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, s)
		}
	}
}

func FuzzParseSignals(f *testing.F) {
	f.Add([]byte(signalLines))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parseSignals(b) })
}
