package config

import "time"

// The hooks of a child, as SUPERVISOR_HOOK names them.
const (
	StopHook      = "stop"       // in place of the first signal of a stop
	PreStartHook  = "pre_start"  // before each process
	PostStopHook  = "post_stop"  // after the end of each process tree
	OnFailureHook = "on_failure" // once the child has failed and no restart follows
)

// HookNames are the names of all hooks.
var HookNames = []string{StopHook, PreStartHook, PostStopHook, OnFailureHook}

// Hook is a command that runs at a point in the life of a child. Without Exec there is none.
type Hook struct {
	Exec []string // the command with its arguments
	Path string   // the executable that Exec[0] resolves to; empty: see Launch.LateEnv
}

// Hooks are the hooks of a child.
type Hooks struct {
	Stop, PreStart, PostStop, OnFailure Hook
	// Timeout bounds each of them but Stop, which is bounded by KillTimeout.
	Timeout time.Duration
	// StopTimeout bounds PostStop in the final stop: Timeout, or a share of the deadline.
	StopTimeout time.Duration
	// SharedTimeout: the configuration has no timeout, so StopTimeout is a share of the deadline.
	SharedTimeout bool
}

// Named returns the hook with a name.
func (h *Hooks) Named(name string) *Hook {
	switch name {
	case StopHook:
		return &h.Stop
	case PreStartHook:
		return &h.PreStart
	case PostStopHook:
		return &h.PostStop
	}
	return &h.OnFailure
}

// Set reports whether the hook has a command.
func (h Hook) Set() bool { return len(h.Exec) > 0 }

// Name returns the command without its arguments; empty: there is none.
func (h Hook) Name() string {
	if !h.Set() {
		return ""
	}
	return h.Exec[0]
}

// DefaultHookTimeout is the value of Hooks.Timeout where the configuration sets none.
const DefaultHookTimeout = 10 * time.Second
