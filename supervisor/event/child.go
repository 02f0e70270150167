package event

import (
	"strings"
	"time"
)

// The messages about the life of a child.
const (
	MsgSpawned          = "child spawned"
	MsgSpawnFailed      = "spawn failed"
	MsgSpawnDelayed     = "spawn delayed"
	MsgProbeSkipped     = "probe not started"
	MsgReady            = "child ready"
	MsgAllReady         = "all children ready"
	MsgNotReady         = "not ready in time"
	MsgCheckFailed      = "check failed"
	MsgCheckPassed      = "check passed"
	MsgUnhealthy        = "child unhealthy"
	MsgNotified         = "child notified"
	MsgUnexpectedEnd    = "child ended unexpectedly"
	MsgMainChanged      = "main process changed"
	MsgRestarting       = "child restarting"
	MsgCompleted        = "child completed"
	MsgFailed           = "child failed"
	MsgDependencyFailed = "dependency failed"
	MsgStartWaits       = "start waits for end"
)

// Spawned reports that a process of a child was started.
type Spawned struct {
	Child   string
	Pid     int
	Command string
}

// Record implements [Event].
func (e Spawned) Record() Record {
	return Record{Info, MsgSpawned, []any{"child", e.Child, "pid", e.Pid, "command", e.Command}}
}

// SpawnFailed reports that no process could be started.
type SpawnFailed struct{ Child, Command, Reason string }

// Record implements [Event].
func (e SpawnFailed) Record() Record {
	return Record{Error, MsgSpawnFailed, []any{
		"child", e.Child, "command", e.Command, "reason", e.Reason,
	}}
}

// SpawnDelayed reports that a resource was exhausted, so that the spawn is tried again after
// Delay. It does not count as a failure of the child.
type SpawnDelayed struct {
	Child           string
	Resource, Limit string
	Delay           time.Duration
	Reason          string
}

// Record implements [Event].
func (e SpawnDelayed) Record() Record {
	return Record{Warn, MsgSpawnDelayed, []any{
		"child", e.Child, "resource", e.Resource, "limit", e.Limit,
		"delay_ms", ms(e.Delay), "reason", e.Reason,
	}}
}

// ProbeSkipped reports that a probe could not be started. It says nothing about the health
// of the child.
type ProbeSkipped struct {
	Child           string
	Pid             int
	Probe           string // the name of the check, or "ready"
	Resource, Limit string // the resource that was exhausted; empty: none
	Reason          string
}

// Record implements [Event].
func (e ProbeSkipped) Record() Record {
	f := []any{"child", e.Child, "pid", e.Pid, "probe", e.Probe}
	if e.Resource != "" {
		f = append(f, "resource", e.Resource, "limit", e.Limit)
	}
	return Record{Warn, MsgProbeSkipped, append(f, "reason", e.Reason)}
}

// Ready reports that an instance is ready. A oneshot is never ready: see [Completed].
type Ready struct {
	Child   string
	Pid     int
	Elapsed time.Duration // since the spawn
}

// Record implements [Event].
func (e Ready) Record() Record {
	return Record{Info, MsgReady, []any{
		"child", e.Child, "pid", e.Pid, "elapsed_ms", ms(e.Elapsed),
	}}
}

// AllReady reports that every instance is ready or completed. It is emitted again when that
// becomes true again.
type AllReady struct {
	Children  int // number of instances
	Completed int // those that completed
}

// Record implements [Event].
func (e AllReady) Record() Record {
	f := []any{"children", e.Children}
	if e.Completed > 0 {
		f = append(f, "completed", e.Completed)
	}
	return Record{Info, MsgAllReady, f}
}

// NotReady reports that an instance was not ready within its timeout.
type NotReady struct {
	Child   string
	Pid     int
	Timeout time.Duration
	Reason  string
}

// Record implements [Event].
func (e NotReady) Record() Record {
	return Record{Warn, MsgNotReady, []any{
		"child", e.Child, "pid", e.Pid, "timeout_ms", ms(e.Timeout), "reason", e.Reason,
	}}
}

// CheckFailed reports that a check failed which passed before.
type CheckFailed struct {
	Child  string
	Pid    int
	Check  string
	Reason string
}

// Record implements [Event].
func (e CheckFailed) Record() Record {
	return Record{Warn, MsgCheckFailed, []any{
		"child", e.Child, "pid", e.Pid, "check", e.Check, "reason", e.Reason,
	}}
}

// CheckPassed reports that a check passed which failed before.
type CheckPassed struct {
	Child string
	Pid   int
	Check string
}

// Record implements [Event].
func (e CheckPassed) Record() Record {
	return Record{Info, MsgCheckPassed, []any{"child", e.Child, "pid", e.Pid, "check", e.Check}}
}

// Unhealthy reports that an instance is stopped because a check failed too often.
type Unhealthy struct {
	Child  string
	Pid    int
	Reason string
}

// Record implements [Event].
func (e Unhealthy) Record() Record {
	return Record{Warn, MsgUnhealthy, []any{"child", e.Child, "pid", e.Pid, "reason", e.Reason}}
}

// Notified reports a message that a child sent by sd_notify(3).
type Notified struct {
	Child  string
	Pid    int
	What   string // status, reloading, reloaded, stopping, running, watchdog, …
	Detail string
	Count  int // of the messages that the detail stands for, if there are more than one
}

// Record implements [Event].
func (e Notified) Record() Record {
	f := []any{"child", e.Child, "pid", e.Pid, "what", e.What}
	if e.Detail != "" {
		f = append(f, "detail", e.Detail)
	}
	if e.Count > 1 {
		f = append(f, "count", e.Count)
	}
	level := Info
	// A program may send its status with every request. In a stop, STOPPING=1 is expected.
	if e.What == "status" || e.What == "stopping" && e.Detail == "" {
		level = Debug
	}
	return Record{level, MsgNotified, f}
}

// UnexpectedEnd reports that a process ended without a stop and without success.
type UnexpectedEnd struct {
	Child  string
	Pid    int
	Reason string
	Core   bool     // there is a core dump
	Output []string // its last lines
	Known  string   // a sentence about the last known descriptors; empty: unknown
}

// Record implements [Event].
func (e UnexpectedEnd) Record() Record {
	f := []any{"child", e.Child, "pid", e.Pid, "reason", e.Reason, "core", e.Core}
	if len(e.Output) > 0 {
		f = append(f, "output", strings.Join(e.Output, " ⏎ "))
	}
	if e.Known != "" {
		f = append(f, "last_known", e.Known)
	}
	return Record{Warn, MsgUnexpectedEnd, f}
}

// MainChanged reports that the main process of a child ended, and that the process which it
// named as its successor (sd_notify(3), MAINPID) is the main process now.
type MainChanged struct {
	Child string
	Pid   int
	From  int // the pid before
	Exit  Exit
}

// Record implements [Event].
func (e MainChanged) Record() Record {
	f := []any{"child", e.Child, "pid", e.Pid, "from", e.From}
	return Record{Info, MsgMainChanged, append(f, e.Exit.fields()...)}
}

// Restarting reports that another process of the child is started after Delay.
type Restarting struct {
	Child   string
	Attempt int // within the interval, from 1
	Delay   time.Duration
	Reason  string
}

// Record implements [Event]. The reason was a warning already, if it is a failure.
func (e Restarting) Record() Record {
	return Record{Info, MsgRestarting, []any{
		"child", e.Child, "attempt", e.Attempt, "delay_ms", ms(e.Delay), "reason", e.Reason,
	}}
}

// Completed reports that a child ended with success and is not started again.
type Completed struct{ Child string }

// Record implements [Event].
func (e Completed) Record() Record {
	return Record{Info, MsgCompleted, []any{"child", e.Child}}
}

// Failed reports that a child failed permanently: it is not started again.
type Failed struct {
	Child    string
	Attempts int
	Reason   string
}

// Record implements [Event].
func (e Failed) Record() Record {
	return Record{Error, MsgFailed, []any{
		"child", e.Child, "attempts", e.Attempts, "reason", e.Reason,
	}}
}

// DependencyFailed reports that a child cannot start, because the instance For, which it
// depends on, failed permanently.
type DependencyFailed struct{ Child, For string }

// Record implements [Event].
func (e DependencyFailed) Record() Record {
	return Record{Warn, MsgDependencyFailed, []any{
		"child", e.Child, "for", e.For, "reason", e.For + " failed permanently",
	}}
}

// StartWaits reports that an instance is started only when other instances have ended, because it
// needs something that they give up.
type StartWaits struct {
	Child, For, Reason string
	Halted             bool // they do not end: their update is halted
}

// Record implements [Event].
func (e StartWaits) Record() Record {
	level, reason := Info, e.Reason
	if e.Halted {
		level, reason = Warn, e.Reason+", and the update of "+e.For+" is halted"
	}
	return Record{level, MsgStartWaits, []any{"child", e.Child, "for", e.For, "reason", reason}}
}
