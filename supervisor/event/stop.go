package event

import (
	"fmt"
	"time"
)

// The messages about signals and stops.
const (
	MsgSignalReceived   = "signal received"
	MsgSignalRepeated   = "signal repeated"
	MsgSignalSent       = "signal sent"
	MsgSignalFailed     = "signal not sent"
	MsgSignalNotHandled = "stop signal not handled"
	MsgSlowStop         = "child slow to stop"
	MsgShutdownBegun    = "shutdown begun"
	MsgPaused           = "pause detected"
	MsgLeftover         = "left behind"
	MsgComplete         = "shutdown complete"
)

// Paused reports a pause of the supervisor, or several short ones, after which the timeouts of
// children start again. Only a pause during a timeout is known.
type Paused struct{ Length time.Duration }

// Record implements [Event].
func (e Paused) Record() Record {
	return Record{Info, MsgPaused, []any{"paused_ms", ms(e.Length)}}
}

// SignalReceived reports a signal to the supervisor.
type SignalReceived struct {
	Signal, Meaning string
	Forwarded       bool // to the command of exec; it is no request to the supervisor
	Hangup          bool // a SIGHUP that begins the stop, because the terminal is closed
}

// Record implements [Event].
func (e SignalReceived) Record() Record {
	f := []any{"signal", e.Signal}
	if e.Meaning != "" {
		f = append(f, "meaning", e.Meaning)
	}
	return Record{Info, MsgSignalReceived, f}
}

// SignalRepeated reports a signal that is ignored, because it repeats the request before it.
type SignalRepeated struct {
	Signal string
	Within time.Duration // of that request
}

// Record implements [Event].
func (e SignalRepeated) Record() Record {
	return Record{Debug, MsgSignalRepeated, []any{"signal", e.Signal, "within_ms", ms(e.Within)}}
}

// SignalSent reports that the supervisor sent a signal to a process of a child or to an orphan.
type SignalSent struct {
	Child   string // the instance; empty: the process is an orphan
	Orphan  string // the command of the orphan; empty: the process is of Child
	Pid     int
	Hook    string // the hook whose process tree it is; empty: that of the main process
	Process string // the command of a descendant; empty: the main process
	Signal  string
	Step    int // of the stop sequence, from 1; 0: outside it, as SIGCONT for a stopped child
}

// Record implements [Event]. A signal to a child is logged once, not for each descendant.
func (e SignalSent) Record() Record {
	f := []any{"child", e.Child}
	if e.Orphan != "" {
		f = []any{"orphan", e.Orphan}
	}
	f = append(f, "pid", e.Pid, "signal", e.Signal)
	if e.Step != 0 {
		f = append(f, "step", e.Step)
	}
	if e.Hook != "" {
		f = append(f, "hook", e.Hook)
	}
	if e.Process != "" {
		f = append(f, "process", e.Process)
	}
	level := Info
	if e.Process != "" {
		level = Debug
	}
	if e.Step > 1 || e.Signal == "SIGKILL" {
		level = Warn
	}
	return Record{level, MsgSignalSent, f}
}

// SignalFailed reports that a signal could not be sent.
type SignalFailed struct {
	Child  string
	Pid    int
	Signal string
	Reason string
}

// Record implements [Event].
func (e SignalFailed) Record() Record {
	return Record{Warn, MsgSignalFailed, []any{
		"child", e.Child, "pid", e.Pid, "signal", e.Signal, "reason", e.Reason,
	}}
}

// SignalNotHandled reports that the stop signal of a child does not end it gracefully.
type SignalNotHandled struct {
	Child       string
	Pid         int
	Signal      string
	Disposition string // ignored; or default, which ends the process at once
	Cut         int    // TCP connections that were open when the signal ended the process
}

// Record implements [Event]. It is a warning if there is harm: a stop takes its whole timeout, or
// connections were cut.
func (e SignalNotHandled) Record() Record {
	level, handler := Info, e.Child+" has no "+e.Signal+" handler: "
	meaning := handler + "it ends at once without cleaning up"
	switch {
	case e.Disposition == "ignored":
		level = Warn
		meaning = e.Child + " ignores " + e.Signal + ": only a later step of its stop ends it"
	case e.Cut == 1:
		level = Warn
		meaning = handler + "it ended at once, and requests in flight on its connection were cut"
	case e.Cut > 1:
		level = Warn
		meaning = fmt.Sprintf("%sit ended at once, and requests in flight on its %d connections "+
			"were cut", handler, e.Cut)
	}
	return Record{level, MsgSignalNotHandled, []any{
		"child", e.Child, "pid", e.Pid, "signal", e.Signal, "disposition", e.Disposition,
		"meaning", meaning,
	}}
}

// SlowStop reports what a process does while its stop takes long.
type SlowStop struct {
	Child       string
	Pid         int
	Stop        time.Duration // since the first signal
	Step        int           // the last one
	Signal      string        // of that step
	Disposition string        // of that signal: caught, ignored, blocked or default; empty: none
	CPU         time.Duration // used since the first signal
	Threads     []string      // each as "14 epoll_wait: waits for fd 4 (epoll: …)"
}

// Record implements [Event].
func (e SlowStop) Record() Record {
	fields := []any{
		"child", e.Child, "pid", e.Pid, "stop_ms", ms(e.Stop), "step", e.Step, "signal", e.Signal,
	}
	if e.Disposition != "" {
		fields = append(fields, "disposition", e.Disposition)
	}
	fields = append(fields, "cpu_ms", ms(e.CPU), "threads", list(e.Threads))
	return Record{Warn, MsgSlowStop, fields}
}

// ShutdownBegun reports that everything is stopped for Reason, without a signal.
type ShutdownBegun struct {
	Reason   string
	Deadline time.Duration
}

// Record implements [Event].
func (e ShutdownBegun) Record() Record {
	return Record{Info, MsgShutdownBegun, []any{"reason", e.Reason, "deadline_ms", ms(e.Deadline)}}
}

// Leftover reports a process or a descriptor that still exists at the end of the stop.
type Leftover struct {
	What   string // process or descriptor
	Number int    // the pid or the descriptor
	Detail string
}

// Record implements [Event].
func (e Leftover) Record() Record {
	return Record{Warn, MsgLeftover, []any{"what", e.What, "number", e.Number, "detail", e.Detail}}
}

// Verdict judges a stop.
type Verdict string

// The verdicts, the best one first.
const (
	Graceful Verdict = "graceful"
	Leaky    Verdict = "leaky"  // there is a finding, or the fd ledger does not balance
	Forced   Verdict = "forced" // a process had to be killed
)

// ShutdownComplete is the last event.
type ShutdownComplete struct {
	Spawned, Reaped, Orphans, Killed int
	Opened, Closed                   int    // descriptors of the supervisor
	Left                             int    // descriptors that children leaked
	Findings                         int    // those of Left that are findings
	LinesDropped                     uint64 // of children and of the log, since the start
	Unproven                         int    // processes without an exact proof
	// UnprovenNames are the newest of these processes, as "web (pid 7)". They are logged if the
	// stop is strict.
	UnprovenNames            []string
	Strict                   bool
	Failed                   []string // instances that failed permanently
	KilledBefore, LeftBefore int      // before the stop, which the verdict does not judge
	Elapsed, Deadline        time.Duration
	Verdict                  Verdict
}

// Record implements [Event].
func (e ShutdownComplete) Record() Record {
	level := Info
	if e.Verdict != Graceful || e.Spawned != e.Reaped || e.Opened != e.Closed {
		level = Warn
	}
	f := []any{
		"spawned", e.Spawned, "reaped", e.Reaped, "orphans", e.Orphans, "killed", e.Killed,
		"fds_opened", e.Opened, "fds_closed", e.Closed, "fds_left", e.Left,
		"findings", e.Findings, "unproven", e.Unproven,
	}
	if e.Strict && len(e.UnprovenNames) > 0 {
		f = append(f, "unproven_processes", list(e.UnprovenNames))
	}
	f = append(f, "killed_before", e.KilledBefore, "fds_left_before", e.LeftBefore,
		"lines_dropped", e.LinesDropped)
	if len(e.Failed) > 0 {
		f = append(f, "failed", list(e.Failed))
	}
	f = append(f,
		"elapsed_ms", ms(e.Elapsed), "deadline_ms", ms(e.Deadline), "verdict", string(e.Verdict))
	return Record{level, MsgComplete, f}
}
