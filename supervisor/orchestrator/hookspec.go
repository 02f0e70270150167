package orchestrator

import (
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// hookSpec prepares the environment and the output of a hook. It has the user, the environment, the
// working directory and the limits of the child, and neither its sockets nor its notification
// socket.
func (o *Orchestrator) hookSpec(h *hook) (process.Spec, error) {
	l, s, command := &h.inst.spec.Launch, o.opt.ProcessDefaults, h.command
	var err error
	if h.output, err = o.opt.Relays.Prepare(output.Spec{
		Instance: h.inst.spec.Name, Child: h.inst.spec.Child,
		Hook: h.name, NextProcess: h.name == config.PreStartHook,
		Format: l.Logs.Format, Colors: l.Logs.Colors,
		Stdout: l.Logs.Stdout, Stderr: l.Logs.Stderr, UID: l.Attributes.UID,
	}); err != nil {
		return s, err
	}
	o.outputs.add(h.output)
	s.Stdout, s.Stderr = h.output.ChildFiles()
	s.Name, s.Path, s.Dir, s.LateEnv = h.inst.spec.Name, command.Path, l.Dir, l.LateEnv
	s.Argv = command.Exec
	own := o.hookEnvironment(h)
	s.Env = append(slices.DeleteFunc(slices.Clone(l.Env), isHookVariable), own...)
	s.Attributes = spawn.Attributes(l.Attributes)
	s.Barrier = true // Go's fork waits for the execve, which a remote file system can block
	s.Scope = lifecycle.ScopeGroup
	if h.name == config.PreStartHook && !o.opt.KeepQueuedSpawns {
		s.Revoked = &o.stopBegan
	}
	return s, nil
}

// hookVariables are the variables of hookEnvironment.
var hookVariables = []string{
	"SUPERVISOR_HOOK", "SUPERVISOR_CHILD", "SUPERVISOR_INSTANCE", "SUPERVISOR_ATTEMPT",
	"SUPERVISOR_PID", "SUPERVISOR_RESULT", "SUPERVISOR_EXIT_CODE", "SUPERVISOR_SIGNAL",
	"SUPERVISOR_REASON",
}

// isHookVariable reports whether an entry of an environment is a variable that only hooks have. The
// environment of a child can have those of another supervisor.
func isHookVariable(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	return slices.Contains(hookVariables, name)
}

// maxReason bounds the reason in the environment of a hook, in bytes.
const maxReason = 1024

// hookEnvironment returns the variables that a hook gets.
func (o *Orchestrator) hookEnvironment(h *hook) []string {
	inst := h.inst
	env := []string{
		"SUPERVISOR_HOOK=" + h.name,
		"SUPERVISOR_CHILD=" + inst.spec.Child,
		"SUPERVISOR_INSTANCE=" + inst.spec.Name,
		fmt.Sprintf("SUPERVISOR_ATTEMPT=%d", inst.restarts.history.Count()),
	}
	if inst.process.pid != 0 {
		env = append(env, fmt.Sprintf("SUPERVISOR_PID=%d", inst.process.pid))
	}
	reason := inst.restarts.last.Reason
	switch out := inst.exit.postStop; h.name {
	case config.PreStartHook, config.StopHook:
		return env
	case config.PostStopHook:
		reason = out.reason + out.cause
		env = append(env, "SUPERVISOR_RESULT="+o.resultFor(inst, out))
	default:
		env = append(env, "SUPERVISOR_RESULT=failure")
	}
	if last := inst.restarts.lastExit; last != nil && last.Pid == inst.process.pid {
		env = append(env, fmt.Sprintf("SUPERVISOR_EXIT_CODE=%d", last.Code))
		if last.Signal != "" {
			env = append(env, "SUPERVISOR_SIGNAL="+last.Signal)
		}
	}
	reason = strings.ReplaceAll(reason, "\x00", "")
	return append(env, "SUPERVISOR_REASON="+reason[:min(len(reason), maxReason)])
}

// resultFor returns how a process ended, for its post_stop hook.
func (o *Orchestrator) resultFor(inst *instance, out *outcome) string {
	switch {
	case !out.success && out.wanted:
		return "failure"
	case inst.goal != rollout.Run || inst.state == lifecycle.Replacing:
		return "stopped"
	case out.success:
		return "success"
	}
	return "failure"
}
