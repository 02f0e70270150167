package process

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procfs"
)

// TestDetachFromSurvivors: survivors that are left are detached from, and the orphan cleanup
// traces them again.
func TestDetachFromSurvivors(t *testing.T) {
	before := detachAfter
	detachAfter = 0
	t.Cleanup(func() { detachAfter = before }) // after the cleanup of the loop
	b := newTestLoop(t)
	id, out := b.start("daemon sleep stay")
	var line string
	if _, err := fmt.Fscanf(out, "daemon %s ready", &line); err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(line, &pid)
	b.SetScope(id, lifecycle.ScopeGroup, true)
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	b.exited(id)
	for late := time.Now().Add(timeout); ; {
		s, err := procfs.ReadStatus(pid)
		if err != nil || time.Now().After(late) {
			t.Fatalf("it is traced by %d (%v)", s.Tracer, err)
		}
		watched := make(chan bool)
		b.commands.Put(func() { watched <- b.observations[pid] != nil })
		if !<-watched && s.Tracer == 0 {
			break
		}
	}
	b.CleanUpOrphans(time.Now().Add(timeout), time.Now().Add(2*timeout), event.ProofExact)
	e := wait(b, func(e DescendantEnded) bool { return e.Pid == pid })
	if e.FDs.Proof != event.ProofExact || !e.Exit.OK() || strings.Contains(e.Command, " ") {
		t.Errorf("got %+v, want code 0, an exact proof and the name of one process", e)
	}
	wait(b, func(s OrphanCleanupDone) bool { return true })
}
