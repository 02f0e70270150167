package event

// The messages about the configuration and the supervisor itself.
const (
	MsgConfigEdited    = "config changed"
	MsgConfigReloaded  = "config reloaded"
	MsgConfigRejected  = "config rejected"
	MsgReloadHalted    = "reload halted"
	MsgRestartHalted   = "restart halted"
	MsgOperation       = "operation requested"
	MsgReloadIgnored   = "reload ignored"
	MsgReloadWithheld  = "reload signal not sent"
	MsgRollbackStarted = "config rolling back"
	MsgOutputDropped   = "lines dropped"
	MsgLinesLimited    = "lines suppressed"
	MsgLogReopened     = "log file reopened"
	MsgLogNotReopened  = "log file not reopened"
	MsgFault           = "internal fault"
)

// ConfigEdited reports that a file of the configuration changed and is loaded again.
type ConfigEdited struct{}

// Record implements [Event].
func (e ConfigEdited) Record() Record { return Record{Info, MsgConfigEdited, nil} }

// ConfigReloaded reports that a new configuration is fully applied.
type ConfigReloaded struct{ Added, Removed, Changed, Kept []string }

// Record implements [Event].
func (e ConfigReloaded) Record() Record {
	return Record{Info, MsgConfigReloaded, []any{
		"added", list(e.Added), "removed", list(e.Removed),
		"changed", list(e.Changed), "kept", list(e.Kept),
	}}
}

// ConfigRejected reports that a new configuration was not applied. Nothing changed.
type ConfigRejected struct{ Diagnostics string } // can have several lines

// Record implements [Event].
func (e ConfigRejected) Record() Record {
	return Record{Error, MsgConfigRejected, []any{"diagnostics", e.Diagnostics}}
}

// ReloadHalted reports that a reload, or a restart that was requested, replaces no more instances
// of a child. Those that were not replaced keep their process, and so their old configuration.
type ReloadHalted struct {
	Child, Reason string
	Restart       bool
}

// Record implements [Event].
func (e ReloadHalted) Record() Record {
	msg := MsgReloadHalted
	if e.Restart {
		msg = MsgRestartHalted
	}
	return Record{Error, msg, []any{"child", e.Child, "reason", e.Reason}}
}

// OperationRequested reports a request over the control socket that changes something.
type OperationRequested struct {
	Verb   string   // start, stop, restart, signal, reload or shutdown
	Names  []string // of children and instances; empty for reload and shutdown
	Signal string   // of signal
	By     string   // the requester: uid 0 (pid 4711)
}

// Record implements [Event].
func (e OperationRequested) Record() Record {
	kv := []any{"verb", e.Verb}
	if len(e.Names) > 0 {
		kv = append(kv, "names", list(e.Names))
	}
	if e.Signal != "" {
		kv = append(kv, "signal", e.Signal)
	}
	return Record{Info, MsgOperation, append(kv, "by", e.By)}
}

// ReloadSignalWithheld reports that a process did not get its reload_signal, because it has no
// handler for it and would end.
type ReloadSignalWithheld struct {
	Child  string
	Pid    int
	Signal string
	Ended  bool // the signal has ended the last process of the child
}

// Record implements [Event].
func (e ReloadSignalWithheld) Record() Record {
	reason := "the main process of " + e.Child + " has no " + e.Signal +
		" handler: the signal would end it"
	if e.Ended {
		reason = e.Signal + " ended the last process of " + e.Child +
			" that got it: the program does not handle it"
	}
	return Record{Warn, MsgReloadWithheld, []any{
		"child", e.Child, "pid", e.Pid, "signal", e.Signal, "reason", reason,
		"advice", "restart the child so that it reads its files again, and install a handler, " +
			"start the program with exec if a shell runs it, or remove reload_signal",
	}}
}

// RollbackStarted reports that a reload is undone, because an instance of the new
// configuration failed. [ConfigRejected] follows when the old configuration is restored.
type RollbackStarted struct{ Child, Reason string }

// Record implements [Event].
func (e RollbackStarted) Record() Record {
	return Record{Error, MsgRollbackStarted, []any{"child", e.Child, "reason", e.Reason}}
}

// ReloadIgnored reports a request for a reload that cannot be done now.
type ReloadIgnored struct{ Reason string }

// Record implements [Event].
func (e ReloadIgnored) Record() Record {
	return Record{Warn, MsgReloadIgnored, []any{"reason", e.Reason}}
}

// OutputDropped reports output that could not be delivered.
type OutputDropped struct {
	Dest         string
	Lines, Bytes uint64
	Reason       string
}

// Record implements [Event].
func (e OutputDropped) Record() Record {
	return Record{Warn, MsgOutputDropped, []any{
		"dest", e.Dest, "lines", e.Lines, "bytes", e.Bytes, "reason", e.Reason,
	}}
}

// LinesLimited reports lines of the log that were left out, because a child caused too many.
type LinesLimited struct {
	Of          string // the message of the lines
	Child, What string // as in the lines; empty: they have no such key
	Suppressed  int
}

// Record implements [Event].
func (e LinesLimited) Record() Record {
	f := []any{"of", e.Of}
	if e.Child != "" {
		f = append(f, "child", e.Child)
	}
	if e.What != "" {
		f = append(f, "what", e.What)
	}
	return Record{Info, MsgLinesLimited, append(f, "suppressed", e.Suppressed)}
}

// LogReopened reports that a log file of children is not at its path any more. With an empty
// Failure, the file that is at the path now gets the lines from now on.
type LogReopened struct {
	Path    string
	Deleted bool // it was deleted, not renamed
	Failure string
}

// Record implements [Event].
func (e LogReopened) Record() Record {
	if e.Failure != "" {
		return Record{Warn, MsgLogNotReopened, []any{"path", e.Path, "reason", e.Failure}}
	}
	if e.Deleted {
		return Record{Warn, MsgLogReopened, []any{
			"path", e.Path, "reason", "it was deleted, with the lines in it",
		}}
	}
	return Record{Info, MsgLogReopened, []any{"path", e.Path, "reason", "it was renamed"}}
}

// Fault reports a broken invariant of the supervisor. It makes the exit code 1.
type Fault struct{ What, Reason string }

// Record implements [Event].
func (e Fault) Record() Record {
	return Record{Error, MsgFault, []any{"what", e.What, "reason", e.Reason}}
}

// Warning reports something that the user should know. What is the message, so it must be
// a constant.
type Warning struct{ What, Reason string }

// Record implements [Event].
func (e Warning) Record() Record { return Record{Warn, e.What, []any{"reason", e.Reason}} }
