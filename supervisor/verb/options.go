package verb

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
)

// RunOptions are the flags of run.
type RunOptions struct {
	Config string // absolute path
	// DefaultConfig says that the path is the default one.
	DefaultConfig bool
	Only          []string // children or instances; empty: all
	Watch         bool     // reload when a file of the configuration changes
	PidFile       string   // empty: none
	Strict        bool     // as shutdown { strict = true }
	// StrictConfig refuses a configuration that other users can change.
	StrictConfig bool
	// AllowSecond starts although another supervisor runs children of the same file.
	AllowSecond bool
	// Findings replaces shutdown { findings } unless its level is empty, and its patterns are
	// added to shutdown { allow }.
	Findings findings.Policy
	Report   string // instead of shutdown { report = … }; empty: as the file says
	// LogLevel and LogFormat replace log_level and log_format; empty: as the file says.
	LogLevel, LogFormat string

	Vars, VarFiles []string // as in [config.Options]; VarFiles are absolute paths
}

// ExecOptions are the command and the flags of exec.
type ExecOptions struct {
	Command     []string
	Deadline    time.Duration
	Rewrite     map[unix.Signal]unix.Signal // signal received → signal sent; 0: none is sent
	Scope       lifecycle.Scope
	ParentDeath unix.Signal // to the supervisor when its parent dies; 0: none
	Success     []int       // exit codes of the command that count as 0
	MainOnly    bool        // nothing waits for the descendants of the command
	SignalRest  bool        // with MainOnly: they get SIGTERM
	Session     bool
	Strict      bool
	Findings    findings.Policy
	TermAfter   time.Duration // after the command is ready; negative: never
	// address that the ready command listens on; empty: ready when executed
	ReadyTCP     string
	ReadyTimeout time.Duration
	Report       string // file of the report of the stop; empty: none
	Verbose      int
}
