package hclconfig

import (
	"syscall"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// An attribute is one name of the language: what it means, what its value must
// be and where the value goes. T is what the attributes of a block fill in.
type attribute[T any] struct {
	name     string
	doc      string
	required bool
	shared   bool // the same for every instance: `index` is not to be had
	set      func(*T, cty.Value) error
	get      func(*T) any
}

// A block is a kind of block, or the file itself.
type block[T any] struct {
	name       string
	label      string // what its label is, if it has one
	doc        string
	attributes []attribute[T]
	oneOf      []string // the attributes of which exactly one has to be given
	blocks     []block[T]
}

func (b *block[T]) header() hcl.BlockHeaderSchema {
	h := hcl.BlockHeaderSchema{Type: b.name}
	if b.label != "" {
		h.LabelNames = []string{b.label}
	}
	return h
}

func (b *block[T]) schema() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range b.attributes {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.name, Required: a.required})
	}
	for i := range b.blocks {
		s.Blocks = append(s.Blocks, b.blocks[i].header())
	}
	return s
}

// field ties an attribute to its place in T and to the reader of its value.
func field[T, V any](name string, place func(*T) *V, read func(cty.Value) (V, error), doc string) attribute[T] {
	return attribute[T]{
		name: name,
		doc:  doc,
		get:  func(t *T) any { return *place(t) },
		set: func(t *T, v cty.Value) error {
			value, err := read(v)
			if err == nil {
				*place(t) = value
			}
			return err
		},
	}
}

func required[T any](a attribute[T]) attribute[T] {
	a.required = true
	return a
}

func shared[T any](a attribute[T]) attribute[T] {
	a.shared = true
	return a
}

// childValues is what the attributes of a child fill in, for one index.
type childValues struct {
	count     int // noCount if not given
	disabled  bool
	dependsOn []config.Dependency // an Until that is not given is empty
	env       map[string]string
	envFile   []string
	envClear  bool
	user      string
	group     string
	ready     config.Ready
	strategy  config.Strategy // of its restarts
	launch    config.Launch
	policy    config.Policy
}

const noCount = -1

const (
	maxCount    = 10_000 // instances of one child
	maxAttempts = 1_000_000
)

func defaultConfig() *config.Config {
	return &config.Config{
		Log: config.Log{Level: "info", Format: "text", FDs: event.LogChildren},
		Shutdown: config.Shutdown{
			Deadline: 9 * time.Second, Proof: event.ProofExact,
			Findings: findings.Policy{Level: findings.Data},
		},
	}
}

func defaultChild() childValues {
	return childValues{
		count: noCount,
		ready: config.Ready{Timeout: 5 * time.Second},

		strategy: config.StopFirst,
		launch:   config.Launch{Logs: config.Logs{Format: "text", Stdout: config.LogStdout, Stderr: config.LogStdout}},
		policy: config.Policy{
			KillSignal: syscall.SIGTERM,
			KillHold:   config.DefaultKillHold,
			KillScope:  lifecycle.ScopeGroup,

			Descendants: config.EndDescendants,

			SuccessCodes: []int{0},
			OnSuccess:    config.Ignore,
			OnFailure:    config.ShutDown,
			MaxParallel:  1,
			Restart: config.Restart{
				On:       "failure",
				Attempts: 5,
				Interval: time.Minute,
				Delay:    200 * time.Millisecond,
				MaxDelay: 30 * time.Second,
			},
		},
	}
}

// fileSchema is the file without its children.
var fileSchema = block[config.Config]{
	doc: "The globals of the file.",
	attributes: []attribute[config.Config]{
		field("log_level", func(c *config.Config) *string { return &c.Log.Level }, oneOf("trace", "debug", "info", "warn", "error"),
			"How much the supervisor logs."),
		field("log_format", func(c *config.Config) *string { return &c.Log.Format }, oneOf("text", "json"),
			"How it logs."),
		field("log_fds", func(c *config.Config) *event.LogFDs { return &c.Log.FDs }, oneOf(event.LogFindings, event.LogChildren, event.LogAll),
			"Which descriptors are logged at info. findings: only findings, which are warnings. children: also those that children closed or left open. all: also those of the supervisor itself. The other ones are logged at debug."),
	},
	blocks: []block[config.Config]{{
		name: "reload",
		doc:  "How a reload takes the place of what runs, by SIGHUP or --watch. What did not change is left alone.",
		attributes: []attribute[config.Config]{
			field("rollback", func(c *config.Config) *bool { return &c.Reload.Rollback }, boolean,
				"If a run that it starts is not ready in time, or ends before, or a oneshot fails, all is brought back to the configuration before it, which config rejected tells. A run without a ready block is ready at once, and none the wiser. The new file decides."),
		},
	}, {
		name: "shutdown",
		doc:  "The budget of a stop, and how it is judged.",
		attributes: []attribute[config.Config]{
			field("deadline", func(c *config.Config) *time.Duration { return &c.Shutdown.Deadline }, duration(10*time.Millisecond),
				"How long a stop may take, from the signal to an empty process table. 5 % of it, 500 ms at most, are kept for the sweep and the flush."),
			field("proof", func(c *config.Config) *event.Proof { return &c.Shutdown.Proof }, oneOf(event.ProofExact, event.ProofSampled, event.ProofNone),
				"How a child's descriptors are looked at as it exits."),
			field("strict", func(c *config.Config) *bool { return &c.Shutdown.Strict }, boolean,
				"Exit with code 3 if the stop has a finding."),
			field("findings", func(c *config.Config) *findings.Level { return &c.Shutdown.Findings.Level }, oneOf(findings.Levels()...), findingsDoc),
			field("allow", func(c *config.Config) *[]findings.Pattern { return &c.Shutdown.Findings.Allow }, patterns, allowDoc),
			field("report", func(c *config.Config) *string { return &c.Shutdown.Report }, notEmpty,
				"The file that the report of the stop is written to: a page if it ends in .html, else JSON. It is relative to the supervisor's own directory."),
		},
	}},
}

func defaultCheck() config.Check {
	return config.Check{Grace: 5 * time.Second, Interval: 10 * time.Second, Timeout: 2 * time.Second, Limit: 3}
}

// checkSchema is a check of a child, which can have many.
var checkSchema = block[config.Check]{
	name:  "check",
	label: "name",
	doc: "A look that is repeated while a run is ready, in one of the forms. A run that fails it too often is stopped as kill_signal has it, " +
		"which counts as a failure. There is none during a stop. A change of it restarts nobody.",
	attributes: []attribute[config.Check]{
		field("tcp", func(c *config.Check) *string { return &c.TCP }, address,
			"The address it has to listen on, as for ready."),
		field("http", func(c *config.Check) *string { return &c.HTTP }, webAddress,
			"The URL that has to answer, as for ready."),
		field("exec", func(c *config.Check) *[]string { return &c.Exec }, commandLine,
			"The command that has to exit with 0, as for ready."),
		field("grace", func(c *config.Check) *time.Duration { return &c.Grace }, duration(0),
			"How long after it is ready the first look comes."),
		field("interval", func(c *config.Check) *time.Duration { return &c.Interval }, duration(time.Millisecond),
			"How long after a look the next one comes, with a jitter of 10 %."),
		field("timeout", func(c *config.Check) *time.Duration { return &c.Timeout }, duration(time.Millisecond),
			"How long a look may take before it has failed."),
		field("limit", func(c *config.Check) *int { return &c.Limit }, positive,
			"How many failures in a row are enough."),
		onlyOnce("log", "A line is printed once, and a check looks again and again: log belongs into the ready block; use tcp, http or exec here."),
		onlyOnce("notify", "A check looks by itself: notify belongs into the ready block, with watchdog if the child is to report again and again; use tcp, http or exec here."),
	},
	oneOf: []string{"tcp", "http", "exec"},
}

// onlyOnce is an attribute that people look for and that there cannot be.
func onlyOnce(name, why string) attribute[config.Check] {
	return attribute[config.Check]{name: name, set: func(*config.Check, cty.Value) error { return detail(why) }}
}

// childSchema is a child. What is not marked as shared may use `index`.
var childSchema = block[childValues]{
	name:  "child",
	label: "name",
	doc:   "A process to run and its replicas.",
	attributes: []attribute[childValues]{
		shared(field("count", func(v *childValues) *int { return &v.count }, integer(maxCount),
			"How many instances there are: name1, name2, and so on. Without it there is one, named after the child; 0 is none.")),
		shared(field("depends_on", func(v *childValues) *[]config.Dependency { return &v.dependsOn }, dependencies,
			`The children that this one waits for, by name or as { child = "db", until = "started" }: started, ready or completed. Without until it is ready, and completed for a oneshot. All but the completed are stopped after it, and so is what the completed depend on.`)),
		shared(field("disabled", func(v *childValues) *bool { return &v.disabled }, boolean,
			"It has no instances, as with a count of 0. What depends on it does not wait for it.")),
		shared(field("oneshot", func(v *childValues) *bool { return &v.policy.Oneshot }, boolean,
			"It runs to success once, before what depends on it starts. A failure is followed by what restart says.")),
		shared(field("sidecar", func(v *childValues) *bool { return &v.policy.Sidecar }, boolean,
			"It is stopped after everything that is no sidecar, and once only sidecars run all ends. What it depends on it only starts after, unless that is a sidecar too.")),
		field("critical", func(v *childValues) *bool { return &v.policy.Critical }, boolean,
			"Its end for good, with success too, ends all, whatever on_success and on_failure say. Its exit code, 128+n for signal n, takes the place of 1; with success that is 0."),
		required(field("command", func(v *childValues) *string { return &v.launch.Command }, notEmpty,
			"The program. With a slash it is relative to cwd; without one it is looked up in the child's PATH.")),
		field("args", func(v *childValues) *[]string { return &v.launch.Args }, texts,
			"Its arguments."),
		field("env", func(v *childValues) *map[string]string { return &v.env }, assignments,
			"Variables that are put over the supervisor's own environment, and over env_file."),
		field("env_file", func(v *childValues) *[]string { return &v.envFile }, paths,
			"A file of variables, or a list of them of which the later go over the earlier, relative to the directory of the configuration. A line is NAME=value as in Docker's: the value is taken as it stands, quotes included; a line that begins with # is a comment, and NAME alone has the supervisor's own value. They are read with the configuration."),
		field("env_clear", func(v *childValues) *bool { return &v.envClear }, boolean,
			"Take nothing of the supervisor's own environment; PATH is then "+defaultPath+", unless it is given."),
		field("cwd", func(v *childValues) *string { return &v.launch.Dir }, notEmpty,
			"The directory it runs in. Without it that is the supervisor's own."),
		field("user", func(v *childValues) *string { return &v.user }, notEmpty,
			"The user it runs as, a name or a number, with the groups that /etc/passwd and /etc/group give it; a number that is not in there has the group of the same number and no others. HOME, USER and LOGNAME are set for it, unless env or env_file do: / and the number where it has no entry."),
		field("group", func(v *childValues) *string { return &v.group }, notEmpty,
			"The group it runs as, in place of the user's own. Without user it has no supplementary groups."),
		field("umask", func(v *childValues) **int { return &v.launch.Attributes.Umask }, optional(umask),
			"The mode bits that its files do not get, in octal, as \"0027\"."),
		field("nice", func(v *childValues) **int { return &v.launch.Attributes.Nice }, optional(between(-20, 19)),
			"Its priority, from -20, the first to get the CPU, to 19. To go below the supervisor's own takes CAP_SYS_NICE."),
		field("oom_score_adj", func(v *childValues) **int { return &v.launch.Attributes.OOMScoreAdj }, optional(between(-1000, 1000)),
			"How readily the kernel kills it where memory runs out, from -1000, never, to 1000. To go below the supervisor's own takes CAP_SYS_RESOURCE."),
		field("no_new_privs", func(v *childValues) *bool { return &v.launch.Attributes.NoNewPrivs }, boolean,
			"It gains no rights by executing a set-user-ID program."),
		field("kill_signal", func(v *childValues) *syscall.Signal { return &v.policy.KillSignal }, signal,
			"The signal that asks it to end."),
		field("kill_timeout", func(v *childValues) *time.Duration { return &v.policy.KillTimeout }, duration(time.Millisecond),
			"How long it may take to end before it gets SIGKILL. Without it that is 5s in a restart or a reload, and in the final stop an equal share, for each layer of the order, of what the deadline leaves."),
		field("kill_sequence", func(v *childValues) *[]lifecycle.Step { return &v.policy.KillSequence }, rungs,
			"In place of kill_signal, kill_timeout and diagnose_signal: the signals that ask it to end, one after the other, as [{ signal = \"SIGTERM\", wait = \"3s\" }, { signal = \"SIGQUIT\", wait = \"1s\" }]. SIGKILL comes after the last in any case."),
		field("kill_scope", func(v *childValues) *lifecycle.Scope { return &v.policy.KillScope }, oneOf(lifecycle.ScopeProcess, lifecycle.ScopeGroup, lifecycle.ScopeTree),
			"Whom these signals reach: the process alone, its process group, or its whole tree, wherever that went. Descendants that outlive the main process are told one by one, whatever the scope; see descendants."),
		field("descendants", func(v *childValues) *config.Descendants { return &v.policy.Descendants }, oneOf(config.EndDescendants, config.LeaveDescendants),
			"What happens to descendants that outlive the main process. With `end` they go through the same stop sequence with the time that is left, and a restart, a reload, a dependency and `completed` wait for the last of them. With `leave` they run on and nothing waits for them; the final stop ends them. `leave` needs kill_scope = \"process\"."),
		field("kill_hold", func(v *childValues) *time.Duration { return &v.policy.KillHold }, duration(0),
			"How long the kill_signal waits at most, in the first second of a run, until the program has set up its signals; before that it would be killed by it. Half of kill_timeout at most, or of the first wait of kill_sequence."),
		field("diagnose_signal", func(v *childValues) *syscall.Signal { return &v.policy.DiagnoseSignal }, signal,
			"The signal that asks a program which does not end for its stacks, before it gets SIGKILL: SIGQUIT for Go and the JVM. It takes the last quarter of kill_timeout, 500 ms at most."),
		field("reload_signal", func(v *childValues) *syscall.Signal { return &v.policy.ReloadSignal }, anySignal,
			"The signal that tells it of each reload of the supervisor that leaves its run alone, so that it reads its own files again."),
		field("findings", func(v *childValues) *findings.Level { return &v.policy.Findings.Level }, oneOf(findings.Levels()...),
			"Which descriptors of this child are findings, as in the `shutdown` block. Without this attribute, `shutdown.findings` is used."),
		field("allow", func(v *childValues) *[]findings.Pattern { return &v.policy.Findings.Allow }, patterns,
			"Descriptors of this child that are never findings. They are added to `shutdown.allow`."),
		field("success_codes", func(v *childValues) *[]int { return &v.policy.SuccessCodes }, codes,
			"The exit codes that are a success, for restart, on_success and the log; all of them, so 0 is to be among them. An end by a signal has 128 and its number: 143 for SIGTERM."),
		field("on_success", func(v *childValues) *config.Action { return &v.policy.OnSuccess }, oneOf(config.Ignore, config.ShutDown),
			"What its end with success means for all."),
		field("on_failure", func(v *childValues) *config.Action { return &v.policy.OnFailure }, oneOf(config.Ignore, config.ShutDown),
			"What its failure means for all, once the attempts of restart are used up."),
	},
	blocks: []block[childValues]{
		{
			name: "ready",
			doc:  "How a run proves that it serves, in one of the forms. Without it a run is ready once it is executed.",
			attributes: []attribute[childValues]{
				field("tcp", func(v *childValues) *string { return &v.ready.TCP }, address,
					"The address it has to listen on, host:port; without a host any address of this machine."),
				field("http", func(v *childValues) *string { return &v.ready.HTTP }, webAddress,
					"The URL that has to answer a GET with a status from 200 to 399. A redirect is not followed, the certificate of https is verified, and no proxy is used."),
				field("exec", func(v *childValues) *[]string { return &v.ready.Exec }, commandLine,
					"The command, with its arguments, that has to exit with 0. It has the child's environment and directory, and is killed, with its process group, when its time is over or a stop begins."),
				field("log", func(v *childValues) *string { return &v.ready.Log }, expression,
					"A regular expression (RE2) that a line which the child prints has to match. The first 4 KiB of a line are matched."),
				field("notify", func(v *childValues) *bool { return &v.ready.Notify }, onlyTrue,
					"It says so itself, by READY=1 to NOTIFY_SOCKET as sd_notify(3) has it: an abstract unix socket in the supervisor's network namespace. What another process than the child's own and those below it sends is refused, and told. "+
						"STATUS, STOPPING, RELOADING and EXTEND_TIMEOUT_USEC are heard too, the last within the deadline in a stop. With MAINPID a process names its successor: a descendant that is the main process once the present one has ended. FDSTORE is not heard."),
				field("watchdog", func(v *childValues) *time.Duration { return &v.ready.Watchdog }, duration(time.Millisecond),
					"With notify: how long there may be between two WATCHDOG=1 once it is ready; after that it has failed and is stopped. The child has it as WATCHDOG_USEC."),
				field("timeout", func(v *childValues) *time.Duration { return &v.ready.Timeout }, duration(time.Millisecond),
					"How long it may take from its start."),
			},
			oneOf: []string{"tcp", "http", "exec", "log", "notify"},
		},
		{
			name:       "rlimits",
			doc:        "Its resource limits, see getrlimit(2): a number for both, \"unlimited\", or { soft = 1024, hard = 4096 }. Those not given are the supervisor's own; to raise one above its hard limit takes CAP_SYS_RESOURCE.",
			attributes: limits(),
		},
		{
			name: "restart",
			doc:  "When a run that ended is followed by another.",
			attributes: []attribute[childValues]{
				field("on", func(v *childValues) *string { return &v.policy.Restart.On }, oneOf("never", "failure", "always"),
					"After which ends."),
				field("attempts", func(v *childValues) *int { return &v.policy.Restart.Attempts }, integer(maxAttempts),
					"How many restarts there may be in each interval; after them the child has failed."),
				field("interval", func(v *childValues) *time.Duration { return &v.policy.Restart.Interval }, duration(time.Millisecond),
					"The time in which the attempts are counted."),
				field("delay", func(v *childValues) *time.Duration { return &v.policy.Restart.Delay }, duration(0),
					"How long the first restart waits. It is doubled each time, with jitter."),
				field("max_delay", func(v *childValues) *time.Duration { return &v.policy.Restart.MaxDelay }, duration(0),
					"The longest such wait."),
				field("strategy", func(v *childValues) *config.Strategy { return &v.strategy }, oneOf(config.StopFirst, config.Overlap),
					"How a reload that changes what a run is made of replaces one that is ready. stop-first stops it, then starts the new one; overlap starts the new one and stops the old one once that is ready. Both are there for a moment, so what they listen on has to come from a listen block, or be shared in another way."),
				field("max_parallel", func(v *childValues) *int { return &v.policy.MaxParallel }, positive,
					"How many instances such a reload replaces at a time; the next ones follow when these are ready. If one fails for good the others stay what they are. A child whose dependencies are replaced too is stopped as a whole."),
			},
		},
		{
			name: "logs",
			doc:  "Where the output goes, and how.",
			attributes: []attribute[childValues]{
				field("format", func(v *childValues) *string { return &v.launch.Logs.Format }, oneOf("text", "json", "raw", config.LogInherit),
					"text puts the instance before each line, json makes an object of it, raw passes it on as it came. inherit hands the supervisor's own descriptor to the child, which cannot be a file."),
				field("stdout", func(v *childValues) *string { return &v.launch.Logs.Stdout }, sink,
					"Where standard output goes: stdout, stderr, none, or the path of a file, which has a slash in it and is relative to cwd."),
				field("stderr", func(v *childValues) *string { return &v.launch.Logs.Stderr }, sink,
					"Where standard error goes."),
			},
		},
	},
}
