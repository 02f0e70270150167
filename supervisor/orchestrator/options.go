package orchestrator

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/cause"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/notify"
	"tp0/supervisor/openfds"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// Processes is the process loop. Only RunProbe and Listeners wait.
type Processes interface {
	Spawn(process.ID, process.Spec)
	Signal(id process.ID, sig unix.Signal, step int, proof event.Proof)
	MarkReady(process.ID)
	SetScope(id process.ID, scope lifecycle.Scope, leave bool)
	SetMainProcess(id process.ID, pid int)
	HandOver(id process.ID, pid int)
	Inspect(process.ID, unix.Signal)
	Diagnose(process.ID, unix.Signal)
	Forward(id process.ID, came, sig unix.Signal)
	Reload(id process.ID, sig unix.Signal)
	Send(id process.ID, sig unix.Signal)
	RunProbe(context.Context, spawn.Spec) error
	Listeners(context.Context, []process.ID) (map[process.ID][]string, error)
	SetDeadline(time.Time)
	CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof)
}

// OutputRelay prepares the output of a process.
type OutputRelay interface {
	Prepare(output.Spec) (*output.ChildOutput, error)
}

// Sockets are the listening sockets that children inherit. None of its methods waits.
type Sockets interface {
	Open([]config.Listen) error // opens all of them, or changes nothing
	Take([]config.Listen) ([]int, error)
	Keep(needed func(address string) bool) // closes the others
	Empty() bool
}

// Notifications opens the sockets for the notifications of processes (sd_notify(3)).
type Notifications interface {
	Open(notify.Process) (NotifySocket, error)
	Close() // closes what is open, and waits for that
}

// NotifySocket is the notification socket of one process; see [notify.Inbox].
type NotifySocket interface {
	Address() string // the value of NOTIFY_SOCKET
	Messages(main int) (messages []notify.Message, rejected string)
	Drain(main int) (messages []notify.Message, rejected string)
	Close()
}

// Options configure an Orchestrator.
type Options struct {
	Config    *config.Config
	Load      func() (*config.Config, error) // reads the configuration for a reload; may block
	Configure func(*config.Config)           // applies the global part of a reloaded configuration
	Processes Processes
	Relays    OutputRelay
	Sockets   Sockets       // nil: no child inherits a socket
	Notify    Notifications // nil: no child notifies
	Sink      event.Sink
	// FindCause returns what is known about an unexpected end beside its exit status; empty:
	// nothing. It may wait for a bounded time. nil: nothing is ever known.
	FindCause func(cause.End) string
	// CountFDs counts the descriptors of a process tree, and CommonFDs returns what most of those
	// of some kinds refer to; see [openfds.Count]. Both wait, until ctx ends at the latest. nil:
	// nothing is counted.
	CountFDs  func(ctx context.Context, pid int) ([]openfds.Counted, error)
	CommonFDs func(ctx context.Context, pid int, kinds []string) []api.FDTarget
	// CountCheck is called with the result of each attempt of a check of an instance. It must not
	// block. nil: no result is counted.
	CountCheck func(instance, check string, r event.CheckResult)
	// ProcessDefaults is what all processes have in common: standard input, kill scope, and more.
	ProcessDefaults process.Spec
	// Now returns the time since a fixed moment, with which pauses of the supervisor are found.
	Now              func() time.Duration
	Terminal         bool          // a user may be watching and can press Ctrl-C again
	KeepQueuedSpawns bool          // a stop does not revoke a spawn that is queued
	ShortageTimeout  time.Duration // of retries of a spawn for lack of a resource; 0 disables it
	LeaveOrphans     bool          // disables the orphan cleanup
}
