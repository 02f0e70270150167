package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	oklog "github.com/oklog/run"
	"golang.org/x/sys/unix"

	"tp0/supervisor/cli"
	"tp0/supervisor/config"
	"tp0/supervisor/control"
	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/guard"
	"tp0/supervisor/limits"
	"tp0/supervisor/notify"
	"tp0/supervisor/orchestrator"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/report"
	"tp0/supervisor/sockets"
	"tp0/supervisor/watch"
)

// run is the main job: it returns the exit code once nothing runs any more.
// Its counterpart for one command without a file is execute.
func run(o cli.RunOptions, s *signals, version string) int {
	begun := time.Now()
	told, untold := notify.TakeEnvironment()
	h := newHouse(false, version)
	h.report, h.strict = o.Report, o.Strict
	var first loading
	done := make(chan struct{})
	go func() { // whoever ends us now does not wait for a file system
		defer close(done)
		first = h.load(o)
	}()
	if sig := s.await(done, loadPatience); sig != nil {
		return h.endEarly(sig, begun)
	}
	if first.err != nil {
		return refuse(first.err, exitcode.Usage)
	}
	h.configure(first.cfg)
	code := exitcode.OK
	ready := false
	s.beside(func() { code, ready = h.prepare(o, s, first, told, untold) }, func(sig os.Signal) {
		if ends(sig) {
			h.guard.Arm()
		}
	})
	if !ready {
		return code
	}
	h.live(s, h.asked)
	return h.leave(h.code(h.close()))
}

// loadPatience is how long the first load may still take after a request to end:
// most are over by then, and the log has the form that the configuration says.
const loadPatience = 200 * time.Millisecond

// prepare does all that comes before the first child. If it reports false, code is
// the exit code.
func (h *house) prepare(
	o cli.RunOptions, s *signals, first loading, told notify.Environment, untold error,
) (code int, ready bool) {
	h.extra = extraOf(first.cfg, limits.ThreadNeeds{Watch: o.Watch, Manager: told.Socket != ""})
	var err error
	if h.threads, err = limits.Reserve(h.extra); err != nil {
		return refuse(err, exitcode.Failed), false
	}
	err = h.build(process.Options{}, orchestrator.Options{
		Config: first.cfg, Load: func() (*config.Config, error) { return h.reload(o) },
		Configure: h.configure, Terminal: terminal(os.Stderr),
		ProcessDefaults: process.Spec{Spec: spawn.Spec{
			Stdin:   fromNull,
			Ignored: s.ignored.Without(unix.SIGTERM).Without(unix.SIGINT).Without(unix.SIGQUIT),
		}},
	})
	if err == nil {
		warn := func(err error) { h.Emit(event.Warning{What: "service manager not told", Reason: err.Error()}) }
		if h.manager, err = notify.NewSender(told, h.book, h.alive, warn); untold != nil {
			warn(untold)
		}
	}
	if err == nil && o.Watch {
		h.watcher, err = watch.New(h.book, h.files, h.edited, func(err error) {
			h.Emit(event.Warning{What: "not every edit will be seen", Reason: err.Error()})
		})
	}
	if err != nil {
		return h.refuse(err, exitcode.Failed), false
	}
	// Only now: a second start that fails must not take the first one's file.
	if err := writePid(o.PidFile); err != nil {
		return h.refuse(err, exitcode.Usage), false
	}
	h.pidFile = o.PidFile
	h.control, err = control.Listen(control.Name(first.cfg.Path), h.book, h.fleet.Health)
	if err != nil {
		h.Emit(event.Warning{What: "health will not answer", Reason: err.Error()})
	}
	if h.watcher != nil {
		h.watcher.SetSources(first.read, false)
	}
	return exitcode.OK, true
}

// endEarly ends a supervisor that has not read its configuration yet. Nothing
// runs, and how the log should look is not known.
func (h *house) endEarly(sig os.Signal, begun time.Time) int {
	look := settings(config.Log{Level: "info", Format: "text"})
	lines := eventlog.Line(look, event.SignalReceived{
		Signal:  unix.SignalName(sig.(unix.Signal)),
		Meaning: "stop; the configuration was not read yet",
	})
	complete := event.ShutdownComplete{Elapsed: time.Since(begun), Verdict: event.Graceful}
	lines = append(lines, eventlog.Line(look, complete)...)
	guard.Write(unix.Stderr, lines, flushLeast)
	return exitcode.OK
}

// leave is called when main is about to return code.
func (h *house) leave(code int) int {
	if !h.guard.Disarm() {
		select {} // the guard ends us, with its own code
	}
	return code
}

// refuse tells why nothing was started, and returns code.
func refuse(err error, code int) int {
	var faults *config.Faults
	if errors.As(err, &faults) {
		_ = faults.Write(os.Stderr, 0, colour(os.Stderr))
		return code
	}
	fmt.Fprintf(os.Stderr, "supervisor: %v\n", err)
	return code
}

// refuse does the same in a house that was built, or begun: its sockets leave no
// file behind.
func (h *house) refuse(err error, code int) int {
	if h.sockets != nil {
		h.sockets.Keep(func(string) bool { return false })
	}
	return refuse(err, code)
}

// loading is a configuration that was read, and where it is watched what it was
// read from.
type loading struct {
	cfg  *config.Config
	read *watch.Sources
	err  error
}

// load reads the configuration. It can take for ever.
func (h *house) load(o cli.RunOptions) (l loading) {
	h.loads.Add(1)
	defer h.loads.Add(-1)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		l.err = fmt.Errorf("cannot read the limit of open files: %w", err)
		return l
	}
	opt := config.Options{
		Files: h.files, Environ: os.Environ(), Only: o.Only, NoFile: limit.Cur,
		Vars: o.Vars, VarFiles: o.VarFiles,
	}
	if o.Watch {
		l.read = watch.NewSources(h.files)
		opt.OnRead, opt.OnList = l.read.AddFile, l.read.AddDirectory
	}
	l.cfg, l.err = config.Load(o.Config, opt)
	return l
}

// house is everything that runs, wired together.
type house struct {
	journal *eventlog.Log
	sink    event.Sink // the journal, or who stands before it
	record  *report.Recorder
	book    *fdledger.Ledger
	hub     *output.Relay
	loop    *process.Loop
	sockets *sockets.Set
	fleet   *orchestrator.Orchestrator
	control *control.Server // nil: there is none, or another supervisor has the name
	watcher *watch.Watcher  // nil: nobody asked for it
	manager *notify.Sender
	null    int // -1: not needed
	pidFile string
	version string
	report  string                    // empty: the configuration says where it goes
	code    func(fdledger.Result) int // the exit code
	strict  bool
	faulty  bool
	extra   limits.ThreadNeeds // what threads are made for
	threads *limits.Reservation
	cold    *cold
	guard   *guard.Guard
	look    atomic.Pointer[eventlog.Settings] // of the log, for the guard
	files   *files.Reader                     // of every load
	loads   atomic.Int32                      // under way
}

// newHouse makes a house with nothing in it but its guard. leave: what is below us
// when no child runs is left alone.
func newHouse(leave bool, version string) *house {
	j := eventlog.New()
	h := &house{
		journal: j, sink: j, record: report.NewRecorder(), cold: newCold(giveBack), null: -1,
		code: fdledger.Result.Code, files: &files.Reader{}, version: version,
	}
	h.look.Store(&eventlog.Settings{Level: "info", Format: "text"})
	h.guard = guard.New(guard.Options{
		Stderr: unix.Stderr, Exit: unix.Exit, LeaveDescendants: leave,
		Line: func(e event.ShutdownComplete) []byte { return eventlog.Line(*h.look.Load(), e) },
	})
	return h
}

// fromNull stands for a standard input that is /dev/null.
const fromNull = -1

// build makes the rooms and wires them: whatever is the same for all goes into
// the options here.
func (h *house) build(p process.Options, f orchestrator.Options) error {
	h.book = fdledger.New(h)
	h.hub = output.NewRelay(output.Options{Stdout: os.Stdout, Stderr: os.Stderr, FDs: h.book, Dropped: h.dropped})
	err := spawn.OpenPoller()
	if err == nil {
		err = h.book.Baseline()
	}
	if err != nil {
		return err
	}
	f.ListenNotify = func(take func([]int, notify.Message)) (orchestrator.Notifier, error) {
		return notify.Listen(h.book, take)
	}
	p.FDs, p.Deliver = h.book, func(f []process.Fact) { h.fleet.Deliver(f...) }
	if h.loop, err = process.New(p); err != nil {
		return err
	}
	if f.ProcessDefaults.Stdin == fromNull {
		if h.null, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("cannot open %s: %w", os.DevNull, err)
		}
		h.book.Opened(h.null, "file", os.DevNull)
		f.ProcessDefaults.Stdin = h.null
	}
	h.sockets = sockets.New(h.book)
	if err := h.sockets.Open(f.Config.Listens()); err != nil {
		return err
	}
	f.Processes, f.Relays, f.Sockets, f.Sink = h.loop, h.hub, h.sockets, h
	h.fleet = orchestrator.New(f)
	h.journal.Start(h.hub.Writer("stderr"), settings(f.Config.Log))
	return nil
}

// live runs the actors until the end. The fleet is the only one that ends by
// itself. When it does, the group interrupts the others, and what is left is to
// close the books.
func (h *house) live(s *signals, take func(unix.Signal)) {
	var g oklog.Group
	g.Add(h.fleet.Supervise, func(error) {
		h.guard.Arm()
		h.fleet.Stop()
	})
	g.Add(func() error { return s.run(h.once(s, take)) }, func(error) { s.close() })
	g.Add(h.loop.Run, func(error) { h.loop.Close() })
	if h.control != nil {
		g.Add(h.control.Run, func(error) { h.control.Close() })
	}
	if h.watcher != nil {
		g.Add(h.watcher.Run, func(error) { h.watcher.Close() })
	}
	if h.manager != nil {
		g.Add(h.manager.Run, func(error) { h.manager.Stop() })
	}
	if err := g.Run(); err != nil {
		h.fault("actors", err)
	}
}

// close closes the books: what is still open of ours is closed, what was
// printed is flushed, and the last line says how it all ended.
func (h *house) close() fdledger.Result {
	h.cold.close()
	h.files.Abandon()
	h.threads.Close()
	if err := h.flush(h.hub.Flush, flushLeast); err != nil {
		h.Emit(event.Warning{What: "output not flushed", Reason: err.Error()})
	}
	if h.null >= 0 {
		h.hub.WaitDrained()
		_ = h.book.Close(h.null, func() error { return unix.Close(h.null) })
	}
	if h.pidFile != "" {
		if err := os.Remove(h.pidFile); err != nil {
			h.Emit(event.Warning{What: "pid file not removed", Reason: err.Error()})
		}
	}
	complete, _ := h.judge(1) // its own socket is still open
	h.manager.Emit(complete)  // the last that it hears
	h.manager.Close()
	file := h.openReport()
	diff, err := h.book.Check()
	for tries := 0; (err != nil || len(diff) > 0 && h.loads.Load() > 0) && tries < checkAgain; tries++ {
		time.Sleep(time.Millisecond) // a file that an abandoned load or scan just opened is closed at once
		diff, err = h.book.Check()
	}
	if err != nil {
		h.fault("ledger", err)
	}
	for _, d := range diff {
		h.fault("ledger", errors.New(d))
	}
	h.writeReport(file)
	complete, outcome := h.judge(0)
	if !h.guard.LastLine(h.code(outcome), complete) {
		select {} // the guard was quicker: it writes the line, and ends us
	}
	h.Emit(complete)
	_ = h.flush(h.journal.Close, 0)
	_ = h.flush(h.hub.Close, 0)     // what is lost now cannot be told any more
	if h.hub.LostOutput("stderr") { // but for the last line
		guard.Write(unix.Stderr, append([]byte{'\n'}, eventlog.Line(*h.look.Load(), complete)...), flushLeast)
	}
	h.guard.LineWritten()
	return outcome
}

// checkAgain is how often the books are held against the kernel's again while a
// load that nobody waits for is under way.
const checkAgain = 20

// judge says how it all ended, if due of our descriptors are yet to be closed.
func (h *house) judge(due int) (event.ShutdownComplete, fdledger.Result) {
	outcome, complete := h.fleet.Result(), h.fleet.Summary()
	complete.Opened, complete.Closed = h.book.Counts()
	complete.Closed += due
	outcome.Strict = outcome.Strict || h.strict
	outcome.Fault = outcome.Fault || h.faulty || complete.Opened != complete.Closed
	complete.Verdict = outcome.Verdict()
	return complete, outcome
}

// flushLeast is kept of the deadline for the last line, and granted to each
// flush where nothing is left of it: somebody should get to read that.
const flushLeast = 50 * time.Millisecond

func (h *house) flush(do func(context.Context) error, keep time.Duration) error {
	until := h.fleet.Deadline().Add(-keep)
	if soon := time.Now().Add(flushLeast); until.Before(soon) {
		until = soon
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	return do(ctx)
}

// Emit hands an event to everybody who tells of it.
func (h *house) Emit(e event.Event) {
	h.guard.Emit(e)
	h.sink.Emit(e)
	h.record.Emit(e)
	h.manager.Emit(e)
	h.cold.emit(e)
	if _, ok := e.(event.Spawned); ok {
		h.threads.Spawned()
	}
}

func (h *house) fault(what string, err error) {
	h.faulty = true
	h.Emit(event.Fault{What: what, Reason: err.Error()})
}

// alive asks the two that everything depends on whether they still answer.
func (h *house) alive(ctx context.Context) error {
	if !h.loop.Responds(ctx) {
		return errors.New("the process loop does not answer")
	}
	if dead := h.fleet.Health(ctx).Dead; dead != "" && ctx.Err() != nil {
		return errors.New(dead)
	}
	return nil
}

// reload reads the configuration again; its error is for the log.
func (h *house) reload(o cli.RunOptions) (*config.Config, error) {
	l := h.load(o)
	if l.read != nil {
		h.watcher.SetSources(l.read, l.err != nil)
	}
	if l.err == nil {
		l.err = h.reserveMore(l.cfg)
	}
	var faults *config.Faults
	if errors.As(l.err, &faults) {
		var text strings.Builder
		_ = faults.Write(&text, 0, false)
		return nil, errors.New(text.String())
	}
	return l.cfg, l.err
}

// edited is called when a file of the configuration is not what it was.
func (h *house) edited() {
	h.Emit(event.ConfigEdited{})
	h.fleet.Reload()
}

func (h *house) configure(cfg *config.Config) {
	look := settings(cfg.Log)
	h.journal.Set(look)
	h.look.Store(&look)
	h.guard.SetDeadline(cfg.Shutdown.Deadline)
}

func (h *house) dropped(dest string, lines, bytes uint64, reason string) {
	h.Emit(event.OutputDropped{Dest: dest, Lines: lines, Bytes: bytes, Reason: reason})
}

// asked does what a signal asks for.
func (h *house) asked(sig unix.Signal) {
	switch sig {
	case unix.SIGHUP:
		h.Emit(event.SignalReceived{Signal: "SIGHUP", Meaning: "reload"})
		h.fleet.Reload()
	case unix.SIGUSR1:
		h.Emit(event.SignalReceived{Signal: "SIGUSR1", Meaning: "tell what is open"})
		for _, e := range h.book.Entries() {
			h.Emit(event.LedgerEntry(e))
		}
	default:
		h.guard.Arm() // before the fleet hears of it, which may be stuck
		h.fleet.Signal(sig)
	}
}

func settings(l config.Log) eventlog.Settings {
	return eventlog.Settings{Level: l.Level, Format: l.Format, Color: colour(os.Stderr)}
}

// colour says whether a stream wants colours: a terminal does, unless NO_COLOR
// is set (no-color.org).
func colour(f *os.File) bool { return os.Getenv("NO_COLOR") == "" && terminal(f) }

func terminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	tty := false
	_ = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		tty = err == nil
	})
	return tty
}

func writePid(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return fmt.Errorf("cannot write the pid file: %w", err)
	}
	return nil
}
