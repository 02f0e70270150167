// Package config has the configuration as plain values. Package config/hcl reads them from
// a file, and package config/plan computes the order and the deadlines of a stop from them.
package config

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/envfile"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
)

// Config is a valid configuration. It does not change after the load.
type Config struct {
	Path     string // of the file, absolute
	Log      Log
	Shutdown Shutdown
	Reload   Reload
	Control  Control
	Metrics  Metrics
	Children []*Child // in the order of the file, without the children that --only excludes
}

// Log says how the supervisor logs.
type Log struct {
	Level  string // trace, debug, info, warn, error
	Format string // text or json
	FDs    event.LogFDs
	// RetainTotal is how much of the output of all instances are kept in memory.
	RetainTotal Bytes
}

// Shutdown is the budget of a stop, and the rules for its verdict.
type Shutdown struct {
	Deadline time.Duration // from the start of the stop to its end
	Reserve  time.Duration // the part of Deadline for orphan cleanup and the flush, see [Reserve]
	Proof    event.Proof
	Strict   bool            // exit 3 if the stop has a finding
	Findings findings.Policy // what counts as a finding; the empty level is findings.Data
	Report   string          // the file of the report of the stop; empty for no report
}

// Reload says how a new configuration replaces the present one.
type Reload struct {
	Rollback bool // go back to the old configuration if an instance does not become ready
}

// Child is one child block with its instances.
type Child struct {
	Name      string
	DependsOn []Dependency // each child once, without the children that --only excludes
	Disabled  bool         // the child has no instances
	Instances []*Instance
}

// Instance is one replica of a child, with every expression evaluated for its index.
type Instance struct {
	Name   string // the name of the child, followed by the index if the child has a count
	Child  string
	Index  int // from 1
	Launch Launch
	Policy Policy
	// Sensitive are the attributes whose value no message shows, by the names of package plan.
	Sensitive []string
}

// Launch has the attributes that a running process cannot change: a reload that changes one of
// them replaces the process. Two values are compared with reflect.DeepEqual.
type Launch struct {
	Command    string   // as the file has it
	Path       string   // the executable that Command resolves to; empty: see LateEnv
	OnRemoteFS bool     // Path is on a remote file system, see [IsRemote]
	Args       []string // without the command itself
	Env        []string // complete but for LateEnv, sorted, KEY=value
	// LateEnv are the files of env_file that a oneshot before this child can make. They are read
	// when the child starts. The executables of the child and of its probes are found then too.
	LateEnv    envfile.Late
	Dir        string // empty for the supervisor's own
	Ready      *Ready // nil if the child is ready as soon as it is executed
	Logs       Logs
	Listen     []Listen // the same for all instances of the child
	Attributes Attributes
}

// Attributes are the process attributes that are set before exec. The zero value changes none.
type Attributes struct {
	UID, GID    *uint32  // nil for the supervisor's own
	Groups      []uint32 // supplementary groups, including GID
	Umask       *int
	Nice        *int
	OOMScoreAdj *int
	Limits      map[int]unix.Rlimit // by RLIMIT_ number
	NoNewPrivs  bool
}

// Probe asks a process whether it serves. Exactly one of TCP, HTTP and Exec is set.
type Probe struct {
	TCP      string   // host:port
	HTTP     string   // a URL
	Exec     []string // a command with its arguments
	ExecPath string   // the executable that Exec[0] resolves to; empty: see Launch.LateEnv
}

// Ready says when a process is ready. Exactly one of Probe, Log and Notify is set.
type Ready struct {
	Probe
	Log      string        // a regular expression that a line of its output matches
	Notify   bool          // it sends READY=1, see sd_notify(3)
	Watchdog time.Duration // with Notify: the interval for WATCHDOG=1; 0 disables it
	Timeout  time.Duration
}

// Check is a probe that repeats while a process is ready.
type Check struct {
	Name string
	Probe
	Grace    time.Duration // from ready to the first probe
	Interval time.Duration
	Timeout  time.Duration // of each probe
	Limit    int           // consecutive failures that cause a restart
}

// Logs says where the output of a child goes.
type Logs struct {
	Format string // text, json, raw, inherit
	Colors string // keep, strip
	Stdout string // stdout, stderr, none, or a path
	Stderr string // as Stdout
}

// Files returns the log files of a child, once for each stream.
func (l Logs) Files() (paths []string) {
	for _, dest := range []string{l.Stdout, l.Stderr} {
		if strings.Contains(dest, "/") {
			paths = append(paths, dest)
		}
	}
	return paths
}

// Policy says how processes are stopped and restarted. A change of it restarts no process.
type Policy struct {
	KillSignal    syscall.Signal
	KillTimeout   time.Duration // from the file, or a share of the deadline
	SharedTimeout bool          // KillTimeout is a share, so a change of another child changes it
	// KillHold is the longest delay of KillSignal while a new process has not yet installed
	// its signal handlers.
	KillHold time.Duration
	// KillSequence lists the signals of a stop before SIGKILL; nil if the file has none. If it
	// is set, KillSignal is its first signal and KillTimeout is the sum of its waits.
	KillSequence []lifecycle.Step
	KillScope    lifecycle.Scope
	// Descendants says what happens to descendants that outlive the main process.
	Descendants Descendants
	// Findings is what counts as a finding. The empty level is that of Shutdown, and the
	// patterns are added to those of Shutdown.
	Findings findings.Policy
	// DiagnoseSignal asks a process for its stacks before SIGKILL; 0 disables it.
	DiagnoseSignal syscall.Signal
	ReloadSignal   syscall.Signal // to a process that a reload keeps; 0 disables it
	Hooks          Hooks
	Oneshot        bool  // the child completes when it ends with success
	Sidecar        bool  // stopped after all other children, and does not run without them
	Critical       bool  // its end stops the supervisor, with its exit code
	SuccessCodes   []int // exit codes of a success; 128+n for signal n
	Checks         []Check
	Restart        Restart
	OverlapUpdate  bool // a reload stops the old process only when the new one is ready
	MaxParallel    int  // instances of the child that a reload replaces at a time
	// MinReady is how long a new process must have been ready before its instance counts as
	// updated.
	MinReady  time.Duration
	WatchFDs  time.Duration // the time between two counts of the descriptors; 0 disables them
	OnSuccess Action
	OnFailure Action
	Logs      LogPolicy
	// DefaultOnFailure says that the configuration has no on_failure.
	DefaultOnFailure bool
}

// Descendants says what happens to descendants that outlive the main process of
// an instance.
type Descendants string

// The values of Descendants.
const (
	// EndDescendants: the stop sequence ends them, and the instance has ended after them.
	EndDescendants Descendants = "end"
	// LeaveDescendants: they run on, and only the final stop ends them.
	LeaveDescendants Descendants = "leave"
)

// Action says what happens when a child has ended and is not restarted.
type Action string

// The values of Action.
const (
	Ignore   Action = "ignore"
	ShutDown Action = "shutdown"
)

// Restart is the restart policy of a child.
type Restart struct {
	On       string // never, failure, always
	Attempts int    // restarts within each Interval, after which the child has failed
	Interval time.Duration
	Delay    time.Duration // before the first restart; doubles up to MaxDelay, with jitter
	MaxDelay time.Duration
}

// Instances returns all instances, in the order of the file.
func (c *Config) Instances() []*Instance {
	var all []*Instance
	for _, child := range c.Children {
		all = append(all, child.Instances...)
	}
	return all
}

// Listens returns the sockets of all children that have instances.
func (c *Config) Listens() []Listen {
	var all []Listen
	for _, child := range c.Children {
		if len(child.Instances) > 0 {
			all = append(all, child.Instances[0].Launch.Listen...)
		}
	}
	return all
}

// Child returns the child with that name, or nil.
func (c *Config) Child(name string) *Child {
	for _, child := range c.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// StopTime returns how long the final stop of the instance may take: the stop sequence, then the
// post_stop hook.
func (p *Policy) StopTime() time.Duration {
	if !p.Hooks.PostStop.Set() {
		return p.KillTimeout
	}
	return p.KillTimeout + p.Hooks.StopTimeout
}

// GivenStopTime returns the part of StopTime that the configuration sets, and the number of
// timeouts that have a share of the deadline.
func (p *Policy) GivenStopTime() (given time.Duration, shares int) {
	if p.SharedTimeout {
		shares++
	} else {
		given = p.KillTimeout
	}
	switch {
	case !p.Hooks.PostStop.Set():
	case p.Hooks.SharedTimeout:
		shares++
	default:
		given += p.Hooks.Timeout
	}
	return given, shares
}

// ShareDeadline sets the timeouts that have a share of the deadline.
func (p *Policy) ShareDeadline(share time.Duration) {
	if p.SharedTimeout {
		p.KillTimeout = share
	}
	if p.Hooks.SharedTimeout && p.Hooks.PostStop.Set() {
		p.Hooks.StopTimeout = min(share, p.Hooks.Timeout)
	}
}

// StopTime returns the longest time of the final stop of an instance, or 0 without instances.
func (c *Child) StopTime() time.Duration {
	var most time.Duration
	for _, i := range c.Instances {
		most = max(most, i.Policy.StopTime())
	}
	return most
}

// GivenStopTime returns the longest [Policy.GivenStopTime] of the instances.
func (c *Child) GivenStopTime() (given time.Duration, shares int) {
	for _, i := range c.Instances {
		g, n := i.Policy.GivenStopTime()
		given, shares = max(given, g), max(shares, n)
	}
	return given, shares
}

// Sidecar reports whether the child is a sidecar that has instances.
func (c *Child) Sidecar() bool { return len(c.Instances) > 0 && c.Instances[0].Policy.Sidecar }

// Reserve returns the part of a deadline that no timeout of a child may use: 5 %, at most
// 500 ms. The supervisor cleans up orphans and flushes the output in it, after the last child.
func Reserve(deadline time.Duration) time.Duration {
	return min(deadline/20, 500*time.Millisecond)
}

// DefaultMinReady is the value of Policy.MinReady of a child with a ready block where the
// configuration sets none. Without a ready block it is 0.
const DefaultMinReady = 2 * time.Second

// DefaultKillHold is the value of Policy.KillHold where the configuration sets none.
const DefaultKillHold = 250 * time.Millisecond

// MaxStarting is the number of processes that are spawned at a time. It bounds the descriptors
// that the supervisor needs only during a spawn.
const MaxStarting = 16

// Strategy says how a reload replaces a process that is ready.
type Strategy string

// The values of Strategy.
const (
	StopFirst Strategy = "stop-first" // stop the old process, then start the new one
	Overlap   Strategy = "overlap"    // stop the old process when the new one is ready
)

// The values of Logs.Stdout and Logs.Stderr that are not a path.
const (
	LogStdout = "stdout"
	LogStderr = "stderr"
	LogNone   = "none"
)

// LogInherit is the value of Logs.Format with which a child writes to the supervisor's own
// descriptors.
const LogInherit = "inherit"

// LogRaw is the value of Logs.Format that leaves the lines of a child unchanged.
const LogRaw = "raw"
