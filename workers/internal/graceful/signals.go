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
	// exitTimeout is how long a body may run after the stop was escalated. Only a standard output
	// that nothing reads can block it for longer.
	exitTimeout = time.Second

	// ExitFailed is the exit code of a program whose work failed.
	ExitFailed = 1
	// ExitUsage is the exit code for wrong arguments or settings.
	ExitUsage = 2
)

// Signals turns SIGTERM and SIGINT into an orderly stop. The first signal starts it (Stopping). The
// second signal, or the end of the drain timeout, escalates it (Hurrying). No signal kills the
// process. Catch returns one.
type Signals struct {
	arrived chan os.Signal
	steps   chan string // the reasons of the stop and of its escalation, for Actor
	drain   atomic.Int64
	release func() // stops the delivery to arrived

	stopping, hurrying context.Context
	stop, hurry        context.CancelFunc
}

// Catch installs the handler. It must be the first statement of main: an earlier signal kills the
// process. It also ignores SIGPIPE: in Go, EPIPE on descriptor 1 or 2 kills the process otherwise,
// so a log whose reader is gone would interrupt the stop. drain is the time from the first signal
// to the escalation of the stop. SetDrain changes it.
func Catch(drain time.Duration) *Signals {
	s := catch(drain)
	signal.Notify(s.arrived, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGPIPE)
	s.release = func() {
		// A channel without reader receives the signals from now on. Without it signal.Stop would
		// restore the default disposition, which kills. signal.Ignore restores it for a moment too:
		// under many signals one process in 70 was killed.
		signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT)
		signal.Stop(s.arrived)
	}
	return s
}

// catch is Catch without the signals of the process.
func catch(drain time.Duration) *Signals {
	// More than two elements, since os/signal drops signals that do not fit.
	s := &Signals{arrived: make(chan os.Signal, 8), steps: make(chan string, 2), release: func() {}}
	s.SetDrain(drain)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.hurrying, s.hurry = context.WithCancel(context.Background())
	return s
}

// SetDrain changes the drain timeout. It has no effect after the first signal.
func (s *Signals) SetDrain(drain time.Duration) { s.drain.Store(int64(drain)) }

// Stopping ends with the start of the stop: no new work is started, received requests are answered.
func (s *Signals) Stopping() context.Context { return s.stopping }

// Hurrying ends when the stop is escalated: the program then waits for nothing. It never ends
// before Stopping.
func (s *Signals) Hurrying() context.Context { return s.hurrying }

// Main runs body, handles the signals meanwhile and returns the exit code of body. It returns
// ExitFailed if body has not returned one second after the escalation. Call it once, from main.
func (s *Signals) Main(body func() int) int {
	ended := make(chan int, 1)
	go func() { ended <- body() }()

	var due, overdue <-chan time.Time
	escalate := func(why string) {
		if overdue == nil {
			overdue = time.After(exitTimeout)
			s.steps <- why
		}
	}
	for {
		select {
		case code := <-ended:
			return code
		case sig := <-s.arrived:
			if due != nil {
				escalate(name(sig))
				continue
			}
			due = time.After(time.Duration(s.drain.Load()))
			s.steps <- name(sig)
		case <-due:
			escalate("end of the drain")
		case <-overdue:
			return ExitFailed
		}
	}
}

// Actor returns the functions for an oklog/run group. The actor logs the start and the escalation
// of the stop and then ends the contexts. It returns only when it is interrupted, so the group runs
// until another actor has returned.
func (s *Signals) Actor(log *Log) (execute func() error, interrupt func(error)) {
	done := make(chan struct{})
	execute = func() error {
		for _, step := range []struct {
			action string
			cancel context.CancelFunc
		}{{"stop", s.stop}, {"hurry", s.hurry}} {
			select {
			case why := <-s.steps:
				log.Progress(step.action, "reason", why)
				step.cancel()
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

// End releases the signal channel, writes the last line and returns code. Call it last in body.
// Later signals are caught and dropped, so they do not kill a process that ends with an exit code.
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
