// Package explain explains in plain words why an instance is in its state: what it waits for, why
// it ended, why its stop takes long, and whether it needs a restart. It is a pure function from
// facts to text. The facts about the state come from package orchestrator, those about the process
// from package examine.
package explain

import (
	"time"

	"tp0/supervisor/api"
)

// Facts are what is known about an instance at one moment. What does not apply is zero.
type Facts struct {
	Now        time.Time
	Instance   api.Instance
	ShuttingTo *time.Time // the deadline of the final stop; nil: no final stop is under way
	Waits      []Wait     // what its start waits for
	Due        time.Time  // the end of its timer: a restart delay, a step, or ready.timeout
	Restart    Restart
	Hook       string // the hook that runs: "its pre_start hook runs (pid 12)"; empty: none does
	HookNext   string // what happens at Due then: "the hook gets SIGTERM"; empty: nothing
	Ready      string // what its ready block waits for: "a listener on 127.0.0.1:80"
	Update     *Update
	Stop       *Stop
	StopsAfter []string       // the instances that must end before it is stopped
	Limits     map[string]int // consecutive failures that a check may have, by its name
	Cause      string         // of the end of its last process, beside the exit status
	OOM        bool           // Cause is the OOM killer
	Leaks      []string       // that watch_fds found: "file from 1 to 9 in 10 counts"
	NearLimit  []string       // the processes near their limit: "18 of 20 are open"
	Output     []string       // the last lines of its last process that ended
	Subject    Subject
	Process    Process
	Config     Config
}

// Subject is the process that package examine examines. It is zero without a process.
type Subject struct {
	Pid     int
	Started time.Time
	Signal  int      // the last one of the stop sequence; 0: no stop is under way
	Path    string   // the file that was executed
	Args    []string // without the command itself
	Dir     string   // its working directory by the configuration; empty: that of the supervisor
	Threads bool     // examine what its threads do
}

// Wait is something that a start waits for.
type Wait struct {
	For    string // an instance or a child
	Until  string // ready, started, completed or ended
	State  string // of For
	Reason string // why For is in that state
}

// Restart is about the restart that follows, or about why none does.
type Restart struct {
	Reason    string // how the last process ended, and why no restart follows
	Attempt   int    // the number of the restart within Interval
	Attempts  int    // that the restart policy allows within Interval
	Interval  time.Duration
	Shortage  bool   // the spawn failed for lack of a resource, and is repeated
	LogFile   string // whose open has not returned, so the spawn is repeated; empty: none
	OnFailure string
}

// Update is the replacement of the process by a reload or a restart.
type Update struct {
	Halted      string // why it was halted; empty: it was not
	HasSlot     bool
	Holders     []string // the instances of the child that have an update slot
	MaxParallel int
	Surge       string // the state of the process that is to take its place; empty: none is there
}

// Stop is a stop sequence that is under way.
type Stop struct {
	Began       time.Time
	Signal      string // the last one that was sent
	Step, Steps int
	Next        string // the next signal; empty: none follows
	MainEnded   bool   // the main process has ended, descendants have not
}

// Process is what /proc says about the main process.
type Process struct {
	Unknown     string   // why it could not be examined; empty: it was
	Stopped     bool     // by a signal, such as SIGSTOP
	Disposition string   // of Stop.Signal: caught, ignored, blocked or default
	Threads     []string // what each thread does
	Program     string   // its executable, if that was replaced on disk
	Libraries   []string // those that were replaced on disk
	Files       []string // its program and files among its arguments that changed since its start
}

// Config is the difference between the configuration that runs and the one on disk.
type Config struct {
	Attributes []string // of the child, that differ
	Restart    bool     // a reload would replace the process
	Removed    bool     // a reload would remove the instance
	Fault      string   // why the configuration on disk cannot be read; its first line
}
