package hclconfig

import (
	"fmt"
	"strings"
)

// faultsOfSignals are the faults of signals.
var faultsOfSignals = []faultCase{
	inChild("unknown signal", `kill_signal = "SIGTREM"`,
		`3:15 Invalid value for kill_signal: "SIGTREM" is not a signal. Did you mean "SIGTERM"?`),
	inChild("signal as a number", `kill_signal = 15`,
		`3:15 Invalid value for kill_signal: The name of the signal is required, not its number.`),
	inChild("signal that stops", `kill_signal = "SIGSTOP"`,
		"3:15 Invalid value for kill_signal: SIGSTOP does not end a process."),
	inChild("signal that continues", `kill_signal = "cont"`,
		"3:15 Invalid value for kill_signal: SIGCONT does not end a process."),
	inChild("real-time signal too high", `kill_signal = "SIGRTMIN+31"`,
		`3:15 Invalid value for kill_signal: "SIGRTMIN+31" is not a signal.`),
	inChild("real-time signal with two signs", `kill_signal = "SIGRTMAX+-1"`,
		`3:15 Invalid value for kill_signal: "SIGRTMAX+-1" is not a signal.`),
	inChild("empty signal", `kill_signal = ""`,
		`3:15 Invalid value for kill_signal: "" is not a signal.`),
}

// faultsOfStops are the faults of the stop sequence and of what counts as success.
var faultsOfStops = []faultCase{
	inChild("kill_sequence as a string", `kill_sequence = "SIGTERM"`,
		"3:17 Incorrect attribute value type: `kill_sequence` must be a list of "+
			`objects, such as`),
	inChild("empty kill_sequence", `kill_sequence = []`,
		`3:17 Invalid value for kill_sequence: The list must not be empty.`),
	inChild("kill_sequence of strings", `kill_sequence = ["SIGTERM"]`,
		"3:18 Incorrect attribute value type: An element of `kill_sequence` must be an object "+
			"with"),
	inChild("step without a wait", `kill_sequence = [{ signal = "SIGTERM" }]`,
		`3:18 Invalid value for kill_sequence: The object has no "wait", which is required.`),
	inChild("step with an unknown key", `kill_sequence = [{ signal = "SIGTERM", wiat = "1s" }]`,
		`3:18 Invalid value for kill_sequence: "wiat" is not one of "signal" and `+
			`"wait". Did you mean "wait"?`),
	inChild("invalid second step",
		`kill_sequence = [{ signal = "SIGTERM", wait = "1s" }, { signal = "SIGQUITT", wait = `+
			`"1s" }]`,
		`3:55 Invalid value for kill_sequence: "SIGQUITT" is not a signal. Did you mean `+
			`"SIGQUIT"?`),
	inChild("step without a unit", `kill_sequence = [{ signal = "SIGTERM", wait = 1 }]`,
		`3:18 Invalid value for kill_sequence: The duration has no unit.`),
	inChild("step with SIGKILL", `kill_sequence = [{ signal = "SIGKILL", wait = "1s" }]`,
		`3:18 Invalid value for kill_sequence: SIGKILL always follows the last step. Remove this `+
			`step.`),
	inChild("kill_sequence longer than the deadline",
		`kill_sequence = [{ signal = "SIGTERM", wait = "5s" }, { signal = "SIGINT", wait = "4s" }]`,
		`3:17 Timeouts exceed the deadline: These children stop one after the other: a 9s (line `+
			`3).`),
	inChild("kill_sequence with kill_timeout",
		"kill_sequence = [{ signal = \"SIGTERM\", wait = \"1s\" }]\nkill_timeout = \"1s\"\n"+
			"kill_signal = \"INT\"\ndiagnose_signal = \"QUIT\"",
		"4:16 Two stop sequences: `kill_sequence` in line 3 already has all signals and their "+
			"times.", "5:15 Two stop sequences: `kill_sequence` in line 3 already has all "+
			"signals and their times.",
		"6:19 Two stop sequences: `kill_sequence` in line 3 already has all signals and their "+
			"times."),
	inChild("invalid kill_scope", `kill_scope = "all"`,
		`3:14 Invalid value for kill_scope: "all" is not one of "process", "group" and "tree".`),
	inChild("success code too large", `success_codes = [0, 256]`,
		`3:21 Invalid value for success_codes: The number must be at most 255.`),
	inChild("number for success_codes", `success_codes = 0`,
		"3:17 Incorrect attribute value type: `success_codes` must be a list of numbers, such as"),
	inChild("empty success_codes", `success_codes = []`,
		"3:17 Invalid value for success_codes: The list must not be empty"),
}

// faultsOfAttributes are the faults of the user, the limits and the environment.
var faultsOfAttributes = []faultCase{
	inChild("unknown user", `user = "nobdy"`,
		`3:8 Invalid value for user: /etc/passwd has no user "nobdy".`),
	inChild("uid 4294967295", `user = "4294967295"`,
		`3:8 Invalid value for user: /etc/passwd has no user "4294967295". A number needs no `+
			`entry.`),
	inChild("uid too large", `user = 4294967296`,
		`3:8 Invalid value for user: /etc/passwd has no user "4294967296". A number needs no `+
			`entry.`),
	inChild("negative uid", `user = -1`,
		`3:8 Invalid value for user: /etc/passwd has no user "-1". A number needs no entry.`),
	inChild("empty user", `user = ""`, `3:8 Invalid value for user: The string must not be empty.`),
	inChild("unknown group", "user = \"nobody\"\ngroup = \"dameon\"",
		`4:9 Invalid value for group: /etc/group has no group "dameon".`),
	inChild("invalid umask", `umask = "9999"`,
		`3:9 Invalid value for umask: "9999" is not a umask. A umask is octal, from "0000" to `+
			`"0777".`),
	inChild("umask too large", `umask = "7777"`,
		`3:9 Invalid value for umask: "7777" is not a umask`),
	inChild("umask as a number", `umask = 022`,
		"3:9 Incorrect attribute value type: `umask` must be a string, not a number."),
	inChild("nice too high", `nice = 50`,
		`3:8 Invalid value for nice: The number must be at most 19.`),
	inChild("nice too low", `nice = -21`,
		`3:8 Invalid value for nice: The number must be at least -20.`),
	inChild("nice with a fraction", `nice = 0.5`,
		`3:8 Invalid value for nice: The number must be an integer.`),
	inChild("oom_score_adj too low", `oom_score_adj = -1001`,
		`3:17 Invalid value for oom_score_adj: The number must be at least -1000.`),
	inChild("string for no_new_privs", `no_new_privs = "yes"`,
		"3:16 Incorrect attribute value type: `no_new_privs` must be a bool (true or false), not "+
			"a string."),
	inBlock("unknown limit", "rlimits", `nofiles = 1`,
		`4:1 Unsupported argument: An argument named "nofiles" is not expected here. Did you `+
			`mean "nofile"?`),
	inBlock("negative limit", "rlimits", `nofile = -1`,
		`4:10 Invalid value for rlimits.nofile: The number must not be negative.`),
	inBlock("limit as a word", "rlimits", `nofile = "infinity"`,
		"4:10 Incorrect attribute value type: `rlimits.nofile` must be a number or "+
			"\"unlimited\", not a string."),
	inBlock("limit too large", "rlimits", `nofile = 1e30`,
		`4:10 Invalid value for rlimits.nofile: The number is too large. Write "unlimited" for `+
			`no limit.`),
	inBlock("limit with a fraction", "rlimits", `nofile = 1.5`,
		`4:10 Invalid value for rlimits.nofile: The number must be an integer.`),
	inBlock("soft limit above the hard limit", "rlimits", `nofile = { soft = 2, hard = 1 }`,
		`4:10 Invalid value for rlimits.nofile: The soft limit must not be above the hard limit.`),
	inBlock("unlimited soft limit above the hard limit", "rlimits",
		`nofile = { soft = "unlimited", hard = 1 }`,
		`4:10 Invalid value for rlimits.nofile: The soft limit must not be above the hard limit.`),
	inBlock("soft limit without a hard limit", "rlimits", `nofile = { soft = 2 }`,
		`4:10 Invalid value for rlimits.nofile: The object has no "hard", which is required.`),
	inChild("env_file does not exist", `env_file = "/not/there"`,
		"3:12 Invalid value for env_file: The file cannot be read: open /not/there: no such "+
			"file or directory."),
	inChild("env_file is a device", `env_file = "/dev/zero"`,
		"3:12 Invalid value for env_file: The file cannot be read: /dev/zero is not a "+
			"regular file."),
	inChild("env_file too large", `env_file = env("LARGE")`,
		"3:12 Invalid value for env_file: The file cannot be read: DIR/large is larger than "+
			"256 KiB."),
	inChild("env_file with invalid lines", `env_file = ["/dev/../DIR/faults"]`,
		`3:12 Invalid value for env_file: "/dev/../DIR/faults", line 2: the name contains a blank.`,
		`3:12 Invalid value for env_file: "/dev/../DIR/faults", line 4: the line has no name `+
			`before the "=".`,
		`3:12 Invalid value for env_file: "/dev/../DIR/faults", line 5: the file is not a shell `+
			`script.`,
		`3:12 Invalid value for env_file: "/dev/../DIR/faults", line 6: the line must be UTF-8`),
	inChild("empty env_file list", `env_file = []`,
		"3:12 Invalid value for env_file: The list must not be empty"),
}

// faultsOfCounts are the faults of count.
var faultsOfCounts = []faultCase{
	inChild("negative count", `count = -1`,
		`3:9 Invalid value for count: The number must be at least 0.`),
	inChild("count with a fraction", `count = 1.5`,
		`3:9 Invalid value for count: The number must be an integer.`),
	inChild("count too large", `count = 10001`,
		`3:9 Invalid value for count: The number must be at most 10000.`),
	inChild("count far too large", `count = 1e1000`,
		`3:9 Invalid value for count: The number must be at most 10000.`),
	inChild("index in count", `count = index`,
		"3:9 Invalid use of index: `index` differs between instances, but `count` has one value"),
	{"too many instances in the file", manyChildren(7, "count = 10000"),
		[]string{`27:9 Too many instances: The configuration must have at most 65536 instances.`}},
}

// faultsOfChildNames are the faults of the names of children and instances.
var faultsOfChildNames = []faultCase{
	{"empty child name", "child \"\" {\ncommand = \"server\"\n}",
		[]string{`1:7 Invalid name: The name of a child must have only letters, digits, dots, ` +
			`underscores`}},
	{"child name with a slash", "child \"a/b\" {\ncommand = \"server\"\n}",
		[]string{"1:7 Invalid name"}},
	{"child name with a dash first", "child \"-a\" {\ncommand = \"server\"\n}",
		[]string{"1:7 Invalid name"}},
	{"child name too long",
		fmt.Sprintf("child %q {\ncommand = \"server\"\n}", strings.Repeat("a", 65)),
		[]string{`1:7 Invalid name: The name of a child must have at most 64 characters.`}},
	{"instance name too long",
		fmt.Sprintf("child %q {\ncommand = \"server\"\ncount = 10\n}", strings.Repeat("a", 63)),
		[]string{`1:1 Invalid name: The name with the index must have at most 64 characters.`}},
	{"duplicate child",
		"child \"a\" { command = \"server\" }\nchild \"a\" { command = \"server\" }",
		[]string{`2:7 Duplicate child: The child "a" is already defined in line 1.`}},
	{"duplicate instance",
		"child \"a1\" { command = \"server\" }\nchild \"a\" {\ncommand = \"server\"\ncount = 2\n}",
		[]string{
			`2:1 Duplicate instance: An instance of this child has the name "a1", but ` +
				`an instance of`}},
}

// faultsOfDependencies are the faults of dependencies and roles.
var faultsOfDependencies = []faultCase{
	inChild("dependency on an unknown child", `depends_on = ["b"]`,
		`3:15 Unknown child: The configuration has no child "b".`),
	inChild("dependency with a typo",
		"depends_on = [\"sevrer\"]\n}\nchild \"server\" {\ncommand = \"server\"",
		`3:15 Unknown child: The configuration has no child "sevrer". Did you mean "server"?`),
	inChild("dependency on an instance",
		"depends_on = [\"b2\"]\n}\nchild \"b\" {\ncount = 2\ncommand = \"server\"",
		`3:15 Unknown child: The configuration has no child "b2".`),
	inChild("dependency on itself", `depends_on = ["a"]`,
		"3:15 Invalid dependency: The child depends on itself."),
	inChild("index in depends_on", `depends_on = [index]`, "3:14 Invalid use of index"),
	inChild("number for depends_on", `depends_on = 3`,
		"3:14 Incorrect attribute value type: `depends_on` must be a list, such as [\"db\", { "+
			"child"),
	inChild("invalid until", `depends_on = [{ child = "a", until = "redy" }]`,
		`3:15 Invalid value for depends_on: "redy" is not one of "started", "ready" and `+
			`"completed". Did you mean "ready"?`),
	inChild("dependency without a child", `depends_on = [{ until = "ready" }]`,
		`3:15 Invalid value for depends_on: The object has no child.`),
	inChild("dependency with an unknown key", `depends_on = [{ child = "a", utnil = "ready" }]`,
		`3:15 Invalid value for depends_on: "utnil" is not one of "child" and "until". `+
			`Did you mean "until"?`),
	inChild("duplicate dependency",
		"depends_on = [\"b\", { child = \"b\", until = \"ready\" }, { child = \"b\", until = "+
			"\"started\" }]\n}\nchild \"b\" {\ncommand = \"server\"",
		`3:54 Invalid dependency: The child already depends on "b" with until = "ready".`),
	inChild("dependency on completion of a child that is always restarted",
		"depends_on = [{ child = \"b\", until = \"completed\" }]\n}\nchild \"b\" {\n"+
			"command = \"server\"\nrestart {\non = \"always\"\n}",
		`3:15 Invalid dependency: The child "b" never completes, because it has restart { on = `+
			`"always" }.`),
	inChild("oneshot with restart always", "oneshot = true\nrestart {\non = \"always\"\n}",
		"5:6 Oneshot with restart always: A oneshot completes with its first success, but `on = "+
			"\"always\"` restarts it."),
	inChild("index in oneshot", "oneshot = index > 1", "3:11 Invalid use of index"),
	inChild("SIGKILL as reload_signal", `reload_signal = "kill"`,
		`3:17 Invalid value for reload_signal: A process cannot handle SIGKILL.`),
	inChild("short watch_fds", `watch_fds = "10ms"`, `3:13 Invalid value for watch_fds: `),
	inChild("unknown reload_signal", `reload_signal = "SIGHPU"`,
		`3:17 Invalid value for reload_signal: "SIGHPU" is not a signal. Did you mean "SIGHUP"?`),
	inChild("sidecar and child exceed the deadline",
		"kill_timeout = \"5s\"\n}\nchild \"s\" {\ncommand = \"server\"\nsidecar = true\n"+
			"kill_timeout = \"6s\"",
		`8:16 Timeouts exceed the deadline: These children stop one after the other: a `+
			`5s (line 3) → s 6s (line 8).`),
	inChild("dependency cycles",
		"depends_on = [\"b\"]\n}\nchild \"b\" {\ncommand = \"server\"\n"+
			"depends_on = [\"c\"]\n}\nchild \"c\" {\ncommand = \"server\"\n"+
			"depends_on = [\"b\", \"a\"]",
		`11:15 Cycle of dependencies: These children depend on each other: b → c → b.`,
		`11:20 Cycle of dependencies: These children depend on each other: a → b → c → a.`),
}

// faultsOfCommands are the faults of commands and working directories.
var faultsOfCommands = []faultCase{
	{"command not found", "child \"a\" {\ncommand = \"sevrer\"\n}",
		[]string{`2:11 Command not found: No program "sevrer" is in PATH (DIR/bin). Did you mean ` +
			`"server"?`}},
	{"command is not executable", "child \"a\" {\ncommand = \"data\"\n}",
		[]string{
			`2:11 Command not found: No executable "data" is in PATH: "DIR/bin/data" is ` +
				`not executable.`}},
	{"path is not executable", "child \"a\" {\ncommand = env(\"DATA\")\n}",
		[]string{`2:11 Command not found: "DIR/bin/data" is not executable.`}},
	{"path does not exist", "child \"a\" {\ncommand = \"./bin/x\"\n}",
		[]string{"2:11 Command not found:"}},
	{"command is a directory", "child \"a\" {\ncommand = env(\"SUB\")\n}",
		[]string{`2:11 Command not found: "DIR/bin/sub" is a directory.`}},
	{"command is a device", "child \"a\" {\ncommand = \"/dev/null\"\n}",
		[]string{`2:11 Command not found: "/dev/null" is not a regular file.`}},
	{"empty command", "child \"a\" {\ncommand = \"\"\n}",
		[]string{`2:11 Invalid value for command: The string must not be empty.`}},
	{"command not in the PATH of the child",
		"child \"a\" {\ncommand = \"server\"\nenv = { PATH = \"/nowhere\" }\n}",
		[]string{`2:11 Command not found: No program "server" is in PATH (/nowhere).`}},
	inChild("cwd does not exist", `cwd = "/not/there"`,
		`3:7 Invalid value for cwd: The directory "/not/there" does not exist.`),
	inChild("cwd is a file", `cwd = env("DATA")`,
		`3:7 Invalid value for cwd: "DIR/bin/data" is not a directory.`),
}

// faultsOfSockets are the faults of listen blocks.
var faultsOfSockets = []faultCase{
	inBlock("socket without an address", `listen "x"`, "",
		`3:1 Missing required argument: A listen block requires tcp = "host:port" or unix = `+
			`"path"`),
	inBlock("socket with two addresses", `listen "x"`, `tcp = ":1"`+"\n"+`unix = "/x"`,
		`5:8 Conflicting arguments: Only one of `+"`tcp` and `unix`"+``),
	inBlock("TCP socket with a mode", `listen "x"`, `tcp = ":1"`+"\n"+`mode = "0600"`,
		`5:8 Mode of a TCP socket`),
	inBlock("TCP socket with an owner", `listen "x"`, `tcp = ":1"`+"\n"+`group = "root"`,
		`5:9 Owner of a TCP socket`),
	inBlock("socket of an unknown user", `listen "x"`, `unix = "/x"`+"\n"+`user = "rot"`,
		`5:8 Invalid value for listen.user: /etc/passwd has no user "rot". Did you mean "root"?`),
	inBlock("socket of an unknown group", `listen "x"`, `unix = "/x"`+"\n"+`group = "rooot"`,
		`5:9 Invalid value for listen.group: /etc/group has no group "rooot". Did you mean `+
			`"root"?`),
	inBlock("invalid socket name", `listen "X:y"`, `tcp = ":1"`,
		`3:8 Invalid name: The name of a socket must have only lowercase`),
	inChild("two sockets with one name",
		`listen "x" { tcp = ":1" }`+"\n"+`listen "x" { tcp = ":2" }`,
		`4:8 Duplicate socket: The child already has a socket "x"`),
	inChild("two sockets on one port",
		`listen "x" { tcp = ":1" }`+"\n"+`listen "y" { tcp = "[::]:1" }`,
		`4:1 Duplicate address: The socket in line 3 already listens on "[::]:1"`),
	{"two children with one socket path",
		"child \"a\" {\ncommand = \"server\"\nlisten \"x\" { unix = \"/x/y\" }\n}\n" +
			"child \"b\" {\ncommand = \"server\"\nlisten \"x\" { unix = \"/x/../x/y\" }\n}\n",
		[]string{`7:1 Duplicate address: The socket in line 3 already listens on "/x/y"`}},
	inBlock("port 0", `listen "x"`, `tcp = "127.0.0.1:0"`,
		`4:7 Invalid value for listen.tcp: The port must be a number from 1 to 65535`),
	inBlock("listen on a host name", `listen "x"`, `tcp = "example.org:80"`,
		`4:7 Invalid value for listen.tcp: The host must be an IP address of this `+
			`machine, but`),
	inBlock("invalid socket mode", `listen "x"`, `unix = "/x"`+"\n"+`mode = "rw"`,
		`5:8 Invalid value for listen.mode: "rw" is not a mode. An example is "0600".`),
	inBlock("socket path too long", `listen "x"`, `unix = "/`+strings.Repeat("x", 107)+`"`,
		`4:8 Invalid value for listen.unix: The path of a unix socket must have at most 107 bytes`),
	inBlock("index in a socket", `listen "x"`, `tcp = ":${index}"`,
		"4:7 Invalid use of index: `index` differs between instances, but `listen.tcp` has one "+
			"value"),
	inBlock("unknown attribute of a socket", `listen "x"`, "tpc = 1",
		`4:1 Unsupported argument: An argument named "tpc" is not expected here. Did you `+
			`mean "tcp"?`),
	inChild("http probe of a listen address with overlap",
		`listen "x" { tcp = "0.0.0.0:80" }`+
			"\nready { http = \"http://127.0.0.1/\" }\nrestart { strategy = \"overlap\" }",
		`4:16 Probe of a listen block: All instances share the socket of this address because of `+
			`a`),
	inChild("http probe of a listen address with two instances",
		`listen "x" { tcp = "0.0.0.0:80" }`+
			"\nready { http = \"http://127.0.0.1:80/\" }\ncount = 2", `4:16 Probe of a listen `+
			`block: All instances share the socket of this address because of a`),
	inChild("oneshot with overlap", "oneshot = true\nrestart { strategy = \"overlap\" }",
		"4:22 Oneshot with overlap: A oneshot cannot be replaced with `strategy = \"overlap\"`."),
	inChild("oneshot with min_ready", "oneshot = true\nrestart { min_ready = \"1s\" }",
		"4:23 Oneshot with min_ready: A oneshot counts as updated when it completes. Remove "+
			"`min_ready`."),
	inChild("negative min_ready", "restart { min_ready = \"-1s\" }",
		`3:23 Invalid value for restart.min_ready: `),
	inChild("max_parallel 0", "restart { max_parallel = 0 }",
		`3:26 Invalid value for restart.max_parallel: The number must be at least 1.`),
	inChild("tcp probe of a listen address",
		`listen "x" { tcp = "0.0.0.0:80" }`+"\nready { tcp = \"127.0.0.1:80\" }",
		`4:15 Probe of a listen block: The supervisor itself listens on this address because of a`),
}

// faultsOfReady are the faults of ready blocks.
var faultsOfReady = []faultCase{
	inBlock("address without a port", "ready", `tcp = "localhost"`,
		`4:7 Invalid value for ready.tcp: "localhost" is not host:port.`),
	inBlock("port without a host", "ready", `tcp = 80`,
		`4:7 Invalid value for ready.tcp: The address has no host.`),
	inBlock("ready port 0", "ready", `tcp = ":0"`,
		"4:7 Invalid value for ready.tcp: The port must be a number from 1 to 65535"),
	inBlock("port 65536", "ready", `tcp = ":65536"`,
		"4:7 Invalid value for ready.tcp: The port must be a number"),
	inBlock("port as a name", "ready", `tcp = ":http"`,
		"4:7 Invalid value for ready.tcp: The port must be a number"),
	inBlock("invalid host", "ready", `tcp = "a b:80"`,
		`4:7 Invalid value for ready.tcp: "a b" is neither`),
	inBlock("three ready conditions", "ready", "tcp = \":1\"\nlog = \"up\"\nexec = [\"server\"]",
		`5:1 Conflicting arguments: Only one of "tcp", "http", "exec", "log" and "notify" can be `+
			"set, but `tcp` is already set in line 4.", "6:1 Conflicting arguments"),
	inBlock("invalid URL", "ready", `http = "localhost:80"`,
		`4:8 Invalid value for ready.http: "localhost:80" is not a URL`),
	inBlock("URL with a password", "ready", `http = "http://a:b@c/"`,
		`4:8 Invalid value for ready.http: The URL must not contain a user or a password.`),
	inBlock("URL with a bad port", "ready", `http = "http://c:70000/"`,
		"4:8 Invalid value for ready.http: The port must be"),
	inBlock("empty exec list", "ready", `exec = []`,
		`4:8 Invalid value for ready.exec: The list must not be empty. An example is `+
			`["pg_isready", "-q"].`),
	inBlock("exec command not found", "ready", `exec = ["nope"]`,
		`4:8 Command not found: No program "nope" is in PATH (DIR/bin).`),
	inBlock("invalid regular expression", "ready", `log = "up (now"`,
		`4:7 Invalid value for ready.log: The string is not a regular expression: missing closing`),
	inBlock("regular expression too slow", "ready", `log = "(?:a{100}){5}x"`,
		`4:7 Invalid value for ready.log: The expression takes too long to match: it `+
			`compiles to more than 500 instructions.`),
	inBlock("regular expression too large", "ready", `log = "a{1001}"`,
		`4:7 Invalid value for ready.log: The string is not a regular expression: `+
			`invalid repeat`),
	inChild("log condition with format inherit",
		"logs {\nformat = \"inherit\"\n}\nready {\nlog = \"up\"\n}", "7:7 No output to match: "+
			"`ready.log` requires that the supervisor reads the output."),
	inBlock("watchdog without notify", "ready", "tcp = \":1\"\nwatchdog = \"1s\"",
		"5:12 Watchdog without notify: `watchdog` requires `notify = true`."),
	inBlock("notify false", "ready", "notify = false",
		`4:10 Invalid value for ready.notify: Only true is allowed. For false, remove the line.`),
	inBlock("misspelled condition", "ready", `tpc = ":1"`,
		`4:1 Unsupported argument: An argument named "tpc"`),
	inBlock("misspelled timeout and no condition", "ready", `timeot = "1s"`,
		`3:7 Missing required argument`, `4:1 Unsupported argument`),
	inBlock("ready without a condition", "ready", `timeout = "1s"`,
		`3:7 Missing required argument: One of "tcp", "http", "exec"`),
}

// faultsOfChecks are the faults of check blocks.
var faultsOfChecks = []faultCase{
	inChild("duplicate check", "check \"x\" {\ntcp = \":1\"\n}\ncheck \"x\" {\n}",
		`6:7 Duplicate check: The check "x" is already defined in line 3.`),
	inChild("check without a probe", "check \"x\" {\nlimit = 0\n}",
		"3:11 Missing required argument",
		`4:9 Invalid value for check.x.limit: The number must be at least 1.`),
	inChild("check with log and notify",
		"check \"x\" {\ntcp = \":1\"\nlog = \"up\"\nnotify = true\n}",
		"5:7 Invalid value for check.x.log: A check has no `log`: a child prints a line once, "+
			"but a check repeats.",
		"6:10 Invalid value for check.x.notify: A check has no `notify`."),
	inChild("check with two probes", "check \"x\" {\ntcp = \":1\"\nhttp = \"http://a\"\n}",
		"5:1 Conflicting arguments"),
	inChild("check command not found", "check \"x\" {\nexec = [\"nope\"]\n}",
		`4:8 Command not found: No program "nope" is in PATH (DIR/bin).`),
	inChild("invalid check name", "check \"a b\" {\ntcp = \":1\"\n}",
		"3:7 Invalid name: The name of a check"),
}

// faultsOfLogs are the faults of logs blocks.
var faultsOfLogs = []faultCase{
	inBlock("log destination as a word", "logs", `stdout = "sdtout"`,
		`4:10 Invalid value for logs.stdout: "sdtout" is not one of "stdout", "stderr" `+
			`and "none".`),
	inBlock("log directory does not exist", "logs", `stderr = "/not/there/x"`,
		`4:10 Invalid value for logs.stderr: The directory "/not/there" does not exist.`),
	inBlock("log destination is a directory", "logs", `stderr = env("SUB")`,
		`4:10 Invalid value for logs.stderr: "DIR/bin/sub" is a directory.`),
	inBlock("file with format inherit", "logs", "format = \"inherit\"\nstdout = \"/dev/null\"",
		"5:10 Invalid value for logs.stdout: With `format = \"inherit\"` a child cannot write to "+
			"a file."),
}

// faultsOfRestart are the faults of restart blocks.
var faultsOfRestart = []faultCase{
	inBlock("delay above max_delay", "restart", "delay = \"2s\"\nmax_delay = \"1s\"",
		"4:9 Delays contradict each other: `max_delay` (1s) must not be less than "+
			"`delay` (2s)."),
	inBlock("max_delay below the default delay", "restart", "max_delay = \"1ms\"",
		"4:13 Delays contradict each other: `max_delay` (1ms) must not be less than `delay` "+
			"(200ms)."),
	inBlock("negative attempts", "restart", "attempts = -1",
		`4:12 Invalid value for restart.attempts: The number must be at least 0.`),
	inBlock("interval 0", "restart", `interval = "0s"`,
		`4:12 Invalid value for restart.interval: The duration must be at least 1ms.`),
}

// faultsOfHooks are the faults of stop and hooks blocks.
var faultsOfHooks = []faultCase{
	inBlock("stop hook as a string", "stop", `exec = "server"`,
		"4:8 Incorrect attribute value type: `stop.exec` must be a list of strings"),
	inBlock("empty stop hook", "stop", `exec = []`, `4:8 Invalid value for stop.exec: `),
	inBlock("stop block without a command", "stop", "",
		`3:6 Missing required argument`),
	inBlock("misspelled stop hook", "stop", `exce = ["server"]`,
		`4:1 Unsupported argument: An argument named "exce"`),
	inBlock("hook that does not exist", "hooks", `pre_start = ["not-there"]`,
		`4:13 Command not found: `),
	inBlock("hooks block without a hook", "hooks", `timeout = "1s"`, `3:7 `),
	inBlock("misspelled hook", "hooks", "pre_start = [\"server\"]\npoststop = [\"server\"]",
		`5:1 Unsupported argument: An argument named "poststop" is not expected here. `+
			`Did you mean "post_stop"?`),
	inBlock("timeout too short", "hooks", "pre_start = [\"server\"]\ntimeout = \"1ms\"",
		`5:11 Invalid value for hooks.timeout: The duration must be at least 10ms.`),
	inChild("hook outside its block", `post_stop = ["server"]`,
		"3:1 Unsupported argument: An argument named \"post_stop\" is not expected here. Use "+
			"`hooks { post_stop = [\"./cleanup\"] }`."),
}

// faultsOfDeadlines are the faults of timeouts that exceed the deadline.
var faultsOfDeadlines = []faultCase{
	inChild("fault at one index", "count = 3\nkill_timeout = \"${2 - index}s\"",
		`4:16 Invalid value for kill_timeout: The duration must be at least 1ms. The `+
			`value of index is 2.`),
	inChild("kill_timeout longer than the deadline", `kill_timeout = "9s"`,
		`3:16 Timeouts exceed the deadline: These children stop one after the other: a `+
			`9s (line 3).`),
	inChild("chain longer than the deadline",
		"depends_on = [\"b\"]\nkill_timeout = \"5s\"\n}\nchild \"b\" {\n"+
			"command = \"server\"\nkill_timeout = \"6s\"",
		`8:16 Timeouts exceed the deadline: These children stop one after the other: a `+
			`5s (line 4) → b 6s (line 8).`),
	inChild("no time left for a child",
		"depends_on = [\"b\"]\n}\nchild \"b\" {\ncommand = \"server\"\nkill_timeout = \"8.55s\"",
		"1:1 No time to stop: The timeouts in the chain of dependencies of this child take"),
	inChild("post_stop and kill_timeout longer than the deadline", "kill_timeout = \"5s\"\n"+
		"hooks {\n  timeout = \"4s\"\n  post_stop = [\"server\"]\n}",
		`3:16 Timeouts exceed the deadline: These children stop one after the other: a `+
			`9s (line 3). They take up to 9s, but the deadline of 9s leaves 8.55s`),
	inChild("post_stop longer than the deadline, and a short kill_timeout",
		"kill_timeout = \"1s\"\nhooks {\n  timeout = \"8s\"\n  post_stop = [\"server\"]\n}",
		`5:13 Timeouts exceed the deadline: These children stop one after the other: a `+
			`9s (line 5). They take up to 9s, but the deadline of 9s leaves 8.55s`),
	inChild("timeout of hooks with a fault",
		"hooks {\n  timeout = \"0s\"\n  post_stop = [\"server\"]\n}",
		`4:13 Invalid value for hooks.timeout: The duration must be at least 10ms.`),
	inChild("post_stop without a timeout, and another fault",
		"umask = 8\nhooks {\n  post_stop = [\"server\"]\n}",
		"3:9 Incorrect attribute value type: `umask` must be a string, not a number."),
	inChild("kill_timeout with a fault, post_stop longer than the deadline",
		"kill_timeout = \"0s\"\nhooks {\n  timeout = \"9s\"\n  post_stop = [\"server\"]\n}",
		`3:16 Invalid value for kill_timeout: The duration must be at least 1ms.`,
		`5:13 Timeouts exceed the deadline: These children stop one after the other: a `+
			`9s (line 5).`),
	inChild("kill_sequence with a fault",
		"kill_sequence = [{ signal = \"TERM\", wait = \"0s\" }, "+
			"{ signal = \"INT\", wait = \"9s\" }]",
		`3:18 Invalid value for kill_sequence: The duration must be at least 1ms.`),
	inChild("kill_timeout with a fault, and a dependency",
		"depends_on = [\"b\"]\nkill_timeout = \"0s\"\n}\nchild \"b\" {\n"+
			"command = \"server\"\nkill_timeout = \"8s\"",
		`4:16 Invalid value for kill_timeout: The duration must be at least 1ms.`),
	inChild("post_stop longer than the deadline",
		"hooks {\n  timeout = \"9s\"\n  post_stop = [\"server\"]\n}",
		`4:13 Timeouts exceed the deadline: These children stop one after the other: a `+
			`9s (line 4).`),
}
