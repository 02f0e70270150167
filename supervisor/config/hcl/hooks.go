package hclconfig

import (
	"strings"
	"sync"
	"time"

	"tp0/supervisor/config"
)

// stopSchema is the stop block of a child.
var stopSchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "stop",
		doc: "The command with which each stop of the child begins, in place of the first " +
			"signal: in the final stop, a restart and a reload. See [Hooks](hooks.md).",
		attributes: []attribute[childValues]{
			mandatory(hookAttribute("stop.exec", config.StopHook, `["nginx", "-s", "quit"]`,
				"The command that asks the process to end, in place of the first signal of the "+
					"stop sequence. `SUPERVISOR_PID` is the pid of the process. The command has "+
					"three quarters of `kill_timeout`, or of the first `wait`. If it fails, the "+
					"signal is sent at once. If it still runs after that time, it is killed, and "+
					"the signal is sent. If it succeeds, the signal is not sent: the process has "+
					"the whole time to end, then the next step of the stop sequence follows.")),
		},
	}
})

// hooksSchema is the hooks block of a child.
var hooksSchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "hooks",
		doc: "Commands that run at points in the life of each instance, with the user, the " +
			"environment, the working directory and the limits of the child. See " +
			"[Hooks](hooks.md) for the variables that they get. A reload that changes them " +
			"restarts nothing.",
		attributes: []attribute[childValues]{
			hookAttribute("hooks.pre_start", config.PreStartHook, `["./migrate"]`,
				"The command that runs before each process. If it fails, the start has failed, "+
					"and the `restart` block applies."),
			hookAttribute("hooks.post_stop", config.PostStopHook, `["./cleanup"]`,
				"The command that runs after the end of each process tree: after a crash, before "+
					"a restart, and in each stop. It also runs if `pre_start` has failed. Its "+
					"failure is logged and changes nothing."),
			hookAttribute("hooks.on_failure", config.OnFailureHook, `["./alert"]`,
				"The command that runs once an instance has failed and has no restart attempt "+
					"left, after `post_stop`. The attribute `on_failure` of the child does not "+
					"wait for it. Its failure is logged and changes nothing."),
			field("timeout", func(v *childValues) *time.Duration { return &v.policy.Hooks.Timeout },
				duration(10*time.Millisecond), `"30s"`,
				"The time that each of these commands has. A quarter of it before its end, but "+
					"at most 1s before, the process tree of the command gets `SIGTERM`. At its "+
					"end the tree gets `SIGKILL`. In the final stop, `post_stop` without a given "+
					"`timeout` has a share of the deadline."),
		},
		anyOf: []string{"pre_start", "post_stop", "on_failure"},
	}
})

// hookAttribute returns the attribute with the command of a hook.
func hookAttribute(path, hook, example, doc string) attribute[childValues] {
	return canBeSecret(field(path[strings.LastIndex(path, ".")+1:], func(v *childValues) *[]string {
		return &v.policy.Hooks.Named(hook).Exec
	}, commandLineKind, example, doc), path)
}

// hookPaths are the attributes of the hooks.
var hookPaths = map[string]string{
	config.StopHook:      "stop.exec",
	config.PreStartHook:  "hooks.pre_start",
	config.PostStopHook:  "hooks.post_stop",
	config.OnFailureHook: "hooks.on_failure",
}
