package process

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fixture"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/process/tracehelper"
)

// The start verb executes /proc/self/exe, which is the test binary here. An
// init function runs on the main thread.
func init() {
	if len(os.Args) > 1 && os.Args[1] == spawn.StartVerb {
		os.Exit(spawn.RunStartVerb(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == tracehelper.Verb {
		os.Exit(tracehelper.Run(os.Args[2:]))
	}
}

// startAnd spawns a fixture and calls then before the fixture can be executed.
func (b *testLoop) startAnd(s Spec, program string, then func(ID)) ID {
	b.t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer null.Close()
	path, env := fixture.Command(program)
	s.Name, s.Path, s.Argv, s.Env = program, path, []string{path}, append(os.Environ(), env...)
	s.Stdin, s.Stdout, s.Stderr = int(null.Fd()), int(null.Fd()), int(null.Fd())
	b.next++
	id := b.next
	b.Spawn(id, s)
	then(id)
	wait(b, func(s Spawned) bool { return s.Process == id })
	return id
}

// TestSignalsWaitForExecve: a signal that comes before the execve goes to the command, which
// ignores it here. The start verb would not ignore it.
func TestSignalsWaitForExecve(t *testing.T) {
	b := newTestLoop(t)
	for range 5 {
		spec := Spec{Spec: spawn.Spec{Ignored: spawn.Signals(0).With(unix.SIGUSR2)}}
		id := b.startAnd(spec, "sleep", func(id ID) {
			b.Forward(id, unix.SIGUSR1, 0) // not passed on
			b.Forward(id, unix.SIGUSR1, unix.SIGUSR2)
		})
		s := wait(b, func(s Signalled) bool { return s.Process == id })
		if s.Signal != unix.SIGUSR2 || s.Step != 0 || s.Err != nil {
			t.Fatalf("got %+v, want SIGUSR2 without a step", s)
		}
		b.Signal(id, unix.SIGKILL, 1, event.ProofNone)
		if e := b.exited(id); e.Exit.Signal != "SIGKILL" {
			t.Fatalf("it ended with %+v", e.Exit)
		}
	}
}

// TestTraceFromSpawn: a process that is traced from its spawn has an exact proof without a
// stop.
func TestTraceFromSpawn(t *testing.T) {
	b := newTestLoop(t)
	for range 20 {
		id := b.startAnd(Spec{TraceFrom: event.ProofExact}, "exit 9", func(ID) {})
		if e := b.exited(id); e.Exit.Code != 9 || e.FDs.Proof != event.ProofExact {
			t.Fatalf("got %+v, want code 9 and an exact proof", e)
		}
	}
}

// TestStartVerbFails: a command that the start verb cannot execute does not count as spawned.
func TestStartVerbFails(t *testing.T) {
	b := newTestLoop(t)
	spec := b.silentSpec("sleep")
	spec.Path, spec.Barrier = "/not/there", true
	b.Spawn(1, spec)
	f := wait(b, func(f SpawnFailed) bool { return f.Process == 1 })
	if want := "cannot execute /not/there: no such file or directory"; f.Err.Error() != want {
		t.Errorf("%v, want %s", f.Err, want)
	}
	for _, other := range b.passed {
		if _, ok := other.(Spawned); ok {
			t.Error("it counts as spawned")
		}
	}
}
