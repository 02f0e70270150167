// Package config has the configuration as plain values. Package config/hcl reads them from
// a file, and package config/plan computes the order and the deadlines of a stop from them.
package config

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// Config is one valid configuration. Nothing changes it after it was read.
type Config struct {
	Path     string // absolute
	Log      Log
	Shutdown Shutdown
	Reload   Reload
	Children []*Child // in the order of the file; those that --only left out are missing
}

// Log is how the supervisor itself logs.
type Log struct {
	Level  string // trace, debug, info, warn, error
	Format string // text or json
}

// Shutdown is the budget of a stop and how it is judged.
type Shutdown struct {
	Deadline time.Duration // from the signal to an empty process table
	Reserve  time.Duration // the part of Deadline kept for the sweep and the flush: 5 %, 500 ms at most
	Proof    event.Proof
	Strict   bool   // exit 3 if a descriptor was left open
	Report   string // the file that the report of the stop is written to; empty: none
}

// Reload is how a new configuration takes the place of another.
type Reload struct {
	Rollback bool // if a new run does not get ready, all is as it was before
}

// Child is one child block: what its instances share.
type Child struct {
	Name      string
	DependsOn []Dependency // those outside of --only left out, without doubles
	Disabled  bool         // so it has no instances
	Instances []*Instance
}

// Instance is one replica, with every expression evaluated for its index.
type Instance struct {
	Name   string // the child's name, with the index behind it if the child has a count
	Child  string
	Index  int // from 1
	Launch Launch
	Policy Policy
}

// Launch is what a run is made of: a change of it needs a new run. Two of
// them are compared with reflect.DeepEqual.
type Launch struct {
	Command    string   // as the file has it
	Path       string   // the executable that Command was resolved to
	OnRemoteFS bool     // that is on a file system which need not answer
	Args       []string // without the command itself
	Env        []string // complete, sorted, KEY=value
	Dir        string   // empty: the supervisor's own
	Ready      *Ready   // nil: ready at exec
	Logs       Logs
	Listen     []Listen // the same for all instances of the child
	Attributes Attributes
}

// Attributes is what a run begins with beyond its program and environment. The zero
// value changes nothing.
type Attributes struct {
	UID, GID    *uint32  // nil: the supervisor's own
	Groups      []uint32 // the supplementary ones, with GID
	Umask       *int
	Nice        *int
	OOMScoreAdj *int
	Limits      map[int]unix.Rlimit // by RLIMIT_ number
	NoNewPrivs  bool
}

// Probe is a look whether a run serves, in one form.
type Probe struct {
	TCP      string   // host:port
	HTTP     string   // a URL
	Exec     []string // a command with its arguments
	ExecPath string   // the executable that the command was resolved to
}

// Ready is how a run proves that it serves: by a probe, or in another form.
type Ready struct {
	Probe
	Log      string        // a regular expression for a line that it prints
	Notify   bool          // it says so itself, sd_notify(3)
	Watchdog time.Duration // with Notify: how often it has to say WATCHDOG=1; 0: it need not
	Timeout  time.Duration
}

// Check is a probe that is repeated once a run is ready.
type Check struct {
	Name string
	Probe
	Grace    time.Duration // before the first
	Interval time.Duration
	Timeout  time.Duration // of each
	Limit    int           // failures in a row, then a restart
}

// Logs is where a child's output goes.
type Logs struct {
	Format string // text, json, raw, inherit
	Stdout string // stdout, stderr, none, or a path
	Stderr string
}

// Policy is how runs are stopped and followed by others: a change of it
// restarts nobody.
type Policy struct {
	KillSignal    syscall.Signal
	KillTimeout   time.Duration // given, or a share of the deadline
	SharedTimeout bool          // it is a share, which moves with the other children
	KillHold      time.Duration // how long KillSignal waits at most for a run that is too young to hear it
	// KillSequence is what a stop sends before SIGKILL, in the place of the signal
	// and the timeout above, which are then its first signal and its sum; nil: not
	// given.
	KillSequence []lifecycle.Step
	KillScope    lifecycle.Scope
	// Descendants is what happens to descendants that outlive the main process.
	Descendants Descendants
	// DiagnoseSignal asks for stacks before SIGKILL; 0: none.
	DiagnoseSignal syscall.Signal
	ReloadSignal   syscall.Signal // for a run that a reload keeps; 0: none
	Oneshot        bool           // it is there once it has run to success
	Sidecar        bool           // it goes after all others, and lives for them only
	Critical       bool           // its end ends all, with its exit code
	SuccessCodes   []int          // ends that are successes; that by a signal has the code 128+n
	Checks         []Check
	Restart        Restart
	OverlapUpdate  bool // where a new run follows one that serves, it is ready before that is stopped
	MaxParallel    int  // instances of the child that a reload restarts at a time
	OnSuccess      Action
	OnFailure      Action
}

// Descendants says what happens to descendants that outlive the main process of
// an instance.
type Descendants string

// The two values of Descendants.
const (
	EndDescendants   Descendants = "end"   // they go through the stop sequence; the process has ended after them
	LeaveDescendants Descendants = "leave" // they run on, and only the final stop ends them
)

// Action is what the end of a child for good means for all.
type Action string

// The two actions.
const (
	Ignore   Action = "ignore"
	ShutDown Action = "shutdown"
)

// Restart is when a run that ended is followed by another.
type Restart struct {
	On       string // never, failure, always
	Attempts int    // within each Interval; then the child has failed
	Interval time.Duration
	Delay    time.Duration // before the first restart; doubled up to MaxDelay, with jitter
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

// Child returns the child of that name, or nil.
func (c *Config) Child(name string) *Child {
	for _, child := range c.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// KillTimeout is that of the slowest instance; without one it is 0.
func (c *Child) KillTimeout() time.Duration {
	var most time.Duration
	for _, i := range c.Instances {
		most = max(most, i.Policy.KillTimeout)
	}
	return most
}

// Sidecar reports whether the child is one. A child without instances is none.
func (c *Child) Sidecar() bool { return len(c.Instances) > 0 && c.Instances[0].Policy.Sidecar }

// Reserve is the part of a deadline that no timeout may use: the sweep of what
// is left and the flush of the output come after the last child.
func Reserve(deadline time.Duration) time.Duration {
	return min(deadline/20, 500*time.Millisecond)
}

// DefaultKillHold is the value of Policy.KillHold where the configuration sets none.
const DefaultKillHold = 250 * time.Millisecond

// MaxStarting is how many runs are spawned at a time: each has descriptors open
// until then that it does not need afterwards.
const MaxStarting = 16

// Strategy is how a new run takes the place of one that serves.
type Strategy string

const (
	StopFirst Strategy = "stop-first"
	Overlap   Strategy = "overlap"
)

// Where a stream goes, if not to a file.
const (
	LogStdout = "stdout"
	LogStderr = "stderr"
	LogNone   = "none"
)

const LogInherit = "inherit"
