package process

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/procfs"
)

// startDaemon starts a daemon whose main process ends, and returns the pid of the survivor.
func startDaemon(t *testing.T, b *testLoop, program string) (ID, int) {
	t.Helper()
	id, out := b.start("daemon " + program)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscanf(line, "daemon %d", &pid); err != nil {
		t.Fatalf("no pid in %q: %v", line, err)
	}
	return id, pid
}

// TestProcessEndsWithItsTree: a child process is over when its survivors are. The survivor left
// the process group and the session, so only the mark tells its owner.
func TestProcessEndsWithItsTree(t *testing.T) {
	b := newTestLoop(t)
	other, _ := b.spawn("sleep") // stays alive, so that there are two marks
	id, pid := startDaemon(t, b, "sleep")
	if e := b.exited(id); len(e.Survivors) != 1 || e.Survivors[0].Pid != pid {
		t.Fatalf("survivors %v, want pid %d", e.Survivors, pid)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	s := wait(b, func(s Signalled) bool { return s.Process == id })
	if s.Pid != pid || s.Descendant == "" || s.Step != 1 || s.Err != nil {
		t.Errorf("%+v, want step 1 to pid %d", s, pid)
	}
	e := wait(b, func(e DescendantEnded) bool { return e.Pid == pid })
	if e.Child != "daemon sleep" || e.FDs.Proof != event.ProofExact || !e.Exit.OK() {
		t.Errorf("got %+v, want code 0 and an exact proof", e)
	}
	o := wait(b, func(o OrphanReaped) bool { return o.Pid == pid })
	if o.Child != "daemon sleep" {
		t.Errorf("%+v is in no tree", o)
	}
	wait(b, func(e TreeEnded) bool { return e.Process == id })
	for _, f := range b.passed {
		if s, ok := f.(Signalled); ok && s.Process == id {
			t.Errorf("it was sent a step twice: %+v", s)
		}
	}
	b.Signal(other, unix.SIGTERM, 1, event.ProofExact)
	if e := b.exited(other); len(e.Survivors) > 0 {
		t.Errorf("got %+v, want no survivors", e)
	}
}

// TestSurvivorIsKilled: a survivor that ignores SIGTERM gets SIGKILL with the last step.
func TestSurvivorIsKilled(t *testing.T) {
	b := newTestLoop(t)
	id, pid := startDaemon(t, b, "ignore-term")
	b.exited(id)
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Process == id && s.Signal == unix.SIGTERM })
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	wait(b, func(s Signalled) bool {
		return s.Process == id && s.Pid == pid && s.Signal == unix.SIGKILL
	})
	if o := wait(b, func(o OrphanReaped) bool { return o.Pid == pid }); o.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want an end by SIGKILL", o)
	}
	wait(b, func(e TreeEnded) bool { return e.Process == id })
}

// TestSurvivorGetsCurrentStep: a main process that ends during its stop leaves a survivor,
// which gets the current step.
func TestSurvivorGetsCurrentStep(t *testing.T) {
	b := newTestLoop(t)
	id, out := b.start("daemon sleep stay")
	var pid int
	if _, err := fmt.Fscanf(out, "daemon %d ready", &pid); err != nil {
		t.Fatal(err)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	b.exited(id)
	s := wait(b, func(s Signalled) bool { return s.Process == id && s.Pid == pid })
	if s.Signal != unix.SIGTERM || s.Step != 1 {
		t.Errorf("got %+v, want SIGTERM as step 1", s)
	}
	wait(b, func(e TreeEnded) bool { return e.Process == id })
}

// TestLeaveDescendants: with LeaveDescendants a survivor lives on, and the orphan cleanup ends
// it.
func TestLeaveDescendants(t *testing.T) {
	b := newTestLoop(t)
	s := b.silentSpec("daemon sleep")
	s.LeaveDescendants = true
	b.next++
	id := b.next
	b.Spawn(id, s)
	if e := b.exited(id); len(e.Survivors) > 0 {
		t.Errorf("got %+v, want no survivors", e)
	}
	left := procfs.Children(os.Getpid())
	if len(left) != 1 {
		t.Fatalf("children %v, want one", left)
	}
	b.Signal(id, unix.SIGKILL, 1, event.ProofExact) // the process is over: no effect
	answered := make(chan bool)
	b.commands.Put(func() { answered <- len(b.processes) == 0 })
	if !<-answered {
		t.Error("a process that leaves its descendants is not over")
	}
	if s, err := procfs.ReadStat(left[0]); err != nil || s.Dead() {
		t.Errorf("%+v, %v: it is to live", s, err)
	}
}

// TestLeaveDescendantsBeforeReport: with LeaveDescendants a survivor lives on even if SIGKILL is
// requested after the main process was reaped and before its end is reported.
func TestLeaveDescendantsBeforeReport(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			b := newTestLoop(t)
			s := b.silentSpec("daemon sleep stay")
			s.LeaveDescendants = true
			id, out := b.startSpec(s)
			var daemon int
			if _, err := fmt.Fscanf(out, "daemon %d ready", &daemon); err != nil {
				t.Fatal(err)
			}
			unblock := b.blockScans()
			b.Inspect(id, unix.SIGTERM) // the report of the exit waits for this scan
			if err := unix.Kill(b.mainPid(id), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for listed := make(chan bool); ; {
				b.commands.Put(func() { listed <- b.processes[id].phase == phase.Listed })
				if <-listed {
					break
				}
			}
			b.Signal(id, sig, 1, event.ProofNone)
			unblock()
			b.exited(id)
			for _, f := range b.passed {
				if s, ok := f.(Signalled); ok && s.Pid == daemon {
					t.Errorf("got %+v, want no signal to pid %d", s, daemon)
				}
			}
			if s, err := procfs.ReadStat(daemon); err != nil || s.Dead() {
				t.Errorf("got %+v, %v of pid %d, want a live process", s, err, daemon)
			}
		})
	}
}

// TestSuccessor: the successor that a main process names becomes the main process when the
// current one has ended.
func TestSuccessor(t *testing.T) {
	b := newTestLoop(t)
	id, out := b.start("daemon sleep stay")
	var pid int
	if _, err := fmt.Fscanf(out, "daemon %d ready", &pid); err != nil {
		t.Fatal(err)
	}
	main := 0
	found := make(chan int)
	b.commands.Put(func() { found <- b.processes[id].pid })
	main = <-found
	b.SetMainProcess(id, pid)
	if err := unix.Kill(main, unix.SIGTERM); err != nil { // outside of a stop
		t.Fatal(err)
	}
	m := wait(b, func(m MainChanged) bool { return m.Process == id })
	if m.From != main || m.Pid != pid {
		t.Errorf("%+v, want %d after %d", m, pid, main)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	e := b.exited(id)
	if e.Pid != pid || !e.Exit.OK() || e.FDs.Proof != event.ProofExact || len(e.Survivors) > 0 {
		t.Errorf("got %+v, want pid %d, code 0, an exact proof, no survivors", e, pid)
	}
}

// TestLateSuccessor: a survivor becomes the main process after the end of the main process was
// reported, but not once the stop has started or the survivor has ended.
func TestLateSuccessor(t *testing.T) {
	for _, c := range []struct{ name string }{{"takes over"}, {"stopped"}, {"gone"}} {
		t.Run(c.name, func(t *testing.T) {
			b := newTestLoop(t)
			id, pid := startDaemon(t, b, "sleep")
			e := b.exited(id)
			if len(e.Survivors) != 1 || e.Survivors[0].Pid != pid {
				t.Fatalf("got %+v, want the survivor %d", e, pid)
			}
			switch c.name {
			case "takes over":
				b.HandOver(id, pid)
				m := wait(b, func(m MainChanged) bool { return m.Process == id })
				if m.From != e.Pid || m.Pid != pid {
					t.Errorf("got %+v, want %d after %d", m, pid, e.Pid)
				}
				b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
				e = b.exited(id)
				if e.Pid != pid || !e.Exit.OK() || e.FDs.Proof != event.ProofExact {
					t.Errorf("got %+v, want a clean exit of %d", e, pid)
				}
				return
			case "stopped":
				b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
			case "gone":
				_ = unix.Kill(pid, unix.SIGKILL)
				wait(b, func(e TreeEnded) bool { return e.Process == id })
			}
			b.HandOver(id, pid)
			wait(b, func(n NotHandedOver) bool { return n.Process == id })
			if c.name == "stopped" {
				wait(b, func(e TreeEnded) bool { return e.Process == id })
			}
		})
	}
}

// TestNoSuccessorIfTracedFromStart: a process that is traced from its first instruction on gets no
// successor. The process that it named ends as a survivor.
func TestNoSuccessorIfTracedFromStart(t *testing.T) {
	b := newTestLoop(t)
	s := b.silentSpec("daemon sleep stay")
	s.TraceFrom = event.ProofExact
	id, out := b.startSpec(s)
	var pid int
	if _, err := fmt.Fscanf(out, "daemon %d ready", &pid); err != nil {
		t.Fatal(err)
	}
	main := b.mainPid(id)
	b.SetMainProcess(id, pid)
	if err := unix.Kill(main, unix.SIGTERM); err != nil { // outside of a stop
		t.Fatal(err)
	}
	e := b.exited(id)
	if e.Pid != main || len(e.Survivors) != 1 || e.Survivors[0].Pid != pid {
		t.Errorf("got %+v, want the end of pid %d with the survivor %d", e, main, pid)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(e TreeEnded) bool { return e.Process == id })
}

// TestDescendantIsReportedAfterTree: TreeEnded does not wait for the search for the holders of what
// a descendant leaked. The end of the orphan cleanup does.
func TestDescendantIsReportedAfterTree(t *testing.T) {
	b := newTestLoop(t)
	s := b.silentSpec("survivor")
	script := "sleep 1000 9</etc/passwd & echo $!"
	s.Path, s.Argv = "/bin/sh", []string{"sh", "-c", script}
	id, out := b.startSpec(s)
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	b.exited(id)
	awaitProgram(t, pid, "sleep")
	b.commands.Put(func() { b.holders.scanning = true }) // a search for others is running
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(e TreeEnded) bool { return e.Process == id })
	now := time.Now()
	b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
	b.commands.Put(func() { b.scanForHolders() })
	wait(b, func(OrphanCleanupDone) bool { return true })
	i := slices.IndexFunc(b.passed, func(f Fact) bool {
		e, ok := f.(DescendantEnded)
		return ok && e.Pid == pid && e.FDs.Proof == event.ProofExact
	})
	if i < 0 {
		t.Errorf("got %+v, want DescendantEnded of pid %d before OrphanCleanupDone", b.passed, pid)
	}
}

// awaitProgram returns once a process has executed a program and waits. A process in execve cannot
// be traced.
func awaitProgram(t *testing.T, pid int, name string) {
	t.Helper()
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := procfs.ReadStat(pid); err == nil && s.Comm == name && procfs.IsWaiting(pid) {
			return
		}
	}
	t.Fatalf("pid %d does not run %s", pid, name)
}

// TestSuccessorOutsideOfTree: a process outside of the tree does not become the main process.
func TestSuccessorOutsideOfTree(t *testing.T) {
	b := newTestLoop(t)
	other, _ := b.spawn("sleep")
	id, _ := startDaemon(t, b, "sleep")
	b.SetMainProcess(id, os.Getppid())
	e := b.exited(id)
	if len(e.Survivors) != 1 {
		t.Errorf("got %+v, want one survivor", e)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(e TreeEnded) bool { return e.Process == id })
	b.Signal(other, unix.SIGTERM, 1, event.ProofExact)
	b.exited(other)
}

// TestMarkTellsOwner: a daemon whose main process is alive is not taken for a survivor of the
// only main process that ends. Its mark tells its owner.
func TestMarkTellsOwner(t *testing.T) {
	b := newTestLoop(t)
	a, out := b.start("daemon daemon stay")
	var between, pid int // the parent of the daemon ends and is not reaped
	if _, err := fmt.Fscanf(out, "daemon %d daemon %d ready", &between, &pid); err != nil {
		t.Fatal(err)
	}
	other, _ := b.spawn("exit 0")
	if e := b.exited(other); len(e.Survivors) > 0 {
		t.Errorf("survivors %v of another tree", e.Survivors)
	}
	b.Signal(a, unix.SIGTERM, 1, event.ProofExact)
	b.exited(a)
	if s := wait(b, func(s Signalled) bool { return s.Pid == pid }); s.Process != a {
		t.Errorf("%+v, want pid %d of process %d", s, pid, a)
	}
	wait(b, func(e TreeEnded) bool { return e.Process == a })
}

// TestOwnerWithoutMarks: without marks the owner of a survivor outside of the group and session
// is the only child process that has ended.
func TestOwnerWithoutMarks(t *testing.T) {
	b := newTestLoop(t)
	b.commands.Put(func() { b.trees.marks = marks{} })
	id, pid := startDaemon(t, b, "sleep") // the only main process that has ended
	if e := b.exited(id); len(e.Survivors) != 1 || e.Survivors[0].Pid != pid {
		t.Fatalf("survivors %v, want pid %d", e.Survivors, pid)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(e TreeEnded) bool { return e.Process == id })
}

// TestForkBombIsKilled: a process tree that forks all the time is stopped and then killed. The
// fixture has a few hundred short-lived processes.
func TestForkBombIsKilled(t *testing.T) {
	b := newTestLoop(t)
	id, pid := startDaemon(t, b, "fork-loop")
	b.exited(id)
	b.Signal(id, unix.SIGKILL, 1, event.ProofNone)
	wait(b, func(e TreeEnded) bool { return e.Process == id })
	for late := time.Now().Add(timeout); ; {
		left := procfs.Descendants(os.Getpid())
		if len(left) == 0 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("of the tree of %d: %v", pid, left)
		}
	}
	for _, f := range b.passed {
		if s, ok := f.(Signalled); ok && strings.Contains(s.Descendant, " ") {
			t.Errorf("got %+v, want the name of one process", s)
		}
	}
}
