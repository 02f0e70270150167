package event

// The messages about descriptors.
const (
	MsgFDOpened    = "fd opened"
	MsgFDClosed    = "fd closed"
	MsgLedgerEntry = "fd held"
	MsgFDLeak      = "fd leak suspected"
	MsgFDLimit     = "fd limit near"
)

// Who closed a descriptor.
const (
	BySupervisor = "supervisor"
	ByChild      = "child"
	ByKernel     = "kernel" // the process had it open at its exit
)

// FDOpened reports a new descriptor of the supervisor.
type FDOpened struct {
	FD           int
	Kind, Target string
	Internal     bool // of the supervisor's own machinery, as the pipe of a probe
}

// Record implements [Event].
func (e FDOpened) Record() Record {
	return Record{fdLevel(e.Internal), MsgFDOpened, []any{
		"owner", "supervisor", "fd", e.FD, "kind", e.Kind, "target", e.Target, "by", BySupervisor,
	}}
}

// FDClosed reports a closed descriptor: one of the supervisor, or one that a process had open
// during its stop.
type FDClosed struct {
	Owner        string // "supervisor" or the instance
	Pid          int    // 0: the supervisor
	FD           int
	Kind, Target string
	By           string // BySupervisor, ByChild or ByKernel
	Proof        Proof
	NotCounted   string // why it does not count: "standard stream", "go runtime"; empty: it counts
	Process      string // the command of a descendant; empty: the main process
	Detail       FDDetail
	HeldBy       string // a process that still has it open, as "sh (pid 20)"; empty: none
	Finding      string // the kind of the finding, as "unread_data"; empty: it is no finding
	Harm         string // what the finding did, in a sentence; empty: it is no finding
	Advice       string // what to do about the finding; empty: it is no finding
	Internal     bool   // of the supervisor's own machinery, as the pipe of a probe
}

// Record implements [Event]. Only a finding is a warning.
func (e FDClosed) Record() Record {
	f := []any{"owner", e.Owner}
	if e.Pid != 0 {
		f = append(f, "pid", e.Pid)
	}
	f = append(f, "fd", e.FD, "kind", e.Kind, "target", e.Target, "by", e.By)
	if e.Proof != "" {
		f = append(f, "proof", string(e.Proof))
	}
	if e.Process != "" {
		f = append(f, "process", e.Process)
	}
	f = append(f, e.Detail.fields()...)
	if e.HeldBy != "" {
		f = append(f, "held_by", e.HeldBy)
	}
	if e.Finding != "" {
		f = append(f, "finding", e.Finding, "harm", e.Harm, "advice", e.Advice)
	}
	if e.NotCounted != "" {
		f = append(f, "uncounted", e.NotCounted)
	}
	level := fdLevel(e.Internal)
	switch {
	case e.Finding != "":
		level = Warn
	case e.NotCounted != "":
		level = Debug
	}
	return Record{level, MsgFDClosed, f}
}

// fdLevel returns the level of an event about a descriptor. A log can have the setting to show
// fewer of those at Info: see [LogFDs].
func fdLevel(internal bool) Level {
	if internal {
		return Debug
	}
	return Info
}

// LogFDs says which descriptors a log has at Info. The others are at Debug, apart from findings.
type LogFDs string

// The values of LogFDs.
const (
	LogFindings LogFDs = "findings" // none but findings
	LogChildren LogFDs = "children" // those that children closed or left open
	LogAll      LogFDs = "all"      // also those of the supervisor
)

// Level returns the level of an event in a log with this setting. The empty value is LogAll.
func (l LogFDs) Level(e Event) Level {
	level := e.Record().Level
	if level != Info {
		return level
	}
	switch e := e.(type) {
	case FDOpened:
		if l == LogFindings || l == LogChildren {
			return Debug
		}
	case FDClosed:
		if l == LogFindings || l == LogChildren && e.By == BySupervisor {
			return Debug
		}
	}
	return level
}

// FDDetail is what else is known of a descriptor. Values that do not apply are zero.
type FDDetail struct {
	State   string // of a socket: established, close-wait, …
	Unread  uint64 // bytes in a socket or a pipe that were not read
	Unsent  uint64 // bytes that a socket did not send, or that were not acknowledged
	Mode    string // of a file: r, w or rw, with a for append
	Lock    string // on a file: "flock write", "posix read", …
	Deleted bool   // the file has no name any more
}

func (d FDDetail) fields() (f []any) {
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

// LedgerEntry reports a descriptor that the supervisor has open, on request (SIGUSR1).
type LedgerEntry struct {
	FD           int
	Kind, Target string
}

// Record implements [Event].
func (e LedgerEntry) Record() Record {
	return Record{Info, MsgLedgerEntry, []any{
		"owner", "supervisor", "fd", e.FD, "kind", e.Kind, "target", e.Target,
	}}
}

// FDGrowth is what a count found about the open descriptors of a process.
type FDGrowth struct {
	Child   string
	Pid     int
	Process string // the command of a descendant; empty: the main process
	Open    int
	Limit   uint64   // the soft RLIMIT_NOFILE; 0: unknown
	Grown   []string // "file from 5 to 14 in 10 counts"
	Targets []string // what most of the descriptors refer to: "9 file /etc/hosts"
}

func (g *FDGrowth) record(message string) Record {
	f := []any{"child", g.Child, "pid", g.Pid}
	if g.Process != "" {
		f = append(f, "process", g.Process)
	}
	if len(g.Grown) > 0 {
		f = append(f, "grown", list(g.Grown))
	}
	f = append(f, "open", g.Open)
	if g.Limit > 0 {
		f = append(f, "limit", g.Limit)
	}
	return Record{Warn, message, append(f, "targets", list(g.Targets))}
}

// FDLeakSuspected reports a process whose descriptors of a kind became more and more, in ten counts
// in a row or more.
type FDLeakSuspected struct{ FDGrowth }

// Record implements [Event].
func (e FDLeakSuspected) Record() Record { return e.record(MsgFDLeak) }

// FDLimitNear reports a process that has 80 % or more of the descriptors that it may have.
type FDLimitNear struct{ FDGrowth }

// Record implements [Event].
func (e FDLimitNear) Record() Record { return e.record(MsgFDLimit) }
