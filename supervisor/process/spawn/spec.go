// Package spawn starts processes: it prepares a [Spec], hands the descriptors
// of the child over to the thread that forks, forks, sets the child's
// attributes, and gives it the terminal.
//
// A fork belongs to the thread that calls it: the child's parent death signal,
// its tracer and the table of descriptors that it copies are those of this
// thread. So the functions say where they may be called. "The loop's thread" is
// the one OS thread that forks, signals, traces and waits for all children.
//
//	Prepare             any goroutine    opens what the child needs
//	Handover.Give       any goroutine    sends the descriptors to the loop's thread
//	Handover.Take       loop's thread    receives them
//	Prepared.Fork       loop's thread    forks
//	Barrier.Release     any other        lets the child execute its command
//
// Nothing here waits for a child or signals one: that is the part of package
// process.
package spawn

import (
	"fmt"
	"reflect"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// Spec is what a process begins with.
type Spec struct {
	Name string   // the instance; for the ledger
	Path string   // the executable; it is not searched for in PATH
	Argv []string // from the command's name on
	Env  []string
	Dir  string // empty: the supervisor's own
	// Stdin, Stdout and Stderr are descriptors of the supervisor.
	Stdin  int
	Stdout int
	Stderr int
	// Sockets get the numbers from 3 on, with the variables of sd_listen_fds(3).
	Sockets []Socket
	// Session starts a session of its own (setsid(2)). Otherwise the process gets
	// a process group of its own in our session.
	Session bool
	// Terminal says that standard input is our terminal. With Session it becomes
	// the controlling terminal of the new session, and must be nobody's: see
	// [GiveUpTerminal].
	Terminal bool
	// Ignored are the signals that are ignored, Blocked is the signal mask. Go's
	// fork loses a part of both. A nil mask stays as Go's fork leaves it.
	Ignored    Signals
	Blocked    *Signals
	Attributes Attributes
	// Barrier makes the child wait at a [Barrier] even where nothing else needs
	// one, so that the caller can attach to it before its first instruction.
	Barrier bool
}

// libcSignals belong to the C library, and every program sets them up for
// itself. posix_spawn(3) leaves them ignored (sysdeps/unix/sysv/linux/spawni.c
// of glibc), so a supervisor that make or Python started has them ignored.
const libcSignals Signals = 1<<(32-1) | 1<<(33-1)

// needsStartVerb reports whether something is to be done between fork and exec
// that Go's fork cannot do.
func (s *Spec) needsStartVerb() bool {
	return s.Barrier ||
		!reflect.DeepEqual(s.Attributes, Attributes{}) ||
		s.Ignored&^libcSignals != 0 || s.Blocked != nil ||
		len(s.Sockets) > 0 ||
		s.Terminal && !s.Session // the group gets the terminal before the command runs
}

// Prepared is a process that can be forked.
type Prepared struct {
	// Barrier holds the child back between fork and exec. nil: the child executes
	// its command at once, and Fork returns when it did.
	Barrier *Barrier
	// Inherited are the sockets with the numbers that they have in the child. They
	// are in the supervisor's ledger, not among the child's own descriptors.
	Inherited []procfs.FD

	spec     Spec
	files    []int // of the supervisor; the index is the number in the child
	childEnd int   // of the barrier; valid if Barrier is not nil
}

// Prepare makes a spec ready to be forked. It may be called by any goroutine
// but the loop's. An error says that no socket could be made; then nothing is
// left open. The caller calls CloseChildEnd once the files are handed over, and
// ends the barrier with Release or Close.
func Prepare(s Spec, ledger fdledger.Registrar) (*Prepared, error) {
	p := &Prepared{spec: s, files: []int{s.Stdin, s.Stdout, s.Stderr}}
	p.addSockets()
	if !s.needsStartVerb() {
		return p, nil
	}
	var err error
	if p.Barrier, p.childEnd, err = newBarrier(s.Name, ledger); err != nil {
		return nil, err
	}
	p.files = append(p.files, p.childEnd)
	return p, nil
}

// Files are the supervisor's descriptors that Fork needs duplicates of, in this
// order. The supervisor may close its own once they are handed over.
func (p *Prepared) Files() []int { return p.files }

// CloseChildEnd closes the supervisor's copy of what only the child needs. The
// barrier notices the child's exec, or its death, by the end of the last copy.
func (p *Prepared) CloseChildEnd() {
	if p.Barrier != nil {
		_ = unix.Close(p.childEnd)
	}
}

// NotCloseOnExec lists the supervisor's descriptors beyond the standard streams
// that every child inherits: those that whoever started us gave us without
// close-on-exec. All that we open ourselves has the flag. On the loop's thread
// the list is that of its own table.
func NotCloseOnExec() ([]procfs.FD, error) {
	own, err := procfs.OwnFDs()
	if err != nil {
		return nil, fmt.Errorf("cannot list our own descriptors: %w", err)
	}
	inherited := []procfs.FD{}
	for _, f := range own {
		flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && !f.IsStandard() {
			inherited = append(inherited, f)
		}
	}
	return inherited, nil
}
