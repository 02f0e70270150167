package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals is the actor that turns signals into requests. It lives until all
// is over: one that restores the defaults after the first signal would let the
// second one kill us in the middle of a stop.
type signals struct {
	in   chan os.Signal
	pipe chan os.Signal
	quit chan struct{}
}

// catch takes the signals that mean something to us. SIGHUP stays ignored if
// it was (nohup(1)). SIGPIPE would kill us when a reader of our standard
// output goes away (os/signal, "SIGPIPE"); caught, it is an error of the write,
// and it is caught rather than ignored so that children do not inherit that.
func catch() *signals {
	s := &signals{in: make(chan os.Signal, 16), pipe: make(chan os.Signal, 1), quit: make(chan struct{})}
	signal.Notify(s.in, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1)
	if !signal.Ignored(unix.SIGHUP) {
		signal.Notify(s.in, unix.SIGHUP)
	}
	signal.Notify(s.pipe, unix.SIGPIPE)
	return s
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

// requests are what signals ask for.
type requests interface {
	Signal(unix.Signal) // a stop, or more haste
	Reload()
	Ledger() // tell what is open
}

func (s *signals) run(to requests) error {
	for {
		select {
		case <-s.quit:
			return nil
		case sig := <-s.in:
			switch sig {
			case unix.SIGHUP:
				to.Reload()
			case unix.SIGUSR1:
				to.Ledger()
			default:
				to.Signal(sig.(unix.Signal))
			}
		}
	}
}

func (s *signals) close() { close(s.quit) }
