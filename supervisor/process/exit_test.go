package process

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/spawn"
)

// TestStartVerbFailure: the exit status of a start verb without an error decides whether the
// spawn is repeated.
func TestStartVerbFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		exited  Exited
		revoked bool
		short   bool
	}{
		"refused a thread": {Exited{Exit: event.Exit{Code: 2}}, false, true},
		"killed by the supervisor": {
			Exited{Exit: event.Exit{Signal: "SIGKILL"}, Killed: true}, true, false,
		},
		"killed":       {Exited{Exit: event.Exit{Signal: "SIGKILL"}}, false, false},
		"another code": {Exited{Exit: event.Exit{Code: 126}}, false, false},
	} {
		err := (&childProcess{exited: tt.exited}).startVerbFailure()
		if errors.Is(err, ErrRevoked) != tt.revoked || errors.Is(err, unix.EAGAIN) != tt.short {
			t.Errorf("%s: got %v, want revoked %v, shortage %v", name, err, tt.revoked, tt.short)
		}
	}
}

// TestKillBeforeExecve: a process that is killed before its execve does not count as spawned.
func TestKillBeforeExecve(t *testing.T) {
	b := newTestLoop(t)
	umask := 0o27
	s := b.silentSpec("sleep")
	s.Attributes.Umask = &umask
	b.next++
	b.Spawn(b.next, s)
	b.Signal(b.next, unix.SIGKILL, 1, event.ProofNone)
	f := wait(b, func(f SpawnFailed) bool { return f.Process == b.next })
	if !errors.Is(f.Err, ErrRevoked) {
		t.Errorf("got %v, want %v", f.Err, ErrRevoked)
	}
}

// TestProbeWithoutDescriptors: a command that cannot be started for lack of a resource of the
// supervisor gives no verdict about the child.
func TestProbeWithoutDescriptors(t *testing.T) {
	b := newTestLoop(t)
	none := spawn.Spec{Name: "x", Path: "/bin/true", Argv: []string{"true"}, Stdin: -1}
	err := b.RunProbe(t.Context(), none)
	if !errors.Is(err, ErrProbeNotStarted) {
		t.Errorf("got %v, want %v", err, ErrProbeNotStarted)
	}
	err = b.RunProbe(t.Context(), spawn.Spec{Name: "x", Path: "/not/there", Argv: []string{"x"}})
	if err == nil || errors.Is(err, ErrProbeNotStarted) {
		t.Errorf("got %v, want another error than %v", err, ErrProbeNotStarted)
	}
}
