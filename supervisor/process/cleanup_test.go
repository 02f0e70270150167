package process

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// TestOrphanCleanupEndsExitStops: a process in its exit stop is released and reaped when the
// time of the orphan cleanup is over, though no fd scan reaches it.
func TestOrphanCleanupEndsExitStops(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 })
	unblock := b.blockScans()
	defer unblock()
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 2 })
	now := time.Now()
	b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
	b.commands.Put(func() { b.giveUpScans(time.Now()) })
	if s := wait(b, func(OrphanCleanupDone) bool { return true }); len(s.Left) > 0 {
		t.Errorf("left: %+v", s.Left)
	}
	for _, f := range b.passed {
		if e, ok := f.(Exited); ok && e.Process == id {
			if e.FDs.Proof != event.ProofNone || !e.Killed ||
				!strings.Contains(e.FDs.Reason, "deadline") {
				t.Errorf("got %+v, want a kill and no proof by the deadline", e)
			}
			return
		}
	}
	t.Error("the end of the process is not reported before the end of the orphan cleanup")
}

// TestOrphanCleanupKillsPending: the orphan cleanup ends a child process whose signals wait for
// the first fd scan: by the first step and SIGKILL after minKillDelay, or by SIGKILL alone
// after the deadline. The process gets each of them once.
func TestOrphanCleanupKillsPending(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		end  time.Time
		want []unix.Signal
	}{
		"time left":       {now.Add(timeout), []unix.Signal{unix.SIGTERM, unix.SIGKILL}},
		"deadline passed": {now, []unix.Signal{unix.SIGKILL}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestLoop(t)
			id, _ := b.spawn("ignore-term")
			unblock := b.blockScans()
			defer unblock()
			b.SetDeadline(tt.end)
			b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
			b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
			now := time.Now()
			b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
			b.commands.Put(func() { b.giveUpScans(time.Now()) })
			if s := wait(b, func(OrphanCleanupDone) bool { return true }); len(s.Left) > 0 {
				t.Errorf("left: %+v", s.Left)
			}
			if e := b.exited(id); !e.Killed || e.FDs.Proof == event.ProofExact {
				t.Errorf("got %+v, want a kill without an exact proof", e)
			}
			var sent []unix.Signal
			for _, f := range b.passed {
				switch s := f.(type) {
				case OrphanSignalled:
					t.Errorf("the orphan cleanup sent %+v, want no signal", s)
				case Signalled:
					sent = append(sent, s.Signal)
					steps := map[unix.Signal]int{unix.SIGTERM: 1, unix.SIGKILL: 2}
					if s.Err != nil || s.Step != steps[s.Signal] {
						t.Errorf("got %+v, want step 1 SIGTERM or step 2 SIGKILL", s)
					}
				}
			}
			if !slices.Equal(sent, tt.want) {
				t.Errorf("sent %v, want %v", sent, tt.want)
			}
		})
	}
}

// TestOrphanCleanupSendsDelayedKill: a SIGKILL that waited for minKillDelay, and that the loop has
// not sent yet, is the one that the orphan cleanup sends.
func TestOrphanCleanupSendsDelayedKill(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("ignore-term")
	unblock := b.blockScans()
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	sent := make(chan struct{})
	b.commands.Put(func() {
		defer close(sent)
		c := b.processes[id]
		b.sendFirstStep(c)
		due := time.Now().Add(-time.Millisecond)
		c.stop.firstSentAt, c.stop.delayedKillDue = due.Add(-minKillDelay), due
		b.killInCleanup(c)
	})
	<-sent
	unblock()
	b.exited(id)
	var steps []int
	for _, f := range b.passed {
		if s, ok := f.(Signalled); ok {
			steps = append(steps, s.Step)
		}
	}
	if !slices.Equal(steps, []int{1, 2}) {
		t.Errorf("sent steps %v, want [1 2]", steps)
	}
}

// TestOrphanCleanupKillsSurvivorOnce: a survivor that was killed, and is in its exit stop, is
// not killed again by an orphan cleanup, nor after that.
func TestOrphanCleanupKillsSurvivorOnce(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("daemon ignore-term")
	b.exited(id)
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 1 && s.Descendant != "" })
	unblock := b.blockScans()
	b.Signal(id, unix.SIGKILL, 2, event.ProofExact)
	wait(b, func(s Signalled) bool { return s.Step == 2 && s.Descendant != "" })
	now := time.Now()
	b.CleanUpOrphans(now, now.Add(timeout), event.ProofExact)
	swept := make(chan int)
	b.commands.Put(func() {
		b.runDue(time.Now())
		swept <- len(b.allDescendants())
	})
	if n := <-swept; n != 1 {
		t.Fatalf("%d processes are left, want 1 in its exit stop", n)
	}
	unblock()
	wait(b, func(OrphanCleanupDone) bool { return true })
	for _, f := range b.passed {
		switch s := f.(type) {
		case OrphanSignalled:
			t.Errorf("the orphan cleanup sent %+v, want no signal", s)
		case Signalled:
			if s.Signal == unix.SIGKILL {
				t.Errorf("once more: %+v", s)
			}
		}
	}
}

// TestOrphanCleanupAfterResume: an orphan cleanup gets time from its first SIGKILL on, and
// after the supervisor was stopped. The number of extensions is limited.
func TestOrphanCleanupAfterResume(t *testing.T) {
	start := time.Now()
	s := &orphanCleanup{killAt: start, giveUp: start}
	now := start.Add(time.Minute)
	s.extendIfResumed(now)
	if want := now.Add(resumedReapTime); !s.killStarted || !s.giveUp.Equal(want) {
		t.Errorf("first kill: until %v, want %v", s.giveUp, want)
	}
	onTime := &orphanCleanup{killAt: start, giveUp: start}
	onTime.extendIfResumed(start)
	if want := start.Add(minReapTime); !onTime.giveUp.Equal(want) {
		t.Errorf("on time: until %v, want %v", onTime.giveUp, want)
	}
	late := 0
	for range 3 * maxExtensions {
		before := s.giveUp
		s.nextTick = now.Add(cleanupPoll)
		s.extendIfResumed(s.nextTick) // in time
		s.nextTick = now.Add(cleanupPoll)
		if !s.giveUp.Equal(before) {
			t.Errorf("it was not late, and got %v more", s.giveUp.Sub(before))
		}
		now = now.Add(time.Minute)
		s.extendIfResumed(now)
		if s.giveUp.After(before) {
			late++
		}
	}
	if late != maxExtensions {
		t.Errorf("got time %d times, want %d", late, maxExtensions)
	}
}

// TestOrphanListingIsPaced checks that the orphan cleanup does not list all processes after each
// round of reaping: with thousands of dead processes, a stop would spend its time with that. The
// pause is in proportion to the time of a listing.
func TestOrphanListingIsPaced(t *testing.T) {
	l, err := New(Options{FDs: fdledger.New(noSink{}), Deliver: func([]Fact) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		l.Close()
		ended := make(chan error)
		go func() { ended <- l.Run() }() // its thread gets a descriptor table of its own
		<-ended
	}()
	now := time.Now()
	far := now.Add(time.Hour)
	l.cleanup = &orphanCleanup{
		killAt: far, giveUp: far, proof: event.ProofNone, sentSteps: map[identity]int{},
	}
	adopt := func() {
		t.Helper()
		c := exec.Command("/bin/sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Process.Kill()
			if err := c.Wait(); c.ProcessState == nil {
				t.Errorf("the process is left as a zombie: %v", err)
			}
		})
	}
	adopt()
	l.tickOrphanCleanup(now)
	next := l.cleanup.nextListing
	adopt()
	if at := l.tickOrphanCleanup(next.Add(-1)); len(l.cleanup.sentSteps) != 1 || at != next {
		t.Errorf("%d processes are known, and the next tick is due in %v; want 1 and %v",
			len(l.cleanup.sentSteps), at.Sub(now), next.Sub(now))
	}
	l.tickOrphanCleanup(next)
	if len(l.cleanup.sentSteps) != 2 {
		t.Errorf("%d processes are known after the pause, want 2", len(l.cleanup.sentSteps))
	}
}
