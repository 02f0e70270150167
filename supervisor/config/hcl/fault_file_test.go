package hclconfig

// faultsOfFiles are the faults of a whole file.
var faultsOfFiles = []faultCase{
	{"empty file", "", []string{"1:1 No child: The file must have at least one child block"}},
	{"only globals", `log_level = "debug"`, []string{"1:1 No child"}},
	{"no child and an invalid global", `log_level = 1`,
		[]string{"1:1 No child", "1:13 Invalid value for log_level"}},
	{"syntax error", "child \"a\" {\n  command = \n}\n", []string{"2:13 Invalid expression"}},
	{"NUL byte", "log_level = \"\x00\"",
		[]string{`1:14 Not a text file: The file contains a NUL byte, so it is not a text file.`}},
	{"not UTF-8", "#\n é \xff", []string{"2:4 Not a text file: The file must be UTF-8"}},
	{"many faults at once",
		"log_level = 1\nshutdown {\n deadline = \"x\"\n stict = true\n}\nchild \"a\" {\n" +
			" command = \"nowhere\"\n kill_signal = 9\n kill_timeout = \"1h\"\n" +
			" depends_on = [\"b\"]\n}\nchild \"a\" {}", []string{
			"1:13 Invalid value for log_level", "3:13 Invalid value for shutdown.deadline",
			"4:2 Unsupported argument", "7:12 Command not found",
			"8:16 Invalid value for kill_signal", "10:16 Unknown child", "12:7 Duplicate child",
			"12:11 Missing required argument"}},
}

// faultsOfNames are the faults of unknown attributes, blocks, functions and variables.
var faultsOfNames = []faultCase{
	{"unknown attribute", "child \"a\" {\n  comand = \"server\"\n}", []string{
		`2:3 Unsupported argument: An argument named "comand" is not expected here. Did you ` +
			`mean "command"?`}},
	{"name of another program", "child \"a\" {\n  exec = \"server\"\n}", []string{
		`2:3 Unsupported argument: An argument named "exec" is not expected here. Use `}},
	{"unknown attribute and no command", "child \"a\" {\n  hum = 1\n}", []string{
		`1:11 Missing required argument: The argument "command" is required`,
		`2:3 Unsupported argument: An argument named "hum" is not expected here.`}},
	inChild("descendants left and signalled", `descendants = "leave"`,
		"3:15 Descendants are left and signalled: `descendants = \"leave\"` keeps descendants"),
	inBlock("unknown block in a child", "redy", "",
		`3:1 Unsupported block type: Blocks of type "redy" are not expected here. Did you `+
			`mean "ready"?`),
	{"unknown block at file level", `volume "x" {}`,
		[]string{`1:1 Unsupported block type: Blocks of type "volume"`}},
	inChild("unknown function", `args = [evn("X")]`,
		`3:9 Call to unknown function: There is no function named "evn". Did you mean "env"?`),
	inChild("unknown variable", `args = [indx]`,
		`3:9 Unknown variable: There is no variable named "indx". Did you mean "index"?`),
	inChild("string without quotes", `on_success = ignore`,
		`3:14 Unknown variable: There is no variable named "ignore". A string needs quotes`),
	inChild("number without a number", `count = l`,
		"3:9 Unknown variable: There is no variable named \"l\". `count` must be a number."),
	inChild("bool without a bool", `oneshot = yes`,
		"3:11 Unknown variable: There is no variable named \"yes\". `oneshot` must be a bool."),
	inChild("object without braces", `env = x`,
		"3:7 Unknown variable: There is no variable named \"x\". `env` must be an object of "+
			"strings."),
	inChild("variable in an expression for a number", `count = 1 + l`,
		`3:13 Unknown variable: There is no variable named "l".`),
	inChild("env of an unset variable", `args = [env("NOPE")]`,
		`3:14 Invalid function argument: Invalid value for "name" parameter: the environment `+
			`has no variable "NOPE"`),
	inChild("env with three arguments", `args = [env("NOPE", "a", "b")]`,
		`3:27 Invalid function argument: Invalid value for "default" parameter: env `+
			`takes a name`),
}

// faultsOfDuplicates are the faults of labels and of what is given twice.
var faultsOfDuplicates = []faultCase{
	{"missing label", "child {\ncommand = \"server\"\n}", []string{"1:7 Missing name for child"}},
	{"too many labels", "child \"a\" \"b\" {\ncommand = \"server\"\n}",
		[]string{"1:11 Extraneous label for child"}},
	inChild("duplicate attribute", `command = "client"`, "3:1 Attribute redefined"),
	inChild("duplicate block", "logs {}\nlogs {}",
		"4:1 Duplicate block: The logs block is already in line 3"),
	inChild("duplicate key", `env = { A = 1, "A" = 2 }`,
		`3:16 Duplicate key: The object already has the key "A" in line 3.`),
	{"duplicate shutdown block", "shutdown {}\nshutdown {}\nchild \"a\" { command = \"server\" }",
		[]string{"2:1 Duplicate block: The shutdown block"}},
}

// faultsOfTypes are the faults of values that have the wrong type or cannot be passed to a program.
var faultsOfTypes = []faultCase{
	inChild("null for a list", `args = null`,
		"3:8 Incorrect attribute value type: `args` must be a list of strings, such as [\"a\", "+
			"\"b\"], not null."),
	inChild("null in a list", `args = ["a", null]`,
		"3:14 Incorrect attribute value type: An element of `args` must be a string, not null."),
	inChild("list for a string", `cwd = ["/"]`,
		"3:7 Incorrect attribute value type: `cwd` must be a string, not a list."),
	inChild("string for a list", `args = "-v"`,
		"3:8 Incorrect attribute value type: `args` must be a list of strings, such as [\"a\", "+
			"\"b\"],"),
	inChild("list in a list", `args = [["a"]]`,
		"3:9 Incorrect attribute value type: An element of `args` must be a string, not a list."),
	inChild("string for an object", `env = "A=1"`,
		"3:7 Incorrect attribute value type: `env` must be an object, such as { NAME = \"value\" "+
			"},"),
	inChild("null in env", `env = { B = 1, A = null }`,
		"3:16 Incorrect attribute value type: `env.A` must be a string, not null."),
	inChild("empty variable name", `env = { "" = 1 }`,
		"3:9 Invalid value for env: The name of a variable must not be empty."),
	inChild("equals sign in a variable name", `env = { "A=B" = 1 }`,
		`3:9 Invalid value for env: The name of a variable must not contain "=" or a NUL byte.`),
	inChild("NUL in a variable", `env = { A = "\u0000" }`,
		`3:9 Invalid value for env: The string must not contain a NUL byte.`),
	inChild("NUL in an argument", `args = ["\u0000"]`,
		`3:9 Invalid value for args: The string must not contain a NUL byte.`),
}

// faultsOfEnums are the faults of values that are not permitted.
var faultsOfEnums = []faultCase{
	{"invalid log_level", "log_level = \"inof\"\nchild \"a\" { command = \"server\" }",
		[]string{
			`1:13 Invalid value for log_level: "inof" is not one of "trace", "debug", "info", ` +
				`"warn" and "error". Did you mean "info"?`}},
	inBlock("invalid restart.on", "restart", `on = "allways"`,
		`4:6 Invalid value for restart.on: "allways" is not one of "never", "failure" and `+
			`"always". Did you mean "always"?`),
	{"string for a bool", "shutdown {\nstrict = \"yes\"\n}\nchild \"a\" { command = \"server\" }",
		[]string{"2:10 Incorrect attribute value type: `shutdown.strict` must be a bool (true or " +
			"false), not a string."}},
	{"index at file level", "log_level = index\nchild \"a\" { command = \"server\" }",
		[]string{"1:13 Invalid use of index"}},
}

// faultsOfDurations are the faults of durations.
var faultsOfDurations = []faultCase{
	inChild("path as a bool", `cwd = true`,
		"3:7 Incorrect attribute value type: `cwd` must be a string, not a bool. A string needs "+
			`quotes: "true".`),
	inChild("path as a number", `env_file = [5]`,
		"3:13 Incorrect attribute value type: An element of `env_file` must be a string, not a "+
			`number. A string needs quotes: "5".`),
	inChild("command in a list as a bool", `ready { exec = [true, 5, true] }`,
		"3:17 Incorrect attribute value type: An element of `ready.exec` must be a string, "+
			`not a bool. A string needs quotes: "true".`),
	inChild("hook as a number", `hooks { post_stop = [5] }`,
		"3:22 Incorrect attribute value type: An element of `hooks.post_stop` must be a string, "+
			`not a number. A string needs quotes: "5".`),
	inChild("account as a bool", `user = true`,
		"3:8 Incorrect attribute value type: `user` must be a string, not a bool. A string needs "+
			`quotes: "true".`),
	inChild("mask as a bool", `umask = true`,
		"3:9 Incorrect attribute value type: `umask` must be a string, not a bool."),
	inChild("child as a bool", `depends_on = [true]`,
		"3:15 Incorrect attribute value type: An element of `depends_on` must be a string, not a "+
			`bool. A string needs quotes: "true".`),
	inChild("duration as a number", `kill_timeout = 5`,
		`3:16 Invalid value for kill_timeout: The duration has no unit.`),
	inChild("duration as a bool", `watch_fds = true`,
		"3:13 Incorrect attribute value type: `watch_fds` must be a string with a duration, "+
			`such as "5s" or "1m30s", not a bool.`),
	inChild("signal as a bool", `kill_signal = false`,
		"3:15 Incorrect attribute value type: `kill_signal` must be the name of a signal, such "+
			`as "SIGTERM", not a bool.`),
	inChild("duration without a unit", `kill_timeout = "1.5"`,
		`3:16 Invalid value for kill_timeout: The duration has no unit.`),
	inChild("invalid duration", `kill_timeout = "5 sec"`,
		`3:16 Invalid value for kill_timeout: "5 sec" is not a duration`),
	inChild("duration without a number", `kill_timeout = "Inf"`,
		`3:16 Invalid value for kill_timeout: "Inf" is not a duration`),
	inChild("negative duration", `kill_timeout = "-5s"`,
		`3:16 Invalid value for kill_timeout: The duration must not be negative.`),
	inChild("duration 0", `kill_timeout = "0s"`,
		`3:16 Invalid value for kill_timeout: The duration must be at least 1ms.`),
	inChild("duration too short", `kill_timeout = "1us"`,
		`3:16 Invalid value for kill_timeout: The duration must be at least 1ms.`),
	inChild("duration too long", `kill_timeout = "25h"`,
		`3:16 Invalid value for kill_timeout: The duration must be at most 24h0m0s.`),
	inChild("duration beyond int64", `kill_timeout = "99999999999h"`,
		"3:16 Invalid value for kill_timeout:"),
	{"deadline too short",
		"shutdown {\ndeadline = \"5ms\"\n}\nchild \"a\" { command = \"server\" }",
		[]string{`2:12 Invalid value for shutdown.deadline: The duration must be at least 10ms.`}},
}
