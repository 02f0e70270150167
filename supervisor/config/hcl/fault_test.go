package hclconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// faultsOf returns the faults of a file, which must have some.
func faultsOf(t testing.TB, src string, opt Options) *Faults {
	t.Helper()
	c, err := Parse([]byte(src), "supervisor.hcl", opt)
	var faults *Faults
	if c != nil || !errors.As(err, &faults) {
		t.Fatalf("got %v, %v, want faults", c, err)
	}
	return faults
}

// brief is a fault in one line: where, what, and why.
func brief(f Fault) string {
	return fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Summary, f.Detail)
}

func TestFaults(t *testing.T) {
	dir, opt := machine(t)
	sub, data := filepath.Join(dir, "bin", "sub"), filepath.Join(dir, "bin", "data")
	opt.Environ = append(opt.Environ, "SUB="+sub, "DATA="+data)
	must(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxEnvFile+1), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "faults"), []byte("A=b\nsecret word=x\n# a = b\n=x\nexport A=b\nB=\xff\n"), 0o644))
	opt.Environ = append(opt.Environ, "LARGE="+filepath.Join(dir, "large"))
	type test struct {
		name, src string
		want      []string // the start of each fault
	}
	// of is a child with one line more, which is line 3 from column 1.
	of := func(name, line string, want ...string) test {
		return test{name, "child \"a\" {\ncommand = \"server\"\n" + line + "\n}\n", want}
	}
	in := func(name, block, line string, want ...string) test {
		return of(name, block+" {\n"+line+"\n}", want...)
	}
	tests := []test{
		{"empty", "", []string{"1:1 No child: There is nothing to run"}},
		{"only globals", `log_level = "debug"`, []string{"1:1 No child"}},
		{"no child and a bad global", `log_level = 1`, []string{"1:1 No child", "1:13 Invalid value for log_level"}},
		{"syntax", "child \"a\" {\n  command = \n}\n", []string{"2:13 Invalid expression"}},
		{"NUL", "log_level = \"\x00\"", []string{"1:14 Not a text file: There is a NUL byte"}},
		{"not UTF-8", "#\n é \xff", []string{"2:4 Not a text file: The file must be UTF-8"}},

		{"unknown attribute", "child \"a\" {\n  comand = \"server\"\n}", []string{
			`1:11 Missing required argument: The argument "command" is required`,
			`2:3 Unsupported argument: An argument named "comand" is not expected here. Did you mean "command"?`}},
		of("descendants", `descendants = "leave"`, `3:15 Descendants are left and signalled: descendants = "leave" lets them run on, and kill_scope = "group" sends them`),
		in("unknown block", "redy", "", `3:1 Unsupported block type: Blocks of type "redy" are not expected here. Did you mean "ready"?`),
		{"of a later day", `volume "x" {}`, []string{`1:1 Unsupported block type: Blocks of type "volume"`}},
		in("socket without an address", `listen "x"`, "", `3:1 No address: A socket needs tcp = "host:port" or unix = "path"`),
		in("socket with two", `listen "x"`, `tcp = ":1"`+"\n"+`unix = "/x"`, `5:8 Two addresses`),
		in("socket of TCP with a mode", `listen "x"`, `tcp = ":1"`+"\n"+`mode = "0600"`, `5:8 No file to give a mode`),
		in("name of a socket", `listen "X:y"`, `tcp = ":1"`, `3:8 Invalid name: The name of a socket has small letters`),
		of("two sockets of one name", `listen "x" { tcp = ":1" }`+"\n"+`listen "x" { tcp = ":2" }`, `4:8 Duplicate socket: The child has a socket "x" already`),
		of("two on one port", `listen "x" { tcp = ":1" }`+"\n"+`listen "y" { tcp = "[::]:1" }`, `4:1 Duplicate address: The socket in line 3 listens on "[::]:1" already`),
		{"two children on one path", "child \"a\" {\ncommand = \"server\"\nlisten \"x\" { unix = \"/x/y\" }\n}\nchild \"b\" {\ncommand = \"server\"\nlisten \"x\" { unix = \"/x/../x/y\" }\n}\n",
			[]string{`7:1 Duplicate address: The socket in line 3 listens on "/x/y" already`}},
		in("port 0", `listen "x"`, `tcp = "127.0.0.1:0"`, `4:7 Invalid value for listen.tcp: The port must be a number from 1 to 65535`),
		in("listen on a name", `listen "x"`, `tcp = "example.org:80"`, `4:7 Invalid value for listen.tcp: To listen takes an IP address of this machine, and "example.org" is a name`),
		in("no mode", `listen "x"`, `unix = "/x"`+"\n"+`mode = "rw"`, `5:8 Invalid value for listen.mode: A mode is three octal digits`),
		in("long path", `listen "x"`, `unix = "/`+strings.Repeat("x", 107)+`"`, `4:8 Invalid value for listen.unix: The path of a unix socket has 107 bytes at most`),
		in("socket with an index", `listen "x"`, `tcp = ":${index}"`, `4:7 No index here: index differs from instance to instance, and listen.tcp is the same for all`),
		in("unknown word of a socket", `listen "x"`, "tpc = 1", `3:1 No address`, `4:1 Unsupported argument: An argument named "tpc" is not expected here. Did you mean "tcp"?`),
		of("ready by whoever answers on a socket of ours", `listen "x" { tcp = "0.0.0.0:80" }`+"\nready { http = \"http://127.0.0.1/\" }\nrestart { strategy = \"overlap\" }", `4:16 Anybody answers: Each run has the socket`),
		of("ready by whichever instance answers", `listen "x" { tcp = "0.0.0.0:80" }`+"\nready { http = \"http://127.0.0.1:80/\" }\ncount = 2", `4:16 Anybody answers`),
		of("a oneshot that overlaps", "oneshot = true\nrestart { strategy = \"overlap\" }", `4:22 A oneshot that overlaps`),
		of("no turns at all", "restart { max_parallel = 0 }", `3:26 Invalid value for restart.max_parallel: This must be at least 1.`),
		of("ready on a socket of ours", `listen "x" { tcp = "0.0.0.0:80" }`+"\nready { tcp = \"127.0.0.1:80\" }", `4:15 Nothing to go by: The supervisor itself listens on this address`),
		of("unknown function", `args = [evn("X")]`, `3:9 Call to unknown function: There is no function named "evn". Did you mean "env"?`),
		of("unknown variable", `args = [indx]`, `3:9 Unknown variable: There is no variable named "indx". Did you mean "index"?`),
		of("quotes forgotten", `on_success = ignore`, `3:14 Unknown variable: There is no variable named "ignore". A text needs quotes`),
		{"missing label", "child {\ncommand = \"server\"\n}", []string{"1:7 Missing name for child"}},
		{"too many labels", "child \"a\" \"b\" {\ncommand = \"server\"\n}", []string{"1:11 Extraneous label for child"}},
		of("attribute twice", `command = "client"`, "3:1 Attribute redefined"),
		of("block twice", "logs {}\nlogs {}", "4:1 Duplicate block: The logs block was already given in line 3"),
		of("key twice", `env = { A = 1, "A" = 2 }`, `3:16 Duplicate key: "A" was already given in line 3.`),
		{"shutdown twice", "shutdown {}\nshutdown {}\nchild \"a\" { command = \"server\" }", []string{"2:1 Duplicate block: The shutdown block"}},
		of("null", `args = null`, "3:8 Invalid value for args: A value is needed here, and null is none."),
		of("null element", `args = ["a", null]`, "3:14 Invalid value for args: A text is needed here, and null"),
		of("list for text", `cwd = ["/"]`, "3:7 Invalid value for cwd: A text is needed here, not tuple."),
		of("text for list", `args = "-v"`, "3:8 Invalid value for args: A list of texts"),
		of("list in list", `args = [["a"]]`, "3:9 Invalid value for args: A text is needed here, not tuple."),
		of("text for object", `env = "A=1"`, "3:7 Invalid value for env: An object is needed"),
		of("null variable", `env = { B = 1, A = null }`, "3:16 Invalid value for env: A text is needed here, and null"),
		of("empty name", `env = { "" = 1 }`, "3:9 Invalid value for env: The name of a variable must not be empty."),
		of("equals in name", `env = { "A=B" = 1 }`, `3:9 Invalid value for env: The name of a variable cannot hold "="`),
		of("NUL in value", `env = { A = "\u0000" }`, "3:9 Invalid value for env: A text that a program gets cannot hold a NUL byte."),
		of("NUL in argument", `args = ["\u0000"]`, "3:9 Invalid value for args: A text that a program gets"),
		of("unset variable", `args = [env("NOPE")]`, `3:14 Invalid function argument: Invalid value for "name" parameter: the environment has no variable "NOPE"`),
		of("env with three", `args = [env("NOPE", "a", "b")]`, `3:27 Invalid function argument: Invalid value for "default" parameter: env takes a name and one default`),

		{"enum", "log_level = \"inof\"\nchild \"a\" { command = \"server\" }", []string{`1:13 Invalid value for log_level: "inof" is not one of "trace", "debug", "info", "warn" and "error". Did you mean "info"?`}},
		in("enum in block", "restart", `on = "allways"`, `4:6 Invalid value for restart.on: "allways" is not one of "never", "failure" and "always". Did you mean "always"?`),
		{"bool", "shutdown {\nstrict = \"yes\"\n}\nchild \"a\" { command = \"server\" }", []string{"2:10 Invalid value for shutdown.strict: This must be true or false."}},
		{"index in globals", "log_level = index\nchild \"a\" { command = \"server\" }", []string{"1:13 No index here"}},

		of("bare number", `kill_timeout = 5`, `3:16 Invalid value for kill_timeout: The unit is missing: write "5s" for seconds`),
		of("no unit", `kill_timeout = "1.5"`, `3:16 Invalid value for kill_timeout: The unit is missing: write "1.5s"`),
		of("no duration", `kill_timeout = "5 sec"`, `3:16 Invalid value for kill_timeout: "5 sec" is not a duration`),
		of("no number", `kill_timeout = "Inf"`, `3:16 Invalid value for kill_timeout: "Inf" is not a duration`),
		of("negative", `kill_timeout = "-5s"`, "3:16 Invalid value for kill_timeout: A duration must not be negative."),
		of("zero", `kill_timeout = "0s"`, "3:16 Invalid value for kill_timeout: This must be longer than zero."),
		of("tiny", `kill_timeout = "1us"`, "3:16 Invalid value for kill_timeout: This must be at least 1ms."),
		of("absurd", `kill_timeout = "25h"`, "3:16 Invalid value for kill_timeout: This is longer than a day"),
		of("beyond int64", `kill_timeout = "99999999999h"`, "3:16 Invalid value for kill_timeout:"),
		{"tiny deadline", "shutdown {\ndeadline = \"5ms\"\n}\nchild \"a\" { command = \"server\" }", []string{"2:12 Invalid value for shutdown.deadline: This must be at least 10ms."}},

		of("garbage signal", `kill_signal = "SIGTREM"`, `3:15 Invalid value for kill_signal: "SIGTREM" is not a signal. Did you mean "SIGTERM"?`),
		of("signal number", `kill_signal = 15`, `3:15 Invalid value for kill_signal: A signal is given by its name: write "SIGTERM".`),
		of("signal that stops", `kill_signal = "SIGSTOP"`, "3:15 Invalid value for kill_signal: SIGSTOP does not end a process."),
		of("signal that wakes", `kill_signal = "cont"`, "3:15 Invalid value for kill_signal: SIGCONT does not end a process."),
		of("signal beyond", `kill_signal = "SIGRTMIN+31"`, `3:15 Invalid value for kill_signal: "SIGRTMIN+31" is not a signal.`),
		of("signal with a wrong sign", `kill_signal = "SIGRTMAX+-1"`, `3:15 Invalid value for kill_signal: "SIGRTMAX+-1" is not a signal.`),
		of("empty signal", `kill_signal = ""`, `3:15 Invalid value for kill_signal: "" is not a signal.`),

		of("ladder no list", `kill_sequence = "SIGTERM"`, `3:17 Invalid value for kill_sequence: A list is needed here, as [{ signal = "SIGTERM", wait = "3s" }].`),
		of("ladder without rungs", `kill_sequence = []`, "3:17 Invalid value for kill_sequence: The list must not be empty;"),
		of("ladder of signals", `kill_sequence = ["SIGTERM"]`, `3:18 Invalid value for kill_sequence: An object with "signal" and "wait" is needed here.`),
		of("rung without a wait", `kill_sequence = [{ signal = "SIGTERM" }]`, "3:18 Invalid value for kill_sequence: There is no wait here."),
		of("rung with a typo", `kill_sequence = [{ signal = "SIGTERM", wiat = "1s" }]`, `3:18 Invalid value for kill_sequence: "wiat" is none of "signal" and "wait". Did you mean "wait"?`),
		of("second rung wrong", `kill_sequence = [{ signal = "SIGTERM", wait = "1s" }, { signal = "SIGQUITT", wait = "1s" }]`, `3:55 Invalid value for kill_sequence: "SIGQUITT" is not a signal. Did you mean "SIGQUIT"?`),
		of("rung without a unit", `kill_sequence = [{ signal = "SIGTERM", wait = 1 }]`, "3:18 Invalid value for kill_sequence: The unit is missing"),
		of("rung that kills", `kill_sequence = [{ signal = "SIGKILL", wait = "1s" }]`, "3:18 Invalid value for kill_sequence: SIGKILL comes after the last step"),
		of("ladder beyond the deadline", `kill_sequence = [{ signal = "SIGTERM", wait = "5s" }, { signal = "SIGINT", wait = "4s" }]`, "3:17 Timeouts exceed the deadline: These are stopped one after the other: a 9s (line 3)."),
		of("two ways to stop", "kill_sequence = [{ signal = \"SIGTERM\", wait = \"1s\" }]\nkill_timeout = \"1s\"\nkill_signal = \"INT\"\ndiagnose_signal = \"QUIT\"",
			"4:16 Two ways to stop it: There is a kill_sequence in line 3", "5:15 Two ways to stop it", "6:19 Two ways to stop it"),
		of("unknown scope", `kill_scope = "all"`, `3:14 Invalid value for kill_scope: "all" is not one of "process", "group" and "tree".`),
		of("code beyond", `success_codes = [0, 256]`, "3:21 Invalid value for success_codes: This may be 255 at most."),
		of("a code alone", `success_codes = 0`, "3:17 Invalid value for success_codes: A list is needed here, as [0, 143]."),
		of("no success", `success_codes = []`, "3:17 Invalid value for success_codes: The list must not be empty"),

		of("user not there", `user = "nobdy"`, `3:8 Invalid value for user: There is no user "nobdy" in /etc/passwd. Did you mean "nobody"? A number is right without an entry.`),
		of("user of none", `user = "4294967295"`, `3:8 Invalid value for user: There is no user "4294967295"`),
		of("user beyond", `user = 4294967296`, `3:8 Invalid value for user: There is no user "4294967296"`),
		of("negative user", `user = -1`, `3:8 Invalid value for user: There is no user "-1"`),
		of("empty user", `user = ""`, "3:8 Invalid value for user: This must not be empty."),
		of("group not there", "user = \"nobody\"\ngroup = \"dameon\"", `4:9 Invalid value for group: There is no group "dameon" in /etc/group. Did you mean "daemon"?`),
		of("umask beyond", `umask = "9999"`, `3:9 Invalid value for umask: "9999" is not a umask: it is octal, from "0000" to "0777".`),
		of("umask with more bits", `umask = "7777"`, `3:9 Invalid value for umask: "7777" is not a umask`),
		of("umask as a number", `umask = 022`, `3:9 Invalid value for umask: A umask is octal, and a number here is not: write it in quotes, as "0022".`),
		of("nice beyond", `nice = 50`, "3:8 Invalid value for nice: This may be 19 at most."),
		of("nice below", `nice = -21`, "3:8 Invalid value for nice: This may be -20 at least."),
		of("nice in part", `nice = 0.5`, "3:8 Invalid value for nice: A whole number is needed here."),
		of("oom beyond", `oom_score_adj = -1001`, "3:17 Invalid value for oom_score_adj: This may be -1000 at least."),
		of("no_new_privs", `no_new_privs = "yes"`, "3:16 Invalid value for no_new_privs: This must be true or false."),
		in("unknown limit", "rlimits", `nofiles = 1`, `4:1 Unsupported argument: An argument named "nofiles" is not expected here. Did you mean "nofile"?`),
		in("negative limit", "rlimits", `nofile = -1`, `4:10 Invalid value for rlimits.nofile: This must not be negative; no limit is "unlimited".`),
		in("limit in words", "rlimits", `nofile = "infinity"`, `4:10 Invalid value for rlimits.nofile: This must be a number or "unlimited".`),
		in("limit beyond", "rlimits", `nofile = 1e30`, `4:10 Invalid value for rlimits.nofile: This is too large`),
		in("limit in part", "rlimits", `nofile = 1.5`, `4:10 Invalid value for rlimits.nofile: A whole number`),
		in("soft above hard", "rlimits", `nofile = { soft = 2, hard = 1 }`, `4:10 Invalid value for rlimits.nofile: The soft limit is above the hard one.`),
		in("unlimited above hard", "rlimits", `nofile = { soft = "unlimited", hard = 1 }`, `4:10 Invalid value for rlimits.nofile: The soft limit is above the hard one.`),
		in("only soft", "rlimits", `nofile = { soft = 2 }`, `4:10 Invalid value for rlimits.nofile: There is no hard here.`),
		of("env_file not there", `env_file = "/not/there"`, "3:12 Invalid value for env_file: The file cannot be read: open /not/there: no such file or directory."),
		of("env_file a device", `env_file = "/dev/zero"`, "3:12 Invalid value for env_file: The file cannot be read: /dev/zero is not a regular file."),
		of("env_file large", `env_file = env("LARGE")`, "3:12 Invalid value for env_file: The file cannot be read: "+dir+"/large is larger than 256 KiB."),
		of("env_file with faults", `env_file = ["/dev/../`+dir+`/faults"]`,
			"3:12 Invalid value for env_file: \"/dev/../"+dir+"/faults\", line 2: the name has a blank",
			"3:12 Invalid value for env_file: \"/dev/../"+dir+"/faults\", line 4: there is no name",
			"3:12 Invalid value for env_file: \"/dev/../"+dir+"/faults\", line 5: this is no shell script",
			"3:12 Invalid value for env_file: \"/dev/../"+dir+"/faults\", line 6: this is not text"),
		of("env_file of nothing", `env_file = []`, "3:12 Invalid value for env_file: The list must not be empty"),

		of("negative count", `count = -1`, "3:9 Invalid value for count: This must not be negative."),
		of("fraction", `count = 1.5`, "3:9 Invalid value for count: A whole number is needed here."),
		of("absurd count", `count = 10001`, "3:9 Invalid value for count: This may be 10000 at most."),
		of("enormous count", `count = 1e1000`, "3:9 Invalid value for count: This may be 10000 at most."),
		of("count by index", `count = index`, "3:9 No index here: index differs from instance to instance, and count is the same"),
		{"too many in all", manyChildren(7, "count = 10000"), []string{"27:9 Too many instances: With this child the file has more than 65536."}},

		{"empty name", "child \"\" {\ncommand = \"server\"\n}", []string{"1:7 Invalid name: The name of a child has letters"}},
		{"name with a slash", "child \"a/b\" {\ncommand = \"server\"\n}", []string{"1:7 Invalid name"}},
		{"name with a dash first", "child \"-a\" {\ncommand = \"server\"\n}", []string{"1:7 Invalid name"}},
		{"long name", fmt.Sprintf("child %q {\ncommand = \"server\"\n}", strings.Repeat("a", 65)), []string{"1:7 Invalid name: The name of a child may have 64"}},
		{"long name of an instance", fmt.Sprintf("child %q {\ncommand = \"server\"\ncount = 10\n}", strings.Repeat("a", 63)), []string{"1:1 Invalid name: With the index"}},
		{"child twice", "child \"a\" { command = \"server\" }\nchild \"a\" { command = \"server\" }", []string{`2:7 Duplicate child: There is a child "a" in line 1 already.`}},
		{"instance twice", "child \"a1\" { command = \"server\" }\nchild \"a\" {\ncommand = \"server\"\ncount = 2\n}", []string{`2:1 Duplicate instance: An instance of this child is called "a1", and so is one of the child "a1" in line 1.`}},

		of("depends on nobody", `depends_on = ["b"]`, `3:15 Unknown child: There is no child "b".`),
		of("depends on a typo", "depends_on = [\"sevrer\"]\n}\nchild \"server\" {\ncommand = \"server\"", `3:15 Unknown child: There is no child "sevrer". Did you mean "server"?`),
		of("depends on an instance", "depends_on = [\"b2\"]\n}\nchild \"b\" {\ncount = 2\ncommand = \"server\"", `3:15 Unknown child: There is no child "b2". A child depends on all instances of another: write "b".`),
		of("depends on itself", `depends_on = ["a"]`, "3:15 Invalid dependency: The child depends on itself."),
		of("depends by index", `depends_on = [index]`, "3:14 No index here"),
		of("waits for a number", `depends_on = 3`, "3:14 Invalid value for depends_on: A list is needed here"),
		of("waits until never", `depends_on = [{ child = "a", until = "redy" }]`, `3:15 Invalid value for depends_on: "redy" is not one of "started", "ready" and "completed". Did you mean "ready"?`),
		of("waits for nobody", `depends_on = [{ until = "ready" }]`, "3:15 Invalid value for depends_on: A dependency needs the name of a child"),
		of("waits in other words", `depends_on = [{ child = "a", utnil = "ready" }]`, `3:15 Invalid value for depends_on: A dependency has child and until, not "utnil". Did you mean "until"?`),
		of("waits twice", "depends_on = [\"b\", { child = \"b\", until = \"ready\" }, { child = \"b\", until = \"started\" }]\n}\nchild \"b\" {\ncommand = \"server\"",
			`3:54 Invalid dependency: The child waits for "b" until it is ready already.`),
		of("waits for one that never completes", "depends_on = [{ child = \"b\", until = \"completed\" }]\n}\nchild \"b\" {\ncommand = \"server\"\nrestart {\non = \"always\"\n}",
			`3:15 Invalid dependency: The child "b" never completes: it is restarted always.`),
		of("oneshot always", "oneshot = true\nrestart {\non = \"always\"\n}", "5:6 A oneshot that never ends: A oneshot completes with its first success"),
		of("oneshot by index", "oneshot = index > 1", "3:11 No index here"),
		of("reload by SIGKILL", `reload_signal = "kill"`, "3:17 Invalid value for reload_signal: No process hears SIGKILL."),
		of("reload by a typo", `reload_signal = "SIGHPU"`, `3:17 Invalid value for reload_signal: "SIGHPU" is not a signal. Did you mean "SIGHUP"?`),
		of("sidecars beyond the deadline", "kill_timeout = \"5s\"\n}\nchild \"s\" {\ncommand = \"server\"\nsidecar = true\nkill_timeout = \"6s\"",
			"8:16 Timeouts exceed the deadline: These are stopped one after the other: a 5s (line 3) → s 6s (line 8)."),
		of("cycle", "depends_on = [\"b\"]\n}\nchild \"b\" {\ncommand = \"server\"\ndepends_on = [\"c\"]\n}\nchild \"c\" {\ncommand = \"server\"\ndepends_on = [\"b\", \"a\"]",
			"11:15 Cycle of dependencies: None of these can start first: b → c → b.",
			"11:20 Cycle of dependencies: None of these can start first: a → b → c → a."),

		{"command not there", "child \"a\" {\ncommand = \"sevrer\"\n}", []string{fmt.Sprintf("2:11 Command not found: There is no program \"sevrer\" in PATH (%s/bin).", dir)}},
		{"command not executable", "child \"a\" {\ncommand = \"data\"\n}", []string{fmt.Sprintf("2:11 Command not found: \"data\" has no program in PATH; %q is not executable.", data)}},
		{"path not executable", "child \"a\" {\ncommand = env(\"DATA\")\n}", []string{fmt.Sprintf("2:11 Command not found: %q is not executable.", data)}},
		{"path not there", "child \"a\" {\ncommand = \"./bin/x\"\n}", []string{"2:11 Command not found:"}},
		{"a directory", "child \"a\" {\ncommand = env(\"SUB\")\n}", []string{fmt.Sprintf("2:11 Command not found: %q is a directory.", sub)}},
		{"a device", "child \"a\" {\ncommand = \"/dev/null\"\n}", []string{`2:11 Command not found: "/dev/null" is not a regular file.`}},
		{"empty command", "child \"a\" {\ncommand = \"\"\n}", []string{"2:11 Invalid value for command: This must not be empty."}},
		{"PATH of the child", "child \"a\" {\ncommand = \"server\"\nenv = { PATH = \"/nowhere\" }\n}", []string{`2:11 Command not found: There is no program "server" in PATH (/nowhere).`}},
		of("cwd not there", `cwd = "/not/there"`, `3:7 Invalid value for cwd: The directory "/not/there" is not there.`),
		of("cwd a file", `cwd = env("DATA")`, fmt.Sprintf("3:7 Invalid value for cwd: %q is not a directory.", data)),

		in("no port", "ready", `tcp = "localhost"`, `4:7 Invalid value for ready.tcp: "localhost" is not an address with a port`),
		in("only a port", "ready", `tcp = 80`, `4:7 Invalid value for ready.tcp: An address has a host and a port: write ":80"`),
		in("port 0", "ready", `tcp = ":0"`, "4:7 Invalid value for ready.tcp: The port must be a number from 1 to 65535"),
		in("port 65536", "ready", `tcp = ":65536"`, "4:7 Invalid value for ready.tcp: The port must be a number"),
		in("named port", "ready", `tcp = ":http"`, "4:7 Invalid value for ready.tcp: The port must be a number"),
		in("no host", "ready", `tcp = "a b:80"`, `4:7 Invalid value for ready.tcp: "a b" is neither`),
		in("two to wait for", "ready", "tcp = \":1\"\nlog = \"up\"\nexec = [\"server\"]",
			`5:1 Too much to go by: Only one of "tcp", "http", "exec", "log" and "notify" can be given, and there is tcp in line 4.`, "6:1 Too much to go by"),
		in("no URL", "ready", `http = "localhost:80"`, `4:8 Invalid value for ready.http: "localhost:80" is not a URL`),
		in("URL with a password", "ready", `http = "http://a:b@c/"`, "4:8 Invalid value for ready.http: A URL with a name or a password"),
		in("URL with a bad port", "ready", `http = "http://c:70000/"`, "4:8 Invalid value for ready.http: The port must be"),
		in("no command", "ready", `exec = []`, "4:8 Invalid value for ready.exec: A command is needed here"),
		in("command that is not there", "ready", `exec = ["nope"]`, `4:8 Command not found: There is no program "nope" in PATH`),
		in("bad expression", "ready", `log = "up (now"`, "4:7 Invalid value for ready.log: This is not a regular expression: missing closing )"),
		in("expression that takes long", "ready", `log = "(?:a{100}){5}x"`, "4:7 Invalid value for ready.log: This expression takes too long to match: it is compiled to more than 500 instructions. A repetition such as x{100} counts a hundred times; x+ counts once."),
		in("expression that is too large", "ready", `log = "a{1001}"`, "4:7 Invalid value for ready.log: This is not a regular expression: invalid repeat count: \"{1001}\", at character 2."),
		of("lines that nobody reads", "logs {\nformat = \"inherit\"\n}\nready {\nlog = \"up\"\n}", "7:7 Nothing to match"),
		of("two checks of a name", "check \"x\" {\ntcp = \":1\"\n}\ncheck \"x\" {\n}", `6:7 Duplicate check: There is a check "x" in line 3`),
		of("a check of nothing", "check \"x\" {\nlimit = 0\n}", "3:11 Nothing to go by", "4:9 Invalid value for check.x.limit: This must be at least 1."),
		of("a check of a line", "check \"x\" {\ntcp = \":1\"\nlog = \"up\"\nnotify = true\n}",
			"5:7 Invalid value for check.x.log: A line is printed once", "6:10 Invalid value for check.x.notify: A check looks by itself"),
		of("a check of two kinds", "check \"x\" {\ntcp = \":1\"\nhttp = \"http://a\"\n}", "5:1 Too much to go by"),
		of("a command of a check", "check \"x\" {\nexec = [\"nope\"]\n}", `4:8 Command not found: There is no program "nope"`),
		of("a bad name of a check", "check \"a b\" {\ntcp = \":1\"\n}", "3:7 Invalid name: The name of a check"),
		in("a watchdog of nobody", "ready", "tcp = \":1\"\nwatchdog = \"1s\"", "5:12 Nobody to watch"),
		in("no notify", "ready", "notify = false", "4:10 Invalid value for ready.notify: This can only be true."),
		in("nothing to wait for", "ready", `timeout = "1s"`, `3:7 Nothing to go by: One of "tcp", "http", "exec"`),
		in("a bare word", "logs", `stdout = "sdtout"`, `4:10 Invalid value for logs.stdout: "sdtout" is not one of "stdout", "stderr" and "none", and the path of a file has a slash in it, as "./sdtout". Did you mean "stdout"?`),
		in("no such directory", "logs", `stderr = "/not/there/x"`, `4:10 Invalid value for logs.stderr: The directory "/not/there" is not there.`),
		in("log to a directory", "logs", `stderr = env("SUB")`, fmt.Sprintf("4:10 Invalid value for logs.stderr: %q is a directory.", sub)),
		in("inherit a file", "logs", "format = \"inherit\"\nstdout = \"/dev/null\"", "5:10 Invalid value for logs.stdout: With the format inherit"),
		in("delay above its bound", "restart", "delay = \"2s\"\nmax_delay = \"1s\"", "4:9 Delays contradict each other: The delay (2s) grows up to max_delay, which is less (1s)."),
		in("bound below the default", "restart", "max_delay = \"1ms\"", "4:13 Delays contradict each other: The delay (200ms)"),
		in("negative attempts", "restart", "attempts = -1", "4:12 Invalid value for restart.attempts: This must not be negative."),
		in("zero interval", "restart", `interval = "0s"`, "4:12 Invalid value for restart.interval: This must be longer than zero."),

		of("a fault at one index", "count = 3\nkill_timeout = \"${2 - index}s\"", "4:16 Invalid value for kill_timeout: This must be longer than zero. This is with index = 2."),
		of("more than the deadline", `kill_timeout = "9s"`, "3:16 Timeouts exceed the deadline: These are stopped one after the other: a 9s (line 3). That takes up to 9s; the deadline of 9s leaves 8.55s, with 450ms kept"),
		of("a chain beyond the deadline", "depends_on = [\"b\"]\nkill_timeout = \"5s\"\n}\nchild \"b\" {\ncommand = \"server\"\nkill_timeout = \"6s\"",
			"8:16 Timeouts exceed the deadline: These are stopped one after the other: a 5s (line 4) → b 6s (line 8). That takes up to 11s;"),
		of("no time left", "depends_on = [\"b\"]\n}\nchild \"b\" {\ncommand = \"server\"\nkill_timeout = \"8.55s\"", "1:1 No time to end: The kill_timeouts given on the way to this child take 8.55s of the 8.55s"),

		{"many at once", "log_level = 1\nshutdown {\n deadline = \"x\"\n stict = true\n}\nchild \"a\" {\n command = \"nowhere\"\n kill_signal = 9\n kill_timeout = \"1h\"\n depends_on = [\"b\"]\n}\nchild \"a\" {}", []string{
			"1:13 Invalid value for log_level", "3:13 Invalid value for shutdown.deadline", "4:2 Unsupported argument", "7:12 Command not found",
			"8:16 Invalid value for kill_signal", "10:16 Unknown child", "12:7 Duplicate child", "12:11 Missing required argument"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			faults := faultsOf(t, test.src, opt)
			ok := faults.Len() == len(test.want)
			for i, f := range faults.List() {
				ok = ok && strings.HasPrefix(brief(f), test.want[i])
			}
			if !ok {
				for _, f := range faults.List() {
					t.Logf("got  %s", brief(f))
				}
				t.Errorf("want %s", strings.Join(test.want, "\n"))
			}
		})
	}
}

// manyChildren is a file of n children, four lines each.
func manyChildren(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "child \"c%d_\" {\ncommand = \"server\"\n%s\n}\n", i, line)
	}
	return b.String()
}
