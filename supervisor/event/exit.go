package event

import "time"

// The messages about processes that ended.
const (
	MsgReaped             = "child reaped"
	MsgDescendantEnded    = "process ended"
	MsgDescendantsOutlive = "descendants outlive main process"
	MsgOrphanReaped       = "orphan reaped"
	MsgProofUnavailable   = "proof unavailable"
)

// Reaped reports that the status of the main process of a child was collected.
type Reaped struct {
	Child    string
	Pid      int
	Exit     Exit
	Elapsed  time.Duration // since the spawn
	Stop     time.Duration // since the first signal of its stop
	Timeout  time.Duration // from that signal to SIGKILL, by its stop sequence
	Stopped  bool          // the process was being stopped
	Success  bool          // its exit code is a success code
	User     time.Duration // CPU time
	System   time.Duration // CPU time
	MaxRSS   int64         // KiB
	Closed   int           // descriptors that it closed itself after the stop began
	Left     int           // descriptors that it leaked: the kernel closed them
	Findings int           // those of Left that are findings
	Proof    Proof
	Tree     TreeCounts

	FDsOmitted int // descriptors of which no FDClosed was emitted, because there are too many
}

// TreeCounts counts the threads of a process and its descendants.
type TreeCounts struct {
	Known        bool
	Threads      int // when the stop began
	ThreadsAtEnd int // in the last scan before the exit; 0: there was no scan
	Processes    int // descendants when the stop began
	Forked       int // descendants that were forked after that
}

// Record implements [Event]. A process that failed is no warning: [UnexpectedEnd] follows.
func (e Reaped) Record() Record {
	f := append([]any{"child", e.Child, "pid", e.Pid}, e.Exit.fields()...)
	f = append(f, "elapsed_ms", ms(e.Elapsed))
	if e.Stopped {
		f = append(f, "stop_ms", ms(e.Stop))
	}
	f = append(f, "user_ms", ms(e.User), "sys_ms", ms(e.System), "max_rss_kb", e.MaxRSS,
		"fds_closed", e.Closed, "fds_left", e.Left)
	if e.Findings > 0 {
		f = append(f, "findings", e.Findings)
	}
	f = append(f, "proof", string(e.Proof))
	if t := e.Tree; t.Known {
		f = append(f, "threads", t.Threads, "threads_at_end", t.ThreadsAtEnd,
			"processes", t.Processes, "forked", t.Forked)
	}
	level := Info
	if e.Findings > 0 || e.Exit.Signal == "SIGKILL" {
		level = Warn
	}
	return Record{level, MsgReaped, f}
}

// DescendantEnded reports that a descendant of a child ended, during or after the stop of the
// child.
type DescendantEnded struct {
	Child       string // whose process tree it was in; empty: unknown
	Pid         int
	Parent      int // the parent's pid when the process was first seen
	Command     string
	Exit        Exit
	ExitUnknown bool
	InStop      bool // it was forked after the stop began
	Closed      int
	Left        int
	Findings    int // those of Left that are findings
	Threads     int // when the process was first seen
	Proof       Proof
	Reason      string // why the proof is not exact
	Lifetime    time.Duration
	FDsOmitted  int // as in Reaped
}

// Record implements [Event].
func (e DescendantEnded) Record() Record {
	var f []any
	if e.Child != "" {
		f = append(f, "child", e.Child)
	}
	f = append(f, "pid", e.Pid, "parent", e.Parent, "command", e.Command)
	if e.ExitUnknown {
		f = append(f, "end", "unseen")
	} else {
		f = append(f, e.Exit.fields()...)
	}
	f = append(f, "in_stop", e.InStop, "elapsed_ms", ms(e.Lifetime), "threads", e.Threads,
		"fds_closed", e.Closed, "fds_left", e.Left)
	if e.Findings > 0 {
		f = append(f, "findings", e.Findings)
	}
	f = append(f, "proof", string(e.Proof))
	if e.Reason != "" {
		f = append(f, "reason", e.Reason)
	}
	level := Debug
	if e.Findings > 0 || e.Exit.Signal == "SIGKILL" {
		level = Warn
	}
	return Record{level, MsgDescendantEnded, f}
}

// DescendantsOutlive reports that the main process of a child ended before its descendants.
// They are stopped before the child restarts and before its dependencies stop.
type DescendantsOutlive struct {
	Child       string
	Pid         int // of the main process
	Exit        Exit
	InStop      bool     // the child was being stopped
	Hook        string   // the hook whose command Pid is; empty: the main process
	Descendants []string // each as "nginx (pid 20)"
}

// Record implements [Event]. It is a warning if the main process ended by itself: then the
// program went into the background, or a wrapper or a master process crashed.
func (e DescendantsOutlive) Record() Record {
	f := append([]any{"child", e.Child, "pid", e.Pid}, e.Exit.fields()...)
	f = append(f, "descendants", list(e.Descendants))
	if e.Hook != "" {
		return Record{Info, MsgDescendantsOutlive, append(f, "hook", e.Hook)}
	}
	if e.InStop {
		return Record{Info, MsgDescendantsOutlive, f}
	}
	advice := "they are stopped before anything follows; " +
		"to let them run on, set kill_scope = \"process\" and descendants = \"leave\""
	if e.Exit.OK() {
		advice = "start it in the foreground; else " + advice
	}
	return Record{Warn, MsgDescendantsOutlive, append(f, "advice", advice)}
}

// OrphanReaped reports that an adopted process ended.
type OrphanReaped struct {
	Child   string // the instance whose process tree it was in; empty: unknown
	Pid     int
	Command string // may be empty if no sink shows it
	Exit    Exit
}

// Record implements [Event].
func (e OrphanReaped) Record() Record {
	f := append([]any{"pid", e.Pid, "command", e.Command}, e.Exit.fields()...)
	if e.Child != "" {
		f = append(f, "child", e.Child)
	}
	return Record{Info, MsgOrphanReaped, f}
}

// ProofUnavailable reports that the proof for a process is less exact than configured.
type ProofUnavailable struct {
	Child  string
	Pid    int
	Proof  Proof // the proof that there is instead
	Reason string
}

// Record implements [Event]. The last line of the log counts the processes without a proof, so
// there is no warning for each.
func (e ProofUnavailable) Record() Record {
	return Record{Info, MsgProofUnavailable, []any{
		"child", e.Child, "pid", e.Pid, "proof", string(e.Proof), "reason", e.Reason,
	}}
}
