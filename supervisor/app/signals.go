package app

import (
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/entrypoint"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/sigqueue"
)

// signals is the actor that turns signals into requests. It keeps its handlers until the process
// exits: with the default disposition, a second signal would kill the supervisor in its stop.
type signals struct {
	ignored spawn.Signals  // when the supervisor started
	blocked *spawn.Signals // likewise; nil: none, or not known
	in      chan os.Signal
	catch   func(unix.Signal) // lets in receive a signal
	kept    []os.Signal       // signals that arrived before deliver, which handles them
	repeats repeats
	late    []unix.Signal // exec catches them in catchLate
	sigpipe chan os.Signal
	quit    chan struct{}
}

// keptIgnored are signals that shells, nohup(1) and service managers leave ignored. As long as this
// process ignores them too, Go's fork passes that on, and the child needs no start verb.
var keptIgnored = [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE}

// catchSignals catches the signals that are requests to run. SIGHUP stays ignored if it was ignored
// (nohup(1)), and so does SIGPIPE (a service of systemd). Else SIGPIPE is caught: it would kill the
// supervisor when the reader of its standard output ends (os/signal, "SIGPIPE"). It is not ignored,
// because children would inherit that.
//
// exec forwards all signals, SIGPIPE too, but it forks only once: those of keptIgnored that were
// ignored stay ignored until [signals.catchLate].
func catchSignals(forExec bool) *signals {
	s := &signals{
		in:      make(chan os.Signal, 2*spawn.LastSignal),
		sigpipe: make(chan os.Signal, 1),
		quit:    make(chan struct{}),
	}
	s.ignored, s.blocked = inheritedSignals()
	s.catch = func(sig unix.Signal) { signal.Notify(s.in, sig) }
	if forExec {
		s.catch = sigqueue.New(s.in).Catch
		for _, sig := range keptIgnored {
			if s.ignored.Has(sig) {
				signal.Ignore(sig)
				s.late = append(s.late, sig)
			}
		}
	}
	s.catchSIGPIPE(forExec)
	for _, sig := range []unix.Signal{
		unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGHUP,
	} {
		if !slices.Contains(s.late, sig) && (sig != unix.SIGHUP || !signal.Ignored(sig)) {
			s.catch(sig)
		}
	}
	return s
}

// catchSIGPIPE ensures that a write to a broken pipe does not end the supervisor: the write returns
// an error. In exec, signal.Ignore tells Go's runtime that the signal is ignored. Then catch
// installs the handler that forwards it.
func (s *signals) catchSIGPIPE(forExec bool) {
	switch {
	case s.ignored.Has(unix.SIGPIPE):
		signal.Ignore(unix.SIGPIPE)
	case forExec:
		signal.Ignore(unix.SIGPIPE)
		s.catch(unix.SIGPIPE)
	default:
		signal.Notify(s.sigpipe, unix.SIGPIPE)
	}
}

// catchLate catches the signals that exec kept ignored until the command was executed.
func (s *signals) catchLate() {
	for _, sig := range s.late {
		if sig == unix.SIGPIPE {
			// The runtime drops a SIGPIPE that it found ignored and that arrives at an idle thread
			// (sigfwdgo). Notify reads the disposition again. Until catch returns, a write to a
			// broken pipe would end the supervisor. Only the log can write so early.
			spawn.RestoreSIGPIPE()
		}
		s.catch(sig)
	}
	s.late = nil
}

// catchTerminalStop catches SIGTSTP, the Ctrl-Z of a terminal. It would stop the supervisor and not
// the children, whose output would then fill the pipes. A shell without job control ignores it.
func (s *signals) catchTerminalStop() {
	if !signal.Ignored(unix.SIGTSTP) {
		signal.Notify(s.in, unix.SIGTSTP)
	}
}

// inheritedSignals returns the signals that were ignored and blocked when the supervisor started.
// Children inherit them. It must be called before any signal is caught. Without the record of
// package entrypoint, ignored has only the signals that Go's runtime leaves alone (HUP, INT and
// those it installs no handler for), and blocked is nil: unknown.
func inheritedSignals() (ignored spawn.Signals, blocked *spawn.Signals) {
	if i, b, ok := entrypoint.Signals(); ok {
		mask := spawn.Signals(b)
		if mask == 0 {
			return spawn.Signals(i), nil
		}
		return spawn.Signals(i), &mask
	}
	for sig := unix.Signal(1); sig <= spawn.LastSignal; sig++ {
		if signal.Ignored(sig) {
			ignored = ignored.With(sig)
		}
	}
	return ignored, nil
}

// ignoring calls do while sigs are ignored, because do makes the kernel send them to the
// supervisor.
func (s *signals) ignoring(sigs []os.Signal, do func() bool) bool {
	signal.Ignore(sigs...)
	ok := do()
	signal.Reset(sigs...)
	return ok
}

// catchAll catches every signal that can be caught and is not needed here: the process loop needs
// CHLD, and Go's runtime needs URG and PROF. Signals 32 to 34, which the runtime does not pass on,
// keep their default.
//
// Where os/signal catches a signal, that costs two switches of threads, for all signals one
// millisecond. So a goroutine does it. The channel is closed when the signals up to 31 are caught;
// the realtime signals follow.
func (s *signals) catchAll() <-chan struct{} {
	const realtime = 32
	caught := make(chan struct{})
	late := s.late // catchLate can run at the same time
	go func() {
		for sig := unix.Signal(1); sig <= spawn.LastSignal; sig++ {
			if sig == realtime {
				close(caught)
			}
			switch sig {
			case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF:
			case realtime, 33, 34:
			default:
				if !slices.Contains(late, sig) {
					s.catch(sig)
				}
			}
		}
	}()
	return caught
}

// await waits for done and returns nil. If a stop signal arrives first, await continues for grace
// at most, and returns that signal if done is not closed by then. The signals are kept for deliver.
func (s *signals) await(done <-chan struct{}, grace time.Duration) os.Signal {
	var first os.Signal
	var late <-chan time.Time
	for {
		select {
		case <-done:
			return nil
		case <-late:
			return first
		case sig := <-s.in:
			s.keep(sig)
			if isStopSignal(sig) && first == nil {
				first, late = sig, time.After(grace)
			}
		}
	}
}

// during calls do, which can block, and calls handle for each signal that arrives meanwhile. The
// signals are kept for deliver.
func (s *signals) during(do func(), handle func(os.Signal)) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case sig := <-s.in:
				s.keep(sig)
				handle(sig)
			}
		}
	}()
	do()
	close(done)
	<-ended
}

// keep keeps a signal for deliver, unless it is a repetition.
func (s *signals) keep(sig os.Signal) {
	if !s.repeats.isRepeat(sig.(unix.Signal), time.Now()) {
		s.kept = append(s.kept, sig)
	}
}

// deliver calls handle for each signal, in one goroutine, until close.
func (s *signals) deliver(handle func(unix.Signal)) error {
	for _, sig := range s.kept {
		handle(sig.(unix.Signal))
	}
	for {
		select {
		case <-s.quit:
			return nil
		case sig := <-s.in:
			handle(sig.(unix.Signal))
		}
	}
}

func (s *signals) close() { close(s.quit) }
