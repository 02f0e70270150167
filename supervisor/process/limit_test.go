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

// waited is the time that the reason of a proof names.
func waited(t *testing.T, look FDResult) time.Duration {
	t.Helper()
	_, text, _ := strings.Cut(look.Reason, "took more than ")
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Errorf("reason %q: %v", look.Reason, err)
	}
	return d
}

// In the final stop a signal waits for the fd scan before it no longer than an eighth of the time
// that is left, whether the stop of its run began before or after that of everything.
func TestLateLookInTheFinalStop(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id, _ := b.spawn("deaf")
			unblock := b.block()
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
			if d := waited(t, e.FDs); e.FDs.Proof == event.ProofExact || d > 100*time.Millisecond {
				t.Errorf("proof %s, it waited %v", e.FDs.Proof, d)
			}
		})
	}
}

// In the final stop a thread is held no longer than a quarter of the time that is left, and the
// end of its process is told though its scan is still under way.
func TestHoldInTheFinalStop(t *testing.T) {
	b := newBench(t)
	id, _ := b.spawn("deaf")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.block()
	defer unblock()
	b.SetDeadline(time.Now().Add(400 * time.Millisecond))
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	e := b.exited(id)
	if d := waited(t, e.FDs); e.FDs.Proof != event.ProofNone || d > 100*time.Millisecond {
		t.Errorf("proof %s, it was held %v", e.FDs.Proof, d)
	}
}

// Of a large table no more is read once the time of the scan is over.
func TestScanIsGivenUp(t *testing.T) {
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
	b := newBench(t)
	pid, past := os.Getpid(), time.Now()
	for name, tt := range map[string]struct {
		h   *scanLimit
		err error
	}{
		"no limit":   {nil, nil},
		"in time":    {newScanLimit(past.Add(time.Hour), 0), nil},
		"too late":   {newScanLimit(past, minScannedFDs), procfs.ErrScanAborted},
		"small":      {newScanLimit(past, 4*many), nil},
		"called off": {called(newScanLimit(past.Add(time.Hour), 0)), procfs.ErrScanAborted},
	} {
		var fds []procfs.FD
		var err error
		read := make(chan struct{})
		b.commands.Put(func() {
			b.workers.submit(func() {
				fds, err = b.readFDs(pid, pid, tt.h)
				close(read)
			})
		})
		<-read
		if !errors.Is(err, tt.err) || err == nil && len(fds) < many {
			t.Errorf("%s: %d descriptors, %v", name, len(fds), err)
		}
	}
}

func called(limit *scanLimit) *scanLimit {
	limit.abort()
	return limit
}

// Of a child with very many descendants some are traced. The others are ended all the same, and
// counted.
func TestManyDescendants(t *testing.T) {
	const many = minTraced + 40
	b := newBench(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := b.silent("sleep")
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 1000 & i=$((i+1)); done; "+
		"echo ready; wait", many)
	s.Path, s.Argv, s.Stdout = "/bin/sh", []string{"sh", "-c", script}, int(w.Fd())
	b.Spawn(1, s)
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q %v", line, err)
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

// A child whose first step had to wait until SIGKILL was due still gets a moment to end.
func TestFirstStepComesAMomentBeforeSIGKILL(t *testing.T) {
	b := newBench(t)
	s := b.silent("sleep") // which ends at SIGTERM
	b.Spawn(1, s)
	wait(b, func(s Spawned) bool { return s.Process == 1 })
	unblock := b.block()
	defer unblock()
	b.SetDeadline(time.Now().Add(time.Second))
	b.Signal(1, unix.SIGTERM, 1, event.ProofExact)
	b.Signal(1, unix.SIGKILL, 2, event.ProofExact)
	if e := b.exited(1); e.Exit.Signal == "SIGKILL" {
		t.Errorf("%+v", e.Exit)
	}
}
