// Package api has the types of the control socket: the state of a supervisor and of its children,
// and the operations on them. docs/openapi.yaml describes their JSON form. The package needs no
// other package of the supervisor, so a client links nothing but these types.
package api

import (
	"fmt"
	"strings"
	"time"
)

// Status is the state of a supervisor and of all its instances.
type Status struct {
	Supervisor Supervisor `json:"supervisor"`
	// Instances are in the order of the configuration; those that are being removed are last.
	Instances []Instance `json:"instances"`
}

// Supervisor is the state of the supervisor itself.
type Supervisor struct {
	Pid       int       `json:"pid"`
	Version   string    `json:"version"`
	Config    string    `json:"config"` // the absolute path of its configuration
	State     string    `json:"state"`  // running or stopping
	StartedAt time.Time `json:"started_at"`
	// Deadline is the end of the stop. It is nil while no stop is under way.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Reload says that a reload or a restart is not complete yet. It is nil without one.
	Reload *ReloadState `json:"reload,omitempty"`
}

// ReloadState is the progress of a reload, or of a restart that a request asked for.
type ReloadState struct {
	Kind string `json:"kind"` // reload or restart
	// State is loading, applying, rolling_back or halted. That of a restart is restarting or
	// halted.
	State  string   `json:"state"`
	Reason string   `json:"reason,omitempty"`
	Names  []string `json:"names,omitempty"` // the instances of a restart
}

// Instance is the state of one instance.
type Instance struct {
	Name    string `json:"name"`
	Child   string `json:"child"`
	Command string `json:"command"` // as the configuration has it, without the arguments
	// State is waiting, preparing, starting, ready, unready, ending, backing_off, replacing,
	// stopping, failing, succeeded, failed or stopped: see the state machine in
	// docs/architecture.md.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // why it is in this state; empty: nothing to add
	Ready  bool   `json:"ready"`
	Pid    int    `json:"pid,omitempty"` // 0: it has no process
	// StartedAt is the time of the spawn of its process. It is nil without one.
	StartedAt *time.Time `json:"started_at,omitempty"`
	Restarts  int        `json:"restarts"`         // since the supervisor started
	Status    string     `json:"status,omitempty"` // the last STATUS of sd_notify(3)
	Checks    []Check    `json:"checks,omitempty"`
	// StoppedBy is who stopped it. It is nil unless a request keeps it stopped.
	StoppedBy *Requester `json:"stopped_by,omitempty"`
	// LastExit is the end of its last process that ended. It is nil if none ended.
	LastExit *Exit `json:"last_exit,omitempty"`
	// Usage is what its process tree uses now. It is nil without a process, or if it is not known.
	Usage *Usage `json:"usage,omitempty"`
	// Surge says that the process starts beside the one that it is about to replace.
	Surge bool `json:"surge,omitempty"`
	// FDsAtReady are the descriptors of the main process one second after it was ready. It is nil
	// if the process is younger, or had too many descriptors to be counted then.
	FDsAtReady *FDCount `json:"fds_at_ready,omitempty"`
}

// StateWords returns a state as people read it: backing off.
func StateWords(state string) string { return strings.ReplaceAll(state, "_", " ") }

// Check is the state of a check block.
type Check struct {
	Name     string `json:"name"`
	Failures int    `json:"failures"`         // in a row
	Reason   string `json:"reason,omitempty"` // of the last failure
}

// Exit is the end of a process.
type Exit struct {
	Pid    int       `json:"pid"`
	Code   int       `json:"code"`             // 128+n for signal n
	Signal string    `json:"signal,omitempty"` // SIGKILL; empty: it exited
	Reason string    `json:"reason"`           // exited with code 1; killed by the OOM killer
	At     time.Time `json:"at"`
}

// Usage is what a process tree uses.
type Usage struct {
	Processes int `json:"processes"`
	// Stopped is the number of processes that a signal stopped, such as SIGSTOP.
	Stopped int `json:"stopped"`
	Threads int `json:"threads"`
	// CPUSeconds is the user and system time of the living processes, and of the descendants that
	// they waited for.
	CPUSeconds  float64 `json:"cpu_seconds"`
	MemoryBytes int64   `json:"memory_bytes"` // resident memory: the sum of VmRSS
	FDs         int     `json:"fds"`          // open descriptors; -1: they cannot be read
}

// Requester is the process that requested something.
type Requester struct {
	UID int       `json:"uid"`
	Pid int       `json:"pid,omitempty"` // 0: it is in another pid namespace
	At  time.Time `json:"at"`
}

func (r *Requester) String() string {
	if r.Pid == 0 {
		return fmt.Sprintf("uid %d", r.UID)
	}
	return fmt.Sprintf("uid %d (pid %d)", r.UID, r.Pid)
}

// Verb is what an operation does.
type Verb string

// The verbs.
const (
	Start    Verb = "start"    // start the instances that are stopped, failed or completed
	Stop     Verb = "stop"     // stop the instances and keep them stopped
	Restart  Verb = "restart"  // replace the processes of the instances
	Signal   Verb = "signal"   // send a signal to the main processes of the instances
	Reload   Verb = "reload"   // read and apply the configuration
	Wait     Verb = "wait"     // wait until the instances have reached a state
	Shutdown Verb = "shutdown" // stop everything and end the supervisor
)

// Operation is a request to act on instances.
type Operation struct {
	Verb Verb `json:"-"`
	// Names are children and instances. Only for reload and shutdown they must be empty; for wait
	// an empty list means all instances.
	Names    []string  `json:"names,omitempty"`
	Signal   string    `json:"signal,omitempty"`   // of signal: SIGHUP, HUP or 1
	For      string    `json:"for,omitempty"`      // of wait: ready or stopped
	Deadline Duration  `json:"deadline,omitempty"` // of shutdown; 0: that of the configuration
	By       Requester `json:"-"`                  // set by the server
}

// Progress is a step of an operation.
type Progress struct {
	Instance string `json:"instance,omitempty"`
	State    string `json:"state,omitempty"` // the new state of the instance
	Message  string `json:"message"`
}

// Result is the end of an operation.
type Result struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"` // one line: what was done, or why it failed
	// Failed has the reason of each instance that did not reach its state, by name.
	Failed map[string]string `json:"failed,omitempty"`
	// Difference is what a reload changed. It is nil for other verbs.
	Difference *Difference `json:"difference,omitempty"`
}

// Difference is what a configuration changes about the children that run. It has their names.
type Difference struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
	Kept    []string `json:"kept"`
}

// ErrorKind says what kind of error an operation ended with.
type ErrorKind string

// The kinds.
const (
	UnknownName ErrorKind = "unknown-name" // no child or instance has the name
	BadRequest  ErrorKind = "bad-request"  // the request is not valid
	Conflict    ErrorKind = "conflict"     // the state of the supervisor forbids it: it is stopping
	Forbidden   ErrorKind = "forbidden"    // the peer may not do it
	Unavailable ErrorKind = "unavailable"  // the supervisor does not answer in time
)

// Error is an operation that was refused. Nothing was changed.
type Error struct {
	Kind   ErrorKind
	Detail string // one sentence: what is wrong, and what would be right
}

func (e *Error) Error() string { return e.Detail }

// Duration is a duration that is written as in the configuration: "1.5s".
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration. The error says what would be right.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it as 1.5s or 2m", text)
	}
	*d = Duration(v)
	return nil
}
