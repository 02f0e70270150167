package process

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

const leaderExits = "SUPERVISOR_LEADER_EXITS"

// With that variable the test binary is a program whose main thread ends at
// SIGUSR1, while its other threads live on. An init function runs on the main
// thread.
func init() {
	if os.Getenv(leaderExits) == "" {
		return
	}
	c := make(chan os.Signal, 1)
	signal.Ignore(unix.SIGTERM)
	signal.Notify(c, unix.SIGUSR1)
	fmt.Println("ready")
	<-c
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
}

// TestKillInExitStop: a thread in its exit stop can be killed while its siblings live on. It
// has no descriptors then, and a scan in that state is no proof.
func TestKillInExitStop(t *testing.T) {
	b := newTestLoop(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := b.silentSpec("")
	s.Env, s.Stdout = append(os.Environ(), leaderExits+"=1"), int(w.Fd())
	b.Spawn(1, s)
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v, want ready", line, err)
	}
	b.Signal(1, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.blockScans()
	b.Forward(1, unix.SIGUSR1, unix.SIGUSR1)
	state := make(chan proof.State)
	for late := time.Now().Add(timeout); ; {
		b.commands.Put(func() { state <- b.processes[1].main.machine.State })
		if s := <-state; s == proof.ExitStop {
			break
		} else if time.Now().After(late) {
			t.Fatalf("it is in %s", s)
		}
	}
	b.commands.Put(func() {
		o := b.processes[1].main
		_ = unix.Kill(o.pid, unix.SIGKILL)
		// The loop runs this function, and cannot reap.
		for late := time.Now().Add(timeout); time.Now().Before(late); {
			if s, err := procfs.ReadThread(o.pid, o.pid); err != nil || s.State != 't' {
				break
			}
		}
		if x, ok := o.machine.Data.(*proof.ExitStopData); ok {
			b.scannedAtExit(o, x, exitScan{})
		}
		state <- o.machine.State
	})
	if s := <-state; s == proof.Scanned || s == proof.ExitStop {
		t.Errorf("it is in %s", s)
	}
	unblock()
	e := b.exited(1)
	if e.FDs.Proof != event.ProofNone || e.FDs.Reason != "its exit was not seen" ||
		e.Exit.Signal != "SIGKILL" {
		t.Errorf("proof %s (%s), %+v", e.FDs.Proof, e.FDs.Reason, e.Exit)
	}
}
