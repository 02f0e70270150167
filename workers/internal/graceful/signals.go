package graceful

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// reserve is what a body may need once it is hastened, for closing and for its last lines.
	// After that the only thing that can still hold it is a standard output that nobody reads.
	reserve = time.Second

	// ExitFailed is the exit code of a program that did not do what it was asked to.
	ExitFailed = 1
	// ExitUsage is the exit code of a program that was called or configured wrongly.
	ExitUsage = 2
)

// Signals turns SIGTERM and SIGINT into an orderly end. The first one begins it (Stopping), the
// second one, or the end of the drain, hastens it (Hurrying); none ever kills the process. Make one
// with Catch.
type Signals struct {
	arrived chan os.Signal
	steps   chan string // what has to be told and begun, at most two: the stop, then the hurry
	drain   atomic.Int64
	release func() // of arrived

	stopping, hurrying context.Context
	stop, hurry        context.CancelFunc
}

// Catch installs the handler. It has to be the first statement of main: a signal that comes before
// it kills the process, and no program can help that. From then on SIGPIPE is ignored as well, so
// that a reader of the log that went away (an EPIPE on descriptor 1 or 2 is deadly in Go otherwise)
// does not cut the end short.
//
// drain is how long the work may take from the first signal until it is hastened; SetDrain changes
// it.
func Catch(drain time.Duration) *Signals {
	s := catch(drain)
	signal.Notify(s.arrived, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGPIPE)
	s.release = func() {
		// A channel that nobody reads takes over. Without one signal.Stop would restore the
		// default, which kills; and signal.Ignore has a moment in which the runtime neither wants
		// nor yet ignores the signal, which was seen to kill in one end of 70 under a hail of
		// signals.
		signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT)
		signal.Stop(s.arrived)
	}
	return s
}

// catch is Catch without the signals of the process.
func catch(drain time.Duration) *Signals {
	// A handful more than the two that count: the sender of os/signal does not wait.
	s := &Signals{arrived: make(chan os.Signal, 8), steps: make(chan string, 2), release: func() {}}
	s.SetDrain(drain)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.hurrying, s.hurry = context.WithCancel(context.Background())
	return s
}

// SetDrain changes the drain. It counts for a first signal that has not come yet.
func (s *Signals) SetDrain(drain time.Duration) { s.drain.Store(int64(drain)) }

// Stopping is done once the end has begun: nothing new is started, what was asked is answered.
func (s *Signals) Stopping() context.Context { return s.stopping }

// Hurrying is done once nothing may be waited for any more. It is never done before Stopping.
func (s *Signals) Hurrying() context.Context { return s.hurrying }

// Main runs body and returns its exit code. It watches the signals meanwhile, and gives up on a
// body that is not back a second after the hurry began: that is ExitFailed. main calls it, once.
func (s *Signals) Main(body func() int) int {
	ended := make(chan int, 1)
	go func() { ended <- body() }()

	var due, overdue <-chan time.Time
	hasten := func(why string) {
		if overdue == nil {
			overdue = time.After(reserve)
			s.steps <- why
		}
	}
	for {
		select {
		case code := <-ended:
			return code
		case sig := <-s.arrived:
			if due != nil {
				hasten(name(sig))
				continue
			}
			due = time.After(time.Duration(s.drain.Load()))
			s.steps <- name(sig)
		case <-due:
			hasten("end of the drain")
		case <-overdue:
			return ExitFailed
		}
	}
}

// Actor is the pair of functions for an oklog/run group that passes on what Main has seen, the log
// line first. It has nothing to say by itself and so returns only when it is interrupted, which is
// when the work beside it has returned: the group lasts exactly as long as there is something to
// end.
func (s *Signals) Actor(log *Log) (execute func() error, interrupt func(error)) {
	done := make(chan struct{})
	execute = func() error {
		for _, begin := range []struct {
			action string
			cancel context.CancelFunc
		}{{"stop", s.stop}, {"hurry", s.hurry}} {
			select {
			case why := <-s.steps:
				log.Progress(begin.action, "reason", why)
				begin.cancel()
			case <-done:
				return nil
			}
		}
		<-done
		return nil
	}
	finish := sync.OnceFunc(func() { close(done) })
	return execute, func(error) { finish() }
}

// End is the last thing a body does: it lets go of the signal channel, writes the last line and
// returns code. From here to the end of the process the signals are caught and dropped: a late one
// must not turn a clean end into a death by signal.
func (s *Signals) End(log *Log, code int) int {
	s.release()
	s.stop()
	s.hurry()
	log.Success("close", "resource", "signal channel")
	if code == 0 {
		log.Success("exit")
	} else {
		log.Fail("exit")
	}
	return code
}

func name(sig os.Signal) string {
	if number, ok := sig.(unix.Signal); ok {
		return unix.SignalName(number)
	}
	return sig.String()
}
