// Package spawn starts processes. It prepares a [Spec], hands the descriptors of the child over to
// the thread that forks, forks, sets the attributes of the child, and gives it the terminal.
//
// The calling thread of a fork matters: it determines the parent death signal, the tracer and the
// fd table of the child. So each function says on which thread it may be called. "The loop's
// thread" is the one OS thread that forks, signals, traces and waits for all children.
//
//	Prepare             any goroutine    opens what the child needs; PrepareProbe for a probe
//	Handover.Give       any goroutine    sends the descriptors to the loop's thread
//	Handover.Take       loop's thread    receives them
//	Prepared.Fork       loop's thread    forks
//	Barrier.Release     any other        lets the child execute its command
//
// This package neither waits for children nor signals them; package process does.
package spawn

import (
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"

	"tp0/supervisor/envfile"
	"tp0/supervisor/files"
	"tp0/supervisor/program"
)

// Spec describes a process to be started.
type Spec struct {
	Name string   // the instance, for the fd ledger
	Path string   // the executable; empty: it is found from Argv[0] when the process starts
	Argv []string // starts with the name of the command
	Env  []string
	// PidVariables are names of variables that get the pid of the process as their value.
	PidVariables []string
	// LateEnv are files with variables that are read when the process starts.
	LateEnv envfile.Late
	Dir     string // working directory; empty for that of the supervisor
	// Stdin, Stdout and Stderr are descriptors of the supervisor.
	Stdin  int
	Stdout int
	Stderr int
	// Sockets get the numbers from 3 on, with the variables of sd_listen_fds(3).
	Sockets []Socket
	// Session gives the process a session of its own (setsid(2)). Otherwise it gets a process group
	// of its own in our session.
	Session bool
	// Terminal says that standard input is our terminal. With Session it becomes the controlling
	// terminal of the new session. Then it must not be the controlling terminal of another session:
	// see [GiveUpTerminal].
	Terminal bool
	// Ignored are the ignored signals, Blocked is the signal mask. Go's fork loses a part of both.
	// Those that the supervisor itself ignores must stay ignored until the child is forked. With a
	// nil Blocked, the mask is what Go's fork sets.
	Ignored    Signals
	Blocked    *Signals
	Attributes Attributes
	// Barrier makes the child wait at a [Barrier] even if nothing else needs one. So the caller can
	// attach to the child before its first instruction.
	Barrier bool

	probe bool // set by PrepareProbe
}

// deathSignal is the parent death signal of the process (PR_SET_PDEATHSIG, prctl(2)).
func (s *Spec) deathSignal() syscall.Signal {
	if s.probe {
		return syscall.SIGKILL
	}
	return syscall.SIGTERM
}

// libcSignals belong to the C library, which sets them up in every program. posix_spawn(3) leaves
// them ignored (sysdeps/unix/sysv/linux/spawni.c of glibc). So a supervisor that make or Python
// started has them ignored.
const libcSignals Signals = 1<<(32-1) | 1<<(33-1)

// needsStartVerb reports whether the process needs something between fork and exec that Go's fork
// cannot do.
func (s *Spec) needsStartVerb() bool {
	return s.Barrier || s.Path == "" || len(s.LateEnv.Paths) > 0 ||
		!reflect.DeepEqual(s.Attributes, Attributes{}) ||
		!passesOn(s.Ignored&^libcSignals) || s.Blocked != nil ||
		len(s.Sockets) > 0 || len(s.PidVariables) > 0 ||
		s.Terminal && !s.Session // the group gets the terminal before the command runs
}

// passesOn reports whether Go's fork passes on that signals are ignored: it does for those that
// [signal.Ignore] ignores, and resets the others (clearSignalHandlers in package runtime).
func passesOn(ignored Signals) bool {
	for sig := unix.Signal(1); sig <= LastSignal; sig++ {
		if ignored.Has(sig) && !signal.Ignored(sig) {
			return false
		}
	}
	return true
}

// Resolve reads LateEnv and finds Path, if they are set and empty. The start verb does the same for
// a child. Resolve is for the command of a probe. It can block as long as the file system does.
func (s Spec) Resolve() (Spec, error) {
	var err error
	if s.Env, err = s.LateEnv.Apply(s.Env, os.Getpid()); err != nil {
		return s, err
	}
	if s.Path == "" {
		if s.Path, err = find(s.Argv[0], s.Dir, s.Env); err != nil {
			return s, fmt.Errorf("cannot find the command: %w", err)
		}
	}
	return s, nil
}

// find finds the executable of a command. An empty dir is the present working directory.
func find(command, dir string, environ []string) (string, error) {
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return "", fmt.Errorf("cannot find the working directory: %w", err)
		}
	}
	reader := &files.Reader{}
	f := program.Finder{
		Dir: dir, Path: program.SearchPath(environ), Root: program.ByRoot(),
		Read: reader.Read, Names: reader.Names,
	}
	return f.Find(command)
}
