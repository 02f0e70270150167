package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/procfs"
)

// waited returns the time that the reason of a proof names.
func waited(t *testing.T, fds FDResult) time.Duration {
	t.Helper()
	_, text, _ := strings.Cut(fds.Reason, "took more than ")
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Errorf("reason %q: %v", fds.Reason, err)
	}
	return d
}

// TestLateScanInFinalStop: in the final stop a signal waits for the fd scan before it for an
// eighth of the remaining time at most, whether the stop of its process started before or after
// the final stop.
func TestLateScanInFinalStop(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			b := newTestLoop(t)
			id, _ := b.spawn("ignore-term")
			unblock := b.blockScans()
			end := time.Now().Add(800 * time.Millisecond)
			if after {
				b.SetDeadline(end)
			}
			b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
			if !after {
				b.SetDeadline(end)
			}
			wait(b, func(s Signalled) bool { return s.Step == 1 && s.Err == nil })
			unblock()
			b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
			e := b.exited(id)
			most := 100 * time.Millisecond
			if !after {
				most *= 2 // the wait had begun before the deadline was known
			}
			if d := waited(t, e.FDs); e.FDs.Proof == event.ProofExact || d > most {
				t.Errorf("proof %s, it waited %v, want %v at most", e.FDs.Proof, d, most)
			}
		})
	}
}

// TestExitStopInFinalStop: in the final stop an exit stop lasts for a quarter of the remaining
// time at most, and the end of the process is reported while its scan is still running.
func TestExitStopInFinalStop(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.blockScans()
	defer unblock()
	b.SetDeadline(time.Now().Add(400 * time.Millisecond))
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	e := b.exited(id)
	if d := waited(t, e.FDs); e.FDs.Proof != event.ProofNone || d > 100*time.Millisecond {
		t.Errorf("proof %s, it was held %v", e.FDs.Proof, d)
	}
}

// TestScanLimit: a scan reads no more of a large table after its deadline.
func TestScanLimit(t *testing.T) {
	const many = 2 * minScannedFDs
	file, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range many {
		fd, err := unix.Dup(int(file.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	b := newTestLoop(t)
	pid, past := os.Getpid(), time.Now()
	for name, tt := range map[string]struct {
		limit *scanLimit
		err   error
	}{
		"no limit": {nil, nil},
		"in time":  {newScanLimit(past.Add(time.Hour), 0), nil},
		"too late": {newScanLimit(past, minScannedFDs), procfs.ErrScanAborted},
		"small":    {newScanLimit(past, 4*many), nil},
		"aborted":  {aborted(newScanLimit(past.Add(time.Hour), 0)), procfs.ErrScanAborted},
	} {
		var fds []procfs.FD
		var err error
		read := make(chan struct{})
		b.commands.Put(func() {
			b.workers.submit(func() {
				fds, err = b.readFDs(pid, pid, tt.limit)
				close(read)
			})
		})
		<-read
		if !errors.Is(err, tt.err) || err == nil && len(fds) < many {
			t.Errorf("%s: %d descriptors, %v", name, len(fds), err)
		}
	}
}

// TestLargeTables: in the final stop the tables of some processes are too large to be scanned
// before their signals. These scans are not started, and of those in the exit stops only as many as
// can end in time. The honest process beside them ends in time, with an exact proof.
func TestLargeTables(t *testing.T) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	many := int(min(files.Max-100, 18_000))
	if many <= maxUncheckedFDs {
		t.Fatalf("the hard limit of descriptors is %d, want more than %d", files.Max,
			maxUncheckedFDs+100)
	}
	b := newTestLoop(t)
	var large []ID
	for range 4 {
		id, _ := b.spawn(fmt.Sprint("many-files ", many))
		large = append(large, id)
	}
	honest, truth := b.spawn("leaky")
	start := time.Now()
	end := start.Add(7 * time.Duration(many) * fdScanTime) // a signal waits for an eighth
	b.SetDeadline(end)
	for _, id := range append(large, honest) {
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	}
	e := b.exited(honest)
	if e.FDs.Proof != event.ProofExact || e.Exit != (event.Exit{}) || e.At.After(end) {
		t.Errorf("got %+v after %v with proof %s (%s), want exit code 0 and exact within %v",
			e.Exit, e.At.Sub(start), e.FDs.Proof, e.FDs.Reason, end.Sub(start))
	}
	checkFDs(t, e.FDs, truth[1:])
	refused := 0
	for _, id := range large {
		e := b.exited(id)
		if e.FDs.Proof == event.ProofExact {
			t.Errorf("got an exact proof of %d descriptors, want a lesser one", many)
		}
		if strings.Contains(e.FDs.Reason, "too many for an fd scan") {
			refused++
		}
		t.Logf("ended after %v, proof %s: %s", e.At.Sub(start), e.FDs.Proof, e.FDs.Reason)
	}
	if refused == 0 {
		t.Errorf("no scan was refused, want one at least")
	}
}

func aborted(limit *scanLimit) *scanLimit {
	limit.abort()
	return limit
}

// TestTraceLimit: of very many descendants some are traced. The others are ended and counted as
// well.
func TestTraceLimit(t *testing.T) {
	const many = minTraced + 40
	b := newTestLoop(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := b.silentSpec("sleep")
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 1000 & i=$((i+1)); done; "+
		"echo ready; wait", many)
	s.Path, s.Argv, s.Stdout = "/bin/sh", []string{"sh", "-c", script}, int(w.Fd())
	b.Spawn(1, s)
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v, want ready", line, err)
	}
	b.SetDeadline(time.Now().Add(minTraced * tracedShare))
	b.Signal(1, unix.SIGTERM, 1, event.ProofExact)
	e := b.exited(1)
	if e.Processes != many || e.Untraced != many-minTraced {
		t.Errorf("%d processes, %d of them not traced, proof %s (%s)", e.Processes, e.Untraced,
			e.FDs.Proof, e.FDs.Reason)
	}
	for range minTraced {
		wait(b, func(e DescendantEnded) bool { return e.Child != "" })
	}
}

// TestSIGKILLIsDelayed: the first step of a process waits for the fd scan until SIGKILL is due.
// Then SIGKILL follows the first step after minKillDelay, so that the process gets time to end. The
// process ignores SIGTERM, because on a busy machine no process may end within that time.
func TestSIGKILLIsDelayed(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	children := make(chan *childProcess, 1)
	b.commands.Put(func() { children <- b.processes[id] })
	child := <-children
	unblock := b.blockScans()
	defer unblock()
	b.SetDeadline(time.Now().Add(time.Second))
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	for i, want := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		s := wait(b, func(s Signalled) bool { return s.Process == id })
		if s.Signal != want || s.Step != i+1 || s.Err != nil {
			t.Errorf("got %+v, want %v as step %d", s, want, i+1)
		}
	}
	killed := time.Now()
	first := make(chan time.Time, 1)
	b.commands.Put(func() { first <- child.stop.firstSentAt })
	if d := killed.Sub(<-first); d < minKillDelay {
		t.Errorf("SIGKILL was sent %v after the first step, want %v at least", d, minKillDelay)
	}
	if e := b.exited(id); e.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want the end by SIGKILL", e.Exit)
	}
}
