package process

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/fixture"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

func TestMain(m *testing.M) {
	fixture.Main()
	goleak.VerifyTestMain(m)
}

// timeout is how long a test waits for one fact.
const timeout = 20 * time.Second

// testLoop is a loop with its facts in a channel.
type testLoop struct {
	*Loop
	t      *testing.T
	facts  chan Fact
	next   ID
	passed []Fact // facts that wait has kept
}

type noSink struct{}

func (noSink) Emit(event.Event) {}

func newTestLoop(t *testing.T) *testLoop {
	t.Helper()
	ledger := fdledger.New(noSink{})
	var err error
	b := &testLoop{t: t, facts: make(chan Fact, 100_000)}
	b.Loop, err = New(Options{FDs: ledger, Deliver: func(all []Fact) {
		for _, f := range all {
			b.facts <- f
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = b.Run()
		close(ended)
	}()
	t.Cleanup(func() {
		now := time.Now()
		b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
		wait[OrphanCleanupDone](b, func(s OrphanCleanupDone) bool { return true })
		b.Close()
		<-ended
		if opened, closed := ledger.Counts(); opened != closed {
			t.Errorf("%d descriptors opened, %d closed", opened, closed)
		}
	})
	return b
}

// wait returns the first fact of a type that fits, and keeps the others.
func wait[F Fact](b *testLoop, fits func(F) bool) F {
	b.t.Helper()
	for i, f := range b.passed {
		if x, ok := f.(F); ok && fits(x) {
			b.passed = slices.Delete(b.passed, i, i+1)
			return x
		}
	}
	late := time.After(timeout)
	for {
		select {
		case f := <-b.facts:
			if x, ok := f.(F); ok && fits(x) {
				return x
			}
			b.passed = append(b.passed, f)
		case <-late:
			var f F
			b.t.Fatalf("no %T within the timeout; other facts: %+v", f, b.passed)
			return f
		}
	}
}

func (b *testLoop) exited(id ID) Exited {
	b.t.Helper()
	return wait(b, func(e Exited) bool { return e.Process == id })
}

// spawn starts a fixture and reads its lines up to "ready".
func (b *testLoop) spawn(program string) (ID, []string) {
	b.t.Helper()
	id, out := b.start(program)
	var lines []string
	for in := bufio.NewScanner(out); in.Scan(); {
		if in.Text() == "ready" {
			return id, lines
		}
		lines = append(lines, in.Text())
	}
	return id, lines
}

func (b *testLoop) start(program string) (ID, *os.File) {
	b.t.Helper()
	return b.startSpec(b.silentSpec(program))
}

// startSpec starts a child process, and returns its standard output and standard error.
func (b *testLoop) startSpec(s Spec) (ID, *os.File) {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	defer w.Close()
	b.t.Cleanup(func() { r.Close() })
	s.Stdout, s.Stderr = int(w.Fd()), int(w.Fd())
	b.next++
	id := b.next
	b.Spawn(id, s)
	wait(b, func(s Spawned) bool { return s.Process == id })
	return id, r
}

// silentSpec is the spec of a fixture whose standard streams are /dev/null.
func (b *testLoop) silentSpec(program string) Spec {
	b.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { null.Close() })
	fd := int(null.Fd())
	path, env := fixture.Command(program)
	return Spec{Spec: spawn.Spec{
		Name: program, Path: path, Argv: []string{path}, Env: append(os.Environ(), env...),
		Stdin: fd, Stdout: fd, Stderr: fd,
	}}
}

func TestExitStatus(t *testing.T) {
	b := newTestLoop(t)
	for _, code := range []int{0, 1, 42, 255} {
		id, _ := b.spawn(fmt.Sprint("exit ", code))
		if e := b.exited(id); e.Exit != (event.Exit{Code: code}) || e.FDs.Proof != event.ProofNone {
			t.Errorf("exit %d: %+v", code, e)
		}
	}
}

func TestNoStatusIsLost(t *testing.T) {
	b := newTestLoop(t)
	const n = 200
	for range n {
		b.start("exit 5")
	}
	for id := ID(1); id <= n; id++ {
		if e := b.exited(id); e.Exit.Code != 5 {
			t.Errorf("process %d: %+v", id, e.Exit)
		}
	}
}

// TestOrphansTakeNoStatus: orphans are reaped beside the loop, while it forks and reaps child
// processes. Each of these has its status, and each orphan is reported once, with its name.
func TestOrphansTakeNoStatus(t *testing.T) {
	b := newTestLoop(t)
	const children, orphans = 100, 200
	spec := b.silentSpec("sleep")
	script := fmt.Sprintf(
		"i=0; while [ $i -lt %d ]; do (sh -c 'exit 3' &); i=$((i+1)); done; exit 5", orphans)
	spec.Path, spec.Argv = "/bin/sh", []string{"sh", "-c", script}
	spec.LeaveDescendants = true
	b.next++
	b.Spawn(b.next, spec)
	for range children - 1 {
		b.start("exit 5")
	}
	for id := ID(1); id <= children; id++ {
		if e := b.exited(id); e.Exit.Code != 5 {
			t.Errorf("process %d: %+v", id, e.Exit)
		}
	}
	seen := map[int]bool{}
	for range orphans {
		o := wait(b, func(OrphanReaped) bool { return true })
		if o.Command != "sh" || o.Exit.Code != 3 || seen[o.Pid] {
			t.Errorf("%+v, want a new process sh with code 3", o)
		}
		seen[o.Pid] = true
	}
}

func TestSpawnFails(t *testing.T) {
	b := newTestLoop(t)
	b.Spawn(1, Spec{Spec: spawn.Spec{
		Path: "/does/not/exist", Argv: []string{"x"}, Stdin: 0, Stdout: 1, Stderr: 2,
	}})
	if f := wait(b, func(f SpawnFailed) bool { return f.Process == 1 }); f.Err != unix.ENOENT {
		t.Errorf("got %v, want %v", f.Err, unix.ENOENT)
	}
}

// TestExactProof: each line that the fixture prints names a descriptor, and whether it is
// closed or leaked.
func TestExactProof(t *testing.T) {
	b := newTestLoop(t)
	for range 20 {
		id, truth := b.spawn("leaky")
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
		e := b.exited(id)
		if e.FDs.Proof != event.ProofExact || e.Exit.Code != 0 {
			t.Fatalf("proof %s (%s), exit %+v", e.FDs.Proof, e.FDs.Reason, e.Exit)
		}
		checkFDs(t, e.FDs, truth[1:])
	}
}

func checkFDs(t *testing.T, fds FDResult, truth []string) {
	t.Helper()
	var lines []fdledger.Line
	closed, left := fdledger.Compare(fds.Before, fds.After, nil, fds.Runtime,
		func(l fdledger.Line) { lines = append(lines, l) })
	var got []string
	for _, l := range lines {
		if l.Uncounted != "" {
			continue
		}
		verb := "left"
		if l.ByChild {
			verb = "closed"
		}
		got = append(got, fmt.Sprintf("%s %s %s", verb, l.Kind, l.Target))
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(truth))
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if closed+left != len(want) {
		t.Errorf("%d closed, %d left, want %d", closed, left, len(want))
	}
}

func TestExactProofAfterSIGKILL(t *testing.T) {
	b := newTestLoop(t)
	id, truth := b.spawn("leaky")
	b.Signal(id, unix.SIGKILL, 1, event.ProofExact)
	e := b.exited(id)
	if e.FDs.Proof != event.ProofExact || e.Exit.Signal != "SIGKILL" || !e.Killed {
		t.Fatalf("proof %s (%s), exit %+v", e.FDs.Proof, e.FDs.Reason, e.Exit)
	}
	for i, s := range truth {
		truth[i] = strings.TrimSuffix(strings.Replace(s, "closed ", "left ", 1), " (deleted)")
	}
	checkFDs(t, e.FDs, truth[1:])
}

func TestExactProofWithManyThreads(t *testing.T) {
	b := newTestLoop(t)
	for range 10 {
		id, truth := b.spawn("threads")
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
		e := b.exited(id)
		if e.FDs.Proof != event.ProofExact || e.Exit.Code != 7 {
			t.Fatalf("proof %s (%s), exit %+v", e.FDs.Proof, e.FDs.Reason, e.Exit)
		}
		checkFDs(t, e.FDs, truth)
	}
}

func TestForkDuringStop(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("fork-on-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	if e := b.exited(id); e.Exit.Code != 33 || e.FDs.Proof != event.ProofExact {
		t.Errorf("got %+v, want code 33 and an exact proof", e)
	}
}

func TestSampledAndNoProof(t *testing.T) {
	b := newTestLoop(t)
	for _, proof := range []event.Proof{event.ProofSampled, event.ProofNone} {
		id, _ := b.spawn("leaky")
		b.Signal(id, unix.SIGTERM, 1, proof)
		if e := b.exited(id); e.FDs.Proof != proof || e.FDs.Reason != "" {
			t.Errorf("asked for %s: got %s (%s)", proof, e.FDs.Proof, e.FDs.Reason)
		}
	}
}

// TestJobStoppedProcess: a process that job control stopped is continued; otherwise it would be
// killed at the timeout.
func TestJobStoppedProcess(t *testing.T) {
	for _, proof := range []event.Proof{event.ProofExact, event.ProofSampled, event.ProofNone} {
		t.Run(string(proof), func(t *testing.T) {
			b := newTestLoop(t)
			id, _ := b.spawn("stopped")
			pid := b.mainPid(id)
			for s, err := procfs.ReadStat(pid); !s.Stopped(); s, err = procfs.ReadStat(pid) {
				if err != nil {
					t.Fatal(err)
				}
			}
			b.Signal(id, unix.SIGTERM, 1, proof)
			if e := b.exited(id); e.Exit != (event.Exit{}) {
				t.Errorf("got %+v, want code 0", e.Exit)
			}
			wait(b, func(s Signalled) bool { return s.Signal == unix.SIGCONT })
		})
	}
}

func (b *testLoop) mainPid(id ID) int {
	pid := make(chan int)
	b.commands.Put(func() { pid <- b.processes[id].pid })
	return <-pid
}

func TestSIGKILLAfterIgnoredSIGTERM(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 && s.Err == nil })
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	if e := b.exited(id); !e.Killed || e.Exit.Signal != "SIGKILL" ||
		e.FDs.Proof != event.ProofExact {
		t.Errorf("got %+v, want SIGKILL and an exact proof", e)
	}
}

func TestOrphanIsNamedAndReaped(t *testing.T) {
	b := newTestLoop(t)
	id, lines := b.spawn("daemon")
	b.exited(id)
	var pid int
	fmt.Sscanf(lines[0], "daemon %d", &pid)
	b.CleanUpOrphans(time.Now().Add(timeout), time.Now().Add(2*timeout), event.ProofExact)
	sent := wait(b, func(s OrphanSignalled) bool { return true })
	o := wait(b, func(o OrphanReaped) bool { return true })
	if o.Pid != pid || sent.Pid != pid || o.Command != filepath.Base(os.Args[0]) ||
		sent.Signal != unix.SIGTERM {
		t.Errorf("daemon %d: sent %+v, reaped %+v", pid, sent, o)
	}
	if s := wait(b, func(s OrphanCleanupDone) bool { return true }); len(s.Left) > 0 {
		t.Errorf("left: %+v", s.Left)
	}
}

func TestOrphanIgnoresSIGTERM(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("daemon ignore-term")
	b.exited(id)
	b.CleanUpOrphans(time.Now(), time.Now().Add(timeout), event.ProofExact)
	if o := wait(b, func(o OrphanReaped) bool { return true }); o.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want an end by SIGKILL", o)
	}
}

// TestLateOrphanCleanupKills: an orphan cleanup whose first tick comes after its end still
// kills.
func TestLateOrphanCleanupKills(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("daemon ignore-term")
	b.exited(id)
	b.commands.Put(func() {
		now := time.Now()
		b.startOrphanCleanup(now.Add(5*time.Millisecond), now, event.ProofExact)
		for time.Now().Before(b.Loop.cleanup.giveUp) { // the loop is busy
		}
	})
	if o := wait(b, func(o OrphanReaped) bool { return true }); o.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want an end by SIGKILL", o)
	}
	if s := wait(b, func(s OrphanCleanupDone) bool { return true }); len(s.Left) > 0 {
		t.Errorf("left: %+v", s.Left)
	}
}

func TestManyStopsAtOnce(t *testing.T) {
	b := newTestLoop(t)
	const n = 100
	late := 0
	var truths [n][]string
	for i := range n {
		_, truths[i] = b.spawn("leaky")
	}
	for id := ID(1); id <= n; id++ {
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	}
	for id := ID(1); id <= n; id++ {
		e := b.exited(id)
		if !e.Exit.OK() {
			t.Fatalf("process %d: exit %+v", id, e.Exit)
		}
		if e.FDs.Proof == event.ProofSampled && strings.Contains(e.FDs.Reason, "took more than") {
			late++ // reported as late: the machine is busy
			continue
		}
		if e.FDs.Proof != event.ProofExact {
			t.Fatalf("process %d: proof %s (%s)", id, e.FDs.Proof, e.FDs.Reason)
		}
		checkFDs(t, e.FDs, truths[id-1][1:])
	}
	if late > n/2 {
		t.Errorf("%d of %d scans came too late", late, n)
	}
}

// TestIdleLoopHasNoTimer: an idle loop has no timer that wakes it.
func TestIdleLoopHasNoTimer(t *testing.T) {
	b := newTestLoop(t)
	b.spawn("sleep")
	next := make(chan time.Time)
	b.commands.Put(func() {
		b.schedule(b.runDue(time.Now()))
		next <- b.nextTick
	})
	if at := <-next; !at.IsZero() {
		t.Errorf("next tick in %v, want none", time.Until(at))
	}
}

// blockScans takes all slots of the scan workers until unblock is called.
func (b *testLoop) blockScans() (unblock func()) {
	for range cap(b.workers.running) {
		b.workers.running <- struct{}{}
	}
	return func() {
		for range cap(b.workers.running) {
			<-b.workers.running
		}
	}
}

// TestLateScan: a scan that comes too late does not delay the signal, and gives no exact proof.
func TestLateScan(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	unblock := b.blockScans()
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 && s.Err == nil })
	unblock()
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	if e := b.exited(id); e.FDs.Proof != event.ProofSampled ||
		!strings.Contains(e.FDs.Reason, "before the signal") {
		t.Errorf("proof %s (%s)", e.FDs.Proof, e.FDs.Reason)
	}
}

// TestOrphanCleanupKillsOnce: a killed process in its exit stop is not killed again as an
// orphan by an orphan cleanup.
func TestOrphanCleanupKillsOnce(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.blockScans()
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 2 })
	now := time.Now()
	b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
	swept := make(chan int)
	b.commands.Put(func() {
		b.tickOrphanCleanup(time.Now())
		swept <- len(b.allDescendants())
	})
	if n := <-swept; n != 1 {
		t.Fatalf("%d processes are left, want 1 in its exit stop", n)
	}
	unblock()
	b.exited(id)
	wait(b, func(OrphanCleanupDone) bool { return true })
	for _, f := range b.passed {
		if s, ok := f.(OrphanSignalled); ok {
			t.Errorf("the orphan cleanup sent %+v, want no signal", s)
		}
	}
}

// TestExitStopIsBounded: a thread in its exit stop is released even if no scan reaches it.
func TestExitStopIsBounded(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.blockScans()
	pid := b.mainPid(id)
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 2 })
	gone := make(chan bool)
	for alive := true; alive; {
		b.commands.Put(func() { gone <- b.byPid[pid] == nil })
		alive = !<-gone
	}
	unblock()
	if e := b.exited(id); e.FDs.Proof != event.ProofNone || e.Exit.Signal != "SIGKILL" {
		t.Errorf("proof %s (%s), %+v", e.FDs.Proof, e.FDs.Reason, e.Exit)
	}
}
