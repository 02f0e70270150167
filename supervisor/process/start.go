package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

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
// not. The exec closes its end.
type gate struct {
	fd     int
	behind []func() // what waits for the exec
}

// theirs are signals that belong to the C library, which every program sets up
// for itself: posix_spawn(3) leaves them ignored (sysdeps/unix/sysv/linux/spawni.c
// of glibc), so whoever make or Python started has them so.
const theirs Signals = 1<<(32-1) | 1<<(33-1)

// needsStart reports whether something is to be done before the exec.
func (s Spec) needsStart() bool {
	return !reflect.DeepEqual(s.Attributes, Attributes{}) || s.Ignored&^theirs != 0 || s.Blocked != nil || len(s.Sockets) > 0 || s.Terminal && !s.Session || s.Watch == Exact
}

// through makes a spec go through the start verb. The other end of the gate is
// returned, to be closed after the fork. It alone of all our descriptors is
// not close-on-exec, and only this thread forks.
func (l *Loop) through(s *Spec) (g *gate, other int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make a socket: %w", err)
	}
	l.opt.Books.Opened(pair[0], "socket", s.Name+" start")
	g = &gate{fd: pair[0]}
	number := pair[1]
	if n := len(s.Sockets); n > 0 { // they could take its number: it is one of the files, behind them
		number = firstSocket + n
	} else if _, err := unix.FcntlInt(uintptr(pair[1]), unix.F_SETFD, 0); err != nil {
		l.closeGate(g)
		return nil, 0, errors.Join(fmt.Errorf("cannot hand a socket on: %w", err), unix.Close(pair[1]))
	}
	text, err := json.Marshal(order{s.Ignored, s.Blocked, number, os.Getpid(), s.Attributes})
	if err != nil {
		l.closeGate(g)
		return nil, 0, errors.Join(err, unix.Close(pair[1]))
	}
	s.Argv = append([]string{"supervisor", StartVerb, string(text), s.Path}, s.Argv...)
	s.Path = "/proc/self/exe"
	return g, pair[1], nil
}

// open lets a run go on to its command, and waits beside the loop for the exec.
func (l *Loop) open(r *run) {
	g := r.gate
	_, _ = unix.Write(g.fd, []byte{1}) // if it is dead, its end is closed too
	r.starting = true
	l.lookers.all.Go(func() {
		failure := readFailure(g.fd)
		l.cmds.Put(func() {
			r.starting, r.failure = false, failure
			if failure == nil {
				l.spawned(r)
			}
			l.passed(r)
			l.settle(r)
		})
	})
}

// passed lets go what waited for the exec.
func (l *Loop) passed(r *run) {
	g := r.gate
	r.gate = nil
	l.closeGate(g)
	for _, do := range g.behind {
		if !r.reaped && r.failure == nil {
			do()
		}
	}
}

func (l *Loop) closeGate(g *gate) {
	_ = l.opt.Books.Close(g.fd, func() error { return unix.Close(g.fd) })
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
