package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	oklog "github.com/oklog/run"
	"golang.org/x/sys/unix"

	"tp0/supervisor/cli"
	"tp0/supervisor/config"
	"tp0/supervisor/control"
	"tp0/supervisor/event"
	"tp0/supervisor/fleet"
	"tp0/supervisor/journal"
	"tp0/supervisor/ledger"
	"tp0/supervisor/process"
	"tp0/supervisor/relay"
	"tp0/supervisor/report"
)

// run is the main job: it returns the exit code once nothing runs any more.
//
// The fleet is the only actor that ends by itself. When it does, the group
// interrupts the others, and what is left is to close the books.
func run(o cli.RunOptions, s *signals) int {
	cfg, err := load(o)
	if err != nil {
		return refuse(err, ledger.CodeUsage)
	}
	if err := writePid(o.PidFile); err != nil {
		return refuse(err, ledger.CodeUsage)
	}
	h, err := build(o, cfg)
	if err != nil {
		return refuse(err, ledger.CodeFailed)
	}
	var g oklog.Group
	g.Add(h.fleet.Run, func(error) { h.fleet.Stop() })
	g.Add(func() error { return s.run(h) }, func(error) { s.close() })
	g.Add(h.loop.Run, func(error) { h.loop.Close() })
	if h.control != nil {
		g.Add(h.control.Run, func(error) { h.control.Close() })
	}
	if err := g.Run(); err != nil {
		h.fault("actors", err)
	}
	return h.close()
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

func load(o cli.RunOptions) (*config.Config, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	return config.Load(o.Config, config.Options{Environ: os.Environ(), Only: o.Only, NoFile: limit.Cur})
}

// house is everything that runs, wired together.
type house struct {
	opt     cli.RunOptions
	journal *journal.Journal
	record  *report.Recorder
	book    *ledger.Book
	hub     *relay.Hub
	loop    *process.Loop
	fleet   *fleet.Fleet
	control *control.Server // nil: another supervisor has the name
	null    int
	faulty  bool
}

func build(o cli.RunOptions, cfg *config.Config) (*house, error) {
	h := &house{opt: o, journal: journal.New(), record: report.NewRecorder()}
	h.book = ledger.NewBook(h)
	h.hub = relay.NewHub(relay.Options{Stdout: os.Stdout, Stderr: os.Stderr, Books: h.book, Dropped: h.dropped})
	err := wakePoller()
	if err == nil {
		err = h.book.Begin()
	}
	if err != nil {
		return nil, err
	}
	h.loop, err = process.New(process.Options{Books: h.book, Deliver: func(f process.Fact) { h.fleet.Deliver(f) }})
	if err != nil {
		return nil, err
	}
	if h.null, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	h.book.Opened(h.null, "file", os.DevNull)
	h.fleet = fleet.New(fleet.Options{
		Config: cfg, Load: h.reload, Configure: h.configure, Processes: h.loop, Relays: h.hub, Sink: h, DevNull: h.null,
		Terminal: terminal(os.Stderr),
	})
	h.control, err = control.Listen(control.Name(cfg.Path), h.book, h.fleet.Health)
	if err != nil {
		h.Emit(event.Warning{What: "health will not answer", Reason: err.Error()})
	}
	h.journal.Start(h.hub.Writer("stderr"), settings(cfg.Log))
	return h, nil
}

// wakePoller makes the runtime open the descriptors of its poller, so that
// they are there before the books begin.
func wakePoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}

// close closes the books: what is still open of ours is closed, what was
// printed is flushed, and the last line says how it all ended.
func (h *house) close() int {
	if err := h.flush(h.hub.Flush, flushLeast); err != nil {
		h.Emit(event.Warning{What: "output not flushed", Reason: err.Error()})
	}
	h.hub.Settle()
	_ = h.book.Close(h.null, func() error { return unix.Close(h.null) })
	if h.opt.PidFile != "" {
		if err := os.Remove(h.opt.PidFile); err != nil {
			h.Emit(event.Warning{What: "pid file not removed", Reason: err.Error()})
		}
	}
	file := h.openReport()
	diff, err := h.book.Check()
	if err != nil {
		h.fault("ledger", err)
	}
	for _, d := range diff {
		h.fault("ledger", errors.New(d))
	}
	h.writeReport(file)
	complete, code := h.judge(0)
	h.Emit(complete)
	h.journal.Close()
	_ = h.flush(h.hub.Close, 0) // what is lost now cannot be told any more
	return code
}

// judge says how it all ended, if due of our descriptors are yet to be closed.
func (h *house) judge(due int) (event.ShutdownComplete, int) {
	outcome, complete := h.fleet.Outcome(), h.fleet.Complete()
	complete.Opened, complete.Closed = h.book.Counts()
	complete.Closed += due
	outcome.Strict = outcome.Strict || h.opt.Strict
	outcome.Fault = outcome.Fault || h.faulty || complete.Opened != complete.Closed
	complete.Verdict = outcome.Verdict()
	return complete, outcome.Code()
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
	h.journal.Emit(e)
	h.record.Emit(e)
}

func (h *house) fault(what string, err error) {
	h.faulty = true
	h.Emit(event.Fault{What: what, Reason: err.Error()})
}

// reload reads the configuration again.
func (h *house) reload() (*config.Config, error) {
	cfg, err := load(h.opt)
	var faults *config.Faults
	if errors.As(err, &faults) {
		var text strings.Builder
		_ = faults.Write(&text, 0, false)
		return nil, errors.New(text.String())
	}
	return cfg, err
}

func (h *house) configure(l config.Log) { h.journal.Set(settings(l)) }

func (h *house) dropped(dest string, lines, bytes uint64, reason string) {
	h.Emit(event.Dropped{Dest: dest, Lines: lines, Bytes: bytes, Reason: reason})
}

// Signal, Reload and Ledger are what signals ask for.

func (h *house) Signal(sig unix.Signal) { h.fleet.Signal(sig) }

func (h *house) Reload() {
	h.Emit(event.SignalReceived{Signal: "SIGHUP", Meaning: "reload"})
	h.fleet.Reload()
}

func (h *house) Ledger() {
	h.Emit(event.SignalReceived{Signal: "SIGUSR1", Meaning: "tell what is open"})
	for _, e := range h.book.Entries() {
		h.Emit(event.Ledger(e))
	}
}

func settings(l config.Log) journal.Settings {
	return journal.Settings{Level: l.Level, Format: l.Format, Color: colour(os.Stderr)}
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
