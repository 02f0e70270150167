package event

import "time"

// The messages about hooks: the commands of stop and hooks blocks.
const (
	MsgHookStarted    = "hook started"
	MsgHookEnded      = "hook ended"
	MsgHookNotStarted = "hook not started"
)

// HookStarted reports that the command of a hook was started.
type HookStarted struct {
	Child   string
	Hook    string // stop, pre_start, post_stop or on_failure
	Pid     int
	Command string
}

// Record implements [Event].
func (e HookStarted) Record() Record {
	return Record{Info, MsgHookStarted, []any{
		"child", e.Child, "hook", e.Hook, "pid", e.Pid, "command", e.Command,
	}}
}

// HookEnded reports that the command of a hook ended. Its descendants can still run.
type HookEnded struct {
	Child   string
	Hook    string
	Pid     int
	Exit    Exit
	Elapsed time.Duration // since the spawn
	Failure string        // why the hook has failed; empty: it succeeded
}

// Record implements [Event].
func (e HookEnded) Record() Record {
	f := append([]any{"child", e.Child, "hook", e.Hook, "pid", e.Pid}, e.Exit.fields()...)
	f = append(f, "elapsed_ms", ms(e.Elapsed))
	if e.Failure == "" {
		return Record{Info, MsgHookEnded, f}
	}
	return Record{Warn, MsgHookEnded, append(f, "reason", e.Failure)}
}

// HookNotStarted reports that the command of a hook was not started.
type HookNotStarted struct{ Child, Hook, Command, Reason string }

// Record implements [Event].
func (e HookNotStarted) Record() Record {
	return Record{Warn, MsgHookNotStarted, []any{
		"child", e.Child, "hook", e.Hook, "command", e.Command, "reason", e.Reason,
	}}
}
