package app

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// signals is the actor that turns signals into requests. It lives until all
// is over: one that restores the defaults after the first signal would let the
// second one kill us in the middle of a stop.
type signals struct {
	ignored spawn.Signals  // at our start
	blocked *spawn.Signals // at our start; nil: none, or not known
	in      chan os.Signal
	early   []os.Signal // that came before run, and are still to be handled
	repeats repeats
	pipe    chan os.Signal
	quit    chan struct{}
}

// catch takes the signals that mean something to us. SIGHUP stays ignored if
// it was (nohup(1)). SIGPIPE would kill us when a reader of our standard
// output goes away (os/signal, "SIGPIPE"); caught, it is an error of the write,
// and it is caught rather than ignored so that children do not inherit that.
func catch() *signals {
	s := &signals{
		in:   make(chan os.Signal, 2*spawn.LastSignal),
		pipe: make(chan os.Signal, 1),
		quit: make(chan struct{}),
	}
	s.ignored, s.blocked = inherited()
	signal.Notify(s.in, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1)
	if !signal.Ignored(unix.SIGHUP) {
		signal.Notify(s.in, unix.SIGHUP)
	}
	signal.Notify(s.pipe, unix.SIGPIPE)
	return s
}

// without does something that sends us signals which are nobody's business.
func (s *signals) without(sigs []os.Signal, do func() bool) bool {
	signal.Ignore(sigs...)
	done := do()
	signal.Reset(sigs...)
	return done
}

// all takes every signal that can be caught and is not needed here: CHLD is the
// process loop's, URG and PROF are the Go runtime's. What the runtime does not
// let through (32 to 34) keeps its default.
//
// Each costs two switches between threads, a millisecond in all. So it is done
// beside what follows: those up to 31 are caught once the channel that it
// returns is closed, the realtime ones a moment later.
func (s *signals) all() <-chan struct{} {
	const realtime = 32
	caught := make(chan struct{})
	go func() {
		for sig := unix.Signal(1); sig <= spawn.LastSignal; sig++ {
			switch sig {
			case realtime:
				close(caught)
			case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF:
			default:
				signal.Notify(s.in, sig)
			}
		}
	}()
	return caught
}

// release restores the defaults, for a verb that is over in a moment. A signal
// that came before it is not lost.
func (s *signals) release() {
	signal.Stop(s.in)
	signal.Stop(s.pipe)
	select {
	case sig := <-s.in:
		if sig != unix.SIGHUP && sig != unix.SIGUSR1 {
			_ = unix.Kill(os.Getpid(), sig.(unix.Signal))
		}
	default:
	}
}

// await waits for done. If a request to end everything comes first, it waits for
// patience longer, and returns the signal if done is still to come. What comes
// meanwhile is kept for run.
func (s *signals) await(done <-chan struct{}, patience time.Duration) os.Signal {
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
			if ends(sig) && first == nil {
				first, late = sig, time.After(patience)
			}
		}
	}
}

// beside does something that may take long, and calls heard for each signal that
// comes meanwhile. They are all kept for run.
func (s *signals) beside(do func(), heard func(os.Signal)) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-done:
				return
			case sig := <-s.in:
				s.keep(sig)
				heard(sig)
			}
		}
	}()
	do()
	close(done)
	<-over
}

// keep keeps a signal for run, unless it repeats the request before it.
func (s *signals) keep(sig os.Signal) {
	if !s.repeats.is(sig.(unix.Signal), time.Now()) {
		s.early = append(s.early, sig)
	}
}

// ends reports whether a signal asks run to end everything.
func ends(sig os.Signal) bool {
	return sig == unix.SIGTERM || sig == unix.SIGINT || sig == unix.SIGQUIT
}

// run gives each signal to take, in one goroutine.
func (s *signals) run(take func(unix.Signal)) error {
	for _, sig := range s.early {
		take(sig.(unix.Signal))
	}
	for {
		select {
		case <-s.quit:
			return nil
		case sig := <-s.in:
			take(sig.(unix.Signal))
		}
	}
}

func (s *signals) close() { close(s.quit) }
