package orchestrator

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// forwarded is a signal for all runs.
type forwarded struct{ came, sig unix.Signal }

// Forward passes a signal that came to us on to every run, or sig in its
// place; 0: none. It is no request: no stop begins.
func (f *Orchestrator) Forward(came, sig unix.Signal) { f.mail.Put(forwarded{came, sig}) }

func (f *Orchestrator) forward(m forwarded) {
	f.advance() // a stop that was asked for before has its first signal sent before
	meaning := "forwarded"
	switch m.sig {
	case m.came:
	case 0:
		meaning = "swallowed"
	default:
		meaning = "forwarded as " + signalName(m.sig)
	}
	f.opt.Sink.Emit(event.SignalReceived{Signal: signalName(m.came), Meaning: meaning, Passed: true})
	for _, u := range f.units {
		if u.state.HasProcess() {
			f.opt.Processes.Forward(u.run, m.came, m.sig)
		}
	}
}

// ExitStatus is how the last run ended, or why there was none. Call it after Run.
func (f *Orchestrator) ExitStatus() (unix.WaitStatus, error) {
	return f.books.status, f.books.unspawned
}
