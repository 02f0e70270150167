package hclconfig

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/program"
)

// childSchema is a child block. Attributes that are not shared can use `index`.
var childSchema = sync.OnceValue(func() *block[childValues] {
	return &block[childValues]{
		name:       "child",
		label:      "name",
		doc:        "A program that the supervisor runs, with one or more instances.",
		foreign:    foreignInChild,
		attributes: slices.Concat(sharedAttributes(), launchAttributes(), stopAttributes()),
		blocks: []block[childValues]{
			readySchema(),
			{
				name: "rlimits",
				doc: "The resource limits of the process, see getrlimit(2). A number or " +
					"`\"unlimited\"` sets the soft and the hard limit. An object such as `{ soft " +
					"= 1024, hard = 4096 }` sets both separately. Other limits are those of the " +
					"supervisor. To raise a limit above the hard limit of the supervisor, it " +
					"needs `CAP_SYS_RESOURCE`.",
				attributes: rlimitAttributes(),
			},
			restartSchema(),
			stopSchema(),
			hooksSchema(),
			logsSchema(),
		},
	}
})

var sharedAttributes = sync.OnceValue(func() []attribute[childValues] {
	return []attribute[childValues]{
		shared(field("count", func(v *childValues) *int { return &v.count },
			integer(0, maxCount), "2",
			"The number of instances, named name1, name2, and so on. Without `count` the child "+
				"has one instance with the name of the child. 0 creates no instance.")),
		shared(field("depends_on",
			func(v *childValues) *[]config.Dependency { return &v.dependsOn },
			dependenciesKind, `["db", { child = "cache", until = "started" }]`,
			"The children that must be running before this one starts. `until` is `\"started\"`, "+
				"`\"ready\"` or `\"completed\"`. The default of `until` is `\"ready\"`, and "+
				"`\"completed\"` for a oneshot. The dependencies stop after this child, except "+
				"completed ones; what a completed one depends on stops after this child too.")),
		shared(field("disabled", func(v *childValues) *bool { return &v.disabled },
			boolKind, "true",
			"Create no instances, as with `count = 0`. Children that depend on this one do "+
				"not wait.")),
		shared(field("oneshot", func(v *childValues) *bool { return &v.policy.Oneshot },
			boolKind, "true",
			"The child runs once and completes when it ends with success. After a failure the "+
				"`restart` block applies.")),
		shared(field("sidecar", func(v *childValues) *bool { return &v.policy.Sidecar },
			boolKind, "true",
			"The child stops after all children that are not sidecars. The supervisor stops when "+
				"only sidecars still run. A dependency of a sidecar on a child that is not a "+
				"sidecar applies only to the start.")),
		field("critical", func(v *childValues) *bool { return &v.policy.Critical },
			boolKind, "true",
			"The supervisor stops when the child has ended and is not restarted, also after a "+
				"success. `on_success` and `on_failure` do not apply. The supervisor then exits "+
				"with the child's exit code (128+n for signal n) instead of 1."),
	}
})

var launchAttributes = sync.OnceValue(func() []attribute[childValues] {
	return []attribute[childValues]{
		mandatory(commandAttribute(`"server"`,
			"The program, or a list of the program and its first arguments. No shell reads them. "+
				"A path with a slash is relative to `cwd`; a name is looked up in the `PATH` of "+
				"the child. Root ignores entries of `PATH` that are empty or relative. A child "+
				"that depends on a oneshot, directly or not, can have a program and a `cwd` that "+
				"the oneshot creates. They are checked when the child starts.")),
		canBeSecret(field("args", func(v *childValues) *[]string { return &v.launch.Args },
			stringsKind, `["-v", "--port=80"]`,
			"The arguments of the program."), "args"),
		canBeSecret(field("env", func(v *childValues) *map[string]string { return &v.env },
			variablesKind, `{ SERVER_PORT = "12345" }`,
			"Environment variables of the child. They override `env_file` and the "+
				"supervisor's own."),
			"env"),
		field("env_file", func(v *childValues) *[]string { return &v.envFile },
			pathsKind, `["a.env", "b.env"]`,
			"Files with environment variables, relative to the directory of the configuration "+
				"file. A later file overrides an earlier one. A line is `NAME=value`, as in "+
				"Docker's `--env-file`: quotes are part of the value, and `#` starts a comment "+
				"line. A line with only `NAME` takes the value from the supervisor's "+
				"environment. The files are read when the configuration is read, and at each "+
				"start of a child that depends on a oneshot."),
		field("env_clear", func(v *childValues) *bool { return &v.envClear },
			boolKind, "true",
			"Do not pass the supervisor's environment to the child. `PATH` is then `"+
				program.DefaultPath+"`, unless the child sets it."),
		field("cwd", func(v *childValues) *string { return &v.launch.Dir },
			notEmptyKind, `"/srv"`,
			"The working directory of the child. It is entered with the rights of the child's "+
				"user. The default is that of the supervisor."),
		field("user", func(v *childValues) *string { return &v.user },
			accountKind, `"nobody"`,
			"The name or number of the user. The groups are those in `/etc/passwd` and "+
				"`/etc/group`. A number without an entry has the group with the same number and "+
				"no other group. `HOME`, `USER` and `LOGNAME` are set from the entry, or to `/` "+
				"and the number, unless `env` or `env_file` sets them."),
		field("group", func(v *childValues) *string { return &v.group },
			accountKind, `"www-data"`,
			"The name or number of the group, instead of that of the user. Without `user` the "+
				"child has no supplementary groups."),
		field("umask", func(v *childValues) **int { return &v.launch.Attributes.Umask },
			optional(umaskKind), `"0027"`,
			"The permission bits that new files do not get. The default is that of "+
				"the supervisor."),
		field("nice", func(v *childValues) **int { return &v.launch.Attributes.Nice },
			optional(integer(-20, 19)), "10",
			"The nice value; -20 is the highest priority. The default is that of the supervisor. "+
				"A lower value than that needs `CAP_SYS_NICE`."),
		field("oom_score_adj",
			func(v *childValues) **int { return &v.launch.Attributes.OOMScoreAdj },
			optional(integer(-1000, 1000)), "500",
			"How soon the kernel kills the process when memory runs out: -1000 is never, 1000 "+
				"is first. The default is that of the supervisor. A lower value needs "+
				"`CAP_SYS_RESOURCE`."),
		field("no_new_privs", func(v *childValues) *bool { return &v.launch.Attributes.NoNewPrivs },
			boolKind, "true",
			"Programs with the set-user-ID bit give the process no privileges, see prctl(2)."),
	}
})

// commandAttribute returns the attribute command, which sets the program and arguments.
func commandAttribute(example, doc string) attribute[childValues] {
	return attribute[childValues]{
		name: "command", typ: "string, or list of strings", allowed: "not empty",
		example: example, doc: doc,
		get: func(v *childValues) any { return v.launch.Command },
		set: func(v *childValues, value cty.Value) error {
			words, err := readProgram(value)
			if err == nil {
				v.launch.Command, v.commandArgs = words[0], words[1:]
			}
			return err
		},
	}
}

var stopAttributes = sync.OnceValue(func() []attribute[childValues] {
	return []attribute[childValues]{
		field("kill_signal", func(v *childValues) *syscall.Signal { return &v.policy.KillSignal },
			signalKind, `"SIGINT"`,
			"The signal that asks the process to end."),
		field("kill_timeout", func(v *childValues) *time.Duration { return &v.policy.KillTimeout },
			duration(time.Millisecond), `"5s"`,
			"The time from `kill_signal` to `SIGKILL`. The default is 5s in a restart or a "+
				"reload. In the final stop, the children without a `kill_timeout` divide the "+
				"rest of the deadline, in equal parts for each layer of the stop order. "+
				"`validate` and `plan` warn about a part of less than 2s."),
		field("kill_sequence",
			func(v *childValues) *[]lifecycle.Step { return &v.policy.KillSequence },
			stepsKind, `[{ signal = "SIGTERM", wait = "3s" }, { signal = "SIGQUIT", wait = "1s" }]`,
			"The signals of a stop in order, each with the time until the next one. It "+
				"replaces `kill_signal`, `kill_timeout` and `diagnose_signal`. `SIGKILL` always "+
				"follows the last step."),
		field("kill_scope", func(v *childValues) *lifecycle.Scope { return &v.policy.KillScope },
			oneOf(lifecycle.ScopeProcess, lifecycle.ScopeGroup, lifecycle.ScopeTree), `"tree"`,
			"Which processes get these signals: the main process, its process group, or its "+
				"whole process tree. Descendants that outlive the main process get them one by "+
				"one, with any scope; see `descendants`. [Which programs]"+
				"(process-tree.md#which-programs-need-kill_scope--process) need `process`."),
		field("descendants",
			func(v *childValues) *config.Descendants { return &v.policy.Descendants },
			oneOf(config.EndDescendants, config.LeaveDescendants), `"leave"`,
			"What happens to descendants that outlive the main process. With `end` they get the "+
				"same stop sequence in the rest of its time. A restart, a reload and dependents "+
				"wait until the last of them has ended. With `leave` they run on and nothing "+
				"waits for them. The final stop ends them. `leave` requires `kill_scope = "+
				"\"process\"`."),
		field("kill_hold", func(v *childValues) *time.Duration { return &v.policy.KillHold },
			duration(0), `"100ms"`,
			"The longest delay of the first signal while a process that is younger than 1 s has "+
				"not yet installed its signal handlers. Without the delay the signal would kill "+
				"the process. The delay is at most half of `kill_timeout` or of the first "+
				"`wait`. 0s disables it."),
		field("diagnose_signal",
			func(v *childValues) *syscall.Signal { return &v.policy.DiagnoseSignal },
			signalKind, `"SIGQUIT"`,
			"The signal that makes a process print its stacks before `SIGKILL`, such as "+
				"`SIGQUIT` for Go and the JVM. It is sent in the last quarter of `kill_timeout`, "+
				"at most 500 ms before its end. The default sends no signal."),
		field("reload_signal",
			func(v *childValues) *syscall.Signal { return &v.policy.ReloadSignal },
			anySignalKind, `"SIGHUP"`,
			"The signal to a main process that a reload of the supervisor does not replace, so "+
				"that it reads its own files again. A process that is not ready yet gets the "+
				"signal once it is ready. A process without a handler, which the signal would "+
				"end, does not get it: `reload signal not sent`. The default sends no signal."),
		field("findings", func(v *childValues) *findings.Level { return &v.policy.Findings.Level },
			oneOf(findings.Levels()...), `"all"`,
			"Which descriptors of this child are findings, as in the `shutdown` block. The "+
				"default is `shutdown.findings`."),
		field("allow", func(v *childValues) *[]findings.Pattern { return &v.policy.Findings.Allow },
			patternsKind, `["pipe"]`,
			"Descriptors of this child that are never findings, in addition to `shutdown.allow`."),
		field("watch_fds", func(v *childValues) *time.Duration { return &v.policy.WatchFDs },
			duration(time.Second), `"1m"`,
			"The interval in which the open descriptors of a ready instance are counted, to find "+
				"a leak. `fd leak suspected` reports growth over ten counts, and `fd limit near` "+
				"reports 80 % of `RLIMIT_NOFILE`. See [Leaks](operating.md#leaks). Without the "+
				"attribute nothing is counted."),
		field("success_codes", func(v *childValues) *[]int { return &v.policy.SuccessCodes },
			codesKind, "[0, 143]",
			"All exit codes that are a success, for `restart`, `on_success` and the log. An end "+
				"by signal n has the code 128+n: 143 for `SIGTERM`."),
		field("on_success", func(v *childValues) *config.Action { return &v.policy.OnSuccess },
			oneOf(config.Ignore, config.ShutDown), `"shutdown"`,
			"What the supervisor does when an instance has ended with success and is not "+
				"restarted: nothing, or stop all children."),
		field("on_failure", func(v *childValues) *config.Action { return &v.policy.OnFailure },
			oneOf(config.Ignore, config.ShutDown), `"ignore"`,
			"What the supervisor does when an instance has failed and has no restart "+
				"attempt left."),
	}
})

var readySchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "ready",
		doc: "When an instance is ready. Exactly one of `tcp`, `http`, `exec`, `log` and " +
			"`notify` is required. Without this block an instance is ready as soon as it is " +
			"executed. A process that ends before it is ready has failed to start, also with " +
			"exit code 0. Only a oneshot may end before: it completes by its exit code.",
		attributes: []attribute[childValues]{
			field("tcp", func(v *childValues) *string { return &v.ready.TCP },
				addressKind, `"127.0.0.1:12345"`,
				"The address on which the child must listen. Without a host it is any address of "+
					"this machine. If a process changed its user itself, its descriptors cannot "+
					"be read. Then a listener of the same user counts, unless another process is "+
					"known to have it."),
			field("http", func(v *childValues) *string { return &v.ready.HTTP },
				urlKind, `"http://127.0.0.1:8080/ready"`,
				"The URL that must answer a GET with a status from 200 to 399. Redirects are not "+
					"followed, the certificate of `https` is verified, and no proxy is used. The "+
					"body is read, 1 MiB of it and one second at most."),
			canBeSecret(field("exec", func(v *childValues) *[]string { return &v.ready.Exec },
				commandLineKind, `["pg_isready", "-q"]`,
				"The command that must exit with code 0. It has the environment, the working "+
					"directory and the attributes of the child, such as `user`, `umask` and "+
					"`rlimits`. Its process group is killed at the timeout or when a stop "+
					"begins."), "ready.exec"),
			field("log", func(v *childValues) *string { return &v.ready.Log },
				regexpKind(), `"listening on .*"`,
				"A regular expression (RE2) that must match a line of the child's output, "+
					"without its colors and other escape sequences. Text after a carriage return "+
					"counts as a line. A prompt counts too: the beginning of a line after which "+
					"the child prints nothing for 200 ms. Only the first 4 KiB of a line are "+
					"matched."),
			field("notify", func(v *childValues) *bool { return &v.ready.Notify },
				trueKind, "true",
				"The child sends `READY=1` to `NOTIFY_SOCKET`, see sd_notify(3). Each process "+
					"has a socket of its own, which only its user and root may write to. See "+
					"[Notifications](notify.md). `STATUS`, `STOPPING`, `RELOADING` and "+
					"`EXTEND_TIMEOUT_USEC` are supported; the last one never exceeds the "+
					"deadline of a stop. `MAINPID` names the descendant that becomes the main "+
					"process when the present one ends. `FDSTORE` is ignored."),
			field("watchdog", func(v *childValues) *time.Duration { return &v.ready.Watchdog },
				duration(time.Millisecond), `"10s"`,
				"The longest time between two `WATCHDOG=1` messages of an instance that is "+
					"ready. After it the instance has failed and is stopped. It requires "+
					"`notify`. The child reads the value from `WATCHDOG_USEC`; `WATCHDOG_PID` is "+
					"its pid. The child can change the value with a `WATCHDOG_USEC=` message: "+
					"1ms to 24h, or 0 to disable the watchdog. Without the attribute there is no "+
					"watchdog unless the child sends such a message."),
			field("timeout", func(v *childValues) *time.Duration { return &v.ready.Timeout },
				duration(time.Millisecond), `"30s"`,
				"The time from the start after which an instance that is not ready has failed."),
		},
		oneOf: []string{"tcp", "http", "exec", "log", "notify"},
	}
})

var restartSchema = sync.OnceValue(func() block[childValues] {
	return block[childValues]{
		name: "restart",
		doc:  "When an instance that has ended is restarted, and how a reload replaces instances.",
		attributes: []attribute[childValues]{
			field("on", func(v *childValues) *string { return &v.policy.Restart.On },
				oneOf("never", "failure", "always"), `"always"`,
				"Which ends cause a restart."),
			field("attempts", func(v *childValues) *int { return &v.policy.Restart.Attempts },
				integer(0, maxAttempts), "5",
				"The restarts within `interval` after which the child has failed. 0 disables "+
					"restarts."),
			field("interval",
				func(v *childValues) *time.Duration { return &v.policy.Restart.Interval },
				duration(time.Millisecond), `"1m"`,
				"The time in which `attempts` are counted."),
			field("delay", func(v *childValues) *time.Duration { return &v.policy.Restart.Delay },
				duration(0), `"200ms"`,
				"The delay of the first restart. It doubles with each restart, with jitter. 0s "+
					"disables the delay."),
			field("max_delay",
				func(v *childValues) *time.Duration { return &v.policy.Restart.MaxDelay },
				duration(0), `"30s"`,
				"The longest delay of a restart."),
			field("strategy", func(v *childValues) *config.Strategy { return &v.strategy },
				oneOf(config.StopFirst, config.Overlap), `"overlap"`,
				"How a reload replaces a ready process whose configuration has changed. "+
					"`stop-first` stops the old process, then starts the new one. `overlap` "+
					"starts the new process and stops the old one when the new one has been "+
					"ready for `min_ready`. Both run until then, so they must share their "+
					"address, for example through a `listen` block."),
			field("max_parallel", func(v *childValues) *int { return &v.policy.MaxParallel },
				positiveKind(), "2",
				"The number of instances that a rolling update replaces at a time. It replaces "+
					"the next ones when these have been ready for `min_ready`. If one fails "+
					"before, the other instances stay unchanged. If a dependency of the child is "+
					"replaced too, the whole child stops."),
			field("min_ready", func(v *childValues) *time.Duration { return &v.policy.MinReady },
				duration(0), `"10s"`,
				"How long a new process must be ready before a reload counts its instance as "+
					"updated. An end, a failed check or a missed `ready.timeout` before that "+
					"halts the update, or rolls it back. With `overlap` the old process runs "+
					"until then. The default is 2s with a `ready` block, else 0s. Not for a "+
					"oneshot: it is updated when it completes."),
		},
	}
})
