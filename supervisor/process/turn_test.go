package process

import (
	"testing"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// TestWorkBesideTheLoop: a command is carried out on the calling goroutine only if the loop waits,
// no earlier command does, and none of its processes may need a request to ptrace(2) or the
// terminal. The loop of the test does not run.
func TestWorkBesideTheLoop(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(l *Loop)
		beside  bool
		reaps   bool
	}{
		"nothing": {func(*Loop) {}, true, true},
		"a child process": {func(l *Loop) {
			l.add(&childProcess{id: 1, pid: 1})
		}, true, true},
		"a turn":          {func(l *Loop) { l.turn.Lock() }, false, false},
		"a command":       {func(l *Loop) { l.commands.Put(func() {}) }, false, false},
		"observed":        {func(l *Loop) { l.observations[1] = &observed{} }, false, false},
		"traced":          {func(l *Loop) { l.tids[1] = &observed{} }, false, false},
		"a helper":        {func(l *Loop) { l.helpers.byPid[1] = &traceHelper{} }, false, false},
		"a cleanup":       {func(l *Loop) { l.cleanup = &orphanCleanup{} }, false, false},
		"job control":     {func(l *Loop) { l.terminal = true }, false, false},
		"ended":           {func(l *Loop) { l.Close() }, false, false},
		"later survivors": {func(l *Loop) { l.proofAsked = true }, true, false},
		"a stop with a proof": {func(l *Loop) {
			l.startStop(&childProcess{main: &observed{}}, event.ProofExact)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := New(Options{FDs: fdledger.New(noSink{}), Deliver: func([]Fact) {}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.handover.Close()
			defer l.sigchld.Close()
			c.prepare(l)
			if reaps := l.turnBeside(l.reapBeside); reaps != c.reaps {
				t.Errorf("reaped beside the loop: %v, want %v", reaps, c.reaps)
			}
			end := time.Now().Add(time.Hour)
			l.SetDeadline(end)
			if beside := l.budget.End.Equal(end); beside != c.beside {
				t.Errorf("the command was carried out beside the loop: %v, want %v", beside,
					c.beside)
			}
		})
	}
}
