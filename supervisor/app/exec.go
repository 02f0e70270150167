package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/limits"
	"tp0/supervisor/orchestrator"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
	"tp0/supervisor/program"
	"tp0/supervisor/verb"
)

// execute runs one command without a configuration file, as the only child of a configuration that
// config makes. The command inherits the standard streams.
func execute(o verb.ExecOptions, s *signals, version string) int {
	parent := os.Getppid()
	atTerminal := spawn.HasTerminal()
	if o.Session && atTerminal {
		atTerminal = s.ignoring([]os.Signal{unix.SIGHUP, unix.SIGCONT}, spawn.GiveUpTerminal)
	}
	e := &execution{app: newApp(o.MainOnly, version), opt: o, signals: s}
	e.opt.Report = absolute(o.Report)
	caught := s.catchAll()
	var path string
	var ignored []string // entries of PATH
	var remote bool
	var err error
	e.guard.SetDeadline(o.Deadline)
	s.during(func() { // a file system can block the look-up
		if path, ignored, err = lookPath(o.Command[0], program.ByRoot()); err == nil {
			remote = config.IsRemote(path)
		}
	}, func(sig os.Signal) {
		if e.stops(sig) {
			e.guard.Arm()
		}
	})
	if err != nil {
		err = fmt.Errorf("cannot execute %q: %w", o.Command[0], err)
		code := startErrorCode(err)
		if len(ignored) > 0 {
			err = fmt.Errorf("%w. %s", err, program.Ignored(ignored))
		}
		return refuse(err, code)
	}
	if err := e.prepare(s, path, remote, process.Options{
		Inherit: true, Parent: parent, ParentDeath: o.ParentDeath,
	}, atTerminal); err != nil {
		return refuse(err, exitcode.Failed)
	}
	if len(ignored) > 0 {
		e.Emit(event.Warning{What: "PATH entry ignored", Reason: program.Ignored(ignored)})
	}
	<-caught
	e.runActors(s, e.handleSignal)
	if o.SignalRest {
		for _, pid := range procfs.Descendants(os.Getpid()) {
			_ = unix.Kill(pid, unix.SIGTERM)
		}
	}
	if e.termTimer != nil {
		e.termTimer.Stop()
	}
	outcome := e.close()
	code := e.code(outcome)
	if o.Strict {
		writeTable(os.Stderr, e.rows, e.unproven, outcome.Verdict(), code)
	}
	return e.disarm(code)
}

// prepare creates all parts of the app.
func (e *execution) prepare(
	s *signals, path string, remote bool, loop process.Options, atTerminal bool,
) (err error) {
	o := e.opt
	if o.Session {
		// The kernel discards these signals for an orphaned process group, as that of a new session
		// is (signal(7), setpgid(2)). SIGSTOP works there.
		for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
			if _, given := o.Rewrite[sig]; !given {
				o.Rewrite[sig] = unix.SIGSTOP
			}
		}
	}
	e.app.atTerminal = atTerminal
	e.logSink = &execFilter{e}
	e.reportPath, e.exitCode = o.Report, e.code
	cfg := e.config(path, remote)
	e.configure(cfg)
	limits.BoundMemory()
	if e.threads, err = limits.Reserve(limits.ThreadNeeds{}); err != nil {
		return err
	}
	if err = e.openLedger(); err != nil {
		return err
	}
	return e.build(loop, orchestrator.Options{
		Config: cfg, Terminal: isTerminal(os.Stderr), KeepQueuedSpawns: true,
		LeaveOrphans: o.MainOnly, ShortageTimeout: shortageTimeout,
		ProcessDefaults: process.Spec{
			Spec: spawn.Spec{
				Session: o.Session, Terminal: atTerminal, Ignored: s.ignored, Blocked: s.blocked,
				PidVariables: pidVariables(),
			},
			// Descendants are ended by the orphan cleanup of the stop.
			Scope: o.Scope, LeaveDescendants: true, TraceFrom: e.traceFrom(),
		},
	})
}

// shortageTimeout is the time that exec waits for an exhausted resource before it gives up.
const shortageTimeout = 5 * time.Second

// config returns the configuration of the one child.
func (e *execution) config(path string, remote bool) *config.Config {
	o := e.opt
	level := []string{"warn", "info", "debug"}[min(o.Verbose, 2)]
	launch := config.Launch{
		Command: o.Command[0], Path: path, OnRemoteFS: remote,
		Args: o.Command[1:], Env: commandEnv(os.Environ()),
		Logs: config.Logs{Format: "inherit", Stdout: "stdout", Stderr: "stderr"},
	}
	if o.ReadyTCP != "" {
		launch.Ready = &config.Ready{Probe: config.Probe{TCP: o.ReadyTCP}, Timeout: o.ReadyTimeout}
	}
	return config.ForCommand(filepath.Base(o.Command[0]), launch,
		config.Shutdown{
			Deadline: o.Deadline, Proof: event.ProofExact, Strict: o.Strict, Findings: o.Findings,
		},
		config.Log{Level: level, Format: "text", FDs: event.LogChildren}, e.rewrite(unix.SIGTERM))
}

// traceFrom returns [event.ProofExact] with --strict: the command is then traced from its start on,
// because it can end by itself, without a stop.
func (e *execution) traceFrom() event.Proof {
	if e.opt.Strict {
		return event.ProofExact
	}
	return event.ProofNone
}

// lookPath looks up a command as execvp(3) does. A command with a slash is returned as it is, and
// execve(2) fails if it does not exist.
func lookPath(command string, root bool) (path string, ignored []string, err error) {
	if strings.Contains(command, "/") {
		return command, nil, nil
	}
	search, ok := os.LookupEnv("PATH")
	if !ok {
		search = "/usr/local/bin:/bin:/usr/bin"
	}
	var result error = unix.ENOENT
	entries, ignored := program.Entries(search, root)
	for _, dir := range entries {
		path := filepath.Join(dir, command)
		if !strings.Contains(path, "/") {
			path = "./" + path // an empty entry is the current directory
		}
		var st unix.Stat_t
		if command == "" || unix.Stat(path, &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG &&
			unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil {
			return path, ignored, nil
		}
		result = unix.EACCES
	}
	return "", ignored, result
}
