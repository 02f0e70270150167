package process

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// Go's fork has no hook between fork and exec. What must be done there is done
// by a hidden verb of our own binary, which then executes the command. Only
// runs that need it go this way: it costs the start of a Go program, some
// milliseconds.

// StartVerb is the word that makes our own binary call [Start].
const StartVerb = "__start"

// Signals is a set of signals as the kernel has it: bit n-1 is signal n.
type Signals uint64

// LastSignal is the highest number that there is.
const LastSignal = unix.Signal(64)

// Has reports whether the set has a signal.
func (s Signals) Has(sig unix.Signal) bool { return s>>(sig-1)&1 == 1 }

// With returns the set with a further signal.
func (s Signals) With(sig unix.Signal) Signals { return s | 1<<(sig-1) }

// Without returns the set without a signal.
func (s Signals) Without(sig unix.Signal) Signals { return s &^ (1 << (sig - 1)) }

// gate is our end of the socket between us and a run that has not executed its
// command yet. A byte from us lets it go on; a text from it says why it could
// not. The exec closes its end. It is used and closed beside the loop, whose
// thread does not have it.
type gate struct {
	books  Books
	behind []func() // what waits for the exec; the loop's

	mu sync.Mutex
	fd int // -1: closed
}

// newGate makes one, and the end for the run.
func newGate(books Books, name string) (g *gate, other int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make a socket: %w", err)
	}
	books.Opened(pair[0], "socket", name+" start")
	return &gate{books: books, fd: pair[0]}, pair[1], nil
}

// pass lets the run through, and waits until it has executed its command, or
// cannot, or is dead.
func (g *gate) pass() error {
	defer g.close()
	_, _ = unix.Write(g.fd, []byte{1}) // if it is dead, its end is closed too
	return readFailure(g.fd)
}

// shut ends the wait of pass.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fd >= 0 {
		_ = unix.Shutdown(g.fd, unix.SHUT_RDWR)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.books.Close(g.fd, func() error { return unix.Close(g.fd) })
	g.fd = -1
}

// theirs are signals that belong to the C library, which every program sets up
// for itself: posix_spawn(3) leaves them ignored (sysdeps/unix/sysv/linux/spawni.c
// of glibc), so whoever make or Python started has them so.
const theirs Signals = 1<<(32-1) | 1<<(33-1)

// needsStart reports whether something is to be done before the exec.
func (s Spec) needsStart() bool {
	return !reflect.DeepEqual(s.Attributes, Attributes{}) || s.Ignored&^theirs != 0 || s.Blocked != nil || len(s.Sockets) > 0 || s.Terminal && !s.Session || s.Watch == Exact
}

// through makes a spec go through the start verb. The last of its files is the
// other end of the gate. Where a run inherits what we have, its number is one
// that is free; it alone of those that are handed over is not close-on-exec then,
// and only this thread forks.
func (l *Loop) through(s *Spec, files *[]int) error {
	last := len(*files) - 1
	number := last
	if l.opt.Inherit && len(s.Sockets) == 0 {
		number = (*files)[last]
		*files = (*files)[:last]
		if _, err := unix.FcntlInt(uintptr(number), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("cannot hand a socket on: %w", err)
		}
	}
	text, err := json.Marshal(order{s.Ignored, s.Blocked, number, os.Getpid(), s.Attributes})
	if err != nil {
		return err
	}
	s.Argv = append([]string{"supervisor", StartVerb, string(text), s.Path}, s.Argv...)
	s.Path = "/proc/self/exe"
	return nil
}

// open lets a run go on to its command, and waits beside the loop for the exec.
func (l *Loop) open(r *run) {
	g := r.gate
	r.starting = true
	l.lookers.all.Go(func() {
		failure := g.pass()
		l.cmds.Put(func() {
			r.starting, r.failure, r.gate = false, failure, nil
			if failure == nil {
				l.spawned(r)
				for _, do := range g.behind {
					if !r.reaped {
						do()
					}
				}
			}
			l.settle(r)
		})
	})
}

// once does something to a run when it executes its command, as a signal to
// the start verb would be none to the command. SIGKILL does not wait.
func (l *Loop) once(r *run, sig unix.Signal, do func()) {
	if r.gate != nil && sig != unix.SIGKILL {
		r.gate.behind = append(r.gate.behind, do)
		return
	}
	do()
}

// spawnOptions are for a run that is traced from its spawn on: its threads are,
// but what it forks is not before its stop.
const spawnOptions = unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACECLONE

// attachAtSpawn begins to watch a run before its first instruction, so that an
// end by itself is judged too. Where the kernel does not let us, the stop tries
// again.
func (l *Loop) attachAtSpawn(r *run) {
	if r.watch != Exact {
		return
	}
	if ptrace(unix.PTRACE_SEIZE, r.pid, 0, spawnOptions) != nil {
		return
	}
	l.watchRun(r)
	w := r.watched
	w.attached, w.look.Proof = true, Exact
	l.traces(w, r.pid)
}

// watchRun begins to watch a run's own process.
func (l *Loop) watchRun(r *run) {
	r.watched = l.watch(&watched{run: r, pid: r.pid, comm: r.name})
}

// handedOn lists what children inherit beyond the standard streams, from
// whoever started us: all of our own is close-on-exec.
func (l *Loop) handedOn() []procfs.FD {
	if !l.opt.Inherit || l.inherited != nil {
		return l.inherited
	}
	l.inherited = []procfs.FD{}
	own, _ := procfs.Own() // without it they count as the children's
	for _, f := range own {
		if flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 && !f.Std() {
			l.inherited = append(l.inherited, f)
		}
	}
	return l.inherited
}
