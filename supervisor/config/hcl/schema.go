package hclconfig

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
)

// attribute is an attribute of a block. T is the type that the attributes of the block fill in.
type attribute[T any] struct {
	name     string
	typ      string // see kind
	allowed  string // see kind
	example  string // a value, in HCL
	doc      string // what the attribute means, in Markdown
	required bool
	shared   bool // all instances have the same value, so `index` is not available
	set      func(*T, cty.Value) error
	// markSensitive records that the value is sensitive; nil: no such value is allowed.
	markSensitive func(*T)
	get           func(*T) any
}

// block is a kind of block, or the top level of a file.
type block[T any] struct {
	name       string
	label      string // what the label is; empty if the block has none
	doc        string
	attributes []attribute[T]
	oneOf      []string // exactly one of these attributes must be set
	anyOf      []string // at least one of these attributes must be set
	blocks     []block[T]
	foreign    func() map[string]string // hints at names of other programs, see plainName
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
		s.Attributes = append(s.Attributes,
			hcl.AttributeSchema{Name: a.name, Required: a.required})
	}
	for i := range b.blocks {
		s.Blocks = append(s.Blocks, b.blocks[i].header())
	}
	return s
}

// field returns an attribute whose value goes to a field of T. The example is a value in HCL.
func field[T, V any](name string, at func(*T) *V, k kind[V], example, doc string) attribute[T] {
	return attribute[T]{
		name:    name,
		typ:     k.typ,
		allowed: k.allowed,
		example: example,
		doc:     doc,
		get:     func(t *T) any { return *at(t) },
		set: func(t *T, v cty.Value) error {
			value, err := k.read(v)
			if err == nil {
				*at(t) = value
			}
			return err
		},
	}
}

func mandatory[T any](a attribute[T]) attribute[T] {
	a.required = true
	return a
}

// canBeSecret returns an attribute of a child that can have a sensitive value. compared is its name
// in a plan.
func canBeSecret(a attribute[childValues], compared string) attribute[childValues] {
	a.markSensitive = func(v *childValues) {
		v.sensitive = append(slices.Clip(v.sensitive), compared)
	}
	return a
}

func shared[T any](a attribute[T]) attribute[T] {
	a.shared = true
	return a
}

// childValues are the values of the attributes of a child, for one index.
type childValues struct {
	count     int // noCount if the file does not have it
	disabled  bool
	dependsOn []config.Dependency // Until is empty if the file does not have it
	env       map[string]string
	envFile   []string
	envClear  bool
	user      string
	group     string
	ready     config.Ready
	strategy  config.Strategy
	sensitive []string // see config.Instance
	// commandArgs are the arguments in command, which come before those in args.
	commandArgs []string
	launch      config.Launch
	policy      config.Policy
}

// noCount is the count of a child without the attribute count.
const noCount = -1

const maxCount = 10_000 // instances of a child

func defaultConfig() *config.Config {
	return &config.Config{
		Log: config.Log{
			Level: "info", Format: "text", FDs: event.LogChildren,
			RetainTotal: config.DefaultRetainTotal,
		},
		Shutdown: config.Shutdown{
			Deadline: 9 * time.Second,
			Proof:    event.ProofExact,
			Findings: findings.Policy{Level: findings.Data},
		},
	}
}

func defaultChild() childValues {
	return childValues{
		count:    noCount,
		ready:    config.Ready{Timeout: 5 * time.Second},
		strategy: config.StopFirst,
		launch: config.Launch{
			Logs: config.Logs{
				Format: "text", Colors: "keep",
				Stdout: config.LogStdout, Stderr: config.LogStdout,
			},
		},
		policy: config.Policy{
			KillSignal:   syscall.SIGTERM,
			KillHold:     config.DefaultKillHold,
			KillScope:    lifecycle.ScopeGroup,
			Descendants:  config.EndDescendants,
			SuccessCodes: []int{0},
			OnSuccess:    config.Ignore,
			OnFailure:    config.ShutDown,
			Logs: config.LogPolicy{
				Retain: config.DefaultRetain, Rotate: config.Rotate{Keep: 5},
			},
			MaxParallel: 1,
			Hooks:       config.Hooks{Timeout: config.DefaultHookTimeout},
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

func defaultCheck() config.Check {
	return config.Check{
		Grace:    5 * time.Second,
		Interval: 10 * time.Second,
		Timeout:  2 * time.Second,
		Limit:    3,
	}
}

// fileSchema is the top level of a file, without its children.
var fileSchema = sync.OnceValue(func() *block[config.Config] {
	return &block[config.Config]{
		doc:     "The attributes outside of blocks concern the supervisor itself.",
		foreign: foreignInFile,
		attributes: []attribute[config.Config]{
			field("log_level", func(c *config.Config) *string { return &c.Log.Level },
				oneOf("trace", "debug", "info", "warn", "error"), `"debug"`,
				"The lowest level of the supervisor's log lines."),
			field("log_format", func(c *config.Config) *string { return &c.Log.Format },
				oneOf("text", "json"), `"json"`,
				"The format of the supervisor's log lines."),
			field("log_fds", func(c *config.Config) *event.LogFDs { return &c.Log.FDs },
				oneOf(event.LogFindings, event.LogChildren, event.LogAll), `"all"`,
				"Which descriptors are logged at level info. `findings`: only findings, as "+
					"warnings. `children`: also those that children closed or left open. `all`: "+
					"also those of the supervisor itself. The others are logged at level debug."),
			field("log_retain_total", func(c *config.Config) *config.Bytes {
				return &c.Log.RetainTotal
			},
				size(0, maxRetain), `"16MiB"`,
				"How much output of all children together is kept in memory, see `logs.retain`. "+
					"If the children print more, the instances with the most lines lose their "+
					"oldest ones. \"0B\" disables it."),
		},
		blocks: []block[config.Config]{controlSchema(), metricsSchema(), {
			name: "reload",
			doc: "How a reload replaces what runs. `SIGHUP` and `--watch` start " +
				"a reload. It does not restart processes whose configuration is unchanged.",
			attributes: []attribute[config.Config]{
				field("rollback", func(c *config.Config) *bool { return &c.Reload.Rollback },
					boolKind, "true",
					"Return to the old configuration if the reload fails. It fails if a new "+
						"instance is not ready in time, or ends or fails a check before it has "+
						"been ready for `min_ready`. It also fails if a oneshot fails. The "+
						"message `config rejected` reports the rollback. A child without a "+
						"`ready` block and without `min_ready` is updated as soon as it is "+
						"executed, so only a failed spawn triggers a rollback. The value in the "+
						"new file counts."),
			},
		}, {
			name: "shutdown",
			doc:  "The time for a stop, and the rules for its verdict.",
			attributes: []attribute[config.Config]{
				field("deadline",
					func(c *config.Config) *time.Duration { return &c.Shutdown.Deadline },
					duration(10*time.Millisecond), `"9s"`,
					"The longest duration of a stop, from the signal until no process is left. "+
						"The supervisor keeps 5 % of it, at most 500 ms, for orphan cleanup and "+
						"output."),
				field("proof", func(c *config.Config) *event.Proof { return &c.Shutdown.Proof },
					oneOf(event.ProofExact, event.ProofSampled, event.ProofNone), `"sampled"`,
					"How the supervisor reads the descriptors of a child that exits: `exact` "+
						"reads them at the exit, `sampled` reads them repeatedly before it, "+
						"`none` never."),
				field("strict", func(c *config.Config) *bool { return &c.Shutdown.Strict },
					boolKind, "true",
					"Exit with code 3 if the stop has a finding."),
				field("findings",
					func(c *config.Config) *findings.Level { return &c.Shutdown.Findings.Level },
					oneOf(findings.Levels()...), `"all"`, findingsDoc),
				field("allow",
					func(c *config.Config) *[]findings.Pattern {
						return &c.Shutdown.Findings.Allow
					},
					patternsKind, `["epoll", "file:/var/log/**"]`, allowDoc),
				field("report", func(c *config.Config) *string { return &c.Shutdown.Report },
					notEmptyKind, `"/tmp/stop.html"`,
					"The file for the report of the stop: HTML if the name ends in `.html`, "+
						"else JSON. The path is relative to the working directory of the "+
						"supervisor."),
			},
		}},
	}
})

// controlSchema is the control block.
var controlSchema = sync.OnceValue(func() block[config.Config] {
	return block[config.Config]{
		name: "control",
		doc: "The control socket, through which clients ask and operate the running supervisor. " +
			"Root and the user of the supervisor may always use it.",
		attributes: []attribute[config.Config]{
			field("socket", func(c *config.Config) *string { return &c.Control.Socket },
				socketPathKind, `"/run/supervisor/echo.sock"`,
				"The path of the socket, with the mode 0600. Without it the path is "+
					"`$SUPERVISOR_SOCKET`, or is in `/run/supervisor` for root, and in "+
					"`$RUNTIME_DIRECTORY` or `$XDG_RUNTIME_DIR/supervisor` for others. Where no "+
					"directory is writable, there is only an abstract socket, which clients find "+
					"by the path of the configuration."),
			field("group", func(c *config.Config) *string { return &c.Control.Group },
				accountKind, `"ops"`,
				"The name or number of a group whose members may use the socket too. The mode is "+
					"0660 then."),
		},
	}
})

// metricsSchema is the metrics block.
var metricsSchema = sync.OnceValue(func() block[config.Config] {
	return block[config.Config]{
		name: "metrics",
		doc: "Metrics for Prometheus, and two health checks, over HTTP: `/metrics`, `/healthz` " +
			"and `/readyz`. Everybody who reaches the address can read them. " +
			"[Metrics](metrics.md) explains them. Without the block nothing is counted.",
		attributes: []attribute[config.Config]{
			mandatory(field("listen", func(c *config.Config) *string { return &c.Metrics.Listen },
				listenAddressKind, `"127.0.0.1:9180"`,
				"The TCP address. `localhost` is 127.0.0.1. Without a host it is any address of "+
					"this machine, IPv4 and IPv6. A reload opens a new address before it closes "+
					"the old one: an address that cannot be opened is a fault.")),
		},
	}
})

// checkSchema is a check block of a child. A child can have several.
var checkSchema = sync.OnceValue(func() *block[config.Check] {
	return &block[config.Check]{
		name:  "check",
		label: "name",
		doc: "A probe that repeats while an instance is ready. Exactly one of `tcp`, `http` and " +
			"`exec` is required. An instance that fails the check `limit` times in a row goes " +
			"through its stop sequence, and counts as failed. No check runs during a stop. A " +
			"change of a check restarts no process.",
		attributes: []attribute[config.Check]{
			field("tcp", func(c *config.Check) *string { return &c.TCP },
				addressKind, `"127.0.0.1:12345"`,
				"The address on which the child must listen, as in `ready`."),
			field("http", func(c *config.Check) *string { return &c.HTTP },
				urlKind, `"http://127.0.0.1:8080/healthz"`,
				"The URL that must answer, as in `ready`."),
			secretCheck(field("exec", func(c *config.Check) *[]string { return &c.Exec },
				commandLineKind, `["pg_isready", "-q"]`,
				"The command that must exit with code 0, as in `ready`.")),
			field("grace", func(c *config.Check) *time.Duration { return &c.Grace },
				duration(0), `"5s"`,
				"The time from ready to the first probe."),
			field("interval", func(c *config.Check) *time.Duration { return &c.Interval },
				duration(time.Millisecond), `"10s"`,
				"The time from the end of a probe to the next one, with a jitter of 10 %."),
			field("timeout", func(c *config.Check) *time.Duration { return &c.Timeout },
				duration(time.Millisecond), `"2s"`,
				"The time after which a probe has failed."),
			field("limit", func(c *config.Check) *int { return &c.Limit },
				positiveKind(), "3",
				"The number of consecutive failures that causes a restart."),
			unsupported("log", "A check has no `log`: a child prints a line once, but a check "+
				"repeats. Use `log` in the `ready` block, or tcp, http or exec here."),
			unsupported("notify", "A check has no `notify`. Use `notify` in the `ready` block, "+
				"with `watchdog` for repeated notifications, or tcp, http or exec here."),
		},
		oneOf: []string{"tcp", "http", "exec"},
	}
})

// secretCheck returns an attribute of a check that can have a sensitive value. ofCheck marks the
// child.
func secretCheck(a attribute[config.Check]) attribute[config.Check] {
	a.markSensitive = func(*config.Check) {}
	return a
}

// unsupported returns an attribute that a check does not have, and says what to use instead.
func unsupported(name, instead string) attribute[config.Check] {
	return attribute[config.Check]{
		name: name,
		set:  func(*config.Check, cty.Value) error { return valueError(instead) },
	}
}
