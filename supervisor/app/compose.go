package app

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api/server"
	"tp0/supervisor/cause"
	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/guard"
	"tp0/supervisor/limits"
	"tp0/supervisor/notify"
	"tp0/supervisor/openfds"
	"tp0/supervisor/orchestrator"
	"tp0/supervisor/output"
	"tp0/supervisor/procdir"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/report"
	"tp0/supervisor/sockets"
	"tp0/supervisor/timeout"
	"tp0/supervisor/watch"
)

// app is the composition root: it has all parts of a supervisor.
type app struct {
	sinks
	parts
	loader
	settings

	guard  *guard.Guard
	nullFD int  // standard input of the children; -1: none is open
	failed bool // an internal fault was reported
}

// sinks has the sinks of events, and the settings of the log.
type sinks struct {
	log         *eventlog.Log
	logSink     event.Sink // log, or the filter in front of it
	logSettings atomic.Pointer[eventlog.Settings]
	lostLines   atomic.Uint64 // of the output of children and of the log
	recorder    *report.Recorder
	reports     atomic.Bool // a report of the stop is configured
	events      *server.Events
	idleMemory  *idleMemory
}

// parts has the actors and the objects that they share. build creates them.
type parts struct {
	ledger         *fdledger.Ledger
	relay          *output.Relay
	loop           *process.Loop
	sockets        *sockets.Set
	orchestrator   *orchestrator.Orchestrator
	control        *controlSocket // nil: exec
	observation    *observation   // nil: exec
	watcher        *watch.Watcher // nil: --watch is not set
	serviceManager *notify.Sender
}

// loader is the state of loading a configuration.
type loader struct {
	files        *files.Reader
	streams      hclconfig.Streams
	pendingLoads atomic.Int32
	threadNeeds  limits.ThreadNeeds // of the configuration in force
	threads      *limits.Reservation
}

// settings has the values of the command line.
type settings struct {
	version    string
	strict     bool
	atTerminal bool     // the supervisor was started with a controlling terminal
	pidFile    *pidFile // nil: none was written
	reportPath string   // empty: the path of the configuration
	// terminationLog is the path of the file that gets the summary of the stop, if it exists.
	terminationLog string
	exitCode       func(fdledger.Result) int // the exit code of the supervisor
}

// newApp returns an app with its guard and its sinks. build creates the other parts. With
// leaveDescendants the guard does not end orphans.
func newApp(leaveDescendants bool, version string) *app {
	log := eventlog.New()
	a := &app{
		sinks: sinks{
			log: log, logSink: log, recorder: report.NewRecorder(),
			events: &server.Events{},
		},
		loader: loader{files: &files.Reader{}},
		settings: settings{
			version: version, terminationLog: terminationLogPath,
			exitCode: fdledger.Result.Code,
		},
		nullFD: -1,
	}
	a.logSettings.Store(&eventlog.Settings{
		Level: "info", Format: "text", FDs: event.LogChildren,
	})
	a.guard = guard.New(guard.Options{
		Stderr: unix.Stderr, Exit: unix.Exit, LeaveDescendants: leaveDescendants,
		Line: func(e event.ShutdownComplete) []byte {
			e.LinesDropped = a.lostLines.Load()
			return eventlog.Line(*a.logSettings.Load(), e)
		},
	})
	a.idleMemory = newIdleMemory(a.guard.Armed, releaseMemory)
	return a
}

// stdinFromNull asks build to open /dev/null as the standard input of the children.
const stdinFromNull = -1

// openLedger creates the fd ledger and the relay, which every other part needs. Each descriptor
// that is opened later must be in the ledger.
func (a *app) openLedger() error {
	a.ledger = fdledger.New(a)
	a.relay = output.NewRelay(
		output.Options{
			Stdout: os.Stdout, Stderr: os.Stderr, FDs: a.ledger, Dropped: a.outputDropped,
			Reopened:   a.logReopened,
			NotRotated: a.logNotRotated, Lost: &a.lostLines, Color: terminalsHaveColor(),
		},
	)
	if err := spawn.OpenPoller(); err != nil {
		return err
	}
	return a.ledger.Baseline()
}

// build creates the other parts and connects them. It sets the options that run and exec have in
// common. p are the options of the process loop, f those of the orchestrator.
func (a *app) build(p process.Options, f orchestrator.Options) (err error) {
	f.Notify = notifications{notify.NewReceiver(
		notify.Places(os.Geteuid(), os.Getenv), a.ledger, func(err error) {
			a.Emit(event.Warning{
				What: "directory of notification sockets not usable", Reason: err.Error(),
			})
		},
	)}
	p.FDs, p.Deliver = a.ledger, func(f []process.Fact) { a.orchestrator.Deliver(f...) }
	p.NamesOrphans = a.namesOrphans
	if a.loop, err = process.New(p); err != nil {
		return err
	}
	if f.ProcessDefaults.Stdin == stdinFromNull {
		if a.nullFD, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("cannot open %s: %w", os.DevNull, err)
		}
		a.ledger.Opened(a.nullFD, "file", os.DevNull)
		f.ProcessDefaults.Stdin = a.nullFD
	}
	a.sockets = sockets.New(a.ledger)
	if err := a.sockets.Open(f.Config.Listens()); err != nil {
		return err
	}
	a.relay.Configure(outputSettingsOf(f.Config))
	f.Processes, f.Relays, f.Sockets, f.Sink = a.loop, a.relay, a.sockets, a
	f.Now, f.FindCause = timeout.Boottime, cause.NewFinder().Find
	f.CountFDs, f.CommonFDs = openfds.Count, openfds.CommonTargets
	a.orchestrator = orchestrator.New(f)
	a.log.Start(a.relay.Writer("stderr"), logSettingsOf(f.Config.Log))
	a.warnOfProc()
	return nil
}

// notifications lets the orchestrator open notification sockets.
type notifications struct{ *notify.Receiver }

// Open implements [orchestrator.Notifications].
func (n notifications) Open(p notify.Process) (orchestrator.NotifySocket, error) {
	s, err := n.Receiver.Open(p)
	if err != nil {
		return nil, err // a nil *Inbox would not be a nil interface
	}
	return s, nil
}

// Emit passes an event on to all sinks.
func (a *app) Emit(e event.Event) {
	a.guard.Emit(e)
	a.logSink.Emit(e)
	a.recorder.Emit(e)
	a.events.Emit(e)
	a.observation.emit(e)
	a.serviceManager.Emit(e)
	a.idleMemory.emit(e)
	if _, ok := e.(event.Spawned); ok {
		a.threads.Spawned()
	}
}

// orphanLevel is the level at which the log shows the end of an orphan.
var orphanLevel = event.OrphanReaped{}.Record().Level

// namesOrphans reports whether a sink shows the name of an orphan that ends now: the log, the
// report of the stop, or a reader that follows the events. A later reader finds only the pid.
func (a *app) namesOrphans() bool {
	return a.reports.Load() || a.log.Shows(orphanLevel) || a.events.IsFollowed()
}

// fault reports an internal fault, which makes the exit code 1.
func (a *app) fault(what string, err error) {
	a.failed = true
	a.Emit(event.Fault{What: what, Reason: err.Error()})
}

// outputDropped reports output that could not be delivered. Without a lost line it waits: the disk
// is full.
func (a *app) outputDropped(dest string, lines, bytes uint64, reason string) {
	if bytes == 0 {
		a.Emit(event.Warning{What: "output waits", Reason: dest + ": " + reason})
		return
	}
	a.Emit(event.OutputDropped{Dest: dest, Lines: lines, Bytes: bytes, Reason: reason})
}

// warnOfProc warns if /proc does not show the processes of this pid namespace.
func (a *app) warnOfProc() {
	if fault := procdir.Fault(); fault != nil {
		a.Emit(event.Warning{What: "processes not visible", Reason: fault.Error() +
			". With this /proc every stop has proof=none, and descendants outside the process " +
			"group of their child get SIGTERM only after the last child has ended"})
	}
}

// logReopened reports that a log file was renamed or deleted.
func (a *app) logReopened(r output.Reopened) {
	e := event.LogReopened{Path: r.Path, Deleted: r.Deleted}
	if r.Err != nil {
		e.Failure = r.Err.Error()
	}
	a.Emit(e)
}

// logNotRotated reports that a log file could not be rotated.
func (a *app) logNotRotated(path string, err error) {
	a.Emit(event.Warning{What: "log file not rotated", Reason: path + ": " + err.Error()})
}

// configure applies the settings of a configuration that concern the supervisor itself.
func (a *app) configure(cfg *config.Config) {
	s := logSettingsOf(cfg.Log)
	a.log.Set(s)
	if a.relay != nil { // nil: the first configuration, which build applies
		a.relay.Configure(outputSettingsOf(cfg))
	}
	a.logSettings.Store(&s)
	a.reports.Store(a.reportPath != "" || cfg.Shutdown.Report != "")
	a.guard.SetDeadline(cfg.Shutdown.Deadline)
	a.control.configure(cfg)
	a.observation.configure(cfg)
}

// logSettingsOf returns the settings of the log on standard error.
func logSettingsOf(l config.Log) eventlog.Settings {
	return eventlog.Settings{
		Level: l.Level, Format: l.Format, FDs: l.FDs, Color: wantsColor(os.Stderr),
	}
}

// outputSettingsOf returns the settings of the relay.
func outputSettingsOf(cfg *config.Config) output.Settings {
	s := output.Settings{
		RetainTotal: int(cfg.Log.RetainTotal),
		Instances:   map[string]output.InstanceSettings{},
		Rotations:   map[string]output.Rotation{},
	}
	for _, i := range cfg.Instances() {
		l := i.Policy.Logs
		s.Instances[i.Name] = output.InstanceSettings{
			Retain: int(l.Retain), Timestamps: l.Timestamps,
		}
		for _, path := range i.Launch.Logs.Files() {
			if l.Rotate.Enabled() {
				s.Rotations[path] = output.Rotation{
					Size: int64(l.Rotate.Size), Age: l.Rotate.Age, Keep: l.Rotate.Keep,
					Compress: l.Rotate.Compress,
				}
			}
		}
	}
	return s
}
