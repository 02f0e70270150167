package eventlog

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

// The messages that scripts and dashboards look for.
const (
	msgSpawned       = "child spawned"
	msgReady         = "child ready"
	msgUp            = "all children ready"
	msgSignalIn      = "signal received"
	msgSignalOut     = "signal sent"
	msgFDOpened      = "fd opened"
	msgFDClosed      = "fd closed"
	msgReaped        = "child reaped"
	msgOrphan        = "orphan reaped"
	msgEnded         = "process ended"
	msgOutlived      = "descendants outlive main process"
	msgMainChanged   = "main process changed"
	msgUnheard       = "stop signal not handled"
	msgSlow          = "child slow to stop"
	msgRestarting    = "child restarting"
	msgReloaded      = "config reloaded"
	msgRejected      = "config rejected"
	msgComplete      = "shutdown complete"
	msgSpawnDelayed  = "spawn delayed"
	msgProbeSkipped  = "probe not started"
	msgSignalAgain   = "signal repeated"
	msgSpawnFailed   = "spawn failed"
	msgNotReady      = "not ready in time"
	msgCheckFailed   = "check failed"
	msgCheckPassed   = "check passed"
	msgNotified      = "child notified"
	msgUnhealthy     = "child unhealthy"
	msgSignalFailed  = "signal not sent"
	msgUnexpected    = "child ended unexpectedly"
	msgNoProof       = "proof unavailable"
	msgCompleted     = "child completed"
	msgFailed        = "child failed"
	msgInVain        = "dependency failed"
	msgShutdown      = "shutdown begun"
	msgEdited        = "config changed"
	msgHalted        = "reload halted"
	msgRollingBack   = "config rolling back"
	msgReloadIgnored = "reload ignored"
	msgDropped       = "lines dropped"
	msgLeft          = "left behind"
	msgLedger        = "fd held"
	msgFault         = "internal fault"
)

// line is an event as the log shows it.
type line struct {
	level   hclog.Level
	message string
	fields  []any
}

func (l logger) write(e event.Event) {
	ln := lineOf(e)
	if !l.json {
		for i, f := range ln.fields {
			if s, ok := f.(string); ok {
				if ln.fields[max(i-1, 0)] == "diagnostics" {
					ln.fields[i] = termtext.EscapeLines(s)
				} else {
					ln.fields[i] = termtext.Escape(s)
				}
			}
		}
	}
	l.Log(ln.level, ln.message, ln.fields...)
}

// lineOf gives each event its level, its message and its keys. What a person
// must act on is a warning; the rest can be skimmed.
func lineOf(e event.Event) line {
	switch e := e.(type) {
	case event.FDOpened:
		return line{hclog.Debug, msgFDOpened, []any{"owner", "supervisor", "fd", e.FD, "kind", e.Kind, "target", e.Target, "by", event.BySupervisor}}
	case event.FDClosed:
		return fdClosed(e)
	case event.LedgerEntry:
		return line{hclog.Info, msgLedger, []any{"owner", "supervisor", "fd", e.FD, "kind", e.Kind, "target", e.Target}}
	case event.Spawned, event.SpawnFailed, event.Ready, event.NotReady, event.UnexpectedEnd, event.ProofUnavailable,
		event.Restarting, event.Completed, event.Failed, event.Reaped, event.OrphanReaped, event.DescendantsOutlive, event.MainChanged, event.DescendantEnded, event.SlowStop, event.SignalNotHandled,
		event.CheckFailed, event.CheckPassed, event.Unhealthy, event.Notified:
		return childLine(e)
	case event.AllReady:
		return line{hclog.Info, msgUp, []any{"children", e.Children}}
	case event.SignalReceived:
		f := []any{"signal", e.Signal}
		if e.Meaning != "" {
			f = append(f, "meaning", e.Meaning)
		}
		return line{hclog.Info, msgSignalIn, f}
	case event.SignalRepeated:
		return line{hclog.Debug, msgSignalAgain, []any{"signal", e.Signal, "within_ms", ms(e.Within)}}
	case event.SpawnDelayed:
		return line{hclog.Warn, msgSpawnDelayed, []any{
			"child", e.Child, "resource", e.Resource, "limit", e.Limit, "delay_ms", ms(e.Delay), "reason", e.Reason,
		}}
	case event.ProbeSkipped:
		f := []any{"child", e.Child, "pid", e.Pid, "probe", e.Probe}
		if e.Resource != "" {
			f = append(f, "resource", e.Resource, "limit", e.Limit)
		}
		return line{hclog.Warn, msgProbeSkipped, append(f, "reason", e.Reason)}
	case event.SignalSent:
		return signalSent(e)
	case event.SignalFailed:
		return line{hclog.Warn, msgSignalFailed, []any{"child", e.Child, "pid", e.Pid, "signal", e.Signal, "reason", e.Reason}}
	case event.DependencyFailed:
		return line{hclog.Warn, msgInVain, []any{"child", e.Child, "for", e.For, "reason", "it failed for good"}}
	case event.ShutdownBegun:
		return line{hclog.Info, msgShutdown, []any{"reason", e.Reason, "deadline_ms", ms(e.Deadline)}}
	case event.ConfigReloaded:
		return line{hclog.Info, msgReloaded, []any{"added", list(e.Added), "removed", list(e.Removed), "changed", list(e.Changed), "kept", list(e.Kept)}}
	case event.ConfigRejected:
		return line{hclog.Error, msgRejected, []any{"diagnostics", e.Diagnostics}}
	case event.ConfigEdited:
		return line{hclog.Info, msgEdited, nil}
	case event.ReloadHalted:
		return line{hclog.Error, msgHalted, []any{"child", e.Child, "reason", e.Reason}}
	case event.RollbackStarted:
		return line{hclog.Error, msgRollingBack, []any{"child", e.Child, "reason", e.Reason}}
	case event.ReloadIgnored:
		return line{hclog.Warn, msgReloadIgnored, []any{"reason", e.Reason}}
	case event.OutputDropped:
		return line{hclog.Warn, msgDropped, []any{"dest", e.Dest, "lines", e.Lines, "bytes", e.Bytes, "reason", e.Reason}}
	case event.Leftover:
		return line{hclog.Warn, msgLeft, []any{"what", e.What, "number", e.Number, "detail", e.Detail}}
	case event.Fault:
		return line{hclog.Error, msgFault, []any{"what", e.What, "reason", e.Reason}}
	case event.Warning:
		return line{hclog.Warn, e.What, []any{"reason", e.Reason}}
	case event.ShutdownComplete:
		return complete(e)
	}
	return line{hclog.Error, msgFault, []any{"what", fmt.Sprintf("no log line for %T", e)}}
}

func childLine(e event.Event) line {
	switch e := e.(type) {
	case event.Spawned:
		return line{hclog.Info, msgSpawned, []any{"child", e.Child, "pid", e.Pid, "command", e.Command}}
	case event.SpawnFailed:
		return line{hclog.Error, msgSpawnFailed, []any{"child", e.Child, "command", e.Command, "reason", e.Reason}}
	case event.Ready:
		return line{hclog.Info, msgReady, []any{"child", e.Child, "pid", e.Pid, "elapsed_ms", ms(e.Elapsed)}}
	case event.NotReady:
		return line{hclog.Warn, msgNotReady, []any{"child", e.Child, "pid", e.Pid, "timeout_ms", ms(e.Timeout), "reason", e.Reason}}
	case event.CheckFailed:
		return line{hclog.Warn, msgCheckFailed, []any{"child", e.Child, "pid", e.Pid, "check", e.Check, "reason", e.Reason}}
	case event.CheckPassed:
		return line{hclog.Info, msgCheckPassed, []any{"child", e.Child, "pid", e.Pid, "check", e.Check}}
	case event.Unhealthy:
		return line{hclog.Warn, msgUnhealthy, []any{"child", e.Child, "pid", e.Pid, "reason", e.Reason}}
	case event.Notified:
		f := []any{"child", e.Child, "pid", e.Pid, "what", e.What}
		if e.Detail != "" {
			f = append(f, "detail", e.Detail)
		}
		return line{hclog.Info, msgNotified, f}
	case event.UnexpectedEnd:
		f := []any{"child", e.Child, "pid", e.Pid, "reason", e.Reason, "core", e.Core}
		if len(e.Output) > 0 {
			f = append(f, "output", strings.Join(e.Output, " ⏎ "))
		}
		if e.Known != "" {
			f = append(f, "last_known", e.Known)
		}
		return line{hclog.Warn, msgUnexpected, f}
	case event.ProofUnavailable:
		return line{hclog.Warn, msgNoProof, []any{"child", e.Child, "pid", e.Pid, "proof", e.Proof, "reason", e.Reason}}
	case event.Restarting:
		return line{hclog.Warn, msgRestarting, []any{"child", e.Child, "attempt", e.Attempt, "delay_ms", ms(e.Delay), "reason", e.Reason}}
	case event.Completed:
		return line{hclog.Info, msgCompleted, []any{"child", e.Child}}
	case event.Failed:
		return line{hclog.Error, msgFailed, []any{"child", e.Child, "attempts", e.Attempts, "reason", e.Reason}}
	case event.Reaped:
		return reaped(e)
	case event.DescendantEnded:
		return ended(e)
	case event.SignalNotHandled:
		level := hclog.Info
		if e.Disposition == "ignored" {
			level = hclog.Warn
		}
		return line{level, msgUnheard, []any{"child", e.Child, "pid", e.Pid, "signal", e.Signal, "disposition", e.Disposition}}
	case event.SlowStop:
		return line{hclog.Warn, msgSlow, []any{"child", e.Child, "pid", e.Pid, "stop_ms", ms(e.Stop), "step", e.Step, "signal", e.Signal,
			"disposition", e.Disposition, "cpu_ms", ms(e.CPU), "threads", list(e.Threads)}}
	case event.DescendantsOutlive:
		return outlived(e)
	case event.MainChanged:
		f := append([]any{"child", e.Child, "pid", e.Pid, "from", e.From}, exit(e.Exit)...)
		return line{hclog.Info, msgMainChanged, f}
	case event.OrphanReaped:
		f := append([]any{"pid", e.Pid, "command", e.Command}, exit(e.Exit)...)
		if e.Child != "" {
			f = append(f, "child", e.Child)
		}
		return line{hclog.Info, msgOrphan, f}
	}
	panic("unreachable: lineOf lists the types")
}

func fdClosed(e event.FDClosed) line {
	f := []any{"owner", e.Owner}
	if e.Pid != 0 {
		f = append(f, "pid", e.Pid)
	}
	f = append(f, "fd", e.FD, "kind", e.Kind, "target", e.Target, "by", e.By)
	if e.Proof != "" {
		f = append(f, "proof", e.Proof)
	}
	if e.Process != "" {
		f = append(f, "process", e.Process)
	}
	f = append(f, detail(e.Detail)...)
	if e.HeldBy != "" {
		f = append(f, "held_by", e.HeldBy)
	}
	level := hclog.Info
	switch {
	case e.NotCounted != "":
		level = hclog.Debug
		f = append(f, "uncounted", e.NotCounted)
	case e.By == event.ByKernel && e.Proof != "sampled": // a sample may be a moment too old to accuse anybody
		level = hclog.Warn
	}
	return line{level, msgFDClosed, f}
}

func signalSent(e event.SignalSent) line {
	f := []any{"child", e.Child, "pid", e.Pid, "signal", e.Signal, "step", e.Step}
	if e.Step == 0 {
		f = f[:len(f)-2]
	}
	if e.Process != "" {
		f = append(f, "process", e.Process)
	}
	if e.Orphan != "" {
		f[0], f[1] = "orphan", e.Orphan
	}
	level := hclog.Info
	if e.Step > 1 || e.Signal == "SIGKILL" {
		level = hclog.Warn
	}
	return line{level, msgSignalOut, f}
}

// outlived warns of a main process that ended by itself, since the descendants
// are not meant to live on then: it is a daemon that went into the background, or
// a wrapper or a master that crashed.
func outlived(e event.DescendantsOutlive) line {
	f := append([]any{"child", e.Child, "pid", e.Pid}, exit(e.Exit)...)
	f = append(f, "descendants", list(e.Descendants))
	if e.InStop {
		return line{hclog.Info, msgOutlived, f}
	}
	advice := "they are stopped before anything follows; to let them run on, set kill_scope = \"process\" and descendants = \"leave\""
	if e.Exit.OK() {
		advice = "start it in the foreground; else " + advice
	}
	return line{hclog.Warn, msgOutlived, append(f, "advice", advice)}
}

func reaped(e event.Reaped) line {
	f := append([]any{"child", e.Child, "pid", e.Pid}, exit(e.Exit)...)
	f = append(f, "elapsed_ms", ms(e.Elapsed))
	if e.Stopped {
		f = append(f, "stop_ms", ms(e.Stop))
	}
	f = append(f, "user_ms", ms(e.User), "sys_ms", ms(e.System), "max_rss_kb", e.MaxRSS,
		"fds_closed", e.Closed, "fds_left", e.Left, "proof", e.Proof)
	if t := e.Tree; t.Known {
		f = append(f, "threads", t.Threads, "threads_at_end", t.ThreadsAtEnd, "processes", t.Processes, "forked", t.Forked)
	}
	level := hclog.Info
	if e.Left > 0 || e.Exit.Signal == "SIGKILL" || !e.Stopped && !e.Success {
		level = hclog.Warn
	}
	return line{level, msgReaped, f}
}

func ended(e event.DescendantEnded) line {
	f := []any{"child", e.Child, "pid", e.Pid, "parent", e.Parent, "command", e.Command}
	if e.Child == "" { // an orphan, whose tree nobody knows
		f = f[2:]
	}
	if e.ExitUnknown {
		f = append(f, "end", "unseen")
	} else {
		f = append(f, exit(e.Exit)...)
	}
	f = append(f, "in_stop", e.InStop, "elapsed_ms", ms(e.Lifetime), "threads", e.Threads, "fds_closed", e.Closed, "fds_left", e.Left, "proof", e.Proof)
	if e.Reason != "" {
		f = append(f, "reason", e.Reason)
	}
	level := hclog.Info
	if e.Left > 0 {
		level = hclog.Warn
	}
	return line{level, msgEnded, f}
}

// detail has the keys of what is known beside the target.
func detail(d event.FDDetail) (f []any) {
	if d.State != "" {
		f = append(f, "state", d.State)
	}
	if d.Unread > 0 {
		f = append(f, "unread", d.Unread)
	}
	if d.Unsent > 0 {
		f = append(f, "unsent", d.Unsent)
	}
	if d.Mode != "" {
		f = append(f, "mode", d.Mode)
	}
	if d.Lock != "" {
		f = append(f, "lock", d.Lock)
	}
	if d.Deleted {
		f = append(f, "deleted", true)
	}
	return f
}

func complete(e event.ShutdownComplete) line {
	level := hclog.Info
	if e.Verdict != event.Graceful || e.Spawned != e.Reaped || e.Opened != e.Closed {
		level = hclog.Warn
	}
	return line{level, msgComplete, []any{
		"spawned", e.Spawned, "reaped", e.Reaped, "orphans", e.Orphans, "killed", e.Killed,
		"fds_opened", e.Opened, "fds_closed", e.Closed, "fds_left", e.Left,
		"killed_before", e.KilledBefore, "fds_left_before", e.LeftBefore,
		"elapsed_ms", ms(e.Elapsed), "deadline_ms", ms(e.Deadline), "verdict", string(e.Verdict),
	}}
}

func exit(e event.Exit) []any {
	if e.Signal != "" {
		return []any{"signal", e.Signal}
	}
	return []any{"code", e.Code}
}

// list is an empty list rather than none: JSON would say null.
func list(names []string) []string { return append([]string{}, names...) }

func ms(d time.Duration) int64 { return d.Milliseconds() }
